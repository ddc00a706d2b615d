"""Families of positive numbers."""

from collections.abc import Sequence
from math import log, pi
from typing import ClassVar

import torch
from torch import Tensor, distributions
from torch.distributions import constraints

from ._base import LogLink
from ._continuous import LocationScale
from ._tails import Tails, gamma_tails, log_ndtr, log_normalizer

LEAST = torch.finfo(torch.float32).tiny
"""The smallest normal number in float32."""


class Positive(LocationScale, LogLink):
    """Families of positive numbers, with a learned scale for each column.

    The decoder's output is relative to the log of the column's own mean. The scale is that of log(x), or relative to
    the mean, with a floor of one percent. The smallest allowed value is 1.2e-38, the smallest normal number in float32,
    so that zero is rejected.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    support = (LEAST, float("inf"))
    filler = 1.0
    largest = 1e30  # values are trained on in their own units, in float32

    def as_input(self, x: Tensor) -> Tensor:
        """Return log(x) relative to the log of the column's mean; smaller values than allowed count as the smallest."""
        return x.clamp(min=self.support[0]).log() - self.log_location


class LogNormal(Positive):
    """Log-normal distribution of positive values: the decoder gives the mean of log(x), the variance is learned.

    `log p(x) = -((log(x) - mean)^2 / variance + log(variance) + log(2 pi)) / 2 - log(x)`

    Each column has one variance, that of log(x), with a floor of 1e-4: a deviation of one percent of the value.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    def distribution(self, params: Tensor) -> distributions.LogNormal:
        """Return the log-normal distribution of each cell."""
        return distributions.LogNormal(self.log_mean(params), self.deviation(params), validate_args=False)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-density of each cell."""
        log_x, log_variance = x.log(), self.log_variance
        distance = (log_x - self.log_mean(params)) * (-log_variance / 2).exp()
        return -0.5 * (distance.square() + log_variance + log(2 * pi)) - log_x

    def log_cdf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X <= x) of each cell."""
        return log_ndtr(self.distance(self.log_mean(params), x.log()))

    def log_sf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X > x) of each cell."""
        return log_ndtr(-self.distance(self.log_mean(params), x.log()))


class GammaNumbers(distributions.Distribution):
    """Gamma distributions, given the logarithms of their mean and shape.

    `log p(x) = shape (u - exp(u) + 1) + shape log(shape) - shape - log Gamma(shape) - log(x)`, `u = log(x / mean)`.

    For a large shape the three terms in the middle are far larger than their sum, which comes from Stirling's series
    instead. (torch's `Gamma` is parametrised by the rate, shape over mean, and its density loses these digits in
    float32.)

    Parameters
    ----------
    log_mean, log_shape : Tensor of any shape
        Logarithms of mean and shape.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.positive  # type: ignore[assignment]
    bound: ClassVar[float] = 20.0
    """Largest log(x / mean) with the exact density; beyond, the log-density falls linearly, so that nothing
    overflows."""

    def __init__(self, log_mean: Tensor, log_shape: Tensor) -> None:
        self.log_mean, self.log_shape = torch.broadcast_tensors(log_mean, log_shape)
        super().__init__(self.log_mean.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Means, of the parameters' shape."""
        return self.log_mean.exp().clamp(min=LEAST)

    @property
    def variance(self) -> Tensor:
        """Variances, of the parameters' shape."""
        return (2 * self.log_mean - self.log_shape).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each value."""
        log_value = value.log()
        u = log_value - self.log_mean
        return self.log_shape.exp() * (u - growth(u, self.bound)) + log_normalizer(self.log_shape) - log_value

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws of shape (*sample_shape, *log_mean.shape)."""
        shape = self.log_shape.exp()
        unscaled = distributions.Gamma(shape, torch.ones_like(shape), validate_args=False)
        drawn = unscaled.sample(torch.Size(sample_shape)).log() - self.log_shape + self.log_mean
        return drawn.exp().clamp(min=LEAST)


def growth(u: Tensor, bound: float) -> Tensor:
    """Return `exp(u) - 1`, from `bound` on along its tangent, so that neither it nor its gradient overflows."""
    near = u.clamp(max=bound)
    return near.expm1() + near.exp() * (u - near)


class Gamma(Positive):
    """Gamma distribution of positive values: the decoder gives the log of the mean, the shape is learned.

    `log p(x) = shape log(shape / mean) + (shape - 1) log(x) - shape x / mean - log Gamma(shape)`

    Each column has one shape: the squared mean over the variance. It starts at 1, an exponential distribution, unless
    `start` says otherwise, and stays below 1e4: a deviation of one percent of the mean.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    def distribution(self, params: Tensor) -> GammaNumbers:
        """Return the gamma distribution of each cell."""
        return GammaNumbers(self.log_mean(params), -self.log_variance)

    def log_cdf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X <= x) of each cell."""
        return self._tails(params, x).below

    def log_sf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X > x) of each cell."""
        return self._tails(params, x).above

    def _tails(self, params: Tensor, x: Tensor) -> Tails:
        u = x.log() - self.log_mean(params)
        return gamma_tails((-self.log_variance).expand_as(u), u, GammaNumbers.bound)

    def disagreement(self, params: Tensor, others: Tensor) -> Tensor:
        """Return the mean of the two divergences KL(p, q) and KL(q, p) between the predictions of each cell."""
        apart = self.log_mean(params) - self.log_mean(others)
        return 0.5 * (-self.log_variance).exp() * (growth(apart, self.bound) + growth(-apart, self.bound))
