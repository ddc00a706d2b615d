"""Tables with categories as numbers: a category becomes one indicator column per level when it is read."""

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Number
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .coded_rows import Category, Coded
from .containers import REFUSED, is_frame, numbers
from .levels import NAN, OBJECT, Levels, learn_levels, spelled, unknown_error, unknown_message

__all__ = ["Table", "frame_kinds", "is_frame"]

PLAIN = "biuf"  # kinds of numeric dtypes

# For columns that should be numbers.
REFUSED_NUMBERS = {
    (str, bytes): "{owner} holds strings, such as {value!r}; likelihood must name it 'categorical'.",
    **REFUSED,
}


def frame_kinds(X: Any) -> list[bool]:
    """Return which columns of a table hold strings or have pandas' category dtype."""
    table = _as_table(X)
    return [dtype.kind in "OU" and _is_category(_column(table, j)) for j, dtype in enumerate(_dtypes(table))]


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: its name and dtype, the numpy dtype of a cell, and the value of a missing cell."""

    name: Hashable
    dtype: Any
    unit: str
    missing: Any = NAN

    width: ClassVar[int] = 1

    @property
    def names(self) -> list[Hashable]:
        """Name of the one expanded column."""
        return [self.name]

    def codes(self, column: Any, weight: NDArray | None = None) -> tuple[NDArray, list]:
        """Return the numbers of a column, shape (n_rows,), NaN where missing, and no unknown levels."""
        return _floats(column, self.name), []

    def holds(self, value: float) -> bool:
        """Return whether the dtype holds a number as it is, or at least a number near it."""
        unit = np.dtype(self.unit)
        return bool(np.isnan(value)) or unit.kind == "f" or float(_round(np.array([value]), unit)[0]) == value

    def narrow(self, values: NDArray, draws: np.random.Generator | None = None) -> NDArray:
        """Return the one expanded column, shape (...)."""
        return values[..., 0]

    def floats(self, values: NDArray) -> NDArray:
        """Return the cells unchanged, shape (n_rows,)."""
        return values

    def objects(self, values: NDArray) -> NDArray:
        """Return the cells as Python objects, shape (n_rows,)."""
        rounded, missing = self._rounded(values)
        cells = rounded.astype(object)
        cells[missing] = self.missing
        return cells

    def cells(self, values: NDArray) -> Any:
        """Return the cells in the form that a pandas frame makes its column from, shape (n_rows,)."""
        import pandas as pd

        if self.dtype == "object":
            return pd.Series(self.objects(values), dtype=object)
        rounded, missing = self._rounded(values)
        if self.dtype == self.unit and (rounded.dtype.kind == "f" or not missing.any()):
            return rounded
        return pd.Series(rounded, dtype=self.dtype).mask(missing).array

    def _rounded(self, values: NDArray) -> tuple[NDArray, NDArray[np.bool_]]:
        """Return the cells in their numpy dtype, with arbitrary values where missing, and where they are missing."""
        return _round(values, np.dtype(self.unit)), np.isnan(values)


@dataclass(frozen=True)
class Table:
    """Conversion of a table's columns to numbers and back; `framed` if it was a pandas data frame."""

    columns: list[Numbers | Levels]
    framed: bool

    @classmethod
    def learn(
        cls, X: Any, kinds: Sequence[bool], max_categories: int | None = None, weight: NDArray | None = None
    ) -> Self:
        """Learn the columns of a table and the levels of its categories.

        The levels are the observed values, in the order of pandas' category dtype, otherwise sorted.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table. Missing cells are NaN, None or pandas' own.
        kinds : sequence of bool of length n_features
            Which columns are categories.
        max_categories : int or None, default=None
            Maximum number of expanded columns per category; the rarest levels beyond it share one.
        weight : ndarray of shape (n_samples,) or None, default=None
            Weights of the rows; values that only occur in rows of weight zero are not levels.

        Raises
        ------
        ValueError, TypeError
            If a category has no observed value, or if another column does not hold numbers.
        """
        table = _as_table(X)
        names = X.columns if hasattr(X, "columns") else range(table.shape[1])
        levels = partial(learn_levels, max_categories=max_categories, weight=weight)
        learners = [levels if kind else _learn_numbers for kind in kinds]
        parts = enumerate(zip(learners, names, _dtypes(table), strict=True))
        return cls([learn(name, dtype, partial(_column, table, j)) for j, (learn, name, dtype) in parts], is_frame(X))

    @property
    def expands(self) -> bool:
        """Whether there are categories."""
        return any(isinstance(column, Levels) for column in self.columns)

    @property
    def n_columns(self) -> int:
        """Number of expanded columns."""
        return sum(column.width for column in self.columns)

    @property
    def names(self) -> list[Hashable]:
        """Names of the expanded columns: "age", "job=clerk"; for an array 0, "1=clerk"."""
        return [name for column in self.columns for name in column.names]

    @property
    def groups(self) -> list[list[int]]:
        """Positions of the expanded columns of each column of the table."""
        return [list(range(own.start, own.stop)) for own in self._spans]

    @property
    def indicators(self) -> list[bool]:
        """Which of the expanded columns are a category's."""
        return [isinstance(column, Levels) for column in self.columns for _ in range(column.width)]

    @property
    def _spans(self) -> list[slice]:
        ends = np.cumsum([column.width for column in self.columns]).tolist()
        return [slice(end - column.width, end) for end, column in zip(ends, self.columns, strict=True)]

    @property
    def _layout(self) -> tuple[list[Category], tuple[NDArray, NDArray], int]:
        """Where the columns of the table lie among the expanded ones: categories, numbers, and how many there are."""
        columns = list(enumerate(zip(self.columns, self._spans, strict=True)))
        numbers = [(j, own.start) for j, (column, own) in columns if isinstance(column, Numbers)]
        features, starts = np.array(numbers, dtype=np.intp).reshape(-1, 2).T
        categories = [
            Category(j, own.start, column.width, column.places, column.log_shares)
            for j, (column, own) in columns
            if isinstance(column, Levels)
        ]
        return categories, (features, starts), self.n_columns

    def encode(self, X: Any, unknown: str = "error", weight: NDArray | None = None) -> NDArray | Coded:
        """Turn a table into numbers.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The learned columns, found by position.
        unknown : {"error", "missing", "silent"}, default="error"
            How to treat a level that was not learned: as an error, or as a missing cell, with one warning for all or
            with none.
        weight : ndarray of shape (n_samples,) or None, default=None
            Weights of the rows; in rows of weight zero, such a level is a missing cell, without a warning.

        Returns
        -------
        ndarray or Coded of shape (n_samples, n_columns)
            Numbers and indicators, NaN where missing; float32 if all of X is float32, otherwise float64. Categories are
            expanded as rows are read.

        Raises
        ------
        ValueError
            If a category has a level that was not learned, or a number is infinite.
        """
        table = _as_table(X)
        dtypes, strangers = _dtypes(table), []
        dtype = np.float32 if all(own == np.float32 for own in dtypes) else np.float64
        plain = [isinstance(c, Numbers) and own.kind in PLAIN for c, own in zip(self.columns, dtypes, strict=True)]
        if all(plain):
            return self._check_finite(_block(table, dtype))
        cells = np.empty(table.shape, dtype)
        cells[:, plain] = _block(table.loc[:, plain] if is_frame(table) else table[:, plain], dtype)
        for j in np.flatnonzero(np.logical_not(plain)).tolist():
            cells[:, j], new = self.columns[j].codes(_column(table, j), weight)
            strangers += [(self.columns[j], new)] if new else []
        if strangers and unknown == "error":
            raise ValueError(unknown_error(*strangers[0]))
        if strangers and unknown == "missing":
            warnings.warn(unknown_message(strangers), stacklevel=2)
        self._check_finite(cells)
        return Coded(cells, *self._layout) if self.expands else cells

    def narrow(self, values: NDArray, draws: np.random.Generator | None = None) -> NDArray:
        """Return one value for each column of the table: a number unchanged, or the code of a category's level.

        Parameters
        ----------
        values : ndarray of shape (..., n_columns)
            Means, probabilities or draws of the expanded columns, NaN where missing.
        draws : Generator or None, default=None
            Source that selects one of the levels that share a column, for draws. None takes the most probable one.

        Returns
        -------
        ndarray of shape (..., n_features)
            The input of `decode`.
        """
        if not self.expands:
            return values
        parts = zip(self.columns, self._spans, strict=True)
        return np.stack([column.narrow(values[..., own], draws) for column, own in parts], axis=-1)

    def decode(self, values: ArrayLike, index: Any = None) -> Any:
        """Turn numbers back into a table like the one that was learned.

        Whole numbers are rounded and clipped to their dtype, and a boolean is true above a half. If numpy's dtype
        cannot hold NaN, pandas chooses one that can.

        Parameters
        ----------
        values : array-like of shape (n_samples, n_features)
            Means or draws of the numbers, codes of the levels, NaN where missing.
        index : Index or None, default=None
            Index of the frame; None counts from 0.

        Returns
        -------
        DataFrame or ndarray of shape (n_samples, n_features)
            For an array, an array of floats, not rounded, or of objects if a level is not a number.
        """
        x = np.asarray(values)
        x = x.astype(np.result_type(x, np.float32), copy=False)
        if self.framed:
            return self._decode_frame(x, index)
        numeric = all(isinstance(level, Number | np.bool_) for c in self.columns for level in getattr(c, "levels", ()))
        parts = zip(self.columns, x.T, strict=True)
        return np.stack([(column.floats if numeric else column.objects)(own) for column, own in parts], axis=1)

    def _decode_frame(self, x: NDArray, index: Any) -> Any:
        import pandas as pd

        names = [column.name for column in self.columns]
        units = {c.unit if isinstance(c, Numbers) and c.dtype == c.unit else "object" for c in self.columns}
        unit = np.dtype(units.pop() if len(units) == 1 else "object")
        if unit.kind == "f" or (unit.kind in PLAIN and not np.isnan(x).any()):
            return pd.DataFrame(_round(x, unit), columns=names, index=index, copy=False)
        frame = pd.DataFrame(
            {j: column.cells(own) for j, (column, own) in enumerate(zip(self.columns, x.T, strict=True))}
        )
        frame.columns = names
        return frame if index is None else frame.set_axis(index)

    def _check_finite(self, x: NDArray) -> NDArray:
        for j in np.flatnonzero(np.isinf(x).any(axis=0)):
            raise ValueError(
                f"Input X contains infinity or a value too large for {x.dtype!r}, in {self.columns[j].name!r}."
            )
        return x


def _learn_numbers(name: Hashable, dtype: Any, cells: Callable[[], Any]) -> Numbers:
    """Learn the form to turn a column of numbers back into; for most, the dtype is enough."""
    if dtype.kind in PLAIN:
        own = getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))  # for a nullable or a sparse dtype
        return Numbers(name, spelled(dtype), np.dtype(own).name)
    x = _floats(cells(), name)
    if dtype != OBJECT:
        return Numbers(name, "float64", "float64")
    column, missing = np.asarray(cells()), np.isnan(x)
    kind = np.array(column[~missing].tolist()).dtype.kind
    return Numbers(name, "object", {"b": "bool", "i": "int64"}.get(kind, "float64"), next(iter(column[missing]), NAN))


def _round(x: NDArray, dtype: np.dtype) -> NDArray:
    """Return numbers in a dtype, NaN as 0 if it has no NaN: the nearest number that it holds, true above a half."""
    if dtype.kind == "b":
        return x > 0.5
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        return x.clip(limits.min, limits.max).astype(dtype) if dtype.itemsize < x.itemsize else x.astype(dtype)
    info = np.iinfo(dtype)
    # The largest integer of 64 bits lies between two floats; the upper one does not fit.
    high = np.nextafter(float(info.max), 0) if info.bits == 64 else info.max
    return np.nan_to_num(x.astype(np.float64)).round().clip(info.min, high).astype(dtype)


def _floats(column: Any, name: Hashable) -> NDArray:
    """Return a column as numbers, shape (n_rows,), NaN where missing."""
    needs = "must hold numbers, or be named 'categorical'"
    return numbers(np.asarray(column), f"column {name!r}", REFUSED_NUMBERS, needs)


def _block(table: Any, dtype: type[np.floating]) -> NDArray:
    """Return a table of plain numbers as an array."""
    if not is_frame(table):
        return table.astype(dtype, copy=False)
    nullable = not all(isinstance(own, np.dtype) for own in table.dtypes)
    return table.to_numpy(dtype=dtype, na_value=np.nan) if nullable else table.to_numpy(dtype=dtype)


def _as_table(X: Any) -> Any:
    """Return a pandas frame unchanged and everything else as a two-dimensional array."""
    if is_frame(X):
        return X
    array = np.asarray(X)
    if hasattr(X, "to_pandas") and array.dtype.kind not in PLAIN:
        raise TypeError(f"Categories must come in a pandas data frame: pass X.to_pandas(). Got {type(X)} instead.")
    if array.dtype.kind in "US" and not hasattr(X, "dtype"):
        array = np.asarray(X, dtype=object)  # in a list with strings, numpy turns numbers into strings
    if array.ndim != 2:
        raise ValueError(f"X must have shape (n_samples, n_features). Got {array.shape} instead.")
    return array


def _dtypes(table: Any) -> list:
    return list(table.dtypes) if is_frame(table) else [table.dtype] * table.shape[1]


def _column(table: Any, position: int) -> Any:
    return table.iloc[:, position] if is_frame(table) else table[:, position]


def _is_category(column: Any) -> bool:
    """Return whether a column has pandas' category dtype or holds a string."""
    if hasattr(column.dtype, "categories") or column.dtype.type is str:
        return True
    return any(isinstance(value, str) for value in np.asarray(column))
