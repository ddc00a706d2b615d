"""Any estimator of scikit-learn, fitted per task on the rows that have the task's label."""

from typing import Any

from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .per_task_base import BasePerTask, if_heads_have

__all__ = ["PerTaskClassifier", "PerTaskRegressor"]


class PerTaskRegressor(RegressorMixin, BasePerTask):
    """Fit an estimator per task, each on the rows that have the task's label.

    The tasks share nothing but the features. To let them share a code, put an encoder in front: with
    `Pipeline([("encoder", ...), ("pertask", PerTaskRegressor(SVR()))], memory=...)` a search over
    `pertask__estimator__C` fits the encoder once per fold, on all rows, labelled or not.

    Parameters
    ----------
    estimator : estimator or dict of str to estimator
        Estimator that is cloned for each task, or a dict with one per task by the task's name. Here the dict may hold
        classifiers, for tasks whose labels are classes.
    n_jobs : int or None, default=None
        Number of estimators to fit, or to predict with, in parallel; None is 1, -1 is all processors.

    Attributes
    ----------
    estimators_ : list of estimators
        The fitted estimators, in the order of the tasks.
    task_names_ : list of str
        Names of the tasks: those of a data frame's columns or of a series, otherwise "y0", "y1", ...
    n_features_in_ : int
        Number of features, if the fitted estimators have it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had names and the fitted estimators have them.

    See Also
    --------
    PerTaskClassifier : The same for classes.
    sklearn.multioutput.MultiOutputRegressor : The same where no label is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.svm import SVR
    >>> from sklearn_mtae import PerTaskRegressor
    >>> X, Y = load_linnerud(return_X_y=True)
    >>> Y[::2, 0] = np.nan  # every other label of the first task is missing
    >>> model = PerTaskRegressor(SVR(kernel="linear")).fit(X, Y)
    >>> model.predict(X).shape
    (20, 3)
    >>> [head.shape_fit_[0] for head in model.estimators_]  # the rows that each was fitted to
    [10, 20, 20]
    """

    score = BasePerTask.score


class PerTaskClassifier(ClassifierMixin, BasePerTask):
    """Fit a classifier per task, each on the rows that have the task's label.

    A task's classes are those of its labels. In cross-validation pass a splitter, such as
    :class:`~sklearn_mtae.model_selection.TaskKFold`: with missing labels, `cv=5` is an error of scikit-learn's or, for
    a single column of strings, makes folds that are not stratified. Use
    :func:`~sklearn_mtae.model_selection.cross_val_predict` from there too: scikit-learn's own treats a missing label as
    a class.

    Parameters
    ----------
    estimator : estimator or dict of str to estimator
        Estimator that is cloned for each task, or a dict with one per task by the task's name. Here all of them are
        classifiers.
    n_jobs : int or None, default=None
        Number of estimators to fit, or to predict with, in parallel; None is 1, -1 is all processors.

    Attributes
    ----------
    estimators_ : list of classifiers
        The fitted classifiers, in the order of the tasks.
    classes_ : list of ndarray, or ndarray for one-dimensional y
        Classes of each task.
    task_names_ : list of str
        Names of the tasks: those of a data frame's columns or of a series, otherwise "y0", "y1", ...
    n_features_in_ : int
        Number of features, if the fitted classifiers have it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had names and the fitted classifiers have them.

    See Also
    --------
    PerTaskRegressor : The same for numbers.
    sklearn.multioutput.MultiOutputClassifier : The same where no label is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_mtae import PerTaskClassifier
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> Y = np.array([["low", None], ["low", "odd"], ["high", "even"], [None, "even"]], dtype=object)
    >>> model = PerTaskClassifier(LogisticRegression()).fit(X, Y)
    >>> model.predict([[-3.0], [3.0]]).tolist()
    [['low', 'odd'], ['high', 'even']]
    >>> [p.shape for p in model.predict_proba(X)]
    [(4, 2), (4, 2)]
    """

    score = BasePerTask.score

    @property
    def classes_(self) -> Any:
        """Classes of each task."""
        check_is_fitted(self)
        return self._as_tasks([head.classes_ for head in self.estimators_])

    @available_if(if_heads_have("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of each task's classes.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        list of ndarray of shape (n_samples, n_classes), or ndarray for one-dimensional y
            Probabilities, in the order of `classes_`.
        """
        return self._as_tasks(self._by_head("predict_proba", X))

    @available_if(if_heads_have("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of the probabilities of each task's classes.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        list of ndarray of shape (n_samples, n_classes), or ndarray for one-dimensional y
            Log-probabilities in nats, in the order of `classes_`.
        """
        return self._as_tasks(self._by_head("predict_log_proba", X))

    @available_if(if_heads_have("decision_function"))
    def decision_function(self, X: Any) -> Any:
        """Return the confidences of each task's classifier, on its own scale.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        list of ndarray of shape (n_samples,) or (n_samples, n_classes), or ndarray for one-dimensional y
            Confidences: a number per row where there are two classes, otherwise one per class in the order of
            `classes_`; 0 where there is one class only.
        """
        return self._as_tasks(self._by_head("decision_function", X))

    def _as_tasks(self, values: list[NDArray]) -> Any:
        return values[0] if self._y_ndim == 1 else values
