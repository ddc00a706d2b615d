"""Scores of a detector of outliers as functions of torch."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.describe import ROUNDING
from sklearn_mtae._tables.features import Features
from sklearn_mtae._tables.levels import Levels
from sklearn_mtae._verbs.strangeness import CRITERIA, MOST, N_DRAWS, Gauge, density_of_cells

from ._cells import levels_of, place_of
from ._densities import weighed
from ._fits import Fit
from ._methods import Asked


def of_detector(members: Sequence[tuple[Any, Gauge]], features: Features) -> dict[str, Asked]:
    """Return what a detector can be asked: scores, in float64, as distances of codes lack digits in float32."""
    levels = levels_of(features)
    own = [(Fit(model._fitted, levels, torch.float64), known) for model, known in members]
    draws = any("density" in known.criteria for _, known in members)

    def score_samples(x: Tensor) -> tuple[Tensor, ...]:
        each = [_strangeness(fit, known, x) for fit, known in own]
        return (-torch.stack(each).mean(0),)

    n_copies = N_DRAWS if draws else 1
    asked = partial(Asked, score_samples, ("score_samples",), n_copies=n_copies)
    # A level that a member has not seen is missing to it.
    return {"score_samples": asked(), **({} if levels else {"score_samples_complete": asked(complete=True)})}


def _strangeness(fit: Fit, known: Gauge, x: Tensor) -> Tensor:
    """Return by how many nats the cells of each row are above what is usual in their columns, shape (n_rows,)."""
    runner = ModelRunner(fit.fitted, "cpu", "silent")
    names = [name for name in known.criteria if name != "density"]
    parts: dict[str, Any] = {name: CRITERIA[name](runner, known.codes) for name in names}
    if "density" in known.criteria:
        nats = weighed(fit, density_of_cells, x, N_DRAWS)
        parts["density"] = lambda model, x: nats

    def excess(model: Any, x: Tensor) -> Tensor:
        total: Any = 0.0
        missing = x.isnan()
        for name, usual, weight in zip(known.criteria, known.usual, known.weight.tolist(), strict=True):
            nats = parts[name](model, x).nan_to_num(MOST, MOST, -MOST).clamp(max=MOST)
            above = torch.where(missing, 0.0, nats - torch.as_tensor(usual).to(nats))
            total = total + weight * above.sum(-1)
        return total

    return fit.run(excess, x) + known.unseen * _unseen(fit, x)


def _unseen(fit: Fit, x: Tensor) -> Tensor | float:
    """Return how many cells of each row hold a level or a number as in `Gauge.unseen`, shape (n_rows,)."""
    columns = [] if fit.features.table is None else fit.features.table.columns
    found: Any = 0.0
    for j, only in enumerate(fit.features.only_numbers.tolist()):
        if not np.isnan(only):
            cells = x[:, j].double()
            apart = (cells - only).abs() > ROUNDING * cells.abs().clamp(min=abs(only))
            apart = apart & (cells.float() != torch.tensor(only).float())
            found = found + (~cells.isnan() & apart).to(x.dtype)
    for j, column in enumerate(columns):
        if isinstance(column, Levels):
            place = place_of(x[:, j], column, fit.levels[j], column.places)
            found = found + (place.isnan() & ~x[:, j].isnan()).to(x.dtype)
    return found
