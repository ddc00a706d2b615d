"""Folds of the rows given by a splitter or an iterable."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae.nn.words import short


def read_folds(cv: Any, X: Any, y: Any, groups: Any, n_rows: int) -> list[tuple[NDArray, NDArray]] | None:
    """Return the training rows and the held-out rows of each fold given by a splitter or an iterable.

    Raises
    ------
    ValueError
        If there is no fold, or if a fold has invalid rows, is empty, or has parts that share a row.
    """
    if cv is None or isinstance(cv, Integral):
        return None
    given: Iterable = cv.split(X, y, groups) if hasattr(cv, "get_n_splits") else cv
    try:
        folds = [(_as_index(train), _as_index(held_out)) for train, held_out in given]
    except (TypeError, ValueError) as error:
        if hasattr(cv, "get_n_splits"):
            raise
        raise ValueError(f"cv must hold pairs of the rows to train on and to leave out. Got {short(cv)}.") from error
    if not folds:
        raise ValueError(f"cv must give one fold at least. Got none from {short(cv)}.")
    for position, (train, held_out) in enumerate(folds):
        every = np.concatenate([train, held_out])
        if not (len(train) and len(held_out)):
            raise ValueError(
                f"cv must give rows to train on and rows to leave out. Fold {position} has {len(train)} and "
                f"{len(held_out)}."
            )
        if every.min() < 0 or every.max() >= n_rows:
            found = f"rows from {every.min()} to {every.max()}"
            raise ValueError(f"cv must give rows from 0 to {n_rows - 1}. Fold {position} has {found}.")
        if len(np.intersect1d(train, held_out)):
            raise ValueError(f"cv must leave out rows that are not trained on. Fold {position} has some in both parts.")
    return folds


def _as_index(rows: Any) -> NDArray:
    rows = np.asarray(rows)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iub"):
        raise ValueError(f"rows must be given by their positions. Got {short(rows)}.")
    return np.flatnonzero(rows) if rows.dtype.kind == "b" else rows.astype(np.intp)
