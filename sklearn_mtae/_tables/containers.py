"""The containers of X, y and weights: how they are read, and which of their cells are missing."""

import sys
from datetime import date, time, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae.nn.words import alike

__all__ = ["REFUSED", "REFUSED_LEVELS", "check_kind", "is_frame", "is_missing", "is_polars", "numbers", "plain"]

NAN = float("nan")

SEVERAL = "{owner} holds lists, such as {value}; each cell must be one value."
# Values that cannot be used as a category.
REFUSED_LEVELS: dict[tuple, str] = {(list, set, dict, np.ndarray): SEVERAL}

# Values that cannot be used as a number, by the types of the cells, with a remedy.
REFUSED = {
    (
        date,
        time,
        timedelta,
        np.datetime64,
        np.timedelta64,
    ): "{owner} holds dates or durations, such as {value!r}; turn it "
    "into a number first, such as the days since a date.",
    (complex, np.complexfloating): "Complex data not supported: {owner} holds {value!r}.",
    (np.void,): "{owner} holds records, such as {value!r}; pass a data frame, as pandas.DataFrame(records) makes one.",
    (list, set, np.ndarray): SEVERAL,  # for a dict, scikit-learn expects numpy's own message
}


def is_frame(X: Any) -> bool:
    """Return whether X is a pandas data frame."""
    return isinstance(X, getattr(sys.modules.get("pandas"), "DataFrame", ()))


def is_polars(X: Any) -> bool:
    """Return whether X is a polars data frame."""
    return isinstance(X, getattr(sys.modules.get("polars"), "DataFrame", ()))


def is_missing(column: NDArray) -> NDArray[np.bool_]:
    """Return where a column of any dtype has no value: NaN, NaT, None, or the missing value of pandas."""
    if column.dtype.kind in "fc":
        return np.isnan(column)
    if column.dtype.kind in "mM":
        return np.isnat(column)
    if column.dtype.kind != "O":
        return np.zeros(len(column), dtype=bool)
    # pandas' own missing value has no truth value: only its type identifies it. An array in a cell has none either: a
    # cell with several values is not missing.
    return np.array(
        [v is None or type(v).__name__ == "NAType" or not (hasattr(v, "__len__") or v == v) for v in column], dtype=bool
    )


def n_rows(X: Any) -> int:
    """Count the rows of a container."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


def plain(array: Any) -> Any:
    """Convert a container to a readable one: a frame, a series, a sparse array or a numpy array.

    Lazy containers are computed, an Arrow table becomes a pandas frame with its dtypes, and a masked cell becomes a
    missing one. A list with strings or gaps becomes an array of objects. Everything else is unchanged.
    """
    if callable(getattr(array, "compute", None)):
        array = array.compute()
    elif isinstance(array, getattr(sys.modules.get("polars"), "LazyFrame", ())):
        array = array.collect()
    if isinstance(array, getattr(sys.modules.get("pyarrow"), "Table", ())):
        return _of_arrow(array)
    if isinstance(array, list | tuple):
        return _of_list(array)
    if isinstance(array, np.ma.MaskedArray):
        return _unmasked(array)
    named = hasattr(array, "columns") or hasattr(array, "to_frame")
    known = named or isinstance(array, np.ndarray | np.generic) or not hasattr(array, "__array__")
    return array if known else np.asarray(array)


def _of_arrow(table: Any) -> Any:
    """Return an Arrow table as a pandas frame; dictionaries become pandas' categories."""
    import pandas as pd

    return table.to_pandas(types_mapper=lambda kind: None if hasattr(kind, "index_type") else pd.ArrowDtype(kind))


def _of_list(rows: list | tuple) -> NDArray:
    """Return a list of rows or of labels as an array."""
    if any(isinstance(row, np.ma.MaskedArray) for row in rows):
        return _unmasked(np.ma.array(rows))
    cells = np.asarray(rows)
    # Among strings, numpy turns numbers and missing cells into strings too.
    return np.asarray(rows, dtype=object) if cells.dtype.kind in "US" else cells


def _unmasked(array: np.ma.MaskedArray) -> NDArray:
    """Return a masked array's cells, with masked ones missing; as objects if the dtype has no missing value."""
    mask, cells = np.ma.getmaskarray(array), np.asarray(array.data)
    if not mask.any():
        return cells
    missing = {"f": NAN, "c": NAN, "m": "NaT", "M": "NaT"}.get(cells.dtype.kind)
    cells = cells.astype(object if missing is None else cells.dtype)
    cells[mask] = NAN if missing is None else np.array(missing, cells.dtype)
    return cells


def check_kind(cells: NDArray, owner: str, refused: dict[tuple, str] = REFUSED) -> None:
    """Raise an error if cells of shape (n,) hold rejected values, such as dates; `owner` names their column."""
    if cells.dtype.kind in "biuf":
        return
    observed = cells[~is_missing(cells)]
    types = set(map(type, observed))  # few types, although there are many cells
    for kinds, message in refused.items():
        if own := tuple(kind for kind in types if issubclass(kind, kinds)):
            value = next(v for v in observed if isinstance(v, own))
            words = message.format(owner=owner, value=str(value))
            raise ValueError(words[0].upper() + words[1:])


def numbers(
    cells: NDArray, owner: str, refused: dict[tuple, str] = REFUSED, needs: str = "must hold numbers"
) -> NDArray:
    """Return cells of shape (n,) as numbers, NaN where missing; `owner` names their column in errors."""
    if cells.dtype.kind in "biuf":
        return cells
    check_kind(cells, owner, refused)
    observed = ~is_missing(cells)
    values = np.full(len(cells), NAN)
    try:
        values[observed] = cells[observed].astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise alike(error)(f"{owner[0].upper()}{owner[1:]} {needs}: {error}") from error
    return values
