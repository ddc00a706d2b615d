"""The choice of weights of candidates in an average, by their predictions for rows that they were not trained on.

The best weights for a task are in part those that fit its labels by chance. What is best for all tasks together is
known better, but may be wrong for each. How far to go from one to the other is judged on folds that neither choice has
seen. With groups, the labels of a group say little more than one label: then the average of numbers counts as far as it
is surely better than the regression, which has the least to choose.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .number_average import NumberAverage

N_PICKS = 25
"""Number of candidates picked for an average, one after the other, each as often as it helps."""
LEAST_PICKS = 3
"""Number of picks below which a candidate is dropped: it adds noise, and takes as long as any other."""
LEAST_LABELS = 10
"""Minimum number of labels of a task that agrees with others: fewer would tell them by chance what is best."""
AGREEMENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the weights that are best for all tasks, in the weights of each."""
Loss = Callable[[NDArray, NDArray], NDArray]
"""From averages, shape (n_averages, n_rows), and the folds' weights of rows to a loss for each average."""


class Judged(NamedTuple):
    """What the labels of a task say of candidates."""

    misses: NDArray
    """How far each candidate is from the label of each row, for models not trained on the row; errors average as
    predictions do. The shape is (n_candidates, n_rows)."""
    folds: NDArray
    """Fold of each row, shape (n_rows,)."""
    weight: NDArray
    """Weights of the rows, shape (n_rows,)."""
    loss: Loss
    """Loss of averages."""

    def of(self, rows: NDArray[np.bool_]) -> "Judged":
        """Return what the labels of some rows say."""
        return Judged(self.misses[:, rows], self.folds[rows], self.weight[rows], self.loss)

    def shares(self) -> NDArray:
        """Return the weights of rows in each fold, shape (n_rows, n_folds)."""
        _, folds = np.unique(self.folds, return_inverse=True)
        shares = np.zeros((len(folds), folds.max() + 1))
        shares[np.arange(len(folds)), folds] = self.weight
        return shares / shares.sum(axis=0)

    def losses(self, weights: NDArray) -> NDArray:
        """Return the losses of averages with weights of shape (n_averages, n_candidates)."""
        return self.loss(weights @ self.misses, self.shares())


def select(misses: NDArray, folds: NDArray, weight: NDArray, loss: Loss = NumberAverage.loss) -> NDArray:
    """Return the weights of candidates in the average that is best for a task on held-out rows.

    Greedy selection with replacement (Caruana et al. 2004, doi 10.1145/1015330.1015432): each step adds the candidate
    that gives the lowest loss. Candidates picked fewer than `LEAST_PICKS` times are left out in the end, unless all
    are.

    Parameters
    ----------
    misses, folds, weight, loss
        See `Judged`.

    Returns
    -------
    ndarray of shape (n_candidates,)
        Weights that add up to 1.
    """
    return _pick([Judged(misses, folds, weight, loss)], [1.0])


def _pick(tasks: Sequence[Judged], units: Sequence[float]) -> NDArray:
    """Return the weights that are best for tasks together, by the sum of their losses in units of each."""
    shares = [task.shares() for task in tasks]
    picks, totals = np.zeros(len(tasks[0].misses)), [np.zeros(task.misses.shape[1]) for task in tasks]
    for n_picked in range(1, N_PICKS + 1):
        losses = [
            task.loss((total + task.misses) / n_picked, own) / unit
            for task, total, own, unit in zip(tasks, totals, shares, units, strict=True)
        ]
        best = int(sum(losses).argmin())  # type: ignore[union-attr]
        picks[best] += 1
        for task, total in zip(tasks, totals, strict=True):
            total += task.misses[best]
    often = np.where(picks < LEAST_PICKS, 0.0, picks)
    picks = often if often.any() else picks
    return picks / picks.sum()


def agree(tasks: Mapping[int, Judged], chosen: Mapping[int, NDArray], constant: int) -> dict[int, NDArray]:
    """Return the weights of candidates for each task, between those chosen for it and those that are best for all.

    The share of the latter, the same for all tasks, is the best one on folds that were left out of both choices, by the
    mean of the logs of the tasks' losses.

    Parameters
    ----------
    tasks : mapping of int to Judged
        What the labels say of the candidates, by task.
    chosen : mapping of int to ndarray of shape (n_candidates,)
        The weights chosen for each task.
    constant : int
        Position of the candidate whose loss is the unit of each task's losses.
    """
    units = {task: own.losses(np.eye(len(own.misses))[[constant]]).item() for task, own in tasks.items()}
    counted = [task for task, unit in units.items() if unit > 0 and len(tasks[task].folds) >= LEAST_LABELS]
    n_folds = len(np.unique(np.concatenate([[], *(tasks[task].folds for task in counted)])))
    if len(counted) < 2 or n_folds < 2:
        return dict(chosen)
    judged = [tasks[task] for task in counted]
    share = AGREEMENTS[int(_judge_agreements(judged, [units[task] for task in counted]).argmin())]
    of_all = _pick(judged, [units[task] for task in counted]) if share else 0.0
    return {task: (1 - share) * own + share * of_all if task in counted else own for task, own in chosen.items()}


def _judge_agreements(tasks: Sequence[Judged], units: Sequence[float]) -> NDArray:
    """Return the loss of each agreement on rows that were left out of the choice of weights."""
    folds = np.unique(np.concatenate([task.folds for task in tasks]))
    totals = np.zeros((len(tasks), len(AGREEMENTS)))
    for fold in folds.tolist():
        known = [task.of(task.folds != fold) for task in tasks]
        usable = [k for k, task in enumerate(known) if len(task.folds)]
        of_all = _pick([known[k] for k in usable], [units[k] for k in usable])
        for k in usable:
            left_out = tasks[k].of(tasks[k].folds == fold)
            if len(left_out.folds):
                own = select(*known[k])
                mixed = [(1 - share) * own + share * of_all for share in AGREEMENTS]
                totals[k] += left_out.losses(np.stack(mixed))
    return np.log(np.maximum(totals, np.finfo(float).tiny)).mean(axis=0)


def hold_back(
    tasks: Mapping[int, Judged], chosen: Mapping[int, NDArray], groups: Mapping[int, NDArray], safe: int
) -> dict[int, NDArray]:
    """Return weights between those chosen and a safe candidate: nearer to this where it may not be worse.

    The share of the chosen weights is that of a positive-part James-Stein estimator of the mean gain, `max(0, 1 -
    error^2 / gain^2)`: gains are differences of squared errors, in units of the safe candidate's, averaged over the
    rows of each group and over the tasks, and the error is their standard error over groups (Efron and Morris 1973, doi
    10.2307/2284155).

    Parameters
    ----------
    tasks : mapping of int to Judged
        What the labels say of the candidates, by task; all are numbers.
    chosen : mapping of int to ndarray of shape (n_candidates,)
        The weights chosen for each task.
    groups : mapping of int to ndarray of int
        Position of each row's group among all groups, for the rows of each task.
    safe : int
        Position of the safe candidate.
    """
    gains = [_gains(own, chosen[task], groups[task], safe) for task, own in tasks.items()]
    by_group: dict[int, list[float]] = {}
    for group, gain in (pair for own in gains for pair in own):
        by_group.setdefault(group, []).append(gain)
    mean_gains = np.array([np.mean(own) for own in by_group.values()])
    if len(mean_gains) < 2:
        return dict(chosen)
    gain, error = mean_gains.mean(), mean_gains.std(ddof=1) / np.sqrt(len(mean_gains))
    share = max(0.0, 1 - (error / gain) ** 2) if gain > 0 else 0.0
    return {task: share * own + (1 - share) * np.eye(len(own))[safe] for task, own in chosen.items()}


def _gains(task: Judged, weights: NDArray, groups: NDArray, safe: int) -> list[tuple[int, float]]:
    """Return how much better an average is than the safe candidate, by group."""
    theirs = task.misses[safe] ** 2
    unit = np.average(theirs, weights=task.weight)
    if unit == 0:
        return []
    known, groups = np.unique(groups, return_inverse=True)
    gains = np.bincount(groups, task.weight * (theirs - (weights @ task.misses) ** 2)) / unit
    return list(zip(known.tolist(), (gains / np.bincount(groups, task.weight)).tolist(), strict=True))
