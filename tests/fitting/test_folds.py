"""Which rows members leave out: dealt at random, by groups, or given."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.model_selection import KFold, TimeSeriesSplit

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._fitting.plan import plan

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 3))
Y = X @ RNG.normal(size=(3, 2))
GROUPS = np.repeat(np.arange(12), 4)


def planned(groups=None, sample_weight=None, **parameters):
    parameters = {"n_estimators": 6, "member_params": None, "hidden_layer_sizes": (4,), "random_state": 0, **parameters}
    return plan(MultiTaskVAERegressor(**parameters)._recipe(), X, Y, sample_weight, groups)


def held_out(plan):
    return [np.sort(member.held_out).tolist() for member in plan.members]


def test_groups_are_left_out_as_wholes():
    for parameters in ({}, {"cv": 3}, {"n_estimators": 1, "early_stopping": True}):
        made = planned(GROUPS, **parameters)
        for train, left_out in made.splits:
            assert not set(GROUPS[train]) & set(GROUPS[left_out])
            assert len(train) + len(left_out) == 48
    by_three = held_out(planned(GROUPS, cv=3))
    assert list(map(len, by_three)) == [16] * 6
    # All folds have been held out after three members; then they are dealt anew.
    assert sorted(by_three[0] + by_three[1] + by_three[2]) == list(range(48))
    assert set(map(tuple, by_three[:3])) != set(map(tuple, by_three[3:]))


def test_names_of_groups_do_not_matter():
    assert held_out(planned(GROUPS)) == held_out(planned([f"patient {group}" for group in GROUPS]))


def test_given_folds_are_taken_in_turn():
    folds = [test.tolist() for _, test in KFold(4).split(X)]
    assert held_out(planned(cv=KFold(4))) == [*folds, *folds[:2]]
    assert held_out(planned(cv=KFold(4), n_estimators=1, early_stopping=True)) == folds[-1:]


def test_rows_of_weight_zero_are_in_no_part():
    weight = np.where(np.arange(48) % 3, 1.0, 0.0)
    for groups, cv in ((GROUPS, None), (None, KFold(4)), (None, TimeSeriesSplit(3))):
        for train, left_out in planned(groups, weight, cv=cv).splits:
            assert weight[train].all()
            assert weight[left_out].all()


def test_every_fold_is_left_out_by_default():
    made = planned(cv=KFold(16), n_estimators="auto", member_params="auto")
    assert len(made.members) == 3 * 16
    assert sorted(row for own in held_out(made)[::3] for row in own) == list(range(48))


@pytest.mark.parametrize("estimator", [MultiTaskVAERegressor, MultiTaskVAEClassifier])
def test_groups_reach_the_fit(estimator):
    y = Y if estimator is MultiTaskVAERegressor else (Y > 0).astype(int)
    parameters = {"n_estimators": 4, "max_iter": 2, "hidden_layer_sizes": (4,), "random_state": 0}
    plain, grouped = estimator(**parameters).fit(X, y), estimator(**parameters).fit(X, y, groups=GROUPS)
    one_each = estimator(**parameters).fit(X, y, None, GROUPS)
    assert not np.array_equal(plain.loss_curve_, grouped.loss_curve_)
    assert one_each.loss_curve_ == grouped.loss_curve_


def test_near_repeats_are_warned_of_where_nothing_is_said_of_them():
    x = np.repeat(RNG.normal(size=(20, 4)), 3, axis=0)
    y, groups = x[:, :2] + RNG.normal(size=(60, 2)), np.repeat(np.arange(20), 3)
    model = MultiTaskVAERegressor(n_estimators=3, max_iter=1, hidden_layer_sizes=(4,), random_state=0)
    with pytest.warns(UserWarning, match="near repeats.* pass groups to fit"):
        model.fit(x, y)
    model.fit(x, y, groups=groups)
    model.set_params(cv=10).fit(x, y)
    model.set_params(cv=None, n_estimators=1).fit(x, y)  # holds nothing out


def test_one_group_is_an_error():
    with pytest.raises(ValueError, match="groups must hold two groups at least"):
        planned(np.zeros(48))


@pytest.mark.parametrize("options", [{"n_estimators": 4}, {"n_estimators": 1, "early_stopping": True}])
def test_copies_of_a_row_are_in_one_fold_unless_folds_are_given(options):
    rng = np.random.default_rng(0)
    x, y = np.tile(rng.normal(size=(30, 3)), (3, 1)), np.tile(rng.normal(size=30), 3)
    for cv, apart in ((None, True), (10, False)):
        model = MultiTaskVAERegressor(**{**options, "cv": cv, "max_iter": 1, "random_state": 0})
        splits = plan(model._recipe(), x, y, None).splits
        assert all(len(left_out) for _, left_out in splits)
        shared = [np.intersect1d(train % 30, left_out % 30) for train, left_out in splits]
        assert all(len(own) == 0 for own in shared) == apart


def test_intervals_of_an_oversampled_table_hold_new_labels():
    x, y = make_friedman1(100, noise=1, random_state=0)
    new, labels = make_friedman1(500, noise=1, random_state=1)
    rows = np.random.default_rng(0).permutation(np.repeat(np.arange(100), 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of near repeats
        model = MultiTaskVAERegressor(n_estimators=10, max_iter=20, random_state=0).fit(x[rows], y[rows])
    low, high = model.predict_interval(new, 0.9)
    assert np.mean((low <= labels) & (labels <= high)) > 0.75
