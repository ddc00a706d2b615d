"""Labels that are known only as limits: what stands in for them where a model is not trained by its likelihood.

Training takes limits as they are: the likelihood of such a label is the probability of the side that its true value is
on. What is learned in other ways, by means and squares, needs values: the units of the tasks, linear baselines, and the
choice on held-out rows. There a normal distribution around a prediction, cut at the limit, stands for the true value,
and what follows from it is predicted anew: the EM algorithm (Dempster, Laird and Rubin 1977), as in the regression of
Buckley and James (1979, doi 10.1093/biomet/66.3.429).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri, ndtri_exp

from sklearn_mtae._tables.row_index import evenly

N_ROUNDS = 20
"""Rounds at most, each of three expectations and what follows from them."""
CLOSE = 1e-4
"""Change of predictions, in deviations, and of the deviation, relative to it, at which rounds end."""
FARTHEST = 8.0
"""Factor by which a round goes beyond its steps, at most."""
MOST_ROWS = 10_000
"""Labels that a distribution of a task is learned from, at most, evenly spaced."""
LEAST = 1e-6
"""Smallest deviation, relative to that of observed labels."""
N_CONSISTENT = 200
"""Rounds of a self-consistent estimate."""
WIDE = 30.0
"""Deviations from the mean beyond which a normal tail counts as exponential."""


class StandIns(NamedTuple):
    """What is known of true values, given a prediction of each."""

    mean: NDArray
    """Their expectations: the labels themselves, where these are observed."""
    variance: NDArray
    """Their variances: zero where the labels are observed."""


def limited_tasks(codes: NDArray | None) -> list[int]:
    """Return the tasks with labels that are limits, given the codes of labels, shape (n_rows, n_tasks)."""
    return [] if codes is None else np.unique(np.nonzero(codes)[1]).tolist()


def admitted(y: NDArray, codes: NDArray, support: tuple[float, float]) -> tuple[NDArray, NDArray]:
    """Return the ends of the range that the true value of each label is in."""
    low, high = (np.broadcast_to(end, y.shape) for end in support)
    return np.where(codes < 0, np.minimum(low, y), y), np.where(codes > 0, np.maximum(high, y), y)


def stand_ins(
    y: NDArray, codes: NDArray, predicted: NDArray, deviation: NDArray | float, support: tuple[float, float]
) -> StandIns:
    """Return the moments of normal distributions around predictions, restricted to what limits admit.

    `E(Y given a < Y < b) = m + s (phi(u) - phi(v)) / (Phi(v) - Phi(u))`, with `u = (a - m) / s` and `v = (b - m) / s`.

    Parameters
    ----------
    y : ndarray of any shape
        Labels and limits.
    codes : ndarray of int of that shape
        Which labels are limits, and of which side.
    predicted, deviation : ndarray of that shape, or a number
        Means and standard deviations of the normal distributions.
    support : tuple of float
        Ends of the range of all values.
    """
    low, high = admitted(y, codes, support)
    # Of a mirrored distribution where the limit is one from above, so that the near end is always the lower one.
    sign = np.where(codes < 0, -1.0, 1.0)
    near, far = sign * (y - predicted) / deviation, sign * (np.where(codes < 0, low, high) - predicted) / deviation
    first, second = _cut_moments(near, far)
    limited = codes != 0
    mean = np.where(limited, predicted + sign * deviation * first, y)
    variance = np.where(limited, np.square(deviation) * np.maximum(second - first**2, 0.0), 0.0)
    return StandIns(np.clip(mean, low, high), variance)


def _cut_moments(near: NDArray, far: NDArray) -> tuple[NDArray, NDArray]:
    """Return the means of u and of u squared, for a standard normal u between two ends; the second may be infinity."""
    near, far = np.maximum(near, -WIDE), np.maximum(far, near)
    log_near, log_far = log_ndtr(-near), log_ndtr(-far)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_mass = log_near + np.log1p(-np.exp(log_far - log_near))
        at_near, at_far = (np.exp(-(end**2) / 2 - np.log(2 * np.pi) / 2 - log_mass) for end in (near, far))
        first = at_near - at_far
        second = 1 + near * at_near - np.where(np.isinf(far), 0.0, far * at_far)
    # A narrow range, or one far out, has no digits left: its near end stands for it, an exponential's mean away.
    edge = near + np.minimum(1 / np.maximum(near, 1.0), (np.minimum(far, near + 2) - near) / 2)
    bad = ~np.isfinite(first) | ~np.isfinite(second) | (first < near) | (first > far) | (near > WIDE)
    return np.where(bad, edge, first), np.where(bad, edge**2, second)


def expect(
    y: NDArray,
    codes: NDArray,
    weight: NDArray,
    predict: Callable[[NDArray], NDArray],
    support: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[StandIns, NDArray, NDArray]:
    """Return stand-ins for labels, and the predictions and the deviation that they agree with.

    Parameters
    ----------
    y, codes, weight : ndarray of shape (n_rows,)
        Labels, which of them are limits, and their weights.
    predict : callable
        From values of shape (n_models, n_rows) to the predictions by models fitted to them, of the same shape.
    support : tuple of float
        Ends of the range of all values.

    Returns
    -------
    known : StandIns
        Stand-ins, each of shape (n_models, n_rows).
    predicted : ndarray of shape (n_models, n_rows)
        Predictions.
    deviation : ndarray of shape (n_models, 1)
        Standard deviations around them.
    """
    share, observed = weight / weight.sum(), codes == 0
    if not (weight[observed] > 0).any():
        observed = weight > 0
    center = np.average(y[observed], weights=weight[observed])
    least = LEAST * (np.sqrt(np.average((y[observed] - center) ** 2, weights=weight[observed])) or 1.0)

    def fitted(known: StandIns) -> State:
        predicted = predict(known.mean)
        square = ((known.mean - predicted) ** 2 + known.variance) @ share
        return State(predicted, np.log(np.maximum(np.sqrt(square), least))[:, None])

    def step(state: State) -> State:
        return fitted(stand_ins(y, codes, state.predicted, np.exp(state.log_deviation), support))

    # A limit far away says nothing, and must not be the start of anything.
    start = np.where(codes < 0, np.minimum(y, center), np.where(codes > 0, np.maximum(y, center), y))
    state = fitted(StandIns(start[None], np.zeros((1, len(y)))))
    for _ in range(N_ROUNDS):
        first = step(state)
        second = step(first)
        before, state = second, step(_extrapolate(state, first, second))
        moved = np.abs(state.predicted - before.predicted) / np.exp(state.log_deviation)
        if moved.max() < CLOSE and np.abs(state.log_deviation - before.log_deviation).max() < CLOSE:
            break
    deviation = np.exp(state.log_deviation)
    return stand_ins(y, codes, state.predicted, deviation, support), state.predicted, deviation


class State(NamedTuple):
    """Where the rounds of an expectation and what follows from it have come to."""

    predicted: NDArray
    log_deviation: NDArray


def _extrapolate(start: State, first: State, second: State) -> State:
    """Return where two steps lead if the ratio of their lengths stays the same.

    The rounds become slow as more labels are limits. This makes them fast again (Varadhan and Roland 2008, doi
    10.1111/j.1467-9469.2007.00585.x).
    """
    move = [b - a for a, b in zip(start, first, strict=True)]
    bend = [c - b - own for b, c, own in zip(first, second, move, strict=True)]

    def length(parts: list[NDArray]) -> NDArray:
        scaled = parts[0] / np.exp(start.log_deviation)
        return np.sqrt((scaled**2).mean(axis=1, keepdims=True) + parts[1] ** 2)

    tiny = np.finfo(float).tiny
    far = np.clip(length(move) / np.maximum(length(bend), tiny), 1.0, FARTHEST)
    predicted, log_deviation = (a + 2 * far * own + far**2 * b for a, own, b in zip(start, move, bend, strict=True))
    # A guess, from which the next step leads back; none may lead out of the range of numbers.
    return State(predicted, np.clip(log_deviation, second.log_deviation - 1, second.log_deviation + 1))


def log_likelihood(y: NDArray, codes: NDArray, predicted: NDArray, deviation: NDArray | float) -> NDArray:
    """Return the log-density of labels under normal distributions, and the log-probability of the side of limits."""
    z = (y - predicted) / deviation
    log_density = -(z**2) / 2 - np.log(2 * np.pi) / 2 - np.log(deviation)
    return np.where(codes == 0, log_density, log_ndtr(np.where(codes < 0, z, -z)))


def spread_out(y: NDArray, codes: NDArray, weight: NDArray, support: tuple[float, float]) -> NDArray:
    """Return a task's labels with limits replaced by values that have the distribution of the others.

    Such a value is a quantile of the part of a normal distribution, with the mean and the deviation of the task, that
    the limit admits. Evenly spaced probabilities give the values of all limits the right spread: a column learns its
    unit and its shape from them.

    Parameters
    ----------
    y, codes, weight : ndarray of shape (n_rows,)
        Labels, which of them are limits, and their weights: zero without a label.
    support : tuple of float
        Ends of the range of all values.
    """
    limited = np.flatnonzero((codes != 0) & (weight > 0))
    if not len(limited):
        return y
    some = evenly(np.flatnonzero(weight > 0), MOST_ROWS)
    share = weight[some] / weight[some].sum()

    def predict(values: NDArray) -> NDArray:
        return np.broadcast_to((values @ share)[:, None], values.shape)

    _, predicted, deviation = expect(y[some], codes[some], weight[some], predict, support)
    mean, std = predicted[0, 0], deviation[0, 0]
    low, high = ((end[limited] - mean) / std for end in admitted(y, codes, support))
    spread = y.copy()
    order = np.argsort(y[limited], kind="stable")
    for side in (-1, 1):
        own = order[codes[limited[order]] == side]
        # Mirrored where the limit is one from below, so that the small probabilities are those of a lower tail.
        ends = (low[own], high[own]) if side < 0 else (-high[own], -low[own])
        spread[limited[own]] = mean - side * std * _cut_quantiles(*ends, _evenly_spaced(len(own)))
    return np.clip(spread, *admitted(y, codes, support))


def _cut_quantiles(low: NDArray, high: NDArray, probability: NDArray) -> NDArray:
    """Return quantiles of standard normal values between two ends."""
    with np.errstate(divide="ignore"):
        one_sided = ndtri_exp(np.log(probability) + log_ndtr(high))
    both = ndtri(ndtr(low) + probability * (ndtr(high) - ndtr(low)))
    return np.where(np.isinf(low) | ~np.isfinite(both), one_sided, both)


def _evenly_spaced(n: int) -> NDArray:
    """Return probabilities, any run of which is spread evenly: van der Corput's sequence."""
    bits = max(1, int(n).bit_length())
    index = np.arange(n)
    reversed_bits = sum(((index >> bit) & 1) << (bits - 1 - bit) for bit in range(bits))
    return (reversed_bits + 0.5) / 2**bits


def consistent_shares(residuals: NDArray, codes: NDArray, weight: NDArray) -> NDArray:
    """Return the share of each residual in their distribution, where some of them are limits.

    The self-consistent estimate (Efron 1967, Turnbull 1974), which is Kaplan and Meier's where limits are of one side:
    a limit's share goes to the residuals on its side, in proportion to theirs. A limit beyond all others keeps its own.

    Parameters
    ----------
    residuals : ndarray of shape (n_labels,)
        Residuals in ascending order.
    codes : ndarray of int of shape (n_labels,)
        -1 where the true residual is below, 1 where it is above, otherwise 0.
    weight : ndarray of shape (n_labels,)
        Weights above zero.

    Returns
    -------
    ndarray of shape (n_labels,)
        Shares, which add up to 1.
    """
    n, exact = len(residuals), codes == 0
    weight = weight / weight.mean()
    observed = residuals[exact]
    if not len(observed):
        return weight / n
    kept = exact | ((codes < 0) & (residuals <= observed[0])) | ((codes > 0) & (residuals >= observed[-1]))
    up, down = (codes > 0) & ~kept, (codes < 0) & ~kept
    above = np.searchsorted(residuals, residuals[up], side="right")
    below = np.searchsorted(residuals, residuals[down], side="left")
    own = kept * weight
    shares = own / own.sum()
    for _ in range(N_CONSISTENT):
        total = np.concatenate([[0.0], np.cumsum(shares)])
        counts = own.copy()
        # What a limit gives per unit of share to all that is above it, or below.
        gives = np.zeros(n + 1)
        np.add.at(gives, above, weight[up] / np.maximum(total[-1] - total[above], 1e-300))
        counts += shares * np.cumsum(gives[:-1])
        gives = np.zeros(n + 1)
        np.add.at(gives, below, weight[down] / np.maximum(total[below], 1e-300))
        counts += shares * (gives.sum() - np.cumsum(gives)[:-1])
        before, shares = shares, counts / counts.sum()
        if np.abs(shares - before).max() < 1e-3 / n:
            break
    return shares
