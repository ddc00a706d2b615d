"""Which members an ensemble has: how many, how they differ, and which rows each holds out."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sklearn_mtae._tables.checks import resolve
from sklearn_mtae._tables.row_index import AllRows
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.sharing import SHARINGS
from sklearn_mtae.nn.traits import declared
from sklearn_mtae.nn.weightings import WEIGHTINGS
from sklearn_mtae.nn.words import listed, short, suggest_each

from .data import Data
from .parameters import copied, is_auto
from .recipe import Recipe

N_EPOCHS_KEPT = 7
"""Epochs of a member to choose among: the last one, half of them, a quarter of them ..."""
N_DEFAULT = {2_000: 30, 20_000: 9}
"""Members of the default ensemble for tables of up to so many rows; beyond, a single model is the default."""
WIDE = 2_000
"""Columns beyond which it is too: what 30 members have been after seven epochs each takes 400 MB there."""
TABLES = {"mlp", "resnet"}
"""Architectures of which an ensemble is the default."""
NARROW = 64
"""Columns up to which the default ensemble has bins for each."""
FIXED = {"n_estimators", "member_params", "likelihood", "random_state", "device", "dtype", "warm_start", "checkpoint"}
"""Parameters in which members cannot differ."""
SINGLE: dict[str, Any] = {
    "hidden_layer_sizes": (512,),
    "dropout": 0.0,
    "task_likelihoods": "gaussian",
    "head_hidden_layer_sizes": (16,),
    "embedding": None,
    "alpha": 3.0,
    "learning_rate_init": 1e-3,
}
"""What "auto" stands for in a model that is not a member of the default ensemble."""
_SHAPE = {"hidden_layer_sizes": (128,), "head_hidden_layer_sizes": ()}
_REGULAR = {**_SHAPE, "dropout": 0.3, "alpha": 1.0, "learning_rate_init": 5e-3}
# Nothing is dropped by the second, whose layers of dropout are there to make one stack with the first.
_FREE = {**_SHAPE, "dropout": 1e-9, "alpha": 0.0, "learning_rate_init": 1e-2}
_OF_NUMBERS = (_REGULAR, _FREE, {**_REGULAR, "task_likelihoods": "laplace"})
MEMBER_PARAMS: dict[str | None, tuple[dict[str, Any], ...]] = {
    "numbers": _OF_NUMBERS,
    "classes": (_REGULAR, _FREE),
    "mixed": _OF_NUMBERS,
}
"""What "auto" stands for in members of the default ensemble, by the kind of the targets: regularised or not, and of
numbers squares or absolute values."""


def count_members(recipe: Recipe, data: Data, partial: bool) -> int:
    """Say how many models are to be trained."""
    wanted = recipe.parameters.get("n_estimators", 1)
    if not is_auto(wanted):
        return wanted
    must_be_one = partial or recipe.warm_start or recipe.checkpoint is not None or recipe.net_params
    n_rows, n_columns = data.x.shape
    if must_be_one or recipe.encoder is not None or n_columns > WIDE or recipe.architecture not in TABLES:
        return 1
    return next((n for limit, n in N_DEFAULT.items() if n_rows <= limit), 1) if _stacks(recipe) else 1


def _stacks(recipe: Recipe) -> bool:
    """Say whether several models can be trained as one, as far as the options tell."""
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


def member_settings(recipe: Recipe, n_members: int) -> list[dict[str, Any]]:
    """Return for each model the parameters in which it differs from the estimator, none of them "auto"."""
    settings = _settings_to_try(recipe) if n_members > 1 and "member_params" in recipe.parameters else [{}]
    automatic = {name: "auto" for name in SINGLE if is_auto(recipe.parameters.get(name))}
    resolved = [
        # Copies, which the user cannot change any more.
        {name: SINGLE[name] if name in SINGLE and is_auto(v) else copied(v) for name, v in {**automatic, **own}.items()}
        for own in settings
    ]
    return [resolved[k % len(resolved)] for k in range(n_members)]


def _settings_to_try(recipe: Recipe) -> list[dict[str, Any]]:
    """Return the settings that members have in turn."""
    if recipe.member_params is None:
        return [{}]
    if not is_auto(recipe.member_params):
        return [dict(own) for own in recipe.member_params] or [{}]
    embedding = "piecewise_linear" if recipe.columns.n_expanded <= NARROW else "softened"
    # An embedding would bend a model that is asked to be linear.
    is_bent = recipe.architecture in TABLES and (is_auto(recipe.hidden_layer_sizes) or len(recipe.hidden_layer_sizes))
    tried = [{**settings, "embedding": embedding if is_bent else None} for settings in MEMBER_PARAMS[recipe.targets]]
    # The default members have linear heads.
    unfit = {"head_hidden_layer_sizes"} if declared(resolve(recipe.sharing, SHARINGS), "needs_hidden") else set()
    return [{n: v for n, v in own.items() if is_auto(recipe.parameters[n]) and n not in unfit} for own in tried]


def given_settings(member_params: Any, known: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Check the settings of members that were given: none of a parameter that is not known, or cannot differ."""
    if member_params is None or isinstance(member_params, str):
        return []
    if not isinstance(member_params, list | tuple | np.ndarray):
        raise TypeError(f"member_params must be a list of dicts of parameters. Got {short(member_params)} instead.")
    for own in member_params:
        if not isinstance(own, Mapping):
            raise ValueError(f"member_params must hold dicts of parameters. Got {short(own)} instead.")
        fixed, unknown = FIXED & set(own), [name for name in own if name not in known]
        if fixed:
            raise ValueError(f"member_params must leave out {sorted(fixed)}, in which members cannot differ.")
        if unknown:
            hint = suggest_each(unknown, set(known) - FIXED)
            raise ValueError(f"member_params must hold parameters of the estimator. Got {listed(unknown)}.{hint}")
    return list(member_params)


def kept_epochs(max_iter: int) -> list[int]:
    """Return the epochs after which what a member has become is remembered, to choose among."""
    return [ceil(max_iter / 2**j) for j in range(N_EPOCHS_KEPT)]


def split_rows(
    k: int, data: Data, recipe: Recipe, settings: Sequence[dict[str, Any]], seed: int, partial: bool
) -> tuple[NDArray | AllRows, NDArray]:
    """Return the rows that a member is trained on, and those held out from it.

    Each member of an ensemble holds out another fold of the rows, whether it stops early by them or not; when all
    folds have been held out, the rows are dealt anew. Each fold has its share of the labels of each task. Members of
    different settings hold out the same folds. A model by itself holds out rows to stop early by.
    """
    index = data.taking_part
    n_folds = min(max(2, round(1 / recipe.validation_fraction)), len(index))
    is_single = len(settings) == 1 or n_folds == 1
    if partial or (is_single and not recipe.early_stopping):
        return index, index[:0]
    if is_single:
        return _split_once(index, recipe, seed)
    assert data.y is not None
    deal, fold = divmod(sum(own is settings[k] for own in settings[:k]), n_folds)
    order = np.random.default_rng([seed, deal]).permutation(index)
    labelled = ~np.isnan(data.y[order]) if data.label_weight is None else data.label_weight[order] > 0
    rarest_last = labelled[:, np.argsort(-labelled.sum(axis=0), kind="stable")]
    order = order[np.lexsort(rarest_last.T)]
    held_out = np.arange(len(order)) % n_folds == fold
    return order[~held_out], order[held_out]


def _split_once(index: NDArray | AllRows, recipe: Recipe, seed: int) -> tuple[NDArray, NDArray]:
    n_valid = ceil(recipe.validation_fraction * len(index))
    if n_valid >= len(index):
        raise ValueError(
            f"early_stopping=True holds out validation_fraction={recipe.validation_fraction} of the rows and needs "
            f"one more to train on. Got {len(index)} rows."
        )
    index = np.random.default_rng(seed).permutation(index)
    return index[n_valid:], index[:n_valid]
