"""One estimator per task: weights, routing, a dict of estimators."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone, is_classifier, is_regressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.utils import get_tags

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae._estimators.per_task import PerTaskClassifier, PerTaskRegressor
from sklearn_mtae.metrics import r2_score


@pytest.fixture
def gaps(table):
    X, Y = table
    Y = Y.copy()
    Y[np.random.default_rng(1).random(Y.shape) < 0.4] = np.nan
    return X, Y


# Weights and other parameters of fit.


def test_weights_of_rows_and_labels(gaps):
    X, Y = gaps
    rng = np.random.default_rng(3)
    for weight in (rng.random(60), rng.random((60, 3)), pd.DataFrame(rng.random((60, 3))), rng.random(60).tolist()):
        by_label = np.broadcast_to(np.asarray(weight).reshape(60, -1), Y.shape)
        model = PerTaskRegressor(Ridge()).fit(X, Y, sample_weight=weight)
        for task in range(3):
            rows = ~np.isnan(Y[:, task])
            head = Ridge().fit(X[rows], Y[rows, task], sample_weight=by_label[rows, task])
            np.testing.assert_allclose(model.predict(X)[:, task], head.predict(X))
        expected = r2_score(Y, model.predict(X), sample_weight=weight)
        assert model.score(X, Y, sample_weight=weight) == pytest.approx(expected)


class Recorder(RegressorMixin, BaseEstimator):
    """Keeps what its fit was given."""

    def fit(self, X, y, groups=None, option=None):
        self.groups_, self.option_ = groups, option
        return self

    def predict(self, X):
        return np.zeros(len(X))


def test_what_has_one_value_per_row_is_cut_down(gaps):
    X, Y = gaps
    model = PerTaskRegressor(Recorder()).fit(X, Y, groups=np.arange(60), option=[1, 2])
    for task, head in enumerate(model.estimators_):
        np.testing.assert_array_equal(head.groups_, np.flatnonzero(~np.isnan(Y[:, task])))
        assert head.option_ == [1, 2]
    assert not hasattr(model, "n_features_in_")


def test_weights_of_a_step_in_a_pipeline(gaps):
    X, Y = gaps
    weight = np.random.default_rng(4).random(Y.shape)
    model = PerTaskRegressor(Pipeline([("scale", StandardScaler()), ("ridge", Ridge())]))
    model.fit(X, Y, ridge__sample_weight=weight)
    rows = ~np.isnan(Y[:, 1])
    head = make_pipeline(StandardScaler(), Ridge())
    head.fit(X[rows], Y[rows, 1], ridge__sample_weight=weight[rows, 1])
    np.testing.assert_allclose(model.predict(X)[:, 1], head.predict(X))


def test_metadata_routing(gaps):
    X, Y = gaps
    weight = np.random.default_rng(5).random(Y.shape)
    expected = PerTaskRegressor(Ridge()).fit(X, Y, sample_weight=weight).predict(X)
    plain = PerTaskRegressor(Ridge()).fit(X, Y).predict(X)
    with config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            PerTaskRegressor(Ridge()).fit(X, Y, sample_weight=weight)
        model = PerTaskRegressor(Ridge().set_fit_request(sample_weight=True))
        np.testing.assert_allclose(model.fit(X, Y, sample_weight=weight).predict(X), expected)
        renamed = PerTaskRegressor(Ridge().set_fit_request(sample_weight="trust"))
        np.testing.assert_allclose(renamed.fit(X, Y, trust=weight).predict(X), expected)
        heads = {name: Ridge().set_fit_request(sample_weight=name == "y1") for name in ("y0", "y1", "y2")}
        mixed = PerTaskRegressor(heads).fit(X, Y, sample_weight=weight).predict(X)
        np.testing.assert_allclose(mixed, np.where([False, True, False], expected, plain))
        nested = Pipeline([("scale", StandardScaler().set_fit_request(sample_weight=False)), ("heads", model)])
        nested.fit(X, Y, sample_weight=weight)


def test_routing_of_weights_to_the_score(gaps):
    X, Y = gaps
    weight = np.random.default_rng(6).random(Y.shape)
    cv = KFold(3)
    with config_context(enable_metadata_routing=True):
        model = PerTaskRegressor(Ridge().set_fit_request(sample_weight=True)).set_score_request(sample_weight=True)
        scores = cross_val_score(model, X, Y, cv=cv, params={"sample_weight": weight})
    for score, (train, test) in zip(scores, cv.split(X), strict=True):
        model = PerTaskRegressor(Ridge()).fit(X[train], Y[train], sample_weight=weight[train])
        assert score == pytest.approx(model.score(X[test], Y[test], sample_weight=weight[test]))


# A dict of estimators.


@pytest.fixture
def mixed(gaps, table):
    words = np.array(["low", "mid", "high"], dtype=object)[np.digitize(table[1][:, 1], [-10, 20])]
    words[::3] = None
    return table[0], pd.DataFrame({"number": gaps[1][:, 0], "word": words})


def test_numbers_and_classes(mixed):
    X, Y = mixed
    model = PerTaskRegressor({"word": SVC(), "number": SVR()}).fit(X, Y)
    predictions = model.predict(X)
    assert predictions.dtype == object
    scores = []
    for task, (name, head) in enumerate({"number": SVR(), "word": SVC()}.items()):
        rows = Y[name].notna().to_numpy()
        head.fit(X[rows], Y[name][rows].to_numpy())
        assert predictions[:, task].tolist() == head.predict(X).tolist()
        scores.append(head.score(X[rows], Y[name][rows].to_numpy()))
    assert model.score(X, Y) == pytest.approx(np.mean(scores))
    assert [type(head) for head in model.estimators_] == [SVR, SVC]


def test_parameters_of_a_dict():
    shared = SVC()
    model = PerTaskRegressor({"a": SVR(C=3), "b": shared, "b__c": make_pipeline(Ridge())})
    params = model.get_params()
    assert params["estimator__a__C"] == 3
    assert params["estimator__b"] is shared
    assert "estimator__a__C" not in model.get_params(deep=False)
    model.set_params(estimator__a__C=5, estimator__b__c__ridge__alpha=7, estimator__b=SVC(C=2), estimator__b__tol=0.1)
    params = model.get_params()
    assert (params["estimator__a__C"], params["estimator__b__c__ridge__alpha"]) == (5, 7)
    assert (params["estimator__b__C"], params["estimator__b__tol"], shared.tol) == (2, 0.1, SVC().tol)
    model.set_params(estimator={"a": SVR()}, estimator__a__C=9, n_jobs=2)
    assert model.get_params()["estimator__a__C"] == 9
    assert model.n_jobs == 2
    with pytest.raises(ValueError, match=r"estimator__z__C must name a task of estimator. The tasks are \['a'\]"):
        model.set_params(estimator__z__C=1)
    with pytest.raises(ValueError, match="Invalid parameter 'depth' for estimator SVR"):
        model.set_params(estimator__a__depth=1)
    assert PerTaskRegressor(SVR()).set_params(estimator__C=4).estimator.C == 4


def test_search_over_a_dict(mixed):
    X, Y = mixed
    model = PerTaskRegressor({"number": SVR(), "word": SVC()})
    search = GridSearchCV(model, {"estimator__number__C": [1e-3, 100.0]}, cv=KFold(3)).fit(X, Y)
    assert search.best_params_ == {"estimator__number__C": 100.0}
    assert model.estimator["number"].C == 1


def test_estimators_that_are_given_stay_unfitted(mixed):
    X, Y = mixed
    model = PerTaskRegressor({"number": SVR(), "word": SVC()}).fit(X, Y)
    for estimators in (model.estimator, clone(model).estimator):
        assert not any(hasattr(head, "n_features_in_") for head in estimators.values())
    assert clone(model).estimator["word"] is not model.estimator["word"]


def test_tags_are_those_of_the_estimators():
    trees, ridge = HistGradientBoostingRegressor(), Ridge()
    assert get_tags(PerTaskRegressor(trees)).input_tags.allow_nan
    assert get_tags(PerTaskRegressor(ridge)).input_tags.sparse
    both = get_tags(PerTaskRegressor({"a": trees, "b": ridge}))
    assert not both.input_tags.allow_nan
    assert not both.input_tags.sparse
    assert both.target_tags.multi_output
    assert both.target_tags.required
    assert get_tags(PerTaskRegressor({"a": SVR(), "b": SVR(kernel="precomputed")})).input_tags.pairwise
    assert is_regressor(PerTaskRegressor(SVC()))
    assert is_classifier(PerTaskClassifier(SVC()))


def test_codes_of_censored_labels_go_to_the_estimator_of_their_task():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    Y = X + 0.1 * rng.normal(size=(60, 2))
    signs = np.where(Y < 0, "<", "")
    head = MultiTaskVAERegressor(hidden_layer_sizes=(), n_estimators=1, max_iter=2, random_state=0)
    model = PerTaskRegressor(head).fit(X, np.maximum(Y, 0), censoring=signs)
    for task, own in enumerate(model.estimators_):
        alone = clone(head).fit(X, np.maximum(Y, 0)[:, task], censoring=signs[:, task])
        np.testing.assert_array_equal(own.predict(X), alone.predict(X))
