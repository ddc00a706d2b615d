"""State: parameters, arrays and plain values; it comes back in a fresh process, without a device."""

import pickle
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pytest
import torch

from tests.conftest import ESTIMATORS

LOAD = """
import sys, pickle, joblib, numpy as np, torch
from pathlib import Path
torch.set_num_threads(1)
folder = Path(sys.argv[1])
for path in folder.glob("*/*.npz"):
    saved = np.load(path)
    for kind in ("pickle", "cloudpickle", "joblib", "mmap"):
        if kind in ("joblib", "mmap"):
            model = joblib.load(path.with_name("joblib"), mmap_mode="r" if kind == "mmap" else None)
        else:
            model = pickle.load(open(path.with_name(kind), "rb"))
        name = f"{path.parent.name}, {kind}"
        np.testing.assert_allclose(model.transform(saved["X"]), saved["Z"], rtol=1e-6, atol=1e-8, err_msg=name)
        np.testing.assert_allclose(model.predict(saved["X"]), saved["P"], rtol=1e-6, atol=1e-8, err_msg=name)
        print(name)
"""


@pytest.mark.slow
def test_round_trip_in_a_fresh_process(table, tmp_path):
    """One process for all the files: most of its time is the import of torch."""
    X, Y = table
    for make in ESTIMATORS:
        folder = tmp_path / make.__name__
        folder.mkdir()
        estimator = make(n_components=2, hidden_layer_sizes=(8,), max_iter=3, random_state=0).fit(X, Y)
        np.savez(folder / "data.npz", X=X, Z=estimator.transform(X), P=estimator.predict(X))
        joblib.dump(estimator, folder / "joblib")
        for module in (pickle, cloudpickle):
            (folder / module.__name__).write_bytes(module.dumps(estimator))
    program, root = [sys.executable, "-W", "error", "-c", LOAD, tmp_path], Path(__file__).parent.parent
    loaded = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True, cwd=root).stdout.splitlines()
    assert len(loaded) == 4 * len(ESTIMATORS)


def plain(value):
    if is_dataclass(value):
        return plain(vars(value))
    if isinstance(value, dict):
        return all(plain(key) and plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(plain(item) for item in value)
    return value is None or isinstance(value, str | bool | int | float | np.ndarray | np.generic)


def test_state_holds_plain_values_alone(estimator, table):
    X, Y = table
    state = pickle.loads(pickle.dumps(estimator.fit(X, Y))).__getstate__()
    assert all(plain(value) for value in state.values())
    arrays = [array for own in state["_fitted"].states for array in own.values()]
    assert arrays
    assert not any(a.shape[:1] == (len(X),) for a in arrays), "no training data in the state"


def test_training_data_is_let_go(estimator, table):
    import gc
    import weakref

    X, Y = (part.copy() for part in table)
    alive = weakref.ref(X)
    estimator.set_params(early_stopping=True).fit(X, Y)
    del X
    gc.collect()
    assert alive() is None


def test_model_of_an_absent_device_loads(estimator, table):
    X, Y = table
    estimator.fit(X, Y)
    Z = estimator.transform(X)
    if not torch.cuda.is_available():
        again = pickle.loads(pickle.dumps(estimator.set_params(device="cuda")))
        np.testing.assert_array_equal(again.transform(X), Z)
        with pytest.raises(ValueError, match="device='cuda' must be one of the available devices"):
            again.fit(X, Y)


def test_net_is_rebuilt(estimator, table):
    X, Y = table
    again = pickle.loads(pickle.dumps(estimator.fit(X, Y)))
    for (name, one), (_, two) in zip(
        estimator.net_.module_.state_dict().items(), again.net_.module_.state_dict().items(), strict=True
    ):
        torch.testing.assert_close(one, two, msg=name)


def test_other_version_warns(estimator, table, monkeypatch):
    saved = pickle.dumps(estimator.fit(*table))
    monkeypatch.setattr("sklearn_mtae._estimators.base.__version__", "99.0")
    with pytest.warns(UserWarning, match=r"was saved by sklearn_mtae .* and is loaded by 99.0"):
        pickle.loads(saved)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_trains_on_cuda_and_loads_on_the_cpu(estimator, table):
    X, Y = table
    estimator.set_params(device="cuda").fit(X, Y)
    Z = estimator.transform(X)
    again = pickle.loads(pickle.dumps(estimator)).set_params(device="cpu")
    np.testing.assert_allclose(again.transform(X), Z, rtol=1e-5, atol=1e-6)
