"""Averages of predicted numbers: a mixture of the members' distributions and the labels' own."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae.nn.means import at_means
from sklearn_mtae.nn.models import MultiTaskVAE
from sklearn_mtae.nn.posteriors import quasi_normal

from .baseline import Baselines, Columns, baseline_deviations, predict_baseline, task_units
from .censored import limited_tasks
from .censored_labels import shares_of_residuals
from .choice import Choice
from .data import Data
from .ensemble import has_kernel
from .fitted import Average, Baseline, Fitted
from .held_out import HeldOut
from .kernel import are_few, run_alike
from .learn_variance import learn_variance
from .member_variance import member_variance
from .plan import Plan
from .predictions import Predictions
from .run import ModelRunner
from .scores import at_ranks, counted_once, inflation_of
from .variance_function import VarianceFunction

N_DRAWS = 64
"""Quasi-random draws of the code for a standard deviation."""
LEAST_SIZE = 5
"""Number of labels that those held out must count like, by their weights."""
LEAST_DEVIATION = 1e-10
"""Minimum standard deviation of a prediction, in the task's unit: that of a count with mean 0 is 0."""


class NumberAverage:
    """Averaging and scoring of numbers, by the mean over folds of the root mean squared error.

    Roots are used, not squares, so that a fold with an outlier counts no more than the others.

    Parameters
    ----------
    data : Data
        What `fit` was called with.
    fitted : Fitted
        The result of the training.
    """

    n_parts = 5
    """Maximum number of parts of the rows whose calibration has weights of its own."""

    def __init__(self, data: Data, fitted: Fitted) -> None:
        labels = data.labels
        assert labels is not None
        self.fitted = fitted
        self.varies = labels.varies | (labels.n_observed == 1)  # one label says nothing of others
        """Whether a task has anything to predict: labels that are all the same are predicted by themselves."""
        if data.censoring is not None:
            self.varies |= data.censoring.any(axis=0)
        self.units = task_units(fitted)
        means = np.broadcast_to(labels.mean, len(self.varies))
        self.start = Average(Baseline(means, np.where(self.varies, labels.deviation, 0.0)))

    @staticmethod
    @at_means
    def output(model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return the outputs to average: the mean of each task at the posterior mean."""
        return model.predict(model.encode(model.fill(x)))

    def baselines(self, plan: Plan, held_out: HeldOut, runner: ModelRunner) -> NDArray:
        """Predict the held-out rows with the baselines, shape (n_baselines, n_rows, n_tasks).

        The first are the labels' means, which are the only ones if there is no choice.
        """
        if len(plan.members) == 1:
            return np.broadcast_to(self.start.baseline.intercepts, (1, *held_out.y.shape))
        has_kernels = has_kernel(plan.recipe) and are_few(*held_out.y.shape)
        self.known = Baselines(runner, plan, self.start.baseline, self.units, has_kernels)
        return self.known.predict(held_out)

    def misses(self, outputs: NDArray, y: NDArray, task: int) -> NDArray:
        """Return the errors of labels, shape (n_outputs, n_rows)."""
        return (outputs[:, :, task] - y) / self.units[task]

    @staticmethod
    def loss(averages: NDArray, shares: NDArray) -> NDArray:
        """Return the loss of averaged errors; the columns of `shares` are the folds' weights of rows."""
        return np.sqrt(averages**2 @ shares).mean(axis=1)

    def calibrate(
        self, held_out: HeldOut, run: Callable[..., Any], average: Average, choice: Choice, outputs: NDArray
    ) -> tuple[Average, Predictions]:
        """Fix the baselines, and learn how far labels are from predictions of models not trained on their rows.

        These predictions are returned too.
        """
        n = len(held_out.candidates)
        weights, shares = choice.weights[:n], shares_of(choice.weights[n:])
        mean = choice.for_held_out(lambda own, rows: np.einsum("kt,knt->nt", own, outputs[:, rows]))
        deviations = average.baseline.deviations
        if len(shares) > 1:
            rest = choice.for_held_out(lambda own, rows: np.einsum("kt,knt->nt", shares_of(own[n:]), outputs[n:, rows]))
            baseline, deviations = self.known.settle(shares, held_out, rest)
            average = replace(average, baseline=baseline)
        stds = held_out.collect(partial(run, Deviation(self.fitted.seed), n_draws=N_DRAWS), (weights != 0).any(axis=1))
        of_members, rest = moments(weights, outputs[:n], stds, self.units), np.einsum("kt,knt->nt", shares, outputs[n:])
        std = mix(deviations, self.units, weights, of_members, rest)[1]
        varied = member_variance(held_out, partial(run, self.output), weights)
        std = varied.widened(std)
        # As if the errors of held-out rows were as small as those of new rows will be.
        std_of_errors = std / varied.shrinkage(held_out, mean, std)
        variance, factors = self._variance(held_out, run, mean, std_of_errors)
        std_of_errors = factors * std_of_errors
        scores, inflation = scores_of(held_out, mean, std_of_errors)
        predicted = Predictions(mean, inflation * std_of_errors, None)
        return replace(average, scores=scores, inflation=inflation, variance=variance), predicted

    def _variance(
        self, held_out: HeldOut, run: Callable[..., Any], mean: NDArray, std: NDArray
    ) -> tuple[VarianceFunction | None, NDArray | float]:
        """Learn how the sizes of errors depend on the columns; return its factors for the held-out rows, too."""
        weight = held_out.weight.copy()
        weight[:, list(limited_tasks(held_out.censoring))] = 0.0
        weight[:, self.fitted.of_classes | ~self.varies] = 0.0
        columns = run(Columns(), [0], held_out.all_x(slice(None)))[:, 0]
        with np.errstate(invalid="ignore"):
            errors = (held_out.given - mean) / std
        means = in_units(self.fitted, mean)
        variance = learn_variance(columns, means, errors, weight, held_out.folds, held_out.groups)
        if variance is None:
            return None, 1.0
        return variance, variance.factors(torch.from_numpy(columns @ variance.slopes), torch.from_numpy(means)).numpy()


def warn_of_uneven_weights(weight: NDArray, names: Sequence[str], of_classes: NDArray[np.bool_]) -> None:
    """Warn of tasks of numbers whose held-out labels, with weights of shape (n_rows, n_tasks), count like few.

    Those of classes may have uneven weights by `class_weight`, which asks for it.
    """
    for task in np.flatnonzero(~of_classes).tolist():
        name, known = names[task], weight[weight[:, task] > 0, task]
        size = counted_once(known)[1]
        if size < LEAST_SIZE < len(known):
            warnings.warn(
                f"Weights are so uneven that the {len(known)} held-out labels of task {name!r} count like {size:.1f}. "
                "They choose members and calibrate deviations and intervals, which are unreliable.",
                stacklevel=2,
            )


def scores_of(held_out: HeldOut, mean: NDArray, std: NDArray) -> tuple[list[NDArray], NDArray]:
    """Return the sorted distances of each task's labels from predictions, in deviations, and the factors of these.

    The distances are those that reach labels of new rows, or of new groups: see `ranked` and `inflation_of`.
    """
    scores, inflation = [], []
    limited = limited_tasks(held_out.censoring)
    for task in range(mean.shape[1]):
        known = held_out.weight[:, task] > 0
        weight, groups = held_out.weight[known, task], None if held_out.groups is None else held_out.groups[known]
        residuals = (held_out.given[known, task] - mean[known, task]) / std[known, task]
        away, counts = np.abs(residuals), [counted_once(weight)]
        if groups is not None:
            counts.append(counted_once(weight, groups))
        if task in limited and len(away):
            codes = held_out.censoring[known, task]  # type: ignore[index]
            counts = [(shares_of_residuals(residuals, codes, share), size) for share, size in counts]
        scores.append(at_ranks(away, *counts[-1]))
        inflation.append(inflation_of(away, *counts[0]))
    return scores, np.array(inflation)


def shares_of(weights: NDArray) -> NDArray:
    """Return each task's weights, which add up to 1, shape (n_baselines, n_tasks); without any, the first is 1."""
    total = weights.sum(axis=0)
    return np.where(total > 0, weights / np.where(total > 0, total, 1.0), np.eye(len(weights))[:, :1])


def moments(weights: NDArray, means: NDArray, stds: NDArray, units: NDArray) -> NDArray:
    """Return the weighted sum of a mixture's means, and that of squares around the members' own means.

    The latter is in the units of the tasks; the shape is (2, n_rows, n_tasks).
    """
    total = np.einsum("kt,knt->nt", weights, means)
    away = (means - total / np.maximum(weights.sum(axis=0), np.finfo(float).tiny)) / units
    return np.stack([total, np.einsum("kt,knt->nt", weights, (stds / units) ** 2 + away**2)])


def mix(
    deviations: NDArray | float, units: NDArray, weights: NDArray, of_members: NDArray, rest: NDArray
) -> tuple[NDArray, NDArray]:
    """Return mean and standard deviation of a mixture, given the moments of members, and predictions of the baselines.

    `deviations` are those of labels from the latter.
    """
    (total, square), part = of_members, weights.sum(axis=0)
    mean, left = total + (1 - part) * rest, 1 - part
    own = total / np.where(part > 0, part, 1.0)
    square = square + part * ((own - mean) / units) ** 2
    square += left * ((deviations / units) ** 2 + ((rest - mean) / units) ** 2)
    return mean, units * np.sqrt(np.maximum(square, LEAST_DEVIATION**2))


def predict_average(runner: ModelRunner, x: Any, return_std: bool) -> tuple[NDArray, NDArray | None]:
    """Return means of rows, shape (n_rows, n_tasks), and deviations if requested, not yet inflated."""
    fitted, units = runner.fitted, task_units(runner.fitted)
    counted, weights = fitted.counted_states()
    run = partial(runner.apply, array=x, states=tuple(counted.tolist()), dtype=np.float64)

    def own_moments(own: NDArray) -> NDArray:
        means, stds = own.transpose(2, 1, 0, 3)
        return moments(weights, means, stds, units).swapaxes(0, 1)

    if len(counted) == 0:  # no candidate is better than the baseline
        of_members = np.zeros((1 + return_std, x.shape[0], weights.shape[1]))
    elif return_std:
        of_members = run(Spread(fitted.seed), n_draws=N_DRAWS, finish=own_moments).swapaxes(0, 1)
    else:
        of_members = run(NumberAverage.output, finish=lambda own: np.einsum("kt,nkt->nt", weights, own))[None]
    return settle_numbers(runner, x, of_members)


def settle_numbers(runner: ModelRunner, x: Any, of_members: NDArray) -> tuple[NDArray, NDArray | None]:
    """Return means and deviations, given the members' moments; without deviations, only their sum is needed."""
    weights, rest = runner.fitted.counted_states()[1], predict_baseline(runner, x)
    if len(of_members) == 1:
        return of_members[0] + (1 - weights.sum(axis=0)) * rest, None
    deviations = baseline_deviations(runner, x, rest)
    mean, std = mix(deviations, task_units(runner.fitted), weights, of_members, rest)
    variance = runner.fitted.average.variance
    if variance is not None:
        logs = run_alike(runner.apply, variance, x)
        std = std * variance.factors(torch.from_numpy(logs), torch.from_numpy(in_units(runner.fitted, mean))).numpy()
    return mean, std


def in_units(fitted: Fitted, means: NDArray) -> NDArray:
    """Return means of the tasks in their units, as distances from the labels' means."""
    return (means - fitted.states[0]["task_units.location"]) / task_units(fitted)


class Deviation(NamedTuple):
    """The function that computes a model's own standard deviation of each task."""

    seed: int

    def __call__(self, model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return the deviations, shape (n_rows, n_tasks)."""
        return model.predict_std(x, quasi_normal(model.fill(x), N_DRAWS, model.prior.n_components, self.seed))


class Spread(NamedTuple):
    """The function that computes a model's mean and standard deviation of each task."""

    seed: int

    def __call__(self, model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return both, shape (n_rows, 2, n_tasks)."""
        return torch.stack([NumberAverage.output(model, x), Deviation(self.seed)(model, x)], dim=-2)
