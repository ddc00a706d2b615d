"""One table from tasks that each come with rows of their own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from ._labels import observed_labels
from ._tasks import is_missing
from ._validation import feature_columns, naming_cells
from .nn.words import listed, short

__all__ = ["stack_tasks"]


def stack_tasks(tasks: Mapping[Any, tuple[Any, Any]]) -> tuple[Any, Any]:
    """Stack the rows of tasks, with a column of labels per task.

    Column t of Y holds the labels of task t in the task's own rows and is missing in all others. Rows keep their
    order; labels belong to rows by position, whatever their index.

    Parameters
    ----------
    tasks : dict of str to (X, y)
        Rows of each task, an array or a pandas frame of shape (n_samples_t, n_features), and their labels, an array,
        list or series of shape (n_samples_t,); NaN, None or pandas.NA where one is missing. Arrays must have the same
        columns. Frames need not: the stack has the columns of all.

    Returns
    -------
    X : ndarray or data frame of shape (n_samples, n_features)
        Rows of all tasks, those of the first task first. A frame has the columns in the order of their first
        appearance, NaN where a task has none of that name, and the index (task, index in the task's frame):
        `X.loc["name"]` are the rows of a task.
    Y : ndarray or data frame of shape (n_samples, n_tasks)
        Labels. An array is of floats, NaN where missing, or, where a task's labels are not numbers, of objects, None
        where missing. The columns of a frame have the names of the tasks.

    Raises
    ------
    TypeError
        If a task's X is neither an array nor a pandas frame.
    ValueError
        If there is no task, if lengths, dimensions or columns do not fit, or if arrays and frames are mixed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae import stack_tasks
    >>> fast, slow = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0]])
    >>> X, Y = stack_tasks({"fast": (fast, [0.1, 0.2]), "slow": (slow, [7.0])})
    >>> X.shape
    (3, 2)
    >>> Y
    array([[0.1, nan],
           [0.2, nan],
           [nan, 7. ]])
    """
    if not isinstance(tasks, Mapping) or not tasks:
        raise ValueError(f"tasks must be a dict {{name: (X, y)}} with at least one task. Got {short(tasks)} instead.")
    rows, labels = {}, {}
    for name, task in tasks.items():
        rows[name], labels[name] = _check_task(name, task)
    framed = [name for name, x in rows.items() if hasattr(x, "iloc")]
    if 0 < len(framed) < len(rows):
        raise ValueError(f"The X of all tasks must be frames, or all arrays. Got frames for {listed(framed)} only.")
    return _stack_frames(rows, labels) if framed else _stack_arrays(rows, labels)


def _check_task(name: Any, task: Any) -> tuple[Any, Any]:
    """Return the rows of a task, a float array or a frame, and its labels, an array or a series."""
    if not isinstance(task, list | tuple) or len(task) != 2:
        raise ValueError(f"Task {name!r} must be a pair (X, y). Got {short(task)} instead.")
    x, y = _check_rows(name, task[0]), _check_labels(name, task[1])
    if len(x) != len(y):
        raise ValueError(f"X and y of task {name!r} must have the same length. Got {len(x)} and {len(y)}.")
    return x, y


def _check_rows(name: Any, x: Any) -> Any:
    if issparse(x) or (hasattr(x, "columns") and not hasattr(x, "iloc")):
        kind = f"{type(x).__module__.split('.')[0]}.{type(x).__name__}"
        raise TypeError(f"The X of task {name!r} must be an array or a pandas frame. Got {kind} instead.")
    if not hasattr(x, "iloc"):
        given, x = x, np.asarray(x)
        with naming_cells("task", lambda: feature_columns(given), task=name):
            x = x if x.dtype.kind == "f" or not x.ndim else x.astype(np.float64)
    if x.ndim != 2:
        got = f"shape {x.shape}" if x.ndim else short(x.item())
        raise ValueError(f"The X of task {name!r} must have two dimensions. Got {got} instead.")
    if hasattr(x, "columns") and not x.columns.is_unique:
        twice = list(x.columns[x.columns.duplicated()])
        raise ValueError(f"The columns of the X of task {name!r} must have different names. Got {listed(twice)} twice.")
    return x


def _check_labels(name: Any, y: Any) -> Any:
    if not hasattr(y, "shape"):
        y = np.asarray(y, dtype=object)  # with strings among them NumPy would write a missing label as "nan"
    if len(y.shape) != 1:
        got = f"shape {tuple(y.shape)}" if y.shape else short(np.asarray(y).item())
        raise ValueError(f"The y of task {name!r} must have one dimension. Got {got} instead.")
    return y if hasattr(y, "iloc") else _plain(np.asarray(y))


def _plain(labels: NDArray) -> NDArray:
    """Return floats with NaN where all labels are numbers, otherwise objects with None."""
    observed, values = observed_labels(labels)
    numbers = values.dtype.kind in "biuf" or not len(values)
    plain = np.full(len(labels), np.nan if numbers else None, dtype=float if numbers else object)
    plain[observed] = values
    return plain


def _stack_arrays(rows: dict[Any, NDArray], labels: dict[Any, Any]) -> tuple[NDArray, NDArray]:
    widths = {name: x.shape[1] for name, x in rows.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(
            f"Arrays must have as many columns in each task. Got {short(widths)}; pandas frames say by name which "
            "columns the tasks share."
        )
    columns = [_plain(np.asarray(y)) for y in labels.values()]
    numbers = all(column.dtype.kind == "f" for column in columns)
    X = np.concatenate(list(rows.values()))
    Y = np.full((len(X), len(columns)), np.nan if numbers else None, dtype=float if numbers else object)
    start = 0
    for task, column in enumerate(columns):
        observed = np.flatnonzero(~is_missing(column))
        Y[start + observed, task] = column[observed]
        start += len(column)
    return X, Y


def _stack_frames(rows: dict[Any, Any], labels: dict[Any, Any]) -> tuple[Any, Any]:
    import pandas as pd

    # Of one frame, pandas before 3 gives a view.
    X = pd.concat(rows, names=["task"]).copy()
    columns, start = {}, 0
    for name, y in labels.items():
        own = range(start, start + len(y))
        columns[name] = pd.Series(y, copy=True).set_axis(own).reindex(range(len(X)))
        start = own.stop
    return X, pd.DataFrame(columns).set_axis(X.index)
