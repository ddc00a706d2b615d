"""One estimator per task, on the rows that have its label."""

import pickle
from inspect import signature

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mtae import AutoencoderTransformer
from sklearn_mtae._estimators.per_task import PerTaskClassifier, PerTaskRegressor
from sklearn_mtae.metrics import r2_score


def expected_failures(estimator):
    if is_classifier(estimator) and hasattr(estimator, "decision_function"):
        return {
            "check_classifier_multioutput": "wants one array where classes_ and decision_function are lists by task"
        }
    return {}


STRICT = {"xfail_strict": True} if "xfail_strict" in signature(parametrize_with_checks).parameters else {}


@pytest.mark.filterwarnings("ignore:Task .* has one class:UserWarning")
@parametrize_with_checks(
    [
        PerTaskRegressor(Ridge()),
        PerTaskClassifier(LogisticRegression()),
        PerTaskClassifier(DecisionTreeClassifier(random_state=0)),
    ],
    expected_failed_checks=expected_failures,
    **STRICT,
)
def test_common_checks(estimator, check):
    check(estimator)


@pytest.fixture
def gaps(table):
    X, Y = table
    Y = Y.copy()
    Y[np.random.default_rng(1).random(Y.shape) < 0.4] = np.nan
    return X, Y


@pytest.fixture
def classes(table):
    """Two tasks with classes of different numbers and types."""
    X, Y = table
    words = np.array(["low", "mid", "high"], dtype=object)[np.digitize(Y[:, 0], [-0.5, 0.5])]
    table = np.column_stack([words, (Y[:, 2] > 0).astype(object)])
    table[np.random.default_rng(2).random(table.shape) < 0.3] = None
    return X, table


# Equal to what scikit-learn gives.


def test_equals_scikit_learn_on_complete_data(table):
    X, Y = table
    ours, theirs = PerTaskRegressor(SVR()).fit(X, Y), MultiOutputRegressor(SVR()).fit(X, Y)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.score(X, Y) == pytest.approx(theirs.score(X, Y))
    labels = (Y > 0).astype(int)
    ours, theirs = PerTaskClassifier(SVC()).fit(X, labels), MultiOutputClassifier(SVC()).fit(X, labels)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.predict(X).dtype == labels.dtype


def test_equals_fitting_by_hand(gaps):
    X, Y = gaps
    model = PerTaskRegressor(SVR()).fit(X, Y)
    for task in range(3):
        rows = ~np.isnan(Y[:, task])
        assert 0 < rows.sum() < len(X)
        expected = SVR().fit(X[rows], Y[rows, task]).predict(X)
        np.testing.assert_array_equal(model.predict(X)[:, task], expected)
    assert model.score(X, Y) == pytest.approx(r2_score(Y, model.predict(X)))


def test_classifier_equals_fitting_by_hand(classes):
    X, Y = classes
    model = PerTaskClassifier(LogisticRegression(max_iter=1000)).fit(StandardScaler().fit_transform(X), Y)
    X = StandardScaler().fit_transform(X)
    scores = []
    for task, dtype in enumerate([object, int]):
        rows = np.array([value is not None for value in Y[:, task]])
        labels = Y[rows, task].astype(dtype)
        head = LogisticRegression(max_iter=1000).fit(X[rows], labels)
        np.testing.assert_array_equal(model.classes_[task], head.classes_)
        assert model.predict(X)[:, task].tolist() == head.predict(X).tolist()
        for method in ("predict_proba", "predict_log_proba", "decision_function"):
            np.testing.assert_allclose(getattr(model, method)(X)[task], getattr(head, method)(X))
        scores.append(accuracy_score(labels, head.predict(X[rows])))
    assert model.score(X, Y) == pytest.approx(np.mean(scores))


def test_one_dimension_in_one_dimension_out(gaps, classes):
    X, Y = gaps
    assert PerTaskRegressor(Ridge()).fit(X, Y[:, 0]).predict(X).shape == (60,)
    assert PerTaskRegressor(Ridge()).fit(X, Y[:, :1]).predict(X).shape == (60, 1)
    words = classes[1][:, 0]
    model = PerTaskClassifier(GaussianNB()).fit(X, words)
    assert model.classes_.tolist() == ["high", "low", "mid"]
    assert model.predict_proba(X).shape == (60, 3)
    assert model.predict(X).shape == (60,)
    assert len(PerTaskClassifier(GaussianNB()).fit(X, words[:, None]).predict_proba(X)) == 1


@pytest.mark.parametrize(
    ("y", "names"),
    [
        ([[1, None], [2, "a"], [1, "b"], [None, "a"]], ["y0", "y1"]),
        (np.array([[1, np.nan], [2, "a"], [1, "b"], [None, "a"]], dtype=object), ["y0", "y1"]),
        (
            pd.DataFrame({"n": pd.array([1, 2, 1, None], dtype="Int64"), "s": pd.Series([None, "a", "b", "a"])}),
            ["n", "s"],
        ),
        (
            pd.DataFrame({"n": [1, 2, 1, pd.NA], "s": pd.Series([None, "a", "b", "a"], dtype="category")}),
            ["n", "s"],
        ),
        (pl.DataFrame({"n": [1, 2, 1, None], "s": [None, "a", "b", "a"]}), ["n", "s"]),
    ],
)
def test_labels_of_any_kind(y, names):
    model = PerTaskClassifier(DecisionTreeClassifier()).fit([[-2.0], [1.0], [-1.0], [1.5]], y)
    assert model.task_names_ == names
    assert [classes.tolist() for classes in model.classes_] == [[1, 2], ["a", "b"]]
    assert model.predict([[-2.0], [1.0]]).tolist() == [[1, "b"], [2, "a"]]
    assert model.score([[-2.0], [1.0], [-1.0], [1.5]], y) == 1


# What X may be, and what comes after a fit.


@pytest.mark.parametrize("convert", [sparse.csr_array, sparse.coo_array, pd.DataFrame, pl.DataFrame, np.ndarray.tolist])
def test_features_of_any_kind(gaps, convert):
    X, Y = gaps
    X = StandardScaler().fit_transform(X)
    expected = PerTaskRegressor(SVR()).fit(X, Y).predict(X)
    X = convert(X)
    np.testing.assert_allclose(PerTaskRegressor(SVR()).fit(X, Y).predict(X), expected, rtol=1e-6)


def test_missing_features_are_for_the_estimator_to_judge(gaps):
    X, Y = gaps
    X[3, 1] = np.nan
    PerTaskRegressor(HistGradientBoostingRegressor(max_iter=2)).fit(X, Y).predict(X)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        PerTaskRegressor(Ridge()).fit(X, Y)


def test_frames_and_their_names(gaps):
    X, Y = gaps
    X = pd.DataFrame(X, columns=list("abcde"))
    head = make_pipeline(StandardScaler().set_output(transform="pandas"), Ridge())
    model = PerTaskRegressor(head).fit(X, Y)
    assert model.feature_names_in_.tolist() == list("abcde")
    assert model.n_features_in_ == 5
    assert model.estimators_[0][-1].feature_names_in_.tolist() == list("abcde")
    assert isinstance(model.predict(X), np.ndarray)
    assert not hasattr(model.fit(X.to_numpy(), Y), "feature_names_in_")


def test_methods_are_those_of_the_estimators(classes):
    assert not hasattr(PerTaskRegressor(SVC()), "predict_proba")
    assert not hasattr(PerTaskClassifier(SVC()), "predict_proba")
    assert hasattr(PerTaskClassifier(SVC()), "decision_function")
    assert not hasattr(PerTaskClassifier({"y0": GaussianNB(), "y1": SVC()}), "decision_function")
    model = PerTaskClassifier({"y0": GaussianNB(), "y1": SVC()}).fit(*classes)
    assert not hasattr(model, "predict_proba")
    with pytest.raises(AttributeError, match="no attribute 'predict_proba'"):
        model.predict_proba(classes[0])


def test_score_leaves_tasks_with_too_few_labels_out(gaps):
    X, Y = gaps
    model = PerTaskRegressor(Ridge()).fit(X, Y)
    few = Y.copy()
    few[1:, 1] = np.nan
    with pytest.warns(UndefinedMetricWarning, match="task 'y1': it has only one label"):
        score = model.score(X, few)
    assert score == pytest.approx(r2_score(Y[:, [0, 2]], model.predict(X)[:, [0, 2]]))
    weight = np.ones_like(Y)
    weight[:, 1] = 0
    with pytest.warns(UndefinedMetricWarning, match="task 'y1': it has no label of non-zero weight"):
        assert model.score(X, Y, sample_weight=weight) == pytest.approx(score)
    with pytest.warns(UndefinedMetricWarning, match="task 'y0': .* task 'y2': it has no label"):
        assert np.isnan(model.score(X, np.full_like(Y, np.nan)))


def test_pickling_jobs_and_html(gaps):
    X, Y = gaps
    model = PerTaskRegressor(SVR()).fit(X, Y)
    expected = model.predict(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), expected)
    np.testing.assert_array_equal(clone(model).set_params(n_jobs=2).fit(X, Y).predict(X), expected)
    assert "SVR" in model._repr_html_()
    assert "SVC" in PerTaskRegressor({"a": SVR(), "b": SVC()})._repr_html_()


def test_cross_validation_of_a_classifier(gaps):
    """With a splitter: for `cv=3` scikit-learn looks for classes in y, and there is NaN."""
    X, Y = gaps
    Y = np.where(np.isnan(Y), np.nan, Y > 0)
    scores = cross_val_score(PerTaskClassifier(GaussianNB()), X, Y, cv=KFold(3))
    assert scores.shape == (3,)
    assert scores.min() > 0.7
    train, test = next(KFold(3).split(X))
    expected = PerTaskClassifier(GaussianNB()).fit(X[train], Y[train]).predict(X[test])
    hits = np.where(np.isnan(Y[test]), np.nan, expected == Y[test])
    assert scores[0] == pytest.approx(np.nanmean(hits, axis=0).mean())
    with pytest.raises(ValueError, match="NaN"), pytest.warns(RuntimeWarning, match="invalid value"):
        cross_val_score(PerTaskClassifier(GaussianNB()), X, Y, cv=3)


# After an encoder.


def test_after_an_encoder(gaps):
    X, Y = gaps
    encoder = AutoencoderTransformer(n_components=2, hidden_layer_sizes=(8,), max_iter=3, random_state=0)
    pipe = Pipeline([("encoder", encoder), ("pertask", PerTaskRegressor(SVR()))]).fit(X, Y)
    code = clone(encoder).fit(X).transform(X)
    rows = ~np.isnan(Y[:, 0])
    np.testing.assert_allclose(pipe.predict(X)[:, 0], SVR().fit(code[rows], Y[rows, 0]).predict(code))
    assert np.isfinite(pipe.score(X, Y))


class CountedEncoder(AutoencoderTransformer):
    """Appends a line to the file that is named in the environment with each fit."""

    def fit(self, X, y=None, sample_weight=None):
        import os

        with open(os.environ["COUNTED_FITS"], "a") as file:
            file.write(f"{len(X)}\n")
        return super().fit(X, y, sample_weight)


def test_a_search_fits_the_encoder_once_per_fold(gaps, tmp_path, monkeypatch):
    X, Y = gaps
    fits = tmp_path / "fits"
    monkeypatch.setenv("COUNTED_FITS", str(fits))
    encoder = CountedEncoder(n_components=2, hidden_layer_sizes=(8,), max_iter=3, random_state=0)
    pipe = Pipeline([("encoder", encoder), ("pertask", PerTaskRegressor(SVR()))], memory=str(tmp_path / "cache"))
    grid = {"pertask__estimator__C": [0.1, 1.0, 10.0, 100.0]}
    GridSearchCV(pipe, grid, cv=KFold(3), refit=False).fit(X, Y)
    assert fits.read_text().split() == ["40"] * 3


# Bad input.


def infinite(Y):
    return np.where(np.arange(Y.size).reshape(Y.shape) == 4, np.inf, Y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, Y: (X, None), "PerTaskRegressor requires y to be passed, but the target y is None"),
        (lambda X, Y: (X, Y[:9]), r"inconsistent numbers of samples: \[60, 9"),
        (lambda X, Y: (X, infinite(Y)), "Input y contains infinity"),
        (lambda X, Y: (X, Y * [1, np.nan, 1]), r"needs an observed label. Task 'y1' \(column 1 of y\) has none"),
        (lambda X, Y: (X, Y[:, :0]), "y must have at least one column"),
        (lambda X, Y: (X, Y[None]), r"y must have shape \(n_samples,\) or \(n_samples, n_tasks\)"),
        (lambda X, Y: (X, Y, np.ones(9)), "inconsistent numbers of samples"),
        (lambda X, Y: (X, Y, np.ones((60, 2))), r"must have shape \(60,\) or \(60, 3\). Got \(60, 2\)"),
    ],
)
def test_bad_data(gaps, change, message):
    with pytest.raises(ValueError, match=message):
        PerTaskRegressor(Ridge()).fit(*change(*gaps))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            PerTaskRegressor({"y0": Ridge(), "y9": Ridge()}),
            r"unknown tasks \['y9'\]. The tasks are \['y0', 'y1', 'y2'\]",
        ),
        (PerTaskRegressor({"y0": Ridge(), "y1": Ridge()}), r"There is none for \['y2'\]"),
        (PerTaskRegressor(dict.fromkeys(["y0", "y1", "y2"], 3)), "with fit and predict. Got 3 for task 'y0'"),
        (PerTaskRegressor("svm"), "'estimator' parameter of PerTaskRegressor must be an object implementing"),
        (PerTaskRegressor(Ridge(), n_jobs="all"), "'n_jobs' parameter of PerTaskRegressor"),
        (PerTaskClassifier(Ridge()), r"PerTaskClassifier needs classifiers. Got Ridge\(\) for task 'y0'"),
    ],
)
def test_bad_parameters(gaps, model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(*gaps)


def test_estimators_without_weights(gaps):
    X, Y = gaps
    with pytest.raises(ValueError, match=r"needs estimators that take it. Those of \['y1'\] do not"):
        PerTaskRegressor({"y0": Ridge(), "y1": KNeighborsRegressor(), "y2": Ridge()}).fit(
            X, Y, sample_weight=np.ones(60)
        )


def test_score_wants_the_tasks_of_the_fit(gaps):
    X, Y = gaps
    Y = pd.DataFrame(Y, columns=["a", "b", "c"])
    model = PerTaskRegressor(LinearRegression())
    with pytest.raises(NotFittedError):
        model.score(X, Y)
    model.fit(X, Y)
    with pytest.raises(
        ValueError, match=r"y must have the columns \['a', 'b', 'c'\], one per task. Got \['c', 'b', 'a'\]"
    ):
        model.score(X, Y[["c", "b", "a"]])
    with pytest.raises(ValueError, match=r"Got \['y0', 'y1'\] instead"):
        model.score(X, Y.to_numpy()[:, :2])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.score(X, Y[:9])


def test_labels_keep_their_digits_beside_single_precision():
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    y = 1.7e9 + 10 * X[:, 0].astype(np.float64)
    predicted = PerTaskRegressor(Ridge(alpha=1e-6)).fit(X, y).predict(X)
    np.testing.assert_allclose(predicted, y, rtol=0, atol=1e-2)
