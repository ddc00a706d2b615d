"""Splitting a table with missing labels into complete columns for scikit-learn's scores."""

import warnings
from collections.abc import Callable, KeysView, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as complete
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_mtae._tables.checks import check_largest_weight
from sklearn_mtae._tables.containers import plain
from sklearn_mtae._tables.targets import is_missing, target_columns, task_names
from sklearn_mtae.nn.words import listed, named, short

Average = Literal["raw_values", "uniform_average"]


class Undefined(Exception):
    """The reason why a task cannot be scored."""


class Labels(dict[str, NDArray]):
    """Columns of labels by the names of their tasks, scored in place of a table without names.

    Parameters
    ----------
    columns : mapping of str to ndarray
        Columns by name.
    unscored : dict or None, default=None
        Where to write why a task has no score, instead of a warning.
    """

    def __init__(self, columns: Mapping[str, NDArray], unscored: dict[str, str] | None = None) -> None:
        super().__init__(columns)
        self.unscored = unscored

    @property
    def columns(self) -> KeysView[str]:
        """Names of the tasks, as a data frame has them."""
        return self.keys()


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
    """Return the score of each task, NaN if it has too few labels, or the mean of the scores that are not NaN.

    Warn of the tasks without a score, by name and with the reason.
    """
    if multioutput not in ("raw_values", "uniform_average"):
        raise ValueError(f"multioutput must be 'raw_values' or 'uniform_average'. Got {short(multioutput)} instead.")
    truths = target_columns(y_true)
    check_shapes(truths, predictions)
    if per_task is not None and len(per_task) != len(truths):
        raise ValueError(f"y_train must have the {len(truths)} tasks of y_true. Got {len(per_task)} instead.")
    weights = _weights(sample_weight, len(truths[0]), len(truths))
    options = [()] * len(truths) if per_task is None else [(option,) for option in per_task]
    scores, unscored = np.full(len(truths), np.nan), {}
    parts = zip(task_names(y_true), truths, predictions, weights, options, strict=True)
    for task, (name, truth, prediction, weight, own) in enumerate(parts):
        try:
            scores[task] = _score_task(score, truth, prediction, weight, own, min_labels)
        except Undefined as reason:
            unscored[name] = str(reason)
        except ValueError as error:
            raise ValueError(f"{error} This is task {name!r}.") from error
    _tell(unscored, y_true, multioutput)
    if multioutput == "raw_values":
        return scores
    return float("nan") if np.isnan(scores).all() else float(np.nanmean(scores))


def _score_task(
    score: Callable[..., float],
    truth: NDArray,
    prediction: NDArray,
    weight: NDArray | None,
    options: tuple,
    min_labels: int,
) -> float:
    """Return the score of a task over its labels of non-zero weight."""
    rows = ~is_missing(truth) if weight is None else ~is_missing(truth) & (weight != 0)
    if rows.sum() < min_labels:
        weighing = "" if weight is None else " of non-zero weight"
        raise Undefined(f"it has {'no' if not rows.any() else 'only one'} label{weighing}")
    return score(_typed(truth[rows]), _typed(prediction[rows]), None if weight is None else weight[rows], *options)


def _tell(unscored: dict[str, str], y_true: Any, multioutput: Average) -> None:
    """Warn of the tasks without a score, or record them if the labels ask for it."""
    if isinstance(y_true, Labels) and y_true.unscored is not None:
        y_true.unscored.update(unscored)
    else:
        effect = "Its score is NaN" if multioutput == "raw_values" else "The mean leaves it out"
        warn_of_unscored(unscored, effect, stacklevel=5)


def warn_of_unscored(
    unscored: Mapping[str, str], effect: str = "The mean leaves it out", *, stacklevel: int = 3
) -> None:
    """Warn of tasks without a score, given the reasons by name."""
    if unscored:
        reasons = "; ".join(f"task {name!r}: {reason}" for name, reason in unscored.items())
        message = f"Not every task can be scored. {effect}: {reasons}."
        warnings.warn(message, UndefinedMetricWarning, stacklevel=stacklevel)


def check_shapes(truths: Sequence[NDArray], predictions: Sequence[NDArray]) -> None:
    n_rows = {len(column) for column in [*truths, *predictions]}
    if len(truths) != len(predictions) or len(n_rows) > 1:
        raise ValueError(
            "y_true and y_pred must have the same shape, or y_pred one array of probabilities per task. Got "
            f"{len(truths)} tasks of {len(truths[0])} rows and {len(predictions)} of {[len(p) for p in predictions]}."
        )


def _weights(sample_weight: ArrayLike | None, n_rows: int, n_tasks: int) -> Sequence[NDArray | None]:
    """Return the weights of each task's labels."""
    weight = read_weights(sample_weight, (n_rows,), (n_rows, n_tasks))
    return [weight] * n_tasks if weight is None or weight.ndim == 1 else list(weight.T)


def read_weights(sample_weight: ArrayLike | None, *shapes: tuple[int, ...]) -> NDArray | None:
    """Return weights of one of some shapes, which are numbers from zero on."""
    if sample_weight is None:
        return None
    with named("sample_weight"):
        weight = np.asarray(plain(sample_weight), dtype=np.float64)
    if weight.shape not in shapes:
        whole = ", since a joint score is of whole rows" if len(shapes) == 1 else ""
        raise ValueError(f"sample_weight must have shape {' or '.join(map(str, shapes))}{whole}. Got {weight.shape}.")
    wrong = ~(weight >= 0)
    if wrong.any():
        place, value = np.argwhere(wrong)[0], weight[wrong][0]
        raise ValueError(f"sample_weight must be >= 0. Got {value:g} in row {place[0]}.")
    check_largest_weight(weight)
    return weight


def _typed(values: NDArray) -> NDArray:
    """Return objects as an array of their common type: scikit-learn does not support classes as objects."""
    return np.array(values.tolist()) if values.dtype.kind == "O" else values


def of_numbers(score: Callable[..., float]) -> Callable[..., float]:
    return lambda truth, prediction, weight: score(numbers_of(truth), numbers_of(prediction), sample_weight=weight)


def numbers_of(values: NDArray) -> NDArray:
    """Return labels or predictions as floats, or say what classes are scored by."""
    try:
        return values.astype(np.float64)
    except ValueError as error:
        raise ValueError(
            f"This score is of numbers. Got {short(values[0])}: classes are scored by 'accuracy' or 'log_loss', and in "
            "d2_score by their probabilities."
        ) from error


def mean_label(column: NDArray) -> float:
    labels = column[~is_missing(column)]
    return float(np.mean(labels.astype(np.float64))) if len(labels) else float("nan")


def relative_error(truth: NDArray, prediction: NDArray, weight: NDArray | None, mean: float | None) -> float:
    truth = truth.astype(np.float64)
    mean = np.average(truth, weights=weight) if mean is None else mean
    if np.isnan(mean):
        raise Undefined("it has no label in y_train")
    baseline = _rmse(truth, np.full_like(truth, mean), weight)
    if not baseline:
        raise Undefined(f"all of its labels are {mean:g}")
    return _rmse(truth, prediction, weight) / baseline


_rmse = of_numbers(complete.root_mean_squared_error)


def accuracy(truth: NDArray, prediction: NDArray, weight: NDArray | None) -> float:
    return complete.accuracy_score(truth, prediction, sample_weight=weight)


def balanced_accuracy(truth: NDArray, prediction: NDArray, weight: NDArray | None) -> float:
    # The mean recall of the classes present is the balanced accuracy, without its warning for absent classes.
    return complete.recall_score(truth, prediction, labels=np.unique(truth), average="macro", sample_weight=weight)


def probabilities(y_pred: Any, n_tasks: int) -> list[NDArray]:
    """Return the probabilities of each task's classes, each of shape (n_samples, n_classes)."""
    if isinstance(y_pred, list | tuple) and len(np.shape(y_pred[0])) == 2:
        tasks = [np.asarray(task) for task in y_pred]
    else:
        tasks = [np.asarray(y_pred)] if n_tasks == 1 else target_columns(y_pred)
    return [np.column_stack([1 - task, task]) if task.ndim == 1 else task for task in tasks]


def labels_of(labels: Sequence | None, n_tasks: int) -> list[NDArray | None]:
    """Return the classes of each task, or None if they are those of the scored labels."""
    if labels is None:
        return [None] * n_tasks
    per_task = [labels] if n_tasks == 1 and np.ndim(labels[0]) == 0 else list(labels)
    if len(per_task) != n_tasks or any(np.ndim(classes) != 1 for classes in per_task):
        raise ValueError(f"labels must hold one array of classes for each of the {n_tasks} tasks. Got {short(labels)}.")
    return [_typed(np.asarray(classes)) for classes in per_task]


def _align(truth: NDArray, columns: NDArray, labels: NDArray | None) -> tuple[NDArray, NDArray]:
    """Return the classes, including those of the labels, and one column of probabilities for each."""
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
    present = np.unique(truth)
    if len(present) < 2:
        raise Undefined(f"its labels are of one class, {present.item()!r}")
    if labels is None and len(present) < columns.shape[1]:
        raise Undefined(f"its labels are of {len(present)} classes, its probabilities of {columns.shape[1]}")
    classes, aligned = _align(truth, columns, labels)
    if len(present) < len(classes):
        raise Undefined(f"it has no label of {np.setdiff1d(classes, present).tolist()}")
    score = partial(complete.roc_auc_score, sample_weight=weight)
    if len(classes) == 2:
        return score(truth == classes[1], aligned[:, 1])
    return score(truth, aligned, labels=classes, multi_class=multi_class)
