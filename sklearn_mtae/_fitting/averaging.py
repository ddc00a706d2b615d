"""Averages of members, chosen and calibrated by the rows that each of them was not trained on.

A candidate is a setting of the parameters and an epoch; what it predicts for a row is the mean over the members of that
setting, as they were after that epoch, that were not trained on the row. For each task an average of candidates, the
mean of the labels among them, is chosen by `select`; so how long to train and how much to regularise is up to the data,
and no row is lost to validation.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._engine.member import Member
from sklearn_mtae.nn.models import MultiTaskVAE
from sklearn_mtae.nn.posteriors import quasi_normal

from .fitted import Average, Fitted
from .held_out import HeldOut
from .plan import Plan
from .run import ModelRunner

N_DRAWS = 64
"""Quasi-random draws of the code for a standard deviation."""
LEAST_DEVIATION = 1e-10
"""Standard deviation of a prediction at least, in the task's unit: that of a count of which none is expected is 0."""
N_PICKS = 25
"""Candidates that are picked for an average, one after the other, each as often as it helps."""


def choose(plan: Plan, fitted: Fitted) -> Average:
    """Choose an average of the members by the rows that each of them has left out, and calibrate it."""
    labels = plan.data.labels
    assert labels is not None
    varies = (labels.max > labels.min) | (labels.n_observed == 1)  # one label says nothing of others
    earlier = [(k, state) for k, member in enumerate(plan.members) for state in member.kept.values()]
    average = Average(labels.mean, np.where(varies, labels.deviation, 0.0), earlier)
    runner = ModelRunner(replace(fitted, average=average), plan.recipe.device)
    candidates = _candidates(plan.members, fitted.settings)
    held_out = HeldOut(plan, candidates)
    run = partial(_run_once, runner)
    means = held_out.collect(partial(run, predict))
    single = len(plan.members) == 1
    weights = np.ones_like(means[:, 0]) if single else _select(held_out, means, average, task_units(fitted))
    weights = np.where(varies, weights, 0.0)  # labels that are all the same are predicted by what they are
    stds = held_out.collect(partial(run, deviation(fitted), n_draws=N_DRAWS), (weights != 0).any(axis=1))
    average = replace(average, **_calibrate(held_out, *mix(average, task_units(fitted), weights, means, stds)))
    if single and varies.all():
        return replace(average, earlier=[])
    return _keep_chosen(average, candidates, weights, len(plan.members))


def _run_once(runner: ModelRunner, function: Any, state: int, x: Any, **options: Any) -> NDArray:
    return runner.apply(function, x, state=state, dtype=np.float64, cached=False, **options)


def _candidates(members: Sequence[Member], settings: Sequence[dict[str, Any]]) -> list[dict[int, int]]:
    """Return for each setting and epoch to choose from the states of its members, by member."""
    positions, first = [], len(members)
    for k, member in enumerate(members):
        positions.append({**{epoch: first + j for j, epoch in enumerate(member.kept)}, len(member.history): k})
        first += len(member.kept)
    epochs = sorted({epoch for own in positions for epoch in own})
    distinct = dict.fromkeys(id(own) for own in settings)
    members_of = [[k for k, own in enumerate(settings) if id(own) == setting] for setting in distinct]
    # A member that stopped earlier stays as it was.
    return [
        {k: positions[k][max((e for e in positions[k] if e <= epoch), default=min(positions[k]))] for k in own}
        for own in members_of
        for epoch in epochs
    ]


def _select(held_out: HeldOut, means: NDArray, average: Average, units: NDArray) -> NDArray:
    """Return the weights of the candidates, shape (n_candidates, n_tasks); what is left is the labels' mean's."""
    weights = np.full((len(means), means.shape[2]), 1 / len(means))
    label_means = np.broadcast_to(average.label_means, means.shape[2:])
    for task, (labels, weight) in enumerate(zip(held_out.y.T, held_out.weight.T, strict=True)):
        counted = weight > 0
        if counted.sum() >= 2:
            constant = np.full((1, counted.sum()), label_means[task])
            errors = np.concatenate([means[:, counted, task], constant]) - labels[counted]
            errors /= units[task]
            weights[:, task] = select(errors, held_out.folds[counted], weight[counted])[:-1]
    return weights


def select(errors: NDArray, folds: NDArray, weight: NDArray) -> NDArray:
    """Return the weights of candidates in an average that does best on held-out rows.

    Greedy selection with replacement (Caruana et al. 2004, doi 10.1145/1015330.1015432): to what has been picked, the
    candidate is added with which the mean over folds of the root mean squared error is least. Roots, not squares: a
    fold with an outlier then counts no more than the others.

    Parameters
    ----------
    errors : ndarray of shape (n_candidates, n_rows)
        Prediction minus label of each candidate for each row, of models that were not trained on the row.
    folds : ndarray of int of shape (n_rows,)
        Fold of each row.
    weight : ndarray of shape (n_rows,)
        Weights of the rows.

    Returns
    -------
    ndarray of shape (n_candidates,)
        Weights that add up to 1.
    """
    _, folds = np.unique(folds, return_inverse=True)
    shares = np.zeros((len(folds), folds.max() + 1))
    shares[np.arange(len(folds)), folds] = weight
    shares /= shares.sum(axis=0)
    picks = np.zeros(len(errors))
    total = np.zeros(errors.shape[1])
    for n_picked in range(1, N_PICKS + 1):
        averages = (total + errors) / n_picked
        best = int(np.sqrt(averages**2 @ shares).mean(axis=1).argmin())
        picks[best] += 1
        total += errors[best]
    return picks / N_PICKS


def _calibrate(held_out: HeldOut, mean: NDArray, std: NDArray) -> dict[str, Any]:
    """Learn how far labels are from predictions of models that were not trained on their rows."""
    away, counted = np.abs(held_out.y - mean), held_out.weight > 0
    scores = [np.sort(own[is_counted]) for own, is_counted in zip((away / std).T, counted.T, strict=True)]
    return {
        "scores": scores,
        "inflation": np.array([np.sqrt(np.mean(own**2)) if len(own) > 1 else 1.0 for own in scores]),
    }


def _keep_chosen(average: Average, candidates: Sequence[dict[int, int]], weights: NDArray, n_members: int) -> Average:
    """Keep the states that count, and their weights."""
    spread = np.zeros((n_members + len(average.earlier), weights.shape[1]))
    for own, states in zip(weights, candidates, strict=True):
        for state in states.values():
            spread[state] += own / len(states)
    used = (spread != 0).any(axis=1) | (np.arange(len(spread)) < n_members)
    earlier = [own for own, is_used in zip(average.earlier, used[n_members:], strict=True) if is_used]
    return replace(average, weights=spread[used], earlier=earlier)


def task_units(fitted: Fitted) -> NDArray:
    """Return the units of the tasks, shape (n_tasks,): the squares of small numbers would underflow in others."""
    return fitted.states[0]["task_units.scale"]


def mean_of(average: Average, weights: NDArray, means: NDArray) -> NDArray:
    """Return the mean of a mixture, what is left of the weights being the labels' mean's."""
    return np.einsum("kt,knt->nt", weights, means) + (1 - weights.sum(axis=0)) * average.label_means


def mix(average: Average, units: NDArray, weights: NDArray, means: NDArray, stds: NDArray) -> tuple[NDArray, NDArray]:
    """Return mean and standard deviation of a mixture, what is left of the weights being the labels' own."""
    mean, left = mean_of(average, weights, means), 1 - weights.sum(axis=0)
    stds, away, label_away = stds / units, (means - mean) / units, (average.label_means - mean) / units
    square = np.einsum("kt,knt->nt", weights, stds**2 + away**2)
    square += left * ((average.label_deviations / units) ** 2 + label_away**2)
    return mean, units * np.sqrt(np.maximum(square, LEAST_DEVIATION**2))


def predict_average(runner: ModelRunner, x: Any, return_std: bool) -> tuple[NDArray, NDArray | None]:
    """Return means of rows, shape (n_rows, n_tasks), and where asked for deviations, not inflated yet."""
    fitted, average = runner.fitted, runner.fitted.average
    n_states, n_tasks = len(fitted.states), len(fitted.recipe.task_names)
    weights = np.full((n_states, n_tasks), 1 / n_states) if average.weights is None else average.weights
    used = np.flatnonzero((weights != 0).any(axis=1))
    shape = len(used), x.shape[0], n_tasks  # none counts where no candidate is better than the labels' mean
    run = partial(runner.apply, dtype=np.float64)
    means = np.reshape([run(predict, x, state=k) for k in used], shape)
    if not return_std:
        return mean_of(average, weights[used], means), None
    stds = np.reshape([run(deviation(fitted), x, n_draws=N_DRAWS, state=k) for k in used], shape)
    return mix(average, task_units(fitted), weights[used], means, stds)


def mean_log_probabilities(runner: ModelRunner, X: Any) -> NDArray:
    """Return the logs of the members' mean probabilities, shape (n_rows, n_tasks, most classes of a task)."""

    def log_probabilities(model: MultiTaskVAE, x: Tensor) -> Tensor:
        return model.predict_log_proba(model.encode(model.fill(x)))

    x, n_members = runner.read(X), len(runner.fitted.states)
    # Minus infinity is that of classes that other tasks have.
    logs = np.stack([runner.apply(log_probabilities, x, state=k, open_below=True) for k in range(n_members)])
    if n_members == 1:
        return logs[0]
    top = logs.max(axis=0)
    shift = np.where(np.isfinite(top), top, 0.0).astype(logs.dtype)  # a class that a task lacks is impossible to all
    with np.errstate(divide="ignore"):
        return np.log(np.exp(logs - shift).mean(axis=0)) + shift


def reach(fitted: Fitted, coverage: float) -> NDArray:
    """Return how many standard deviations hold a part of the labels of each task."""
    reaches = []
    for name, scores in zip(fitted.recipe.task_names, fitted.average.scores, strict=True):
        rank = ceil(round((len(scores) + 1) * coverage, 9))  # 28 / 29 * 29 is 28, not a digit more
        if rank > len(scores):
            raise ValueError(
                f"coverage must be at most n / (n + 1), n labels of a task being held out. Got {coverage} for task "
                f"{name!r}, which has {len(scores)}."
            )
        reaches.append(scores[rank - 1])
    return np.array(reaches)


def predict(model: MultiTaskVAE, x: Tensor) -> Tensor:
    """Return the mean of each task at the posterior mean."""
    return model.predict(model.encode(model.fill(x)))


def deviation(fitted: Fitted) -> Any:
    """Make the function that computes a model's own standard deviation of each task."""
    seed = fitted.seed

    def std(model: MultiTaskVAE, x: Tensor) -> Tensor:
        return model.predict_std(x, quasi_normal(model.fill(x), N_DRAWS, model.prior.n_components, seed))

    return std


AVERAGES: dict[str | None, Callable[[Plan, Fitted], Average]] = {"numbers": choose}
"""What chooses an average of members, by the kind of the targets; of other kinds all members count alike."""
