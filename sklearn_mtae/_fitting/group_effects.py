"""Linear regressions of rows that come in groups: mixed models with a random intercept per group.

The labels of a patient's visits differ from a regression by an effect of the patient, and by what is the visit's own.
Many rows of a group then say little more than one of them about columns that are the group's, but differences within
it say much about all others. Generalised least squares weighs both, as a random intercept per group does (Laird and
Ware 1982, doi 10.2307/2529876). The penalty of the slopes is that of the greatest restricted likelihood: groups are too
few to choose it by the errors on those left out.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._engine.devices import threads_for

PENALTIES = 10.0 ** np.linspace(-6, 2, 33)
"""Penalties of squared slopes, per unit of weight, in units of the columns and of the variance within groups."""
LEAST_RATIO, MOST_RATIO = 2.0**-5, 2.0**10
"""Ratio of variances below which effects are ignored, and the largest one."""


class Effects(NamedTuple):
    """The effects of groups on tasks."""

    groups: NDArray
    """Which group each row belongs to, shape (n_rows,)."""
    ratios: NDArray
    """Variance of each task's effects, in units of that of a label of weight 1 within its group, shape (n_tasks,)."""

    def of(self, rows: NDArray, task: int) -> "Shared":
        """Return the effects on a task of the groups of some rows."""
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


def mixed_regressions(x: NDArray, y: NDArray, weight: NDArray, effects: Effects) -> tuple[NDArray, NDArray]:
    """Return slopes, shape (n_columns, n_tasks), and intercepts of regressions of targets on columns.

    They minimise the squares of errors in the metric of the labels' inverse covariance, plus the penalty of the squared
    slopes that has the greatest restricted likelihood. A target without a label has neither slopes nor an intercept.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        Columns.
    y, weight : ndarray of shape (n_rows, n_tasks)
        Labels and their weights; labels of weight zero may be NaN.
    effects : Effects
        The effects of the rows' groups.
    """
    slopes, intercepts = np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])
    pattern_of = np.unique(np.vstack([weight, effects.ratios]), axis=1, return_inverse=True)[1]
    for pattern in range(pattern_of.max() + 1):
        tasks = np.flatnonzero(pattern_of == pattern)
        known = weight[:, tasks[0]] > 0
        if known.any():
            own = (x[known], y[np.ix_(known, tasks)], weight[known, tasks[0]])
            rows, labels, counts = (torch.from_numpy(part) for part in own)
            found = _regress(rows, labels, counts, effects.of(known, tasks[0]))
            slopes[:, tasks], intercepts[tasks] = (part.numpy() for part in found)
    return slopes, intercepts


def _regress(x: Tensor, y: Tensor, weight: Tensor, shared: Shared) -> tuple[Tensor, Tensor]:
    """Return slopes and intercepts of targets that have the same weights and ratios."""
    share = shared.shares(weight)
    means = share @ x, share @ y
    x, y = shared.whiten(x - means[0], weight), shared.whiten(y - means[1], weight)
    with threads_for(x.numel() * min(x.shape)):
        turn = torch.linalg.svd(x, full_matrices=False)[2].T if len(x) < x.shape[1] else None
        x = x if turn is None else x @ turn  # as many columns as rows can distinguish
        squares, axes = torch.linalg.eigh(x.T @ x)
        along = axes.T @ (x.T @ y)
    penalties = _best_penalties(squares.clamp(min=0), along, y)
    slopes = axes @ (along / (squares.clamp(min=0)[:, None] + penalties))
    slopes = slopes if turn is None else turn @ slopes
    return slopes, means[1] - means[0] @ slopes


def _best_penalties(squares: Tensor, along: Tensor, y: Tensor) -> Tensor:
    """Return each target's penalty of the greatest restricted likelihood.

    Parameters
    ----------
    squares : Tensor of shape (n_axes,)
        Squares of rows along the principal axes of the columns.
    along : Tensor of shape (n_axes, n_tasks)
        Products of rows and targets along the axes.
    y : Tensor of shape (n_rows, n_tasks)
        Targets, without their means.
    """
    n_free, total = len(y) - 1, (y**2).sum(0)
    scored = []
    for penalty in PENALTIES.tolist():
        # The squares that remain, in the metric of the covariance with random slopes.
        left = (total - (along**2 / (squares + penalty)[:, None]).sum(0)).clamp(min=torch.finfo(y.dtype).tiny)
        scored.append(-torch.log1p(squares / penalty).sum() - n_free * left.log())
    return torch.from_numpy(PENALTIES)[torch.stack(scored).argmax(0)]


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
