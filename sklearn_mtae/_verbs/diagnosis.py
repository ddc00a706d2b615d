"""Silent problems of a variational model: unused components, variances at their floor, codes off the prior."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._fitting.build_loss import rate_weight
from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae._fitting.plan import Plan, count_batch_rows
from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.describe import describe
from sklearn_mtae._tables.row_index import evenly
from sklearn_mtae.nn.likelihoods import Likelihood
from sklearn_mtae.nn.models import VAE, MultiTaskVAE
from sklearn_mtae.nn.posteriors import quasi_normal
from sklearn_mtae.nn.priors import StandardNormal

ACTIVE = 0.01
"""Variance over rows of the posterior means of a component in use (Burda et al. 2016, arXiv 1509.00519)."""
LEAST_RATE = 0.1
"""Nats per row below which all components together carry next to no information."""
MOST_MISMATCH = 0.5
"""Nats above which a component is off the prior: a shift by one standard deviation, or 1.8 or 0.4 times the spread."""
AT_FLOOR = 1.5
"""Variance of a column that counts as at its floor, in units of the floor: the width of the code keeps it slightly
above."""
LEAST_SPREAD = 2.0
"""Least deviation of decoded values over the rows, in units of that at the floor, for a floor to be a finding."""

N_ROWS = 500
"""Training rows that are checked after a fit."""
MIN_STEPS = 300
"""Steps of the optimiser before which codes are not judged: in most fits the rate falls before it rises."""
N_PRIOR_DRAWS = 2000
SHOWN = 12
"""Maximum number of components that a printed diagnosis shows, and of columns that a message names."""


class DegenerateModelWarning(UserWarning):
    """A fit has ended with a model that is of little use for its purpose."""


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    """The findings of `diagnose` on a variational model. It prints as a table of the components.

    Parameters
    ----------
    rate : float
        Mean over the rows of KL(q(z given x), p(z)), in nats, over all components, including those of single tasks.
    rate_per_component : ndarray of shape (n_components,)
        Mean over the rows of KL(q(z_j given x), p(z_j)), in nats, exact if the posteriors and the prior are normal. If
        another prior, or a flow in the posterior, couples the components, it is the information of a component on its
        row, `(log(variance of q(z_j)) - mean_i log(variance of q(z_j given x_i))) / 2`: the mean divergence of normal
        posteriors from the normal distribution closest to all of them.
    active_units : ndarray of bool of shape (n_components,)
        Whether a component is in use: its posterior means have a variance above 0.01 over the rows.
    collapsed : bool
        Whether no component is in use, or the whole rate is below 0.1 nats.
    at_floor : list
        Names of the columns whose learned variance, given the code, is at its floor (the square of one hundredth of the
        column's unit) or less than half of it above, and "task:<name>" for such tasks. Columns that are decoded to
        little but their mean, such as constant ones, are left out.
    aggregate_mismatch : ndarray of shape (n_components,)
        How far the codes of all rows, q(z) = mean_i q(z given x_i), lie from the prior: KL(N(q), N(p)) of each
        component in nats, between the normal distributions with the mean and variance of q(z_j) and of p(z_j). For a
        normal prior it is the part of `rate_per_component` that carries no information on the row. 0.02 is a usual
        value. Above 0.5 is bad: a shift by one standard deviation of the prior, or 1.8 or 0.4 times its spread. Draws
        from the prior are then codes that no row has, and rows decoded from them are unrealistic. Shape beyond mean and
        variance, and dependence between components, are not detected.

    Attributes
    ----------
    warnings : list of str
        What is wrong, by how much, and what to do about it: one message each.

    See Also
    --------
    sklearn_mtae.VAETransformer.diagnose : Makes one.
    """

    rate: float
    rate_per_component: NDArray
    active_units: NDArray[np.bool_]
    collapsed: bool
    at_floor: list
    aggregate_mismatch: NDArray

    @property
    def warnings(self) -> list[str]:
        """What is wrong, by how much, and what to do about it: one message each."""
        return list(self.findings().values())

    def findings(self) -> dict[str, str]:
        """Return the messages by the name of the attribute that each concerns."""
        messages = {
            "collapsed": self._collapsed_message() if self.collapsed else None,
            "at_floor": self._floor_message() if self.at_floor else None,
            "aggregate_mismatch": self._mismatch_message() if (self.aggregate_mismatch > MOST_MISMATCH).any() else None,
        }
        return {name: message for name, message in messages.items() if message is not None}

    def _collapsed_message(self) -> str:
        return (
            f"No component is in use: the rate is {self.rate:.2g} nats per row in all, and the posterior means of "
            f"{self._n_active} of {len(self.active_units)} components vary over the rows. Decoded rows hardly "
            "differ. Lower `beta` or `penalty_weight`, raise beta slowly with beta='linear' or 'cyclic', "
            "set free_bits=0.1, or train longer. Columns that are unrelated leave nothing to encode."
        )

    def _floor_message(self) -> str:
        return (
            f"The learned variance of {_enumerated(self.at_floor)} is at its floor ({len(self.at_floor)} in all): "
            "predicted to a hundredth of the unit, they dominate the loss, and log-densities mean little. Drop columns "
            "that are copies or sums of others, and clip outliers, which make the unit large; or fix the scale with "
            "likelihood='squared_error', or with a dict for these columns only. A task at its floor is memorised: "
            "train for fewer epochs."
        )

    def _mismatch_message(self) -> str:
        worst = int(self.aggregate_mismatch.argmax())
        n_off = int((self.aggregate_mismatch > MOST_MISMATCH).sum())
        return (
            f"The rows' codes lie off the prior: {n_off} of {len(self.aggregate_mismatch)} components diverge by more "
            f"than {MOST_MISMATCH} nats, component {worst} by {self.aggregate_mismatch[worst]:.2g}. `sample` draws "
            "codes that no row has. Raise `beta` (1 is the evidence lower bound), train longer, or take another prior: "
            "'mixture', 'vamp', 'flow' or 'ex_post'. A small `beta`, the default of multi-task models, causes this; "
            "codes and predictions are not affected."
        )

    @property
    def _n_active(self) -> int:
        return int(self.active_units.sum())

    def __repr__(self) -> str:
        order = np.argsort(-self.rate_per_component, kind="stable")
        lines = [
            f"Diagnosis: {self._n_active} of {len(order)} components active, rate {self.rate:.3g} nats per row",
            "component      rate  active  mismatch",
        ]
        for j in order[:SHOWN]:
            used = "yes" if self.active_units[j] else "no"
            lines.append(f"{j:>9}{self.rate_per_component[j]:>10.3f}{used:>8}{self.aggregate_mismatch[j]:>10.3f}")
        if len(order) > SHOWN:
            lines.append(f"{len(order) - SHOWN:>9} more, of a lower rate")
        lines += [f"variance at its floor: {_enumerated(self.at_floor) if self.at_floor else 'none'}"]
        return "\n".join([*lines, *(f"warning: {message}" for message in self.warnings)])


class Codes(NamedTuple):
    """The codes of some rows, as far as a diagnosis needs them; `n_components` includes those of single tasks."""

    mean: NDArray
    """Posterior means, shape (n_rows, n_components)."""
    std: NDArray
    """Posterior standard deviations, shape (n_rows, n_components)."""
    rates: NDArray
    """Parts of the divergence from the prior, shape (n_rows, n_components), or (n_rows, 1) if it has none."""
    prior_mean: NDArray
    """Means of the prior, shape (n_components,)."""
    prior_variance: NDArray
    """Variances of the prior, shape (n_components,)."""

    @property
    def variance(self) -> NDArray:
        """Variances of q(z), shape (n_components,), by the law of total variance."""
        return self.mean.var(axis=0) + np.square(self.std).mean(axis=0)

    def rate_per_component(self) -> NDArray:
        """Return each component's mean divergence, or its information on the row if it has no divergence by itself."""
        if self.rates.shape[1] == self.mean.shape[1]:
            return self.rates.mean(axis=0)
        return np.log(self.variance) / 2 - np.log(self.std).mean(axis=0)

    def mismatch(self) -> NDArray:
        """Return KL(q(z), p(z)) of each component from means and variances."""
        ratio = self.variance / self.prior_variance
        shift = np.square(self.mean.mean(axis=0) - self.prior_mean) / self.prior_variance
        return (ratio - 1 - np.log(ratio) + shift) / 2

    def diagnose(self, n_components: int, at_floor: list) -> Diagnosis:
        """Diagnose the codes; arrays hold the first `n_components`, those that describe the features."""
        own = slice(n_components)
        active = self.mean.var(axis=0) > ACTIVE
        rate = float(self.rates.sum(axis=1).mean())
        return Diagnosis(
            rate=rate,
            rate_per_component=self.rate_per_component()[own],
            active_units=active[own],
            collapsed=rate < LEAST_RATE or not active.any(),
            at_floor=at_floor,
            aggregate_mismatch=self.mismatch()[own],
        )


def encode(module: VAE, x: Tensor, seed: int) -> Tensor:
    """Return the `mean`, `std` and `rates` of standardised rows side by side, shape (n_rows, n_columns)."""
    inputs = module.fill(x)
    q = module.infer(inputs)
    z = q.rsample(quasi_normal(inputs, 1, module.prior.n_components, seed))
    return torch.cat([q.mean, q.stddev, module.prior.given(module.infer).kl_components(q, z)], dim=-1)


def prior_moments(module: VAE, seed: int) -> tuple[NDArray, NDArray]:
    """Return the mean and variance of each component under the prior, exact where it is the standard normal."""
    if isinstance(module.prior, StandardNormal):
        return np.zeros(module.prior.n_components), np.ones(module.prior.n_components)
    generator = torch.Generator(module.units.location.device).manual_seed(seed)
    with torch.inference_mode():
        z = module.prior.given(module.infer).sample(N_PRIOR_DRAWS, generator).double().cpu().numpy()
    return z.mean(axis=0), z.var(axis=0)


def is_related(inputs: NDArray) -> bool:
    """Return whether columns are correlated by more than chance.

    The largest eigenvalue of a correlation matrix of independent columns does not exceed `(1 + sqrt(n_columns /
    n_rows))^2` by much (Marchenko and Pastur 1967).
    """
    columns = describe(inputs)
    standard = np.nan_to_num((inputs - columns.mean) / columns.deviation)
    n_rows, n_columns = standard.shape
    products = standard @ standard.T if n_rows < n_columns else standard.T @ standard
    return bool(np.linalg.eigvalsh(products)[-1] / n_rows > (1 + np.sqrt(n_columns / n_rows)) ** 2)


def is_rising(curve: Sequence[float]) -> bool:
    """Return whether the rate is still rising at the end: by half over the last quarter of the epochs."""
    size = len(curve) // 4
    return size > 0 and bool(np.mean(curve[-size:]) > max(ACTIVE, 1.5 * np.mean(curve[-2 * size : -size])))


def _enumerated(names: Sequence) -> str:
    shown = ", ".join(repr(name) for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


def diagnose(runner: ModelRunner, x: Any) -> Diagnosis:
    """Look for silent problems, on rows as the model sees them."""
    fitted = runner.fitted
    model = runner.model(torch.float64 if x.dtype == np.float64 else torch.float32)
    encoded = runner.apply(lambda model, x: encode(model, x, fitted.seed), x).astype(np.float64)
    n_components = model.prior.n_components
    mean, std, rates = np.split(encoded, [n_components, 2 * n_components], axis=1)
    codes = Codes(mean, std, rates, *prior_moments(model, fitted.seed))
    with np.errstate(over="ignore", invalid="ignore"):  # a model that has diverged has infinite variances
        return codes.diagnose(fitted.recipe.n_components, floored_names(runner, model, x))


def floored_names(runner: ModelRunner, model: VAE, x: Any) -> list:
    """Return the names of the columns, and of the tasks, whose variance is at its floor."""
    found = at_floor(runner, x, model.likelihood, model.decode, runner.features.expanded_names)
    if isinstance(model, MultiTaskVAE):
        tasks = [f"task:{task}" for task in runner.fitted.recipe.task_names]
        found += at_floor(runner, x, model.task_likelihood, model.heads, tasks)
    return found


def at_floor(
    runner: ModelRunner, x: Any, likelihood: Likelihood, decode: Callable[[Tensor], Tensor], names: Sequence
) -> list:
    """Return the names of those whose variance is at its floor, and whose locations vary enough to say so."""
    floors = likelihood.at_floor(AT_FLOOR)
    if not floors:
        return []

    def located(model: VAE, x: Tensor) -> Tensor:
        params = decode(model.encode(model.fill(x)))
        return params.unflatten(-1, (likelihood.n_columns, likelihood.n_params))[:, list(floors), 0]

    wide = runner.apply(located, x).std(axis=0, dtype=np.float64) > LEAST_SPREAD * np.sqrt(list(floors.values()))
    return [names[column] for column, is_wide in zip(floors, wide, strict=True) if is_wide]


def warn_of_degenerate(plan: Plan, fitted: Fitted) -> None:
    """Check the result of a fit and warn of problems."""
    # With its own cache, so that GPU memory is freed.
    runner = ModelRunner(replace(fitted, cache={}), plan.recipe.device)
    rows = evenly(plan.data.taking_part, N_ROWS)
    findings = diagnose(runner, plan.data.x[rows]).findings()
    excused = _excused(plan, runner, rows) if findings else set()
    for name, message in findings.items():
        if name not in excused:
            warnings.warn(message, DegenerateModelWarning, stacklevel=2)


def _excused(plan: Plan, runner: ModelRunner, rows: NDArray) -> set[str]:
    """Name the findings that a fit does not warn of: early stages, and results of its data or parameters."""
    data, fitted, n_rows = plan.data, runner.fitted, plan.data.x.shape[0]
    beginning = fitted.n_iter * ceil(n_rows / count_batch_rows(plan.recipe, n_rows)) < MIN_STEPS
    inputs = np.vstack([part for _, part in runner.results(lambda m, x: m.likelihood.as_input(x), data.x[rows])])
    related = is_related(inputs if data.y is None else np.hstack([inputs, data.y[rows]]))
    beta = rate_weight(plan.recipe)
    free = data.y is not None or (beta(1.0) if callable(beta) else beta) == 0
    reasons = {
        "collapsed": beginning or not related or is_rising(fitted.term_curves.get("rate", [])),
        "aggregate_mismatch": beginning or free,
    }
    return {name for name, is_so in reasons.items() if is_so}
