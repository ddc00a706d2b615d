"""Predictions of each row by a model fitted to the other folds, with missing labels."""

import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn import get_config
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, KFold, check_cv
from sklearn.utils import check_consistent_length, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed

from sklearn_mtae._tables.checks import check_method_params, safe_indexing
from sklearn_mtae._tables.classes import observed_labels
from sklearn_mtae._tables.containers import n_rows
from sklearn_mtae._tables.targets import target_columns, task_names

from ._split import TaskKFold

BY_CLASS = {"predict_proba", "predict_log_proba", "decision_function"}
"""Methods with a column for each class."""


def cross_val_predict(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: Mapping[str, Any] | None = None,
    pre_dispatch: int | str = "2*n_jobs",
    method: Literal["predict", "predict_proba", "predict_log_proba", "decision_function", "transform"]
    | str = "predict",
) -> Any:
    """Predict each row by a model fitted to the other folds, whether the row has labels or not.

    This is :func:`sklearn.model_selection.cross_val_predict` for partly missing labels. For methods with a column per
    class, scikit-learn's own turns labels into numbers before fitting: a missing label becomes an additional class,
    which the model learns and predicts. This function passes y on unchanged.

    Parameters
    ----------
    estimator : estimator
        Estimator with `fit` and the method; its clones are fitted.
    X : array-like of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Labels; NaN, None or pandas.NA where one is missing.
    groups : array-like of shape (n_samples,), default=None
        Groups of the rows, for a `cv` that keeps them together, such as a number of folds or
        :class:`sklearn.model_selection.GroupKFold`.
    cv : int, splitter, iterable or None, default=None
        Folds, with each row in one test part. A number is that of folds of :class:`TaskKFold`, 5 by default; without y,
        of :class:`sklearn.model_selection.KFold`.
    n_jobs : int or None, default=None
        Number of fits in parallel; None is 1, -1 is all processors.
    verbose : int, default=0
        Verbosity of joblib.
    params : dict or None, default=None
        Further parameters of `fit`, such as `sample_weight`. Parameters with one value per row are restricted to the
        training rows.
    pre_dispatch : int or str, default="2*n_jobs"
        Number of fits dispatched at once, for joblib.
    method : str, default="predict"
        Method to call: "predict", "predict_proba", "transform", ...

    Returns
    -------
    ndarray, sparse array, DataFrame, or list or dict of them
        The method's result for all rows, in their order: for probabilities of several tasks, a list with an array for
        each, or a dict by task. There is a column for each class in y, sorted, whichever classes a fold has. The
        probability of a class that a training part lacks is 0, its logarithm is the smallest possible number, and a
        warning says so.

    Raises
    ------
    ValueError
        If the test parts are not a partition of the rows, if a task has fewer labels than there are folds, or if a
        training part lacks a class that a decision function needs.

    See Also
    --------
    TaskKFold : The folds.
    sklearn_mtae.metrics : Scores of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_mtae import PerTaskClassifier
    >>> from sklearn_mtae.model_selection import cross_val_predict
    >>> X = np.arange(8.0)[:, None]
    >>> y = np.array([0, 0, 0, np.nan, 1, 1, 1, np.nan])
    >>> cross_val_predict(PerTaskClassifier(LogisticRegression()), X, y, cv=3, method="predict_proba").shape
    (8, 2)
    """
    X, y, groups = indexable(X, y, groups)
    check_consistent_length(X, *([] if y is None else target_columns(y)))
    cv = _splitter(cv, y, groups)
    split_params, fit_params = _routed(estimator, cv, groups, dict(params or {}))
    splits = list(cv.split(X, y, **split_params))
    tests = np.concatenate([test for _, test in splits])
    order = np.argsort(tests)
    if not np.array_equal(tests[order], np.arange(n_rows(X))):
        raise ValueError(
            "cv must have each row in one test part. For repeated or random parts there is cross_validate."
        )
    jobs = (delayed(_fold)(clone(estimator), X, y, train, test, fit_params, method) for train, test in splits)
    results = Parallel(n_jobs=n_jobs, verbose=verbose, pre_dispatch=pre_dispatch)(jobs)
    parts = [prediction for prediction, _ in results]
    if isinstance(parts[0], Mapping):
        _align_by_name(parts, [classes for _, classes in results])
        return {name: _join([part[name] for part in parts], order) for name in parts[0]}
    if method in BY_CLASS and y is not None:
        parts = _align(parts, [classes for _, classes in results], y, method)
    if isinstance(parts[0], list):
        return [_join(task, order) for task in zip(*parts, strict=True)]
    return _join(parts, order)


def _splitter(cv: Any, y: Any, groups: Any) -> Any:
    """Make the splitter of the rows."""
    if cv is not None and not isinstance(cv, Integral):
        return check_cv(cv)
    n_splits = 5 if cv is None else int(cv)
    if y is not None:
        return TaskKFold(n_splits)
    return KFold(n_splits) if groups is None else GroupKFold(n_splits)


def _routed(estimator: Any, cv: Any, groups: Any, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters of the splitter's `split` and of the estimator's `fit`."""
    if not get_config()["enable_metadata_routing"]:
        return {"groups": groups}, params
    if groups is not None:
        raise ValueError(
            "groups must be passed in params where metadata routing is enabled: params={'groups': groups}."
        )
    router = MetadataRouter(owner="cross_val_predict")
    router.add(splitter=cv, method_mapping=MethodMapping().add(caller="fit", callee="split"))
    router.add(estimator=estimator, method_mapping=MethodMapping().add(caller="fit", callee="fit"))
    routed = process_routing(router, "fit", **params)
    return routed["splitter"]["split"], routed["estimator"]["fit"]


def _fold(
    estimator: Any, X: Any, y: Any, train: NDArray, test: NDArray, params: dict[str, Any], method: str
) -> tuple[Any, Any]:
    """Fit to the training part; return the method's result for the test part, and the known classes."""
    labels = () if y is None else (safe_indexing(y, train),)
    estimator.fit(safe_indexing(X, train), *labels, **check_method_params(X, params, train))
    return getattr(estimator, method)(safe_indexing(X, test)), getattr(estimator, "classes_", None)


def _join(parts: Sequence[Any], order: NDArray) -> Any:
    """Return the parts in the order of the rows."""
    if sparse.issparse(parts[0]):
        return sparse.vstack(parts, format="csr")[order]
    if hasattr(parts[0], "iloc"):
        import pandas as pd

        return pd.concat(parts).iloc[order]
    return np.concatenate(parts)[order]


def _align(parts: list[Any], classes: list[Any], y: Any, method: str) -> list[Any]:
    """Return the predictions of each fold with a column for each class of all labels."""
    columns, names = target_columns(y), task_names(y)
    by_task = isinstance(parts[0], list)
    if any(own is None for own in classes) or (not by_task and len(columns) > 1):
        return parts  # one column for each of several tasks
    predictions = parts if by_task else [[part] for part in parts]
    known = classes if by_task else [[own] for own in classes]
    for task, (name, column) in enumerate(zip(names, columns, strict=True)):
        every = np.unique(np.concatenate([observed_labels(column)[1], *(own[task] for own in known)]))
        _warn_of_absent(name, every, [own[task] for own in known])
        for fold, own in zip(predictions, known, strict=True):
            fold[task] = _place(np.asarray(fold[task]), own[task], every, name, method)
    return predictions if by_task else [part for (part,) in predictions]


def _align_by_name(parts: list[dict[str, Any]], classes: list[dict[str, NDArray]]) -> None:
    """Expand predictions for classes, by task name, to a column for each class that some fold knows."""
    for name in parts[0]:
        known = [own[name] for own in classes]
        if all(np.array_equal(known[0], own) for own in known):
            continue
        every = np.unique(np.concatenate(known))
        _warn_of_absent(name, every, known)
        for part, own in zip(parts, known, strict=True):
            values = np.asarray(part[name])
            placed = np.zeros((len(values), len(every)), dtype=values.dtype)
            placed[:, np.searchsorted(every, own)] = values
            is_frame = hasattr(part[name], "iloc")
            part[name] = type(part[name])(placed, part[name].index, every) if is_frame else placed


def _warn_of_absent(name: str, every: NDArray, known: Sequence[NDArray]) -> None:
    """Warn of the classes that some training part lacks."""
    absent = [label for label in every.tolist() if any(label not in own.tolist() for own in known)]
    if absent:
        warnings.warn(
            f"Not every training part has labels of all classes of task {name!r}: some lack {absent}, which counts "
            "as impossible there. TaskKFold deals classes evenly.",
            RuntimeWarning,
            stacklevel=4,
        )


def _place(values: NDArray, own: NDArray, every: NDArray, name: str, method: str) -> NDArray:
    """Return the columns of the classes that a fold knows among those of all."""
    if len(own) == len(every):
        return values
    if method == "decision_function" and (len(every) == 2 or values.ndim == 1 or values.shape[1] != len(own)):
        raise ValueError(
            f"decision_function must be that of all classes in every fold. Of task {name!r} a training part has labels "
            f"of {own.tolist()} only, among {every.tolist()}."
        )
    placed = np.full((len(values), len(every)), 0 if method == "predict_proba" else np.finfo(values.dtype).min)
    placed = placed.astype(values.dtype)
    placed[:, np.searchsorted(every, own)] = values
    return placed
