"""Checks of user input; the only place that imports scikit-learn's private names."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator

# Public only with `sklearn.experimental.enable_halving_search_cv`, which the user may import or not.
from sklearn.model_selection._search_successive_halving import HalvingGridSearchCV, HalvingRandomSearchCV
from sklearn.utils import (
    _param_validation,
    _safe_indexing,
    assert_all_finite,
    check_array,
    check_consistent_length,
)
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_method_params,
    _check_sample_weight,
    validate_data,
)

from sklearn_mtae.nn.words import alike, named, short, suggest

from .blocks import block_rows, blocks
from .coded_rows import cells_of
from .containers import check_kind, is_polars, numbers, plain
from .describe import Columns
from .frame import PLAIN, Table, is_frame
from .row_index import is_mapped
from .targets import is_missing, target_columns, task_names

__all__ = [
    "HalvingGridSearchCV",
    "HalvingRandomSearchCV",
    "HasMethods",
    "Interval",
    "StrOptions",
    "as_numbers",
    "check_cells",
    "check_codes",
    "check_feature_names",
    "check_features",
    "check_labels",
    "check_largest_weight",
    "check_method_params",
    "check_out",
    "check_parameters",
    "check_sizes",
    "check_targets",
    "check_weights",
    "feature_names",
    "resolve",
    "row_weights",
    "safe_indexing",
    "stand_in_class",
]

check_method_params, safe_indexing, feature_names = _check_method_params, _safe_indexing, _check_feature_names_in

FLOATS = [np.float64, np.float32]
LARGEST_WEIGHT = 1e150
"""Largest weight whose sum over rows is finite."""
REMEDIES = {
    "X": "Column {name!r} of X must hold numbers. It holds {cell}: if that is a category, name the column "
    "'categorical' in likelihood, as in likelihood={{{name!r}: 'categorical'}}, and pass a polars frame as "
    "X.to_pandas(); if it stands for a missing cell, write NaN.",
    "y": "Task {name!r} of y must hold numbers. It holds {cell}: if that is a class, take MultiTaskVAEClassifier, "
    "or MultiTaskVAE for numbers beside classes; if it stands for a missing label, write NaN.",
    "Z": "Column {name!r} of Z must hold numbers. It holds {cell}.",
}
"""Error messages for a cell that is not a number, with a remedy."""


class StrOptions(_param_validation.StrOptions):
    """A string out of several, which errors list in order."""

    def __str__(self) -> str:
        return f"a str among {{{', '.join(map(repr, sorted(self.options)))}}}"


class Interval(_param_validation.Interval):
    """A number between two others; True and False are not numbers."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Return whether a value is one."""
        return not isinstance(val, bool | np.bool_) and super().is_satisfied_by(val)


class HasMethods(_param_validation.HasMethods):
    """An object that has some methods; not a class."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Return whether a value is one."""
        return not isinstance(val, type) and super().is_satisfied_by(val)


def check_parameters(estimator: BaseEstimator) -> None:
    """Raise scikit-learn's error for the first parameter that violates its constraints.

    The value is shown in short, and an intended value is suggested.
    """
    for name, value in estimator.get_params(deep=False).items():
        own = [_param_validation.make_constraint(one) for one in estimator._parameter_constraints.get(name, ())]
        if own and not any(one.is_satisfied_by(value) for one in own):
            *others, last = (re.sub(r"sklearn_mtae\.[\w.]*\.", "sklearn_mtae.", str(one)) for one in own)
            allowed = f"{', '.join(others)} or {last}" if others else last
            raise _param_validation.InvalidParameterError(
                f"The {name!r} parameter of {type(estimator).__name__} must be {allowed}. Got {short(value)} instead."
                f"{_hint(name, value, own)}"
            )


def _hint(name: str, value: Any, constraints: Sequence[Any]) -> str:
    """Suggest an intended value, with a space before it."""
    if isinstance(value, str):
        return suggest(value, [option for one in constraints for option in getattr(one, "options", ())])
    if isinstance(value, type) and any(isinstance(one, HasMethods) for one in constraints):
        return f" Did you mean an instance, {value.__name__}()?"
    if isinstance(value, Integral) and name.endswith("_sizes"):
        return f" Did you mean ({value},)?"
    return ""


def resolve(option: str | Callable[..., Any], table: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """Return the factory of a name, or the factory itself."""
    return table[option] if isinstance(option, str) else option


def check_sizes(sizes: Any, parameter: str) -> tuple[int, ...]:
    """Return the widths of hidden layers."""
    if isinstance(sizes, Mapping | set | frozenset):
        raise TypeError(f"{parameter} must be a list or a tuple, whose order counts. Got {short(sizes)} instead.")
    widths = tuple(sizes)
    if not all(isinstance(width, Integral) and not isinstance(width, bool) and int(width) >= 1 for width in widths):
        raise ValueError(f"{parameter} must hold integers >= 1. Got {short(sizes)} instead.")
    return tuple(int(width) for width in widths)


@cache
def stand_in_class(owner: str) -> type:
    """Make a class with the name of an estimator's class, for messages.

    scikit-learn's checks learn the columns on an object of it: a failure leaves the estimator unchanged.
    """
    return type(owner, (BaseEstimator,), {})


def check_feature_names(estimator: BaseEstimator, X: Any) -> None:
    """Learn the number of X's columns, and their names if it has names, whatever they hold."""
    if not hasattr(X, "columns"):
        X = check_array(X, dtype=None, ensure_all_finite=False, accept_sparse="csr", input_name="X")
    validate_data(estimator, X, reset=True, skip_check_array=True)


def check_features(
    estimator: BaseEstimator,
    X: Any,
    table: Table | None,
    *,
    reset: bool,
    unknown: str = "error",
    weight: NDArray | None = None,
) -> Any:
    """Return X as floats with NaN where missing, without a copy or cast if it already is.

    The result is an array, a CSR array if X is sparse, or rows that expand categories as they are read. `unknown` and
    `weight` are those of `Table.encode`.
    """
    framed = is_frame(X) and not _is_sparse_frame(X)
    if framed or (table is not None and table.expands):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        x = (table or Table.learn(X, [False] * X.shape[1])).encode(X, unknown, weight)
        check_array(cells_of(x), dtype=FLOATS, ensure_all_finite="allow-nan", estimator=estimator)
        return x
    is_read_in_blocks = is_mapped(X)
    check = {"dtype": FLOATS, "ensure_all_finite": not is_read_in_blocks and "allow-nan", "accept_sparse": "csr"}
    with _naming_cells("X", lambda: _feature_columns(X)):
        if hasattr(X, "columns"):
            validate_data(estimator, X, reset=reset, skip_check_array=True)
            return check_array(as_numbers(X), estimator=estimator, input_name="X", **check)
        x = validate_data(estimator, as_numbers(X), reset=reset, **check)
    return _check_blocks(x, "X", type(estimator).__name__) if is_read_in_blocks else x


def _is_sparse_frame(X: Any) -> bool:
    """Return whether all columns of a frame are sparse around zero, so that it is a sparse array."""
    return hasattr(X, "sparse") and all(dtype.fill_value == 0 for dtype in X.dtypes)


def as_numbers(X: Any) -> Any:
    """Return a table of objects or dates as floats, or an error that names the column; return others as X."""
    kind = getattr(getattr(X, "dtype", None), "kind", "O")
    if issparse(X) or kind in PLAIN or is_frame(X):
        return X
    if is_polars(X):
        for column in X:  # all at once, polars turns dates into numbers
            check_kind(column.to_numpy(), f"column {column.name!r}")
    cells = np.asarray(X)
    if cells.dtype.kind == "V":
        check_kind(cells.ravel(), "the table")
    if cells.ndim != 2 or not cells.size or cells.dtype.kind in PLAIN + "US":
        return X
    names = X.columns if hasattr(X, "columns") else range(cells.shape[1])
    return np.stack([numbers(column, f"column {name!r}") for column, name in zip(cells.T, names, strict=True)], axis=1)


@contextmanager
def _naming_cells(array: str, columns: Callable[[], Sequence[tuple[Any, NDArray]]]) -> Iterator[None]:
    """Let errors in this context name the array; for strings that are not floats, also column, cell and remedy.

    `array` is a key of `REMEDIES`, and `columns` gives the names and cells of the columns.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        for name, column in columns():
            for cell in column[~is_missing(column)] if column.dtype.kind in "OUS" else ():
                if isinstance(cell, str | bytes) and not _is_number(cell):
                    remedy = REMEDIES[array].format(name=name, cell=short(cell))
                    raise alike(error)(f"{remedy} ({error})") from error
        with named(array):
            raise


def _is_number(cell: str | bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _feature_columns(X: Any) -> list[tuple[Any, NDArray]]:
    """Return the names and cells of X's columns, if it is a table."""
    if issparse(X) or not hasattr(X, "__len__"):
        return []
    array = np.asarray(X) if hasattr(X, "dtype") or hasattr(X, "columns") else np.asarray(X, dtype=object)
    if array.ndim != 2:
        return []
    return list(zip(getattr(X, "columns", range(array.shape[1])), array.T, strict=True))


def _label_columns(y: Any) -> list[tuple[Any, NDArray]]:
    """Return the names and cells of y's columns, if it is a table."""
    dimensions = 2 if hasattr(y, "columns") else np.ndim(np.asarray(y, dtype=object))
    return list(zip(task_names(y), target_columns(y), strict=True)) if dimensions in (1, 2) else []


def _check_blocks(array: NDArray, name: str, estimator: str | None = None) -> NDArray:
    """Let scikit-learn check an array for infinities block by block, as it may copy a whole array; return the array."""
    for rows in blocks(len(array), block_rows(array[:1].size)):
        assert_all_finite(array[rows], allow_nan=True, estimator_name=estimator, input_name=name)
    return array


def check_codes(Z: Any, n_components: int) -> NDArray:
    """Return codes as a float array of shape (n_rows, n_components)."""
    with _naming_cells("Z", lambda: _feature_columns(Z)):
        codes = check_array(as_numbers(plain(Z)), dtype=FLOATS, input_name="Z")
    if codes.shape[1] != n_components:
        raise ValueError(f"Z must have {n_components} columns, one per component. Got {codes.shape[1]} instead.")
    return codes


def check_cells(cells: Sequence, table: Table | None) -> Any:
    """Return the values of a row's cells as floats of shape (1, n_columns), categories coded."""
    row = np.array([list(cells)], dtype=object)
    return (table or Table.learn(row, [False] * len(cells))).encode(row)


def check_targets(y: Any, X: NDArray, names: Sequence[str]) -> NDArray:
    """Return y as a float array of shape (n_rows, n_tasks) with NaN where a label is missing."""
    columns = target_columns(y)
    is_read_in_blocks = is_mapped(y)
    with _naming_cells("y", lambda: _label_columns(y)):
        if any(column.dtype.kind not in PLAIN for column in columns):
            owned = zip(columns, names, strict=True)
            y = np.stack([numbers(column, f"task {name!r}") for column, name in owned], axis=1)
        finite = not is_read_in_blocks and "allow-nan"
        targets = check_array(y, ensure_2d=False, dtype=FLOATS, ensure_all_finite=finite, input_name="y")
    check_consistent_length(X, targets)
    if is_read_in_blocks:
        _check_blocks(targets, "y")
    return targets[:, None] if targets.ndim == 1 else targets


def check_labels(columns: Columns, names: list[str]) -> None:
    """Raise an error that names the first task without a label."""
    for task in np.flatnonzero(columns.n_observed == 0):
        raise ValueError(
            f"Every task needs an observed label of non-zero weight. Task {names[task]!r} (column {task} of y) has "
            "none."
        )


def check_out(out: Any, shape: tuple[int, ...]) -> None:
    """Raise an error if numbers of this shape cannot be written to `out`; None is for a new array."""
    if out is None:
        return
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be a numpy array or None. Got {type(out)} instead.")
    if out.shape != shape or out.dtype.kind != "f" or not out.flags.writeable:
        got = f"{'' if out.flags.writeable else 'read-only '}{out.dtype} of shape {out.shape}"
        raise ValueError(f"out must be a writeable floating-point array of shape {shape}. Got {got} instead.")
    if any(stride == 0 and size > 1 for stride, size in zip(out.strides, out.shape, strict=True)):
        raise ValueError(f"out must have a place for each cell. Got one with strides {out.strides} instead.")


def check_weights(sample_weight: Any, X: NDArray, y: NDArray | None = None) -> NDArray | None:
    """Return weights of rows (n_rows,) or of labels (n_rows, n_tasks), 1 on average over the nonzero ones.

    Raises
    ------
    ValueError
        If a weight is negative, not finite or so large that the sum may not be, if all are zero, or if the shape is
        neither.
    """
    if sample_weight is None:
        return None
    with named("sample_weight"):
        sample_weight = plain(sample_weight)
        if isinstance(sample_weight, np.ndarray):
            check_kind(sample_weight.ravel(), "sample_weight")
        if y is not None and len(getattr(sample_weight, "shape", ())) == 2:
            weight = check_array(sample_weight, dtype=np.float64, ensure_non_negative=True, input_name="sample_weight")
            if weight.shape != y.shape:
                raise ValueError(f"sample_weight must have shape ({len(y)},) or {y.shape}. Got {weight.shape} instead.")
            weight = np.where(np.isnan(y), 0.0, weight)  # weights without a label do not count
        else:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    check_largest_weight(weight)
    if not weight.any():
        raise ValueError("sample_weight must hold at least one weight that is not zero.")
    return weight / weight[weight > 0].mean()


def check_largest_weight(weight: NDArray) -> None:
    """Raise an error if the sum of weights may overflow."""
    if (weight > LARGEST_WEIGHT).any():
        raise ValueError(f"sample_weight must be <= {LARGEST_WEIGHT:g}. Got max {np.nanmax(weight):g}.")


def row_weights(sample_weight: Any, X: Any) -> NDArray | None:
    """Return the weights of the rows of a table; None if all count equally, as with weights of labels."""
    return check_weights(sample_weight, X) if np.ndim(sample_weight) == 1 else None
