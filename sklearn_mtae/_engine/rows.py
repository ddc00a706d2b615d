"""The rows of a fit: read from where they are, standardised, and sent to the device.

Rows are gathered block by block from wherever they are (memory, a memmap, a device) and standardised with units in
float64. No array is copied whole, unless the copy is kept for a training.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from torch import Tensor

from sklearn_mtae._tables.blocks import block_rows, blocks, dense
from sklearn_mtae._tables.coded_rows import Coded
from sklearn_mtae._tables.row_index import AllRows, is_mapped
from sklearn_mtae.nn.standardizer import Standardizer

STREAMED_BYTES = 2**28
"""Bytes of a memory-mapped array above which its rows are shuffled in blocks: 256 MiB."""
RESIDENT_CELLS = 2**26
"""Cells of a table up to which a CPU keeps its standardised rows: 256 MiB in float32."""


def is_streamed(part: Any) -> bool:
    """Return whether an array is in a file too large for random access, or for a GPU."""
    return is_mapped(part) and part.nbytes > STREAMED_BYTES


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
    """Whether all cells of `x`, and all of `y`, are known to be present."""
    counts: Tensor | None = None
    """Number of rows that count for each model of a stack, if these differ; the tensors then have the models along a
    first axis."""
    censoring: Tensor | None = None
    """-1 where the true target is known only to be below `y`, 1 where it is above, otherwise 0; None is 0
    everywhere."""

    @property
    def n_rows(self) -> int | Tensor:
        """Number of rows, for each model if they differ."""
        return self.x.shape[-2] if self.counts is None else self.counts

    def each(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """Return the batch with a function applied to each of its tensors."""
        tensors = (self.x, self.y, self.weight, self.label_weight, self.censoring)
        x, y, weight, label_weight, censoring = (None if part is None else function(part) for part in tensors)
        assert x is not None
        return Batch(x, y, weight, label_weight, self.complete, self.counts, censoring)

    def weighed(self, weights: Tensor) -> "Batch":
        """Return the batch with further weights for its rows."""
        return self._replace(weight=weights if self.weight is None else self.weight * weights)


@dataclass
class Rows:
    """The rows of one fit, as a data set: arrays, and the rows of them that take part.

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
    is_buffer : bool
        Whether they are part of a file that is read once, batch by batch.
    censoring : ndarray of int8 of shape (n, n_tasks) or None
        Which labels are limits, and of which side.
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
    is_buffer: bool = False
    censoring: NDArray | None = None

    def __post_init__(self) -> None:
        parts = [self.x] if self.y is None else [self.x, self.y]
        self.streamed = any(map(is_streamed, parts))
        """Whether the rows are in a file too large for random access, or for a GPU."""
        self.row_bytes = 8 + sum(part.shape[1] * part.dtype.itemsize for part in parts)
        """Bytes of a row in a buffer: features, targets, and its position."""
        if self.streamed and isinstance(self.index, np.ndarray):
            self.index = np.sort(self.index)  # consecutive positions are then consecutive rows

    def __len__(self) -> int:
        return len(self.index)

    @property
    def optional(self) -> tuple[NDArray | None, ...]:
        """Weights of rows, weights of labels, and codes of labels, as far as there are any."""
        return self.weight, self.label_weight, self.censoring

    def gather(self, positions: NDArray) -> "Rows":
        """Return rows by their positions in `index`, copied into memory unchanged."""
        index = self.index[positions]
        names = ("y", "weight", "label_weight", "censoring")
        parts = {name: part[index] for name in names if (part := getattr(self, name)) is not None}
        return replace(self, x=self.x[index], index=AllRows(len(index)), is_buffer=True, **parts)

    @property
    def stays(self) -> bool:
        """Whether all standardised rows are kept on the training device: on a GPU, or unless the table is large."""
        # Sparse rows are made dense batch by batch on any device; so are categories, except in small tables.
        small = len(self.index) * self.x.shape[1] <= RESIDENT_CELLS and not self.is_buffer
        wide = isinstance(self.x, Coded) and self.x.nbytes > STREAMED_BYTES
        return not (issparse(self.x) or wide or self.streamed or (self.device.type == "cpu" and not small))

    @cached_property
    def resident(self) -> Batch | None:
        """All rows, standardised, if they are kept; otherwise None."""
        return self._gather(self.index[np.arange(len(self))]) if self.stays else None

    def release(self) -> None:
        """Release the kept rows; they are read again when needed."""
        vars(self).pop("resident", None)

    def read(self, positions: Tensor) -> Batch:
        """Return rows by their positions in `index`."""
        if self.resident is None:
            return self._gather(self.index[positions.numpy()])
        chosen = positions.to(self.device)
        return self.resident.each(lambda part: part[chosen])

    def _gather(self, index: NDArray) -> Batch:
        """Gather rows on the host, standardise them and send them to the device."""
        return Batch(
            self._standardize(self.x, index, self.units),
            None if self.y is None or self.y_units is None else self._standardize(self.y, index, self.y_units),
            None if self.weight is None else self._send(self.weight[index]),
            None if self.label_weight is None else self._send(self.label_weight[index]),
            self.complete,
            censoring=None if self.censoring is None else self._send(self.censoring[index]),
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
