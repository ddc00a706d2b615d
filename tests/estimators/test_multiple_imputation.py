"""An estimator over several completed tables: what it fits, averages and pools."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mtae import MultipleImputation, VAEImputer, VAETransformer
from tests.messages import message_of

VAE = VAETransformer(2, hidden_layer_sizes=(), max_iter=20, learning_rate_init=0.05)
FEW = {"n_draws": 4, "n_models": 2, "random_state": 0}
rng = np.random.default_rng(0)
WHOLE = rng.normal(size=(200, 1)) + 0.7 * rng.normal(size=(200, 3))
Y = WHOLE @ [1.0, 0.5, 0.0] + 0.5 * rng.normal(size=200)
X = np.where(rng.random(WHOLE.shape) < 0.2, np.nan, WHOLE)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])


@parametrize_with_checks(
    [
        MultipleImputation(LinearRegression(), VAETransformer(1, hidden_layer_sizes=(), max_iter=1), n_draws=2),
        MultipleImputation(LogisticRegression(), VAETransformer(1, hidden_layer_sizes=(), max_iter=1), n_draws=2),
    ]
)
@pytest.mark.filterwarnings("ignore:Standard errors need more rows")
def test_common_checks(estimator, check):
    check(estimator)


def test_it_is_what_its_estimator_is():
    assert is_regressor(MultipleImputation(Ridge()))
    assert is_classifier(MultipleImputation(LogisticRegression()))
    assert not hasattr(MultipleImputation(Ridge()), "predict_proba")


def test_complete_rows_give_the_estimator_itself():
    model = MultipleImputation(LinearRegression(), VAE, **FEW).fit(WHOLE, Y)
    alone = LinearRegression().fit(WHOLE, Y)
    np.testing.assert_allclose(model.predict(WHOLE), alone.predict(WHOLE))
    np.testing.assert_allclose(model.coef_, alone.coef_)
    design = np.c_[WHOLE, np.ones(200)]
    spread = np.sum((Y - alone.predict(WHOLE)) ** 2) / 196
    errors = np.sqrt(spread * np.diag(np.linalg.inv(design.T @ design)))
    np.testing.assert_allclose([*model.se_, model.intercept_se_], errors)
    np.testing.assert_array_equal(model.fmi_, 0)


@pytest.mark.parametrize(
    "imputer",
    [VAE, VAEImputer(VAE), IterativeImputer(sample_posterior=True, max_iter=2)],
    ids=lambda own: type(own).__name__,
)
@pytest.mark.parametrize("table", [X, FRAME], ids=["array", "frame"])
def test_pooled_by_hand(imputer, table):
    model = MultipleImputation(LinearRegression(), imputer, **FEW).fit(table, Y)
    estimates = np.stack([own.coef_ for own in model.estimators_])
    assert len(model.imputers_) == 2
    assert len(np.unique(estimates[:, 0])) == 4
    np.testing.assert_allclose(model.coef_, estimates.mean(axis=0))
    between = 1.25 * estimates.var(axis=0, ddof=1)
    assert (model.se_**2 > between).all()
    assert (model.fmi_ > 0).all()
    summary = model.summary(0.9)
    margin = stats.t.ppf(0.95, model.df_) * model.se_
    np.testing.assert_allclose(summary["high"].iloc[:3], model.coef_ + margin)
    names = ["a", "b", "c"] if table is FRAME else ["x0", "x1", "x2"]
    assert summary.index.tolist() == [*names, "intercept"]
    assert np.isfinite(model.predict(table)).all()


def test_y_takes_part_in_fit_but_is_not_known_in_predict():
    """Drawn without y, cells would know nothing of it: the slope would shrink by the share that is observed."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1000, 1))
    y = x[:, 0] + 0.3 * rng.normal(size=1000)
    gaps = np.where(rng.random(x.shape) < 0.5, np.nan, x)
    vae = VAETransformer(1, hidden_layer_sizes=(), max_iter=60, learning_rate_init=0.02)
    model = MultipleImputation(LinearRegression(), vae, **FEW).fit(gaps, y)
    assert model.coef_[0] == pytest.approx(1, abs=0.1)
    missing = np.isnan(gaps[:, 0])
    assert abs(np.corrcoef(model.predict(gaps)[missing], y[missing])[0, 1]) < 0.15


def test_classes_and_their_probabilities():
    y = np.where(Y > 0, "yes", "no")
    model = MultipleImputation(LogisticRegression(C=np.inf), VAE, **FEW).fit(X, y)
    probability = model.predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert model.classes_.tolist() == ["no", "yes"]
    np.testing.assert_array_equal(model.predict(X), model.classes_[(probability[:, 1] > 0.5).astype(int)])
    assert model.score(X, y) > 0.7
    assert model.se_.shape == model.coef_.shape == (1, 3)


def test_several_classes_have_standard_errors():
    y = np.digitize(Y, [-0.5, 0.5])
    model = MultipleImputation(LogisticRegression(C=np.inf), VAE, **FEW).fit(FRAME, np.array(["a", "b", "c"])[y])
    assert model.se_.shape == model.coef_.shape == (3, 3)
    assert model.intercept_se_.shape == (3,)
    assert model.summary().index.tolist()[2:4] == ["c (a)", "a (b)"]
    assert model.summary().index.tolist()[-1] == "intercept (c)"
    np.testing.assert_allclose(model.coef_.sum(axis=0), 0, atol=1e-6)
    # Three sets of 4, of which two are free.
    complete = MultipleImputation(LogisticRegression(C=np.inf), VAE, **FEW).fit(WHOLE, y)
    np.testing.assert_allclose(complete.df_, (200 - 8) * (200 - 8 + 1) / (200 - 8 + 3))


def test_too_few_rows_for_standard_errors_are_named():
    with pytest.warns(UserWarning, match="Standard errors need more rows than coefficients, 4 of them"):
        model = MultipleImputation(LinearRegression(), VAE, **FEW).fit(X[:3], Y[:3])
    assert not hasattr(model, "se_")
    assert "more rows than coefficients" in message_of(model.summary)


def test_the_same_seed_gives_the_same_bits_also_after_pickling():
    model = MultipleImputation(LinearRegression(), VAE, **FEW).fit(X, Y)
    again = clone(model).fit(X, Y)
    for other in (again, pickle.loads(pickle.dumps(model)), model):
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
    assert (MultipleImputation(LinearRegression(), VAE, n_draws=4).fit(X, Y).coef_ != model.coef_).all()


def test_mixed_frames_go_through_a_pipeline():
    table = FRAME.assign(kind=pd.Categorical(np.where(WHOLE[:, 0] > 0, "high", "low"))).mask(
        pd.DataFrame({"a": False, "b": False, "c": False, "kind": rng.random(200) < 0.2})
    )
    encode = make_column_transformer((OneHotEncoder(drop="first"), ["kind"]), remainder=StandardScaler())
    model = MultipleImputation(make_pipeline(encode, LinearRegression()), VAE, **FEW).fit(table, Y)
    summary = model.summary()
    assert summary.index[0] == "onehotencoder__kind_low"
    assert np.isfinite(summary.to_numpy()).all()
    assert model.predict(table.iloc[:3]).shape == (3,)


def test_variance_of_the_users_own():
    def variance(estimator, X, y):
        assert not np.isnan(X).any()
        return np.full(4, 0.25)

    model = MultipleImputation(Ridge(), VAE, variance=variance, **FEW).fit(X, Y)
    assert (model.se_ > 0.5).all()
    assert not hasattr(MultipleImputation(Ridge(), VAE, **FEW).fit(X, Y), "se_")


def test_an_estimator_without_coefficients_predicts():
    trees = HistGradientBoostingRegressor(max_iter=5)
    model = MultipleImputation(trees, VAE, n_draws=2, random_state=0)
    assert cross_val_score(model, X, Y, cv=2).shape == (2,)
    assert "variance=" in message_of(model.fit(X, Y).summary)


def test_likelihoods_by_column_leave_a_place_for_y():
    for likelihood in (["gaussian", "laplace", "gaussian"], {1: "laplace"}):
        vae = clone(VAE).set_params(likelihood=likelihood)
        model = MultipleImputation(LogisticRegression(C=np.inf), vae, **FEW).fit(X, Y > 0)
        assert np.isfinite(model.se_).all()


@pytest.mark.parametrize(
    ("params", "call", "words"),
    [
        ({"imputer": SimpleImputer()}, {}, "imputer must draw"),
        ({"imputer": IterativeImputer()}, {}, "sample_posterior=True"),
        ({"variance": lambda *_: None}, {}, "variance"),
        ({"variance": lambda *_: np.ones(2)}, {}, "variance must return 4 numbers"),
        ({}, {"y": np.where(Y > 1, np.nan, Y)}, "y"),
        ({}, {"X": X[:10]}, "inconsistent numbers of samples"),
    ],
)
def test_errors(params, call, words):
    model = MultipleImputation(LinearRegression(), **{"imputer": VAE, **FEW, **params})
    assert words in message_of(lambda: model.fit(**{"X": X, "y": Y, **call}))
