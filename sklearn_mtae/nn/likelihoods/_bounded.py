"""Families of values between 0 and 1."""

from collections.abc import Sequence
from math import perm
from typing import ClassVar

import torch
from torch import Tensor, distributions
from torch.distributions import constraints

from ._base import Likelihood


class TruncatedExponential(distributions.Distribution):
    """Exponential distribution on [0, 1], rising or falling: the continuous Bernoulli distribution of a logit.

    `log p(x) = a (x - 1/2) - log(2 sinh(a / 2) / a)`

    Its mean and its variance come from the derivatives of the second term: a power series near `a = 0`, where the
    closed form cancels, and elsewhere a form without an exponential that overflows. (torch's `ContinuousBernoulli` is
    parametrised by the probability, which float32 rounds to 1 from a logit of 16 on.)

    Parameters
    ----------
    logits : Tensor of any shape
        The rates `a`.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.unit_interval  # type: ignore[assignment]
    near: ClassVar[float] = 0.5
    coefficients: ClassVar[tuple[float, ...]] = (1 / 24, -1 / 2880, 1 / 181440, -1 / 9676800)

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits.shape, validate_args=False)
        self.logits = logits

    def _choose(self, order: int, far: Tensor) -> Tensor:
        """Return the derivative of this order of the log normaliser: its series near 0, elsewhere `far`."""
        # Each formula gets arguments from its own range only: an overflow would reach the gradient even where not
        # chosen.
        a = self.logits.clamp(-self.near, self.near)
        square = a.square()
        total = torch.zeros_like(a)
        for k in range(len(self.coefficients), 0, -1):
            total = total * square + perm(2 * k, order) * self.coefficients[k - 1]
        return torch.where(self.logits.abs() < self.near, total * a ** (2 - order), far)

    @property
    def _rate(self) -> Tensor:
        return self.logits.abs().clamp(min=self.near)

    @property
    def mean(self) -> Tensor:
        """Means, of the logits' shape."""
        rate = self._rate
        return 0.5 + self._choose(1, self.logits.sign() * (0.5 / (rate / 2).tanh() - 1 / rate))

    @property
    def variance(self) -> Tensor:
        """Variances, of the logits' shape."""
        rate = self._rate
        return self._choose(2, rate**-2 - (-rate).exp() / torch.expm1(-rate).square())

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each value."""
        return self.logits * (value - 0.5) - self.log_normalizer()

    def log_normalizer(self) -> Tensor:
        """Return `log(2 sinh(a / 2) / a)`, of the logits' shape: the same for a and -a."""
        rate = self._rate
        return self._choose(0, rate / 2 + (-torch.expm1(-rate) / rate).log())

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws of shape (*sample_shape, *logits.shape), by the inverse of the distribution function."""
        # In float32, a rate of 1e-6 gives the uniform distribution to all digits.
        rate = self.logits.abs().clamp(min=1e-6)
        uniform = torch.rand(self._extended_shape(torch.Size(sample_shape)), dtype=rate.dtype, device=rate.device)
        falling = (-torch.log1p(uniform * torch.expm1(-rate)) / rate).clamp(0.0, 1.0)
        return torch.where(self.logits > 0, 1 - falling, falling)


class ContinuousBernoulli(Likelihood):
    """Continuous Bernoulli distribution of values between 0 and 1; the decoder gives the logit.

    `log p(x) = x log(p) + (1 - x) log(1 - p) + log C(p)`, where p is the logistic function of the logit and C makes the
    density integrate to one (Loaiza-Ganem and Cunningham 2019, arXiv 1907.06845). The mean is not p but a function of
    p.
    """

    support = (0.0, 1.0)
    standardized = False

    def distribution(self, params: Tensor) -> TruncatedExponential:
        """Return the continuous Bernoulli distribution of each cell."""
        return TruncatedExponential(params)

    def log_cdf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X <= x) of each cell."""
        return self._log_share(params, x)

    def log_sf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X > x) of each cell."""
        return self._log_share(-params, 1 - x)

    @staticmethod
    def _log_share(logits: Tensor, part: Tensor) -> Tensor:
        """Return the log-probability of the values from 0 to a part of the way to 1."""
        part = part.clamp(min=torch.finfo(part.dtype).tiny)
        own, whole = TruncatedExponential(logits * part), TruncatedExponential(logits)
        return part.log() - logits * (1 - part) / 2 + own.log_normalizer() - whole.log_normalizer()
