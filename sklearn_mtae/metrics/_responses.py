"""What scorers ask of an estimator: predictions, probabilities, draws, intervals and regions of its tasks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from sklearn_mtae._tables.containers import is_frame
from sklearn_mtae._tables.targets import target_columns

from ._columnwise import check_shapes, labels_of, probabilities
from ._draws import read_samples
from ._scores import Metric


def respond(estimator: Any, X: Any, metric: Metric, n_tasks: int) -> tuple[Any, dict[str, Any]]:
    """Return the estimator's output that a metric scores, and the matching options."""
    if metric.by_kind:
        return _by_kind(estimator, X, n_tasks)
    prediction = getattr(estimator, metric.response_method)(X)
    if metric.response_method == "predict":
        return prediction, {}
    if isinstance(prediction, Mapping):
        return _in_order(estimator, prediction)
    return probabilities(prediction, n_tasks), {"labels": labels_of(_known_classes(estimator, n_tasks), n_tasks)}


def _by_kind(estimator: Any, X: Any, n_tasks: int) -> tuple[list[NDArray], dict[str, Any]]:
    """Return the means of tasks of numbers, the probabilities of tasks of classes, and their classes."""
    names = list(getattr(last_step(estimator), "task_names_", range(n_tasks)))
    kinds = getattr(last_step(estimator), "task_kinds_", {})
    predicted, probable, classes = target_columns(estimator.predict(X)), {}, {}
    if hasattr(estimator, "predict_proba"):
        found = estimator.predict_proba(X)
        if isinstance(found, Mapping):
            probable, classes = found, estimator.classes_
        else:
            probable = dict(zip(names, probabilities(found, n_tasks), strict=True))
            classes = dict(zip(names, labels_of(_known_classes(estimator, n_tasks), n_tasks), strict=True))
    means = zip(names, predicted, strict=True)
    parts = [np.asarray(probable[name]) if name in probable else mean for name, mean in means]
    return parts, {"labels": list(map(classes.get, names)), "likelihoods": list(map(kinds.get, names))}


def _in_order(estimator: Any, by_name: Mapping[str, Any]) -> tuple[list[NDArray], dict[str, Any]]:
    """Return the probabilities of all tasks (without columns for numbers), and their classes."""
    names, known = list(last_step(estimator).task_names_), estimator.classes_
    nothing = np.empty((len(next(iter(by_name.values()))), 0))
    parts = [np.asarray(by_name.get(name, nothing)) for name in names]
    return parts, {"labels": labels_of([known.get(name, []) for name in names], len(names))}


def last_step(estimator: Any) -> Any:
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    return estimator


def _known_classes(estimator: Any, n_tasks: int) -> Sequence | None:
    """Return the classes of each task; scikit-learn's classifiers of 0/1 columns number the columns instead."""
    classes = getattr(estimator, "classes_", None)
    if classes is None or n_tasks == 1 or np.ndim(classes[0]) == 1:
        return classes
    return [np.array([0, 1])] * n_tasks


def chosen(columns: Sequence[Any] | NDArray, tasks: Sequence[int] | None) -> list[Any]:
    """Return what belongs to some tasks, or to all."""
    return list(columns) if tasks is None else [columns[task] for task in tasks]


def side_by_side(columns: Sequence[NDArray]) -> NDArray:
    """Return columns as a table in which each keeps its values, or the only one as it is."""
    if len(columns) == 1:
        return columns[0]
    alike = len({column.dtype.kind for column in columns}) == 1
    return np.stack(columns if alike else [column.astype(object) for column in columns], axis=1)


def predict(
    estimator: Any, X: Any, y: Any, metric: Metric, tasks: Sequence[int] | None
) -> tuple[tuple[Any], dict[str, Any]]:
    """Return predictions or probabilities of some tasks."""
    truths = target_columns(y)
    prediction, options = respond(estimator, X, metric, len(truths))
    if tasks is None:
        return (prediction,), options
    columns = prediction if isinstance(prediction, list) else target_columns(prediction)
    check_shapes(truths, columns)
    own, is_list = chosen(columns, tasks), metric.by_kind or metric.response_method == "predict_proba"
    return (own if is_list else side_by_side(own),), {name: chosen(value, tasks) for name, value in options.items()}


def draw(
    estimator: Any,
    X: Any,
    y: Any,
    metric: Metric,
    tasks: Sequence[int] | None,
    n_samples: int = 100,
    random_state: Any = 0,
) -> tuple[tuple[NDArray], dict[str, Any]]:
    """Return draws of some tasks, shape (n_samples, n_rows, n_tasks)."""
    columns = target_columns(y)
    estimator, X = _at_last_step(estimator, X)
    samples = estimator.predict_samples(X, n_samples=n_samples, random_state=random_state)
    samples = read_samples(samples, len(columns[0]), len(columns))
    return (samples if tasks is None else samples[..., list(tasks)],), {}


def find_interval(
    estimator: Any, X: Any, y: Any, metric: Metric, tasks: Sequence[int] | None, coverage: float = 0.9
) -> tuple[tuple[NDArray, NDArray], dict[str, Any]]:
    """Return lower and upper ends of intervals of some tasks, each of shape (n_rows, n_tasks), and their coverage."""
    return _ends(estimator, X, y, tasks, coverage), {"coverage": coverage}


def find_region(
    estimator: Any, X: Any, y: Any, metric: Metric, tasks: Sequence[int] | None, coverage: float = 0.9
) -> tuple[tuple[Any], dict[str, Any]]:
    """Return which rows are in the region of all tasks, or the intervals of an estimator without regions."""
    estimator, X = _at_last_step(estimator, X)
    if not hasattr(estimator, "predict_region"):
        return (_ends(estimator, X, y, tasks, coverage),), {}
    return (estimator.predict_region(X, coverage=coverage).contains(_hide_others(y, tasks)),), {}


def _ends(estimator: Any, X: Any, y: Any, tasks: Sequence[int] | None, coverage: float) -> tuple[NDArray, NDArray]:
    estimator, X = _at_last_step(estimator, X)
    lower, upper = map(target_columns, estimator.predict_interval(X, coverage=coverage))
    check_shapes(target_columns(y), lower)
    return side_by_side(chosen(lower, tasks)), side_by_side(chosen(upper, tasks))


def _at_last_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the last step of a pipeline, which has only scikit-learn's own methods, and the rows that it sees."""
    while isinstance(estimator, Pipeline):
        for step in estimator[:-1]:
            X = X if step in (None, "passthrough") else step.transform(X)
        estimator = estimator[-1]
    return estimator, X


def _hide_others(y: Any, tasks: Sequence[int] | None) -> Any:
    """Return a table in which only some tasks have labels."""
    columns = target_columns(y)
    others = [] if tasks is None else sorted(set(range(len(columns))) - set(tasks))
    if not others:
        return y
    if is_frame(y):
        hidden = y.copy()
        for task in others:
            hidden[y.columns[task]] = np.nan
        return hidden
    table = side_by_side(columns)
    table = np.array(table, dtype=object if table.dtype.kind in "OUS" else np.float64)
    table[:, others] = np.nan
    return table


ASKED: dict[str, Callable[..., tuple[tuple, dict[str, Any]]]] = {
    "predict": predict,
    "predict_proba": predict,
    "predict_samples": draw,
    "predict_interval": find_interval,
    "predict_region": find_region,
}
"""What is asked of an estimator, by the method that answers: arguments of a score beside the labels, and options."""
