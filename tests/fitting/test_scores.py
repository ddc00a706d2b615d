"""Coverage of new rows and new groups, with weights and without."""

import numpy as np
import pytest

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._fitting.scores import counted_once, inflation_of, rank_of, ranked

RNG = np.random.default_rng(0)
FIVE = {"n_estimators": 5, "member_params": None, "cv": 5}
"""Members with the same parameters, of which each row is held out by one."""


def test_groups_of_one_row_keep_their_scores():
    scores = RNG.normal(size=31)
    np.testing.assert_array_equal(ranked(scores, np.ones(31), RNG.permutation(31)), np.sort(scores))
    assert len(ranked(scores[:0], scores[:0], np.empty(0, dtype=int))) == 0


def test_each_group_counts_once():
    """One group has half of all rows, and one tenth of the weight."""
    scores = np.concatenate([np.full(90, 100.0), np.arange(90.0)])
    groups = np.concatenate([np.zeros(90, dtype=int), 1 + np.arange(90) // 10])
    found = ranked(scores, np.ones(180), groups)
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
        held.append(new <= ranked(scores, np.ones(len(scores)), groups)[rank])
        naive.append(new <= np.sort(scores)[rank])
    assert 0.89 < np.mean(held) < 0.95
    assert np.mean(naive) < 0.89


def test_rows_without_weights_keep_their_scores():
    scores = RNG.normal(size=1000)
    np.testing.assert_array_equal(ranked(scores, np.full(1000, 0.3)), np.sort(scores))


def test_weights_are_those_of_repeated_rows():
    """But for the size, by which the new row counts: repeated rows say no more than one of them."""
    scores, times = np.abs(RNG.normal(size=500)), RNG.integers(1, 5, size=500)
    share, size = counted_once(times.astype(float))
    assert size == pytest.approx(times.sum() ** 2 / (times**2).sum())
    repeated = np.sort(np.repeat(scores, times))
    for coverage in (0.1, 0.5, 0.9):
        found = ranked(scores, times.astype(float))[rank_of(coverage, 500) - 1]
        assert found == pytest.approx(np.quantile(repeated, coverage * (size + 1) / size), abs=0.02)
    assert inflation_of(scores, share, 1e9) == pytest.approx(np.sqrt(np.mean(repeated**2)))


def test_few_labels_say_little_of_deviations():
    """Of many draws of few normal errors, none is far too small; of many errors, their root mean square is all."""
    for n, least in ((1, 0.7), (3, 0.5), (1000, 0.9)):
        found = [inflation_of(np.abs(RNG.normal(size=n)), np.full(n, 1 / n), n) for _ in range(2_000)]
        assert min(found) >= least
    assert inflation_of(np.empty(0), np.empty(0), 0.0) == 1.0
    assert inflation_of(np.full(1000, 3.0), np.full(1000, 1e-3), 1000) == pytest.approx(3.0, rel=1e-3)


def test_a_fit_warns_of_weights_that_leave_few_labels():
    x = RNG.normal(size=(60, 2))
    model = MultiTaskVAERegressor(2, hidden_layer_sizes=(4,), max_iter=2, random_state=0, **FIVE)
    with pytest.warns(UserWarning, match="60 held-out labels of task 'y0' count like 1.0"):
        model.fit(x, x[:, 0], sample_weight=np.r_[1e8, np.ones(59)])
    region = model.predict_region(x[:1], coverage=0.9)
    assert np.isinf(region.volume) == np.isinf(region.upper[:, 0]) == region.contains([1e9])


def test_a_group_has_the_mean_weight_of_its_rows():
    weight, groups = np.array([1.0, 3.0, 2.0, 2.0, 2.0, 4.0]), np.array([0, 0, 1, 1, 1, 2])
    share, size = counted_once(weight, groups)
    np.testing.assert_allclose(np.bincount(groups, share), [0.25, 0.25, 0.5])
    assert size == pytest.approx(8**2 / (2**2 + 2**2 + 4**2))


def test_new_rows_are_covered_where_they_are_as_frequent_as_weights_say():
    held, naive = [], []
    for _ in range(2_000):
        wide = RNG.random(40) < 0.5
        scores, weight = np.abs(RNG.normal(size=40)) * np.where(wide, 3.0, 1.0), np.where(wide, 4.0, 1.0)
        new = np.abs(RNG.normal()) * (3.0 if RNG.random() < 0.8 else 1.0)
        rank = rank_of(0.9, 40) - 1
        held.append(new <= ranked(scores, weight)[rank])
        naive.append(new <= np.sort(scores)[rank])
    assert 0.89 < np.mean(held) < 0.94
    assert np.mean(naive) < 0.89


@pytest.mark.parametrize("kind", [MultiTaskVAERegressor, MultiTaskVAEClassifier])
def test_intervals_and_sets_hold_their_part_of_weighted_rows(kind):
    """Labels are harder in one half of the rows, which has most of the weight."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 3))
    hard = x[:, 0] > 0
    y = x[:, 1] + rng.normal(size=2000) * np.where(hard, 2.0, 0.2)
    y = y if kind is MultiTaskVAERegressor else np.where(y > 0, "high", "low")
    known, new = np.arange(1000), np.arange(1000, 2000)
    options = {"hidden_layer_sizes": (32,), "max_iter": 100, "learning_rate_init": 0.01, **FIVE, "random_state": 0}
    weight = np.where(hard, 9.0, 1.0)
    shares = []
    for own in (None, weight[known]):
        model = kind(2, **options).fit(x[known], y[known], sample_weight=own)
        if kind is MultiTaskVAERegressor:
            lower, upper = model.predict_interval(x[new], coverage=0.8)
            held = (lower <= y[new]) & (y[new] <= upper)
        else:
            held = model.predict_set(x[new], coverage=0.8)[np.arange(1000), np.searchsorted(model.classes_, y[new])]
        shares.append(np.average(held, weights=weight[new]))
    assert shares[1] == pytest.approx(0.8, abs=0.05)
    assert shares[0] < shares[1] - 0.03


def test_regions_count_each_group_once():
    """One group has half of all rows, and far larger errors."""
    groups = np.concatenate([np.zeros(100, dtype=int), 1 + np.arange(100) // 5])
    x = RNG.normal(size=(200, 3))
    y = RNG.normal(size=(200, 2)) * np.where(groups == 0, 20.0, 1.0)[:, None]
    small = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 2, **FIVE, "random_state": 0}
    region = MultiTaskVAERegressor(**small).fit(x, y, groups=groups).predict_region(x, coverage=0.8)
    held = region.contains(y)[groups > 0].mean()
    assert 0.75 < held < 0.95  # by rows it would be all of them


def test_estimators_score_groups():
    x, groups = RNG.normal(size=(60, 3)), np.arange(60) // 6
    y = x @ RNG.normal(size=(3, 2)) + RNG.normal(size=(10, 2))[groups]
    small = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 2, **FIVE, "random_state": 0}
    for kind, labels in ((MultiTaskVAERegressor, y), (MultiTaskVAEClassifier, y > 0)):
        model = kind(**small).fit(x, labels, groups=groups)
        for scores in model._fitted.average.scores:
            assert len(scores) == 60
            assert (np.diff(scores) >= 0).all()
            assert (scores[-5:] == scores[-1]).all()  # the new group may have the largest scores of all
