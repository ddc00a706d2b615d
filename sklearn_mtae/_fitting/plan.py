"""The state of a fit before its first step: the models, their rows and their seeds."""

from copy import deepcopy
from dataclasses import dataclass, field, replace
from pickle import PicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from sklearn_mtae._engine.checkpoint import Checkpoint
from sklearn_mtae._engine.devices import resolve_device
from sklearn_mtae._engine.member import Member
from sklearn_mtae._engine.net import Net
from sklearn_mtae._engine.rows import Rows
from sklearn_mtae._engine.state import dump, load, place
from sklearn_mtae._tables.limits import Limits
from sklearn_mtae._version import __version__
from sklearn_mtae.nn.models import Autoencoder, MultiTaskVAE

from .build import build, given_likelihoods
from .build_loss import build_loss
from .censored_labels import take_limits
from .data import Data, read_data
from .ensemble import count_members, kept_epochs, member_settings, why_alone
from .fitted import Fitted
from .folds import Split, split_rows
from .identity import identity
from .parameters import is_auto
from .recipe import DTYPES, PRODUCTS, Recipe
from .relevance import Relevance
from .units import learn_from_rows, learn_units

EXEMPT = ("checkpoint", "device", "net_params", "verbose")
"""Parameters that a fit can continue without; of `net_params`, these are the callbacks."""
GOES_ON = (
    "states",
    "loss_states",
    "optimizer_states",
    "n_iter",
    "loss_curve",
    "validation_scores",
    "term_curves",
    "task_weights",
)
"""Parts of the last fit that a continued fit takes over."""


@dataclass
class Plan:
    """A prepared fit.

    Parameters
    ----------
    recipe : Recipe
        The requested recipe.
    data : Data
        The checked arguments of `fit`.
    fitted : Fitted
        The state before the first epoch: the seed, the settings of the members, the curves of earlier fits.
    members : list of Member
        The models to train.
    partial : bool
        Whether it is a `partial_fit`.
    splits : list of (index, ndarray of int)
        For each model, the training rows and the held-out rows.
    fresh : bool
        Whether the models are new.
    checkpoint : Checkpoint or None
        Where the training is saved.
    net : Net or None
        Afterwards, the net of the last model that was trained alone.
    interrupted : int or None
        The epoch in which the user interrupted a model that was trained alone.
    contest : Contest or None
        What averages were last chosen from.
    """

    recipe: Recipe
    data: Data
    fitted: Fitted
    members: list[Member]
    partial: bool
    splits: list[Split] = field(default_factory=list)
    fresh: bool = True
    checkpoint: Checkpoint | None = None
    net: Net | None = None
    interrupted: int | None = None
    contest: Any = None

    @property
    def has_average(self) -> bool:
        """Whether its members are averaged, or its single model calibrated, on held-out rows."""
        return self.recipe.targets is not None and not self.partial and any(len(own.held_out) for own in self.members)

    def so_far(self) -> Fitted:
        """Collect the result of the training so far."""
        return replace(
            self.fitted,
            states=[dump(member.model) for member in self.members],
            loss_states=[dump(member.loss) for member in self.members],
            optimizer_states=[member.optimizer_state if self.partial else {} for member in self.members],
            cache={},
        )


def plan(
    recipe: Recipe,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
    censoring: Any = None,
    *,
    last: Fitted | None = None,
    partial: bool = False,
    classes: Any = None,
) -> Plan:
    """Check the arguments of `fit`, and prepare the first step.

    Parameters
    ----------
    recipe : Recipe
        The requested recipe.
    X, y, sample_weight, groups, censoring
        The arguments of `fit`.
    last : Fitted or None
        The fit to continue, if any; it is left unchanged.
    partial : bool
        Whether it is a `partial_fit`.
    classes : object
        Given classes.
    """
    resolve_device(recipe.device, strict=True)
    known = None if last is None else last.recipe
    data, recipe = read_data(recipe, X, y, sample_weight, known, classes, groups, censoring)
    n_members = count_members(recipe, data, partial) if last is None else len(last.states)
    n_rows = data.x.shape[0] if last is None else last.n_rows
    settings = member_settings(recipe, n_members, n_rows)
    data = take_limits(data, recipe, settings, is_part=partial and last is not None)
    alone = why_alone(recipe, data, partial) if last is None else last.alone
    fitted = _start(recipe, settings, n_rows) if last is None else _take_up(recipe, settings, last, partial)
    fitted.alone = alone
    checkpoint = None
    if recipe.checkpoint is not None and not partial:
        checkpoint = _open_checkpoint(recipe, data, fitted, last)
    plan = Plan(recipe, data, fitted, [], partial, fresh=last is None, checkpoint=checkpoint)
    try:
        plan.splits = split_rows(data, recipe, settings, fitted.seed, partial)
        plan.members = make_members(plan)
    except BaseException:
        if checkpoint is not None:
            checkpoint.release()
        raise
    return plan


def _start(recipe: Recipe, settings: list[dict[str, Any]], n_rows: int) -> Fitted:
    seed = int(check_random_state(recipe.random_state).randint(np.iinfo(np.int32).max))
    nothing: list[dict] = [{} for _ in settings]
    return Fitted(recipe.of_shape(), settings, seed, n_rows, loss_states=nothing, optimizer_states=nothing)


def _take_up(recipe: Recipe, settings: list[dict[str, Any]], last: Fitted, partial: bool) -> Fitted:
    """Start from the end of another fit."""
    wanted = recipe.parameters.get("n_estimators", 1)
    if not is_auto(wanted) and wanted != len(settings):
        raise ValueError(
            f"A continued fit needs as many members as before, {len(settings)}. Got n_estimators={wanted}; fit "
            "from the start with warm_start=False."
        )
    for k, own in enumerate(settings):
        recipe.of_member(own).check_same_shape(last.recipe_of(k))
    taken_up = deepcopy({name: getattr(last, name) for name in GOES_ON})
    if not partial:
        taken_up["optimizer_states"] = [{} for _ in settings]
    return Fitted(recipe.of_shape(), settings, last.seed, last.n_rows, **taken_up)


def _open_checkpoint(recipe: Recipe, data: Data, fitted: Fitted, last: Fitted | None) -> Checkpoint:
    """Return where the training is saved; an unfinished one there sets the seed."""
    n_members = len(fitted.settings)
    if n_members > 1:
        raise ValueError(f"checkpoint needs a single model. Got {n_members} members; use n_estimators=1.")
    checkpoint = Checkpoint(recipe.checkpoint, lambda: _identify(recipe, data, last))
    checkpoint.seed = fitted.seed = fitted.seed if checkpoint.seed is None else checkpoint.seed
    return checkpoint


def _identify(recipe: Recipe, data: Data, last: Fitted | None) -> str:
    """Return a text that only an equal fit with equal data has: everything that its result depends on."""
    parameters = {name: value for name, value in recipe.parameters.items() if name not in EXEMPT}
    own = recipe.net_params or {}
    parameters["net_params"] = {name: own[name] for name in own if name.split("__")[0] != "callbacks"}
    features, tasks = recipe.columns, recipe.tasks
    learned = [features.given_names, features.table, features.booleans, tasks and vars(tasks)]
    left = [] if last is None else [last.states, last.loss_states]
    rows = [data.x, data.y, data.weight, data.label_weight, data.groups, data.folds]
    rows += [] if data.censoring is None else [data.censoring]
    return identity(__version__, recipe.owner, _identify_each(parameters), learned, left, rows)


def _identify_each(parameters: dict[str, Any]) -> dict[str, str]:
    texts = {}
    for name, value in parameters.items():
        try:
            texts[name] = identity(value)
        except (TypeError, NotImplementedError, PicklingError) as error:
            raise ValueError(
                f"checkpoint needs parameters whose contents can be compared when the fit is resumed. Those of "
                f"{name}={value!r} cannot: {error}. Use picklable objects, or leave checkpoint out."
            ) from error
    return texts


def make_members(plan: Plan) -> list[Member]:
    """Make the models of a plan, as they are before the first step."""
    device = resolve_device(plan.recipe.device, strict=True)
    label_share = None if plan.data.y is None else plan.data.label_share
    relevance = None if plan.data.y is None else Relevance(plan.data, plan.fitted.of_classes)
    return [_make_member(plan, k, label_share, relevance, device) for k in range(len(plan.splits))]


def _make_member(
    plan: Plan, k: int, label_share: NDArray | None, relevance: Relevance | None, device: torch.device
) -> Member:
    """Return a model with everything that its training needs; the first equals that of an estimator with one model."""
    recipe, fitted, partial = plan.recipe, plan.fitted, plan.partial
    own = recipe.of_member(fitted.settings[k])
    shaped = recipe.of_member({**fitted.recipe.parameters, **fitted.settings[k]})
    model = _prepare_model(k, shaped, plan.data, fitted, plan.fresh)
    if plan.fresh and relevance is not None:
        relevance.weigh(model, plan.splits[k][0])
    train, valid, held_out = _make_rows(plan, k, own, model, device)
    model = place(model, device)
    # For the rows' order, the draws and the validation's draws; different ones for a continued fit.
    seeds = np.random.SeedSequence([fitted.seed, fitted.n_iter, *([k] if k else [])])
    is_chosen = not partial and len(fitted.settings) > 1 and "member_params" in recipe.parameters
    return Member(
        model,
        build_loss(own, model, fitted.loss_states[k], label_share).to(device),
        train,
        valid,
        batch_size=count_batch_rows(own, len(train)),
        n_epochs=1 if partial else own.max_iter,
        seeds=tuple(seeds.generate_state(3).tolist()),
        learning_rate=own.learning_rate_init,
        alpha=own.alpha,
        annealing=0.0 if partial else own.learning_rate_decay,
        patience=own.n_iter_no_change,
        tol=own.tol,
        scheduled=not partial,
        optimizer_state=fitted.optimizer_states[k],
        held_out=held_out,
        keep_at=kept_epochs(own.max_iter) if is_chosen else (),
        name=f"member {k + 1} of {len(fitted.settings)}" if len(fitted.settings) > 1 else "",
    )


def _prepare_model(k: int, recipe: Recipe, data: Data, fitted: Fitted, fresh: bool) -> Autoencoder:
    """Return a model to train, with learned units of its columns; at first, a new one."""
    dtype = DTYPES[recipe.dtype]
    seed = int(np.random.SeedSequence([fitted.seed, k]).generate_state(1)[0]) if k else fitted.seed
    model = build(recipe, seed).to(dtype)
    if not fresh:
        load(model, deepcopy(fitted.states[k]), dtype)
    model.units.hold(recipe.columns.constants)
    model.products = PRODUCTS.get(recipe.dtype)
    _check_values(recipe, model, data)
    if fresh:
        learn_units(recipe, model, data)
        learn_from_rows(recipe, model, data)
    return model


def _check_values(recipe: Recipe, model: Autoencoder, data: Data) -> None:
    """Check features and targets against their likelihoods."""
    limits, names = Limits.of(model.likelihood, recipe.columns.indicators), recipe.columns.expanded_names
    limits.check(data.x, data.columns, "X", names, "likelihood", recipe.likelihood, data.weight)
    if isinstance(model, MultiTaskVAE):
        assert data.labels is not None
        limits, option = Limits.of(model.task_likelihood), given_likelihoods(recipe)
        limits.check(data.y, data.labels, "y", recipe.task_names, "task_likelihoods", option)


def _make_rows(
    plan: Plan, k: int, recipe: Recipe, model: Autoencoder, device: torch.device
) -> tuple[Rows, Rows | None, NDArray]:
    """Return a model's training rows, its rows for early stopping, and the index of its held-out rows."""
    data, n_rows = plan.data, plan.data.x.shape[0]
    index, held_out = plan.splits[k]
    weight = data.weight
    if weight is not None and len(held_out):
        # Each part has an average weight of 1: its loss is in nats per row, whichever rows it has.
        weight = weight.copy()
        for part in (held_out, index):
            weight[part] /= weight[part].mean()
    train = Rows(
        x=data.x,
        units=deepcopy(model.units),
        index=index,
        complete=tuple(
            own is not None and bool((own.n_observed == n_rows).all()) for own in (data.columns, data.labels)
        ),  # type: ignore[arg-type]
        y=data.y,
        y_units=deepcopy(getattr(model, "task_units", None)),
        weight=weight,
        label_weight=data.label_weight,
        device=device,
        dtype=DTYPES[recipe.dtype],
        censoring=data.censoring,
    )
    valid = replace(train, index=held_out) if recipe.early_stopping and len(held_out) else None
    return train, valid, held_out


def count_batch_rows(recipe: Recipe, n_rows: int) -> int:
    """Return the maximum number of rows of a batch."""
    if recipe.batch_size is None:
        return n_rows
    if isinstance(recipe.batch_size, str):
        return min(n_rows, max(16, min(200, n_rows // 8)))
    return min(n_rows, recipe.batch_size)
