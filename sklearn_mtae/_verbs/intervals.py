"""Intervals of targets, sets of classes, and the ranges of targets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._fitting.averaging import reach
from sklearn_mtae._fitting.build import task_limits
from sklearn_mtae._fitting.class_average import average_log_probabilities
from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae._fitting.number_average import predict_average
from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.limits import find_range


def predict_interval(
    runner: ModelRunner, x: Any, coverage: float, wanted: NDArray[np.bool_] | None = None
) -> tuple[NDArray, NDArray]:
    """Predict the ends of the intervals that contain a fraction of the labels, each of shape (n_rows, n_tasks).

    They are NaN for tasks that are not `wanted`.
    """
    n_deviations = reach(runner.fitted, coverage, wanted)
    mean, std = predict_average(runner, x, return_std=True)
    assert std is not None
    limits = [own for _, own in task_limits(runner.fitted)]
    low, high = np.min([own.low for own in limits], axis=0), np.max([own.high for own in limits], axis=0)
    lower, upper = np.clip([mean - std * n_deviations, mean + std * n_deviations], low, high)
    return lower, upper


def predict_set(runner: ModelRunner, x: Any, coverage: float, wanted: NDArray[np.bool_] | None = None) -> NDArray:
    """Predict the sets of classes that contain a fraction of the labels, shape (n_rows, n_tasks, n_classes).

    They are empty for tasks that are not `wanted`.
    """
    return average_log_probabilities(runner, x) >= -reach(runner.fitted, coverage, wanted)[:, None]


def check_labels(fitted: Fitted, targets: NDArray, sample_weight: Any) -> None:
    """Raise an error if a label that counts is outside the support of its task's likelihood."""
    names = fitted.recipe.task_names
    if targets.shape[1] != len(names):
        return  # the score says what is wrong
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if weight is not None and weight.shape in (targets.shape, targets.shape[:1]):
        counted = (weight if weight.ndim == 2 else weight[:, None]) != 0
        targets = np.where(counted, targets, np.nan)
    for option, limits in task_limits(fitted):
        limits.check(targets, find_range(targets), "y", names, "task_likelihoods", option)
