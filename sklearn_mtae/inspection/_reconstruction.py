"""What the code retains of a row."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix, r2_score
from sklearn.utils import check_scalar

from sklearn_mtae._tables.checks import safe_indexing

from ._columns import Column, as_numbers, as_table, class_name, column_names, read_column, read_columns, to_numbers
from ._common import PALETTE, check_can, check_features, label_sides, many_axes, note_omitted, pyplot, short
from ._images import check_image_shape, draw_images, name_rows, value_range

MOST_NAMED = 6
"""Number of classes up to which the axes name them."""


class ReconstructionDisplay:
    """Draw rows beside their reconstructions.

    Images are drawn in pairs, the original above; a missing cell is orange. For a table, each column has its own axes,
    with the original on one and the reconstruction on the other, and R2 over the rows; a cell that is missing in the
    original has no point. A column of classes is shown as a table: the share of each class that is reconstructed as
    each class.

    Parameters
    ----------
    original : array-like of shape (n_samples, n_features)
        Rows, NaN where a cell is missing.
    reconstruction : array-like of shape (n_samples, n_features)
        Their reconstructions.
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
        The points of each column (or its table), or the images, shape (2, n_samples).

    See Also
    --------
    SampleDisplay : Rows that the model draws.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mtae import AutoencoderTransformer
    >>> from sklearn_mtae.inspection import ReconstructionDisplay
    >>> X, _ = load_iris(return_X_y=True, as_frame=True)
    >>> coder = AutoencoderTransformer(n_components=2, hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(coder, X)
    >>> len(display.axes_)
    4
    """

    figure_: Any
    axes_: NDArray
    artists_: NDArray

    def __init__(
        self,
        *,
        original: ArrayLike,
        reconstruction: ArrayLike,
        feature_names: Sequence[str] | None = None,
        image_shape: Sequence[int] | None = None,
    ) -> None:
        self.original = original
        self.reconstruction = reconstruction
        self.feature_names = feature_names
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        n_rows: int = 8,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Reconstruct rows, as `inverse_transform(transform(X))`, and draw them.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with `transform` and `inverse_transform`, or a pipeline of such.
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        n_rows : int, default=8
            Number of images, the first ones; for a table, all rows are drawn.
        image_shape : tuple of int or None, default=None
            (height, width) of rows that are images, or (height, width, 3) of colours.
        ax : matplotlib.axes.Axes, array-like of them or None, default=None
            Where to draw: axes for the images, or as many as columns; None makes a figure.
        **kwargs : dict
            Further options of `plot`.

        Returns
        -------
        ReconstructionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `image_shape`, `n_rows` or the number of `ax` does not fit, or if the estimator lacks a method.
        ImportError
            If matplotlib is not installed.
        """
        pyplot()
        check_can(estimator, "transform", "inverse_transform")
        check_scalar(n_rows, "n_rows", Integral, min_val=1)
        table = as_table(X)
        if image_shape is not None:
            check_image_shape(image_shape, table.shape[1])
            table = safe_indexing(table, np.arange(min(n_rows, table.shape[0])))
        reconstruction = estimator.inverse_transform(estimator.transform(table))
        return cls(original=table, reconstruction=reconstruction, image_shape=image_shape).plot(ax=ax, **kwargs)

    def plot(self, *, features: Sequence[int | str] | None = None, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the rows.

        Parameters
        ----------
        features : sequence of int or str, or None, default=None
            Columns of a table to draw, by number or by name; None takes the first 12.
        ax : matplotlib.axes.Axes, array-like of them or None, default=None
            Where to draw: axes for the images, or as many as columns; None makes a figure.
        **kwargs : dict
            Further options of `matplotlib.axes.Axes.imshow` for images, of `scatter` for the numbers of a table.

        Returns
        -------
        ReconstructionDisplay
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
        pairs = np.stack([to_numbers(self.original), to_numbers(self.reconstruction)])
        shape = check_image_shape(self.image_shape, pairs.shape[-1])
        axes, images = draw_images(ax, list(pairs), shape, value_range(pairs[0]), options)
        self.artists_ = images.reshape(pairs.shape[:2])
        name_rows(axes, ["original", "reconstruction"], shape[0])
        self.axes_ = np.array([axes], dtype=object)

    def _draw_table(self, features: Sequence[int | str] | None, ax: Any, options: dict[str, Any]) -> None:
        original = as_table(self.original)
        names = column_names(self.feature_names, original, original.shape[1])
        chosen = check_features(features, names)
        originals, reconstructions = (read_columns(table, chosen) for table in (original, self.reconstruction))
        self.axes_ = many_axes(ax, len(chosen), 2.4, 2.6)
        self.artists_ = np.empty(len(chosen), dtype=object)
        for place, (column, axes) in enumerate(zip(chosen, self.axes_, strict=True)):
            draw = _draw_numbers if reconstructions[place].classes is None else _draw_classes
            self.artists_[place] = draw(axes, originals[place], reconstructions[place], names[column], options)
            axes.set_box_aspect(1)
        label_sides(self.axes_, ax is None, "original", "reconstruction")
        if ax is None:
            note_omitted(self.axes_, len(chosen), len(names))


def _draw_numbers(axes: Any, original: Column, reconstruction: Column, name: str, options: dict[str, Any]) -> Any:
    """Draw a point per row; return the points."""
    x, y = (as_numbers(column)[original.observed] for column in (original, reconstruction))
    style = {"s": np.clip(3e3 / max(1, len(x)), 2, 16), "color": PALETTE[0], "alpha": 0.5, "linewidths": 0}
    points = axes.scatter(x, y, **{**style, **options})
    low, high = value_range(np.concatenate([x, y]))
    margin = 0.05 * (high - low) or 0.5
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="0.6", linewidth=1, zorder=0)
    axes.set(xlim=limits, ylim=limits)
    axes.locator_params(nbins=4)
    varies = len(x) > 1 and x.max() > x.min()
    score = f"R² = {round(r2_score(x, y), 2) + 0.0:.2f}" if varies else "constant"  # no minus before a 0
    axes.set_title(_title(name, score), fontsize="medium")
    return points


def _draw_classes(axes: Any, original: Column, reconstruction: Column, name: str, options: dict[str, Any]) -> Any:
    """Draw the share of each class that is reconstructed as each class; return the image."""
    both = read_column(np.concatenate([original.values, reconstruction.values]))
    classes = [*(original.classes or []), *(c for c in both.classes or [] if c not in (original.classes or []))]
    position = {label: place for place, label in enumerate(classes)}
    x, y = ([position[label] for label in column.values[original.observed]] for column in (original, reconstruction))
    shares = confusion_matrix(x, y, labels=range(len(classes)), normalize="true").T
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto", origin="lower")
    named = classes if len(classes) <= MOST_NAMED else []
    labels = [short(class_name(label), 10) for label in named]
    axes.set_xticks(range(len(named)), labels, rotation=90)
    axes.set_yticks(range(len(named)), labels)
    for (row, column), share in np.ndenumerate(shares[: len(named), : len(named)]):
        shade = "white" if share > 0.6 else "black"
        axes.text(column, row, f"{share:.0%}", ha="center", va="center", fontsize="x-small", color=shade)
    axes.set_title(_title(name, f"{np.mean(np.equal(x, y)):.0%} right"), fontsize="medium")
    return image


def _title(name: str, score: str) -> str:
    return f"{short(name)}\n{score}"
