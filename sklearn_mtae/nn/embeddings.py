"""Embeddings: layers between the columns and the encoder that make values easier to tell apart."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SOFT_LIMIT = 10.0
"""Bound on softened values, in units: `x / sqrt(1 + (x / SOFT_LIMIT)^2)`."""
FAR = 1e15
"""Units beyond which values are softened alike: the square of a larger one may overflow, which would soften it to 0."""


class PiecewiseLinear(nn.Module):
    """Each column, and where its value lies between its quantiles (Gorishniy et al. 2022, arXiv 2203.05556).

    Each bin of a column becomes a column of its own: `clip((x - lower) / (upper - lower), 0, 1) - 1 / 2`. The first
    layer of a network thus learns a piecewise linear function of each column, as steep as it needs to be. The column
    itself stays beside its bins, with outliers drawn in.

    Parameters
    ----------
    n_columns : int
        Columns of the input.
    n_bins : int, default=16
        Bins per column. Where a column has few distinct values, some of its bins are empty and stay zero.
    """

    lower: Tensor
    per_width: Tensor
    offset: Tensor

    def __init__(self, n_columns: int, n_bins: int = 16) -> None:
        super().__init__()
        self.n_outputs = n_columns * (1 + n_bins)
        self.register_buffer("lower", torch.zeros(n_columns, n_bins))
        self.register_buffer("per_width", torch.zeros(n_columns, n_bins))
        self.register_buffer("offset", torch.zeros(n_columns, n_bins))

    def learn(self, x: Tensor) -> None:
        """Set the bins from rows of shape (n_rows, n_columns), NaN where a cell is missing."""
        n_bins = self.lower.shape[1]
        levels = torch.linspace(0, 1, n_bins + 1, dtype=x.dtype)
        for column, values in enumerate(x.T):
            observed = values[~values.isnan()]
            if len(observed.unique()) <= 2:  # a bin would add nothing to the column itself
                continue
            edges = observed.quantile(levels).unique()
            widths = edges.diff()
            k = len(widths)
            self.lower[column, :k] = edges[:k]
            self.per_width[column, :k] = widths.reciprocal()
            self.offset[column, :k] = 0.5

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_columns) to (..., n_outputs): the columns, then the bins of each."""
        place = ((x.unsqueeze(-1) - self.lower) * self.per_width).clamp(0, 1) - self.offset
        return torch.cat([soften(x), place.flatten(-2)], dim=-1)

    def tabulate(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the table that `entries` indexes, for a linear layer after the embedding: (n_entries, n_outputs).

        It holds the layer's outputs at each edge of a column's bins, column by column, the weights of the columns, and
        the bias.
        """
        n_columns, n_bins = self.lower.shape
        of_columns, of_bins = weight.double().T.split([n_columns, n_columns * n_bins])
        steps = of_bins.unflatten(0, (n_columns, n_bins))
        at_edges = F.pad(steps.cumsum(1), (0, 0, 1, 0)).flatten(0, 1)
        below = bias.double() - (self.offset.double().unsqueeze(-1) * steps).sum((0, 1))
        return torch.cat([at_edges, of_columns, below[None]]).to(weight.dtype)

    def entries(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the table entries that make up the layer's outputs, and their weights: (n_rows, n_summed) each."""
        n_columns, n_bins = self.lower.shape
        level = ((x.unsqueeze(-1) - self.lower) * self.per_width).clamp(0, 1).sum(-1)
        edge = level.floor()
        above = level - edge
        # The entry after a column's last edge belongs to another column and has weight 0. A level that is NaN has no
        # edge.
        first = edge.int().clamp(0, n_bins) + torch.arange(n_columns, dtype=torch.int32, device=x.device) * (n_bins + 1)
        rest = torch.arange(n_columns * (n_bins + 1), n_columns * (n_bins + 2) + 1, dtype=torch.int32, device=x.device)
        index = torch.cat([first, first + 1, rest.expand(len(x), -1)], dim=1)
        return index, torch.cat([1 - above, above, soften(x), torch.ones_like(x[:, :1])], dim=1)


class Softened(nn.Module):
    """The columns with outliers drawn in to within 10 units of the mean: `x / sqrt(1 + (x / 10)^2)`.

    Parameters
    ----------
    n_columns : int
        Columns of the input.
    """

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.n_outputs = n_columns

    def learn(self, x: Tensor) -> None:
        """Learn nothing."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_columns) to (..., n_columns)."""
        return soften(x)


class Weighted(nn.Module):
    """Mixin of embeddings whose outputs are multiplied by a weight of their column.

    Adam changes the weights of a layer equally fast, however little their inputs have to say of the targets. With a
    small factor, a column is learned slowly, and leaves the training to the others.
    """

    n_outputs: int
    weights: Tensor
    """Weight of each output, shape (n_outputs,)."""

    def __init__(self, n_columns: int, **options: Any) -> None:
        super().__init__(n_columns, **options)
        self.register_buffer("weights", torch.ones(self.n_outputs))

    def weigh(self, weights: Tensor) -> None:
        """Set the weights of the columns, shape (n_columns,)."""
        others = weights.repeat_interleave(self.n_outputs // len(weights) - 1)
        self.weights = torch.cat([weights, others]).to(self.weights)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_columns) to (..., n_outputs)."""
        return super().forward(x) * self.weights


class WeightedPiecewiseLinear(Weighted, PiecewiseLinear):
    """The columns and their bins as in `PiecewiseLinear`, each times the weight of its column."""

    def tabulate(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the table of `PiecewiseLinear.tabulate` for the weighted outputs."""
        return super().tabulate(weight * self.weights, bias)


class WeightedSoftened(Weighted, Softened):
    """The columns as in `Softened`, each times its weight."""


def soften(x: Tensor) -> Tensor:
    """Draw outliers in to within `SOFT_LIMIT` units."""
    near = x.clamp(-FAR, FAR)
    # Infinities become NaN: the row is then computed in float64.
    return near * (1 + (near / SOFT_LIMIT).square()).rsqrt() + (x - x)


EMBEDDINGS: dict[str, Callable[[int], nn.Module]] = {
    "piecewise_linear": PiecewiseLinear,
    "softened": Softened,
    "weighted_bins": WeightedPiecewiseLinear,
    "weighted": WeightedSoftened,
}
