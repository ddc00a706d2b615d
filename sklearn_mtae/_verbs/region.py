"""Joint regions: ellipsoids that contain all labels of a row at once, with a given probability."""

from dataclasses import dataclass
from math import lgamma, log, pi
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_mtae._fitting.averaging import rank_of
from sklearn_mtae._fitting.copula import distances, patterns, square_at
from sklearn_mtae._fitting.margins import OfClasses
from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.checks import check_targets

from .joint import predictions
from .labels import label_range


@dataclass(frozen=True, eq=False)
class JointRegion:
    """Ellipsoids of labels, one for each row: `(y - center)' inverse(covariance) (y - center) <= square`.

    :meth:`MultiTaskVAERegressor.predict_region` and :meth:`MultiTaskVAE.predict_region` return it.

    Parameters
    ----------
    task_names : list of str
        The tasks, all of them numbers.
    center : ndarray of shape (n_samples, n_tasks)
        Centres of the ellipsoids: the predicted means.
    scale : ndarray of shape (n_samples, n_tasks)
        Predicted standard deviations of the labels; zero for a task whose labels are all the same.
    correlation : ndarray of shape (n_tasks, n_tasks)
        Correlation of the labels' errors.
    square : float
        Squared length, in standard deviations, of the errors on the boundary.
    low : ndarray of shape (n_tasks,)
        Smallest possible label of each task.
    high : ndarray of shape (n_tasks,)
        Largest possible label of each task.

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
    >>> print(f"the ellipses have {np.mean(region.volume / box):.1f} of the area of the intervals around them")
    the ellipses have 0.5 of the area of the intervals around them
    """

    task_names: list[str]
    center: NDArray
    scale: NDArray
    correlation: NDArray
    square: float
    low: NDArray
    high: NDArray

    @property
    def lower(self) -> NDArray:
        """Lower ends of intervals that hold all labels of a row at once, and more often than the region does.

        They are its extent along each task, shape (n_samples, n_tasks).
        """
        return np.clip(self.center - np.sqrt(self.square) * self.scale, self.low, self.high)

    @property
    def upper(self) -> NDArray:
        """Upper ends of these intervals."""
        return np.clip(self.center + np.sqrt(self.square) * self.scale, self.low, self.high)

    @property
    def covariance(self) -> NDArray:
        """Covariance of the labels of each row, shape (n_samples, n_tasks, n_tasks)."""
        return self.scale[:, :, None] * self.correlation * self.scale[:, None, :]

    @property
    def volume(self) -> NDArray:
        """Volumes, in the product of the tasks' units, shape (n_samples,); tasks with a scale of zero do not count.

        `pi^(k / 2) / Gamma(k / 2 + 1) * square^(k / 2) * sqrt(det(covariance))` for k tasks. Parts of an ellipsoid
        where no label can be, such as below zero for counts, are included.
        """
        volumes = np.zeros(len(self.center))
        for rows, own in patterns(self.scale > 0):
            k = own.sum()
            root = np.linalg.slogdet(self.correlation[np.ix_(own, own)])[1] / 2
            ball = k / 2 * log(pi * self.square) - lgamma(k / 2 + 1) if self.square > 0 else -np.inf
            volumes[rows] = np.exp(ball + root + np.log(self.scale[np.ix_(rows, own)]).sum(axis=1))
        return volumes

    def contains(self, y: ArrayLike) -> NDArray[np.bool_]:
        """Return whether the labels of each row lie in its region.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels of the tasks. With missing ones, which are NaN, a row is in its region if some values of these would
            put it there.

        Returns
        -------
        ndarray of bool of shape (n_samples,)
            Whether they do; true for rows without a label.
        """
        labels = check_targets(y, self.center, self.task_names)
        n_tasks = self.center.shape[1]
        if labels.shape[1] != n_tasks:
            raise ValueError(f"y must have {n_tasks} columns, one per task. Got {labels.shape[1]} instead.")
        away = labels - self.center
        errors = np.divide(away, self.scale, out=np.zeros_like(away), where=self.scale > 0)
        errors = np.where(np.isnan(labels), np.nan, errors)
        is_certain = (self.scale == 0) & ~np.isnan(labels) & (away != 0)
        return (distances(self.correlation, errors) <= self.square) & ~is_certain.any(axis=1)


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
        low[numbers],
        high[numbers],
    )
