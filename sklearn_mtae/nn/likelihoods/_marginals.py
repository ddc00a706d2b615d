"""Maps from the values of a column to normal scores, learned from its quantiles."""

import heapq
from bisect import bisect_right
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

MOST_EDGES = 256
"""Edges of a map at most: an atom has two, a knot one."""
MOST_ATOMS = 120
N_REPEATED = 5
"""How often the values of a column occur on average, at least, for all of them to be atoms."""
OFTEN = 0.005
"""Part of the cells from which on one value among many is an atom."""
N_TRIED, N_JUDGED = 15, 1000
"""Places for a knot that are tried in a run of values, and values of the run that they are judged by, at most."""
APART = 2e-6
"""Distance of distinct values, in units of the column and relative to the value: float32 tells them apart."""
MOST_DECIMALS = 3
NORMAL_MAD = 0.6745
"""Median distance from the median of a normal distribution, in standard deviations."""
FAR = 1e4
"""A score beyond which there is nothing."""
HEAVY = 10
"""A standard deviation that is so many robust deviations comes from far values."""
ALONE, TIMES = 1e6, 1e3
"""Least distance, in units and relative to that of the value next to it, from which on a value is no outlier but a
sign, such as a code for "missing"."""
LONGEST = 1e30
"""Largest standardised distance: float32 holds it and its reciprocal."""


class Distinct(NamedTuple):
    """The distinct values of a column in ascending order, and the weight of each; the sum is the number of cells."""

    value: NDArray
    weight: NDArray


class Map(NamedTuple):
    """An increasing map by regions between edges: `score + slope * (value - origin)`; the slope of an atom is zero."""

    edges: NDArray
    """Values between the regions, shape (n_edges,)."""
    levels: NDArray
    """Scores of the edges."""
    origin: NDArray
    """A value of each region, shape (n_edges + 1,)."""
    score: NDArray
    """The score of that value."""
    slope: NDArray
    """How fast the score rises."""

    def padded(self) -> dict[str, NDArray]:
        """Return the map with as many edges as any other, those that it has not at infinity."""
        n = MOST_EDGES - len(self.edges)
        rise = np.divide(1.0, self.slope, out=np.zeros_like(self.slope), where=self.slope > 0)
        regions = {
            "origin": (self.origin, 0.0),
            "score": (self.score, 0.0),
            "slope": (self.slope, 1.0),
            "rise": (rise, 1.0),
        }
        padded = {name: np.pad(value, (0, n), constant_values=filler) for name, (value, filler) in regions.items()}
        edges = {"edges": self.edges, "levels": self.levels}
        return padded | {name: np.pad(value, (0, n), constant_values=np.inf) for name, value in edges.items()}


def learn_map(column: NDArray, weight: NDArray, bounds: NDArray) -> Map:
    """Learn the map of a column.

    Parameters
    ----------
    column : ndarray of shape (n_rows,)
        Standardised values, NaN where missing.
    weight : ndarray of shape (n_rows,)
        Weights of the values.
    bounds : ndarray of shape (2,)
        Between what the values lie; infinite where there is no bound.

    Returns
    -------
    Map
        A straight line where the Bayesian information criterion has no objection; the fewer values there are, the
        straighter.
    """
    distinct = _distinct(column, weight)
    if len(distinct.value) < 2:
        # A constant column, or one without a value: whatever else may come has a density.
        distinct = Distinct(np.r_[-1.0, 1.0] + distinct.value.sum(), np.ones(2))
    is_atom = _find_atoms(distinct)
    bent = _bent(distinct, is_atom, bounds)
    if is_atom.any() or np.isfinite(bounds).any():
        return bent
    return min(_straight(distinct), bent, key=lambda own: _criterion(own, distinct))


def learn_units(column: NDArray, weight: NDArray, mean: float, deviation: float) -> tuple[float, float]:
    """Return by what to standardise a column: what few far values cannot move, where they move mean and deviation.

    The robust deviation is the median distance from the median, as a multiple that is one for a normal column; the most
    common value does not count, however common it is.
    """
    seen = ~np.isnan(column) & (weight > 0)
    values, weight = column[seen], weight[seen]
    center = _median(values, weight) if len(values) else mean
    distance = np.abs(values - center)
    others = distance > 0
    if not others.any():
        return mean, deviation
    robust = max(_median(distance[others], weight[others]) / NORMAL_MAD, distance.max() / LONGEST)
    return (center, robust) if deviation > HEAVY * robust else (mean, deviation)


def _median(values: NDArray, weight: NDArray) -> float:
    """Return a weighted median, one of the values."""
    order = np.argsort(values, kind="stable")
    above = np.cumsum(weight[order])
    return float(values[order[np.searchsorted(above, above[-1] / 2)]])


def learn_decimals(column: NDArray) -> int:
    """Return the number of decimals that all values of a column have at most, or -1 where they have more."""
    values = column[~np.isnan(column)]
    for decimals in range(MOST_DECIMALS + 1):
        scaled = values * 10.0**decimals
        # As float32 rounds, but not more: tiny numbers are not zeros, and large ones may have fractions.
        allowed = np.minimum(1e-6 * np.abs(scaled), 0.1)
        if len(values) and (np.abs(scaled - np.round(scaled)) <= allowed).all():
            return decimals
    return -1


def _distinct(column: NDArray, weight: NDArray) -> Distinct:
    """Return the distinct observed values of a column."""
    seen = ~np.isnan(column) & (weight > 0)
    order = np.argsort(column[seen], kind="stable")
    column, weight = column[seen][order], weight[seen][order]
    starts = _starts(column)
    if not len(starts):
        return Distinct(column, weight)
    return Distinct(column[starts], np.add.reduceat(weight, starts) / weight.mean())


def _starts(column: NDArray) -> NDArray:
    """Return where distinct values begin in a sorted column: values are the same as the first of them near by."""
    starts = np.flatnonzero(np.diff(column, prepend=-np.inf) > APART * (1 + np.abs(column)))
    stops = np.append(starts[1:], len(column))
    is_long = column[stops - 1] - column[starts] > APART * (1 + np.abs(column[starts])) if len(starts) else starts > 0
    if not is_long.any():
        return starts
    # Each is close to the next, but not to all: a dense run is no single value.
    values, more = column.tolist(), []
    for place, stop in zip(starts[is_long].tolist(), stops[is_long].tolist(), strict=True):
        while (place := bisect_right(values, values[place] + APART * (1 + abs(values[place])), place, stop)) < stop:
            more.append(place)
    return np.sort(np.append(starts, more).astype(np.intp))


def _find_atoms(distinct: Distinct) -> NDArray[np.bool_]:
    """Say which values are atoms: all of a column of few, otherwise those that occur often."""
    n_cells, n_values = distinct.weight.sum(), len(distinct.value)
    if n_values <= MOST_ATOMS and n_cells >= N_REPEATED * n_values:
        return np.ones(n_values, dtype=bool)
    often = distinct.weight >= max(N_REPEATED, OFTEN * n_cells)
    often[np.argsort(-distinct.weight, kind="stable")[MOST_ATOMS:]] = False
    signs = _find_signs(distinct.value)
    return often | signs if (often | signs).sum() <= MOST_ATOMS else often


def _find_signs(value: NDArray) -> NDArray[np.bool_]:
    """Say which values are so far from all others that they must stand for something else."""
    gaps = np.diff(value, prepend=-np.inf, append=np.inf)
    distance = np.abs(value)
    beside = np.pad(distance, 1)
    inner = np.where(value > 0, beside[:-2], beside[2:])
    outer = np.where(value > 0, np.pad(distance, (0, 1), constant_values=np.inf)[1:], np.r_[np.inf, distance[:-1]])
    alone = (np.minimum(gaps[:-1], gaps[1:]) > ALONE) & (distance > TIMES * inner) & (outer > TIMES * distance)
    return alone & (len(value) > 2)


def _straight(distinct: Distinct) -> Map:
    """Return the map of a normal column: one region."""
    mean = np.average(distinct.value, weights=distinct.weight)
    variance = np.average(np.square(distinct.value - mean), weights=distinct.weight)
    none = np.zeros(0)
    return Map(none, none, np.array([mean]), np.zeros(1), np.array([1 / np.sqrt(variance)]))


def _bent(distinct: Distinct, is_atom: NDArray[np.bool_], bounds: NDArray) -> Map:
    """Return the map that bends at knots and jumps at atoms and bounds.

    One cell more is shared out over the gaps between them: a value that was not seen has a density.
    """
    is_node = is_atom.copy()
    is_node[_find_knots(distinct, is_atom)] = True
    value, atom = distinct.value[is_node], np.where(is_atom, distinct.weight, 0.0)[is_node]
    # The weight of a knot goes to both sides of it, half and half, but not into the void before a distant sign.
    loose, signs = np.where(is_atom, 0.0, distinct.weight), np.pad(_find_signs(distinct.value), 1)
    before = (np.cumsum(loose) - loose * (1.0 + signs[:-2] - signs[2:]) / 2)[is_node]
    gaps = np.diff(before, prepend=0.0, append=loose.sum()) + 1 / (len(value) + 1)
    return Nodes(value, atom, gaps).within(bounds).join()


def _find_knots(distinct: Distinct, is_atom: NDArray[np.bool_]) -> list[int]:
    """Return the positions of the knots: the ends, unless they are atoms, and where bending pays, the best first."""
    total = distinct.weight.sum()
    above = np.cumsum(distinct.weight)
    low, high = (_ndtri(np.clip(part / total, 1e-15, 1.0)) for part in (above - distinct.weight, above))
    middle = _ndtri((above - distinct.weight / 2) / total)
    last = len(is_atom) - 1
    ends = np.unique(np.r_[0, np.flatnonzero(is_atom), last])
    knots = [end for end in (0, last) if not is_atom[end]]
    left, right = (np.where(is_atom, own, middle).tolist() for own in (high, low))
    runs = [Run(distinct, middle, start, stop, left[start], right[stop]) for start, stop in pairwise(ends.tolist())]
    waiting = [own.best() for own in runs]
    heapq.heapify(waiting)
    most = MOST_EDGES - 2 * int(is_atom.sum()) - 4
    while waiting and len(knots) < most:
        loss, _, bend, run = heapq.heappop(waiting)
        if loss >= -np.log(total):
            break
        knots.append(bend)
        for part in run.split(bend):
            heapq.heappush(waiting, part.best())
    return knots


class Run(NamedTuple):
    """Values between two nodes, and the straight line through the scores of these."""

    distinct: Distinct
    scores: NDArray
    start: int
    stop: int
    left: float
    right: float

    def split(self, bend: int) -> tuple["Run", "Run"]:
        """Return the runs on both sides of a knot."""
        score = float(self.scores[bend])
        return self._replace(stop=bend, right=score), self._replace(start=bend, left=score)

    def best(self) -> tuple[float, int, int, "Run"]:
        """Return what the best knot adds to minus the log-likelihood, the run's start, the knot and the run."""
        n_inside = self.stop - self.start - 1
        if n_inside < 2:
            return 0.0, self.start, self.start, self
        value = self.distinct.value
        inside = self.start + 1 + np.unique(np.linspace(0, n_inside - 1, min(n_inside, N_JUDGED)).astype(int))
        x, weight = value[inside], self.distinct.weight[inside] * (n_inside / len(inside))
        jump = self.start + int(np.diff(value[self.start : self.stop + 1]).argmax())
        among = self.start + 1 + np.linspace(0, n_inside - 1, N_TRIED).astype(int)
        bends = np.unique(np.clip(np.r_[among, jump, jump + 1], self.start + 1, self.stop - 1))
        at, score = value[bends][:, None], self.scores[bends][:, None]
        ends = value[self.start], value[self.stop]
        below = _log_density(x, (ends[0], self.left), (at, score))
        above = _log_density(x, (at, score), (ends[1], self.right))
        straight = _log_density(x, (ends[0], self.left), (ends[1], self.right))
        gains = (np.where(x < at, below, above) - straight) @ weight
        best = int(gains.argmax())
        return -float(gains[best]), self.start, int(bends[best]), self


def _log_density(x: NDArray, first: tuple[Any, Any], second: tuple[Any, Any]) -> NDArray:
    """Return log-densities, up to a constant, of values whose scores lie on a line through two points."""
    slope = np.maximum((second[1] - first[1]) / (second[0] - first[0]), np.finfo(float).tiny)
    return np.log(slope) - 0.5 * np.square(first[1] + slope * (x - first[0]))


class Nodes(NamedTuple):
    """Where a map bends or jumps: values, how much of the column is at each of them, and in the gaps around them."""

    value: NDArray
    atom: NDArray
    gaps: NDArray
    ends: tuple[bool, bool] = (False, False)
    """Whether the first and the last node are bounds, which take in all scores beyond them."""

    def within(self, bounds: NDArray) -> "Nodes":
        """Return the nodes with the bounds among them."""
        value, atom, gaps = self.value, self.atom, self.gaps
        if np.isfinite(bounds[0]) and value[0] - bounds[0] > APART * (1 + abs(value[0])):
            value, atom, gaps = np.r_[bounds[0], value], np.r_[0.0, atom], np.r_[gaps[0] / 2, gaps[0] / 2, gaps[1:]]
        if np.isfinite(bounds[1]) and bounds[1] - value[-1] > APART * (1 + abs(value[-1])):
            value, atom, gaps = np.r_[value, bounds[1]], np.r_[atom, 0.0], np.r_[gaps[:-1], gaps[-1] / 2, gaps[-1] / 2]
        return Nodes(value, atom, gaps, (bool(np.isfinite(bounds[0])), bool(np.isfinite(bounds[1]))))

    def join(self) -> Map:
        """Return the map through the nodes."""
        first, last = self.ends
        high = np.cumsum(self.gaps[:-1] + self.atom)
        total = high[-1] + self.gaps[-1]
        low, high = _ndtri((high - self.atom) / total), _ndtri(high / total)
        low[:1], high[-1:] = (-np.inf if first else low[:1]), (np.inf if last else high[-1:])
        jumps = high > low
        node = np.repeat(np.arange(len(self.value)), 1 + jumps)
        is_second = np.diff(node, prepend=-1) == 0
        value, levels = self.value[node], np.where(is_second, high[node], low[node])
        # Atoms reach to both sides, and the last value before a void into it: it has the density of its own side.
        voids = np.pad(np.diff(value) > ALONE, 1)
        side = np.where(jumps[node], 2 * is_second - 1, voids[1:].astype(int) - voids[:-1])
        kept = slice(int(first), len(node) - int(last))
        edges = (value + side * APART / 4 * (1 + np.abs(value)))[kept]
        regions = _regions(value, levels, is_second)
        return Map(edges, levels[kept], *(part[int(first) : len(part) - int(last)] for part in regions))


def _regions(value: NDArray, levels: NDArray, is_second: NDArray[np.bool_]) -> tuple[NDArray, NDArray, NDArray]:
    """Return origin, score and slope of each region, the tails included, which go on as their neighbours do."""
    is_atom = is_second[1:]
    width = np.where(is_atom, 1.0, np.diff(value))
    slope = np.where(is_atom, 0.0, np.diff(np.clip(levels, -FAR, FAR)) / width)
    tails = [own if own > 0 else 1.0 for own in (slope[:1].sum(), slope[-1:].sum())]
    score = np.where(is_atom, mean_score(levels[:-1], levels[1:]), levels[:-1])
    return np.r_[value[0], value], np.r_[levels[0], score, levels[-1]], np.r_[tails[0], slope, tails[1]]


def _ndtr(z: NDArray) -> NDArray:
    """Return the standard normal distribution function."""
    return torch.special.ndtr(torch.from_numpy(z)).numpy()


def _ndtri(p: NDArray) -> NDArray:
    """Return the inverse of the standard normal distribution function."""
    return torch.special.ndtri(torch.from_numpy(p)).numpy()


def mean_score(low: NDArray, high: NDArray) -> NDArray:
    """Return the mean of a standard normal variable between two bounds."""
    density = np.exp(-0.5 * np.square([low, high])) / np.sqrt(2 * np.pi)
    return (density[0] - density[1]) / np.maximum(_ndtr(high) - _ndtr(low), np.finfo(float).tiny)


def _criterion(own: Map, distinct: Distinct) -> float:
    """Return the Bayesian information criterion of a map of a column without atoms, halved: the less, the better."""
    region = np.searchsorted(own.edges, distinct.value)
    score = own.score[region] + own.slope[region] * (distinct.value - own.origin[region])
    log_density = np.log(own.slope[region]) - 0.5 * np.square(score)
    return (1 + len(own.edges)) * np.log(distinct.weight.sum()) - distinct.weight @ log_density
