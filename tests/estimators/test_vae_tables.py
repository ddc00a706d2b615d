"""Tables with columns of several kinds: as they go in, so they come out."""

import pickle
from copy import deepcopy
from functools import partial

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.likelihoods import Gaussian, Mixed, OneHot, Poisson, StudentT
from tests.conftest import ESTIMATORS
from tests.people import LEVELS, LIKELIHOOD, SMALL, by_hand, families, with_gaps

NAN = float("nan")


@pytest.fixture(scope="module")
def people():
    return with_gaps()


@pytest.fixture
def targets():
    return np.random.default_rng(2).normal(size=(120, 2))


def small(likelihood="gaussian", **parameters):
    return VAETransformer(**{**SMALL, "likelihood": likelihood, **parameters})


def assert_like(table, X):
    assert table.dtypes.equals(X.dtypes)
    assert list(table.columns) == list(X.columns)
    assert not table.isna().any(axis=None)
    assert set(table["job"]) <= set(LEVELS["job"])
    assert (table["visits"] >= 0).all()


@pytest.mark.parametrize("kind", [*ESTIMATORS, MultiTaskVAEClassifier])
def test_tables_come_back(kind, people, targets):
    Y = targets > 0 if kind is MultiTaskVAEClassifier else targets
    model = kind(**SMALL, likelihood=LIKELIHOOD).fit(people, Y)
    codes = model.transform(people)
    assert codes.shape == (120, 2)
    assert np.isfinite(model.score_samples(people)).all()
    decoded = model.inverse_transform(codes)
    assert_like(decoded, people)
    assert decoded.index.equals(pd.RangeIndex(120))
    filled = model.impute(people)
    assert_like(filled, people)
    assert filled.index.equals(people.index)
    for name in people:
        observed = people[name].notna()
        assert filled[name][observed].equals(people[name][observed]), name
    assert model.n_features_in_ == 11
    assert model.feature_names_in_.tolist() == list(people)
    if kind in (AutoencoderTransformer, VAETransformer):
        assert_frame_equal(model.predict(people), decoded.set_index(people.index))
        assert np.isfinite(model.score(people))
    else:
        assert model.predict(people).shape == (120, 2)


def test_draws(people, targets):
    vae = small(LIKELIHOOD).fit(people)
    drawn = vae.sample(50, random_state=0)
    assert_like(drawn, people)
    assert_frame_equal(vae.sample(50, random_state=0), drawn)
    given = vae.sample(50, random_state=0, conditions={"job": "clerk", "age": 40, "size": None, "flag": True})
    assert_like(given, people)
    assert (given["job"] == "clerk").all()
    assert (given["age"] == 40).all()
    assert given["flag"].all()
    assert given["visits"].nunique() > 1
    tables = vae.impute(people, 3, random_state=0)
    assert len(tables) == 3
    for table in tables:
        assert_like(table, people)
        assert table.index.equals(people.index)
        assert table["age"][people["age"].notna()].equals(people["age"].dropna())
    assert not tables[0].equals(tables[1])
    model = MultiTaskVAERegressor(n_estimators=1, **SMALL, likelihood=LIKELIHOOD).fit(people, targets)
    X, Y = model.sample(5, random_state=0, conditions={"state": "on"})
    assert_like(X, people)
    assert (X["state"] == "on").all()
    assert Y.shape == (5, 2)


def test_arrays_with_positions(people):
    X = people[["age", "job", "visits", "pay"]]
    x = X.to_numpy(dtype=object, na_value=NAN)
    likelihood = {1: "categorical", 2: "poisson"}
    vae = small(likelihood).fit(x)
    framed = small({"visits": "poisson"}).fit(X)
    np.testing.assert_array_equal(vae.transform(x), framed.transform(X))
    drawn, filled = vae.sample(9, random_state=0), vae.impute(x)
    assert type(drawn) is type(filled) is type(vae.predict(x)) is np.ndarray
    assert drawn.dtype == filled.dtype == object
    observed = ~pd.isna(x)
    assert (filled[observed] == x[observed]).all()
    assert set(vae.sample(20, random_state=0, conditions={1: "aide"})[:, 1]) == {"aide"}
    rows = [[None if cell is NAN else cell for cell in row] for row in x.tolist()]
    for option in (
        likelihood,
        ["gaussian", "categorical", "poisson", "gaussian"],
        ("gaussian", "categorical", Poisson, "gaussian"),
    ):
        np.testing.assert_array_equal(small(option).fit(rows).transform(rows), vae.transform(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_of_codes(dtype):
    rng = np.random.default_rng(0)
    x = np.c_[rng.integers(5, 8, 60), rng.normal(size=60), rng.poisson(3, 60)].astype(dtype)
    x[rng.random(x.shape) < 0.2] = NAN
    vae = small(["categorical", "student_t", "poisson"]).fit(x)
    filled = vae.impute(x)
    assert filled.dtype == vae.predict(x).dtype == dtype
    np.testing.assert_array_equal(filled[~np.isnan(x)], x[~np.isnan(x)])
    assert set(filled[:, 0]) == {5, 6, 7}
    assert vae.impute(x, 2, random_state=0)[1].shape == vae.sample(60).shape == (60, 3)
    assert (vae.sample(9, conditions={0: 6})[:, 0] == 6).all()


@pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])
def test_it_is_what_is_expanded_by_hand(people, estimator):
    model = estimator(**SMALL, likelihood=LIKELIHOOD).fit(people)
    x = by_hand(people)
    factories = families(people, LIKELIHOOD)
    other = estimator(**SMALL, likelihood=lambda n_columns: Mixed(factories)).fit(x.to_numpy())
    np.testing.assert_allclose(model.score_samples(people), other.score_samples(x.to_numpy()))
    np.testing.assert_allclose(model.transform(people), other.transform(x.to_numpy()))
    decoded = other.predict(x.to_numpy())
    names = list(x)
    expected = np.array(LEVELS["job"])[decoded[:, [names.index(f"job={level}") for level in LEVELS["job"]]].argmax(1)]
    assert model.predict(people)["job"].tolist() == expected.tolist()
    np.testing.assert_allclose(model.predict(people)["age"], decoded[:, names.index("age")])
    np.testing.assert_array_equal(model.predict(people)["visits"], decoded[:, names.index("visits")].round())


@pytest.mark.parametrize("single", ["gaussian", "student_t", partial(StudentT, df=4)])
def test_one_likelihood_is_that_of_all_numbers(people, single):
    named = dict.fromkeys([name for name in people if name not in LEVELS], single)
    scores = small(single).fit(people).score_samples(people)
    np.testing.assert_array_equal(small(named).fit(people).score_samples(people), scores)
    if single == "gaussian":
        np.testing.assert_array_equal(small({}).fit(people).score_samples(people), scores)


def test_category_of_one_level(people):
    X = people[["age", "pay"]].assign(home="here")
    named = small({"home": "categorical"}).fit(X)
    np.testing.assert_array_equal(small().fit(X).score_samples(X), named.score_samples(X))
    assert (named.sample(5)["home"] == "here").all()


# Bad input.


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        ({"agee": "poisson"}, r"likelihood names unknown columns \['agee'\]. The columns are \['age', 'job'"),
        ({0: "poisson"}, r"likelihood names unknown columns \[0\]"),
        (["gaussian"] * 3, "likelihood must hold one per column of X, 11 of them. Got 3"),
        ({"age": "gausian"}, "names out of .*'gaussian'.* or factories. Got 'gausian' for column 'age'"),
        ({"age": ["gaussian"]}, r"Got \['gaussian'\] for column 'age'"),
        ({"age": 3}, "Got 3 for column 'age'"),
        ((0, 20), r"likelihood must hold a pair \(low, high\) for each column that has bounds.* Got \(0, 20\)"),
        ({"job": "gaussian"}, "Column 'job' holds strings, such as '.*'; likelihood must name it 'categorical'"),
        ({"age": "bernoulli"}, "needs 0 <= X <= 1. Got max .* in column 'age'"),
        ({"light": "poisson"}, "Negative values in data: .* needs X >= 0. Got min .* in column 'light'"),
        ({"flag": "log_normal"}, "needs X > 0. Got min 0 in column 'flag'"),
    ],
)
@pytest.mark.parametrize("kind", [*ESTIMATORS, MultiTaskVAEClassifier])
def test_likelihoods_that_do_not_fit(kind, people, targets, likelihood, message):
    Y = targets > 0 if kind is MultiTaskVAEClassifier else targets
    with pytest.raises(ValueError, match=message):
        kind(**SMALL, likelihood=likelihood).fit(people, Y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": "xl"}, "Column 'size' must hold a category known from fit: 's', 'm', 'l'. Got 'xl'"),
        ({"job": "pilot"}, "Column 'job' must hold a category known from fit: 'aide', 'clerk', 'smith'. Got 'pilot'"),
        ({"age": "old"}, "Column 'age' holds strings, such as 'old'"),
        ({"age": pd.Timestamp("2020-01-01")}, "Column 'age' holds dates or durations"),
        ({"pay": np.inf}, "contains infinity .* in 'pay'"),
    ],
)
def test_cells_that_do_not_fit(people, change, message):
    model = small(LIKELIHOOD, handle_unknown="error").fit(people)
    for method in (model.transform, model.score_samples, model.impute, model.predict):
        with pytest.raises(ValueError, match=message):
            method(people.assign(**change))
    with pytest.raises(ValueError, match=message):
        model.sample(2, conditions=change)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(people.assign(**change))


def test_cells_of_frames_of_numbers_that_do_not_fit(people):
    X = people[["age", "pay"]]
    model = small().fit(X)
    with pytest.raises(ValueError, match="Column 'age' holds strings, such as 'old'"):
        model.transform(X.assign(age="old"))
    with pytest.raises(ValueError, match="Column 'age' holds strings, such as 'old'"):
        model.sample(2, conditions={"age": "old"})
    with pytest.raises(ValueError, match="Column 1 holds strings, such as 'low'"):
        small().fit(X.to_numpy()).sample(2, conditions={1: "low"})
    with pytest.raises(ValueError, match="contains infinity"):
        small().fit(X.to_numpy()).sample(2, conditions={1: np.inf})


def test_conditions_that_do_not_fit(people):
    model = small(LIKELIHOOD).fit(people)
    with pytest.raises(ValueError, match=r"conditions must name columns of X. Got \['jobs'\]; the columns are \['age'"):
        model.sample(2, conditions={"jobs": "aide"})
    with pytest.raises(ValueError, match=r"conditions needs the column >= 0\. Got min -1 in column 'visits'"):
        model.sample(2, conditions={"visits": -1})


@pytest.mark.parametrize("names", [["age", "pay"], ["age", "job"]])
def test_tables_that_do_not_fit(people, names):
    X = people[names]
    model = small().fit(X)
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        model.transform(X[:0])
    with pytest.raises(ValueError, match="feature names should match"):
        model.transform(X[names[::-1]])
    with pytest.raises(ValueError, match=r"feature names should match"):
        model.transform(X[["age"]])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        np.testing.assert_array_equal(model.transform(X.to_numpy(dtype=object, na_value=NAN)), model.transform(X))


def test_frames_of_polars(people):
    X = people[["age", "visits", "pay"]].astype("Float64").astype(float)
    x = pl.DataFrame({name: X[name].to_numpy() for name in X})
    model, other = (small({"visits": "poisson"}).fit(rows) for rows in (x, X))
    np.testing.assert_allclose(model.transform(x), other.transform(X))
    assert model.feature_names_in_.tolist() == ["age", "visits", "pay"]
    assert type(model.sample(3)) is np.ndarray
    with pytest.raises(TypeError, match=r"pass X\.to_pandas\(\)"):
        small({"job": "categorical"}).fit(pl.DataFrame({"job": LEVELS["job"]}))


# What scikit-learn does with estimators.


def test_copies(people, tmp_path):
    model = small(LIKELIHOOD).fit(people)
    scores, drawn = model.score_samples(people), model.sample(5, random_state=0)
    joblib.dump(model, tmp_path / "model")
    for twin in (pickle.loads(pickle.dumps(model)), deepcopy(model), joblib.load(tmp_path / "model", mmap_mode="r")):
        np.testing.assert_array_equal(twin.score_samples(people), scores)
        assert_frame_equal(twin.sample(5, random_state=0), drawn)
    np.testing.assert_array_equal(clone(model).fit(people).score_samples(people), scores)


def test_search_over_likelihoods(people):
    options = ["gaussian", "student_t", LIKELIHOOD, {**LIKELIHOOD, "rooms": partial(StudentT, df=4)}]
    search = GridSearchCV(small(), {"likelihood": options}, cv=2).fit(people)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert_like(search.best_estimator_.sample(5, random_state=0), people)


def test_pipelines_and_output(people):
    y = (people["age"].fillna(40) > 40).to_numpy()
    pipeline = make_pipeline(small(LIKELIHOOD), LogisticRegression())
    assert 0 <= pipeline.fit(people, y).score(people, y) <= 1
    model = small(LIKELIHOOD).set_output(transform="pandas").fit(people)
    codes = model.transform(people)
    assert codes.index.equals(people.index)
    assert list(codes) == ["vaetransformer0", "vaetransformer1"]
    decoded = model.inverse_transform(codes)
    assert decoded.index.equals(people.index)
    assert_frame_equal(decoded, model.predict(people))


def test_training_goes_on(people):
    model = small(LIKELIHOOD).partial_fit(people[:60]).partial_fit(people[60:])
    assert model.n_iter_ == 2
    assert_like(model.predict(people), people)
    before = model.score_samples(people)
    with pytest.raises(ValueError, match="Column 'job' must hold a category known from fit"):
        model.set_params(handle_unknown="error").partial_fit(people.assign(job="pilot"))
    np.testing.assert_array_equal(model.score_samples(people), before)
    with pytest.warns(UserWarning, match="column 'job': 'pilot'"):
        model.set_params(handle_unknown="missing").partial_fit(people.assign(job="pilot"))
    assert set(model.sample(50, random_state=0)["job"]) <= set(LEVELS["job"])
    warm = small(LIKELIHOOD, warm_start=True).fit(people)
    assert warm.fit(people[people["job"] != "aide"]).n_iter_ == 6
    assert_like(warm.predict(people), people)
    with pytest.raises(ValueError, match="must not change the parameters that shape the model"):
        warm.set_params(likelihood="gaussian").fit(people)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_fit_that_fails_leaves_the_last_one(kind, people, targets):
    model = kind(**SMALL, likelihood=LIKELIHOOD).fit(people, targets)
    codes, filled = model.transform(people), model.impute(people)
    other = people[["job", "age"]].assign(job=["pilot", "nurse"] * 60)
    failing = [
        ({"likelihood": {"age": "bernoulli"}}, other, "needs 0 <= X <= 1"),
        ({"likelihood": {"agee": "bernoulli"}}, other, "unknown columns"),
        ({"likelihood": {0: "poisson"}}, -np.ones((120, 3)), "needs X >= 0"),
        ({"likelihood": "gaussian", "learning_rate_init": 1e30, "max_iter": 20}, other, "loss must stay finite"),
    ]
    for parameters, X, message in failing:
        with pytest.raises(ValueError, match=message), np.errstate(over="ignore"):
            model.set_params(**parameters).fit(X, targets)
        np.testing.assert_array_equal(model.transform(people), codes)
        assert_frame_equal(model.impute(people), filled)
        assert model.feature_names_in_.tolist() == list(people)
    refitted = model.set_params(likelihood="gaussian", learning_rate_init=1e-3, max_iter=1).fit(other, targets)
    assert set(refitted.impute(other)["job"]) == {"pilot", "nurse"}


def test_a_fit_that_fails_leaves_no_names_behind(people):
    X = people[["age", "light"]]
    model = small().fit(X.to_numpy())
    with pytest.raises(ValueError, match="needs X >= 0"):
        model.set_params(likelihood={"light": "poisson"}).fit(X)
    assert not hasattr(model, "feature_names_in_")
    assert model.transform(X.to_numpy()).shape == (120, 2)


def test_encoder_of_a_table_with_other_levels(people):
    """The few rows with labels may lack a category, or have one that the encoder does not know."""
    source = small().fit(people[["age", "job"]])
    fewer = people[["age", "job"]][people["job"] != "aide"]
    model = MultiTaskVAERegressor(n_estimators=1, **SMALL, encoder=FrozenEstimator(source)).fit(
        fewer, fewer["age"].fillna(0)
    )
    assert model.predict(people[["age", "job"]]).shape == (120,)
    other = people[["age", "job"]].replace("clerk", "pilot")
    model = MultiTaskVAERegressor(n_estimators=1, **SMALL, encoder=FrozenEstimator(source))
    with pytest.warns(UserWarning, match="column 'job': 'pilot'"):
        model.fit(other, people["age"].fillna(0))
    with pytest.raises(ValueError, match="Column 'job' must hold a category known from fit"):
        model.set_params(handle_unknown="error").fit(other, people["age"].fillna(0))


# Tables of numbers.


def test_frames_of_numbers(people):
    X = people[["age", "visits", "light", "rooms", "flag", "pay"]]
    model = small().fit(X)
    array = by_hand(X).to_numpy()
    other = small().fit(array)
    np.testing.assert_array_equal(model.transform(X), other.transform(array))
    codes = model.transform(X)
    pairs = [
        (model.predict(X), other.predict(array)),
        (model.inverse_transform(codes), other.inverse_transform(codes)),
        (model.sample(30, random_state=0), other.sample(30, random_state=0)),
        (model.impute(X), other.impute(array)),
        *zip(model.impute(X, 2, random_state=0), other.impute(array, 2, random_state=0), strict=True),
    ]
    for table, values in pairs:
        assert table.dtypes.equals(X.dtypes)
        assert type(values) is np.ndarray
        for j, name in enumerate(X):
            expected = values[:, j] > 0.5 if name == "flag" else values[:, j]
            expected = expected.round() if name in ("visits", "rooms") else expected
            np.testing.assert_allclose(table[name].to_numpy(dtype=float), expected, rtol=1e-6)


def test_objects_in_frames_of_numbers():
    X = pd.DataFrame({"x": pd.Series([1, pd.NA, 2.5, None] * 9, dtype=object), "y": np.arange(36.0)})
    model = small().fit(X)
    np.testing.assert_array_equal(model.transform(X), model.transform(X.assign(x=[1, NAN, 2.5, NAN] * 9)))
    assert model.impute(X)["x"][[0, 2]].tolist() == [1, 2.5]


def test_names_that_are_numbers(people):
    X = pd.DataFrame({10: people["age"], 20: people["job"]})
    model = small({0: "student_t"}).fit(X)
    assert not hasattr(model, "feature_names_in_")
    assert list(model.impute(X)) == [10, 20]
    np.testing.assert_array_equal(model.sample(3, conditions={1: "aide"})[20], "aide")


def test_factories_of_several_columns():
    """Columns with one factory that is no name are one family: indicators of classes that the user has made."""
    rng = np.random.default_rng(0)
    classes = np.eye(3)[rng.integers(0, 3, 60)]
    x = np.c_[rng.normal(size=60), classes]
    model = small([Gaussian, OneHot, OneHot, OneHot]).fit(x)
    drawn = model.sample(40, random_state=0)
    assert (drawn[:, 1:].sum(axis=1) == 1).all()
    assert set(drawn[:, 1:].ravel()) == {0, 1}


def test_auto_of_a_single_column_goes_by_its_values():
    X = pd.DataFrame({"city": list("abab") * 5, "flag": [True, False] * 10, "x": np.arange(20.0)})
    options = {"city": "auto", "flag": "auto", "x": "auto"}
    model = VAETransformer(1, hidden_layer_sizes=(4,), likelihood=options, max_iter=1, random_state=0).fit(X)
    assert model.likelihoods_ == {"city": "categorical", "flag": "bernoulli", "x": "quantile"}


def test_a_range_of_a_column_must_be_in_order():
    X = pd.DataFrame({"x": np.arange(20.0)})
    with pytest.raises(ValueError, match=r"low < high.*column 'x'"):
        VAETransformer(1, likelihood={"x": (5, 1)}).fit(X)
