"""Kernel ridge regression, and what columns it finds relevant."""

from collections.abc import Sequence
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
LEAST_SLOPES, MOST_SLOPES, N_SLOPES = 30, 300, 6_000
"""Bounds of the number of rows at which slopes are computed, and, within them, of rows times what is predicted."""
LEAST_EIGENVALUE = 1e-10
"""What is added to the eigenvalues of the closeness of centres, from which rounding may take a part of that away."""
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


class SquaredDistances:
    """The function that computes the squared distances of rows from centres.

    Parameters
    ----------
    centres : Tensor of shape (n_centres, n_columns)
        Points to compare rows with.
    scales : Tensor of shape (n_columns,) or float, default=1.0
        Factors of the columns, for rows and centres alike.
    """

    def __init__(self, centres: Tensor, scales: Tensor | float = 1.0) -> None:
        centres = centres * scales
        # Far from zero, rounding errors of squares would be larger than distances.
        self.middle = centres.mean(0) if len(centres) else 0.0
        self.scales, self.centres = scales, (centres - self.middle).T
        self.squares = self.centres.square().sum(0)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the squared distance of each row from each centre."""
        rows = rows * self.scales - self.middle
        squares = rows.square().sum(-1, keepdim=True) + self.squares
        return torch.addmm(squares, rows, self.centres, alpha=-2.0).clamp_(min=0.0)


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
    near = closeness(SquaredDistances(points)(points), LEARNING_LOCALITY)
    coefficients = torch.from_numpy(regress(near, y, weight, [LEARNING_RIDGE])[0]).flatten(1)
    at = evenly(np.arange(len(rows)), max(LEAST_SLOPES, min(MOST_SLOPES, N_SLOPES // coefficients.shape[1])))
    shares = torch.from_numpy(weight[at] / np.maximum(weight[at].sum(axis=0), np.finfo(float).tiny))
    near, squares = near[at], torch.zeros(rows.shape[1], dtype=torch.float64)
    for own, share in zip(coefficients.T, shares.T.repeat_interleave(y.shape[2], dim=0), strict=True):
        slopes = points[at] * (near @ own)[:, None] - near @ (own[:, None] * points)
        squares += share @ slopes.square_()
    return squares.numpy()


def regress(
    near: Tensor, y: NDArray, weight: NDArray, ridges: Sequence[float], between: Tensor | None = None
) -> NDArray:
    """Return the coefficients of kernel ridge regressions, shape (n_ridges, n_centres, n_tasks, n_outputs).

    Parameters
    ----------
    near : Tensor of shape (n_rows, n_centres)
        Closeness of the rows to the centres.
    y : ndarray of shape (n_rows, n_tasks, n_outputs)
        Values to predict.
    weight : ndarray of shape (n_rows, n_tasks)
        Weights of the labels; zero where there is none.
    ridges : sequence of float
        Penalties of the squared norm.
    between : Tensor of shape (n_centres, n_centres) or None, default=None
        Closeness of the centres to each other. None means that the centres are the rows.
    """
    coefficients = np.zeros((len(ridges), near.shape[1], *y.shape[1:]))
    root = None if between is None else _root_of(between)
    patterns, of_task = np.unique(weight, axis=1, return_inverse=True)
    for k, own in enumerate(patterns.T):
        counted, tasks = np.flatnonzero(own), np.flatnonzero(of_task.ravel() == k)
        if len(counted):
            away, share = torch.from_numpy(y[np.ix_(counted, tasks)]), torch.from_numpy(own[counted])
            share = share / share.mean()
            if root is None:
                at = counted
                solved = _solve_rows(near[counted][:, counted], away.flatten(1), share, ridges)
            else:
                at = np.arange(near.shape[1])
                solved = _solve_centres(near[counted], away.flatten(1), share, ridges, root)
            coefficients[np.ix_(np.arange(len(ridges)), at, tasks)] = solved.unflatten(2, away.shape[1:]).numpy()
    return coefficients


def _solve_rows(near: Tensor, y: Tensor, share: Tensor, ridges: Sequence[float]) -> Tensor:
    """Return the coefficients of rows, shape (n_ridges, n_rows, n_values)."""
    factors = (torch.linalg.cholesky(near + torch.diag(ridge / share)) for ridge in ridges)
    return torch.stack([torch.cholesky_solve(y, factor) for factor in factors])


def _root_of(between: Tensor) -> Tensor:
    """Return the Cholesky factor of the closeness of centres to each other."""
    return torch.linalg.cholesky(between + LEAST_EIGENVALUE * torch.eye(len(between), dtype=between.dtype))


def _solve_centres(near: Tensor, y: Tensor, share: Tensor, ridges: Sequence[float], root: Tensor) -> Tensor:
    """Return the coefficients of centres that stand for more rows, shape (n_ridges, n_centres, n_values).

    They minimise the squared error over all rows, with the same penalty (a Nyström approximation). `root` is the factor
    of the centres' closeness to each other.
    """
    # In the basis of its columns the penalty is that of the coefficients' squares, and the equations keep their digits.
    basis = torch.linalg.solve_triangular(root, near.T, upper=False)
    square, right = (share * basis) @ basis.T, (share * basis) @ y
    factors = (torch.linalg.cholesky(square + ridge * torch.eye(len(square), dtype=square.dtype)) for ridge in ridges)
    solved = torch.stack([torch.cholesky_solve(right, factor) for factor in factors])
    return torch.linalg.solve_triangular(root.T, solved, upper=True)
