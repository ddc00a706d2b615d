"""When the training of an ensemble ends: where more of it no longer pays, by the rows that its members left out.

All members pause after a quarter of the epochs, and the average is chosen from what there is. The training goes on if,
for some task, the last half of the epochs so far has made the average better, or if one setting would be better than
the average in the end, should its loss fall as fast until then.

No gain is too small to go on: that of a task with rare labels is small on held-out rows, and large where it matters.
"""

from collections.abc import Iterator
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._engine.member import Member

from .all_rows import is_interrupted
from .averaging import Contest, Losses, collect
from .choice import Choice
from .fitted import Fitted
from .parameters import is_auto
from .plan import Plan

PART = 4
"""The training pauses after a quarter of the epochs. A pause takes as long as some epochs of a small table."""
TIMES_TO_COME = 2 * (PART - 1)
"""Epochs to come by those since the states before the last ones: three quarters of all, by an eighth."""
LEAST_GAIN = 1e-6
"""Part of a loss below which a gain is one of rounding."""


def stages(plan: Plan) -> Iterator[list[Member]]:
    """Yield the members to train until they come to rest: to a pause, and on if it pays."""
    if not _pauses(plan):
        yield plan.members
        return
    epoch = ceil(plan.members[0].n_epochs / PART)
    yield _let_run(plan, epoch)
    if all(member.finished for member in plan.members) or is_interrupted(plan):
        return
    if _pays(plan):
        yield _let_run(plan, None)
    else:
        _end(plan, epoch)


def _pauses(plan: Plan) -> bool:
    """Return whether the training pauses: not if the number of epochs is the user's, or each member's own.

    A schedule of `beta` runs to its end.
    """
    recipe = plan.recipe
    is_checked = plan.has_average and len(plan.members) > 1 and not recipe.early_stopping
    is_checked &= not any(callable(member.loss.beta) for member in plan.members)
    return is_checked and is_auto(recipe.max_iter) and is_auto(recipe.parameters.get("member_params"))


def _let_run(plan: Plan, epoch: int | None) -> list[Member]:
    """Let the members run until after an epoch, or to their end; return those that have not ended."""
    for member in plan.members:
        member.pause_at = epoch
    return [member for member in plan.members if not member.finished]


def _end(plan: Plan, epoch: int) -> None:
    """End the training, and say why."""
    for member in plan.members:
        member.finished, member.pause = True, None
    plan.fitted.ended = (
        f"training ended after {epoch} of {plan.members[0].n_epochs} epochs: the last half of these lowered no task's "
        "loss on held-out rows"
    )


def _pays(plan: Plan) -> bool:
    """Return whether more epochs pay for any task."""
    fitted = plan.so_far()
    plan.contest = collect(plan, fitted)
    return bool(pays(plan.contest, fitted).any())


def pays(contest: Contest, fitted: Fitted) -> NDArray[np.bool_]:
    """Return whether more epochs pay, for each task: whether its average has gained, or may still gain.

    The average has gained if the members' last states lower its loss. It may gain if a candidate whose loss falls until
    the end as fast as in the last epochs would be better than the average: losses fall more and more slowly.
    """
    last, found = contest.last, np.zeros(len(contest.kind.varies), dtype=bool)
    each = np.repeat(np.eye(len(contest.outputs))[..., None], len(found), axis=-1)

    def choose_by(of_limits: Losses) -> Choice:
        (weights, now), (_, before) = contest.best(of_limits), contest.without(last).best(of_limits)
        before_that, at_last = (contest.losses_of(each[own], of_limits) for own in (last - 1, last))
        ahead = at_last - TIMES_TO_COME * (before_that - at_last)
        found[:] = (now < (1 - LEAST_GAIN) * before) | (ahead.min(axis=0) < (1 - LEAST_GAIN) * now)
        return Choice(weights, np.zeros(len(contest.held_out.y), dtype=int), weights[None])

    if contest.held_out.censoring is None:
        choose_by({})
    else:
        contest.choose_with_limits(choose_by, fitted)
    return found & contest.kind.varies
