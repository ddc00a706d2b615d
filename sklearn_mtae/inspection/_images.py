"""Rows that are images, side by side on one pair of axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae.nn import words

from ._common import one_axes, pyplot

MISSING = "#F7C99B"
"""Colour of a cell without a value: a hue, where all others are grey."""
GAP = 0.1
"""Space between images, as a fraction of their size."""


def check_image_shape(image_shape: Any, n_features: int) -> tuple[int, ...]:
    """Return the shape of an image with a number of cells."""
    shape = tuple(np.ravel(image_shape).tolist())
    if len(shape) not in (2, 3) or np.prod(shape) != n_features or shape[2:] not in ((), (3,), (4,)):
        raise ValueError(
            "image_shape must be (height, width), or (height, width, 3) of colours, and have as many cells as X has "
            f"columns, {n_features}. Got {words.short(image_shape)} instead."
        )
    return shape


def draw_images(
    ax: Any,
    grid: Sequence[NDArray],
    image_shape: tuple[int, ...],
    limits: tuple[float, float],
    options: dict[str, Any],
) -> tuple[Any, NDArray]:
    """Draw rows of images; return the axes and the artists of all images.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
        Where to draw; None makes a figure of the right size.
    grid : sequence of ndarray of shape (n_images, n_features)
        The images of each row, NaN where a cell is missing.
    image_shape : tuple of int
        Shape of an image.
    limits : tuple of float
        Values shown as white and black.
    options : dict
        Further options of `matplotlib.axes.Axes.imshow`.
    """
    height, width = image_shape[:2]
    n_rows, n_columns = len(grid), max(map(len, grid))
    ratio = float(np.clip(height / width, 0.25, 4))  # cells are squares unless images would be thin strips
    inches = max(0.4, 0.75 * ratio)
    axes = one_axes(ax, inches / ratio * n_columns + 1, inches * n_rows + 0.5)
    colours = pyplot().get_cmap(options.get("cmap", "gray_r")).with_extremes(bad=MISSING)
    style = {"vmin": limits[0], "vmax": limits[1], "aspect": ratio * width / height, **options, "cmap": colours}
    artists = []
    for row, images in enumerate(grid):
        for column, cells in enumerate(images):
            image = cells.reshape(image_shape)
            left, top = column * (1 + GAP) * width, row * (1 + GAP) * height
            place = (left, left + width, top + height, top)
            artists.append(
                axes.imshow(image if image.ndim == 2 else _as_colours(image, *limits), extent=place, **style)
            )
    right, bottom = ((n * (1 + GAP) - GAP) * size for n, size in ((n_columns, width), (n_rows, height)))
    axes.set(xlim=(0, right), ylim=(bottom, 0), xticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes, np.array(artists, dtype=object)


def name_rows(axes: Any, names: list[str], height: int) -> None:
    """Name the rows of a grid of images."""
    axes.set_yticks([(row * (1 + GAP) + 0.5) * height for row in range(len(names))], names)


def value_range(values: NDArray) -> tuple[float, float]:
    """Return the smallest and the largest observed value."""
    observed = values[~np.isnan(values)]
    return (float(observed.min()), float(observed.max())) if len(observed) else (0.0, 1.0)


def _as_colours(image: NDArray, low: float, high: float) -> NDArray:
    """Return channels between 0 and 1."""
    from matplotlib.colors import to_rgba

    scaled = np.clip((image - low) / ((high - low) or 1.0), 0, 1)
    return np.where(np.isnan(image).any(-1, keepdims=True), to_rgba(MISSING)[: image.shape[-1]], scaled)
