"""Checks of what users pass; the only place that imports scikit-learn's private names."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Number
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import _param_validation, check_array, check_consistent_length
from sklearn.utils.validation import _check_sample_weight, validate_data

from ._data import Columns
from .nn.likelihoods import Likelihood

__all__ = [
    "Interval",
    "StrOptions",
    "check_features",
    "check_labels",
    "check_sizes",
    "check_support",
    "check_targets",
    "check_weights",
    "resolve",
    "task_names",
]

Interval, StrOptions = _param_validation.Interval, _param_validation.StrOptions

FLOATS = [np.float64, np.float32]


def resolve(option: str | Callable[..., Any], table: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """Return the factory that a name stands for, or the factory itself."""
    return table[option] if isinstance(option, str) else option


def check_sizes(sizes: Any, parameter: str) -> tuple[int, ...]:
    """Return the widths of hidden layers."""
    widths = tuple(sizes)
    if not all(isinstance(width, Integral) and int(width) >= 1 for width in widths):
        raise ValueError(f"{parameter} must hold integers >= 1. Got {sizes!r} instead.")
    return tuple(int(width) for width in widths)


def check_features(estimator: BaseEstimator, X: Any, *, reset: bool) -> NDArray:
    """Return X as a float array with NaN where missing, neither copied nor cast where it is one already."""
    if issparse(X):
        raise TypeError(
            f"Sparse data was passed for X, but {type(estimator).__name__} needs a dense array. Use X.toarray(), or "
            "reduce the columns first: sklearn.decomposition.TruncatedSVD takes sparse data."
        )
    return validate_data(estimator, X, reset=reset, dtype=FLOATS, ensure_all_finite="allow-nan")


def check_targets(y: Any, X: NDArray) -> NDArray:
    """Return y as a float array of shape (n_rows, n_tasks) with NaN where a label is missing."""
    y = check_array(y, ensure_2d=False, dtype=FLOATS, ensure_all_finite="allow-nan", input_name="y")
    check_consistent_length(X, y)
    return y[:, None] if y.ndim == 1 else y


def task_names(y: Any) -> list[str]:
    """Return the names of a data frame's columns or a named series, otherwise y0, y1, ..."""
    if hasattr(y, "columns"):
        return [str(name) for name in y.columns]
    if getattr(y, "name", None) is not None:
        return [str(y.name)]
    y = np.asarray(y)
    return [f"y{task}" for task in range(y.shape[1] if y.ndim > 1 else 1)]


def check_labels(columns: Columns, names: list[str]) -> None:
    """Raise an error that names the first task without a label."""
    for task in np.flatnonzero(columns.n_observed == 0):
        raise ValueError(
            f"Every task needs an observed label of non-zero weight. Task {names[task]!r} (column {task} of y) has "
            "none."
        )


def check_support(columns: Columns, likelihood: Likelihood, parameter: str, array: str, names: Sequence) -> None:
    """Raise an error that names the first column with a value outside the likelihood's support."""
    low, high = likelihood.support
    for extreme, values, outside in (("min", columns.min, columns.min < low), ("max", columns.max, columns.max > high)):
        for column in map(int, np.flatnonzero(outside & (columns.n_observed > 0))):
            needs = f"{low:g} <= {array} <= {high:g}" if np.isfinite(high) else f"{array} >= {low:g}"
            raise ValueError(
                f"{parameter} needs {needs}. Got {extreme} {values[column]:g} in column {names[column]!r}."
            )


def check_weights(sample_weight: Any, X: NDArray, y: NDArray | None = None) -> NDArray | None:
    """Return weights of rows (n_rows,) or of labels (n_rows, n_tasks), 1 on average over those that are not zero.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, if all are zero, or if the shape is neither.
    """
    if sample_weight is None:
        return None
    if not hasattr(sample_weight, "shape") and not isinstance(sample_weight, Number):
        sample_weight = np.asarray(sample_weight)
    if y is not None and len(getattr(sample_weight, "shape", ())) == 2:
        weight = check_array(sample_weight, dtype=np.float64, ensure_non_negative=True, input_name="sample_weight")
        if weight.shape != y.shape:
            raise ValueError(f"sample_weight must have shape ({len(X)},) or {y.shape}. Got {weight.shape} instead.")
        weight = np.where(np.isnan(y), 0.0, weight)  # what stands where no label is has no say
    else:
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("sample_weight must hold at least one weight that is not zero.")
    return weight / weight[weight > 0].mean()
