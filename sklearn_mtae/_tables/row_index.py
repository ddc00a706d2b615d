"""The rows that take part, and the order in which they are read from a file."""

from mmap import mmap
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def is_mapped(array: Any) -> bool:
    """Return whether an array is a part of a memory-mapped file, such as a `numpy.memmap` or a view of one."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(getattr(array, "obj", array), mmap)  # numpy.frombuffer puts a memoryview in between


class AllRows:
    """The index of all rows: like `numpy.arange(n_rows)`, but without its memory.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    """

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, positions: NDArray | slice) -> NDArray:
        return np.arange(*positions.indices(self.n_rows)) if isinstance(positions, slice) else positions

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return np.arange(self.n_rows, dtype=dtype)


def evenly(index: NDArray | AllRows, n_most: int) -> NDArray:
    """Return at most a number of rows of an index: one of each of so many parts of equal length.

    Which row of a part it is follows no pattern, but is always the same: every second row may be of another kind.
    """
    if len(index) <= n_most:
        return index[np.arange(len(index))]
    starts = np.linspace(0, len(index), n_most + 1).astype(int)
    return index[starts[:-1] + (np.random.default_rng(0).random(n_most) * np.diff(starts)).astype(int)]


class Chosen:
    """Some rows of an array, gathered when a slice of them is read.

    Parameters
    ----------
    array : ndarray or CSR array of shape (n_rows, n_columns)
        The array.
    index : ndarray of int of shape (n_chosen,)
        The rows.
    """

    def __init__(self, array: Any, index: NDArray) -> None:
        self.array = array
        self.index = index
        self.shape = (len(index), array.shape[1])
        self.dtype = array.dtype

    def __getitem__(self, rows: slice) -> Any:
        return self.array[self.index[rows]]


class Runs:
    """An order of rows that is read in runs of consecutive rows, with the order of the runs shuffled.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    size : int
        Number of rows of a run; one run may be shorter.
    generator : torch.Generator
        Source of the permutation.
    """

    def __init__(self, n_rows: int, size: int, generator: torch.Generator) -> None:
        starts = size * torch.randperm(-(-n_rows // size), generator=generator).numpy()
        lengths = np.minimum(size, n_rows - starts)
        self._ends = lengths.cumsum()
        self._offsets = starts - (self._ends - lengths)

    def positions(self, start: int, stop: int) -> NDArray:
        """Return the rows between two positions in the order."""
        places = np.arange(start, stop)
        return places + self._offsets[np.searchsorted(self._ends, places, side="right")]
