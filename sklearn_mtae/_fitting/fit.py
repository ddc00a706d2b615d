"""The training of a plan, and what a fit keeps of it."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._engine.batches import Batches
from sklearn_mtae._engine.interrupts import Interrupts
from sklearn_mtae._engine.member import Member
from sklearn_mtae._engine.net import Net
from sklearn_mtae._engine.optimizer import VectorAdamW
from sklearn_mtae._engine.state import place
from sklearn_mtae._engine.together import make_net, train
from sklearn_mtae._tables.blocks import block_rows
from sklearn_mtae.nn.loadings import code_variance, is_reorderable, loadings, relevance, reorder
from sklearn_mtae.nn.words import short

from .account import models_counted, models_made
from .all_rows import chosen_epochs, is_interrupted, on_all_rows, take_over, trains_twice
from .averaging import choose
from .build import rebuild
from .build_loss import build_loss
from .code_density import learn_code_density
from .ending import stages
from .fitted import Fitted
from .plan import Plan
from .recipe import DTYPES, Recipe


def fit(plan: Plan, hooks: Mapping[str, Any]) -> Fitted:
    """Train the models of a plan, several as one if possible; return the result, without the data.

    Parameters
    ----------
    plan : Plan
        The plan to train.
    hooks : mapping
        Functions that are called with the net at the "begin" and the "end" of each epoch, and without arguments when
        all members are trained and averaging starts ("average").
    """
    hooks = dict(hooks)
    before_average = hooks.pop("average", None)
    tells = bool(_log(plan)) and len(plan.members) > 1
    if tells:
        print(f"[{plan.recipe.owner}] {models_made(plan.fitted)}")
    try:
        _train(plan, hooks)
        if before_average is not None and plan.has_average:
            before_average()
        fitted = keep(plan)
        if tells and fitted.ended:
            print(f"[{plan.recipe.owner}] {fitted.ended}")
        if tells and fitted.average.weights is not None:
            print(f"[{plan.recipe.owner}] {models_counted(fitted)}")
        if is_interrupted(plan) or not trains_twice(plan):
            return fitted
        chosen = chosen_epochs(plan, fitted)
        again = on_all_rows(plan, chosen)
        _train(again, hooks)
        plan.interrupted = again.interrupted
        return take_over(fitted, chosen, again, keep(again))
    finally:
        if plan.checkpoint is not None:
            plan.checkpoint.release()


def _train(plan: Plan, hooks: Mapping[str, Any]) -> None:
    """Train the models of a plan, as long as it pays."""
    for left in stages(plan):
        alone = {"": left} if len(plan.members) == 1 else _train_stack(left, plan, hooks)
        for reason, members in alone.items():
            if reason:
                words = f"{len(members)} members are trained one after the other: {reason.removesuffix('.')}."
                warnings.warn(words, stacklevel=3)
            _train_alone(members, plan, hooks)


def _train_stack(members: list[Member], plan: Plan, hooks: Mapping[str, Any]) -> dict[str, list[Member]]:
    """Train several models as one; return those that were not, by the reason why."""
    for member in members:
        net_params_of(plan.recipe, member.alpha)  # raises the errors of contradictory parameters
    if plan.recipe.net_params:
        return {"net_params apply to a net of one model": members}
    trained = train(members, **hooks, log=_log(plan))
    errors = [member.error for member in members if member.error is not None]
    if errors:
        raise errors[0]
    if trained.interrupted is not None and not all(member.history for member in plan.members):
        raise KeyboardInterrupt
    return trained.refused


def _train_alone(members: Sequence[Member], plan: Plan, hooks: Mapping[str, Any]) -> None:
    """Train models one after the other."""
    for member in members:
        member.pause_at = None
        params = net_params_of(plan.recipe, member.alpha)
        trained = train([member], **hooks, log=_log(plan), net_params=params, checkpoint=plan.checkpoint)
        plan.net, plan.interrupted = trained.net, trained.interrupted
        if plan.interrupted is not None and not all(other.history for other in plan.members):
            raise KeyboardInterrupt


def _log(plan: Plan) -> str:
    """Return the owner of printed lines, if any are printed."""
    return plan.recipe.owner if plan.recipe.verbose else ""


def net_params_of(recipe: Recipe, alpha: float) -> dict[str, Any]:
    """Return the optimiser of a net, with weight decay and the user's additions."""
    own = recipe.net_params or {}
    optimizer: dict[str, Any] = {"optimizer": own.get("optimizer", VectorAdamW)}
    decoupled = optimizer["optimizer"] in (VectorAdamW, torch.optim.AdamW)
    if alpha and not decoupled:
        raise ValueError(
            f"alpha must be 0 with an optimizer other than AdamW, whose weight decay alone is decoupled from the "
            f"gradient. Got alpha={alpha} and {short(optimizer['optimizer'])}."
        )
    if decoupled:
        optimizer["optimizer__weight_decay"] = 0.0
    if alpha:
        optimizer["optimizer__param_groups"] = [("decayed", {"weight_decay": alpha})]
    return {**optimizer, **own}


def rebuild_net(recipe: Recipe, fitted: Fitted, device: torch.device) -> Net:
    """Compose the net of a fitted model again."""
    own = replace(recipe, columns=fitted.recipe.columns, tasks=fitted.recipe.tasks).of_member(fitted.settings[0])
    model = rebuild(fitted, DTYPES[fitted.recipe.dtype])
    loss = build_loss(own, model, fitted.loss_states[0])
    params = net_params_of(own, own.alpha)
    return make_net(place(model, device), loss, own.learning_rate_init, **params).initialize()


def keep(plan: Plan) -> Fitted:
    """Collect the result of a training, without its data."""
    loading = loadings(plan.members[0].model)
    variance = None if loading is None else _rank_components(plan, loading)
    for member in plan.members:
        learn_code_density(member, plan.fitted.seed)
    fitted = replace(plan.so_far(), code_variance=variance)
    fitted.add_epochs(member.history for member in plan.members)
    if plan.has_average:
        fitted.average = choose(plan, fitted)
    chosen = chosen_epochs(plan, fitted)
    fitted.epochs = [*chosen.last, *(epoch for _, epoch in chosen.earlier)]
    if plan.net is None or len(plan.members) > 1:
        return fitted
    if plan.checkpoint is not None and not plan.net.interrupted_:
        plan.checkpoint.remove()
    # GPU memory is freed; the records of its net are kept for the net that is rebuilt on demand.
    own = {"net": plan.net} if plan.net.device == "cpu" else {"history": plan.net.history}
    return replace(fitted, cache=own)


def _rank_components(plan: Plan, loading: Tensor) -> NDArray:
    """Return the variance of the codes of a linear decoder; first put its components in order of relevance.

    This is done only if the model and the plan allow it: the moments of a continued optimiser belong to their weights.
    """
    module, train = plan.members[0].model, plan.members[0].train
    batches = Batches(train, block_rows(module.width))
    variance = code_variance(module.eval(), ((batch.x, batch.weight) for batch in batches))[: len(loading)]
    if not plan.partial and is_reorderable(module):
        order = relevance(loading, variance).argsort(descending=True, stable=True)
        reorder(module, order)
        variance = variance[order]
    return variance.numpy()


def warn_of_interrupt(plan: Plan, interrupts: Interrupts) -> None:
    """Warn that the user's interrupt has cut the training short."""
    interrupts.is_waiting = False
    when = "after the last epoch" if plan.interrupted is None else f"in epoch {plan.interrupted}"
    warnings.warn(f"Training interrupted by user {when}. The model is that of the completed steps.", stacklevel=4)
