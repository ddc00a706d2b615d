"""A family for any column of numbers: a normal distribution of scores, and a map from values to scores."""

from collections.abc import Sequence
from functools import cached_property
from math import log, pi, sqrt
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributions, nn

from sklearn_mtae.nn.batching import along_first
from sklearn_mtae.nn.decisions import is_hidden

from ._continuous import LocationScale
from ._marginals import APART, FAR, MOST_ATOMS, MOST_EDGES, Map, learn_decimals, learn_map, learn_units
from ._tails import ROOT_TWO, log_ndtr

CELLS = 2**18
"""Regions of cells whose moments are computed at once."""
ROUNDING = 1e-6
"""Part of a step of the decimals by which ends of ranges may miss it."""


class Maps(nn.Module):
    """Increasing, piecewise linear maps from columns to normal scores, with a jump at each value that is an atom.

    A map has regions between edges. Within a region the score rises by a slope; in that of an atom, a value that occurs
    often, it does not, and the scores between those of its two edges all stand for the value.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    edges: Tensor
    levels: Tensor
    origin: Tensor
    score: Tensor
    slope: Tensor
    rise: Tensor

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        lines = torch.zeros(n_columns, MOST_EDGES + 1)
        for name in ("edges", "levels"):
            self.register_buffer(name, torch.full((n_columns, MOST_EDGES), float("inf")))
        for name, value in (("origin", 0.0), ("score", 0.0), ("slope", 1.0), ("rise", 1.0)):
            self.register_buffer(name, lines + value)

    def set(self, maps: Sequence[Map]) -> None:
        """Set the map of each column."""
        padded = [own.padded() for own in maps]
        for name in padded[0]:
            value = torch.from_numpy(np.stack([own[name] for own in padded]))
            setattr(self, name, value.to(getattr(self, name)))

    def region(self, x: Tensor) -> Tensor:
        """Return the region of each value, shape (..., n_columns)."""
        return _place(self.edges, x)

    def pick(self, region: Tensor, *names: str) -> list[Tensor]:
        """Return properties of regions, each of shape (..., n_columns)."""
        return [_of(getattr(self, name), region) for name in names]

    def scores(self, x: Tensor) -> Tensor:
        """Return the normal score of each value: that of an atom is the mean of its scores."""
        origin, score, slope = self.pick(self.region(x), "origin", "score", "slope")
        return score + slope * (x - origin)

    def ends(self, region: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lowest and the highest score of regions, each of shape (..., n_columns)."""
        levels = nn.functional.pad(nn.functional.pad(self.levels, (1, 0), value=-FAR), (0, 1), value=FAR)
        low, high = (_of(levels, index).clamp(max=FAR) for index in (region, region + 1))
        return low, high

    def interval(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lowest and the highest score of each value, which differ where it is an atom."""
        region = self.region(x)
        z, (low, high) = self.scores(x), self.ends(region)
        is_atom = self.pick(region, "slope")[0] == 0
        return torch.where(is_atom, low, z), torch.where(is_atom, high, z)

    def values(self, z: Tensor) -> Tensor:
        """Return the value of each score."""
        origin, score, rise = self.pick(_place(self.levels, z), "origin", "score", "rise")
        return origin + rise * (z - score)


def _place(edges: Tensor, x: Tensor) -> Tensor:
    """Return how many edges of its column are below each value, shape (..., n_columns)."""
    columns = x.detach().movedim(-1, 0)
    return Search.apply(edges, columns.flatten(1)).unflatten(1, columns.shape[1:]).movedim(0, -1)


def _of(table: Tensor, region: Tensor) -> Tensor:
    """Return the entries of columns, shape (n_columns, n_entries), at indices of shape (..., n_columns)."""
    index = region.movedim(-1, 0)
    return table.gather(1, index.flatten(1)).unflatten(1, index.shape[1:]).movedim(0, -1)


class Search(torch.autograd.Function):
    """Binary search in each column, which `torch.func.vmap` does for several models at once."""

    @staticmethod
    def forward(edges: Tensor, x: Tensor) -> Tensor:
        """Return how many edges, shape (..., n_edges), are below each value, shape (..., n_values)."""
        return torch.searchsorted(edges.contiguous(), x.contiguous())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        """Keep nothing: counts have no gradient."""
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *inputs: Tensor) -> tuple[Tensor, int]:
        """Return the counts of all models, which lie along the first axis."""
        return Search.apply(*along_first(info, in_dims, inputs)), 0


class MappedNormal(distributions.Distribution):
    """Distribution of the values whose normal scores have a normal distribution.

    Parameters
    ----------
    maps : Maps
        From values to scores.
    loc, scale : Tensor of shape (..., n_columns)
        Mean and standard deviation of the scores.
    """

    arg_constraints: ClassVar[dict] = {}
    support = distributions.constraints.real  # type: ignore[assignment]

    def __init__(self, maps: Maps, loc: Tensor, scale: Tensor) -> None:
        super().__init__(loc.shape, validate_args=False)
        self.maps, self.loc, self.scale = maps, loc, scale

    @property
    def mean(self) -> Tensor:
        """Means, in closed form: sums over the regions of the maps."""
        return self._moments[0]

    @property
    def variance(self) -> Tensor:
        """Variances, in closed form."""
        mean, square = self._moments
        return (square - mean.square()).clamp(min=0.0)

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Return the means of values and of squares, columns with maps of about the same size at a time."""
        loc, scale, maps = self.loc, self.scale.expand_as(self.loc), self.maps
        if is_hidden(loc) or is_hidden(maps.levels):
            return _sum_regions(maps.levels, maps.origin, maps.score, maps.rise, loc, scale)
        rows = [own.reshape(-1, own.shape[-1]) for own in (loc, scale)]
        n_edges = maps.levels.isfinite().sum(-1)
        sizes = torch.where(n_edges > 0, n_edges.clamp(min=1).log2().ceil().exp2().long(), 0).clamp(max=MOST_EDGES)
        found: list[list[Tensor]] = []
        groups = [(sizes == size).nonzero()[:, 0] for size in sizes.unique()]
        for columns in groups:
            n = int(sizes[columns[0]])
            regions = [own[columns, : n + 1] for own in (maps.origin, maps.score, maps.rise)]
            blocks = zip(
                *(own[:, columns].split(max(1, CELLS // (len(columns) * (n + 1)))) for own in rows), strict=True
            )
            parts = [_sum_regions(maps.levels[columns, :n], *regions, *block) for block in blocks]
            found.append([torch.cat(own) for own in zip(*parts, strict=True)])
        place = torch.cat(groups).argsort()
        mean, square = (torch.cat(own, -1)[:, place].reshape(loc.shape) for own in zip(*found, strict=True))
        return mean, square

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each value, that of an atom the log of its probability."""
        region = self.maps.region(value)
        origin, score, slope = self.maps.pick(region, "origin", "score", "slope")
        is_atom = slope == 0
        z = (score + slope * (value - origin) - self.loc) / self.scale
        continuous = -0.5 * z.square() - self.scale.log() - 0.5 * log(2 * pi) + torch.where(is_atom, 1.0, slope).log()
        low, high = self.maps.ends(region)
        # Where there is no atom, any interval: a NaN of the branch that is not taken would reach the gradient.
        low, high = torch.where(is_atom, low, -1.0), torch.where(is_atom, high, 1.0)
        atom = log_interval((low - self.loc) / self.scale, (high - self.loc) / self.scale)
        return torch.where(is_atom, atom, continuous)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws of shape (*sample_shape, ..., n_columns)."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.maps.values(torch.normal(self.loc.expand(shape), self.scale.expand(shape)))


def _sum_regions(
    levels: Tensor, origin: Tensor, score: Tensor, rise: Tensor, loc: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the means of values and of squares, from the moments of a normal distribution cut at the levels.

    Levels of shape (n_columns, n_edges), and what regions have of shape (n_columns, n_edges + 1).
    """
    loc, scale = loc[..., None], scale[..., None]
    at = (levels - loc) / scale
    below = nn.functional.pad(_ndtr(at), (1, 0))
    p = nn.functional.pad(below, (0, 1), value=1.0).diff(dim=-1)
    density = nn.functional.pad((-0.5 * at.square()).exp() / sqrt(2 * pi), (1, 1))
    at = nn.functional.pad(at.nan_to_num(0.0, 0.0, 0.0), (1, 1))
    first, second = -density.diff(dim=-1), p - (at * density).diff(dim=-1)
    middle, rise = origin + rise * (loc - score), rise * scale
    mean = (middle * p + rise * first).sum(-1)
    square = (middle.square() * p + 2 * middle * rise * first + rise.square() * second).sum(-1)
    return mean, square


def _ndtr(x: Tensor) -> Tensor:
    """Return the standard normal distribution function."""
    return 0.5 * torch.special.erfc(-x / ROOT_TWO)


def log_interval(low: Tensor, high: Tensor) -> Tensor:
    """Return the log of a standard normal probability between two bounds, however far out they are.

    Bounds in the upper tail are mirrored into the lower one, where the scaled complement of the error function keeps
    all digits.
    """
    mirrored = low + high > 0
    low, high = torch.where(mirrored, -high, low), torch.where(mirrored, -low, high)
    around = high > 0
    # Each branch gets arguments of its own range.
    a, b = (torch.where(around, bound, own) for bound, own in ((low, -1.0), (high, 1.0)))
    near = (0.5 * (torch.erf(b / ROOT_TWO) - torch.erf(a / ROOT_TWO))).log()
    a, b = torch.where(around, -2.0, low), torch.where(around, -1.0, high)
    tail_a, tail_b = (torch.special.erfcx(-bound / ROOT_TWO).log() for bound in (a, b))
    gap = (tail_a - tail_b - 0.5 * (a - b) * (a + b)).clamp(max=-torch.finfo(a.dtype).eps)
    far = tail_b - log(2) - 0.5 * b.square() + (-torch.expm1(gap)).log()
    return torch.where(around, near, far)


def _cells(x: Tensor, weight: Tensor | None) -> tuple[NDArray, NDArray]:
    """Return values and their weights."""
    rows = x.detach().cpu().double().numpy()
    return rows, np.ones(rows.shape) if weight is None else weight.detach().cpu().double().numpy()


def _as_they_came(own: Map, scaled: NDArray, column: NDArray) -> NDArray:
    """Return the atoms of a map as the training values that they are, in ascending order, then infinity."""
    atoms = own.origin[own.slope == 0]
    seen = ~np.isnan(scaled)
    order = np.argsort(scaled[seen], kind="stable")
    found = np.searchsorted(scaled[seen][order], atoms).clip(max=max(0, len(order) - 1))
    values = column[seen][order][found] if len(atoms) else atoms
    return np.pad(values, (0, MOST_ATOMS - len(values)), constant_values=np.inf)


class Quantile(LocationScale):
    """Any numbers: skewed, bounded, with many peaks, whole, or with values that occur often, such as zeros.

    An increasing map g, learned from the quantiles of the column, turns values into normal scores. The decoder gives
    the mean of the score, the variance is one per column, learned:

    `log p(x) = log N(g(x); mean, variance) + log g'(x)`

    A value that occurs often is an atom. It stands for an interval of scores, and its probability is
    `Phi((high - mean) / scale) - Phi((low - mean) / scale)`, as in an ordered probit model; the density of a row is
    then one with regard to lengths and counts together. The Bayesian information criterion chooses how fine the map is:
    for a normal column it is a straight line, and the family is the normal one.

    Beyond the training values the map goes on as a straight line. Rows that are drawn stay between the least and the
    greatest training value, or within the bounds, and have no more decimals than the training values.

    A value farther from all others than a million times their spread, such as a code for "missing", is an atom too. It
    takes no digits from the others, but it counts in means. A fit warns of it.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    low, high : float or None, default=None
        Bounds of the values, in the columns' own units; None where there is none.
    """

    n_learned = 2**16
    exact: ClassVar[tuple[str, ...]] = ("least", "greatest", "atoms", "center", "unit")
    least: Tensor
    greatest: Tensor
    decimals: Tensor
    atoms: Tensor
    center: Tensor
    unit: Tensor
    is_discrete: Tensor

    def __init__(self, n_columns: int, low: float | None = None, high: float | None = None) -> None:
        super().__init__(n_columns)
        self.support = (-float("inf") if low is None else float(low), float("inf") if high is None else float(high))
        if not self.support[0] < self.support[1]:
            raise ValueError(f"low must be below high. Got low={low!r} and high={high!r} instead.")
        self.maps = Maps(n_columns)
        for name, value in zip(("least", "greatest"), self.support, strict=True):
            self.register_buffer(name, torch.full((n_columns,), value, dtype=torch.float64))
        for name, start in (("center", 0.0), ("unit", 1.0)):
            self.register_buffer(name, torch.full((n_columns,), start, dtype=torch.float64))
        self.register_buffer("decimals", torch.full((n_columns,), -1.0))
        self.register_buffer("is_discrete", torch.zeros(n_columns, dtype=torch.bool))
        self.register_buffer("atoms", torch.full((n_columns, MOST_ATOMS), float("inf"), dtype=torch.float64))

    def units(self, x: Tensor, location: Tensor, scale: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return by what to standardise the columns: few far values must not leave the others without digits."""
        columns = zip(*(own.T for own in _cells(x, weight)), location.tolist(), scale.tolist(), strict=True)
        found = torch.tensor([learn_units(*own) for own in columns], dtype=torch.float64).to(location)
        return found[:, 0], found[:, 1]

    def learn_rows(self, x: Tensor, location: Tensor, scale: Tensor, weight: Tensor | None = None) -> None:
        """Learn the maps, the range and the decimals of the columns."""
        rows, weights = _cells(x, weight)
        units = location.cpu().double().numpy(), scale.cpu().double().numpy()
        self.center, self.unit = (torch.from_numpy(own).to(self.unit.device) for own in units)
        bounds = (np.array(self.support)[:, None] - units[0]) / units[1]
        scaled = (rows - units[0]) / units[1]
        maps = [learn_map(*column) for column in zip(scaled.T, weights.T, bounds.T, strict=True)]
        self.maps.set(maps)
        atoms = [_as_they_came(*column) for column in zip(maps, scaled.T, rows.T, strict=True)]
        self.atoms = torch.from_numpy(np.stack(atoms)).to(self.atoms.device)
        discrete = np.array([np.isin(own[~np.isnan(own)], few).all() for own, few in zip(rows.T, atoms, strict=True)])
        self.is_discrete = torch.from_numpy(discrete).to(self.atoms.device) & (self.atoms[:, 0] < float("inf"))
        self.decimals = torch.tensor([learn_decimals(column) for column in rows.T]).to(self.decimals)
        low, high = self.support
        for name, bound, find in (("least", low, np.fmin), ("greatest", high, np.fmax)):
            seen = find.reduce(rows, axis=0)
            value = torch.from_numpy(np.where(np.isnan(seen) | np.isfinite(bound), bound, seen))
            setattr(self, name, value.to(self.atoms.device))

    def distribution(self, params: Tensor) -> MappedNormal:
        """Return the distribution of each cell."""
        return MappedNormal(self.maps, params, self.deviation(params))

    def log_cdf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X <= x) of each cell."""
        return log_ndtr(self.distance(params, self.maps.interval(x)[1]))

    def log_sf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X > x) of each cell."""
        return log_ndtr(-self.distance(params, self.maps.interval(x)[1]))

    def log_below(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X < x) of each cell, without an atom at x."""
        return log_ndtr(self.distance(params, self.maps.interval(x)[0]))

    def is_atom(self, x: Tensor) -> Tensor:
        """Return which values have a probability rather than a density."""
        (slope,) = self.maps.pick(self.maps.region(x), "slope")
        return slope == 0

    def as_input(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return torch.where(x.isnan(), x, self.maps.scores(x))

    def as_seen(self, x: Tensor) -> Tensor:
        """Return draws within the range of the training values, with as many decimals at most, and atoms exactly."""
        unit = 10.0 ** self.decimals.to(x)
        x = torch.where(self.decimals < 0, x, torch.round(x * unit) / unit)
        place = _place(self.atoms, x)
        above, below = (
            _of(self.atoms, index).to(x) for index in (place.clamp(max=MOST_ATOMS - 1), (place - 1).clamp(min=0))
        )
        atom = torch.where((x - below).abs() <= (above - x).abs(), below, above)
        # Where all values are atoms, draws are among them; elsewhere those that rounding alone keeps apart.
        reach = APART / 4 * (self.unit.to(x) + (x - self.center.to(x)).abs())
        reach = torch.where(self.is_discrete, float("inf"), reach)
        x = torch.where(((x - atom).abs() <= reach) & atom.isfinite(), atom, x)
        return torch.maximum(torch.minimum(x, self.greatest.to(x)), self.least.to(x))

    def points(self, column: int, low: float, high: float, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Return the atoms of a range and values between them, and the logs of the lengths that each covers."""
        atoms = self.maps.origin[column][self.maps.slope[column] == 0].to(torch.float64)
        reach = APART / 4 * (1 + atoms.abs())
        atoms = atoms[(atoms >= low - reach) & (atoms <= high + reach)]
        if self.is_discrete[column]:
            return atoms, torch.zeros_like(atoms)
        between, log_length = super().points(column, low, high, drawn)
        return torch.cat([atoms, between]), torch.cat([torch.zeros_like(atoms), log_length])

    def within(self, column: int, low: float, high: float) -> tuple[float, float]:
        """Return the part of a range, in the column's own units, whose values draws are rounded and clipped to."""
        least, greatest = float(self.least[column]), float(self.greatest[column])
        if low > greatest or high < least:
            return np.inf, -np.inf
        if self.is_discrete[column] or self.decimals[column] < 0:
            return low, high
        unit = 10.0 ** -float(self.decimals[column])
        first, last = (np.ceil(low / unit - ROUNDING), np.floor(high / unit + ROUNDING))
        return (first - 0.5) * unit, (last + 0.5) * unit

    def disagreement(self, params: Tensor, others: Tensor) -> Tensor:
        """Return the disagreement between two predictions of each cell: that of their scores."""
        return 0.5 * self.precision() * (params - others).square()
