"""What the displays share: matplotlib, colours, axes, and checks of their input."""

from collections.abc import Sequence
from math import ceil
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_mtae.nn import words

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")
"""Colours that colour-blind people can distinguish (Okabe and Ito 2008); the last one is too pale for a line."""
GREY = "0.75"
"""Colour of rows without a label, or of lines without a name in the legend."""
OUTSIDE = {"loc": "upper left", "bbox_to_anchor": (1.02, 1), "borderaxespad": 0, "frameon": False}
"""Position of a legend that hides nothing: on the right of the axes."""
LINE_HEIGHT = 0.17
"""Inches between the names of lines."""
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
    """Raise an error if an estimator lacks a method or is not fitted."""
    for method in methods:
        if not hasattr(estimator, method):
            raise ValueError(f"estimator must have the method {method!r}. Got {words.short(estimator)} without it.")
    check_is_fitted(estimator)


def last_step(estimator: Any) -> tuple[Pipeline | None, Any]:
    """Split a pipeline into the steps before its last one, None if there are none, and its last step."""
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
    """Return the given axes, or those of a new figure of a given size in inches."""
    return ax if ax is not None else pyplot().subplots(figsize=(width, height), layout="constrained")[1]


def many_axes(ax: Any, n_axes: int, width: float, height: float, *, beside: float = 0, **options: Any) -> NDArray:
    """Return the given axes, or new ones, at most four in a row.

    Each gets a size in inches; the figure has some more beside them for a legend.
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
    """Return the number of panels in a row: at most four, with rows as even as possible."""
    return ceil(n_axes / ceil(n_axes / 4))


def add_legend(axes: NDArray, own_figure: bool) -> None:
    """Put one legend for all panels on the right of the first row, or of the last of the user's axes."""
    beside = axes[_n_columns(len(axes)) - 1 if own_figure else -1]
    if beside.get_legend_handles_labels()[1]:
        beside.legend(**OUTSIDE)


def label_sides(axes: NDArray, own_figure: bool, x_label: str, y_label: str) -> None:
    """Label a figure of our own once, but the user's axes each."""
    if own_figure:
        axes[0].figure.supxlabel(x_label, fontsize="medium")
        axes[0].figure.supylabel(y_label, fontsize="medium")
        return
    for panel in axes:
        panel.set(xlabel=x_label, ylabel=y_label)


def note_omitted(axes: NDArray, n_drawn: int, n_columns: int) -> None:
    """Say in the title of a figure of our own that it does not show all columns."""
    if n_drawn < n_columns:
        axes[0].figure.suptitle(f"{n_drawn} of {n_columns} columns", fontsize="medium")


def label_ends(axes: Any, lines: dict[str, Any]) -> None:
    """Write the name of each line at its right end, in the line's colour; names that would overlap are moved apart."""
    if not lines:
        return
    low, high = axes.get_ylim()
    inches = axes.figure.get_size_inches()[1] * axes.get_position().height
    ends = [float(line.get_ydata()[-1]) for line in lines.values()]
    places = low + (high - low) * spread((np.array(ends) - low) / (high - low), LINE_HEIGHT / inches)
    axes.set_ylim(low, high)
    for place, (text, line) in zip(places, lines.items(), strict=True):
        style = {
            "color": line.get_color(),
            "va": "center",
            "fontsize": "small",
            "transform": axes.get_yaxis_transform(),
        }
        axes.text(1.02, place, text, **style)


def spread(places: NDArray, gap: float) -> NDArray:
    """Move positions between 0 and 1 apart as little as possible so that they keep a gap, in their order."""
    order = np.argsort(places, kind="stable")
    gap = min(gap, 1 / max(1, len(places) - 1))
    steps = gap * np.arange(len(places))
    # Without the gaps the positions must be in order: groups that are not get their mean.
    groups: list[list[float]] = []
    for place in np.nan_to_num(places[order]) - steps:
        groups.append([place])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    apart = np.clip(np.concatenate([np.full(len(group), np.mean(group)) for group in groups]), 0, 1 - steps[-1])
    result = np.empty(len(places))
    result[order] = apart + steps
    return result


def short(name: Any, length: int = 22) -> str:
    """Return a name shortened to the width of a panel."""
    return str(name) if len(str(name)) <= length else f"{str(name)[: length - 1]}…"
