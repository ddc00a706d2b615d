"""What each estimator can be asked, as functions of torch: from numbers and codes of levels to arrays of numbers."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_mtae._fitting.baseline import Columns, regression_of, task_units
from sklearn_mtae._fitting.class_average import log_probabilities, padded
from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae._fitting.mixed_average import SpreadAndClasses
from sklearn_mtae._fitting.novelty import variances_if_novel, variances_of
from sklearn_mtae._fitting.number_average import LEAST_DEVIATION, N_DRAWS, NumberAverage, Spread
from sklearn_mtae._fitting.run import reconstruct
from sklearn_mtae._fitting.several import InUnits
from sklearn_mtae.nn.models import MultiTaskVAE
from sklearn_mtae.nn.posteriors import quasi_normal

from ._fits import Fit


class Asked(NamedTuple):
    """A computation: the function, the names of what it returns, and what it takes."""

    function: Callable[..., tuple[Tensor, ...]]
    outputs: tuple[str, ...]
    takes_codes: bool = False
    """Whether it takes codes of rows rather than rows."""
    complete: bool = False
    """Whether it takes only rows without missing cells."""
    follows: bool = False
    """Whether the estimator computes it in the precision of the rows, rather than in that of its training."""
    n_copies: int = 1
    """Copies of each row that it makes."""


def of_autoencoder(fit: Fit) -> dict[str, Asked]:
    """Return what any autoencoder can be asked: codes, columns, and missing cells by their reconstruction."""
    n_codes = fit.fitted.recipe.n_components

    def transform(x: Tensor) -> tuple[Tensor, ...]:
        return (fit.run(lambda model, x: model.encode(model.fill(x))[:, :n_codes], x),)

    def inverse_transform(z: Tensor) -> tuple[Tensor, ...]:
        return (fit.narrowed(fit.model().reconstruct(z.to(fit.dtype))),)

    def reconstructed(x: Tensor) -> tuple[Tensor, ...]:
        return (fit.narrowed(fit.run(reconstruct, x)),)

    def impute(x: Tensor) -> tuple[Tensor, ...]:
        def given(model: Any, x: Tensor) -> Tensor:
            return model.reconstruct(model.encode(model.fill(x)), x)

        return (fit.narrowed(fit.run(given, x)),)

    return {
        "transform": Asked(transform, ("transform",), follows=True),
        "inverse_transform": Asked(inverse_transform, ("inverse_transform",), takes_codes=True, follows=True),
        "reconstruct": Asked(reconstructed, ("reconstruct",), follows=True),
        "impute": Asked(impute, ("impute",), follows=True),
    }


def of_tasks(fit: Fit) -> dict[str, Asked]:
    """Return what a model of tasks can be asked: means, deviations, and logarithms of class probabilities."""
    has_numbers, has_classes = kinds_of(fit.fitted)

    def predict(x: Tensor) -> tuple[Tensor, ...]:
        return (*([_means(fit, x)] if has_numbers else []), *([_log_probabilities(fit, x)] if has_classes else []))

    states = _counted(fit)[0]
    stacked = has_numbers and bool(states) and fit.stack(_spread_of(fit, has_classes), states)

    def spread(fit: Fit, x: Tensor) -> tuple[Tensor, ...]:
        return (*_spread(fit, x, stacked), *([_log_probabilities(fit, x)] if has_classes else []))

    logs, alone = ("log_proba",) if has_classes else (), is_alone(fit)
    asked = {"predict": Asked(predict, (*(("mean",) if has_numbers else ()), *logs), follows=alone)}
    if has_numbers:
        # Deviations are means over draws that depend on all digits of rows, standardised in their own precision.
        fits = {"spread": fit, "spread_float32": Fit(fit.fitted, fit.levels, rows=torch.float32)}
        asked |= {
            name: Asked(partial(spread, own), ("mean", "std", *logs), follows=alone) for name, own in fits.items()
        }
    return asked


def is_alone(fit: Fit) -> bool:
    """Return whether a single model predicts, in the precision of the rows; several do in that of their training."""
    return len(_counted(fit)[0]) <= 1


def _spread_of(fit: Fit, has_classes: bool) -> Any:
    """Return the function that the estimator computes deviations by."""
    return (SpreadAndClasses if has_classes else Spread)(fit.fitted.seed)


def kinds_of(fitted: Fitted) -> tuple[bool, bool]:
    """Return whether there are tasks of numbers, and tasks of classes."""
    return not fitted.of_classes.all(), bool(fitted.of_classes.any())


def _counted(fit: Fit) -> tuple[list[int], Tensor]:
    """Return the states that count, and their weights, shape (n_counted, n_tasks)."""
    counted, weights = fit.fitted.counted_states()
    return counted.tolist(), torch.from_numpy(np.array(weights, dtype=np.float64, order="C"))


def _left(weights: Tensor) -> Tensor:
    return 1 - weights.sum(0)


def _baseline(fit: Fit, x: Tensor) -> Tensor:
    """Return the baselines' predictions for rows, shape (n_rows, n_tasks) or (n_tasks,)."""
    baseline = fit.fitted.average.baseline
    predicted, function = torch.from_numpy(np.array(baseline.intercepts, dtype=np.float64)), regression_of(baseline)
    if function is None:
        return predicted
    own = fit.run(function, x).double() if isinstance(function, Columns) else fit.exact.run(function, x)
    return predicted + torch.from_numpy(task_units(fit.fitted)) * own


def _means(fit: Fit, x: Tensor) -> Tensor:
    """Return the means of tasks of numbers, shape (n_rows, n_tasks)."""
    counted, weights = _counted(fit)
    rest = _baseline(fit, x)
    if not counted:
        return rest + torch.zeros_like(x[:, :1])
    own = fit.run_states(NumberAverage.output, counted, x)
    return (weights * own).sum(1) + _left(weights) * rest


def _spread(fit: Fit, x: Tensor, stacked: bool) -> tuple[Tensor, Tensor]:
    """Return means and deviations of tasks of numbers, the latter not yet inflated: the moments of a mixture."""
    counted, weights = _counted(fit)
    units, rest = torch.from_numpy(task_units(fit.fitted)), _baseline(fit, x)
    deviations, part = _deviations(fit, x, rest), weights.sum(0)
    total, square = torch.zeros_like(x[:, :1]), torch.zeros_like(x[:, :1])
    if counted:
        function = Spread(fit.fitted.seed)
        own = fit.run_states(function, counted, x) if stacked else _spread_exactly(fit, function, counted, x)
        means, stds = own.unbind(2)
        total = (weights * means).sum(1)
        away = (means - (total / part.clamp(min=np.finfo(float).tiny))[:, None]) / units
        square = (weights * ((stds / units).square() + away.square())).sum(1)
    mean = total + (1 - part) * rest
    own = total / torch.where(part > 0, part, 1.0)
    square = square + part * ((own - mean) / units).square()
    square = square + (1 - part) * (deviations.square() + ((rest - mean) / units).square())
    std = units * square.clamp(min=LEAST_DEVIATION**2).sqrt()
    variance = fit.fitted.average.variance
    if variance is None:
        return mean, std
    location = torch.from_numpy(fit.fitted.states[0]["task_units.location"])
    return mean, std * variance.factors(fit.exact.run(variance, x), (mean - location) / units)


def _deviations(fit: Fit, x: Tensor, rest: Tensor) -> Tensor:
    """Return the deviations of labels from the baselines' predictions, in units, by row or for all rows."""
    baseline, units = fit.fitted.average.baseline, task_units(fit.fitted)
    deviations, own = torch.from_numpy(np.array(baseline.deviations / units, dtype=np.float64)), baseline.novelty
    if own is None:
        return deviations
    far = variances_if_novel(rest, *(torch.from_numpy(np.array(part)) for part in (own.means, own.deviations, units)))
    return variances_of(fit.exact.run(own, x), deviations.square(), far).sqrt()


def _spread_exactly(fit: Fit, function: Spread, states: list[int], x: Tensor) -> Tensor:
    """Return means and deviations of each state, with draws that depend on all digits of rows of float64."""

    def spread(model: MultiTaskVAE, x: Tensor) -> Tensor:
        rows = type(model).fill(model, x)
        noise = quasi_normal(rows, N_DRAWS, model.prior.n_components, function.seed).to(fit.dtype)
        return torch.stack([NumberAverage.output(model, x), model.predict_std(x, noise)], dim=-2)

    return fit.run_each(InUnits(spread, fit.rows), states, fit.expanded(x))


def _log_probabilities(fit: Fit, x: Tensor) -> Tensor:
    """Return the logs of averaged probabilities, shape (n_rows, n_tasks, most classes of a task)."""
    average = fit.fitted.average
    counted, weights = _counted(fit)
    parts = []
    if counted:
        logs = fit.run_states(log_probabilities, counted, x).double()
        parts.append((logs + weights.log()[..., None]).logsumexp(1))
    left = _left(weights)
    for own in (average.lines, average.kernel):
        if own is not None:
            left = left - torch.from_numpy(own.weights.sum(axis=0))
            parts.append(fit.exact.run(own, x).log())
    if average.base_rates and average.weights is not None:
        rates = torch.from_numpy(padded(average.base_rates)).log() + left.clamp(0, 1).log()[:, None]
        parts.append(rates + torch.zeros_like(x[:, :1])[:, :, None])
    logs = parts[0]
    for part in parts[1:]:
        logs = torch.logaddexp(logs, part)
    if average.sharpness is None:
        return logs
    return (torch.from_numpy(average.sharpness)[:, None] * logs).log_softmax(-1)
