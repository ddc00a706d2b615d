"""The rows that each member holds out for selection, early stopping and calibration."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._tables.groups import deal_groups
from sklearn_mtae._tables.repeats import find_repeats
from sklearn_mtae._tables.row_index import AllRows

from .data import Data
from .recipe import Recipe

N_JUDGING = 200
"""Minimum number of groups that the members of a setting hold out together; all where there are fewer."""
Split = tuple[NDArray | AllRows, NDArray]
"""The index of the training rows, and that of the held-out rows."""


def split_rows(
    data: Data, recipe: Recipe, settings: Sequence[dict[str, Any]], seed: int, partial: bool = False
) -> list[Split]:
    """Return, for each model, the training rows and the held-out rows.

    Each member of an ensemble holds out another fold of the rows, whether it uses them for early stopping or not. When
    all folds have been held out, the rows are dealt anew, or the given folds are used again. Members of different
    settings hold out the same folds. A single model holds out rows for early stopping: the last of the given folds.
    Rows of weight zero are in no fold. Copies of a row are in the same fold, unless they are few or `cv` is given:
    those in training would give away the labels of the others.
    """
    index = data.taking_part
    n_models = len(settings)
    if partial or (n_models == 1 and not recipe.early_stopping):
        return [(index, index[:0])] * n_models
    if data.folds is not None:
        folds = [_taking_part(data, *own) for own in data.folds]
        return folds[-1:] if n_models == 1 else [folds[n % len(folds)] for n in _positions(settings)]
    n_folds = count_folds(recipe, data)
    at_random = recipe.parameters.get("cv") is None
    if n_models > 1 and data.groups is not None and at_random:
        n_folds = min(n_folds, _fewer_folds(data, 1 + max(_positions(settings))))
    if n_folds == 1 and not recipe.early_stopping:
        return [(index, index[:0])] * n_models
    together = find_repeats(data.x, data.y) if data.groups is None and data.y is not None and at_random else data.groups
    if n_folds == 1 or (n_models == 1 and together is None and at_random):
        return [_split_once(index, recipe, seed)] * n_models
    if n_models == 1:
        return _deal(data, together, n_folds, seed, 0)[-1:]
    dealt: dict[int, list[Split]] = {}
    splits = []
    for position in _positions(settings):
        deal, fold = divmod(position, n_folds)
        if deal not in dealt:
            dealt[deal] = _deal(data, together, n_folds, seed, deal)
        splits.append(dealt[deal][fold])
    return splits


def count_folds(recipe: Recipe, data: Data) -> int:
    """Return the number of folds that the rows are dealt to."""
    if data.folds is not None:
        return len(data.folds)
    cv = recipe.parameters.get("cv")
    n_folds = max(2, round(1 / recipe.validation_fraction)) if cv is None else int(cv)
    if data.groups is None:
        return min(n_folds, len(data.taking_part))
    n_groups = data.n_groups
    if n_groups < 2:
        raise ValueError("groups must hold two groups at least, of which one is left out. Got one group for all rows.")
    return min(n_folds, n_groups)


def _fewer_folds(data: Data, n_members: int) -> int:
    """Say how many folds the groups go to at most, for few members to hold out enough of them to calibrate by."""
    n_groups = data.n_groups
    return max(2, n_members * n_groups // min(n_groups, N_JUDGING))


def is_complete(data: Data) -> bool:
    """Return whether each row is held out by some fold, and used for training by all others."""
    if data.folds is None:
        return True
    folds, rows = [_taking_part(data, *own) for own in data.folds], data.taking_part
    whole = all(len(train) + len(held_out) == len(rows) for train, held_out in folds)
    return whole and len(np.unique(np.concatenate([held_out for _, held_out in folds]))) == len(rows)


def is_dealt_at_random(recipe: Recipe, data: Data, splits: Sequence[Split]) -> bool:
    """Return whether rows are held out one by one, without given groups or folds."""
    unsaid = data.groups is None and recipe.parameters.get("cv") is None
    return unsaid and any(len(held_out) for _, held_out in splits)


def _taking_part(data: Data, train: NDArray, held_out: NDArray) -> Split:
    """Return the rows of a fold without those of weight zero."""
    if data.weight is None:
        return train, held_out
    return train[data.weight[train] > 0], held_out[data.weight[held_out] > 0]


def _positions(settings: Sequence[dict[str, Any]]) -> list[int]:
    """Return the position of each member among those of its setting."""
    return [sum(own is settings[k] for own in settings[:k]) for k in range(len(settings))]


def _deal(data: Data, together: NDArray | None, n_folds: int, seed: int, deal: int) -> list[Split]:
    """Deal the rows to folds, each with its share of the labels of each task; rows that belong together stay so."""
    assert data.y is not None
    rng = np.random.default_rng([seed, deal])
    order = rng.permutation(data.taking_part)
    labelled = ~np.isnan(data.y[order]) if data.label_weight is None else data.label_weight[order] > 0
    if together is None:
        rarest_last = labelled[:, np.argsort(-labelled.sum(axis=0), kind="stable")]
        order = order[np.lexsort(rarest_last.T)]
        fold = np.arange(len(order)) % n_folds
    else:
        groups = np.unique(together[order], return_inverse=True)[1]
        fold = deal_groups(groups, labelled, np.full(n_folds, 1 / n_folds), rng)
    return [(order[fold != own], order[fold == own]) for own in range(n_folds)]


def _split_once(index: NDArray | AllRows, recipe: Recipe, seed: int) -> Split:
    n_valid = ceil(recipe.validation_fraction * len(index))
    if n_valid >= len(index):
        raise ValueError(
            f"early_stopping=True holds out validation_fraction={recipe.validation_fraction} of the rows and needs "
            f"one more to train on. Got {len(index)} rows."
        )
    index = np.random.default_rng(seed).permutation(index)
    return index[n_valid:], index[:n_valid]
