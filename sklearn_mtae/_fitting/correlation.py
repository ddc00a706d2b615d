"""Correlations of the normal scores of labels, of which intervals are known."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._tables.row_index import evenly

from .copula import patterns
from .margins import Margin

LARGEST_CORRELATION = 0.995
LEAST_PAIRS = 3.0
"""Effective number of rows with both labels below which two tasks count as independent."""
LEAST_EIGENVALUE = 1e-4
"""Least eigenvalue of correlations."""
N_HALVINGS = 40
"""Steps of a bisection."""
N_FOLDS, N_JUDGED = 5, 1000
"""Folds, and the maximum number of rows, that choose how far correlations are drawn towards zero."""
LEAST_ROWS = 2 * N_FOLDS
"""Number of rows with two labels below which all tasks count as independent."""
SHARES = (1.0, 0.98, 0.95, 0.9, 0.8, 0.65, 0.5, 0.25, 0.0)
"""Factors of the correlations to choose from."""
LEAST_GAIN = 1.0
"""Nats that a smaller factor must gain to be preferred, and that the best must gain over independent tasks."""


class LabelScores(NamedTuple):
    """What is known of the normal scores of the labels of rows."""

    centres: NDArray
    """Mean scores of labels, shape (n_rows, n_tasks), zero without one."""
    terms: NDArray
    """Their Hermite series, shape (n_terms, n_rows, n_tasks), zero without a label."""
    low: NDArray
    """Lower ends of the scores, shape (n_rows, n_tasks), NaN without a label."""
    high: NDArray
    """Upper ends."""
    weight: NDArray
    """Weights of the labels, shape (n_rows, n_tasks), zero without one."""

    def take(self, rows: NDArray) -> "LabelScores":
        """Return those of some rows."""
        parts = (part[rows] for part in (self.low, self.high, self.weight))
        return LabelScores(self.centres[rows], self.terms[:, rows], *parts)


def learn_correlation(scores: LabelScores, margins: Sequence[Margin]) -> tuple[NDArray, NDArray]:
    """Return the correlations of scores, drawn towards zero as far as cross-validation wants.

    Correlations that come pair by pair from few rows may contradict each other. What they say of a label given all
    others of its row is then far from true, though each of them is likely. And scores may not be jointly normal.

    Returns
    -------
    correlation : ndarray of shape (n_tasks, n_tasks)
        The correlations.
    of_folds : ndarray of shape (N_FOLDS, n_tasks, n_tasks)
        The correlations that the rows outside of each fold give; row i is in fold `i % N_FOLDS`.
    """
    rows = np.flatnonzero((scores.weight > 0).sum(axis=1) >= 2)
    n_tasks, fold = scores.weight.shape[1], np.arange(len(scores.weight)) % N_FOLDS
    if len(rows) < LEAST_ROWS:
        return np.eye(n_tasks), np.tile(np.eye(n_tasks), (N_FOLDS, 1, 1))
    of_folds = np.stack([correlate(scores.take(rows[fold[rows] != own])) for own in range(N_FOLDS)])
    gains = np.zeros(len(SHARES))
    for own, found in enumerate(of_folds):
        judged = scores.take(evenly(rows[fold[rows] == own], N_JUDGED // N_FOLDS))
        gains += [gain(towards_zero(found, share), judged, margins) for share in SHARES]
    is_best = gains >= gains.max() - LEAST_GAIN
    share = SHARES[-1 if is_best[-1] else int(is_best.argmax())]
    return towards_zero(correlate(scores), share), np.stack([towards_zero(found, share) for found in of_folds])


def towards_zero(correlation: NDArray, share: float) -> NDArray:
    """Return correlations multiplied by a factor."""
    return share * correlation + (1 - share) * np.eye(len(correlation))


def gain(correlation: NDArray, scores: LabelScores, margins: Sequence[Margin]) -> float:
    """Return how much better each label is predicted given all others of its row than without them, in nats.

    For a number it is `-n / 2 log(sum of squared errors given the others / sum of squared errors)`; for a class or a
    count, the difference of the log-likelihoods. The others are taken to be at their mean scores.
    """
    mean, std = np.zeros(scores.weight.shape), np.ones(scores.weight.shape)
    for rows, own in patterns(scores.weight > 0):
        inverse = np.linalg.inv(correlation[np.ix_(own, own)])
        z, precision = scores.centres[np.ix_(rows, own)], np.diag(inverse)
        mean[np.ix_(rows, own)], std[np.ix_(rows, own)] = z - z @ inverse / precision, precision**-0.5
    total = 0.0
    for task, margin in enumerate(margins):
        known = scores.weight[:, task] > 0
        parts = (scores.centres, scores.low, scores.high, mean, std, scores.weight)
        total += margin.gain(*(part[known, task] for part in parts)) if known.any() else 0.0
    return total


def correlate(scores: LabelScores) -> NDArray:
    """Return the correlations of normal scores of which intervals are known, by the method of moments.

    For normal scores with correlation r, Mehler's formula gives `E[c_s c_t] = sum_k r^k a_sk a_tk`, where c is the mean
    score within the interval of a label and `a` its Hermite series. The correlation of a pair of tasks solves this for
    the sum over the rows with both labels. For numbers it is the usual coefficient. Correlations are then shrunk
    towards zero as empirical Bayes would, each by its variance and by how large correlations are in general.

    Parameters
    ----------
    scores : LabelScores
        What is known of the normal scores of labels.

    Returns
    -------
    ndarray of shape (n_tasks, n_tasks)
        A correlation matrix, positive definite.
    """
    centres, terms, weight = scores.centres, scores.terms, scores.weight
    root = np.sqrt(weight / np.maximum(weight.max(initial=0.0), np.finfo(float).tiny))
    products = (root * centres).T @ (root * centres)
    series = np.stack([(root * own).T @ (root * own) for own in terms])
    # The score of a number is known, and with it the second moment over the very rows of the pair.
    is_exact = np.all(terms[1:] == 0, axis=(0, 1))
    squares = (root * centres**2).T @ root
    both = is_exact[:, None] & is_exact
    series[0][both] = np.sqrt(squares * squares.T)[both]
    found = _solve(series, products)
    n_pairs = series[0]
    found[n_pairs < LEAST_PAIRS] = 0.0
    variance = (1 - found**2) ** 2 / np.maximum(n_pairs, LEAST_PAIRS)
    return _hold_back(_positive(_shrink(found, variance, n_pairs >= LEAST_PAIRS)), root)


def _solve(series: NDArray, products: NDArray) -> NDArray:
    """Return where series without a constant term, shape (n_terms, ...), reach given values, by bisection."""
    low, high = np.full(products.shape, -LARGEST_CORRELATION), np.full(products.shape, LARGEST_CORRELATION)
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        value = np.zeros_like(middle)
        for own in series[::-1]:
            value = (value + own) * middle
        low, high = np.where(value < products, middle, low), np.where(value < products, high, middle)
    return (low + high) / 2


def _shrink(correlation: NDArray, variance: NDArray, counted: NDArray[np.bool_]) -> NDArray:
    """Shrink correlations by the variance that they have as estimates, against their variance from pair to pair."""
    pairs = np.triu(counted, 1)
    if not pairs.any():
        return np.eye(len(correlation))
    between = max(0.0, float(np.mean(correlation[pairs] ** 2 - variance[pairs])))
    shrunk = correlation * between / (between + variance) if between else np.zeros_like(correlation)
    np.fill_diagonal(shrunk, 1.0)
    return shrunk


def _hold_back(correlation: NDArray, root: NDArray) -> NDArray:
    """Shrink correlations that come from other rows for each pair, which together may say what no row does.

    That of tasks s and t is multiplied by `sqrt(d_s d_t)`. If m rows have a label of task t or of the task that it
    shares most rows with, and n of them both, `d_t = n / (n + (1 - n / m) * n_tasks)`: as if some rows more had
    independent labels. No eigenvalue is then below the least of `1 - d`. Where no label is missing, d is 1.

    Parameters
    ----------
    correlation : ndarray of shape (n_tasks, n_tasks)
        A positive definite matrix.
    root : ndarray of shape (n_rows, n_tasks)
        Square roots of the weights of labels, zero without one.
    """
    n_tasks, least = len(correlation), np.finfo(float).tiny
    shared = root.T @ root
    alone = shared.diagonal().copy()
    np.fill_diagonal(shared, 0.0)
    n = shared.max(axis=1)
    either = alone + alone[shared.argmax(axis=1)] - n
    part = np.sqrt(n / np.maximum(n + (1 - n / np.maximum(either, least)) * n_tasks, least))
    held = correlation * np.outer(part, part)
    np.fill_diagonal(held, 1.0)
    return held


def _positive(correlation: NDArray) -> NDArray:
    """Return a close matrix that is positive definite, with ones on the diagonal."""
    values, vectors = np.linalg.eigh(correlation)
    if values[0] >= LEAST_EIGENVALUE:
        return correlation
    positive = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(positive))
    return positive / scale / scale[:, None]
