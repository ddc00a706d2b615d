"""Embeddings: what stands between the columns and the encoder, to make numbers easier to tell apart."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

SOFT_LIMIT = 10.0
"""Units beyond which a value no longer grows: `x / sqrt(1 + (x / SOFT_LIMIT)^2)`."""


class PiecewiseLinear(nn.Module):
    """Beside each column, where its value lies between its quantiles (Gorishniy et al. 2022, arXiv 2203.05556).

    A bin of a column becomes a column of its own: `clip((x - lower) / (upper - lower), 0, 1) - 1 / 2`. So the first
    layer of a network learns a piecewise linear function of each column, which may rise steeply where it must. The
    column itself stays beside its bins, outliers drawn in.

    Parameters
    ----------
    n_columns : int
        Columns of the input.
    n_bins : int, default=16
        Bins per column. Where columns have few different values, some of the bins are empty and stay zero.
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
        """Set the bins by rows of shape (n_rows, n_columns), NaN where a cell is missing."""
        n_bins = self.lower.shape[1]
        levels = torch.linspace(0, 1, n_bins + 1, dtype=x.dtype)
        for column, values in enumerate(x.T):
            observed = values[~values.isnan()]
            if len(observed.unique()) <= 2:  # the column itself says as much as a bin
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


class Softened(nn.Module):
    """The columns with outliers drawn in: `x / sqrt(1 + (x / 10)^2)`, within 10 units of the mean.

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


def soften(x: Tensor) -> Tensor:
    """Draw outliers in."""
    return x * (1 + (x / SOFT_LIMIT).square()).rsqrt()


EMBEDDINGS: dict[str, Callable[[int], nn.Module]] = {"piecewise_linear": PiecewiseLinear, "softened": Softened}
