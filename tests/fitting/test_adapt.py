"""What "auto" stands for follows the number of rows smoothly."""

import numpy as np
import pytest

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._fitting.adapt import member_params, n_epochs, n_member_epochs, n_members, single_settings
from sklearn_mtae._fitting.plan import plan

SIZES = np.unique(np.geomspace(10, 1e7, 400).astype(int))


def test_nothing_depends_on_the_rows_of_small_tables():
    assert {n_epochs(n) for n in (1, 100, 1_000)} == {n_member_epochs(n) for n in (1, 100, 1_000)} == {100}
    assert {n_members(n, 3) for n in (1, 100, 1_000)} == {30}
    assert member_params("numbers", 10, 5) == member_params("numbers", 1_000, 5)
    assert single_settings(10) == single_settings(1_000)


def test_effort_per_row_falls_steadily_to_an_end():
    n_settings = [len(member_params("numbers", n, 5)) for n in SIZES]
    members = np.array([n_members(n, own) for n, own in zip(SIZES, n_settings, strict=True)])
    efforts = members * np.array([n_member_epochs(n) for n in SIZES])
    assert (np.diff(efforts) <= 0).all()
    # From one size to the next, which is larger by 3.5 %, nothing falls by more than one member of each setting.
    assert np.diff(members).min() >= -3
    assert np.diff([n_epochs(n) for n in SIZES]).min() >= -3
    assert np.diff([n_member_epochs(n) for n in SIZES]).min() >= -4
    # From 10,000 rows on, each row costs the same but for the width of the layers.
    assert efforts[-1] == efforts[SIZES >= 11_200][0] == 18
    assert efforts[SIZES >= 10_000][0] <= 20


@pytest.mark.parametrize(("targets", "n_settings"), [("numbers", 3), ("classes", 1), ("mixed", 3)])
def test_every_setting_has_as_many_members(targets, n_settings):
    assert len(member_params(targets, 5_000, 5)) == n_settings
    assert all(n_members(n, n_settings) % n_settings == 0 for n in SIZES)


@pytest.mark.parametrize("targets", ["numbers", "classes", "mixed"])
@pytest.mark.parametrize(("n_columns", "embeddings"), [(64, ["softened", "piecewise_linear"]), (65, ["softened"])])
def test_one_of_two_members_sees_bins_where_columns_are_few(targets, n_columns, embeddings):
    for n_rows in (10_000, 10**6):
        settings = member_params(targets, n_rows, n_columns)
        assert list(dict.fromkeys(own["embedding"] for own in settings)) == embeddings
        assert n_members(n_rows, len(settings)) == 2


def test_batches_grow_from_those_of_small_tables_to_the_largest():
    sizes = [member_params("numbers", int(n), 5)[0]["batch_size"] for n in SIZES[SIZES > 1_000]]
    assert sizes[0] == 125  # an eighth of 1,000
    assert sizes[-1] == 200
    assert 0 <= np.diff(sizes).min() <= np.diff(sizes).max() < 10


@pytest.mark.parametrize("estimator", [MultiTaskVAERegressor, MultiTaskVAEClassifier])
def test_fits_follow_the_rows_and_say_what_they_became(estimator):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3_000, 2)).astype(np.float32)
    y = X if estimator is MultiTaskVAERegressor else (X > 0).astype(int)
    made = plan(estimator(random_state=0)._recipe(), X, y)
    expected = member_params(made.recipe.targets, 3_000, 2)
    assert len(made.members) == n_members(3_000, len(expected))
    for own, setting in zip(made.fitted.settings, [*expected] * 20, strict=False):
        assert {name: own[name] for name in setting} == setting
    assert {member.n_epochs for member in made.members} == {n_member_epochs(3_000)}
    given = estimator(random_state=0, max_iter=3, alpha=0.5, learning_rate_decay=0.0, hidden_layer_sizes=(4,))
    made = plan(given._recipe(), X, y)
    assert {(member.n_epochs, member.alpha, member.annealing) for member in made.members} == {(3, 0.5, 0.0)}
    assert not any({"max_iter", "alpha", "learning_rate_decay"} & set(own) for own in made.fitted.settings)


def test_a_fit_that_goes_on_keeps_what_auto_became():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3_000, 2)).astype(np.float32)
    model = MultiTaskVAERegressor(n_estimators=3, max_iter=1, warm_start=True, random_state=0).fit(X, X)
    before = model.member_params_
    assert model.fit(X[:100], X[:100]).member_params_ == before
