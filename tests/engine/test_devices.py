"""Devices: which one a process takes, and batches that are too large for it."""

import re
import sys
import threading

import numpy as np
import pytest
import torch

from sklearn_mtae import AutoencoderTransformer
from sklearn_mtae._engine.devices import LARGE_PRODUCT, is_out_of_memory, largest_product, resolve_device, threads_for
from sklearn_mtae._engine.net import Net

X = np.random.default_rng(0).standard_normal((96, 4))
SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 6, "batch_size": 32, "random_state": 0}


@pytest.mark.parametrize(
    ("process", "device"),
    [
        ("MainProcess", "cuda:0"),
        ("LokyProcess-1", "cuda:0"),
        ("LokyProcess-3", "cuda:2"),
        ("ForkPoolWorker-4", "cuda:0"),
    ],
)
def test_workers_share_out_the_gpus(process, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr("sklearn_mtae._engine.devices.current_process", lambda: type("Process", (), {"name": process}))
    assert str(resolve_device("auto", strict=True)) == device
    assert str(resolve_device("cuda", strict=True)) == device
    assert str(resolve_device("cuda:1", strict=True)) == "cuda:1", "a GPU by its number is the one that is meant"


def test_looking_for_a_device_does_not_initialise_cuda():
    resolve_device("auto", strict=True)
    assert not torch.cuda.is_initialized()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_tells_want_of_memory_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected


def limit(monkeypatch, n_rows, from_epoch=0):
    """Let no batch of more rows go through, from an epoch on."""
    step = Net._step

    def limited(net, batch, scales):
        if len(batch.x) > n_rows and len(net.history) > from_epoch:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")
        return step(net, batch, scales)

    monkeypatch.setattr(Net, "_step", limited)


@pytest.mark.parametrize("from_epoch", [0, 2])
def test_want_of_memory_halves_the_batch(from_epoch, monkeypatch):
    limit(monkeypatch, 8, from_epoch)
    model = AutoencoderTransformer(**SMALL)
    with pytest.warns(
        UserWarning, match=r"Tried to allocate 2.00 GiB The training continues with batch_size="
    ) as caught:
        model.fit(X)
    assert [str(warning.message).split("=")[-1] for warning in caught] == ["16.", "8."]
    assert model.n_iter_ == 6, "the epochs that were done are not done again"
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert model.net_.batch_size == 8


def test_want_of_memory_for_a_single_row_is_an_error(monkeypatch):
    limit(monkeypatch, 0)
    with pytest.raises(torch.OutOfMemoryError), pytest.warns(UserWarning, match="continues"):
        AutoencoderTransformer(**SMALL).fit(X)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_memory_is_given_back_after_fit():
    before = torch.cuda.memory_allocated()
    model = AutoencoderTransformer(device="cuda", **SMALL).fit(X)
    model.transform(X)
    model._fitted.cache.clear()
    assert torch.cuda.memory_allocated() <= before


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def mkl_threads():
    found = re.search(r"mkl_get_max_threads\(\) : (\d+)", torch.__config__.parallel_info())
    return torch.get_num_threads() if found is None else int(found.group(1))


def n_threads():
    return torch.get_num_threads(), mkl_threads()


def test_small_products_run_on_one_thread_and_large_ones_on_those_given(three_threads):
    with threads_for(0):
        assert n_threads() == (1, 1)
        with threads_for(LARGE_PRODUCT):
            assert n_threads() == (3, 3)
        assert n_threads() == (1, 1)
    assert n_threads() == (3, 3)
    with pytest.raises(KeyError), threads_for(0):
        raise KeyError
    assert n_threads() == (3, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="OpenMP is not found through torch there")
def test_other_threads_see_nothing_of_it(three_threads):
    seen, started, ready = [], threading.Event(), threading.Event()

    def look():
        seen.append(torch.get_num_threads())
        started.set()
        assert ready.wait(60)
        seen.append(torch.get_num_threads())

    older = threading.Thread(target=look)
    older.start()
    assert started.wait(60)
    with threads_for(0):
        newer = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        newer.start()
        newer.join()
        ready.set()
        older.join()
    last = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    last.start()
    last.join()
    assert seen == [3, 3, 3, 3]


def test_where_openmp_is_not_found_torch_itself_is_told(three_threads, monkeypatch):
    monkeypatch.setattr("sklearn_mtae._engine.devices._pools", lambda: None)
    with threads_for(0):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_the_largest_product_is_that_of_the_largest_matrix():
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Linear(5, 2), torch.nn.LayerNorm(100))
    assert largest_product(model, 10) == 150
    assert largest_product(torch.nn.ReLU(), 10) == 0
