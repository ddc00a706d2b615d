"""From a recipe to the loss of a model."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from sklearn_mtae._tables.targets import check_similarity, check_task_weights
from sklearn_mtae.nn.factories import function_of, weighting_maker
from sklearn_mtae.nn.loss import Loss
from sklearn_mtae.nn.models import Autoencoder, MultiTaskVAE
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.penalties import PENALTIES
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.nn.traits import declared
from sklearn_mtae.nn.weightings import WEIGHTINGS, Aggregation, Fixed, Weighting, torchjd_aggregation
from sklearn_mtae.nn.words import short

from .recipe import DTYPES, Recipe

FEATURES_SHARE = 0.05
"""Default weight of all features together, relative to that of a task."""


def build_loss(
    recipe: Recipe, model: Autoencoder, state: dict[str, NDArray], label_share: NDArray | None = None
) -> Loss:
    """Compose the loss and restore what it has learned; it starts afresh if its parts have changed."""
    penalty = None if recipe.penalty is None else function_of(recipe.penalty, PENALTIES, "penalty")
    parts = {"objective": OBJECTIVES["elbo"], "penalty": penalty, "penalty_weight": recipe.penalty_weight}
    if "objective" in recipe.parameters:
        parts |= _variational_parts(recipe)
    if isinstance(model, MultiTaskVAE):
        parts |= _task_parts(recipe, model)
    share = None if label_share is None else torch.from_numpy(label_share)
    loss = Loss(**parts, label_share=share).to(DTYPES[recipe.dtype])
    shapes = {name: value.shape for name, value in loss.state_dict().items()}
    if shapes == {name: value.shape for name, value in state.items()}:
        loss.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return loss


def _variational_parts(recipe: Recipe) -> dict[str, Any]:
    objective = function_of(recipe.objective, OBJECTIVES, "objective")
    if recipe.free_bits and not declared(objective, "has_divergence"):
        raise ValueError(
            f"free_bits needs objective 'elbo' or 'mmd', whose rate is a divergence. Got {short(recipe.objective)}."
        )
    return {"objective": objective, "beta": rate_weight(recipe), "free_bits": recipe.free_bits}


def _task_parts(recipe: Recipe, model: MultiTaskVAE) -> dict[str, Any]:
    similarity = None
    if recipe.task_similarity is not None:
        similarity = torch.tensor(check_similarity(recipe.task_similarity, recipe.task_names))
    return {
        "reconstruction_weight": reconstruction_weight(recipe),
        "weighting": _weighting(recipe)(len(recipe.task_names), model.task_likelihood),
        "similarity": similarity,
        "consistency": recipe.consistency,
    }


def rate_weight(recipe: Recipe) -> float | Callable[[float], float]:
    """Find the weight of the rate, or the function of the training's progress that gives it."""
    beta = recipe.beta
    if isinstance(beta, str) and "reconstruction_weight" in recipe.parameters:
        # A named schedule ends at the weight of the distortion, where both together form a bound.
        weight = reconstruction_weight(recipe)
        return weight if beta == "auto" else partial(SCHEDULES[beta], stop=weight)
    return function_of(beta, SCHEDULES, "beta") if isinstance(beta, str) or callable(beta) else beta


def reconstruction_weight(recipe: Recipe) -> float:
    """Find the weight of the distortion."""
    if isinstance(recipe.reconstruction_weight, str):
        return FEATURES_SHARE * len(recipe.task_names) / recipe.columns.count
    return recipe.reconstruction_weight


def _weighting(recipe: Recipe) -> Callable[..., Weighting]:
    option = recipe.task_weighting
    if isinstance(option, Weighting):
        raise ValueError(
            f"task_weighting must be the class {type(option).__name__}, or a partial of it, as each model has a "
            "weighting of its own. Got an object of that class instead."
        )
    if isinstance(option, nn.Module):
        if not isinstance(option, torchjd_aggregation().Aggregator):
            raise ValueError(f"task_weighting must be one of torchjd's aggregators. Got {short(option)} instead.")
        return partial(Aggregation, aggregator=lambda n_tasks: deepcopy(option))
    if isinstance(option, str) or callable(option):
        return weighting_maker(option, WEIGHTINGS)
    return partial(Fixed, weights=check_task_weights(option, recipe.task_names))
