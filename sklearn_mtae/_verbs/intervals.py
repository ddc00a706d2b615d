"""Intervals of targets and sets of classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._fitting.averaging import reach
from sklearn_mtae._fitting.run import ModelRunner

from .joint import class_logs, predictions
from .labels import label_range


def predict_interval(
    runner: ModelRunner,
    x: Any,
    coverage: float,
    wanted: NDArray[np.bool_] | None = None,
    known: NDArray | None = None,
) -> tuple[NDArray, NDArray]:
    """Predict the ends of the intervals that contain a fraction of the labels, each of shape (n_rows, n_tasks).

    They are NaN for tasks that are not `wanted`. Labels that are `known` inform those that are NaN among them.
    """
    n_deviations = reach(runner.fitted, coverage, wanted)
    mean, std, _ = predictions(runner, x, known=known)
    assert std is not None
    lower, upper = np.clip([mean - std * n_deviations, mean + std * n_deviations], *label_range(runner.fitted))
    return lower, upper


def predict_set(
    runner: ModelRunner,
    x: Any,
    coverage: float,
    wanted: NDArray[np.bool_] | None = None,
    known: NDArray | None = None,
) -> NDArray:
    """Predict the sets of classes that contain a fraction of the labels, shape (n_rows, n_tasks, n_classes).

    They are empty for tasks that are not `wanted`. Labels that are `known` inform those that are NaN among them.
    """
    return class_logs(runner, x, known) >= -reach(runner.fitted, coverage, wanted)[:, None]
