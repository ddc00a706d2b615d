"""Tables of targets: their columns and names, missing labels, and the options of the tasks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import check_array

from sklearn_mtae.nn.words import listed, named, short, suggest, suggest_each

from .containers import check_kind, is_missing, plain

__all__ = [
    "Tasks",
    "check_order",
    "check_similarity",
    "check_task_weights",
    "distinct_names",
    "is_missing",
    "n_dimensions",
    "per_task",
    "target_columns",
    "task_names",
    "task_position",
]


@dataclass(frozen=True, eq=False)
class Tasks:
    """The columns of y.

    Parameters
    ----------
    names : list of str
        Names of the tasks.
    n_dimensions : int
        1 if y was one column, 2 if it was a table.
    dtype : str
        Precision of the given targets.
    classes : list of ndarray or None
        Sorted classes of each task, if the targets are classes.
    """

    names: list[str]
    n_dimensions: int
    dtype: str
    classes: list[NDArray] | None = None

    def shaped(self, columns: NDArray) -> NDArray:
        """Bring predicted or drawn targets, shape (n_rows, n_tasks), into the shape that y had."""
        return columns[:, 0] if self.n_dimensions == 1 else columns

    def check_same(self, y: Any, names: list[str]) -> None:
        """Raise an error if targets are not those of these tasks."""
        if len(names) != len(self.names):
            raise ValueError(f"y must have {len(self.names)} columns, one per task. Got {len(names)} instead.")
        if hasattr(y, "columns") and names != self.names:
            raise ValueError(
                f"y must have the columns {listed(self.names)}, in this order. Got {listed(names)} instead."
            )


def task_names(y: Any) -> list[str]:
    """Return the names of a data frame's columns or a named series, otherwise y0, y1, ..."""
    y = plain(y)
    if hasattr(y, "columns"):
        return distinct_names(y.columns, "The columns of y")
    if hasattr(y, "to_frame") and y.name is not None:
        return [str(y.name)]
    y = np.asarray(y)
    return [f"y{task}" for task in range(y.shape[1] if y.ndim > 1 else 1)]


def distinct_names(names: Iterable[Any], what: str) -> list[str]:
    """Return names as strings, which identify tasks, and raise an error if two become the same: 1 and "1"."""
    names = list(names)
    spelled = [str(name) for name in names]
    n_times = Counter(spelled)
    same = [name for name, own in zip(names, spelled, strict=True) if n_times[own] > 1]
    if same:
        raise ValueError(f"{what} must have different names, one per task, also when written as strings. Got {same}.")
    return spelled


def check_order(y: Any, known: Sequence[str]) -> None:
    """Raise an error if the columns of y are the known tasks in another order."""
    names = task_names(y) if hasattr(y, "columns") else list(known)
    if names != list(known) and sorted(names) == sorted(known):
        raise ValueError(f"y must have the columns {list(known)}, in this order. Got {names} instead.")


def n_dimensions(y: Any) -> int:
    """Return 1 for one column of labels, 2 for a table of them."""
    y = plain(y)
    return 2 if hasattr(y, "columns") else np.asarray(y).ndim


def target_columns(y: Any) -> list[NDArray]:
    """Return the columns of y, each a one-dimensional array of its own dtype: an array, a frame, a series or a list."""
    if issparse(y):
        raise TypeError("Sparse data was passed for y, but labels must be dense; use y.toarray().")
    y = plain(y)
    if hasattr(y, "columns"):
        names = list(y.columns)
        if len(set(names)) < len(names):
            raise ValueError(f"The columns of y must have different names, one per task. Got {listed(names)}.")
        columns = [np.asarray(y[name]) for name in names]
    else:
        array = np.asarray(y)
        if array.ndim not in (1, 2):
            raise ValueError(f"y must have shape (n_samples,) or (n_samples, n_tasks). Got {array.shape} instead.")
        columns = [array] if array.ndim == 1 else list(array.T)
    if not columns:
        raise ValueError("y must have at least one column, one per task. Got none.")
    for column, name in zip(columns, task_names(y), strict=True):
        check_kind(column, f"task {name!r}")
    return columns


def task_position(task: str | int, names: Sequence[str], parameter: str) -> int:
    """Return the position of a task, given by name or by position."""
    if isinstance(task, str) and task in names:
        return names.index(task)
    if isinstance(task, int | np.integer) and -len(names) <= task < len(names):
        return int(task) % len(names)
    raise ValueError(
        f"{parameter} must be a task or its position. Got {short(task)}; the tasks are {listed(names)}."
        f"{suggest(task, names) if isinstance(task, str) else ''}"
    )


def per_task(option: Any, names: Sequence[str], parameter: str, default: Any = None) -> list[Any]:
    """Return an option's value for each task: one for all, a dict by name, or a sequence by position.

    Parameters
    ----------
    option : object
        A dict of values by task, a list, tuple or array of values, or one value for all tasks.
    names : sequence of str
        Names of the tasks.
    parameter : str
        Name of the option, for the errors.
    default : object, default=None
        Value of the tasks that a dict leaves out; None raises an error.
    """
    if isinstance(option, Mapping):
        values = dict(zip(distinct_names(option, parameter), option.values(), strict=True))
        unknown, absent = [n for n in values if n not in names], [n for n in names if n not in values]
        if unknown:
            hint = suggest_each(unknown, names)
            raise ValueError(f"{parameter} names unknown tasks {listed(unknown)}. The tasks are {listed(names)}.{hint}")
        if absent and default is None:
            raise ValueError(f"{parameter} must have a value for each task. There is none for {listed(absent)}.")
        return [values.get(name, default) for name in names]
    if isinstance(option, list | tuple | np.ndarray):
        if len(option) != len(names):
            raise ValueError(
                f"{parameter} must have one value per task, {len(names)} of them: {listed(names)}. Got {len(option)}."
            )
        return list(option)
    return [option] * len(names)


def check_task_weights(weights: Any, names: Sequence[str]) -> NDArray:
    """Return the weights of the tasks, given by name or by position."""
    with named("task_weighting"):
        values = np.asarray(per_task(weights, names, "task_weighting"))
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not np.all(np.isfinite(values) & (values >= 0)):
        raise ValueError(
            f"task_weighting must hold {len(names)} finite weights >= 0, one per task. Got {short(weights)} instead."
        )
    return values.astype(np.float64)


def check_similarity(similarity: Any, names: Sequence[str]) -> NDArray:
    """Return the similarities of the tasks, shape (n_tasks, n_tasks), in their order; a frame is matched by name."""
    if hasattr(similarity, "columns") and hasattr(similarity, "loc"):
        axes = (list(map(str, similarity.index)), list(map(str, similarity.columns)))
        if any(sorted(axis) != sorted(names) for axis in axes):
            raise ValueError(f"task_similarity must name the tasks {listed(names)} on both axes. Got {short(axes)}.")
        order = [[axis.index(name) for name in names] for axis in axes]
        similarity = np.asarray(similarity)[np.ix_(*order)]
    with named("task_similarity"):
        values = check_array(similarity, dtype=np.float64, input_name="task_similarity")
    if values.shape != (len(names), len(names)):
        raise ValueError(f"task_similarity must have shape ({len(names)}, {len(names)}). Got {values.shape} instead.")
    for s, t in np.argwhere(~np.isclose(values, values.T)):
        raise ValueError(
            f"task_similarity must be symmetric. Got {values[s, t]:g} for ({names[s]!r}, {names[t]!r}) and "
            f"{values[t, s]:g} the other way round."
        )
    for s, t in np.argwhere(values < 0):
        raise ValueError(f"task_similarity must be >= 0. Got {values[s, t]:g} for ({names[s]!r}, {names[t]!r}).")
    return values
