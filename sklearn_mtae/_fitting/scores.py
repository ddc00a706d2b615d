"""Scores of held-out rows, by which intervals, sets and regions reach the labels of new rows."""

from math import ceil

import numpy as np
from numpy.typing import NDArray


def ranked(scores: NDArray, weight: NDArray, groups: NDArray | None = None) -> NDArray:
    """Return as many sorted scores, whose ranks cover a new row as those of rows that are alike would.

    Without weights and groups, these are the scores. A weight says how many rows like it there are to be among new
    ones. Rows of a group are not exchangeable with those of a new one; groups are, so that each counts once, by the
    mean weight of its rows. The new one counts too, with scores as large as any: of `n` results, that of rank `k` is
    the weighted quantile `k / (n + 1) * (size + 1) / size` of the scores, or the largest score beyond that (Lee, Barber
    and Willett 2023, arXiv 2306.06342), for the `size` of `counted_once`.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Distances of labels from predictions, in any order.
    weight : ndarray of shape (n_rows,)
        Weights above zero.
    groups : ndarray of int of shape (n_rows,) or None, default=None
        Which group each row belongs to.
    """
    return at_ranks(scores, *counted_once(weight, groups))


def counted_once(weight: NDArray, groups: NDArray | None = None) -> tuple[NDArray, float]:
    """Return the share of each row, and the number of rows, or groups, that equal shares would take to say as much.

    The latter is `sum(weight)^2 / sum(weight^2)` (Kish 1965), over rows, or over groups with the mean weight of each.
    """
    if not len(weight):
        return weight, 0.0
    share = weight / weight.max()
    if groups is not None:
        _, groups, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        share = share / sizes[groups]
    parts = share if groups is None else np.bincount(groups, share)
    return share / share.sum(), parts.sum() ** 2 / (parts**2).sum()


def inflation_of(scores: NDArray, share: NDArray, size: float) -> float:
    """Return the factor by which deviations are too small: the root mean square of scores, and of one more that is 1.

    Two or three labels that happen to be near their predictions thus cannot say that deviations are next to nothing.
    Labels that are all predicted exactly have none.
    """
    if len(scores) > 1 and not scores.any():
        return 0.0
    return float(np.sqrt((size * (share @ scores**2) + 1) / (size + 1)))


def at_ranks(scores: NDArray, share: NDArray, size: float) -> NDArray:
    """Return as many quantiles of scores with shares, in ascending order, as there are scores: see `ranked`."""
    n_rows = len(scores)
    if n_rows == 0:
        return scores
    order = np.argsort(scores, kind="stable")
    wanted = np.arange(1, n_rows + 1) / (n_rows + 1) * (size + 1) / size
    # Sums that are equal but for rounding count as equal.
    at = np.searchsorted(np.cumsum(share[order]), wanted - 1e-9)
    return scores[order[np.minimum(at, n_rows - 1)]]


def rank_of(coverage: float, n_scores: int) -> int | None:
    """Return how many of the scores must be within for a coverage; None if there are too few scores to tell."""
    rank = ceil(round((n_scores + 1) * coverage, 9))  # 28 / 29 * 29 must give exactly 28
    return rank if rank <= n_scores else None
