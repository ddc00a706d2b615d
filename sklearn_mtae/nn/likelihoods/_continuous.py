"""Families with a location and a scale."""

from math import lgamma, log, pi
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, distributions, nn
from torch.nn import functional as F

from ._base import Likelihood, clamp
from ._tails import Tails, both_sides, log_ndtr, student_tails


class LocationScale(Likelihood):
    """A location from the decoder and a learned scale for each column.

    The scale lives on the standardised scale. It starts at 1, unless `start` says otherwise, and its square has a floor
    of 1e-4, a deviation of one hundredth of the column's unit: without a floor, nothing would bound the density of a
    column that is predicted perfectly.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    variance_floor: ClassVar[float] = 1e-4
    # Adam moves every parameter by about the learning rate per step; the gain lets the scale keep up with the
    # locations.
    gain: ClassVar[float] = 10.0
    raw_log_variance: nn.Parameter

    def __init__(self, n_columns: int) -> None:
        super().__init__(n_columns)
        self.raw_log_variance = nn.Parameter(torch.zeros(n_columns))

    @torch.no_grad()
    def start(self, variance: float) -> None:
        """Start the learned squared scale at a value other than 1."""
        self.raw_log_variance.fill_(log(variance) / self.gain)

    def at_floor(self, margin: float) -> dict[int, float]:
        """Return the columns whose squared scale is less than `margin` times its floor, and that floor."""
        low = self.log_variance.detach().cpu() < log(margin * self.variance_floor)
        return dict.fromkeys(low.nonzero().flatten().tolist(), self.variance_floor)

    @property
    def log_variance(self) -> Tensor:
        """Log of the squared scale of each column on the standardised scale, shape (n_columns,) or ()."""
        return self.gain * self.raw_log_variance

    def deviation(self, params: Tensor) -> Tensor:
        """Return the scale of each cell."""
        return (self.log_variance / 2).exp().expand(params.shape)

    def distance(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the distance of each cell from its location, in units of the scale."""
        return (x - params) * (-self.log_variance / 2).exp()

    def for_means(self) -> Likelihood:
        """Return only the locations, if they are known to be the means: a subclass may have others."""
        return Location(self.n_columns) if type(self) in (Gaussian, StudentT, Laplace) else self

    def precision(self) -> Tensor:
        """Return the inverse of the squared scale of each column, shape (n_columns,)."""
        return (-self.log_variance.detach()).exp().expand(self.n_columns)

    @torch.no_grad()
    def constrain(self) -> None:
        """Keep the learned scale at its floor or above.

        A floor within the formula would do so too, but has no gradient below: a scale that sank there early in the
        training would not come back.
        """
        clamp(self.raw_log_variance, low=log(self.variance_floor) / self.gain)


class Location(Likelihood):
    """A family with a location and a scale reduced to its means, which the decoder gives.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    class Means(NamedTuple):
        """Distributions with known means only."""

        mean: Tensor

    def distribution(self, params: Tensor) -> Any:
        """Return the means of all cells."""
        return self.Means(params)


class Gaussian(LocationScale):
    """Normal distribution: the decoder gives the mean, each column has one variance, learned or fixed.

    `log p(x) = -((x - mean)^2 / variance + log(variance) + log(2 pi)) / 2`

    Parameters
    ----------
    n_columns : int
        Number of columns.
    scale : float or None, default=None
        A fixed standard deviation, in units of the column's own; None learns one per column.
    """

    fixed_log_variance: Tensor
    fixed_log_normalizer: Tensor

    def __init__(self, n_columns: int, scale: float | None = None) -> None:
        super().__init__(n_columns)
        if scale is not None:
            del self.raw_log_variance
            self.peak = -log(scale) - log(2 * pi) / 2
            self.register_buffer("fixed_log_variance", torch.tensor(2 * log(scale)))
            self.register_buffer("fixed_log_normalizer", torch.tensor(self.peak))
        self.scale = scale

    def start(self, variance: float) -> None:
        """Start a learned variance at another value."""
        if self.scale is None:
            super().start(variance)

    def at_floor(self, margin: float) -> dict[int, float]:
        """Return the columns whose learned variance is less than `margin` times its floor, and that floor."""
        return super().at_floor(margin) if self.scale is None else {}

    @property
    def log_variance(self) -> Tensor:
        """Log variance of each column on the standardised scale, shape (n_columns,) or ()."""
        return super().log_variance if self.scale is None else self.fixed_log_variance

    def constrain(self) -> None:
        """Keep a learned variance at its floor or above."""
        if self.scale is None:
            super().constrain()

    def distribution(self, params: Tensor) -> distributions.Normal:
        """Return the normal distribution of each cell."""
        return distributions.Normal(params, self.deviation(params), validate_args=False)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-density of each cell, by one fused squared error instead of the eight kernels of `Normal`."""
        squared_error = F.mse_loss(params, x.expand_as(params), reduction="none")
        if self.scale is not None:
            return torch.add(self.fixed_log_normalizer, squared_error, alpha=-0.5 / self.scale**2)
        log_variance = self.log_variance
        # Halved per column, not per cell, which saves a pass forwards and one backwards.
        half_precision = 0.5 * (-log_variance).exp()
        return -0.5 * (log_variance + log(2 * pi)) - squared_error * half_precision

    def log_cdf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X <= x) of each cell."""
        return log_ndtr(self.distance(params, x))

    def log_sf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X > x) of each cell."""
        return log_ndtr(-self.distance(params, x))


class StudentT(LocationScale):
    """Student's t distribution: the decoder gives the location, each column has one learned scale.

    `log p(x) = -(df + 1) / 2 * log(1 + (x - location)^2 / (df * scale^2)) - log(scale) + constant`

    An outlier costs the logarithm of its distance, rather than the square as under a normal distribution.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    df : float, default=5.0
        Degrees of freedom, above 2 so that there is a variance: the lower, the heavier the tails.
    """

    def __init__(self, n_columns: int, df: float = 5.0) -> None:
        super().__init__(n_columns)
        if not df > 2:
            raise ValueError(f"df must be above 2, for a variance to exist. Got {df!r} instead.")
        self.df = float(df)

    def distribution(self, params: Tensor) -> distributions.StudentT:
        """Return the t distribution of each cell."""
        return distributions.StudentT(self.df, params, self.deviation(params), validate_args=False)

    @property
    def _peak_of_standard(self) -> float:
        return lgamma((self.df + 1) / 2) - lgamma(self.df / 2) - log(self.df * pi) / 2

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-density of each cell."""
        log_variance = self.log_variance
        distance = (x - params) * (-log_variance / 2).exp()
        falling = (self.df + 1) / 2 * torch.log1p(distance.square() / self.df)
        return self._peak_of_standard - log_variance / 2 - falling

    def log_cdf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X <= x) of each cell."""
        return self._tails(params, x).below

    def log_sf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X > x) of each cell."""
        return self._tails(params, x).above

    def _tails(self, params: Tensor, x: Tensor) -> Tails:
        return student_tails(self.df, self._peak_of_standard, self.distance(params, x))


class Laplace(LocationScale):
    """Laplace distribution: the decoder gives the location, each column has one learned scale.

    `log p(x) = -|x - location| / scale - log(2 scale)`

    The location is the median: an outlier costs its distance, rather than the square as under a normal distribution.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    def distribution(self, params: Tensor) -> distributions.Laplace:
        """Return the Laplace distribution of each cell."""
        return distributions.Laplace(params, self.deviation(params), validate_args=False)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-density of each cell."""
        log_scale = self.log_variance / 2
        return -(x - params).abs() * (-log_scale).exp() - log_scale - log(2)

    def log_cdf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X <= x) of each cell."""
        distance = self.distance(params, x)
        return both_sides(-distance.abs() - log(2), distance > 0).below

    def log_sf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X > x) of each cell."""
        distance = self.distance(params, x)
        return both_sides(-distance.abs() - log(2), distance > 0).above
