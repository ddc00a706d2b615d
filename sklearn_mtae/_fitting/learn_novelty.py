"""Which rows are novel, learned from the errors of rows that baselines were not fitted to."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae.nn.models import Autoencoder

from .fitted import Baseline
from .held_out import HeldOut
from .kernel import Neighbours, choose_rows, kernel_inputs
from .kernel_ridge import Shape, SquaredDistances, closeness, unit_scale
from .novelty import Novelty, novelty_of, part_left, variances_if_novel, variances_of
from .plan import Plan
from .scores import counted_once

MOST_COMPARED = 2_000
"""Maximum number of rows that centres are chosen from."""
MOST_CENTRES, MOST_CELLS = 128, 2**18
"""Maximum number of centres, and of the squares of their number, summed over sets of labelled rows."""
SHAPES = (*(Shape(False, 1.0, locality) for locality in (8.0, 2.0, 0.5)), Shape(False, 0.5, 0.3))
"""How closeness may fall with distance."""
RIDGE = 0.01
"""Variance of a label around a Gaussian process, relative to that of the process."""
POWERS = tuple(2 ** (k / 2) for k in range(11))
"""Powers of the part of the variance that is left. The larger, the farther away a row must be to be novel."""
FAR_POWERS = (64.0, 1024.0)
"""Powers by which only rows far from all others are novel; the first one that errors do not contradict is taken."""
LEAST_GAIN = 4.0
"""By how many nats errors must be likelier than where only rows far from all others are novel."""
MOST_LOSS = 0.5
"""By how many nats they may be less likely than where no row is novel, else they contradict that those far are."""
LEAST_NEAR = 0.01
"""Minimum variance where nothing is novel, as a part of the mean squared error."""
NEAREST = 0.05
"""Part of the held-out rows that have less left than what counts as the least."""


class Learned(NamedTuple):
    """What is learned of novel rows."""

    novelty: Novelty
    """How novel rows are."""
    deviations: NDArray
    """Deviations of labels from baselines, of rows that are not novel, shape (n_tasks,)."""
    of_held_out: NDArray
    """The novelty of the held-out rows, shape (n_rows, n_tasks)."""


def learn_novelty(
    plan: Plan,
    held_out: HeldOut,
    columns: Callable[[NDArray], NDArray],
    run: Callable[..., NDArray],
    rest: NDArray,
    start: Baseline,
    units: NDArray,
) -> Learned:
    """Learn which rows are novel: what fits the errors of held-out rows best.

    Parameters
    ----------
    plan : Plan
        The fit.
    held_out : HeldOut
        The held-out rows.
    columns : callable
        From the index of rows to their columns, as networks see them.
    run : callable
        What runs a function on rows.
    rest : ndarray of shape (n_rows, n_tasks)
        Predictions of the held-out rows by baselines.
    start : Baseline
        The means and the deviations of the labels.
    units : ndarray of shape (n_tasks,)
        Units of the tasks.
    """
    rows = np.asarray(plan.data.taking_part)
    rows = choose_rows(rows, plan.data.label_weights(rows), MOST_COMPARED)
    learner = NoveltyLearner(columns(rows), plan.data.label_weights(rows) > 0)
    left = held_out.by_others(rows, plan.splits, learner.fit, run, (len(units), len(SHAPES)))
    squares = ((held_out.y - rest) / units) ** 2
    if held_out.unknown is not None:
        squares += held_out.unknown / units**2
    far = variances_if_novel(rest, start.intercepts, start.deviations, units)
    fits = []
    for task, weight in enumerate(held_out.weight.T):
        known = weight > 0
        groups = None if held_out.groups is None else held_out.groups[known]
        share, size = counted_once(weight[known])[0], counted_once(weight[known], groups)[1]
        errors = Errors(squares[known, task], far[known, task], share, size)
        fits.append(choose_novelty(left[known, task], errors))
    novelty = learner.fit(np.ones(len(rows), dtype=bool)).chosen(fits, start)
    of_held_out = np.column_stack([fit.novelty(left[:, task, fit.shape]) for task, fit in enumerate(fits)])
    return Learned(novelty, units * np.sqrt([fit.near for fit in fits]), of_held_out)


class Fit(NamedTuple):
    """A novelty of rows, and how well it agrees with the errors of held-out ones."""

    loss: float
    """Minus the log-likelihood of the errors, in nats, up to a constant."""
    shape: int
    """Which of the shapes it has."""
    least: float
    """Least part of the variance that is left."""
    powers: tuple[float, float]
    """Powers of the part of the variance that is left."""
    shares: tuple[float, float]
    """Factors of what is left to these powers."""
    near: float
    """The variance of labels around predictions where nothing is novel."""

    def novelty(self, left: NDArray) -> NDArray:
        """Return the novelty of rows, given what is left with the shape."""
        return novelty_of(left, self.least, self.powers, self.shares)

    def variances(self, left: NDArray, far: NDArray) -> NDArray:
        """Return the variances of labels around predictions, given those if nothing is known of the rows."""
        return variances_of(self.novelty(left), self.near, far)


class NoveltyTrials(NamedTuple):
    """Parts of the variance that are left with each shape, to choose among."""

    neighbours: Neighbours
    """Sums over centres: for each shape those of each set of labelled rows."""
    set_of: NDArray
    """Which of these sets each task has, shape (n_tasks,)."""

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return the parts for standardised rows, shape (n_rows, n_tasks, n_shapes)."""
        left = part_left(self.neighbours, kernel_inputs(model, x)).unflatten(1, (len(SHAPES), -1))
        return left[:, :, torch.from_numpy(self.set_of)].swapaxes(1, 2)

    def chosen(self, fits: Sequence[Fit], start: Baseline) -> Novelty:
        """Return the novelty that was chosen for each task, given the means and the deviations of the labels."""
        own, n_sets = self.neighbours, len(self.neighbours.shapes) // len(SHAPES)
        _, shapes, least, powers, shares, _ = (np.array(values) for values in zip(*fits, strict=True))
        used, of_task = np.unique(shapes * n_sets + self.set_of, return_inverse=True)
        means, deviations = (np.broadcast_to(part, len(fits)) for part in (start.intercepts, start.deviations))
        neighbours = own.with_kernels(own.shapes[used], own.coefficients[used])
        return Novelty(neighbours, of_task, least, powers.T, shares.T, means, deviations)


class NoveltyLearner:
    """Rows, parts of which novelty is learned from.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns)
        Rows as networks see them.
    is_known : ndarray of bool of shape (n_rows, n_tasks)
        Where there are labels.
    """

    def __init__(self, rows: NDArray, is_known: NDArray[np.bool_]) -> None:
        self.rows, self.scales = rows.astype(np.float32), np.full((1, rows.shape[1]), unit_scale(rows))
        self.sets, set_of = np.unique(is_known, axis=1, return_inverse=True)
        self.set_of = set_of.ravel()

    def fit(self, chosen: NDArray[np.bool_]) -> NoveltyTrials:
        """Return what is left with each shape, given the chosen rows."""
        rows, known = self.rows[chosen], self.sets[chosen]
        n_most = min(MOST_CENTRES, int(np.sqrt(MOST_CELLS / known.shape[1])))
        at = choose_rows(np.arange(len(rows)), known.astype(float), n_most)
        points = torch.from_numpy(rows[at] * self.scales[0])
        distances = SquaredDistances(points)(points)
        factors = [
            explaining(closeness(distances.clone(), shape.locality, shape.power), own)
            for shape in SHAPES
            for own in known[at].T
        ]
        shapes = np.array(SHAPES, dtype=np.float64).repeat(known.shape[1], axis=0)
        return NoveltyTrials(Neighbours(rows[at], self.scales, shapes, np.stack(factors)), self.set_of)


class Errors(NamedTuple):
    """Errors of held-out rows."""

    squares: NDArray
    """Their squares, shape (n_rows,)."""
    far: NDArray
    """Variances of the labels around the predictions if nothing is known of the rows, shape (n_rows,)."""
    share: NDArray
    """Weights of the rows, which add up to 1."""
    size: float
    """How many rows, or groups of rows, of equal weights would say as much."""

    @property
    def mean(self) -> float:
        """The mean of the squares."""
        return float(self.share @ self.squares)

    def loss(self, variances: NDArray) -> float:
        """Return minus the log-likelihood, up to a constant, with the best factor of the variances.

        There will be a factor: deviations are scaled to fit all errors.
        """
        scaled = np.log(variances) + np.log(self.share @ (self.squares / variances))
        return float(self.size / 2 * (self.share @ scaled))

    def fit(self, left: NDArray, shape: int, power: float, far_power: float | None = None) -> Fit:
        """Return the novelty with a shape and a power, so that the mean of the variances is that of the squares.

        Parameters
        ----------
        left : ndarray of shape (n_rows,)
            Part of the variance that is left with the shape.
        shape : int
            Which of the shapes it is.
        power : float
            The power.
        far_power : float or None, default=None
            The power by which rows far from all others are novel, however little of the variance is that of novel rows.
            None means that they need not be.
        """
        beyond, far_power = float(far_power is not None), far_power or 1.0
        least = float(np.quantile(left, NEAREST))
        left = np.maximum(left, least)
        novelty, farthest = left**power, beyond * left**far_power
        mean, of_novel, rest = self.mean, float(self.share @ (novelty * self.far)), float(self.share @ (1 - novelty))
        near, most = (min((mean - of_novel) / rest, mean) if rest > 0 else 0.0), 1.0
        if near < LEAST_NEAR * mean:
            near = LEAST_NEAR * mean
            added, by_farthest = (
                float(self.share @ (own * np.maximum(self.far - near, 0.0))) for own in (novelty, farthest)
            )
            most = max(mean - near - by_farthest, 0.0) / (added - by_farthest) if added > by_farthest else 1.0
        fit = Fit(0.0, shape, least, (power, far_power), (most, beyond * (1 - most)), near)
        return fit._replace(loss=self.loss(fit.variances(left, self.far)))


def choose_novelty(left: NDArray, errors: Errors) -> Fit:
    """Return the novelty by which the errors of held-out rows are likeliest.

    Parameters
    ----------
    left : ndarray of shape (n_rows, n_shapes)
        Parts of the variance that are left.
    errors : Errors
        The errors.
    """
    nothing = Fit(np.inf, 0, 0.0, (1.0, 1.0), (0.0, 0.0), errors.mean)
    if not errors.mean > 0:
        return nothing._replace(shares=(1.0, 0.0), powers=(FAR_POWERS[0], 1.0))
    nothing = nothing._replace(loss=errors.loss(np.full(len(left), errors.mean)))

    def agrees(fit: Fit) -> bool:
        """Return whether rows far from all others may be novel, rather than predicted as well as these."""
        return fit.shares[0] == 1 and fit.loss < nothing.loss + MOST_LOSS

    of_far = [[errors.fit(own, shape, power) for power in FAR_POWERS] for shape, own in enumerate(left.T)]
    default = next((fit for fits in zip(*of_far, strict=True) for fit in fits if agrees(fit)), nothing)
    far_powers = [next((fit.powers[0] for fit in fits if agrees(fit)), None) for fits in of_far]
    # Where some shapes agree that rows may be novel, the others do not compete.
    competing = [k for k, power in enumerate(far_powers) if default is nothing or power is not None]
    best = min(errors.fit(left[:, k], k, power, far_powers[k]) for k in competing for power in POWERS)
    return best if best.loss < default.loss - LEAST_GAIN else default


def explaining(near: Tensor, known: NDArray[np.bool_]) -> NDArray:
    """Return the factors by which the closeness of a row becomes what explains its variance, given labels of centres.

    With the closeness `k` to the known centres and their closeness to each other `K`, the sum of squares is
    `k @ inv(K + RIDGE * I) @ k`.
    """
    factors, own = np.zeros(near.shape), np.flatnonzero(known)
    if len(own):
        root = torch.linalg.cholesky(near[own][:, own] + RIDGE * torch.eye(len(own), dtype=near.dtype))
        inverse = torch.linalg.solve_triangular(root, torch.eye(len(own), dtype=near.dtype), upper=False)
        factors[np.ix_(own, own)] = inverse.T.numpy()
    return factors
