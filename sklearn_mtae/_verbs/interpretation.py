"""The meaning of components and tasks: the loadings of a linear decoder, and the importance of each feature."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state, check_scalar
from torch import Tensor

from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae._fitting.number_average import shares_of
from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.blocks import dense
from sklearn_mtae._tables.describe import describe
from sklearn_mtae._tables.features import Features
from sklearn_mtae.nn.loadings import loadings, relevance
from sklearn_mtae.nn.models import Autoencoder
from sklearn_mtae.nn.words import short

STEEPEST = 1e15
"""Larger slopes are ignored: an empty row of counts, divided by its length, has an infinite one."""


def components(fitted: Fitted, model: Autoencoder) -> NDArray:
    """Return the loadings of a linear decoder in X's own units, shape (n_components, n_columns)."""
    return _loadings(fitted, model, "components_") * model.units.scale.numpy(force=True)


def relevances(fitted: Fitted, model: Autoencoder) -> NDArray:
    """Return the share of each component in what a linear decoder explains, shape (n_components,)."""
    loading = _loadings(fitted, model, "relevance_")
    assert fitted.code_variance is not None
    return relevance(torch.from_numpy(loading), torch.from_numpy(fitted.code_variance)).numpy()


def _loadings(fitted: Fitted, model: Autoencoder, name: str) -> NDArray:
    """Return the loadings in standardised units, shape (n_components, n_columns), for an attribute of this name."""
    loading = loadings(model)
    if loading is None:
        chosen = {key: fitted.recipe.parameters[key] for key in ("architecture", "hidden_layer_sizes")}
        raise AttributeError(
            f"{name} needs a linear decoder: architecture='linear_decoder', or hidden_layer_sizes=() with 'mlp' or "
            f"'resnet'. Got {', '.join(f'{key}={value!r}' for key, value in chosen.items())}."
        )
    return loading.numpy(force=True)


def column_names(features: Features) -> NDArray:
    """Return the names of the columns as the model sees them: with one for each level of a category, "job=clerk"."""
    prefix = "x" if features.given_names is None else ""
    return np.array([f"{prefix}{name}" for name in features.expanded_names], dtype=object)


def feature_importance(
    runner: ModelRunner, X: Any, method: str, n_repeats: int, random_state: Any
) -> tuple[NDArray, NDArray]:
    """Return how much each feature moves each component, and each task, shape (n_components or n_tasks, n_features)."""
    if not (isinstance(method, str) and method in IMPORTANCES):
        raise ValueError(f"method must be one of {list(IMPORTANCES)}. Got {short(method)} instead.")
    check_scalar(n_repeats, "n_repeats", Integral, min_val=1)
    n_components, (states, shares) = runner.fitted.recipe.n_components, _members(runner.fitted)
    question = Question.of(runner, runner.read(X), Outputs(n_components), states)
    with np.errstate(over="ignore", invalid="ignore"):
        distances = IMPORTANCES[method](question, n_repeats, check_random_state(random_state))
        importance = question.in_deviations(distances)
    for feature in np.flatnonzero(~np.isfinite(importance).all(axis=0)).tolist():
        raise ValueError(
            f"The importance of column {runner.features.names[feature]!r} is not finite: X is too far from the rows "
            "that the model was fitted to."
        )
    of_members = importance.reshape(len(states), -1, importance.shape[1])
    return of_members[0, :n_components], np.einsum("kt,ktf->tf", shares, of_members[:, n_components:])


def _members(fitted: Fitted) -> tuple[tuple[int, ...], NDArray]:
    """Return the first state and those that predict, and the share of each in the tasks, shape (n_states, n_tasks)."""
    counted, weights = fitted.counted_states()
    shares = shares_of(weights) if len(counted) else weights
    is_first = counted[:1] == 0
    if is_first.any():
        return tuple(counted.tolist()), shares
    # Codes are those of the first; it also stands in where no member counts.
    first = np.full((1, weights.shape[1]), float(len(counted) == 0))
    return (0, *counted.tolist()), np.concatenate([first, shares])


class Outputs(NamedTuple):
    """The function that computes a model's codes and predictions."""

    n_components: int
    """Components that are not a task's own."""

    def __call__(self, model: Any, x: Tensor) -> Tensor:
        """Return codes and then the outputs of the tasks, shape (n_rows, n_outputs)."""
        z = model.encode(model.fill(x))
        return torch.cat([z[:, : self.n_components], model.task_outputs(z).flatten(1)], dim=-1)


class Question(NamedTuple):
    """The request to several models: how much each feature moves each output."""

    runner: ModelRunner
    """The runner of the model."""
    function: Outputs
    """The outputs of standardised rows."""
    states: tuple[int, ...]
    """The states of the models."""
    x: Any
    """Rows, shape (n_rows, n_columns); sparse or not."""
    outputs: NDArray
    """The outputs of all models for them, one after another, shape (n_rows, n_states * n_outputs)."""
    starts: NDArray
    """First column of each component and of each task among the outputs, shape (n_states * n_targets,)."""
    groups: Sequence[Sequence[int]]
    """Positions of the columns of each feature."""

    @classmethod
    def of(cls, runner: ModelRunner, x: Any, function: Outputs, states: tuple[int, ...]) -> Self:
        """Compute the outputs of rows."""
        question = cls(runner, function, states, x, np.empty(0), np.empty(0), runner.features.groups)
        outputs = question.answer(x)
        n_outputs, n_tasks = outputs.shape[1] // len(states), len(runner.fitted.recipe.task_names)
        n_each = (n_outputs - function.n_components) // max(1, n_tasks)
        own = np.r_[np.arange(function.n_components), function.n_components + n_each * np.arange(n_tasks)]
        starts = (n_outputs * np.arange(len(states))[:, None] + own).ravel()
        return question._replace(outputs=outputs, starts=starts)

    def answer(self, x: Any) -> NDArray:
        """Return the outputs of all models for rows."""
        options = {"states": self.states, "precise": x.dtype == np.float64} if len(self.states) > 1 else {}
        outputs = self.runner.apply(self.function, x, **options)
        return outputs.reshape(len(outputs), -1).astype(np.float64)

    def lengths(self, change: NDArray) -> NDArray:
        """Return the length of each target's part of the outputs, shape (n_rows, n_targets)."""
        return np.sqrt(np.add.reduceat(np.square(change), self.starts, axis=1))

    def in_deviations(self, distances: NDArray) -> NDArray:
        """Return distances of shape (n_targets, n_features) in standard deviations of the targets' outputs."""
        squares = np.square(self.lengths(self.outputs - self.outputs.mean(axis=0)))
        deviation = np.sqrt(squares.mean(axis=0))[:, None]
        # Codes, probabilities and standardised predictions are of the order of 1: smaller variation is rounding.
        varies = deviation > 10 * np.finfo(self.x.dtype).eps
        return np.divide(distances, deviation, out=np.zeros_like(distances), where=varies)


class Shuffled:
    """Rows with some columns taken from other rows, assembled block by block.

    Parameters
    ----------
    x : ndarray or CSR array of shape (n_rows, n_columns)
        The rows.
    columns : sequence of int
        The columns.
    order : ndarray of int of shape (n_rows,)
        The row from which each row takes the cells.
    """

    def __init__(self, x: Any, columns: Sequence[int], order: NDArray) -> None:
        self.x = x
        self.columns = np.array(columns)
        self.order = order
        self.shape = x.shape
        self.dtype = x.dtype

    def __getitem__(self, rows: slice) -> NDArray:
        block = np.array(dense(self.x[rows]))
        block[:, self.columns] = dense(self.x[self.order[rows]])[:, self.columns]
        return block


def permutation(question: Question, n_repeats: int, random_state: np.random.RandomState) -> NDArray:
    """Return the mean distance by which shuffling each feature moves each target, shape (n_targets, n_features)."""
    x, outputs = question.x, question.outputs
    orders = [random_state.permutation(x.shape[0]) for _ in range(n_repeats)]

    def distance(group: Sequence[int], order: NDArray) -> NDArray:
        moved = question.answer(Shuffled(x, group, order))
        return question.lengths(moved - outputs).mean(axis=0)

    return np.stack([np.mean([distance(g, order) for order in orders], axis=0) for g in question.groups], axis=1)


def gradient(question: Question, n_repeats: int, random_state: np.random.RandomState) -> NDArray:
    """Return each target's mean slope per standard deviation of each feature, shape (n_targets, n_features)."""
    columns = describe(question.x)
    deviation = torch.from_numpy(np.where(columns.varies, columns.deviation, 0.0))
    owner = torch.from_numpy(np.repeat(np.arange(len(question.groups)), list(map(len, question.groups))))
    n_states = len(question.states)
    bounds = [*question.starts[: len(question.starts) // n_states].tolist(), question.outputs.shape[1] // n_states]

    def slopes(module: Autoencoder, x: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            x = x.clone().requires_grad_()
            outputs = question.function(module, x)
            spread = (deviation.to(module.units.scale) / module.units.scale).to(x)
            sums = []
            for start, stop in pairwise(bounds):
                squares = squared_slopes(outputs[:, start:stop], x) * spread.square()
                per_feature = x.new_zeros(len(x), len(question.groups)).index_add_(1, owner.to(x.device), squares)
                sums.append(per_feature.sqrt().sum(0))
            return torch.stack(sums)

    each = (question.runner.results(slopes, question.x, state=state) for state in question.states)
    sums = [sum(block.astype(np.float64) for _, block in results) for results in each]
    return np.concatenate(sums) / question.x.shape[0]


def squared_slopes(outputs: Tensor, x: Tensor) -> Tensor:
    """Return the squared lengths of the slopes of each row's outputs in its columns, shape (n_rows, n_columns)."""
    squares = torch.zeros_like(x)
    for output in outputs.unbind(1):
        (slope,) = torch.autograd.grad(output.sum(), x, retain_graph=True)
        squares += torch.where(slope.abs() < STEEPEST, slope, 0.0).square()
    return squares


IMPORTANCES: dict[str, Callable[[Question, int, np.random.RandomState], NDArray]] = {
    "permutation": permutation,
    "gradient": gradient,
}
