"""Between what numbers the values of a column must lie."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from ._coded import Coded
from ._data import Columns, block_rows, blocks, dense
from .nn.likelihoods import Likelihood


class Range(NamedTuple):
    """Least and greatest observed value of each column: infinity and minus infinity where none is observed."""

    min: NDArray
    max: NDArray


def find_range(array: Any) -> Range:
    """Return least and greatest observed value of each column of an array or a CSR array, in one pass over the rows."""
    n_rows, n_columns = array.shape
    if isinstance(array, Coded):
        features, columns = array.numbers
        lowest, highest = np.zeros(n_columns), np.ones(n_columns)  # of indicators
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
    """Between what numbers the values of each column must lie, by their likelihood. Each of shape (n_columns,)."""

    low: NDArray
    high: NDArray
    largest: NDArray
    """Largest distance from 0 that does not overflow."""
    cancel: bool
    """Whether log-densities of large values cancel in float32."""

    @classmethod
    def of(cls, likelihood: Likelihood) -> "Limits":
        """Return the limits of a likelihood's columns."""
        low, high, largest = (np.zeros(likelihood.n_columns) for _ in range(3))
        for family, own in likelihood.parts():
            (low[own], high[own]), largest[own] = family.support, family.largest
        return cls(low, high, largest, any(family.cancels for family, _ in likelihood.parts()))

    def bind(self, dtype: np.dtype) -> bool:
        """Return whether any number of this precision can be outside of them."""
        supports = np.isfinite([self.low, self.high])
        return bool(supports.any() or (self.largest < np.finfo(dtype).max).any())

    def admits(self, columns: Range | Columns) -> bool:
        """Return whether all values are in the support."""
        return not ((columns.min < self.low) | (columns.max > self.high)).any()

    def rows(self, x: Any) -> NDArray[np.bool_]:
        """Return which rows have no observed cell outside of the support, shape (n_rows,)."""
        inside = np.ones(x.shape[0], dtype=bool)
        for rows in blocks(x.shape[0], block_rows(x.shape[1])):
            block = dense(x[rows])
            inside[rows] = ~((block < self.low) | (block > self.high)).any(axis=1)
        return inside


def check_size(columns: Range | Columns, limits: Limits, array: str, names: Sequence) -> None:
    """Raise an error that names the first column with a number whose square overflows, or whatever is made of it."""
    for extreme, values in (("min", columns.min), ("max", columns.max)):
        # A column without an observed value has infinite ends the wrong way round.
        for column in map(int, np.flatnonzero((np.abs(values) > limits.largest) & (columns.min <= columns.max))):
            largest = limits.largest[column]
            raise ValueError(
                f"{array} must lie between {-largest:g} and {largest:g}, beyond which sums or squares overflow. Got "
                f"{extreme} {values[column]:g} in column {names[column]!r}; give it in another unit."
            )
