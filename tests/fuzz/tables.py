"""Tables, in all that holds one, and rows that come after the fit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from scipy import sparse

from .cells import as_numbers, cells_of, is_frame, is_number, take
from .columns import THEMES, frame_column, gaps, numbers
from .draws import Draws, Rng, chance, pick

__all__ = ["LATER", "UNKNOWN", "Table", "draw_later", "draw_table"]

N_ROWS = {1: 1, 2: 1, 3: 1, 7: 3, 12: 5, 20: 5, 33: 2, 40: 1}


UNKNOWN = "a column of which nothing is known"
"""Excuses an error of a model; an imputer leaves such a column out."""


@dataclass
class Table:
    """A table and what excuses an error that it is met with."""

    X: Any
    kind: str
    excuses: list[str] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return np.shape(self.X) if not isinstance(self.X, list) else (len(self.X), len(self.X[0]) if self.X else 0)


# Arrays of numbers become what users pass.

ARRAYS: dict[str, tuple[float, Callable[[Rng, np.ndarray], Any]]] = {
    "float64": (10, lambda rng, x: x),
    "float32": (6, lambda rng, x: x.astype(np.float32)),
    "float16": (0.5, lambda rng, x: x.astype(np.float16)),
    "longdouble": (0.5, lambda rng, x: x.astype(np.longdouble)),
    "big-endian": (0.7, lambda rng, x: x.astype(pick(rng, [">f8", ">f4"]))),
    "integers": (1.5, lambda rng, x: _whole(x, pick(rng, ["int64", "int32", "int16", "uint8", "uint64"]))),
    "truths": (0.5, lambda rng, x: np.nan_to_num(x) > 0),
    "list": (1, lambda rng, x: x.tolist()),
    "Fortran": (0.7, lambda rng, x: np.asfortranarray(x)),
    "backwards": (0.7, lambda rng, x: x[::-1].copy()[::-1]),
    "mirrored": (0.5, lambda rng, x: x[:, ::-1].copy()[:, ::-1]),
    "every other": (0.7, lambda rng, x: np.repeat(x, 2, axis=0)[::2]),
    "broadcast": (0.3, lambda rng, x: np.broadcast_to(x[:1], x.shape)),
    "read-only": (0.7, lambda rng, x: _locked(x.copy())),
    "objects": (1, lambda rng, x: _objects(x, pick(rng, [None, pd.NA, np.nan]))),
    "strings": (0.2, lambda rng, x: x.astype(str)),
    "masked": (1, lambda rng, x: np.ma.masked_array(np.nan_to_num(x, nan=-999.0), mask=np.isnan(x))),
    "sparse": (1.5, lambda rng, x: _sparse(rng, x)),
    "polars": (0.7, lambda rng, x: pl.DataFrame(x, schema=[f"c{j}" for j in range(x.shape[1])])),
    "plain frame": (3, lambda rng, x: pd.DataFrame(x, columns=[f"c{j}" for j in range(x.shape[1])])),
}


def _whole(x: np.ndarray, dtype: str) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.nan_to_num(x).round().clip(max(info.min, -(2**62)), min(info.max, 2**62)).astype(dtype)


def _locked(x: np.ndarray) -> np.ndarray:
    x.flags.writeable = False
    return x


def _objects(x: np.ndarray, missing: Any) -> np.ndarray:
    cells = x.astype(object)
    cells[np.isnan(x)] = missing
    return cells


def _sparse(rng: Rng, x: np.ndarray) -> Any:
    thinned = np.where(rng.random(x.shape) < 0.5, 0.0, x)
    return pick(rng, [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.coo_array])(thinned)


def draw_table(draws: Draws) -> Table:
    """Draw the table of a fit."""
    rng = draws.of("table")
    n_rows, n_columns = pick(rng, N_ROWS), int(rng.integers(1, 9))
    theme = pick(rng, {"real": 8, "unit": 3, "counts": 3, "positive": 3, "extreme": 1.5, "any": 2, "indicators": 1})
    missing = gaps(rng, (n_rows, n_columns))
    if theme != "indicators" and chance(rng, 0.35):
        X = pd.DataFrame({j: frame_column(rng, n_rows, THEMES[theme], missing[:, j]) for j in range(n_columns)})
        X = X.set_axis(_names(rng, n_columns), axis=1).set_axis(_index(rng, n_rows), axis=0)
        return Table(X, f"frame of {theme}", what_excuses(X))
    with np.errstate(all="ignore"):
        kind = pick(rng, {name: weight for name, (weight, _) in ARRAYS.items()})
        X = ARRAYS[kind][1](rng, np.where(missing, np.nan, _array(rng, n_rows, n_columns, theme)))
    return Table(X, f"{kind} of {theme}", what_excuses(X))


def _array(rng: Rng, n_rows: int, n_columns: int, theme: str) -> np.ndarray:
    if theme == "indicators":
        return np.eye(n_columns)[rng.integers(0, n_columns, n_rows)]
    table = np.stack([numbers(rng, n_rows, THEMES[theme]).astype(float) for _ in range(n_columns)], axis=1)
    if chance(rng, 0.5):  # columns of which one says something of the other
        table[:, -1] = table[:, 0]
    return table[rng.integers(0, n_rows, n_rows)] if chance(rng, 0.1) else table


def _names(rng: Rng, n_columns: int) -> list[Any]:
    """Return names of columns, such as people give them."""
    plain = [f"c{j}" for j in range(n_columns)]
    odd = ["missingindicator_c0", "c0=red", "with space", "", "y0", "é", "0", "c1"]
    options = {"plain": 6, "positions": 1, "odd": 2, "backwards": 0.5, "twice": 0.2, "mixed": 0.2}
    return {
        "plain": plain,
        "positions": list(range(n_columns)),
        "odd": [odd[j] if j % 2 else name for j, name in enumerate(plain)],
        "backwards": plain[::-1],
        "twice": ["c0"] * n_columns,
        "mixed": [j if j % 2 else name for j, name in enumerate(plain)],
    }[pick(rng, options)]


def _index(rng: Rng, n_rows: int) -> Any:
    """Return an index of rows."""
    count = np.arange(n_rows)
    return pick(rng, [count, count, count[::-1], [f"r{i}" for i in count], np.zeros(n_rows, int), count + 0.5])


def what_excuses(X: Any) -> list[str]:
    """Return why a table may be refused."""
    cells, missing = cells_of(X)
    values, excuses = as_numbers(X), []
    seen = np.abs(values[np.isfinite(values)])
    if np.isinf(values).any():
        excuses.append("infinite")
    if seen.size and seen.max() > 1e25:
        excuses.append("huge")
    if missing.all():
        excuses.append("nothing observed")
    if 0 in cells.shape:
        excuses.append("empty")
    if is_frame(X):
        return excuses + _what_excuses_frame(X, missing)
    if not all(is_number(cell) for cell in cells[~missing]) or getattr(X, "dtype", np.dtype(float)).kind in "US":
        excuses.append("words in an array")
    return excuses


def _what_excuses_frame(X: pd.DataFrame, missing: np.ndarray) -> list[str]:
    excuses = []
    if len(set(X.columns)) < X.shape[1] or len(set(map(type, X.columns))) > 1:
        excuses.append("names")
    for j in range(X.shape[1]):
        column = X.iloc[:, j]
        if column.dtype.kind in "mM" or any(isinstance(v, pd.Timestamp) for v in column):
            excuses.append("dates")
        if missing[:, j].all() and not (hasattr(column.dtype, "kind") and column.dtype.kind in "fiub"):
            excuses.append(UNKNOWN)
    return excuses


# Rows that come later.


def _frame_or_array(X: Any, on_frame: Callable[[pd.Series], Any], on_array: Callable[[Any], Any]) -> Any:
    """Return a table after a change of its numbers."""
    if is_frame(X):
        columns = [on_frame(X.iloc[:, j]) for j in range(X.shape[1])]
        changed = pd.concat([pd.Series(c, index=X.index) for c in columns], axis=1, keys=range(X.shape[1]))
        return changed.set_axis(X.columns, axis=1)
    if isinstance(X, list) or hasattr(X, "to_pandas"):
        X = np.array(X, dtype=float) if isinstance(X, list) else X.to_pandas().to_numpy(dtype=float)
    return on_array(X)


def _plain(column: pd.Series) -> bool:
    return isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf"


def _times(X: Any, factor: float) -> Any:
    def scaled(values: Any) -> Any:
        # In float64, so that no wider dtype has digits that a result of that precision cannot have.
        return (values.astype(float) * factor).astype(values.dtype) if values.dtype.kind == "f" else values

    return _frame_or_array(X, lambda column: scaled(column) if _plain(column) else column, scaled)


def _with_gaps(X: Any, missing: np.ndarray) -> Any:
    def on_array(values: Any) -> Any:
        if sparse.issparse(values):
            values = values.toarray()
        if isinstance(values, np.ma.MaskedArray):
            return np.ma.masked_array(values.data, mask=np.ma.getmaskarray(values) | missing)
        return np.where(missing, np.nan, values if values.dtype.kind in "Of" else values.astype(float))

    positions = iter(range(missing.shape[1]))
    return _frame_or_array(X, lambda column: column.mask(missing[:, next(positions)]), on_array)


def _unseen(rng: Rng, X: Any) -> Any:
    def renamed(column: pd.Series) -> pd.Series:
        words = np.array([isinstance(value, str) for value in column])
        return (
            column.astype(object).mask(words & (rng.random(len(column)) < 0.4), "never seen") if words.any() else column
        )

    return _frame_or_array(X, renamed, lambda values: values)


def _cell(X: Any, value: Any) -> Any:
    """Return a table whose first cell is another."""
    if is_frame(X):
        first = X.iloc[:, 0].astype(object)
        first.iloc[0] = value
        return pd.concat([first.rename(X.columns[0]), X.iloc[:, 1:]], axis=1)
    table = cells_of(X)[0]
    table[0, 0] = value
    return table


LATER: dict[str, tuple[float, str, Callable[[Rng, Any, int, int], Any]]] = {
    "the same": (3, "", lambda rng, X, n, p: X),
    "some": (3, "", lambda rng, X, n, p: take(X, rng.integers(0, n, int(rng.integers(1, n + 1))))),
    "one": (2, "", lambda rng, X, n, p: take(X, np.array([n - 1]))),
    "with gaps": (3, "", lambda rng, X, n, p: _with_gaps(X, rng.random((n, p)) < 0.4)),
    "a row without a cell": (1, "", lambda rng, X, n, p: _with_gaps(X, np.arange(n)[:, None] == np.zeros(p))),
    "far away": (3, "far", lambda rng, X, n, p: _times(X, pick(rng, [1e6, -1e6, -1.0, 1e3]))),
    "far away with gaps": (2, "far", lambda rng, X, n, p: _with_gaps(_times(X, 1e6), rng.random((n, p)) < 0.4)),
    "unseen levels": (2, "", lambda rng, X, n, p: _unseen(rng, X)),
    "another number": (1, "", lambda rng, X, n, p: _cell(X, pick(rng, [-5, 300, 2.5, 2**53 + 1]))),
    "a word": (0.3, "wrong", lambda rng, X, n, p: _cell(X, "word")),
    "infinite": (0.3, "wrong", lambda rng, X, n, p: _cell(X, np.inf)),
    "too few columns": (0.3, "wrong", lambda rng, X, n, p: np.zeros((n, p - 1))),
    "too many columns": (0.3, "wrong", lambda rng, X, n, p: np.zeros((n, p + 1))),
    "no row": (0.3, "wrong", lambda rng, X, n, p: take(X, np.array([], dtype=int))),
    "an array": (0.3, "wrong", lambda rng, X, n, p: cells_of(X)[0]),
    "a vector": (0.2, "wrong", lambda rng, X, n, p: np.zeros(p)),
    "None": (0.2, "wrong", lambda rng, X, n, p: None),
}
"""Rows by how they differ from those of the fit: a weight, what excuses an error, and how they are made."""


def draw_later(draws: Draws, table: Table) -> Table:
    """Draw rows that come after the fit."""
    rng = draws.of("later")
    kind = pick(rng, {name: weight for name, (weight, _, _) in LATER.items()})
    _, excuse, make = LATER[kind]
    with np.errstate(all="ignore"):
        X = make(rng, table.X, *table.shape)
    excuses = [excuse] if excuse == "wrong" else what_excuses(X)
    size = np.abs(as_numbers(table.X))
    if kind == "another number" and ((size > 0) & (size < 1e-100)).any():
        excuses.append("a unit that is tiny")
    return Table(X, kind, excuses)
