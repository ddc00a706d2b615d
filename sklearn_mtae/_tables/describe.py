"""Statistics of an array's columns in one pass: location, scale and range."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .blocks import block_rows, blocks, dense

ROUNDING = 2.0**-46
"""Part of the largest value within which values differ by rounding alone: shares may not add up to exactly 1."""


class Columns(NamedTuple):
    """Statistics of an array's columns, without NaN. Each of shape (n_columns,)."""

    n_observed: NDArray
    mean: NDArray
    deviation: NDArray
    """Standard deviation; 1 if the column does not vary."""
    min: NDArray
    max: NDArray
    at_an_end: NDArray
    """Share of the observed cells at the smallest value, or at the largest: the larger of the two."""

    @property
    def varies(self) -> NDArray[np.bool_]:
        """Whether there are values that differ by more than rounding."""
        return (self.max > self.min) & differ(self.min, self.max)  # infinities of a column without a value do not

    @property
    def bounded_deviation(self) -> NDArray:
        """Standard deviation, or half of the largest distance from the mean if that is more.

        A pixel that is dark except in a few images has a tiny standard deviation; in this unit the exceptions are
        dozens of units away and dominate the loss.
        """
        spread = np.maximum(self.max - self.mean, self.mean - self.min)
        return np.where(self.varies, np.maximum(self.deviation, spread / 2), self.deviation)

    @property
    def usual_deviation(self) -> NDArray:
        """The bounded deviation for columns that are often at an end of their range, the standard one for others.

        "Often" means in more than a tenth of the cells, as for pixels, amounts that are mostly zero, or marks. If
        values are spread out, the largest distance is that of an outlier, and in a unit based on it the rest of the
        column hardly counts.
        """
        return np.where(self.at_an_end > 0.1, self.bounded_deviation, self.deviation)


def differ(value: NDArray, other: NDArray) -> NDArray[np.bool_]:
    """Return where values differ by more than rounding."""
    with np.errstate(over="ignore"):
        return np.abs(other - value) > ROUNDING * np.maximum(np.abs(value), np.abs(other))


def describe(array: NDArray, weight: NDArray | None = None) -> Columns:
    """Return the location, scale and range of each column's observed values, in two passes over the rows.

    Parameters
    ----------
    array : ndarray, CSR array or Coded of shape (n_rows, n_columns)
        Floating-point values, NaN where missing.
    weight : ndarray of shape (n_rows,) or (n_rows, n_columns), or None
        Weights of the rows or of the cells. A cell of weight zero counts as missing.

    Returns
    -------
    Columns
        A column without an observed value has mean 0 and deviation 1, a constant one its value and deviation 1. Values
        that differ by rounding alone are constant.
    """
    # Numbers near the largest possible one may overflow the sums. The range shows this to whoever checks it.
    with np.errstate(over="ignore", invalid="ignore"):
        n_observed, total, lowest, highest, mean = _locate(array, weight)
        at_an_end, deviation = _spread(array, weight, total, lowest, highest, mean)
    return Columns(n_observed, mean, deviation, lowest, highest, at_an_end)


def _locate(array: NDArray, weight: NDArray | None) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
    """Return the observed cells of each column, with their weight, smallest and largest value, and mean."""
    n_columns = array.shape[1]
    n_observed, total, sums = (np.zeros(n_columns) for _ in range(3))
    lowest, highest = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
    for rows in blocks(array.shape[0], block_rows(n_columns)):
        block, observed, weights = _weighted(array, weight, rows)
        n_observed += len(block) if observed is None else observed.sum(0)
        total += weights.sum(0)
        sums += np.einsum("ij,ij->j", block, np.broadcast_to(weights, block.shape))
        lowest = np.minimum(lowest, block.min(0) if observed is None else np.where(observed, block, np.inf).min(0))
        highest = np.maximum(highest, block.max(0) if observed is None else np.where(observed, block, -np.inf).max(0))
    mean = np.divide(sums, total, out=np.zeros(n_columns), where=total > 0)
    # Rounding may put the mean of nearly equal values outside their range.
    return n_observed, total, lowest, highest, np.where(total > 0, np.clip(mean, lowest, highest), 0.0)


def _spread(
    array: NDArray, weight: NDArray | None, total: NDArray, lowest: NDArray, highest: NDArray, mean: NDArray
) -> tuple[NDArray, NDArray]:
    """Return the share of each column at an end of its range, and its standard deviation."""
    at_min, at_max, sums, squares = (np.zeros(array.shape[1]) for _ in range(4))
    varies = (highest > lowest) & differ(lowest, highest)
    # In units of the largest distance from the mean no square underflows, however small the distances are.
    reach = np.where(varies, np.maximum(highest - mean, mean - lowest), 1.0)
    for rows in blocks(array.shape[0], block_rows(array.shape[1])):
        block, observed, weights = _weighted(array, weight, rows)
        at_min += ((block == lowest) * weights).sum(0)
        at_max += ((block == highest) * weights).sum(0)
        block -= mean
        if observed is not None:
            block[~observed] = 0.0
        block /= reach
        weights = np.broadcast_to(weights, block.shape)
        sums += np.einsum("ij,ij->j", block, weights)
        squares += np.einsum("ij,ij,ij->j", block, block, weights)
    # The rounding error of the mean matters if the values are close to each other.
    rest, squares = (np.divide(part, total, out=np.zeros_like(part), where=total > 0) for part in (sums, squares))
    deviation = reach * np.sqrt(np.maximum(squares - rest**2, 0.0))
    deviation = np.where(varies, np.maximum(deviation, np.finfo(np.float64).smallest_subnormal), 1.0)
    return np.divide(np.maximum(at_min, at_max), total, out=np.ones_like(total), where=total > 0), deviation


def _weighted(array: NDArray, weight: NDArray | None, rows: slice) -> tuple[NDArray, NDArray | None, NDArray]:
    """Return a block in float64 with zeros in missing cells, which cells are observed (None: all), and weights."""
    block = np.array(dense(array[rows]), dtype=np.float64)
    weights = np.ones((len(block), 1))
    if weight is not None:
        weights = weight[rows] if weight.ndim == 2 else weight[rows, None]
    observed = ~np.isnan(block) & (weights > 0)
    if observed.all():
        return block, None, weights
    block[~observed] = 0.0
    return block, observed, weights * observed
