"""Predictive distributions of counts and classes, whose distribution functions jump."""

from abc import abstractmethod
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp, ndtr, ndtri
from scipy.stats import nbinom

from sklearn_mtae.nn.likelihoods._marginals import mean_score

from .margins import FARTHEST, N_TERMS, Margin, Scores
from .predictions import OfTask

MOST_CELLS = 65
"""Maximum number of cells of a count's distribution; if it is wider, a cell holds several counts."""
LEAST_SURPLUS = 1e-6
"""Least variance of a count beyond its mean, as a fraction of that: a Poisson distribution, but for rounding."""
LEAST_SHARE = 1e-7
"""Probability on either side of a count's distribution that the outermost cell takes in."""


class Cells(NamedTuple):
    """Discrete distributions, one for each row: values, and the normal scores between them."""

    values: NDArray
    """Counts, or positions of classes; shape (n_rows, n_cells)."""
    edges: NDArray
    """Scores between neighbours, shape (n_rows, n_cells - 1)."""

    @property
    def ends(self) -> NDArray:
        """Edges with the infinite ends of the outermost cells, shape (n_rows, n_cells + 1)."""
        return np.pad(self.edges, ((0, 0), (1, 1)), constant_values=((0, 0), (-np.inf, np.inf)))

    def log_probabilities(self, mean: NDArray, std: float) -> NDArray:
        """Return the logs of the cells' probabilities, given normal scores: shape (*mean.shape, n_cells)."""
        ends = (self.ends - mean[..., None]) / std
        return _log_share(ends[..., :-1], ends[..., 1:])


def mean_scores(ends: NDArray) -> NDArray:
    """Return the means of a standard normal variable between neighbouring ends, shape (n_rows, n_ends - 1)."""
    means = mean_score(ends[:, :-1], ends[:, 1:])
    ends = ends.clip(-FARTHEST, FARTHEST)
    return np.clip(means, ends[:, :-1], ends[:, 1:])


class OfCells(Margin):
    """Base of the margins with jumps."""

    @abstractmethod
    def cells(self, own: OfTask) -> Cells:
        """Return the distributions of rows."""

    def centres(self, own: OfTask, y: NDArray) -> NDArray:
        """Return the mean scores within the intervals of labels."""
        return mean_scores(np.stack(self.intervals(own, y), axis=1))[:, 0]

    def gain(self, z: NDArray, low: NDArray, high: NDArray, mean: NDArray, std: NDArray, weight: NDArray) -> float:
        """Return the difference of the log-likelihoods."""
        after, before = _log_share((low - mean) / std, (high - mean) / std), _log_share(low, high)
        return float(weight @ np.maximum(after - before, -(FARTHEST**2)))

    def terms(self, own: OfTask) -> NDArray:
        """Return the series of a function that jumps at each edge."""
        cells = self.cells(own)
        jumps = np.diff(mean_scores(cells.ends), axis=1) * np.exp(-0.5 * cells.edges**2) / sqrt(2 * np.pi)
        terms, before, polynomial = [], np.zeros_like(jumps), np.ones_like(jumps)
        for k in range(1, N_TERMS + 1):  # the polynomial is He_(k - 1) / sqrt((k - 1)!)
            terms.append((jumps * polynomial).sum(axis=1) / sqrt(k))
            before, polynomial = polynomial, (cells.edges * polynomial - sqrt(k - 1) * before) / sqrt(k)
        return np.stack(terms, axis=1)

    def resolved(self, own: OfTask, scores: Scores) -> NDArray:
        """Return the variance of the mean score over the cells, as if the mixture were one normal distribution."""
        cells, (mean, variance) = self.cells(own), scores.moments
        std = np.sqrt(variance)[:, None]
        moved = cells._replace(edges=(cells.edges - mean[:, None]) / std)
        return variance * (np.diff(ndtr(moved.ends), axis=1) * mean_scores(moved.ends) ** 2).sum(axis=1)


@dataclass(frozen=True, eq=False)
class OfClasses(OfCells):
    """Classes, as cells of probabilities side by side.

    Parameters
    ----------
    order : ndarray of int of shape (n_classes,)
        Positions of the classes, in the order along which they go with other tasks.
    """

    order: NDArray

    @property
    def width(self) -> int:
        """Number of classes."""
        return len(self.order)

    def cells(self, own: OfTask) -> Cells:
        """Return the distributions of rows."""
        assert own.log_probabilities is not None
        below = np.exp(own.log_probabilities[:, self.order].astype(np.float64)).cumsum(axis=1)
        values = np.broadcast_to(self.order.astype(np.float64), below.shape)
        return Cells(values, _scores(below[:, :-1] / below[:, -1:]))

    def intervals(self, own: OfTask, y: NDArray) -> tuple[NDArray, NDArray]:
        """Return the ends of the cells of labels."""
        cells = self.cells(own)
        rows, place = np.arange(len(y)), (cells.values == y[:, None]).argmax(axis=1)
        return cells.ends[rows, place], cells.ends[rows, place + 1]

    def values(self, own: OfTask, z: NDArray) -> NDArray:
        """Return the labels at scores of shape (n_draws, n_rows)."""
        places = (self.cells(own).edges.T[:, None] < z).sum(axis=0)
        return self.order[places].astype(np.float64)

    def given(self, own: OfTask, scores: Scores) -> OfTask:
        """Return the predictions if the scores have other distributions."""
        assert own.log_probabilities is not None
        with np.errstate(divide="ignore"):
            logs = self.cells(own).log_probabilities(scores.mean, scores.std) + np.log(scores.weight)[..., None]
        columns = np.full(own.log_probabilities.shape, -np.inf)
        columns[:, self.order] = logsumexp(logs, axis=0)
        return own._replace(log_probabilities=columns)


@dataclass(frozen=True, eq=False)
class OfCounts(OfCells):
    """Counts, which have negative binomial distributions with the predicted means and deviations.

    Where counts vary less than in a Poisson distribution, it is that one.

    Parameters
    ----------
    is_binary : bool
        Whether there are no counts above 1.
    """

    is_binary: bool

    @property
    def width(self) -> int:
        """Maximum number of cells."""
        return 2 if self.is_binary else MOST_CELLS

    def cells(self, own: OfTask) -> Cells:
        """Return the distributions of rows; a cell holds several counts where there are many."""
        if self.is_binary:
            return Cells(np.tile([0.0, 1.0], (len(own.mean), 1)), self._ends(own, np.zeros((len(own.mean), 1))))
        low, high = (nbinom.ppf(p, *_size(own)) for p in (LEAST_SHARE, 1 - LEAST_SHARE))
        step = 2 * np.ceil((high - low + 1) / MOST_CELLS / 2 - 0.5) + 1  # odd: a cell has a count in its middle
        n_cells = max(2, int(((high - low) // step).max(initial=0)) + 1)
        values = low[:, None] + step[:, None] * np.arange(n_cells)
        return Cells(values, self._ends(own, values[:, :-1] + step[:, None] // 2))

    def intervals(self, own: OfTask, y: NDArray) -> tuple[NDArray, NDArray]:
        """Return the scores between a count and the next lower and higher one."""
        y = np.round(y)[:, None]
        return self._ends(own, y - 1)[:, 0], self._ends(own, y)[:, 0]

    def values(self, own: OfTask, z: NDArray) -> NDArray:
        """Return the labels at scores of shape (n_draws, n_rows)."""
        if self.is_binary:
            return (z > self._ends(own, np.zeros((len(own.mean), 1)))[:, 0]).astype(np.float64)
        return nbinom.ppf(ndtr(z.clip(-FARTHEST, FARTHEST)), *_size(own))

    def given(self, own: OfTask, scores: Scores) -> OfTask:
        """Return the predictions if the scores have other distributions."""
        cells = self.cells(own)
        below = sum(
            weight[:, None] * ndtr((cells.edges - mean[:, None]) / scores.std)
            for weight, mean in zip(scores.weight, scores.mean, strict=True)
        )
        share = np.diff(below, axis=1, prepend=0.0, append=1.0)
        mean = (share * cells.values).sum(axis=1)
        return OfTask(mean, np.sqrt((share * (cells.values - mean[:, None]) ** 2).sum(axis=1)), None)

    def _ends(self, own: OfTask, y: NDArray) -> NDArray:
        """Return the scores up to which counts are at most `y`, shape (n_rows, n_values)."""
        if self.is_binary:
            return _scores(np.clip(y + 1, 0.0, 1.0) - (y == 0) * own.mean.clip(0, 1)[:, None])
        return _scores(nbinom.cdf(y, *(part[:, None] for part in _size(own))))


def _size(own: OfTask) -> tuple[NDArray, NDArray]:
    """Return the parameters of negative binomial distributions with given moments."""
    mean = np.maximum(own.mean, 1e-12)
    surplus = np.maximum(own.std**2 - mean, LEAST_SURPLUS * mean)
    return mean**2 / surplus, mean / (mean + surplus)


def _log_share(low: NDArray, high: NDArray) -> NDArray:
    """Return the log of the probability of a standard normal variable between two ends."""
    # What is in the upper tail is computed in the lower one, which has the digits.
    is_upper = low > 0
    low, high = np.where(is_upper, -high, low), np.where(is_upper, -low, high)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = log_ndtr(high) + np.log1p(-np.exp(log_ndtr(low) - log_ndtr(high)))
    return np.where(high > low, logs, -np.inf)


def _scores(probabilities: NDArray) -> NDArray:
    return np.clip(ndtri(probabilities), -FARTHEST, FARTHEST)
