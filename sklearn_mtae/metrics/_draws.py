"""Draws of targets, and what scores of them need: draws and labels of a row in common units."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_mtae._tables.blocks import block_rows, blocks
from sklearn_mtae._tables.containers import is_missing
from sklearn_mtae._tables.targets import per_task, target_columns, task_names
from sklearn_mtae.nn.words import named, short

from ._columnwise import numbers_of, read_weights, warn_of_unscored

Scale = Literal["std"] | ArrayLike | None
LARGEST = 1e150
"""Largest distance of a label or a draw from 0: up to there, squares and their sums are finite."""


def read_samples(samples: Any, n_rows: int, n_tasks: int) -> NDArray:
    """Return draws as an array of shape (n_samples, n_rows, n_tasks)."""
    array = np.asarray(samples)
    array = array[..., None] if array.ndim == 2 and n_tasks == 1 else array
    if array.ndim != 3 or array.shape[1:] != (n_rows, n_tasks) or not len(array):
        raise ValueError(
            f"samples must have shape (n_samples, n_rows, n_tasks), here (n_samples, {n_rows}, {n_tasks}), with one "
            f"draw or more. Got {np.shape(samples)}."
        )
    return array


def check_fair(fair: bool, n_draws: int) -> None:
    """Raise an error if there is no pair of draws for a score that needs one."""
    if fair and n_draws < 2:
        raise ValueError("fair=True needs two draws of each row or more. Got 1: draw more, or set fair=False.")


def finite(values: NDArray, what: str) -> NDArray:
    """Return numbers, whose squares are all finite, as float64."""
    values = numbers_of(values)
    wrong = values[~(np.abs(values) <= LARGEST)]
    if len(endless := wrong[~np.isfinite(wrong)]):
        raise ValueError(f"{what} must be finite. Got {short(endless[0])}.")
    if len(wrong):
        raise ValueError(f"{what} must lie between -{LARGEST:g} and {LARGEST:g}. Got {short(wrong[0])}.")
    return values


def n_pairs(n_draws: int, fair: bool) -> int:
    """Count the ordered pairs of draws: of different ones if the score is to be fair, otherwise of any two."""
    return n_draws * (n_draws - 1 if fair else n_draws)


def crps(truth: NDArray, draws: NDArray, fair: bool) -> NDArray:
    """Return the CRPS of each row of draws, shape (n_rows, n_draws), in O(n_draws log n_draws)."""
    scores = np.empty(len(draws))
    for rows in blocks(len(draws), block_rows(draws.shape[1])):
        distance = draws[rows] - truth[rows, None]
        scores[rows] = np.abs(distance).mean(axis=1) - _sorted_spread(distance) / n_pairs(draws.shape[1], fair)
    return scores


def _sorted_spread(draws: NDArray) -> NDArray:
    """Return the sum of the distances of each row's unordered pairs of draws: those below count plus, above minus."""
    n_draws = draws.shape[1]
    return np.sort(draws, axis=1) @ (2.0 * np.arange(n_draws) - (n_draws - 1)) if n_draws > 1 else np.zeros(len(draws))


def energy(truth: NDArray, draws: NDArray, fair: bool) -> float:
    """Return the energy score of the labels of one row (n_tasks,), from draws of shape (n_draws, n_tasks)."""
    observed = ~np.isnan(truth)
    truth, draws = (truth, draws) if observed.all() else (truth[observed], draws[:, observed])
    distance = draws - truth
    if len(truth) == 1:
        return float(crps(truth, draws.T, fair)[0])
    # Distances by the differences themselves: those from squared norms lose digits, and are not faster.
    spread = pdist(distance).sum() / n_pairs(len(draws), fair) if len(draws) > 1 else 0.0
    return float(np.linalg.norm(distance, axis=1).mean() - spread)


def variogram(truth: NDArray, draws: NDArray, p: float, pairs: NDArray) -> NDArray:
    """Return the variogram score of each row of labels (n_rows, n_tasks), from draws (n_rows, n_draws, n_tasks)."""
    scores, by_task = np.zeros(len(truth)), np.ascontiguousarray(draws.transpose(2, 0, 1))
    for s, t in combinations(range(truth.shape[1]), 2):
        drawn = np.abs(by_task[s] - by_task[t]) ** p
        term = (np.abs(truth[:, s] - truth[:, t]) ** p - drawn.mean(axis=1)) ** 2
        scores += pairs[s, t] * np.where(np.isnan(term), 0.0, term)  # missing labels make no term
    return scores


@dataclass
class JointRows:
    """Labels and draws of the tasks that can be scored.

    Parameters
    ----------
    y : ndarray of shape (n_rows, n_tasks)
        Labels in common units, NaN where missing.
    samples : ndarray of shape (n_samples, n_rows, n_given_tasks)
        Draws in their own units, of all tasks.
    tasks : ndarray of shape (n_tasks,)
        Positions of the tasks that can be scored.
    units : ndarray of shape (n_tasks,)
        One unit of each of them.
    weight : ndarray of shape (n_rows,) or None
        Weights of the rows.
    """

    y: NDArray
    samples: NDArray
    tasks: NDArray[np.intp]
    units: NDArray
    weight: NDArray | None

    def mean(self, score: Callable[[NDArray, NDArray], NDArray], min_labels: int) -> float:
        """Return the mean score of the rows with so many labels, NaN if there is none.

        The score is a function of labels (n_rows, n_tasks) and of draws (n_rows, n_samples, n_tasks).
        """
        if not len(self.tasks):  # a warning has named each of them
            return float("nan")
        counted = np.count_nonzero(~np.isnan(self.y), axis=1) >= min_labels
        counted &= True if self.weight is None else self.weight != 0
        return mean_of_rows(lambda rows: self._scores(score, rows), np.flatnonzero(counted), self.weight, min_labels)

    def _scores(self, score: Callable[[NDArray, NDArray], NDArray], rows: NDArray) -> NDArray:
        size = block_rows(len(self.samples) * len(self.tasks))
        return np.concatenate(
            [score(self.y[own], self._draws(own)) for own in map(rows.__getitem__, blocks(len(rows), size))]
        )

    def _draws(self, rows: NDArray) -> NDArray:
        draws = self.samples[:, rows].transpose(1, 0, 2)[..., self.tasks]
        return np.ascontiguousarray(draws, dtype=np.float64) / self.units


def mean_of_rows(
    score: Callable[[NDArray], NDArray], rows: NDArray, weight: NDArray | None, min_labels: int, stacklevel: int = 4
) -> float:
    """Return the mean of scores of rows, or NaN with a warning if there is no row."""
    if not len(rows):
        labels, weighing = (
            "a label" if min_labels == 1 else f"{min_labels} labels",
            "" if weight is None else " and weight",
        )
        warnings.warn(
            f"No row has {labels}{weighing}: the score is NaN.", UndefinedMetricWarning, stacklevel=stacklevel
        )
        return float("nan")
    return float(np.average(score(rows), weights=None if weight is None else weight[rows]))


def read_joint(y_true: Any, samples: Any, scale: Scale, sample_weight: ArrayLike | None) -> JointRows:
    """Read labels and draws of numbers, and warn of tasks that cannot be scored, by name and with the reason."""
    columns, names = target_columns(y_true), task_names(y_true)
    array = read_samples(samples, len(columns[0]), len(columns))
    weight = read_weights(sample_weight, (len(columns[0]),))
    y, unscored = np.full(array.shape[1:], np.nan), {}
    for task, (column, name) in enumerate(zip(columns, names, strict=True)):
        rows = ~is_missing(column) if weight is None else ~is_missing(column) & (weight != 0)
        try:
            y[rows, task] = finite(column[rows], "y_true")
            finite(array[:, rows, task], "samples")
        except ValueError as error:
            raise ValueError(f"{error} This is task {name!r}.") from error
        if not rows.any():
            unscored[name] = "it has no label" + ("" if weight is None else " of non-zero weight")
    units = _units(scale, y, weight, names, unscored)
    warn_of_unscored(unscored, "The score leaves it out", stacklevel=4)
    tasks = np.flatnonzero([name not in unscored for name in names])
    return JointRows(y[:, tasks] / units[tasks], array, tasks, units[tasks], weight)


def _units(scale: Scale, y: NDArray, weight: NDArray | None, names: list[str], unscored: dict[str, str]) -> NDArray:
    """Return one unit of each task, NaN with a reason in `unscored` for a task without one."""
    if scale is None:
        return np.ones(len(names))
    if isinstance(scale, str):
        if scale != "std":
            raise ValueError(f"scale must be 'std', None, or a number > 0 for each task. Got {short(scale)} instead.")
        return np.array([_deviation(own, weight, name, unscored) for own, name in zip(y.T, names, strict=True)])
    with named("scale"):
        units = np.array(per_task(scale, names, "scale"), dtype=np.float64)
    if not (np.isfinite(units) & (units > 0)).all():
        raise ValueError(f"scale must hold a finite number > 0 for each task. Got {short(scale)} instead.")
    return units


def _deviation(labels: NDArray, weight: NDArray | None, name: str, unscored: dict[str, str]) -> float:
    observed = ~np.isnan(labels)
    if name in unscored:
        return float("nan")
    own, weights = labels[observed], None if weight is None else weight[observed]
    if (own == own[0]).all():
        unscored[name] = f"all of its labels are {own[0]:g}, so that they have no standard deviation; set scale"
        return float("nan")
    return float(np.sqrt(np.average((own - np.average(own, weights=weights)) ** 2, weights=weights)))
