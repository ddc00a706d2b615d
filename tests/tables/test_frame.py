"""Tables with categories: to numbers and back."""

import pickle
import sys
from copy import deepcopy
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal
from sklearn.preprocessing import OneHotEncoder

from sklearn_mtae._tables.blocks import dense
from sklearn_mtae._tables.frame import Table, frame_kinds, is_frame

NAN = float("nan")


def encode(table, X):
    """Return the expanded columns of a table, all of them."""
    return dense(table.encode(X))


def decode(table, x, index=None):
    """Return the table of expanded columns."""
    return table.decode(table.narrow(np.asarray(x)), index)


def mixed():
    """A frame with a column of each dtype that a table may hold."""
    return pd.DataFrame(
        {
            "size": pd.Categorical(["s", "l", None, "s"], ["s", "m", "l"], ordered=True),
            "hue": pd.Categorical(["red", "blue", "red", None]),
            "grade": pd.Categorical([3, 1, 3, 3]),
            "band": pd.cut([0.5, 1.5, 2.5, 0.1], [0, 1, 2, 3]),
            "job": ["clerk", "", None, "smith"],
            "town": pd.Series(["Rome", None, "Oslo", "Oslo"], dtype=object),
            "state": pd.Series(["on", None, "off", "off"], dtype="string"),
            "visits": pd.array([1, None, 3, 2**40], dtype="Int64"),
            "small": np.array([1, -128, 127, 0], dtype=np.int8),
            "count": [5, -6, 7, 10**15],
            "flag": [True, False, True, True],
            "answer": pd.array([True, None, False, True], dtype="boolean"),
            "share": pd.array([0.25, None, 1e-300, -3], dtype="Float64"),
            "light": np.array([0.1, np.nan, 3, 4], dtype=np.float32),
            "weight": [0.1, np.nan, 1e300, -0.5],
            "loose": pd.Series([1, None, 3, 4], dtype=object),
            "truth": pd.Series([True, None, False, True], dtype=object),
            "parts": pd.Series([0.5, pd.NA, 2, 1.5], dtype=object),
            "code": [40, 7, 7, 40],
            "rate": [0.5, np.nan, 0.5, 2.5],
            "switch": [False, True, True, False],
            "rank": pd.array([2, None, 1, 2], dtype="Int16"),
            9: [1.0, 2.0, 3.0, 4.0],
        }
    )


CODES = ("code", "rate", "switch", "rank")


def kinds_of(X):
    return [kind or name in CODES for name, kind in zip(X.columns, frame_kinds(X), strict=True)]


def learn(X, *categories):
    return Table.learn(X, [name in categories for name in X.columns])


def test_the_frame_comes_back():
    X = mixed()
    table = Table.learn(X, kinds_of(X))
    assert_frame_equal(decode(table, encode(table, X)), X)
    X.index = pd.date_range("2020-01-01", periods=4)
    assert_frame_equal(decode(table, encode(table, X), index=X.index), X)


def test_missing_objects_come_back_as_they_were():
    X = mixed()
    table = Table.learn(X, kinds_of(X))
    back = decode(table, encode(table, X))
    assert back["town"][1] is None
    assert back["loose"][1] is None
    assert back["truth"].tolist() == [True, None, False, True]
    assert back["parts"][1] is pd.NA
    assert [type(value) for value in back["loose"]] == [int, type(None), int, int]


@pytest.mark.parametrize("seed", range(5))
def test_random_frames_come_back(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 200))

    def holes(column):
        return column.mask(rng.random(n) < 0.2)

    makers = [
        lambda: pd.Series(rng.normal(size=n)),
        lambda: pd.Series(rng.normal(size=n).astype(np.float32)),
        lambda: pd.Series(rng.integers(-1000, 1000, n).astype(rng.choice(["int16", "int32", "int64"]))),
        lambda: holes(pd.Series(rng.integers(0, 9, n), dtype="Int32")),
        lambda: pd.Series(rng.random(n) < 0.5),
        lambda: pd.Series(["a", *rng.choice(["a", "b", ""], n - 1)]),
        lambda: pd.Series(pd.Categorical.from_codes([0, *rng.integers(-1, 3, n - 1)], ["z", "y", "x"])),
        lambda: pd.Series(["u", *holes(pd.Series(rng.choice(["u", "v"], n)))[1:]], dtype=object),
    ]
    picked = rng.integers(0, len(makers), 12)
    X = pd.DataFrame({f"c{j}": makers[maker]() for j, maker in enumerate(picked)})
    table = Table.learn(X, frame_kinds(X))
    x = encode(table, X)
    assert_frame_equal(decode(table, x), X)
    np.testing.assert_array_equal(encode(table, decode(table, x)), x)


def test_categories_become_the_indicators_of_pandas():
    X = mixed()
    kinds = kinds_of(X)
    table = Table.learn(X, kinds)
    x = encode(table, X)
    assert x.dtype == np.float64
    assert x.shape == (4, table.n_columns) == (4, len(table.names))
    for j, (name, kind, own) in enumerate(zip(X.columns, kinds, table.groups, strict=True)):
        column = X.iloc[:, j]
        if kind:
            expected = pd.get_dummies(column).astype(float)
            expected = expected.loc[:, expected.any()]  # of the levels that occur
            expected[column.isna()] = np.nan
            names = [f"{name}={level}" for level in expected.columns]
        else:
            expected, names = column.astype(object).where(column.notna(), NAN).astype(float).to_frame(), [name]
        np.testing.assert_array_equal(x[:, own], expected)
        assert [table.names[position] for position in own] == names
    assert [position for own in table.groups for position in own] == list(range(table.n_columns))


RARER = ["int64[pyarrow]", "bool[pyarrow]", "string[pyarrow]", "string[python]", "Sparse[float64]", "float16"]


@pytest.mark.parametrize("dtype", RARER)
def test_rarer_dtypes_come_back(dtype):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    X = pd.Series([0, 1, 1, 0]).astype(dtype).mask([False, False, True, False]).astype(dtype).to_frame("x")
    for kinds in (frame_kinds(X), [True]):
        table = Table.learn(X, kinds)
        assert_frame_equal(decode(table, encode(table, X)), X)


def test_kinds_of_a_frame():
    X = mixed()
    strings = {"size", "hue", "grade", "band", "job", "town", "state"}
    assert {name for name, kind in zip(X.columns, frame_kinds(X), strict=True) if kind} == strings
    X = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=2), "mix": pd.Series([1, "a"], dtype=object)})
    assert frame_kinds(X) == [False, True]
    assert is_frame(X)
    assert not any(map(is_frame, (X["mix"], X.to_numpy(), pl.DataFrame({"a": [1]}), [[1]])))
    with pytest.raises(ValueError, match=r"X must have shape \(n_samples, n_features\). Got \(2,\)"):
        frame_kinds([1, 2])


def test_codes_in_an_array():
    rng = np.random.default_rng(0)
    X = np.c_[rng.integers(5, 9, 50), rng.normal(size=50), rng.integers(0, 2, 50)]
    X[3, 0] = np.nan
    table = Table.learn(X, [True, False, True])
    x = encode(table, X)
    assert table.names == ["0=5.0", "0=6.0", "0=7.0", "0=8.0", 1, "2=0.0", "2=1.0"]
    assert table.groups == [[0, 1, 2, 3], [4], [5, 6]]
    seen = np.delete(X, 3, axis=0)
    expected = OneHotEncoder(sparse_output=False).fit_transform(seen[:, [0, 2]])
    np.testing.assert_array_equal(np.delete(x, 3, axis=0)[:, [0, 1, 2, 3, 5, 6]], expected)
    assert np.isnan(x[3, :4]).all()
    np.testing.assert_array_equal(decode(table, x), X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_keep_their_precision(dtype):
    X = np.array([[1, 0.25], [2, 0.5]], dtype=dtype)
    table = Table.learn(X, [True, False])
    assert encode(table, X).dtype == dtype
    assert decode(table, encode(table, X)).dtype == dtype
    whole = Table.learn(X.astype(int), [True, False])
    np.testing.assert_array_equal(decode(whole, [[0.4, 0.6, 3.3]]), [[2, 3.3]])


@pytest.mark.parametrize("make", [lambda rows: np.array(rows, dtype=object), list])
def test_arrays_of_objects(make):
    rows = [[34, "clerk", 0.5], [51, "smith", None], [28, None, 1.5]]
    X = make(rows)
    table = Table.learn(X, [False, True, False])
    x = encode(table, X)
    np.testing.assert_array_equal(x, [[34, 1, 0, 0.5], [51, 0, 1, NAN], [28, NAN, NAN, 1.5]])
    back = decode(table, x)
    assert back.dtype == object
    assert back.tolist() == rows
    assert frame_kinds(X) == [False, True, False]
    assert frame_kinds(make([[1, "a"], [2, "b"]])) == [False, True]


def test_arrays_need_no_pandas(monkeypatch):
    X = np.array([[34, "clerk"], [51, "smith"]], dtype=object)
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = Table.learn(X, [False, True])
    assert decode(table, encode(table, X)).tolist() == X.tolist()


def test_columns_are_found_by_position():
    X = pd.DataFrame({"job": ["b", "a"], "age": [1, 2]})
    table = learn(X, "job")
    np.testing.assert_array_equal(encode(table, X), encode(table, X.to_numpy(dtype=object)))
    np.testing.assert_array_equal(encode(table, X.set_axis(["u", "v"], axis=1)), encode(table, X))
    codes = learn(pd.DataFrame({"code": [1, 2]}), "code")
    np.testing.assert_array_equal(encode(codes, pd.DataFrame({"code": [2.0, NAN]})), [[0, 1], [NAN, NAN]])


def test_one_row():
    X = mixed()
    table = Table.learn(X, kinds_of(X))
    x = encode(table, X)
    for row in range(len(X)):
        np.testing.assert_array_equal(encode(table, X.iloc[[row]]), x[[row]])
    assert_frame_equal(decode(table, x[[0]]), X.iloc[[0]])
    assert_frame_equal(decode(table, x[:0]), X.iloc[:0])
    alone = Table.learn(X.iloc[[0]], kinds_of(X))
    assert_frame_equal(decode(alone, encode(alone, X.iloc[[0]])), X.iloc[[0]])


def test_a_table_survives_pickle_and_deepcopy():
    X = mixed()
    table = Table.learn(X, kinds_of(X))
    for twin in (pickle.loads(pickle.dumps(table)), deepcopy(table)):
        np.testing.assert_array_equal(encode(twin, X), encode(table, X))
        assert_frame_equal(decode(twin, encode(twin, X)), X)


def test_the_state_is_plain():
    X = mixed().drop(columns=["band", "parts"])  # intervals and pandas' own missing value are objects of pandas

    def plain(value):
        if isinstance(value, dict | list):
            return all(map(plain, value.values() if isinstance(value, dict) else value))
        return value is None or type(value) in (str, int, float, bool)

    assert plain(asdict(Table.learn(X, kinds_of(X))))


def test_same_levels_and_names_in_several_columns():
    X = pd.DataFrame([["a", "b", 0.5], ["b", "a", 1.5]], columns=["u", "v", "v"])
    table = Table.learn(X, [True, True, False])
    assert table.names == ["u=a", "u=b", "v=a", "v=b", "v"]
    assert_frame_equal(decode(table, encode(table, X)), X)


def test_levels_of_types_that_do_not_compare():
    X = np.array([["b"], [2], ["a"], [1]], dtype=object)
    table = Table.learn(X, [True])
    assert table.names == ["0=1", "0=2", "0=a", "0=b"]
    assert decode(table, encode(table, X)).tolist() == X.tolist()


def test_categories_that_were_not_seen_have_no_column():
    X = pd.DataFrame({"size": pd.Categorical(["s", "l", None, "s"], ["s", "m", "l", "xl"], ordered=True)})
    table = learn(X, "size")
    assert table.names == ["size=s", "size=l"]
    assert_frame_equal(decode(table, [[1, 0], [0, 1], [NAN, NAN], [0.7, 0.3]]), X)
    other = pd.DataFrame({"size": pd.Categorical(["l", "s"], ["l", "s", "xl"])})
    np.testing.assert_array_equal(encode(table, other), [[0, 1], [1, 0]])
    with pytest.raises(ValueError, match=r"Column 'size' must hold .*: 's', 'l'\. Got 'm'"):
        encode(table, X.assign(size="m"))
    weighted = Table.learn(X, [True], weight=np.array([1, 0, 1, 2.0]))
    assert weighted.names == ["size=s"]
    with pytest.raises(ValueError, match="Column 'size' has none"):
        Table.learn(X, [True], weight=np.array([0, 0, 1.0, 0]))


def test_values_between_the_levels_are_rounded():
    X = pd.DataFrame({"job": ["a", "b"], "n": np.int8([1, 2]), "u": np.uint16([1, 2]), "f": [True, False]})
    X["i"], X["a"] = pd.array([1, 2], dtype="Int64"), pd.array([True, False], dtype="boolean")
    X["x"] = [0.5, 1.5]
    table = learn(X, "job")
    values = [[0.3, 0.7, 300.0, -4.0, 0.6, 2.6, 0.4, 0.3], [0.6, 0.4, -1.4, 2.4, 0.4, NAN, NAN, NAN]]
    expected = X.copy()
    expected["job"], expected["n"], expected["u"] = ["b", "a"], np.int8([127, -1]), np.uint16([0, 2])
    expected["i"], expected["a"] = pd.array([3, None], dtype="Int64"), pd.array([False, None], dtype="boolean")
    expected["x"] = [0.3, NAN]
    assert_frame_equal(decode(table, values), expected)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "Int64", "UInt8"])
def test_integers_stay_within_their_dtype(dtype):
    X = pd.DataFrame({"n": pd.Series([1, 2], dtype=dtype)})
    info = np.iinfo(dtype.lower())
    for values in np.float64([[1e30], [-1e30]]), np.float32([[1e30], [-1e30]]):
        back = decode(learn(X), values)["n"]
        assert back.dtype == dtype
        # Two floats next to each other are 1024 apart below 2 ** 63, and twice that below 2 ** 64.
        assert info.max - 2048 <= back[0] <= info.max
        assert back[1] == info.min


def test_numpy_integers_with_a_hole_become_floats():
    X = pd.DataFrame({"n": [1, 2], "job": ["a", "b"], "code": [1, 2]})
    back = decode(learn(X, "job", "code"), [[NAN, 0, 1, NAN, NAN], [2.2, NAN, NAN, 0, 1]])
    assert_frame_equal(back, pd.DataFrame({"n": [NAN, 2.0], "job": ["b", NAN], "code": [NAN, 2.0]}))
    only = decode(learn(X[["n"]]), [[NAN], [2.0]])
    assert_frame_equal(only, pd.DataFrame({"n": [NAN, 2.0]}))


def test_draws_in_float32():
    X = mixed()
    table = Table.learn(X, kinds_of(X))
    back = decode(table, encode(table, X).clip(-1e9, 1e9).astype(np.float32))
    assert back.dtypes.equals(X.dtypes)


def test_a_frame_of_floats_is_not_copied():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 3)))
    table = learn(X)
    assert np.shares_memory(encode(table, X), X.to_numpy())
    assert_frame_equal(decode(table, encode(table, X)), X)
    single = X.astype(np.float32)
    assert_frame_equal(decode(learn(single), encode(learn(single), single)), single)
    assert [encode(learn(single), frame).dtype for frame in (single, X)] == [np.float32, np.float64]
    whole = pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=["u", "v"])
    assert_frame_equal(decode(learn(whole), [[1.2, 2.6], [2.0, 4.4]], index=whole.index), whole)


def test_objects_and_categories_may_be_numbers():
    X = pd.DataFrame({"x": pd.Series([Decimal("0.5"), Fraction(1, 4), 2, None], dtype=object)})
    np.testing.assert_array_equal(encode(learn(X), X)[:, 0], [0.5, 0.25, 2, NAN])
    X = pd.DataFrame({"n": pd.Categorical([3, 1, None])})
    np.testing.assert_array_equal(encode(learn(X), X)[:, 0], [3, 1, NAN])
    assert_frame_equal(decode(learn(X), [[2.5]]), pd.DataFrame({"n": [2.5]}))


def test_columns_without_a_cell():
    X = pd.DataFrame({"x": pd.Series([None, None], dtype=object), "y": [NAN, NAN]})
    table = learn(X)
    assert np.isnan(encode(table, X)).all()
    assert_frame_equal(decode(table, encode(table, X)), X)


def test_unknown_level():
    X = pd.DataFrame({"job": ["clerk", "smith"], "x": [1.0, 2.0]})
    table = learn(X, "job")
    with pytest.raises(ValueError, match=r"Column 'job' must hold .*: 'clerk', 'smith'\. Got 'pilot'"):
        encode(table, pd.DataFrame({"job": ["smith", "pilot"], "x": [1.0, 2.0]}))
    with pytest.raises(ValueError, match=r"Column 1 must hold .*: 1\.0, 2\.0\. Got 3\.0"):
        encode(Table.learn([[0.5, 1], [0.5, 2]], [False, True]), [[0.5, 3]])
    many = np.arange(100)[:, None]
    with pytest.raises(ValueError, match=r": 0, 1, .* 9, \.\.\. \(100 in all\)\. Got 100"):
        encode(Table.learn(many, [True]), [[100]])


def test_an_unknown_level_is_missing_without_a_word():
    table = learn(pd.DataFrame({"job": ["clerk", "smith"], "x": [1.0, 2.0]}), "job")
    encoded = table.encode(pd.DataFrame({"job": ["pilot"], "x": [1.0]}), "silent").toarray()
    np.testing.assert_array_equal(encoded, [[NAN, NAN, 1.0]])


@pytest.mark.parametrize("missing", [None, NAN, pd.NA])
def test_category_without_an_observed_value(missing):
    X = pd.DataFrame({"job": pd.Series([missing, missing], dtype=object)})
    with pytest.raises(ValueError, match="Column 'job' has none"):
        learn(X, "job")
    with pytest.raises(ValueError, match="Column 'job' has none"):
        learn(X.astype(pd.CategoricalDtype(["a"])), "job")


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (["clerk", None], "Column 'c' holds strings, such as 'clerk'; likelihood must name it 'categorical'"),
        (pd.Categorical(["a", "b"]), "Column 'c' holds strings, such as 'a'"),
        (pd.Series([0.5, "b"], dtype=object), "Column 'c' holds strings, such as 'b'"),
        (pd.Series([b"b", None], dtype=object), "Column 'c' holds strings"),
        (pd.to_datetime(["2020-01-01", None]), "'c' holds dates or durations, such as '2020-01-01.*number first"),
        (pd.to_timedelta([1, 2], unit="s"), "'c' holds dates or durations"),
        (pd.Series([date(2020, 1, 1), None], dtype=object), "'c' holds dates or durations, such as '2020-01-01'"),
        ([1 + 2j, 0], "Complex data not supported: column 'c'"),
    ],
)
def test_columns_that_are_no_numbers(values, match):
    X = pd.DataFrame({"x": [1.0, 2.0], "c": values})
    with pytest.raises(ValueError, match=match):
        learn(X)
    with pytest.raises(ValueError, match=match):
        encode(learn(pd.DataFrame({"x": [1.0, 2.0], "c": [1.0, 2.0]})), X)


@pytest.mark.parametrize("value", [{"a": 1}, pd.Period("2020"), object()])
def test_objects_that_are_no_numbers(value):
    X = pd.DataFrame({"c": pd.Series([1.0, value], dtype=object)})
    with pytest.raises(TypeError, match=r"Column 'c' must hold numbers.*argument must be a string or a real number"):
        learn(X)


def test_infinity():
    X = pd.DataFrame({"x": [1.0, 2.0], "job": ["a", "b"]})
    table = learn(X, "job")
    message = r"Input X contains infinity or a value too large for dtype\('float64'\), in 'x'"
    with pytest.raises(ValueError, match=message):
        encode(table, X.assign(x=[1, -np.inf]))
    with pytest.raises(ValueError, match=message):
        encode(learn(X[["x"]]), X[["x"]].assign(x=[np.inf, 0]))
    with pytest.raises(ValueError, match="infinity, in categorical column 'x'"):
        learn(X.assign(x=[np.inf, 1]), "x", "job")


def test_frames_of_polars():
    X = pl.DataFrame({"x": [1.0, 2.0], "job": ["a", "b"]})
    with pytest.raises(TypeError, match=r"X\.to_pandas\(\)"):
        frame_kinds(X)
    with pytest.raises(TypeError, match=r"X\.to_pandas\(\)"):
        Table.learn(X, [False, True])
    table = Table.learn(X[["x"]], [False])
    assert table.names == ["x"]
    np.testing.assert_array_equal(decode(table, encode(table, X[["x"]])), [[1], [2]])
