"""How good drawn rows are, drawn."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_mtae.metrics import GenerationReport, generation_report

from ._common import GREY, PALETTE, pyplot, short

MOST_COLUMNS = 15
"""Columns at most whose similarity is drawn: those that are least alike."""


class GenerationReportDisplay:
    """Draw a report on drawn rows.

    On the left, each measure with its 95 % interval, and a line at its ideal. On the right, the similarity of the
    columns, the least alike on top, 15 at most.

    Parameters
    ----------
    report : GenerationReport
        What :func:`sklearn_mtae.metrics.generation_report` returns.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : ndarray of 2 matplotlib.axes.Axes
        Axes of the measures and of the columns.

    See Also
    --------
    sklearn_mtae.metrics.generation_report : What is drawn.
    SampleDisplay : The drawn rows themselves, column by column.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mtae.inspection import GenerationReportDisplay
    >>> X, _ = load_iris(return_X_y=True, as_frame=True)
    >>> display = GenerationReportDisplay.from_tables(X[::3], X[1::3], X[2::3], n_bootstraps=5, random_state=0)
    >>> [label.get_text() for label in display.axes_[0].get_yticklabels()]
    ['marginals', 'pairs', 'c2st', 'privacy']
    """

    figure_: Any
    axes_: NDArray

    def __init__(self, *, report: GenerationReport) -> None:
        self.report = report

    @classmethod
    def from_tables(
        cls,
        real: ArrayLike,
        drawn: ArrayLike,
        held_out: ArrayLike,
        *,
        target: Any = None,
        copy_missing: bool = True,
        n_bootstraps: int = 100,
        max_rows: int | None = 20_000,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
    ) -> Self:
        """Make a report and draw it.

        Parameters
        ----------
        real : array-like or data frame of shape (n_rows, n_columns)
            Rows that the model was fitted to, NaN where a cell is missing.
        drawn : array-like or data frame of shape (n_drawn, n_columns)
            Rows that it has drawn.
        held_out : array-like or data frame of shape (n_held_out, n_columns)
            Real rows that it has not seen.
        target : str, int or None, default=None
            Name of a column to learn, or its position in arrays.
        copy_missing : bool, default=True
            Whether drawn rows without missing cells get those of real ones.
        n_bootstraps : int, default=100
            Resamples of the rows behind each interval.
        max_rows : int or None, default=20000
            Rows of each table at most; None takes all.
        random_state : int, RandomState instance or None, default=None
            Seed of all that is random.
        ax : array-like of 2 matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        GenerationReportDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the report cannot be made.
        ImportError
            If matplotlib is not installed.
        """
        pyplot()
        options = {"copy_missing": copy_missing, "n_bootstraps": n_bootstraps, "max_rows": max_rows}
        report = generation_report(real, drawn, held_out, target=target, random_state=random_state, **options)
        return cls.from_report(report, ax=ax)

    @classmethod
    def from_report(cls, report: GenerationReport, *, ax: Any = None) -> Self:
        """Draw a report.

        Parameters
        ----------
        report : GenerationReport
            What :func:`sklearn_mtae.metrics.generation_report` returns.
        ax : array-like of 2 matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        GenerationReportDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        return cls(report=report).plot(ax=ax)

    def plot(self, *, ax: Any = None, error_kw: dict[str, Any] | None = None) -> Self:
        """Draw the report.

        Parameters
        ----------
        ax : array-like of 2 matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a figure.
        error_kw : dict or None, default=None
            Further options of `matplotlib.axes.Axes.errorbar`, for the measures.

        Returns
        -------
        GenerationReportDisplay
            The display.

        Raises
        ------
        ValueError
            If `ax` does not hold two axes.
        ImportError
            If matplotlib is not installed.
        """
        if ax is None:
            _, ax = pyplot().subplots(1, 2, figsize=(9, 3.4), layout="constrained")
        self.axes_ = np.ravel(np.asarray(ax, dtype=object))
        if len(self.axes_) != 2:
            raise ValueError(f"ax must hold two axes: of measures and of columns. Got {len(self.axes_)}.")
        self.figure_ = self.axes_[0].figure
        self._draw_measures(self.axes_[0], error_kw or {})
        self._draw_columns(self.axes_[1])
        return self

    def _draw_measures(self, axes: Any, error_kw: dict[str, Any]) -> None:
        measures = self.report.measures
        score, low, high, ideal = np.array(list(measures.values())).T
        rows = np.arange(len(measures))
        axes.vlines(ideal, rows - 0.35, rows + 0.35, color=PALETTE[1], linewidth=2, label="ideal")
        # An interval that is that of a difference need not hold the score.
        axes.hlines(rows, low, high, color=PALETTE[0], linewidth=2)
        axes.errorbar(score, rows, **{"fmt": "o", "color": PALETTE[0], "label": "drawn rows", **error_kw})
        axes.set_yticks(rows, list(measures))
        axes.set(ylim=(len(measures) - 0.4, -0.6), xlim=(min(-0.03, low.min(), score.min()), 1.03), xlabel="score")
        axes.set_title("Measures")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4.5, ncols=2, frameon=False)

    def _draw_columns(self, axes: Any) -> None:
        each = self.report.marginals
        worst = sorted(each, key=each.__getitem__)[:MOST_COLUMNS]
        rows = np.arange(len(worst))
        axes.barh(rows, [each[name] for name in worst], color=GREY)
        axes.set_yticks(rows, [short(name) for name in worst])
        axes.set(ylim=(len(worst) - 0.4, -0.6), xlim=(0, 1.03), xlabel="similarity")
        axes.set_title("Columns" if len(worst) == len(each) else f"{len(worst)} of {len(each)} columns")
