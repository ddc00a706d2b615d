"""Kernel ridge regression, and what columns it finds relevant."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._tables.row_index import evenly

LEAST_SPREAD = 1e-10
"""Minimum total variance of rows, as a part of their mean squared norm: distances are rounding errors below it."""
NEAREST = 1e-12
"""What is added to scaled squared distances under a root, whose slope at zero would make rounding errors large."""
N_ROUNDS = 3
"""Number of times that relevances are learned, each time from a regression with the last ones."""
LEARNING_LOCALITY, LEARNING_RIDGE = 0.5, 0.1
"""Locality and penalty of these regressions."""
MOST_SLOPES = 300
"""Maximum number of rows at which slopes are computed."""
LEAST_RELEVANCE = 1e-6
"""Least relevance of a column, as a part of the largest."""


class Shape(NamedTuple):
    """How closeness falls with distance: `exp(-(locality * squared distance)^power)`."""

    by_relevance: bool
    """Whether columns count by their relevance, or all alike."""
    power: float
    """1 for a normal curve, 0.5 for one with a tip, whose sums need not be smooth."""
    locality: float
    """How fast closeness falls; the unit of squared distances is the total variance of the rows."""


def squared_distances(rows: Tensor, centres: Tensor) -> Tensor:
    """Return the squared distance of each row from each centre."""
    squares = rows.square().sum(-1, keepdim=True) + centres.square().sum(-1)
    return torch.addmm(squares, rows, centres.T, alpha=-2.0).clamp_(min=0.0)


def closeness(distances: Tensor, locality: float, power: float = 1.0) -> Tensor:
    """Return the closeness of rows at squared distances: 1 if equal, 0 if far away."""
    if power == 1:
        return (distances * -locality).exp_()
    return (distances * locality).add_(NEAREST).sqrt_().neg_().exp_()


def unit_scale(rows: NDArray) -> float:
    """Return the factor that gives rows a total variance of 1; 0 where all are the same but for rounding."""
    variance = rows.var(axis=0).sum()
    return float(variance**-0.5) if variance > LEAST_SPREAD * np.square(rows).sum(axis=1).mean() else 0.0


def relevant_scales(rows: NDArray, y: NDArray, weight: NDArray) -> NDArray:
    """Return factors of the columns, by how much what is predicted changes with each.

    The relevance of a column is the mean square of the slopes of a kernel ridge regression along it, summed over what
    is predicted. A few rounds, each with the last relevances as weights of the columns in squared distances, leave
    little of columns without a say (Radhakrishnan et al. 2024, doi 10.1126/science.adi5639, with a diagonal matrix).

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns)
        Rows as networks see them.
    y : ndarray of shape (n_rows, n_tasks, n_outputs)
        Values to predict, in units of the tasks.
    weight : ndarray of shape (n_rows, n_tasks)
        Weights of the labels; zero where there is none.
    """
    scales = np.full(rows.shape[1], unit_scale(rows))
    for _ in range(N_ROUNDS):
        squares = scales**2 * _squared_slopes(rows * scales, y, weight)
        scales = np.sqrt(squares / max(squares.max(), np.finfo(float).tiny) + LEAST_RELEVANCE)
        scales *= unit_scale(rows * scales)
    return scales


def _squared_slopes(rows: NDArray, y: NDArray, weight: NDArray) -> NDArray:
    """Return the mean squares of the slopes along each column, summed over what is predicted."""
    points = torch.from_numpy(rows)
    near = closeness(squared_distances(points, points), LEARNING_LOCALITY)
    coefficients = torch.from_numpy(regress(near.numpy(), y, weight, LEARNING_RIDGE)).flatten(1)
    at = evenly(np.arange(len(rows)), MOST_SLOPES)
    shares = torch.from_numpy(weight[at] / np.maximum(weight[at].sum(axis=0), np.finfo(float).tiny))
    near, squares = near[at], torch.zeros(rows.shape[1], dtype=torch.float64)
    for own, share in zip(coefficients.T, shares.T.repeat_interleave(y.shape[2], dim=0), strict=True):
        slopes = points[at] * (near @ own)[:, None] - near @ (own[:, None] * points)
        squares += share @ slopes.square_()
    return squares.numpy()


def regress(near: NDArray, y: NDArray, weight: NDArray, ridge: float) -> NDArray:
    """Return the coefficients of kernel ridge regressions, shape (n_centres, n_tasks, n_outputs).

    Parameters
    ----------
    near : ndarray of shape (n_centres, n_centres)
        Closeness of the rows.
    y : ndarray of shape (n_centres, n_tasks, n_outputs)
        Values to predict.
    weight : ndarray of shape (n_centres, n_tasks)
        Weights of the labels; zero where there is none.
    ridge : float
        Penalty of the squared norm.
    """
    coefficients = np.zeros(y.shape)
    patterns, of_task = np.unique(weight, axis=1, return_inverse=True)
    for k, own in enumerate(patterns.T):
        counted, tasks = np.flatnonzero(own), np.flatnonzero(of_task.ravel() == k)
        if len(counted):
            away = y[np.ix_(counted, tasks)]
            penalty = np.diag(ridge * own[counted].mean() / own[counted])
            factor = torch.linalg.cholesky(torch.from_numpy(near[np.ix_(counted, counted)] + penalty))
            solved = torch.cholesky_solve(torch.from_numpy(away).flatten(1), factor)
            coefficients[np.ix_(counted, tasks)] = solved.numpy().reshape(away.shape)
    return coefficients
