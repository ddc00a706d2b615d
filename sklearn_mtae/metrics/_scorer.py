"""Scorers of tables with missing labels, for searches and cross-validation."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_mtae._tables.targets import check_order, target_columns, task_names, task_position
from sklearn_mtae.nn.words import short, suggest

from ._columnwise import Labels, check_shapes, labels_of, probabilities
from ._scores import METRICS, Metric


def make_task_scorer(metric: str | Callable[..., float], task: str | int | None = None) -> "_TaskScorer":
    """Return a scorer of tables with missing labels, for `scoring` of GridSearchCV, cross_val_score and the like.

    Parameters
    ----------
    metric : {"r2", "rmse", "mae", "rrmse", "accuracy", "balanced_accuracy", "log_loss", "roc_auc", "d2"} or callable
        Name in `METRICS` (errors are negated), one of its functions, or a function of `y_true`, `y_pred`, `multioutput`
        and, if there are weights, `sample_weight`, for which greater is better.
    task : str, int or None, default=None
        Name or position of the only task to score; None is the mean over tasks. Names are those of y's columns or, if y
        has none, those in the fitted estimator's `task_names_`.

    Returns
    -------
    callable
        Scorer of `estimator, X, y, sample_weight=None`: a float, greater is better. It warns of tasks with too few
        labels to be scored, by name. It raises an error for an unknown task, or if y has the tasks in another order
        than the estimator. It has `set_score_request(sample_weight=True)` for metadata routing.

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
    if not callable(metric) and not (isinstance(metric, str) and metric in METRICS):
        hint = suggest(metric, METRICS) if isinstance(metric, str) else ""
        raise ValueError(f"metric must be one of {list(METRICS)} or a function. Got {short(metric)} instead.{hint}")
    return _TaskScorer(metric, task)


class _TaskScorer:
    """The result of :func:`make_task_scorer`."""

    def __init__(self, metric: str | Callable[..., float], task: str | int | None) -> None:
        self.metric = metric
        self.task = task
        self._request = MetadataRequest(owner=repr(self))
        self._request.score.add_request(param="sample_weight", alias=None)

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        metric, truths, names = self._resolve(), target_columns(y), _names(estimator, y)
        prediction, options = respond(estimator, X, metric, len(truths))
        if sample_weight is not None:
            options["sample_weight"] = np.asarray(sample_weight)
        if self.task is not None:
            position = task_position(self.task, names, "task")
            predictions = prediction if isinstance(prediction, list) else target_columns(prediction)
            check_shapes(truths, predictions)
            y, prediction = truths[position], predictions[position]
            truths, names = [y], [names[position]]
            options = {name: _of_task(value, position) for name, value in options.items()}
            if metric.by_kind:  # one task, in a list as several are
                prediction = [prediction]
                options |= {name: [options[name]] for name in ("labels", "likelihoods")}
        if metric in METRICS.values():  # the package's own metrics name the tasks
            y = Labels(dict(zip(names, truths, strict=True)))
        score = metric.function(y, prediction, multioutput="uniform_average", **options)
        if not isinstance(score, Real):
            raise TypeError(f"metric must return a number. Got {short(self.metric)}, which returned {short(score)}.")
        return float(score) if metric.greater_is_better else -float(score)

    def __repr__(self) -> str:
        metric = getattr(self.metric, "__name__", self.metric)
        return f"make_task_scorer({metric!r})" if self.task is None else f"make_task_scorer({metric!r}, {self.task!r})"

    def get_metadata_routing(self) -> MetadataRequest:
        """Return the metadata that the scorer takes."""
        return self._request

    def set_score_request(self, *, sample_weight: bool | str | None) -> "_TaskScorer":
        """Set whether, or under which name, weights are passed on to the scorer, and return it."""
        self._request.score.add_request(param="sample_weight", alias=sample_weight)
        return self

    def _accept_sample_weight(self) -> bool:
        # scikit-learn asks scorers this if a search with several of them is fitted with weights.
        return True

    def _resolve(self) -> Metric:
        if isinstance(self.metric, str):
            return METRICS[self.metric]
        known = (metric for metric in METRICS.values() if metric.function is self.metric)
        return next(known, Metric(self.metric, "predict", True))


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
    names = list(getattr(_last(estimator), "task_names_", range(n_tasks)))
    kinds = getattr(_last(estimator), "task_kinds_", {})
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
    names, known = list(_last(estimator).task_names_), estimator.classes_
    nothing = np.empty((len(next(iter(by_name.values()))), 0))
    parts = [np.asarray(by_name.get(name, nothing)) for name in names]
    return parts, {"labels": labels_of([known.get(name, []) for name in names], len(names))}


def _last(estimator: Any) -> Any:
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    return estimator


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
    names = task_names(y)
    known = list(getattr(_last(estimator), "task_names_", names))
    check_order(y, known)
    named = hasattr(y, "columns") or getattr(y, "name", None) is not None
    return names if named or len(known) != len(names) else known
