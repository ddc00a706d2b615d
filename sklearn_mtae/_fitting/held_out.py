"""Predictions of models for rows that they were not trained on."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._tables.row_index import Chosen, evenly

from .censored import expect, limited_tasks
from .plan import Plan

N_HELD_OUT = 10_000
"""Maximum number of held-out rows per model that are used."""


class HeldOut:
    """The rows that members are not trained on.

    Parameters
    ----------
    plan : Plan
        A fit that has been trained.
    candidates : sequence of dict
        For each candidate, the states of its members, by member.
    """

    def __init__(self, plan: Plan, candidates: Sequence[dict[int, int]]) -> None:
        data, self.candidates = plan.data, candidates
        assert data.y is not None
        index = [evenly(np.asarray(member.held_out), N_HELD_OUT) for member in plan.members]
        self.rows = rows = np.unique(np.concatenate(index))
        """Index of the rows."""
        self.x = [data.x[own] for own in index]
        self._all = data.x
        self.groups = None if data.groups is None else data.groups[rows]
        """Which group each row belongs to, if any."""
        self.y = data.y[rows]
        """Labels, shape (n_rows, n_tasks); expectations of the true values where these are limits."""
        self.given = self.y
        """Labels as they are given."""
        self.censoring = None if data.censoring is None else data.censoring[rows]
        """Which labels are limits, and of which side; None if none is."""
        self.unknown: NDArray | None = None
        """Variances of the true values of limits, given predictions; None if there are no limits."""
        self.positions = [np.searchsorted(rows, own) for own in index]
        self.folds = np.zeros(len(rows), dtype=int)
        """The member of the first candidate that held a row out."""
        for k in candidates[0]:
            self.folds[self.positions[k]] = k
        covered = [np.unique(np.concatenate([self.positions[k] for k in own])) for own in candidates]
        self.weight = np.zeros(self.y.shape)
        """Weights of the labels; zero without a label, and for rows that a candidate has not held out."""
        everywhere = reduce(np.intersect1d, covered)
        self.weight[everywhere] = data.label_weights(rows[everywhere])

    def all_x(self, rows: slice) -> Chosen:
        """Return some of the held-out rows, for members that may have been trained on them."""
        return Chosen(self._all, self.rows[rows])

    def collect(self, function: Callable[[Sequence[int], NDArray], NDArray], wanted: NDArray | None = None) -> NDArray:
        """Apply a function to each row with each candidate: shape (n_candidates, n_rows, n_tasks, ...).

        The result is the mean over the members of the candidate that were not trained on the row. It is zero if there
        are none, and for candidates that are not `wanted`.

        Parameters
        ----------
        function : callable
            From states and rows to an array of shape (n_rows, n_states, n_tasks, ...).
        wanted : ndarray of bool of shape (n_candidates,) or None
            The candidates to use; None is all of them.
        """
        results: NDArray | None = None
        known: dict[int, NDArray] = {}
        for c, states in enumerate(self.candidates):
            if wanted is not None and not wanted[c]:
                continue
            counts = np.zeros(len(self.y))
            for k, state in states.items():
                if self.x[k].shape[0]:
                    if state not in known:
                        own = self._states_of(k, wanted)
                        known.update(zip(own, np.moveaxis(function(own, self.x[k]), 1, 0), strict=True))
                    if results is None:
                        results = np.zeros((len(self.candidates), len(self.y), *known[state].shape[1:]))
                    results[c, self.positions[k]] += known[state]
                    counts[self.positions[k]] += 1
            if results is not None:
                results[c] /= np.maximum(counts, 1).reshape(-1, *[1] * (results.ndim - 2))
        return np.zeros((len(self.candidates), *self.y.shape)) if results is None else results

    def by_others(
        self,
        learned: NDArray,
        splits: Sequence[Any],
        fit: Callable[[NDArray[np.bool_]], Any],
        run: Callable[..., Any],
        shape: tuple[int, ...],
    ) -> NDArray:
        """Predict each row by functions fitted to those of some rows, the `learned`, that were not held out with it.

        A row is held out with the first of the members that hold it out.

        Parameters
        ----------
        learned : ndarray of int
            Index of the rows to learn from.
        splits : sequence of (training rows, held-out rows)
            What each member is trained on.
        fit : callable
            From which of them to learn from to functions.
        run : callable
            What runs them on rows.
        shape : tuple of int
            Shape of the results for a row; they are zero for rows that no member holds out.
        """
        outputs, is_done = np.zeros((len(self.y), *shape)), np.zeros(len(self.y), dtype=bool)
        for k in self.candidates[0]:
            own = ~is_done[self.positions[k]]
            if own.any():
                fitted, rows = fit(np.isin(learned, splits[k][0])), self.positions[k][own]
                outputs[rows] = run(fitted, self.x[k][own])
                is_done[rows] = True
        return outputs

    def expect(self, predicted: NDArray, supports: Sequence[tuple[float, float]]) -> NDArray:
        """Let the expectations of true values, given predictions of shape (n_rows, n_tasks), stand for limits.

        Return the deviations of the labels from the predictions, shape (n_tasks,); 1 for tasks without limits.
        """
        deviations = np.ones(self.given.shape[1])
        assert self.censoring is not None
        self.y, self.unknown = self.given.copy(), np.zeros(self.given.shape)
        for task in limited_tasks(self.censoring):
            own = self.weight[:, task] > 0
            if not own.any():
                continue
            labels = self.given[own, task], self.censoring[own, task], self.weight[own, task]
            known, _, deviation = expect(*labels, lambda _, fixed=predicted[own, task]: fixed[None], supports[task])
            self.y[own, task], self.unknown[own, task] = known.mean[0], known.variance[0]
            deviations[task] = deviation.item()
        return deviations

    def drawn(self, seed: int) -> NDArray:
        """Return the labels, with draws in the place of limits that have the moments of the true values."""
        if self.unknown is None:
            return self.y
        return self.y + np.sqrt(self.unknown) * np.random.default_rng(seed).standard_normal(self.y.shape)

    def _states_of(self, member: int, wanted: NDArray | None) -> list[int]:
        """Return the states of a member that wanted candidates have."""
        asked = [True] * len(self.candidates) if wanted is None else wanted
        chosen = (states for states, is_asked in zip(self.candidates, asked, strict=True) if is_asked)
        return list(dict.fromkeys(states[member] for states in chosen if member in states))
