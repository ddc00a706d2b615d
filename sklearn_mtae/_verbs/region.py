"""Joint regions, which contain all labels of a row at once with a given probability."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._fitting.copula import deviance_at, deviances, patterns, reach_at
from sklearn_mtae._fitting.margins import FARTHEST, Margin
from sklearn_mtae._fitting.predictions import OfTask
from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._fitting.scores import rank_of
from sklearn_mtae._fitting.volumes import volume_of_box, volume_of_level_set
from sklearn_mtae._tables.checks import check_targets
from sklearn_mtae._tables.containers import plain

from .joint import predictions
from .labels import label_range


@dataclass(frozen=True, eq=False)
class JointRegion:
    """Regions of labels, one for each row: where the joint density of the labels is above some level.

    With z for the normal scores of labels, and s for how fast errors rise with these, labels are inside if their
    deviance, minus twice the log of their density, is small enough: `z' inverse(correlation) z + 2 sum of log(s(z)) <=
    deviance`, up to a constant for each task. If errors are normal, scores are the errors in standard deviations, s is
    1, and the regions are ellipsoids. Otherwise the regions are bent as the errors want: longer on the side of the
    longer tail. They are boxes of simultaneous intervals instead if these are much smaller, as with very long tails, or
    if very few of the held-out rows had all labels.

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
    deviance : float
        Largest deviance inside; infinite where held-out labels are too far off to say more.
    reach : float
        Largest absolute score within simultaneous intervals of normal errors; infinite as `deviance` may be.
    low : ndarray of shape (n_tasks,)
        Smallest possible label of each task.
    high : ndarray of shape (n_tasks,)
        Largest possible label of each task.
    margins : list
        Maps between the labels of each task and their normal scores.
    is_box : bool, default=False
        Whether the regions are the boxes of the simultaneous intervals.

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
    deviance: float
    reach: float
    low: NDArray
    high: NDArray

    margins: list[Margin]
    is_box: bool = False

    @property
    def lower(self) -> NDArray:
        """Lower ends of intervals that hold all labels of a row at once, shape (n_samples, n_tasks).

        They are simultaneous prediction intervals, which form a box of their own: as many rows lie in it as in the
        region. The box is the simpler answer, the region usually the smaller one. Where errors have a longer tail on
        one side, an interval leaves out fewer labels on the other: the shares by which one of 97 % is shortest.
        """
        return self._ends(0)

    @property
    def upper(self) -> NDArray:
        """Upper ends of these intervals, shape (n_samples, n_tasks)."""
        return self._ends(1)

    @property
    def volume(self) -> NDArray:
        """Volumes, in the product of the tasks' units, shape (n_samples,); tasks with a scale of zero do not count.

        Where errors are normal, `pi^(k / 2) / Gamma(k / 2 + 1) * deviance^(k / 2) * sqrt(det(correlation)) *
        prod(scale)` for k tasks. Otherwise the ratio of the volume to that of this ellipsoid is estimated with 4096
        quasi-random scores, mostly to a few per cent, and to 10 % where errors have gaps or there are many tasks.
        Errors of counts are taken to be normal. Parts of a region where no label can be, such as below zero for counts,
        are included.
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
            in its region if some values of these would put it there; where errors are not normal, a few rows more are.

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
        # All labels of such a task were the same.
        is_right = (self.scale > 0) | np.isnan(labels) | np.isclose(labels, self.center, rtol=1e-6, atol=0.0)
        return self._holds(labels) & is_right.all(axis=1)

    def _holds(self, labels: NDArray) -> NDArray[np.bool_]:
        """Return whether the labels of tasks that have a scale, NaN where missing, are inside."""
        scores = np.full(labels.shape, np.nan)
        for task, margin in enumerate(self.margins):
            known = np.flatnonzero(~np.isnan(labels[:, task]))
            scores[known, task] = margin.centres(self._of(task, known), labels[known, task])
        scores[(self.scale == 0) & ~np.isnan(labels)] = 0.0  # but for rounding
        is_beyond = (np.abs(scores) >= FARTHEST).any(axis=1) & np.isfinite(self.deviance)
        if self.is_box:
            ends = np.array([margin.ends(self.reach) for margin in self.margins])
            return ~((scores < ends[:, 0]) | (scores > ends[:, 1])).any(axis=1) & ~is_beyond
        at_least = np.isnan(scores) @ np.array([margin.least_log_slope for margin in self.margins])
        return (deviances(self.margins, self.correlation, scores) + 2 * at_least <= self.deviance) & ~is_beyond

    def _of(self, task: int, rows: NDArray | slice = slice(None)) -> OfTask:
        """Return the predictions of a task for rows."""
        return OfTask(self.center[rows, task], self.scale[rows, task], None)

    def _ends(self, side: int) -> NDArray:
        """Return the labels of all tasks at the lower ends of the intervals, or at the upper ones."""
        if np.isinf(self.reach):
            return np.where(self.scale > 0, self.high if side else self.low, self.center)
        scores = np.array([margin.ends(self.reach)[side] for margin in self.margins])
        at = np.broadcast_to(scores[:, None, None], (len(scores), 1, len(self.center)))
        ends = [margin.values(self._of(task), at[task])[0] for task, margin in enumerate(self.margins)]
        return np.clip(np.where(self.scale > 0, np.stack(ends, axis=1), self.center), self.low, self.high)

    def _unit_volume(self, own: NDArray[np.bool_]) -> float:
        """Return the volume of the errors of some tasks, in standard deviations."""
        margins = [margin for margin, is_own in zip(self.margins, own, strict=True) if is_own]
        if self.is_box:
            return volume_of_box(margins, self.reach)
        return volume_of_level_set(margins, self.correlation[np.ix_(own, own)], self.deviance)


def predict_region(runner: ModelRunner, x: Any, coverage: float) -> JointRegion:
    """Return the regions of rows that contain all labels of a fraction of rows."""
    fitted = runner.fitted
    copula, names = fitted.average.copula, fitted.recipe.task_names
    assert copula is not None
    numbers = copula.numbers
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
        deviance_at(copula.levels[rank - 1], len(numbers)),
        reach_at(copula.box_levels[rank - 1], len(numbers)),
        low[numbers],
        high[numbers],
        [copula.margins[task] for task in numbers],
        copula.is_box,
    )
