"""How predictions vary from member to member: more for held-out rows, which few predict, than for new rows."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._tables.blocks import blocks

from .held_out import HeldOut

CELLS = 2**24
"""Predictions of members that are compared at once, in round figures."""


class MemberVariance(NamedTuple):
    """Variances of the predictions of rows, each of shape (n_rows, n_tasks)."""

    few: NDArray
    """That of the average of the members that held a row out."""
    every: NDArray
    """That of the average of all members."""
    within: NDArray
    """That of members of a candidate around their mean, which is part of a mixture's variance."""

    @property
    def is_known(self) -> bool:
        """Whether members were compared: a candidate needs two."""
        return bool(self.few.any())

    def widened(self, std: NDArray) -> NDArray:
        """Return what the deviations of held-out rows would be if all members had predicted them."""
        return np.sqrt(std**2 + self.within) if self.is_known else std

    def shrinkage(self, held_out: HeldOut, mean: NDArray, std: NDArray) -> NDArray:
        """Return the root mean square of new rows' errors by that of held-out rows' errors, shape (n_tasks,).

        Both are in units of `std`. An average of m members has a variance of v / m from its members, so that the mean
        square of errors is larger for held-out rows by the difference of two such variances.
        """
        if not self.is_known:
            return np.ones(mean.shape[1])
        counted = held_out.weight > 0
        squares = (held_out.y - mean) ** 2 + (0.0 if held_out.unknown is None else held_out.unknown)
        each = (held_out.weight * np.where(counted, own / std**2, 0.0) for own in (squares, self.few, self.every))
        sums = [own.sum(axis=0) for own in each]
        total, few, every = sums
        left = np.maximum(total - few + every, np.minimum(every, total))
        return np.sqrt(np.divide(left, total, out=np.ones_like(total), where=total > 0))


def member_variance(
    held_out: HeldOut, run: Callable[[Sequence[int], Any], NDArray], weights: NDArray
) -> MemberVariance:
    """Compare, for each held-out row, the members of each candidate that were trained on it.

    They agree no less on it than on a new row, so that the variance is not overestimated. The members that held the row
    out are left aside: how far these are from the others depends on the label too, which the others have seen.

    Parameters
    ----------
    held_out : HeldOut
        The held-out rows.
    run : callable
        From states and rows to predictions of shape (n_rows, n_states, n_tasks).
    weights : ndarray of shape (n_candidates, n_tasks)
        Weights of the candidates.
    """
    shape = held_out.y.shape
    found = MemberVariance(np.zeros(shape), np.zeros(shape), np.zeros(shape))
    settings: dict[tuple[int, ...], list[int]] = {}
    for c, states in enumerate(held_out.candidates):
        if weights[c].any():
            settings.setdefault(tuple(states), []).append(c)
    for members, own in settings.items():
        if len(members) > 1:
            _add(found, held_out, run, members, own, weights[own])
    return found


def _add(
    found: MemberVariance,
    held_out: HeldOut,
    run: Callable[[Sequence[int], Any], NDArray],
    members: tuple[int, ...],
    candidates: list[int],
    weights: NDArray,
) -> None:
    """Add the variances of the members of one setting, of which the candidates are epochs."""
    states = [held_out.candidates[c][k] for c in candidates for k in members]
    n_members, shape = len(members), (len(candidates), len(members))
    is_new = np.stack([np.isin(np.arange(len(held_out.y)), held_out.positions[k]) for k in members])[..., None]
    n_new = np.maximum(is_new.sum(axis=0), 1)
    for rows in blocks(len(held_out.y), max(1, CELLS // (len(states) * weights.shape[1]))):
        outputs = np.moveaxis(run(states, held_out.all_x(rows)), 1, 0)
        away = _away_from_mean(outputs.reshape(*shape, *outputs.shape[1:]), ~is_new[:, rows])
        variance = (np.einsum("ct,cknt->knt", weights, away) ** 2).sum(axis=0)
        found.few[rows] += variance / n_new[rows]
        found.every[rows] += variance / n_members
        found.within[rows] += np.einsum("ct,cknt->nt", weights, away**2) * (1 - 1 / n_members)


def _away_from_mean(outputs: NDArray, counted: NDArray[np.bool_]) -> NDArray:
    """Return differences from the mean over members, the sum of whose squares is their variance without bias.

    `outputs` has the shape (n_candidates, n_members, n_rows, n_tasks). Of a row's members, only some are `counted`.
    """
    n = counted.sum(axis=0)
    outputs = np.where(counted, outputs, 0.0)
    away = np.where(counted, outputs - outputs.sum(axis=1, keepdims=True) / np.maximum(n, 1), 0.0)
    return away / np.sqrt(np.maximum(n - 1, 1))
