"""Scores over tables of targets that leave out missing labels, and warn of tasks with too few labels."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from numpy.typing import ArrayLike
from sklearn import metrics as complete

from sklearn_mtae._tables.targets import target_columns
from sklearn_mtae.nn.words import short

from ._columnwise import (
    Average,
    accuracy,
    balanced_accuracy,
    class_log_loss,
    class_roc_auc,
    labels_of,
    mean_label,
    of_numbers,
    probabilities,
    relative_error,
    score_tasks,
)
from ._deviance import d2_score


def r2_score(
    y_true: Any, y_pred: Any, *, sample_weight: ArrayLike | None = None, multioutput: Average = "uniform_average"
) -> Any:
    """Return the coefficient of determination over the observed labels.

    `R2 = 1 - sum((y - prediction)^2) / sum((y - mean(y))^2)`, for each task over the rows where `y_true` has a label;
    equal to :func:`sklearn.metrics.r2_score` if nothing is missing, as all scores here equal their namesakes.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, with NaN, None or pandas.NA where missing, and predictions.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN, with a warning that names it, for a task with fewer than two labels. For equal labels it is 1 if
        they are predicted exactly, otherwise 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae.metrics import r2_score
    >>> y_true = np.array([[0.0, 1.0], [1.0, np.nan], [2.0, 3.0]])
    >>> y_pred = np.array([[0.0, 1.0], [1.0, 7.0], [1.0, 3.0]])
    >>> r2_score(y_true, y_pred, multioutput="raw_values")
    array([0.5, 1. ])
    """
    score = of_numbers(complete.r2_score)
    return score_tasks(score, y_true, target_columns(y_pred), sample_weight, multioutput, min_labels=2)


def root_mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: ArrayLike | None = None, multioutput: Average = "uniform_average"
) -> Any:
    """Return the root of the mean squared error over the observed labels, in y's units.

    `sqrt(mean((y - prediction)^2))` for each task.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, with NaN, None or pandas.NA where missing, and predictions.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Errors; NaN, with a warning that names it, for a task without a label.

    Examples
    --------
    >>> from sklearn_mtae.metrics import root_mean_squared_error
    >>> root_mean_squared_error([0.0, 3.0, None], [1.0, 4.0, 9.0])
    1.0
    """
    score = of_numbers(complete.root_mean_squared_error)
    return score_tasks(score, y_true, target_columns(y_pred), sample_weight, multioutput)


def mean_absolute_error(
    y_true: Any, y_pred: Any, *, sample_weight: ArrayLike | None = None, multioutput: Average = "uniform_average"
) -> Any:
    """Return the mean absolute error over the observed labels, in y's units.

    `mean(abs(y - prediction))` for each task.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, with NaN, None or pandas.NA where missing, and predictions.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Errors; NaN, with a warning that names it, for a task without a label.

    Examples
    --------
    >>> from sklearn_mtae.metrics import mean_absolute_error
    >>> mean_absolute_error([0.0, 3.0, None], [1.0, 6.0, 9.0])
    2.0
    """
    score = of_numbers(complete.mean_absolute_error)
    return score_tasks(score, y_true, target_columns(y_pred), sample_weight, multioutput)


def relative_root_mean_squared_error(
    y_true: Any,
    y_pred: Any,
    *,
    y_train: Any = None,
    sample_weight: ArrayLike | None = None,
    multioutput: Average = "uniform_average",
) -> Any:
    """Return the error relative to that of predicting the mean.

    `sqrt(sum((y - prediction)^2) / sum((y - m)^2))` for each task, over its observed labels: 0 is perfect, 1 is as good
    as m. With m the mean of the scored labels this is `sqrt(1 - R2)`.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, with NaN, None or pandas.NA where missing, and predictions.
    y_train : array-like of shape (n_train,) or (n_train, n_tasks), default=None
        Labels whose mean is m, possibly with missing ones; None takes the scored labels, with their weights.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Errors; NaN, with a warning that names it, for a task without a label, or with none that differs from m.

    Examples
    --------
    >>> from sklearn_mtae.metrics import relative_root_mean_squared_error
    >>> relative_root_mean_squared_error([0.0, 4.0, None], [1.0, 3.0, 9.0])
    0.5
    """
    means = [None] * len(target_columns(y_true)) if y_train is None else list(map(mean_label, target_columns(y_train)))
    return score_tasks(relative_error, y_true, target_columns(y_pred), sample_weight, multioutput, per_task=means)


def accuracy_score(
    y_true: Any, y_pred: Any, *, sample_weight: ArrayLike | None = None, multioutput: Average = "uniform_average"
) -> Any:
    """Return the share of the observed labels that are predicted correctly.

    `mean(y == prediction)` for each task.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, with NaN, None or pandas.NA where missing, and predictions.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN, with a warning that names it, for a task without a label.

    Examples
    --------
    >>> from sklearn_mtae.metrics import accuracy_score
    >>> accuracy_score(["a", "b", None], ["a", "a", "b"])
    0.5
    """
    return score_tasks(accuracy, y_true, target_columns(y_pred), sample_weight, multioutput)


def balanced_accuracy_score(
    y_true: Any, y_pred: Any, *, sample_weight: ArrayLike | None = None, multioutput: Average = "uniform_average"
) -> Any:
    """Return the mean over classes of the share of labels that are predicted correctly.

    `mean_c(sum(y == c and prediction == c) / sum(y == c))` for each task, over the classes c among its observed labels.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, with NaN, None or pandas.NA where missing, and predictions.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN, with a warning that names it, for a task without a label.

    Examples
    --------
    >>> from sklearn_mtae.metrics import balanced_accuracy_score
    >>> balanced_accuracy_score(["a", "a", "b", None], ["a", "b", "b", "a"])
    0.75
    """
    return score_tasks(balanced_accuracy, y_true, target_columns(y_pred), sample_weight, multioutput)


def log_loss(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Sequence | None = None,
    sample_weight: ArrayLike | None = None,
    multioutput: Average = "uniform_average",
) -> Any:
    """Return minus the mean log probability of the observed labels, in nats.

    `-mean(log p(y))` for each task; equal to :func:`sklearn.metrics.log_loss`, which bounds p away from 0.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels; NaN, None or pandas.NA where missing.
    y_pred : list of n_tasks arrays of shape (n_samples, n_classes), or one of them
        Probabilities, as from `predict_proba`; or, for two classes each, those of the second class, in y's shape.
    labels : list of n_tasks arrays of shape (n_classes,), or one of them, default=None
        Classes of the probabilities, such as a classifier's `classes_`; None takes those in `y_true`, sorted. A class
        of `y_true` that is not among them has probability 0.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Losses; NaN, with a warning that names it, for a task without a label.

    Examples
    --------
    >>> from sklearn_mtae.metrics import log_loss
    >>> round(log_loss(["a", "b", None], [[0.5, 0.5], [0.5, 0.5], [0.9, 0.1]]), 3)
    0.693
    """
    n_tasks = len(target_columns(y_true))
    per_task, tasks = labels_of(labels, n_tasks), probabilities(y_pred, n_tasks)
    return score_tasks(class_log_loss, y_true, tasks, sample_weight, multioutput, per_task=per_task)


def roc_auc_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Sequence | None = None,
    multi_class: Literal["ovr", "ovo"] = "ovr",
    sample_weight: ArrayLike | None = None,
    multioutput: Average = "uniform_average",
) -> Any:
    """Return the area under the receiver operating characteristic curve.

    For each task, over its observed labels, the probability that a label of a class is ranked above one of another; for
    more than two classes, the mean over classes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels; NaN, None or pandas.NA where missing.
    y_pred : list of n_tasks arrays of shape (n_samples, n_classes), or one of them
        Probabilities, as from `predict_proba`; or, for two classes each, those of the second class, in y's shape.
    labels : list of n_tasks arrays of shape (n_classes,), or one of them, default=None
        Classes of the probabilities, such as a classifier's `classes_`; None takes those in `y_true`, sorted. A class
        of `y_true` that is not among them has probability 0.
    multi_class : {"ovr", "ovo"}, default="ovr"
        For more than two classes: each against the rest, or each against each other; "ovo" takes no weights.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN, with a warning that names it, for a task without a label of every class, or with one class only.

    Examples
    --------
    >>> from sklearn_mtae.metrics import roc_auc_score
    >>> roc_auc_score([0, 1, 1, None], [[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.1, 0.9]])
    1.0
    """
    if multi_class not in ("ovr", "ovo"):
        raise ValueError(f"multi_class must be 'ovr' or 'ovo'. Got {short(multi_class)} instead.")
    n_tasks = len(target_columns(y_true))
    per_task, tasks = labels_of(labels, n_tasks), probabilities(y_pred, n_tasks)
    score = partial(class_roc_auc, multi_class=multi_class)
    return score_tasks(score, y_true, tasks, sample_weight, multioutput, per_task=per_task)


class Metric(NamedTuple):
    """A score, the method whose output it scores, and its direction."""

    function: Callable[..., Any]
    response_method: Literal["predict", "predict_proba", "predict_samples", "predict_interval", "predict_region"]
    greater_is_better: bool
    by_kind: bool = False
    """Whether it scores probabilities for tasks of classes, if there are any."""
    is_joint: bool = False
    """Whether it is one score of all tasks together, not a mean over them."""


METRICS = {
    "r2": Metric(r2_score, "predict", True),
    "rmse": Metric(root_mean_squared_error, "predict", False),
    "mae": Metric(mean_absolute_error, "predict", False),
    "rrmse": Metric(relative_root_mean_squared_error, "predict", False),
    "accuracy": Metric(accuracy_score, "predict", True),
    "balanced_accuracy": Metric(balanced_accuracy_score, "predict", True),
    "log_loss": Metric(log_loss, "predict_proba", False),
    "roc_auc": Metric(roc_auc_score, "predict_proba", True),
    "d2": Metric(d2_score, "predict", True, by_kind=True),
}
"""Scores of predictions and probabilities by name."""
