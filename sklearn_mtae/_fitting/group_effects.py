"""Effects that the rows of a group share: how large they are, and how regressions take them into account.

The labels of a patient's visits differ from a regression by an effect of the patient, and by what is the visit's own.
Many rows of a group then say little more than one of them about columns that are the group's, but differences within
it say much about all others. Generalised least squares weighs both as a random intercept per group does (Laird and Ware
1982, doi 10.2307/2529876).
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST_RATIO, MOST_RATIO = 2.0**-5, 2.0**10
"""Ratio of variances below which effects are ignored, and the largest one."""


class Effects(NamedTuple):
    """The effects of groups on tasks."""

    groups: NDArray
    """Which group each row belongs to, shape (n_rows,)."""
    ratios: NDArray
    """Variance of each task's effects, in units of that of a label of weight 1 within its group, shape (n_tasks,)."""

    def of(self, rows: NDArray, task: int) -> "Shared | None":
        """Return the effects on a task of the groups of some rows; None if it has none."""
        if self.ratios[task] == 0:
            return None
        groups = np.unique(self.groups[rows], return_inverse=True)[1]
        return Shared(torch.from_numpy(groups), float(self.ratios[task]))


class Shared(NamedTuple):
    """An effect that the rows of a group share."""

    groups: Tensor
    """Position of each row's group, shape (n_rows,)."""
    ratio: float
    """Variance of the effect, in units of that of a label of weight 1 within its group."""

    def shares(self, weight: Tensor) -> Tensor:
        """Return what each row counts in a mean, shape (n_rows,): the more rows its group has, the less."""
        return _normalised(weight / (1 + self.ratio * self._totals(weight)[self.groups]))

    def whiten(self, values: Tensor, weight: Tensor) -> Tensor:
        """Weigh rows, shape (n_rows, n_columns), and shrink the means of groups, so that errors become independent.

        Squares of the results add up to those of `values` in the metric of the inverse covariance of the labels, if
        the weights add up to 1.
        """
        root = _normalised(weight).sqrt()[:, None]
        totals = self._totals(weight)
        kept = (1 + self.ratio * totals).rsqrt()
        means = values.new_zeros(len(totals), values.shape[1]).index_add(0, self.groups, values * weight[:, None])
        means /= totals[:, None]
        return root * (values - ((1 - kept)[:, None] * means)[self.groups])

    def _totals(self, weight: Tensor) -> Tensor:
        """Return the weight of each group."""
        return weight.new_zeros(int(self.groups.max()) + 1).index_add(0, self.groups, weight)


def effect_ratio(away: NDArray, groups: NDArray, weight: NDArray) -> float:
    """Return the variance of the effects of groups on a task, in units of that of a label of weight 1 within its group.

    The variances are those of a one-way analysis. The ratio is rounded to a power of two: it need not be exact, and
    tasks of equal ratios are solved as one.

    Parameters
    ----------
    away : ndarray of shape (n_rows,)
        Distances of labels from predictions by models that were not trained on their groups.
    groups : ndarray of int of shape (n_rows,)
        Which group each row belongs to.
    weight : ndarray of shape (n_rows,)
        Weights of the labels, all positive.
    """
    groups = np.unique(groups, return_inverse=True)[1]
    totals = np.bincount(groups, weight)
    n_rows, n_groups = len(away), len(totals)
    if n_groups < 2 or n_groups == n_rows:
        return 0.0
    means = np.bincount(groups, weight * away) / totals
    within = weight @ (away - means[groups]) ** 2 / (n_rows - n_groups)
    between = totals @ (means - np.average(away, weights=weight)) ** 2 / (n_groups - 1)
    typical = (totals.sum() - totals @ totals / totals.sum()) / (n_groups - 1)
    excess = (between - within) / typical
    if excess <= LEAST_RATIO * within:
        return 0.0
    return float(2.0 ** np.round(np.log2(min(MOST_RATIO, excess / max(within, excess / MOST_RATIO)))))


def _normalised(weight: Tensor) -> Tensor:
    return weight / weight.sum()
