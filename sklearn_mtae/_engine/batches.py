"""Batches: which rows make up those of an epoch, and in which order they are read.

The rows of an array in memory are shuffled all together. Those of a large memory-mapped file are shuffled in two steps
that leave the reads sequential: the order of runs of consecutive rows, then the rows of many runs in a buffer.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Generator, Tensor

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


def batch_bounds(n_rows: Sequence[int], n_batches: int, first: int = 0, last: int | None = None) -> Tensor:
    """Return where batches begin among a model's rows, and where the last one ends: shape (n_models, n + 1).

    The batches of a model differ by one row at most. They are those from `first` to `last`, out of all `n_batches`.
    """
    stop = n_batches if last is None else last
    return torch.tensor(n_rows)[:, None] * torch.arange(first, stop + 1) // n_batches


def lay_out(n_rows: Sequence[int], n_batches: int, orders: Tensor) -> Layout:
    """Return the layout of an epoch.

    A batch that is smaller than the widest one repeats a row of its own with weight zero, and its other rows weigh more
    by as much as they are fewer, so that means over the rows stay what they are.

    Parameters
    ----------
    n_rows : sequence of int
        Number of rows of each model.
    n_batches : int
        Number of batches.
    orders : Tensor of shape (n_models, n_longest)
        The order of each model's rows.
    """
    bounds = batch_bounds(n_rows, n_batches)
    counts = bounds.diff()
    offsets = torch.arange(int(counts.max()))
    counted = offsets < counts[..., None]
    index = bounds[:, :-1, None] + offsets * counted
    positions = orders.gather(1, index.flatten(1)).view_as(index)
    weights = None if counted.all() else padding_weights(counted, counts)
    return Layout(*(None if part is None else part.transpose(0, 1) for part in (positions, weights, counts)))  # type: ignore[arg-type]


def padding_weights(counted: Tensor, counts: Tensor) -> Tensor:
    """Return weights of the places in batches, shape (..., n_widest): 0 for padding, 1 on average over the places.

    Parameters
    ----------
    counted : Tensor of bool, shape (..., n_widest)
        Where there are rows that count.
    counts : Tensor of int, shape (...,)
        How many there are; a model of very few rows has batches without any.
    """
    return counted * (counted.shape[-1] / counts.clamp(min=1).double())[..., None]


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
    """Iterate over the batches of one model, shuffled anew each time when a generator is given.

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
        Source of the permutations (on the CPU); None leaves the rows in their order.
    """

    def __init__(self, rows: Rows, batch_size: int, generator: Generator | None = None) -> None:
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
        """Return all rows where they stay on the device."""
        return self.rows.resident

    def layout(self) -> Layout:
        """Return the layout of an epoch over the table: an iteration yields the same batches."""
        order = torch.randperm(len(self.rows), generator=self.generator)
        return lay_out([len(self.rows)], len(self), order[None]).of_one()

    def __iter__(self) -> Iterator[Batch]:
        per_block = max(1, block_rows(self.rows.x.shape[1]) // self.batch_size)
        for rows, order, bounds in self._portions(per_block):
            for first in range(0, len(bounds) - 1, per_block):
                cuts = bounds[first : first + per_block + 1]
                block = rows.read(order[cuts[0] - bounds[0] : cuts[-1] - bounds[0]])
                for start, stop in pairwise(cut - cuts[0] for cut in cuts):
                    yield block.each(lambda part, batch=slice(start, stop): part[batch])

    def _portions(self, per_block: int) -> Iterator[tuple[Rows, Tensor, list[int]]]:
        """Yield portions of the epoch: rows, the order to read them in, and the bounds of the batches in the epoch."""
        size, draw = self._shuffling(per_block)
        for first in range(0, len(self), size):
            bounds = batch_bounds([len(self.rows)], len(self), first, min(first + size, len(self)))[0].tolist()
            yield *draw(bounds[0], bounds[-1]), bounds

    def _shuffling(self, per_block: int) -> tuple[int, Callable[[int, int], tuple[Rows, Tensor]]]:
        """Return how many batches are shuffled together, and a function that draws the rows between two bounds."""
        rows, generator = self.rows, self.generator
        if generator is None:
            return per_block, lambda start, stop: (rows, torch.arange(start, stop))
        if not rows.streamed:
            return len(self), lambda start, stop: (rows, torch.randperm(stop - start, generator=generator))
        runs = Runs(len(rows), max(1, RUN_BYTES // rows.row_bytes), generator)

        def buffer(start: int, stop: int) -> tuple[Rows, Tensor]:
            return rows.gather(runs.positions(start, stop)), torch.randperm(stop - start, generator=generator)

        return max(1, BUFFER_BYTES // rows.row_bytes // self.batch_size), buffer


class StackedBatches:
    """Iterate over the batches of several models at once, each with rows and an order of its own.

    Where the models' batches are not of the same size, which they are but for one row, the smaller repeat a row of
    theirs with weight zero.

    Parameters
    ----------
    rows : sequence of Rows
        The rows of each model.
    batch_size : int
        Rows per batch at most.
    generators : sequence of Generator or None
        Sources of the permutations; None leaves the rows in their order.
    """

    def __init__(self, rows: Sequence[Rows], batch_size: int, generators: Sequence[Generator] | None = None) -> None:
        self.rows = rows
        self.n_rows = [len(part) for part in rows]
        self.batch_size = batch_size
        self.generators = generators

    def __len__(self) -> int:
        return -(-max(self.n_rows) // self.batch_size)

    @property
    def even(self) -> bool:
        """Whether all batches of all models are of one size."""
        return len(set(self.n_rows)) == 1 and self.n_rows[0] % len(self) == 0

    def table(self) -> Batch | None:
        """Return the rows of all models, one after the other, where they stay on the device."""
        resident = [rows.resident for rows in self.rows]
        if any(part is None for part in resident):
            return None
        table = _join(resident, torch.cat)  # type: ignore[arg-type]
        for rows, start in zip(self.rows, self._starts().tolist(), strict=True):
            # Views of the table: there need not be two copies.
            within = slice(start, start + len(rows))
            vars(rows)["resident"] = table.each(lambda part, within=within: part[within])
        return table

    def layout(self) -> Layout:
        """Return the layout of an epoch over the table: an iteration yields the same batches."""
        return self._layout().shifted(self._starts())

    def _starts(self) -> Tensor:
        """Return where the rows of each model begin in the table."""
        return torch.tensor([0, *self.n_rows]).cumsum(0)[:-1]

    def _layout(self) -> Layout:
        """Return the layout of an epoch, with positions among each model's own rows."""
        orders = torch.zeros(len(self.rows), max(self.n_rows), dtype=torch.long)
        for k, n in enumerate(self.n_rows):
            drawn = None if self.generators is None else torch.randperm(n, generator=self.generators[k])
            orders[k, :n] = torch.arange(n) if drawn is None else drawn
        return lay_out(self.n_rows, len(self), orders)

    def __iter__(self) -> Iterator[Batch]:
        positions, _, counts = self._layout()
        widest = positions.shape[-1]
        per_block = max(1, block_rows(self.rows[0].x.shape[1]) // (widest * len(self.rows)))
        for some, sizes in zip(positions.split(per_block), counts.split(per_block), strict=True):
            chosen = some.transpose(0, 1).flatten(1)
            block = _join([rows.read(index) for rows, index in zip(self.rows, chosen, strict=True)], torch.stack)
            for j, size in enumerate(sizes):
                yield self._batch(block, j * widest, size)

    @staticmethod
    def _batch(block: Batch, start: int, counts: Tensor) -> Batch:
        """Return the batch that begins somewhere in a block, with weights where the models' sizes differ."""
        size = int(counts.max())
        batch = block.each(lambda part: part[:, start : start + size])
        if (counts == size).all():
            return batch
        weights = padding_weights(torch.arange(size) < counts[:, None], counts).to(batch.x)
        return batch.weighed(weights)._replace(counts=counts.to(batch.x.device))


def _join(parts: Sequence[Batch], function: Callable[[list[Tensor]], Tensor]) -> Batch:
    """Return the rows of several models as one batch."""
    columns = zip(*(part[:4] for part in parts), strict=True)
    joined = (None if column[0] is None else function(list(column)) for column in columns)
    return Batch(*joined, complete=parts[0].complete)  # type: ignore[arg-type]
