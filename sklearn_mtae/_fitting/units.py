"""What a model learns from its rows before the first step: units of columns and targets, bins, starting points."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._tables.blocks import dense
from sklearn_mtae._tables.column_likelihoods import standardized_columns
from sklearn_mtae._tables.row_index import evenly
from sklearn_mtae.nn.likelihoods import Likelihood
from sklearn_mtae.nn.models import VAE, Autoencoder, MultiTaskVAE
from sklearn_mtae.nn.standardizer import Standardizer
from sklearn_mtae.nn.words import short

from .build import rebuild, source_of
from .data import Data
from .recipe import DTYPES, Recipe

N_EMBEDDED = 10_000
"""Maximum number of rows that an embedding learns its bins from."""
EMBEDDED_CELLS = 2**26
"""Maximum number of cells of these rows."""

LEARNED_CELLS = 2**22
"""Cells at most that likelihoods learn from."""
FARTHEST, MERGING = 1e6, 1e3
"""Distances, in units of a column, from which values dominate its means; units, in distances of usual values, from
which these are no longer told apart."""


def learn_units(recipe: Recipe, model: Autoencoder, data: Data) -> None:
    """Set location and scale of the features, and of the targets if there are any."""
    columns, is_linear = data.columns, not model.hidden_weights()
    has_tasks = isinstance(model, MultiTaskVAE)
    # Predictions of targets are better if outliers of the features are drawn in.
    of_networks = columns.bounded_deviation if has_tasks else columns.usual_deviation
    scales = {
        "standard": columns.deviation,
        "bounded": columns.bounded_deviation,
        "auto": columns.deviation if is_linear else of_networks,
    }
    set_units(model.units, model.likelihood, columns.mean, scales[recipe.scaling])
    if has_tasks:
        assert data.labels is not None
        set_units(model.task_units, model.task_likelihood, data.labels.mean, data.labels.deviation)
        source = source_of(recipe)
        if source is not None:
            take_units_over(recipe, model, rebuild(source, DTYPES[source.recipe.dtype]), source.recipe)


def set_units(units: Standardizer, likelihood: Likelihood, mean: NDArray, scale: NDArray) -> None:
    """Set location and scale of the columns whose likelihood uses them, and start the likelihood from the means."""
    standardized = standardized_columns(likelihood)
    units.set(np.where(standardized, mean, 0.0), np.where(standardized, scale, 1.0))
    likelihood.learn(torch.as_tensor(mean))


def take_units_over(recipe: Recipe, model: MultiTaskVAE, known: Autoencoder, source: Recipe) -> None:
    """Take over the features' units, and what its likelihood has learned about them, from a trained model."""
    ours, theirs = model.likelihood, known.likelihood
    own = ours.state_dict()
    learned = {n: v for n, v in theirs.state_dict().items() if n in own and v.shape == own[n].shape}
    ours.load_state_dict(learned, strict=False)
    exact = {
        f"{path}.{name}".lstrip(".")
        for path, part in ours.named_modules()
        if isinstance(part, Likelihood)
        for name in part.exact
    }
    ours.load_state_dict({name: learned[name] for name in exact & learned.keys()}, strict=False, assign=True)
    values = torch.linspace(0.0, 3.0, 7)[:, None].expand(-1, ours.n_columns)
    same_units = (standardized_columns(ours) == standardized_columns(theirs)).all()
    same_maps = bool(ours.n_learned) == bool(theirs.n_learned)
    if not (
        same_units and same_maps and torch.allclose(ours.as_input(values).float(), theirs.as_input(values).float())
    ):
        raise ValueError(
            "likelihood must standardise the same columns as that of the encoder does, take counts where it does, and "
            f'be "quantile" where it is. Got {short(recipe.likelihood)} and {short(source.likelihood)}.'
        )
    model.units.set(known.units.location, known.units.scale)


def learn_from_rows(recipe: Recipe, model: Autoencoder, data: Data) -> None:
    """Initialise likelihoods, an embedding and a prior from rows."""
    if model.likelihood.n_learned and source_of(recipe) is None:
        n_most = min(model.likelihood.n_learned, max(1, LEARNED_CELLS // recipe.columns.n_expanded))
        rows = evenly(data.taking_part, n_most)
        weight = None if data.weight is None else torch.from_numpy(data.weight[rows, None]).expand(-1, data.x.shape[1])
        x = torch.from_numpy(dense(data.x[rows]))
        _learn_columns(model.likelihood, model.units, x, weight, ("X", recipe.columns.expanded_names))
    if isinstance(model, MultiTaskVAE) and model.task_likelihood.n_learned:
        assert data.y is not None
        rows = evenly(data.taking_part, model.task_likelihood.n_learned)
        labels = data.y if data.spread is None else data.spread
        y, weight = torch.from_numpy(labels[rows]), torch.from_numpy(data.label_weights(rows))
        _learn_columns(model.task_likelihood, model.task_units, y, weight, ("y", recipe.task_names))
    if isinstance(model, VAE):
        _learn_parts(recipe, model, data)


def _learn_columns(
    likelihood: Likelihood, units: Standardizer, rows: Tensor, weight: Tensor | None, words: tuple[str, Sequence]
) -> None:
    """Let a likelihood choose the units of its columns, and learn from rows."""
    location, scale = likelihood.units(rows, units.location, units.scale, weight)
    chosen = (scale != units.scale).numpy()
    units.set(location, scale)
    farthest = units(rows).abs().nan_to_num(0.0).amax(0).numpy() if len(rows) else np.zeros(len(chosen))
    for column in np.flatnonzero(chosen & (farthest > FARTHEST)).tolist():
        _warn_of_far(*words, column, rows[:, column], units)
    likelihood.learn_rows(rows, units.location, units.scale, weight)


def _warn_of_far(array: str, names: Sequence, column: int, values: Tensor, units: Standardizer) -> None:
    """Warn of a column with values so far from the others that they dominate its means, or cost the others digits."""
    distance = (values - units.location[column]).nan_to_num(0.0).abs()
    farthest, usual = values[distance.argmax()].item(), distance[distance > 0].median().item()
    lost = (
        " In this column, float32 cannot tell the other values apart." if units.scale[column] > MERGING * usual else ""
    )
    warnings.warn(
        f"Column {names[column]!r} of {array} has values far from all others, such as {farthest:.3g}; they dominate "
        f"its means, but not its draws.{lost} If such a value stands for a missing one, replace it by NaN.",
        UserWarning,
        stacklevel=3,
    )


def _learn_parts(recipe: Recipe, model: VAE, data: Data) -> None:
    """Initialise an embedding and a prior from rows."""
    if isinstance(model, MultiTaskVAE) and recipe.embedding is not None:
        n_most = min(N_EMBEDDED, max(1, EMBEDDED_CELLS // recipe.columns.n_expanded))
        rows = torch.from_numpy(dense(data.x[evenly(data.taking_part, n_most)]))
        rows = model.units(rows, torch.float64)
        model.encoder[0].learn(model.likelihood.as_input(rows))  # type: ignore[index]
    if model.prior.n_learned:
        chosen = evenly(data.taking_part, model.prior.n_learned)
        rows = model.units(torch.from_numpy(dense(data.x[chosen])), DTYPES[recipe.dtype])
        # In training, `fill` would corrupt them.
        model.prior.learn(model.eval().fill(rows))
        model.train()
