"""Batches by number: which rows make up those of an epoch, as tables, and sums over batches of unlike sizes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


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
