"""What must hold of answers given labels that are known, of joint draws and of regions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from .checks import Fitted, same_bits
from .draws import Rng

__all__ = ["joint"]


def joint(fitted: Fitted, given: dict[str, Any], rng: Rng) -> Iterator[str]:
    """Known labels are predicted and drawn as they are; where none is known nothing changes."""
    model, labels = getattr(fitted.model, "best_estimator_", fitted.model), fitted.targets.labels
    if not hasattr(model, "predict_samples") or not model._fitted.average.scores or labels is None:
        return
    X = given["X"]
    hidden = rng.random(labels.shape) < 0.5
    known, nothing = (_like(fitted, np.where(gone, None, labels)) for gone in (hidden, True))
    if not same_bits(_array(model.predict(X)), _array(model.predict(X, y_observed=nothing))):
        yield "predict differs where no label is known"
    is_known = ~hidden & (labels != None)  # noqa: E711
    drawn = np.reshape(model.predict_samples(X, 3, y_observed=known, random_state=0), (3, *labels.shape))
    for name, found in [("predict", _array(model.predict(X, y_observed=known))), *(("a draw", own) for own in drawn)]:
        cells = np.reshape(found, labels.shape)
        for row, task in np.argwhere(is_known):
            if not _same(cells[row, task], labels[row, task]):
                yield f"{name} of row {row}, task {task} is {cells[row, task]!r}, not {labels[row, task]!r}"
        if pd.isna(cells).any() or any(isinstance(v, float) and np.isinf(v) for v in cells.ravel()):
            yield f"{name} has cells without a value"
    yield from _worth(model.which_next(X, y_observed=known), is_known)
    yield from _region(model, X)


def _like(fitted: Fitted, labels: np.ndarray) -> Any:
    """Return labels in the container of the targets, with NaN for numbers."""
    y = fitted.targets.y
    labels = np.where(pd.isna(labels), None, labels)
    if isinstance(y, pd.DataFrame):
        return pd.DataFrame(labels, columns=y.columns)
    numbers = all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in labels.ravel())
    labels = labels.astype(float) if numbers else labels
    return labels[:, 0] if np.ndim(y) == 1 else labels


def _array(value: Any) -> np.ndarray:
    return np.asarray(value, dtype=object)


def _same(one: Any, other: Any) -> bool:
    if isinstance(other, float | int) and not isinstance(other, bool):
        return bool(np.isclose(float(one), float(other), rtol=1e-6, atol=0))
    return one == other


def _worth(worth: np.ndarray, is_known: np.ndarray) -> Iterator[str]:
    """What to measure next is a fraction, for labels that are not known."""
    if (np.isnan(worth) != is_known).any():
        yield "which_next is NaN elsewhere than for known labels"
    if (worth < -1e-9).any() or (worth > 1 + 1e-9).any():
        yield f"which_next from {np.nanmin(worth)} to {np.nanmax(worth)}"


def _region(model: Any, X: Any) -> Iterator[str]:
    """Regions have ends in order and a volume, and contain their centres."""
    if not hasattr(model, "predict_region"):
        return
    try:
        region = model.predict_region(X, 0.5)
    except ValueError as error:
        if "held-out rows with a label" not in str(error):
            yield str(error)
        return
    if not (region.lower <= region.upper).all() or (region.volume < 0).any():
        yield "a region whose ends are not in order"
    if not region.contains(region.center).all():
        yield "a region that does not contain its centre"
