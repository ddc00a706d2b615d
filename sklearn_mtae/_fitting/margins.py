"""Predictive distributions of tasks as normal scores: the scale on which labels of all kinds depend on each other.

The score of a label is the normal quantile of the probability of less. A number has one score. A count or a class has
an interval of scores, a cell, since its distribution function jumps.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp, ndtr, ndtri
from scipy.stats import nbinom

from sklearn_mtae.nn.likelihoods._marginals import Map, learn_map, mean_score

from .predictions import OfTask

FARTHEST = 8.0
"""Largest normal score: what is less probable than 1e-15 counts as that."""
N_TERMS = 12
"""Terms of the Hermite series of a score."""
MOST_CELLS = 65
"""Maximum number of cells of a count's distribution; if it is wider, a cell holds several counts."""
LEAST_SURPLUS = 1e-6
"""Least variance of a count beyond its mean, as a fraction of that: a Poisson distribution, but for rounding."""
LEAST_SHARE = 1e-7
"""Probability on either side of a count's distribution that the outermost cell takes in."""
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(48)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()
UNBOUNDED = np.array([-np.inf, np.inf])


class Scores(NamedTuple):
    """Normal scores of rows that are not standard normal: a mixture of normal distributions."""

    mean: NDArray
    """Means, shape (n_draws, n_rows)."""
    std: float
    """Standard deviation of each."""
    weight: NDArray
    """Weights in the mixture, which add up to 1 for each row; shape (n_draws, n_rows)."""

    @property
    def moments(self) -> tuple[NDArray, NDArray]:
        """Mean and variance of the mixture, each of shape (n_rows,)."""
        centre = (self.weight * self.mean).sum(axis=0)
        return centre, self.std**2 + (self.weight * (self.mean - centre) ** 2).sum(axis=0)

    def ends(self, margin: "Margin", own: OfTask, share: float) -> NDArray:
        """Return the ends of the labels that lie in the middle with a probability, shape (2, n_rows).

        A mixture counts as one normal distribution.
        """
        mean, variance = self.moments
        return margin.values(own, mean + ndtri([[(1 - share) / 2], [(1 + share) / 2]]) * np.sqrt(variance))


class Margin(ABC):
    """The predictive distributions of a task, one for each row."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of values that stand for a distribution, which bounds how many rows are computed at once."""

    @abstractmethod
    def intervals(self, own: OfTask, y: NDArray) -> tuple[NDArray, NDArray]:
        """Return the lower and upper ends of the scores of labels, each of shape (n_rows,)."""

    @abstractmethod
    def centres(self, own: OfTask, y: NDArray) -> NDArray:
        """Return the mean scores of labels, shape (n_rows,)."""

    @abstractmethod
    def terms(self, own: OfTask) -> NDArray:
        """Return the Hermite series of the mean score of a label as a function of the score, shape (n_rows, N_TERMS).

        Term k is E[centre(z) He_k(z)] / sqrt(k!) for a standard normal score z, from k = 1 on.
        """

    @abstractmethod
    def values(self, own: OfTask, z: NDArray) -> NDArray:
        """Return the labels at scores of shape (n_draws, n_rows)."""

    def slopes(self, z: NDArray) -> NDArray:
        """Return how fast errors rise with their scores, in standard deviations: 1 where errors are normal."""
        return np.ones(z.shape)

    @abstractmethod
    def given(self, own: OfTask, scores: Scores) -> OfTask:
        """Return the predictions if the scores are no longer standard normal."""

    @abstractmethod
    def gain(self, z: NDArray, low: NDArray, high: NDArray, mean: NDArray, std: NDArray, weight: NDArray) -> float:
        """Return how much better labels are predicted by scores with given moments than by standard normal ones.

        Parameters
        ----------
        z, low, high : ndarray of shape (n_rows,)
            Mean scores of labels, and the ends of the scores.
        mean, std : ndarray of shape (n_rows,)
            Predicted moments of the scores.
        weight : ndarray of shape (n_rows,)
            Weights of the labels.
        """

    @abstractmethod
    def resolved(self, own: OfTask, scores: Scores) -> NDArray:
        """Return the variance of scores that knowing the label takes away, on average; shape (n_rows,)."""


@dataclass(frozen=True, eq=False)
class OfNumbers(Margin):
    """Numbers, whose standardised errors have one distribution, with mean 0 and variance 1.

    Parameters
    ----------
    map : Map
        From errors to normal scores.
    farthest : float
        Largest score that is taken from a known label: where the map is bent, nothing is known of errors beyond those
        that it was learned from.
    """

    map: Map
    farthest: float = FARTHEST

    @classmethod
    def learn(cls, errors: NDArray, weight: NDArray) -> "OfNumbers":
        """Learn the distribution of errors: normal, unless the Bayesian information criterion objects."""
        own = cls(learn_map(errors, weight, UNBOUNDED))
        (mean,), (square,) = own._moments(np.zeros(1), 1.0)
        scale = sqrt(square - mean**2)
        edges, origin = ((part - mean) / scale for part in (own.map.edges, own.map.origin))
        farthest = float(-ndtri(0.5 / (len(errors) + 1))) if len(edges) else FARTHEST
        return cls(own.map._replace(edges=edges, origin=origin, slope=own.map.slope * scale), farthest)

    @property
    def width(self) -> int:
        """Number of nodes of a normal distribution."""
        return len(NODES)

    def intervals(self, own: OfTask, y: NDArray) -> tuple[NDArray, NDArray]:
        """Return the scores of labels, twice."""
        z = self.centres(own, y).clip(-self.farthest, self.farthest)
        return z, z

    def centres(self, own: OfTask, y: NDArray) -> NDArray:
        """Return the scores of labels."""
        errors = own.errors(y)
        region = np.searchsorted(self.map.edges, errors)
        scores = self.map.score[region] + self.map.slope[region] * (errors - self.map.origin[region])
        return np.clip(scores, -FARTHEST, FARTHEST)

    def terms(self, own: OfTask) -> NDArray:
        """Return the series of the score itself, which has one term."""
        return np.eye(1, N_TERMS).repeat(len(own.mean), axis=0)

    def values(self, own: OfTask, z: NDArray) -> NDArray:
        """Return the labels at scores of shape (n_draws, n_rows)."""
        return own.mean + own.std * self.errors_at(z)

    def given(self, own: OfTask, scores: Scores) -> OfTask:
        """Return the predictions if the scores have other distributions."""
        moments = self._moments(scores.mean, scores.std)
        first, second = ((scores.weight * moment).sum(axis=0) for moment in moments)
        return OfTask(own.mean + own.std * first, own.std * np.sqrt(np.maximum(second - first**2, 0.0)), None)

    def gain(self, z: NDArray, low: NDArray, high: NDArray, mean: NDArray, std: NDArray, weight: NDArray) -> float:
        """Return half the log of the ratio of squared errors, for each label."""
        errors = self.errors_at(z)
        away = errors - self._moments(mean, std)[0]
        before, after = weight @ errors**2, weight @ away**2
        return 0.5 * weight.sum() * float(np.log(before / after)) if before > 0 and after > 0 else 0.0

    def resolved(self, own: OfTask, scores: Scores) -> NDArray:
        """Return the variance of the scores: a label gives its score away."""
        return scores.moments[1]

    def slopes(self, z: NDArray) -> NDArray:
        """Return how fast standardised errors rise with their scores: not at all where a value occurs often."""
        slope = self.map.slope[np.searchsorted(self.map.levels, z)]
        return np.divide(1.0, slope, out=np.zeros_like(slope), where=slope > 0)

    def errors_at(self, z: NDArray) -> NDArray:
        """Return the standardised errors at scores."""
        region = np.searchsorted(self.map.levels, z)
        return self.map.origin[region] + self.slopes(z) * (z - self.map.score[region])

    def _moments(self, mean: NDArray, std: NDArray | float) -> tuple[NDArray, NDArray]:
        """Return means of errors and of their squares, given scores that are normal with these moments."""
        errors = self.errors_at(mean[..., None] + np.asarray(std)[..., None] * NODES)
        return errors @ NODE_WEIGHTS, errors**2 @ NODE_WEIGHTS


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
