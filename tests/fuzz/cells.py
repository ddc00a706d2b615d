"""What stands in a table, whatever holds it: cells as Python objects, missing or not, and numbers among them."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

__all__ = ["as_numbers", "cells_of", "differences", "is_frame", "is_number", "take"]


def is_frame(X: Any) -> bool:
    return isinstance(X, pd.DataFrame)


def cells_of(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells of a table as objects, and where they are missing, both of the table's shape."""
    if hasattr(X, "to_pandas"):
        X = X.to_pandas()
    if is_frame(X):
        table = np.empty(X.shape, dtype=object)
        for j in range(X.shape[1]):
            table[:, j] = X.iloc[:, j].astype(object).to_numpy(dtype=object, na_value=None)
    elif isinstance(X, np.ma.MaskedArray):
        table = np.where(np.ma.getmaskarray(X), None, X.data.astype(object))
    elif sparse.issparse(X):
        table = X.toarray().astype(object)
    else:
        array = np.asarray(X, dtype=object) if isinstance(X, list) else np.asarray(X)
        table = _spelled_out(array).astype(object)
    return table, np.asarray(pd.isna(table), dtype=bool)


def _spelled_out(array: np.ndarray) -> np.ndarray:
    """Return the numbers that an array of strings spells out, which scikit-learn takes for numbers too."""
    try:
        return array.astype(float) if array.dtype.kind in "US" else array
    except ValueError:
        return array


def is_number(cell: Any) -> bool:
    return isinstance(cell, int | float | np.number | np.bool_)


def as_numbers(X: Any) -> np.ndarray:
    """Return the numbers of a table as floats of double precision, NaN where a cell is missing or no number."""
    cells, missing = cells_of(X)
    return np.array(
        [
            [float(cell) if is_number(cell) and not gone else np.nan for cell, gone in zip(row, gaps, strict=True)]
            for row, gaps in zip(cells, missing, strict=True)
        ]
    ).reshape(cells.shape)


def differences(before: Any, after: Any, where: np.ndarray) -> list[str]:
    """Return what became of the cells of a table that should all be as they were; Python compares numbers exactly."""
    old, new = cells_of(before)[0], cells_of(after)[0]
    if old.shape != new.shape:
        return [f"shape {old.shape} became {new.shape}"]
    rows = [(i, j) for i, j in np.argwhere(where) if not _same(old[i, j], new[i, j])]
    return [f"{len(rows)} cells, [{i}, {j}] was {old[i, j]!r}, is {new[i, j]!r}" for i, j in rows[:1]]


def _same(one: Any, other: Any) -> bool:
    if is_number(one) and is_number(other):
        one, other = (value.item() if isinstance(value, np.generic) else value for value in (one, other))
    return type(one) in (str, bytes) and one == other if isinstance(one, str | bytes) else bool(one == other)


def take(X: Any, rows: np.ndarray) -> Any:
    """Return rows of a table, a vector or nothing, in the container that they came in."""
    if X is None:
        return None
    if isinstance(X, pd.DataFrame | pd.Series):
        return X.iloc[rows]
    if isinstance(X, list | tuple):
        return [X[i] for i in rows]
    if sparse.issparse(X):
        return X.tocsr()[rows]
    return X[rows]
