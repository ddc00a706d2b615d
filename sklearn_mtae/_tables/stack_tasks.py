"""One table from tasks that each have their own rows."""

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_mtae.nn.words import listed, short

from .classes import observed_labels
from .containers import plain
from .merged_columns import LARGEST, stack_columns, with_gaps
from .targets import distinct_names, is_missing

__all__ = ["align_columns", "stack_tasks"]


def stack_tasks(tasks: Mapping[Any, tuple[Any, Any]]) -> tuple[Any, Any]:
    """Stack the rows of tasks, with a column of labels per task.

    Column t of Y holds the labels of task t in the task's own rows and is missing in all others. Rows keep their order;
    labels are matched to rows by position, whatever their index.

    Parameters
    ----------
    tasks : dict of str to (X, y)
        Rows of each task, an array or a pandas frame of shape (n_samples_t, n_features), and their labels, an array,
        list or series of shape (n_samples_t,); NaN, None or pandas.NA where one is missing. Arrays must have the same
        columns, all numeric. Frames may differ: the stack has the columns of all of them. Names of tasks must differ
        when written as strings.

    Returns
    -------
    X : ndarray or data frame of shape (n_samples, n_features)
        Rows of all tasks, those of the first task first. A frame has the columns in the order of their first
        appearance, with missing cells where a task lacks a column, and the index (task, index in the task's frame):
        `X.loc["name"]` gives the rows of a task. No value is changed: a column has a dtype that holds the values of all
        tables. Its categories are those of all tables. They are ordered if the tables' orders imply a single order of
        all (low < mid and mid < high, but not low < mid and low < high). Where cells are missing, whole numbers become
        floats, or "Int64" beyond 2**53, and booleans become "boolean".
    Y : ndarray or data frame of shape (n_samples, n_tasks)
        Labels. An array holds floats with NaN where missing, or, if a task's labels are not numbers, objects with None
        where missing. The columns of a frame have the names of the tasks and the dtypes of their labels, which missing
        cells change as in X.

    Raises
    ------
    TypeError
        If a task's X is neither an array nor a pandas frame.
    ValueError
        If there is no task, if lengths, dimensions or columns do not fit, if arrays and frames are mixed, if a column
        holds different kinds of values in two tables (such as categories and numbers), or if a new dtype would change a
        value.

    See Also
    --------
    align_columns : Give one site's table the columns of all, for a model that was fitted to the stack.

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
    distinct_names(tasks, "tasks")
    rows, labels = {}, {}
    for name, task in tasks.items():
        rows[name], labels[name] = _check_task(name, task)
    framed = [name for name, x in rows.items() if hasattr(x, "iloc")]
    if 0 < len(framed) < len(rows):
        raise ValueError(f"The X of all tasks must be frames, or all arrays. Got frames for {listed(framed)} only.")
    return _stack_frames(rows, labels) if framed else _stack_arrays(rows, labels)


def align_columns(X: Any, like: Any) -> Any:
    """Give a table the columns that an estimator was fitted to, in their order.

    A model fitted to the result of :func:`stack_tasks` for tables with different columns needs all of these columns,
    but a site may measure only some of them. Missing columns are added without values; the estimators of this package
    treat these as missing cells.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_columns)
        Table with some of the columns, in any order.
    like : estimator or DataFrame
        Fitted estimator, pipeline or search with the names of its features (`feature_names_in_`), or a table with the
        columns.

    Returns
    -------
    DataFrame of shape (n_samples, n_features)
        New table with the values, dtypes and index of X.

    Raises
    ------
    TypeError
        If X is not a pandas frame.
    ValueError
        If X has an unknown column or a repeated name, or if `like` has no names.

    See Also
    --------
    stack_tasks : Make one table from the tables of all sites.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_mtae import MultiTaskVAERegressor, align_columns, stack_tasks
    >>> rng = np.random.default_rng(0)
    >>> north = pd.DataFrame(rng.normal(size=(20, 2)), columns=["wind", "rain"])
    >>> south = pd.DataFrame(rng.normal(size=(20, 2)), columns=["sun", "wind"])
    >>> X, Y = stack_tasks({"north": (north, north["rain"]), "south": (south, south["sun"])})
    >>> model = MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(8,), max_iter=5).fit(X, Y)
    >>> aligned = align_columns(south, model)
    >>> list(aligned.columns)
    ['wind', 'rain', 'sun']
    >>> model.predict(aligned).shape
    (20, 2)
    """
    names = list(like.columns) if hasattr(like, "columns") else list(getattr(like, "feature_names_in_", []))
    if not names:
        raise ValueError(
            f"like must be a data frame, or an estimator that was fitted to one and has feature_names_in_. Got "
            f"{type(like).__name__} instead."
        )
    if not hasattr(X, "iloc") or not hasattr(X, "columns"):
        raise TypeError(f"X must be a pandas frame, whose columns are found by name. Got {_kind_of(X)} instead.")
    _check_unique("X", X)
    unknown = [name for name in X.columns if name not in set(names)]
    if unknown:
        raise ValueError(f"X must have no other columns than {names}. Got {unknown} too: drop them.")
    return X.reindex(columns=names)


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
        raise TypeError(f"The X of task {name!r} must be an array or a pandas frame. Got {_kind_of(x)} instead.")
    given = x
    if not hasattr(x, "iloc"):
        x = _as_floats(plain(x), f"The X of task {name!r}")
    if x.ndim != 2:
        got = f"shape {x.shape}" if x.ndim else short(given)
        raise ValueError(f"The X of task {name!r} must have two dimensions. Got {got} instead.")
    if hasattr(x, "columns"):
        _check_unique(f"the X of task {name!r}", x)
    return x


def _kind_of(x: Any) -> str:
    return f"{type(x).__module__.split('.')[0]}.{type(x).__name__}"


def _check_unique(what: str, x: Any) -> None:
    if not x.columns.is_unique:
        twice = list(x.columns[x.columns.duplicated()])
        raise ValueError(f"The columns of {what} must have different names. Got {twice} twice.")


def _as_floats(x: Any, what: str) -> NDArray:
    """Return an array of numbers as floats, NaN where missing, and raise an error if that would change a value."""
    array = np.asarray(x)
    if array.dtype.kind == "f":
        return array
    if array.dtype.kind not in "biu":
        array = np.asarray(x, dtype=object)  # in a list with strings, NumPy turns numbers into strings
    flat = array.ravel()
    cells = flat[~is_missing(flat)]
    if array.dtype.kind == "O":
        for position in np.flatnonzero(~is_missing(flat)):
            if not isinstance(flat[position], Real | np.bool_):
                where = f" in column {position % array.shape[1]}" if array.ndim == 2 else ""
                got = f"Got {short(flat[position])}{where}."
                raise ValueError(f"{what} must hold numbers; categories must come in pandas frames. {got}")
    _check_exact(cells, what)
    floats = np.full(flat.shape, np.nan)
    floats[~is_missing(flat)] = cells.astype(np.float64)
    return floats.reshape(array.shape)


def _check_exact(cells: NDArray, what: str) -> None:
    """Raise an error if whole numbers are too large for floats to hold them exactly."""
    if cells.dtype.kind == "O":
        cells = np.array([int(cell) for cell in cells if isinstance(cell, Integral)], dtype=object)
    if cells.dtype.kind in "iuO" and len(cells) and not -LARGEST <= cells.min() <= cells.max() <= LARGEST:
        raise ValueError(
            f"{what} must hold whole numbers up to 2**53 in size, beyond which floats do not hold them; pandas frames "
            f"and series keep them. Got {max(cells.tolist(), key=abs)}."
        )


def _check_labels(name: Any, y: Any) -> Any:
    y = plain(y)
    if not hasattr(y, "shape"):
        y = np.asarray(y, dtype=object)  # with strings among them, NumPy would turn a missing label into "nan"
    if len(y.shape) != 1:
        got = f"shape {tuple(y.shape)}" if y.shape else short(np.asarray(y).item())
        raise ValueError(f"The y of task {name!r} must have one dimension. Got {got} instead.")
    return y if hasattr(y, "iloc") else _plain(np.asarray(y), f"The y of task {name!r}")


def _plain(labels: NDArray, what: str) -> NDArray:
    """Return floats with NaN if all labels are numbers, otherwise objects with None."""
    observed, values = observed_labels(labels)
    numbers = values.dtype.kind in "biuf" or not len(values)
    if numbers:
        _check_exact(values, what)
    plain = np.full(len(labels), np.nan if numbers else None, dtype=float if numbers else object)
    plain[observed] = values
    return plain


def _stack_arrays(rows: dict[Any, NDArray], labels: dict[Any, Any]) -> tuple[NDArray, NDArray]:
    widths = {name: x.shape[1] for name, x in rows.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(
            f"Arrays must have the same number of columns in each task. Got {short(widths)}; pandas frames say by "
            "name which columns the tasks share."
        )
    columns = [_plain(np.asarray(y), f"The y of task {name!r}") for name, y in labels.items()]
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

    index = pd.concat({name: pd.DataFrame(index=x.index) for name, x in rows.items()}, names=["task"]).index
    columns, start = {}, 0
    for name, y in labels.items():
        own = range(start, start + len(y))
        column = pd.Series(y, copy=True).set_axis(own)
        columns[name] = column if len(y) == len(index) else with_gaps(column).reindex(range(len(index)))
        start = own.stop
    return stack_columns(rows).set_axis(index), pd.DataFrame(columns, index=range(len(index))).set_axis(index)
