"""Which rows are novel, learned from the errors of rows that baselines were not fitted to.

What is left of the variance at a row falls with its closeness to others, in one of a few shapes: `NoveltyLearner`. The
novelty of a row grows with what is left, along a `Curve`. Of all shapes and curves, those are taken by which the errors
of held-out rows are likeliest.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae.nn.models import Autoencoder

from .fitted import Baseline
from .held_out import HeldOut
from .kernel import Neighbours, choose_rows, kernel_inputs, run_trials
from .kernel_ridge import Shape, SquaredDistances, closeness, unit_scale
from .novelty import Novelty, part_left, variances_if_novel
from .novelty_curve import Curve, Errors, choose_curve
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


class Learned(NamedTuple):
    """What is learned of novel rows."""

    novelty: Novelty
    """How novel rows are."""
    deviations: NDArray
    """Deviations of labels from baselines, of rows that are not novel, shape (n_tasks,)."""
    of_held_out: NDArray
    """Deviations of the labels of held-out rows from predictions, shape (n_rows, n_tasks)."""


def learn_novelty(
    plan: Plan,
    held_out: HeldOut,
    columns: Callable[[NDArray], NDArray],
    run: Callable[..., NDArray],
    rest: NDArray,
    start: Baseline,
    units: NDArray,
    is_fitted: NDArray[np.bool_],
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
    is_fitted : ndarray of bool of shape (n_tasks,)
        Which tasks have a baseline beside their mean. No row is novel for the others: their mean has the deviation of
        all labels everywhere.
    """
    rows = np.asarray(plan.data.taking_part)
    rows = choose_rows(rows, plan.data.label_weights(rows), MOST_COMPARED)
    learner = NoveltyLearner(columns(rows), plan.data.label_weights(rows) > 0)
    tasks = np.flatnonzero(is_fitted)
    fit, shape = partial(learner.fit, tasks=tasks), (len(tasks), len(SHAPES))
    found = held_out.by_others(rows, plan.splits, fit, partial(run_trials, run), shape)
    left = dict(zip(tasks.tolist(), found.swapaxes(0, 1), strict=True))
    curves = choose_curves(held_out, left, rest, start, units)
    novelty, deviations = np.zeros(rest.shape), np.array(start.deviations)
    for task, curve in curves.items():
        novelty[:, task] = curve.novelty(left[task][:, curve.shape])
        deviations[task] = units[task] * np.sqrt(curve.near)
    learned = learner.fit(np.ones(len(rows), dtype=bool), list(curves)).chosen(curves, start)
    return Learned(learned, deviations, learned.widened(deviations, novelty, rest, units))


def choose_curves(
    held_out: HeldOut, left: Mapping[int, NDArray], rest: NDArray, start: Baseline, units: NDArray
) -> dict[int, Curve]:
    """Choose the curve of each task, given what is left at held-out rows, shape (n_rows, n_shapes)."""
    squares = ((held_out.y - rest) / units) ** 2
    if held_out.unknown is not None:
        squares += held_out.unknown / units**2
    far = variances_if_novel(rest, start.intercepts, start.deviations, units)
    curves = {}
    for task, own in left.items():
        known = held_out.weight[:, task] > 0
        weight, groups = held_out.weight[known, task], None if held_out.groups is None else held_out.groups[known]
        share, size = counted_once(weight)[0], counted_once(weight, groups)[1]
        curves[task] = choose_curve(own[known], Errors(squares[known, task], far[known, task], share, size))
    return curves


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

    def chosen(self, curves: Mapping[int, Curve], start: Baseline) -> Novelty:
        """Return the novelty along the curves of these tasks, given the means and the deviations of all labels.

        No row is novel for tasks without a curve.
        """
        own, n_sets = self.neighbours, len(self.neighbours.shapes) // len(SHAPES)
        shapes = np.array([curve.shape for curve in curves.values()])
        used, sums_of = np.unique(shapes * n_sets + self.set_of, return_inverse=True)
        of_task = np.zeros(np.size(start.intercepts), dtype=int)
        of_task[list(curves)] = sums_of
        every = [curves.get(task, Curve()) for task in range(len(of_task))]
        parts = zip(*((curve.least, curve.powers, curve.shares) for curve in every), strict=True)
        least, powers, shares = (np.array(part) for part in parts)
        neighbours = own.with_kernels(own.shapes[used], own.coefficients[used])
        means, deviations = np.array(start.intercepts), np.array(start.deviations)
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

    def fit(self, chosen: NDArray[np.bool_], tasks: Sequence[int] | NDArray) -> NoveltyTrials:
        """Return what is left with each shape for some tasks, given the chosen rows."""
        rows, known = self.rows[chosen], self.sets[chosen]
        sets, set_of = np.unique(self.set_of[tasks], return_inverse=True)
        n_most = min(MOST_CENTRES, int(np.sqrt(MOST_CELLS / known.shape[1])))
        at = choose_rows(np.arange(len(rows)), known.astype(float), n_most)
        points = torch.from_numpy(rows[at] * self.scales[0])
        distances = SquaredDistances(points)(points)
        factors = [
            explaining(closeness(distances.clone(), shape.locality, shape.power), own)
            for shape in SHAPES
            for own in known[at].T[sets]
        ]
        shapes = np.array(SHAPES, dtype=np.float64).repeat(len(sets), axis=0)
        return NoveltyTrials(Neighbours(rows[at], self.scales, shapes, np.stack(factors)), set_of)


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
