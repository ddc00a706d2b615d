"""Tasks with rows of their own, stacked to one table."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_mtae import MultiTaskVAERegressor, align_columns
from sklearn_mtae._tables.stack_tasks import stack_tasks


@pytest.fixture
def frames():
    a = pd.DataFrame({"i": [1, 2], "s": ["u", "v"], "f": [0.5, 1.5]}, index=["p", "q"])
    b = pd.DataFrame({"k": [True, False, True], "i": [3, 4, 5]}, index=["p", "p", "r"])
    return a, b


def test_arrays_round_trip():
    rng = np.random.default_rng(0)
    tasks = {name: (rng.normal(size=(n, 3)), rng.normal(size=n)) for name, n in [("b", 4), ("a", 2), ("c", 5)]}
    tasks["a"][1][0] = np.nan
    X, Y = stack_tasks(tasks)
    assert X.shape == Y.shape == (11, 3)
    starts = {"b": 0, "a": 4, "c": 6}
    for task, (name, (rows, labels)) in enumerate(tasks.items()):
        own = slice(starts[name], starts[name] + len(labels))
        np.testing.assert_array_equal(X[own], rows)
        np.testing.assert_array_equal(Y[own, task], labels)
        assert np.isnan(np.delete(Y[:, task], own)).all()


@pytest.mark.parametrize(
    ("dtype", "expected"), [("float32", "float32"), ("float64", "float64"), ("int64", "float64"), ("bool", "float64")]
)
def test_rows_are_floats(dtype, expected):
    X, _ = stack_tasks({"a": (np.ones((2, 1), dtype=dtype), [1, 2])})
    assert X.dtype == expected
    X, Y = stack_tasks({"a": ([[1, None], [3, 4]], [True, None])})
    np.testing.assert_array_equal(X, [[1, np.nan], [3, 4]])
    np.testing.assert_array_equal(Y, [[1], [np.nan]])


@pytest.mark.parametrize(
    "labels",
    [
        [1, None, 3],
        np.array([1, np.nan, 3]),
        pd.Series([1, None, 3], dtype="Int64", index=[7, 8, 9]),
        pl.Series([1, None, 3]),
        np.array([1, None, 3], dtype=object),
    ],
)
def test_missing_labels_of_any_kind(labels):
    _, Y = stack_tasks({"a": (np.ones((3, 1)), labels), "b": (np.ones((1, 1)), [5])})
    np.testing.assert_array_equal(Y, [[1, np.nan], [np.nan, np.nan], [3, np.nan], [np.nan, 5]])
    assert Y.dtype == float


def test_labels_that_are_no_numbers():
    _, Y = stack_tasks({"a": (np.ones((3, 1)), ["x", np.nan, "z"]), "b": (np.ones((2, 1)), [5.0, np.nan])})
    assert Y.dtype == object
    assert Y.tolist() == [["x", None], [None, None], ["z", None], [None, 5.0], [None, None]]


def test_frames_have_the_columns_of_all(frames):
    a, b = frames
    X, Y = stack_tasks({"b": (b, [1, 2, 3]), "a": (a, pd.Series(["x", None]))})
    assert list(X.columns) == ["k", "i", "s", "f"]
    assert X["i"].tolist() == [3, 4, 5, 1, 2]
    assert X["i"].dtype == np.int64
    assert X["f"].dtype == np.float64
    assert X["k"].isna().tolist() == [False] * 3 + [True] * 2
    assert X["s"].isna().tolist() == [True] * 3 + [False] * 2
    assert list(Y.columns) == ["b", "a"]
    assert Y["b"].tolist()[:3] == [1, 2, 3]
    assert Y["b"].isna().tolist() == [False] * 3 + [True] * 2
    assert Y["a"].isna().tolist() == [True] * 3 + [False, True]
    pd.testing.assert_index_equal(X.index, Y.index)
    assert X.index.names[0] == "task"


def test_frames_round_trip(frames):
    a, b = frames
    y = pd.Series([1, 2, None], dtype="Int64")
    X, Y = stack_tasks({"a": (a, ["x", "y"]), "b": (b, y)})
    pd.testing.assert_frame_equal(X.loc["a"][a.columns], a)
    pd.testing.assert_frame_equal(X.loc["b"][b.columns], b, check_dtype=False)
    assert Y.loc["a", "a"].tolist() == ["x", "y"]
    pd.testing.assert_series_equal(Y.loc["b", "b"].reset_index(drop=True), y, check_names=False)


def test_labels_belong_to_rows_by_position(frames):
    a, _ = frames
    _, Y = stack_tasks({"a": (a, pd.Series([1.0, 2.0], index=["q", "p"]))})
    assert Y["a"].tolist() == [1.0, 2.0]


def test_what_is_passed_is_not_changed(frames):
    a, _ = frames
    before, labels = a.copy(), pd.Series([1.0, 2.0])
    X, Y = stack_tasks({"a": (a, labels)})
    X.iloc[0, 0], Y.iloc[0, 0] = 99, 99
    pd.testing.assert_frame_equal(a, before)
    assert labels.tolist() == [1.0, 2.0]


ROWS = np.ones((2, 3))


@pytest.mark.parametrize(
    ("tasks", "error", "message"),
    [
        ({}, ValueError, "at least one task. Got {} instead"),
        ([(ROWS, [1, 2])], ValueError, r"tasks must be a dict \{name: \(X, y\)\}"),
        ({"a": ROWS}, ValueError, r"Task 'a' must be a pair \(X, y\). Got ndarray"),
        ({"a": (ROWS, [1, 2]), "b": (ROWS, [1])}, ValueError, "task 'b' must have the same length. Got 2 and 1"),
        ({"a": (ROWS, ROWS)}, ValueError, r"The y of task 'a' must have one dimension. Got shape \(2, 3\)"),
        ({"a": (ROWS[0], [1, 2])}, ValueError, r"The X of task 'a' must have two dimensions. Got shape \(3,\)"),
        ({"a": (ROWS, [1, 2]), "b": (ROWS[:, 1:], [1, 2])}, ValueError, "Got {'a': 3, 'b': 2}; pandas frames"),
        ({"a": (ROWS, [1, 2]), "b": (pd.DataFrame(ROWS), [1, 2])}, ValueError, r"Got frames for \['b'\] only"),
        (
            {"a": (pl.DataFrame(ROWS), [1, 2])},
            TypeError,
            "'a' must be an array or a pandas frame. Got polars.DataFrame",
        ),
        ({"a": (sparse.csr_array(ROWS), [1, 2])}, TypeError, "'a' must be an array or a pandas frame. Got scipy"),
        (
            {"a": (pd.DataFrame(ROWS, columns=["u", "v", "u"]), [1, 2])},
            ValueError,
            r"columns of the X of task 'a' must have different names. Got \['u'\] twice",
        ),
    ],
)
def test_bad_input(tasks, error, message):
    with pytest.raises(error, match=message):
        stack_tasks(tasks)


# No value is changed.


def stack(*columns):
    """Return the column "c" of a stack of tables that have it; tables of None have another."""
    tables = [pd.DataFrame({"d": [0.5]} if column is None else {"c": column}) for column in columns]
    X, _ = stack_tasks({f"t{task}": (x, np.arange(float(len(x)))) for task, x in enumerate(tables)})
    for task, x in enumerate(tables):
        if not len(x):
            continue
        if "c" in x:
            own = X.loc[f"t{task}", "c"]
            assert own.isna().tolist() == x["c"].isna().tolist()
            assert own.dropna().tolist() == x["c"].dropna().tolist()
        else:
            assert X.loc[f"t{task}", "c"].isna().all()
    return X["c"]


def category(values, categories=None, ordered=False):
    return pd.Categorical(values, categories=categories, ordered=ordered)


@pytest.mark.parametrize(
    ("categories", "ordered", "expected", "is_ordered"),
    [
        (["ab", "bc"], False, "abc", False),
        (["ab", "ab"], True, "ab", True),
        (["ab", "bc"], True, "abc", True),
        (["bc", "ab"], True, "abc", True),
        (["ac", "abc"], True, "abc", True),
        (["ab", "ac"], True, "abc", False),  # b and c are not compared
        (["ab", "ba"], True, "ab", False),
        (["abc", "cd", "bd"], True, "abcd", True),
        (["ab", "bc", "ca"], True, "abc", False),
    ],
)
def test_categories_are_those_of_all(categories, ordered, expected, is_ordered):
    column = stack(*(category(list(own), list(own), ordered) for own in categories))
    assert column.dtype.categories.tolist() == list(expected)
    assert column.dtype.ordered == is_ordered


def test_site_codes_stay_categories():
    column = stack(category([7, 9, None]), category([9, 3]), None)
    assert column.dtype.categories.tolist() == [7, 9, 3]
    assert column.dtype.categories.dtype == np.int64
    both = stack(category(["u"]), ["w", "v", None], category(["x"], ordered=True))
    assert both.dtype == pd.CategoricalDtype(["u", "x", "v", "w"])
    assert stack(category(["u"], ordered=True), category(["u"])).dtype.ordered is False


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (category([7, 9]), [1, 2], "categories that are numbers in task 't0', numbers in task 't1'"),
        (category(["7"]), [1.5], "categories that are strings in task 't0', numbers in task 't1'"),
        (category(["7"]), category([7]), "categories that are strings in task 't0', categories that are numbers"),
        (category([7]), ["7"], "categories that are numbers in task 't0', strings in task 't1'"),
        (["7"], [7], "strings in task 't0', numbers in task 't1'"),
        ([True], [1], "booleans in task 't0', numbers in task 't1'"),
        (pd.to_datetime(["2020-01-01"]), [1], "dates in task 't0', numbers in task 't1'"),
        (
            pd.to_datetime(["2020"]),
            pd.to_datetime(["2020"]).tz_localize("UTC"),
            "dates in task 't0', dates of the time",
        ),
        (pd.to_datetime(["2020"]), ["2020"], "dates in task 't0', strings in task 't1'"),
        (pd.Series([1, "?"], dtype=object), [1, 2], "values of several types in task 't0', numbers in task 't1'"),
        (pd.Series([1, 2], dtype="Int64"), ["1", "2"], "numbers in task 't0', strings in task 't1'"),
    ],
)
def test_values_of_unlike_kinds_are_an_error(first, second, words):
    with pytest.raises(ValueError, match=rf"Column 'c' must hold the same kind of values in each table. Got {words}"):
        stack(first, second)


BIG = 2**53 + 1


@pytest.mark.parametrize(
    ("columns", "dtype"),
    [
        (([1, 2], [3]), "int64"),
        (([1, 2], None), "float64"),
        (([BIG, 2], None), "Int64"),
        ((np.array([BIG], dtype=np.uint64), None), "UInt64"),
        (([1, 2], [0.5, None]), "float64"),
        ((np.array([1], dtype=np.int8), np.array([300], dtype=np.int16)), "int16"),
        ((np.array([-1], dtype=np.int64), np.array([BIG], dtype=np.uint64)), "int64"),
        ((np.array([1], dtype=np.int64), np.array([2**64 - 1], dtype=np.uint64)), "uint64"),
        ((np.array([0.1], dtype=np.float32), [0.1]), "float64"),
        ((pd.array([BIG, None], dtype="Int64"), [1]), "Int64"),
        ((pd.array([1, None], dtype="Int32"), [0.5]), "Float64"),
        ((pd.array([1, None], dtype="UInt8"), None), "UInt8"),
        ((pd.array([1, None], dtype="int64[pyarrow]"), [BIG], None), "Int64"),
        (([True, False], None), "boolean"),
        (([True, None], [True]), "boolean"),
        ((pd.array([True, None], dtype="boolean"), [False]), "boolean"),
        ((pd.to_datetime(["2020-05-01"]).as_unit("s"), pd.to_datetime(["2021-05-01"]).as_unit("ns")), "datetime64[ns]"),
        ((pd.to_datetime(["2020-05-01"]).tz_localize("UTC"), None), None),
        ((pd.to_timedelta([1, 2], unit="s"), None), None),
        ((pd.period_range("2020", periods=2, freq="D"), None), "period[D]"),
        ((pd.Series([2**70, 1], dtype=object), None), "object"),
        ((pd.Series([2**70, 0.5, None], dtype=object), [1]), "object"),
        (([np.nan, np.nan], ["a", "b"]), None),
        (([np.nan], category(["a"], ["a", "b"], ordered=True)), None),
        (([None, None], [BIG, 2]), "Int64"),
        (([None], [np.nan], None), None),
        (([], [BIG]), "int64"),
        (([1 + 2j], None), "complex128"),
    ],
    ids=str,
)
def test_a_column_has_a_dtype_that_holds_all_values(columns, dtype):
    column = stack(*columns)
    assert dtype is None or column.dtype == dtype


def test_numbers_that_no_dtype_holds_are_an_error():
    with pytest.raises(
        ValueError, match=r"Column 'c' must hold numbers .* In task 't0' it has int64 from 900719925474"
    ):
        stack([BIG], [0.5])
    with pytest.raises(ValueError, match="In task 't0' it has int64 from -1 to -1, not all of which uint64"):
        stack([-1], np.array([2**64 - 1], dtype=np.uint64))


def test_tables_without_rows_and_labels_that_are_all_missing():
    full, empty = pd.DataFrame({"i": [1, 2], "s": ["u", "v"]}), pd.DataFrame({"i": [1], "s": ["u"]}).iloc[:0]
    X, Y = stack_tasks({"full": (full, [1, 0]), "empty": (empty, []), "bare": (full, [np.nan, None])})
    assert X["i"].tolist() == [1, 2, 1, 2]
    assert X["i"].dtype == np.int64
    assert Y["full"].tolist()[:2] == [1, 0]
    assert Y[["empty", "bare"]].isna().all(axis=None)
    X, Y = stack_tasks(
        {"full": (np.ones((2, 1)), [1, 0]), "empty": (np.ones((0, 1)), []), "bare": (ROWS[:, :1], [None] * 2)}
    )
    np.testing.assert_array_equal(Y, [[1, np.nan, np.nan], [0, np.nan, np.nan]] + [[np.nan] * 3] * 2)
    X, Y = stack_tasks({"empty": (empty, [])})
    assert X.shape == (0, 2)
    assert Y.shape == (0, 1)


def test_labels_of_frames_keep_their_values():
    x = pd.DataFrame({"c": [0.5, 1.5]})
    labels = {
        "id": pd.Series([BIG, 1]),
        "yes": pd.Series([True, False]),
        "kind": pd.Series(["a", "b"], dtype="category"),
        "when": pd.Series(pd.to_datetime(["2020-01-01", "2021-01-01"])),
    }
    _, Y = stack_tasks({name: (x, y) for name, y in labels.items()})
    for name, y in labels.items():
        assert Y.loc[name, name].tolist() == y.tolist()
        assert Y[name].isna().sum() == 6
    assert Y.dtypes.astype(str).tolist()[:3] == ["Int64", "boolean", "category"]


@pytest.mark.parametrize("framed", [False, True])
def test_names_that_are_the_same_as_strings(framed):
    x = pd.DataFrame(ROWS) if framed else ROWS
    with pytest.raises(ValueError, match=r"tasks must have different names, .* Got \[1, '1'\]"):
        stack_tasks({1: (x, [1, 2]), "1": (x, [3, 4])})


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.array([["007"], ["8"]]), "must hold numbers; categories must come in pandas frames. Got '007'"),
        ([["7", 1.0], [2, 3]], "Got '7'"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), "must hold numbers"),
        (np.array([[1 + 1j]]), "must hold numbers"),
        (np.array([[BIG]]), r"whole numbers up to 2\*\*53 .* Got 9007199254740993"),
        (np.array([[2**70, None]], dtype=object), r"Got 1180591620717411303424"),
    ],
)
def test_arrays_of_what_floats_do_not_hold(x, words):
    with pytest.raises(ValueError, match=f"The X of task 'a' .*{words}"):
        stack_tasks({"a": (x, np.ones(len(x)))})
    with pytest.raises(ValueError, match=r"The y of task 'a' must hold whole numbers"):
        stack_tasks({"a": (ROWS, [BIG, 1])})


def test_arrays_with_missing_cells_of_every_kind():
    X, _ = stack_tasks({"a": (np.array([[1, None, np.nan, pd.NA, True]], dtype=object), [1])})
    np.testing.assert_array_equal(X, [[1, np.nan, np.nan, np.nan, 1]])


# One site's own table.


@pytest.fixture
def sites():
    rng = np.random.default_rng(0)
    north = pd.DataFrame({"wind": rng.normal(size=20), "code": category(["p", "q"] * 10)})
    south = pd.DataFrame({"sun": rng.normal(size=15), "wind": rng.normal(size=15)}, index=range(5, 20))
    return north, south


def test_one_sites_own_table(sites):
    north, south = sites
    X, Y = stack_tasks({"north": (north, north["wind"]), "south": (south, south["sun"])})
    model = MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(4,), max_iter=1, random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(south)
    for site, name in ((north, "north"), (south, "south")):
        aligned = align_columns(site, model)
        assert list(aligned.columns) == ["wind", "code", "sun"]
        pd.testing.assert_index_equal(aligned.index, site.index)
        pd.testing.assert_frame_equal(aligned[site.columns], site)
        for method in (model.predict, model.transform, model.score_samples):
            np.testing.assert_allclose(method(aligned), method(X.loc[name]), rtol=1e-6)
    pipeline = make_pipeline(model)
    np.testing.assert_array_equal(pipeline.predict(align_columns(south, pipeline)), model.predict(aligned))
    pd.testing.assert_frame_equal(align_columns(south, X), aligned)
    assert list(south.columns) == ["sun", "wind"]


def test_columns_that_cannot_be_aligned(sites):
    north, south = sites
    with pytest.raises(ValueError, match=r"no other columns than \['wind', 'code'\]. Got \['sun'\] too"):
        align_columns(south, north)
    with pytest.raises(ValueError, match=r"columns of X must have different names. Got \['wind'\] twice"):
        align_columns(north[["wind", "wind"]], north)
    with pytest.raises(TypeError, match=r"X must be a pandas frame.* Got numpy.ndarray"):
        align_columns(ROWS, north)
    with pytest.raises(ValueError, match=r"has feature_names_in_\. Got Ridge"):
        align_columns(north, Ridge().fit(ROWS, [1, 2]))
