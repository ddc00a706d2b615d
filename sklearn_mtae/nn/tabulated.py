"""A piecewise linear embedding and the linear layer after it as one table, from which a row needs few entries."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .batching import along_first
from .embeddings import PiecewiseLinear


class Tabulated(nn.Module):
    """A linear layer after a piecewise linear embedding, tabulated at the quantiles.

    The contribution of a column to an output is piecewise linear and is interpolated between two quantiles. A matrix
    product goes through all bins of a column; this reads two entries.

    Parameters
    ----------
    embedding : PiecewiseLinear
        The embedding.
    table : Tensor of shape (n_entries, n_outputs)
        The result of `embedding.tabulate` for the layer.
    """

    table: Tensor

    def __init__(self, embedding: PiecewiseLinear, table: Tensor) -> None:
        super().__init__()
        self.embedding = embedding
        self.register_buffer("table", table)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_columns) to (n_rows, n_outputs)."""
        return WeightedSum.apply(*self.embedding.entries(x), self.table)


class WeightedSum(torch.autograd.Function):
    """Weighted sums of table entries, which `torch.func.vmap` computes for several tables at once."""

    @staticmethod
    def forward(index: Tensor, weight: Tensor, table: Tensor) -> Tensor:
        """Sum weighted entries, both of shape (n_rows, n_summed); return (n_rows, n_outputs)."""
        return F.embedding_bag(index, table, per_sample_weights=weight, mode="sum")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        """Keep nothing: a table is made once training is over."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *inputs: Tensor) -> tuple[Tensor, int]:
        """Return the sums of all models, which lie along the first axis."""
        index, weight, table = along_first(info, in_dims, inputs)
        first = torch.arange(len(table), dtype=index.dtype, device=index.device) * table.shape[1]
        bags = (index + first[:, None, None]).flatten(0, 1)
        sums = F.embedding_bag(bags, table.flatten(0, 1), per_sample_weights=weight.flatten(0, 1), mode="sum")
        return sums.unflatten(0, (len(table), -1)), 0
