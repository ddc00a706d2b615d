"""Held-out predictions against fits fold by fold, and against scikit-learn's own where no label is missing."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn import model_selection as theirs
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor, PerTaskClassifier, PerTaskRegressor
from sklearn_mtae.model_selection import TaskKFold, TaskShuffleSplit, cross_val_predict

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
NUMBERS = X @ RNG.normal(size=(3, 2))
NUMBERS[::3, 0] = NUMBERS[1::4, 1] = np.nan
WORD = np.array(["high", "low", "mid"], dtype=object)[np.digitize(X[:, 0], [-0.4, 0.4])]
WORD[::4] = None
YES = np.where(RNG.random(60) < 0.3, np.nan, X[:, 1] > 0)
CLASSES = pd.DataFrame({"word": WORD, "yes": YES})
CLASSES.iloc[5] = [None, np.nan]


def small(estimator, **parameters):
    return estimator(2, n_estimators=1, hidden_layer_sizes=(6,), max_iter=1, random_state=0, **parameters)


def by_hand(model, y, method, cv):
    """Return what the method says of each row by the fit to the other folds, as a list by task."""
    found = {}
    for train, test in cv.split(X, y):
        rows = y.iloc[train] if hasattr(y, "iloc") else y[train]
        fitted = clone(model).fit(X[train], rows)
        result = getattr(fitted, method)(X[test])
        for task, values in enumerate(result if isinstance(result, list) else [result]):
            found.setdefault(task, {}).update(zip(test.tolist(), values, strict=True))
    return [np.array([rows[row] for row in range(60)]) for rows in found.values()]


@pytest.mark.parametrize(
    ("model", "y", "method", "shapes"),
    [
        (small(MultiTaskVAEClassifier), CLASSES, "predict_proba", [(60, 3), (60, 2)]),
        (small(MultiTaskVAEClassifier), CLASSES, "predict_log_proba", [(60, 3), (60, 2)]),
        (small(MultiTaskVAEClassifier), CLASSES, "predict", [(60, 2)]),
        (small(MultiTaskVAEClassifier), WORD, "predict_proba", [(60, 3)]),
        (small(MultiTaskVAEClassifier), CLASSES, "transform", [(60, 2)]),
        (small(MultiTaskVAERegressor), NUMBERS, "predict", [(60, 2)]),
        (PerTaskClassifier(SVC()), CLASSES, "decision_function", [(60, 3), (60,)]),
        (PerTaskClassifier(GaussianNB()), CLASSES.to_numpy(), "predict_proba", [(60, 3), (60, 2)]),
        (make_pipeline(StandardScaler(), PerTaskClassifier(GaussianNB())), YES, "predict_proba", [(60, 2)]),
        (PerTaskRegressor(Ridge()), NUMBERS, "predict", [(60, 2)]),
    ],
)
def test_predictions_are_those_of_fits_fold_by_fold(model, y, method, shapes):
    found = cross_val_predict(model, X, y, cv=3, method=method)
    expected = by_hand(model, y, method, TaskKFold(3))
    found = found if isinstance(found, list) else [found]
    assert [values.shape for values in found] == [values.shape for values in expected] == shapes
    for values, own in zip(found, expected, strict=True):
        np.testing.assert_array_equal(values, own)


def test_without_missing_labels_it_is_scikit_learns():
    kind = np.digitize(X[:, 0], [-0.4, 0.4])
    table = np.column_stack([kind, X[:, 1] > 0])
    for model, y, method in (
        (LogisticRegression(), kind, "predict_proba"),
        (SVC(), kind, "decision_function"),
        (GaussianNB(), np.array(["c", "a", "b"])[kind], "predict_log_proba"),
        (PerTaskClassifier(GaussianNB()), table, "predict_proba"),
        (KMeans(2, random_state=0), None, "predict"),
    ):
        own, other = (f(model, X, y, cv=KFold(4), method=method) for f in (cross_val_predict, theirs.cross_val_predict))
        for values, expected in zip(*(v if isinstance(v, list) else [v] for v in (own, other)), strict=True):
            np.testing.assert_allclose(values, expected)
    default = cross_val_predict(Ridge(), X, X[:, 0])
    np.testing.assert_allclose(default, theirs.cross_val_predict(Ridge(), X, X[:, 0], cv=TaskKFold(5)))


def test_sparse_results_are_sparse():
    levels = np.arange(60)[:, None] % 3
    encoder = OneHotEncoder(categories=[[0, 1, 2]])
    found = cross_val_predict(encoder, levels, cv=KFold(4, shuffle=True, random_state=0), method="transform")
    assert sparse.issparse(found)
    np.testing.assert_array_equal(found.toarray(), encoder.fit_transform(levels).toarray())


def test_scikit_learns_own_learns_missing_labels_as_a_class():
    """What this one is for."""
    wrong = theirs.cross_val_predict(PerTaskClassifier(GaussianNB()), X, YES, cv=TaskKFold(3), method="predict_proba")
    assert wrong.shape == (60, 3)
    right = cross_val_predict(PerTaskClassifier(GaussianNB()), X, YES, cv=3, method="predict_proba")
    assert right.shape == (60, 2)


def test_a_class_that_a_training_part_lacks():
    y = pd.DataFrame({"yes": np.where(np.isnan(YES), np.nan, YES), "kind": ["a"] * 20 + ["b"] * 20 + ["c"] * 20})
    model = PerTaskClassifier(GaussianNB())
    with pytest.warns(RuntimeWarning, match=r"classes of task 'kind': some lack \['a', 'b', 'c'\]"):
        _, proba = cross_val_predict(model, X, y, cv=KFold(3), method="predict_proba")
    with pytest.warns(RuntimeWarning, match="classes of task 'kind'"):
        _, logs = cross_val_predict(model, X, y, cv=KFold(3), method="predict_log_proba")
    for fold, (train, test) in enumerate(KFold(3).split(X)):
        head = GaussianNB().fit(X[train], y["kind"].to_numpy()[train])
        present = [k for k in range(3) if k != fold]
        np.testing.assert_allclose(proba[test][:, present], head.predict_proba(X[test]))
        np.testing.assert_array_equal(proba[test][:, fold], 0)
        np.testing.assert_array_equal(logs[test][:, fold], np.finfo(float).min)
    with (
        pytest.warns(RuntimeWarning, match="classes of task 'kind'"),
        pytest.raises(ValueError, match=r"Of task 'kind' a training part has labels of \['b', 'c'\] only"),
    ):
        cross_val_predict(PerTaskClassifier(SVC()), X, y, cv=KFold(3), method="decision_function")


def test_groups_stay_together():
    groups = np.arange(60) % 7
    found = cross_val_predict(PerTaskRegressor(Ridge()), X, NUMBERS, cv=GroupKFold(3), groups=groups)
    for train, test in GroupKFold(3).split(X, NUMBERS, groups):
        expected = PerTaskRegressor(Ridge()).fit(X[train], NUMBERS[train]).predict(X[test])
        np.testing.assert_allclose(found[test], expected)
    folds = list(TaskKFold(3).split(X, NUMBERS, groups))
    by_number = cross_val_predict(PerTaskRegressor(Ridge()), X, NUMBERS, cv=3, groups=groups)
    for train, test in folds:
        expected = PerTaskRegressor(Ridge()).fit(X[train], NUMBERS[train]).predict(X[test])
        np.testing.assert_allclose(by_number[test], expected)


def test_weights_reach_fit_with_and_without_routing():
    weight = np.arange(60.0) + 1
    model = PerTaskRegressor(Ridge())
    found = cross_val_predict(model, X, NUMBERS, cv=3, params={"sample_weight": weight})
    for train, test in TaskKFold(3).split(X, NUMBERS):
        expected = clone(model).fit(X[train], NUMBERS[train], sample_weight=weight[train]).predict(X[test])
        np.testing.assert_allclose(found[test], expected)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = PerTaskRegressor(Ridge().set_fit_request(sample_weight=True))
        again = cross_val_predict(routed, X, NUMBERS, cv=TaskKFold(3), params={"sample_weight": weight})
        grouped = cross_val_predict(routed, X, NUMBERS, cv=GroupKFold(3), params={"groups": np.arange(60) % 7})
    np.testing.assert_allclose(again, found)
    np.testing.assert_allclose(
        grouped, cross_val_predict(routed, X, NUMBERS, cv=GroupKFold(3), groups=np.arange(60) % 7)
    )


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (TaskShuffleSplit(2, test_size=0.5, random_state=0), "cv must have each row in one test part"),
        ([(np.arange(30), np.arange(30, 60))], "cv must have each row in one test part"),
        (45, "Task 'y0' has 40"),
    ],
)
def test_folds_that_do_not_fit(cv, message):
    with pytest.raises(ValueError, match=message):
        cross_val_predict(PerTaskRegressor(Ridge()), X, NUMBERS, cv=cv)
