"""A column of categories: its levels, those that share a column, and conversion between levels and codes."""

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from math import isinf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae.nn.words import short, suggest

from .containers import REFUSED_LEVELS, check_kind, is_missing

NAN, OBJECT = float("nan"), np.dtype(object)
MAX_SHOWN = 10  # levels in a message
ALIKE = 1e-6
"""Probabilities that differ by less are as a rule alike: the first level is taken, however sums are rounded."""
MIN_NUMBERS, MIN_CODES = 5, 20
"""Number of distinct numbers from which a column of strings causes a warning: beside other strings, and without."""


@dataclass(frozen=True)
class Levels:
    """A column of categories.

    Parameters
    ----------
    name : hashable
        Name of the column.
    dtype : str or dtype
        Dtype of the levels.
    levels : list
        The observed levels, in order; a cell's code is the position of its level here.
    pooled : list of int
        Codes of the levels that share the last expanded column; the others have one each.
    shares : list of float
        Share of each of these in their observations.
    categories : list
        All levels of pandas' category dtype, observed or not.
    ordered : bool or None
        Whether these are ordered; None for another dtype.
    missing : object
        Value of a missing cell.
    """

    name: Hashable
    dtype: Any
    levels: list
    pooled: list[int] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    categories: list = field(default_factory=list)
    ordered: bool | None = None
    missing: Any = NAN

    @property
    def width(self) -> int:
        """Number of expanded columns."""
        return len(self.levels) - len(self.pooled) + bool(self.pooled)

    @property
    def names(self) -> list[Hashable]:
        """Names of the expanded columns."""
        names: list[Hashable] = [f"{self.name}={self.levels[code]}" for code in self._kept]
        return [*names, f"{self.name}=({len(self.pooled)} others)"] if self.pooled else names

    @property
    def _kept(self) -> NDArray[np.intp]:
        """Codes of the levels that have a column of their own, shape (n_kept,)."""
        return np.delete(np.arange(len(self.levels)), self.pooled)

    @property
    def places(self) -> NDArray[np.intp]:
        """Position among the expanded columns of each level's, shape (n_levels,)."""
        places = np.full(len(self.levels), len(self._kept))
        places[self._kept] = np.arange(len(self._kept))
        return places

    @property
    def log_shares(self) -> NDArray | None:
        """Log-probability of each level given its column, shape (n_levels,); None where all are zero."""
        if not self.pooled:
            return None
        shares = np.ones(len(self.levels))
        shares[self.pooled] = self.shares
        return np.log(shares)

    def codes(self, column: Any, weight: NDArray | None = None) -> tuple[NDArray, list]:
        """Return the codes of a column, NaN where missing or unknown, and the unknown levels.

        Parameters
        ----------
        column : Series or ndarray of shape (n_rows,)
            The cells.
        weight : ndarray of shape (n_rows,) or None
            Weights of the rows; the levels of those of weight zero do not count as unknown.
        """
        positions, found = factorize(column, self.name)
        order = {level: code for code, level in enumerate(self.levels)}
        codes = np.array([*(order.get(level, NAN) for level in found), NAN])[positions]
        unknown = np.isnan(codes) & (positions >= 0)
        if weight is not None:
            unknown &= weight > 0
        return codes, [found[position] for position in np.unique(positions[unknown])]

    def narrow(self, values: NDArray, draws: np.random.Generator | None = None) -> NDArray:
        """Return codes for values of the expanded columns along the last axis: NaN if one of these is missing.

        Parameters
        ----------
        values : ndarray of shape (..., width)
            Probabilities, from which the most probable level is taken, or draws.
        draws : Generator or None, default=None
            Source that selects one of the levels that share a column by their shares, for draws.
        """
        likeliest, weighed = self._kept, values
        if self.pooled:
            best = int(np.argmax(self.shares))
            likeliest, share = np.append(likeliest, self.pooled[best]), np.ones(self.width, values.dtype)
            share[-1] = self.shares[best]
            weighed = values * share
        places = np.round(weighed / ALIKE).argmax(axis=-1)
        codes = likeliest[places].astype(values.dtype)
        if self.pooled and draws is not None:
            shared = places == self.width - 1
            codes[shared] = draws.choice(self.pooled, size=shared.sum(), p=self.shares)
        codes[np.isnan(values).any(axis=-1)] = np.nan
        return codes

    def floats(self, codes: NDArray) -> NDArray:
        """Return the levels of codes as floats, shape (n_rows,)."""
        return np.array([*self.levels, NAN], dtype=codes.dtype)[_positions(codes)]

    def objects(self, codes: NDArray) -> NDArray:
        """Return the levels of codes as Python objects, shape (n_rows,)."""
        return np.fromiter([*self.levels, self.missing], dtype=object)[_positions(codes)]

    def cells(self, codes: NDArray) -> Any:
        """Return the levels of codes in the form that a pandas frame makes its column from, shape (n_rows,)."""
        import pandas as pd

        if self.ordered is not None:
            dtype = pd.CategoricalDtype(pd.Index(self.categories, dtype=self.dtype), self.ordered)
            order = {level: position for position, level in enumerate(self.categories)}
            own = np.array([*(order[level] for level in self.levels), -1])
            return pd.Categorical.from_codes(own[_positions(codes)], dtype=dtype)
        if self.dtype == "object":
            return pd.Series(self.objects(codes), dtype=object)
        return pd.Series(self.levels, dtype=self.dtype).reindex(_positions(codes)).array


def learn_levels(
    name: Hashable,
    dtype: Any,
    cells: Callable[[], Any],
    weight: NDArray | None = None,
    max_categories: int | None = None,
) -> Levels:
    """Learn the levels of a category: those observed in rows of positive weight.

    Parameters
    ----------
    name, dtype : object
        Name and dtype of the column.
    cells : callable
        Function that returns the column.
    weight : ndarray of shape (n_rows,) or None, default=None
        Weights of the rows: a row of weight 2 counts as two.
    max_categories : int or None, default=None
        Maximum number of expanded columns; levels beyond it share one.
    """
    positions, found = factorize(cells(), name)
    seen = positions >= 0 if weight is None else (positions >= 0) & (weight > 0)
    n_rows = np.bincount(positions[seen], minlength=len(found))
    counts = n_rows if weight is None else np.bincount(positions[seen], weight[seen], minlength=len(found))
    observed = {level: position for position, level in enumerate(found) if n_rows[position]}
    if not observed:
        raise ValueError(f"A categorical column must have an observed value. Column {name!r} has none.")
    if hasattr(dtype, "categories"):
        categories = dtype.categories.tolist()
        levels, own = [level for level in categories if level in observed], dtype.categories.dtype
        more: dict[str, Any] = {"categories": categories, "ordered": bool(dtype.ordered)}
    else:
        levels, own = _sorted(list(observed)), dtype
        more: dict[str, Any] = {
            "missing": next(iter(np.asarray(cells())[positions < 0]), NAN) if dtype == OBJECT else NAN
        }
    order = np.array([observed[level] for level in levels])
    pooled, shares = pool(counts[order], max_categories)
    if pooled:
        warnings.warn(_pooled_message(name, len(levels), len(pooled), int(n_rows[order[pooled]].sum())), stacklevel=2)
    return Levels(name, spelled(own), levels, pooled, shares, **more)


def pool(counts: NDArray, max_categories: int | None) -> tuple[list[int], list[float]]:
    """Return the codes of the rarest levels, which share one column, and their shares of it."""
    if max_categories is None or len(counts) <= max_categories:
        return [], []
    pooled = np.sort(np.argsort(-counts, kind="stable")[max_categories - 1 :])
    return pooled.tolist(), (counts[pooled] / counts[pooled].sum()).tolist()


def _pooled_message(name: Hashable, n_levels: int, n_pooled: int, n_rows: int) -> str:
    return (
        f"Column {name!r} has {n_levels} levels, more than max_categories={n_levels - n_pooled + 1}: the {n_pooled} "
        f"rarest, in {n_rows} rows, are pooled into one. Raise max_categories to tell more of them apart, or leave a "
        "column of names or keys out."
    )


def unknown_error(column: Levels, unknown: Sequence) -> str:
    """Return the error for unknown levels."""
    known, hint = enumerated(column.levels), suggest(unknown[0], column.levels)
    return f"Column {column.name!r} must hold a category known from fit: {known}. Got {short(unknown[0])}.{hint}"


def unknown_message(unknown: Sequence[tuple[Levels, Sequence]]) -> str:
    """Return the warning for unknown levels, by column."""
    columns = "; ".join(f"column {column.name!r}: {enumerated(levels)}" for column, levels in unknown)
    return (
        f"Categories that fit has not seen count as missing cells, in {columns}. Set handle_unknown='error' to have an "
        "error instead."
    )


def enumerated(levels: Sequence) -> str:
    """Return some levels in words."""
    shown = ", ".join(map(repr, levels[:MAX_SHOWN]))
    return shown if len(levels) <= MAX_SHOWN else f"{shown}, ... ({len(levels)} in all)"


def warn_of_numbers(name: Hashable, column: Any, levels: Sequence, key: Hashable) -> None:
    """Warn if at least half of the levels of a pandas column of strings read as numbers.

    A single "?" among the numbers of a file turns all of them into strings. Strings of digits may well be codes, as
    long as there are few.

    Parameters
    ----------
    name : hashable
        Name of the column.
    column : Series
        The cells.
    levels : sequence
        Its distinct values, without missing ones.
    key : hashable
        How `likelihood` names the column.
    """
    import pandas as pd

    values = pd.Series(list(levels), dtype=object)
    is_number = pd.to_numeric(values, errors="coerce").notna()
    others = values[~is_number].tolist()
    if is_number.sum() < max(MIN_NUMBERS if others else MIN_CODES, len(others)):
        return
    cells = column.dropna()
    n_numbers = int((~cells.isin(others)).sum())
    words = f", all but {enumerated(others)}" if others else ""
    unread = f", or na_values={others!r} in pandas.read_csv" if 0 < len(others) <= 3 else ""
    warnings.warn(
        f"Column {name!r} holds strings, so it is a category of {len(values)} levels. But {n_numbers} of {len(cells)} "
        f"cells ({n_numbers / len(cells):.1%}) read as numbers{words}. If they are numbers, make them so: "
        f"X[{name!r}] = pandas.to_numeric(X[{name!r}], errors='coerce'){unread}. If they are categories, say so: "
        f"likelihood={{{key!r}: 'categorical'}}.",
        stacklevel=2,
    )


def factorize(column: Any, name: Hashable) -> tuple[NDArray, list]:
    """Return the position of each cell's value among the distinct values, -1 where missing, and these values."""
    if column.dtype == OBJECT:
        check_kind(np.asarray(column), f"column {name!r}", REFUSED_LEVELS)
    codes, found = _factorize(column)
    if any(isinstance(level, float) and isinf(level) for level in found):
        raise ValueError(f"Input X contains infinity, in categorical column {name!r}.")
    return codes, found


def _factorize(column: Any) -> tuple[NDArray, list]:
    if hasattr(column, "factorize"):
        codes, found = column.factorize()
        return codes, found.tolist()
    if column.dtype != OBJECT:
        found, codes = np.unique(column, return_inverse=True, equal_nan=True)
        gone = is_missing(found)  # NaN is sorted last
        return np.where(gone[codes], -1, codes), found[~gone].tolist()
    places: dict[Any, int] = {}
    codes = np.array([places.setdefault(value, len(places)) for value in column.tolist()], dtype=np.intp)
    found = np.fromiter(places, dtype=object, count=len(places))
    gone = is_missing(found)
    return np.where(gone, -1, np.cumsum(~gone) - 1)[codes], found[~gone].tolist()


def _sorted(levels: list) -> list:
    """Return sorted levels; by type first if they do not compare."""
    try:
        return sorted(levels)
    except TypeError:
        return sorted(levels, key=lambda level: (type(level).__name__, str(level)))


def spelled(dtype: Any) -> Any:
    """Return a dtype's name if pandas turns it into the same dtype, otherwise the dtype."""
    if isinstance(dtype, np.dtype):
        return dtype.name
    from pandas.api.types import pandas_dtype

    try:
        return str(dtype) if pandas_dtype(str(dtype)) == dtype else dtype
    except (TypeError, ValueError, NotImplementedError):
        return dtype


def _positions(codes: NDArray) -> NDArray[np.intp]:
    """Return codes as positions, -1 where missing."""
    return np.where(np.isnan(codes), -1, codes).astype(np.intp)
