"""The imputer: missing cells alone are filled, by what the observed ones say of them."""

import pickle
from contextlib import nullcontext

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from sklearn_mtae import AutoencoderTransformer, VAEImputer, VAETransformer

NAN = float("nan")
EMPTY = "Columns without an observed value are left out"


def small(**parameters):
    return VAETransformer(2, hidden_layer_sizes=(8,), max_iter=3, random_state=0, **parameters)


def imputer(estimator=None, **parameters):
    return VAEImputer(small() if estimator is None else estimator, n_importance_samples=20, **parameters)


@pytest.fixture
def gappy():
    """Rows with gaps, of which the last column has none in the first half."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) * [1, 10, 0.1, 1] + [0, 100, 0, -5]
    X[rng.random(X.shape) < 0.2] = np.nan
    X[:30, 3] = rng.normal(size=30)
    return X


@pytest.fixture
def frame(gappy):
    """The same beside a category, a string, a nullable integer and a boolean, under an index."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(gappy, columns=list("abcd"), index=[f"row {i}" for i in range(60)])
    frame["size"] = pd.Categorical.from_codes(rng.integers(-1, 3, 60), ["s", "m", "l"], ordered=True)
    frame["job"] = rng.choice(["clerk", "smith", None], 60)
    frame["visits"] = pd.array(rng.integers(0, 5, 60), dtype="Int64")
    frame.loc[frame.index[::7], "visits"] = pd.NA
    frame["flag"] = rng.random(60) < 0.5
    return frame


def assert_only_gaps_filled(filled, X):
    observed = X.notna()
    assert not filled.isna().any(axis=None)
    assert filled.dtypes.equals(X.dtypes)
    assert filled.index.equals(X.index)
    for name in X:
        assert filled[name][observed[name]].equals(X[name][observed[name]]), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_only_missing_cells_are_filled(gappy, dtype):
    X = gappy.astype(dtype)
    before, missing = X.copy(), np.isnan(X)
    filled = imputer().fit_transform(X)
    assert filled.dtype == dtype
    np.testing.assert_array_equal(filled[~missing], X[~missing])
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(X, before)


def test_tables_with_categories(frame):
    filled = imputer().fit_transform(frame)
    assert_only_gaps_filled(filled, frame)
    assert set(filled["job"]) == {"clerk", "smith"}


def test_rows_without_gaps_stay(gappy, frame):
    for X in (gappy, frame):
        fitted = imputer().fit(X)
        complete = fitted.transform(X)
        np.testing.assert_array_equal(fitted.transform(complete), complete)


def test_a_list_may_hold_none(gappy):
    rows = [[None if np.isnan(cell) else cell for cell in row] for row in gappy]
    filled = imputer(add_indicator=True).fit_transform(rows)
    np.testing.assert_array_equal(filled, imputer(add_indicator=True).fit_transform(gappy))


def test_it_is_the_mean_of_the_model(gappy):
    fitted = imputer().fit(gappy)
    np.testing.assert_array_equal(fitted.transform(gappy), fitted.estimator_.impute(gappy, n_importance_samples=20))
    np.testing.assert_array_equal(fitted.transform(gappy), small().fit(gappy).impute(gappy, n_importance_samples=20))
    fewer = clone(fitted).set_params(n_importance_samples=3).fit(gappy).transform(gappy)
    assert not np.array_equal(fewer, fitted.transform(gappy))
    assert len(fitted.estimator_.impute(gappy, n_draws=3, random_state=0)) == 3


def test_weights_reach_the_model(gappy):
    weight = np.arange(60.0)
    expected = small().fit(gappy, sample_weight=weight).impute(gappy, n_importance_samples=20)
    np.testing.assert_array_equal(imputer().fit(gappy, sample_weight=weight).transform(gappy), expected)


@pytest.mark.parametrize("keep", [False, True])
def test_indicators_are_those_of_scikit_learn(gappy, keep):
    X, other = np.c_[gappy, np.full(60, NAN)][:30], np.c_[gappy, np.full(60, NAN)][30:]
    theirs = SimpleImputer(add_indicator=True, keep_empty_features=keep).fit(X)
    ours = imputer(add_indicator=True, keep_empty_features=keep)
    ours_say, theirs_say = rf"{EMPTY}: \[4\]. Set keep_empty_features=True", "Skipping features"
    with nullcontext() if keep else pytest.warns(UserWarning, match=ours_say):
        ours.fit(X)
    n_columns = 5 if keep else 4
    filled = ours.transform(other)
    assert filled.shape == (30, n_columns + 4), "the fourth column had no gap in `fit`, and has none here"
    with nullcontext() if keep else pytest.warns(UserWarning, match=theirs_say):
        np.testing.assert_array_equal(filled[:, n_columns:], theirs.transform(other)[:, n_columns:])
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    assert ours.get_feature_names_out(list("abcde")).tolist() == theirs.get_feature_names_out(list("abcde")).tolist()


def test_columns_without_an_observed_value(gappy):
    X = np.c_[gappy, np.full(60, NAN)]
    kept = imputer(keep_empty_features=True).fit(X)
    np.testing.assert_array_equal(kept.transform(X)[:, 4], 0)
    later = np.c_[gappy, np.r_[np.full(30, 7.0), np.full(30, NAN)]]
    np.testing.assert_array_equal(kept.transform(later)[:, 4], [7] * 30 + [0] * 30)
    named = pd.DataFrame(X, columns=list("abcde"))
    with pytest.warns(UserWarning, match=rf"{EMPTY}: \['e'\]"):
        assert list(imputer().fit(named).transform(named)) == list("abcd")
    filled = imputer(keep_empty_features=True).fit(named).transform(named.assign(e=[7.0, NAN] * 30))
    assert filled["e"].tolist() == [7, 0] * 30


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_names_of_what_comes_out(frame, output):
    fitted = imputer(add_indicator=True).set_output(transform=output).fit(frame)
    filled = fitted.transform(frame)
    gaps = [name for name in frame if frame[name].isna().any()]
    assert list(filled.columns) == [*frame, *(f"missingindicator_{name}" for name in gaps)]
    assert fitted.get_feature_names_out().tolist() == list(filled.columns)
    assert fitted.feature_names_in_.tolist() == list(frame)
    assert fitted.n_features_in_ == 8
    for name in gaps:
        np.testing.assert_array_equal(filled[f"missingindicator_{name}"], frame[name].isna())
    if output == "polars":
        assert isinstance(filled, pl.DataFrame)
    else:
        assert_only_gaps_filled(filled[list(frame)], frame)


def test_arrays_become_frames_on_demand(gappy):
    X = pl.DataFrame(gappy, schema=list("abcd")).fill_nan(None)
    expected = imputer().fit_transform(gappy)
    for rows, names in ((gappy, ["x0", "x1", "x2", "x3"]), (X, list("abcd"))):
        np.testing.assert_allclose(imputer().fit_transform(rows), expected)
        framed = imputer().set_output(transform="pandas").fit_transform(rows)
        assert_frame_equal(framed, pd.DataFrame(expected, columns=names))


def test_columns_whose_names_are_numbers(gappy):
    """With names of strings beside names of numbers, scikit-learn takes a frame no more."""
    X = pd.DataFrame(gappy)
    filled = imputer(add_indicator=True).fit_transform(X)
    assert list(filled) == [*("x0", "x1", "x2", "x3"), *(f"missingindicator_x{j}" for j in range(4))]
    SimpleImputer().fit(filled)
    assert list(imputer().fit_transform(X)) == [0, 1, 2, 3]


def test_in_front_of_a_classifier(frame):
    X = frame[["a", "b", "c", "d"]]
    y = np.nan_to_num(X["a"]) > 0
    search = GridSearchCV(
        make_pipeline(imputer(), StandardScaler(), LogisticRegression()),
        {"vaeimputer__estimator__n_components": [1, 2], "vaeimputer__add_indicator": [False, True]},
        cv=2,
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    chosen = search.best_estimator_[0]
    assert chosen.estimator_.n_components == search.best_params_["vaeimputer__estimator__n_components"]
    assert search.score(X, y) > 0.7


def test_the_model_that_is_passed_stays_as_it_is(gappy):
    fitted = small().fit(gappy + 1)
    codes = fitted.transform(gappy)
    settings = small(likelihood="student_t", prior="mixture")
    for model in (fitted, settings):
        filled = imputer(model).fit(gappy)
        assert filled.estimator is model
        assert filled.estimator_ is not model
        assert filled.estimator_.get_params() == model.get_params()
    np.testing.assert_array_equal(fitted.transform(gappy), codes)
    assert not hasattr(settings, "n_iter_")


def test_seed_of_the_default_model(gappy, monkeypatch):
    monkeypatch.setattr("sklearn_mtae._estimators.imputer.N_STEPS", 40)

    def fill(random_state):
        return VAEImputer(n_importance_samples=5, random_state=random_state).fit_transform(gappy)

    first = fill(0)
    np.testing.assert_array_equal(first, fill(0))
    np.testing.assert_array_equal(first, fill(np.random.RandomState(0)))
    assert not np.array_equal(first, fill(1))


def test_copies(gappy):
    fitted = imputer(add_indicator=True).fit(gappy)
    filled = fitted.transform(gappy)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(gappy), filled)
    np.testing.assert_array_equal(clone(fitted).fit_transform(gappy), filled)
    with pytest.raises(NotFittedError):
        clone(fitted).transform(gappy)


def test_a_fit_that_fails_leaves_the_last_one(gappy, frame):
    fitted = imputer(add_indicator=True).fit(gappy)
    filled = fitted.transform(gappy)
    with pytest.raises(ValueError, match="infinity"):
        fitted.fit(frame.assign(a=np.inf))
    np.testing.assert_array_equal(fitted.transform(gappy), filled)


def test_one_row_and_rows_of_gaps_alone(gappy):
    fitted = imputer().fit(gappy)
    np.testing.assert_allclose(fitted.transform(gappy[:1]), fitted.transform(gappy)[:1])
    assert np.isfinite(fitted.transform(np.full((2, 4), NAN))).all()
    assert np.isfinite(imputer().fit_transform(np.array([[1.0, 2.0]]))).all()
    with pytest.warns(UserWarning, match=rf"{EMPTY}: \[0, 1\]"):
        assert imputer().fit_transform(np.full((5, 2), NAN)).shape == (5, 0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X: np.where(np.isnan(X), np.inf, X), ValueError, "contains infinity"),
        (lambda X: np.full(X.shape, "a"), ValueError, "could not convert string"),
        (lambda X: X[0], ValueError, "Expected 2D array, got 1D array"),
        (lambda X: X[:0], ValueError, "0 sample"),
        (lambda X: sparse.csr_array(X), TypeError, r"Sparse data was passed for X.*X\.toarray\(\)"),
    ],
)
@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
def test_rows_that_are_not_admissible(gappy, likelihood, change, error, message):
    X = np.abs(gappy)
    with pytest.raises(error, match=message):
        imputer(small(likelihood=likelihood)).fit(change(X))
    fitted = imputer(small(likelihood=likelihood)).fit(X)
    with pytest.raises(error, match=message):
        fitted.transform(change(X))


def test_other_columns(gappy, frame):
    with pytest.raises(ValueError, match="X has 3 features, but VAETransformer is expecting 4 features"):
        imputer().fit(gappy).transform(gappy[:, :3])
    fitted = imputer().fit(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.transform(frame[frame.columns[::-1]])
    with pytest.warns(UserWarning, match="column 'job': 'pilot'"):
        fitted.transform(frame.assign(job="pilot"))


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"estimator": "vae"}, "estimator"),
        ({"estimator": AutoencoderTransformer()}, "estimator"),
        ({"n_importance_samples": 0}, "n_importance_samples"),
        ({"add_indicator": "yes"}, "add_indicator"),
    ],
)
def test_parameters(gappy, parameters, name):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of VAEImputer must be"):
        VAEImputer(**parameters).fit(gappy)


# What the cells become.

LOADINGS = np.random.default_rng(5).normal(size=(2, 6))
NOISE, CENTRE = np.linspace(0.3, 0.8, 6), 10.0 * np.arange(6)
N_DRAWS = 1000


@pytest.fixture(scope="module")
def factors():
    """Rows of a factor model, the same with gaps, and an imputer with a linear model fitted to the first thousand."""
    rng = np.random.default_rng(0)
    X = CENTRE + rng.normal(size=(1200, 2)) @ LOADINGS + rng.normal(size=(1200, 6)) * NOISE
    gaps = np.where(rng.random(X.shape) < 0.25, NAN, X)
    model = VAETransformer(2, hidden_layer_sizes=(), max_iter=50, learning_rate_init=1e-2, random_state=0)
    return X[1000:], gaps[1000:], VAEImputer(model, n_importance_samples=N_DRAWS).fit(gaps[:1000])


def expected(gaps, centre, loadings, variance):
    """Return rows filled with their exact mean given the observed cells, and the deviations of E[x given z] there."""
    filled, deviation = gaps.copy(), np.zeros(gaps.shape)
    for row, x in enumerate(gaps):
        seen, gone = np.flatnonzero(~np.isnan(x)), np.flatnonzero(np.isnan(x))
        weighted = loadings[:, seen] / variance[seen]
        covariance = np.linalg.inv(np.eye(len(loadings)) + weighted @ loadings[:, seen].T)
        z = covariance @ weighted @ (x[seen] - centre[seen])
        filled[row, gone] = centre[gone] + z @ loadings[:, gone]
        deviation[row, gone] = np.sqrt(np.diag(loadings[:, gone].T @ covariance @ loadings[:, gone]))
    return filled, deviation


def test_the_mean_is_the_exact_one_of_a_linear_model(factors):
    """A third of the draws is from a proposal that fits; an average of so many is off by their deviation's root."""
    _, gaps, fitted = factors
    missing, vae = np.isnan(gaps), fitted.estimator_
    centre = vae.inverse_transform(np.zeros((1, 2)))[0]
    loadings = vae.inverse_transform(np.eye(2)) - centre
    noise = vae.module_.likelihood.log_variance.exp().detach().numpy() * vae.module_.units.scale.numpy() ** 2
    exact, deviation = expected(gaps, centre, loadings, noise)
    error = (fitted.transform(gaps) - exact)[missing] / deviation[missing]
    one = (N_DRAWS / 3) ** -0.5
    assert np.sqrt(np.mean(error**2)) < 2 * one
    assert np.abs(error).max() < 6 * one


def test_filled_cells_are_nearly_as_close_as_can_be(factors):
    X, gaps, fitted = factors
    missing = np.isnan(gaps)

    def error(filled):
        return np.sqrt(np.mean((filled - X)[missing] ** 2))

    best = error(expected(gaps, CENTRE, LOADINGS, NOISE**2)[0])
    means = error(SimpleImputer().fit(gaps).transform(gaps))
    assert best < error(fitted.transform(gaps)) < 1.1 * best < 0.75 * means


def test_categories_are_filled_by_what_goes_with_them():
    rng = np.random.default_rng(0)
    job = rng.integers(0, 3, 400)
    X = pd.DataFrame({"pay": job * 10 + rng.normal(size=400), "job": np.array(["aide", "clerk", "smith"])[job]})
    gone = rng.random((400, 2)) < 0.2
    gone[gone.all(axis=1)] = False
    model = VAETransformer(1, hidden_layer_sizes=(64,), learning_rate_init=5e-3, batch_size=32, random_state=0)
    filled = VAEImputer(model, n_importance_samples=200).fit_transform(X.mask(gone))
    assert (filled["job"] == X["job"])[gone[:, 1]].mean() > 0.95
    error = (filled["pay"] - X["pay"])[gone[:, 0]]
    assert error.std() < 0.4 * X["pay"].std()


@pytest.mark.parametrize("likelihood", ["gaussian", {0: "gaussian"}, ["gaussian", "laplace", "gaussian"]])
def test_numbers_spelled_as_strings(likelihood):
    """However the columns are named, an array of strings without a category holds numbers, and "nan" is a gap."""
    X = np.random.default_rng(0).normal(size=(30, 3)).round(3)
    X[:, 1] = np.nan
    X[3, 2] = np.nan
    model = VAETransformer(2, hidden_layer_sizes=(4,), likelihood=likelihood, max_iter=2, random_state=0)
    for keep in (False, True):
        imputer = VAEImputer(model, keep_empty_features=keep)
        with nullcontext() if keep else pytest.warns(UserWarning, match="left out"):
            expected = imputer.fit_transform(X)
        with nullcontext() if keep else pytest.warns(UserWarning, match="left out"):
            filled = imputer.fit_transform(X.astype(str))
        np.testing.assert_array_equal(filled, expected)
        assert filled.shape == (30, 3 if keep else 2)
        assert np.isfinite(filled).all()


@pytest.fixture
def mixed(frame):
    """The frame with booleans of all kinds, some missing; without its strings it is numbers to an estimator."""
    rng = np.random.default_rng(2)
    states = np.array([True, False, None], dtype=object)
    frame["answer"] = pd.Series(rng.choice(states, 60), index=frame.index, dtype=object)
    frame["state"] = pd.array(rng.choice(states, 60), dtype="boolean")
    return frame


def test_booleans_and_levels_are_imputed_as_such(mixed):
    filled = imputer(random_state=0).fit_transform(mixed)
    assert_only_gaps_filled(filled, mixed)
    assert {type(value) for value in filled["answer"]} == {bool}
    assert set(filled["size"]) <= set(mixed["size"].cat.categories)
    assert set(filled["state"].unique()) <= {True, False}


def test_in_front_of_an_estimator_that_takes_categories(mixed):
    y = np.arange(60) % 2
    pipeline = make_pipeline(imputer(), HistGradientBoostingClassifier(max_iter=2))
    with pytest.raises(ValueError, match="could not convert string to float"):  # as without an imputer
        pipeline.fit(mixed, y)
    categories = mixed.astype({"job": "category"})
    assert pipeline.fit(categories, y).predict_proba(categories).shape == (60, 2)
    strings = make_column_selector(dtype_exclude=["number", "bool", "boolean", "category"])
    encoder = make_column_transformer((OrdinalEncoder(), strings), remainder="passthrough")
    encoder.set_output(transform="pandas")
    between = make_pipeline(imputer(), encoder, HistGradientBoostingClassifier(max_iter=2))
    assert between.fit(mixed, y).predict_proba(mixed).shape == (60, 2)


def test_the_default_finds_the_means_of_a_normal_table():
    """Of normal rows, the mean of a missing cell given the others is linear in them."""
    rng = np.random.default_rng(0)
    loadings = np.array([[1.0, 0.0], [1.0, 0.5], [0.5, -1.0], [0.0, 1.0], [1.0, 1.0]])
    covariance = loadings @ loadings.T + 0.2 * np.eye(5)
    X = rng.multivariate_normal(np.zeros(5), covariance, size=192)
    gaps = X.copy()
    where = rng.integers(5, size=90)
    gaps[np.arange(90), where] = np.nan
    expected = [
        covariance[j, others] @ np.linalg.solve(covariance[np.ix_(others, others)], row[others])
        for row, j in zip(X, where, strict=False)
        for others in [np.delete(np.arange(5), j)]
    ]
    fitted = VAEImputer(random_state=0).fit(gaps)
    filled = fitted.transform(gaps)[np.arange(90), where]
    assert np.mean((filled - expected) ** 2) < 0.1 * np.var(expected)
    assert [model.n_iter_ for model in fitted.estimators_] == [200, 200]  # 3 steps each: fewer than 1700 of 64 rows


@pytest.mark.parametrize(("n_rows", "n_epochs"), [(30, 200), (1280, 85), (100_000, 10)])
def test_the_epochs_of_the_default_depend_on_the_rows(monkeypatch, n_rows, n_epochs):
    monkeypatch.setattr(VAETransformer, "fit", lambda self, X, sample_weight=None: self)
    models = VAEImputer().fit(np.zeros((n_rows, 2))).estimators_
    assert [model.max_iter for model in models] == [n_epochs, n_epochs]


def test_the_default_is_the_mean_of_two_models(gappy, frame, monkeypatch):
    monkeypatch.setattr("sklearn_mtae._estimators.imputer.N_STEPS", 40)
    fitted = VAEImputer(n_importance_samples=5, random_state=0).fit(gappy)
    assert [model.hidden_layer_sizes for model in fitted.estimators_] == [(128,), (64, 64)]
    assert fitted.estimator_ is fitted.estimators_[0]
    each = [model.impute(gappy, n_importance_samples=5) for model in fitted.estimators_]
    np.testing.assert_allclose(fitted.transform(gappy), np.mean(each, axis=0))
    filled = VAEImputer(n_importance_samples=5, random_state=0).fit_transform(frame)
    assert not filled.isna().any(axis=None)


def test_progress_is_shown(gappy, capsys):
    imputer(verbose=True).fit(gappy)
    assert len(capsys.readouterr().out.splitlines()) == 3
    imputer(small(verbose=True)).fit(gappy)
    assert len(capsys.readouterr().out.splitlines()) == 3
    imputer().fit(gappy)
    assert not capsys.readouterr().out
