"""Folds that a splitter or an iterable gives."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, TimeSeriesSplit

from sklearn_mtae._tables.given_folds import read_folds

X = np.zeros((12, 1))
GROUPS = np.arange(12) % 4


@pytest.mark.parametrize("cv", [TimeSeriesSplit(3), GroupKFold(4)])
def test_folds_are_those_of_the_splitter(cv):
    groups = GROUPS if isinstance(cv, GroupKFold) else None
    for own, expected in zip(read_folds(cv, X, X, groups, 12), cv.split(X, X, groups), strict=True):
        np.testing.assert_array_equal(own[0], expected[0])
        np.testing.assert_array_equal(own[1], expected[1])


def test_masks_are_positions():
    (train, held_out), *_ = read_folds([(GROUPS > 0, GROUPS == 0)], X, X, None, 12)
    assert held_out.tolist() == [0, 4, 8]
    assert len(train) == 9


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        ([], "cv must give one fold at least"),
        ([3], "cv must hold pairs of the rows"),
        ([([0, 1], ["a"])], "cv must hold pairs of the rows"),
        ([([0, 1], [])], "cv must give rows to train on and rows to leave out. Fold 0 has 2 and 0"),
        ([([0, 1], [1, 2])], "cv must leave out rows that are not trained on. Fold 0"),
        ([([0], [1]), ([0, 1], [12])], "cv must give rows from 0 to 11. Fold 1 has rows from 0 to 12"),
    ],
)
def test_errors_say_what_must_hold(cv, message):
    with pytest.raises(ValueError, match=message):
        read_folds(cv, X, X, None, 12)
