"""What the estimators per task share: labels and weights by task, the estimators of a dict, routing, scores."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.dummy import DummyClassifier
from sklearn.utils import Tags, assert_all_finite, check_consistent_length, get_tags, indexable
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from sklearn_mtae._tables.checks import (
    HasMethods,
    check_largest_weight,
    check_method_params,
    check_parameters,
    safe_indexing,
)
from sklearn_mtae._tables.classes import observed_labels, warn_of_one_class
from sklearn_mtae._tables.containers import plain
from sklearn_mtae._tables.targets import n_dimensions, per_task, target_columns, task_names
from sklearn_mtae.metrics import accuracy_score, r2_score
from sklearn_mtae.metrics._columnwise import Labels, warn_of_unscored
from sklearn_mtae.nn.words import listed, named, short, suggest

__all__ = ["BasePerTask", "if_heads_have"]

NEEDED = ("fit", "predict", "get_params")
# Requirements on the input, rather than permissions: one head that has them is enough.
REQUIREMENTS = {"pairwise", "positive_only"}


def _label_columns(y: Any, owner: Any) -> tuple[list[NDArray], list[str], int]:
    """Return the columns of y, the names of their tasks, and y's number of dimensions."""
    if y is None:
        raise ValueError(f"{type(owner).__name__} requires y to be passed, but the target y is None.")
    columns = target_columns(y)
    return columns, task_names(y), n_dimensions(y)


def _check_observed(columns: Sequence[NDArray], names: Sequence[str]) -> list[tuple[NDArray, NDArray]]:
    """Return the labelled rows and their labels, per task; each task needs at least one."""
    observed = []
    for task, (column, name) in enumerate(zip(columns, names, strict=True)):
        mask, labels = observed_labels(column)
        if not len(labels):
            raise ValueError(f"Every task needs an observed label. Task {name!r} (column {task} of y) has none.")
        assert_all_finite(labels, input_name="y")
        observed.append((np.flatnonzero(mask), labels))
    return observed


def _of_task(name: str, value: Any, columns: list[NDArray], task: int) -> Any:
    """Return the column of a task of what `fit` takes for each label, and everything else as it is."""
    if name.endswith("sample_weight"):
        return _weight_columns(value, columns)[task]
    if name.endswith("censoring") and value is not None:
        codes = target_columns(value)
        return codes[task] if len(codes) == len(columns) else value
    return value


def _weight_columns(weight: Any, columns: Sequence[NDArray]) -> list[Any]:
    """Return each task's weights: its column if labels are weighted, the same for all if rows are."""
    weight = plain(weight)
    table, shape = np.asarray(weight), (len(columns[0]), len(columns))
    if weight is not None:
        with named("sample_weight"):
            table = table.astype(np.float64)
        check_largest_weight(table)
    if weight is not None and table.ndim == 0:
        raise ValueError(f"sample_weight must have shape ({shape[0]},) or {shape}. Got {short(weight)} instead.")
    if table.ndim == 1:
        check_consistent_length(columns[0], table)
    if table.ndim != 2:
        return [weight] * len(columns)
    if table.shape != shape:
        raise ValueError(f"sample_weight must have shape ({shape[0]},) or {shape}. Got {table.shape} instead.")
    return list(table.T)


class OneClass(DummyClassifier):
    """Predict the only class that there is: many classifiers cannot be fitted to one class."""

    def __init__(self) -> None:
        super().__init__(strategy="most_frequent")

    def decision_function(self, X: Any) -> NDArray:
        """Return zero confidence, shape (n_samples, 1)."""
        return np.zeros((len(self.predict(X)), 1))


def _fit_head(head: Any, name: str, X: Any, labels: NDArray, rows: NDArray | None, params: dict[str, Any]) -> Any:
    """Return a fitted clone of a task's estimator, or a constant predictor if the task has one class only."""
    X_own = safe_indexing(X, rows)
    if _has_one_class(head, labels):
        return OneClass().fit(X_own, labels)
    if isinstance(X_own, np.ndarray) and X_own.dtype == np.float32 and labels.dtype == np.float64:
        # Estimators that work in the precision of X would round the labels to it, possibly to a single value.
        X_own = X_own.astype(np.float64)
    try:
        return clone(head).fit(X_own, labels, **check_method_params(X, params, rows))
    except ValueError as error:
        raise ValueError(f"{error} This is the estimator of task {name!r}.") from error


def _has_one_class(head: Any, labels: NDArray) -> bool:
    return is_classifier(head) and len(set(labels.tolist())) == 1


def _score_head(head: Any, column: Labels, prediction: NDArray, weight: Any) -> float:
    score = accuracy_score if is_classifier(head) else r2_score
    return score(column, prediction, sample_weight=weight)


def is_estimator(head: Any) -> bool:
    """Return whether an object is an estimator that can be cloned and fitted, rather than a class."""
    return not isinstance(head, type) and all(hasattr(head, name) for name in (*NEEDED, "__sklearn_tags__"))


def if_heads_have(method: str) -> Callable[[Any], bool]:
    """Return a check of whether all estimators (the fitted ones, if any) have a method."""

    def check(self: "BasePerTask") -> bool:
        return all(hasattr(head, method) for head in getattr(self, "estimators_", self._templates))

    return check


class BasePerTask(MetaEstimatorMixin, BaseEstimator):
    """One clone of an estimator per task."""

    _parameter_constraints: dict = {"estimator": [HasMethods(["fit", "predict"]), dict], "n_jobs": [Integral, None]}
    # The heads request weights in fit; this class requests those in score.
    __metadata_request__fit = {"sample_weight": UNUSED}

    def __init__(self, estimator, *, n_jobs=None):
        self.estimator = estimator
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None, **fit_params: Any) -> Self:
        """Fit a clone of the estimator per task, on the rows that have the task's label.

        If all labels of a task are of one class, that class is predicted, whatever the classifier; a warning names the
        task.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows, passed on unchanged: the estimator decides what they may hold.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels; NaN, None or pandas.NA where one is missing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weights of the rows or of the labels, passed to the estimators. A label of weight zero still counts as a
            label.
        **fit_params : dict
            Further parameters of the estimators' `fit`. Parameters with one value per row are restricted to each task's
            rows.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a task has no label, if a label is infinite, if lengths differ, if `estimator` does not fit the tasks,
            or if there are weights and an estimator takes none.
        """
        check_parameters(self)
        columns, names, ndim = _label_columns(y, self)
        (X,) = indexable(X)
        check_consistent_length(X, *columns)
        heads = self._heads(names)
        observed = _check_observed(columns, names)
        params = self._fit_params(columns, names, heads, sample_weight, fit_params)
        self.estimators_ = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_head)(head, name, X, labels, rows if len(rows) < len(columns[0]) else None, own)
            for head, name, (rows, labels), own in zip(heads, names, observed, params, strict=True)
        )
        self.task_names_, self._y_ndim = names, ndim
        warn_of_one_class([getattr(head, "classes_", np.empty(0)) for head in self.estimators_], names)
        return self

    def predict(self, X: Any) -> NDArray:
        """Predict the labels of all tasks.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Predictions, in y's shape; an object array if the labels of some tasks are numbers and those of others are
            not.
        """
        columns = self._by_head("predict", X)
        if self._y_ndim == 1:
            return columns[0]
        alike = len({"number" if column.dtype.kind in "biuf" else column.dtype.kind for column in columns}) == 1
        return np.stack(columns if alike else [column.astype(object) for column in columns], axis=1)

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean over tasks of R2, or of the accuracy where a task's estimator is a classifier.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels, in the order of the tasks in `fit`; missing ones are left out.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weights of the rows or of the labels.

        Returns
        -------
        float
            Mean over the tasks that have enough labels: R2 needs two, the accuracy one; a warning names the others. NaN
            if there is none.
        """
        predictions = self._by_head("predict", X)
        columns, names, _ = _label_columns(y, self)
        if len(names) != len(self.task_names_) or (hasattr(y, "columns") and names != self.task_names_):
            raise ValueError(
                f"y must have the columns {listed(self.task_names_)}, one per task. Got {listed(names)} instead."
            )
        check_consistent_length(predictions[0], *columns)
        weights = _weight_columns(sample_weight, columns)
        unscored: dict[str, str] = {}
        labels = [Labels({name: own}, unscored) for name, own in zip(self.task_names_, columns, strict=True)]
        scores = np.array(list(map(_score_head, self.estimators_, labels, predictions, weights)))
        warn_of_unscored(unscored)
        return float(np.mean(scores[~np.isnan(scores)])) if not np.isnan(scores).all() else float("nan")

    @property
    def n_features_in_(self) -> int:
        """Number of features, if the fitted estimators have it."""
        return self._from_heads("n_features_in_")

    @property
    def feature_names_in_(self) -> NDArray:
        """Names of the features, if the fitted estimators have them."""
        return self._from_heads("feature_names_in_")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, with those of a dict's estimators as `estimator__<task>__<parameter>`.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the parameters of the estimators too.

        Returns
        -------
        dict
            Values by name.
        """
        params = super().get_params(deep=deep)
        if deep and isinstance(self.estimator, dict):
            for name, head in self.estimator.items():
                params[f"estimator__{name}"] = head
                nested = head.get_params() if is_estimator(head) else {}
                params |= {f"estimator__{name}__{key}": value for key, value in nested.items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters; those of a dict's estimators as `estimator__<task>__<parameter>`.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        self
            The estimator.
        """
        self.estimator = params.pop("estimator", self.estimator)
        if isinstance(self.estimator, dict):
            # Sorted, so that an estimator is replaced before its parameters are set.
            for key in sorted(key for key in params if key.startswith("estimator__")):
                self._set_head(key.removeprefix("estimator__"), params.pop(key))
        return super().set_params(**params)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the routing of metadata: one entry for the estimator, or one per task for a dict of them.

        Returns
        -------
        MetadataRouter
            Routes of `fit`, and this object's own request for weights in `score`.
        """
        heads = self.estimator if isinstance(self.estimator, dict) else {"estimator": self.estimator}
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        known = {str(name): head for name, head in heads.items() if is_estimator(head)}
        return router.add(method_mapping=mapping, **known)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # `fit` rejects objects that are not estimators, with its own message.
        heads = [get_tags(head).input_tags for head in self._templates if is_estimator(head)]
        for name in (field.name for field in fields(tags.input_tags) if heads):
            combine = any if name in REQUIREMENTS else all
            setattr(tags.input_tags, name, combine(getattr(head, name) for head in heads))
        tags.target_tags.multi_output = tags.target_tags.required = True
        return tags

    @property
    def _templates(self) -> list[Any]:
        """The given estimators."""
        return list(self.estimator.values()) if isinstance(self.estimator, dict) else [self.estimator]

    def _heads(self, names: list[str]) -> list[Any]:
        """Return each task's estimator, not yet cloned."""
        heads = per_task(self.estimator, names, "estimator")
        for name, head in zip(names, heads, strict=True):
            if not is_estimator(head):
                hint = f": give an instance, {head.__name__}()" if isinstance(head, type) else ""
                raise ValueError(
                    "estimator must have estimators as sklearn.base.BaseEstimator makes them, with fit and predict. "
                    f"Got {short(head)} for task {name!r}{hint}."
                )
            if is_classifier(self) and not is_classifier(head):
                raise ValueError(f"{type(self).__name__} needs classifiers. Got {short(head)} for task {name!r}.")
        return heads

    def _fit_params(
        self, columns: list[NDArray], names: list[str], heads: list[Any], sample_weight: Any, fit_params: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Return the parameters of each head's fit, for all rows."""
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        params = [{**fit_params, **weights}] * len(names)
        if params[0] and get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", **params[0])
            keys = names if isinstance(self.estimator, dict) else ["estimator"] * len(names)
            params = [routed[key]["fit"] for key in keys]
        elif weights:
            unweighted = [n for n, h in zip(names, heads, strict=True) if not has_fit_parameter(h, "sample_weight")]
            if unweighted:
                raise ValueError(f"sample_weight needs estimators that take it. Those of {listed(unweighted)} do not.")
        return [
            {name: _of_task(name, value, columns, task) for name, value in own.items()}
            for task, own in enumerate(params)
        ]

    def _by_head(self, method: str, X: Any) -> list[NDArray]:
        """Call a method of each fitted estimator with the rows."""
        check_is_fitted(self)
        calls = (delayed(getattr(head, method))(X) for head in self.estimators_)
        return [np.asarray(result) for result in Parallel(n_jobs=self.n_jobs)(calls)]

    def _from_heads(self, name: str) -> Any:
        """Return an attribute of the first fitted estimator that has it."""
        for head in getattr(self, "estimators_", []):
            if hasattr(head, name):
                return getattr(head, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}.")

    def _set_head(self, key: str, value: Any) -> None:
        """Replace an estimator of the dict, or set a parameter of it."""
        owners = [name for name in self.estimator if f"{key}__".startswith(f"{name}__")]
        if not owners:
            hint = suggest(key.split("__")[0], self.estimator)
            raise ValueError(
                f"estimator__{key} must name a task of estimator. The tasks are {listed(self.estimator)}.{hint}"
            )
        name = max(owners, key=lambda owner: len(str(owner)))
        if key == str(name):
            self.estimator = {**self.estimator, name: value}
        else:
            self.estimator[name].set_params(**{key.removeprefix(f"{name}__"): value})
