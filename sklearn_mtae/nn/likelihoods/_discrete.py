"""Families of binary values, counts and classes."""

from collections.abc import Sequence
from math import ceil, floor, log
from typing import ClassVar

import torch
from torch import Tensor, distributions, nn
from torch.nn import functional as F

from ._base import LARGEST_COUNT, Likelihood, LogLink, clamp
from ._tails import Tails, beta_tails, gamma_tails

MOST_WHOLE = 2_000
"""Whole numbers of a range at most."""


def whole_numbers(low: float, high: float) -> tuple[Tensor, Tensor]:
    """Return the whole numbers of a range, and the logs of the lengths of such values: zero."""
    values = torch.arange(ceil(low), floor(min(high, low + MOST_WHOLE)) + 1, dtype=torch.float64)
    return values, torch.zeros_like(values)


class Bernoulli(Likelihood):
    """Bernoulli distribution: the decoder gives the logit, relative to that of the column's own mean.

    `log p(x) = x log(mean) + (1 - x) log(1 - mean)`

    Values between 0 and 1 count as expectations.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    support = (0.0, 1.0)
    whole = True
    standardized = False
    peak = 0.0
    # A column that was never 1, or never 0, may still become so.
    rarest: ClassVar[float] = 1e-3
    location: Tensor

    def __init__(self, n_columns: int) -> None:
        super().__init__(n_columns)
        self.register_buffer("location", torch.full((n_columns,), 0.5))

    def learn(self, mean: Tensor) -> None:
        """Let an output of 0 stand for the column's own mean."""
        self.location = mean.clamp(self.rarest, 1 - self.rarest).to(self.location)

    def as_input(self, x: Tensor) -> Tensor:
        """Return the distance from the column's mean."""
        return x - self.location

    def points(self, column: int, low: float, high: float, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Return those of 0 and 1 that lie in a range, and the logs of their lengths."""
        return whole_numbers(max(low, 0.0), min(high, 1.0))

    def logits(self, params: Tensor) -> Tensor:
        """Return the logit of each cell."""
        return self.location.logit() + params

    def distribution(self, params: Tensor) -> distributions.Bernoulli:
        """Return the Bernoulli distribution of each cell."""
        return distributions.Bernoulli(logits=self.logits(params), validate_args=False)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-probability of each cell."""
        logits = self.logits(params)
        return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")


def draw_counts(rate: Tensor) -> Tensor:
    """Return Poisson draws; large ones are normal draws, because torch counts in 64-bit integers."""
    drawn = torch.poisson(rate.clamp(max=LARGEST_COUNT))
    if not (rate > LARGEST_COUNT).any():
        return drawn
    return torch.where(rate > LARGEST_COUNT, (rate + rate.sqrt() * torch.randn_like(rate)).round(), drawn)


class PoissonCounts(distributions.Poisson):
    """Poisson distributions of any rate."""

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return counts of shape (*sample_shape, *rate.shape)."""
        return draw_counts(self.rate.expand(self._extended_shape(torch.Size(sample_shape))))


class NegativeBinomialCounts(distributions.NegativeBinomial):
    """Negative binomial distributions of any mean."""

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return counts of shape (*sample_shape, *logits.shape)."""
        return draw_counts(self._gamma.sample(torch.Size(sample_shape)))


class Counts(LogLink):
    """Families of counts: the decoder gives the log of the mean, relative to the log of the column's own mean.

    Values that are not integers count as expectations, as in a regression with this likelihood.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    support = (0.0, float("inf"))
    whole = True
    largest = LARGEST_COUNT
    peak = 0.0

    def tails(self, params: Tensor, n: Tensor) -> Tails:
        """Return log P(X < n) and log P(X >= n) of each cell, for whole numbers above 0."""
        raise NotImplementedError(f"{type(self).__name__} has no distribution function.")

    @property
    def has_cdf(self) -> bool:
        """Whether the family has a distribution function: a subclass gives it by `tails`."""
        return type(self).tails is not Counts.tails

    def log_cdf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X <= x) of each cell."""
        return self.tails(params, x.floor() + 1).below

    def log_sf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X > x) of each cell."""
        return self.tails(params, x.floor() + 1).above

    def log_below(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X < x) of each cell: that of the counts up to the one before x."""
        return self.tails(params, x.ceil().clamp(min=1.0)).below

    def points(self, column: int, low: float, high: float, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Return the whole numbers of a range, and the logs of their lengths."""
        return whole_numbers(max(low, 0.0), high)

    def as_input(self, x: Tensor) -> Tensor:
        """Return `log(1 + x)` relative to its value at the column's mean: near 0 for any count."""
        return x.log1p() - self.log_location.exp().log1p()


class Poisson(Counts):
    """Poisson distribution: the decoder gives the log of the mean.

    `log p(x) = x log(mean) - mean - log(x!)`
    """

    def distribution(self, params: Tensor) -> PoissonCounts:
        """Return the Poisson distribution of each cell."""
        return PoissonCounts(self.log_mean(params).exp(), validate_args=False)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-probability of each cell."""
        log_mean = self.log_mean(params)
        return x * log_mean - log_mean.exp() - torch.lgamma(x + 1)

    def tails(self, params: Tensor, n: Tensor) -> Tails:
        """Return log P(X < n) and log P(X >= n): the time of the n-th event has a gamma distribution."""
        u = self.log_mean(params) - n.log()
        event = gamma_tails(n.log().expand_as(u), u, self.bound)
        return Tails(event.above, event.below)


class NegativeBinomial(Counts):
    """Negative binomial distribution: the decoder gives the log of the mean, each column has one learned dispersion.

    `variance = mean + dispersion * mean^2`, so that counts may vary more than under a Poisson distribution. The
    dispersion starts at 1 and stays between 1e-3 and 1e3.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    gain: ClassVar[float] = 10.0
    log_bound: ClassVar[float] = log(1e3)

    def __init__(self, n_columns: int) -> None:
        super().__init__(n_columns)
        self.raw_log_dispersion = nn.Parameter(torch.zeros(n_columns))

    @property
    def log_dispersion(self) -> Tensor:
        """Log dispersion of each column, shape (n_columns,)."""
        return self.gain * self.raw_log_dispersion

    @torch.no_grad()
    def constrain(self) -> None:
        """Keep the dispersion within its bounds."""
        bound = self.log_bound / self.gain
        clamp(self.raw_log_dispersion, -bound, bound)

    def distribution(self, params: Tensor) -> NegativeBinomialCounts:
        """Return the negative binomial distribution of each cell."""
        logits = self.log_mean(params) + self.log_dispersion
        return NegativeBinomialCounts(
            (-self.log_dispersion).exp().expand(params.shape), logits=logits, validate_args=False
        )

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-probability of each cell."""
        size = (-self.log_dispersion).exp()
        logits = self.log_mean(params) + self.log_dispersion
        ways = torch.lgamma(x + size) - torch.lgamma(size) - torch.lgamma(x + 1)
        return ways + x * logits - (x + size) * F.softplus(logits)

    def tails(self, params: Tensor, n: Tensor) -> Tails:
        """Return log P(X < n) and log P(X >= n), by the incomplete beta function."""
        v = -(self.log_mean(params) + self.log_dispersion)
        return beta_tails(*torch.broadcast_tensors((-self.log_dispersion).exp(), n, v))


class Positions(distributions.Categorical):
    """Categorical distributions whose moments are those of the classes' positions.

    A table of targets of several kinds has one array of means and one of variances.
    """

    @property
    def mean(self) -> Tensor:
        """Mean positions, shape (...)."""
        return (self.probs * self._positions).sum(-1)

    @property
    def variance(self) -> Tensor:
        """Variances of the positions, shape (...)."""
        return (self.probs * (self._positions - self.mean.unsqueeze(-1)).square()).sum(-1)

    @property
    def _positions(self) -> Tensor:
        return torch.arange(self.probs.shape[-1], dtype=self.probs.dtype, device=self.probs.device)


class Categorical(Likelihood):
    """Categorical distribution over the classes of each column; the decoder gives one logit per class.

    `log p(x = c) = logit_c - log(sum_k exp(logit_k))`

    Values are the positions of the classes. All columns have as many outputs as the column with the most classes.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    n_classes : sequence of int
        Number of classes of each column.
    """

    standardized = False
    peak = 0.0
    absent: Tensor

    def __init__(self, n_columns: int, n_classes: Sequence[int]) -> None:
        super().__init__(n_columns)
        self.n_params = max(n_classes)  # type: ignore[misc]
        absent = torch.arange(self.n_params) >= torch.tensor(n_classes)[:, None]
        self.register_buffer("absent", absent, persistent=False)
        self.uneven = bool(absent.any())

    def logits(self, params: Tensor) -> Tensor:
        """Return the logits of each cell, shape (..., n_columns, n_params): minus infinity for an absent class."""
        logits = params.unflatten(-1, (self.n_columns, self.n_params))
        return logits.masked_fill(self.absent, -float("inf")) if self.uneven else logits

    def distribution(self, params: Tensor) -> Positions:
        """Return the categorical distribution of each cell."""
        return Positions(logits=self.logits(params), validate_args=False)

    def disagreement(self, params: Tensor, others: Tensor) -> Tensor:
        """Return the mean of the two divergences KL(p, q) and KL(q, p) between the predictions of each cell."""
        p, q = (self.logits(own).log_softmax(-1) for own in (params, others))
        # An absent class has probability 0 in both; infinity minus infinity must not give NaN.
        apart = (p - q).masked_fill(self.absent, 0.0) if self.uneven else p - q
        return 0.5 * ((p.exp() - q.exp()) * apart).sum(-1)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-probability of each cell's class."""
        log_probability = self.logits(params).log_softmax(-1)
        position = x.long().expand(log_probability.shape[:-1])
        return log_probability.gather(-1, position.unsqueeze(-1)).squeeze(-1)
