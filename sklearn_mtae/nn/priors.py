"""Priors: p(z), the distribution that codes are drawn from."""

from collections.abc import Callable
from math import log, pi

import torch
from torch import Generator, Tensor, nn

from .posteriors import DiagonalNormal


class Prior(nn.Module):
    """A density over codes.

    Parameters
    ----------
    n_components : int
        Number of components of a code.
    """

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.n_components = n_components

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z), shape (...,), for codes of shape (..., n_components)."""
        raise NotImplementedError

    def sample(self, n_samples: int, generator: Generator | None = None) -> Tensor:
        """Return draws of shape (n_samples, n_components)."""
        raise NotImplementedError

    def kl(self, q: DiagonalNormal, z: Tensor) -> Tensor:
        """Return KL(q, p) of each row, estimated at the draws `z`; override it where it is known exactly."""
        return q.log_prob(z) - self.log_prob(z)


class StandardNormal(Prior):
    """p(z) = N(0, I).

    `KL(q, p) = sum(mean^2 + variance - 1 - log(variance)) / 2`
    """

    origin: Tensor

    def __init__(self, n_components: int) -> None:
        super().__init__(n_components)
        # Says where draws are to lie, and in which precision: the prior has no parameter that could.
        self.register_buffer("origin", torch.zeros(n_components), persistent=False)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z), shape (...,)."""
        return -0.5 * (z.square() + log(2 * pi)).sum(-1)

    def sample(self, n_samples: int, generator: Generator | None = None) -> Tensor:
        """Return draws of shape (n_samples, n_components)."""
        return torch.empty_like(self.origin.expand(n_samples, -1)).normal_(generator=generator)

    def kl(self, q: DiagonalNormal, z: Tensor) -> Tensor:
        """Return the exact divergence of each row, shape (n_rows,)."""
        divergence = q.mean.square() + q.log_variance.exp() - q.log_variance
        return 0.5 * divergence.sum(-1) - 0.5 * self.n_components


PRIORS: dict[str, Callable[[int], Prior]] = {"normal": StandardNormal}
