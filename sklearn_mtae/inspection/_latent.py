"""The position of rows in the space of the codes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from inspect import signature
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length

from sklearn_mtae._tables.targets import n_dimensions, target_columns
from sklearn_mtae.nn import words

from ._columns import Column, class_name, read_column
from ._common import GREY, OUTSIDE, PALETTE, check_can, check_components, last_step, one_axes, pyplot, short

COLOURS = (*PALETTE, "#882255", "#999933", "#332288", "#44AA99")
"""A colour for each class, twelve of them: no two of ten digits look alike."""
MARKERS = ("o", "s")
"""A marker for each cycle through the colours."""
MOST_CLASSES = len(COLOURS) * len(MARKERS)
MOST_NUMBERED = 12
"""Number of distinct whole numbers up to which they are classes."""


class LatentDisplay:
    """Draw the codes of rows in the plane of two components, coloured by a label.

    By default, the components are the most informative ones: the two with the largest rate, if the estimator has rates,
    as variational ones do. The axes state the rate, the mean over the rows of KL(q(z_j given x), p(z_j)). Strings,
    booleans, categories and up to 12 distinct whole numbers are classes, with a legend; other numbers have a colour
    bar. Rows without a label are grey. If there are more than 24 classes, the 23 most frequent have a colour each.

    Parameters
    ----------
    codes : array-like of shape (n_samples, 2)
        Two components of the codes.
    y : array-like of shape (n_samples,) or None, default=None
        Labels; NaN, None or pandas.NA where one is missing.
    std : array-like of shape (n_samples, 2) or None, default=None
        Standard deviations of the codes' distributions; None draws no ellipses.
    components : tuple of int, default=(0, 1)
        Numbers of the two components, for the names of the axes.
    rates : array-like of shape (2,) or None, default=None
        Rates of the two components in nats, for the names of the axes; None leaves them out.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    ax_ : matplotlib.axes.Axes
        The axes.
    scatters_ : list of matplotlib.collections.PathCollection
        The points: first those without a label, if any, then those of each class, or of all numbers.
    ellipses_ : list of matplotlib.collections.EllipseCollection
        The ellipses of each of these; empty without `std`.

    See Also
    --------
    TraversalDisplay : The meaning of a component.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mtae import VAETransformer
    >>> from sklearn_mtae.inspection import LatentDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> vae = VAETransformer(n_components=2, hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(X)
    >>> display = LatentDisplay.from_estimator(vae, X, y)
    >>> display.ax_.get_xlabel()
    'component 0, rate 0.0... nats'
    >>> len(display.scatters_)
    3
    """

    figure_: Any
    ax_: Any
    scatters_: list[Any]
    ellipses_: list[Any]

    def __init__(
        self,
        *,
        codes: ArrayLike,
        y: ArrayLike | None = None,
        std: ArrayLike | None = None,
        components: Sequence[int] = (0, 1),
        rates: ArrayLike | None = None,
    ) -> None:
        self.codes = codes
        self.y = y
        self.std = std
        self.components = components
        self.rates = rates

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        components: Sequence[int] | None = None,
        std: bool = False,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Encode rows and draw their codes.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with `transform`, or a pipeline that ends in one.
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y : array-like of shape (n_samples,) or None, default=None
            Labels of the rows; NaN, None or pandas.NA where one is missing.
        components : tuple of int or None, default=None
            Numbers of the two components; None takes the two with the largest rate, the larger one first, or the first
            two if there are no rates.
        std : bool, default=False
            Whether to draw each row's ellipse of one posterior standard deviation; variational estimators have them.
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Further options of `plot`.

        Returns
        -------
        LatentDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `components` are not two of the components, if `y` is not one column with a label per row, or if the
            estimator has no `transform`, or lacks requested standard deviations.
        ImportError
            If matplotlib is not installed.
        """
        pyplot()
        check_can(estimator, "transform")
        codes, deviation = _encode(estimator, X, std)
        rates = _rates(estimator, X, codes.shape[1])
        if components is None:
            components = (0, 1) if rates is None else np.argsort(-rates, kind="stable")[:2].tolist()
        chosen = check_components(components, codes.shape[1])
        if len(chosen) != 2:
            raise ValueError(f"components must be two numbers. Got {words.short(components)} instead.")
        check_consistent_length(codes, y)
        parts = {"codes": codes[:, chosen], "std": None if deviation is None else deviation[:, chosen]}
        known = None if rates is None else rates[chosen]
        return cls(**parts, y=y, components=tuple(chosen), rates=known).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, cmap: Any = "viridis", **kwargs: Any) -> Self:
        """Draw the codes.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a figure in which units have the same length on both axes.
        cmap : str or matplotlib.colors.Colormap, default="viridis"
            Colours of numbers.
        **kwargs : dict
            Further options of `matplotlib.axes.Axes.scatter`.

        Returns
        -------
        LatentDisplay
            The display.

        Raises
        ------
        ValueError
            If `y` is not one column.
        ImportError
            If matplotlib is not installed.
        """
        pyplot()
        codes = np.asarray(self.codes)
        groups = list(self._groups(cmap))
        self.ax_ = one_axes(ax, 5.2 + (self.y is not None) * 1.4 * _legend_columns(len(groups)), 4.6)
        self.figure_ = self.ax_.figure
        self.scatters_, self.ellipses_ = [], []
        style = {"s": np.clip(2e4 / max(1, len(codes)), 4, 25), "alpha": 0.8, "linewidths": 0}
        for rows, own in groups:
            points = {name: value for name, value in own.items() if name != "outline"}
            self.scatters_.append(self.ax_.scatter(*codes[rows].T, **{**style, **points, **kwargs}))
            self._draw_ellipses(codes, rows, own["outline"])
        self._draw_key()
        x_label, y_label = self._names()
        self.ax_.set(xlabel=x_label, ylabel=y_label)
        if ax is None:
            self.ax_.set_aspect("equal", adjustable="datalim")
        return self

    def _names(self) -> list[str]:
        names = [f"component {component}" for component in self.components]
        if self.rates is None:
            return names
        return [f"{name}, rate {rate:.2g} nats" for name, rate in zip(names, np.asarray(self.rates), strict=True)]

    def _groups(self, cmap: Any) -> Iterator[tuple[NDArray, dict[str, Any]]]:
        """Yield the rows and the style of each scatter; its outline is the colour of its ellipses."""
        if self.y is None:
            yield np.arange(len(np.asarray(self.codes))), {"color": PALETTE[0], "outline": PALETTE[0]}
            return
        column = _label_column(self.y)
        if not column.observed.all():
            yield np.flatnonzero(~column.observed), {"color": GREY, "outline": GREY, "label": "no label"}
        if column.classes is None:
            rows = np.flatnonzero(column.observed)
            yield rows, {"c": column.values[rows], "cmap": cmap, "outline": "0.6"}
            return
        for number, (name, labels) in enumerate(_shown_classes(column)):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number // len(COLOURS)]
            rows = np.flatnonzero([label in labels for label in column.values.tolist()])
            yield rows, {"color": colour, "marker": marker, "outline": colour, "label": name}

    def _draw_ellipses(self, codes: NDArray, rows: NDArray, colour: str) -> None:
        if self.std is None:
            return
        from matplotlib.collections import EllipseCollection

        width, height = 2 * np.asarray(self.std)[rows].T
        where = {"units": "xy", "offsets": codes[rows], "offset_transform": self.ax_.transData}
        style = {"facecolors": "none", "edgecolors": colour, "linewidths": 0.6, "alpha": 0.5, "zorder": 0.9}
        self.ellipses_.append(self.ax_.add_collection(EllipseCollection(width, height, 0, **where, **style)))

    def _draw_key(self) -> None:
        name = None if self.y is None else getattr(self.y, "name", None)
        numbers = [scatter for scatter in self.scatters_ if scatter.get_array() is not None]
        if numbers:
            self.figure_.colorbar(numbers[0], ax=self.ax_, label=None if name is None else str(name))
        n_labels = len(self.ax_.get_legend_handles_labels()[1])
        if not n_labels:
            return
        # A colour bar takes the place of the legend.
        place = {**OUTSIDE, **({"loc": "lower right", "bbox_to_anchor": (1, 1)} if numbers else {"title": name})}
        self.ax_.legend(**place, ncols=_legend_columns(n_labels), markerscale=1.5, handletextpad=0.2)


def _legend_columns(n_labels: int) -> int:
    return 1 + (n_labels - 1) // 16


def _encode(estimator: Any, X: Any, with_std: bool) -> tuple[NDArray, NDArray | None]:
    """Return codes and, if requested, their standard deviations."""
    if not with_std:
        return np.asarray(estimator.transform(X)), None
    before, final = last_step(estimator)
    if "return_std" not in signature(final.transform).parameters:
        raise ValueError(
            f"std=True needs an estimator whose codes are distributions. Got {words.short(final)} instead."
        )
    codes, deviation = final.transform(X if before is None else before.transform(X), return_std=True)
    return np.asarray(codes), np.asarray(deviation)


def _rates(estimator: Any, X: Any, n_components: int) -> NDArray | None:
    """Return the rate of each component, None if the estimator has no rates."""
    before, final = last_step(estimator)
    if not hasattr(final, "diagnose"):
        return None
    rates = final.diagnose(X if before is None else before.transform(X)).rate_per_component
    return rates if len(rates) == n_components else None


def _label_column(y: Any) -> Column:
    """Return the labels; a few distinct whole numbers are classes."""
    if n_dimensions(y) > 1:
        if len(target_columns(y)) > 1:
            raise ValueError(f"y must be one column: of several tasks, choose one. Got {len(target_columns(y))}.")
        y = target_columns(y)[0]
    column = read_column(y)
    if column.classes is not None:
        return column
    different = np.unique(column.values[column.observed])
    if len(different) > MOST_NUMBERED or (different % 1).any():
        return column
    return column._replace(classes=different.tolist())


def _shown_classes(column: Column) -> list[tuple[str, set[Any]]]:
    """Return the name of each class and its members; if there are too many, rare classes are merged."""
    assert column.classes is not None
    if len(column.classes) <= MOST_CLASSES:
        return [(short(class_name(label)), {label}) for label in column.classes]
    counts = Counter(column.values[column.observed].tolist())
    frequent = {label for label, _ in counts.most_common(MOST_CLASSES - 1)}
    shown = [(short(class_name(label)), {label}) for label in column.classes if label in frequent]
    return [*shown, (f"{len(counts) - len(frequent)} others", set(counts) - frequent)]
