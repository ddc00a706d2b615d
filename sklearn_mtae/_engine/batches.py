"""Batches: which rows make up each batch of an epoch, and in which order they are read.

The rows of an array in memory are shuffled all at once. Those of a large memory-mapped file are shuffled in two steps
that keep the reads sequential: first the order of runs of consecutive rows, then the rows of many runs in a buffer.
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
"""Bytes of a run: consecutive rows that are read together when rows are shuffled in blocks. 256 KiB."""
BUFFER_BYTES = 2**26
"""Bytes of rows, from many runs, that are held in memory and shuffled together: 64 MiB."""


class Layout(NamedTuple):
    """Which rows make up the batches of an epoch."""

    positions: Tensor
    """Positions of the rows, shape (n_batches, n_models, n_widest): n_widest is the width of the widest batch."""
    weights: Tensor | None
    """Their weights, of the same shape; None if all batches have the same size."""
    counts: Tensor
    """Number of rows that count, shape (n_batches, n_models)."""

    def of_one(self) -> "Layout":
        """Return the layout of a single model, without an axis for models."""
        return Layout(*(None if part is None else part[:, 0] for part in self))  # type: ignore[arg-type]

    def shifted(self, starts: Tensor) -> "Layout":
        """Return the layout for rows that begin elsewhere, at a separate place for each model."""
        return self._replace(positions=self.positions + starts[:, None])


def lay_out(n_rows: Sequence[int], n_batches: int, orders: Tensor, first: int = 0, last: int | None = None) -> Layout:
    """Return the layout of an epoch, or of its batches from `first` to `last`.

    The batches of a model differ by one row at most. A batch that is smaller than the widest repeats one of its rows
    with weight zero, and its other rows get larger weights to make up for it, so that means over the rows do not
    change.

    Parameters
    ----------
    n_rows : sequence of int
        Number of rows of each model.
    n_batches : int
        Number of batches.
    orders : Tensor of shape (n_models, n_longest)
        The order of each model's rows, starting with the first batch.
    """
    bounds = batch_bounds(n_rows, n_batches, first, last)
    counts = bounds.diff()
    offsets = torch.arange(int(counts.max()))
    counted = offsets < counts[..., None]
    index = (bounds - bounds[:, :1])[:, :-1, None] + offsets * counted
    positions = orders.gather(1, index.flatten(1)).view_as(index)
    weights = None if counted.all() else padding_weights(counted, counts)
    return Layout(*(None if part is None else part.transpose(0, 1) for part in (positions, weights, counts)))  # type: ignore[arg-type]


def batch_bounds(n_rows: Sequence[int], n_batches: int, first: int = 0, last: int | None = None) -> Tensor:
    """Return where batches begin among each model's rows and where the last one ends: shape (n_models, n + 1)."""
    return torch.tensor(n_rows)[:, None] * torch.arange(first, (n_batches if last is None else last) + 1) // n_batches


def padding_weights(counted: Tensor, counts: Tensor) -> Tensor:
    """Return the weights of positions in batches, shape (..., n_widest): 0 for padding, 1 on average over positions.

    Parameters
    ----------
    counted : Tensor of bool, shape (..., n_widest)
        Whether the row at a position counts.
    counts : Tensor of int, shape (...,)
        Number of such rows; a model with very few rows has batches without any.
    """
    return counted * (counted.shape[-1] / counts.clamp(min=1).double())[..., None]


def along(n_rows: int | Tensor, value: Tensor) -> int | Tensor:
    """Return numbers of rows (a tensor for several models) in a shape that broadcasts with a value."""
    return n_rows if isinstance(n_rows, int) else n_rows.view([*n_rows.shape, *[1] * (value.dim() - n_rows.dim())])


def add_product(total: Tensor, value: Tensor, n_rows: int | Tensor) -> None:
    """Add a mean over rows to a sum over rows, in place."""
    if isinstance(n_rows, int):
        total.add_(value, alpha=n_rows)
    else:
        total.add_(value * along(n_rows, value))


class Batches:
    """Iterate over the batches of one model, or of several at once, each with its own rows and order.

    Rows in memory are shuffled all at once. Rows of a file of more than `STREAMED_BYTES` are cut into runs of
    `RUN_BYTES`. These are read in random order into a buffer of `BUFFER_BYTES` (at least one batch) and shuffled there:
    a batch is drawn from some 250 places in the file, and no array is as long as the file.

    Parameters
    ----------
    rows : Rows or sequence of Rows
        The rows of a single model, or of each model of a stack; the latter are not in a large file.
    batch_size : int
        Maximum number of rows per batch. The batches of an epoch differ by at most one row: each is a full step of the
        optimiser, and a last step with few rows would be noisy.
    generators : Generator, sequence of Generator or None, default=None
        Sources of the permutations (on the CPU), which are drawn anew each time; None keeps the rows in order.
    """

    def __init__(
        self, rows: Rows | Sequence[Rows], batch_size: int, generators: Generator | Sequence[Generator] | None = None
    ) -> None:
        self.is_stack = not isinstance(rows, Rows)
        self.rows = [rows] if isinstance(rows, Rows) else rows
        self.n_rows = [len(part) for part in self.rows]
        self.batch_size = batch_size
        self.generators = [generators] if isinstance(generators, Generator) else generators

    def __len__(self) -> int:
        return -(-max(self.n_rows) // self.batch_size)

    @property
    def even(self) -> bool:
        """Whether all batches of all models have the same size."""
        return len(set(self.n_rows)) == 1 and self.n_rows[0] % len(self) == 0

    def table(self) -> Batch | None:
        """Return the concatenated rows of all models, if they stay on the device."""
        resident = [rows.resident for rows in self.rows]
        if any(part is None for part in resident) or not self.is_stack:
            return resident[0] if not self.is_stack else None
        table = _join(resident, torch.cat)  # type: ignore[arg-type]
        for rows, start in zip(self.rows, self._starts().tolist(), strict=True):
            # Views of the table avoid a second copy.
            within = slice(start, start + len(rows))
            vars(rows)["resident"] = table.each(lambda part, within=within: part[within])
        return table

    def layout(self) -> Layout:
        """Return the layout of an epoch over the table; iterating yields the same batches."""
        layout = lay_out(self.n_rows, len(self), self._orders())
        return layout.shifted(self._starts()) if self.is_stack else layout.of_one()

    def _starts(self) -> Tensor:
        """Return where the rows of each model begin in the table."""
        return torch.tensor([0, *self.n_rows]).cumsum(0)[:-1]

    def _orders(self) -> Tensor:
        """Return the order of each model's rows, shape (n_models, n_longest)."""
        orders = torch.zeros(len(self.rows), max(self.n_rows), dtype=torch.long)
        for k, n in enumerate(self.n_rows):
            drawn = None if self.generators is None else torch.randperm(n, generator=self.generators[k])
            orders[k, :n] = torch.arange(n) if drawn is None else drawn
        return orders

    def __iter__(self) -> Iterator[Batch]:
        per_block = max(1, block_rows(self.rows[0].x.shape[1]) // (self.batch_size * len(self.rows)))
        for first, last, rows, orders in self._portions(per_block):
            positions, _, counts = lay_out(self.n_rows, len(self), orders, first, last)
            for block in zip(positions.split(per_block), counts.split(per_block), strict=True):
                yield from _stacked_batches(rows, *block) if self.is_stack else _single_batches(rows[0], *block)

    def _portions(self, per_block: int) -> Iterator[tuple[int, int, Sequence[Rows], Tensor]]:
        """Yield the first and last of the batches that are shuffled together, their rows, and the order of the rows."""
        rows, n_batches = self.rows[0], len(self)
        if not rows.streamed:
            yield 0, n_batches, self.rows, self._orders()
            return
        runs, size = None, per_block
        if self.generators is not None:
            runs = Runs(len(rows), max(1, RUN_BYTES // rows.row_bytes), self.generators[0])
            size = max(1, BUFFER_BYTES // rows.row_bytes // self.batch_size)
        for first in range(0, n_batches, size):
            last = min(first + size, n_batches)
            start, *_, stop = batch_bounds(self.n_rows, n_batches, first, last)[0].tolist()
            if runs is None:
                yield first, last, [rows], torch.arange(start, stop)[None]
            else:
                buffer = rows.gather(runs.positions(start, stop))
                yield first, last, [buffer], torch.randperm(stop - start, generator=self.generators[0])[None]  # type: ignore[index]


def _single_batches(rows: Rows, positions: Tensor, counts: Tensor) -> Iterator[Batch]:
    """Read the rows of some batches at once, each row once, and yield the batches."""
    block = rows.read(positions[torch.arange(positions.shape[-1]) < counts[..., None]])
    for start, stop in pairwise([0, *counts.flatten().cumsum(0).tolist()]):
        yield block.each(lambda part, batch=slice(start, stop): part[batch])


def _stacked_batches(rows: Sequence[Rows], positions: Tensor, counts: Tensor) -> Iterator[Batch]:
    """Read the rows of some batches at once, and yield the batches, with weights if the models' sizes differ."""
    chosen = positions.transpose(0, 1).flatten(1)
    block = _join([part.read(index) for part, index in zip(rows, chosen, strict=True)], torch.stack)
    for j, sizes in enumerate(counts):
        start, size = j * positions.shape[-1], int(sizes.max())
        batch = block.each(lambda part, within=slice(start, start + size): part[:, within])
        if (sizes != size).any():
            weights = padding_weights(torch.arange(size) < sizes[:, None], sizes).to(batch.x)
            batch = batch.weighed(weights)._replace(counts=sizes.to(batch.x.device))
        yield batch


def _join(parts: Sequence[Batch], function: Callable[[list[Tensor]], Tensor]) -> Batch:
    """Return the rows of several models as one batch."""
    columns = zip(*((*part[:4], part.censoring) for part in parts), strict=True)
    *joined, censoring = (None if column[0] is None else function(list(column)) for column in columns)
    return Batch(*joined, complete=parts[0].complete, censoring=censoring)  # type: ignore[arg-type]
