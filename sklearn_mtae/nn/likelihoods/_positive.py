"""Families of positive numbers."""

from math import log, pi

import torch
from torch import Tensor, distributions

from ._base import LogLink
from ._continuous import LocationScale


class Positive(LocationScale, LogLink):
    """Families of positive numbers, with a scale for each column, learned.

    The decoder's output stands beside the log of the column's own mean, and the scale is that of log(x), or is relative
    to the mean, with a floor of one percent. The smallest value allowed is 1.2e-38, the smallest normal number in
    float32, so that zero is refused.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    support = (torch.finfo(torch.float32).tiny, float("inf"))
    filler = 1.0
    largest = 1e30  # in the units that they came in, values are trained on in float32

    def as_input(self, x: Tensor) -> Tensor:
        """Return log(x) beside the log of the column's mean; what is below the smallest value allowed counts as it."""
        return x.clamp(min=self.support[0]).log() - self.log_location


class LogNormal(Positive):
    """Log-normal distribution of positive values: the decoder gives the mean of log(x), the variance is learned.

    `log p(x) = -((log(x) - mean)^2 / variance + log(variance) + log(2 pi)) / 2 - log(x)`

    The variance is one per column, that of log(x), with a floor of 1e-4: a deviation of one percent of the value.

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
