"""A fit that is killed goes on from its last epoch, to the result of one that was not."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer

PROGRAM = """
import os, signal, sys
import numpy as np
from skorch.callbacks import Callback
from tests.test_checkpoint import ESTIMATORS, table

class Kill(Callback):
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

model = ESTIMATORS[sys.argv[1]]().set_params(checkpoint=sys.argv[2], net_params={"callbacks": [Kill()]})
model.fit(*table())
"""

SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 9, "batch_size": 16, "random_state": 0}
ESTIMATORS = {
    "autoencoder": lambda: AutoencoderTransformer(corruption="masking", **SMALL),
    "early_stopping": lambda: VAETransformer(early_stopping=True, n_iter_no_change=3, tol=0.01, beta="linear", **SMALL),
    "tasks": lambda: MultiTaskVAERegressor(n_estimators=1, task_weighting="uncertainty", **SMALL),
}


def table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((70, 5))
    return X, X[:, :2] + rng.standard_normal((70, 2))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_killed_fit_goes_on(name, tmp_path):
    X, Y = table()
    path = tmp_path / "training.pt"
    run = subprocess.run([sys.executable, "-c", PROGRAM, name, str(path)], capture_output=True, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr.decode()
    assert path.exists()
    epochs = []
    resumed = ESTIMATORS[name]().set_params(checkpoint=path)
    resumed.set_params(net_params={"callbacks": [counter(epochs)]}).fit(X, Y)
    whole = ESTIMATORS[name]().fit(X, Y)
    # Early stopping ends the last epoch before a callback of the user's own.
    uncounted = 2 + (whole.n_iter_ < SMALL["max_iter"])
    assert len(epochs) == whole.n_iter_ - uncounted, "the two epochs that were written are not run again"
    assert resumed.loss_curve_ == whole.loss_curve_
    assert resumed.validation_scores_ == whole.validation_scores_
    np.testing.assert_array_equal(resumed.transform(X), whole.transform(X))
    assert not path.exists()


def counter(epochs):
    from skorch.callbacks import Callback

    class Counter(Callback):
        def on_epoch_end(self, net, **kwargs):
            epochs.append(len(net.history))

    return Counter()


CALLS = []


def interrupt_once(x, generator=None):
    """Corrupt nothing; the user interrupts in the third epoch."""
    CALLS.append(len(x))
    if len(CALLS) == 12:
        raise KeyboardInterrupt
    return x


@pytest.fixture
def interrupted(tmp_path):
    """Return an estimator that was interrupted, and its file."""
    CALLS.clear()
    path = tmp_path / "training.pt"
    model = AutoencoderTransformer(**{**SMALL, "random_state": None}, corruption=interrupt_once, checkpoint=path)
    with pytest.warns(UserWarning, match="interrupted by user in epoch 3"):
        model.fit(table()[0])
    assert model.n_iter_ == 2
    return model, path


def test_interrupted_fit_goes_on_by_its_own_seed(interrupted):
    model, path = interrupted
    before = model._seed, model.loss_curve_
    model.fit(table()[0])
    assert model.n_iter_ == 9
    assert (model._seed, model.loss_curve_[:2]) == before
    assert not path.exists()


@pytest.mark.parametrize(("change", "shift"), [({"alpha": 1.0}, 0), ({"random_state": 1}, 0), ({}, 1)])
def test_another_fit_is_refused(interrupted, change, shift):
    model, path = interrupted
    with pytest.raises(ValueError, match="holds another one"):
        model.set_params(**change).fit(table()[0] + shift)
    assert path.exists()


def test_ensembles_are_refused(tmp_path):
    with pytest.raises(ValueError, match="needs a single model"):
        MultiTaskVAERegressor(n_estimators=2, checkpoint=tmp_path / "training.pt", **SMALL).fit(*table())
