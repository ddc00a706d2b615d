"""From arrays to shuffled batches on the device: what is read when, and what is copied where.

Nothing here reads an array whole. Rows are gathered block by block from wherever they lie (memory, a memmap, a device),
standardised in float64, and cut into batches. Those of an array in memory are shuffled all together.
Those of a large memory-mapped file are shuffled in two steps that leave the reads sequential: the order of runs of
consecutive rows, then the rows of many runs in a buffer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from torch import Tensor

from ._coded import Coded
from ._index import AllRows, Runs, is_mapped
from ._layout import Layout, lay_out
from .nn.likelihoods import Likelihood
from .nn.models import Standardizer

BLOCK_CELLS = 2**19
"""Cells that are read, standardised and passed through a model at once: 2 MB in float32, about a core's cache."""
STREAMED_BYTES = 2**28
"""Bytes of a memory-mapped array above which its rows are shuffled in blocks: 256 MiB."""
RUN_BYTES = 2**18
"""Bytes of consecutive rows that are read together when they are shuffled in blocks, a run: 256 KiB."""
BUFFER_BYTES = 2**26
"""Bytes of rows, from many runs, that lie in memory and are shuffled together: 64 MiB."""


class Columns(NamedTuple):
    """What a pass over an array tells of its columns, NaN left out. Each of shape (n_columns,)."""

    n_observed: NDArray
    mean: NDArray
    deviation: NDArray
    """Standard deviation; 1 where the column is constant."""
    min: NDArray
    max: NDArray
    at_an_end: NDArray
    """Part of the observed cells that lie at the least value, or at the greatest: the larger one of the two."""

    @property
    def bounded_deviation(self) -> NDArray:
        """Standard deviation, or half of the largest distance from the mean where that is more.

        A pixel that is dark but for a few images has a tiny standard deviation; in units of it the exceptions are
        dozens of units away and rule the loss.
        """
        spread = np.maximum(self.max - self.mean, self.mean - self.min)
        return np.where(self.max > self.min, np.maximum(self.deviation, spread / 2), self.deviation)

    @property
    def usual_deviation(self) -> NDArray:
        """The bounded deviation of columns that are often at an end of their range, the standard one of the others.

        Often is in more than a tenth of the cells: pixels, amounts that are mostly nothing, marks. Where values are
        spread out, the largest distance is that of an outlier, and a unit that goes by it leaves the rest of the column
        hardly any say.
        """
        return np.where(self.at_an_end > 0.1, self.bounded_deviation, self.deviation)


class Data(NamedTuple):
    """A checked call of `fit`."""

    x: NDArray
    """Features, shape (n_samples, n_columns): an array, a CSR array or matrix, or rows whose categories are coded."""
    y: NDArray | None
    """Targets, shape (n_samples, n_tasks)."""
    weight: NDArray | None
    """Weights of the rows, shape (n_samples,)."""
    features: Columns
    """What is known of the features."""
    targets: Columns | None = None
    """What is known of the targets."""
    label_weight: NDArray | None = None
    """Weights of the labels, shape (n_samples, n_tasks)."""

    @property
    def label_share(self) -> NDArray | None:
        """Part of the rows, weighted as they are, that has a label of each task; None without tasks."""
        if self.y is None:
            return None
        labels = self.y if self.label_weight is None else self.label_weight
        labelled, total = np.zeros(labels.shape[1]), 0.0
        for rows in blocks(len(labels), block_rows(labels.shape[1])):
            known = ~np.isnan(labels[rows]) if self.label_weight is None else labels[rows] > 0
            weight = np.ones(len(known)) if self.weight is None else self.weight[rows]
            labelled += weight @ known
            total += weight.sum()
        return labelled / total

    @property
    def taking_part(self) -> NDArray | AllRows:
        """Index of the rows, those of weight zero left out."""
        return AllRows(self.x.shape[0]) if self.weight is None else np.flatnonzero(self.weight)


class Batch(NamedTuple):
    """Rows on their way through a model."""

    x: Tensor
    """Standardised features, shape (n_rows, n_features), NaN where missing."""
    y: Tensor | None
    """Standardised targets, shape (n_rows, n_tasks), NaN where missing."""
    weight: Tensor | None
    """Weights of the rows, shape (n_rows,)."""
    label_weight: Tensor | None
    """Weights of the labels, shape (n_rows, n_tasks)."""
    complete: tuple[bool, bool]
    """Whether it is known that no cell of `x`, and none of `y`, is missing."""
    counts: Tensor | None = None
    """Rows that count of each model of a stack, where they are not the same; then the tensors have the models along a
    first axis."""

    @property
    def n_rows(self) -> int | Tensor:
        """Number of rows, of each model where they differ."""
        return self.x.shape[-2] if self.counts is None else self.counts

    def each(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """Return the batch with a function applied to each of its tensors."""
        tensors = (self.x, self.y, self.weight, self.label_weight)
        x, y, weight, label_weight = (None if part is None else function(part) for part in tensors)
        assert x is not None
        return Batch(x, y, weight, label_weight, self.complete, self.counts)


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
    """Return a tensor over the array's memory, or over a copy where torch cannot read it there or might write to it."""
    # An array of one row counts as contiguous whatever its strides are, which torch wants positive.
    usual = tuple(np.cumprod([array.itemsize, *array.shape[:0:-1]])[::-1].tolist())
    shared = array.flags.carray and array.dtype.isnative and array.strides == usual
    return torch.from_numpy(array if shared else np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


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
        A column without an observed value has mean 0 and deviation 1, a constant one its value and deviation 1.
    """
    # Numbers near the largest there is may overflow the sums. The range says so to whoever checks it.
    with np.errstate(over="ignore", invalid="ignore"):
        n_observed, total, lowest, highest, mean = _locate(array, weight)
        at_an_end, deviation = _spread(array, weight, total, lowest, highest, mean)
    return Columns(n_observed, mean, deviation, lowest, highest, at_an_end)


def _locate(array: NDArray, weight: NDArray | None) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
    """Return the observed cells of each column, their weight, least and greatest value and mean."""
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
    # Rounding may put the mean of nearly equal values outside of their range.
    return n_observed, total, lowest, highest, np.where(total > 0, np.clip(mean, lowest, highest), 0.0)


def _spread(
    array: NDArray, weight: NDArray | None, total: NDArray, lowest: NDArray, highest: NDArray, mean: NDArray
) -> tuple[NDArray, NDArray]:
    """Return which part of each column lies at an end of its range, and its standard deviation."""
    at_min, at_max, sums, squares = (np.zeros(array.shape[1]) for _ in range(4))
    varies = highest > lowest
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
    # What rounding took from the mean counts where the values are close to each other.
    rest, squares = (np.divide(part, total, out=np.zeros_like(part), where=total > 0) for part in (sums, squares))
    deviation = reach * np.sqrt(np.maximum(squares - rest**2, 0.0))
    deviation = np.where(varies, np.maximum(deviation, np.finfo(np.float64).smallest_subnormal), 1.0)
    return np.divide(np.maximum(at_min, at_max), total, out=np.ones_like(total), where=total > 0), deviation


def _weighted(array: NDArray, weight: NDArray | None, rows: slice) -> tuple[NDArray, NDArray | None, NDArray]:
    """Return a block in float64 with zeros where nothing is observed, where that is (None: everywhere), and weights."""
    block = np.array(dense(array[rows]), dtype=np.float64)
    weights = np.ones((len(block), 1))
    if weight is not None:
        weights = weight[rows] if weight.ndim == 2 else weight[rows, None]
    observed = ~np.isnan(block) & (weights > 0)
    if observed.all():
        return block, None, weights
    block[~observed] = 0.0
    return block, observed, weights * observed


def set_units(units: Standardizer, likelihood: Likelihood, mean: NDArray, scale: NDArray) -> None:
    """Set location and scale of the columns whose likelihood has them, and start the likelihood from the means."""
    standardized = standardized_columns(likelihood)
    units.set(np.where(standardized, mean, 0.0), np.where(standardized, scale, 1.0))
    likelihood.learn(torch.as_tensor(mean))


def standardized_columns(likelihood: Likelihood) -> NDArray[np.bool_]:
    """Return which columns are centred and scaled before their density is computed."""
    standardized = np.zeros(likelihood.n_columns, dtype=bool)
    for family, columns in likelihood.parts():
        standardized[columns] = family.standardized
    return standardized


@dataclass
class Rows:
    """The rows of one fit, as a data set: arrays that are never copied whole, and which of their rows take part.

    Parameters
    ----------
    x : ndarray, CSR array or Coded of shape (n, n_features)
        Features.
    units : Standardizer
        Their location and scale.
    index : ndarray of int or AllRows
        The rows that take part.
    complete : tuple of bool
        Whether no cell of `x`, and none of `y`, is missing.
    y : ndarray of shape (n, n_tasks) or None
        Targets.
    y_units : Standardizer or None
        Their location and scale.
    weight : ndarray of shape (n,) or None
        Weights of rows.
    label_weight : ndarray of shape (n, n_tasks) or None
        Weights of labels.
    device : torch.device
        Where batches go.
    dtype : torch.dtype
        Precision of the batches.
    """

    x: NDArray
    units: Standardizer
    index: NDArray | AllRows
    complete: tuple[bool, bool]
    y: NDArray | None
    y_units: Standardizer | None
    weight: NDArray | None
    label_weight: NDArray | None
    device: torch.device
    dtype: torch.dtype

    def __post_init__(self) -> None:
        if self.streamed and isinstance(self.index, np.ndarray):
            self.index = np.sort(self.index)  # positions that follow each other are then rows that do

    def __len__(self) -> int:
        return len(self.index)

    @property
    def streamed(self) -> bool:
        """Whether the rows lie in a file too large to be read in any order, or to be put on a GPU."""
        return any(is_mapped(part) and part.nbytes > STREAMED_BYTES for part in self._parts)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in a buffer: features, targets, and its position."""
        return 8 + sum(part.shape[1] * part.dtype.itemsize for part in self._parts)

    @property
    def _parts(self) -> list[NDArray]:
        return [self.x] if self.y is None else [self.x, self.y]

    def gather(self, positions: NDArray) -> "Rows":
        """Return rows by their positions in `index`, copied into memory as they are."""
        index = self.index[positions]
        y, weight, label_weight = (
            None if part is None else part[index] for part in (self.y, self.weight, self.label_weight)
        )
        index_of_copies = AllRows(len(index))
        return replace(self, x=self.x[index], y=y, weight=weight, label_weight=label_weight, index=index_of_copies)

    @cached_property
    def resident(self) -> Batch | None:
        """All rows, standardised, where they are kept: on a GPU, and of a small table. None if they are not."""
        # Sparse rows are made dense batch by batch, wherever the batches go; so are categories, but for small tables.
        small = len(self.index) * self.x.shape[1] <= BLOCK_CELLS
        wide = isinstance(self.x, Coded) and self.x.nbytes > STREAMED_BYTES
        on_host = issparse(self.x) or wide or self.streamed or (self.device.type == "cpu" and not small)
        return None if on_host else self._read(self.index[np.arange(len(self))])

    def take(self, positions: Tensor) -> Batch:
        """Return rows by their positions in `index`."""
        if self.resident is None:
            return self._read(self.index[positions.numpy()])
        chosen = positions.to(self.device)
        return self.resident.each(lambda part: part[chosen])

    def _read(self, index: NDArray) -> Batch:
        """Gather rows on the host, standardise them and send them to the device."""
        return Batch(
            self._standardize(self.x, index, self.units),
            None if self.y is None or self.y_units is None else self._standardize(self.y, index, self.y_units),
            None if self.weight is None else self._send(self.weight[index]),
            None if self.label_weight is None else self._send(self.label_weight[index]),
            self.complete,
        )

    def _standardize(self, array: NDArray, index: NDArray, units: Standardizer) -> Tensor:
        size = block_rows(array.shape[1])
        parts = [
            self._send(units(torch.from_numpy(dense(array[index[rows]])), self.dtype))
            for rows in blocks(len(index), size)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _send(self, values: NDArray | Tensor) -> Tensor:
        return torch.as_tensor(values, dtype=self.dtype).to(self.device)


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
