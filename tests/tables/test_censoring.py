"""Codes of labels that are limits."""

import numpy as np
import pandas as pd
import pytest

from sklearn_mtae._tables.censoring import read_censoring

Y = np.array([[1.0, np.nan], [2.0, 5.0], [3.0, 6.0]])
CODES = np.array([[-1, 0], [0, 1], [1, 0]])
SIGNS = np.array([["<", ""], ["", ">"], [">", ""]])
MIXED = [["<", None], [0, 1.0], [">", "="]]
FRAME = pd.DataFrame({"a": ["<", np.nan, ">"], "b": [None, ">", pd.NA]})


@pytest.mark.parametrize(
    "censoring",
    [CODES, CODES.astype(np.float32), SIGNS, SIGNS.astype(object), SIGNS.tolist(), MIXED, FRAME,
     FRAME.astype("string"), FRAME.astype("category"), pd.DataFrame(CODES), pd.DataFrame(CODES).astype("Int8")],
)  # fmt: skip
def test_signs_and_codes_say_the_same(censoring):
    codes = read_censoring(censoring, Y)
    assert codes.dtype == np.int8
    np.testing.assert_array_equal(codes, CODES)


def test_codes_of_missing_labels_do_not_count():
    signs = SIGNS.astype(object)
    signs[0, 1] = "unread"
    np.testing.assert_array_equal(read_censoring(signs, Y), CODES)


def test_one_task_classes_and_none():
    np.testing.assert_array_equal(read_censoring(["<", "", ">"], [1.0, 2.0, 3.0]), [[-1], [0], [1]])
    np.testing.assert_array_equal(read_censoring([["<", ""]], [[1.0, "a"]]), [[-1, 0]])
    assert not read_censoring(None, Y).any()
    assert read_censoring(None, Y).shape == Y.shape


@pytest.mark.parametrize("code", ["<<", "1", 2, -0.5, np.inf, True, np.False_, (1,)])
def test_unknown_codes_are_errors_that_name_the_task(code):
    y = pd.DataFrame(Y, columns=["a", "b"])
    censoring = np.zeros((3, 2), dtype=object)
    censoring[1, 1] = code
    with pytest.raises(ValueError, match=r"censoring must hold '' \(observed\), .* Got .* in task 'b'"):
        read_censoring(censoring, y)


def test_shapes_and_names_must_be_those_of_y():
    for censoring in (CODES[:2], CODES[:, :1], CODES[:, 0]):
        with pytest.raises(ValueError, match="censoring must have the shape of y, 3 rows of 2 tasks"):
            read_censoring(censoring, Y)
    with pytest.raises(ValueError, match=r"columns of y, \['b', 'a'\], in this order. Got \['a', 'b'\]"):
        read_censoring(FRAME, pd.DataFrame(Y, columns=["b", "a"]))


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.float32])
def test_numbers_of_numpy_in_columns_of_objects_are_codes(kind):
    cells = np.array([[kind(code)] for code in (-1, 0, 1)], dtype=object)
    assert read_censoring(cells, np.ones(3)).tolist() == [[-1], [0], [1]]


@pytest.mark.parametrize("given", ["<", np.zeros((3, 1, 1)), [["<"], ["<", ">"], [">"]]])
def test_codes_that_are_no_table_are_named(given):
    with pytest.raises(ValueError, match=r"^censoring"):
        read_censoring(given, np.ones(3))
