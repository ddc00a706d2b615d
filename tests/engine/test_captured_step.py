"""Steps that a device repeats by itself: the same training, without Python between the steps."""

import contextlib
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch.utils._python_dispatch import TorchDispatchMode

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._engine import captured_step as graphs
from sklearn_mtae._engine import net, together
from sklearn_mtae._fitting.fit import keep
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.nn.weightings import WEIGHTINGS
from tests.recorder import Counted, Recorder
from tests.stacks import Noiseless, numbers, options

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

SMALL = {
    "n_components": 2,
    "hidden_layer_sizes": (8,),
    "max_iter": 4,
    "batch_size": 15,
    "dtype": "float64",
    "learning_rate_init": 0.01,
    "random_state": 0,
}
RNG = np.random.default_rng(0)
X = RNG.dirichlet(np.ones(9), size=61)  # admissible to every likelihood, and nine pixels
Y = X[:, :3] @ RNG.normal(size=(3, 3)) + 0.1 * RNG.normal(size=(61, 3))
X[RNG.random(X.shape) < 0.1] = np.nan
Y[RNG.random(Y.shape) < 0.3] = np.nan


autoencoder = partial(AutoencoderTransformer, **SMALL)
variational = partial(VAETransformer, **SMALL)
regressor = partial(MultiTaskVAERegressor, n_estimators=1, **SMALL, head_hidden_layer_sizes=(4,))


@contextlib.contextmanager
def recording(recorder=None):
    """Let steps on the CPU be recorded, by a stand-in for CUDA graphs unless told by what."""
    recorder = recorder or Recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(graphs.RECORDERS, "cpu", recorder)
        patch.setattr(net, "LEAST_STEPS", 1)
        patch.setattr(net, "is_known", lambda part: True)
        yield recorder


def assert_alike(one, other):
    ours, theirs = numbers(one), numbers(other)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-9, atol=1e-10, err_msg=name)


def assert_as_taken(estimator, *data, n_recorded=1, **params):
    """Check that steps that are repeated are those that are taken one by one."""
    taken = clone(estimator).fit(*data, **params)
    for recorder in (Recorder(), Counted()):
        repeated = clone(estimator)
        with recording(recorder):
            repeated.fit(*data, **params)
        assert_alike(repeated, taken)
        assert recorder.n_recorded == n_recorded
    return recorder


@pytest.mark.parametrize("n_rows", [60, 61, 59])
@pytest.mark.parametrize("weighted", [False, True])
def test_autoencoder(n_rows, weighted):
    weight = RNG.uniform(0.5, 2, size=n_rows) if weighted else None
    recorder = assert_as_taken(autoencoder(alpha=1.0), X[:n_rows], sample_weight=weight)
    n_steps = 4 * -(-n_rows // 15)
    assert recorder.n_replayed == n_steps - graphs.WARM_UP


@pytest.mark.parametrize("beta", [0.5, *SCHEDULES, lambda progress: progress**2])
def test_weights_that_change_over_the_training(beta):
    assert_as_taken(variational(beta=beta, max_iter=6), X[:60])
    assert_as_taken(variational(beta=beta, posterior=Noiseless, max_iter=6), X)


@pytest.mark.parametrize("weight", [None, 1, 2])
@pytest.mark.parametrize("n_rows", [60, 61])
def test_missing_labels_and_weights(weight, n_rows):
    weights = None if weight is None else RNG.uniform(0.5, 2, size=Y[:n_rows].shape[:weight])
    model = regressor(posterior=Noiseless, task_weighting="dwa", beta="linear", early_stopping=True, tol=0.0)
    assert_as_taken(model, X[:n_rows], Y[:n_rows], sample_weight=weights)


def test_classes_that_weigh():
    y = np.where(np.isnan(Y), np.nan, np.nanmedian(Y, axis=0) < Y)
    assert_as_taken(MultiTaskVAEClassifier(**SMALL, n_estimators=1, class_weight="balanced"), X[:60], y[:60])


OPTIONS = options(autoencoder, variational, regressor)
REFUSED = WEIGHTINGS.keys() - {"equal", "uncertainty", "dwa"}


@pytest.mark.parametrize(("make", "parameter", "name"), OPTIONS, ids=[f"{key}-{name}" for _, key, name in OPTIONS])
def test_option(make, parameter, name):
    data = (X[:60], Y[:60]) if make is regressor else (X[:60],)
    n_epochs = 2 if name in REFUSED else 4
    assert_as_taken(make(**{"max_iter": n_epochs, parameter: name}), *data, n_recorded=name not in REFUSED)


@pytest.mark.parametrize(
    "parameters",
    [
        {"task_similarity": 0.5 * np.ones((3, 3))},
        {"task_likelihoods": ["gaussian", "squared_error", "laplace"], "task_weighting": "uncertainty"},
        {"free_bits": 0.2, "layer_norm": True, "prior": "mixture", "objective": "mmd", "dropout": 0.3},
        {"likelihood": ["gaussian"] * 4 + ["bernoulli"] * 5},
        {"objective": "iwae", "corruption": "masking"},
    ],
)
def test_options_together(parameters):
    assert_as_taken(regressor(**parameters), X[:60], Y[:60])


@pytest.mark.parametrize(("make", "parameter", "name"), [own for own in OPTIONS if own[2] not in REFUSED])
def test_a_step_never_leaves_its_device(make, parameter, name):
    """Tensors on torch's device without memory do not mix with the host's, and no value can be read from them."""
    estimator = make(**{parameter: name})
    member = estimator._plan(X, Y if make is regressor else None, None).members[0]
    model, loss, device = member.model.train().to("meta"), member.loss.to("meta"), torch.device("meta")
    batch = member.train.read(torch.arange(15)).each(lambda part: part.to(device))
    weights = torch.ones(15, device=device)
    for watch in (contextlib.nullcontext(), graphs.Watch(device)):
        with watch:
            scales = loss.scales(0.5)._replace(rate=torch.ones((), device=device))
            result = loss(model, model(batch.x, batch.y, batch.complete, loss.n_draws), weights, None, scales)
            loss.backward(result, model)
            model.constrain()
            loss.constrain()
    assert watch.found == set()
    assert result.loss.device == device


def train(calls, recorder):
    """Train estimators as one stack of recorded steps."""
    plans = [estimator._plan(*call) for estimator, *call in calls]
    with recording(recorder):
        assert together.train([plan.members[0] for plan in plans]) == (None, {}, None)
    for (estimator, *_), plan in zip(calls, plans, strict=True):
        estimator._take(keep(plan))


def assert_stack_as_alone(calls, n_recorded=1):
    """Check that a stack of recorded steps makes of estimators what `fit` makes of each."""
    alone = [clone(estimator).fit(x, y, sample_weight=weight) for estimator, x, y, weight in calls]
    for recorder in (Recorder(), Counted()):
        train(calls, recorder)
        for (estimator, *_), single in zip(calls, alone, strict=True):
            assert_alike(estimator, single)
        assert recorder.n_recorded == n_recorded
        assert recorder.n_replayed > 0


@pytest.mark.parametrize("weighted", [False, True])
def test_stack_of_models_of_unlike_sizes(weighted):
    calls = []
    for k in range(4):
        weight = RNG.uniform(0.5, 2, size=59 - k) if weighted else None
        calls.append((autoencoder(alpha=k % 2, penalty_weight=0.1 * k, random_state=k), X[k + 2 :], None, weight))
    assert_stack_as_alone(calls)


@pytest.mark.parametrize("same", [False, True])
def test_stack_of_models_of_unlike_weights_of_terms(same):
    betas = ["linear"] * 3 if same else ["linear", 0.5, "cyclic"]
    estimators = [
        regressor(posterior=Noiseless, beta=beta, reconstruction_weight=0.1 + k * (not same), task_weighting="dwa")
        for k, beta in enumerate(betas)
    ]
    assert_stack_as_alone([(estimator, X[k + 2 :], Y[k + 2 :], None) for k, estimator in enumerate(estimators)])


def test_stack_that_shrinks_is_recorded_anew():
    estimators = [
        variational(posterior=Noiseless, beta="linear", max_iter=n, random_state=n, early_stopping=True, tol=0.0)
        for n in (2, 3, 6, 9)
    ]
    assert_stack_as_alone([(estimator, X, None, None) for estimator in estimators], n_recorded=3)


def test_stack_that_draws():
    estimators = [variational(objective="mmd", dropout=0.2, random_state=k) for k in (0, 1, 1)]
    train([(estimator, X[:60], None, None) for estimator in estimators], Recorder())
    assert np.isfinite([estimator.loss_curve_ for estimator in estimators]).all()
    assert len({estimator.loss_curve_[-1] for estimator in estimators}) == 3, "each draws for itself"


class Reading:
    """A penalty that looks at its values."""

    def __call__(self, encode, x, code, generator=None):
        return code.abs().sum(-1) * (1.0 if code.sum().item() > -1e9 else 2.0)


class Choosing(Reading):
    """A penalty of some rows."""

    def __call__(self, encode, x, code, generator=None):
        return code[code[:, 0] > -1e9].abs().sum(-1)


@pytest.mark.parametrize(("penalty", "operation"), [(Reading(), "_local_scalar_dense"), (Choosing(), "index")])
def test_a_step_that_waits_for_the_device_is_taken_one_by_one(penalty, operation):
    model = autoencoder(penalty=penalty, penalty_weight=0.1)
    taken = clone(model).fit(X)
    with recording() as recorder, pytest.warns(UserWarning, match=f"it waits for the device in {operation}"):
        model.fit(X)
    assert_alike(model, taken)
    assert recorder.n_recorded == 0


def test_a_recording_that_fails():
    class Refusing(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            raise RuntimeError("operation not permitted when stream is capturing\nand more")

    def fail(step, generator):
        try:
            with Refusing():
                step()
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    model = variational()
    taken = clone(model).fit(X[:60])
    with recording(fail), pytest.warns(UserWarning, match="takes longer: operation not permitted when stream is"):
        model.fit(X[:60])
    assert_alike(model, taken)


def test_want_of_memory_while_recording_halves_the_batch():
    recorder, tried = Recorder(), []

    def limited(step, generator):
        tried.append(step)
        if len(tried) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return recorder(step, generator)

    model = autoencoder()
    with recording(limited), pytest.warns(UserWarning, match="continues with batch_size=8"):
        model.fit(X)
    assert model.n_iter_ == 4
    assert recorder.n_replayed > 0


class Watching(Callback):
    """A callback of batches."""

    def on_batch_end(self, net, **kwargs):
        """Do nothing."""


class Running(torch.nn.BatchNorm1d):
    """A layer that compares rows."""


def running(n_features, n_code, n_components, n_outputs):
    layers = torch.nn.Linear(n_features, n_code), Running(n_code)
    return torch.nn.Sequential(*layers), torch.nn.Linear(n_components, n_outputs)


@pytest.mark.parametrize(
    ("make", "parameters", "n_rows"),
    [
        (autoencoder, {"net_params": {"record_steps": False}}, 61),
        (autoencoder, {"net_params": {"optimizer": torch.optim.Adam}, "alpha": 0.0}, 61),
        (autoencoder, {"net_params": {"callbacks": [Watching()]}}, 61),
        (autoencoder, {"architecture": running}, 61),
        (variational, {"objective": "mmd"}, 61),
        (regressor, {"task_weighting": "famo"}, 61),
        (regressor, {"task_weighting": "pcgrad"}, 61),
    ],
)
def test_what_is_not_recorded(make, parameters, n_rows):
    data = (X[:n_rows], Y[:n_rows]) if make is regressor else (X[:n_rows],)
    assert_as_taken(make(**parameters), *data, n_recorded=0)


def test_layers_that_compare_rows_are_recorded_where_batches_are_of_one_size():
    assert_as_taken(autoencoder(architecture=running), X[:60])


def test_short_fits_are_not_recorded():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(graphs.RECORDERS, "cpu", None)
        autoencoder(max_iter=graphs.LEAST_STEPS - 1, batch_size=None).fit(X)
        with pytest.raises(TypeError):
            autoencoder(max_iter=graphs.LEAST_STEPS, batch_size=None).fit(X)


class Changing(Callback):
    """A callback of epochs that changes what a step does."""

    def __init__(self, change):
        self.change = change

    def on_epoch_end(self, net, **kwargs):
        """Change it once."""
        if len(net.history) == 2:
            self.change(net)


def slow_down(net):
    net.optimizer_.param_groups[0]["lr"] /= 10


def freeze(net):
    net.module_.encoder.requires_grad_(False)


def reweigh(net):
    net.criterion_.penalty_weight = 1.0


@pytest.mark.parametrize("change", [slow_down, freeze, reweigh])
def test_what_a_callback_changes_is_recorded_anew(change):
    model = autoencoder(penalty="ridge", penalty_weight=0.1)
    taken = clone(model).set_params(net_params={"callbacks": [Changing(change)]}).fit(X)
    assert not np.allclose(taken.loss_curve_, clone(model).fit(X).loss_curve_, rtol=1e-6)
    assert_as_taken(model.set_params(net_params={"callbacks": [Changing(change)]}), X, n_recorded=2)


def test_fits_that_go_on(tmp_path):
    """Warm starts, parts and checkpoints: moments and draws go on where they were."""
    taken, repeated = variational(warm_start=True), variational(warm_start=True)
    taken.fit(X[:60]).set_params(max_iter=2).fit(X[:60]).partial_fit(X[:60]).partial_fit(X[:60])
    with recording():
        repeated.fit(X[:60]).set_params(max_iter=2).fit(X[:60]).partial_fit(X[:60]).partial_fit(X[:60])
    assert_alike(repeated, taken)
    whole = variational(max_iter=6).fit(X[:60])
    path = tmp_path / "fit"
    with recording() as recorder:
        broken = variational(max_iter=6, checkpoint=path, net_params={"callbacks": [Changing(stop)]})
        with pytest.raises(ArithmeticError):
            broken.fit(X[:60])
        resumed = variational(max_iter=6, checkpoint=path).fit(X[:60])
    assert_alike(resumed, whole)
    assert recorder.n_recorded == 2


def stop(net):
    net.checkpoint.save(net)
    raise ArithmeticError


def test_an_interrupted_fit_is_that_of_the_steps_done():
    def interrupt(step, generator):
        replay = Recorder()(step, generator)
        n_left = [8]

        def limited():
            n_left[0] -= 1
            if n_left[0] < 0:
                raise KeyboardInterrupt
            replay()

        return limited

    model = autoencoder()
    with recording(interrupt), pytest.warns(UserWarning, match="interrupted by user in epoch 3"):
        model.fit(X)
    taken = autoencoder(max_iter=2).fit(X)
    assert model.loss_curve_ == pytest.approx(taken.loss_curve_)
    assert not np.allclose(
        model._fitted.states[0]["encoder.0.weight"], taken._fitted.states[0]["encoder.0.weight"], rtol=1e-6
    )


@pytest.mark.slow
def test_a_first_fit_does_without_the_compiler_which_warns_of_nothing():
    """To import it takes longer than many a fit."""
    code = (
        "import sys, numpy, torch, warnings; from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor\n"
        "X = numpy.random.default_rng(0).normal(size=(64, 5))\n"
        "AutoencoderTransformer(2, hidden_layer_sizes=(8,), device='cpu').fit(X)\n"
        "print('torch._dynamo' in sys.modules)\n"
        "torch.func.vmap(torch.abs); by_vmap = 'torch._dynamo' in sys.modules  # as torch 2.6 and 2.7 do\n"
        "MultiTaskVAERegressor(2, n_estimators=2, hidden_layer_sizes=(8,), device='cpu').fit(X, X)\n"
        "print('torch._dynamo' in sys.modules and not by_vmap)\n"
        "warnings.filterwarnings('error', category=DeprecationWarning, module='torch$')\n"
        "from torch import nn; from sklearn_mtae._engine.net import Net\n"
        "Net(nn.Identity(), nn.Identity, compile=True).torch_compile(nn.Linear(2, 2), 'module')"
    )
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\nFalse\n"
