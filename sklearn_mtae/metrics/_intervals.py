"""Scores of intervals of each task, and the coverage of regions of all tasks."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_mtae._tables.containers import is_missing, plain
from sklearn_mtae._tables.targets import target_columns, task_names
from sklearn_mtae.nn.words import short

from ._columnwise import Average, Undefined, numbers_of, read_weights, score_tasks, warn_of_unscored
from ._draws import finite, mean_of_rows


def interval_score(
    y_true: Any,
    lower: Any,
    upper: Any,
    *,
    coverage: float = 0.9,
    sample_weight: ArrayLike | None = None,
    multioutput: Average = "uniform_average",
) -> Any:
    """Return the interval score, or Winkler score, of prediction intervals, in y's units; smaller is better.

    `(u - l) + 2 / (1 - coverage) * (max(l - y, 0) + max(y - u, 0))` for a label y with the interval from l to u,
    averaged over the observed labels: the width, and a penalty for labels outside. It is smallest in expectation for
    the interval between the quantiles at `(1 - coverage) / 2` and `(1 + coverage) / 2`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_tasks)
        Labels, with NaN, None or pandas.NA where missing.
    lower, upper : array-like of shape (n_rows,) or (n_rows, n_tasks)
        Ends of the intervals, as from `predict_interval`.
    coverage : float, default=0.9
        Fraction of the labels that the intervals should contain, between 0 and 1.
    sample_weight : array-like of shape (n_rows,) or (n_rows, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN, with a warning that names it, for a task without a label, or without intervals: those of classes
        are NaN. Infinite for an interval without an end.

    Raises
    ------
    ValueError
        If the shapes do not match, if `coverage` is not between 0 and 1, if a label is infinite or no number, if an
        end is missing, or if a lower end is above the upper one.

    See Also
    --------
    joint_coverage : The fraction of the rows that intervals hold.

    References
    ----------
    T. Gneiting and A. E. Raftery (2007). Strictly proper scoring rules, prediction, and estimation. *Journal of the
    American Statistical Association* 102, doi 10.1198/016214506000001437.

    Examples
    --------
    >>> from sklearn_mtae.metrics import interval_score
    >>> interval_score([1.0, 2.0, None], [0.0, 3.0, 0.0], [2.0, 5.0, 9.0], coverage=0.5)  # the 2 is 1 below, times 4
    4.0
    """
    if isinstance(coverage, bool) or not isinstance(coverage, Real) or not 0 < coverage < 1:
        raise ValueError(f"coverage must be a number between 0 and 1. Got {short(coverage)} instead.")
    penalty = 2 / (1 - float(coverage))

    def score(truth: NDArray, ends: NDArray, weight: NDArray | None) -> float:
        low, high = _ends(ends)
        y = finite(truth, "y_true")
        outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
        return float(np.average(high - low + penalty * outside, weights=weight))

    return score_tasks(score, y_true, _intervals(lower, upper), sample_weight, multioutput)


def joint_coverage(y_true: Any, region: Any, *, min_labels: int = 1, sample_weight: ArrayLike | None = None) -> float:
    """Return the fraction of the rows whose observed labels are all inside a region.

    A row with missing labels counts as held if its other labels are inside. That is easier than to be held with all
    labels: if many are missing, also look at `min_labels=n_tasks`, the fraction of the complete rows. Rows without a
    label are left out.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_tasks)
        Labels, with NaN, None or pandas.NA where missing.
    region : tuple of two array-likes of shape (n_rows, n_tasks), array-like of bool of shape (n_rows,), or object
        Lower and upper ends, as from `predict_interval`, which belong to the region; or which rows are inside; or what
        `predict_region` returns: an object whose method `contains(y_true)` says so.
    min_labels : int, default=1
        Number of labels that a row needs to be counted.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of rows.

    Returns
    -------
    float
        Fraction from 0 to 1. NaN, with a warning, if no row has `min_labels` labels. A task without intervals, whose
        ends are NaN as those of classes are, is left out with a warning that names it.

    Raises
    ------
    ValueError
        If the shapes do not match, if `min_labels` is not from 1 to the number of tasks, or if an end is missing.

    See Also
    --------
    interval_score : A score that also counts how wide intervals are.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae.metrics import joint_coverage
    >>> y_true = np.array([[0.0, 0.0], [0.0, 2.0], [0.0, np.nan], [np.nan, np.nan]])
    >>> lower, upper = np.full((4, 2), -1.0), np.full((4, 2), 1.0)
    >>> round(joint_coverage(y_true, (lower, upper)), 2)
    0.67
    >>> joint_coverage(y_true, (lower, upper), min_labels=2)
    0.5
    >>> joint_coverage(y_true, [True, True, False, False], min_labels=2)
    1.0
    """
    columns = target_columns(y_true)
    n_rows, n_tasks = len(columns[0]), len(columns)
    if isinstance(min_labels, bool) or not isinstance(min_labels, int | np.integer) or not 1 <= min_labels <= n_tasks:
        raise ValueError(
            f"min_labels must be an int from 1 to {n_tasks}, the number of tasks. Got {short(min_labels)}."
        )
    observed = np.stack([~is_missing(column) for column in columns], axis=1)
    if isinstance(region, tuple):
        inside, observed = _inside(y_true, columns, observed, region)
    else:
        inside = _membership(y_true, region, n_rows)
    weight = read_weights(sample_weight, (n_rows,))
    counted = observed.sum(axis=1) >= min_labels
    counted &= True if weight is None else weight != 0
    return mean_of_rows(lambda rows: inside[rows], np.flatnonzero(counted), weight, int(min_labels), stacklevel=3)


def _intervals(lower: Any, upper: Any) -> list[NDArray]:
    """Return lower and upper ends of each task, shape (n_rows, 2)."""
    ends = [target_columns(own) for own in (lower, upper)]
    shapes = [(len(own[0]), len(own)) for own in ends]
    if shapes[0] != shapes[1]:
        raise ValueError(f"lower and upper must have the same shape. Got {shapes[0]} and {shapes[1]}.")
    return [np.stack(own, axis=1) for own in zip(*ends, strict=True)]


def _ends(ends: NDArray) -> NDArray:
    """Return lower and upper ends, shape (2, n_rows), or a reason why there are none."""
    ends = numbers_of(ends).T
    missing = np.isnan(ends)
    if missing.all():
        raise Undefined("it has no interval")
    if missing.any():
        raise ValueError(f"lower and upper must have a value for each label. {missing.any(axis=0).sum()} have none.")
    if (ends[0] > ends[1]).any():
        row = np.argmax(ends[0] > ends[1])
        raise ValueError(f"lower must be <= upper. Got {ends[0, row]:g} and {ends[1, row]:g}.")
    return ends


def _inside(
    y_true: Any, columns: list[NDArray], observed: NDArray[np.bool_], region: tuple
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows are within intervals, and which of their labels have intervals."""
    if len(region) != 2:
        raise ValueError(f"region must hold lower and upper ends. Got a tuple of {len(region)}.")
    intervals = _intervals(*region)
    if (len(intervals[0]), len(intervals)) != observed.shape:
        got = (len(intervals[0]), len(intervals))
        raise ValueError(f"lower and upper must have the shape of y_true, {observed.shape}. Got {got}.")
    inside, has_interval, unscored = np.ones(observed.shape, dtype=bool), observed.copy(), {}
    for task, (name, column, ends) in enumerate(zip(task_names(y_true), columns, intervals, strict=True)):
        rows = observed[:, task]
        if not rows.any():
            continue
        try:
            low, high = _ends(ends[rows])
            y = finite(column[rows], "y_true")
            inside[rows, task] = (low <= y) & (y <= high)
        except Undefined as reason:
            unscored[name], has_interval[:, task] = str(reason), False
        except ValueError as error:
            raise ValueError(f"{error} This is task {name!r}.") from error
    warn_of_unscored(unscored, "The coverage leaves it out", stacklevel=4)
    return np.all(inside, axis=1), has_interval


def _membership(y_true: Any, region: Any, n_rows: int) -> NDArray[np.bool_]:
    """Return which rows are inside."""
    inside = np.asarray(plain(region.contains(y_true) if hasattr(region, "contains") else region))
    if inside.dtype != bool or inside.shape != (n_rows,):
        raise ValueError(
            f"region must be a tuple of lower and upper ends, or say whether each of the {n_rows} rows is inside, True "
            f"or False. Got {short(inside)} instead."
        )
    return inside
