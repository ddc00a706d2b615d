"""Joint answers: predictions given labels that are already known, draws, and what is worth measuring next."""

import warnings
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import qmc
from sklearn.utils import check_consistent_length, check_random_state, check_scalar

from sklearn_mtae._fitting.cell_margins import OfCells
from sklearn_mtae._fitting.class_average import average_log_probabilities
from sklearn_mtae._fitting.copula import Copula, patterns
from sklearn_mtae._fitting.correlation import LEAST_ROWS
from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae._fitting.margins import Margin, Scores
from sklearn_mtae._fitting.mixed_average import predict_tasks
from sklearn_mtae._fitting.number_average import predict_average
from sklearn_mtae._fitting.predictions import OfTask, Predictions, only_classes
from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.blocks import blocks
from sklearn_mtae._tables.containers import plain
from sklearn_mtae._tables.read_targets import read_known
from sklearn_mtae._tables.row_index import Chosen
from sklearn_mtae.nn.words import named

from .labels import check_labels, label_range

N_DRAWS = 128
"""Quasi-random draws of the scores of a row's known counts and classes."""
CELLS = 2**21
"""Numbers that are computed at once, in round figures."""
FAR = 30.0
"""A score beyond which there is nothing."""


def predictions(runner: ModelRunner, x: Any, return_std: bool = True, known: NDArray | None = None) -> Predictions:
    """Predict tasks of all kinds; deviations are not yet inflated.

    Parameters
    ----------
    runner : ModelRunner
        The fitted models.
    x : array of shape (n_rows, n_columns)
        Rows, as the models see them.
    return_std : bool, default=True
        Whether deviations are wanted.
    known : ndarray of shape (n_rows, n_tasks) or None, default=None
        Labels that are known, NaN where not: see `read_observed`.
    """
    predicted = PREDICTORS[runner.fitted.recipe.targets](runner, x, return_std)
    return _update(runner, x, predicted, known)


PREDICTORS: dict[str | None, Any] = {
    "numbers": lambda runner, x, return_std: Predictions(*predict_average(runner, x, return_std), None),
    "classes": lambda runner, x, return_std: only_classes(average_log_probabilities(runner, x)),
    "mixed": predict_tasks,
}
"""Functions that predict tasks, by their kind."""


def class_logs(runner: ModelRunner, x: Any, known: NDArray | None = None) -> NDArray:
    """Return the logs of class probabilities, shape (n_rows, n_tasks, most classes of a task)."""
    logs = _update(runner, x, only_classes(average_log_probabilities(runner, x)), known).log_probabilities
    assert logs is not None
    return logs


def _update(runner: ModelRunner, x: Any, predicted: Predictions, known: NDArray | None) -> Predictions:
    """Return predictions changed for the rows that have a known label; all others keep their bits."""
    if known is None or np.isnan(known).all():
        return predicted
    inflation = np.broadcast_to(runner.fitted.average.inflation, known.shape[1])
    changed, (low, high) = predicted.copy(), label_range(runner.fitted)
    for rows, task, margin, own, scores in informed_parts(runner, x, known):
        given = margin.given(own, scores)
        std = given.std / inflation[task] if inflation[task] > 0 else given.std
        changed.put_task(rows, task, given._replace(mean=given.mean.clip(low[task], high[task]), std=std))
    for task, labels in enumerate(known.T):
        rows = np.flatnonzero(~np.isnan(labels))
        changed.settle(rows, task, labels[rows])
    return changed


class Part(NamedTuple):
    """Rows with the same known labels, and a task that these say something about."""

    rows: NDArray
    """Index of the rows."""
    task: int
    margin: Margin
    """The predictive distributions of the task."""
    own: OfTask
    """Its predictions, with calibrated deviations, before anything is known."""
    scores: Scores
    """The distribution of its scores given the known labels."""


def informed_parts(runner: ModelRunner, x: Any, known: NDArray) -> Iterator[Part]:
    """Predict the rows that have a known label, and yield what is changed by it."""
    every = np.flatnonzero(~np.isnan(known).all(axis=1))
    if not len(every):
        return
    copula, predicted = _copula(runner.fitted), _calibrated(runner, Chosen(x, every))
    for own in condition(copula, predicted, known[every]):
        before = predicted.take(own.rows)
        for position in np.flatnonzero(own.is_linked).tolist():
            task = int(own.open[position])
            yield Part(every[own.rows], task, copula.margins[task], before.of(task), own.scores(position))


def _calibrated(runner: ModelRunner, x: Any) -> Predictions:
    """Predict rows, with calibrated deviations."""
    return predictions(runner, x).scaled(runner.fitted.average.inflation)


def read_observed(runner: ModelRunner, y_observed: Any, x: Any) -> NDArray:
    """Return known labels as floats of shape (n_rows, n_tasks), positions for classes, NaN where not known."""
    tasks = runner.fitted.recipe.tasks
    assert tasks is not None
    with named("y_observed"):
        known = read_known(plain(y_observed), tasks)
        check_consistent_length(x, known)
        check_labels(runner.fitted, known, None)
    known, copula = known.astype(np.float64), _copula(runner.fitted)
    if not copula.is_learned and known.shape[1] > 1 and not np.isnan(known).all():
        warnings.warn(
            f"Fewer than {LEAST_ROWS} held-out rows have labels of two tasks: tasks count as independent, and known "
            "labels change nothing.",
            stacklevel=4,
        )
    return known


class Known(NamedTuple):
    """Rows with the same known labels, and the scores of their other labels given these."""

    rows: NDArray
    """Index of the rows."""
    open: NDArray
    """The tasks without a known label."""
    mean: NDArray
    """Means of their scores, shape (n_draws, n_rows, n_open): one draw unless a count or a class is known."""
    weight: NDArray
    """Weights of the draws, which add up to 1 for each row; shape (n_draws, n_rows)."""
    root: NDArray
    """A square root of the covariance of their scores, shape (n_open, n_open)."""
    is_linked: NDArray[np.bool_]
    """Whether the known labels say anything about each of the tasks, shape (n_open,)."""

    def scores(self, position: int) -> Scores:
        """Return the distribution of the scores of an open task, by its position among these."""
        return Scores(self.mean[..., position], float(np.linalg.norm(self.root[position])), self.weight)


def condition(copula: Copula, predicted: Predictions, known: NDArray) -> Iterator[Known]:
    """Yield the rows, with those that have the same known labels together, a limited number at once.

    The scores of known numbers are known too. Those of counts and classes lie in intervals: they are drawn one after
    the other from normal distributions truncated to these, and weighted by the probabilities of the intervals (the
    method of Geweke, Hajivassiliou and Keane; see Genz and Bretz 2009, doi 10.1007/978-3-642-01689-9).
    """
    low, high = copula.intervals(predicted, known)
    of_cells = np.array([isinstance(margin, OfCells) for margin in copula.margins])
    width = max(known.shape[1], *(margin.width for margin in copula.margins))
    for rows, is_known in patterns(~np.isnan(known)):
        points, cells, others = map(np.flatnonzero, (is_known & ~of_cells, is_known & of_cells, ~is_known))
        order, every = np.concatenate([points, cells]), np.concatenate([points, cells, others])
        root = np.linalg.cholesky(copula.correlation[np.ix_(every, every)])
        n, n_draws = len(order), N_DRAWS if len(cells) else 1
        for block in blocks(len(rows), max(1, CELLS // (n_draws * width))):
            part = rows[block]
            drawn, logs = _draw(root[:n, :n], low[np.ix_(part, order)], high[np.ix_(part, order)], len(points))
            weight = np.exp(logs - logs.max(axis=0))
            mean, is_linked = drawn @ root[n:, :n].T, np.any(copula.correlation[np.ix_(others, order)] != 0, axis=1)
            yield Known(part, others, mean, weight / weight.sum(axis=0), root[n:, n:], is_linked)


def _draw(root: NDArray, low: NDArray, high: NDArray, n_points: int) -> tuple[NDArray, NDArray]:
    """Draw independent scores, shape (n_draws, n_rows, n_known), and the logs of their weights.

    The first of them are points, whose scores are known.
    """
    n_rows, n_known = low.shape
    uniform = _uniform(n_known - n_points)
    drawn, logs = np.zeros((len(uniform), n_rows, n_known)), np.zeros((len(uniform), n_rows))
    for j in range(n_known):
        away = drawn[..., :j] @ root[j, :j]
        first, last = (low[:, j] - away) / root[j, j], (high[:, j] - away) / root[j, j]
        if j < n_points:
            drawn[..., j] = first
            continue
        # Intervals in the upper tail are turned round: distribution functions have more digits near 0 than near 1.
        side = np.where(first > 0, -1.0, 1.0)
        ends = np.sort([side * first, side * last], axis=0)
        below, share = ndtr(ends[0]), np.maximum(ndtr(ends[1]) - ndtr(ends[0]), np.finfo(float).tiny)
        inside = ndtri(below + share * uniform[:, [j - n_points]])
        drawn[..., j] = side * np.clip(inside, ends[0].clip(min=-FAR), ends[1].clip(max=FAR))
        logs += np.log(share)
    return drawn, logs


def _uniform(n_columns: int) -> NDArray:
    """Return quasi-random numbers between 0 and 1, shape (N_DRAWS, n_columns), the same each time."""
    if not n_columns:
        return np.zeros((1, 0))
    return qmc.Sobol(n_columns, rng=np.random.default_rng(0)).random(N_DRAWS)


def draw_samples(runner: ModelRunner, x: Any, n_samples: int, known: NDArray | None, random_state: Any) -> NDArray:
    """Draw labels of all tasks for rows, shape (n_samples, n_rows, n_tasks); those that are known stay as they are."""
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    rng = check_random_state(random_state)
    copula, predicted = _copula(runner.fitted), _calibrated(runner, x)
    known = np.full(predicted.means.shape, np.nan) if known is None else known
    low, high = label_range(runner.fitted)
    # One row after the other: the draws of a row do not depend on those behind it, nor on what is known of others.
    normal = rng.standard_normal((len(known), n_samples, known.shape[1] + 1)).swapaxes(0, 1)
    drawn = np.tile(known, (n_samples, 1, 1))
    for own in condition(copula, predicted, known):
        part = normal[:, own.rows]
        z = part[..., own.open] @ own.root.T + _pick(own, ndtr(part[..., -1]))
        before = predicted.take(own.rows)
        for position, task in enumerate(own.open):
            values = copula.margins[task].values(before.of(task), z[..., position])
            drawn[:, own.rows, task] = values.clip(low[task], high[task])
    return drawn


def _pick(own: Known, uniform: NDArray) -> NDArray:
    """Pick means of scores by their weights, given uniform draws of shape (n_samples, n_rows)."""
    if len(own.mean) == 1:
        return own.mean
    above = own.weight.cumsum(axis=0).T
    chosen = uniform.T * above[:, -1:]
    place = np.stack([np.searchsorted(ends, column) for ends, column in zip(above, chosen, strict=True)], axis=1)
    return own.mean[place, np.arange(len(own.rows))]


def worth_measuring(runner: ModelRunner, x: Any, known: NDArray | None, wanted: Sequence[int]) -> NDArray:
    """Return which share of the remaining variance of wanted tasks each open task would take away, once measured.

    It is the mean over the wanted tasks that are open and other than the measured one, for the variance of normal
    scores; NaN for known labels. Shape (n_rows, n_tasks).
    """
    copula, predicted = _copula(runner.fitted), _calibrated(runner, x)
    known = np.full(predicted.means.shape, np.nan) if known is None else known
    worth = np.full(known.shape, np.nan)
    for own in condition(copula, predicted, known):
        before, covariance = predicted.take(own.rows), own.root @ own.root.T
        centre = (own.weight[..., None] * own.mean).sum(axis=0)
        away = own.mean - centre
        total = covariance + np.einsum("kn,kni,knj->nij", own.weight, away, away)
        variance = np.einsum("nii->ni", total)
        counted = np.isin(own.open, wanted)
        for position, task in enumerate(own.open):
            others = counted & (own.open != task)
            resolved = copula.margins[task].resolved(before.of(task), own.scores(position)) / variance[:, position] ** 2
            shares = total[:, position] ** 2 * resolved[:, None] / variance
            worth[own.rows, task] = shares[:, others].mean(axis=1) if others.any() else 0.0
    return worth


def _copula(fitted: Fitted) -> Copula:
    """Return the copula of a fit that has held-out rows."""
    assert fitted.average.copula is not None
    return fitted.average.copula
