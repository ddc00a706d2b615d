"""Tables of numbers and of classes, column by column."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_mtae._tables.checks import safe_indexing
from sklearn_mtae._tables.classes import observed_labels
from sklearn_mtae._tables.targets import target_columns


class Column(NamedTuple):
    """A column to draw."""

    values: NDArray
    """Floats with NaN where missing, or objects."""
    observed: NDArray[np.bool_]
    """Where there is a value."""
    classes: list[Any] | None
    """The classes in order; None for a column of numbers."""


def read_column(column: Any) -> Column:
    """Read an array, a series or a list.

    Numbers are numbers whatever their type, unless the series is categorical; booleans and strings are classes.
    """
    values = target_columns(column.toarray().ravel() if issparse(column) else column)[0]
    observed, labels = observed_labels(values)
    ordered = hasattr(getattr(column, "dtype", None), "ordered")  # a categorical series of pandas
    if labels.dtype.kind in "iuf" and not ordered:
        numbers = np.full(len(values), np.nan)
        numbers[observed] = labels
        return Column(numbers, observed, None)
    present = set(labels.tolist())
    if ordered:
        classes = [label for label in column.dtype.categories.tolist() if label in present]
    else:
        classes = sorted(present, key=lambda label: (isinstance(label, str), label))
    return Column(values.astype(object), observed, classes)


def as_table(table: Any) -> Any:
    """Return an array, a sparse array or a frame unchanged, and a list of rows as an array."""
    return table if hasattr(table, "shape") else np.asarray(table)


def read_columns(table: Any, columns: Sequence[int]) -> list[Column]:
    """Read columns of an array, a sparse array, a frame or a list of rows."""
    table = as_table(table)
    return [read_column(safe_indexing(table, column, axis=1)) for column in columns]


def to_numbers(table: Any) -> NDArray:
    """Return a table as floats of shape (n_rows, n_columns): NaN where a cell is missing or a column has classes."""
    table = as_table(table.toarray() if issparse(table) else table)
    if isinstance(table, np.ndarray) and table.dtype.kind in "biuf":
        return table.astype(np.float64)
    return np.column_stack([as_numbers(column) for column in read_columns(table, range(table.shape[1]))])


def as_numbers(column: Column) -> NDArray:
    """Return a column as floats: all NaN if its classes are not numbers."""
    numbers = np.full(len(column.values), np.nan)
    if column.classes is None or not any(isinstance(label, str) for label in column.classes):
        numbers[column.observed] = column.values[column.observed].astype(np.float64)
    return numbers


def column_names(given: Sequence[str] | None, table: Any, n_columns: int) -> list[str]:
    """Return the given names, otherwise those of a frame's columns, otherwise x0, x1, ..."""
    by_itself = getattr(table, "columns", [f"x{column}" for column in range(n_columns)])
    return [str(name) for name in (by_itself if given is None else given)]


def class_name(label: Any) -> str:
    """Name a class in a legend: a whole number without a point."""
    return f"{label:g}" if isinstance(label, float) else str(label)
