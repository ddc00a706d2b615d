"""Priors: p(z), the distribution that codes are drawn from."""

from collections.abc import Callable, Sequence
from math import log
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from .posteriors import DiagonalNormal, Posterior, Splines, normal_log_prob

Infer = Callable[[Tensor], Posterior]


class Density:
    """A density over codes."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z), shape (...,), for codes of shape (..., n_components)."""
        raise NotImplementedError

    def sample(self, n_samples: int, generator: Generator | None = None) -> Tensor:
        """Return draws of shape (n_samples, n_components), differentiable where they have a gradient.

        Parameters
        ----------
        n_samples : int
            Number of draws.
        generator : Generator or None, default=None
            Source of the draws; None is torch's own.
        """
        raise NotImplementedError

    def kl(self, q: Posterior, z: Tensor) -> Tensor:
        """Return KL(q, p) of each row, shape (n_rows,); override it where it is known exactly.

        It is estimated by `log q(z given x) - log p(z)`, averaged over the draws.

        Parameters
        ----------
        q : Posterior
            One distribution per row.
        z : Tensor of shape (n_rows, n_components) or (n_draws, n_rows, n_components)
            Draws from them.
        """
        log_ratio = q.log_prob(z) - self.log_prob(z)
        return log_ratio if log_ratio.dim() == 1 else log_ratio.flatten(0, -2).mean(0)

    def kl_components(self, q: Posterior, z: Tensor) -> Tensor:
        """Return parts that add up to `kl(q, z)`, shape (n_rows, n_parts): one per component if p is a product."""
        return self.kl(q, z).unsqueeze(-1)


class Prior(nn.Module, Density):
    """A module that is a density over codes, or becomes one with an encoder.

    Parameters
    ----------
    n_components : int
        Number of components of a code.
    n_features : int, default=0
        Number of columns that the encoder takes.
    """

    n_learned: int = 0
    """Number of rows that `learn` can use."""
    n_codes: int = 0
    """Number of codes that `take_over` can use, once the training is over."""
    n_modes: int = 200
    """Number of normal distributions that `take_over` can use, at most."""
    # Declarations: see `nn.traits`.
    stackable: ClassVar[bool] = True

    def __init__(self, n_components: int, n_features: int = 0) -> None:
        super().__init__()
        self.n_components = n_components

    def given(self, infer: Infer) -> Density:
        """Return p(z) with an encoder, for the batch at hand.

        Parameters
        ----------
        infer : callable
            From encoder inputs of shape (n_rows, n_features) to q(z given x).
        """
        return self

    def learn(self, x: Tensor) -> None:
        """Start from encoder inputs of shape (n_rows, n_features), a sample of the training rows."""

    def take_over(self, mean: Tensor, root: Tensor, weight: Tensor) -> None:
        """Become the mixture of normals that was fitted to the codes, where `n_codes` asks for it.

        Parameters
        ----------
        mean : Tensor of shape (n_modes, n_components)
            Means.
        root : Tensor of shape (n_modes, n_components, n_components)
            Upper triangular roots of the inverse covariances: `(z - mean) @ root` is standard normal.
        weight : Tensor of shape (n_modes,)
            Weights, which add up to 1.
        """


class StandardNormal(Prior):
    """p(z) = N(0, I).

    `KL(q, p) = sum(mean^2 + variance - 1 - log(variance)) / 2` for a normal posterior.
    """

    origin: Tensor

    def __init__(self, n_components: int, n_features: int = 0) -> None:
        super().__init__(n_components, n_features)
        # Holds the device and the precision of the draws, as the prior has no parameters.
        self.register_buffer("origin", torch.zeros(n_components), persistent=False)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z), shape (...,)."""
        return normal_log_prob(z)

    def sample(self, n_samples: int, generator: Generator | None = None) -> Tensor:
        """Return draws of shape (n_samples, n_components)."""
        return torch.empty_like(self.origin.expand(n_samples, -1)).normal_(generator=generator)

    def kl(self, q: Posterior, z: Tensor) -> Tensor:
        """Return the divergence of each row, shape (n_rows,), exact for a normal posterior."""
        if not isinstance(q, DiagonalNormal):
            return super().kl(q, z)
        divergence = q.mean.square() + q.log_variance.exp() - q.log_variance
        return 0.5 * divergence.sum(-1) - 0.5 * self.n_components

    def kl_components(self, q: Posterior, z: Tensor) -> Tensor:
        """Return the divergence of each component of a normal posterior, shape (n_rows, n_components), exact."""
        if not isinstance(q, DiagonalNormal):
            return super().kl_components(q, z)
        return 0.5 * (q.mean.square() + q.log_variance.exp() - q.log_variance - 1)


class Mixture(Density):
    """The mixture of a posterior's rows, p(z) = sum_k weight_k q_k(z).

    Parameters
    ----------
    q : Posterior
        The components of the mixture, one per row.
    log_weight : Tensor of shape (n_rows,)
        Logarithms of their weights, which add up to 1.
    n_components : int
        Number of components of a code.
    """

    def __init__(self, q: Posterior, log_weight: Tensor, n_components: int) -> None:
        self.q = q
        self.log_weight = log_weight
        self.n_components = n_components

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z), shape (...,)."""
        return (self.q.log_prob(z.unsqueeze(-2)) + self.log_weight).logsumexp(-1)

    def sample(self, n_samples: int, generator: Generator | None = None) -> Tensor:
        """Return draws of shape (n_samples, n_components), differentiable in all but the weights."""
        weight = self.log_weight.detach().exp()
        chosen = torch.multinomial(weight, n_samples, replacement=True, generator=generator)
        noise = torch.empty_like(weight[:1].expand(n_samples, self.n_components)).normal_(generator=generator)
        return self.q.take(chosen).rsample(noise)


class MixtureOfNormals(Prior):
    """p(z) = sum_k weight_k N(mean_k, diag(variance_k)), with all parameters learned.

    The means start as standard normal draws, the weights equal, and the variances at 1; the variances stay above 1e-4.

    Parameters
    ----------
    n_components : int
        Number of components of a code.
    n_features : int, default=0
        Not used here.
    n_modes : int, default=10
        Number of normal distributions.
    """

    variance_floor: ClassVar[float] = 1e-4
    # Adam moves every parameter by about the learning rate a step; the gain lets the modes follow the codes.
    gain: ClassVar[float] = 10.0

    def __init__(self, n_components: int, n_features: int = 0, n_modes: int = 10) -> None:
        super().__init__(n_components, n_features)
        check_count("n_modes", n_modes)
        self.raw_logit = nn.Parameter(torch.zeros(n_modes))
        self.raw_mean = nn.Parameter(torch.randn(n_modes, n_components) / self.gain)
        self.raw_log_variance = nn.Parameter(torch.zeros(n_modes, n_components))

    def mixture(self) -> Mixture:
        """Return the mixture with its current parameters."""
        # The variance is the floor plus a learned part: clipping at the floor would leave no gradient below it.
        floor = log(self.variance_floor)
        log_variance = floor + F.softplus(self.gain * self.raw_log_variance - floor)
        q = DiagonalNormal(self.gain * self.raw_mean, log_variance)
        return Mixture(q, (self.gain * self.raw_logit).log_softmax(-1), self.n_components)

    def given(self, infer: Infer) -> Density:
        """Return the mixture with its current parameters."""
        return self.mixture()

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z), shape (...,)."""
        return self.mixture().log_prob(z)

    def sample(self, n_samples: int, generator: Generator | None = None) -> Tensor:
        """Return draws of shape (n_samples, n_components)."""
        return self.mixture().sample(n_samples, generator)


class VampPrior(Prior):
    """p(z) = mean_k q(z given u_k): a mixture of the posteriors of learned inputs (VampPrior, arXiv 1705.07120).

    The pseudo-inputs u_k (Tomczak and Welling 2018) lie in the space of the encoder's inputs and start as rows of the
    training data.

    Parameters
    ----------
    n_components : int
        Number of components of a code.
    n_features : int
        Number of columns that the encoder takes.
    n_inputs : int, default=50
        Number of pseudo-inputs.
    """

    def __init__(self, n_components: int, n_features: int, n_inputs: int = 50) -> None:
        super().__init__(n_components, n_features)
        check_count("n_inputs", n_inputs)
        self.n_learned = n_inputs
        self.inputs = nn.Parameter(0.1 * torch.randn(n_inputs, n_features))

    def given(self, infer: Infer) -> Mixture:
        """Return the mixture of the pseudo-inputs' posteriors."""
        n_inputs = len(self.inputs)
        return Mixture(infer(self.inputs), self.inputs.new_full((n_inputs,), -log(n_inputs)), self.n_components)

    @torch.no_grad()
    def learn(self, x: Tensor) -> None:
        """Start from encoder inputs of shape (n_rows, n_features), repeated if there are too few rows."""
        self.inputs.copy_(x[torch.arange(len(self.inputs), device=x.device) % len(x)])

    def log_prob(self, z: Tensor) -> Tensor:
        """Raise a TypeError: without an encoder there is no density."""
        raise TypeError(self._needs_encoder)

    def sample(self, n_samples: int, generator: Generator | None = None) -> Tensor:
        """Raise a TypeError: without an encoder there is no density."""
        raise TypeError(self._needs_encoder)

    _needs_encoder: ClassVar[str] = "VampPrior must be given an encoder to be a density: use `prior.given(infer)`."


class FlowPrior(Prior):
    """`p(z) = N(f(z); 0, I) |det df/dz|`: a normalising flow, f coupled splines (Durkan et al. 2019, arXiv 1906.04032).

    Initially f is the identity and p(z) is standard normal, as it always is beyond 5 from the origin.

    Parameters
    ----------
    n_components : int
        Number of components of a code.
    n_features : int, default=0
        Not used here.
    n_transforms : int, default=3
        Number of transforms.
    hidden : sequence of int, default=(64, 64)
        Widths of the hidden layers of each transform's network.

    Raises
    ------
    ImportError
        If zuko is not installed.
    """

    def __init__(
        self, n_components: int, n_features: int = 0, n_transforms: int = 3, hidden: Sequence[int] = (64, 64)
    ) -> None:
        super().__init__(n_components, n_features)
        self.flow = Splines(n_components, 0, n_transforms, hidden, n_splits=None)
        self.base = StandardNormal(n_components)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z), shape (...,)."""
        noise, log_slope = self.flow(z)
        return self.base.log_prob(noise) + log_slope

    def sample(self, n_samples: int, generator: Generator | None = None) -> Tensor:
        """Return draws of shape (n_samples, n_components), differentiable."""
        return self.flow.inverse(self.base.sample(n_samples, generator))


class ExPost(Prior):
    """Standard normal while training, then a mixture of normals that was fitted to the codes of the training rows.

    The rate holds codes together, not in the shape of the prior: draws from the prior may decode to rows that the data
    do not have. A density of the codes, fitted after the training, takes the place of the prior in all that is asked of
    the model (Ghosh et al. 2020, arXiv 1903.12436; Dai and Wipf 2019, arXiv 1903.05789). Until then it is the prior.

    Parameters
    ----------
    n_components : int
        Number of components of a code.
    n_features : int, default=0
        Not used here.
    n_modes : int, default=200
        Maximum number of normal distributions. Held-out codes choose.
    """

    n_codes: int = 20_000
    mean: Tensor
    root: Tensor
    log_weight: Tensor

    def __init__(self, n_components: int, n_features: int = 0, n_modes: int = 200) -> None:
        super().__init__(n_components, n_features)
        check_count("n_modes", n_modes)
        self.base = StandardNormal(n_components)
        self.n_modes = n_modes
        self.register_buffer("mean", torch.zeros(n_modes, n_components))
        self.register_buffer("root", torch.eye(n_components).repeat(n_modes, 1, 1))
        # All others weigh nothing: the mixture is the standard normal distribution.
        self.register_buffer("log_weight", torch.full((n_modes,), -float("inf")).index_fill(0, torch.tensor([0]), 0.0))

    def take_over(self, mean: Tensor, root: Tensor, weight: Tensor) -> None:
        """Become the mixture."""
        n_left = self.n_modes - len(weight)
        self.mean = F.pad(mean, (0, 0, 0, n_left)).to(self.mean)
        self.root = torch.cat([root, torch.eye(self.n_components).repeat(n_left, 1, 1).to(root)]).to(self.root)
        self.log_weight = F.pad(weight.log(), (0, n_left), value=-float("inf")).to(self.log_weight)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z), shape (...,)."""
        if self.training:
            return self.base.log_prob(z)
        counted = self.log_weight > -float("inf")
        mean, root = self.mean[counted], self.root[counted]
        noise = torch.einsum("...kd,kde->...ke", z.unsqueeze(-2) - mean, root)
        log_density = normal_log_prob(noise) + root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return (log_density + self.log_weight[counted]).logsumexp(-1)

    def sample(self, n_samples: int, generator: Generator | None = None) -> Tensor:
        """Return draws of shape (n_samples, n_components)."""
        noise = self.base.sample(n_samples, generator)
        if self.training:
            return noise
        chosen = torch.multinomial(self.log_weight.exp(), n_samples, replacement=True, generator=generator)
        noise = torch.linalg.solve_triangular(self.root[chosen], noise.unsqueeze(-2), upper=True, left=False)
        return self.mean[chosen] + noise.squeeze(-2)

    def kl(self, q: Posterior, z: Tensor) -> Tensor:
        """Return the divergence of each row from the standard normal distribution, shape (n_rows,)."""
        return self.base.kl(q, z)

    def kl_components(self, q: Posterior, z: Tensor) -> Tensor:
        """Return the divergence of each component from it, shape (n_rows, n_components)."""
        return self.base.kl_components(q, z)


def check_count(name: str, value: int) -> None:
    """Check that a number of items is at least 1.

    Raises
    ------
    ValueError
        If it is not.
    """
    if value < 1:
        raise ValueError(f"{name} must be at least 1. Got {value!r} instead.")


PRIORS: dict[str, Callable[[int, int], Prior]] = {
    "normal": StandardNormal,
    "mixture": MixtureOfNormals,
    "vamp": VampPrior,
    "flow": FlowPrior,
    "ex_post": ExPost,
}
