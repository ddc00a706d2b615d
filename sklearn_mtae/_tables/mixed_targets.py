"""Targets of several kinds: which tasks are numbers and which are classes, and predictions in the form of y."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length

from sklearn_mtae.nn.factories import TASK_LIKELIHOODS
from sklearn_mtae.nn.words import short, suggest

from .classes import decode, encode, find_classes, observed_labels
from .column_likelihoods import CATEGORICAL, LEFT_OUT, per_task_likelihood
from .containers import is_frame, numbers
from .frame import Numbers, Table
from .levels import Levels, spelled
from .targets import Tasks, n_dimensions, target_columns, task_names

NUMBER = "number"
"""Kind of a task of numbers without a given likelihood."""


@dataclass(frozen=True, eq=False)
class MixedTasks(Tasks):
    """The columns of y, each of its own kind.

    Parameters
    ----------
    names, n_dimensions, dtype, classes
        As for `Tasks`; a task of numbers has one class, which stands for all of them.
    kinds : list
        For each task "number", "categorical" or its given likelihood.
    given : dict
        The given likelihoods, by task.
    table : Table or None
        The columns of a data frame; None for an array.
    """

    classes: list[NDArray] = field(default_factory=list)
    kinds: list[Any] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)
    table: Table | None = None

    @property
    def of_classes(self) -> NDArray[np.bool_]:
        """Which tasks are classes, shape (n_tasks,)."""
        return np.array([_is_categorical(kind) for kind in self.kinds])

    @property
    def by_name(self) -> dict[str, NDArray]:
        """The classes of those tasks, by name."""
        parts = zip(self.names, self.of_classes, self.classes, strict=True)
        return {name: own for name, is_class, own in parts if is_class}

    def means(self, columns: NDArray, like: Any) -> Any:
        """Return predictions in the form of y: positions as classes, numbers as floats, since they are means.

        Parameters
        ----------
        columns : ndarray of shape (n_rows, n_tasks)
            Numbers, and positions of classes.
        like : object
            The container of the rows: a frame of predictions takes its index.
        """
        table = self.table and replace(self.table, columns=list(map(_with_fractions, self.table.columns)))
        return self._restored(columns, table, like)

    def cells(self, columns: NDArray) -> Any:
        """Return drawn targets in the form of y, with whole numbers where it held such."""
        return self._restored(columns, self.table)

    def floats(self, columns: NDArray, like: Any) -> Any:
        """Return the values for numbers, NaN for classes, with the shape and names of y."""
        columns = np.where(self.of_classes, np.nan, columns).astype(columns.dtype)
        return self.shaped(columns) if self.table is None else framed(columns, self._columns, like)

    def by_class(self, array: NDArray, like: Any) -> dict[str, Any]:
        """Return the values for the classes of each task, given an array of shape (n_rows, n_tasks, n_classes)."""
        parts = {
            name: array[:, task, : len(own)]
            for task, (name, own) in enumerate(zip(self.names, self.classes, strict=True))
            if self.of_classes[task]
        }
        if self.table is None:
            return parts
        return {name: framed(part, self.by_name[name], like) for name, part in parts.items()}

    @property
    def _columns(self) -> list:
        return [] if self.table is None else [column.name for column in self.table.columns]

    def _restored(self, columns: NDArray, table: Table | None, like: Any = None) -> Any:
        if table is not None:
            return table.decode(columns, index=like.index if is_frame(like) else None)
        is_class, classes = self.of_classes, self.classes
        if not is_class.any():
            return self.shaped(columns)
        if is_class.all():
            return self.shaped(decode(columns.astype(int), classes))
        cells = np.empty(columns.shape, dtype=object)
        for task, column in enumerate(columns.T):
            cells[:, task] = classes[task][column.astype(int)] if is_class[task] else column
        return cells


def framed(columns: NDArray, names: Sequence | NDArray, like: Any) -> Any:
    """Return columns as a data frame, with the index of `like` if that is one."""
    import pandas as pd

    return pd.DataFrame(columns, columns=names, index=like.index if is_frame(like) else None)


def read_mixed(
    y: Any, x: Any, known: Tasks | None = None, classes: None = None, likelihoods: Any = None
) -> tuple[NDArray, Tasks]:
    """Read targets of several kinds: numbers unchanged, classes as positions, NaN without a label.

    Parameters
    ----------
    y, x
        Targets and rows.
    known : MixedTasks or None
        The tasks of the fit to continue.
    classes : None
        The classes of a task come from its dtype or its labels.
    likelihoods : object
        The parameter `task_likelihoods`.
    """
    names, columns = task_names(y), target_columns(y)
    check_consistent_length(x, columns[0])
    given = given_kinds(likelihoods, names)
    if known is None:
        tasks = _learn(y, columns, names, given)
    else:
        assert isinstance(known, MixedTasks)
        known.check_same(y, names)
        if given != known.given:
            raise ValueError(
                f"A continued fit must not change task_likelihoods, {short(known.given)}. Got {short(given)}; "
                "fit from the start with warm_start=False."
            )
        tasks = known
    return encoded(columns, tasks), tasks


def encoded(columns: Sequence[NDArray], tasks: MixedTasks) -> NDArray:
    """Return the labels of tasks as floats of shape (n_rows, n_tasks), in the precision of the numbers."""
    targets = np.empty((len(columns[0]), len(columns)), dtype=tasks.dtype)
    for task, (column, name) in enumerate(zip(columns, tasks.names, strict=True)):
        if tasks.of_classes[task]:
            targets[:, task] = encode([column], [tasks.classes[task]], [name])[:, 0]
            continue
        targets[:, task] = numbers(column, f"task {name!r}")
        if np.isinf(targets[:, task]).any():
            raise ValueError(f"Input y contains infinity, in task {name!r}.")
    return targets


def given_kinds(likelihoods: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the kinds of tasks, given by name."""
    if not isinstance(likelihoods, Mapping | list | tuple):
        return {}
    known = {CATEGORICAL, *TASK_LIKELIHOODS}
    kinds = dict(zip(names, per_task_likelihood(likelihoods, names, LEFT_OUT), strict=True))
    given = {name: kind for name, kind in kinds.items() if kind is not LEFT_OUT}
    for name, kind in given.items():
        if not callable(kind) and not (isinstance(kind, str) and kind in known):
            hint = suggest(kind, known) if isinstance(kind, str) else ""
            raise ValueError(
                f"task_likelihoods must hold names out of {sorted(known)}, ranges (low, high) or factories. "
                f"Got {short(kind)} for task {name!r}.{hint}"
            )
    return given


def find_kinds(y: Any, given: Mapping[str, Any]) -> list[Any]:
    """Return the kind of each task: the given one, or the one of its dtype and values."""
    return [
        given.get(name, CATEGORICAL if _holds_classes(column) else NUMBER)
        for name, column in zip(task_names(y), _as_they_came(y), strict=True)
    ]


def _is_categorical(kind: Any) -> bool:
    return isinstance(kind, str) and kind == CATEGORICAL


def _learn(y: Any, columns: Sequence[NDArray], names: list[str], given: dict[str, Any]) -> MixedTasks:
    kinds, came = find_kinds(y, given), _as_they_came(y)
    classes = [
        _classes(own, column, name) if _is_categorical(kind) else np.zeros(1)
        for own, column, name, kind in zip(came, columns, names, kinds, strict=True)
    ]
    floats = [own.dtype for own, kind in zip(came, kinds, strict=True) if not _is_categorical(kind)]
    dtype = "float32" if floats and all(own == np.float32 for own in floats) else "float64"
    table = (
        Table(list(map(_column, range(len(names)), [y] * len(names), kinds, classes)), True) if is_frame(y) else None
    )
    return MixedTasks(names, n_dimensions(y), dtype, classes, kinds, given, table)


def _as_they_came(y: Any) -> list[Any]:
    """Return the columns of a pandas frame or series unchanged, of everything else as arrays."""
    if is_frame(y):
        return [y.iloc[:, task] for task in range(y.shape[1])]
    return [y] if hasattr(y, "to_frame") and hasattr(y, "iloc") else target_columns(y)


def _holds_classes(column: Any) -> bool:
    """Return whether a column holds booleans, strings or pandas' categories."""
    if hasattr(column.dtype, "categories") or column.dtype.kind in "bUS":
        return True
    if column.dtype.kind in "iuf":
        return False
    labels = observed_labels(np.asarray(column, dtype=object))[1]
    return labels.dtype.kind == "b" or (labels.dtype.kind == "O" and any(isinstance(v, str | bytes) for v in labels))


def _classes(came: Any, column: NDArray, name: str) -> NDArray:
    """Return the classes of a task: all classes of its dtype, or those of its labels."""
    if hasattr(came.dtype, "categories"):
        return np.asarray(came.dtype.categories)
    labels = observed_labels(column)[1]
    if came.dtype.kind == "b" or labels.dtype.kind == "b":
        return np.array([False, True])
    return find_classes([column], [name], None, 1)[0]


def _column(task: int, y: Any, kind: Any, classes: NDArray) -> Numbers | Levels:
    """Learn the form to turn a frame's column back into."""
    if not _is_categorical(kind):
        numbers(np.asarray(y.iloc[:, task]), f"task {y.columns[task]!r}")  # the error names y
        return Table.learn(y.iloc[:, [task]], [False]).columns[0]
    dtype, levels, name = y.dtypes.iloc[task], classes.tolist(), y.columns[task]
    if not hasattr(dtype, "categories"):
        return Levels(name, spelled(dtype), levels)
    levels = dtype.categories.tolist()
    return Levels(name, spelled(dtype.categories.dtype), levels, categories=levels, ordered=bool(dtype.ordered))


def _with_fractions(column: Numbers | Levels) -> Numbers | Levels:
    """Return a column of whole numbers as one of floats of the same family of dtypes."""
    if isinstance(column, Levels) or np.dtype(column.unit).kind == "f":
        return column
    name = str(column.dtype)
    floats = "double[pyarrow]" if name.endswith("[pyarrow]") else "Float64" if name[0] in "IU" else "float64"
    own = {"object": "object", "boolean": "Float64"}.get(name, floats)
    return replace(column, dtype=own, unit="float64")
