"""An estimator that is exported says the same without torch."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_mtae import runtime
from sklearn_mtae.export import NotExportableError, to_numpy

__all__ = ["exported"]

CLOSE = 1e-3
"""Part of the largest number of a column by which float32 and float64 may differ."""
VERBS = ("transform", "predict", "predict_proba")


def exported(fitted: Any, given: dict[str, Any], rng: Any) -> Iterator[str]:
    """The estimator's own methods and those of its export give the same."""
    model, X = fitted.model, given["X"]
    if not hasattr(model, "_fitted"):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        try:
            to_numpy(model, path)
        except NotExportableError as error:
            if "strings, numbers or booleans" not in str(error):
                yield str(error)
            return
        light = runtime.load(path)
    for verb in VERBS:
        if hasattr(model, verb) and hasattr(light, verb):
            for own, true in zip(_columns(getattr(light, verb)(X)), _columns(getattr(model, verb)(X)), strict=True):
                yield from _apart(verb, own, true)


def _columns(value: Any) -> list[np.ndarray]:
    """Return the columns of a result."""
    if isinstance(value, dict | list | tuple):
        return [column for own in (value.values() if isinstance(value, dict) else value) for column in _columns(own)]
    if hasattr(value, "columns"):
        return [np.asarray(value.iloc[:, j], dtype=object) for j in range(value.shape[1])]
    array = np.asarray(value)
    return list(array.T) if array.ndim > 1 else [array]


def _apart(verb: str, own: np.ndarray, true: np.ndarray) -> Iterator[str]:
    """Yield how two columns differ."""
    try:
        one, other = (np.asarray(column, dtype=np.float64) for column in (own, true))
    except (TypeError, ValueError):
        if [str(cell) for cell in own] != [str(cell) for cell in true]:
            yield f"{verb}: {own[:5]}, not {true[:5]}"
        return
    gaps = np.isnan(one) != np.isnan(other)
    scale = np.nanmax(np.abs(other), initial=1e-30)
    # A whole number may be rounded to the next.
    allowed = max(CLOSE * scale, 1.0 if np.asarray(true).dtype.kind in "iub" else 0.0)
    if gaps.any() or np.nanmax(np.abs(one - other), initial=0.0) > allowed:
        yield f"{verb}: {one[:5]}, not {other[:5]}"
