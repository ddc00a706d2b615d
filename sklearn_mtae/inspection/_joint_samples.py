"""Joint draws of a row's labels, before and after some of them are known."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_mtae._tables.containers import is_missing
from sklearn_mtae._tables.targets import n_dimensions, target_columns, task_position
from sklearn_mtae.nn import words

from ._columns import as_table, class_name, read_column
from ._common import GREY, OUTSIDE, PALETTE, check_can, last_step, pyplot, short

MOST_TASKS = 6
"""Number of tasks up to which panels can be read."""
MOST_BINS = 24
MOST_LETTERS = 16
"""Number of letters of classes that fit side by side below an axis."""
JITTER = 0.28
"""Largest distance of a point from the class or the count that it stands for."""
ALONE = {"color": PALETTE[0], "label": "drawn"}
BEFORE, AFTER = {"color": GREY, "label": "before"}, {"color": PALETTE[0], "label": "after"}
KNOWN = {"color": PALETTE[1], "linewidth": 1.3, "label": "known"}


class Drawn(NamedTuple):
    """The draws of a task."""

    name: str
    """Its name."""
    layers: list[NDArray]
    """Values before and, if labels are known, after; positions of classes. Each of shape (n_samples,)."""
    classes: list[str] | None
    """Names of the classes; None for numbers."""
    known: float | None
    """The label that is known, if it is."""

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        values = np.concatenate([*self.layers, [] if self.known is None else [self.known]])
        return float(values.min()), float(values.max())

    @property
    def in_steps(self) -> bool:
        """Whether values are classes, or so few whole numbers that many draws share one."""
        low, high = self.ends
        return self.classes is not None or (high - low < MOST_BINS and not any((own % 1).any() for own in self.layers))

    @property
    def edges(self) -> NDArray:
        """Edges of the intervals whose shares of the draws are shown."""
        low, high = self.ends
        if self.classes is not None:
            return np.arange(len(self.classes) + 1) - 0.5
        if self.in_steps:
            return np.arange(low - 0.5, high + 1)
        n_draws = sum(map(len, self.layers))
        return np.histogram_bin_edges([low, high], min(MOST_BINS, ceil(2 * n_draws ** (1 / 3))))  # the rule of Rice

    @property
    def limits(self) -> tuple[float, float]:
        """Ends of the axis."""
        low, high = self.edges[[0, -1]]
        margin = 0.05 * (high - low) if high > low else 0.5
        return low - margin, high + margin

    def points(self, layer: int, rng: np.random.RandomState) -> NDArray:
        """Return where the points of a layer are: values that many draws share are spread out."""
        values = self.layers[layer]
        return values + rng.uniform(-JITTER, JITTER, len(values)) if self.in_steps else values


class JointSamplesDisplay:
    """Draw joint samples of a row's labels, before and after some of them are known.

    A pair plot of two to six tasks. Below the diagonal each point is a draw of all labels of the row: grey without a
    known label, blue given those that are known, which are orange lines. On the diagonal are the shares of the draws
    over intervals, counts or classes. Where counts or classes are few, their points are spread around them.

    Parameters
    ----------
    before : array-like of shape (n_samples, n_tasks)
        Draws without a known label.
    after : array-like of shape (n_samples, n_tasks) or None, default=None
        Draws given the known labels.
    known : array-like of shape (n_tasks,) or None, default=None
        Labels that are known, NaN or None where not.
    task_names : sequence of str or None, default=None
        Names of the tasks; None is y0, y1, ...
    classes : dict of str to array-like, or None, default=None
        Classes of tasks in their order, by name. Without them, numbers are numbers and other labels are sorted.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : ndarray of shape (n_tasks, n_tasks)
        The axes, None above the diagonal.
    artists_ : ndarray of shape (n_tasks, n_tasks, 2)
        Before and after: points below the diagonal, steps on it; None elsewhere, and for the steps of a known label.

    See Also
    --------
    sklearn_mtae.MultiTaskVAERegressor.predict_samples : The draws.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn_mtae import MultiTaskVAERegressor
    >>> from sklearn_mtae.inspection import JointSamplesDisplay
    >>> X, Y = load_linnerud(return_X_y=True, as_frame=True)
    >>> model = MultiTaskVAERegressor(2, n_estimators=9, cv=3, max_iter=5, random_state=0).fit(X, Y)
    >>> known = Y[:1].assign(Waist=None, Pulse=None)  # the weight of the first man is known
    >>> display = JointSamplesDisplay.from_estimator(model, X[:1], known, random_state=0)
    >>> display.axes_[2, 0].get_xlabel(), display.axes_[2, 0].get_ylabel()
    ('Weight', 'Pulse')
    """

    figure_: Any
    axes_: NDArray
    artists_: NDArray

    def __init__(
        self,
        *,
        before: ArrayLike,
        after: ArrayLike | None = None,
        known: ArrayLike | None = None,
        task_names: Sequence[str] | None = None,
        classes: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        self.before = before
        self.after = after
        self.known = known
        self.task_names = task_names
        self.classes = classes

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y_observed: ArrayLike | None = None,
        *,
        tasks: Sequence[str | int] | None = None,
        n_samples: int = 500,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw labels of a row with and without those that are known, and plot them.

        Parameters
        ----------
        estimator : estimator
            A fitted multi-task estimator with held-out rows, or a pipeline that ends in one.
        X : array-like of shape (1, n_features)
            The row, NaN where a cell is missing.
        y_observed : array-like of shape (1, n_tasks) or None, default=None
            Labels of the row that are known, NaN or None where not.
        tasks : sequence of str or int, or None, default=None
            Two to six tasks to draw, by name or position; None takes the first six.
        n_samples : int, default=500
            Number of draws.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws. With an int, both sets of draws come from the same random numbers.
        ax : array-like of matplotlib.axes.Axes of shape (n_tasks, n_tasks), or None, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Further options of `plot`.

        Returns
        -------
        JointSamplesDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If X is not one row, if there are not two to six tasks or one is unknown, if the estimator has no
            `predict_samples` or has held out no rows, or if `y_observed` is not as y was.
        ImportError
            If matplotlib is not installed.
        """
        pyplot()
        first, final = last_step(estimator)
        check_can(final, "predict_samples")
        shape = as_table(X).shape
        if len(shape) != 2 or shape[0] != 1:
            raise ValueError(f"X must be one row, such as X[:1], of shape (1, n_features). Got shape {shape} instead.")
        chosen = _choose(tasks, final.task_names_)
        x = X if first is None else first.transform(X)
        known = None if y_observed is None else _labels(y_observed)
        if known is not None and is_missing(known).all():
            known = None
        drawn = [
            np.asarray(final.predict_samples(x, n_samples, own, random_state))[:, 0, chosen]
            for own in ([None] if known is None else [None, y_observed])
        ]
        return cls(
            before=drawn[0],
            after=drawn[1] if len(drawn) > 1 else None,
            known=None if known is None else known[chosen],
            task_names=[final.task_names_[task] for task in chosen],
            classes=_classes(final),
        ).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the samples.

        Parameters
        ----------
        ax : array-like of matplotlib.axes.Axes of shape (n_tasks, n_tasks), or None, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Further options of `matplotlib.axes.Axes.scatter`, for the points.

        Returns
        -------
        JointSamplesDisplay
            The display.

        Raises
        ------
        ValueError
            If there are not two to six tasks, or if the number of `ax` does not fit.
        ImportError
            If matplotlib is not installed.
        """
        pyplot()
        drawn = self._read()
        n_tasks = len(drawn)
        self.axes_ = _new_axes(n_tasks) if ax is None else _given_axes(ax, n_tasks)
        self.artists_ = np.full((n_tasks, n_tasks, 2), None, dtype=object)
        styles = [ALONE] if self.after is None else [BEFORE, AFTER]
        rng = np.random.RandomState(0)
        for row, column in zip(*np.tril_indices(n_tasks), strict=True):
            axes, pair = self.axes_[row, column], (drawn[column], drawn[row])
            own = (
                _draw_marginal(axes, pair[0], styles) if row == column else _draw_pair(axes, *pair, styles, rng, kwargs)
            )
            self.artists_[row, column, : len(own)] = own
        _label(self.axes_, drawn)
        self.figure_ = self.axes_[0, 0].figure
        return self

    def _read(self) -> list[Drawn]:
        """Return the draws by task."""
        layers = [target_columns(own) for own in (self.before, self.after) if own is not None]
        n_tasks = len(layers[0])
        names = [f"y{task}" for task in range(n_tasks)] if self.task_names is None else list(self.task_names)
        _check_number(list(range(n_tasks)), names)
        known = np.full(n_tasks, None) if self.known is None else np.asarray(self.known, dtype=object)
        classes = self.classes or {}
        columns = zip(names, zip(*layers, strict=True), known, strict=True)
        return [_read_task(name, list(own), label, classes.get(name)) for name, own, label in columns]


def _read_task(name: str, layers: list[NDArray], label: Any, classes: Any) -> Drawn:
    """Return the draws of a task as numbers; labels that are no numbers are classes."""
    is_known = not is_missing(np.array([label], dtype=object))[0]
    together = np.concatenate([own.astype(object) for own in [*layers, np.full(int(is_known), label, dtype=object)]])
    own = classes if classes is not None else read_column(together).classes
    if own is None:
        values = [layer.astype(np.float64) for layer in layers]
        return Drawn(name, values, None, float(label) if is_known else None)
    place = {value: position for position, value in enumerate(np.asarray(own).tolist())}
    values = [np.array([place[value] for value in layer.tolist()], dtype=np.float64) for layer in layers]
    return Drawn(name, values, [class_name(value) for value in place], float(place[label]) if is_known else None)


def _labels(y_observed: Any) -> NDArray:
    """Return the labels of a row, shape (n_tasks,)."""
    columns = target_columns(y_observed)
    if n_dimensions(y_observed) != 2 or len(columns[0]) != 1:
        shape = (len(columns[0]), len(columns)) if n_dimensions(y_observed) == 2 else (len(columns[0]),)
        raise ValueError(f"y_observed must be one row of labels, of shape (1, n_tasks). Got shape {shape} instead.")
    labels = np.empty(len(columns), dtype=object)
    labels[:] = [column[0] for column in columns]
    return labels


def _choose(tasks: Any, names: Sequence[str]) -> list[int]:
    """Return the positions of the tasks to draw."""
    if tasks is None:
        chosen = list(range(min(len(names), MOST_TASKS)))
    else:
        given: list[Any] = [tasks] if isinstance(tasks, str | int) else list(tasks)
        chosen = [task_position(task, names, "tasks") for task in given]
    _check_number(chosen, names)
    return chosen


def _check_number(chosen: list[int], names: Sequence[str]) -> None:
    """Raise an error if tasks are too few or too many for a pair plot, or one comes twice."""
    own = [names[task] for task in chosen]
    if not 2 <= len(set(own)) == len(own) <= MOST_TASKS:
        raise ValueError(f"tasks must be 2 to {MOST_TASKS} different ones. Got {words.listed(own)}.")


def _classes(estimator: Any) -> dict[str, Any]:
    """Return the classes of an estimator's tasks, by name."""
    classes = getattr(estimator, "classes_", {})
    return dict(classes) if isinstance(classes, Mapping) else dict(zip(estimator.task_names_, classes, strict=True))


def _new_axes(n_tasks: int) -> NDArray:
    """Return the axes of a new figure, without those above the diagonal."""
    side = 1.9 * n_tasks + 0.4
    _, grid = pyplot().subplots(n_tasks, n_tasks, figsize=(side, side), squeeze=False, layout="constrained")
    for row, column in zip(*np.triu_indices(n_tasks, 1), strict=True):
        grid[row, column].remove()
        grid[row, column] = None
    return grid


def _given_axes(ax: Any, n_tasks: int) -> NDArray:
    grid = np.asarray(ax, dtype=object)
    if grid.shape != (n_tasks, n_tasks):
        raise ValueError(f"ax must hold axes of shape {(n_tasks, n_tasks)}, one per pair of tasks. Got {grid.shape}.")
    lower = np.full(grid.shape, None, dtype=object)
    place = np.tril_indices(n_tasks)
    lower[place] = grid[place]
    return lower


def _draw_marginal(axes: Any, own: Drawn, styles: list[dict[str, Any]]) -> list[Any]:
    """Draw the shares of draws, and a known label as a line."""
    artists = []
    for layer, style in enumerate(styles):
        if layer and own.known is not None:
            artists.append(None)  # all draws are the known label
            continue
        shares = np.histogram(own.layers[layer], own.edges)[0] / max(1, len(own.layers[layer]))
        filled = {"fill": True, "alpha": 0.6} if layer == 0 else {"linewidth": 1.5}
        artists.append(axes.stairs(shares, own.edges, **style, **filled))
    if own.known is not None:
        axes.axvline(own.known, **KNOWN)
    axes.set(xlim=own.limits, yticks=[])
    return artists


def _draw_pair(
    axes: Any, across: Drawn, up: Drawn, styles: list[dict[str, Any]], rng: np.random.RandomState, options: Any
) -> list[Any]:
    """Draw the points of two tasks, and known labels as lines."""
    artists = []
    for layer, style in enumerate(styles):
        points = across.points(layer, rng), up.points(layer, rng)
        look = {"s": float(np.clip(4000 / max(1, len(points[0])), 2, 16)), "alpha": 0.6, "linewidths": 0}
        artists.append(axes.scatter(*points, **{**look, **style, **options}))
    if across.known is not None:
        axes.axvline(across.known, zorder=0.9, **KNOWN)
    if up.known is not None:
        axes.axhline(up.known, zorder=0.9, **KNOWN)
    axes.set(xlim=across.limits, ylim=up.limits)
    return artists


def _label(grid: NDArray, drawn: list[Drawn]) -> None:
    """Name the tasks on the left and below, and say what the colours mean where there is room."""
    last = len(drawn) - 1
    for row, column in zip(*np.tril_indices(len(drawn)), strict=True):
        axes = grid[row, column]
        _set_ticks(axes.xaxis, drawn[column], row == last, is_x=True)
        if row == last:
            axes.set_xlabel(short(drawn[column].name))
        if row == column:
            continue
        _set_ticks(axes.yaxis, drawn[row], column == 0)
        if column == 0:
            axes.set_ylabel(short(drawn[row].name))
    diagonal = [axes.get_legend_handles_labels() for axes in grid.diagonal()]
    found = {label: handle for handles in diagonal for handle, label in zip(*handles, strict=True)}
    order = [style["label"] for style in (ALONE, BEFORE, AFTER, KNOWN) if style["label"] in found]
    legend = grid[0, 0].legend([found[label] for label in order], order, **OUTSIDE)
    legend.set_in_layout(False)


def _set_ticks(axis: Any, own: Drawn, is_labelled: bool, is_x: bool = False) -> None:
    """Set ticks, one for each class; they have labels at the outer axes alone."""
    if own.classes is None:
        axis.get_major_locator().set_params(nbins=4, integer=own.in_steps)
    else:
        names = [short(name, 10) for name in own.classes]
        crowded = is_x and len(names) * max(map(len, names)) > MOST_LETTERS
        axis.set_ticks(range(len(names)), names, rotation=90 if crowded else 0)
    if not is_labelled:
        axis.set_tick_params(labelbottom=False, labelleft=False)
