"""What must hold of tasks of several kinds: each function yields what does not."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from .cells import cells_of, is_frame
from .checks import Check, Complaints, Fitted, finite, shape

__all__ = ["MIXED_VERBS"]


def _levels(fitted: Fitted) -> list[list[Any] | None]:
    """Return the classes of each task, None of numbers."""
    model = getattr(fitted.model, "best_estimator_", fitted.model)
    return fitted.targets.levels(model.task_likelihoods)


def _columns(fitted: Fitted, X: Any, value: Any) -> Iterator[tuple[Any, np.ndarray, list[Any] | None]]:
    """Yield name, cells and classes of each task."""
    cells = cells_of(value if is_frame(value) else np.reshape(np.asarray(value), (len(value), -1)))[0]
    yield from zip(fitted.targets.names, cells.T, _levels(fitted), strict=True)


def _held(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Predictions come in what the targets came in."""
    y = fitted.targets.y
    if is_frame(value) != is_frame(y):
        yield f"a {type(value).__name__} for a {type(y).__name__}"
    elif is_frame(value):
        if list(value.columns) != list(y.columns):
            yield f"columns {list(value.columns)}"
        if is_frame(X) and not value.index.equals(X.index):
            yield f"index {value.index}"
    else:
        yield from shape(value, (len(value), *np.shape(y)[1:]))


def predict(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Numbers are finite, classes are some of the task's, in the dtypes of the targets."""
    yield from _held(fitted, X, value)
    for name, column, levels in _columns(fitted, X, value):
        if levels is None:
            yield from finite(column.astype(float))
        elif not set(column.tolist()) <= set(levels):
            yield f"task {name!r} has {sorted(map(repr, set(column.tolist())))}, which are not among {levels}"
        if levels is not None and is_frame(value) and value[name].dtype != fitted.targets.y[name].dtype:
            yield f"task {name!r} is {value[name].dtype}, was {fitted.targets.y[name].dtype}"


def _of_numbers(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """There is something of numbers, and nothing of classes."""
    yield from _held(fitted, X, value)
    for name, column, levels in _columns(fitted, X, value):
        if (levels is None) == pd.isna(column).any() or (levels is not None and not pd.isna(column).all()):
            yield f"task {name!r} has {column[:3]}"


def with_std(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Standard deviations are numbers >= 0."""
    yield from predict(fitted, X, value[0])
    yield from _of_numbers(fitted, X, value[1])
    if any((column.astype(float) < 0).any() for _, column, _ in _columns(fitted, X, value[1])):
        yield "negative ones"


def interval(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """The ends of an interval are in order."""
    for end in value:
        yield from _of_numbers(fitted, X, end)
    lower, upper = (np.stack([c for _, c, _ in _columns(fitted, X, end)]).astype(float) for end in value)
    if (lower > upper).any():
        yield "a lower end above the upper one"


def _by_task(fitted: Fitted, X: Any, value: Any) -> Iterator[tuple[str, np.ndarray, list[Any]]]:
    """Yield name, table and classes of the tasks that are classes."""
    for name, levels in zip(fitted.targets.names, _levels(fitted), strict=True):
        if levels is not None and name in value:
            yield name, np.asarray(value[name]), levels


def _parts(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """There is a table for each task that is classes, with a column for each class."""
    expected = [name for name, own in zip(fitted.targets.names, _levels(fitted), strict=True) if own is not None]
    if list(value) != expected:
        yield f"tasks {list(value)}, not {expected}"
    for name, part, levels in _by_task(fitted, X, value):
        yield from shape(part, (len(part), len(levels)))
        classes = fitted.model.classes_[name].tolist()
        if is_frame(value[name]) != is_frame(fitted.targets.y):
            yield f"a {type(value[name]).__name__}"
        elif is_frame(value[name]) and list(value[name].columns) != classes:
            yield f"columns {list(value[name].columns)}, not {classes}"


def probabilities(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Probabilities lie between 0 and 1, add up to 1, and are largest where the prediction is."""
    yield from _parts(fitted, X, value)
    predicted = {name: column for name, column, _ in _columns(fitted, X, fitted.model.predict(X))}
    for name, p, _ in _by_task(fitted, X, value):
        yield from finite(p)
        if (p < 0).any() or (p > 1 + 1e-6).any() or (np.abs(p.sum(axis=1) - 1) > 1e-5).any():
            yield f"probabilities from {p.min()} to {p.max()} with sums {p.sum(axis=1)[:3]}"
        classes = fitted.model.classes_[name].tolist()
        chosen = p[np.arange(len(p)), [classes.index(v) for v in predicted[name]]]
        if (chosen < p.max(axis=1) - 1e-6).any():
            yield f"task {name!r} has a prediction that is not the most probable class"


def sets(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Sets say of each class whether it is in."""
    yield from _parts(fitted, X, value)
    for name, inside, _ in _by_task(fitted, X, value):
        if inside.dtype != bool:
            yield f"task {name!r} has {inside.dtype}"


def sample(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Drawn targets are targets."""
    for name, column, levels in _columns(fitted, X, value[1]):
        if levels is None:
            yield from finite(column.astype(float))
        elif not set(column.tolist()) <= set(levels):
            yield f"task {name!r} has {column}, which are not among {levels}"


HALF = {"coverage": 0.5}
MIXED_VERBS: dict[str, tuple[str, dict[str, Any], Check]] = {
    "predict mixed": ("predict", {}, predict),
    "predict with std": ("predict", {"return_std": True}, with_std),
    "predict_interval": ("predict_interval", HALF, interval),
    "predict_proba": ("predict_proba", {}, probabilities),
    "predict_set": ("predict_set", HALF, sets),
    "sample": ("sample", {"n_samples": 7, "random_state": 0}, sample),
}
"""What is asked of a fitted estimator of tasks of several kinds, beside or in the place of `VERBS`."""
