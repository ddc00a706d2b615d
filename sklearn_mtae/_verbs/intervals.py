"""Intervals of targets and sets of classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._fitting.averaging import reach
from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae._fitting.number_average import predict_average
from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._fitting.scores import rank_of

from .joint import class_logs, informed_parts
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
    fitted = runner.fitted
    n_deviations = reach(fitted, coverage, wanted)
    mean, std = predict_average(runner, x, return_std=True)
    assert std is not None
    ends = np.stack([mean - std * n_deviations, mean + std * n_deviations])
    if known is None:
        lower, upper = np.clip(ends, *label_range(fitted))
        return lower, upper
    for rows, task, margin, own, scores in informed_parts(runner, x, known):
        if np.isfinite(n_deviations[task]):
            ends[:, rows, task] = scores.ends(margin, own, level_for(fitted, task, coverage))
    lower, upper = np.clip(ends, *label_range(fitted))
    is_known = ~np.isnan(known) & np.isfinite(n_deviations)
    return np.where(is_known, known, lower), np.where(is_known, known, upper)


def level_for(fitted: Fitted, task: int, coverage: float) -> float:
    """Return the probability whose interval holds a fraction of the labels, with regard to how many were held out."""
    n = len(fitted.average.scores[task])
    return min((rank_of(coverage, n) or n) / n, 1 - 0.5 / n)


def predict_set(
    runner: ModelRunner,
    x: Any,
    coverage: float,
    wanted: NDArray[np.bool_] | None = None,
    known: NDArray | None = None,
) -> NDArray:
    """Predict the sets of classes that contain a fraction of the labels, shape (n_rows, n_tasks, n_classes).

    They are empty for tasks that are not `wanted`. Labels that are `known` inform those that are NaN among them: a set
    then has the most probable classes whose probabilities add up to the fraction.
    """
    fitted = runner.fitted
    logs, reaches = class_logs(runner, x), reach(fitted, coverage, wanted)
    sets = logs >= -reaches[:, None]
    if known is None:
        return sets
    for rows, task, margin, own, scores in informed_parts(runner, x, known):
        if np.isfinite(reaches[task]):
            logs = margin.given(own, scores).log_probabilities
            assert logs is not None
            sets[rows, task] = most_probable(logs, level_for(fitted, task, coverage))
    rows, tasks = np.nonzero(~np.isnan(known) & np.isfinite(reaches))
    sets[rows, tasks] = np.arange(sets.shape[-1]) == known[rows, tasks][:, None]
    return sets


def most_probable(logs: NDArray, share: float) -> NDArray[np.bool_]:
    """Return which are the most probable classes that have a share of the probability together.

    The last one is in for as many of the rows as its probability is needed, so that the share is right on average
    (Romano et al. 2020, arXiv 2006.02544): the digits of the probabilities draw lots. One class is always in.
    """
    order = np.argsort(-logs, axis=1, kind="stable")
    probabilities = np.take_along_axis(np.exp(logs), order, axis=1)
    lots = (1e6 * np.abs(logs.max(axis=1, keepdims=True))) % 1
    is_needed = probabilities.cumsum(axis=1) - probabilities * (1 - lots) < share
    is_needed[:, 0] = True
    inside = np.zeros(logs.shape, dtype=bool)
    np.put_along_axis(inside, order, is_needed, axis=1)
    return inside & (logs > -np.inf)
