"""Data larger than memory: shuffled in blocks, read in runs, held a buffer at a time, written where the user says."""

import subprocess
import sys
import tracemalloc
from itertools import chain

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._engine import batches as batching
from sklearn_mtae._engine import rows as reading
from sklearn_mtae._engine.batches import Batches
from sklearn_mtae._engine.rows import Rows
from sklearn_mtae._fitting.data import Data
from sklearn_mtae._tables import blocks
from sklearn_mtae._tables.describe import describe
from sklearn_mtae._tables.row_index import AllRows, is_mapped
from sklearn_mtae.nn.standardizer import Standardizer

N_COLUMNS, RUN, BATCHES_PER_BUFFER, BATCH = 2, 10, 4, 16


class Recorder(np.memmap):
    """A file that knows which rows were read from it, in their order."""

    reads = None

    def __getitem__(self, index):
        if self.reads is not None:
            self.reads.append(index)
        return super().__getitem__(index)


def mapped(path, x, kind=np.memmap):
    """Write an array to a file and return the file, mapped."""
    np.ascontiguousarray(x).tofile(path)
    return kind(path, dtype=x.dtype, mode="r", shape=x.shape)


@pytest.fixture
def numbered(tmp_path):
    """Return a function that makes a file of so many rows, each of which holds its number."""

    def make(n_rows):
        file = mapped(tmp_path / "rows", np.arange(n_rows, dtype=np.float32)[:, None].repeat(N_COLUMNS, 1), Recorder)
        file.reads = []
        return file

    return make


def limit(monkeypatch, name, value):
    """Let a limit of bytes or cells be another one, wherever it is known."""
    for module in (batching, reading, blocks):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)


@pytest.fixture
def streams(monkeypatch):
    """Let the smallest file count as large, with runs and buffers of a few rows."""
    row_bytes = 8 + N_COLUMNS * 4
    limit(monkeypatch, "STREAMED_BYTES", 0)
    limit(monkeypatch, "RUN_BYTES", RUN * row_bytes)
    limit(monkeypatch, "BUFFER_BYTES", BATCHES_PER_BUFFER * BATCH * row_bytes)


def make_rows(x, index=None, **kwargs):
    index = AllRows(len(x)) if index is None else index
    defaults = {"complete": (True, True), "y": None, "y_units": None, "weight": None, "label_weight": None}
    device = {"device": torch.device("cpu"), "dtype": torch.float32}
    return Rows(x, Standardizer(x.shape[1]), index, **{**defaults, **device, **kwargs})


def epoch(batches):
    return [batch.x[:, 0].int().tolist() for batch in batches]


@pytest.mark.parametrize("n_rows", [5, 160, 1003])
@pytest.mark.usefixtures("streams")
def test_blocks_hold_each_row_once(numbered, n_rows):
    rows = make_rows(numbered(n_rows))
    batches = Batches(rows, BATCH, torch.Generator().manual_seed(0))
    first, second = epoch(batches), epoch(batches)
    for order in (first, second):
        sizes = list(map(len, order))
        assert sorted(chain.from_iterable(order)) == list(range(n_rows))
        assert len(order) == len(batches)
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= BATCH
    assert first != second, "each epoch has an order of its own"
    again = Batches(rows, BATCH, torch.Generator().manual_seed(0))
    assert [epoch(again), epoch(again)] == [first, second]


@pytest.mark.usefixtures("streams")
def test_a_file_is_read_in_runs(numbered):
    n_rows = 2000
    file = numbered(n_rows)
    order = list(chain.from_iterable(epoch(Batches(make_rows(file), BATCH, torch.Generator().manual_seed(0)))))
    n_runs, n_buffers = n_rows / RUN, np.ceil(n_rows / (BATCH * BATCHES_PER_BUFFER))
    jumps = np.count_nonzero(np.diff(np.concatenate(file.reads)) != 1)
    assert n_runs / 2 < jumps < n_runs + n_buffers, "runs in random order, some of them cut by the end of a buffer"
    assert max(map(len, file.reads)) <= BATCH * BATCHES_PER_BUFFER
    assert np.count_nonzero(np.diff(order) != 1) > 0.9 * n_rows, "rows are shuffled within the buffer"
    runs = [len({row // RUN for row in order[start : start + BATCH]}) for start in range(0, n_rows - BATCH, BATCH)]
    assert min(runs) >= 3, "a batch holds rows of several runs"


@pytest.mark.usefixtures("streams")
def test_rows_that_take_part_are_read_in_the_order_of_the_file(numbered):
    file = numbered(1000)
    index = np.random.default_rng(0).permutation(1000)[:300]
    rows = make_rows(file, index)
    shuffled = epoch(Batches(rows, BATCH, torch.Generator().manual_seed(0)))
    assert sorted(chain.from_iterable(shuffled)) == sorted(index)
    file.reads.clear()
    assert list(chain.from_iterable(epoch(Batches(rows, BATCH)))) == sorted(index)
    assert (np.diff(np.concatenate(file.reads)) > 0).all()


@pytest.mark.usefixtures("streams")
def test_targets_and_weights_stay_with_their_rows(numbered, tmp_path):
    numbers = np.arange(500.0)
    y = mapped(tmp_path / "targets", 2 * numbers[:, None])
    weights = {"weight": numbers, "label_weight": 3 * numbers[:, None]}
    for x in (numbered(500), np.array(numbered(500))):
        rows = make_rows(x, y=y, y_units=Standardizer(1), **weights)
        assert rows.streamed, "one of the two is enough"
        for batch in Batches(rows, BATCH, torch.Generator().manual_seed(0)):
            expected = batch.x[:, 0]
            torch.testing.assert_close(batch.y[:, 0], 2 * expected)
            torch.testing.assert_close(batch.weight, expected)
            torch.testing.assert_close(batch.label_weight[:, 0], 3 * expected)


def test_only_large_files_are_shuffled_in_blocks(numbered, monkeypatch):
    file = numbered(100)
    limit(monkeypatch, "STREAMED_BYTES", file.nbytes)
    orders = [epoch(Batches(make_rows(x), BATCH, torch.Generator().manual_seed(0))) for x in (file, np.array(file))]
    assert orders[0] == orders[1]
    limit(monkeypatch, "STREAMED_BYTES", file.nbytes - 1)
    assert make_rows(file).streamed
    assert not make_rows(np.array(file)).streamed


def test_files_are_known_whatever_became_of_them(numbered, tmp_path):
    file = numbered(20)
    for view in (file, np.asarray(file), file[3:], file.T, np.asarray(file)[:, :1].reshape(-1), file.view(np.int32)):
        assert is_mapped(view)
    np.save(tmp_path / "rows.npy", file)
    assert is_mapped(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    for copy in (np.array(file), file.copy(), file[[1, 2]], file + 1, np.arange(3), [1.0], None):
        assert not is_mapped(copy)


def test_all_rows_are_an_index():
    np.testing.assert_array_equal(AllRows(5), np.arange(5))
    np.testing.assert_array_equal(AllRows(5)[1:9], np.arange(5)[1:9])
    np.testing.assert_array_equal(AllRows(5)[np.array([3, 1])], [3, 1])
    assert len(AllRows(10**12)) == 10**12


def test_shares_of_labels_in_blocks_equal_numpy(monkeypatch):
    rng = np.random.default_rng(0)
    y, weight = np.where(rng.random((300, 3)) < 0.4, np.nan, 1.0), rng.integers(0, 3, 300).astype(float)
    labels = rng.random((300, 3)) * (rng.random((300, 3)) < 0.5)
    columns = describe(y)
    limit(monkeypatch, "BLOCK_CELLS", 50)
    for w in (None, weight):
        expected = np.average(~np.isnan(y), axis=0, weights=w), np.average(labels > 0, axis=0, weights=w)
        data = Data(y, y, w, columns, columns)
        np.testing.assert_allclose(data.label_share, expected[0])
        np.testing.assert_allclose(data._replace(label_weight=labels).label_share, expected[1])


@pytest.fixture
def sorted_digits(tmp_path):
    """Digits sorted by what they show: the worst order for a shuffle that is not one of all rows."""
    X, y = load_digits(return_X_y=True)
    order = np.argsort(y, kind="stable")
    X, Y = X[order].astype(np.float32), (y[order, None] == np.arange(10)).astype(np.float32)
    return X, Y, mapped(tmp_path / "X", X), mapped(tmp_path / "Y", Y)


@pytest.fixture
def models():
    options = {"hidden_layer_sizes": (32,), "max_iter": 5, "random_state": 0}
    return AutoencoderTransformer(4, **options), MultiTaskVAERegressor(4, n_estimators=1, **options)


def test_whole_shuffles_of_a_file_give_the_same_bits(sorted_digits, models):
    X, Y, file, targets = sorted_digits
    for model in models:
        codes = [model.fit(x, y).transform(x) for x, y in ((X, Y), (file, targets))]
        assert codes[0].tobytes() == codes[1].tobytes()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_block_shuffles_train_as_well(sorted_digits, models, early_stopping, monkeypatch):
    X, Y, file, targets = sorted_digits
    whole = [model.set_params(early_stopping=early_stopping).fit(X, Y).score(X, Y) for model in models]
    for name, rows in {"STREAMED_BYTES": 0, "RUN_BYTES": 5, "BUFFER_BYTES": 500}.items():
        limit(monkeypatch, name, rows * (8 + 4 * 74))
    streamed = [model.fit(file, targets).score(X, Y) for model in models]
    assert not np.array_equal(whole, streamed)
    np.testing.assert_allclose(streamed, whole, atol=0.03)
    again = [model.fit(file, targets).score(X, Y) for model in models]
    assert streamed == again


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.usefixtures("streams")
def test_a_gpu_holds_a_buffer_at_a_time(numbered):
    rows = make_rows(numbered(1003), device=torch.device("cuda"))
    assert rows.resident is None
    order = epoch(Batches(rows, BATCH, torch.Generator().manual_seed(0)))
    assert order == epoch(Batches(make_rows(numbered(1003)), BATCH, torch.Generator().manual_seed(0)))


def test_nothing_of_the_size_of_a_file_is_copied(tmp_path, models, monkeypatch):
    for name, size in {"STREAMED_BYTES": 0, "BUFFER_BYTES": 2**20, "BLOCK_CELLS": 2**16}.items():
        limit(monkeypatch, name, size)
    rng = np.random.default_rng(0)
    X = np.memmap(tmp_path / "X", dtype=np.float32, mode="w+", shape=(60_000, 100), order="F")
    Y = np.memmap(tmp_path / "Y", dtype=np.float32, mode="w+", shape=(60_000, 60), order="F")
    X[:], Y[:] = rng.standard_normal((60_000, 100)), rng.standard_normal((60_000, 60))
    X[7, 7] = Y[7, 7] = np.nan  # the search for infinity among NaN, in columns, is where scikit-learn copies
    for model in models:
        model.set_params(hidden_layer_sizes=(4,), max_iter=1, batch_size=1000).fit(X[:2000], Y[:2000])
        tracemalloc.start()
        model.fit(X, Y)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < X.nbytes / 4, "less than a mask of one byte a cell takes"
    X[9, 9] = Y[9, 9] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        model.fit(X, Y[:, :2])
    with pytest.raises(ValueError, match="Input y contains infinity"):
        model.fit(X[:, :2], Y)


PROGRAM = """
import re, sys, threading, time
import numpy as np
from sklearn_mtae import AutoencoderTransformer

def anonymous():
    return 1024 * int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1])

def watch():
    while not done.wait(0.002):
        peaks.append(anonymous())

shape = (400_000, 200)
X = np.memmap(sys.argv[1], dtype=np.float32, mode="r", shape=shape)
codes = np.memmap(sys.argv[2], dtype=np.float32, mode="w+", shape=(len(X), 2))
model = AutoencoderTransformer(2, hidden_layer_sizes=(4,), max_iter=1, batch_size=2000)
model.fit(X[:20_000]).transform(X[:20_000])
before, peaks, done = anonymous(), [], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
model.fit(X).transform(X, out=codes)
done.set()
watcher.join()
print(max(peaks) - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_fit_is_bounded(tmp_path):
    rows = np.random.default_rng(0).standard_normal((4000, 200), dtype=np.float32)
    with open(tmp_path / "rows", "wb") as file:
        for _ in range(100):
            rows.tofile(file)
    assert (tmp_path / "rows").stat().st_size > reading.STREAMED_BYTES
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "rows"), str(tmp_path / "codes")]
    growth = int(subprocess.run(program, check=True, capture_output=True, text=True).stdout)
    assert growth < 3 * batching.BUFFER_BYTES, "the buffer, the next one, and as much again"


def test_codes_are_written_where_the_user_says(table, tmp_path):
    X, Y = table
    options = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
    for model in (
        AutoencoderTransformer(2, **options),
        VAETransformer(2, **options),
        MultiTaskVAERegressor(2, n_estimators=1, **options),
    ):
        codes = model.fit(X, Y).transform(X)
        file = np.memmap(tmp_path / "codes", dtype=np.float32, mode="w+", shape=codes.shape)
        assert model.transform(X, out=file) is file
        np.testing.assert_array_equal(np.fromfile(tmp_path / "codes", np.float32), codes.astype(np.float32).ravel())
        out = np.empty_like(codes)
        frame = model.set_output(transform="pandas").transform(X, out=out)
        assert list(frame.columns) == list(model.get_feature_names_out())
        np.testing.assert_array_equal(out, codes)
        np.testing.assert_array_equal(frame, codes)


def test_codes_in_blocks_equal_those_at_once(table, monkeypatch):
    X, _ = table
    model = VAETransformer(2, hidden_layer_sizes=(8,), max_iter=2, random_state=0).fit(X)
    codes, scores = model.transform(X), model.score_samples(X)
    importance = model.feature_importance(X, method="gradient").components
    limit(monkeypatch, "BLOCK_CELLS", 40)
    np.testing.assert_allclose(model.transform(X), codes, rtol=1e-12)
    np.testing.assert_allclose(model.score_samples(X), scores, rtol=1e-12)
    np.testing.assert_allclose(model.feature_importance(X, method="gradient").components, importance, rtol=1e-12)


def test_places_that_do_not_fit_are_refused(table):
    X, _ = table
    model = VAETransformer(2, hidden_layer_sizes=(8,), max_iter=2, random_state=0).fit(X)
    sealed = np.empty((60, 2))
    sealed.flags.writeable = False
    for out, got in {
        "rows": (np.empty((59, 2)), r"float64 of shape \(59, 2\)"),
        "columns": (np.empty((60, 3)), r"float64 of shape \(60, 3\)"),
        "dtype": (np.empty((60, 2), int), "int64 of shape"),
        "sealed": (sealed, "read-only float64 of shape"),
    }.values():
        with pytest.raises(ValueError, match=rf"out must be a writeable .* shape \(60, 2\)\. Got {got}"):
            model.transform(X, out=out)
    with pytest.raises(TypeError, match="out must be a numpy array or None"):
        model.transform(X, out=[[0.0, 0.0]] * 60)
    with pytest.raises(ValueError, match="out must be None with return_std=True"):
        model.transform(X, return_std=True, out=np.empty((60, 2)))
