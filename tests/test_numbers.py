"""Numbers of every size: units, digits and what overflows."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.tree import DecisionTreeRegressor

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    PerTaskRegressor,
    VAETransformer,
)
from sklearn_mtae._tables.describe import describe
from sklearn_mtae._tables.limits import find_range
from sklearn_mtae.nn.likelihoods import LIKELIHOODS, Likelihood
from sklearn_mtae.nn.standardizer import Standardizer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

TINY = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
SINGLE = {**TINY, "n_estimators": 1}


def steps(n=40):
    return np.arange(n) / (n - 1)


# What a constant column is.

SPREADS = {
    "longitudes": (-122.4194 + 1e-4 * steps()).astype(np.float32),
    "two neighbours": np.nextafter(np.float32(1e6), np.float32(2e6), dtype=np.float32)
    - np.float32(0.0625) * (steps() > 0.5),
    "large": 1e9 + 1e-3 * steps(),
    "tiny": 1e-300 * steps(),
    "subnormal": 5e-324 * np.arange(40.0),
    "one subnormal": np.where(np.arange(40) == 7, 5e-324, 0.0),
    "huge": 1e150 * (2 * steps() - 1),
    "float32's largest": (3e38 * (2 * steps() - 1)).astype(np.float32),
}


@pytest.mark.parametrize("name", SPREADS)
def test_the_unit_of_a_column_that_varies_is_its_deviation(name):
    values = SPREADS[name]
    assert np.ptp(values.astype(float)) > 0
    columns = describe(values[:, None])
    scale = np.float64(values.max()) - np.float64(values.min())  # in longer numbers, then in units of the range
    exact = values.astype(np.longdouble)
    expected = float(np.sqrt(np.mean(((exact - exact.mean()) / scale) ** 2)))
    assert columns.deviation[0] / scale == pytest.approx(expected, rel=1e-6, abs=1.0 if "subnormal" in name else 0)
    assert columns.deviation[0] > 0
    assert values.min() <= columns.mean[0] <= values.max()


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(0.1, "f4"), (0.1, "f8"), (-122.4194, "f4"), (1e9 + 0.1, "f4"), (1e9 + 0.1, "f8"), (1e-300, "f8"), (1e150, "f8")],
)
def test_the_unit_of_a_constant_column_is_one_and_its_mean_exact(value, dtype):
    x = np.full((1001, 2), value).astype(dtype)
    x[::7, 1] = np.nan
    columns = describe(x, np.random.default_rng(0).random(1001) + 0.1)
    np.testing.assert_array_equal(columns.deviation, 1.0)
    np.testing.assert_array_equal(columns.mean, np.float64(x[1]))


def test_cells_without_weight_do_not_make_a_column_vary():
    x, weight = np.array([[2.0], [2.0], [5.0]]), np.array([1.0, 1.0, 0.0])
    columns = describe(x, weight)
    assert (columns.mean[0], columns.deviation[0], columns.min[0], columns.max[0]) == (2.0, 1.0, 2.0, 2.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_mean_takes_no_digits_from_a_row(dtype):
    x = (1e7 + np.arange(40)).astype(dtype)[:, None]
    units = Standardizer(1)
    units.set([1e7 + 19.5], [11.5434])
    u = units(torch.from_numpy(x))
    assert u.numpy().dtype == dtype
    np.testing.assert_allclose(u.numpy(), (np.arange(40)[:, None] - 19.5) / 11.5434, rtol=1e-6)
    np.testing.assert_allclose(units.inverse(u).numpy(), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("exponent", [-45, -38, -20, 0, 9, 20, 30, 38])
@pytest.mark.parametrize("spread", [-6, -3, 0, 6])
def test_standardised_float32_is_the_exact_number_rounded(exponent, spread):
    if not -45 <= exponent + spread <= 37:
        return
    location, scale = 10.0**exponent, 10.0 ** (exponent + spread)
    x = location + scale * np.random.default_rng(0).normal(size=(200, 1))
    x = np.clip(x, -3e38, 3e38).astype(np.float32)
    units = Standardizer(1)
    units.set([location], [scale])
    exact = (x.astype(np.float64) - location) / scale
    np.testing.assert_allclose(units(torch.from_numpy(x)).numpy(), exact, rtol=2e-7, atol=1e-45)


def test_float32_learns_what_float64_does():
    values = np.random.default_rng(0).normal(size=(63, 1))
    X = np.hstack([(-122.4194 + 1e-4 * values).astype(np.float32)] * 3)
    settings = {"hidden_layer_sizes": (), "max_iter": 150, "learning_rate_init": 0.02, "random_state": 0}
    model = AutoencoderTransformer(1, **settings).fit(X)
    double = AutoencoderTransformer(1, **settings).fit(X.astype(np.float64))
    assert model.score(X) > 0.99
    np.testing.assert_allclose(model.module_.units.scale, double.module_.units.scale, rtol=1e-12)
    np.testing.assert_allclose(model.loss_curve_, double.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(model.transform(X), double.transform(X.astype(np.float64)), atol=1e-4)


def test_codes_do_not_depend_on_where_zero_is():
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 2**10, size=(40, 3)).astype(np.float32)
    near, far = (VAETransformer(2, **TINY).fit(whole + shift) for shift in (0, 2**23))
    np.testing.assert_allclose(far.transform(whole + 2**23), near.transform(whole), atol=1e-5)


# Digits of what is predicted.


@pytest.mark.parametrize("x_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("y_dtype", [np.float32, np.float64, np.int64, np.int16])
@pytest.mark.parametrize("settings", [SINGLE, {**TINY, "n_estimators": 3}], ids=["single", "ensemble"])
def test_predictions_have_the_wider_precision_of_x_and_y(x_dtype, y_dtype, settings):
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(x_dtype)
    y = np.arange(40).astype(y_dtype)
    wider = np.result_type(x_dtype, y_dtype if np.dtype(y_dtype).kind == "f" else np.float64)
    model = MultiTaskVAERegressor(2, **settings).fit(X, y)
    loaded = pickle.loads(pickle.dumps(model))
    for own in (model, loaded):
        results = [own.predict(X), *own.predict(X, return_std=True)]
        if settings is not SINGLE:
            results += own.predict_interval(X, 0.5)
        assert {result.dtype for result in results} == {wider}
    assert model.transform(X).dtype == model.score_samples(X).dtype == model.inverse_transform(model.transform(X)).dtype
    assert model.transform(X).dtype == x_dtype
    assert model.sample(3)[1].dtype == np.float64


@pytest.mark.parametrize("settings", [SINGLE, {**TINY, "n_estimators": 3}], ids=["single", "ensemble"])
def test_targets_keep_their_digits_beside_float32_features(settings):
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    plain = X[:, 0].argsort().argsort()
    shifted = 1_700_000_000 + plain
    settings = {**settings, "max_iter": 20, "learning_rate_init": 0.03}
    far, near = (MultiTaskVAERegressor(2, **settings).fit(X, y) for y in (shifted, plain))
    assert len(np.unique(far.predict(X))) == len(np.unique(near.predict(X))) > 20
    np.testing.assert_allclose(far.predict(X) - 1_700_000_000, near.predict(X), atol=1e-4)
    np.testing.assert_allclose(far.predict(X, return_std=True)[1], near.predict(X, return_std=True)[1], rtol=1e-5)
    assert far.score(X, shifted) == pytest.approx(near.score(X, plain), abs=1e-5)
    assert far.score(X, shifted) == pytest.approx(r2_score(shifted, far.predict(X)), abs=1e-12)
    if settings["n_estimators"] > 1:
        for own, other in zip(far.predict_interval(X, 0.5), near.predict_interval(X, 0.5), strict=True):
            np.testing.assert_allclose(own - 1_700_000_000, other, atol=1e-4)


def test_a_fit_that_fails_leaves_the_precision_of_the_targets():
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    model = MultiTaskVAERegressor(2, **SINGLE).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="overflow"):
        model.fit(X, np.r_[1e200, np.arange(39)])
    assert model.predict(X).dtype == np.float32


def test_frames_decode_large_whole_numbers_from_float32_codes():
    frame = pd.DataFrame({"second": 1_700_000_000 + 100 * np.arange(40), "x": np.random.default_rng(0).normal(size=40)})
    model = VAETransformer(2, **TINY).fit(frame)
    codes = np.asarray(model.transform(frame))
    decoded = model.inverse_transform(codes.astype(np.float32))
    assert decoded["second"].dtype == np.int64
    assert np.abs(decoded["second"] - model.inverse_transform(codes)["second"]).max() <= 1
    assert decoded["second"].nunique() > 10


@pytest.mark.parametrize("factor", [1e-290, 1e-200, 1.0, 1e140])
def test_what_is_predicted_scales_with_the_targets(factor):
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = X[:, :2] + np.random.default_rng(1).normal(size=(60, 2))
    settings = {**TINY, "n_estimators": 4, "max_iter": 8}
    model, scaled = (MultiTaskVAERegressor(2, **settings).fit(X, own) for own in (y, factor * y))
    for plain, own in zip(model.predict(X, return_std=True), scaled.predict(X, return_std=True), strict=True):
        np.testing.assert_allclose(own / factor, plain, rtol=1e-6, atol=1e-9)
    for plain, own in zip(model.predict_interval(X, 0.5), scaled.predict_interval(X, 0.5), strict=True):
        np.testing.assert_allclose(own / factor, plain, rtol=1e-6, atol=1e-6)


# What overflows.

LARGEST = {name: family(1).largest for name, family in LIKELIHOODS.items()}
LIMITS = {name: largest for name, largest in LARGEST.items() if largest < Likelihood.largest}


@pytest.mark.parametrize("sign", [1, -1])
def test_numbers_that_overflow_are_named(sign):
    X = np.random.default_rng(0).normal(size=(30, 3))
    frame, large = (pd.DataFrame(X.copy(), columns=list("abc")) for _ in range(2))
    large.loc[4, "b"] = sign * 2e150
    y = X[:, :2].copy()
    y[3, 1] = sign * 1e200
    extreme = "max" if sign > 0 else "min"
    wrong = rf"X must lie between -1e\+150 and 1e\+150.*Got {extreme} {sign * 2:g}e\+150 in column 'b'"
    for model in (AutoencoderTransformer(2, **TINY), VAETransformer(2, **TINY), MultiTaskVAERegressor(2, **SINGLE)):
        with pytest.raises(ValueError, match=wrong):
            model.fit(large, X[:, 0])
        model.fit(frame, X[:, 0])
        for verb in (model.transform, model.predict, model.impute, model.score_samples):
            with pytest.raises(ValueError, match=wrong):
                verb(large)
        with pytest.raises(ValueError, match=wrong):
            model.partial_fit(large, X[:, 0])
        assert np.isfinite(np.asarray(model.transform(frame))).all()
    wrong = rf"y must lie between -1e\+150 and 1e\+150.*Got {extreme} {sign}e\+200 in column 'y1'"
    with pytest.raises(ValueError, match=wrong):
        model.fit(X, y)
    model.fit(X, X[:, :2])
    for verb in (model.score, model.partial_fit):
        with pytest.raises(ValueError, match=wrong):
            verb(X, y)
    with pytest.raises(ValueError, match="the column must lie between"):
        model.sample(conditions={0: sign * 1e151})
    with pytest.raises(ValueError, match="in column 1"):
        MultiTaskVAEClassifier(2, **SINGLE).fit(np.where(X[4, 1] == X, sign * 1e160, X), X[:, 0] > 0)


@pytest.mark.parametrize("shape", [(30,), (30, 2)])
def test_weights_that_overflow_are_named(shape):
    X, weight = np.random.default_rng(0).normal(size=(30, 3)), np.ones(shape)
    weight[3] = 1e151
    with pytest.raises(ValueError, match=r"sample_weight must be <= 1e\+150. Got max 1e\+151"):
        MultiTaskVAERegressor(2, **SINGLE).fit(X, X[:, :2], weight)
    for head in (Ridge(), DecisionTreeRegressor()):
        with pytest.raises(ValueError, match=r"sample_weight must be <= 1e\+150. Got max 1e\+151"):
            PerTaskRegressor(head).fit(X, X[:, :2], sample_weight=weight)


@pytest.mark.parametrize("factor", [1e-308, 1e-160, 1e149])
def test_only_the_ratios_of_weights_matter(factor):
    X, weight = np.random.default_rng(0).normal(size=(30, 3)), np.random.default_rng(1).integers(1, 4, 30)
    plain, scaled = (VAETransformer(2, **TINY).fit(X, sample_weight=w) for w in (weight, factor * weight))
    np.testing.assert_allclose(scaled.transform(X), plain.transform(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_up_to_there_all_is_finite(name, dtype):
    rng = np.random.default_rng(0)
    top = {**dict.fromkeys(LIKELIHOODS, 1e37 if dtype == np.float32 else 1e150), **LIMITS}
    if "bernoulli" in name or name == "categorical":
        pytest.skip("values between 0 and 1")
    X = (top[name] * rng.uniform(0.01, 1, size=(30, 3))).astype(dtype)
    gaps = np.where(rng.random(X.shape) < 0.3, np.nan, X)
    model = VAETransformer(2, likelihood=name, **TINY).fit(gaps)
    results = [model.score_samples(X), model.score_samples(gaps), model.transform(gaps), model.predict(gaps)]
    results += [model.impute(gaps), model.impute(gaps, 2, random_state=0), model.sample(50, random_state=0)]
    results += [model.sample(5, random_state=0, conditions={0: float(X.max())}), model.loss_curve_]
    assert all(np.isfinite(result).all() for result in results)
    if name != "multinomial":
        tasks = MultiTaskVAERegressor(2, task_likelihoods=name, **{**TINY, "n_estimators": 3}).fit(gaps[:, :1], X)
        results = [*tasks.predict(gaps[:, :1], return_std=True), *tasks.predict_interval(gaps[:, :1], 0.5)]
        assert all(np.isfinite(result).all() for result in [*results, *tasks.sample(20, random_state=0)])


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_beyond_there_a_column_is_named(name):
    X = np.random.default_rng(0).uniform(0.01, 1, size=(30, 3))
    with pytest.raises(ValueError, match=r"X must lie between .* in column 2"):
        VAETransformer(2, likelihood=name, **TINY).fit(X * [1, 1, 1e3 * LIMITS[name]])


@pytest.mark.parametrize("layout", ["c", "f", "csr", "unsorted csr"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ranges(layout, dtype):
    rng = np.random.default_rng(0)
    x = np.where(rng.random((50, 6)) < 0.6, 0, rng.normal(size=(50, 6))).astype(dtype)
    x[:, 1], x[:, 2] = np.abs(x[:, 1]) + 1, np.nan
    x[3, 3] = np.nan
    if layout == "unsorted csr":  # with cells that are told twice
        half = sparse.csr_array(x / 2)
        data, indices = np.concatenate([half.data, half.data]), np.concatenate([half.indices, half.indices])
        given = sparse.csr_array(sparse.coo_array((data, (np.tile(half.tocoo().row, 2), indices)), shape=x.shape))
    else:
        given = sparse.csr_array(x) if layout == "csr" else np.array(x, order=layout.upper())
    found = find_range(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        low, high = np.nanmin(x, axis=0), np.nanmax(x, axis=0)
    known = ~np.isnan(low)
    np.testing.assert_allclose(found.min[known], low[known], rtol=1e-6)
    np.testing.assert_allclose(found.max[known], high[known], rtol=1e-6)
    assert (found.min[~known], found.max[~known]) == (np.inf, -np.inf)


@pytest.mark.parametrize("kind", [VAETransformer, MultiTaskVAERegressor])
@pytest.mark.filterwarnings("ignore:overflow")
def test_draws_that_are_not_finite_are_an_error(kind):
    """A decoder that has diverged gives no numbers; they are not passed on."""
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = kind(2, hidden_layer_sizes=(4,), dtype="float64", max_iter=1, random_state=0).fit(X, X[:, 0])
    broken = [name for name in model._fitted.states[0] if name.startswith("decoder") and name.endswith("weight")]
    for name in broken:
        model._fitted.states[0][name] = model._fitted.states[0][name] * 1e200
    again = pickle.loads(pickle.dumps(model))  # what was cached is left behind
    with pytest.raises(ValueError, match=r"The draws are not finite.* lower learning_rate_init=[0-9]"):
        again.sample(20, random_state=0)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_the_mean_of_large_scores_is_finite():
    """Of float32, whose sum has no number in it."""
    X = np.random.default_rng(0).normal(size=(30, 2))
    model = VAETransformer(1, hidden_layer_sizes=(), likelihood="squared_error", max_iter=1, random_state=0).fit(X)
    far = (X[:20] * 1e19).astype(np.float32)
    scores = model.score_samples(far)
    assert scores.dtype == np.float32
    assert scores.min() < -1e37
    np.testing.assert_allclose(model.score(far), scores.astype(float).sum() / 20, rtol=1e-12)
