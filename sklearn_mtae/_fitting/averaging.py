"""Averages of members, chosen and calibrated on the rows that each of them was not trained on.

A candidate is a setting of the parameters and an epoch. Its prediction for a row is the mean over the members of that
setting, after that epoch, that were not trained on the row. Baselines are candidates too: for numbers, ridge
regressions and the mean of the labels; for classes, a kernel and the base rates. For each task, `select` chooses an
average of candidates. The data thus decide how long to train, how much to regularise and whether to be linear, and no
row is lost to validation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._engine.member import Member
from sklearn_mtae._tables.row_index import evenly

from .baseline import task_units
from .censored import limited_tasks
from .censored_labels import loss_with_limits, supports_of
from .choice import Choice
from .class_average import ClassAverage
from .data import Data
from .fitted import Average, Fitted
from .held_out import HeldOut
from .learn_copula import learn_copula
from .mixed_average import MixedAverage, mixed_average
from .number_average import NumberAverage, warn_of_uneven_weights
from .plan import Plan
from .run import ModelRunner
from .scores import rank_of
from .selection import Judged, Loss, agree, hold_back, select

Kind = NumberAverage | ClassAverage | MixedAverage
Losses = Mapping[int, Callable[[NDArray], Loss]]
MOST_JUDGING = 2_000
"""Maximum number of rows that choose the weights by which other rows calibrate."""
N_CHOICES = 3
"""Number of times that an average is chosen where some labels are limits, each time with the last one's deviation."""


def choose(plan: Plan, fitted: Fitted) -> Average:
    """Choose an average of the members on the rows that each of them has held out, and calibrate it."""
    contest = collect(plan, fitted)
    held_out, outputs, n, kind, average, run, _ = contest
    single = len(plan.members) == 1
    choose_by = contest.only if single else contest.choose
    choice = choose_by({}) if held_out.censoring is None else contest.choose_with_limits(choose_by, fitted)
    # The first baseline is a constant.
    choice = choice.where(kind.varies, np.eye(len(outputs))[:, [n]])
    average, predicted = kind.calibrate(held_out, run, average, choice, outputs)
    warn_of_uneven_weights(held_out.weight, plan.recipe.task_names, fitted.of_classes)
    labels = held_out.drawn(fitted.seed)
    average = replace(average, copula=learn_copula(fitted, predicted, labels, held_out.weight, held_out.groups))
    if single and kind.varies.all():
        return replace(average, earlier=[])
    return _keep_chosen(average, held_out.candidates, choice.weights[:n], len(plan.members))


def collect(plan: Plan, fitted: Fitted) -> "Contest":
    """Collect what averages are chosen from.

    What was collected at the last check of the training is used again: all of it if no epoch has followed, and
    otherwise the baselines, which do not depend on the training.
    """
    last, epochs = plan.contest, [len(member.history) for member in plan.members]
    if last is not None and last.epochs == epochs:
        return last
    kind = AVERAGES[plan.recipe.targets](plan.data, fitted) if last is None else last.kind
    earlier = [(k, state) for k, member in enumerate(plan.members) for state in member.kept.values()]
    average = replace(kind.start, earlier=earlier)
    runner = ModelRunner(replace(fitted, average=average), plan.recipe.device)
    run = partial(_run_once, runner)
    candidates = _candidates(plan.members, fitted.settings)
    held_out = HeldOut(plan, candidates)
    outputs = held_out.collect(partial(run, kind.output))
    baselines = kind.baselines(plan, held_out, runner) if last is None else last.outputs[last.n_candidates :]
    outputs = np.concatenate([outputs, baselines])
    return Contest(held_out, outputs, len(candidates), kind, average, run, epochs)


class Contest(NamedTuple):
    """What averages are chosen from."""

    held_out: HeldOut
    outputs: NDArray
    """Predictions of the held-out rows by candidates, and then by baselines."""
    n_candidates: int
    kind: Kind
    average: Average
    """The average before the choice, with all states of the members."""
    run: Callable[..., NDArray]
    """What runs functions of models in their states on rows."""
    epochs: list[int]
    """Number of epochs that each member has been trained for."""

    def only(self, _: Losses) -> Choice:
        """Return the choice of a single model, which is the first output."""
        weights = np.eye(len(self.outputs))[:, [0] * self.outputs.shape[2]]
        return Choice(weights, np.zeros(len(self.held_out.y), dtype=int), weights[None])

    def choose(self, losses: Losses) -> Choice:
        """Choose the weights of candidates and baselines, and those that the rows outside of each part would choose."""
        weights, _ = self.best(losses)
        part = _parts_of(self.held_out, self.kind.n_parts)
        if not part.any():
            return Choice(weights, part, weights[None])
        every = np.arange(len(part))
        judging = [np.isin(every, evenly(np.flatnonzero(part != own), MOST_JUDGING)) for own in range(part.max() + 1)]
        return Choice(weights, part, np.stack([self.select(losses, rows) for rows in judging]))

    def best(self, losses: Losses) -> tuple[NDArray, NDArray]:
        """Choose the weights of candidates and baselines by all rows; return the losses of the tasks there, too."""
        weights = self.select(losses, np.ones(len(self.held_out.y), dtype=bool))
        return weights, self.losses_of(weights[None], losses)[0]

    def without(self, candidates: NDArray) -> "Contest":
        """Return what averages could be chosen from without some candidates, given their positions."""
        outputs, n = np.delete(self.outputs, candidates, axis=0), self.n_candidates - len(candidates)
        return self._replace(outputs=outputs, n_candidates=n)

    @property
    def last(self) -> NDArray:
        """Positions of the candidates with the last states of members; each follows those with their states before."""
        return np.flatnonzero([max(own.values()) < len(self.epochs) for own in self.held_out.candidates])

    def losses_of(self, weights: NDArray, losses: Losses) -> NDArray:
        """Return the loss of averages for each task on all rows, shape (n_averages, n_tasks).

        The shape of `weights` is (n_averages, n_outputs, n_tasks). Tasks with fewer than two labels have a loss of 0.
        """
        found = np.zeros((len(weights), weights.shape[2]))
        for task, weight in enumerate(self.held_out.weight.T):
            if (weight > 0).sum() >= 2:
                found[:, task] = self._judged(task, weight > 0, losses).losses(weights[..., task])
        return found

    def choose_with_limits(self, choose_by: Callable[[Losses], Choice], fitted: Fitted) -> Choice:
        """Choose the weights of candidates and baselines where some labels are limits.

        The distance from a limit is no error: a prediction far on the side that the limit allows may be right. What a
        limit says of a prediction is its likelihood (see `loss_with_limits`), given the deviation of labels from the
        average. The mean of all candidates is the first average, from which the deviation comes; then it is the chosen
        one.
        """
        held_out, supports, units = self.held_out, supports_of(fitted), task_units(fitted)
        means = self.outputs if self.outputs.ndim == 3 else self.outputs[..., 0]
        predicted = means[: self.n_candidates].mean(axis=0)
        for _ in range(N_CHOICES):
            deviations = held_out.expect(predicted, supports) / units
            losses = {
                task: partial(_loss_of_rows, held_out.censoring[:, task], deviations[task])  # type: ignore[index]
                for task in limited_tasks(held_out.censoring)
            }
            choice = choose_by(losses)
            predicted = np.einsum("kt,knt->nt", choice.weights, means)
        held_out.expect(predicted, supports)
        return choice

    def select(self, losses: Losses, judging: NDArray[np.bool_]) -> NDArray:
        """Return the weights of the candidates, and then of the baselines, by some rows: shape (n_outputs, n_tasks).

        Tasks whose loss differs from that of their kind have it in `losses`. Those with fewer than two labels in these
        rows have all candidates alike.
        """
        held_out, weights = self.held_out, np.zeros((len(self.outputs), self.outputs.shape[2]))
        weights[: self.n_candidates] = 1 / self.n_candidates
        rows = {task: (weight > 0) & judging for task, weight in enumerate(held_out.weight.T)}
        judged = {task: self._judged(task, own, losses) for task, own in rows.items() if own.sum() >= 2}
        chosen = {task: select(*own) for task, own in judged.items()}
        # The loss of limits belongs to their rows.
        free = {task: own for task, own in judged.items() if task not in losses and self.kind.varies[task]}
        chosen |= agree(free, {task: chosen[task] for task in free}, self.n_candidates)
        if held_out.groups is not None:
            numbers = {task: own for task, own in free.items() if own.loss is NumberAverage.loss}
            groups = {task: held_out.groups[rows[task]] for task in numbers}
            # The first of the regressions follows the constant.
            chosen |= hold_back(numbers, {task: chosen[task] for task in numbers}, groups, self.n_candidates + 1)
        for task, own in chosen.items():
            weights[:, task] = own
        return weights

    def _judged(self, task: int, rows: NDArray[np.bool_], losses: Losses) -> Judged:
        """Return what some rows say of a task's candidates and baselines."""
        kind, held_out = self.kind, self.held_out
        misses = kind.misses(self.outputs[:, rows], held_out.given[rows, task], task)
        loss = kind.loss_of(task) if isinstance(kind, MixedAverage) else kind.loss
        loss = losses[task](rows) if task in losses else loss
        return Judged(misses, held_out.folds[rows], held_out.weight[rows, task], loss)


def _parts_of(held_out: HeldOut, n_parts: int) -> NDArray:
    """Return the part of each held-out row: whole folds or, if one fold has all labels, whole groups or single rows."""
    kinds = held_out.folds
    if len(np.unique(kinds[held_out.weight.any(axis=1)])) < 2:
        kinds = np.arange(len(kinds)) if held_out.groups is None else held_out.groups
    return np.unique(kinds, return_inverse=True)[1] % n_parts


def _loss_of_rows(codes: NDArray, deviation: float, rows: NDArray[np.bool_]) -> Loss:
    """Return the loss of a task with limits, given the rows that it is computed for."""
    return partial(loss_with_limits, codes=codes[rows], deviation=deviation)


def _run_once(runner: ModelRunner, function: Any, states: Sequence[int], x: Any, **options: Any) -> NDArray:
    return runner.apply(function, x, states=tuple(states), dtype=np.float64, cached=False, **options)


def _candidates(members: Sequence[Member], settings: Sequence[dict[str, Any]]) -> list[dict[int, int]]:
    """Return the states of the members, by member, for each candidate setting and epoch."""
    positions, first = [], len(members)
    for k, member in enumerate(members):
        positions.append({**{epoch: first + j for j, epoch in enumerate(member.kept)}, len(member.history): k})
        first += len(member.kept)
    epochs = sorted({epoch for own in positions for epoch in own})
    distinct = dict.fromkeys(id(own) for own in settings)
    members_of = [[k for k, own in enumerate(settings) if id(own) == setting] for setting in distinct]
    # A member that stopped earlier keeps its state.
    return [
        {k: positions[k][max((e for e in positions[k] if e <= epoch), default=min(positions[k]))] for k in own}
        for own in members_of
        for epoch in epochs
    ]


def _keep_chosen(average: Average, candidates: Sequence[dict[int, int]], weights: NDArray, n_members: int) -> Average:
    """Keep the states that count, and their weights."""
    spread = np.zeros((n_members + len(average.earlier), weights.shape[1]))
    for own, states in zip(weights, candidates, strict=True):
        for state in states.values():
            spread[state] += own / len(states)
    used = (spread != 0).any(axis=1) | (np.arange(len(spread)) < n_members)
    earlier = [own for own, is_used in zip(average.earlier, used[n_members:], strict=True) if is_used]
    return replace(average, weights=spread[used], earlier=earlier)


def reach(fitted: Fitted, coverage: float, wanted: NDArray[np.bool_] | None = None) -> NDArray:
    """Return how many standard deviations cover a fraction of each task's labels; NaN for those not `wanted`."""
    reaches, names = [], fitted.recipe.task_names
    for task, (name, scores) in enumerate(zip(names, fitted.average.scores, strict=True)):
        if wanted is not None and not wanted[task]:
            reaches.append(np.nan)
            continue
        rank = rank_of(coverage, len(scores))
        if rank is None:
            raise ValueError(
                f"coverage must be at most n / (n + 1), for n held-out labels of a task. Got {coverage} for task "
                f"{name!r}, which has {len(scores)}."
            )
        reaches.append(scores[rank - 1])
    return np.array(reaches)


AVERAGES: dict[str | None, Callable[[Data, Fitted], Kind]] = {
    "numbers": NumberAverage,
    "classes": ClassAverage,
    "mixed": mixed_average,
}
"""Methods of averaging members, by the kind of the targets."""
