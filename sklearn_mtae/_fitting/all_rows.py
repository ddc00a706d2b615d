"""A second training, on all rows, of models chosen on folds that are not a partition of the rows."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .fitted import Fitted
from .folds import is_complete
from .plan import Plan, make_members


class Chosen(NamedTuple):
    """The models of a first training that count, by the epochs of the members."""

    last: list[int]
    """The epoch of each member's final model."""
    earlier: list[tuple[int, int]]
    """The member and the epoch of each earlier state that counts."""


def trains_twice(plan: Plan) -> bool:
    """Return whether models with held-out rows are trained on all rows afterwards."""
    return any(len(held_out) for _, held_out in plan.splits) and not is_complete(plan.data)


def is_interrupted(plan: Plan) -> bool:
    """Return whether the user has interrupted the training."""
    return plan.interrupted is not None or any(member.interrupted for member in plan.members)


def chosen_epochs(plan: Plan, fitted: Fitted) -> Chosen:
    """Return the epochs of the members' final models, and of their earlier states that count."""
    epochs = {id(state): epoch for member in plan.members for epoch, state in member.kept.items()}
    earlier = [(k, epochs[id(state)]) for k, state in fitted.average.earlier]
    return Chosen([_last_epoch(member.history) for member in plan.members], earlier)


def on_all_rows(plan: Plan, chosen: Chosen) -> Plan:
    """Return the plan of a training on all rows, for the chosen number of epochs."""
    rows = plan.data.taking_part
    splits = [(rows, np.empty(0, dtype=int))] * len(plan.splits)
    again = replace(plan, splits=splits, members=[], net=None, checkpoint=None, contest=None)
    again.members = make_members(again)
    for k, member in enumerate(again.members):
        epochs = {chosen.last[k], *(epoch for own, epoch in chosen.earlier if own == k)}
        if plan.fitted.ended:  # before the step size has fallen to its last value
            member.annealing *= max(epochs) / member.n_epochs
        member.n_epochs = max(epochs)
        member.keep_at = sorted(epochs - {member.n_epochs})
    return again


def take_over(fitted: Fitted, chosen: Chosen, again: Plan, result: Fitted) -> Fitted:
    """Return the result of the second training, averaged and calibrated like the first one."""

    def state_after(k: int, epoch: int) -> dict[str, NDArray]:
        # An interrupt keeps the existing result.
        return again.members[k].kept.get(epoch, result.states[k])

    states = [state_after(k, epoch) for k, epoch in enumerate(chosen.last)]
    average = replace(fitted.average, earlier=[(k, state_after(k, epoch)) for k, epoch in chosen.earlier])
    scores = fitted.validation_scores
    return replace(result, states=states, average=average, epochs=fitted.epochs, validation_scores=scores)


def _last_epoch(history: list[dict]) -> int:
    """Return the epoch of a member's state: the best one, if rows were held out."""
    losses = [row["valid_loss"] for row in history if "valid_loss" in row]
    return int(np.argmin(losses)) + 1 if losses else len(history)
