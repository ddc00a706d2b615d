"""A fit that is killed goes on from its last epoch, to the result of one that was not."""

import errno
import os
import signal
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import GridSearchCV

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._engine.checkpoint import Checkpoint
from sklearn_mtae.model_selection import StackedGridSearchCV

PROGRAM = """
import os, resource, signal, sys
from pathlib import Path
import torch
from skorch.callbacks import Callback
from tests.engine.test_checkpoint import ESTIMATORS, table

class Kill(Callback):
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

def killed(name, path):
    model = ESTIMATORS[name]().set_params(checkpoint=path, net_params={"callbacks": [Kill()]})
    model.fit(*table())

def limited(name, path):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        ESTIMATORS[name]().set_params(checkpoint=path).fit(*table())
    except OSError as error:
        print(error, flush=True)

def end_of(run, name, path):
    # Each fit has a process of its own, which begins where everything has been imported.
    path.parent.mkdir()
    pid = os.fork()
    if pid == 0:
        run(name, path)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

torch.optim.Adam([torch.zeros(1)])  # the first imports the compiler of torch: once for all the processes
folder = Path(sys.argv[1])
for name in ESTIMATORS:
    print(name, end_of(killed, name, folder / name / "training.pt"), flush=True)
print("limited", end_of(limited, "autoencoder", folder / "limited" / "fit"))
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


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """Return the folder in which processes of their own have fitted, and what they said and how they ended."""
    folder = tmp_path_factory.mktemp("processes")
    program = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(folder)]
    run = subprocess.run(program, capture_output=True, text=True, check=True)
    return folder, run.stdout.splitlines(), run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
def test_killed_fit_goes_on(name, processes):
    X, Y = table()
    folder, said, errors = processes
    path = folder / name / "training.pt"
    assert f"{name} {-signal.SIGKILL}" in said, errors
    assert set(path.parent.iterdir()) == {path, path.with_name(".training.pt.lock")}
    epochs = []
    resumed = ESTIMATORS[name]().set_params(checkpoint=path)
    resumed.set_params(net_params={"callbacks": [counter(epochs)]}).fit(X, Y)
    whole = ESTIMATORS[name]().fit(X, Y)
    assert len(epochs) == whole.n_iter_ - 2, "the two epochs that were written are not run again"
    assert resumed.loss_curve_ == whole.loss_curve_
    assert resumed.validation_scores_ == whole.validation_scores_
    np.testing.assert_array_equal(resumed.transform(X), whole.transform(X))
    assert list(path.parent.iterdir()) == [], "the lock has ended with its process"


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
    before = model._fitted.seed, model.loss_curve_
    model.fit(table()[0])
    assert model.n_iter_ == 9
    assert (model._fitted.seed, model.loss_curve_[:2]) == before
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


class Crash(Exception):
    """What ends a fit in the tests below."""


def crash(model, path, *data, epoch=2):
    """Fit until an epoch has been written, and fail."""
    save = Checkpoint.save

    def failing(checkpoint, net):
        save(checkpoint, net)
        if len(net.history) == epoch:
            raise Crash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", failing)
        with pytest.raises(Crash):
            model.set_params(checkpoint=path).fit(*data)
    return path.read_bytes()


def softened(x, generator=None, scale=0.1):
    return x * (1 - scale)


def nested(scale):
    def corruption(x, generator=None):
        return x * scale

    return corruption


X, Y = table()
REGRESSOR = partial(MultiTaskVAERegressor, n_estimators=1, **SMALL)
LABELS = (X[:, :2] > 0).astype(int)
WEIGHT = np.linspace(0.5, 1.5, len(X))


def changed(array, row=33):
    """Return a copy with one cell that is another number, all sums as they were."""
    other = array.copy()
    other[[row, row + 1]] = other[[row + 1, row]]
    return other


@pytest.mark.parametrize(
    ("make", "data", "others"),
    [
        (partial(VAETransformer, **SMALL), (X, None, WEIGHT), [(changed(X), None, WEIGHT), (X, None, changed(WEIGHT))]),
        (REGRESSOR, (X, Y), [(X, changed(Y)), (X, Y, WEIGHT), (changed(X), Y), (X.astype("f4"), Y)]),
        (partial(MultiTaskVAEClassifier, n_estimators=1, **SMALL), (X, LABELS), [(X, 1 - LABELS), (X, LABELS + 1)]),
        (
            partial(VAETransformer, likelihood="poisson", **SMALL),
            (sparse.csr_matrix(LABELS),),
            [(sparse.csr_matrix(changed(LABELS, np.flatnonzero(np.diff(LABELS[:, 0]))[0])),)],
        ),
    ],
    ids=["weights", "labels", "classes", "sparse"],
)
def test_data_are_compared_by_content(make, data, others, tmp_path):
    """Rows that are swapped leave shape, mean and range as they are."""
    path = tmp_path / "fit"
    written = crash(make(), path, *data)
    for other in others:
        with pytest.raises(ValueError, match=f"parameters and data.*{path}.*holds another one: delete it"):
            make(checkpoint=path).fit(*other)
        assert path.read_bytes() == written
    whole, resumed = make().fit(*data), make(checkpoint=path).fit(*data)
    np.testing.assert_array_equal(resumed.transform(data[0]), whole.transform(data[0]))


def test_a_memory_map_is_its_array(tmp_path):
    path = tmp_path / "fit"
    np.save(tmp_path / "x.npy", X)
    crash(AutoencoderTransformer(**SMALL), path, X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    resumed = AutoencoderTransformer(**SMALL, checkpoint=path).fit(mapped)
    assert resumed.loss_curve_ == AutoencoderTransformer(**SMALL).fit(X).loss_curve_


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ({"net_params": {"optimizer__betas": (0.9, 0.99)}}, {"net_params": {"optimizer__betas": (0.8, 0.99)}}),
        ({"net_params": {"optimizer__betas": (0.9, 0.99)}}, {"net_params": None}),
        ({"corruption": nested(0.5)}, {"corruption": nested(0.25)}),
        ({"corruption": partial(softened, scale=0.5)}, {"corruption": partial(softened, scale=0.25)}),
        ({"corruption": lambda x, generator=None: x * 2}, {"corruption": lambda x, generator=None: x * 3}),
        ({"likelihood": ["gaussian"] * 4 + ["laplace"]}, {"likelihood": ["gaussian"] * 5}),
        ({"dropout": 0.0}, {"dropout": 1e-9}),
        ({"max_iter": 9}, {"max_iter": 8}),
    ],
)
def test_parameters_are_compared_by_content(own, other, tmp_path):
    path = tmp_path / "fit"
    crash(AutoencoderTransformer(**{**SMALL, **own}), path, X)
    with pytest.raises(ValueError, match="holds another one"):
        AutoencoderTransformer(**{**SMALL, **other}, checkpoint=path).fit(X)


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ({"alpha": 3}, {"alpha": np.float64(3)}),
        ({"hidden_layer_sizes": [8]}, {"hidden_layer_sizes": (np.int64(8),)}),
        ({"corruption": nested(0.5)}, {"corruption": nested(0.5)}),
        ({"verbose": False, "device": "auto"}, {"verbose": 1, "device": "cpu"}),
        ({"net_params": None}, {"net_params": {"callbacks": []}}),
    ],
)
def test_equal_parameters_are_equal(own, other, tmp_path, capsys):
    path = tmp_path / "fit"
    crash(AutoencoderTransformer(**{**SMALL, **own}), path, X)
    resumed = AutoencoderTransformer(**{**SMALL, **other}, checkpoint=path).fit(X)
    assert resumed.loss_curve_ == AutoencoderTransformer(**{**SMALL, **own}).fit(X).loss_curve_


def test_a_warm_start_goes_on_from_its_own_weights(tmp_path):
    path = tmp_path / "fit"
    first, second = (AutoencoderTransformer(**SMALL, warm_start=True).fit(data) for data in (X, -X))
    crash(first, path, X)
    with pytest.raises(ValueError, match="holds another one"):
        second.set_params(checkpoint=path).fit(X)
    assert first.fit(X).n_iter_ == 18


def test_what_has_no_contents_to_compare(tmp_path):
    lock = threading.Lock()

    def corruption(x, generator=None):
        with lock:
            return x

    model = AutoencoderTransformer(**SMALL, corruption=corruption, checkpoint=tmp_path / "fit")
    with pytest.raises(ValueError, match=r"corruption=.*cannot: cannot pickle .*lock.*leave checkpoint out"):
        model.fit(X)
    assert list(tmp_path.iterdir()) == []


def test_anything_but_the_whole_file_is_one_error(tmp_path):
    path = tmp_path / "fit"
    written = crash(AutoencoderTransformer(**SMALL), path, X)
    rng = np.random.default_rng(0)
    files = [b"", b"\x80\x04", b"PK\x03\x04" + bytes(100), written + b"0", np.zeros(9).tobytes()]
    files += [written[:size] for size in (1, 20, 40, 60, len(written) // 2, len(written) - 1)]
    for place in [*range(60), *rng.integers(len(written), size=60)]:
        flipped = bytearray(written)
        flipped[place] ^= 1 << rng.integers(8)
        files.append(bytes(flipped))
    for content in files:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint must be the whole file of a fit.*delete it") as caught:
            AutoencoderTransformer(**SMALL, checkpoint=path).fit(X)
        assert str(path) in str(caught.value)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_where_a_file_cannot_be(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, words in [
        ("", "must be the path of a file. Got ''"),
        (tmp_path, "a folder"),
        (tmp_path / "none" / "fit", f"create '{tmp_path / 'none'}' first"),
        (tmp_path / "fifo", "a device or the like"),
        (tmp_path / ("n" * 250), "File name too long"),
    ]:
        losses = []
        model = AutoencoderTransformer(**SMALL, checkpoint=path, net_params={"callbacks": [counter(losses)]})
        with pytest.raises(ValueError, match="checkpoint must") as caught:
            model.fit(X)
        assert words in str(caught.value)
        assert losses == []


def test_a_link_is_not_followed(tmp_path):
    """Neither at a name that can be known beforehand nor at the file's own."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for name in ("fit.tmp", ".fit.tmp"):
        (tmp_path / name).symlink_to(victim)
    before = set(tmp_path.iterdir())
    crash(AutoencoderTransformer(**SMALL), tmp_path / "fit", X)
    assert set(tmp_path.iterdir()) == {*before, tmp_path / "fit"}
    assert (tmp_path / "fit").stat().st_mode & 0o777 == 0o600
    (tmp_path / ".other.lock").symlink_to(victim)
    with pytest.raises(ValueError, match="checkpoint must"):
        AutoencoderTransformer(**SMALL, checkpoint=tmp_path / "other").fit(X)
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk(call, tmp_path, monkeypatch):
    from sklearn_mtae._engine import replace as module

    path = tmp_path / "fit"
    written = crash(AutoencoderTransformer(**SMALL), path, X)

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    owner, name = (module, "_write") if call == "write" else (module.os, call)
    monkeypatch.setattr(owner, name, full)
    with pytest.raises(OSError, match=rf"could not be written: No space left.*still there.*{path}") as caught:
        AutoencoderTransformer(**SMALL, checkpoint=path).fit(X)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == written


@pytest.mark.slow
def test_a_file_that_the_system_does_not_take(processes):
    folder, said, errors = processes
    assert any("checkpoint could not be written: File too large. There is none yet." in line for line in said), errors
    assert said[-1] == "limited 0", errors
    assert list((folder / "limited").iterdir()) == []


def test_what_a_killed_process_left_is_cleared(tmp_path):
    path = tmp_path / "fit"
    left, other = tmp_path / ".fit.abcd_123.tmp", tmp_path / ".fit2.abcd_123.tmp"
    for file in (left, other, tmp_path / ".fit.lock"):
        file.write_bytes(b"")
    AutoencoderTransformer(**SMALL, checkpoint=path).fit(X)
    assert list(tmp_path.iterdir()) == [other]


def test_one_fit_at_a_time(tmp_path):
    """Also a fit of the same data: the two would write each other's epochs."""
    path = tmp_path / "fit"
    messages = []

    def corruption(x, generator=None):
        if not messages:
            with pytest.raises(ValueError, match="by one fit at a time") as caught:
                AutoencoderTransformer(**SMALL, checkpoint=path).fit(X)
            messages.append(str(caught.value))
        return x

    AutoencoderTransformer(**SMALL, corruption=corruption, checkpoint=path).fit(X)
    assert "each fit needs a file of its own" in messages[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [GridSearchCV, StackedGridSearchCV])
@pytest.mark.filterwarnings("ignore:.*fits are done one after the other", "ignore:No fit could be stacked")
def test_a_search_in_one_thread(make, tmp_path):
    """One fit after the other has the file, and leaves nothing of it to the next."""
    grid = {"alpha": [0.0, 1.0]}
    model = AutoencoderTransformer(**{**SMALL, "max_iter": 2})
    expected = GridSearchCV(model, grid, cv=2).fit(X)
    search = make(model.set_params(checkpoint=tmp_path / "fit"), grid, cv=2).fit(X)
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], expected.cv_results_[name])
    assert list(tmp_path.iterdir()) == []
