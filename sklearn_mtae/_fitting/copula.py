"""A Gaussian copula of the tasks: how labels of a row depend on each other beyond their predictions.

Each label has a normal score given its prediction (see `margins`), and the scores of a row are jointly normal. Their
correlations come from pairs of labels, so that rows with missing labels count as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .margins import Margin
from .predictions import Predictions

LARGEST_CORRELATION = 0.995
LEAST_PAIRS = 3.0
"""Effective number of rows with both labels below which two tasks count as independent."""
LEAST_EIGENVALUE = 1e-4
N_HALVINGS = 40


@dataclass(frozen=True, eq=False)
class Copula:
    """A Gaussian copula of the tasks.

    Parameters
    ----------
    margins : list of Margin
        The predictive distributions of the tasks.
    correlation : ndarray of shape (n_tasks, n_tasks)
        Correlations of the normal scores of labels, given their predictions.
    levels : ndarray
        Sorted levels of the distances of held-out rows from their predictions: see `level_of`.
    """

    margins: list[Margin]
    correlation: NDArray
    levels: NDArray

    def intervals(self, predicted: Predictions, y: NDArray) -> tuple[NDArray, NDArray]:
        """Return the ends of the scores of labels, each of shape (n_rows, n_tasks); NaN without a label."""
        ends = np.full((2, *y.shape), np.nan)
        for task, margin in enumerate(self.margins):
            known = np.flatnonzero(~np.isnan(y[:, task]))
            ends[:, known, task] = margin.intervals(predicted.take(known).of(task), y[known, task])
        return ends[0], ends[1]


def patterns(known: NDArray[np.bool_]) -> Iterator[tuple[NDArray, NDArray[np.bool_]]]:
    """Yield the index of the rows that have the same labels, and which labels these are."""
    kinds, kind_of = np.unique(known, axis=0, return_inverse=True)
    for kind, own in enumerate(kinds):
        yield np.flatnonzero(kind_of.ravel() == kind), own


def distances(correlation: NDArray, errors: NDArray) -> NDArray:
    """Return the squared Mahalanobis lengths of errors, NaN where there is none; shape (n_rows,)."""
    squares = np.zeros(len(errors))
    for rows, own in patterns(~np.isnan(errors)):
        part = errors[np.ix_(rows, own)]
        squares[rows] = (part * np.linalg.solve(correlation[np.ix_(own, own)], part.T).T).sum(axis=1)
    return squares


def level_of(square: NDArray, n_tasks: NDArray | int) -> NDArray:
    """Return the level of a squared length: its normal score where errors are normal, whatever the number of tasks.

    Of a chi-squared variable, by the cube root of Wilson and Hilferty (1931): an increasing function for any errors.
    """
    spread = 2 / (9 * np.maximum(n_tasks, 1))
    return (np.cbrt(square / np.maximum(n_tasks, 1)) - (1 - spread)) / np.sqrt(spread)


def square_at(level: float, n_tasks: int) -> float:
    """Return the squared length at a level: the inverse of `level_of`."""
    spread = 2 / (9 * n_tasks)
    return n_tasks * max(0.0, 1 - spread + level * spread**0.5) ** 3


def correlate(centres: NDArray, terms: NDArray, weight: NDArray) -> NDArray:
    """Return the correlations of normal scores of which intervals are known, by the method of moments.

    For normal scores with correlation r, Mehler's formula gives `E[c_s c_t] = sum_k r^k a_sk a_tk`, where c is the mean
    score within the interval of a label and `a` its Hermite series. The correlation of a pair of tasks solves this for
    the sum over the rows with both labels. For numbers it is the usual coefficient. Correlations are then shrunk
    towards zero as empirical Bayes would, each by its variance and by how large correlations are in general.

    Parameters
    ----------
    centres : ndarray of shape (n_rows, n_tasks)
        Mean scores of labels, zero without one.
    terms : ndarray of shape (n_terms, n_rows, n_tasks)
        Their Hermite series, zero without a label.
    weight : ndarray of shape (n_rows, n_tasks)
        Weights of the labels, zero without one.

    Returns
    -------
    ndarray of shape (n_tasks, n_tasks)
        A correlation matrix, positive definite.
    """
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
    return _positive(_shrink(found, variance, n_pairs >= LEAST_PAIRS))


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


def _positive(correlation: NDArray) -> NDArray:
    """Return a close matrix that is positive definite, with ones on the diagonal."""
    values, vectors = np.linalg.eigh(correlation)
    if values[0] >= LEAST_EIGENVALUE:
        return correlation
    positive = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(positive))
    return positive / scale / scale[:, None]
