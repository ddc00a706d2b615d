"""Importance sampling: codes that fit a row, and the weight of each."""

from collections.abc import Callable
from itertools import pairwise
from math import log
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .decisions import may_hold
from .models import VAE
from .posteriors import normal_log_prob

N_REFINEMENTS = 10
"""How often the gaps of a row are filled with the model's expectation and the row is encoded again."""
N_STEPS, N_HALVINGS = 4, 5
"""Newton steps from there to the most likely code, and how often a downhill step is halved."""
MAX_CELLS, CACHED_CELLS = 2**25, 2**19
"""Cells of the widest layer that are decoded at once: 256 MiB in float64, and on a CPU 4 MiB, which is about a core's
cache. More takes two to three times as long there."""
LEAST_CURVATURE = 0.25
"""Minimum curvature of a proposal's log-density in any direction: the proposal is no wider than two units."""


class Draws(NamedTuple):
    """Codes of each row, drawn from a proposal, and their weights."""

    z: Tensor
    """Codes, shape (n_draws, n_rows, n_components)."""
    log_weight: Tensor
    """log p(x, z) / proposal(z), shape (n_draws, n_rows)."""
    params: Tensor | None = None
    """Parameters of the columns at each code, shape (n_draws, n_rows, n_outputs), where they are kept."""

    @property
    def usable(self) -> Tensor:
        """Whether any draw of a row has a weight, shape (n_rows,): none has one if all of them overflow."""
        return (self.log_weight > -float("inf")).any(0)

    def log_marginal(self) -> Tensor:
        """Return the log of the mean weight, which estimates log p(x) from below, shape (n_rows,)."""
        return self.log_weight.logsumexp(0) - log(len(self.z))

    def resample(self, n_draws: int) -> Tensor:
        """Return codes drawn by their weights, roughly from p(z given x), of shape (n_draws, n_rows, n_components).

        For a row that is not `usable`, all codes are equally likely.
        """
        weight = torch.where(self.usable, self.log_weight, 0.0).softmax(0)
        chosen = torch.multinomial(weight.T, n_draws, replacement=True).T
        return self.z.gather(0, chosen.unsqueeze(-1).expand(-1, -1, self.z.shape[-1]))


class Proposal(Protocol):
    """A distribution that codes can be drawn from."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of codes."""
        ...


class Normal(NamedTuple):
    """Normal distributions of codes, one per row."""

    mean: Tensor
    """Means, shape (n_rows, n_components)."""
    root: Tensor
    """Cholesky factors of the inverse covariances, shape (n_rows, n_components, n_components)."""

    def rsample(self, noise: Tensor) -> Tensor:
        """Return codes made from standard normal draws of shape (n_draws, n_rows, n_components)."""
        deviation = torch.linalg.solve_triangular(self.root.mT, noise.unsqueeze(-1), upper=True)
        return self.mean + deviation.squeeze(-1)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of codes, shape (n_draws, n_rows)."""
        noise = (self.root.mT @ (z - self.mean).unsqueeze(-1)).squeeze(-1)
        return normal_log_prob(noise) + self.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def draw(model: VAE, x: Tensor, noise: Tensor, seed: int, keep_params: bool = False) -> Draws:
    """Draw codes for each row.

    The codes of a complete row come from its posterior q(z given x). The encoder may never have seen a row with the
    same cells missing, so those of a row with gaps come from a mixture, in equal parts, of its posterior, of the normal
    distribution with the mode and the curvature of p(z, observed cells) (Laplace's approximation, exact for a linear
    model), and of the prior. Each weight accounts for the whole mixture (Veach and Guibas 1995), so that one part that
    fits is enough, and a part that does not fit costs only the draws spent on it. A draw that is not finite has no
    weight, and neither has a part of the mixture where its density is not finite: a row far from all others keeps the
    draws that succeed, and does not affect any other row.

    Parameters
    ----------
    model : VAE
        The model, in evaluation mode.
    x : Tensor of shape (n_rows, n_features)
        Standardised values, NaN where missing.
    noise : Tensor of shape (n_draws, n_rows, n_components)
        Standard normal draws.
    seed : int
        Seed of the draws from the prior, the same for all rows.
    keep_params : bool, default=False
        Whether what is decoded for the weights is kept.
    """
    gaps = x.isnan().any(-1)
    z = noise.new_empty(noise.shape)
    log_weight = noise.new_empty(noise.shape[:2])
    params: Tensor | None = None
    for rows, propose in ((~gaps, from_posterior), (gaps, from_mixture)):
        if rows.any():
            z[:, rows], log_proposal = propose(model, x[rows], noise[:, rows], seed)
            decode = decoded_joint(model, x[rows])
            parts = [decode(part, keep_params) for part in z[:, rows].split(draws_at_once(model, x[rows]))]
            log_weight[:, rows] = torch.cat([log_joint for _, log_joint in parts]) - log_proposal
            if keep_params:
                decoded = torch.cat([decoded for decoded, _ in parts])
                if params is None:
                    params = noise.new_empty(*noise.shape[:2], decoded.shape[-1])
                params[:, rows] = decoded
    return without_failed(z, log_weight, params)


def draws_at_once(model: VAE, x: Tensor) -> int:
    """Return how many codes of each row are decoded at once."""
    most = CACHED_CELLS if x.device.type == "cpu" else MAX_CELLS
    return max(1, most // max(1, len(x) * max(x.shape[1], model.width)))


def without_failed(z: Tensor, log_weight: Tensor, params: Tensor | None) -> Draws:
    """Return draws of which those that are not finite have no weight."""
    failed = ~log_weight.isfinite()
    if params is not None:
        params = params.masked_fill(failed.unsqueeze(-1), 0.0)
    return Draws(z.masked_fill(failed.unsqueeze(-1), 0.0), log_weight.masked_fill(failed, -float("inf")), params)


def decoded_joint(model: VAE, x: Tensor) -> Callable[[Tensor, bool], tuple[Tensor, Tensor]]:
    """Return the function from codes to what they are decoded to, nothing where that is not kept, and log p(x, z)."""
    prior = model.prior.given(model.infer)

    def function(z: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
        params = model.decode(z)
        log_joint = model.likelihood.log_prob(params, x).sum(-1) + prior.log_prob(z)
        return params if keep else params.new_empty(0), log_joint

    return function


def _log_joint(model: VAE, x: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the function log p(x, z) of codes of shape (..., n_rows, n_components)."""
    decode = decoded_joint(model, x)
    return lambda z: decode(z, False)[1]


def from_posterior(model: VAE, x: Tensor, noise: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return draws from q(z given x) and their log-density."""
    q = model.infer(model.fill(x))
    z = q.rsample(noise)
    return z, q.log_prob(z)


def from_mixture(
    model: VAE, x: Tensor, noise: Tensor, seed: int, expand: "Expand | None" = None
) -> tuple[Tensor, Tensor]:
    """Return draws from Laplace's approximation, the posterior and the prior, and the mixture's log-density.

    `expand` takes the place of `expand_by_component`.
    """
    prior = model.prior.given(model.infer)
    laplace = _laplace(model, x, expand or expand_by_component)
    proposals: list[Proposal] = [laplace, model.infer(model.fill(x)), prior]
    n_draws = len(noise)
    # In blocks: every n-th quasi-random point alone would not be spread evenly.
    ends = [-(-n_draws * part // len(proposals)) for part in range(len(proposals) + 1)]
    blocks = [slice(start, stop) for start, stop in pairwise(ends)]
    sizes = [block.stop - block.start for block in blocks]
    drawn = [
        q.rsample(noise[block])  # type: ignore[attr-defined]
        for q, block, size in zip(proposals[:-1], blocks, sizes, strict=False)
        if size  # a flow cannot map an empty batch
    ]
    if sizes[-1]:
        generator = torch.Generator(model.units.location.device).manual_seed(seed)
        drawn.append(prior.sample(sizes[-1], generator).unsqueeze(1).expand(-1, len(x), -1))
    z = torch.cat(drawn)
    shares = [size / n_draws for size in sizes]
    parts = [p.log_prob(z) + log(share) for p, share in zip(proposals, shares, strict=True) if share]
    return z, torch.stack(parts).nan_to_num(-float("inf"), None, -float("inf")).logsumexp(0)


def _laplace(model: VAE, x: Tensor, expand: "Expand") -> Normal:
    """Return the normal distributions with the mode of p(z, observed cells) and its curvature there, one per row."""
    with torch.inference_mode(False), torch.no_grad():
        x = x.clone()  # no gradient passes through a tensor made in inference mode
        z, log_joint = _refined(model, x), _log_joint(model, x)
        value, gradient, curvature = expand(log_joint, z)
        for _ in range(N_STEPS):
            z = _climb(log_joint, z, value, curvature.solve(gradient))
            value, gradient, curvature = expand(log_joint, z)
        return Normal(z, curvature.root())


def _refined(model: VAE, x: Tensor) -> Tensor:
    """Return the posterior mean of rows whose gaps are filled with the model's expectation."""
    missing, z = x.isnan(), model.infer(model.fill(x)).mean
    for _ in range(N_REFINEMENTS):
        expected = model.expect(z, x)
        z = model.infer(model.fill(torch.where(missing, expected, x))).mean
    return z.nan_to_num(0.0, 0.0, 0.0)


def _climb(log_joint: Callable[[Tensor], Tensor], z: Tensor, value: Tensor, step: Tensor) -> Tensor:
    """Return codes after a step, or after as large a part of it as leads uphill."""
    length = torch.ones_like(value)
    for _ in range(N_HALVINGS):
        further = z + length.unsqueeze(-1) * step
        up = log_joint(further) >= value
        if not may_hold(~up):
            break
        length = torch.where(up, length, length / 2)
    return torch.where(up.unsqueeze(-1), further, z)


class Curvature(NamedTuple):
    """Symmetric matrices, one per row, with eigenvalues above 0.

    They are stored as eigenvalues, so that no inverse or root can fail, however ill-conditioned a matrix is: otherwise
    a single matrix on which a library routine fails would fail all rows.
    """

    eigenvalues: Tensor
    """Shape (n_rows, n_components)."""
    vectors: Tensor
    """Eigenvectors in columns, shape (n_rows, n_components, n_components)."""

    def solve(self, gradient: Tensor) -> Tensor:
        """Return the inverses times vectors of shape (n_rows, n_components)."""
        part = (self.vectors.mT @ gradient.unsqueeze(-1)) / self.eigenvalues.unsqueeze(-1)
        return (self.vectors @ part).squeeze(-1)

    def root(self) -> Tensor:
        """Return the Cholesky factors, from the QR decomposition of a square root."""
        triangle = torch.linalg.qr(self.eigenvalues.sqrt().unsqueeze(-1) * self.vectors.mT).R
        diagonal = triangle.diagonal(dim1=-2, dim2=-1)
        triangle = torch.where(diagonal < 0, -1.0, 1.0).unsqueeze(-1) * triangle
        # Rounding must not take its square below the smallest eigenvalue.
        least = diagonal.abs().clamp(min=LEAST_CURVATURE**0.5)
        return torch.diagonal_scatter(triangle, least, dim1=-2, dim2=-1).mT


Expand = Callable[[Callable[[Tensor], Tensor], Tensor], tuple[Tensor, Tensor, Curvature]]
"""From a function of codes, and codes, to its value, gradient and curvature at each code."""


def expand_by_component(log_joint: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor, Curvature]:
    """Return value, gradient and negated second derivatives at each code, the last with eigenvalues above a floor."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = log_joint(z)
        (gradient,) = torch.autograd.grad(value.sum(), z, create_graph=True)
        columns = [gradient[:, j].sum() for j in range(z.shape[1])]
        second = [
            torch.autograd.grad(column, z, retain_graph=True)[0] if column.requires_grad else torch.zeros_like(z)
            for column in columns
        ]
    return value.detach(), gradient.detach().nan_to_num(0.0, 0.0, 0.0), curvature_of(torch.stack(second, dim=-1))


def curvature_of(second: Tensor) -> Curvature:
    """Return the negated second derivatives of each row, with eigenvalues above a floor."""
    curvature = -second.nan_to_num(0.0, 0.0, 0.0)
    # Scaled to the order of 1, so that nothing overflows within the routine.
    size = curvature.abs().amax((-2, -1), keepdim=True).clamp(min=1.0)
    eigenvalues, vectors = torch.linalg.eigh((curvature / size + (curvature / size).mT) / 2)
    return Curvature((eigenvalues * size.squeeze(-1)).clamp(min=LEAST_CURVATURE), vectors)
