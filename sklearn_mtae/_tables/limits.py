"""Limits: the range of a column's values, and the sum of a row's values."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_mtae.nn.likelihoods import Likelihood
from sklearn_mtae.nn.words import listed, short

from .blocks import block_rows, blocks, dense
from .coded_rows import Coded
from .describe import Columns

ROUNDING = 1e-3
"""How far a row of rounded shares may be from its total."""


class Range(NamedTuple):
    """Smallest and largest observed value of each column: infinity and minus infinity if none is observed."""

    min: NDArray
    max: NDArray


def find_range(array: Any) -> Range:
    """Return the smallest and largest observed value of each column of an array or CSR array, in one pass."""
    n_rows, n_columns = array.shape
    if isinstance(array, Coded):
        features, columns = array.numbers
        lowest, highest = np.zeros(n_columns), np.ones(n_columns)  # limits of indicators
        lowest[columns], highest[columns] = find_range(array.cells[:, features])
        return Range(lowest, highest)
    lowest, highest = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
    if issparse(array) and array.has_canonical_format:
        np.fmin.at(lowest, array.indices, array.data)
        np.fmax.at(highest, array.indices, array.data)
        has_zeros = np.bincount(array.indices, minlength=n_columns) < n_rows
        lowest[has_zeros], highest[has_zeros] = np.fmin(lowest[has_zeros], 0), np.fmax(highest[has_zeros], 0)
        return Range(lowest, highest)
    for rows in blocks(n_rows, block_rows(n_columns)):
        block = dense(array[rows])
        np.fmin(lowest, np.fmin.reduce(block, axis=0), out=lowest)
        np.fmax(highest, np.fmax.reduce(block, axis=0), out=highest)
    return Range(lowest, highest)


class Limits(NamedTuple):
    """Limits of the values of each column, by likelihood. Each of shape (n_columns,)."""

    low: NDArray
    high: NDArray
    largest: NDArray
    """Largest distance from 0 that does not overflow."""
    totals: list[tuple[list[int], float]]
    """Groups of columns, and their sum in a row."""
    whole: NDArray
    """Whether the distribution of a column is one of whole numbers."""

    @classmethod
    def of(cls, likelihood: Likelihood, indicators: Sequence[bool] | None = None) -> "Limits":
        """Return the limits of a likelihood's columns; `indicators` says which come from categories, and thus fit."""
        low, high, largest = (np.zeros(likelihood.n_columns) for _ in range(3))
        totals, whole = [], np.zeros(likelihood.n_columns, dtype=bool)
        for family, own in likelihood.parts():
            (low[own], high[own]), largest[own], whole[own] = family.support, family.largest, family.whole
            if family.row_total is not None and not (indicators and indicators[own[0]]):
                totals.append((own, family.row_total))
        return cls(low, high, largest, totals, whole)

    def bind(self, dtype: np.dtype) -> bool:
        """Return whether any number of this precision can be outside the limits."""
        supports = np.isfinite([self.low, self.high])
        return bool(supports.any() or (self.largest < np.finfo(dtype).max).any())

    def admits(self, columns: Range | Columns) -> bool:
        """Return whether all values are known to be in the support."""
        return not (self.totals or ((columns.min < self.low) | (columns.max > self.high)).any())

    def rows(self, x: Any) -> NDArray[np.bool_]:
        """Return which rows have no observed cell outside the support, shape (n_rows,)."""
        inside = np.ones(x.shape[0], dtype=bool)
        for rows in blocks(x.shape[0], block_rows(x.shape[1])):
            block = dense(x[rows])
            inside[rows] = ~((block < self.low) | (block > self.high)).any(axis=1)
            for own, total in self.totals:
                inside[rows] &= _sums_to(total, block[:, own])
        return inside

    def check(
        self,
        x: Any,
        columns: Range | Columns,
        array: str,
        names: Sequence,
        parameter: str,
        option: Any = None,
        weight: NDArray | None = None,
    ) -> None:
        """Raise an error that names the first column with a value that is invalid for its likelihood, or too large.

        Or raise one for the first row of positive weight in which a group of columns misses its total.

        Parameters
        ----------
        x : ndarray, CSR array or Coded of shape (n_rows, n_columns)
            The rows.
        columns : Range or Columns
            Statistics of their columns.
        array, names
            Names of the rows and of their columns, for messages.
        parameter, option
            The parameter that requires this, and its value if it belongs to the estimator.
        weight : ndarray of shape (n_rows,) or None
            Weights of the rows.
        """
        low, high, is_observed = self.low, self.high, columns.min <= columns.max
        # Rows to predict mostly fit, and one look is faster than one at each limit.
        fits = (columns.min >= np.maximum(low, -self.largest)) & (columns.max <= np.minimum(high, self.largest))
        if not self.totals and (fits | ~is_observed).all():
            return
        for extreme, values, outside in (
            ("min", columns.min, columns.min < low),
            ("max", columns.max, columns.max > high),
        ):
            for column in map(int, np.flatnonzero(outside & is_observed)):
                value, needs = values[column], _interval(array, low[column], high[column], values[column])
                words = "Negative values in data: " if value < 0 <= low[column] else ""  # as scikit-learn puts it
                raise ValueError(
                    f"{words}{_spelled(parameter, option)} needs {needs}. Got {extreme} {value:g} in column "
                    f"{names[column]!r}."
                )
        self.check_size(columns, array, names)
        for rows in blocks(x.shape[0], block_rows(x.shape[1])) if self.totals else ():
            block, counts = dense(x[rows]), True if weight is None else weight[rows] > 0
            for own, total in self.totals:
                for row in np.flatnonzero(~_sums_to(total, block[:, own]) & counts):
                    raise ValueError(
                        f"{_spelled(parameter, option)} needs rows that sum to {total:g} over columns "
                        f"{listed(names[j] for j in own)}. Got a sum of {np.nansum(block[row, own]):g} in row "
                        f"{rows.start + row}."
                    )

    def check_size(self, columns: Range | Columns, array: str, names: Sequence) -> None:
        """Raise an error that names the first column with a number that overflows when it is squared, or added up."""
        for extreme, values in (("min", columns.min), ("max", columns.max)):
            # A column without observed values has infinite ends the wrong way round.
            for column in map(int, np.flatnonzero((np.abs(values) > self.largest) & (columns.min <= columns.max))):
                largest = self.largest[column]
                raise ValueError(
                    f"{array} must lie between {-largest:g} and {largest:g}, beyond which sums or squares overflow. "
                    f"Got {extreme} {values[column]:g} in column {names[column]!r}; give it in another unit."
                )


def _sums_to(total: float, group: NDArray) -> NDArray[np.bool_]:
    """Return which rows of a group of columns can have a total, with any valid value where one is missing."""
    sums, complete = np.nansum(group, axis=1), ~np.isnan(group).any(axis=1)
    return (sums <= total + ROUNDING) & ((sums >= total - ROUNDING) | ~complete)


def _interval(array: str, low: float, high: float, value: float) -> str:
    """Return the interval that a value is not in, in words; if open at 0, it begins at the smallest number above."""
    if np.isfinite(high):
        return f"{low:g} <= {array} <= {high:g}"
    return f"{array} > 0" if 0 < low < 1e-30 and value <= 0 else f"{array} >= {low:g}"


def _spelled(parameter: str, option: Any) -> str:
    return parameter if option is None else f"{parameter}={short(option)}"
