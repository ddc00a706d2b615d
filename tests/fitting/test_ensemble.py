"""Several members of a multi-task estimator: which rows each learns from, and what becomes of their predictions."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils import estimator_checks as checks

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._engine import together as stacking
from sklearn_mtae._fitting.fit import keep
from sklearn_mtae.metrics import r2_score
from tests.stacks import Noiseless, assert_alike, branching, raise_at

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "head_hidden_layer_sizes": (4,), "max_iter": 3}
regressor = partial(MultiTaskVAERegressor, **SMALL, n_estimators=3, member_params=None, random_state=0)
classifier = partial(MultiTaskVAEClassifier, **SMALL, n_estimators=3, member_params=None, random_state=0)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = X[:, :3] @ RNG.normal(size=(3, 3)) + 0.1 * RNG.normal(size=(60, 3))
Y[RNG.random(Y.shape) < 0.2] = np.nan
WORDS = np.where(np.isnan(Y), None, np.array(["no", "yes"], dtype=object)[(Y > 0).astype(int)])


def alone(model, k):
    """Return an estimator with one of a model's members as its only one."""
    single = clone(model).set_params(n_estimators=1).fit(X, Y if hasattr(model, "task_likelihoods") else WORDS)
    single._fitted.states, single._fitted.seed = [model._fitted.states[k]], model._fitted.seed
    single._fitted.cache.clear()
    return single


def assert_equal_fits(one, other):
    assert one.loss_curve_ == other.loss_curve_
    assert len(one._fitted.states) == len(other._fitted.states)
    for ours, theirs in zip(one._fitted.states, other._fitted.states, strict=True):
        for name, value in theirs.items():
            np.testing.assert_array_equal(ours[name], value, err_msg=name)


@pytest.mark.parametrize(("fraction", "n_folds"), [(0.1, 10), (0.25, 4), (0.9, 2)])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_each_row_is_held_out_equally_often(fraction, n_folds, early_stopping):
    model = regressor(n_estimators=2 * n_folds, validation_fraction=fraction, early_stopping=early_stopping)
    members = model._plan(X, Y, None).members
    held_out = np.zeros(60, dtype=int)
    for member in members:
        rows = np.asarray(member.train.index)
        left = np.setdiff1d(np.arange(60), rows)
        assert len(set(rows)) + len(left) == 60
        assert len(left) in (60 // n_folds, -(-60 // n_folds))
        held_out[left] += 1
        if early_stopping:
            np.testing.assert_array_equal(np.sort(member.valid.index), left)
        else:
            assert member.valid is None
    assert (held_out == 2).all()
    folds = [frozenset(np.asarray(member.train.index).tolist()) for member in members]
    assert len(set(folds)) == 2 * n_folds  # dealt anew the second time


def test_labels_are_dealt_evenly():
    y = np.nan_to_num(Y)
    rare = np.isin(np.arange(60), RNG.choice(60, 10, replace=False))
    y[~rare, 2] = np.nan
    y[:30, 0] = np.nan
    members = regressor(n_estimators=5, validation_fraction=0.2)._plan(X, y, None).members
    trained = np.array([np.isin(np.arange(60), np.asarray(member.train.index)) for member in members])
    missing = np.arange(60) < 30
    for labelled, most in ((rare, 0), (rare & missing, 1), (rare & ~missing, 1), (missing, 2), (~missing, 2)):
        n_held_out = (~trained & labelled).sum(axis=1)
        assert n_held_out.sum() == labelled.sum()
        assert np.ptp(n_held_out) <= most


def test_members_differ_by_weights_and_draws():
    model = regressor().fit(X, Y)
    first = {
        name: [state[name] for state in model._fitted.states] for name in ("encoder.0.weight", "heads.layers.0.weight")
    }
    for one, two, three in first.values():
        assert not np.allclose(one, two)
        assert not np.allclose(two, three)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_members_are_what_they_are_alone(early_stopping):
    """Where nothing is drawn, a member is what its own rows, weights and orders make of it."""
    own = {"posterior": Noiseless, "dtype": "float64", "learning_rate_init": 0.1, "tol": 0.1, "n_iter_no_change": 1}
    model = regressor(**own, early_stopping=early_stopping, max_iter=9).fit(X, Y)
    with pytest.warns(
        UserWarning, match="one after the other"
    ):  # a parameter as it is by default, which none stacks with
        apart = clone(model).set_params(net_params={"optimizer__eps": 1e-8}).fit(X, Y)
    assert_alike(model, apart, X)
    for ours, theirs in zip(model._fitted.states, apart._fitted.states, strict=True):
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, rtol=1e-8, atol=1e-10, err_msg=name)
    assert (model.n_iter_ < 9) is early_stopping


@pytest.mark.parametrize(("make", "y"), [(regressor, Y), (classifier, WORDS)])
def test_codes_are_those_of_the_first(make, y):
    model = make().fit(X, y)
    first = alone(model, 0)
    gaps = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    Z = model.transform(X)
    for ours, theirs in [
        (Z, first.transform(X)),
        (model.inverse_transform(Z), first.inverse_transform(Z)),
        (model.impute(gaps), first.impute(gaps)),
        (model.score_samples(X), first.score_samples(X)),
        (model.sample(4, random_state=0)[0], first.sample(4, random_state=0)[0]),
        (model.module_.encoder[0].weight.numpy(), model._fitted.states[0]["encoder.0.weight"]),
    ]:
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(*[each.sample(4, random_state=0)[1] for each in (model, first)])


def test_more_members_predict_better():
    scores = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(260, 5))
        y = np.tanh(x @ rng.normal(size=(5, 2))) + rng.normal(size=(260, 2))
        models = (regressor(n_estimators=n, max_iter=30, learning_rate_init=0.02, alpha=0.0) for n in (1, 5))
        scores.append([model.fit(x[:60], y[:60]).score(x[60:], y[60:]) for model in models])
    one, several = np.mean(scores, axis=0)
    assert several > one + 0.02


@pytest.mark.parametrize("n_rows", [1, 2, 3])
@pytest.mark.parametrize("n_estimators", [2, 5])
def test_few_rows(n_rows, n_estimators):
    model = regressor(n_estimators=n_estimators).fit(X[:n_rows], np.nan_to_num(Y[:n_rows]))
    assert len(model._fitted.states) == n_estimators
    assert np.isfinite(model.predict(X, return_std=True)).all()


def test_one_row_cannot_be_held_out():
    with pytest.raises(ValueError, match="needs one more to train on"):
        regressor(early_stopping=True).fit(X[:1], [[1.0, 2.0, 3.0]])


def test_targets_of_one_dimension():
    y = np.nan_to_num(Y[:, 0])
    mean, std = regressor().fit(X, y).predict(X, return_std=True)
    assert mean.shape == std.shape == (60,)
    model = classifier().fit(X, y > 0)
    assert model.predict_proba(X).shape == (60, 2)
    assert model.predict(X).dtype == bool


def test_frames():
    pandas = pytest.importorskip("pandas")
    columns = pandas.DataFrame(Y, columns=["a", "b", "c"]), pandas.DataFrame(X, columns=list("pqrst"))
    model = regressor().fit(columns[1], columns[0])
    assert model.task_names_ == ["a", "b", "c"]
    assert set(model.term_curves_) >= {"task:a", "task:b", "task:c"}
    np.testing.assert_allclose(model.predict(columns[1]), regressor().fit(X, Y).predict(X), rtol=1e-4)


def test_rows_of_weight_zero_are_none():
    weight = RNG.uniform(0.5, 2, size=60)
    weight[::3] = 0
    taken = weight > 0
    own = {"posterior": Noiseless, "dtype": "float64"}
    model = regressor(**own).fit(X, Y, sample_weight=weight)
    fewer = regressor(**own).fit(X[taken], Y[taken], sample_weight=weight[taken])
    np.testing.assert_allclose(model.predict(X), fewer.predict(X), rtol=1e-6)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies(again):
    model = regressor().fit(X, Y)
    before = model.predict(X)
    other = again(model)
    np.testing.assert_array_equal(other.predict(X), before)
    other.partial_fit(X, Y)
    assert not np.allclose(other.predict(X), before)
    np.testing.assert_array_equal(model.predict(X), before)
    assert_equal_fits(clone(model).fit(X, Y), model)


@pytest.mark.parametrize(("make", "y"), [(regressor, Y), (classifier, WORDS)])
def test_training_goes_on(make, y):
    model = make(warm_start=True).fit(X, y)
    assert model.fit(X, y).n_iter_ == 6
    assert len(model.loss_curve_) == len(model.term_curves_["rate"]) == len(model.task_weights_) == 6
    before = [state["encoder.0.weight"] for state in model._fitted.states]
    model.partial_fit(X, y)
    assert model.n_iter_ == 7
    assert all(not np.allclose(s["encoder.0.weight"], w) for s, w in zip(model._fitted.states, before, strict=True))
    model.set_params(n_estimators=2)
    for go_on in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=r"as before, 3. Got n_estimators=2; fit from the start"):
            go_on(X, y)
    assert len(model.set_params(warm_start=False).fit(X, y)._fitted.states) == 2


@pytest.mark.parametrize("n_estimators", [1, 3])
def test_partial_fits_are_epochs(n_estimators):
    """The optimiser of each member goes on: two calls are not two first calls."""
    own = {"posterior": Noiseless, "dtype": "float64", "batch_size": None, "alpha": 0.0, "n_estimators": n_estimators}
    model = regressor(**own)
    for _ in range(3):
        model.partial_fit(X, Y)
    steps = {float(part["step"]) for state in model._fitted.optimizer_states for part in state.values()}
    assert steps == {3.0}
    assert len(model._fitted.optimizer_states) == n_estimators


@pytest.mark.parametrize("make", [regressor, classifier])
def test_loss_that_is_not_finite(make):
    y = Y if make is regressor else WORDS
    own = {"learning_rate_init": 1e30, "max_iter": 10}
    messages = []
    for n_estimators in (1, 3):
        with pytest.raises(
            ValueError, match=r"must stay finite. It became .* in epoch \d+ \(train rows, term"
        ) as caught:
            make(n_estimators=n_estimators, **own).fit(X, y)
        messages.append(str(caught.value))
    model = make().fit(X, y)
    before = model.transform(X)
    with pytest.raises(ValueError, match="must stay finite"):
        model.set_params(**own).fit(X, y)
    np.testing.assert_array_equal(model.transform(X), before)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"task_weighting": "pcgrad"}, "Aggregation does not stack"),
        ({"objective": "iwae"}, "IWAE does not stack"),
        ({"architecture": branching}, "data-dependent control flow"),
        ({"net_params": {"optimizer__betas": (0.8, 0.99)}}, "net_params apply to a net of one model"),
    ],
)
def test_members_that_are_trained_one_after_the_other(parameters, reason):
    with pytest.warns(UserWarning, match=f"3 members are trained one after the other: .*{reason}"):
        model = regressor(**parameters).fit(X, Y)
    assert len(model._fitted.states) == 3
    assert len(model.loss_curve_) == model.n_iter_ == 3
    assert (
        len({float(state["encoder.0.weight"].sum()) for state in model._fitted.states if "encoder.0.weight" in state})
        != 1
    )
    assert np.isfinite(model.predict(X)).all()


def test_interrupt(monkeypatch):
    raise_at(monkeypatch, KeyboardInterrupt(), lambda stack, n_calls: n_calls > 8)
    with pytest.warns(UserWarning, match="interrupted by user in epoch 3"):
        model = regressor(batch_size=16).fit(X, Y)
    assert model.n_iter_ == 2
    assert np.isfinite(model.predict(X)).all()


def test_interrupt_before_all_members_have_begun(monkeypatch):
    monkeypatch.setattr(stacking, "STACK_BYTES", 1)
    raise_at(monkeypatch, KeyboardInterrupt(), lambda stack, n_calls: True)
    model = regressor()
    with pytest.warns(UserWarning, match="interrupted by user"), pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert not model.__sklearn_is_fitted__()


def test_epochs_are_printed(capsys):
    model = regressor(verbose=1, early_stopping=True).fit(X, Y)
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first.startswith("[MultiTaskVAERegressor] 3 models for ")
    assert last.startswith("[MultiTaskVAERegressor] held-out rows chose ")
    whose = "[MultiTaskVAERegressor, stack 1 of 3 members] "
    assert [line.split(":")[0] for line in lines] == [f"{whose}Epoch {epoch}" for epoch in (1, 2, 3)]
    assert f"loss {model.loss_curve_[0]:.5g}, " in lines[0]
    assert f"validation {-model.validation_scores_[-1]:.5g}" in lines[-1]


@pytest.mark.filterwarnings("ignore:2 members are trained one after the other")
def test_whose_epochs_are_printed(capsys):
    """Of two architectures, one stack and one member alone; of members that do not stack, each alone."""
    shapes = [{"hidden_layer_sizes": (size,)} for size in (4, 3, 4)]
    regressor(verbose=1, max_iter=1, n_estimators=3, member_params=shapes).fit(X, Y)
    regressor(verbose=1, max_iter=1, n_estimators=2, net_params={"optimizer__eps": 1e-7}).fit(X, Y)
    names = [
        line.partition("]")[0].partition(", ")[2] for line in capsys.readouterr().out.splitlines() if "Epoch" in line
    ]
    assert names == ["stack 1 of 2 members", "member 2 of 3", "member 1 of 2", "member 2 of 2"]


def test_each_epoch_is_told():
    pytest.importorskip("sklearn.callback")
    from tests.fitting.test_callbacks import Recorder

    recorder = Recorder()
    model = regressor(max_iter=5).set_callbacks(recorder).fit(X, Y)
    assert recorder.begun == len(recorder.scores) == 5
    told = list(recorder.scores)
    mean = np.mean([alone(model, k).predict(X) for k in range(3)], axis=0)  # none is chosen before the end
    assert told[-1] == pytest.approx(r2_score(Y, mean))
    assert len(set(told)) == 5
    stopped = Recorder(stop_after=2)
    assert regressor(max_iter=5).set_callbacks(stopped).fit(X, Y).n_iter_ == 2
    assert stopped.scores == told[:2]


def test_watched_members_begin_anew_where_the_memory_is_gone(monkeypatch):
    model = regressor(posterior=Noiseless, dtype="float64", batch_size=None, n_estimators=4)
    expected = clone(model).fit(X, Y)
    plan = model._plan(X, Y, None)
    raise_at(monkeypatch, MemoryError("no more"), lambda stack, n_calls: len(stack) > 2 and n_calls > 2)
    stacking.train(plan.members, end=lambda net: False)
    model._take(keep(plan))
    assert_alike(model, expected, X)


def test_random_states_are_left_as_they_are():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    model = regressor(dropout=0.2, corruption="masking").fit(X, Y)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    torch.manual_seed(7)
    assert_equal_fits(clone(model).fit(X, Y), model)
    torch.set_rng_state(torch_state)
    assert clone(model).set_params(random_state=1).fit(X, Y).loss_curve_ != model.loss_curve_


@pytest.mark.parametrize("n_estimators", [0, 1.5, "3"])
def test_number_of_members_is_checked(n_estimators):
    with pytest.raises(ValueError, match=r"'n_estimators' parameter .* must be an int in the range"):
        regressor(n_estimators=n_estimators).fit(X, Y)


@pytest.mark.parametrize(
    "check",
    [
        checks.check_methods_subset_invariance,
        checks.check_methods_sample_order_invariance,
        checks.check_dict_unchanged,
        checks.check_fit_idempotent,
        checks.check_fit2d_1sample,
        checks.check_fit2d_1feature,
        checks.check_estimators_pickle,
        checks.check_n_features_in,
        checks.check_regressor_multioutput,
        checks.check_sample_weights_list,
    ],
)
def test_common_checks(check):
    check("MultiTaskVAERegressor", regressor(n_estimators=2))
