"""The training of an ensemble ends where more of it does not pay, and is otherwise what it would have been."""

import os
import signal
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.model_selection import ShuffleSplit

from sklearn_mtae import MultiTaskVAE, MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._fitting import ending, ensemble, fit
from sklearn_mtae._fitting.all_rows import on_all_rows
from sklearn_mtae._fitting.averaging import Contest
from sklearn_mtae._fitting.number_average import NumberAverage
from sklearn_mtae._fitting.shared_fits import fit_side_by_side
from tests.stacks import raise_at

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
LINEAR = X[:, :2] + 0.1 * RNG.normal(size=(60, 2))
NOISE = RNG.normal(size=(60, 2))
"""Targets of which the columns say nothing."""
SMALL = {"n_estimators": 6, "hidden_layer_sizes": (4,), "random_state": 0}


def regressor(**params):
    return MultiTaskVAERegressor(2, **{**SMALL, **params})


def state_of(model):
    """Return what a training leaves: weights, curves, predictions and their calibration."""
    own = model._fitted
    values = [value for state in own.states for value in state.values()]
    average = own.average
    return [*values, own.loss_curve, average.weights, average.inflation, *average.scores, model.predict(X)]


def assert_same(first, second):
    for ours, theirs in zip(state_of(first), state_of(second), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture
def goes_on(monkeypatch):
    """Let more epochs always pay."""
    monkeypatch.setattr(ending, "LEAST_GAIN", -np.inf)


@pytest.mark.parametrize(
    ("make", "y"),
    [
        (MultiTaskVAERegressor, LINEAR),
        (MultiTaskVAEClassifier, LINEAR > 0),
        (MultiTaskVAE, np.column_stack([LINEAR[:, 0].astype(object), LINEAR[:, 1] > 0])),
    ],
)
@pytest.mark.parametrize("options", [{}, {"cv": ShuffleSplit(2, test_size=0.3, random_state=0)}])
@pytest.mark.usefixtures("goes_on")
def test_a_training_that_goes_on_has_the_bits_of_one_that_never_paused(make, y, options):
    whole = make(2, **SMALL, **options, max_iter=100).fit(X, y)
    paused = make(2, **SMALL, **options).fit(X, y)
    assert paused.n_iter_ == 100
    assert "training ended" not in paused.describe()
    assert_same(paused, whole)


@pytest.fixture
def ends(monkeypatch):
    """Let more epochs never pay, whatever the rule says."""
    rule = ending.pays
    monkeypatch.setattr(ending, "pays", lambda *given: rule(*given) & False)


@pytest.mark.parametrize("kind", ["plain", "groups", "limits"])
@pytest.mark.usefixtures("ends")
def test_a_training_that_does_not_pay_is_one_of_a_quarter_of_the_epochs(kind, monkeypatch):
    """Nothing is annealed in a table of few rows, so that shorter fits are the same from their first step."""
    y, codes = NOISE.copy(), np.zeros((60, 2), dtype=int)
    high = y[:, 0] > 0.5
    y[high, 0], codes[high, 0] = 0.5, 1
    options = {"plain": {}, "groups": {"groups": np.arange(60) // 6}, "limits": {"censoring": codes}}[kind]
    ended = regressor().fit(X, y, **options)
    assert ended.n_iter_ == len(ended.loss_curve_) == 25
    monkeypatch.setattr(ensemble, "N_EPOCHS_KEPT", 5)  # 25, 13, 7, 4, 2, as of 100
    assert_same(ended, regressor(max_iter=25).fit(X, y, **options))


def test_what_pays_for_one_task_goes_on(monkeypatch):
    monkeypatch.setattr(ending, "pays", lambda *given: np.array([False, True]))
    assert regressor().fit(X, NOISE).n_iter_ == 100


@pytest.mark.parametrize(
    "options",
    [
        {"max_iter": 8},
        {"member_params": None, "max_iter": 8},
        {"member_params": [{"max_iter": 8}, {"max_iter": 8, "alpha": 0.0}]},
        {"n_estimators": 1, "max_iter": 8},
    ],
)
def test_what_the_user_gives_is_what_runs(options):
    assert regressor(**options).fit(X, LINEAR).n_iter_ == 8


def test_members_that_end_by_themselves_are_not_checked(monkeypatch):
    monkeypatch.setattr(ending, "collect", None)
    assert regressor(early_stopping=True, n_iter_no_change=2).fit(X, LINEAR).n_iter_ < 100


class Recorder:
    """Count the tasks of a fit by name, and the epochs of its parts."""

    max_propagation_depth = None

    def __init__(self):
        self.begun, self.ended, self.n_epochs = Counter(), Counter(), Counter()

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "epoch":
            self.n_epochs[context.parent.task_name] += 1
        else:
            self.begun[context.task_name] += 1

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        if context.task_name != "epoch":
            self.ended[context.task_name] += 1
        return False


class OneTask:
    """A contest of two settings after 1 and 2 epochs and of a constant, over labels that are all zero."""

    varies = np.array([True])
    loss = staticmethod(NumberAverage.loss)

    def misses(self, outputs, y, task):
        return outputs[:, :, task]

    def contest(self, *errors):
        n = 20
        held_out = SimpleNamespace(
            candidates=[{0: 2}, {0: 0}, {1: 3}, {1: 1}],
            y=np.zeros((n, 1)),
            given=np.zeros((n, 1)),
            folds=np.arange(n) % 2,
            weight=np.ones((n, 1)),
            groups=None,
            censoring=None,
        )
        outputs = np.array(errors)[:, None, None] * np.ones((1, n, 1))
        return Contest(held_out, outputs, 4, self, None, None, [2, 2])


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((0.9, 0.8, 0.9, 0.9, 1.0), True),  # the average is better by a ninth
        ((0.9, 0.899, 0.9, 0.9, 1.0), True),  # by a thousandth
        ((0.9, 0.9 - 1e-9, 0.9, 0.9, 1.0), False),  # by no more than rounding
        ((0.9, 0.85, 0.9, 0.9, 0.5), False),  # not better than the constant, and not in the end either: 0.55
        ((0.9, 0.9, 0.9, 0.84, 0.5), True),  # in the end: 0.48 after six times as many epochs
        ((0.9, 0.9, 0.9, 0.845, 0.5), False),  # 0.515
        ((0.0, 0.0, 0.0, 0.0, 0.0), False),
        ((0.9, 0.0, 0.9, 0.9, 1.0), True),
    ],
)
def test_when_more_epochs_pay(errors, expected):
    assert ending.pays(OneTask().contest(*errors), None).tolist() == [expected]


def test_a_task_without_labels_held_out_asks_for_nothing():
    contest = OneTask().contest(0.9, 0.8, 0.9, 0.9, 1.0)
    contest.held_out.weight[1:] = 0
    assert ending.pays(contest, None).tolist() == [False]


@pytest.mark.usefixtures("ends")
def test_it_is_said_why(capsys):
    model = regressor(verbose=1).fit(X, NOISE)
    lines = capsys.readouterr().out.splitlines()
    words = "training ended after 25 of 100 epochs"
    assert [words in line for line in lines[-2:]] == [True, False]
    assert [words in line for line in model.describe().splitlines()] == [False, True, False, False]


@pytest.mark.usefixtures("goes_on")
def test_printed_epochs_go_on(capsys):
    regressor(verbose=1).fit(X, LINEAR)
    lines = [line for line in capsys.readouterr().out.splitlines() if ": loss" in line]
    first = [int(line.partition("Epoch ")[2].partition(":")[0]) for line in lines if "stack" in line]
    assert sorted(first) == sorted(list(range(1, 101)) * (len(first) // 100))


@pytest.mark.parametrize("pays", [False, True])
def test_parts_that_pause_are_told_once(pays, monkeypatch):
    pytest.importorskip("sklearn.callback")
    monkeypatch.setattr(ending, "pays", lambda *given: np.array([pays]))
    recorder = Recorder()
    regressor().set_callbacks(recorder).fit(X, NOISE)
    n_epochs = 100 if pays else 25
    assert recorder.begun == recorder.ended
    assert recorder.begun == {"fit": 1, "stack 1 of 4 members": 1, "stack 2 of 2 members": 1, "average": 1}
    assert recorder.n_epochs == {"stack 1 of 4 members": n_epochs, "stack 2 of 2 members": n_epochs}


@pytest.mark.usefixtures("ends")
def test_a_second_training_on_all_rows_ends_as_the_first():
    """The step size falls over all epochs, not over those that are run."""
    plan = regressor(cv=ShuffleSplit(2, random_state=0), learning_rate_decay=0.9)._plan(X, NOISE)
    fitted = fit.fit(plan, {})
    assert fitted.n_iter == 25
    again = on_all_rows(plan, SimpleNamespace(last=[25] * 6, earlier=[]))
    assert {own.n_epochs for own in again.members} == {25}
    np.testing.assert_allclose([own.rates for own in again.members], [own.rates for own in plan.members])


@pytest.mark.usefixtures("ends")
def test_fits_side_by_side_end_as_each_alone():
    targets = [NOISE[:, :1], NOISE[:, 1:]]
    alone = [regressor().fit(X, y) for y in targets]
    shared = [regressor() for _ in targets]
    fit_side_by_side(shared, [lambda m=m, y=y: m.fit(X, y) for m, y in zip(shared, targets, strict=True)])
    for ours, theirs in zip(shared, alone, strict=True):
        assert ours.n_iter_ == 25
        assert_same(ours, theirs)


def test_an_interrupt_at_a_check_keeps_the_completed_steps(monkeypatch):
    def press(*given):
        os.kill(os.getpid(), signal.SIGINT)
        return np.array([True])

    monkeypatch.setattr(ending, "pays", press)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model = regressor().fit(X, LINEAR)
    assert model.n_iter_ == 25
    assert np.isfinite(model.predict(X)).all()


def test_an_interrupt_after_a_check_keeps_what_other_stacks_have_done(monkeypatch):
    is_checked = []
    monkeypatch.setattr(ending, "pays", lambda *given: is_checked.append(1) or np.array([True]))
    # The members that fit absolute values are a stack of their own, the second one.
    raise_at(monkeypatch, KeyboardInterrupt(), lambda stack, n_calls: is_checked and len(stack) == 2)
    plan = regressor()._plan(X, LINEAR)
    with pytest.warns(UserWarning, match="interrupted by user in epoch 26"):
        fitted = fit.fit(plan, {})
    assert [len(member.history) for member in plan.members] == [100, 100, 25] * 2
    assert len(is_checked) == 1
    assert np.isfinite(fitted.average.inflation).all()


def test_out_of_memory_after_a_check(monkeypatch):
    is_checked = []
    monkeypatch.setattr(ending, "pays", lambda *given: is_checked.append(1) or np.array([True]))
    raise_at(monkeypatch, MemoryError("no more"), lambda stack, n_calls: is_checked and len(stack) > 3)
    model = regressor().fit(X, LINEAR)
    assert is_checked
    assert model.n_iter_ == 100
    assert np.isfinite(model.predict(X)).all()
