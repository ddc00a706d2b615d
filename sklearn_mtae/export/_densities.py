"""Densities of rows, and missing cells given the others, as functions of torch."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_mtae._fitting.build import column_likelihood
from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae._tables.levels import Levels
from sklearn_mtae._tables.limits import ROUNDING, Limits
from sklearn_mtae._verbs.imputation import log_conditional, log_marginal, weighted_mean
from sklearn_mtae._verbs.strangeness import N_DRAWS
from sklearn_mtae.nn.importance import Draws
from sklearn_mtae.nn.models import VAE
from sklearn_mtae.nn.posteriors import quasi_normal

from ._fits import Fit
from ._importance import weighted_codes
from ._methods import Asked


def weighed(fit: Fit, function: Callable[[Any, Tensor, Draws], Tensor], x: Tensor, n_draws: int) -> Tensor:
    """Return a function of a model in float64, of standardised rows, and of the weighted codes the estimator draws."""
    model, seed = fit.model(), fit.fitted.seed
    rows = model.units(fit.expanded(x), torch.float64)
    noise = quasi_normal(model.fill(rows), n_draws, model.prior.n_components, seed)
    return function(model, rows, weighted_codes(model, rows, noise, seed))


def limits_of(fitted: Fitted) -> Limits:
    """Return the limits of a model's columns."""
    return Limits.of(column_likelihood(fitted.recipe), fitted.recipe.columns.indicators)


def densities(fit: Fit) -> dict[str, Asked]:
    """Return what any autoencoder can be asked in float64: log-densities of rows, missing cells given the others."""

    def conditional(x: Tensor) -> tuple[Tensor, ...]:
        return (_in_support(fit, x, fit.run(log_conditional, x)),)

    if not isinstance(fit.model(), VAE):
        return {"score_samples": Asked(conditional, ("log_density",))}

    def marginal(x: Tensor) -> tuple[Tensor, ...]:
        return (_in_support(fit, x, weighed(fit, log_marginal, x, N_DRAWS)),)

    asked = partial(Asked, marginal, ("log_density",), n_copies=N_DRAWS)
    return {"score_samples": asked(), "score_samples_complete": asked(complete=True), "impute": imputation([fit])}


def imputation(fits: Sequence[Fit], n_draws: int = N_DRAWS, hidden: Sequence[int] = ()) -> Asked:
    """Return the computation, in float64, of missing cells given the others, but for columns that are hidden."""

    def impute(x: Tensor) -> tuple[Tensor, ...]:
        if hidden:
            is_hidden = torch.zeros(x.shape[1], dtype=torch.bool).index_fill(0, torch.tensor(hidden), True)
            x = torch.where(is_hidden, float("nan"), x)
        first, *others = [weighed(fit, weighted_mean, x, n_draws) for fit in fits]
        return (fits[0].narrowed(sum(others, first) / len(fits) if others else first),)

    return Asked(impute, ("impute",), n_copies=n_draws)


def _in_support(fit: Fit, x: Tensor, density: Tensor) -> Tensor:
    """Return log-densities with the shares of levels in their columns, minus infinity outside the support."""
    limits, expanded = limits_of(fit.fitted), fit.expanded(x)
    density = density.clamp(min=torch.finfo(torch.float64).min) + _log_shares(fit, x)
    outside = torch.zeros_like(density, dtype=torch.bool)
    for bounds, is_beyond in ((limits.low, torch.lt), (limits.high, torch.gt)):
        if np.isfinite(bounds).any():
            outside = outside | is_beyond(expanded, torch.from_numpy(bounds)).any(-1)
    for columns, total in limits.totals:
        group = expanded[:, columns]
        sums, gaps = torch.where(group.isnan(), 0.0, group).sum(-1), group.isnan().any(-1)
        outside = outside | (sums > total + ROUNDING) | ((sums < total - ROUNDING) & ~gaps)
    return torch.where(outside, -float("inf"), density)


def _log_shares(fit: Fit, x: Tensor) -> Tensor | float:
    """Return the log-probability of each row's levels given their columns."""
    total: Any = 0.0
    for j, column in enumerate([] if fit.features.table is None else fit.features.table.columns):
        if isinstance(column, Levels) and column.log_shares is not None:
            own = dict(zip(column.levels, column.log_shares.tolist(), strict=True))
            table = torch.tensor([*(own.get(level, 0.0) for level in fit.levels[j]), 0.0, 0.0], dtype=x.dtype)
            total = total + table[x[:, j].nan_to_num(len(fit.levels[j]) + 1).long()]
    return total
