"""Targets of several kinds: what each column is, its codes, and predictions of it as it came."""

import numpy as np
import pandas as pd
import pytest

from sklearn_mtae._tables.mixed_targets import read_mixed

KINDS = {
    "float": ([0.5, np.nan, 1.0], "number"),
    "integer": ([0, 1, 1], "number"),
    "nullable integer": (pd.array([0, 1, None], dtype="Int64"), "number"),
    "boolean": ([True, False, True], "categorical"),
    "nullable boolean": (pd.array([True, None, False], dtype="boolean"), "categorical"),
    "objects of booleans": (np.array([True, None, False], dtype=object), "categorical"),
    "objects of numbers": (np.array([1, None, 2.5], dtype=object), "number"),
    "strings": (["b", None, "a"], "categorical"),
    "arrow strings": (pd.array(["b", None, "a"], dtype="string"), "categorical"),
    "category of integers": (pd.Categorical([3, None, 1]), "categorical"),
    "intervals": (pd.cut([0.5, np.nan, 1.5], [0, 1, 2]), "categorical"),
}


def read(y, likelihoods="auto"):
    return read_mixed(y, np.zeros((len(y), 1)), likelihoods=likelihoods)


@pytest.mark.parametrize("name", KINDS)
def test_the_kind_is_that_of_the_dtype_and_a_column_comes_back_as_it_was(name):
    column, kind = KINDS[name]
    Y = pd.DataFrame({name: column}, index=[5, 7, 9])
    targets, tasks = read(Y)
    assert tasks.kinds == [kind]
    known = Y[name].notna().to_numpy()
    assert (np.isnan(targets[:, 0]) == ~known).all()
    again = tasks.cells(np.nan_to_num(targets)).set_index(Y.index)
    pd.testing.assert_frame_equal(again[known], Y[known])


def test_means_of_whole_numbers_are_floats_of_the_same_family():
    Y = pd.DataFrame({"a": [1, 2], "b": pd.array([1, 2], dtype="UInt8"), "c": np.float32([1, 2])})
    tasks = read(Y)[1]
    rows = pd.DataFrame({"x": [0, 0]}, index=["r", "s"])
    means = tasks.means(np.full((2, 3), 1.25), rows)
    assert means.dtypes.astype(str).tolist() == ["float64", "Float64", "float32"]
    assert means.index.tolist() == ["r", "s"]
    assert (means == 1.25).all(axis=None)


def test_categories_keep_their_order_and_count_without_a_label():
    dtype = pd.CategoricalDtype(["low", "mid", "high"], ordered=True)
    Y = pd.DataFrame({"a": pd.Categorical(["high", None, "low"], dtype=dtype), "b": [True, True, True]})
    targets, tasks = read(Y)
    np.testing.assert_array_equal(targets, [[2, 1], [np.nan, 1], [0, 1]])
    assert {name: own.tolist() for name, own in tasks.by_name.items()} == {
        "a": ["low", "mid", "high"],
        "b": [False, True],
    }


def test_arrays_of_objects_come_back_as_such():
    Y = np.array([[1.5, "b", True], [None, "a", None]], dtype=object)
    targets, tasks = read(Y)
    np.testing.assert_array_equal(targets, [[1.5, 1, 1], [np.nan, 0, np.nan]])
    again = tasks.means(np.array([[1.5, 1, 1.0]]), None)
    assert again.dtype == object
    assert again.tolist() == [[1.5, "b", True]]
    assert isinstance(again[0, 2], bool | np.bool_)


def test_arrays_of_one_kind_keep_their_dtype():
    strings = np.array([["a", "x"], ["b", "y"]])
    assert read(strings)[1].means(np.zeros((1, 2)), None).tolist() == [["a", "x"]]
    assert read(np.array([True, False]))[1].means(np.ones((1, 1)), None).dtype == bool
    assert read(np.array([1, 2]))[1].means(np.full((1, 1), 1.5), None).tolist() == [1.5]


def test_what_is_given_comes_before_the_dtype():
    Y = pd.DataFrame({"grade": [3, 1, 3], "sick": [True, False, True], "n": [0, 1, 4]})
    tasks = read(Y, {"grade": "categorical", "sick": "bernoulli", "n": "poisson"})[1]
    assert tasks.kinds == ["categorical", "bernoulli", "poisson"]
    assert tasks.by_name["grade"].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("column", "likelihoods", "message"),
    [
        ([1.0, 2.0], {"z": "poisson"}, r"unknown tasks \['z'\]"),
        ([1.0, 2.0], {"a": "poison"}, "'poison' for task 'a'. Did you mean 'poisson'"),
        ([1.0, 2.0], {"a": "multinomial"}, "'multinomial' for task 'a'"),
        (["u", "v"], {"a": "poisson"}, "Task 'a' must hold numbers"),
        ([0.5, 1.5], {"a": "categorical"}, "These are the labels of task 'a'"),
        ([1.0, "v"], "auto", "must be of one type, numbers or strings. Task 'a'"),
        ([1.0, np.inf], "auto", "infinity, in task 'a'"),
        (pd.to_datetime(["2020-01-01", "2021-01-01"]), "auto", "dates"),
        (["u", None], "auto", None),
    ],
)
def test_errors_name_the_task(column, likelihoods, message):
    Y = pd.DataFrame({"a": column, "b": [1.0, 2.0]})
    if message is None:
        assert read(Y, likelihoods)[1].kinds[0] == "categorical"
        return
    with pytest.raises((ValueError, TypeError), match=message):
        read(Y, likelihoods)


def test_later_labels_must_be_known():
    first, tasks = read(pd.DataFrame({"a": ["u", "v"]}))
    with pytest.raises(ValueError, match=r"Task 'a' has \['w'\]"):
        read_mixed(pd.DataFrame({"a": ["w"]}), np.zeros((1, 1)), tasks)
    with pytest.raises(ValueError, match="must not change task_likelihoods"):
        read_mixed(pd.DataFrame({"a": ["u"]}), np.zeros((1, 1)), tasks, likelihoods={"a": "categorical"})
    assert first.shape == (2, 1)
