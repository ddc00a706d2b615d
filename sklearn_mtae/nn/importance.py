"""Importance sampling: codes that fit a row, and the weight of each."""

from math import log
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .models import VAE
from .posteriors import DiagonalNormal, Posterior

N_REFINEMENTS = 10
"""How often a row's gaps are filled with what the model makes of them, and the row encoded again."""
WIDTH = 2.0
"""Standard deviations of a proposal for rows with gaps, in those of the posterior that a complete row would have."""


class Draws(NamedTuple):
    """Codes of each row, drawn from a proposal, and how much each counts."""

    z: Tensor
    """Codes, shape (n_draws, n_rows, n_components)."""
    log_weight: Tensor
    """log p(x, z) / proposal(z), shape (n_draws, n_rows)."""

    def log_marginal(self) -> Tensor:
        """Return the log of the mean weight, which estimates log p(x) from below, shape (n_rows,)."""
        return self.log_weight.logsumexp(0) - log(len(self.z))

    def resample(self, n_draws: int) -> Tensor:
        """Return codes drawn by their weights, about draws from p(z given x): shape (n_draws, n_rows, n_components)."""
        chosen = torch.multinomial(self.log_weight.softmax(0).T, n_draws, replacement=True).T
        return self.z.gather(0, chosen.unsqueeze(-1).expand(-1, -1, self.z.shape[-1]))


class Proposal(Protocol):
    """What codes can be drawn from."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of codes."""
        ...


def draw(model: VAE, x: Tensor, noise: Tensor, seed: int) -> Draws:
    """Draw codes of each row.

    A complete row draws from its posterior q(z given x). The encoder may never have seen a row with those cells
    missing that another row lacks: such a row draws from a mixture in equal parts of its posterior, of a wider one at
    the code that the row has once its gaps are filled with what the model expects there, and of the prior. Each weight
    counts the whole mixture (Veach and Guibas 1995), so that one part that fits is enough, and none can do harm beyond
    the draws spent on it.

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
    """
    gaps = x.isnan().any(-1)
    z = noise.new_empty(noise.shape)
    log_weight = noise.new_empty(noise.shape[:2])
    for rows, propose in ((~gaps, _from_posterior), (gaps, _from_mixture)):
        if rows.any():
            z[:, rows], log_proposal = propose(model, x[rows], noise[:, rows], seed)
            prior = model.prior.given(model.infer)
            log_joint = model.log_likelihood(z[:, rows], x[rows]) + prior.log_prob(z[:, rows])
            log_weight[:, rows] = log_joint - log_proposal
    return Draws(z, log_weight)


def _from_posterior(model: VAE, x: Tensor, noise: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return draws from q(z given x) and their log-density."""
    q = model.infer(model.fill(x))
    z = q.rsample(noise)
    return z, q.log_prob(z)


def _from_mixture(model: VAE, x: Tensor, noise: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return draws from the posterior, the refined posterior and the prior in turn, and the mixture's log-density."""
    prior = model.prior.given(model.infer)
    posteriors = [model.infer(model.fill(x)), _widened(_refined(model, x))]
    n_parts = len(posteriors) + 1
    z = torch.empty_like(noise)
    for part, q in enumerate(posteriors):
        z[part::n_parts] = q.rsample(noise[part::n_parts])
    shares = [len(z[part::n_parts]) / len(z) for part in range(n_parts)]
    if shares[-1]:
        generator = torch.Generator(x.device).manual_seed(seed)
        z[n_parts - 1 :: n_parts] = prior.sample(len(z[n_parts - 1 :: n_parts]), generator).unsqueeze(1)
    proposals: list[Proposal] = [*posteriors, prior]
    parts = [p.log_prob(z) + log(share) for p, share in zip(proposals, shares, strict=True) if share]
    return z, torch.stack(parts).logsumexp(0)


def _refined(model: VAE, x: Tensor) -> Posterior:
    """Return the posterior of a row whose gaps are filled with what the model expects there.

    Row and code are turned towards each other, one given the other, which ends where both together are most likely.
    """
    missing, q = x.isnan(), model.infer(model.fill(x))
    for _ in range(N_REFINEMENTS):
        expected = model.likelihood.distribution(model.decode(q.mean)).mean
        q = model.infer(model.fill(torch.where(missing, expected, x)))
    return q


def _widened(q: Posterior) -> Posterior:
    return q._replace(log_variance=q.log_variance + 2 * log(WIDTH)) if isinstance(q, DiagonalNormal) else q
