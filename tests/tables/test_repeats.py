"""Copies of rows: which are found, and which rows are equal by chance."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from sklearn_mtae._tables.frame import Table
from sklearn_mtae._tables.repeats import find_repeats

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 3)), RNG.normal(size=(30, 2))
COPIED = RNG.permutation(np.r_[np.arange(30), np.arange(10), np.arange(5)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_copies_have_one_position(dtype):
    x, y = X.astype(dtype), Y.copy()
    x[3, 1] = y[4, 0] = np.nan
    found = find_repeats(x[COPIED], y[COPIED])
    assert found is not None
    np.testing.assert_array_equal(found[:, None] == found, COPIED[:, None] == COPIED)


def test_rows_with_other_labels_are_no_copies():
    assert find_repeats(X, Y) is None
    assert find_repeats(X[COPIED], np.arange(len(COPIED))[:, None].astype(float)) is None


@pytest.mark.parametrize(("n_copies", "is_found"), [(3, False), (4, True)])
def test_few_copies_do_not_count(n_copies, is_found):
    """Of 33 rows, three copies are less than a tenth."""
    rows = np.r_[np.arange(30), np.arange(n_copies)]
    assert (find_repeats(X[rows], Y[rows]) is not None) == is_found


def test_categories_repeat_by_chance():
    levels, classes = RNG.integers(0, 3, (300, 4)).astype(float), RNG.integers(0, 2, (300, 1)).astype(float)
    assert find_repeats(levels, classes) is None


def test_frames_and_sparse_rows():
    frame = pd.DataFrame(X, columns=list("abc")).assign(word=np.array(["x", "y", "z"])[np.arange(30) % 3]).iloc[COPIED]
    coded = Table.learn(frame, [False, False, False, True]).encode(frame)
    found = find_repeats(coded, Y[COPIED])
    assert found is not None
    assert len(np.unique(found)) == 30
    assert find_repeats(csr_array(X[COPIED]), Y[COPIED]) is None
