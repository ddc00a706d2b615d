"""One column from the columns of the same name in several pandas frames, in a dtype that keeps all values."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["LARGEST", "stack_columns", "with_gaps"]

LARGEST = 2**53
"""Up to this number, 64-bit floats hold all whole numbers."""

INFERRED = {
    "string": "strings",
    "boolean": "booleans",
    "integer": "numbers",
    "floating": "numbers",
    "mixed-integer-float": "numbers",
    "decimal": "numbers",
    "complex": "complex numbers",
    "datetime": "dates",
    "date": "dates",
    "timedelta": "durations",
}
"""Contents of a column of objects, by pandas' name for them."""


def stack_columns(rows: Mapping[Any, Any]) -> Any:
    """Return the columns of all frames over their rows, one after the other, counted from 0.

    Parameters
    ----------
    rows : mapping of str to DataFrame
        Frames by task.
    """
    import pandas as pd

    names = list(dict.fromkeys(name for x in rows.values() for name in x.columns))
    ends = np.cumsum([len(x) for x in rows.values()]).tolist()
    placed = {task: x.set_axis(range(end - len(x), end)) for (task, x), end in zip(rows.items(), ends, strict=True)}
    alike = [name for name in names if _is_alike([x.dtypes.get(name) for x in placed.values()])]
    block = pd.concat([x[alike] for x in placed.values()])
    columns = {
        place: block[name] if name in block else _stack_column(name, placed, ends[-1])
        for place, name in enumerate(names)
    }
    return pd.DataFrame(columns, index=range(ends[-1])).set_axis(pd.Index(names), axis=1)


def with_gaps(column: Any) -> Any:
    """Return a series in a dtype that can have missing cells.

    Numbers of other dtypes become floats, as in pandas, if these hold their values, otherwise nullable. Booleans become
    nullable too.
    """
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else ""
    if kind == "b":
        return column.astype("boolean")
    return column.astype(_nullable(column.dtype)) if kind in {"i", "u"} and not _fits(column, LARGEST) else column


def _is_alike(dtypes: Sequence[Any]) -> bool:
    """Return whether all tables have a column of the same dtype, with cells of one kind."""
    first = dtypes[0]
    return first is not None and not _is_object(first) and not hasattr(first, "categories") and set(dtypes) == {first}


def _is_object(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _stack_column(name: Any, placed: Mapping[Any, Any], n_rows: int) -> Any:
    import pandas as pd

    pieces = {task: x[name] for task, x in placed.items() if name in x.columns}
    kinds = {task: _kind(piece) for task, piece in pieces.items()}
    # A column without values is only a gap.
    pieces = {task: piece for task, piece in pieces.items() if kinds[task]} or _empty(pieces)
    kind = _common_kind(name, {task: own for task, own in kinds.items() if own})
    dtype = _common_dtype(name, kind, pieces)
    column = pd.concat([piece if dtype is None else piece.astype(dtype) for piece in pieces.values()])
    return column if len(column) == n_rows else with_gaps(column).reindex(range(n_rows))


def _empty(pieces: dict[Any, Any]) -> dict[Any, Any]:
    """Return columns without values in a common dtype."""
    dtypes = {piece.dtype for piece in pieces.values()}
    return pieces if len(dtypes) == 1 else {task: piece.astype(object) for task, piece in pieces.items()}


def _kind(column: Any) -> str:
    """Name the kind of a column, "" if it has no values."""
    from pandas.api import types

    dtype = column.dtype
    if hasattr(dtype, "categories") and len(dtype.categories):
        return f"categories that are {_kind(dtype.categories)}"
    if column.isna().all():
        return ""
    if _is_object(dtype):
        return INFERRED.get(types.infer_dtype(column, skipna=True), "values of several types")
    if types.is_bool_dtype(dtype):
        return "booleans"
    if types.is_string_dtype(dtype):
        return "strings"
    if types.is_numeric_dtype(dtype):
        return "complex numbers" if types.is_complex_dtype(dtype) else "numbers"
    if types.is_timedelta64_dtype(dtype):
        return "durations"
    if types.is_datetime64_any_dtype(dtype):
        zone = getattr(dtype, "tz", None)
        return "dates" if zone is None else f"dates of the time zone {zone}"
    return str(dtype)


def _common_kind(name: Any, kinds: Mapping[Any, str]) -> str:
    """Name the kind of a column in all tables; raise an error if it is not the same."""
    found = set(kinds.values())
    if len(found) > 1 and found != {"strings", "categories that are strings"}:
        words = ", ".join(f"{kind} in task {task!r}" for task, kind in kinds.items())
        raise ValueError(
            f"Column {name!r} must hold the same kind of values in each table. Got {words}. Convert it to one dtype in "
            "all of them."
        )
    return max(found, default="", key=lambda kind: kind.startswith("categories"))


def _common_dtype(name: Any, kind: str, pieces: Mapping[Any, Any]) -> Any:
    """Return the dtype of a column of one kind; None leaves the dtype to pandas."""
    if kind.startswith("categories"):
        return _union(list(pieces.values()))
    dtypes = {piece.dtype for piece in pieces.values()}
    if len(dtypes) == 1:
        return None
    if kind == "booleans":
        return "boolean"
    return _common_number(name, pieces) if kind == "numbers" and np.dtype(object) not in dtypes else None


def _common_number(name: Any, pieces: Mapping[Any, Any]) -> Any:
    """Return the common dtype of numbers; raise an error if it cannot hold one of them."""
    plain = {task: np.dtype(_numpy_dtype(piece.dtype)) for task, piece in pieces.items()}
    common = np.result_type(*plain.values())
    if common.kind == "f" and all(dtype.kind in "iu" for dtype in plain.values()):  # signed and unsigned, 64 bits
        common = np.dtype(np.int64 if all(_fits(p, 2**63 - 1) for p in pieces.values()) else np.uint64)
    for task, piece in pieces.items():
        low, high = _range(common)
        if plain[task].kind in "iu" and len(piece.dropna()) and not low <= piece.min() <= piece.max() <= high:
            raise ValueError(
                f"Column {name!r} must hold numbers that all fit into one dtype. In task {task!r} it has "
                f"{piece.dtype} from {piece.min()} to {piece.max()}, not all of which {common} holds; "
                f"all tables together have {sorted({str(dtype) for dtype in plain.values()})}."
            )
    is_nullable = any(not isinstance(piece.dtype, np.dtype) for piece in pieces.values())
    return _nullable(common) if is_nullable else common


def _range(dtype: np.dtype) -> tuple[int, int]:
    """Return the whole numbers between which a dtype holds all of them."""
    if dtype.kind == "f":
        return -(2 ** (np.finfo(dtype).nmant + 1)), 2 ** (np.finfo(dtype).nmant + 1)
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _numpy_dtype(dtype: Any) -> Any:
    """Return the dtype of the cells: of a nullable dtype, of a sparse one, or the dtype itself."""
    return getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))


def _nullable(dtype: np.dtype) -> str:
    return dtype.name.replace("int", "Int").replace("uInt", "UInt").replace("float", "Float")


def _fits(column: Any, largest: int) -> bool:
    return column.dropna().empty or bool(-largest <= column.min() and column.max() <= largest)


def _union(columns: Sequence[Any]) -> Any:
    """Return the dtype of all categories: ordered if the columns' orders imply a single order of all of them."""
    import pandas as pd

    own = [c.dtype.categories.tolist() for c in columns if hasattr(c.dtype, "categories")]
    strings = [sorted(c.dropna().unique().tolist()) for c in columns if not hasattr(c.dtype, "categories")]
    is_ordered = not strings and all(column.dtype.ordered for column in columns)
    order = _common_order(own) if is_ordered else None
    levels = list(dict.fromkeys(level for levels in [*own, *strings] for level in levels)) if order is None else order
    dtypes = {c.dtype.categories.dtype for c in columns if hasattr(c.dtype, "categories")}
    index = pd.Index(levels, dtype=dtypes.pop() if len(dtypes) == 1 else None)
    return pd.CategoricalDtype(index, ordered=order is not None)


def _common_order(orders: Sequence[list]) -> list | None:
    """Return the only order of all levels that agrees with each order; None if there is none or more than one."""
    sorter: TopologicalSorter = TopologicalSorter()
    for order in orders:
        for level in order:
            sorter.add(level)
        for lower, higher in pairwise(order):
            sorter.add(higher, lower)
    try:
        sorter.prepare()
    except CycleError:
        return None
    found: list = []
    while sorter.is_active():
        ready = sorter.get_ready()
        if len(ready) > 1:
            return None
        sorter.done(*ready)
        found += ready
    return found
