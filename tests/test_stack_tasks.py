"""Tasks with rows of their own, stacked to one table."""

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from sklearn_mtae._stack_tasks import stack_tasks


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


def test_arrays_need_no_pandas():
    program = (
        "import sys; sys.modules['pandas'] = None; import numpy as np; "
        "from sklearn_mtae._stack_tasks import stack_tasks; "
        "assert stack_tasks({'a': (np.ones((2, 1)), ['x', None])})[1].tolist() == [['x'], [None]]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
