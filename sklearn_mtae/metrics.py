"""Scores over tables of targets that leave missing labels out."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as complete
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRequest

from ._tasks import is_missing, target_columns, task_names, task_position

__all__ = [
    "accuracy_score",
    "balanced_accuracy_score",
    "log_loss",
    "make_task_scorer",
    "mean_absolute_error",
    "r2_score",
    "relative_root_mean_squared_error",
    "roc_auc_score",
    "root_mean_squared_error",
]

Average = Literal["raw_values", "uniform_average"]


def r2_score(
    y_true: Any, y_pred: Any, *, sample_weight: ArrayLike | None = None, multioutput: Average = "uniform_average"
) -> Any:
    """Return the coefficient of determination over the observed labels.

    `R2 = 1 - sum((y - prediction)^2) / sum((y - mean(y))^2)`, for each task over the rows where `y_true` has a label;
    equal to :func:`sklearn.metrics.r2_score` where nothing is missing, as the others here are to those of their names.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, of which those missing are NaN, None or pandas.NA, and predictions.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN for a task with fewer than two labels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae.metrics import r2_score
    >>> y_true = np.array([[0.0, 1.0], [1.0, np.nan], [2.0, 3.0]])
    >>> y_pred = np.array([[0.0, 1.0], [1.0, 7.0], [1.0, 3.0]])
    >>> r2_score(y_true, y_pred, multioutput="raw_values")
    array([0.5, 1. ])
    """
    score = _of_numbers(complete.r2_score)
    return _score_tasks(score, y_true, target_columns(y_pred), sample_weight, multioutput, min_labels=2)


def root_mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: ArrayLike | None = None, multioutput: Average = "uniform_average"
) -> Any:
    """Return the root of the mean squared error over the observed labels, in y's units.

    `sqrt(mean((y - prediction)^2))` for each task.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, of which those missing are NaN, None or pandas.NA, and predictions.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Errors; NaN for a task without a label.

    Examples
    --------
    >>> from sklearn_mtae.metrics import root_mean_squared_error
    >>> root_mean_squared_error([0.0, 3.0, None], [1.0, 4.0, 9.0])
    1.0
    """
    score = _of_numbers(complete.root_mean_squared_error)
    return _score_tasks(score, y_true, target_columns(y_pred), sample_weight, multioutput)


def mean_absolute_error(
    y_true: Any, y_pred: Any, *, sample_weight: ArrayLike | None = None, multioutput: Average = "uniform_average"
) -> Any:
    """Return the mean absolute error over the observed labels, in y's units.

    `mean(abs(y - prediction))` for each task.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, of which those missing are NaN, None or pandas.NA, and predictions.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Errors; NaN for a task without a label.

    Examples
    --------
    >>> from sklearn_mtae.metrics import mean_absolute_error
    >>> mean_absolute_error([0.0, 3.0, None], [1.0, 6.0, 9.0])
    2.0
    """
    score = _of_numbers(complete.mean_absolute_error)
    return _score_tasks(score, y_true, target_columns(y_pred), sample_weight, multioutput)


def relative_root_mean_squared_error(
    y_true: Any,
    y_pred: Any,
    *,
    y_train: Any = None,
    sample_weight: ArrayLike | None = None,
    multioutput: Average = "uniform_average",
) -> Any:
    """Return the error relative to that of predicting the mean.

    `sqrt(sum((y - prediction)^2) / sum((y - m)^2))` for each task, over its observed labels: 0 is perfect, 1 as good as
    m. With m the mean of the scored labels this is `sqrt(1 - R2)`.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, of which those missing are NaN, None or pandas.NA, and predictions.
    y_train : array-like of shape (n_train,) or (n_train, n_tasks), default=None
        Labels whose mean is m, some of them missing; None is the scored labels, with their weights.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Errors; NaN for a task without a label, or with none that differs from m.

    Examples
    --------
    >>> from sklearn_mtae.metrics import relative_root_mean_squared_error
    >>> relative_root_mean_squared_error([0.0, 4.0, None], [1.0, 3.0, 9.0])
    0.5
    """
    means = [None] * len(target_columns(y_true)) if y_train is None else list(map(_mean, target_columns(y_train)))
    return _score_tasks(_relative_error, y_true, target_columns(y_pred), sample_weight, multioutput, per_task=means)


def accuracy_score(
    y_true: Any, y_pred: Any, *, sample_weight: ArrayLike | None = None, multioutput: Average = "uniform_average"
) -> Any:
    """Return the share of the observed labels that are predicted.

    `mean(y == prediction)` for each task.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, of which those missing are NaN, None or pandas.NA, and predictions.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN for a task without a label.

    Examples
    --------
    >>> from sklearn_mtae.metrics import accuracy_score
    >>> accuracy_score(["a", "b", None], ["a", "a", "b"])
    0.5
    """
    return _score_tasks(_accuracy, y_true, target_columns(y_pred), sample_weight, multioutput)


def balanced_accuracy_score(
    y_true: Any, y_pred: Any, *, sample_weight: ArrayLike | None = None, multioutput: Average = "uniform_average"
) -> Any:
    """Return the mean over classes of the share of their labels that are predicted.

    `mean_c(sum(y == c and prediction == c) / sum(y == c))` for each task, over the classes c among its observed labels.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, of which those missing are NaN, None or pandas.NA, and predictions.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN for a task without a label.

    Examples
    --------
    >>> from sklearn_mtae.metrics import balanced_accuracy_score
    >>> balanced_accuracy_score(["a", "a", "b", None], ["a", "b", "b", "a"])
    0.75
    """
    return _score_tasks(_balanced_accuracy, y_true, target_columns(y_pred), sample_weight, multioutput)


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
        Probabilities, as `predict_proba` gives them; or, for two classes each, those of the second class, of y's shape.
    labels : list of n_tasks arrays of shape (n_classes,), or one of them, default=None
        Classes that the probabilities are of, a classifier's `classes_`; None is those in `y_true`, sorted. A class of
        `y_true` that is not among them has probability 0.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Losses; NaN for a task without a label.

    Examples
    --------
    >>> from sklearn_mtae.metrics import log_loss
    >>> round(log_loss(["a", "b", None], [[0.5, 0.5], [0.5, 0.5], [0.9, 0.1]]), 3)
    0.693
    """
    n_tasks = len(target_columns(y_true))
    per_task, tasks = _labels_of(labels, n_tasks), _probabilities(y_pred, n_tasks)
    return _score_tasks(_log_loss, y_true, tasks, sample_weight, multioutput, per_task=per_task)


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

    For each task, over its observed labels, the probability that a label of a class is ranked above one of another; of
    more than two classes the mean over classes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels; NaN, None or pandas.NA where missing.
    y_pred : list of n_tasks arrays of shape (n_samples, n_classes), or one of them
        Probabilities, as `predict_proba` gives them; or, for two classes each, those of the second class, of y's shape.
    labels : list of n_tasks arrays of shape (n_classes,), or one of them, default=None
        Classes that the probabilities are of, a classifier's `classes_`; None is those in `y_true`, sorted. A class of
        `y_true` that is not among them has probability 0.
    multi_class : {"ovr", "ovo"}, default="ovr"
        Of more than two classes, each against the rest, or each against each other; "ovo" takes no weights.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN for a task that has not a label of every class, or one class only.

    Examples
    --------
    >>> from sklearn_mtae.metrics import roc_auc_score
    >>> roc_auc_score([0, 1, 1, None], [[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.1, 0.9]])
    1.0
    """
    if multi_class not in ("ovr", "ovo"):
        raise ValueError(f"multi_class must be 'ovr' or 'ovo'. Got {multi_class!r} instead.")
    n_tasks = len(target_columns(y_true))
    per_task, tasks = _labels_of(labels, n_tasks), _probabilities(y_pred, n_tasks)
    score = partial(_roc_auc, multi_class=multi_class)
    return _score_tasks(score, y_true, tasks, sample_weight, multioutput, per_task=per_task)


def make_task_scorer(metric: str | Callable[..., float], task: str | int | None = None) -> "_TaskScorer":
    """Return a scorer of tables with missing labels, for `scoring` of GridSearchCV, cross_val_score and the like.

    Parameters
    ----------
    metric : {"r2", "rmse", "mae", "rrmse", "accuracy", "balanced_accuracy", "log_loss", "roc_auc"} or callable
        Name in `METRICS`, whose errors count negative, one of its functions, or a function of `y_true`, `y_pred`,
        `multioutput` and, where there are weights, `sample_weight`, of which greater is better.
    task : str, int or None, default=None
        Name or position of the only task to score; None is the mean over tasks. Names are those of y's columns or,
        where y has none, of the fitted estimator's `task_names_`.

    Returns
    -------
    callable
        Scorer of `estimator, X, y, sample_weight=None`: a float, greater is better. It raises an error for an unknown
        task, and takes `set_score_request(sample_weight=True)` for metadata routing.

    Raises
    ------
    ValueError
        If `metric` is neither a name in `METRICS` nor callable.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn_mtae.metrics import make_task_scorer
    >>> x = np.arange(4.0)[:, None]
    >>> model = LinearRegression().fit(x, np.hstack([x, -x]))
    >>> make_task_scorer("mae", task="y1")(model, x, [[0, 1], [1, None], [2, None], [3, -2]])
    -1.0
    """
    if not callable(metric) and metric not in METRICS:
        raise ValueError(f"metric must be one of {list(METRICS)} or a function. Got {metric!r} instead.")
    return _TaskScorer(metric, task)


class _TaskScorer:
    """What :func:`make_task_scorer` returns."""

    def __init__(self, metric: str | Callable[..., float], task: str | int | None) -> None:
        self.metric = metric
        self.task = task
        self._request = MetadataRequest(owner=repr(self))
        self._request.score.add_request(param="sample_weight", alias=None)

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        metric = self._resolve()
        prediction, n_tasks = getattr(estimator, metric.response_method)(X), len(target_columns(y))
        options: dict[str, Any] = {} if sample_weight is None else {"sample_weight": np.asarray(sample_weight)}
        if metric.response_method == "predict_proba":
            prediction = _probabilities(prediction, n_tasks)
            options["labels"] = _labels_of(_known_classes(estimator, n_tasks), n_tasks)
        if self.task is not None:
            position = task_position(self.task, _names(estimator, y), "task")
            truths = target_columns(y)
            predictions = prediction if isinstance(prediction, list) else target_columns(prediction)
            _check_shapes(truths, predictions)
            y, prediction = truths[position], predictions[position]
            options = {name: _of_task(value, position) for name, value in options.items()}
        score = metric.function(y, prediction, multioutput="uniform_average", **options)
        return score if metric.greater_is_better else -score

    def __repr__(self) -> str:
        metric = getattr(self.metric, "__name__", self.metric)
        return f"make_task_scorer({metric!r})" if self.task is None else f"make_task_scorer({metric!r}, {self.task!r})"

    def get_metadata_routing(self) -> MetadataRequest:
        """Return which metadata the scorer takes."""
        return self._request

    def set_score_request(self, *, sample_weight: bool | str | None) -> "_TaskScorer":
        """Set whether, or under which name, weights are passed on to the scorer, and return it."""
        self._request.score.add_request(param="sample_weight", alias=sample_weight)
        return self

    def _accept_sample_weight(self) -> bool:
        # scikit-learn asks scorers this where a search with several of them is fitted with weights.
        return True

    def _resolve(self) -> "Metric":
        if isinstance(self.metric, str):
            return METRICS[self.metric]
        known = (metric for metric in METRICS.values() if metric.function is self.metric)
        return next(known, Metric(self.metric, "predict", True))


class Metric(NamedTuple):
    """A score, the method whose output it scores, and its direction."""

    function: Callable[..., Any]
    response_method: Literal["predict", "predict_proba"]
    greater_is_better: bool


METRICS = {
    "r2": Metric(r2_score, "predict", True),
    "rmse": Metric(root_mean_squared_error, "predict", False),
    "mae": Metric(mean_absolute_error, "predict", False),
    "rrmse": Metric(relative_root_mean_squared_error, "predict", False),
    "accuracy": Metric(accuracy_score, "predict", True),
    "balanced_accuracy": Metric(balanced_accuracy_score, "predict", True),
    "log_loss": Metric(log_loss, "predict_proba", False),
    "roc_auc": Metric(roc_auc_score, "predict_proba", True),
}
"""Scores by name."""


def _score_tasks(
    score: Callable[..., float],
    y_true: Any,
    predictions: Sequence[NDArray],
    sample_weight: ArrayLike | None,
    multioutput: Average,
    *,
    per_task: Sequence[Any] | None = None,
    min_labels: int = 1,
) -> Any:
    """Return the score of each task with enough labels, NaN for the others, or the mean of those that are not NaN."""
    if multioutput not in ("raw_values", "uniform_average"):
        raise ValueError(f"multioutput must be 'raw_values' or 'uniform_average'. Got {multioutput!r} instead.")
    truths = target_columns(y_true)
    _check_shapes(truths, predictions)
    if per_task is not None and len(per_task) != len(truths):
        raise ValueError(f"y_train must have the {len(truths)} tasks of y_true. Got {len(per_task)} instead.")
    weights = _weights(sample_weight, len(truths[0]), len(truths))
    scores = np.full(len(truths), np.nan)
    for task, (truth, prediction, weight) in enumerate(zip(truths, predictions, weights, strict=True)):
        rows = ~is_missing(truth) if weight is None else ~is_missing(truth) & (weight != 0)
        if rows.sum() >= min_labels:
            options = () if per_task is None else (per_task[task],)
            row_weight = None if weight is None else weight[rows]
            scores[task] = score(_typed(truth[rows]), _typed(prediction[rows]), row_weight, *options)
    if multioutput == "raw_values":
        return scores
    return float("nan") if np.isnan(scores).all() else float(np.nanmean(scores))


def _check_shapes(truths: Sequence[NDArray], predictions: Sequence[NDArray]) -> None:
    n_rows = {len(column) for column in [*truths, *predictions]}
    if len(truths) != len(predictions) or len(n_rows) > 1:
        raise ValueError(
            "y_true and y_pred must have the same shape, or y_pred one array of probabilities per task. Got "
            f"{len(truths)} tasks of {len(truths[0])} rows and {len(predictions)} of {[len(p) for p in predictions]}."
        )


def _weights(sample_weight: ArrayLike | None, n_rows: int, n_tasks: int) -> Sequence[NDArray | None]:
    """Return the weights of each task's labels."""
    if sample_weight is None:
        return [None] * n_tasks
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape not in ((n_rows,), (n_rows, n_tasks)):
        raise ValueError(f"sample_weight must have shape ({n_rows},) or ({n_rows}, {n_tasks}). Got {weight.shape}.")
    return [weight] * n_tasks if weight.ndim == 1 else list(weight.T)


def _typed(values: NDArray) -> NDArray:
    """Return objects as an array of the type that they have in common: scikit-learn knows no classes of objects."""
    return np.array(values.tolist()) if values.dtype.kind == "O" else values


def _of_numbers(score: Callable[..., float]) -> Callable[..., float]:
    return lambda truth, prediction, weight: score(
        truth.astype(np.float64), prediction.astype(np.float64), sample_weight=weight
    )


def _mean(column: NDArray) -> float:
    labels = column[~is_missing(column)]
    return float(np.mean(labels.astype(np.float64))) if len(labels) else float("nan")


def _relative_error(truth: NDArray, prediction: NDArray, weight: NDArray | None, mean: float | None) -> float:
    truth = truth.astype(np.float64)
    mean = np.average(truth, weights=weight) if mean is None else mean
    baseline = np.nan if np.isnan(mean) else _rmse(truth, np.full_like(truth, mean), weight)
    return _rmse(truth, prediction, weight) / baseline if baseline else np.nan


_rmse = _of_numbers(complete.root_mean_squared_error)


def _accuracy(truth: NDArray, prediction: NDArray, weight: NDArray | None) -> float:
    return complete.accuracy_score(truth, prediction, sample_weight=weight)


def _balanced_accuracy(truth: NDArray, prediction: NDArray, weight: NDArray | None) -> float:
    # The mean recall of the classes present is the balanced accuracy, without its warning for those that are not.
    return complete.recall_score(truth, prediction, labels=np.unique(truth), average="macro", sample_weight=weight)


def _probabilities(y_pred: Any, n_tasks: int) -> list[NDArray]:
    """Return the probabilities of each task's classes, each of shape (n_samples, n_classes)."""
    if isinstance(y_pred, list | tuple) and len(np.shape(y_pred[0])) == 2:
        tasks = [np.asarray(task) for task in y_pred]
    else:
        tasks = [np.asarray(y_pred)] if n_tasks == 1 else target_columns(y_pred)
    return [np.column_stack([1 - task, task]) if task.ndim == 1 else task for task in tasks]


def _labels_of(labels: Sequence | None, n_tasks: int) -> list[NDArray | None]:
    """Return the classes of each task, or None where they are those of the scored labels."""
    if labels is None:
        return [None] * n_tasks
    per_task = [labels] if n_tasks == 1 and np.ndim(labels[0]) == 0 else list(labels)
    if len(per_task) != n_tasks or any(np.ndim(classes) != 1 for classes in per_task):
        raise ValueError(f"labels must hold one array of classes for each of the {n_tasks} tasks. Got {labels!r}.")
    return [_typed(np.asarray(classes)) for classes in per_task]


def _align(truth: NDArray, columns: NDArray, labels: NDArray | None) -> tuple[NDArray, NDArray]:
    """Return the classes, those of the labels included, and one column of probabilities for each."""
    known = np.unique(truth) if labels is None else labels
    if columns.shape[1] != len(known):
        raise ValueError(
            f"y_pred must have a column for each class. Got {columns.shape[1]} for {known.tolist()}; `labels` names "
            "classes that y_true lacks."
        )
    if (known.dtype.kind in "US") != (truth.dtype.kind in "US"):
        raise ValueError(f"labels and y_true must be of one type. Got {known.tolist()} and {truth[:3].tolist()} ...")
    classes = np.union1d(known, truth)
    aligned = np.zeros((len(truth), len(classes)), dtype=columns.dtype)
    aligned[:, np.searchsorted(classes, known)] = columns
    return classes, aligned


def _log_loss(truth: NDArray, columns: NDArray, weight: NDArray | None, labels: NDArray | None) -> float:
    classes, aligned = _align(truth, columns, labels)
    if len(classes) == 1:  # the only class has probability 1, which scikit-learn does not score
        return 0.0
    return complete.log_loss(truth, aligned, sample_weight=weight, labels=classes)


def _roc_auc(
    truth: NDArray, columns: NDArray, weight: NDArray | None, labels: NDArray | None, multi_class: str
) -> float:
    n_present = len(np.unique(truth))
    if n_present < max(2, columns.shape[1]):
        return float("nan")
    classes, aligned = _align(truth, columns, labels)
    if n_present < len(classes):
        return float("nan")
    score = partial(complete.roc_auc_score, sample_weight=weight)
    if len(classes) == 2:
        return score(truth == classes[1], aligned[:, 1])
    return score(truth, aligned, labels=classes, multi_class=multi_class)


def _known_classes(estimator: Any, n_tasks: int) -> Sequence | None:
    """Return the classes of each task; scikit-learn's classifiers of 0/1 columns number the columns instead."""
    classes = getattr(estimator, "classes_", None)
    if classes is None or n_tasks == 1 or np.ndim(classes[0]) == 1:
        return classes
    return [np.array([0, 1])] * n_tasks


def _of_task(option: Any, position: int) -> Any:
    """Return the part of weights or classes that belongs to one task; weights of rows belong to all."""
    if isinstance(option, list):
        return option[position]
    return option if option.ndim == 1 else option[:, position]


def _names(estimator: Any, y: Any) -> list[str]:
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    named = hasattr(y, "columns") or getattr(y, "name", None) is not None
    return task_names(y) if named else list(getattr(estimator, "task_names_", task_names(y)))
