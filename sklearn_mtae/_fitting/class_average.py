"""Averages of class probabilities: of the members and the base rates, and as sharp as is right for other rows."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp
from torch import Tensor

from sklearn_mtae.nn.means import at_means
from sklearn_mtae.nn.models import MultiTaskVAE

from .data import Data
from .fitted import Average, Fitted
from .held_out import HeldOut
from .run import ModelRunner

LEAST_PROBABILITY = 1e-300
"""Probability at least whose logarithm is taken."""
LARGEST_SHARPNESS = 4.0
"""How many times further apart, or closer to each other, calibration moves log-probabilities at most."""
PRIOR_ROWS = 10.0
"""Rows that speak for leaving the probabilities as they are, against those that were held out."""


class ClassAverage:
    """How class probabilities are averaged and judged: by the log loss.

    Parameters
    ----------
    data : Data
        What `fit` was called with.
    fitted : Fitted
        What the training has come to.
    """

    def __init__(self, data: Data, fitted: Fitted) -> None:
        tasks = fitted.recipe.tasks
        assert tasks is not None
        assert tasks.classes is not None
        assert data.y is not None
        self.varies = np.ones(len(tasks.classes), dtype=bool)
        """Whether there is anything to choose for a task."""
        weight = 1.0 if data.weight is None else data.weight[:, None]
        weight = weight * (np.ones(data.y.shape) if data.label_weight is None else data.label_weight)
        n_classes = [len(classes) for classes in tasks.classes]
        self.start = Average(base_rates=list(map(base_rates, data.y.T, weight.T, n_classes)))

    @staticmethod
    @at_means
    def output(model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return what is averaged: the class probabilities of each task at the posterior mean."""
        return _log_probabilities(model, x).exp()

    def misses(self, outputs: NDArray, y: NDArray, task: int) -> NDArray:
        """Return the probability of the labels, the base rates' last, shape (n_candidates + 1, n_rows)."""
        codes = y.astype(int)
        of_candidates = outputs[:, np.arange(len(codes)), task, codes]
        return np.concatenate([of_candidates, self.start.base_rates[task][codes][None]])

    @staticmethod
    def loss(averages: NDArray, shares: NDArray) -> NDArray:
        """Return the loss of averages of probabilities; the columns of `shares` are the folds' weights of rows."""
        return -(np.log(np.maximum(averages, LEAST_PROBABILITY)) @ shares).mean(axis=1)

    def calibrate(
        self, held_out: HeldOut, run: Callable[..., Any], average: Average, weights: NDArray, outputs: NDArray
    ) -> Average:
        """Learn how sharp probabilities should be for rows that the members were not trained on."""
        sharpness, scores = np.ones(len(self.varies)), []
        mixed = np.einsum("kt,kntc->ntc", weights, outputs)
        for task, rates in enumerate(average.base_rates):
            weight = held_out.weight[:, task]
            counted, codes = weight > 0, held_out.y[weight > 0, task].astype(int)
            probabilities = mixed[counted, task, : len(rates)] + (1 - weights[:, task].sum()) * rates
            logs = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
            sharpness[task] = best_sharpness(logs, codes, weight[counted])
            logs = log_softmax(sharpness[task] * logs, axis=1)
            scores.append(np.sort(-logs[np.arange(len(codes)), codes]))
        return replace(average, sharpness=sharpness, scores=scores)


def base_rates(y: NDArray, weight: NDArray, n_classes: int) -> NDArray:
    """Return the shares of classes among the labels and one more, which is a bit of each class."""
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

    def mixed(logs: NDArray) -> NDArray:
        with np.errstate(divide="ignore"):
            parts = logs.swapaxes(0, 1) + np.log(weights)[:, None, :, None]
            if average.base_rates:
                left = np.log(1 - weights.sum(axis=0).clip(0, 1))[:, None] + np.log(_padded(average.base_rates))
                parts = np.concatenate([parts, np.broadcast_to(left, (1, *parts.shape[1:]))])
        return logsumexp(parts, axis=0)

    # Minus infinity is that of classes that other tasks have.
    run = partial(runner.apply, _log_probabilities, x, open_below=True)
    if average.weights is None and len(counted) == 1:
        mean = run(state=counted[0])
    elif len(counted) == 0:
        mean = mixed(np.zeros((x.shape[0], 0, len(average.base_rates), _padded(average.base_rates).shape[1])))
    else:
        mean = run(states=tuple(counted.tolist()), finish=mixed)
    if average.sharpness is None:
        return mean
    return log_softmax(average.sharpness[:, None] * mean, axis=-1).astype(x.dtype, copy=False)


@at_means
def _log_probabilities(model: MultiTaskVAE, x: Tensor) -> Tensor:
    return model.predict_log_proba(model.encode(model.fill(x)))


def _padded(rates: Sequence[NDArray]) -> NDArray:
    """Return the base rates as one array, with zeros for classes that other tasks have."""
    rows = np.zeros((len(rates), max(map(len, rates))))
    for row, own in zip(rows, rates, strict=True):
        row[: len(own)] = own
    return rows
