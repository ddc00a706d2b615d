"""How the sizes of held-out errors depend on the columns and on what is predicted."""

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._tables.row_index import evenly

from .baseline import PENALTIES, ridge
from .scores import counted_once
from .variance_function import VarianceFunction

LEAST_SQUARE = 1e-3
"""What is added to squared errors, relative to their mean, before their logs are taken: some errors are nearly zero."""
LEAST_ROWS, MOST_ROWS = 50, 5_000
"""Minimum number of labels of a task that those to learn from count like, by their weights and groups, and maximum
number of labels; more are evenly spaced."""
MOST_LOG = 50.0
"""Maximum of the log of a factor while slopes are compared: a few rows may give very large ones."""
SURE = 3.0
"""Standard errors by which a variance function must be better than none. Two are surpassed in tables without any."""
LEAST_GAIN = 1e-3
"""Nats per label by which it must be better."""


def learn_variance(
    columns: NDArray, means: NDArray, errors: NDArray, weight: NDArray, folds: NDArray, groups: NDArray | None = None
) -> VarianceFunction | None:
    """Learn the variance function of each task from its errors; None if no task's errors depend on anything.

    The logs of squared errors are regressed on columns and means (Harvey 1976, doi 10.2307/1913974), with the penalty
    that predicts the sizes of errors of left-out folds best.

    Parameters
    ----------
    columns : ndarray of shape (n_rows, n_columns)
        Columns as networks see them.
    means : ndarray of shape (n_rows, n_tasks)
        What is predicted, in the units of the tasks.
    errors : ndarray of shape (n_rows, n_tasks)
        Errors, in the deviations that are stated.
    weight : ndarray of shape (n_rows, n_tasks)
        Weights of the labels; zero where a task has none, or is not to be learned.
    folds : ndarray of shape (n_rows,)
        Fold of each row.
    groups : ndarray of int of shape (n_rows,) or None
        Group of each row; None if each is its own.
    """
    n_tasks, groups = means.shape[1], np.arange(len(folds)) if groups is None else groups
    slopes, low, high = np.zeros((columns.shape[1] + 1, n_tasks)), np.zeros(n_tasks), np.zeros(n_tasks)
    for task in range(n_tasks):
        own = evenly(np.flatnonzero(weight[:, task] > 0), MOST_ROWS)
        if len(own) and counted_once(weight[own, task], groups[own])[1] >= LEAST_ROWS:
            inputs = np.column_stack([columns[own], means[own, task]])
            found = _learn(inputs, errors[own, task], weight[own, task], folds[own], groups[own])
            logs = inputs @ found
            slopes[:, task], low[task], high[task] = found, logs.min(), logs.max()
    return VarianceFunction(slopes[:-1], slopes[-1], low, high) if slopes.any() else None


def _learn(inputs: NDArray, errors: NDArray, weight: NDArray, folds: NDArray, groups: NDArray) -> NDArray:
    """Return the slopes of a task, all zero where they are not surely better than none."""
    squares = errors**2 + max(LEAST_SQUARE * np.average(errors**2, weights=weight), np.finfo(float).tiny)
    logs, losses = np.log(squares), np.zeros((1 + len(PENALTIES), len(errors)))
    for fold in np.unique(folds):
        out = folds == fold
        if out.all():
            return np.zeros(inputs.shape[1])
        known = ~out
        slopes = np.vstack([np.zeros(inputs.shape[1]), _slopes(inputs[known], logs[known], weight[known])])
        sizes = np.exp(np.clip(inputs @ slopes.T / 2, -MOST_LOG, MOST_LOG))
        away = np.sqrt(squares)[:, None] / sizes
        usual = np.average(away[known], axis=0, weights=weight[known])
        # Minus the log-density of a Laplace distribution, in which outliers count less than in a normal one.
        losses[:, out] = (np.log(sizes * usual) + away / usual)[out].T
    best = int((losses @ weight).argmin())
    gains = losses[0] - losses[best]
    gain = np.average(gains, weights=weight)
    error = np.sqrt(np.square(np.bincount(groups, weight * (gains - gain))).sum()) / weight.sum()
    if gain < max(SURE * error, LEAST_GAIN):
        return np.zeros(inputs.shape[1])
    return _slopes(inputs, logs, weight)[best - 1]


def _slopes(inputs: NDArray, logs: NDArray, weight: NDArray) -> NDArray:
    """Return the slopes with each penalty, shape (n_penalties, n_inputs)."""
    return ridge(inputs, logs[:, None], weight[:, None])[0][..., 0]
