"""The way of the data: columns described in passes, rows gathered in blocks, nothing copied whole."""

import tracemalloc
from itertools import chain

import numpy as np
import pytest
import torch

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor
from sklearn_mtae._engine.batches import Batches
from sklearn_mtae._engine.rows import Rows
from sklearn_mtae._tables import blocks as _data
from sklearn_mtae._tables.describe import describe
from sklearn_mtae.nn.standardizer import Standardizer


@pytest.fixture
def gappy():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 4)) * [1, 100, 1e-3, 1] + [0, 1e4, 0, 5]
    X[rng.random(X.shape) < 0.3] = np.nan
    return X


def test_describe_in_blocks_equals_numpy(gappy, monkeypatch):
    monkeypatch.setattr(_data, "BLOCK_CELLS", 64)
    columns = describe(gappy)
    np.testing.assert_allclose(columns.mean, np.nanmean(gappy, 0), rtol=1e-12)
    np.testing.assert_array_equal(columns.n_observed, (~np.isnan(gappy)).sum(0))
    np.testing.assert_array_equal(columns.min, np.nanmin(gappy, 0))
    np.testing.assert_array_equal(columns.max, np.nanmax(gappy, 0))


def test_weights_are_repetitions(gappy):
    weight = np.random.default_rng(1).integers(0, 4, len(gappy)).astype(float)
    weighted, repeated = describe(gappy, weight), describe(np.repeat(gappy, weight.astype(int), axis=0))
    np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-12)
    np.testing.assert_allclose(weighted.deviation, repeated.deviation, rtol=1e-12)


def test_columns_without_spread_have_scale_one():
    X = np.column_stack([np.full(9, 0.1), np.full(9, np.nan), np.full(9, 1e9 + 0.1), np.arange(9.0)])
    columns = describe(X)
    np.testing.assert_array_equal(columns.deviation[:3], 1)
    assert columns.deviation[3] > 1
    assert columns.mean[1] == 0


@pytest.mark.parametrize("value", [1.0, 1e9, 0.3, 1e-300, -7.0])
def test_values_that_differ_by_rounding_do_not_vary(value):
    ulps = np.arange(-3, 4) * np.spacing(value)
    columns = describe(np.column_stack([value + ulps, value * (1 + np.arange(7) * 1e-13)]))
    assert columns.varies.tolist() == [False, True]
    assert columns.deviation[0] == 1
    assert columns.bounded_deviation[0] == columns.usual_deviation[0] == 1


def rows(x, index=None, **kwargs):
    units = Standardizer(x.shape[1])
    index = np.arange(len(x)) if index is None else index
    defaults = {"complete": (True, True), "y": None, "y_units": None, "weight": None, "label_weight": None}
    return Rows(x, units, index, device=torch.device("cpu"), dtype=torch.float32, **{**defaults, **kwargs})


@pytest.mark.parametrize("cells", [1, 40, 10**6])
def test_batches_hold_each_row_once(cells, monkeypatch):
    monkeypatch.setattr(_data, "BLOCK_CELLS", cells)
    x = np.arange(103.0)[:, None].repeat(4, 1)
    batches = Batches(rows(x, index=np.arange(3, 103)), 16, torch.Generator().manual_seed(0))
    first = [batch.x[:, 0].tolist() for batch in batches]
    assert {len(batch) for batch in first} == {14, 15}, "no short batch at the end"
    assert len(batches) == 7
    assert sorted(chain.from_iterable(first)) == list(range(3, 103))
    assert first != [batch.x[:, 0].tolist() for batch in batches], "each epoch has an order of its own"
    ordered = [batch.x[:, 0].tolist() for batch in Batches(batches.rows[0], 16)]
    assert list(chain.from_iterable(ordered)) == list(range(3, 103))


def test_standardised_in_the_precision_of_the_input():
    x = 1.6e9 + np.random.default_rng(0).normal(size=(50, 1))
    columns = describe(x)
    part = rows(x)
    part.units.set(columns.mean, columns.deviation)
    batch = part.read(torch.arange(50))
    assert batch.x.dtype == torch.float32
    np.testing.assert_allclose(batch.x.numpy(), (x - x.mean()) / x.std(), atol=1e-5)


def test_large_array_is_not_copied():
    X = np.random.default_rng(0).normal(size=(100_000, 100)).astype(np.float32)
    model = AutoencoderTransformer(2, hidden_layer_sizes=(4,), batch_size=5000, max_iter=1)
    model.fit(X[:1000])
    tracemalloc.start()
    model.fit(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes, "a float32 array is gathered block by block, never copied"


def test_bounded_deviation_caps_what_is_rare():
    x = np.zeros((1000, 2))
    x[:2, 0] = 16.0
    x[:, 1] = np.random.default_rng(0).uniform(-1, 1, 1000)
    columns = describe(x)
    np.testing.assert_allclose(np.abs((x - columns.mean) / columns.bounded_deviation).max(0), [2, 1.75], atol=0.1)
    assert columns.bounded_deviation[1] == columns.deviation[1]


def test_usual_deviation_is_bounded_where_a_column_is_often_at_an_end_of_its_range():
    rng = np.random.default_rng(0)
    rows = np.arange(1000)
    x = np.column_stack([rng.standard_t(3, 1000), rng.exponential(size=1000)])
    x = np.column_stack([x, x[:, 1] * (rows < 880), -x[:, 1] * (rows < 920), np.where(rows < 400, x[:, 0], 0.0)])
    columns = describe(x)
    np.testing.assert_allclose(columns.at_an_end, [0.001, 0.001, 0.12, 0.08, 0.001])
    usual = [*columns.deviation[:2], columns.bounded_deviation[2], *columns.deviation[3:]]
    np.testing.assert_array_equal(columns.usual_deviation, usual)
    assert (columns.bounded_deviation > 1.2 * columns.deviation).all()


def test_share_of_an_end_counts_weights_and_observed_cells():
    x = np.array([[0.0, 1.0, np.nan, 0.0]]).T
    assert describe(x).at_an_end[0] == pytest.approx(2 / 3)
    weight = np.array([1.0, 2.0, 5.0, 0.0])
    assert describe(x, weight).at_an_end[0] == describe(x[[0, 1, 1, 2]]).at_an_end[0] == pytest.approx(2 / 3)
    assert describe(np.full((3, 1), np.nan)).at_an_end[0] == 1.0


@pytest.mark.parametrize(
    ("scaling", "hidden", "of"),
    [
        ("auto", (8,), "usual_deviation"),
        ("auto", (), "deviation"),
        ("bounded", (), "bounded_deviation"),
        ("standard", (8,), "deviation"),
    ],
)
def test_unit_of_a_feature(scaling, hidden, of):
    X = np.random.default_rng(0).exponential(size=(200, 3)) * [[1, 0, 0]] * (np.arange(200) < 50)[:, None] + [0, 1, 2]
    X += np.random.default_rng(1).exponential(size=(200, 3)) * [0, 0, 1]
    model = AutoencoderTransformer(2, scaling=scaling, hidden_layer_sizes=hidden, max_iter=1).fit(X)
    columns = describe(X)
    np.testing.assert_allclose(model.module_.units.scale.numpy(), getattr(columns, of))
    assert columns.usual_deviation[0] == columns.bounded_deviation[0] > columns.deviation[0]
    assert columns.usual_deviation[2] == columns.deviation[2] < columns.bounded_deviation[2]


def test_memmap_is_fitted_as_an_array_is(tmp_path):
    X = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)
    X.tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", dtype=np.float32, mode="r", shape=X.shape)
    model = AutoencoderTransformer(2, hidden_layer_sizes=(4,), max_iter=2, random_state=0)
    np.testing.assert_array_equal(model.fit(X).transform(X), model.fit(mapped).transform(mapped))


def test_units_of_multi_task_models_are_bounded():
    X = np.random.default_rng(0).standard_t(3, size=(200, 3))
    for hidden, of in (((8,), "bounded_deviation"), ((), "deviation")):
        widths = {"hidden_layer_sizes": hidden, "head_hidden_layer_sizes": hidden}
        model = MultiTaskVAERegressor(n_estimators=1, max_iter=1, **widths).fit(X, X[:, 0])
        np.testing.assert_allclose(model.module_.units.scale.numpy(), getattr(describe(X), of))
