"""Joint regions, which contain all labels of a row at once with a given probability."""

from dataclasses import dataclass
from math import lgamma, log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from sklearn_mtae._fitting.averaging import rank_of
from sklearn_mtae._fitting.copula import distances, patterns, reach_at, square_at
from sklearn_mtae._fitting.margins import FARTHEST, Margin, OfClasses
from sklearn_mtae._fitting.predictions import OfTask
from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.checks import check_targets
from sklearn_mtae._tables.containers import plain

from .joint import predictions
from .labels import label_range

N_POINTS = 4096
"""Quasi-random points of a region, for its volume."""


@dataclass(frozen=True, eq=False)
class JointRegion:
    """Regions of labels, one for each row: `z' inverse(correlation) z <= square` for the normal scores z of labels.

    Where the errors of tasks are normal, scores are the errors in standard deviations, and the regions are ellipsoids.
    Otherwise they are bent as the distributions of the errors want: longer on the side of the longer tail.

    :meth:`MultiTaskVAERegressor.predict_region` and :meth:`MultiTaskVAE.predict_region` return it.

    Parameters
    ----------
    task_names : list of str
        The tasks, all of them numbers.
    center : ndarray of shape (n_samples, n_tasks)
        The predicted means.
    scale : ndarray of shape (n_samples, n_tasks)
        Predicted standard deviations of the labels; zero for a task whose labels are all the same.
    correlation : ndarray of shape (n_tasks, n_tasks)
        Correlation of the scores.
    square : float
        Squared length of the scores on the boundary; infinite where held-out labels are too far off to say more.
    reach : float
        Largest absolute score within the simultaneous intervals; infinite as `square` may be.
    low : ndarray of shape (n_tasks,)
        Smallest possible label of each task.
    high : ndarray of shape (n_tasks,)
        Largest possible label of each task.
    margins : list
        Maps between the labels of each task and their normal scores.

    See Also
    --------
    sklearn_mtae.metrics.joint_coverage : The fraction of the rows whose labels are inside.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae import MultiTaskVAERegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 3))
    >>> Y = X[:, :2] + rng.normal(size=(400, 1)) + 0.5 * rng.normal(size=(400, 2))  # a cause that X does not show
    >>> model = MultiTaskVAERegressor(2, n_estimators=6, cv=2, max_iter=10, random_state=0).fit(X[:200], Y[:200])
    >>> region = model.predict_region(X[200:], coverage=0.9)
    >>> print(f"{region.contains(Y[200:]).mean():.1f} of the new rows are inside")
    0.9 of the new rows are inside
    >>> region.correlation.round(1)
    array([[1. , 0.8],
           [0.8, 1. ]])
    >>> box = (region.upper - region.lower).prod(axis=1)
    >>> print(f"the regions have {np.mean(region.volume / box):.1f} of the area of simultaneous intervals")
    the regions have 0.6 of the area of simultaneous intervals
    """

    task_names: list[str]
    center: NDArray
    scale: NDArray
    correlation: NDArray
    square: float
    reach: float
    low: NDArray
    high: NDArray

    margins: list[Margin]

    @property
    def lower(self) -> NDArray:
        """Lower ends of intervals that hold all labels of a row at once, shape (n_samples, n_tasks).

        They are simultaneous prediction intervals, which form a box of their own: as many rows lie in it as in the
        region. The box is the simpler answer, the region usually the smaller one.
        """
        return self._ends(-self.reach)

    @property
    def upper(self) -> NDArray:
        """Upper ends of these intervals, shape (n_samples, n_tasks)."""
        return self._ends(self.reach)

    @property
    def volume(self) -> NDArray:
        """Volumes, in the product of the tasks' units, shape (n_samples,); tasks with a scale of zero do not count.

        Where errors are normal, `pi^(k / 2) / Gamma(k / 2 + 1) * square^(k / 2) * sqrt(det(correlation)) *
        prod(scale)` for k tasks. Otherwise this times the mean slope of errors by their scores, over 4096 quasi-random
        points of the region. Errors of counts are taken to be normal. Parts of a region where no label can be, such as
        below zero for counts, are included.
        """
        volumes = np.zeros(len(self.center))
        for rows, own in patterns(self.scale > 0):
            volumes[rows] = self._unit_volume(own) * self.scale[np.ix_(rows, own)].prod(axis=1)
        return volumes

    def contains(self, y: Any) -> NDArray[np.bool_]:
        """Return whether the labels of each row lie in its region.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels of the tasks, or a frame that has them among its columns. With missing ones, which are NaN, a row is
            in its region if some values of these would put it there.

        Returns
        -------
        ndarray of bool of shape (n_samples,)
            Whether they do; true for rows without a label.
        """
        y = plain(y)
        if hasattr(y, "columns"):
            by_name = {str(name): name for name in y.columns}
            if set(self.task_names) <= by_name.keys():
                y = y[[by_name[name] for name in self.task_names]]
        labels = check_targets(y, self.center, self.task_names).astype(np.float64)
        n_tasks = self.center.shape[1]
        if labels.shape[1] != n_tasks:
            raise ValueError(f"y must have {n_tasks} columns, one per task. Got {labels.shape[1]} instead.")
        scores = np.full(labels.shape, np.nan)
        for task, margin in enumerate(self.margins):
            known = np.flatnonzero(~np.isnan(labels[:, task]))
            scores[known, task] = margin.centres(self._of(task, known), labels[known, task])
        # All labels of such a task were the same; their scores are zero but for rounding.
        scores[(self.scale == 0) & ~np.isnan(labels)] = 0.0
        is_wrong = (self.scale == 0) & ~np.isnan(labels) & (labels != self.center)
        is_beyond = (np.abs(scores) >= FARTHEST).any(axis=1) & np.isfinite(self.square)
        return (distances(self.correlation, scores) <= self.square) & ~is_beyond & ~is_wrong.any(axis=1)

    def _of(self, task: int, rows: NDArray | slice = slice(None)) -> OfTask:
        """Return the predictions of a task for rows."""
        return OfTask(self.center[rows, task], self.scale[rows, task], None)

    def _ends(self, score: float) -> NDArray:
        """Return the labels of all tasks at a score."""
        if np.isinf(score):
            return np.where(self.scale > 0, self.low if score < 0 else self.high, self.center)
        z = np.full((1, len(self.center)), score)
        ends = [margin.values(self._of(task), z)[0] for task, margin in enumerate(self.margins)]
        ends = np.where(self.scale > 0, np.stack(ends, axis=1), self.center)
        return np.clip(ends, self.low, self.high)

    def _unit_volume(self, own: NDArray[np.bool_]) -> float:
        """Return the volume of the errors of some tasks, in standard deviations."""
        k = int(own.sum())
        if not k or self.square <= 0:
            return float(not k)
        if np.isinf(self.square):
            return np.inf
        root = np.linalg.cholesky(self.correlation[np.ix_(own, own)])
        points = qmc.Sobol(k + 1, rng=np.random.default_rng(0)).random(N_POINTS)
        normal = ndtri(points[:, :k])
        ball = normal / np.linalg.norm(normal, axis=1, keepdims=True) * points[:, k:] ** (1 / k)
        z = np.sqrt(self.square) * ball @ root.T
        slopes = [self.margins[task].slopes(z[:, column]) for column, task in enumerate(np.flatnonzero(own))]
        volume = np.exp(k / 2 * log(pi * self.square) - lgamma(k / 2 + 1)) * np.diag(root).prod()
        return float(volume * np.prod(slopes, axis=0).mean())


def predict_region(runner: ModelRunner, x: Any, coverage: float) -> JointRegion:
    """Return the regions of rows that contain all labels of a fraction of rows."""
    fitted = runner.fitted
    copula, names = fitted.average.copula, fitted.recipe.task_names
    assert copula is not None
    numbers = [task for task, margin in enumerate(copula.margins) if not isinstance(margin, OfClasses)]
    rank = rank_of(coverage, len(copula.levels))
    if rank is None:
        raise ValueError(
            f"coverage must be at most n / (n + 1), for n held-out rows with a label. Got {coverage} for "
            f"{len(copula.levels)} of them."
        )
    predicted = predictions(runner, x).scaled(fitted.average.inflation)
    assert predicted.stds is not None
    low, high = label_range(fitted)
    return JointRegion(
        [names[task] for task in numbers],
        predicted.means[:, numbers],
        predicted.stds[:, numbers],
        copula.correlation[np.ix_(numbers, numbers)],
        square_at(copula.levels[rank - 1], len(numbers)),
        reach_at(copula.box_levels[rank - 1], len(numbers)),
        low[numbers],
        high[numbers],
        [copula.margins[task] for task in numbers],
    )
