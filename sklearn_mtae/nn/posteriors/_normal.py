"""The interface of all posteriors, and the normal one."""

from math import log, pi
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import torch
from torch import Generator, Tensor, nn


class Posterior(Protocol):
    """q(z given x): a distribution of codes for each row.

    The interface that objectives, priors and estimators rely on. `n_rows` below is the number of rows it was made from.
    """

    @property
    def mean(self) -> Tensor:
        """Means, shape (n_rows, n_components)."""
        ...

    @property
    def stddev(self) -> Tensor:
        """Standard deviations, shape (n_rows, n_components)."""
        ...

    @property
    def log_variance(self) -> Tensor:
        """Log variances, shape (n_rows, n_components)."""
        ...

    @property
    def fixed(self) -> Self | None:
        """The same distribution with parameters that take no gradient; None where that is impossible."""
        ...

    def rsample(self, noise: Tensor) -> Tensor:
        """Return codes made from standard normal draws, differentiable in the parameters.

        Parameters
        ----------
        noise : Tensor of shape (..., n_rows or 1, n_components)
            Standard normal draws; their leading axes are kept.
        """
        ...

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z given x), shape (..., n_rows), for codes of shape (..., n_rows or 1, n_components)."""
        ...

    def log_prob_components(self, z: Tensor) -> Tensor:
        """Return log q(z_j given x) of each component, shape (..., n_rows, n_components)."""
        ...

    def take(self, index: Tensor) -> Self:
        """Return the posteriors of the rows at `index`, shape (n_taken,), repeats allowed."""
        ...


def normal_log_prob(z: Tensor) -> Tensor:
    """Return the standard normal log-density, summed over the components: shape (...,)."""
    return -0.5 * (z.square() + log(2 * pi)).sum(-1)


class DiagonalNormal(NamedTuple):
    """Normal distributions with a diagonal covariance, one per row.

    A plain pair of tensors: `torch.distributions.Normal` costs more to build than a small network's forward pass.
    """

    mean: Tensor
    """Means, shape (n_rows, n_components)."""
    log_variance: Tensor
    """Logarithms of the variances, shape (n_rows, n_components)."""

    @property
    def stddev(self) -> Tensor:
        """Standard deviations, shape (n_rows, n_components)."""
        return (self.log_variance / 2).exp()

    @property
    def fixed(self) -> "DiagonalNormal":
        """The same distribution with parameters that take no gradient."""
        return DiagonalNormal(self.mean.detach(), self.log_variance.detach())

    def rsample(self, noise: Tensor) -> Tensor:
        """Return `mean + stddev * noise`, differentiable in the parameters; leading axes of `noise` are kept."""
        return torch.addcmul(self.mean, self.stddev, noise)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z given x), summed over the components: shape (..., n_rows)."""
        return self.log_prob_components(z).sum(-1)

    def log_prob_components(self, z: Tensor) -> Tensor:
        """Return log q(z_j given x) of each component, shape (..., n_rows, n_components)."""
        squared = (z - self.mean).square() * (-self.log_variance).exp()
        return -0.5 * (squared + self.log_variance + log(2 * pi))

    def take(self, index: Tensor) -> "DiagonalNormal":
        """Return the distributions of the rows at `index`."""
        return DiagonalNormal(self.mean[index], self.log_variance[index])


class NormalPosterior(nn.Module):
    """q(z given x) = N(mean(x), diag(variance(x))), with mean and log variance as two linear outputs of the encoder.

    Parameters
    ----------
    n_components : int, default=0
        Number of components of a code; not used here.
    """

    n_params: ClassVar[int] = 2
    """Encoder outputs per component."""
    # Declarations: see `nn.traits`.
    stackable: ClassVar[bool] = True
    # A variance of exp(20) is absurd for a standardised row; the bound keeps an outlier from overflowing the loss.
    bound: ClassVar[float] = 20.0

    def __init__(self, n_components: int = 0) -> None:
        super().__init__()
        self.n_components = n_components

    def forward(self, code: Tensor) -> Posterior:
        """Return the posterior for encoder outputs of shape (n_rows, n_params * n_components)."""
        mean, log_variance = code.chunk(2, dim=-1)
        # A clamp whose backward pass takes one operation instead of four.
        return DiagonalNormal(mean, nn.functional.hardtanh(log_variance, -self.bound, self.bound))

    def mean_layer(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the part of an encoder's last layer that makes the means; None if they are not outputs of it.

        Parameters
        ----------
        weight : Tensor of shape (n_params * n_components, n_inputs)
            The layer's weights.
        bias : Tensor of shape (n_params * n_components,)
            Its biases.
        """
        return (weight.chunk(2)[0], bias.chunk(2)[0]) if type(self) is NormalPosterior else None

    def noise(self, q: Any, generator: Generator | None, n_draws: int = 1) -> Tensor:
        """Return the standard normal draws that `rsample` takes.

        Parameters
        ----------
        q : Posterior
            The result of `forward`.
        generator : Generator or None
            Source of the draws; None is torch's own.
        n_draws : int, default=1
            Draws per row.

        Returns
        -------
        Tensor
            Shape (n_rows, n_components) for one draw, else (n_draws, n_rows, n_components).
        """
        like = q.mean if n_draws == 1 else q.mean.expand(n_draws, *q.mean.shape)
        return torch.empty_like(like).normal_(generator=generator)


class PointPosterior(nn.Module):
    """A posterior reduced to its mean, which the encoder gives."""

    class Point(NamedTuple):
        """Posteriors with known means only."""

        mean: Tensor

    def forward(self, code: Tensor) -> Point:
        """Return the posterior for means of any shape."""
        return self.Point(code)


def quasi_normal(x: Tensor, n_draws: int, n_components: int, seed: int) -> Tensor:
    """Return standard normal draws of shape (n_draws, n_rows, n_components), spread more evenly than random ones.

    Scrambled Sobol points (Owen 1998), shifted around the unit cube by each row's own shift (Cranley and Patterson
    1976), through the normal quantile function: each draw is standard normal, and the mean of a smooth function over
    them errs by about 1 / n_draws, where random draws err by 1 / sqrt(n_draws). The shift is a hash of the row's
    values: errors of unlike rows average out, and a row's draws do not depend on the rows beside it.

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
