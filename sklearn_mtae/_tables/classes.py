"""Labels of classification tasks: classes, their positions, and their weights."""

import warnings
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets

from sklearn_mtae.nn.words import listed, short, suggest, suggest_each

from .targets import is_missing, per_task, target_columns


def observed_labels(column: NDArray) -> tuple[NDArray[np.bool_], NDArray]:
    """Return where a column has labels, and the labels, as numbers if a column of objects holds numbers."""
    observed = ~is_missing(column)
    labels = column[observed]
    if labels.dtype.kind == "O":
        values = np.asarray(labels.tolist())
        labels = values if values.dtype.kind in "biuf" and values.ndim == 1 else labels
    return observed, labels


def find_classes(columns: Sequence[NDArray], names: Sequence[str], given: Any, y_ndim: int) -> list[NDArray]:
    """Return the sorted classes of each task: the given ones, or those of its labels.

    Raises
    ------
    ValueError
        If a task has no label, labels that are not classes, or labels of several types.
    """
    if given is None:
        return [_own_classes(column, name) for column, name in zip(columns, names, strict=True)]
    if isinstance(given, str | Mapping) or not hasattr(given, "__len__"):
        raise TypeError(f"classes must be a list of classes, or one for each task. Got {short(given)} instead.")
    each = [given] if y_ndim == 1 else list(given)
    if len(each) != len(names):
        raise ValueError(f"classes must hold those of each task, {listed(names)}. Got {len(each)} of them.")
    if any(np.ndim(classes) != 1 for classes in each):
        raise ValueError(f"classes must be a list for each of the tasks {listed(names)}. Got {short(given)} instead.")
    return [_sorted_classes(target_columns(classes)[0], name) for classes, name in zip(each, names, strict=True)]


def _own_classes(column: NDArray, name: str) -> NDArray:
    classes = _sorted_classes(column, name)
    try:
        check_classification_targets(observed_labels(column)[1])
    except ValueError as error:
        raise ValueError(f"{error} These are the labels of task {name!r}.") from error
    return classes


def _sorted_classes(column: NDArray, name: str) -> NDArray:
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
    return np.unique(labels)


def warn_of_one_class(classes: Sequence[Any], names: Sequence[str]) -> None:
    """Warn of tasks with one class, which is all that can be predicted for them."""
    for own, name in zip(classes, names, strict=True):
        if len(own) == 1:
            warnings.warn(
                f"Task {name!r} has one class, {own.tolist()[0]!r}, which is predicted for every row.", stacklevel=3
            )


def encode(columns: Sequence[NDArray], classes: Sequence[NDArray], names: Sequence[str]) -> NDArray:
    """Return the position of each label among its task's classes as floats, NaN without one."""
    codes = np.full((len(columns[0]), len(columns)), np.nan)
    for task, (column, own) in enumerate(zip(columns, classes, strict=True)):
        observed, labels = observed_labels(column)
        unknown = sorted({str(label) for label in labels[~np.isin(labels, own)]})
        if unknown:
            raise ValueError(
                f"Labels must be among the classes of their task. Task {names[task]!r} has {listed(unknown)}; its "
                f"classes are {listed(own.tolist())}."
            )
        order = np.argsort(own)  # classes of an ordered category are not sorted
        codes[observed, task] = order[np.searchsorted(own, labels, sorter=order)]
    return codes


def decode(codes: NDArray, classes: Sequence[NDArray]) -> NDArray:
    """Return the labels at positions of shape (n_rows, n_tasks); objects if the types of the tasks differ."""
    columns = [own[codes[:, task]] for task, own in enumerate(classes)]
    dtypes = {own.dtype for own in classes}
    numbers = all(dtype.kind in "iuf" for dtype in dtypes)
    dtype = np.result_type(*dtypes) if len(dtypes) == 1 or numbers else np.dtype(object)
    table = np.empty(codes.shape, dtype=dtype)
    for task, column in enumerate(columns):
        table[:, task] = column
    return table


def is_by_class(option: Any) -> bool:
    """Return whether class weights are one dict by class for all tasks, rather than one such dict per task."""
    return isinstance(option, Mapping) and not any(isinstance(v, Mapping | str | None) for v in option.values())


def class_weights(
    option: Any, codes: NDArray, classes: Sequence[NDArray], names: Sequence[str], sample_weight: NDArray | None = None
) -> NDArray:
    """Return the weight of each label by its class, averaging 1 over each task; zero without a label.

    Parameters
    ----------
    option : "balanced", dict or sequence
        Weights of classes, or one such option per task.
    codes : ndarray of shape (n_rows, n_tasks)
        Positions of the labels among their task's classes, NaN without one.
    classes, names
        Classes and names of the tasks.
    sample_weight : ndarray of shape (n_rows,) or (n_rows, n_tasks), or None
        Further weights of rows or labels: a label of weight 2 counts as two, one of weight zero as missing.
    """
    table = np.ones(1) if sample_weight is None else sample_weight
    table = np.broadcast_to(table[:, None] if table.ndim == 1 else table, codes.shape)
    weights = np.zeros_like(codes)
    for task, (own, choice) in enumerate(zip(classes, _options(option, classes, names), strict=True)):
        observed = ~np.isnan(codes[:, task]) & (table[:, task] > 0)
        positions, weight = codes[observed, task].astype(int), table[observed, task]
        counts = np.bincount(positions, weight, minlength=len(own))
        of_class = _weights_by_class(choice, counts, own, names[task])
        total = counts @ of_class
        # Labels of a class of weight zero count as missing here too.
        weights[observed, task] = of_class[positions] * (counts[of_class > 0].sum() / total if total else 1.0)
    return weights


def _options(option: Any, classes: Sequence[NDArray], names: Sequence[str]) -> list[Any]:
    """Return the option of each task; of a dict for all tasks, only the task's classes."""
    if not is_by_class(option):
        return per_task(option, names, "class_weight")
    known = {label for own in classes for label in own.tolist()}
    unknown = [label for label in option if label not in known]
    if unknown:
        classes_known = listed(sorted(known, key=str))
        hint = suggest_each(unknown, known)
        raise ValueError(
            f"class_weight names unknown classes {listed(unknown)}. The classes are {classes_known}.{hint}"
        )
    return [{label: weight for label, weight in option.items() if label in own.tolist()} for own in classes]


def _weights_by_class(option: Any, counts: NDArray, classes: NDArray, name: str) -> NDArray:
    """Return the weight of each class of a task, up to a factor."""
    if option is None:
        return np.ones(len(classes))
    if isinstance(option, str) and option == "balanced":
        return np.divide(1.0, counts, out=np.zeros(len(classes)), where=counts > 0)
    if not isinstance(option, Mapping):
        raise ValueError(
            f"class_weight must be 'balanced', a dict by class or None. Got {short(option)} for task {name!r} instead."
            f"{suggest(option, ['balanced']) if isinstance(option, str) else ''}"
        )
    unknown = [label for label in option if label not in classes.tolist()]
    if unknown:
        raise ValueError(
            f"class_weight names unknown classes {listed(unknown)} of task {name!r}. Its classes are "
            f"{listed(classes.tolist())}.{suggest_each(unknown, classes.tolist())}"
        )
    given = [option.get(label, 1.0) for label in classes.tolist()]
    of_class = np.array([float(own) if isinstance(own, Real) else np.nan for own in given])
    if not (np.isfinite(of_class).all() and (of_class >= 0).all()):
        raise ValueError(f"class_weight must hold finite weights >= 0. Got {short(option)} for task {name!r}.")
    return of_class
