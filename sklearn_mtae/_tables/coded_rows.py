"""Rows of a table with categories, stored as one code per cell and expanded to indicators as they are read."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Category(NamedTuple):
    """Where the levels of a category lie among the expanded columns."""

    feature: int
    """Position of the category in the table."""
    start: int
    """First of its expanded columns."""
    width: int
    """Number of its expanded columns."""
    places: NDArray[np.intp]
    """For each level, its column among these."""
    log_shares: NDArray | None
    """For each level, the logarithm of its share of that column; None if each has its own column."""


class Coded:
    """Rows of a table with categories, which are expanded block by block when needed.

    It replaces an array of shape (n_rows, n_columns), and like a CSR array it is made dense by `toarray`.

    Parameters
    ----------
    cells : ndarray of shape (n_rows, n_features)
        Numbers, and for categories the positions of levels; NaN where missing.
    categories : list of Category
        The categories.
    numbers : tuple of ndarray of int
        The positions of the numbers in the table, and among the expanded columns.
    n_columns : int
        Number of expanded columns.
    """

    ndim = 2

    def __init__(
        self, cells: NDArray, categories: list[Category], numbers: tuple[NDArray, NDArray], n_columns: int
    ) -> None:
        self.cells = cells
        self.categories = categories
        self.numbers = numbers
        self.n_columns = n_columns

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, rows: Any) -> "Coded":
        return Coded(self.cells[rows], self.categories, self.numbers, self.n_columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and of expanded columns."""
        return len(self.cells), self.n_columns

    @property
    def dtype(self) -> np.dtype:
        """Precision of the values."""
        return self.cells.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the expanded array."""
        return len(self) * self.n_columns * self.dtype.itemsize

    def toarray(self) -> NDArray:
        """Return the expanded rows, shape (n_rows, n_columns): NaN in all columns of a missing category."""
        x = np.zeros(self.shape, self.dtype)
        features, columns = self.numbers
        x[:, columns] = self.cells[:, features]
        for own in self.categories:
            codes = self.cells[:, own.feature]
            missing = np.isnan(codes)
            seen = np.flatnonzero(~missing)
            x[seen, own.start + own.places[codes[seen].astype(np.intp)]] = 1
            x[missing, own.start : own.start + own.width] = np.nan
        return x

    def log_shares(self) -> NDArray:
        """Return the log-probability of each row's levels given their columns, shape (n_rows,)."""
        total = np.zeros(len(self), self.dtype)
        for own in self.categories:
            if own.log_shares is not None:
                codes = self.cells[:, own.feature]
                seen = ~np.isnan(codes)
                total[seen] += own.log_shares[codes[seen].astype(np.intp)]
        return total


def cells_of(x: Any) -> NDArray:
    """Return one value for each feature of checked rows that are not sparse."""
    return x.cells if isinstance(x, Coded) else x
