"""A posterior transformed by a normalising flow, and the flow."""

import importlib
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from ._normal import DiagonalNormal, NormalPosterior, Posterior, normal_log_prob


class Splines(nn.Module):
    """An invertible map of codes: coupled rational-quadratic splines (Durkan et al. 2019, arXiv 1906.04032).

    Each transform bends one half of the components with monotone splines that a network derives from the other half,
    and the other half with splines that depend only on the context. Splines act between -5 and 5 and are the identity
    elsewhere; initially they are the identity everywhere. Both directions cost about the same, and the log-determinant
    of the Jacobian comes with the map itself.

    Parameters
    ----------
    n_components : int
        Number of components of a code.
    n_context : int, default=0
        Number of columns of the context.
    n_transforms : int, default=2
        Number of transforms; every second one swaps the roles of the halves.
    hidden : sequence of int, default=(64,)
        Widths of the hidden layers of each transform's network.
    n_splits : int or None, default=1
        Number of ways to halve the components, which the transforms use in turn; None uses enough of them to separate
        any two components at least once.

    Raises
    ------
    ImportError
        If zuko is not installed.
    """

    n_bins: ClassVar[int] = 8
    # Smallest slope of a spline, and the reciprocal of the largest: beyond it, float32 rounding spoils the inverse.
    slope: ClassVar[float] = 0.05

    def __init__(
        self,
        n_components: int,
        n_context: int = 0,
        n_transforms: int = 2,
        hidden: Sequence[int] = (64,),
        n_splits: int | None = 1,
    ) -> None:
        super().__init__()
        make = partial(
            zuko("flows").MaskedAutoregressiveTransform,
            n_components,
            n_context,
            passes=2,
            univariate=partial(zuko("transforms").MonotonicRQSTransform, slope=self.slope),
            shapes=((self.n_bins,), (self.n_bins,), (self.n_bins - 1,)),
            hidden_features=tuple(hidden),
        )
        n_digits = max(1, (n_components - 1).bit_length())
        cycle = n_digits if n_splits is None else min(n_splits, n_digits)
        digits = [n_digits - 1 - i % cycle for i in range(n_transforms)]
        transforms = [make(order=halves(n_components, digit, i % 2 == 1)) for i, digit in enumerate(digits)]
        self.transforms = nn.ModuleList(map(start_at_identity, transforms))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the images, shape (..., n_components), and the log-determinants of the Jacobian, shape (...,)."""
        log_slope = x.new_zeros(())
        for transform in self.transforms:
            x, own = transform(context).call_and_ladj(x)
            log_slope = log_slope + own
        return x, log_slope

    def inverse(self, y: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the points whose images are `y`, shape (..., n_components)."""
        for transform in reversed(self.transforms):
            y = transform(context).inv(y)
        return y


def zuko(part: str) -> Any:
    """Return a module of zuko, such as "flows".

    Raises
    ------
    ImportError
        If zuko is not installed.
    """
    try:
        return importlib.import_module(f"zuko.{part}")
    except ImportError as error:
        raise ImportError(
            "prior='flow' and posterior='flow' need zuko, which is not installed.  "
            "Install it with: pip install 'sklearn-mtae[flow]'"
        ) from error


def halves(n_components: int, digit: int, turned: bool) -> Tensor:
    """Return ranks of the components, shape (n_components,), that halve them by a binary digit of their index.

    Any two components differ in some digit, so that the digits together separate them all.
    """
    group = (torch.arange(n_components) >> digit) & 1
    return (1 - group if turned else group).argsort(stable=True).argsort()


def start_at_identity(transform: nn.Module) -> nn.Module:
    """Set the parameters of a transform so that every spline is the identity, and return it."""
    last: Any = transform.hyper[-1] if hasattr(transform, "hyper") else transform.phi  # type: ignore[index]
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return transform


class FlowNormal:
    """Normal distributions transformed by a flow, one per row.

    `z = mean + stddev * flow(noise, context)`, where the encoder gives mean, standard deviation and context.

    The moments have no closed form. They are computed on demand over a fixed set of quasi-random noise: exact while the
    flow is the identity, and otherwise off by a few hundredths of a standard deviation. The density of the last draws
    costs nothing; that of other codes takes the inverse of the flow.

    Parameters
    ----------
    base : DiagonalNormal
        Mean and variance before the flow.
    context : Tensor of shape (n_rows, n_context)
        Input that the flow depends on.
    flow : Splines
        The flow.
    points : Tensor of shape (n_points, n_components)
        Noise that the moments are taken over.
    """

    block_cells: ClassVar[int] = 2**20
    """Number of values that go through the flow at once for the moments."""

    def __init__(self, base: DiagonalNormal, context: Tensor, flow: Splines, points: Tensor) -> None:
        self.base = base
        self.context = context
        self.flow = flow
        self.points = points
        self._drawn: tuple[Tensor, Tensor] | None = None

    @property
    def mean(self) -> Tensor:
        """Means, shape (n_rows, n_components)."""
        return self.base.rsample(self._moments[1])

    @property
    def stddev(self) -> Tensor:
        """Standard deviations, shape (n_rows, n_components)."""
        return self.base.stddev * self._moments[0].sqrt()

    @property
    def log_variance(self) -> Tensor:
        """Log variances, shape (n_rows, n_components)."""
        return self.base.log_variance + self._moments[0].log()

    @property
    def fixed(self) -> None:
        """None: the flow's own parameters cannot be left out of the gradient."""
        return

    def rsample(self, noise: Tensor) -> Tensor:
        """Return codes made from standard normal draws, differentiable; leading axes of `noise` are kept."""
        bent, log_slope = self.flow(noise, self.context)
        z = self.base.rsample(bent)
        # The forward map gives the density of a draw; the inverse costs more.
        self._drawn = z, self._log_density(noise, log_slope)
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z given x), shape (..., n_rows)."""
        if self._drawn is not None and z is self._drawn[0]:
            return self._drawn[1]
        bent = (z - self.base.mean) * (-self.base.log_variance / 2).exp()
        noise = self.flow.inverse(bent, self.context)
        return self._log_density(noise, self.flow(noise, self.context)[1])

    def log_prob_components(self, z: Tensor) -> Tensor:
        """Raise a TypeError: a flow couples the components, and none has a density of its own."""
        raise TypeError(
            "The components must be independent given x, as those of posterior='normal' are, for each of them to have "
            "a density of its own. Got a posterior whose components a flow couples instead."
        )

    def take(self, index: Tensor) -> "FlowNormal":
        """Return the distributions of the rows at `index`."""
        return FlowNormal(self.base.take(index), self.context[index], self.flow, self.points)

    def _log_density(self, noise: Tensor, log_slope: Tensor) -> Tensor:
        """Return the log-density of the code that the noise becomes."""
        return normal_log_prob(noise) - log_slope - self.base.log_variance.sum(-1) / 2

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Variance and mean of the flow's images, each of shape (n_rows, n_components)."""
        blocks = self.points.unsqueeze(1).split(max(1, self.block_cells // max(1, self.base.mean.numel())))
        images = torch.cat([self.flow(block, self.context)[0] for block in blocks])
        return torch.var_mean(images, dim=0, correction=0)


class FlowPosterior(NormalPosterior):
    """q(z given x): a normal distribution bent by a normalising flow (Rezende and Mohamed 2015, arXiv 1505.05770).

    The encoder gives the mean and the log variance of a normal distribution, and a context for coupled
    rational-quadratic splines (arXiv 1906.04032). The splines bend the draws before these are scaled and shifted:
    components may depend on each other given x, and be skewed or have several modes. Initially it equals
    `NormalPosterior`. A KL divergence to any prior is estimated at the draws.

    Parameters
    ----------
    n_components : int
        Number of components of a code.
    n_transforms : int, default=2
        Number of transforms.
    hidden : sequence of int, default=(64,)
        Widths of the hidden layers of each transform's network.

    Raises
    ------
    ImportError
        If zuko is not installed.
    """

    n_params: ClassVar[int] = 3
    points: Tensor

    def __init__(self, n_components: int, n_transforms: int = 2, hidden: Sequence[int] = (64,)) -> None:
        super().__init__(n_components)
        self.flow = Splines(n_components, n_components, n_transforms, hidden)
        self.register_buffer("points", standard_points(64, n_components), persistent=False)

    def forward(self, code: Tensor) -> Posterior:
        """Return the posterior for encoder outputs of shape (n_rows, 3 * n_components)."""
        base: Any = super().forward(code[..., : 2 * self.n_components])
        return FlowNormal(base, code[..., 2 * self.n_components :], self.flow, self.points)

    def noise(self, q: Any, generator: Generator | None, n_draws: int = 1) -> Tensor:
        """Return the standard normal draws that `rsample` takes."""
        return super().noise(q.base, generator, n_draws)


def standard_points(n_points: int, n_components: int) -> Tensor:
    """Return evenly spread normal points, shape (n_points, n_components), n_points even: the same at every call.

    Scrambled Sobol points through the normal quantile function and their mirror images, scaled to a variance of 1.
    """
    engine = torch.quasirandom.SobolEngine(n_components, scramble=True, seed=0)
    half = torch.special.ndtri(engine.draw(n_points // 2, dtype=torch.float64).clamp(1e-6, 1 - 1e-6))
    points = torch.cat([half, -half])
    return (points / points.square().mean(0).sqrt()).to(torch.get_default_dtype())
