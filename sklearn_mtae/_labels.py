"""Labels of classification tasks: classes, their positions, and their weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from ._tasks import is_missing, per_task


def observed_labels(column: NDArray) -> tuple[NDArray[np.bool_], NDArray]:
    """Return where a column has labels, and the labels: as numbers where a column of objects holds numbers."""
    observed = ~is_missing(column)
    labels = column[observed]
    if labels.dtype.kind == "O":
        values = np.asarray(labels.tolist())
        labels = values if values.dtype.kind in "biuf" and values.ndim == 1 else labels
    return observed, labels


def find_classes(columns: Sequence[NDArray], names: Sequence[str], given: Any, y_ndim: int) -> list[NDArray]:
    """Return the sorted classes of each task: those that are given, or those of its labels.

    Raises
    ------
    ValueError
        If a task has one class only, labels that are no classes, or labels of several types.
    """
    if given is None:
        return [_own_classes(column, name) for column, name in zip(columns, names, strict=True)]
    each = [given] if y_ndim == 1 else list(given)
    if len(each) != len(names):
        raise ValueError(f"classes must hold those of each task, {list(names)}. Got {len(each)} of them.")
    return [np.unique(np.asarray(classes)) for classes in each]


def _own_classes(column: NDArray, name: str) -> NDArray:
    _, labels = observed_labels(column)
    if not len(labels):
        raise ValueError(f"Every task needs an observed label of non-zero weight. Task {name!r} has none.")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError(f"Input y contains infinity, in task {name!r}.")
    if labels.dtype.kind == "O" and not all(isinstance(label, str) for label in labels):
        raise ValueError(
            f"The labels of a task must be of one type, numbers or strings. Task {name!r} has "
            f"{sorted({type(label).__name__ for label in labels})}."
        )
    check_classification_targets(labels)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f"Every task needs labels of two classes. Task {name!r} has one class, {classes.tolist()}.")
    return classes


def encode(columns: Sequence[NDArray], classes: Sequence[NDArray], names: Sequence[str]) -> NDArray:
    """Return the position of each label among its task's classes as floats, NaN without one."""
    codes = np.full((len(columns[0]), len(columns)), np.nan)
    for task, (column, own) in enumerate(zip(columns, classes, strict=True)):
        observed, labels = observed_labels(column)
        unknown = sorted({str(label) for label in labels[~np.isin(labels, own)]})
        if unknown:
            raise ValueError(
                f"Labels must be among the classes of their task. Task {names[task]!r} has {unknown}; its classes are "
                f"{own.tolist()}."
            )
        codes[observed, task] = np.searchsorted(own, labels)
    return codes


def decode(codes: NDArray, classes: Sequence[NDArray]) -> NDArray:
    """Return the labels at positions of shape (n_rows, n_tasks); objects where the types of the tasks differ."""
    columns = [own[codes[:, task]] for task, own in enumerate(classes)]
    dtypes = {own.dtype for own in classes}
    numbers = all(dtype.kind in "iuf" for dtype in dtypes)
    dtype = np.result_type(*dtypes) if len(dtypes) == 1 or numbers else np.dtype(object)
    table = np.empty(codes.shape, dtype=dtype)
    for task, column in enumerate(columns):
        table[:, task] = column
    return table


def is_by_class(option: Any) -> bool:
    """Return whether class weights are a dict by class, for all tasks alike, rather than one such dict per task."""
    return isinstance(option, Mapping) and not any(isinstance(v, Mapping | str | None) for v in option.values())


def class_weights(option: Any, codes: NDArray, classes: Sequence[NDArray], names: Sequence[str]) -> NDArray:
    """Return the weight of each label by its class, averaging 1 over each task; zero without a label.

    Parameters
    ----------
    option : "balanced", dict or sequence
        Weights of classes, or one such option per task.
    codes : ndarray of shape (n_rows, n_tasks)
        Positions of the labels among their task's classes, NaN without one.
    classes, names
        Classes and names of the tasks.
    """
    by_class = is_by_class(option)
    if by_class:
        known = {label for own in classes for label in own.tolist()}
        unknown = [label for label in option if label not in known]
        if unknown:
            raise ValueError(f"class_weight names unknown classes {unknown}. The classes are {sorted(known, key=str)}.")
    options = [option] * len(names) if by_class else per_task(option, names, "class_weight")
    weights = np.zeros_like(codes)
    for task, (own, choice) in enumerate(zip(classes, options, strict=True)):
        observed = ~np.isnan(codes[:, task])
        weights[observed, task] = _label_weights(choice, codes[observed, task].astype(int), own)
    return weights


def _label_weights(option: Any, codes: NDArray, classes: NDArray) -> NDArray:
    """Return the weight of each label of a task."""
    if isinstance(option, Mapping):
        option = {label: weight for label, weight in option.items() if label in classes.tolist()}
        of_class = np.array([option.get(label, 1.0) for label in classes.tolist()], dtype=np.float64)
        if not (np.isfinite(of_class).all() and (of_class >= 0).all()):
            raise ValueError(f"class_weight must hold finite weights >= 0. Got {option!r}.")
    else:
        present = np.unique(codes)
        of_class = np.ones(len(classes))
        of_class[present] = compute_class_weight(option, classes=present, y=codes)
    weights = of_class[codes]
    return weights / weights.mean() if weights.any() else weights
