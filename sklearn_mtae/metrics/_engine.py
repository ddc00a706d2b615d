"""From a table with missing labels to one complete column at a time, and from there to scikit-learn."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as complete

from sklearn_mtae._tasks import is_missing, target_columns
from sklearn_mtae.nn.words import listed, named, short

Average = Literal["raw_values", "uniform_average"]


def score_tasks(
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
        raise ValueError(f"multioutput must be 'raw_values' or 'uniform_average'. Got {short(multioutput)} instead.")
    truths = target_columns(y_true)
    check_shapes(truths, predictions)
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


def check_shapes(truths: Sequence[NDArray], predictions: Sequence[NDArray]) -> None:
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
    with named("sample_weight"):
        weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape not in ((n_rows,), (n_rows, n_tasks)):
        raise ValueError(f"sample_weight must have shape ({n_rows},) or ({n_rows}, {n_tasks}). Got {weight.shape}.")
    return [weight] * n_tasks if weight.ndim == 1 else list(weight.T)


def _typed(values: NDArray) -> NDArray:
    """Return objects as an array of the type that they have in common: scikit-learn knows no classes of objects."""
    return np.array(values.tolist()) if values.dtype.kind == "O" else values


def of_numbers(score: Callable[..., float]) -> Callable[..., float]:
    return lambda truth, prediction, weight: score(
        truth.astype(np.float64), prediction.astype(np.float64), sample_weight=weight
    )


def mean_label(column: NDArray) -> float:
    labels = column[~is_missing(column)]
    return float(np.mean(labels.astype(np.float64))) if len(labels) else float("nan")


def relative_error(truth: NDArray, prediction: NDArray, weight: NDArray | None, mean: float | None) -> float:
    truth = truth.astype(np.float64)
    mean = np.average(truth, weights=weight) if mean is None else mean
    baseline = np.nan if np.isnan(mean) else _rmse(truth, np.full_like(truth, mean), weight)
    return _rmse(truth, prediction, weight) / baseline if baseline else np.nan


_rmse = of_numbers(complete.root_mean_squared_error)


def accuracy(truth: NDArray, prediction: NDArray, weight: NDArray | None) -> float:
    return complete.accuracy_score(truth, prediction, sample_weight=weight)


def balanced_accuracy(truth: NDArray, prediction: NDArray, weight: NDArray | None) -> float:
    # The mean recall of the classes present is the balanced accuracy, without its warning for those that are not.
    return complete.recall_score(truth, prediction, labels=np.unique(truth), average="macro", sample_weight=weight)


def probabilities(y_pred: Any, n_tasks: int) -> list[NDArray]:
    """Return the probabilities of each task's classes, each of shape (n_samples, n_classes)."""
    if isinstance(y_pred, list | tuple) and len(np.shape(y_pred[0])) == 2:
        tasks = [np.asarray(task) for task in y_pred]
    else:
        tasks = [np.asarray(y_pred)] if n_tasks == 1 else target_columns(y_pred)
    return [np.column_stack([1 - task, task]) if task.ndim == 1 else task for task in tasks]


def labels_of(labels: Sequence | None, n_tasks: int) -> list[NDArray | None]:
    """Return the classes of each task, or None where they are those of the scored labels."""
    if labels is None:
        return [None] * n_tasks
    per_task = [labels] if n_tasks == 1 and np.ndim(labels[0]) == 0 else list(labels)
    if len(per_task) != n_tasks or any(np.ndim(classes) != 1 for classes in per_task):
        raise ValueError(f"labels must hold one array of classes for each of the {n_tasks} tasks. Got {short(labels)}.")
    return [_typed(np.asarray(classes)) for classes in per_task]


def _align(truth: NDArray, columns: NDArray, labels: NDArray | None) -> tuple[NDArray, NDArray]:
    """Return the classes, those of the labels included, and one column of probabilities for each."""
    known = np.unique(truth) if labels is None else labels
    if columns.shape[1] != len(known):
        raise ValueError(
            f"y_pred must have a column for each class. Got {columns.shape[1]} for {listed(known.tolist())}; `labels` "
            "names classes that y_true lacks."
        )
    if (known.dtype.kind in "US") != (truth.dtype.kind in "US"):
        raise ValueError(
            f"labels and y_true must be of one type. Got {listed(known.tolist())} and {truth[:3].tolist()} ..."
        )
    classes = np.union1d(known, truth)
    aligned = np.zeros((len(truth), len(classes)), dtype=columns.dtype)
    aligned[:, np.searchsorted(classes, known)] = columns
    return classes, aligned


def class_log_loss(truth: NDArray, columns: NDArray, weight: NDArray | None, labels: NDArray | None) -> float:
    classes, aligned = _align(truth, columns, labels)
    if len(classes) == 1:  # the only class has probability 1, which scikit-learn does not score
        return 0.0
    return complete.log_loss(truth, aligned, sample_weight=weight, labels=classes)


def class_roc_auc(
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
