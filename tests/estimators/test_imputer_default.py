"""The default model of an imputer: what it is chosen by, and what follows."""

import numpy as np
import pytest
from sklearn.preprocessing import scale

from sklearn_mtae import VAEImputer, VAETransformer
from sklearn_mtae._estimators import imputer_default
from sklearn_mtae._estimators.imputer_default import LONG, NETWORKS, Search, choose_model, count_epochs, held_out_error
from sklearn_mtae._fitting.callbacks import tell_of_models

FLAT, CURVED = NETWORKS


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(imputer_default, "N_STEPS", 4)
    monkeypatch.setattr(imputer_default, "MIN_EPOCHS", 2)


def gappy(n_rows, n_columns=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 1)) + 0.5 * rng.normal(size=(n_rows, n_columns))
    return np.where(rng.random(X.shape) < 0.2, np.nan, X)


@pytest.mark.parametrize(
    ("n_rows", "short", "long"), [(30, 100, 300), (1280, 43, 128), (10_000, 10, 17), (100_000, 10, 10)]
)
def test_epochs_depend_on_the_rows(n_rows, short, long):
    """850 and 2,550 steps of 64 rows, within the limits of the epochs."""
    assert (count_epochs(n_rows), count_epochs(n_rows, LONG)) == (short, long)


@pytest.mark.parametrize(
    ("errors", "layers", "times"),
    [
        ([0.5, 0.6, 0.4], FLAT, LONG),
        ([0.5, 0.6, 0.55], FLAT, 1),
        ([0.5, 0.4, 0.3], CURVED, LONG),
        ([0.5, 0.4, 0.45], CURVED, 1),
        ([0.5, 0.492, 0.496], FLAT, 1),  # so little is chance
    ],
)
def test_the_least_error_decides(monkeypatch, errors, layers, times):
    trials, told = [], iter(errors)
    monkeypatch.setattr(VAETransformer, "fit", lambda self, X, sample_weight=None: trials.append(self.max_iter))
    monkeypatch.setattr(imputer_default, "held_out_error", lambda *args: next(told))
    with tell_of_models(object(), None, 3) as tell:
        model = choose_model(gappy(640), 640, None, 0, tell=tell, verbose=False)
    assert model.hidden_layer_sizes == layers
    assert model.max_iter == count_epochs(640, times)
    short, long = count_epochs(512), count_epochs(512, LONG)  # a fifth of the rows is held out
    assert trials == [short, short, long - short]


def test_no_long_trial_where_it_is_not_longer(monkeypatch):
    trials = []
    monkeypatch.setattr(VAETransformer, "fit", lambda self, X, sample_weight=None: trials.append(len(X)))
    monkeypatch.setattr(imputer_default, "held_out_error", lambda *args: 1.0)
    with tell_of_models(object(), None, 3) as tell:
        choose_model(np.zeros((20_000, 2)), 20_000, None, 0, tell=tell, verbose=False)
    assert trials == [4000, 4000]  # of large tables, a part of the rows chooses


def test_parts_of_the_rows(few_steps):
    """The parts are disjoint, and rows of weight zero are in neither."""
    X, weight = np.arange(200.0)[:, None], np.r_[np.zeros(50), np.ones(150)]
    search = Search(X, weight, np.random.RandomState(0), lambda model, name: None, False)
    assert (len(search.train), len(search.valid)) == (120, 30)
    assert sorted([*search.train[:, 0], *search.valid[:, 0]]) == list(range(50, 200))
    np.testing.assert_array_equal(search.weight, 1)


def test_the_error_of_column_means(monkeypatch):
    """Each cell is hidden once; filled with the means, it is off by its absolute deviation."""
    X, times = gappy(200) * [1, 10, 100] + 5, np.zeros((200, 3))
    model = VAETransformer(1, hidden_layer_sizes=(), max_iter=1, random_state=0).fit(X)

    def expect(runner, x, n_draws):
        times[:] += np.isnan(x)
        return np.broadcast_to(np.nanmean(X, axis=0), x.shape)

    monkeypatch.setattr(imputer_default, "expect", expect)
    absolute, squared = np.nanmean(np.abs(scale(X))), 1.0
    assert held_out_error(model, X, 0) == pytest.approx(np.sqrt(absolute * squared))
    assert (times[~np.isnan(X)] == 1).all()


def test_the_error_of_levels():
    """A wrong level is an error of 1: that of a column whose levels nothing tells is the share of the rarer one."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"job": np.where(rng.random(1000) < 0.3, "clerk", "cook"), "zero": 0.0})
    model = VAETransformer(1, hidden_layer_sizes=(), beta=50.0, max_iter=20, random_state=0).fit(frame)
    share = (frame["job"] == "clerk").mean()
    assert held_out_error(model, frame, 0) == pytest.approx(np.sqrt(share * np.sqrt(share)))


def test_curved_tables_take_two_layers():
    rng = np.random.default_rng(0)
    angle = rng.uniform(-3, 3, size=(600, 1))
    X = np.sin(angle * np.arange(1, 7)) + 0.05 * rng.normal(size=(600, 6))
    gaps = np.where(rng.random(X.shape) < 0.3, np.nan, X)
    assert VAEImputer(random_state=0).fit(gaps).estimator_.hidden_layer_sizes == CURVED


def test_small_tables_and_own_models_are_not_tried(few_steps, monkeypatch):
    monkeypatch.setattr(imputer_default, "Search", None)
    assert VAEImputer(random_state=0).fit(gappy(99)).estimator_.hidden_layer_sizes == FLAT
    own = VAETransformer(1, hidden_layer_sizes=(3,), max_iter=1)
    assert VAEImputer(own).fit(gappy(200)).estimator_.max_iter == 1


def test_the_model_is_that_of_its_parameters(few_steps):
    """What was tried leaves nothing behind: a clone of the chosen model learns the same from all rows."""
    X = gappy(150)
    imputer = VAEImputer(n_importance_samples=5, random_state=0).fit(X)
    model = imputer.estimator_
    again = VAEImputer(model, n_importance_samples=5).fit(X)
    np.testing.assert_array_equal(again.transform(X), imputer.transform(X))
    assert model.n_iter_ == model.max_iter
    assert not model.warm_start


def test_what_a_part_lacks_is_no_error(few_steps):
    """The levels of a category may be observed in rows that are held out alone."""
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(gappy(150), columns=list("abc")).assign(job=pd.Series(["clerk"] + [None] * 149, dtype="object"))
    for position in range(0, 150, 30):
        table = X.set_axis(np.roll(X.index, position)).sort_index()
        filled = VAEImputer(n_importance_samples=5, random_state=0).fit_transform(table)
        assert not filled.isna().any(axis=None)


def test_errors_are_those_of_the_whole_table(few_steps):
    with pytest.raises(ValueError, match="infinity"):
        VAEImputer(random_state=0).fit(np.where(np.isnan(gappy(150)), np.inf, gappy(150)))
    with pytest.raises(ValueError, match="sample_weight"):
        VAEImputer(random_state=0).fit(gappy(150), sample_weight=-np.ones(150))


def test_weights_choose_too(few_steps):
    X, weight = gappy(150), np.random.default_rng(0).integers(0, 3, 150)
    imputer = VAEImputer(n_importance_samples=5, random_state=0)
    filled = [imputer.fit(X, sample_weight=own).transform(X) for own in (weight, 2 * weight)]
    np.testing.assert_allclose(*filled)


def test_an_interrupt_ends_the_choice(few_steps, monkeypatch):
    X = gappy(150)
    imputer = VAEImputer(random_state=0).fit(X)
    before = imputer.estimator_

    def interrupted(self, X, sample_weight=None):
        import warnings

        warnings.warn("Training interrupted by user in epoch 1.", stacklevel=2)

    monkeypatch.setattr(VAETransformer, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        imputer.fit(X)
    assert imputer.estimator_ is before


def test_trials_are_printed(few_steps, capsys):
    VAEImputer(random_state=0, verbose=True).fit(gappy(150))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[:3]] == [["[VAEImputer]", "trial", "of"]] * 3
    assert all(line.startswith("[VAETransformer] Epoch") for line in lines[3:])


def test_trials_are_told(few_steps):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    VAEImputer(random_state=0).set_callbacks(callback.ProgressBar()).fit(gappy(150))
