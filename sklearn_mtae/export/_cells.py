"""The columns of a table as functions of torch: from codes of levels to indicators and back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_mtae._tables.features import Features
from sklearn_mtae._tables.levels import ALIKE, Levels

from ._trace import NotExportableError


def levels_of(features: Features) -> dict[int, list]:
    """Return the levels of the categories among the columns, by position.

    Raises
    ------
    NotExportableError
        If a level is no string, number or boolean.
    """
    columns = [] if features.table is None else features.table.columns
    found = {j: column.levels for j, column in enumerate(columns) if isinstance(column, Levels)}
    for j, levels in found.items():
        strange = [level for level in levels if not isinstance(level, str | int | float | np.generic)]
        if strange:
            raise NotExportableError(
                f"The levels of a category must be strings, numbers or booleans. Column {features.names[j]!r} has "
                f"{strange[0]!r}."
            )
    return found


def expand(x: Tensor, features: Features, known: Mapping[int, Sequence]) -> Tensor:
    """Return the columns as a model sees them, shape (n_rows, n_expanded).

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_features)
        Numbers, and codes of levels; NaN where missing.
    features : Features
        The model's columns.
    known : mapping of int to sequence
        The levels that the codes stand for, by column; the model's own ones may be others.
    """
    if features.table is None or not features.table.expands:
        return x
    parts, start = [], 0
    for j, column in enumerate(features.table.columns):
        if isinstance(column, Levels):
            parts += [x[:, start:j]] if start < j else []
            parts.append(_indicators(place_of(x[:, j], column, known[j], column.places), column.width))
            start = j + 1
    parts += [x[:, start:]] if start < x.shape[1] else []
    return torch.cat(parts, dim=1)


def place_of(codes: Tensor, column: Levels, known: Sequence, places: Any) -> Tensor:
    """Return where the model has the levels of codes, NaN where they are missing, or unknown to it."""
    own = dict(zip(column.levels, np.asarray(places).tolist(), strict=True))
    table = [float(own.get(level, np.nan)) for level in known]
    if table == list(range(len(known))):
        return torch.where(codes == len(known), float("nan"), codes)
    entries = torch.tensor([*table, np.nan, np.nan], dtype=codes.dtype)
    return entries[codes.nan_to_num(len(known) + 1).long()]


def _indicators(places: Tensor, width: int) -> Tensor:
    """Return a column for each place, 1 where it is the one, shape (n_rows, width); NaN where there is none."""
    one = (places[:, None] == torch.arange(width)).to(places)
    return torch.where(places.isnan()[:, None], float("nan"), one)


def narrow(values: Tensor, features: Features) -> Tensor:
    """Return a value for each column: a number, or the code of the most probable level; NaN where one is NaN."""
    if features.table is None or not features.table.expands:
        return values
    parts, start = [], 0
    for column in features.table.columns:
        own = values[:, start : start + column.width]
        parts.append(_likeliest(own, column) if isinstance(column, Levels) else own)
        start += column.width
    return torch.cat(parts, dim=1)


def _likeliest(values: Tensor, column: Levels) -> Tensor:
    """Return the code of the most probable level, shape (n_rows, 1)."""
    codes = np.delete(np.arange(len(column.levels)), column.pooled)
    if column.pooled:
        best = int(np.argmax(column.shares))
        codes = np.append(codes, column.pooled[best])
        share = torch.ones(column.width, dtype=values.dtype)
        share[-1] = column.shares[best]
        values = values * share
    place = (values / ALIKE).round().argmax(-1, keepdim=True)
    code = place.to(values) if codes.tolist() == list(range(len(codes))) else torch.from_numpy(codes).to(values)[place]
    return torch.where(values.isnan().any(-1, keepdim=True), float("nan"), code)
