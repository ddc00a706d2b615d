"""Likelihoods: how a column is distributed once the code is known.

A likelihood is one small class: the number of decoder outputs it takes per column, the interval its values must lie
in and the distribution those outputs stand for. Masking, checks and contract tests come with the base class and the
dictionary.
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from math import log, pi
from typing import ClassVar

import torch
from torch import Tensor, distributions, nn
from torch.nn import functional as F


class Likelihood(nn.Module):
    """Independent distributions p(x_j given z), one per column.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    n_params: ClassVar[int] = 1
    """Decoder outputs per column."""
    support: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))
    """Closed interval of the admissible values."""
    standardized: ClassVar[bool] = True
    """Whether the columns are centred and scaled first: true for location-scale families alone."""
    filler: ClassVar[float] = 0.0
    """Any admissible value: stands in for a missing cell while the density is computed."""

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.n_columns = n_columns

    @abstractmethod
    def distribution(self, params: Tensor) -> distributions.Distribution:
        """Return the distribution of shape (..., n_columns) for decoder outputs (..., n_columns * n_params)."""

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log p(x given params) of each cell, shape (..., n_columns), for an `x` without missing cells."""
        return self.distribution(params).log_prob(x)

    def log_prob(self, params: Tensor, x: Tensor, complete: bool = False) -> Tensor:
        """Return log p(x given params) of each cell, shape (..., n_columns): zero where `x` is NaN.

        Parameters
        ----------
        params : Tensor of shape (..., n_columns * n_params)
            Decoder outputs.
        x : Tensor of shape (n_rows, n_columns)
            Values, NaN where missing.
        complete : bool, default=False
            Promises that no cell is missing, which saves the masking.
        """
        if complete:
            return self.log_density(params, x)
        missing = x.isnan()
        # Filled before the density and masked after it: a NaN that met the density would leave NaN in the gradient,
        # whatever zero it is multiplied by later.
        return self.log_density(params, x.masked_fill(missing, self.filler)).masked_fill(missing, 0.0)

    def constrain(self) -> None:
        """Put parameters that a step of the optimiser has moved out of their range back into it."""

    def split(self, params: Tensor) -> tuple[Tensor, ...]:
        """Return the `n_params` parameters of all columns, each of shape (..., n_columns)."""
        return params.unflatten(-1, (self.n_columns, self.n_params)).unbind(-1)


class Gaussian(Likelihood):
    """Normal distribution: the decoder gives the mean, the variance is one per column, learned or fixed.

    `log p(x) = -((x - mean)^2 / variance + log(variance) + log(2 pi)) / 2`

    The variance lives on the standardised scale. A learned one starts at 1 and has a floor of 1e-4, a standard
    deviation of one hundredth of the column's unit: without a floor the density of a column that is predicted
    perfectly is unbounded.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    scale : float or None, default=None
        A fixed standard deviation, in units of the column's own; None learns one per column.
    """

    variance_floor: ClassVar[float] = 1e-4
    fixed_log_variance: Tensor
    fixed_log_normalizer: Tensor
    # Adam moves every parameter by about the learning rate a step; the gain lets the variance keep up with the means.
    gain: ClassVar[float] = 10.0

    def __init__(self, n_columns: int, scale: float | None = None) -> None:
        super().__init__(n_columns)
        if scale is None:
            self.raw_log_variance = nn.Parameter(torch.zeros(n_columns))
        else:
            self.register_buffer("fixed_log_variance", torch.tensor(2 * log(scale)))
            self.register_buffer("fixed_log_normalizer", torch.tensor(-log(scale) - log(2 * pi) / 2))
        self.scale = scale

    @property
    def log_variance(self) -> Tensor:
        """Log variance of each column on the standardised scale, shape (n_columns,) or ()."""
        if self.scale is not None:
            return self.fixed_log_variance
        return self.gain * self.raw_log_variance

    @torch.no_grad()
    def constrain(self) -> None:
        """Keep the learned variance at its floor or above.

        A floor within the formula would do so too, but its gradient dies below the floor: a variance that sank there
        early in the training would not come back.
        """
        if self.scale is None:
            self.raw_log_variance.clamp_(min=log(self.variance_floor) / self.gain)

    def distribution(self, params: Tensor) -> distributions.Normal:
        """Return the normal distribution of each cell."""
        deviation = (self.log_variance / 2).exp().expand(params.shape)
        return distributions.Normal(params, deviation, validate_args=False)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-density of each cell; one fused squared error instead of `Normal.log_prob`'s eight kernels."""
        squared_error = F.mse_loss(params, x.expand_as(params), reduction="none")
        if self.scale is not None:
            return torch.add(self.fixed_log_normalizer, squared_error, alpha=-0.5 / self.scale**2)
        log_variance = self.log_variance
        return torch.add(-0.5 * (log_variance + log(2 * pi)), squared_error * (-log_variance).exp(), alpha=-0.5)


class Bernoulli(Likelihood):
    """Bernoulli distribution; the decoder gives the logit. Values between 0 and 1 count as expectations.

    `log p(x) = x log(mean) + (1 - x) log(1 - mean)`
    """

    support = (0.0, 1.0)
    standardized = False

    def distribution(self, params: Tensor) -> distributions.Bernoulli:
        """Return the Bernoulli distribution of each cell."""
        return distributions.Bernoulli(logits=params, validate_args=False)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-probability of each cell."""
        return -F.binary_cross_entropy_with_logits(params, x.expand_as(params), reduction="none")


LIKELIHOODS: dict[str, Callable[[int], Likelihood]] = {
    "gaussian": Gaussian,
    "squared_error": partial(Gaussian, scale=1.0),
    "bernoulli": Bernoulli,
}
