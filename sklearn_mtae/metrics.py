"""Scores that leave missing labels out."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import r2_score as complete_r2_score
from sklearn.utils import check_array

__all__ = ["r2_score"]


def r2_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: Literal["raw_values", "uniform_average"] = "uniform_average",
) -> Any:
    """Return the coefficient of determination over the observed labels.

    `R2 = 1 - sum((y - prediction)^2) / sum((y - mean(y))^2)`, for each column over the rows where `y_true` is not NaN;
    equal to :func:`sklearn.metrics.r2_score` where nothing is missing.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels, NaN where missing.
    y_pred : array-like of the same shape
        Predictions.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Weights of rows or of labels.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per column, or their mean over the columns that have a score.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        Scores; NaN for a column with fewer than two labels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae.metrics import r2_score
    >>> y_true = np.array([[0.0, 1.0], [1.0, np.nan], [2.0, 3.0]])
    >>> y_pred = np.array([[0.0, 1.0], [1.0, 7.0], [1.0, 3.0]])
    >>> r2_score(y_true, y_pred, multioutput="raw_values")
    array([0.5, 1. ])
    """
    if multioutput not in ("raw_values", "uniform_average"):
        raise ValueError(f"multioutput must be 'raw_values' or 'uniform_average'. Got {multioutput!r} instead.")
    truth, prediction = _as_columns(y_true), _as_columns(y_pred)
    if truth.shape != prediction.shape:
        raise ValueError(f"y_true and y_pred must have the same shape. Got {truth.shape} and {prediction.shape}.")
    weight = None if sample_weight is None else np.broadcast_to(_as_columns(sample_weight), truth.shape)
    scores = np.full(truth.shape[1], np.nan)
    for column, observed in enumerate(~np.isnan(truth).T):
        if observed.sum() > 1:
            column_weight = None if weight is None else weight[observed, column]
            scores[column] = complete_r2_score(
                truth[observed, column], prediction[observed, column], sample_weight=column_weight
            )
    if multioutput == "raw_values":
        return scores
    return float("nan") if np.isnan(scores).all() else float(np.nanmean(scores))


def _as_columns(values: ArrayLike) -> NDArray:
    array = check_array(values, dtype=np.float64, ensure_2d=False, ensure_all_finite="allow-nan")
    return array[:, None] if array.ndim == 1 else array
