"""Whether drawn rows look like real ones."""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from ._columns import Column, as_table, class_name, column_names, read_columns, to_numbers
from ._common import PALETTE, add_legend, check_can, check_features, last_step, many_axes, note_omitted, pyplot, short
from ._images import check_image_shape, draw_images, value_range

N_IMAGES = 40
MOST_BINS = 24
MOST_CLASSES = 8
"""Classes of a column that have a bar each."""
MOST_LETTERS = 24
"""Letters that fit below an axis side by side."""
LAYERS = (
    {"fill": True, "color": PALETTE[4], "alpha": 0.6, "label": "real"},
    {"color": PALETTE[5], "linewidth": 1.5, "label": "drawn"},
)


class SampleDisplay:
    """Draw rows that the model has made up, beside real ones.

    Images are drawn as a grid, in the range of real ones. Of a table, each column has its own axes: the shares of real
    rows as filled bars, those of drawn rows as a line, over intervals or over classes. Missing cells are left out.
    Drawn values that lie beyond the real ones by more than half of their range count in the outermost interval; of more
    than 8 classes, all but the 7 most frequent are one.

    Parameters
    ----------
    drawn : array-like of shape (n_samples, n_features)
        Rows that the model has made up.
    real : array-like of shape (n_rows, n_features)
        Real rows, NaN where a cell is missing.
    feature_names : sequence of str or None, default=None
        Names of the columns; None takes those of a frame, otherwise x0, x1, ...
    image_shape : tuple of int or None, default=None
        (height, width) of rows that are images, or (height, width, 3) of colours.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : ndarray of matplotlib.axes.Axes
        The axes of each column, or those of all images.
    artists_ : ndarray
        The steps of real and drawn values, shape (n_columns, 2); or the images, shape (n_samples,).

    See Also
    --------
    ReconstructionDisplay : Rows that the model gives back.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mtae import VAETransformer
    >>> from sklearn_mtae.inspection import SampleDisplay
    >>> X, _ = load_iris(return_X_y=True, as_frame=True)
    >>> vae = VAETransformer(n_components=2, hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(X)
    >>> display = SampleDisplay.from_estimator(vae, X, random_state=0)
    >>> display.axes_[0].get_title()
    'sepal length (cm)'
    """

    figure_: Any
    axes_: NDArray
    artists_: NDArray

    def __init__(
        self,
        *,
        drawn: ArrayLike,
        real: ArrayLike,
        feature_names: Sequence[str] | None = None,
        image_shape: Sequence[int] | None = None,
    ) -> None:
        self.drawn = drawn
        self.real = real
        self.feature_names = feature_names
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        n_samples: int | None = None,
        image_shape: Sequence[int] | None = None,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw rows from the model, and draw them on axes.

        Parameters
        ----------
        estimator : estimator
            A fitted variational estimator, or a pipeline of steps with `inverse_transform` that ends in one.
        X : array-like of shape (n_rows, n_features)
            Real rows, NaN where a cell is missing.
        n_samples : int or None, default=None
            Number of rows to make up; None is 40 images, or as many rows as X has.
        image_shape : tuple of int or None, default=None
            (height, width) of rows that are images, or (height, width, 3) of colours.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.
        ax : matplotlib.axes.Axes, array-like of them or None, default=None
            Where to draw: axes for the images, or as many as columns; None makes a figure.
        **kwargs : dict
            Further options of `plot`.

        Returns
        -------
        SampleDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `image_shape`, `n_samples` or the number of `ax` does not fit, or if the estimator has no `sample`.
        ImportError
            If matplotlib is not installed.
        """
        pyplot()
        before, final = last_step(estimator)
        check_can(final, "sample")
        table = as_table(X)
        if image_shape is not None:
            check_image_shape(image_shape, table.shape[1])
        if n_samples is None:
            n_samples = table.shape[0] if image_shape is None else N_IMAGES
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        drawn = final.sample(n_samples, random_state=random_state)
        drawn = drawn[0] if isinstance(drawn, tuple) else drawn  # a multi-task model draws targets too
        if before is not None:
            check_can(before, "inverse_transform")
            drawn = before.inverse_transform(drawn)
        return cls(drawn=drawn, real=table, image_shape=image_shape).plot(ax=ax, **kwargs)

    def plot(self, *, features: Sequence[int | str] | None = None, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the rows.

        Parameters
        ----------
        features : sequence of int or str, or None, default=None
            Columns of a table to draw, by number or by name; None takes the first 12.
        ax : matplotlib.axes.Axes, array-like of them or None, default=None
            Where to draw: axes for the images, or as many as columns; None makes a figure.
        **kwargs : dict
            Further options of `matplotlib.axes.Axes.imshow` for images, of `stairs` for a table.

        Returns
        -------
        SampleDisplay
            The display.

        Raises
        ------
        ValueError
            If `image_shape`, `features` or the number of `ax` does not fit.
        ImportError
            If matplotlib is not installed.
        """
        pyplot()
        draw = self._draw_table if self.image_shape is None else self._draw_images
        draw(features, ax, kwargs)
        self.figure_ = self.axes_[0].figure
        return self

    def _draw_images(self, features: Any, ax: Any, options: dict[str, Any]) -> None:
        drawn = to_numbers(self.drawn)
        shape = check_image_shape(self.image_shape, drawn.shape[1])
        n_rows = max(1, round(np.sqrt(len(drawn) / 2)))
        grid = np.array_split(drawn, n_rows)  # rows differ by one image at most
        axes, self.artists_ = draw_images(ax, grid, shape, value_range(to_numbers(self.real)), options)
        axes.set_yticks([])
        self.axes_ = np.array([axes], dtype=object)

    def _draw_table(self, features: Sequence[int | str] | None, ax: Any, options: dict[str, Any]) -> None:
        table = as_table(self.real)
        names = column_names(self.feature_names, table, table.shape[1])
        chosen = check_features(features, names)
        real, drawn = (read_columns(rows, chosen) for rows in (table, self.drawn))
        self.axes_ = many_axes(ax, len(chosen), 2.5, 2.1, beside=0.9)
        self.artists_ = np.empty((len(chosen), 2), dtype=object)
        for place, (column, axes) in enumerate(zip(chosen, self.axes_, strict=True)):
            share = _over_intervals if real[place].classes is None else _over_classes
            edges, shares = share(axes, real[place], drawn[place])
            for layer, style in enumerate(LAYERS):
                self.artists_[place, layer] = axes.stairs(shares[layer], edges, **{**style, **options})
            axes.set_title(short(names[column]), fontsize="medium")
            axes.set(yticks=[])
        add_legend(self.axes_, ax is None)
        if ax is None:
            self.axes_[0].figure.supylabel("share of rows", fontsize="medium")
            note_omitted(self.axes_, len(chosen), len(names))


def _over_intervals(axes: Any, real: Column, drawn: Column) -> tuple[NDArray, list[NDArray]]:
    """Return the edges of intervals, one per value of a few whole numbers, and the share of rows in each."""
    values = [column.values[column.observed] for column in (real, drawn)]
    whole = not any((part % 1).any() for part in values)
    low, high = value_range(values[0])
    if high > low:  # a few extreme draws would leave no room for the rest
        margin = ceil((high - low) / 2) if whole else (high - low) / 2
        values[1] = values[1].clip(low - margin, high + margin)
    together = np.concatenate(values)
    low, high = value_range(together)
    whole &= high - low < MOST_BINS
    n_bins = min(MOST_BINS, ceil(2 * len(together) ** (1 / 3)))  # the rule of Rice
    edges = np.arange(low - 0.5, high + 1) if whole else np.histogram_bin_edges(together, n_bins)
    axes.xaxis.get_major_locator().set_params(nbins=4, integer=whole)
    return edges, [np.histogram(part, edges)[0] / max(1, len(part)) for part in values]


def _over_classes(axes: Any, real: Column, drawn: Column) -> tuple[NDArray, list[NDArray]]:
    """Return the edges of bars, and the share of rows in each with NaN for the gap after it."""
    counts = [Counter(column.values[column.observed].tolist()) for column in (real, drawn)]
    groups = _groups([*(real.classes or []), *(c for c in drawn.classes or [] if c not in counts[0])], counts[0])
    names = [short(name, 10) for name, _ in groups]
    crowded = len(names) * max(map(len, names)) > MOST_LETTERS
    axes.set_xticks(range(len(names)), names, rotation=90 if crowded else 0)
    edges = np.ravel(np.arange(len(groups))[:, None] + [-0.4, 0.4])
    shares = []
    for count in counts:
        bars = np.full(len(edges) - 1, np.nan)
        bars[::2] = [sum(count[label] for label in labels) / max(1, count.total()) for _, labels in groups]
        shares.append(bars)
    return edges, shares


def _groups(classes: list[Any], counts: Counter) -> list[tuple[str, list[Any]]]:
    """Return the name and the classes of each bar: the most frequent classes, and the others together."""
    if len(classes) <= MOST_CLASSES:
        return [(class_name(label), [label]) for label in classes]
    frequent = {label for label, _ in counts.most_common(MOST_CLASSES - 1)}
    shown = [(class_name(label), [label]) for label in classes if label in frequent]
    return [*shown, ("others", [label for label in classes if label not in frequent])]
