"""The ranges of targets, and checks of labels against them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._fitting.build import task_limits
from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae._tables.limits import find_range


def label_range(fitted: Fitted) -> tuple[NDArray, NDArray]:
    """Return the smallest and the largest label that is possible for each task."""
    limits = [own for _, own in task_limits(fitted)]
    return np.min([own.low for own in limits], axis=0), np.max([own.high for own in limits], axis=0)


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
