"""Plots of whether joint training helps tasks."""

from collections.abc import Sequence
from math import floor, log10
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_mtae.metrics import METRICS
from sklearn_mtae.model_selection import TransferReport, transfer_report

from ._common import PALETTE, pyplot

COLOURS = {"share": PALETTE[0], "train alone": PALETTE[1], "unknown": "0.5"}
MOST_NUMBERED = 12
"""Number of tasks up to which the cells of a heat map have numbers."""


class TaskTransferDisplay:
    """Draw a report on the tasks: the gains from sharing, and how the tasks affect each other.

    On the left, the gain of each task with its 95 % interval; on the right, as heat maps, the cosines between the
    tasks' gradients, left empty where tasks share less than 30 % of their labelled rows, and by how much the row's task
    lowers the loss of the column's. The colours of the latter end at the largest value between different tasks, so that
    the effect of a task on itself does not dominate.

    Parameters
    ----------
    report : TransferReport
        The result of :func:`sklearn_mtae.model_selection.transfer_report`.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : ndarray of 3 matplotlib.axes.Axes
        Axes of the gains, of the cosines and of the affinities.

    See Also
    --------
    sklearn_mtae.model_selection.transfer_report : The report that is drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn_mtae import MultiTaskVAERegressor
    >>> from sklearn_mtae.inspection import TaskTransferDisplay
    >>> X, Y = load_linnerud(return_X_y=True)
    >>> model = MultiTaskVAERegressor(n_components=2, n_estimators=1, hidden_layer_sizes=(8,), max_iter=5)
    >>> display = TaskTransferDisplay.from_estimator(model, X, Y, cv=2, random_state=0)
    >>> [axes.get_title() for axes in display.axes_]
    ['Gain by sharing', 'Cosine of gradients', 'Affinity (nats per label)']
    """

    figure_: Any
    axes_: NDArray

    def __init__(self, *, report: TransferReport) -> None:
        self.report = report

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        cv: Any = None,
        baseline: Any = None,
        pooled: Any = None,
        models: Sequence[str] = ("alone", "pooled", "joint"),
        scoring: str | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
    ) -> Self:
        """Make a report and draw it.

        Parameters
        ----------
        estimator : MultiTaskVAERegressor or MultiTaskVAEClassifier
            Estimator whose clones are fitted.
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        Y : array-like of shape (n_samples, n_tasks)
            Targets; NaN, None or pandas.NA where a label is missing.
        cv : int, splitter, iterable or None, default=None
            Splits, ten of :class:`~sklearn_mtae.model_selection.TaskShuffleSplit` by default.
        baseline : estimator, dict of str to estimator, or None, default=None
            Estimator of one task, or a dict with one for each by its name.
        pooled : estimator or None, default=None
            Estimator of all tasks for "pooled"; None is an autoencoder with a head per task.
        models : sequence of {"alone", "pooled", "joint"}, default=("alone", "pooled", "joint")
            Models to compare; only "pooled" may be left out.
        scoring : str or None, default=None
            Name in `sklearn_mtae.metrics.METRICS`; None is "rmse", or "accuracy" for classes.
        n_jobs : int or None, default=None
            Number of fits in parallel; None is 1, -1 is all processors.
        random_state : int, RandomState instance or None, default=None
            Seed of the splits and of the fits.
        ax : array-like of 3 matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        TaskTransferDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the report cannot be made.
        ImportError
            If matplotlib or pandas is not installed.
        """
        pyplot()
        options = {"cv": cv, "baseline": baseline, "pooled": pooled, "models": models, "scoring": scoring}
        report = transfer_report(estimator, X, Y, **options, n_jobs=n_jobs, random_state=random_state)
        return cls.from_report(report, ax=ax)

    @classmethod
    def from_report(cls, report: TransferReport, *, ax: Any = None) -> Self:
        """Draw a report.

        Parameters
        ----------
        report : TransferReport
            The result of :func:`sklearn_mtae.model_selection.transfer_report`.
        ax : array-like of 3 matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        TaskTransferDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        return cls(report=report).plot(ax=ax)

    def plot(self, *, ax: Any = None, cmap: Any = "RdBu", error_kw: dict[str, Any] | None = None) -> Self:
        """Draw the report.

        Parameters
        ----------
        ax : array-like of 3 matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a figure that grows with the number of tasks.
        cmap : str or matplotlib.colors.Colormap, default="RdBu"
            Colours of the heat maps, whose middle is 0.
        error_kw : dict or None, default=None
            Further options of `matplotlib.axes.Axes.errorbar`, for the gains.

        Returns
        -------
        TaskTransferDisplay
            The display.

        Raises
        ------
        ValueError
            If `ax` does not hold three axes.
        ImportError
            If matplotlib is not installed.
        """
        self.axes_ = self._new_axes() if ax is None else np.ravel(np.asarray(ax, dtype=object))
        if len(self.axes_) != 3:
            raise ValueError(f"ax must hold three axes: of gains, cosines and affinities. Got {len(self.axes_)}.")
        self.figure_ = self.axes_[0].figure
        self._draw_gains(self.axes_[0], error_kw or {})
        affinity = self.report.affinity
        between = np.abs(affinity[~np.eye(len(affinity), dtype=bool)])
        limit = between[np.isfinite(between)].max(initial=np.finfo(float).tiny)
        self._draw_table(self.axes_[1], self.report.conflict, "Cosine of gradients", 1.0, cmap)
        if np.isnan(self.report.conflict).any():
            self.axes_[1].set_xlabel("empty: too few rows in common")
        self._draw_table(self.axes_[2], affinity, "Affinity (nats per label)", limit, cmap)
        self.axes_[2].set_xlabel("fall of column's loss by row's step")
        return self

    def _new_axes(self) -> NDArray:
        n_tasks = len(self.report.task_names)
        side = max(3.2, (0.45 if n_tasks <= MOST_NUMBERED else 0.24) * n_tasks + 1.2)
        _, axes = pyplot().subplots(
            1, 3, figsize=(4.4 + 2 * (side + 1), side + 0.6), width_ratios=[4.4, side, side], layout="constrained"
        )
        return axes

    def _draw_gains(self, axes: Any, error_kw: dict[str, Any]) -> None:
        frame = self.report.frame
        axes.axvline(0, color="0.6", linewidth=1, zorder=0)
        for advice, colour in COLOURS.items():
            rows = np.flatnonzero(frame["advice"] == advice)
            gain, low, high = (frame[name].to_numpy()[rows] for name in ("gain", "gain_low", "gain_high"))
            if len(rows):
                style = {"fmt": "o", "markersize": 5, "color": colour, "label": advice, **error_kw}
                axes.errorbar(gain, rows, xerr=[gain - low, high - gain], **style)
        axes.set_yticks(range(len(frame)), self.report.task_names)
        axes.set_ylim(len(frame) - 0.4, -0.6)
        error = not METRICS[self.report.scoring].greater_is_better
        label = "relative reduction of {}" if error else "{}, joint - alone"
        axes.set(title="Gain by sharing", xlabel=label.format(self.report.scoring))
        # Below the label of the axis; the distance is in font sizes.
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4.5, ncols=3, frameon=False)

    def _draw_table(self, axes: Any, values: NDArray, title: str, limit: float, cmap: Any) -> None:
        names = self.report.task_names
        image = axes.imshow(values, cmap=cmap, vmin=-limit, vmax=limit)
        axes.figure.colorbar(image, ax=axes, fraction=0.046, pad=0.04, extend="neither" if limit == 1 else "both")
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.set_title(title)
        n_digits = max(2, 1 - floor(log10(limit)))
        if len(names) > MOST_NUMBERED or n_digits > 4:
            return
        for (row, column), value in np.ndenumerate(values):
            if np.isnan(value):
                continue
            shade = "white" if abs(value) > 0.6 * limit else "black"
            label = round(float(value), n_digits) + 0.0  # no minus before a 0
            axes.text(column, row, f"{label:.{n_digits}f}", ha="center", va="center", fontsize="x-small", color=shade)
