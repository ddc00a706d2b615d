"""Scores of a detector of outliers as functions of torch."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.features import Features
from sklearn_mtae._tables.levels import Levels
from sklearn_mtae._verbs.strangeness import CRITERIA, MOST, Gauge

from ._cells import levels_of, place_of
from ._fits import Fit
from ._methods import Asked
from ._trace import NotExportableError


def of_detector(members: Sequence[tuple[Any, Gauge]], features: Features) -> dict[str, Asked]:
    """Return what a detector can be asked: scores, in float64, as distances of codes lack digits in float32."""
    levels = levels_of(features)
    fits = [(Fit(model._fitted, levels, torch.float64), known) for model, known in members]

    def score_samples(x: Tensor) -> tuple[Tensor, ...]:
        each = [_strangeness(fit, known, x) for fit, known in fits]
        return (-torch.stack(each).mean(0),)

    if any("density" in known.criteria for _, known in members):
        raise NotExportableError(
            "criterion='density' draws codes by the curvature of the density, which no operator computes."
        )
    asked = {"score_samples": Asked(score_samples, ("score_samples",))}
    if not levels:  # a level that a member has not seen is missing to it
        asked["complete"] = Asked(score_samples, ("score_samples",), complete=True)
    return asked


def _strangeness(fit: Fit, known: Gauge, x: Tensor) -> Tensor:
    """Return by how many nats the cells of each row are above what is usual in their columns, shape (n_rows,)."""
    runner = ModelRunner(fit.fitted, "cpu", "silent")
    parts = [CRITERIA[name](runner, known.codes) for name in known.criteria]

    def excess(model: Any, x: Tensor) -> Tensor:
        total: Any = 0.0
        for cells, usual, weight in zip(parts, known.usual, known.weight.tolist(), strict=True):
            nats = cells(model, x).nan_to_num(MOST, MOST, -MOST).clamp(max=MOST)
            above = torch.where(x.isnan(), 0.0, nats - torch.as_tensor(usual).to(nats))
            total = total + weight * above.sum(-1)
        return total

    return fit.run(excess, x) + known.unseen * _unseen(fit, x)


def _unseen(fit: Fit, x: Tensor) -> Tensor | float:
    """Return how many cells of each row hold a level that the model has not seen, shape (n_rows,)."""
    columns = [] if fit.features.table is None else fit.features.table.columns
    found: Any = 0.0
    for j, column in enumerate(columns):
        if isinstance(column, Levels):
            place = place_of(x[:, j], column, fit.levels[j], column.places)
            found = found + (place.isnan() & ~x[:, j].isnan()).to(x.dtype)
    return found
