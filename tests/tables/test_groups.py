"""Groups of rows: read, and dealt to parts as wholes."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from sklearn_mtae._tables.groups import deal_groups, read_groups


@pytest.mark.parametrize(
    "groups", [[3, 1, 3, 2], ["c", "a", "c", "b"], pd.Categorical(["c", "a", "c", "b"]), ["1", 1, "1", 2]]
)
def test_rows_of_a_group_have_the_same_position(groups):
    found = read_groups(pd.Series(groups), np.zeros((4, 1)))
    assert found[0] == found[2]
    assert len(set(found.tolist())) == 3


def test_errors_say_what_must_hold():
    with pytest.raises(
        ValueError, match=r"groups must have a value for every row\. Got 1 missing ones, the first in row 2"
    ):
        read_groups([1, 1, np.nan], np.zeros((3, 1)))
    with pytest.raises(ValueError, match=r"groups must have a value for every row\. Got 2 for 3 rows"):
        read_groups([1, 1], np.zeros((3, 1)))
    for wrong in (3, np.ones((3, 2)), [(0, 1), (0, 2), (1, 1)], 1j * np.ones(3)):
        with pytest.raises(ValueError, match=r"groups must be one column of .* Got "):
            read_groups(wrong, np.zeros((3, 1)))
    with pytest.raises(TypeError, match="groups: unhashable"):
        read_groups(np.array([{1}, {2}, {3}], dtype=object), np.zeros((3, 1)))


def test_dealing_is_nearly_as_even_as_can_be():
    rng = np.random.default_rng(0)
    for _ in range(20):
        counts = rng.integers(1, 9, size=(7, 2)).astype(float)
        groups = np.repeat(np.arange(7), counts[:, 0].astype(int))
        of_rows = (counts[:, 1] / counts[:, 0])[groups, None]
        dealt = deal_groups(groups, of_rows, np.array([0.5, 0.5]), rng)
        parts = dealt[np.searchsorted(groups, np.arange(7))]
        np.testing.assert_array_equal(parts[groups], dealt)

        def loss(parts, counts=counts):
            held = np.stack([counts[np.asarray(parts) == part].sum(axis=0) for part in range(2)]) / counts.sum(axis=0)
            return ((held - 0.5) ** 2).sum()

        losses = np.sort([loss(own) for own in product(range(2), repeat=7)])
        assert (losses < loss(parts)).mean() < 0.25
