"""Blocks of rows: how many are read at once, and how they become arrays and tensors."""

from collections.abc import Iterator
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK_CELLS = 2**19
"""Cells that are read, standardised and passed through a model at once: 2 MB in float32, about a core's cache."""


def dense(rows: Any) -> NDArray:
    """Return a block of rows as an array, whatever it was read from."""
    return rows if isinstance(rows, np.ndarray) else rows.toarray()


def block_rows(n_columns: int) -> int:
    """Return how many rows make up a block."""
    return max(1, BLOCK_CELLS // max(1, n_columns))


def blocks(n_rows: int, size: int) -> Iterator[slice]:
    """Yield the slices that cover `n_rows` rows, `size` at a time."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def tensor(array: NDArray) -> Tensor:
    """Return a tensor over the array's memory, or over a copy if torch cannot read it there or might write to it."""
    # An array of one row counts as contiguous whatever its strides, but torch needs them positive.
    usual = accumulate(array.shape[:0:-1], mul, initial=array.itemsize)
    shared = array.flags.carray and array.dtype.isnative and array.strides[::-1] == tuple(usual)
    return torch.from_numpy(array if shared else np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
