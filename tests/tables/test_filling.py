"""Filled tables are copies of what was passed: missing cells have values, all else is as it came."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal
from scipy import sparse

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAEImputer, VAETransformer
from sklearn_mtae._tables.filling import fill, missing_cells, put, with_cells

NAN = float("nan")
N = 24
SMALL = {"n_components": 1, "hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
IDS = 2**53 + 1 + 2 * np.arange(N)
"""Integers between two floats."""
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=N)
WORDS = RNG.choice(["a", "b"], N)

COMPLETE = {
    "ids": pd.Series(IDS),
    "bytes": pd.Series(RNG.integers(0, 255, N), dtype="uint8"),
    "flags": pd.Series(NUMBERS > 0),
}
"""Columns whose dtypes have no missing value."""
GAPPY = {
    "double": pd.Series(NUMBERS),
    "single": pd.Series(NUMBERS, dtype="float32"),
    "half": pd.Series(NUMBERS, dtype="float16"),
    "loose": pd.Series(NUMBERS).astype(object),
    "loose ids": pd.Series(IDS).astype(object),
    "decimals": pd.Series([Decimal(int(100 * v)) / 100 for v in NUMBERS], dtype=object),
    "words": pd.Series(WORDS),
    "loose words": pd.Series(WORDS.tolist(), dtype=object),
    "string": pd.Series(WORDS, dtype="string"),
    "size": pd.Series(pd.Categorical(WORDS, ["b", "x", "a"], ordered=True)),
    "grade": pd.Series(pd.Categorical(RNG.integers(1, 4, N))),
    "band": pd.Series(pd.cut(RNG.random(N), [0, 0.5, 1])),
    "nullable ids": pd.Series(IDS, dtype="Int64"),
    "small": pd.Series(RNG.integers(-128, 128, N), dtype="Int8"),
    "share": pd.Series(NUMBERS, dtype="Float32"),
    "answer": pd.Series(NUMBERS > 0, dtype="boolean"),
    "sparse": pd.Series(NUMBERS, dtype=pd.SparseDtype(float)),
    "arrow ids": pd.Series(IDS, dtype="int64[pyarrow]"),
    "arrow": pd.Series(NUMBERS, dtype="double[pyarrow]"),
    "arrow words": pd.Series(WORDS, dtype="string[pyarrow]"),
}
PLACES = pd.MultiIndex.from_arrays([np.arange(N) // 4, np.zeros(N, dtype=int)])
"""Every label four times."""


def complete():
    return pd.DataFrame({**COMPLETE, **GAPPY}).set_axis(PLACES)


def with_gaps():
    gone = np.random.default_rng(1).random((N, len(GAPPY))) < 0.3
    gone[0], gone[1:4] = True, False
    gaps = {}
    for j, (name, column) in enumerate(GAPPY.items()):
        if name == "sparse":
            gaps[name] = pd.Series(np.where(gone[:, j], NAN, NUMBERS), dtype=column.dtype)
        else:
            gaps[name] = column.mask(gone[:, j])
    return pd.DataFrame({**COMPLETE, **gaps}).set_axis(PLACES)


def assert_filled(filled, X):
    """By pandas alone: the same types, the same objects where something was observed, and no gap."""
    assert list(filled) == list(X)
    assert filled.index.equals(X.index)
    for name in X:
        assert filled[name].dtype == X[name].dtype, name
        assert not filled[name].isna().any(), name
        observed = X[name].notna().to_numpy()
        ours, theirs = (column.astype(object).to_numpy()[observed].tolist() for column in (filled[name], X[name]))
        assert ours == theirs, name
        assert list(map(type, ours)) == list(map(type, theirs)), name


@pytest.mark.parametrize("fitted_to", [complete, with_gaps])
@pytest.mark.parametrize("kind", [AutoencoderTransformer, VAETransformer])
def test_frames_of_all_dtypes(kind, fitted_to):
    model = kind(**SMALL).fit(fitted_to())
    for make in (complete, with_gaps):
        X = make()
        assert_filled(model.impute(X), X)
        if kind is VAETransformer:
            for table in model.impute(X, 2, random_state=0):
                assert_filled(table, X)
        assert_frame_equal(X, make())
    assert_frame_equal(model.impute(complete()), complete())


def test_imputer_and_tasks():
    X = with_gaps()
    imputer = VAEImputer(VAETransformer(**SMALL), n_importance_samples=5).fit(complete())
    assert_filled(imputer.transform(X), X)
    assert_frame_equal(imputer.transform(complete()), complete())
    tasks = MultiTaskVAERegressor(n_estimators=1, **SMALL).fit(X, NUMBERS)
    assert_filled(tasks.impute(X), X)


def test_values_that_fit_did_not_know():
    """Outside of the dtypes, and between the whole numbers, that `fit` saw."""
    X = pd.DataFrame({"n": [1, 2, 3, 4] * 3, "u": np.uint8([0, 1, 200, 255] * 3), "b": [True, False] * 6})
    model = VAETransformer(**SMALL).fit(X)
    other = pd.DataFrame(
        {"n": [2.5, NAN, 3, 1], "u": [300.0, -5, 7, NAN], "b": pd.array([2, 1, None, 0], dtype="Int64")}
    )
    filled = model.impute(other)
    assert filled["n"][[0, 2, 3]].tolist() == [2.5, 3, 1]
    assert filled["u"][[0, 1, 2]].tolist() == [300, -5, 7]
    assert filled["b"][[0, 1, 3]].tolist() == [2, 1, 0]
    assert filled.dtypes.equals(other.dtypes)
    assert filled["n"][1] % 1 == filled["u"][3] % 1 == 0, "whole where `fit` saw integers"
    assert 0 <= filled["u"][3] <= 255
    with pytest.warns(UserWarning, match="valid feature names"):
        array = model.impute(other.to_numpy(dtype=float))
    np.testing.assert_array_equal(array, filled.to_numpy(dtype=float))


def test_a_model_of_an_array_fills_a_frame():
    model = VAETransformer(**SMALL).fit(NUMBERS[:, None] * [1, 2, 3])
    X = pd.DataFrame({"n": pd.array([1, None, 3], dtype="Int64"), "i": pd.array([IDS[0], None, 1], dtype="Int64")})
    X["x"] = np.float32([0.1, NAN, 0.2])
    with pytest.warns(UserWarning, match="fitted without feature names"):
        filled = model.impute(X)
    assert filled["n"].dtype == "Float64", "the mean of floats is a fraction"
    assert filled["i"].dtype == object, "no float is the first one"
    assert filled["i"].tolist()[::2] == [IDS[0], 1]
    assert filled["x"].dtype == np.float32
    assert not filled.isna().any(axis=None)


def test_a_category_that_only_the_caller_lacks():
    X = pd.DataFrame({"job": pd.Categorical(["clerk", "smith"] * 6), "x": NUMBERS[:12]})
    model = VAETransformer(**SMALL).fit(X)
    other = pd.DataFrame({"job": pd.Categorical([None, None], []), "x": [0.1, 0.2]})
    filled = model.impute(other)
    assert set(filled["job"]) <= {"clerk", "smith"}
    assert filled["job"].dtype.name == "category"
    assert set(model.impute(other.assign(job=[NAN, NAN]))["job"]) <= {"clerk", "smith"}


ARRAYS = ["float64", "float32", "float16", ">f8", "longdouble", "int64", "uint8", "bool", "object"]


@pytest.mark.parametrize("dtype", ARRAYS)
def test_arrays_without_gaps(dtype):
    X = np.abs(10 * np.c_[NUMBERS, NUMBERS]).astype(dtype)
    X.flags.writeable = False
    for view in (X, np.asfortranarray(X), X[::-1], X[::-1][:1], np.broadcast_to(X[:1], X.shape)):
        filled = VAETransformer(**SMALL).fit(X).impute(view)
        assert filled.dtype == X.dtype
        np.testing.assert_array_equal(filled, view)
        assert type(filled) is np.ndarray
        assert not np.shares_memory(filled, X)
    assert VAEImputer(VAETransformer(**SMALL), n_importance_samples=5).fit_transform(X).dtype == X.dtype


def test_integers_of_arrays_and_sparse_arrays():
    X = np.c_[IDS, IDS[::-1]] // 16  # counts of more than 1e15 are refused
    model = VAETransformer(**SMALL, likelihood="poisson").fit(X)
    for rows in (X, sparse.csr_array(X), X.tolist(), np.ma.array(X), X.astype(object)):
        filled = model.impute(rows)
        assert filled.tolist() == X.tolist()
        assert filled.dtype == getattr(rows, "dtype", np.int64)
    draws = model.impute(X, 3, random_state=0)
    assert draws.shape == (3, N, 2)
    assert (draws == X).all()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", ">f8", "longdouble"])
def test_arrays_with_gaps(dtype):
    X = (10 * np.c_[NUMBERS, NUMBERS]).astype(dtype)
    X[::3, 0] = NAN
    filled = VAETransformer(**SMALL).fit(X).impute(X)
    assert filled.dtype == X.dtype
    np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
    assert np.isfinite(filled).all()


def test_objects_and_lists():
    X = np.c_[IDS, IDS[::-1]].astype(object)
    X[::3, 0] = None
    model = VAETransformer(**SMALL).fit(X)
    observed = np.arange(N) % 3 > 0
    for rows in (X, X.tolist()):
        filled = model.impute(rows)
        assert filled[observed].tolist() == X[observed].tolist()
        assert np.isfinite(filled.astype(float)).all()
    small = [[1, None], [2, 0.5], [None, 1.5]] * 4
    assert VAETransformer(**SMALL).fit(small).impute(small).dtype == np.float64


def test_frames_of_polars():
    X = pl.DataFrame(
        {
            "id": pl.Series([None, *IDS[1:].tolist()], dtype=pl.Int64),
            "x": [None, NAN, *NUMBERS[2:]],
            "f": pl.Series(NUMBERS, dtype=pl.Float32),
            "n": pl.Series(IDS, dtype=pl.Int64),
        }
    )
    filled = VAETransformer(**SMALL).fit(X).impute(X)
    assert filled.schema == X.schema
    assert filled["id"][1:].to_list() == X["id"][1:].to_list()
    assert filled["x"].is_finite().all()
    assert filled["n"].equals(X["n"])
    model = VAETransformer(**SMALL).fit(X[["n", "x"]])
    assert model.impute(X[["n", "x"]][2:]).equals(X[["n", "x"]][2:])
    imputer = VAEImputer(VAETransformer(**SMALL), add_indicator=True, n_importance_samples=5).fit(X)
    assert imputer.transform(X).columns == imputer.get_feature_names_out().tolist()


def test_conditions_are_the_values_that_were_given():
    model = VAETransformer(**SMALL).fit(complete())
    given = {"ids": 0.42, "bytes": 300, "flags": 2, "double": 0.42, "loose": True, "loose ids": 3, "small": 1000}
    given |= {"answer": 0.5, "arrow ids": 0.5, "words": "a", "size": "b", "sparse": 1.5, "nullable ids": int(IDS[3])}
    drawn = model.sample(3, random_state=0, conditions={**given, "share": None})
    for name, value in given.items():
        assert drawn[name].tolist() == [value] * 3, name
    same = ["double", "loose", "words", "size", "sparse", "nullable ids"]
    assert drawn[same].dtypes.equals(complete()[same].dtypes)
    X = pd.DataFrame({"age": RNG.integers(20, 60, N), "x": NUMBERS})
    assert (VAETransformer(**SMALL).fit(X).sample(4, conditions={"age": 0.42})["age"] == 0.42).all()
    array = VAETransformer(**SMALL).fit(X.to_numpy()).sample(4, conditions={0: 0.42})
    assert (array[:, 0] == 0.42).all()
    objects = VAETransformer(**SMALL, likelihood={1: "categorical"}).fit(np.c_[NUMBERS.astype(object), WORDS])
    assert objects.sample(3, conditions={0: 7, 1: "a"})[:, :2].tolist() == [[7, "a"]] * 3


# The writing of cells by itself.


def test_decoded_parts_follow_each_other():
    X = np.array([[1, NAN], [2, 3], [NAN, 4], [5, NAN]])
    gaps = missing_cells(X)
    np.testing.assert_array_equal(gaps, np.isnan(X))
    filled = fill(X, gaps, [np.array([[0, 10.0], [20, 0]]), np.array([[0, 30.0]])])
    np.testing.assert_array_equal(filled, [[1, 10], [2, 3], [20, 4], [5, 30]])
    assert np.isnan(X[0, 1])


def test_whole_numbers_are_kept_within_the_callers_dtype():
    X = pd.DataFrame({"n": pd.array([1, None, None], dtype="Int8")})
    filled = fill(X, missing_cells(X), [pd.DataFrame({"n": [300, -300]})])
    assert_frame_equal(filled, pd.DataFrame({"n": pd.array([1, 127, -128], dtype="Int8")}))


def test_dtypes_are_widened_by_what_is_written():
    def written(column, values):
        X = pd.DataFrame({"c": column})
        where = X.isna().to_numpy()
        return with_cells(X, where, {0: np.asarray(values)})["c"]

    assert written(np.float16([1, NAN]), [1e6]).dtype == np.float64
    assert written(pd.array([1, None], dtype="Int8"), [2.0]).dtype == "Int8"
    assert written(pd.array([1, None], dtype="Int8"), [2.5]).tolist() == [1, 2.5]
    assert written(pd.array([True, None], dtype="boolean"), [0.5]).tolist() == [1, 0.5]
    assert written([1.5, NAN], np.array(["a"], dtype=object)).tolist() == [1.5, "a"]
    assert written(pd.array(["a", None], dtype="string"), [0]).tolist() == ["a", 0]
    size = written(pd.Categorical(["s", None], ["s", "l"], ordered=True), np.array(["m"], dtype=object))
    assert size.dtype == pd.CategoricalDtype(["s", "l", "m"], ordered=True)


def test_gaps_of_every_kind():
    quotient = pd.Series([0.0, 1], dtype="double[pyarrow]")
    X = pd.DataFrame({"a": [None, pd.NaT], "b": [Decimal("NaN"), 1], "c": quotient / quotient})
    assert missing_cells(X).tolist() == [[True, True, True], [True, False, False]]
    assert missing_cells(np.empty((3, 0))).shape == (3, 0)


def test_nothing_to_put():
    X = pd.DataFrame({"a": [1, 2]})
    assert put(X, {0: None}) is X
