"""A second training, on all rows, of what was chosen on folds that leave rows out without being a partition."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .fitted import Fitted
from .folds import is_complete
from .plan import Plan, make_members


def trains_twice(plan: Plan) -> bool:
    """Return whether models that leave rows out are to be trained on all of them afterwards."""
    return any(len(held_out) for _, held_out in plan.splits) and not is_complete(plan.data)


def is_interrupted(plan: Plan) -> bool:
    """Return whether the user has interrupted the training."""
    return plan.interrupted is not None or any(member.interrupted for member in plan.members)


def on_all_rows(plan: Plan, fitted: Fitted) -> Plan:
    """Return the plan of a training on all rows, for as many epochs as were chosen."""
    rows = plan.data.taking_part
    again = replace(
        plan, splits=[(rows, np.empty(0, dtype=int))] * len(plan.splits), members=[], net=None, checkpoint=None
    )
    again.members = make_members(again)
    for member, epochs in zip(again.members, chosen_epochs(plan, fitted), strict=True):
        member.n_epochs, member.keep_at = max(epochs), sorted(set(epochs) - {max(epochs)})
    return again


def chosen_epochs(plan: Plan, fitted: Fitted) -> list[list[int]]:
    """Return for each member the epoch of the model that it came to, and those of its earlier states that count."""
    epochs = [[_last_epoch(member.history)] for member in plan.members]
    for k, state in fitted.average.earlier:
        epochs[k].append(_epoch_of(state, plan.members[k].kept))
    return epochs


def take_over(plan: Plan, fitted: Fitted, again: Plan, result: Fitted) -> Fitted:
    """Return what the second training made, averaged and judged as the first one."""
    epochs = chosen_epochs(plan, fitted)

    def state_after(k: int, epoch: int) -> dict[str, NDArray]:
        # An interrupt leaves what there is.
        return again.members[k].kept.get(epoch, result.states[k])

    states = [state_after(k, own[0]) for k, own in enumerate(epochs)]
    earlier = [(k, state_after(k, _epoch_of(state, plan.members[k].kept))) for k, state in fitted.average.earlier]
    average = replace(fitted.average, earlier=earlier)
    return replace(result, states=states, average=average, validation_scores=fitted.validation_scores)


def _last_epoch(history: list[dict]) -> int:
    """Return the epoch after which a member was what it is: the best one, where rows were held out to tell."""
    losses = [row["valid_loss"] for row in history if "valid_loss" in row]
    return int(np.argmin(losses)) + 1 if losses else len(history)


def _epoch_of(state: Mapping, kept: Mapping[int, Mapping]) -> int:
    return next(epoch for epoch, own in kept.items() if own is state)
