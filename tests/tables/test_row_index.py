"""Which of many rows are taken."""

import numpy as np
import pytest

from sklearn_mtae._tables.row_index import AllRows, evenly


@pytest.mark.parametrize("n_most", [0, 1, 7, 99, 100, 300])
@pytest.mark.parametrize("make", [AllRows, lambda n: np.arange(n) * 3 + 5])
def test_one_of_each_part(n_most, make):
    index = make(100)
    taken = evenly(index, n_most)
    places = np.asarray(taken) if isinstance(index, AllRows) else (taken - 5) // 3
    assert len(taken) == min(n_most, 100)
    assert (np.diff(places) > 0).all()
    starts = np.linspace(0, 100, len(taken) + 1).astype(int)
    assert ((starts[:-1] <= places) & (places < starts[1:])).all()
    np.testing.assert_array_equal(taken, evenly(make(100), n_most))


@pytest.mark.parametrize("period", [2, 3, 5])
@pytest.mark.parametrize("share", [2, 3, 4, 5, 10])
def test_rows_whose_kind_alternates_are_taken_alike(period, share):
    taken = evenly(np.arange(6_000), 6_000 // share)
    counts = np.bincount(taken % period, minlength=period)
    assert counts.min() > 0.7 * counts.mean()
