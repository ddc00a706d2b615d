"""Scores of predictions where some labels are known only as limits."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_mtae._fitting.censored import expect, limited_tasks, log_likelihood
from sklearn_mtae._tables.censoring import read_censoring
from sklearn_mtae._tables.targets import task_names


def check_no_limits(censoring: Any, y: Any) -> None:
    """Raise an error if a label of classes is a limit."""
    for task in limited_tasks(read_censoring(censoring, y)):
        raise ValueError(f"censoring must be '' for tasks of classes. Got limits for task {task_names(y)[task]!r}.")


def with_limits(
    scores: NDArray, targets: NDArray, predicted: NDArray, codes: NDArray, sample_weight: Any = None
) -> float:
    """Return the mean of the tasks' scores, those of tasks with limits being R2 by the likelihood.

    Parameters
    ----------
    scores : ndarray of shape (n_tasks,)
        Scores of all tasks; those of tasks with limits are not used.
    targets, predicted, codes : ndarray of shape (n_rows, n_tasks)
        Labels, NaN where missing, predictions, and which labels are limits.
    sample_weight : array-like of shape (n_rows,) or (n_rows, n_tasks), or None
        Weights of rows or of labels.
    """
    weight = np.ones(targets.shape) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    weight = np.broadcast_to(weight[:, None] if weight.ndim == 1 else weight, targets.shape)
    scores = scores.copy()
    for task in limited_tasks(codes):
        own = ~np.isnan(targets[:, task]) & (weight[:, task] > 0)
        if len(np.unique(targets[own & (codes[:, task] == 0), task])) < 2:
            scores[task] = np.nan
            words = "R2 needs two different labels beside limits. The mean leaves out the task at position"
            warnings.warn(f"{words} {task}.", UndefinedMetricWarning, stacklevel=3)
            continue
        scores[task] = explained(*(part[own, task] for part in (targets, codes, predicted, weight)))
    return float("nan") if np.isnan(scores).all() else float(np.nanmean(scores))


def explained(y: NDArray, codes: NDArray, predicted: NDArray, weight: NDArray) -> float:
    """Return R2, as the likelihood of normal distributions gives it where some labels are limits.

    `R2 = 1 - exp(-2 / n (log L(predictions) - log L(constant)))`, each with the deviation that is most likely, and the
    constant too (Cox and Snell 1989; Magee 1990, doi 10.2307/2685317). Without limits this is the usual R2.

    Parameters
    ----------
    y, codes, predicted, weight : ndarray of shape (n_labels,)
        Labels, which of them are limits, predictions and weights.
    """
    share = weight / weight.sum()
    _, _, deviation = expect(y, codes, weight, lambda _: predicted[None])
    _, constant, spread = expect(y, codes, weight, lambda values: np.repeat((values @ share)[:, None], len(y), axis=1))
    gain = log_likelihood(y, codes, predicted, deviation[0]) - log_likelihood(y, codes, constant[0], spread[0])
    return float(1 - np.exp(-2 * share @ gain))
