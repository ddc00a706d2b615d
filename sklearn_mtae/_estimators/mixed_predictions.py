"""Predictions for tasks of several kinds: means of numbers, classes, and their uncertainty."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if

from sklearn_mtae._fitting.mixed_average import predict_tasks, tasks_of
from sklearn_mtae._fitting.plan import Plan
from sklearn_mtae._tables.censoring import read_censoring
from sklearn_mtae._tables.classes import warn_of_one_class
from sklearn_mtae._tables.containers import numbers, plain
from sklearn_mtae._tables.mixed_targets import MixedTasks
from sklearn_mtae._verbs.censored_scores import check_no_limits, with_limits
from sklearn_mtae._verbs.intervals import predict_interval, predict_set
from sklearn_mtae._verbs.joint import class_logs, predictions
from sklearn_mtae._verbs.labels import check_labels
from sklearn_mtae.metrics import d2_score

from .multi_task import BaseMultiTaskVAE


def _may_have_classes(estimator: Any) -> bool:
    """Return whether a task may be of classes: before a fit, any may."""
    return not hasattr(estimator, "_fitted") or bool(estimator.classes_)


class PredictsMixed(BaseMultiTaskVAE):
    """Base of the estimators whose tasks are of several kinds."""

    classes_: dict[str, NDArray]
    task_kinds_: dict[str, Any]

    def predict(self, X: ArrayLike, return_std: bool = False, y_observed: ArrayLike | None = None) -> Any:
        """Predict each task: the mean of a number, the most probable class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        return_std : bool, default=False
            Whether to also return predictive standard deviations of the numbers.
        y_observed : array-like of shape (n_samples,) or (n_samples, n_tasks) or None, default=None
            Labels that are known already, NaN (or None) where not. They inform the predictions of the other tasks of
            their rows, and are predicted as they are.

        Returns
        -------
        predicted : DataFrame or ndarray of shape (n_samples, n_tasks), or ndarray of shape (n_samples,)
            A data frame with Y's columns and dtypes and the index of X, if Y was a pandas frame; but columns of whole
            numbers become floats. Otherwise an array, of objects where the tasks are of several kinds.
        std : DataFrame or ndarray of the same shape
            Standard deviations, with `return_std`, as in :meth:`MultiTaskVAERegressor.predict`; NaN for classes.
        """
        runner, tasks = self._runner, self._tasks
        x = runner.read(X)
        own = predictions(runner, x, return_std, self._read_observed(y_observed, x))
        mean, std, logs = own.scaled(self._fitted.average.inflation)
        columns = mean if logs is None else np.where(tasks.of_classes, logs.argmax(-1), mean)
        predicted = tasks.means(self._in_precision(columns, x), X)
        if not return_std:
            return predicted
        assert std is not None
        return predicted, tasks.floats(self._in_precision(std, x), X)

    @available_if(_may_have_classes)
    def predict_proba(self, X: ArrayLike, y_observed: ArrayLike | None = None) -> dict[str, Any]:
        """Predict the class probabilities of the tasks that are classes.

        They are averaged and calibrated as in :meth:`MultiTaskVAEClassifier.predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y_observed : array-like of shape (n_samples,) or (n_samples, n_tasks) or None, default=None
            Labels that are known already, NaN (or None) where not. They inform the predictions of the other tasks of
            their rows, and are predicted as they are.

        Returns
        -------
        dict of str to DataFrame or ndarray of shape (n_samples, n_classes)
            Probabilities by task, in the order of `classes_`: data frames with the classes as columns where Y was a
            data frame, otherwise arrays.
        """
        runner = self._runner
        x = runner.read(X)
        return self._tasks.by_class(np.exp(class_logs(runner, x, self._read_observed(y_observed, x))), X)

    def predict_interval(
        self, X: ArrayLike, coverage: float = 0.9, y_observed: ArrayLike | None = None
    ) -> tuple[Any, Any]:
        """Predict intervals that contain a given fraction of the labels of each task of numbers.

        They are those of :meth:`MultiTaskVAERegressor.predict_interval`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        coverage : float, default=0.9
            Fraction of the labels that should lie within the intervals.
        y_observed : array-like of shape (n_samples,) or (n_samples, n_tasks) or None, default=None
            Labels that are known already, NaN (or None) where not. They inform the predictions of the other tasks of
            their rows, and are predicted as they are.

        Returns
        -------
        lower : DataFrame or ndarray of shape (n_samples, n_tasks), or ndarray of shape (n_samples,)
            Lower ends of the intervals, floats; NaN for classes.
        upper : DataFrame or ndarray of the same shape
            Upper ends.

        Raises
        ------
        ValueError
            If no row was held out, or fewer labels of a task than the coverage needs: `coverage / (1 - coverage)`.
        """
        self._check_coverage(coverage, "predict_interval")
        runner, tasks = self._runner, self._tasks
        x = runner.read(X)
        known = self._read_observed(y_observed, x)
        lower, upper = predict_interval(runner, x, coverage, ~tasks.of_classes, known)
        return tasks.floats(self._in_precision(lower, x), X), tasks.floats(self._in_precision(upper, x), X)

    @available_if(_may_have_classes)
    def predict_set(self, X: ArrayLike, coverage: float = 0.9, y_observed: ArrayLike | None = None) -> dict[str, Any]:
        """Predict sets of classes that contain a given fraction of the labels of each task that is classes.

        They are those of :meth:`MultiTaskVAEClassifier.predict_set`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        coverage : float, default=0.9
            Fraction of the labels that should lie within the sets.
        y_observed : array-like of shape (n_samples,) or (n_samples, n_tasks) or None, default=None
            Labels that are known already, NaN (or None) where not. They inform the predictions of the other tasks of
            their rows, and are predicted as they are.

        Returns
        -------
        dict of str to DataFrame or ndarray of bool of shape (n_samples, n_classes)
            Which classes are in the set, by task, as `predict_proba` returns probabilities.

        Raises
        ------
        ValueError
            If no row was held out, or fewer labels of a task than the coverage needs: `coverage / (1 - coverage)`.
        """
        self._check_coverage(coverage, "predict_set")
        runner, tasks = self._runner, self._tasks
        x = runner.read(X)
        known = self._read_observed(y_observed, x)
        return tasks.by_class(predict_set(runner, x, coverage, tasks.of_classes, known), X)

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        censoring: ArrayLike | None = None,
    ) -> float:
        """Return the mean over tasks of the explained fraction of the deviance, without missing labels.

        For numbers it is R2, and for classes D2 of the log loss. For numbers whose likelihood is "poisson",
        "negative_binomial", "gamma" or "bernoulli", it is D2 of the matching deviance: see
        :func:`sklearn_mtae.metrics.d2_score`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Targets; NaN, None or pandas.NA where a label is missing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weights of the rows or of the labels.
        censoring : array-like of shape (n_samples,) or (n_samples, n_tasks), or None, default=None
            Which labels are only limits of the true value, as for `fit`. The R2 of a task with limits is that of the
            likelihood of normal distributions around predictions (Magee 1990, doi 10.2307/2685317), which is the usual
            one where there are none.

        Returns
        -------
        float
            Mean over the tasks that have two labels, and, except for R2, two different ones; a warning names the
            others.

        Raises
        ------
        ValueError
            If a label is one that `fit` rejects, such as a negative count.
        """
        runner, tasks = self._runner, self._tasks
        x, y = runner.read(X), plain(y)
        truths = self._named(y)
        labels = self._check_numbers(truths, sample_weight)
        means, _, logs = predict_tasks(runner, x)
        known = [own if is_class else None for own, is_class in zip(tasks.classes, tasks.of_classes, strict=True)]
        parts = [
            means[:, task] if own is None else np.exp(logs[:, task, : len(own)])  # type: ignore[index]
            for task, own in enumerate(known)
        ]
        score = partial(d2_score, truths, parts, labels=known, likelihoods=tasks.kinds, sample_weight=sample_weight)
        if censoring is None or labels is None or not (codes := read_censoring(censoring, y)).any():
            return score()
        check_no_limits(np.where(tasks.of_classes, codes, 0), y)
        return with_limits(score(multioutput="raw_values"), labels, means, codes, sample_weight)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    @property
    def _tasks(self) -> MixedTasks:
        return tasks_of(self._runner.fitted)

    def _check_numbers(self, truths: Any, sample_weight: Any) -> NDArray | None:
        """Return the numeric labels, NaN for classes; raise an error if one of them is one that `fit` rejects."""
        tasks = self._tasks
        if list(truths) != tasks.names:
            return None  # the score says what is wrong
        nothing = np.full(len(next(iter(truths.values()))), np.nan)
        columns = [
            nothing if is_class else numbers(column, f"task {name!r}")
            for (name, column), is_class in zip(truths.items(), tasks.of_classes, strict=True)
        ]
        table = np.stack(columns, axis=1).astype(np.float64)
        check_labels(self._fitted, table, sample_weight)
        return table

    def _in_precision(self, columns: NDArray, x: Any) -> NDArray:
        """Return targets in the wider precision of the rows and the targets of `fit`."""
        return columns.astype(np.result_type(x.dtype, self._tasks.dtype), copy=False)

    def _as_targets(self, columns: NDArray) -> Any:
        return self._tasks.cells(columns)

    def _look_back(self, plan: Plan | None) -> None:
        super()._look_back(plan)
        if plan is None or plan.fitted.n_iter == 0:
            warn_of_one_class(list(self.classes_.values()), list(self.classes_))
