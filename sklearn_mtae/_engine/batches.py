"""Batches: which rows make up those of an epoch, and in which order they are read.

The rows of an array in memory are shuffled all together. Those of a large memory-mapped file are shuffled in two steps
that leave the reads sequential: the order of runs of consecutive rows, then the rows of many runs in a buffer.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_mtae._tables.blocks import block_rows
from sklearn_mtae._tables.row_index import Runs

from .rows import Batch, Rows

RUN_BYTES = 2**18
"""Bytes of consecutive rows that are read together when they are shuffled in blocks, a run: 256 KiB."""
BUFFER_BYTES = 2**26
"""Bytes of rows, from many runs, that lie in memory and are shuffled together: 64 MiB."""


class Layout(NamedTuple):
    """Which rows make up the batches of an epoch."""

    positions: Tensor
    """Positions of the rows, shape (n_batches, n_models, n_widest): that of the widest batch."""
    weights: Tensor | None
    """Their weights, of the same shape; None where all batches are of one size."""
    counts: Tensor
    """Rows that count, shape (n_batches, n_models)."""

    def of_one(self) -> "Layout":
        """Return the layout of an only model, without an axis for it."""
        return Layout(*(None if part is None else part[:, 0] for part in self))  # type: ignore[arg-type]

    def shifted(self, starts: Tensor) -> "Layout":
        """Return the layout for rows that begin elsewhere, those of each model at its own place."""
        return self._replace(positions=self.positions + starts[:, None])


def lay_out(n_rows: Sequence[int], n_batches: int, orders: Tensor) -> Layout:
    """Return which rows make up the batches of an epoch.

    The batches of a model differ by one row at most. A smaller one repeats a row of its own with weight zero, and its
    other rows weigh more by as much as they are fewer, so that means over the rows stay what they are.

    Parameters
    ----------
    n_rows : sequence of int
        Number of rows of each model.
    n_batches : int
        Number of batches.
    orders : Tensor of shape (n_models, n_longest)
        The order of each model's rows.
    """
    bounds = torch.tensor(n_rows)[:, None] * torch.arange(n_batches + 1) // n_batches
    counts = bounds.diff()
    widest = int(counts.max())
    offsets = torch.arange(widest)
    counted = offsets < counts[..., None]
    index = bounds[:, :-1, None] + offsets * counted
    positions = orders.gather(1, index.flatten(1)).view_as(index)
    # A model of very few rows has batches without any.
    weights = None if counted.all() else counted * (widest / counts.clamp(min=1).double())[..., None]
    return Layout(*(None if part is None else part.transpose(0, 1) for part in (positions, weights, counts)))  # type: ignore[arg-type]


def along(n_rows: int | Tensor, value: Tensor) -> int | Tensor:
    """Return the numbers of rows, of several models where they are a tensor, in a shape that goes with a value."""
    return n_rows if isinstance(n_rows, int) else n_rows.view([*n_rows.shape, *[1] * (value.dim() - n_rows.dim())])


def add_product(total: Tensor, value: Tensor, n_rows: int | Tensor) -> None:
    """Add a mean over rows to a sum over rows, in place."""
    if isinstance(n_rows, int):
        total.add_(value, alpha=n_rows)
    else:
        total.add_(value * along(n_rows, value))


class Batches:
    """Iterate over batches, shuffled anew each time when a generator is given.

    Rows in memory are shuffled all together. Rows of a file of more than `STREAMED_BYTES` are cut into runs of
    `RUN_BYTES`, which are read in random order into a buffer of `BUFFER_BYTES` (of one batch at least), and shuffled
    there: a batch is drawn from some 250 places of the file, and no array is as long as the file has rows.

    Parameters
    ----------
    rows : Rows
        The rows.
    batch_size : int
        Rows per batch at most. The batches of an epoch differ by one row at most: each of them is a whole step of the
        optimiser, and the last few rows alone would be a noisy one.
    generator : torch.Generator or None
        Source of the permutations (on the CPU); None keeps the order.
    """

    def __init__(self, rows: Rows, batch_size: int, generator: torch.Generator | None = None) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    @property
    def even(self) -> bool:
        """Whether all batches are of one size."""
        return len(self.rows) % len(self) == 0

    def table(self) -> Batch | None:
        """Return all rows where they are kept on the device."""
        return self.rows.resident

    def layout(self) -> Layout:
        """Return which rows of the table make up the batches of an epoch: those that an iteration yields."""
        order = torch.randperm(len(self.rows), generator=self.generator)
        return lay_out([len(self.rows)], len(self), order[None]).of_one()

    def __iter__(self) -> Iterator[Batch]:
        per_block = max(1, block_rows(self.rows.x.shape[1]) // self.batch_size)
        for rows, order, bounds in self._portions(per_block):
            for first in range(0, len(bounds) - 1, per_block):
                cuts = bounds[first : first + per_block + 1]
                block = rows.take(order[cuts[0] - bounds[0] : cuts[-1] - bounds[0]])
                for start, stop in pairwise(cut - cuts[0] for cut in cuts):
                    yield block.each(lambda part, batch=slice(start, stop): part[batch])

    def _portions(self, per_block: int) -> Iterator[tuple[Rows, Tensor, list[int]]]:
        """Yield portions of the epoch: rows, the order to take them in, and the bounds of the batches in the epoch."""
        n_rows, n_batches = len(self.rows), len(self)
        size, draw = self._shuffling(per_block)
        for first in range(0, n_batches, size):
            bounds = [n_rows * batch // n_batches for batch in range(first, min(first + size, n_batches) + 1)]
            yield *draw(bounds[0], bounds[-1]), bounds

    def _shuffling(self, per_block: int) -> tuple[int, Callable[[int, int], tuple[Rows, Tensor]]]:
        """Return how many batches are shuffled together, and what gives the rows between two bounds and their order."""
        rows, generator = self.rows, self.generator
        if generator is None:
            return per_block, lambda start, stop: (rows, torch.arange(start, stop))
        if not rows.streamed:
            return len(self), lambda start, stop: (rows, torch.randperm(stop - start, generator=generator))
        runs = Runs(len(rows), max(1, RUN_BYTES // rows.row_bytes), generator)

        def buffer(start: int, stop: int) -> tuple[Rows, Tensor]:
            return rows.gather(runs.positions(start, stop)), torch.randperm(stop - start, generator=generator)

        return max(1, BUFFER_BYTES // rows.row_bytes // self.batch_size), buffer
