"""Labels that are known to be limits only: which ones, and of which side."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae.nn.words import listed, named, short

from .targets import is_missing, target_columns, task_names

SIGNS = {"": 0, "=": 0, "<": -1, ">": 1}
"""Codes of the signs that stand before numbers: where the true value is from the label."""
CODES = "'' (observed), '<' (the true value is below the label), '>' (above it), or 0, -1, 1"


def read_censoring(censoring: Any, y: Any) -> NDArray[np.int8]:
    """Return which labels are limits: -1 where the true value is below the label, 1 where it is above, otherwise 0.

    Parameters
    ----------
    censoring : array-like of shape (n_rows,) or (n_rows, n_tasks) or None
        Codes: "" or "=" or 0 for an observed label, "<" or -1 for one that the true value is below, ">" or 1 for one
        that it is above. A missing code is "", which files of comma-separated values do not tell apart. None stands for
        observed labels only.
    y : array-like of shape (n_rows,) or (n_rows, n_tasks)
        Labels; NaN, None or pandas.NA where missing. The code of a missing label may be any, and becomes 0.

    Returns
    -------
    ndarray of int8 of shape (n_rows, n_tasks)
        Codes.

    Raises
    ------
    ValueError
        If `censoring` has another shape or other columns than y, or a code is unknown. True and False are: elsewhere
        they say that an event was observed.
    """
    labels, names = target_columns(y), task_names(y)
    if censoring is None:
        return np.zeros((len(labels[0]), len(labels)), dtype=np.int8)
    with named("censoring"):
        columns = target_columns(censoring)
    _check_same(columns, labels, censoring, y)
    parts = zip(columns, labels, names, strict=True)
    return np.stack([_read_column(column, ~is_missing(own), name) for column, own, name in parts], axis=1)


def _check_same(columns: list[NDArray], labels: list[NDArray], censoring: Any, y: Any) -> None:
    """Raise an error if codes are not those of labels, by shape or by name."""
    given, needed = [(len(own[0]), len(own)) for own in (columns, labels)]
    if given != needed:
        raise ValueError(f"censoring must have the shape of y, {needed[0]} rows of {needed[1]} tasks. Got {given}.")
    if all(hasattr(own, "columns") for own in (censoring, y)) and task_names(censoring) != task_names(y):
        raise ValueError(
            f"censoring must have the columns of y, {listed(task_names(y))}, in this order. Got "
            f"{listed(task_names(censoring))} instead."
        )


def _read_column(column: NDArray, is_label: NDArray[np.bool_], name: str) -> NDArray[np.int8]:
    counted = is_label & ~is_missing(column)
    cells = column[counted].tolist()
    known = {cell: _code(cell, name) for cell in set(cells)}
    codes = np.zeros(len(column), dtype=np.int8)
    codes[counted] = [known[cell] for cell in cells]
    return codes


def _code(cell: Any, name: str) -> int:
    if isinstance(cell, str) and cell in SIGNS:
        return SIGNS[cell]
    if isinstance(cell, Real) and not isinstance(cell, bool) and cell in (-1, 0, 1):
        return int(float(cell))
    raise ValueError(f"censoring must hold {CODES}. Got {short(cell)} in task {name!r}.")
