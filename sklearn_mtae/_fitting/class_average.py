"""Averages of class probabilities, of members, regressions and the base rates, calibrated on held-out rows."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp
from torch import Tensor

from sklearn_mtae._tables.row_index import Chosen
from sklearn_mtae.nn.means import at_means
from sklearn_mtae.nn.models import MultiTaskVAE

from .choice import Choice
from .data import Data
from .ensemble import has_kernel
from .fitted import Average, Fitted
from .held_out import HeldOut
from .kernel import (
    N_KERNELS,
    ClassKernelLearner,
    are_few,
    choose_rows,
    kernel_inputs,
    run_alike,
    run_kernel,
    run_trials,
)
from .logistic import PENALTIES, RegressionLearner, are_quick
from .plan import Plan
from .predictions import Predictions, only_classes
from .run import ModelRunner
from .scores import ranked

LEAST_PROBABILITY = 1e-300
"""Minimum probability whose logarithm is taken."""
LARGEST_SHARPNESS = 4.0
"""Maximum factor by which calibration spreads or shrinks log-probabilities."""
PRIOR_ROWS = 10.0
"""Number of virtual rows in favour of unchanged probabilities, against the held-out rows."""


class ClassAverage:
    """Averaging and scoring of class probabilities, by the log loss.

    The chosen weights calibrate too. They look better on the held-out rows than they are, and the few members that held
    a row out are worse than all of them: for classes, the two nearly cancel.

    Parameters
    ----------
    data : Data
        What `fit` was called with.
    fitted : Fitted
        The result of the training.
    """

    n_parts = 1
    """Number of parts of the rows whose calibration has weights of its own."""

    def __init__(self, data: Data, fitted: Fitted) -> None:
        tasks = fitted.recipe.tasks
        assert tasks is not None
        assert tasks.classes is not None
        assert data.y is not None
        self.varies = np.ones(len(tasks.classes), dtype=bool)
        """Whether there is anything to choose for a task."""
        self.y, self.weight = data.y, data.label_weights()
        self.n_classes = [len(classes) for classes in tasks.classes]
        self.start = Average(base_rates=list(map(base_rates, data.y.T, self.weight.T, self.n_classes)))
        self.of_all: dict[str, tuple[int, Callable[[], Any]]] = {}
        """Number of regressions of each kind, and what fits them to all rows that they learn from."""

    @staticmethod
    @at_means
    def output(model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return the outputs to average: the class probabilities of each task at the posterior mean."""
        return log_probabilities(model, x).exp()

    def baselines(self, plan: Plan, held_out: HeldOut, runner: ModelRunner) -> NDArray:
        """Predict the held-out rows with the baselines, shape (n_baselines, n_rows, ...).

        These are the base rates, logistic regressions and, beside the default members, kernels.
        """
        rates = padded(self.start.base_rates)
        of_rates = np.broadcast_to(rates, (1, len(held_out.y), *rates.shape))
        if len(plan.members) == 1:
            return of_rates
        run = partial(runner.apply, dtype=np.float64, precise=True, cached=False)
        rows = np.asarray(plan.data.taking_part)
        rows = choose_rows(rows, self.weight[rows])
        weight, is_label = self.weight[rows], self.y[rows][:, :, None] == np.arange(rates.shape[1])
        known = run(kernel_inputs, Chosen(plan.data.x, rows)), is_label.astype(float), weight
        learners: dict[str, tuple[Any, int, Callable[..., NDArray]]] = {}
        if are_quick(known[0].size, rates.size):
            learners["lines"] = RegressionLearner(*known), len(PENALTIES), partial(run, alike=True)
        if has_kernel(plan.recipe) and are_few(len(held_out.y), rates.size):
            learners["kernel"] = ClassKernelLearner(*known), N_KERNELS, partial(run_trials, run)
        found = [of_rates]
        for name, (learner, n, run_each) in learners.items():
            fit = partial(self._fit, learner, rows)
            self.of_all[name] = n, partial(fit, np.ones(len(rows), dtype=bool))
            outputs = held_out.by_others(rows, plan.splits, fit, run_each, (*rates.shape, n))
            found.append(np.moveaxis(outputs, -1, 0))
        return np.concatenate(found)

    def _fit(self, learner: Any, rows: NDArray, chosen: NDArray[np.bool_]) -> Any:
        """Return the regressions of the chosen ones of the rows."""
        y, weight = self.y[rows[chosen]], self.weight[rows[chosen]]
        return learner.fit(chosen, padded(list(map(base_rates, y.T, weight.T, self.n_classes))))

    def misses(self, outputs: NDArray, y: NDArray, task: int) -> NDArray:
        """Return the probability of the labels, shape (n_outputs, n_rows)."""
        codes = y.astype(int)
        return outputs[:, np.arange(len(codes)), task, codes]

    @staticmethod
    def loss(averages: NDArray, shares: NDArray) -> NDArray:
        """Return the loss of averages of probabilities; the columns of `shares` are the folds' weights of rows."""
        return -(np.log(np.maximum(averages, LEAST_PROBABILITY)) @ shares).mean(axis=1)

    def calibrate(
        self, held_out: HeldOut, run: Callable[..., Any], average: Average, choice: Choice, outputs: NDArray
    ) -> tuple[Average, Predictions]:
        """Learn the sharpness of probabilities from rows that the members were not trained on.

        The predictions for these rows are returned too.
        """
        sharpness, scores = np.ones(len(self.varies)), []
        mixed = np.einsum("kt,kntc->ntc", choice.weights, outputs)
        every = np.full(mixed.shape, -np.inf)
        for task, rates in enumerate(average.base_rates):
            weight = held_out.weight[:, task]
            counted, codes = weight > 0, held_out.y[weight > 0, task].astype(int)
            logs = np.log(np.maximum(mixed[counted, task, : len(rates)], LEAST_PROBABILITY))
            sharpness[task] = best_sharpness(logs, codes, weight[counted])
            logs = log_softmax(sharpness[task] * logs, axis=1)
            own = -logs[np.arange(len(codes)), codes]
            groups = None if held_out.groups is None else held_out.groups[counted]
            scores.append(ranked(own, weight[counted], groups))
            every[counted, task, : len(rates)] = logs
        average = replace(average, sharpness=sharpness, scores=scores)
        rest = choice.weights[len(held_out.candidates) + 1 :]
        for name, (n, fit) in self.of_all.items():
            own, rest = np.split(rest, [n])
            if own.any():
                average = replace(average, **{name: fit().mixed(own)})
        return average, only_classes(every)


def base_rates(y: NDArray, weight: NDArray, n_classes: int) -> NDArray:
    """Return the shares of classes among the labels and one more label, split over all classes."""
    labelled = ~np.isnan(y) & (weight > 0)
    counts = np.bincount(y[labelled].astype(int), weight[labelled], minlength=n_classes)
    return (counts + 1 / n_classes) / (counts.sum() + 1)


def best_sharpness(logs: NDArray, codes: NDArray, weight: NDArray) -> float:
    """Return the factor of log-probabilities that makes labels most probable (Guo et al. 2017, arXiv 1706.04599)."""
    if len(codes) == 0 or logs.shape[1] == 1:
        return 1.0
    weight = weight / weight.mean()

    def loss(step: float) -> float:
        own = log_softmax(np.exp(step) * logs, axis=1)[np.arange(len(codes)), codes]
        return -(weight @ own) + PRIOR_ROWS * step**2

    bound = np.log(LARGEST_SHARPNESS)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


def average_log_probabilities(runner: ModelRunner, x: Any) -> NDArray:
    """Return the logs of the averaged probabilities, shape (n_rows, n_tasks, most classes of a task)."""
    average = runner.fitted.average
    counted, weights = runner.fitted.counted_states()

    def of_members(logs: NDArray) -> NDArray:
        with np.errstate(divide="ignore"):
            return logsumexp(logs.swapaxes(0, 1) + np.log(weights)[:, None, :, None], axis=0)

    # Classes of other tasks have minus infinity.
    run = partial(runner.apply, log_probabilities, x, open_below=True)
    if average.weights is None and len(counted) == 1:
        logs = run(state=counted[0])
    elif len(counted) == 0:
        logs = np.full((x.shape[0], *padded(average.base_rates).shape), -np.inf)
    else:
        logs = run(states=tuple(counted.tolist()), finish=of_members)
    return settle_probabilities(runner, x, logs)


def settle_probabilities(runner: ModelRunner, x: Any, logs: NDArray) -> NDArray:
    """Return logs of probabilities, given those of the members' share: the baselines' share is added."""
    average, left = runner.fitted.average, 1 - runner.fitted.counted_states()[1].sum(axis=0)
    with np.errstate(divide="ignore"):
        for own, run in ((average.lines, run_alike), (average.kernel, run_kernel)):
            if own is not None:
                left = left - own.weights.sum(axis=0)
                logs = np.logaddexp(logs, np.log(run(runner.apply, own, x)))
        if average.base_rates and average.weights is not None:
            logs = np.logaddexp(logs, np.log(left.clip(0, 1))[:, None] + np.log(padded(average.base_rates)))
    if average.sharpness is None:
        return logs
    return log_softmax(average.sharpness[:, None] * logs, axis=-1).astype(x.dtype, copy=False)


@at_means
def log_probabilities(model: MultiTaskVAE, x: Tensor) -> Tensor:
    """Return the logs of the class probabilities of each task at the posterior mean."""
    return model.predict_log_proba(model.encode(model.fill(x)))


def padded(rates: Sequence[NDArray]) -> NDArray:
    """Return the base rates as one array, with zeros for classes of other tasks."""
    rows = np.zeros((len(rates), max(map(len, rates))))
    for row, own in zip(rows, rates, strict=True):
        row[: len(own)] = own
    return rows
