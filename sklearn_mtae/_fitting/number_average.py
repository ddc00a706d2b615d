"""Averages of predicted numbers: a mixture of the members' distributions and the labels' own."""

from collections.abc import Callable
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

from .data import Data
from .fitted import Average, Fitted
from .held_out import HeldOut
from .run import ModelRunner

N_DRAWS = 64
"""Quasi-random draws of the code for a standard deviation."""
LEAST_DEVIATION = 1e-10
"""Standard deviation of a prediction at least, in the task's unit: that of a count of which none is expected is 0."""


class NumberAverage:
    """How numbers are averaged and judged: by the mean over folds of the root mean squared error.

    Roots, not squares: a fold with an outlier then counts no more than the others.

    Parameters
    ----------
    data : Data
        What `fit` was called with.
    fitted : Fitted
        What the training has come to.
    """

    def __init__(self, data: Data, fitted: Fitted) -> None:
        labels = data.labels
        assert labels is not None
        self.fitted = fitted
        self.varies = (labels.max > labels.min) | (labels.n_observed == 1)  # one label says nothing of others
        """Whether a task has anything to predict: labels that are all the same are predicted by what they are."""
        self.start = Average(labels.mean, np.where(self.varies, labels.deviation, 0.0))

    @staticmethod
    @at_means
    def output(model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return what is averaged: the mean of each task at the posterior mean."""
        return model.predict(model.encode(model.fill(x)))

    def misses(self, outputs: NDArray, y: NDArray, task: int) -> NDArray:
        """Return by how much candidates miss labels, the labels' mean last, shape (n_candidates + 1, n_rows)."""
        constant = np.full((1, len(y)), np.broadcast_to(self.start.label_means, len(self.varies))[task])
        return (np.concatenate([outputs[:, :, task], constant]) - y) / task_units(self.fitted)[task]

    @staticmethod
    def loss(averages: NDArray, shares: NDArray) -> NDArray:
        """Return the loss of averages of misses; the columns of `shares` are the folds' weights of rows."""
        return np.sqrt(averages**2 @ shares).mean(axis=1)

    def calibrate(
        self, held_out: HeldOut, run: Callable[..., Any], average: Average, weights: NDArray, means: NDArray
    ) -> Average:
        """Learn how far labels are from predictions of models that were not trained on their rows."""
        stds = held_out.collect(partial(run, Deviation(self.fitted.seed), n_draws=N_DRAWS), (weights != 0).any(axis=1))
        mean, std = mix(average, task_units(self.fitted), weights, means, stds)
        away, counted = np.abs(held_out.y - mean), held_out.weight > 0
        scores = [np.sort(own[is_counted]) for own, is_counted in zip((away / std).T, counted.T, strict=True)]
        inflation = np.array([np.sqrt(np.mean(own**2)) if len(own) > 1 else 1.0 for own in scores])
        return replace(average, scores=scores, inflation=inflation)


def task_units(fitted: Fitted) -> NDArray:
    """Return the units of the tasks, shape (n_tasks,): the squares of small numbers would underflow in others."""
    return fitted.states[0]["task_units.scale"]


def mean_of(average: Average, weights: NDArray, means: NDArray) -> NDArray:
    """Return the mean of a mixture, what is left of the weights being the labels' mean's."""
    return np.einsum("kt,knt->nt", weights, means) + (1 - weights.sum(axis=0)) * average.label_means


def mix(average: Average, units: NDArray, weights: NDArray, means: NDArray, stds: NDArray) -> tuple[NDArray, NDArray]:
    """Return mean and standard deviation of a mixture, what is left of the weights being the labels' own."""
    mean, left = mean_of(average, weights, means), 1 - weights.sum(axis=0)
    stds, away, label_away = stds / units, (means - mean) / units, (average.label_means - mean) / units
    square = np.einsum("kt,knt->nt", weights, stds**2 + away**2)
    square += left * ((average.label_deviations / units) ** 2 + label_away**2)
    return mean, units * np.sqrt(np.maximum(square, LEAST_DEVIATION**2))


def predict_average(runner: ModelRunner, x: Any, return_std: bool) -> tuple[NDArray, NDArray | None]:
    """Return means of rows, shape (n_rows, n_tasks), and where asked for deviations, not inflated yet."""
    fitted, average = runner.fitted, runner.fitted.average
    counted, weights = fitted.counted_states()
    if len(counted) == 0:  # no candidate is better than the labels' mean
        none = np.zeros((0, x.shape[0], weights.shape[1]))
        mean, std = mix(average, task_units(fitted), weights, none, none)
        return mean, std if return_std else None
    run = partial(runner.apply, array=x, states=tuple(counted.tolist()), dtype=np.float64)
    if not return_std:
        return run(NumberAverage.output, finish=lambda own: mean_of(average, weights, own.swapaxes(0, 1))), None

    def mixed(own: NDArray) -> NDArray:
        means, stds = own.transpose(2, 1, 0, 3)
        return np.stack(mix(average, task_units(fitted), weights, means, stds), axis=1)

    both = run(Spread(fitted.seed), n_draws=N_DRAWS, finish=mixed)
    return both[:, 0], both[:, 1]


class Deviation(NamedTuple):
    """The function that computes a model's own standard deviation of each task."""

    seed: int

    def __call__(self, model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return it, shape (n_rows, n_tasks)."""
        return model.predict_std(x, quasi_normal(model.fill(x), N_DRAWS, model.prior.n_components, self.seed))


class Spread(NamedTuple):
    """The function that computes a model's mean and standard deviation of each task."""

    seed: int

    def __call__(self, model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return both, shape (n_rows, 2, n_tasks)."""
        return torch.stack([NumberAverage.output(model, x), Deviation(self.seed)(model, x)], dim=-2)
