"""Coverage for new groups: that of groups of one row is that of rows, and it holds for groups of any size."""

import numpy as np

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._fitting.averaging import rank_of
from sklearn_mtae._fitting.group_scores import for_new_groups

RNG = np.random.default_rng(0)


def test_groups_of_one_row_keep_their_scores():
    scores = RNG.normal(size=31)
    np.testing.assert_array_equal(for_new_groups(scores, RNG.permutation(31)), np.sort(scores))
    assert len(for_new_groups(scores[:0], np.empty(0, dtype=int))) == 0


def test_each_group_counts_once():
    """One group has half of all rows, and one tenth of the weight."""
    scores = np.concatenate([np.full(90, 100.0), np.arange(90.0)])
    groups = np.concatenate([np.zeros(90, dtype=int), 1 + np.arange(90) // 10])
    found = for_new_groups(scores, groups)
    for coverage in (0.1, 0.5, 0.8):
        reached = found[rank_of(coverage, 180) - 1]
        # The nine groups of different scores have nine tenths of the weight.
        assert abs(reached / 90 - coverage * 11 / 10 / 0.9) < 0.02
    assert found[-1] == 100


def test_new_groups_are_covered():
    """Groups of different sizes that share most of their errors: coverage is at least that asked for, and not 1."""
    held, naive = [], []
    for _ in range(2_000):
        groups = np.repeat(np.arange(20), RNG.integers(1, 12, size=20))
        scores = np.abs(RNG.normal(size=20)[groups] + 0.3 * RNG.normal(size=len(groups)))
        new = np.abs(RNG.normal() + 0.3 * RNG.normal())
        rank = rank_of(0.9, len(scores)) - 1
        held.append(new <= for_new_groups(scores, groups)[rank])
        naive.append(new <= np.sort(scores)[rank])
    assert 0.89 < np.mean(held) < 0.95
    assert np.mean(naive) < 0.89


def test_estimators_score_groups():
    x, groups = RNG.normal(size=(60, 3)), np.arange(60) // 6
    y = x @ RNG.normal(size=(3, 2)) + RNG.normal(size=(10, 2))[groups]
    small = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 2, "n_estimators": 5, "random_state": 0}
    for kind, labels in ((MultiTaskVAERegressor, y), (MultiTaskVAEClassifier, y > 0)):
        model = kind(**small, member_params=None, cv=5).fit(x, labels, groups=groups)
        for scores in model._fitted.average.scores:
            assert len(scores) == 60
            assert (np.diff(scores) >= 0).all()
            assert (scores[-5:] == scores[-1]).all()  # the new group may have the largest scores of all
