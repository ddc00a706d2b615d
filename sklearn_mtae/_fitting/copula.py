"""A Gaussian copula of the tasks: how labels of a row depend on each other beyond their predictions.

Each label has a normal score given its prediction (see `margins`), and the scores of a row are jointly normal. Their
correlations come from pairs of labels, so that rows with missing labels count as well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from .cell_margins import OfClasses
from .margins import FARTHEST, Margin
from .predictions import Predictions


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
        Sorted levels of the deviances of held-out rows: see `deviances` and `level_of`.
    box_levels : ndarray
        Sorted levels of their largest scores: see `largest_reach` and `box_level_of`.
    is_learned : bool, default=True
        Whether enough rows had labels of two tasks; otherwise tasks count as independent.
    is_box : bool, default=False
        Whether joint regions are boxes rather than where the density is high.
    """

    margins: list[Margin]
    correlation: NDArray
    levels: NDArray = field(default_factory=lambda: np.zeros(0))
    box_levels: NDArray = field(default_factory=lambda: np.zeros(0))
    is_learned: bool = True
    is_box: bool = False

    @property
    def numbers(self) -> list[int]:
        """Positions of the tasks of numbers and counts, which joint regions are of."""
        return [task for task, margin in enumerate(self.margins) if not isinstance(margin, OfClasses)]

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


def deviances(margins: Sequence[Margin], correlation: NDArray, scores: NDArray) -> NDArray:
    """Return minus twice the log-densities of labels with some scores, up to a constant; shape (n_rows,).

    If errors are normal, they are the squared Mahalanobis lengths of the scores. Otherwise the density is lower where
    errors rise faster with the scores.
    """
    total = distances(correlation, scores)
    for margin, own in zip(margins, scores.T, strict=True):
        known = ~np.isnan(own)
        total[known] += 2 * margin.log_slopes(own[known])
    return total


def largest_reach(margins: Sequence[Margin], scores: NDArray) -> NDArray:
    """Return the largest of the reaches of each row's scores, on which the shortest box that has them in it ends."""
    reaches = np.column_stack([margin.reaches(own) for margin, own in zip(margins, scores.T, strict=True)])
    return np.nanmax(reaches, axis=1)


def level_of(deviance: NDArray, n_tasks: NDArray | int) -> NDArray:
    """Return the level of a deviance: its normal score where errors are normal, whatever the number of tasks.

    Of a chi-squared variable, by the cube root of Wilson and Hilferty (1931): an increasing function for any errors.
    """
    spread = 2 / (9 * np.maximum(n_tasks, 1))
    return (np.cbrt(deviance / np.maximum(n_tasks, 1)) - (1 - spread)) / np.sqrt(spread)


def deviance_at(level: float, n_tasks: int) -> float:
    """Return the deviance at a level: the inverse of `level_of`."""
    spread = 2 / (9 * n_tasks)
    return n_tasks * (1 - spread + level * spread**0.5) ** 3


def box_level_of(largest: NDArray, n_tasks: NDArray) -> NDArray:
    """Return the level of the largest absolute score among a number of tasks.

    `-log(-n log(P(|z| <= largest)))`, which has the same distribution for any number n of independent normal scores.
    """
    with np.errstate(divide="ignore"):
        return -np.log(-np.maximum(n_tasks, 1) * np.log1p(-2 * ndtr(-np.minimum(largest, FARTHEST))))


def reach_at(level: float, n_tasks: int) -> float:
    """Return the largest absolute score at a level: the inverse of `box_level_of`."""
    return -float(ndtri(-np.expm1(-np.exp(-level) / n_tasks) / 2))
