"""Sizes of errors that depend on columns or on the mean: when they are learned, and what they do to intervals."""

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_mtae import MultiTaskVAE, MultiTaskVAERegressor, runtime
from sklearn_mtae._fitting.learn_variance import LEAST_ROWS, learn_variance
from sklearn_mtae.export import to_numpy
from sklearn_mtae.persistence import load, save

FOLDS = np.arange(2_000) % 10


def made(seed, n_rows=2_000, strength=1.0):
    """Return columns, means and the logs of variances of two tasks: one by a column, the other by its mean."""
    rng = np.random.default_rng(seed)
    columns, means = rng.uniform(-1, 1, size=(n_rows, 4)), rng.normal(size=(n_rows, 2))
    logs = strength * np.column_stack([2 * columns[:, 2], means[:, 1]])
    return columns, means, logs, np.exp(logs / 2) * rng.normal(size=(n_rows, 2))


def test_variances_are_found():
    columns, means, logs, errors = made(0)
    weight = np.ones((2_000, 2))
    weight[::3, 0] = 0
    errors[::3, 0] = np.nan
    found = learn_variance(columns, means, errors, weight, FOLDS)
    assert found is not None
    np.testing.assert_allclose(columns @ found.slopes + means * found.of_mean, logs, atol=0.5)
    np.testing.assert_allclose(found.slopes[2, 0], 2, atol=0.3)
    np.testing.assert_allclose(found.of_mean, [0, 1], atol=0.15)


def test_a_weight_is_that_many_labels():
    columns, means, _, errors = made(1, 400)
    weight = np.random.default_rng(1).integers(1, 4, size=(400, 1)).astype(float)
    times = weight[:, 0].astype(int)
    weighted = learn_variance(columns, means[:, :1], errors[:, :1], weight, FOLDS[:400])
    repeated = [np.repeat(own, times, axis=0) for own in (columns, means[:, :1], errors[:, :1])]
    same = learn_variance(*repeated, np.ones((times.sum(), 1)), np.repeat(FOLDS[:400], times))
    assert weighted is not None
    assert same is not None
    np.testing.assert_allclose(weighted.slopes, same.slopes, rtol=1e-6, atol=1e-9)


def test_errors_of_one_size_stay_as_they_are():
    """Two standard errors are surpassed by chance in few tables: at most one of these."""
    found = [learn_variance(*made(seed, 300, 0.0)[:2], made(seed, 300, 0.0)[3], np.ones((300, 2)), FOLDS[:300])
             for seed in range(20)]  # fmt: skip
    assert sum(own is not None for own in found) <= 1


def test_errors_without_a_size_stay_as_they_are():
    columns, means, _, _ = made(0, 300)
    assert learn_variance(columns, means, np.zeros((300, 2)), np.ones((300, 2)), FOLDS[:300]) is None


def test_groups_are_one_error_each():
    """What makes the errors of some groups large is not known to be the columns that they have in common."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(12), 30)
    columns, means = rng.normal(size=(12, 4))[group], np.zeros((360, 1))
    errors = (np.exp(columns[:, :1]) * rng.normal(size=(12, 1))[group]) + 0.1 * rng.normal(size=(360, 1))
    told = columns, means, errors, np.ones((360, 1)), group % 6
    assert learn_variance(*told) is not None
    assert learn_variance(*told, group) is None


@pytest.mark.parametrize("folds", [FOLDS[: LEAST_ROWS - 1], np.zeros(LEAST_ROWS, dtype=int)], ids=["few", "one fold"])
def test_too_little_to_learn_from(folds):
    n_rows = len(folds)
    columns, means, _, errors = made(0, n_rows)
    assert learn_variance(columns, means, 100 ** columns[:, :1] * errors, np.ones((n_rows, 2)), folds) is None


@pytest.fixture(scope="module")
def uneven():
    """Return a model of two tasks, the noise of the first of which grows with a column, and a test table."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(2_500, 5))
    truth = x @ rng.normal(size=(5, 2)) * 2
    sizes = np.column_stack([np.exp(1.5 * x[:, 3]), np.ones(2_500)])
    y = truth + sizes * rng.normal(size=truth.shape)
    model = MultiTaskVAERegressor(max_iter=20, random_state=0).fit(x[:500], y[:500])
    return model, x[500:], y[500:], sizes[500:]


def test_intervals_are_as_wide_as_labels_need(uneven):
    model, x, y, sizes = uneven
    low, high = model.predict_interval(x, coverage=0.9)
    is_inside = (low <= y) & (y <= high)
    quarter = np.digitize(x[:, 3], [-0.5, 0, 0.5])
    for own in range(4):  # of one width for all rows, they would hold 1.00 to .65
        assert 0.82 < is_inside[quarter == own, 0].mean() < 0.97
    std = model.predict(x, return_std=True)[1]
    assert np.median(np.abs(np.log(std[:, 0] / sizes[:, 0]))) < 0.25
    assert std[:, 1].max() < 1.3 * std[:, 1].min()


def test_far_rows_are_bounded(uneven):
    """Errors are not taken to grow beyond those that held-out rows have."""
    model, x, _, _ = uneven
    variance = model._fitted.average.variance
    logs = torch.from_numpy(model._runner.apply(variance, x * [1, 1, 1, 50, 1], dtype=np.float64))
    assert logs[:, 0].max() > 2 * variance.high[0]
    factors = variance.factors(logs, torch.zeros_like(logs))
    np.testing.assert_allclose(factors.max(0).values, np.exp(variance.high / 2))
    np.testing.assert_allclose(factors.min(0).values, np.exp(variance.low / 2))


def test_it_is_part_of_files_and_exports(uneven, tmp_path):
    model, x, _, _ = uneven
    mean, std = model.predict(x, return_std=True)
    save(model, tmp_path / "model.mtae")
    np.testing.assert_array_equal(load(tmp_path / "model.mtae").predict(x, return_std=True)[1], std)
    np.testing.assert_array_equal(model.predict(x[:3], return_std=True)[1], std[:3])
    to_numpy(model, tmp_path / "model.npz")
    ours = runtime.load(tmp_path / "model.npz").predict(x, return_std=True)
    np.testing.assert_allclose(ours[0], mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours[1], std, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Task 'one' has one class")
def test_only_numbers_that_vary_are_learned():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(300, 3))
    noise = np.exp(2 * x[:, 0]) * rng.normal(size=300)
    frame = {
        "number": x[:, 1] + noise,
        "same": np.full(300, 3.0),
        "class": np.where(noise > 1, "high", "low"),
        "one": "a",
    }
    model = MultiTaskVAE(n_components=2, max_iter=5, random_state=0).fit(x, pd.DataFrame(frame))
    assert model._fitted.average.variance.slopes.any(axis=0).tolist() == [True, False, False, False]


def test_limits_are_not_learned_from(uneven):
    """How far a label beyond a limit is from its prediction, nobody knows."""
    model, x, y, _ = uneven
    censoring = np.zeros(y[:400].shape, dtype=int)
    censoring[::4, 0] = 1
    again = MultiTaskVAERegressor(max_iter=5, random_state=0).fit(x[:400], y[:400], censoring=censoring)
    variance = again._fitted.average.variance
    assert variance is None or not variance.slopes[:, 0].any()
    assert model._fitted.average.variance.slopes[:, 0].any()
