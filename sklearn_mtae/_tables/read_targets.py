"""The targets: what is learned about y's columns before a fit, and y as a model sees it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length

from sklearn_mtae.nn.words import listed, short

from .checks import check_targets
from .classes import class_weights, encode, find_classes, is_by_class
from .mixed_targets import MixedTasks, encoded, read_mixed
from .targets import Tasks, n_dimensions, per_task, target_columns, task_names


def read_numbers(
    y: Any, x: Any, known: Tasks | None = None, classes: None = None, likelihoods: Any = None
) -> tuple[NDArray, Tasks]:
    """Read targets that are numbers: floats of shape (n_rows, n_tasks), NaN without a label, and the tasks."""
    names = task_names(y)
    targets = check_targets(y, x, names)
    if known is not None:
        known.check_same(y, names)
    return targets, known or Tasks(names, n_dimensions(y), targets.dtype.name)


def read_classes(
    y: Any, x: Any, known: Tasks | None = None, classes: Any = None, likelihoods: None = None
) -> tuple[NDArray, Tasks]:
    """Read targets that are classes: their positions among the given or the observed classes."""
    columns, names = target_columns(y), task_names(y)
    check_consistent_length(x, columns[0])
    if known is not None:
        known.check_same(y, names)
    found = None
    if known is None or classes is not None:
        found = find_classes(columns, names, classes, n_dimensions(y))
    if known is not None and found is not None:
        assert known.classes is not None
        if not all(map(np.array_equal, found, known.classes)):
            own = [own.tolist() for own in known.classes]
            raise ValueError(f"classes must be those of the first call, {short(own)}. Got {short(classes)} instead.")
    of_tasks = found if known is None else known.classes
    assert of_tasks is not None
    codes = encode(columns, of_tasks, names)
    return codes, known or Tasks(names, n_dimensions(y), codes.dtype.name, of_tasks)


def label_weights(targets: NDArray, tasks: Tasks, weight: NDArray | None, class_weight: Any = None) -> NDArray | None:
    """Return the weights of labels beside those of rows, shape (n_rows, n_tasks), if there are any.

    Parameters
    ----------
    targets : ndarray of shape (n_rows, n_tasks)
        Targets.
    tasks : Tasks
        What they are.
    weight : ndarray or None
        Weights of rows, shape (n_rows,), or of labels, shape (n_rows, n_tasks).
    class_weight : object
        The parameter `class_weight`.
    """
    own = weight if weight is not None and weight.ndim == 2 else None
    if class_weight is None or tasks.classes is None:
        return own
    if isinstance(tasks, MixedTasks):
        by_class = _mixed_weights(targets, tasks, weight, class_weight)
    else:
        by_class = class_weights(class_weight, targets, tasks.classes, tasks.names, weight)
    return by_class if own is None else by_class * own


def _mixed_weights(targets: NDArray, tasks: MixedTasks, weight: NDArray | None, option: Any) -> NDArray:
    """Return weights by class for tasks of classes, and 1 for the labels of all others."""
    own, weights = tasks.of_classes, (~np.isnan(targets)).astype(np.float64)
    if not (is_by_class(option) or isinstance(option, str)):
        each = per_task(option, tasks.names, "class_weight", default={})
        numbers = [name for name, one, is_class in zip(tasks.names, each, own, strict=True) if one and not is_class]
        if numbers:
            raise ValueError(f"class_weight must be for tasks of classes. Got it for {listed(numbers)}, of numbers.")
        option = [one for one, is_class in zip(each, own, strict=True) if is_class]
    if own.any():
        weight = weight[:, own] if weight is not None and weight.ndim == 2 else weight
        names, classes = list(tasks.by_name), list(tasks.by_name.values())
        weights[:, own] = class_weights(option, targets[:, own], classes, names, weight)
    return weights


TARGETS: dict[str, Callable[..., tuple[NDArray, Tasks]]] = {
    "numbers": read_numbers,
    "classes": read_classes,
    "mixed": read_mixed,
}
"""Functions that read targets, by kind."""


def read_known(y: Any, tasks: Tasks) -> NDArray:
    """Read labels of known tasks: numbers, or positions of classes; NaN where there is none."""
    tasks.check_same(y, task_names(y))
    columns = target_columns(y)
    if isinstance(tasks, MixedTasks):
        return encoded(columns, tasks)
    if tasks.classes is not None:
        return encode(columns, tasks.classes, tasks.names)
    return check_targets(y, columns[0], tasks.names)
