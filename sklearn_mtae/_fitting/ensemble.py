"""The members of an ensemble: how many, and how they differ."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from torch import nn

from sklearn_mtae._engine.rows import is_streamed
from sklearn_mtae._tables.checks import resolve
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.sharing import SHARINGS
from sklearn_mtae.nn.traits import declared
from sklearn_mtae.nn.weightings import WEIGHTINGS
from sklearn_mtae.nn.words import listed, short, suggest_each

from .adapt import member_params, n_members, single_settings
from .data import Data
from .folds import count_folds
from .parameters import copied, is_auto
from .recipe import Recipe

N_EPOCHS_KEPT = 7
"""Number of epochs of a member to choose among: the last one, half of them, a quarter of them ..."""
WIDE = 2_000
"""Columns beyond which a single model is the default: the states of 30 members after seven epochs each take 400 MB
there."""
TABLES = {"mlp", "resnet"}
"""Architectures for which an ensemble is the default."""
FIXED = {
    "n_estimators",
    "member_params",
    "likelihood",
    "random_state",
    "device",
    "dtype",
    "warm_start",
    "checkpoint",
    "cv",
}
"""Parameters in which members cannot differ."""


def count_members(recipe: Recipe, data: Data, partial: bool) -> int:
    """Return the number of models to train."""
    wanted = recipe.parameters.get("n_estimators", 1)
    if not is_auto(wanted):
        return wanted
    if why_alone(recipe, data, partial):
        return 1
    n_rows = data.x.shape[0]
    n_settings = len(_settings_to_try(recipe, n_rows))
    n_default = n_members(n_rows, n_settings)
    return n_default if recipe.parameters.get("cv") is None else max(n_default, n_settings * count_folds(recipe, data))


def why_alone(recipe: Recipe, data: Data, partial: bool) -> str:
    """Return why a single model replaces an ensemble that is "auto", if so."""
    if not is_auto(recipe.parameters.get("n_estimators", 1)):
        return ""
    reasons = {
        "partial_fit trains one": partial,
        "warm_start continues one": recipe.warm_start,
        "checkpoint holds one": recipe.checkpoint is not None,
        "net_params apply to one": bool(recipe.net_params),
        "encoder comes from one": recipe.encoder is not None,
        f"there are more than {WIDE} columns": data.x.shape[1] > WIDE,
        "the architecture is not one for tables": recipe.architecture not in TABLES,
        "the rows are in a large file": any(is_streamed(part) for part in (data.x, data.y)),
    }
    found = next((reason for reason, holds in reasons.items() if holds), "")
    return found or ("" if _stacks(recipe) else "its options do not stack")


def _stacks(recipe: Recipe) -> bool:
    """Return whether several models can be trained as one, judging from the options."""
    options = (
        (recipe.task_weighting, WEIGHTINGS),
        (recipe.objective, OBJECTIVES),
        (recipe.posterior, POSTERIORS),
        (recipe.prior, PRIORS),
    )
    if isinstance(recipe.task_weighting, nn.Module):  # one of torchjd's aggregators
        return False
    made = [resolve(own, table) for own, table in options if isinstance(own, str) or callable(own)]
    return all(declared(part, "stackable") for part in made)


def member_settings(recipe: Recipe, n_models: int, n_rows: int = 1) -> list[dict[str, Any]]:
    """Return, for each model, the parameters that differ from the estimator's, none of them "auto"."""
    settings = _settings_to_try(recipe, n_rows) if n_models > 1 and "member_params" in recipe.parameters else [{}]
    single = single_settings(n_rows)
    automatic = {name: "auto" for name in single if is_auto(recipe.parameters.get(name))}
    resolved = [
        # Copies, which the user can no longer change.
        {name: single[name] if name in single and is_auto(v) else copied(v) for name, v in {**automatic, **own}.items()}
        for own in settings
    ]
    return [resolved[k % len(resolved)] for k in range(n_models)]


def _settings_to_try(recipe: Recipe, n_rows: int) -> list[dict[str, Any]]:
    """Return the settings that members take in turn."""
    if recipe.member_params is None:
        return [{}]
    if not is_auto(recipe.member_params):
        return [dict(own) for own in recipe.member_params] or [{}]
    known = member_params(recipe.targets, n_rows, recipe.columns.n_expanded)
    tried = known if _is_bent(recipe) else [{**own, "embedding": None} for own in known]
    # The default members have linear heads.
    unfit = {"head_hidden_layer_sizes"} if declared(resolve(recipe.sharing, SHARINGS), "needs_hidden") else set()
    return [{n: v for n, v in own.items() if is_auto(recipe.parameters[n]) and n not in unfit} for own in tried]


def has_kernel(recipe: Recipe) -> bool:
    """Return whether a kernel counts beside the members of an ensemble: only beside the default ones."""
    return is_auto(recipe.parameters.get("member_params")) and _is_bent(recipe)


def _is_bent(recipe: Recipe) -> bool:
    """Return whether rows are a table and the model need not be linear: an embedding or a kernel is nonlinear."""
    sizes = recipe.hidden_layer_sizes
    return recipe.architecture in TABLES and (is_auto(sizes) or len(sizes) > 0)


def given_settings(given: Any, known: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Check the given settings of members: no unknown parameters, and none that cannot differ."""
    if given is None or isinstance(given, str):
        return []
    if not isinstance(given, list | tuple | np.ndarray):
        raise TypeError(f"member_params must be a list of dicts of parameters. Got {short(given)} instead.")
    for own in given:
        if not isinstance(own, Mapping):
            raise ValueError(f"member_params must hold dicts of parameters. Got {short(own)} instead.")
        fixed, unknown = FIXED & set(own), [name for name in own if name not in known]
        if fixed:
            raise ValueError(f"member_params must leave out {sorted(fixed)}, in which members cannot differ.")
        if unknown:
            hint = suggest_each(unknown, set(known) - FIXED)
            raise ValueError(f"member_params must hold parameters of the estimator. Got {listed(unknown)}.{hint}")
    return list(given)


def kept_epochs(max_iter: int) -> list[int]:
    """Return the epochs after which a member's state is kept, to choose among."""
    return [ceil(max_iter / 2**j) for j in range(N_EPOCHS_KEPT)]
