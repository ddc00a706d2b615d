"""Posteriors: q(z given x), built from what the encoder puts out."""

from collections.abc import Callable
from math import log, pi
from typing import ClassVar, NamedTuple

import torch
from torch import Generator, Tensor, nn


class DiagonalNormal(NamedTuple):
    """Normal distributions with a diagonal covariance, one per row.

    A plain pair of tensors: `torch.distributions.Normal` costs more to build than a small network's forward pass.
    """

    mean: Tensor
    log_variance: Tensor

    @property
    def stddev(self) -> Tensor:
        """Standard deviations, shape (n_rows, n_components)."""
        return (self.log_variance / 2).exp()

    def rsample(self, noise: Tensor) -> Tensor:
        """Return `mean + stddev * noise`, differentiable in the parameters; leading axes of `noise` are kept."""
        return torch.addcmul(self.mean, self.stddev, noise)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z given x), summed over the components: shape (..., n_rows)."""
        squared = (z - self.mean).square() * (-self.log_variance).exp()
        return -0.5 * (squared + self.log_variance + log(2 * pi)).sum(-1)


class NormalPosterior(nn.Module):
    """q(z given x) = N(mean(x), diag(variance(x))), mean and log variance two linear outputs of the encoder."""

    n_params: ClassVar[int] = 2
    """Encoder outputs per component."""
    # exp(20) is already absurd for a standardised row; the bound keeps an outlier from overflowing the loss.
    bound: ClassVar[float] = 20.0

    def forward(self, code: Tensor) -> DiagonalNormal:
        """Return the posterior for encoder outputs of shape (n_rows, 2 * n_components)."""
        mean, log_variance = code.chunk(2, dim=-1)
        return DiagonalNormal(mean, log_variance.clamp(-self.bound, self.bound))

    def noise(self, q: DiagonalNormal, generator: Generator | None) -> Tensor:
        """Return the standard normal draws that `rsample` takes, one per row."""
        return torch.empty_like(q.mean).normal_(generator=generator)


def quasi_normal(x: Tensor, n_draws: int, n_components: int, seed: int) -> Tensor:
    """Return standard normal draws of shape (n_draws, n_rows, n_components), spread more evenly than random ones.

    Scrambled Sobol points (Owen 1998), turned around the unit cube by each row's own shift (Cranley and Patterson
    1976), through the normal quantile function: each draw is standard normal, and their mean of a smooth function errs
    by about 1 / n_draws where that of random draws errs by 1 / sqrt(n_draws). The shift is a hash of the row's values:
    errors of unlike rows average out, and a row's draws do not depend on the rows beside it.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_features)
        Rows without missing cells.
    n_draws, n_components : int
        Draws per row and components of each.
    seed : int
        Seed of the points and of the hash.
    """
    exact = torch.float64
    points = torch.quasirandom.SobolEngine(n_components, scramble=True, seed=seed).draw(n_draws, dtype=exact)
    directions = torch.randn(x.shape[1], n_components, generator=torch.Generator().manual_seed(seed), dtype=exact)
    shift = 1e3 * (x.to(exact) @ directions.to(x.device))
    uniform = (points.to(x.device)[:, None] + shift).remainder(1.0)
    tiny = torch.finfo(torch.float32).eps
    return torch.special.ndtri(uniform.clamp(tiny, 1 - tiny)).to(x.dtype)


POSTERIORS: dict[str, Callable[[], NormalPosterior]] = {"normal": NormalPosterior}
