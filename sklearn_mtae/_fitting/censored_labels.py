"""Labels that are known only as limits, as a fit takes them: their checks, and what is learned from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from sklearn_mtae._tables.describe import describe
from sklearn_mtae._tables.limits import Limits
from sklearn_mtae.nn.likelihoods import LIKELIHOODS, Likelihood
from sklearn_mtae.nn.traits import unwrapped

from .build import TASK_MAKERS, task_limits
from .censored import consistent_shares, limited_tasks, spread_out
from .data import Data
from .fitted import Fitted
from .recipe import Recipe

SIGNS = {-1: "<", 1: ">"}


def take_limits(data: Data, recipe: Recipe, settings: Sequence[dict[str, Any]], is_part: bool = False) -> Data:
    """Check labels that are limits, and let no unit of a task be learned from them as if they were values.

    Parameters
    ----------
    data : Data
        What `fit` was called with.
    recipe : Recipe
        The recipe for it.
    settings : sequence of dict
        The members' own parameters.
    is_part : bool, default=False
        Whether the rows are a later part of the data, which no unit is learned from.

    Raises
    ------
    ValueError
        If a task of classes has a limit, or one whose likelihood has no distribution function; if nothing is below a
        limit, or above it; or if all labels of a task are limits.
    """
    if data.censoring is None:
        return data
    assert data.y is not None
    recipes = {id(own): recipe.of_member(own) for own in settings}.values()
    likelihoods = [TASK_MAKERS[recipe.targets](own) for own in recipes]
    for likelihood in likelihoods:
        _check_families(likelihood, data.censoring, recipe.task_names)
        _check_sides(Limits.of(likelihood), data.y, data.censoring, recipe.task_names)
    if is_part:
        return data
    weight = data.label_weights()
    _check_observed(data.censoring, weight, recipe.task_names)
    supports = _supports([Limits.of(likelihood) for likelihood in likelihoods])
    columns = zip(data.y.T, data.censoring.T, weight.T, supports, strict=True)
    spread = np.stack([spread_out(*column) for column in columns], axis=1).astype(data.y.dtype)
    assert data.labels is not None
    described = describe(spread, weight)
    labels = data.labels._replace(mean=described.mean, deviation=described.deviation)
    return data._replace(labels=labels, spread=spread)


def _check_families(likelihood: Likelihood, codes: NDArray, names: Sequence[str]) -> None:
    for family, columns in likelihood.parts():
        for column in columns:
            if codes[:, column].any() and not family.has_cdf:
                raise ValueError(
                    f"censoring must be '' for a task whose likelihood has no distribution function. Got "
                    f"{SIGNS[int(codes[codes[:, column] != 0, column][0])]!r} for task {names[column]!r}, whose "
                    f"likelihood is {_name_of(family)}."
                )


def _name_of(family: Likelihood) -> str:
    """Name a family as an option, or by its class."""
    known = {unwrapped(factory): name for name, factory in LIKELIHOODS.items()}
    return repr(known.get(type(family), type(family).__name__.lower()))


def _check_sides(limits: Limits, y: NDArray, codes: NDArray, names: Sequence[str]) -> None:
    """Raise an error for a limit that no value is below, or above."""
    for code, outside, end in ((-1, y <= limits.low, limits.low), (1, y >= limits.high, limits.high)):
        for row, column in np.argwhere((codes == code) & outside)[:1].tolist():
            raise ValueError(
                f"censoring must leave values on the side of a limit. Got {SIGNS[code]!r} {y[row, column]:g} in row "
                f"{row} of task {names[column]!r}, whose values go {'down' if code < 0 else 'up'} to {end[column]:g}."
            )


def _check_observed(codes: NDArray, weight: NDArray, names: Sequence[str]) -> None:
    for column in limited_tasks(codes):
        if not ((codes[:, column] == 0) & (weight[:, column] > 0)).any():
            raise ValueError(f"Each task needs an observed label. All labels of task {names[column]!r} are limits.")


def _supports(limits: Sequence[Limits]) -> list[tuple[float, float]]:
    low, high = np.max([own.low for own in limits], axis=0), np.min([own.high for own in limits], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def supports_of(fitted: Fitted) -> list[tuple[float, float]]:
    """Return the range of the values of each task."""
    return _supports([own for _, own in task_limits(fitted)])


def loss_with_limits(averages: NDArray, shares: NDArray, codes: NDArray, deviation: float) -> NDArray:
    """Return the loss of averaged errors, some of which are distances from limits.

    It is that of `NumberAverage`, with `-2 s^2 log(P(side of the limit))` in place of a squared error: as in the
    likelihood of normal distributions with deviation s, where `e^2 = -2 s^2 log(density) + constant`.

    Parameters
    ----------
    averages : ndarray of shape (n_averages, n_rows)
        Predictions minus labels or limits.
    shares : ndarray of shape (n_rows, n_folds)
        The folds' weights of rows.
    codes : ndarray of int of shape (n_rows,)
        Which labels are limits, and of which side.
    deviation : float
        Standard deviation of the labels around predictions.
    """
    limited = codes != 0
    squares = averages**2
    squares[:, limited] = -2 * deviation**2 * log_ndtr(averages[:, limited] * codes[limited] / deviation)
    return np.sqrt(squares @ shares).mean(axis=1)


def shares_of_residuals(residuals: NDArray, codes: NDArray, weight: NDArray) -> NDArray:
    """Return the share of each residual in their distribution, where some of them are limits, in any order.

    A limit's true residual is known only to be on one side: its share goes to the residuals there.
    """
    order = np.argsort(residuals, kind="stable")
    shares = np.empty(len(order))
    shares[order] = consistent_shares(residuals[order], codes[order], weight[order])
    return shares
