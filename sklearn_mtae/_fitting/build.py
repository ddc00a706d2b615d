"""From a recipe to a model."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from sklearn_mtae._engine.state import load
from sklearn_mtae._tables.checks import check_sizes
from sklearn_mtae._tables.column_likelihoods import CATEGORICAL, UNNAMED, per_task_likelihood
from sklearn_mtae._tables.limits import Limits
from sklearn_mtae._tables.mixed_targets import NUMBER, MixedTasks
from sklearn_mtae.nn.architectures import ARCHITECTURES, IMAGE_ARCHITECTURES, Pretrained, own_dropout
from sklearn_mtae.nn.corruptions import CORRUPTIONS
from sklearn_mtae.nn.factories import (
    TASK_LIKELIHOODS,
    function_of,
    likelihood_maker,
    make,
    make_coders,
    make_embedding,
    make_heads,
    make_prior,
)
from sklearn_mtae.nn.likelihoods import Categorical, Likelihood, Mixed
from sklearn_mtae.nn.models import VAE, Autoencoder, MultiTaskVAE
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.random import Seeded
from sklearn_mtae.nn.words import short, suggest

from .fitted import Fitted
from .recipe import DTYPES, Recipe

LEAST_START = 0.1
"""Minimum initial value of a column's learned variance, as a share of its squared unit."""


def build(recipe: Recipe, seed: int = 0) -> Autoencoder:
    """Compose a model with initial weights, leaving torch's global random state unchanged."""
    with Seeded(seed):
        return MODELS[recipe.model](recipe)


def rebuild(fitted: Fitted, dtype: torch.dtype, state: int = 0) -> Autoencoder:
    """Compose a fitted model: a member, or its state after an earlier epoch."""
    recipe = fitted.recipe_of(state)
    model = load(build(recipe), fitted.state_of(state), dtype)
    model.units.hold(recipe.columns.constants)
    return model


def autoencoder(recipe: Recipe) -> Autoencoder:
    """Compose an autoencoder."""
    likelihood = column_likelihood(recipe)
    encoder, decoder = make_networks(recipe, 1, likelihood.n_params)
    return Autoencoder(encoder, decoder, likelihood, make_corruption(recipe))


def vae(recipe: Recipe) -> VAE:
    """Compose a variational autoencoder."""
    model = VAE(**variational_parts(recipe))
    # The most that this number of principal components leaves. If it started higher, the rate would at first outweigh
    # what a component explains, and switch off components that are worth their rate in the end.
    left = max(LEAST_START, 1 - recipe.n_components / recipe.columns.n_expanded)
    model.likelihood.start(left)
    return model


def multi_task_vae(recipe: Recipe) -> MultiTaskVAE:
    """Compose a variational autoencoder with a head for each task."""
    likelihood = TASK_MAKERS[recipe.targets](recipe)
    sizes = check_sizes(recipe.head_hidden_layer_sizes, "head_hidden_layer_sizes")
    widths = [recipe.n_components, *sizes, likelihood.n_params]
    style = {"n_features": recipe.columns.n_expanded, **layer_style(recipe)}
    heads = make_heads(recipe.sharing, len(recipe.task_names), widths, **style)
    return MultiTaskVAE(**variational_parts(recipe, heads.n_extra), heads=heads, task_likelihood=likelihood)


MODELS: dict[str, Callable[[Recipe], Autoencoder]] = {
    "autoencoder": autoencoder,
    "vae": vae,
    "multi-task": multi_task_vae,
}
"""Functions that compose a model, by its kind."""


def column_likelihood(recipe: Recipe) -> Likelihood:
    """Compose the distribution of the columns."""
    return recipe.columns.likelihood(recipe.likelihood)


def number_likelihood(recipe: Recipe) -> Likelihood:
    """Compose the distribution of targets that are numbers."""
    names = recipe.task_names
    options = per_task_likelihood(recipe.task_likelihoods, names, UNNAMED)
    return _side_by_side(recipe, options)


def mixed_likelihood(recipe: Recipe) -> Likelihood:
    """Compose the distribution of targets of several kinds."""
    tasks = recipe.tasks
    assert isinstance(tasks, MixedTasks)
    others = recipe.task_likelihoods
    if not (isinstance(others, str) or callable(others)):
        raise ValueError(
            f"task_likelihoods in member_params must be one for all tasks of numbers. Got {short(others)} instead."
        )
    options = [others if isinstance(kind, str) and kind == NUMBER else kind for kind in tasks.kinds]
    return _side_by_side(recipe, options, partial(Categorical, n_classes=[len(own) for own in tasks.by_name.values()]))


def _side_by_side(
    recipe: Recipe, options: Sequence[Any], classes: Callable[[int], Likelihood] | None = None
) -> Likelihood:
    """Compose the distribution of tasks from their options; `classes` is that of categorical tasks."""
    names, known = recipe.task_names, {} if classes is None else {CATEGORICAL: classes}
    for name, option in zip(names, options, strict=True):
        if not callable(option) and not (isinstance(option, str) and option in {*known, *TASK_LIKELIHOODS}):
            hint = suggest(option, TASK_LIKELIHOODS) if isinstance(option, str) else ""
            raise ValueError(
                f"task_likelihoods must hold names out of {sorted(TASK_LIKELIHOODS)}, ranges (low, high) or factories. "
                f"Got {short(option)} for task {name!r}.{hint}"
            )
    factories = [known.get(option) or likelihood_maker(option, "task_likelihoods") for option in options]
    likelihood = factories[0](len(names)) if len(set(factories)) == 1 else Mixed(factories)
    if likelihood.joint:
        raise ValueError(
            "task_likelihoods must hold families whose columns are drawn one by one, as the tasks are. Got "
            f"{short(recipe.task_likelihoods)} instead; for tasks of classes, take MultiTaskVAEClassifier."
        )
    return likelihood


def class_likelihood(recipe: Recipe) -> Likelihood:
    """Compose the distribution of targets that are classes."""
    assert recipe.tasks is not None
    assert recipe.tasks.classes is not None
    return Categorical(len(recipe.tasks.classes), [len(own) for own in recipe.tasks.classes])


TASK_MAKERS: dict[str | None, Callable[[Recipe], Likelihood]] = {
    "numbers": number_likelihood,
    "classes": class_likelihood,
    "mixed": mixed_likelihood,
}
"""Functions that compose the distribution of the targets, by their kind."""


def given_likelihoods(recipe: Recipe) -> Any:
    """Return the given likelihoods of the tasks, for messages."""
    given = recipe.tasks.given if isinstance(recipe.tasks, MixedTasks) else {}
    return given or recipe.parameters.get("task_likelihoods", CATEGORICAL)


def variational_parts(recipe: Recipe, n_extra: int = 0) -> dict[str, Any]:
    """Make the parts of a variational model, with a number of components beyond those of the features."""
    likelihood = column_likelihood(recipe)
    n_components = recipe.n_components + n_extra
    posterior = make(recipe.posterior, POSTERIORS, "posterior", n_components)
    if n_extra and posterior.n_params != 2:
        raise ValueError(
            f"sharing with components of the tasks' own needs posterior='normal'. Got {short(recipe.posterior)} "
            "instead."
        )
    encoder, decoder = make_networks(recipe, posterior.n_params, likelihood.n_params)
    return {
        "encoder": encoder,
        "decoder": decoder,
        "likelihood": likelihood,
        "posterior": posterior,
        "prior": make_prior(recipe.prior, n_components, recipe.columns.n_expanded),
        "corruption": make_corruption(recipe),
    }


def make_corruption(recipe: Recipe) -> Callable[..., Any] | None:
    """Find the corruption of the encoder's input during training."""
    given = recipe.parameters.get("corruption")  # a rebuilt fitted model has none
    return None if given is None else function_of(given, CORRUPTIONS, "corruption")


def make_networks(recipe: Recipe, code_params: int, output_params: int) -> tuple[nn.Module, nn.Module]:
    """Make encoder and decoder for a number of parameters per component and per column.

    If there is an embedding, the encoder begins with it; if a fitted encoder is given, it is the encoder.
    """
    embedding = None if recipe.parameters.get("embedding") is None else make_embedding_of(recipe)
    width = recipe.columns.n_expanded if embedding is None else embedding.n_outputs
    widths = {
        "n_features": width,
        "n_code": code_params * recipe.n_components,
        "n_components": recipe.n_components,
        "n_outputs": output_params * recipe.columns.n_expanded,
    }
    own = recipe.architecture
    made = named_architecture(recipe)(**widths) if isinstance(own, str) else make_coders(own, **widths)
    encoder, decoder = (own_dropout(network) for network in made)
    if embedding is not None:
        return nn.Sequential(embedding, encoder), decoder
    source = source_of(recipe)
    return encoder if source is None else pretrained(recipe, source, code_params), decoder


def named_architecture(recipe: Recipe) -> Callable[..., tuple[nn.Module, nn.Module]]:
    """Find a named factory, given the parameters that shape its layers."""
    name = recipe.architecture
    sizes = check_sizes(recipe.hidden_layer_sizes, "hidden_layer_sizes")
    shape = {} if recipe.image_shape is None else {"image_shape": check_sizes(recipe.image_shape, "image_shape")}
    if shape and name not in IMAGE_ARCHITECTURES:
        raise ValueError(f"image_shape needs an architecture out of {IMAGE_ARCHITECTURES}. Got {name!r} instead.")
    return partial(ARCHITECTURES[name], hidden_layer_sizes=sizes, **shape, **layer_style(recipe))


def layer_style(recipe: Recipe) -> dict[str, Any]:
    """Return the parameters of hidden layers by name."""
    return {"activation": recipe.activation, "dropout": recipe.dropout, "layer_norm": recipe.layer_norm}


def make_embedding_of(recipe: Recipe) -> Any:
    """Make the layer between the columns and the encoder."""
    if recipe.encoder is not None:
        raise ValueError(
            f"embedding must be None with an encoder, which takes the columns as they are. Got "
            f"{short(recipe.embedding)} instead."
        )
    n_columns = recipe.columns.n_expanded
    embedding = make_embedding(recipe.embedding, n_columns)
    takes_images = isinstance(recipe.architecture, str) and recipe.architecture in IMAGE_ARCHITECTURES
    if takes_images and embedding.n_outputs != n_columns:
        raise ValueError(
            f"embedding must keep the number of columns with architecture={recipe.architecture!r}, whose rows are "
            f"images or signals. Got {short(recipe.embedding)}, which makes {embedding.n_outputs} of {n_columns}."
        )
    return embedding


def source_of(recipe: Recipe) -> Fitted | None:
    """Find the fitted estimator whose encoder is taken over."""
    given: Any = recipe.parameters.get("encoder")
    source = given.estimator if isinstance(given, FrozenEstimator) else given
    if source is None:
        return None
    if not hasattr(source, "_model_kind"):
        raise ValueError(f"encoder must be a fitted autoencoder of this package. Got {short(source)} instead.")
    if not hasattr(source, "_fitted"):
        raise ValueError(
            f"encoder must be fitted. Got {short(source)}, which is not; a clone, as a grid search makes one, is "
            "not either. Wrap the fitted encoder in sklearn.frozen.FrozenEstimator to keep it."
        )
    return source._fitted


def pretrained(recipe: Recipe, source: Fitted, code_params: int) -> nn.Module:
    """Take an encoder over."""
    recipe.columns.check_same(source.recipe.columns)
    known = rebuild(source, DTYPES[source.recipe.dtype])
    n_outputs = source.recipe.n_components * (known.posterior.n_params if isinstance(known, VAE) else 1)
    parts = n_outputs, source.recipe.n_components, recipe.n_components, recipe.freeze_encoder, code_params
    return Pretrained(deepcopy(known.encoder), *parts)


def task_limits(fitted: Fitted) -> list[tuple[Any, Limits]]:
    """List the task likelihoods of the members, and the range of labels that each allows."""
    if "task_limits" not in fitted.cache:
        recipes = {id(own): fitted.recipe.of_member(own) for own in fitted.settings}.values()
        make = TASK_MAKERS[fitted.recipe.targets]
        fitted.cache["task_limits"] = [(given_likelihoods(own), Limits.of(make(own))) for own in recipes]
    return fitted.cache["task_limits"]
