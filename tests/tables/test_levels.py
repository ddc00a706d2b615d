"""Categories as tables have them: rare levels, levels that never occurred, new ones, and numbers held as strings."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chisquare
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import OneHotEncoder

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    VAEImputer,
    VAETransformer,
)
from sklearn_mtae._tables.blocks import dense
from sklearn_mtae._tables.coded_rows import Coded
from sklearn_mtae._tables.describe import describe
from sklearn_mtae._tables.frame import Table

TINY = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
COUNTS = {"rare": 1, "often": 60, "some": 6, "few": 3, "usual": 30}


def towns(column="town"):
    names = [level for level, count in COUNTS.items() for _ in range(count)]
    x = np.random.default_rng(0).normal(size=len(names))
    return pd.DataFrame({"x": x, column: names})


def pooled(**options):
    with pytest.warns(UserWarning, match="Column 'town' has 5 levels, more than max_categories=3: the 3 rarest, in 10"):
        return VAETransformer(**TINY, max_categories=3, **options).fit(towns())


# Rare levels share a column.


@pytest.mark.parametrize("max_categories", [2, 3, 4, None])
def test_columns_are_those_of_the_one_hot_encoder(max_categories):
    X = towns()[["town"]]
    encoder = OneHotEncoder(max_categories=max_categories, sparse_output=False).fit(X)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Column 'town' has 5 levels")
        table = Table.learn(X, [True], max_categories)
    np.testing.assert_array_equal(dense(table.encode(X)), encoder.transform(X))
    rare = 0 if max_categories is None else 5 - max_categories + 1
    assert [name for name in table.names if "others" in name] == ([f"town=({rare} others)"] if rare else [])


@pytest.mark.filterwarnings("ignore:Column 'town' has 5 levels")
def test_a_row_of_weight_two_counts_as_two():
    X = towns()
    weight = np.where(X["town"] == "rare", 50.0, 1.0)
    twice = X.loc[X.index.repeat(weight.astype(int))]
    weighted, repeated = Table.learn(X, [False, True], 3, weight), Table.learn(twice, [False, True], 3)
    assert weighted.names == repeated.names == ["x", "town=often", "town=rare", "town=(3 others)"]
    assert weighted.columns[1].shares == repeated.columns[1].shares


@pytest.mark.filterwarnings("ignore:Column 'town' has 5 levels")
def test_the_most_probable_level_is_that_of_all_levels():
    """The three rarest share p: 'some' has six tenths of it, 'few' three, 'rare' one."""
    table = Table.learn(towns()[["town"]], [True], 3)
    values = [[0.35, 0.05, 0.6], [0.37, 0.05, 0.58], [0.1, 0.4, 0.5]]  # often, usual, the others
    levels = table.decode(table.narrow(np.array(values)))["town"]
    assert levels.tolist() == ["some", "often", "usual"]  # .36 against .35; .348 against .37; .3 against .4


def test_of_equally_probable_levels_the_first_is_taken_however_sums_are_rounded():
    table = Table.learn(pd.DataFrame({"side": ["left", "right"] * 5}), [True], 3)
    values = [[0.5, 0.5 + 1e-12], [0.5 + 1e-12, 0.5], [0.499, 0.501]]
    assert table.narrow(np.array(values)).ravel().tolist() == [0, 0, 1]


@pytest.mark.filterwarnings("ignore:Column 'town' has 5 levels")
def test_draws_of_the_others_come_up_as_they_did():
    table = Table.learn(towns()[["town"]], [True], 3)
    values = np.tile([0.0, 0.0, 1.0], (3000, 1))
    drawn = table.decode(table.narrow(values, np.random.default_rng(0)))["town"].value_counts()
    assert chisquare([drawn["some"], drawn["few"], drawn["rare"]], [1800, 900, 300]).pvalue > 1e-3
    assert len(drawn) == 3


def test_drawn_and_filled_cells_are_levels():
    vae = pooled()
    X = towns()
    for table in (
        vae.sample(400, random_state=0),
        vae.predict(X),
        vae.impute(X.assign(town=None), 2, random_state=0)[1],
    ):
        assert set(table["town"]) <= set(COUNTS)
    assert vae.sample(400, random_state=0)["town"].isin(["some", "few", "rare"]).any()
    state, seeded = pickle.dumps(np.random.mtrand._rand), torch.get_rng_state()
    pd.testing.assert_frame_equal(vae.sample(200, random_state=3), vae.sample(200, random_state=3))
    first, second = (vae.impute(X.assign(town=None), 3, random_state=3) for _ in range(2))
    pd.testing.assert_frame_equal(pd.concat(first), pd.concat(second))
    assert pickle.dumps(np.random.mtrand._rand) == state
    assert torch.equal(torch.get_rng_state(), seeded)


@pytest.mark.parametrize("kind", [AutoencoderTransformer, VAETransformer])
@pytest.mark.filterwarnings("ignore:Column 'town' has 5 levels")
def test_the_density_is_that_of_the_level(kind):
    """Rows that differ in levels of one column alone have the same code: what is left is the levels' own shares."""
    model = kind(**TINY, max_categories=3).fit(towns())
    rows = pd.DataFrame({"x": 0.3, "town": ["some", "few", "rare"]})
    scores = model.score_samples(rows)
    np.testing.assert_allclose(scores - scores[0], np.log([1, 3 / 6, 1 / 6]), atol=1e-9)


def test_conditions_on_a_rare_level():
    vae = pooled()
    drawn = vae.sample(30, random_state=0, conditions={"town": "few"})
    assert (drawn["town"] == "few").all()
    with pytest.raises(ValueError, match=r"Column 'town' must hold a category known from fit: .*Got 'else'"):
        vae.sample(3, conditions={"town": "else"})


def test_a_fit_that_goes_on_keeps_its_columns():
    vae = pooled(warm_start=True)
    with pytest.raises(ValueError, match=r"must not change the parameters that shape the model. max_categories=3"):
        vae.set_params(max_categories=4).fit(towns())


def test_nothing_dense_of_rows_times_levels():
    """4,000 rows of about 2,500 levels: 80 MB as indicators."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"key": [f"k{i}" for i in rng.integers(0, 4000, 4000)], "x": rng.normal(size=4000)})
    vae = VAETransformer(**TINY, max_categories=None)
    tracemalloc.start()
    vae.fit(X)
    drawn, filled = vae.sample(4000, random_state=0), vae.predict(X)
    vae.score(X[:3])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert vae._fitted.recipe.columns.n_expanded == X["key"].nunique() + 1
    assert set(drawn["key"]) | set(filled["key"]) <= set(X["key"])
    assert peak < 4000 * vae._fitted.recipe.columns.n_expanded * 8 / 2


def test_rows_that_are_expanded_as_they_are_read():
    X = towns()
    X.loc[::7, "town"] = None
    table = Table.learn(X, [False, True])
    x = table.encode(X)
    expected = np.c_[X["x"], pd.get_dummies(X["town"]).to_numpy(dtype=float)]
    expected[::7, 1:] = np.nan
    assert type(x) is type(x[:3]) is Coded
    assert x.shape == expected.shape
    order = np.random.default_rng(0).permutation(len(X))
    for rows in (slice(5, 40), order, X["x"].to_numpy() > 0):
        np.testing.assert_array_equal(dense(x[rows]), expected[rows])
    for ours, theirs in zip(describe(x), describe(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# Levels that never occurred.


@pytest.mark.parametrize("ordered", [False, True])
def test_levels_that_never_occurred_are_not_drawn(ordered):
    dtype = pd.CategoricalDtype(["s", "m", "l", "xl", "xxl"], ordered=ordered)
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"size": pd.Categorical(rng.choice(["l", "s", "m"], 80), dtype=dtype), "x": rng.normal(size=80)})
    weight = (X["size"] != "m").to_numpy(dtype=float)
    vae = VAETransformer(**TINY).fit(X, sample_weight=weight)
    gaps = X.assign(size=X["size"].where(X["x"] > 9))
    for table in (vae.sample(300, random_state=0), vae.predict(X[weight > 0]), *vae.impute(gaps, 2, random_state=0)):
        assert table["size"].dtype == dtype
        assert set(table["size"]) <= {"s", "l"}
    with pytest.warns(UserWarning, match="column 'size': 'm'"):
        scores = vae.score_samples(X)
    np.testing.assert_array_equal(scores[weight == 0], vae.score_samples(gaps)[weight == 0])
    alone = VAETransformer(**TINY).fit(X[weight > 0])
    assert (
        vae._fitted.recipe.columns.table.names == alone._fitted.recipe.columns.table.names == ["size=s", "size=l", "x"]
    )


# Levels that fit has not seen.


@pytest.mark.parametrize(
    "kind", [AutoencoderTransformer, VAETransformer, MultiTaskVAERegressor, MultiTaskVAEClassifier]
)
def test_an_unseen_category_is_a_missing_cell(kind):
    X = towns().assign(other=["a", "b"] * 50)
    y = np.arange(100) % 3
    model = kind(**TINY, **({"n_estimators": 1} if "Multi" in kind.__name__ else {})).fit(X, y)
    new, gone = X.assign(town="new", other=["c", "a"] * 50), X.assign(town=None, other=[None, "a"] * 50)
    for verb in ("transform", "score_samples", "predict"):
        with pytest.warns(UserWarning, match="column 'town': 'new'; column 'other': 'c'. Set handle_unkn") as caught:
            ours = getattr(model, verb)(new)
        assert len(caught) == 1
        np.testing.assert_array_equal(ours, getattr(model, verb)(gone))
    model.set_params(handle_unknown="error")
    with pytest.raises(ValueError, match=r"Column 'town' must hold a category known from fit: .*Got 'new'"):
        model.transform(new)


@pytest.mark.parametrize("kind", [VAETransformer, VAEImputer])
def test_infinity_is_no_category(kind):
    X = pd.DataFrame({"c": ["a", "b"] * 10, "x": np.arange(20.0)})
    model = VAETransformer(1, hidden_layer_sizes=(2,), max_iter=1, random_state=0)
    fitted = (model if kind is VAETransformer else VAEImputer(model)).fit(X)
    infinite = X.assign(c=["a", np.inf] * 10)
    for verb in (fitted.fit, fitted.transform):
        with pytest.raises(ValueError, match="contains infinity, in categorical column 'c'"):
            verb(infinite)


def test_a_cross_validation_of_a_table_with_rare_levels():
    X = towns()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores = cross_val_score(VAETransformer(**TINY), X, cv=5)
    assert np.isfinite(scores).all()
    assert any("column 'town': 'rare'" in str(warning.message) for warning in caught)


def test_an_imputer_of_rows_with_an_unseen_category():
    X = towns()
    imputer = VAEImputer(VAETransformer(**TINY), n_importance_samples=5).fit(X)
    rows = pd.DataFrame({"x": [np.nan, 1.5], "town": ["new", "few"]})
    with pytest.warns(UserWarning, match="column 'town': 'new'"):
        filled = imputer.transform(rows)
    assert filled["x"][1] == 1.5
    assert filled["town"][1] == "few"
    assert np.isfinite(filled["x"][0])


# Numbers held as strings.


def with_strings(numbers, others, dtype=object):
    """A column of numbers, a tenth of which are other strings."""
    cells = [others[i // 10 % len(others)] if others and i % 10 == 0 else number for i, number in enumerate(numbers)]
    return pd.DataFrame({"x": np.arange(len(cells)) / 10, "age": pd.Series(cells, dtype=dtype)})


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (
            with_strings([str(i % 40) for i in range(200)], ["?"]),
            r"180 of 200 cells \(90.0%\).*all but '\?'.*na_values",
        ),
        (with_strings([f"{i / 7:.3f}" for i in range(200)], ["-", "n/a"], "string"), "all but '-', 'n/a'|'n/a', '-'"),
        (with_strings([i % 40 for i in range(200)], ["unknown"]), "all but 'unknown'"),
        (with_strings([str(i % 40) for i in range(200)], []), r"200 of 200 cells \(100.0%\) read as numbers\. If"),
    ],
)
def test_numbers_held_as_strings_are_pointed_out(X, words):
    with pytest.warns(UserWarning, match=words) as caught:
        VAETransformer(**TINY).fit(X)
    message = str(caught[0].message)
    assert len(caught) == 1
    assert "pandas.to_numeric(X['age'], errors='coerce')" in message
    VAETransformer(**TINY, likelihood={"age": "categorical"}).fit(X)
    VAETransformer(**TINY).fit(X.assign(age=X["age"].astype(str).astype("category")))
    VAETransformer(**TINY).fit(X.assign(age=pd.to_numeric(X["age"], errors="coerce")))


@pytest.mark.parametrize("cells", [["01", "02", "07"], ["a1", "b2", "3"], ["yes", "no", "?"], ["1", "2", "3", "4+"]])
def test_codes_and_words_are_categories_without_a_word(cells):
    VAETransformer(**TINY).fit(pd.DataFrame({"x": np.arange(60.0), "code": cells * (60 // len(cells))}))
