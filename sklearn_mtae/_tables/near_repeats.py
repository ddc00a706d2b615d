"""Detection of groups of near repeats, such as the visits of a patient, that were not declared."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import dense

N_ROWS = 10_000
"""Maximum number of rows that are used: the first ones."""
N_PROBES = 100
"""Maximum number of rows whose neighbours are checked."""
N_COLUMNS = 50
"""Maximum number of columns for distances."""
LARGEST_GROUP = 50
"""Maximum number of rows in a group that is distinguished from a cloud of rows."""
LEAST_GAP = 8.0
"""Minimum ratio of the gap behind a row's group to its expected width: without groups it is 3 to 5."""
N_LEVELS = 16
"""Maximum number of values of a design column, in which rows repeat anyway."""


def warn_of_near_repeats(x: Any) -> None:
    """Warn if most rows have near repeats: held out one by one, these say little about new rows."""
    if has_near_repeats(x):
        warnings.warn(
            "Most rows have near repeats among the others, such as further visits of a patient: rows held out at "
            "random then say little about new ones, and results chosen or calibrated on them are overconfident. If "
            "rows belong together, pass groups to fit; if they do not, set cv=10 to say so.",
            stacklevel=6,
        )


def has_near_repeats(x: Any) -> bool:
    """Return whether most rows have a group of close rows, and a gap behind it.

    In a cloud of rows without groups, `k * d * log(r[k + 1] / r[k])`, with `r[k]` the distance to the k-th neighbour
    and `d` the dimension of the cloud, is a draw from the exponential distribution of mean 1 for each k. Where the rows
    of a group are k + 1 near repeats, it is many times that.

    Parameters
    ----------
    x : ndarray, CSR array or coded rows of shape (n_rows, n_columns)
        The rows, NaN where a cell is missing. Columns of whole numbers, of few values, or with one value in most
        rows, are left out.
    """
    x = _standardized(dense(x[: min(N_ROWS, x.shape[0])]).astype(np.float64))
    n_near = min(LARGEST_GROUP, len(x) // 5)
    if x.shape[1] == 0 or n_near < 3:
        return False
    probes = np.unique(np.linspace(0, len(x) - 1, N_PROBES).astype(int))
    squares = (x[probes] ** 2).sum(axis=1)[:, None] + (x**2).sum(axis=1) - 2 * x[probes] @ x.T
    squares[np.arange(len(probes)), probes] = -1  # each row is its own nearest neighbour
    near = np.sort(np.partition(squares, 2 * n_near, axis=1)[:, : 2 * n_near + 1], axis=1)[:, 1:]
    # Equal rows count as very near.
    logs = np.log(np.maximum(near, 1e-6 * np.maximum(np.median(near[:, -1]), 1e-300))) / 2
    spread = float(np.median(logs[:, -1] - logs[:, n_near - 1]))
    dimension = min(np.log(2) / max(spread, 1e-6), x.shape[1])
    gaps = np.arange(1, n_near + 1) * dimension * np.diff(logs[:, : n_near + 1], axis=1)
    return bool(np.median(gaps.max(axis=1)) > LEAST_GAP)


def _standardized(x: NDArray) -> NDArray:
    """Return the first columns that hold measured numbers, in standard deviations; missing cells are 0."""
    candidates = np.flatnonzero((np.isfinite(x) & (x != np.round(x))).any(axis=0))
    x = x[:, [column for column in candidates if _is_measured(x[:, column])][:N_COLUMNS]]
    observed = ~np.isnan(x)
    largest = np.abs(np.where(observed, x, 0.0)).max(axis=0, initial=1e-300)
    x = x / largest  # squares of large numbers would overflow
    counts = np.maximum(observed.sum(axis=0), 1)
    x = np.where(observed, x - np.where(observed, x, 0.0).sum(axis=0) / counts, 0.0)
    scale = np.sqrt((x**2).sum(axis=0) / counts)
    return x[:, scale > 0] / scale[scale > 0]


def _is_measured(column: NDArray) -> bool:
    """Return whether a column has many values and no dominant one, such as 0 for absent words."""
    _, counts = np.unique(column, return_counts=True)
    return len(counts) > N_LEVELS and 2 * counts.max() <= len(column)
