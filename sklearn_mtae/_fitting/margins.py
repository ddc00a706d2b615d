"""Predictive distributions of tasks as normal scores: the scale on which labels of all kinds depend on each other.

The score of a label is the normal quantile of the probability of less. A number has one score. A count or a class has
an interval of scores, a cell, since its distribution function jumps.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from sklearn_mtae.nn.likelihoods._marginals import Map, learn_map

from .predictions import OfTask

FARTHEST = 8.0
"""Largest normal score: what is less probable than 1e-15 counts as that."""
N_TERMS = 12
"""Terms of the Hermite series of a score."""
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(48)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()
UNBOUNDED = np.array([-np.inf, np.inf])
TYPICAL_REACH = float(-ndtri(0.015))
"""Largest score of the intervals whose shortest form is chosen: they hold 97 %."""
LOWER_SHARES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9, 0.05, 0.95, 0.02, 0.98)
"""Parts of the labels outside of an interval that may be below it."""


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

    lower_share = 0.5
    """Which part of the labels outside of an interval is below it."""

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

    def errors_at(self, z: NDArray) -> NDArray:
        """Return the standardised errors at scores: the same numbers where errors are normal."""
        return z

    def slopes(self, z: NDArray) -> NDArray:
        """Return how fast errors rise with their scores, in standard deviations: 1 where errors are normal."""
        return np.ones(z.shape)

    def log_slopes(self, z: NDArray) -> NDArray:
        """Return by how much the logs of the slopes exceed their mean over standard normal scores."""
        return np.zeros(z.shape)

    @property
    def least_log_slope(self) -> float:
        """Least of `log_slopes`."""
        return 0.0

    def ends(self, reach: float) -> NDArray:
        """Return the scores of the ends of the interval that holds as much as the scores up to a largest one."""
        outside = 2 * ndtr(-reach)
        return np.array([ndtri(self.lower_share * outside), -ndtri((1 - self.lower_share) * outside)])

    def reaches(self, z: NDArray) -> NDArray:
        """Return the largest scores of the intervals on whose ends scores lie: the inverse of `ends`."""
        return -ndtri(np.minimum(ndtr(z) / self.lower_share, ndtr(-z) / (1 - self.lower_share)) / 2)

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
    """Numbers, whose standardised errors have one distribution: normal, or as those of held-out rows are.

    Parameters
    ----------
    map : Map
        From errors to normal scores.
    farthest : float, default=8
        Largest score that is taken from a known label: where the map is bent, nothing is known of errors beyond those
        that it was learned from.
    lower_share : float, default=0.5
        Which part of the labels outside of an interval is below it, so that intervals are short.
    """

    map: Map
    farthest: float = FARTHEST
    lower_share: float = 0.5

    @classmethod
    def learn(cls, errors: NDArray, weight: NDArray) -> "OfNumbers":
        """Learn the distribution of errors: normal with mean 0 and variance 1, unless the data object.

        What objects is the Bayesian information criterion. A bent map stays as the errors have it: with long tails, a
        small shift moves most errors past the narrow middle of the distribution.
        """
        own = cls(learn_map(errors, weight, UNBOUNDED))
        if not len(own.map.edges):
            (mean,), (std,) = own.moments
            return cls(own.map._replace(origin=(own.map.origin - mean) / std, slope=own.map.slope * std))
        own = replace(own, farthest=float(-ndtri(0.5 / (len(errors) + 1))))
        widths = [np.ptp(own.errors_at(replace(own, lower_share=share).ends(TYPICAL_REACH))) for share in LOWER_SHARES]
        return replace(own, lower_share=LOWER_SHARES[int(np.argmin(widths))])

    @property
    def moments(self) -> tuple[NDArray, NDArray]:
        """Mean and standard deviation of errors, each of shape (1,)."""
        mean, square = self._moments(np.zeros(1), 1.0)
        return mean, np.sqrt(square - mean**2)

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
        """Return the predictions if the scores have other distributions: they change as the moments of errors do."""
        moments = self._moments(scores.mean, scores.std)
        first, second = ((scores.weight * moment).sum(axis=0) for moment in moments)
        mean, std = self.moments
        part = np.sqrt(np.maximum(second - first**2, 0.0)) / std
        return OfTask(own.mean + own.std * (first - mean), own.std * part, None)

    def gain(self, z: NDArray, low: NDArray, high: NDArray, mean: NDArray, std: NDArray, weight: NDArray) -> float:
        """Return half the log of the ratio of squared errors, for each label."""
        errors = self.errors_at(z)
        away = errors - (self._moments(mean, std)[0] - self.moments[0])
        before, after = weight @ errors**2, weight @ away**2
        return 0.5 * weight.sum() * float(np.log(before / after)) if before > 0 and after > 0 else 0.0

    def resolved(self, own: OfTask, scores: Scores) -> NDArray:
        """Return the variance of the scores: a label gives its score away."""
        return scores.moments[1]

    def slopes(self, z: NDArray) -> NDArray:
        """Return how fast standardised errors rise with their scores: not at all where a value occurs often."""
        slope = self.map.slope[self._region(z)]
        return np.divide(1.0, slope, out=np.zeros_like(slope), where=slope > 0)

    def log_slopes(self, z: NDArray) -> NDArray:
        """Return by how much logs of slopes exceed their mean; zero if a value occurs often, which has no density."""
        return self._log_slopes_of_regions()[self._region(z)]

    @property
    def least_log_slope(self) -> float:
        """Least of `log_slopes`."""
        return float(self._log_slopes_of_regions().min())

    def _log_slopes_of_regions(self) -> NDArray:
        if not self.map.slope.all():
            return np.zeros(len(self.map.slope))
        logs = -np.log(self.map.slope)
        return logs - np.diff(ndtr(self.map.levels), prepend=0.0, append=1.0) @ logs

    def errors_at(self, z: NDArray) -> NDArray:
        """Return the standardised errors at scores."""
        region = self._region(z)
        return self.map.origin[region] + self.slopes(z) * (z - self.map.score[region])

    def _region(self, z: NDArray) -> NDArray:
        """Return the regions of the map that scores are in."""
        return np.searchsorted(self.map.levels, z)

    def _moments(self, mean: NDArray, std: NDArray | float) -> tuple[NDArray, NDArray]:
        """Return means of errors and of their squares, given scores that are normal with these moments.

        Beyond the errors that a bent map was learned from it says nothing, and moments would depend on it much.
        """
        errors = self.errors_at(mean[..., None] + np.asarray(std)[..., None] * NODES)
        if len(self.map.edges):
            errors = errors.clip(self.map.edges[0], self.map.edges[-1])
        return errors @ NODE_WEIGHTS, errors**2 @ NODE_WEIGHTS
