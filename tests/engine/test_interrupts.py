"""Ctrl-C: one rule for a single model and for several, in whatever moment it comes."""

import os
import signal
from functools import partial

import numpy as np
import pytest
from skorch.callbacks import Callback

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._engine import together as stacking
from sklearn_mtae._fitting import averaging
from tests.stacks import branching, raise_at

SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "batch_size": 20, "random_state": 0}
autoencoder = partial(AutoencoderTransformer, **SMALL, max_iter=5)
ensemble = partial(
    MultiTaskVAERegressor, **SMALL, max_iter=3, n_estimators=2, member_params=None, head_hidden_layer_sizes=()
)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = X[:, :2] + 0.1 * RNG.normal(size=(60, 2))
N_STEPS = 3
"""Of an epoch."""


def press():
    os.kill(os.getpid(), signal.SIGINT)


class At:
    """A corruption that does nothing, but something else in one step."""

    def __init__(self, step, act):
        self.left, self.act = step, act

    def __call__(self, x, generator=None):
        self.left -= 1
        if self.left == 0:
            self.act()
        return x


def throw():
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def handler():
    """Check that the program's own handler is back."""
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("act", [press, throw])
@pytest.mark.parametrize("step", [1, N_STEPS])
def test_before_the_first_epoch_is_done(act, step, estimator):
    estimator.set_params(batch_size=20, corruption=At(step, act))
    before = dict(vars(estimator))
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, Y)
    assert vars(estimator) == before
    assert not estimator.__sklearn_is_fitted__()


@pytest.mark.parametrize("own", [{}, {"warm_start": True}])
def test_a_former_model_is_left_as_it_was(own):
    model = autoencoder(**own).fit(X)
    before = dict(vars(model))
    codes = model.transform(X)
    at = At(2, press)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(corruption=at).fit(X[:, :4] + 1)
    assert {**before, "corruption": at} == vars(model)
    np.testing.assert_array_equal(model.transform(X), codes)


def test_a_part_of_a_fit_is_whole_or_none():
    model = autoencoder().partial_fit(X)
    codes = model.transform(X)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(corruption=At(2, press)).partial_fit(X)
    assert model.n_iter_ == 1
    np.testing.assert_array_equal(model.transform(X), codes)


@pytest.mark.parametrize("act", [press, throw])
@pytest.mark.parametrize(("step", "n_done"), [(N_STEPS + 1, 1), (3 * N_STEPS - 1, 2)])
def test_after_it_there_is_a_model(act, step, n_done, estimator):
    estimator.set_params(batch_size=20, max_iter=9, corruption=At(step, act))
    with pytest.warns(UserWarning, match=f"Training interrupted by user in epoch {n_done + 1}"):
        estimator.fit(X, Y)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == n_done
    assert np.isfinite(estimator.transform(X)).all()
    assert np.isfinite(estimator.predict(X)).all()


class Pressing(Callback):
    """A callback during which the user interrupts."""

    def __init__(self, moment, epoch):
        self.moment, self.epoch = moment, epoch

    def _maybe(self, moment, net):
        if moment == self.moment and len(net.history) == self.epoch:
            press()

    def on_epoch_begin(self, net, **kwargs):
        self._maybe("begin", net)

    def on_epoch_end(self, net, **kwargs):
        self._maybe("end", net)


@pytest.mark.parametrize(("moment", "n_done"), [("begin", 2), ("end", 3)])
def test_in_a_callback_it_is_the_user_who_interrupts(moment, n_done):
    """Callbacks raise KeyboardInterrupt too, to end a training in good order."""
    model = autoencoder(net_params={"callbacks": [Pressing(moment, 3)]})
    with pytest.warns(UserWarning, match="interrupted by user in epoch 3"):
        model.fit(X)
    assert model.n_iter_ == n_done


def test_while_an_epoch_is_validated(monkeypatch):
    """An epoch without its validation is none: the curves are as long as each other."""
    from sklearn_mtae._engine.net import Net

    validate, calls = Net.validation_step, []

    def pressing(net, batch, **params):
        calls.append(batch)
        if len(calls) == 2:
            press()
        return validate(net, batch, **params)

    monkeypatch.setattr(Net, "validation_step", pressing)
    model = VAETransformer(**{**SMALL, "batch_size": None}, max_iter=9, early_stopping=True)
    with pytest.warns(UserWarning, match="interrupted by user in epoch 2"):
        model.fit(X)
    assert len(model.loss_curve_) == len(model.validation_scores_) == model.n_iter_ == 1


class Stop(Callback):
    def on_batch_end(self, net, **kwargs):
        raise KeyboardInterrupt


def test_a_callback_that_stops_before_there_is_a_model():
    model = autoencoder(net_params={"callbacks": [Stop()]})
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert not model.__sklearn_is_fitted__()


@pytest.mark.parametrize(("n_calls", "is_kept"), [(1, False), (10, False), (13, True), (15, True)])
def test_members_in_several_stacks(monkeypatch, n_calls, is_kept):
    """Of two stacks of one member each, with three steps in each of three epochs."""
    monkeypatch.setattr(stacking, "STACK_BYTES", 1)
    raise_at(monkeypatch, KeyboardInterrupt(), lambda stack, n: n == n_calls)
    model = ensemble()
    before = dict(vars(model))
    if not is_kept:
        with pytest.warns(UserWarning, match="interrupted by user"), pytest.raises(KeyboardInterrupt):
            model.fit(X, Y)
        assert vars(model) == before
        return
    with pytest.warns(UserWarning, match="interrupted by user in epoch 2"):
        model.fit(X, Y)
    assert len(model._fitted.states) == 2
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize(("step", "is_kept"), [(4, False), (11, False), (15, True)])
@pytest.mark.filterwarnings("ignore:2 members are trained one after the other")
def test_members_one_after_the_other(step, is_kept):
    model = ensemble(task_weighting="pcgrad", corruption=At(step, press))
    before = dict(vars(model))
    if not is_kept:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y)
        assert vars(model) == before
        return
    with pytest.warns(UserWarning, match="interrupted by user in epoch 2"):
        model.fit(X, Y)
    assert np.isfinite(model.predict(X)).all()


def choosing(monkeypatch, n_pressed):
    """Let the user interrupt while members are chosen."""
    select, calls = averaging.select, []

    def pressing(*args, **kwargs):
        if not calls:
            calls.append(1)
            for _ in range(n_pressed):
                press()
        return select(*args, **kwargs)

    monkeypatch.setattr(averaging, "select", pressing)


def test_while_members_are_chosen(monkeypatch):
    expected = ensemble().fit(X, Y)
    choosing(monkeypatch, 1)
    model = ensemble()
    with pytest.warns(UserWarning, match="interrupted by user after the last epoch"):
        model.fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


def test_twice(monkeypatch):
    """A second time gives up what is left to do."""
    choosing(monkeypatch, 2)
    model = ensemble()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert not model.__sklearn_is_fitted__()


def test_while_the_data_are_looked_at(monkeypatch):
    monkeypatch.setattr("sklearn_mtae._fitting.plan.learn_units", lambda *args: press())
    model = autoencoder()
    before = dict(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert vars(model) == before


def test_a_fit_that_fails_leaves_nothing_behind():
    model = autoencoder(architecture=branching, learning_rate_init=1e30, max_iter=20)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="must stay finite"):
        model.fit(X)
    assert vars(model) == before


def test_a_handler_of_the_users_own():
    told = []

    def own(number, frame):
        told.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, own)
    try:
        with pytest.warns(UserWarning, match="interrupted by user in epoch 2"):
            autoencoder(corruption=At(5, press)).fit(X)
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)
    assert told == [signal.SIGINT]
