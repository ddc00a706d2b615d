"""Scores of predictions where some labels are limits of the true values."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_mtae._tables.censoring import read_censoring
from sklearn_mtae._tables.targets import per_task, target_columns, task_names
from sklearn_mtae.nn.words import short

from ._columnwise import Average, Labels, Undefined, check_shapes, numbers_of, score_tasks
from ._draws import finite


def concordance_index(
    y_true: Any,
    y_pred: Any,
    *,
    censoring: Any = None,
    sample_weight: ArrayLike | None = None,
    multioutput: Average = "uniform_average",
) -> Any:
    """Return Harrell's concordance index: the share of pairs of labels that predictions rank correctly.

    For each task, over the pairs of rows of which is known which true value is larger: two different observed labels,
    or labels of which at least one is a limit and which the limits tell apart. A pair with equal predictions counts one
    half. 1 is a perfect ranking, 0.5 is as good as chance. A limit above and an equal observed label are such a pair:
    the true value is beyond the limit.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_rows,) or (n_rows, n_tasks)
        Labels, with NaN, None or pandas.NA where missing, and predictions: larger ones for larger labels.
    censoring : array-like of shape (n_rows,) or (n_rows, n_tasks), default=None
        "<" or -1 for a label that the true value is below, ">" or 1 for one that it is above, "" or 0 for an observed
        label; None: all are observed.
    sample_weight : array-like of shape (n_rows,) or (n_rows, n_tasks), default=None
        Weights of rows or of labels; a pair has the product of its two. A label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN, with a warning that names it, for a task with fewer than two labels, or whose labels cannot be told
        apart.

    Raises
    ------
    ValueError
        If the shapes do not match, if a code of `censoring` is unknown, or if a label or a prediction is infinite or
        no number.

    See Also
    --------
    censored_rmse_bounds : What can be said of the error.

    Notes
    -----
    The time is of order n_rows * log(n_rows). With survival times, `censoring` is 1 where the event was not observed.

    References
    ----------
    F. E. Harrell, R. M. Califf, D. B. Pryor, K. L. Lee and R. A. Rosati (1982). Evaluating the yield of medical tests.
    *Journal of the American Medical Association* 247, doi 10.1001/jama.1982.03320430047030.

    Examples
    --------
    >>> from sklearn_mtae.metrics import concordance_index
    >>> y_true, censoring = [1.0, 2.0, 3.0, 4.0], ["<", "", ">", ""]
    >>> concordance_index(y_true, [0.5, 2.0, 5.0, 4.0], censoring=censoring)  # above 3 and 4 cannot be told apart
    1.0
    >>> concordance_index(y_true, [0.5, 2.0, 5.0, 4.0])
    0.8333333333333334
    """
    return score_tasks(
        _concordance, y_true, _with_codes(y_true, y_pred, censoring), sample_weight, multioutput, min_labels=2
    )


def censored_rmse_bounds(
    y_true: Any,
    y_pred: Any,
    *,
    censoring: Any = None,
    y_range: tuple[Any, Any] = (-np.inf, np.inf),
    sample_weight: ArrayLike | None = None,
    multioutput: Average = "uniform_average",
) -> tuple[Any, Any]:
    """Return the bounds of the root mean squared error where some labels are limits, in y's units.

    For each task, the smallest and the largest `sqrt(mean((v - prediction)^2))` over all true values v that agree with
    the labels: v = y for an observed label, `low <= v <= y` for one that the true value is below, and `y <= v <= high`
    for one that it is above. Hence a prediction beyond a limit, where the true value is, adds nothing to the lower
    bound, and one on the other side its distance from the limit. Without a range, the upper bound of a task with limits
    is infinite. Without limits, both are the error.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_rows,) or (n_rows, n_tasks)
        Labels, with NaN, None or pandas.NA where missing, and predictions.
    censoring : array-like of shape (n_rows,) or (n_rows, n_tasks), default=None
        "<" or -1 for a label that the true value is below, ">" or 1 for one that it is above, "" or 0 for an observed
        label; None: all are observed.
    y_range : tuple (low, high), default=(-inf, inf)
        Smallest and largest possible true values: each a number, or an array-like of shape (n_tasks,), or a dict of
        numbers by task. `(0, inf)`, for example, for concentrations.
    sample_weight : array-like of shape (n_rows,) or (n_rows, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        Bounds per task, or their means over the tasks that have a label.

    Returns
    -------
    lower : float or ndarray of shape (n_tasks,)
        Lower bounds, also known as bounded or one-sided errors; NaN, with a warning that names it, for a task without a
        label.
    upper : float or ndarray of shape (n_tasks,)
        Upper bounds.

    Raises
    ------
    ValueError
        If the shapes do not match, if a code of `censoring` is unknown, if a label is outside `y_range`, or if a label
        or a prediction is infinite or no number.

    See Also
    --------
    concordance_index : A score of the ranking.

    Examples
    --------
    >>> from sklearn_mtae.metrics import censored_rmse_bounds
    >>> y_true, censoring = [1.0, 5.0, 5.0], ["", "<", ">"]
    >>> lower, upper = censored_rmse_bounds(y_true, [2.0, 4.0, 4.0], censoring=censoring, y_range=(0, 10))
    >>> print(f"{lower:.2f} {upper:.2f}")  # sqrt((1 + 0 + 1) / 3) and sqrt((1 + 16 + 36) / 3)
    0.82 4.20
    """
    columns, ranges = _with_codes(y_true, y_pred, censoring), _ranges(y_range, y_true)
    lower = score_tasks(_least_error, y_true, columns, sample_weight, multioutput, per_task=ranges)
    # The first has warned of tasks without labels.
    quiet = Labels(dict(zip(task_names(y_true), target_columns(y_true), strict=True)), unscored={})
    return lower, score_tasks(_largest_error, quiet, columns, sample_weight, multioutput, per_task=ranges)


def censored_rmse(
    y_true: Any,
    y_pred: Any,
    *,
    censoring: Any = None,
    y_range: tuple[Any, Any] = (-np.inf, np.inf),
    sample_weight: ArrayLike | None = None,
    multioutput: Average = "uniform_average",
) -> Any:
    """Return the lower bound of :func:`censored_rmse_bounds`, for a scorer."""
    columns, ranges = _with_codes(y_true, y_pred, censoring), _ranges(y_range, y_true)
    return score_tasks(_least_error, y_true, columns, sample_weight, multioutput, per_task=ranges)


def _with_codes(y_true: Any, y_pred: Any, censoring: Any) -> list[NDArray]:
    """Return predictions and codes of each task, shape (n_rows, 2)."""
    truths, predictions = target_columns(y_true), target_columns(y_pred)
    check_shapes(truths, predictions)
    codes = read_censoring(censoring, y_true).T
    return [np.stack([own, code], axis=1) for own, code in zip(predictions, codes, strict=True)]


def _read(truth: NDArray, columns: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    columns = numbers_of(columns)
    return finite(truth, "y_true"), finite(columns[:, 0], "y_pred"), columns[:, 1]


def _ranges(y_range: Any, y_true: Any) -> list[tuple[float, float]]:
    """Return the smallest and largest true values of each task."""
    if not isinstance(y_range, tuple | list) or len(y_range) != 2:
        raise ValueError(f"y_range must be a tuple (low, high). Got {short(y_range)} instead.")
    names = task_names(y_true)
    ranges = [
        (float(low), float(high))
        for low, high in zip(*(per_task(own, names, "y_range") for own in y_range), strict=True)
    ]
    for name, (low, high) in zip(names, ranges, strict=True):
        if not low < high:
            raise ValueError(f"y_range must be a tuple (low, high) with low < high. Got {low, high} for task {name!r}.")
    return ranges


def _nearest_and_farthest(truth: NDArray, columns: NDArray, limits: tuple[float, float]) -> tuple[NDArray, NDArray]:
    """Return the smallest and the largest errors that agree with labels."""
    y, prediction, code = _read(truth, columns)
    if (y < limits[0]).any() or (y > limits[1]).any():
        outside = y[(y < limits[0]) | (y > limits[1])][0]
        raise ValueError(f"Labels must be within y_range. Got {outside:g}, outside {limits}.")
    low, high = np.where(code < 0, limits[0], y), np.where(code > 0, limits[1], y)
    nearest = np.maximum(np.maximum(low - prediction, prediction - high), 0)
    return nearest, np.maximum(prediction - low, high - prediction)


def _root_mean_square(errors: NDArray, weight: NDArray | None) -> float:
    return float(np.sqrt(np.average(errors**2, weights=weight)))


def _least_error(truth: NDArray, columns: NDArray, weight: NDArray | None, limits: tuple[float, float]) -> float:
    return _root_mean_square(_nearest_and_farthest(truth, columns, limits)[0], weight)


def _largest_error(truth: NDArray, columns: NDArray, weight: NDArray | None, limits: tuple[float, float]) -> float:
    return _root_mean_square(_nearest_and_farthest(truth, columns, limits)[1], weight)


def _concordance(truth: NDArray, columns: NDArray, weight: NDArray | None) -> float:
    y, prediction, code = _read(truth, columns)
    weight = np.ones(len(y)) if weight is None else weight
    # Places of true values on a line on which those just below and just above a label have places of their own.
    place, rank = 3 * _ranks(y) + 1, _ranks(prediction)
    highest = np.where(code > 0, place.max() + 2, np.where(code < 0, place - 1, place))
    lowest = np.where(code < 0, -1, np.where(code > 0, place + 1, place))
    order = np.argsort(highest, kind="stable")
    n_below = np.searchsorted(highest[order], lowest)
    weights, ranks = weight[order], rank[order]
    every = np.r_[0.0, weights.cumsum()][n_below] @ weight
    if not every > 0:
        raise Undefined("no two of its labels are known to differ")
    lower, not_higher = (_weight_below(ranks, weights, n_below, rank + more) @ weight for more in (0, 1))
    return float((lower + not_higher) / 2 / every)


def _ranks(values: NDArray) -> NDArray[np.intp]:
    return np.unique(values, return_inverse=True)[1]


def _weight_below(ranks: NDArray[np.intp], weights: NDArray, stop: NDArray[np.intp], rank: NDArray[np.intp]) -> NDArray:
    """Return for each query the weight of those among the first `stop` points whose ranks are below `rank`.

    A wavelet matrix: by each bit, from the highest, points are sorted stably, and each query follows the points that
    agree with its rank so far; where its bit is 1, those with 0 are below.
    """
    start, below = np.zeros_like(stop), np.zeros(len(stop))
    for bit in reversed(range(int(max(ranks.max(), rank.max())).bit_length())):
        is_zero, asks_one = (ranks >> bit) & 1 == 0, (rank >> bit) & 1 == 1
        n_zero, mass = np.r_[0, is_zero.cumsum()], np.r_[0.0, np.where(is_zero, weights, 0.0).cumsum()]
        below += np.where(asks_one, mass[stop] - mass[start], 0.0)
        start, stop = (np.where(asks_one, n_zero[-1] + own - n_zero[own], n_zero[own]) for own in (start, stop))
        order = np.argsort(~is_zero, kind="stable")
        ranks, weights = ranks[order], weights[order]
    return below
