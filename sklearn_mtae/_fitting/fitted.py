"""The result of a fit: one object, which an estimator keeps in one attribute."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._engine.optimizer import State
from sklearn_mtae._engine.stack import mean_row
from sklearn_mtae._tables.mixed_targets import MixedTasks

from .copula import Copula
from .kernel import ClassKernel, NumberKernel
from .logistic import ClassRegressions
from .novelty import Novelty
from .recipe import Recipe
from .variance_function import VarianceFunction


@dataclass(eq=False)
class Baseline:
    """A function of the columns for each task, linear or with a kernel, whose weight is what the members leave.

    Parameters
    ----------
    intercepts : ndarray of shape (n_tasks,)
        Values of the tasks where all columns are at their locations; without slopes and a kernel, the labels' means.
    deviations : ndarray of shape (n_tasks,)
        Standard deviations of the labels around the functions, of rows that are not novel; zero for a task whose labels
        are all the same.
    slopes : ndarray of shape (n_columns, n_tasks) or None
        Slopes, in the units of the columns and of the tasks. None means zeros.
    kernel : NumberKernel or None
        Sums over nearby rows, which are added. None means zeros.
    novelty : Novelty or None
        How novel rows are: their deviations are larger. None means that no row is.
    """

    intercepts: NDArray | float = 0.0
    deviations: NDArray | float = 0.0
    slopes: NDArray | None = None
    kernel: NumberKernel | None = None
    novelty: Novelty | None = None


@dataclass(eq=False)
class Average:
    """The average of an ensemble's members, and its calibration.

    Parameters
    ----------
    baseline : Baseline
        The baselines beside members that predict numbers.
    earlier : list of (int, dict)
        States of members after earlier epochs: the member and the state.
    weights : ndarray of shape (n_states, n_tasks) or None
        Weights of all states, with the members' last states first; the rest is the weight of the baselines. None is an
        average with equal weights.
    scores : list of ndarray
        For each task, sorted distances of labels from held-out predictions: for numbers in predictive standard
        deviations, for classes minus the log of their probability.
    inflation : ndarray of shape (n_tasks,) or float
        Factors of the standard deviations of each task.
    variance : VarianceFunction or None
        How the sizes of errors depend on the columns. None means that they are as stated everywhere.
    base_rates : list of ndarray
        For each task of classes, the shares of the classes among the labels.
    sharpness : ndarray of shape (n_tasks,) or None
        Factors of the logs of the class probabilities of each task; None is 1.
    lines : ClassRegressions or None
        The logistic regressions beside the states of members that predict classes, with their own weights.
    kernel : ClassKernel or None
        The kernel beside the states of members that predict classes, with its own weights.
    copula : Copula or None
        How the labels of a row depend on each other beyond their predictions.
    """

    baseline: Baseline = field(default_factory=Baseline)
    earlier: list[tuple[int, dict[str, NDArray]]] = field(default_factory=list)
    weights: NDArray | None = None
    scores: list[NDArray] = field(default_factory=list)
    inflation: NDArray | float = 1.0
    variance: VarianceFunction | None = None
    base_rates: list[NDArray] = field(default_factory=list)
    sharpness: NDArray | None = None
    lines: ClassRegressions | None = None
    kernel: ClassKernel | None = None
    copula: Copula | None = None


@dataclass(eq=False)
class Fitted:
    """Parameters, arrays and plain values that all methods of an estimator work with.

    Parameters
    ----------
    recipe : Recipe
        The recipe that the models are rebuilt from.
    settings : list of dict
        For each member of an ensemble, or for the single model, the parameters that differ from the estimator's.
    seed : int
        Seed of the fit.
    n_rows : int
        Number of rows of the first fit, which "auto" depends on.
    alone : str
        Why the fit has one model although "auto" is an ensemble, if so.
    ended : str
        After how many epochs the training ended because more did not pay, and why, if so.
    states, loss_states : list of dict
        Parameters and buffers of each model and of its loss.
    epochs : list of int
        The epoch of each state, with the members' last states first.
    optimizer_states : list of dict
        The state of each model's optimiser, after a `partial_fit`.
    n_iter : int
        Number of epochs.
    loss_curve, validation_scores : list of float
        Loss by epoch, and minus the held-out loss.
    term_curves : dict of str to list of float
        Each term of the loss by epoch.
    task_weights : ndarray of shape (n_iter, n_tasks) or None
        Weights of the tasks by epoch.
    code_variance : ndarray of shape (n_components,) or None
        Variance of the codes of a linear decoder.
    average : Average
        The average of the members.
    """

    recipe: Recipe
    settings: list[dict[str, Any]]
    seed: int
    n_rows: int = 1
    alone: str = ""
    ended: str = ""
    states: list[dict[str, NDArray]] = field(default_factory=list)
    loss_states: list[dict[str, NDArray]] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    optimizer_states: list[State] = field(default_factory=list)
    n_iter: int = 0
    loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    term_curves: dict[str, list[float]] = field(default_factory=dict)
    task_weights: NDArray | None = None
    code_variance: NDArray | None = None
    average: Average = field(default_factory=Average)
    cache: dict[str, Any] = field(default_factory=dict)
    """Modules and the net, which are rebuilt if absent and are not part of the state."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "cache": {}}

    def copy(self) -> "Fitted":
        """Return a copy with its own lists, as an estimator's user may change them."""
        return replace(
            self,
            loss_curve=list(self.loss_curve),
            validation_scores=list(self.validation_scores),
            term_curves={name: list(curve) for name, curve in self.term_curves.items()},
            cache={},
        )

    def setting_of(self, state: int) -> dict[str, Any]:
        """Look up the parameters in which a member, or its state after an earlier epoch, differs."""
        n_members = len(self.states)
        return self.settings[state if state < n_members else self.average.earlier[state - n_members][0]]

    def recipe_of(self, state: int) -> Recipe:
        """Look up the recipe of a member, or of an earlier state of a member."""
        return self.recipe.of_member(self.setting_of(state))

    def state_of(self, state: int) -> dict[str, NDArray]:
        """Return the parameters and buffers of a member, or of its state after an earlier epoch."""
        n_members = len(self.states)
        return self.states[state] if state < n_members else self.average.earlier[state - n_members][1]

    @property
    def of_classes(self) -> NDArray[np.bool_]:
        """Which tasks are of classes, shape (n_tasks,)."""
        tasks = self.recipe.tasks
        if isinstance(tasks, MixedTasks):
            return tasks.of_classes
        return np.full(0 if tasks is None else len(tasks.names), tasks is not None and tasks.classes is not None)

    def counted_states(self) -> tuple[NDArray, NDArray]:
        """Return the positions of the states that count, and their weights, shape (n_counted, n_tasks)."""
        n_states, weights = len(self.states), self.average.weights
        if weights is None:
            weights = np.full((n_states, len(self.recipe.task_names)), 1 / n_states)
        counted = np.flatnonzero((weights != 0).any(axis=1))
        return counted, weights[counted]

    def add_epochs(self, histories: Iterable[Sequence[dict[str, Any]]]) -> None:
        """Add the results of epochs to the curves, as means over the models trained, given the rows of each model."""
        weights = [] if self.task_weights is None else [self.task_weights]
        for rows in zip_longest(*histories):
            trained = [row for row in rows if row is not None]
            row = trained[0] if len(trained) == 1 else mean_row(trained)
            self.n_iter += 1
            self.loss_curve.append(row["train_loss"])
            terms = dict(row["train_terms"])
            if "tasks" in terms:
                names = [f"task:{task}" for task in self.recipe.task_names]
                terms |= zip(names, terms.pop("tasks"), strict=True)
            for name, value in terms.items():
                self.term_curves.setdefault(name, []).append(value)
            if "valid_loss" in row:
                self.validation_scores.append(-row["valid_loss"])
            if "task_weights" in row:
                weights.append(row["task_weights"])
        if weights:
            self.task_weights = np.vstack(weights)

    def attributes(self) -> dict[str, Any]:
        """Return the public attributes of an estimator, and the private one for this object."""
        features, tasks = self.recipe.columns, self.recipe.tasks
        found: dict[str, Any] = {
            "n_features_in_": features.count,
            "n_iter_": self.n_iter,
            "loss_curve_": self.loss_curve,
            "validation_scores_": self.validation_scores,
            "term_curves_": self.term_curves,
        }
        if features.given_names is not None:
            found["feature_names_in_"] = features.given_names
        if tasks is not None:
            found["task_names_"] = tasks.names
            if self.task_weights is not None:
                found["task_weights_"] = self.task_weights
            if isinstance(tasks, MixedTasks):
                found["task_kinds_"] = dict(zip(tasks.names, tasks.kinds, strict=True))
                found["classes_"] = tasks.by_name
            elif tasks.classes is not None:
                found["classes_"] = tasks.classes[0] if tasks.n_dimensions == 1 else tasks.classes
        if self.recipe.targets is not None:
            found["member_params_"] = [dict(own) for own in self.settings]
        return {**found, "_fitted": self}
