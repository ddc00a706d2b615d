"""Predictions of classes: the most probable one, probabilities, and sets that contain a fraction of the labels."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_mtae._verbs.intervals import predict_set
from sklearn_mtae._verbs.joint import class_logs

from .multi_task import BaseMultiTaskVAE


class PredictsClasses(BaseMultiTaskVAE):
    """Base of the estimators whose tasks are classes."""

    classes_: NDArray | list[NDArray]

    def predict(self, X: ArrayLike, y_observed: ArrayLike | None = None) -> NDArray:
        """Predict the class of each task: the most probable one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y_observed : array-like of shape (n_samples,) or (n_samples, n_tasks) or None, default=None
            Labels that are known already, NaN (or None) where not. They inform the predictions of the other tasks of
            their rows, and are predicted as they are.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Classes; objects where the tasks' labels are of different types.
        """
        return self._as_targets(self._log_probabilities(X, y_observed).argmax(-1))

    def predict_log_proba(self, X: ArrayLike, y_observed: ArrayLike | None = None) -> NDArray | list[NDArray]:
        """Predict the logarithms of the class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y_observed : array-like of shape (n_samples,) or (n_samples, n_tasks) or None, default=None
            Labels that are known already, NaN (or None) where not. They inform the predictions of the other tasks of
            their rows, and are predicted as they are.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or list of such arrays
            Log-probabilities in the order of `classes_`; a list with one per task where y had two dimensions.
        """
        return self._by_task(self._log_probabilities(X, y_observed))

    def predict_proba(self, X: ArrayLike, y_observed: ArrayLike | None = None) -> NDArray | list[NDArray]:
        """Predict the class probabilities at the posterior means, averaged over the members by their weights.

        Kernels may count beside default members: see `member_params`. Where rows were held out, the averages are made
        sharper or flatter to fit them (temperature scaling, Guo et al. 2017, arXiv 1706.04599).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y_observed : array-like of shape (n_samples,) or (n_samples, n_tasks) or None, default=None
            Labels that are known already, NaN (or None) where not. They inform the predictions of the other tasks of
            their rows, and are predicted as they are.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or list of such arrays
            Probabilities in the order of `classes_`; a list with one per task where y had two dimensions.
        """
        logs = self.predict_log_proba(X, y_observed)
        return [np.exp(column) for column in logs] if isinstance(logs, list) else np.exp(logs)

    def predict_set(
        self, X: ArrayLike, coverage: float = 0.9, y_observed: ArrayLike | None = None
    ) -> NDArray[np.bool_] | list[NDArray[np.bool_]]:
        """Predict sets of classes that contain a given fraction of the labels of each task.

        Cross-conformal prediction (Vovk 2015, doi 10.1007/s10472-013-9368-4): the set contains the classes that are at
        least as probable as this fraction of the labels of held-out rows were to members not trained on them (Sadinle
        et al. 2019, arXiv 1609.00451). The fraction holds over all rows, not for each class. A set is empty where no
        class is that probable. Given known labels, it has the most probable classes whose probabilities add up to it.

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
        ndarray of bool of shape (n_samples, n_classes) or list of such arrays
            Which classes are in the set, in the order of `classes_`; a list with one per task where y had two
            dimensions.

        Raises
        ------
        ValueError
            If no row was held out, or fewer labels of a task than the coverage needs: `coverage / (1 - coverage)`.
        """
        self._check_coverage(coverage, "predict_set")
        runner = self._runner
        x = runner.read(X)
        return self._by_task(predict_set(runner, x, coverage, known=self._read_observed(y_observed, x)))

    def _log_probabilities(self, X: Any, y_observed: Any) -> NDArray:
        runner = self._runner
        x = runner.read(X)
        return class_logs(runner, x, self._read_observed(y_observed, x))

    def _by_task(self, array: NDArray) -> Any:
        """Return the values for the classes, task by task where y had two dimensions."""
        columns = [array[:, task, : len(classes)] for task, classes in enumerate(self._classes)]
        return columns if isinstance(self.classes_, list) else columns[0]

    @property
    def _classes(self) -> list[NDArray]:
        """Classes of each task."""
        return self.classes_ if isinstance(self.classes_, list) else [self.classes_]
