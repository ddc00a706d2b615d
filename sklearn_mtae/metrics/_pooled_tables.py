"""Tables of real and drawn rows read as one array of numbers, so that all that compares them sees the same cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_mtae._tables.checks import safe_indexing
from sklearn_mtae._tables.classes import observed_labels
from sklearn_mtae._tables.containers import check_kind, plain
from sklearn_mtae.nn.words import listed

EXTREME = 1e100
TABLES = ("real", "drawn", "held_out")


@dataclass(frozen=True, eq=False)
class PooledTables:
    """Several tables of the same columns, one below the other.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        Numbers, or positions of classes; NaN where a cell is missing.
    table : ndarray of str of shape (n_rows,)
        Which table a row is of.
    names : list
        Names of the columns.
    n_classes : ndarray of int of shape (n_columns,)
        Classes of each column; 0 of numbers.
    """

    x: NDArray
    table: NDArray
    names: list[Any]
    n_classes: NDArray

    def rows(self, table: str) -> NDArray:
        """Return the rows of a table."""
        return self.x[self.table == table]


def read_tables(tables: Sequence[Any], max_rows: int | None, rng: np.random.RandomState) -> PooledTables:
    """Read real, drawn and held-out rows, of each so many at most, chosen at random."""
    read = [_checked(table, name) for table, name in zip(tables, TABLES, strict=True)]
    names = _common_names(read)
    read = [_some_rows(table, max_rows, rng) for table in read]
    columns = [
        [
            _column(table, position if isinstance(table, np.ndarray) else name, f"column {name!r} of {owner}")
            for table, owner in zip(read, TABLES, strict=True)
        ]
        for position, name in enumerate(names)
    ]
    pooled = [_pool(own, name) for own, name in zip(columns, names, strict=True)]
    which = np.repeat(TABLES, [len(table) for table in read])
    return PooledTables(np.stack([x for x, _ in pooled], axis=1), which, names, np.array([n for _, n in pooled]))


def copy_gaps(tables: PooledTables, rng: np.random.RandomState) -> PooledTables:
    """Give each drawn row the gaps of a real or held-out row chosen at random, where no drawn row has any.

    Gaps of the real rows alone would make drawn rows more like these than like held-out ones.
    """
    is_drawn = tables.table == "drawn"
    gaps = np.isnan(tables.x[~is_drawn])
    if np.isnan(tables.x[is_drawn]).any() or not gaps.any():
        return tables
    x = tables.x.copy()
    x[is_drawn] = np.where(gaps[rng.randint(len(gaps), size=is_drawn.sum())], np.nan, x[is_drawn])
    return PooledTables(x, tables.table, tables.names, tables.n_classes)


def _checked(table: Any, name: str) -> Any:
    """Return a table of two dimensions and at least two rows, a frame as it is."""
    table = plain(table)
    table = table.toarray() if issparse(table) else table
    shape = getattr(table, "shape", ())
    if len(shape) != 2 or shape[0] < 2 or shape[1] < 1:
        raise ValueError(f"{name} must be a table of two rows or more. Got {type(table).__name__} of shape {shape}.")
    return table if hasattr(table, "columns") else np.asarray(table)


def _common_names(tables: Sequence[Any]) -> list[Any]:
    """Return the names of the columns, in the order of the real table, or their positions in arrays."""
    named = [table for table in tables if hasattr(table, "columns")]
    names = list(named[0].columns) if named else list(range(tables[0].shape[1]))
    for table, owner in zip(tables, TABLES, strict=True):
        own = list(getattr(table, "columns", names[: table.shape[1]]))
        if set(own) != set(names) or table.shape[1] != len(names):
            raise ValueError(
                f"{owner} must have the columns of the other tables, {listed(names)}. Got {table.shape[1]} columns: "
                f"{listed(own)}."
            )
    return names


def _some_rows(table: Any, max_rows: int | None, rng: np.random.RandomState) -> Any:
    if max_rows is None or len(table) <= max_rows:
        return table
    return safe_indexing(table, np.sort(rng.permutation(len(table))[:max_rows]))


def _column(table: Any, key: Any, owner: str) -> tuple[NDArray[np.bool_], NDArray, bool]:
    """Return where a column has values, these, and whether they are classes: all that are not plain numbers."""
    column = table[key] if hasattr(table, "columns") else table[:, key]
    cells = np.asarray(column)
    check_kind(cells, owner)
    observed, labels = observed_labels(cells)
    is_category = hasattr(getattr(column, "dtype", None), "ordered")
    return observed, labels, is_category or labels.dtype.kind not in "iuf"


def _pool(columns: Sequence[tuple[NDArray[np.bool_], NDArray, bool]], name: Any) -> tuple[NDArray, int]:
    """Return a column of all tables as numbers, and how many classes it has: none where the real one holds numbers."""
    is_class = columns[0][2]
    values = [own.tolist() for _, own, _ in columns]
    classes = sorted(set().union(*values), key=lambda label: (isinstance(label, str), label)) if is_class else []
    places = {label: place for place, label in enumerate(classes)}
    parts = []
    for (observed, labels, differs), own, table in zip(columns, values, TABLES, strict=True):
        if differs != is_class and not (is_class or labels.dtype.kind == "b"):
            raise ValueError(f"Column {name!r} of {table} must hold numbers, as that of real does. Got {own[0]!r}.")
        part = np.full(len(observed), np.nan)
        part[observed] = [places[label] for label in own] if is_class else labels
        parts.append(part)
    x = np.concatenate(parts)
    if np.isinf(x).any():
        raise ValueError(f"Column {name!r} must hold finite numbers. It contains infinity.")
    largest = float(np.nanmax(np.abs(x), initial=0.0))
    # No measure depends on units, but squares would overflow, or vanish.
    is_extreme = largest > 0 and not 1 / EXTREME < largest < EXTREME
    return x / largest if is_extreme else x, len(classes)
