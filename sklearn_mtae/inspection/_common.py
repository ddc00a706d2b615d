"""What the displays share: matplotlib, colours, axes, and checks of what they are given."""

from collections.abc import Sequence
from math import ceil
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_mtae.nn import words

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")
"""Colours that the colour-blind tell apart (Okabe and Ito 2008); the last one is too pale for a line."""
GREY = "0.75"
"""Colour of what has no label, or no name in the legend."""
OUTSIDE = {"loc": "upper left", "bbox_to_anchor": (1.02, 1), "borderaxespad": 0, "frameon": False}
"""Where a legend lies that hides nothing: on the right of the axes."""
MOST_PANELS = 12
"""Columns up to which each has its own axes."""


def pyplot() -> ModuleType:
    """Return matplotlib's pyplot."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "A display is drawn by matplotlib, which is not installed. Install it with: pip install "
            "'sklearn-mtae[plot]'"
        ) from error
    return plt


def check_can(estimator: Any, *methods: str) -> None:
    """Raise an error where an estimator lacks a method or is not fitted."""
    for method in methods:
        if not hasattr(estimator, method):
            raise ValueError(f"estimator must have the method {method!r}. Got {words.short(estimator)}, which has not.")
    check_is_fitted(estimator)


def last_step(estimator: Any) -> tuple[Pipeline | None, Any]:
    """Split a pipeline into the steps before its last one, None where there are none, and its last step."""
    if not isinstance(estimator, Pipeline):
        return None, estimator
    return (estimator[:-1] if len(estimator) > 1 else None), estimator[-1]


def check_components(components: Any, n_components: int) -> list[int]:
    """Return positions of components."""
    chosen: list[Any] = np.ravel(components).tolist()
    if not chosen or not all(isinstance(number, int) and 0 <= number < n_components for number in chosen):
        raise ValueError(
            f"components must be numbers from 0 to {n_components - 1}: the codes have {n_components} columns. Got "
            f"{words.short(components)} instead."
        )
    return chosen


def check_features(features: Any, names: Sequence[str]) -> list[int]:
    """Return positions of columns given by name or by position; by default the first ones."""
    if features is None:
        return list(range(min(len(names), MOST_PANELS)))
    places = {**{place: place for place in range(len(names))}, **{name: place for place, name in enumerate(names)}}
    unknown = [feature for feature in features if feature not in places]
    if unknown or not len(features):
        raise ValueError(
            f"features must be names or numbers of columns, {words.listed(names)}. Got {words.listed(features)} "
            "instead."
        )
    return [places[feature] for feature in features]


def one_axes(ax: Any, width: float, height: float) -> Any:
    """Return the axes that are given, or those of a new figure of so many inches."""
    return ax if ax is not None else pyplot().subplots(figsize=(width, height), layout="constrained")[1]


def many_axes(ax: Any, n_axes: int, width: float, height: float, *, beside: float = 0, **options: Any) -> NDArray:
    """Return the axes that are given, or new ones, four in a row at most.

    Each has so many inches of its figure; there are some more beside them, for a legend.
    """
    if ax is not None:
        axes = np.ravel(np.asarray(ax, dtype=object))
        if len(axes) != n_axes:
            raise ValueError(f"ax must hold {n_axes} axes, one per panel. Got {len(axes)} instead.")
        return axes
    n_columns = _n_columns(n_axes)
    n_rows = ceil(n_axes / n_columns)
    size = (width * n_columns + beside, height * n_rows)
    _, grid = pyplot().subplots(n_rows, n_columns, figsize=size, squeeze=False, layout="constrained", **options)
    for spare in grid.ravel()[n_axes:]:
        spare.remove()
    return grid.ravel()[:n_axes]


def _n_columns(n_axes: int) -> int:
    """Return how many panels are in a row: four at most, and rows as even as they can be."""
    return ceil(n_axes / ceil(n_axes / 4))


def add_legend(axes: NDArray, own_figure: bool) -> None:
    """Put one legend for all panels on the right of the first row, or of the last axes of someone else's."""
    axes[_n_columns(len(axes)) - 1 if own_figure else -1].legend(**OUTSIDE)


def label_sides(axes: NDArray, own_figure: bool, x_label: str, y_label: str) -> None:
    """Label a figure of ours once, axes of someone else's each."""
    if own_figure:
        axes[0].figure.supxlabel(x_label, fontsize="medium")
        axes[0].figure.supylabel(y_label, fontsize="medium")
        return
    for panel in axes:
        panel.set(xlabel=x_label, ylabel=y_label)


def note_omitted(axes: NDArray, n_drawn: int, n_columns: int) -> None:
    """Say in the title of a figure of ours that it does not have all columns."""
    if n_drawn < n_columns:
        axes[0].figure.suptitle(f"{n_drawn} of {n_columns} columns", fontsize="medium")


def short(name: Any, length: int = 22) -> str:
    """Return a name that is not longer than a panel is wide."""
    return str(name) if len(str(name)) <= length else f"{str(name)[: length - 1]}…"
