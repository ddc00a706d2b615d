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
from sklearn_mtae.nn.importance import Draws, prior_draws
from sklearn_mtae.nn.models import VAE
from sklearn_mtae.nn.posteriors import quasi_normal

from ._fits import Fit
from ._importance import weighted_codes
from ._methods import Asked

N_DRAWS = 100
"""Codes per row that are drawn and weighted, as the estimators do it unless told otherwise."""
Single = Tensor | bool
"""Whether rows came in float32, of shape (n_rows, 1) where it is not known before."""


class Weighed:
    """Weighted codes of rows, computed in float64, with the draws that the estimator has.

    Parameters
    ----------
    fitted : Fitted
        The result of a fit.
    levels : dict or None, default=None
        Levels that the codes of rows stand for, by column; None takes the model's own.
    """

    def __init__(self, fitted: Fitted, levels: Any = None) -> None:
        self.fit = Fit(fitted, levels, torch.float64)
        self.rough = None if limits_of(fitted).cancel else Fit(fitted, self.fit.levels, torch.float32, torch.float32)
        """The model that rows of float32 go through, if it is another one."""

    def run(self, function: Callable[[Any, Tensor, Draws], Tensor], x: Tensor, single: Single, n_draws: int) -> Tensor:
        """Return a function of the model, of standardised rows and of their weighted codes."""
        model, seed, raw = self.fit.model(), self.fit.fitted.seed, self.fit.expanded(x)
        own = model.units(raw, torch.float64)

        def filled(model: Any, dtype: torch.dtype) -> Tensor:
            return model.fill(model.units(raw.to(dtype), dtype))

        noise = quasi_normal(self._either(filled, single), n_draws, model.prior.n_components, seed)

        def sample(n: int) -> Tensor:
            return self._either(lambda model, dtype: prior_draws(model, n, seed), single)

        return function(model, own, weighted_codes(model, own, noise, seed, sample))

    def _either(self, function: Callable[[Any, torch.dtype], Tensor], single: Single) -> Tensor:
        """Return a function of the model, of that in float32 for rows of float32: draws depend on all digits."""
        own = function(self.fit.model(), torch.float64)
        if self.rough is None or single is False:
            return own
        rough = function(self.rough.model(), torch.float32).double()
        return rough if single is True else torch.where(single, rough, own)  # type: ignore[arg-type]


def limits_of(fitted: Fitted) -> Limits:
    """Return the limits of a model's columns."""
    return Limits.of(column_likelihood(fitted.recipe), fitted.recipe.columns.indicators)


def densities(fitted: Fitted, levels: Any = None) -> dict[str, Asked]:
    """Return what any autoencoder can be asked: log-densities of rows, and missing cells given the others."""
    fit = Fit(fitted, levels, torch.float64)

    def conditional(x: Tensor) -> tuple[Tensor, ...]:
        return (_in_support(fit, x, fit.run(log_conditional, x)),)

    if not isinstance(fit.model(), VAE):
        return {"score_samples": Asked(conditional, ("log_density",))}
    own = Weighed(fitted, levels)

    def marginal(x: Tensor, single: Single) -> tuple[Tensor, ...]:
        return (_in_support(own.fit, x, own.run(log_marginal, x, single, N_DRAWS)),)

    asked = partial(Asked, marginal, ("log_density",), flagged=True, n_copies=N_DRAWS)
    return {"score_samples": asked(), "score_samples_complete": asked(complete=True), "impute": imputation(own)}


def imputation(own: Weighed, n_draws: int = N_DRAWS, hidden: Sequence[int] = ()) -> Asked:
    """Return the computation of missing cells given the others, but for columns that are hidden."""

    def impute(x: Tensor, single: Single) -> tuple[Tensor, ...]:
        if hidden:
            is_hidden = torch.zeros(x.shape[1], dtype=torch.bool).index_fill(0, torch.tensor(hidden), True)
            x = torch.where(is_hidden, float("nan"), x)
        return (own.fit.narrowed(own.run(weighted_mean, x, single, n_draws)),)

    return Asked(impute, ("impute",), flagged=True, n_copies=n_draws)


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
