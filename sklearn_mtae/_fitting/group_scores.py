"""Scores of held-out rows, by which intervals and sets reach labels of new groups."""

import numpy as np
from numpy.typing import NDArray


def for_new_groups(scores: NDArray, groups: NDArray) -> NDArray:
    """Return as many sorted scores, whose ranks cover a row of a new group as those of rows cover a new row.

    Rows of a group are not exchangeable with those of a new one; groups are. Each thus counts once, as does the new
    one, whose scores are as large as any: of `n` results, that of rank `k` is the quantile `k / (n + 1) * (n_groups +
    1) / n_groups` of the scores, with equal weight for all groups (Lee, Barber and Willett 2023, arXiv 2306.06342), or
    the largest score beyond that. Groups of one row each keep their scores.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Distances of labels from predictions, in any order.
    groups : ndarray of int of shape (n_rows,)
        Which group each row belongs to.
    """
    n_rows = len(scores)
    if n_rows == 0:
        return scores
    _, groups, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(1 / (len(sizes) * sizes[groups[order]]))
    wanted = np.arange(1, n_rows + 1) / (n_rows + 1) * (len(sizes) + 1) / len(sizes)
    # Sums that are equal but for rounding count as equal.
    at = np.searchsorted(reached, wanted - 1e-9)
    return scores[order[np.minimum(at, n_rows - 1)]]
