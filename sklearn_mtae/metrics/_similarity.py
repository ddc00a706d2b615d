"""How alike the columns of two tables are, and their pairs; rows have weights, so that they can be resampled."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

N_BINS = 10
"""Intervals of a column of numbers beside one of classes, equally frequent among all rows."""


class Marginals:
    """The similarity of each column: one minus the largest difference of the distribution functions of its numbers.

    Of classes, one minus the total variation. A missing cell is one more class, or a number above all others.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        Numbers or positions of classes; NaN where a cell is missing.
    n_classes : ndarray of int of shape (n_columns,)
        Classes of each column; 0 of numbers.
    """

    def __init__(self, x: NDArray, n_classes: NDArray) -> None:
        self.codes = [_codes(column) for column in x.T]
        self.is_class = n_classes > 0

    def __call__(self, one: NDArray, other: NDArray) -> NDArray:
        """Return the similarities of rows of some weights and rows of others, shape (n_columns,)."""
        differences = [_difference(codes, one, other) for codes in self.codes]
        largest = [
            np.abs(own).sum() / 2 if is_class else np.abs(own.cumsum()).max()
            for own, is_class in zip(differences, self.is_class, strict=True)
        ]
        return np.clip(1 - np.array(largest), 0, 1)  # rounding does not lead out of them


class Pairs:
    """The similarity of each pair of columns: of numbers `1 - |difference of correlations| / 2`.

    Of a pair with a column of classes, one minus the total variation of the contingency tables, numbers cut into ten
    intervals. Correlations are those of the rows in which both numbers are there, and 0 where one is constant.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        Numbers or positions of classes; NaN where a cell is missing.
    n_classes : ndarray of int of shape (n_columns,)
        Classes of each column; 0 of numbers.
    """

    def __init__(self, x: NDArray, n_classes: NDArray) -> None:
        self.columns = list(combinations(range(x.shape[1]), 2))
        self.numbers = np.flatnonzero(n_classes == 0)
        numbers = x[:, self.numbers]
        self.observed = (~np.isnan(numbers)).astype(np.float64)
        center = np.nanmean(np.where(np.isnan(numbers).all(axis=0), 0.0, numbers), axis=0)
        self.values = np.nan_to_num(numbers - center)
        binned = [_codes(column if n else _binned(column)) for column, n in zip(x.T, n_classes, strict=True)]
        mixed = [pair for pair in self.columns if max(n_classes[list(pair)]) > 0]
        self.codes = {(i, j): _codes(binned[i] * (binned[j].max() + 1) + binned[j]) for i, j in mixed}

    def __call__(self, one: NDArray, other: NDArray) -> NDArray:
        """Return the similarities of rows of some weights and rows of others, shape (n_pairs,)."""
        apart = np.abs(self._correlations(one) - self._correlations(other)) / 2
        places = {column: place for place, column in enumerate(self.numbers.tolist())}
        return 1 - np.array(
            [
                np.abs(_difference(self.codes[pair], one, other)).sum() / 2
                if pair in self.codes
                else apart[places[pair[0]], places[pair[1]]]
                for pair in self.columns
            ]
        )

    def _correlations(self, weight: NDArray) -> NDArray:
        """Return the correlations of the columns of numbers, each pair over the rows that have both."""
        x, observed = self.values, self.observed
        n = np.maximum((observed.T * weight) @ observed, np.finfo(float).tiny)
        mean = (x.T * weight) @ observed / n
        square = (np.square(x).T * weight) @ observed / n
        variance = np.maximum(square - mean**2, 0.0)
        covariance = (x.T * weight) @ x / n - mean * mean.T
        # What is left of a constant column by rounding is no variance.
        spread = np.sqrt(np.where(variance > 1e-12 * square, variance, 0.0))
        scale = spread * spread.T
        return np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)


def _codes(column: NDArray) -> NDArray:
    """Return the position of each value among those that occur, in their order; missing ones are the last."""
    return np.unique(column, return_inverse=True)[1]


def _difference(codes: NDArray, one: NDArray, other: NDArray) -> NDArray:
    """Return by how much the share of each value differs."""
    n_values = codes.max() + 1
    shares = [np.bincount(codes, weight, n_values) / weight.sum() for weight in (one, other)]
    return shares[0] - shares[1]


def _binned(column: NDArray) -> NDArray:
    """Return the interval of each number, NaN where one is missing."""
    observed = column[~np.isnan(column)]
    edges = np.unique(np.quantile(observed, np.linspace(0, 1, N_BINS + 1)[1:-1])) if len(observed) else observed
    return np.where(np.isnan(column), np.nan, np.searchsorted(edges, column, side="left").astype(np.float64))
