"""Cells written into a copy of a table, which keeps everything else: container, index, dtypes, other cells.

A column, or an array, changes its dtype only if it cannot hold the new values.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import isinf
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from .containers import is_frame, is_missing, is_polars, plain
from .frame import OBJECT, PLAIN

__all__ = [
    "append",
    "as_it_came",
    "blank",
    "check_finite",
    "fill",
    "fill_constant",
    "missing_cells",
    "put",
    "read",
    "select",
    "with_cells",
]

Cells = dict[int, NDArray]
"""The values written to the columns, by their positions: one for each written cell."""


def read(X: Any, is_numeric: bool) -> Any:
    """Convert a container as `plain` does; if all columns are numbers, turn an array of strings into numbers."""
    table = plain(X)
    if is_numeric and getattr(getattr(table, "dtype", None), "kind", "") in ("S", "U"):
        with suppress(ValueError):  # the model's error names the column
            return table.astype(np.float64)
    return table


def missing_cells(X: Any) -> NDArray[np.bool_]:
    """Return where cells are missing, shape (n_samples, n_features)."""
    X = plain(X)
    if is_frame(X):
        if all(isinstance(dtype, np.dtype) for dtype in X.dtypes):
            return X.isna().to_numpy(dtype=bool)
        return np.array([_missing(X.iloc[:, j]) for j in range(X.shape[1])], dtype=bool).T.reshape(X.shape)
    cells = _array(X)
    if cells.dtype.kind == "f":
        return np.isnan(cells)
    return np.array([is_missing(column) for column in cells.T], dtype=bool).T.reshape(cells.shape)


def check_finite(X: Any, columns: NDArray[np.bool_], names: Sequence) -> None:
    """Raise an error if one of some columns holds infinity, whatever its dtype."""
    X = X if is_frame(X) or is_polars(X) else _array(X)
    for j in np.flatnonzero(columns).tolist():
        cells = np.asarray(select(X, np.arange(X.shape[1]) == j), dtype=object)
        if any(isinstance(cell, float) and isinf(cell) for cell in cells.ravel()):
            raise ValueError(f"Input X contains infinity, in column {names[j]!r}.")


def fill(X: Any, gaps: NDArray[np.bool_], decoded: list) -> Any:
    """Return a copy of a table with its gaps filled.

    Parameters
    ----------
    X : DataFrame, array or sparse array of shape (n_samples, n_features)
        The table.
    gaps : ndarray of bool of shape (n_samples, n_features)
        Its missing cells.
    decoded : list of DataFrame or list of ndarray
        The rows with gaps, one part after the other, with values in all cells. Integers among them are whole numbers to
        the model: in a column of integers they are clipped to its dtype.

    Returns
    -------
    DataFrame or ndarray of shape (n_samples, n_features)
        A pandas or polars frame if X is one.
    """
    X = X if is_frame(X) or is_polars(X) else _array(X)
    among = gaps[gaps.any(axis=1)]
    cells, dtypes = {}, _dtypes(X)
    for j in np.flatnonzero(gaps.any(axis=0)).tolist():
        values = np.concatenate([_values(part, j) for part in decoded])[among[:, j]]
        cells[j] = _within(_unit(dtypes[j]), values)
    return with_cells(X, gaps, cells)


def fill_constant(X: Any, gaps: NDArray[np.bool_]) -> Any:
    """Return a copy of a table whose gaps are filled with 0, or "missing_value" for strings or categories."""
    X = X if is_frame(X) or is_polars(X) else _array(X)
    dtypes = _dtypes(X)
    cells = {}
    for j in np.flatnonzero(gaps.any(axis=0)).tolist():
        names = hasattr(dtypes[j], "categories") or dtypes[j].type is str
        cells[j] = np.full(gaps[:, j].sum(), "missing_value" if names else 0, dtype=OBJECT if names else int)
    return with_cells(X, gaps, cells)


def put(table: Any, values: Mapping[int, Any]) -> Any:
    """Return a table with constant columns at some positions; missing values are left out."""
    n_rows = len(table)
    given = {j: v for j, v in values.items() if not is_missing(np.fromiter([v], dtype=object)).any()}
    cells = {j: _narrowed(np.fromiter([value] * n_rows, dtype=object)) for j, value in given.items()}
    return with_cells(table, np.ones(table.shape, dtype=bool), cells) if cells else table


def with_cells(X: Any, where: NDArray[np.bool_], cells: Cells) -> Any:
    """Return a copy of a table with values in some cells of some columns."""
    if is_frame(X):
        return _in_frame(X, where, cells)
    if is_polars(X):
        return X.with_columns([_in_polars(X.to_series(j), where[:, j], values) for j, values in cells.items()])
    x = _array(X)
    dtype = x.dtype
    for j, values in cells.items():
        if not _holds(dtype, values):
            dtype = _wider(dtype, values, x[~where[:, j], j])
    filled = np.array(x, dtype=dtype)
    for j, values in cells.items():
        filled[where[:, j], j] = values
    return filled


def blank(X: Any, columns: NDArray[np.bool_]) -> Any:
    """Return a copy of a table in which some columns are blank: floats, all NaN."""
    if is_frame(X):
        single = all(dtype == np.float32 for dtype in X.dtypes[~columns])
        blanked = X.copy()
        for j in np.flatnonzero(columns).tolist():
            blanked.isetitem(j, np.full(len(X), np.nan, np.float32 if single else np.float64))
        return blanked
    if is_polars(X):
        nothing = np.full(len(X), np.nan)
        return X.with_columns(**{X.columns[j]: nothing for j in np.flatnonzero(columns).tolist()})
    x = np.asarray(X)
    blanked = np.array(x, dtype=x.dtype if x.dtype.kind in "fO" else np.float64)
    blanked[:, columns] = np.nan
    return blanked


def select(X: Any, columns: NDArray[np.bool_]) -> Any:
    """Return some of a table's columns."""
    if is_polars(X):
        return X[:, np.flatnonzero(columns).tolist()]
    return X.iloc[:, columns] if is_frame(X) else X[:, columns]


def append(X: Any, indicators: NDArray[np.bool_], names: NDArray) -> Any:
    """Return a table with indicators after its columns; a frame also gets their names."""
    added = names[X.shape[1] :]
    if is_frame(X):
        import pandas as pd

        parts = [X, pd.DataFrame(indicators, index=X.index, columns=added)]
        return pd.concat(parts, axis=1).set_axis(names, axis=1)
    if is_polars(X):
        return X.with_columns(**dict(zip(added, indicators.T, strict=True)))
    return np.hstack([X, indicators.astype(X.dtype)])


def as_it_came(X: Any, filled: Any) -> Any:
    """Return a filled table in the form of the input: all-number objects as numbers, unless X held objects."""
    if not isinstance(filled, np.ndarray) or filled.dtype != OBJECT or getattr(X, "dtype", None) == OBJECT:
        return filled
    numbers = _narrowed(filled.ravel())
    return numbers.reshape(filled.shape) if numbers.dtype.kind in PLAIN else filled


def _missing(column: Any) -> NDArray[np.bool_]:
    """Return where a pandas column has no value; some pandas dtypes distinguish NaN from their own missing value."""
    if isinstance(column.dtype, np.dtype) or column.dtype.kind != "f":
        return np.asarray(column.isna())
    return np.isnan(column.to_numpy(dtype=np.float64, na_value=np.nan))


def _array(X: Any) -> NDArray:
    """Return a table that is not a pandas frame as an array."""
    return X.toarray() if issparse(X) else np.asarray(X)


def _dtypes(X: Any) -> list:
    """Return the dtypes of the columns; for a polars frame, those of numpy."""
    if is_polars(X):
        return [column.clear().to_numpy().dtype for column in X]
    return list(X.dtypes) if is_frame(X) else [X.dtype] * X.shape[1]


def _unit(dtype: Any) -> Any:
    """Return the numpy dtype of numbers held by pandas or Arrow."""
    return getattr(dtype, "numpy_dtype", dtype)


def _values(table: Any, j: int) -> NDArray:
    """Return a column as numbers if it holds only numbers, otherwise as objects."""
    if not is_frame(table):
        return _narrowed(table[:, j]) if table.dtype == OBJECT else table[:, j]
    column = table.iloc[:, j]
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in PLAIN:
        return column.to_numpy()
    return _narrowed(column.astype(object).to_numpy())


def _narrowed(objects: NDArray) -> NDArray:
    """Return objects as numbers if all of them are numbers that one dtype represents."""
    numbers = np.asarray(objects.tolist())
    if numbers.dtype.kind not in PLAIN or numbers.ndim != 1:
        return objects
    integers = np.array([v for v in objects if isinstance(v, Integral)])
    return numbers if _survive(integers, numbers.dtype) else objects


def _within(dtype: Any, values: NDArray) -> NDArray:
    """Return whole numbers clipped to a dtype of integers; everything else unchanged."""
    if dtype.kind not in "iu" or values.dtype.kind not in "iu":
        return values
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return np.array([min(max(value, low), high) for value in values.tolist()], dtype=dtype)


def _holds(dtype: Any, values: NDArray) -> bool:
    """Return whether a column's dtype can hold values: any digits that floats have, but integers exactly."""
    if dtype.kind not in PLAIN:
        if hasattr(dtype, "categories"):
            return set(values.tolist()) <= set(dtype.categories)
        return dtype == OBJECT or all(isinstance(value, dtype.type) for value in values)
    if values.dtype.kind not in PLAIN:
        return False
    with np.errstate(invalid="ignore", over="ignore"):
        cast = values.astype(_unit(dtype))
    return bool(np.isfinite(cast).all() if cast.dtype.kind == "f" else (cast == values).all())


def _wider(dtype: np.dtype, values: NDArray, others: NDArray) -> np.dtype:
    """Return the numpy dtype that holds the new values and the column's other cells."""
    if not len(others):
        return values.dtype
    numbers = dtype.kind in PLAIN and values.dtype.kind in PLAIN
    wider = np.result_type(dtype, values.dtype) if numbers else OBJECT
    return wider if not numbers or _survive(others, wider) else OBJECT


def _survive(numbers: NDArray, dtype: np.dtype) -> bool:
    """Return whether numbers are the same in another dtype: large integers are not, as floats."""
    if numbers.dtype.kind not in "iu" or dtype.kind != "f" or not len(numbers):
        return True
    limit = 2 ** (np.finfo(dtype).nmant + 1)
    return bool(-limit <= numbers.min() and numbers.max() <= limit)


def _in_frame(X: Any, where: NDArray[np.bool_], cells: Cells) -> Any:
    """Return a copy of a pandas frame with values in some cells of some columns."""
    import pandas as pd

    dtypes = set(X.dtypes)
    unit = dtypes.pop() if len(dtypes) == 1 else OBJECT
    if isinstance(unit, np.dtype) and unit.kind == "f" and all(_holds(unit, values) for values in cells.values()):
        # All at once: pandas is slow at writing to thousands of columns one by one.
        chosen, table = np.zeros(X.shape, dtype=bool), np.zeros(X.shape, dtype=unit)
        for j, values in cells.items():
            chosen[:, j] = where[:, j]
            table[where[:, j], j] = values
        return X.mask(chosen, table)
    filled = X.copy()
    for j, values in cells.items():
        column = _in_column(X.iloc[:, j], where[:, j], values)
        filled.isetitem(j, pd.Series(column, index=X.index, dtype=column.dtype))  # unchanged: pandas infers nothing
    return filled


def _in_column(column: Any, where: NDArray[np.bool_], values: NDArray) -> Any:
    """Return a pandas column as an array with values in some cells."""
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, pd.SparseDtype):
        dense = pd.Series(_in_column(column.sparse.to_dense(), where, values))
        return pd.arrays.SparseArray(dense, dtype=pd.SparseDtype(dense.dtype, dtype.fill_value))
    if not _holds(dtype, values):
        # Overwritten values need not fit; masking them would change the dtype of numpy columns.
        column = column if isinstance(dtype, np.dtype) else column.mask(where)
        column = column.astype(_wider_in_pandas(column[~where], values))
    cells = column.array.copy()
    cells[where] = values.astype(_unit(cells.dtype)) if cells.dtype.kind in PLAIN else values
    return cells


def _wider_in_pandas(others: Any, values: NDArray) -> Any:
    """Return a pandas dtype for the new values and the column's other cells, of the same kind as theirs."""
    import pandas as pd

    dtype = others.dtype
    if hasattr(dtype, "categories"):
        new = [value for value in dict.fromkeys(values.tolist()) if value not in set(dtype.categories)]
        return pd.CategoricalDtype([*dtype.categories, *new], dtype.ordered)
    unit = _unit(dtype)
    wider = _wider(unit, values, others.dropna().to_numpy(dtype=unit)) if dtype.kind in PLAIN else OBJECT
    if isinstance(dtype, np.dtype) or wider == OBJECT:
        return wider
    if isinstance(dtype, pd.ArrowDtype):
        import pyarrow as pa

        return pd.ArrowDtype(pa.from_numpy_dtype(wider))
    return pd.array(np.empty(0, wider)).dtype


def _in_polars(column: Any, where: NDArray[np.bool_], values: NDArray) -> Any:
    """Return a polars column with values in some cells."""
    import polars as pl

    unit = column.clear().to_numpy().dtype
    others = column.to_numpy()[~where]
    if unit.kind in "iu" and values.dtype.kind == "f" and not _survive(others.astype(unit), np.dtype(np.float64)):
        values = values.round()  # no polars dtype holds fractions beside such integers
    cells = np.zeros(len(column), dtype=values.dtype)
    cells[where] = values
    new = pl.Series(column.name, cells)
    new = new.cast(column.dtype) if _holds(unit, values) else new
    return pl.select(pl.when(pl.Series(where)).then(new).otherwise(column).alias(column.name)).to_series()
