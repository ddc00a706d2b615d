"""The meaning of a component of the code."""

from collections.abc import Mapping, Sequence
from itertools import cycle, groupby, pairwise
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from sklearn_mtae._tables.describe import describe
from sklearn_mtae.nn import words

from ._columns import class_name, column_names, read_columns, to_numbers
from ._common import GREY, PALETTE, add_legend, check_can, check_components, label_sides, many_axes, pyplot, short
from ._images import check_image_shape, draw_images, name_rows, value_range

MOST_COMPONENTS = 8
"""Number of components that are drawn by default."""
MOST_LINES = 7
"""Number of columns with their own colour."""
MOST_STRIPS = 4
"""Number of columns of classes that are drawn."""
STRIP = 0.11
"""Height of such a strip, as a share of the lines' axes."""
SHADES = ("0.82", "#CFE3F2", "#F6DFC4", "#CFEADF", "#F0DCE8")
"""Colours of classes, pale enough to read their names on."""
LETTERS = 26
"""Number of letters that fit into a strip."""


class TraversalDisplay:
    """Vary one component of a code at a time, and draw the decoded rows.

    Images are drawn in rows, one per component, from low to high (Burgess et al. 2018, arXiv 1804.03599). For a table,
    each component has its own axes with a line per column, in standard deviations from the column's mean. The 7 columns
    that change most have a colour each, and the others are grey. Columns of classes are strips below the lines, with
    the class at each step; at most 4 of those that change most are drawn, and the title names the others.

    Parameters
    ----------
    values : array-like of shape (n_components, n_steps)
        Values of each varied component.
    decoded : array-like of shape (n_components, n_steps, n_features)
        Decoded rows; NaN for columns that are not numbers.
    classes : dict of int to array-like of shape (n_components, n_steps), or None, default=None
        Decoded classes of the columns that are not numbers, by the number of the column.
    components : sequence of int or None, default=None
        Numbers of the components; None counts from 0.
    location : array-like of shape (n_features,) or None, default=None
        Means of the columns; None is 0.
    scale : array-like of shape (n_features,) or None, default=None
        Standard deviations of the columns, NaN for a column that is left out; None is 1.
    feature_names : sequence of str or None, default=None
        Names of the columns; None is x0, x1, ...
    image_shape : tuple of int or None, default=None
        (height, width) of rows that are images, or (height, width, 3) of colours.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : ndarray of matplotlib.axes.Axes
        The axes of each component, or those of all images.
    artists_ : ndarray
        The lines of a table, shape (n_components, n_features), None for a column that is left out; or the images, shape
        (n_components, n_steps).
    strips_ : dict of int to list of matplotlib.text.Text
        Names of the classes in the strips of each column of classes that is drawn.

    See Also
    --------
    LatentDisplay : The positions of rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mtae import VAETransformer
    >>> from sklearn_mtae.inspection import TraversalDisplay
    >>> X, _ = load_iris(return_X_y=True, as_frame=True)
    >>> vae = VAETransformer(n_components=2, hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(X)
    >>> display = TraversalDisplay.from_estimator(vae, X, components=[0, 1])
    >>> [axes.get_title() for axes in display.axes_]
    ['component 0', 'component 1']
    """

    figure_: Any
    axes_: NDArray
    artists_: NDArray
    strips_: dict[int, list[Any]]

    def __init__(
        self,
        *,
        values: ArrayLike,
        decoded: ArrayLike,
        classes: Mapping[int, ArrayLike] | None = None,
        components: Sequence[int] | None = None,
        location: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        feature_names: Sequence[str] | None = None,
        image_shape: Sequence[int] | None = None,
    ) -> None:
        self.values = values
        self.decoded = decoded
        self.classes = classes
        self.components = components
        self.location = location
        self.scale = scale
        self.feature_names = feature_names
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        components: Sequence[int] | None = None,
        row: int | None = None,
        n_steps: int = 7,
        limits: tuple[float, float] = (0.05, 0.95),
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Decode codes that differ in one component from the mean code, and draw the result.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with `transform` and `inverse_transform`, or a pipeline of such.
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing; their codes determine the range of each component.
        components : sequence of int or None, default=None
            Numbers of the components to vary; None takes the 8 whose codes vary most, in this order.
        row : int or None, default=None
            Number of the row of X whose code is the starting point; None takes the mean code.
        n_steps : int, default=7
            Number of values per component.
        limits : tuple of float, default=(0.05, 0.95)
            Quantiles of a component's codes between which it varies, in equal steps.
        image_shape : tuple of int or None, default=None
            (height, width) of rows that are images, or (height, width, 3) of colours.
        ax : matplotlib.axes.Axes, array-like of them or None, default=None
            Where to draw: axes for the images, or as many as components; None makes a figure.
        **kwargs : dict
            Further options of `plot`.

        Returns
        -------
        TraversalDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a parameter or the number of `ax` does not fit, or if the estimator lacks a method.
        ImportError
            If matplotlib is not installed.
        """
        pyplot()
        check_can(estimator, "transform", "inverse_transform")
        check_scalar(n_steps, "n_steps", Integral, min_val=2)
        if np.shape(limits) != (2,) or not 0 <= limits[0] < limits[1] <= 1:
            raise ValueError(f"limits must be two quantiles, 0 <= low < high <= 1. Got {words.short(limits)} instead.")
        table = to_numbers(X)
        if image_shape is not None:
            check_image_shape(image_shape, table.shape[1])
        codes = np.asarray(estimator.transform(X))
        chosen = _most_varying(codes) if components is None else check_components(components, codes.shape[1])
        low, high = np.quantile(codes[:, chosen], limits, axis=0)
        values = np.linspace(low, high, n_steps, axis=1)
        moved = np.tile(_start(codes, row), (len(chosen), n_steps, 1))
        for place, component in enumerate(chosen):
            moved[place, :, component] = values[place]
        rows = estimator.inverse_transform(moved.reshape(-1, codes.shape[1]))
        decoded = to_numbers(rows)
        shape = values.shape
        columns = describe(table)
        return cls(
            values=values,
            decoded=decoded.reshape(*shape, -1),
            classes={column: labels.reshape(shape) for column, labels in to_classes(rows, decoded).items()},
            components=chosen,
            location=columns.mean,
            scale=np.where(columns.n_observed > 0, columns.deviation, np.nan),
            feature_names=column_names(None, X, table.shape[1]),
            image_shape=image_shape,
        ).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the decoded rows.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, array-like of them or None, default=None
            Where to draw: axes for the images, or as many as components; None makes a figure.
        **kwargs : dict
            Further options of `matplotlib.axes.Axes.imshow` for images, of `plot` for the lines of a table.

        Returns
        -------
        TraversalDisplay
            The display.

        Raises
        ------
        ValueError
            If `image_shape` or the number of `ax` does not fit.
        ImportError
            If matplotlib is not installed.
        """
        pyplot()
        self.strips_ = {}
        values, decoded = np.asarray(self.values), np.asarray(self.decoded)
        components = range(len(values)) if self.components is None else self.components
        names = [f"component {component}" for component in components]
        draw = self._draw_lines if self.image_shape is None else self._draw_images
        draw(values, decoded, names, ax, kwargs)
        self.figure_ = self.axes_[0].figure
        return self

    def _draw_images(
        self, values: NDArray, decoded: NDArray, names: list[str], ax: Any, options: dict[str, Any]
    ) -> None:
        shape = check_image_shape(self.image_shape, decoded.shape[-1])
        axes, images = draw_images(ax, list(decoded), shape, value_range(decoded), options)
        self.artists_ = images.reshape(decoded.shape[:2])
        ranges = [
            f"{name}\n{low:.2g} to {high:.2g}" for name, low, high in zip(names, *values[:, [0, -1]].T, strict=True)
        ]
        name_rows(axes, ranges, shape[0])
        self.axes_ = np.array([axes], dtype=object)

    def _draw_lines(
        self, values: NDArray, decoded: NDArray, names: list[str], ax: Any, options: dict[str, Any]
    ) -> None:
        n_features = decoded.shape[-1]
        features = column_names(self.feature_names, None, n_features)
        location, scale = (0.0 if self.location is None else self.location, 1.0 if self.scale is None else self.scale)
        lines = (decoded - np.asarray(location)) / np.asarray(scale)
        styles = _styles(lines, features)
        self.axes_ = many_axes(ax, len(values), 2.6, 2.5, beside=2.4, sharey=True)
        self.artists_ = np.full((len(values), n_features), None, dtype=object)
        for place, (axes, name) in enumerate(zip(self.axes_, names, strict=True)):
            for column, style in styles.items():
                (line,) = axes.plot(values[place], lines[place, :, column], **{**style, **options})
                self.artists_[place, column] = line
            axes.set_title(name, fontsize="medium")
        left_out = self._draw_strips(values, features)
        if left_out:
            self.axes_[0].figure.suptitle(f"left out: {', '.join(map(short, left_out))}", fontsize="small")
        label_sides(self.axes_, ax is None, "code", "decoded, in standard deviations")
        add_legend(self.axes_, ax is None)

    def _draw_strips(self, values: NDArray, features: list[str]) -> list[str]:
        """Draw the columns of classes that change most below the lines; return the names of the others."""
        classes = {column: np.asarray(labels, dtype=object) for column, labels in (self.classes or {}).items()}
        order = sorted(classes, key=lambda column: -_n_changes(classes[column]))
        self.strips_ = {column: [] for column in order[:MOST_STRIPS]}
        low, high = self.axes_[0].get_ylim()
        height = (high - low) * STRIP
        for number, column in enumerate(self.strips_):
            colours = dict(zip(dict.fromkeys(classes[column].ravel().tolist()), cycle(SHADES), strict=False))
            place = low - (number + 0.5) * height
            for axes, steps, labels in zip(self.axes_, values, classes[column].tolist(), strict=True):
                self.strips_[column] += _draw_strip(axes, steps, labels, colours, place, height)
            style = {"transform": self.axes_[-1].get_yaxis_transform(), "va": "center", "fontsize": "small"}
            self.axes_[-1].text(1.02, place, short(features[column]), **style)
        for axes in self.axes_:
            axes.set_ylim(low - len(self.strips_) * height, high)
        return [features[column] for column in order[MOST_STRIPS:]]


def to_classes(table: Any, numbers: NDArray) -> dict[int, NDArray]:
    """Return the columns of a table that are classes rather than numbers, by their number."""
    columns = np.flatnonzero(np.isnan(numbers).all(axis=0)).tolist()
    found = zip(columns, read_columns(table, columns), strict=True)
    return {column: found.values for column, found in found if found.classes is not None}


def _n_changes(labels: NDArray) -> int:
    """Count the steps at which the decoded class changes."""
    return int((labels[:, 1:] != labels[:, :-1]).sum())


def _draw_strip(
    axes: Any, steps: NDArray, labels: list[Any], colours: dict[Any, str], place: float, height: float
) -> list[Any]:
    """Draw the class at each step, and name each run of steps with the same class."""
    middles = (steps[1:] + steps[:-1]) / 2
    edges = [steps[0], *middles[[one != two for one, two in pairwise(labels)]], steps[-1]]
    runs = [label for label, _ in groupby(labels)]
    texts = []
    for label, (left, right) in zip(runs, pairwise(edges), strict=True):
        axes.barh(place, right - left, 0.9 * height, left=left, color=colours[label], zorder=0.5)
        n_letters = max(2, int(LETTERS * (right - left) / np.ptp(steps))) if np.ptp(steps) else LETTERS
        name = short(class_name(label), n_letters)
        texts.append(axes.text((left + right) / 2, place, name, ha="center", va="center", fontsize="x-small"))
    return texts


def _most_varying(codes: NDArray) -> list[int]:
    """Return the components whose codes vary most."""
    return np.argsort(-codes.std(axis=0), kind="stable")[:MOST_COMPONENTS].tolist()


def _start(codes: NDArray, row: int | None) -> NDArray:
    """Return the code from which all others differ in one component."""
    if row is None:
        return codes.mean(axis=0)
    return codes[check_scalar(row, "row", Integral, min_val=0, max_val=len(codes) - 1)]


def _styles(lines: NDArray, names: list[str]) -> dict[int, dict[str, Any]]:
    """Return the style of each column of numbers, those that change most first."""
    numbers = np.flatnonzero(~np.isnan(lines).all(axis=(0, 1)))
    change = np.ptp(lines[..., numbers], axis=1).max(axis=0)
    order = numbers[np.argsort(-change, kind="stable")].tolist()
    named, others = order[:MOST_LINES], order[MOST_LINES:]
    coloured = {column: {"color": PALETTE[place], "label": short(names[column])} for place, column in enumerate(named)}
    pale = {"color": GREY, "linewidth": 0.8, "zorder": 1.5}
    labels = [f"{len(others)} others", *["_"] * len(others)]  # one of them represents all in the legend
    return coloured | {column: {**pale, "label": label} for column, label in zip(others, labels, strict=False)}
