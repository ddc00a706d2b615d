"""Prediction intervals of tasks that do not vary, that tie, or whose labels have ends."""

import numpy as np
import pytest

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae._fitting.averaging import reach
from sklearn_mtae._fitting.number_average import predict_average
from sklearn_mtae.nn.likelihoods import LIKELIHOODS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

ENSEMBLE = {
    "hidden_layer_sizes": (4,),
    "max_iter": 2,
    "random_state": 0,
    "n_estimators": 4,
    "validation_fraction": 0.25,
}
SINGLE = {**ENSEMBLE, "n_estimators": 1, "early_stopping": True}
FAMILIES = [name for name, family in LIKELIHOODS.items() if not getattr(family, "joint", False)]


def labels(name, n=60):
    """Labels near the ends of what a family has."""
    rng = np.random.default_rng(0)
    share = rng.beta(0.3, 0.3, size=(n, 2))
    if name == "bernoulli":
        return share.round()
    if "bernoulli" in name:
        return share
    if name in ("poisson", "negative_binomial"):
        return rng.poisson(0.7, size=(n, 2)).astype(float)
    return np.exp(2 * rng.normal(size=(n, 2)))


def features(n=60):
    return np.random.default_rng(1).normal(size=(n, 3))


@pytest.mark.parametrize("settings", [ENSEMBLE, SINGLE], ids=["ensemble", "single"])
@pytest.mark.parametrize("name", FAMILIES)
def test_ends_are_in_the_support_and_the_mean_between_them(name, settings):
    X, Y = features(), labels(name)
    model = MultiTaskVAERegressor(2, task_likelihoods=name, **settings).fit(X, Y)
    low, high = LIKELIHOODS[name](1).support
    for coverage in (0.1, 0.5, 0.9):
        for rows in (X[:20], 5 * X[20:40].astype(np.float32)):
            (lower, upper), mean = model.predict_interval(rows, coverage), model.predict(rows)
            assert (low <= lower).all()
            assert (upper <= high).all()
            assert (lower <= mean).all()
            assert (mean <= upper).all()


def test_cutting_ends_off_takes_no_label_out():
    """The same labels as before are inside: those beyond a support do not exist."""
    X, y = features(400), labels("poisson", 400)[:, 0]
    model = MultiTaskVAERegressor(2, task_likelihoods="poisson", **ENSEMBLE).fit(X[:200], y[:200])
    lower, upper = model.predict_interval(X[200:], 0.8)
    mean, std = predict_average(model._runner, X[200:], return_std=True)
    half = (std * reach(model._fitted, 0.8))[:, 0]
    np.testing.assert_array_equal((lower <= y[200:]) & (y[200:] <= upper), np.abs(y[200:] - mean[:, 0]) <= half)
    assert (lower == 0).any()
    assert np.mean((lower <= y[200:]) & (y[200:] <= upper)) > 0.8 - 4 * np.sqrt(0.8 * 0.2 / 200)


def test_families_that_differ_between_members():
    X, Y = features(), labels("poisson")
    params = [{"task_likelihoods": "poisson"}, {"task_likelihoods": "gaussian"}]
    model = MultiTaskVAERegressor(2, member_params=params, **ENSEMBLE).fit(X, Y)
    (lower, upper), mean = model.predict_interval(5 * X, 0.5), model.predict(5 * X)
    assert ((lower <= mean) & (mean <= upper)).all()
    counts = MultiTaskVAERegressor(2, member_params=params[:1], **ENSEMBLE).fit(X, Y)
    assert (counts.predict_interval(5 * X, 0.9)[0] >= 0).all()
    with pytest.raises(ValueError, match="needs y >= 0"):
        counts.score(X, Y - 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", [ENSEMBLE, SINGLE], ids=["ensemble", "single"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1234.5678, 1.7e9])
def test_a_constant_task_has_an_interval_of_no_width(value, settings, dtype):
    X = features().astype(dtype)
    Y = np.column_stack([X[:, 0], np.full(60, value)]).astype(dtype)
    model = MultiTaskVAERegressor(2, **settings).fit(X, Y)
    lower, upper = model.predict_interval(X, 0.9)
    np.testing.assert_array_equal(lower[:, 1], Y[:, 1])
    np.testing.assert_array_equal(upper[:, 1], Y[:, 1])
    assert (lower[:, 0] < upper[:, 0]).all()
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_array_equal(mean[:, 1], Y[:, 1])
    np.testing.assert_array_equal(std[:, 1], 0)
    alone = MultiTaskVAERegressor(2, **settings).fit(X, Y[:, 1]).predict_interval(X, 0.5)
    np.testing.assert_array_equal(alone, [Y[:, 1], Y[:, 1]])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_constant_task_of_every_family(name):
    X = features()
    model = MultiTaskVAERegressor(2, task_likelihoods=name, **ENSEMBLE).fit(X, np.ones(60))
    np.testing.assert_array_equal(model.predict_interval(X, 0.9), 1.0)


def test_labels_that_tie_are_covered():
    X, y = features(), np.repeat([0.0, 1.0], [55, 5])
    model = MultiTaskVAERegressor(2, task_likelihoods="bernoulli", **ENSEMBLE).fit(X, y)
    lower, upper = model.predict_interval(X, 0.9)
    assert np.isfinite([lower, upper]).all()
    assert np.mean((lower <= y) & (y <= upper)) >= 0.9


@pytest.mark.parametrize("n", [9, 28, 49, 57])
def test_the_largest_coverage_is_one_that_can_be_asked_for(n):
    X = features(n)
    model = MultiTaskVAERegressor(2, member_params=None, **ENSEMBLE).fit(X, X[:, 0])
    lower, upper = model.predict_interval(X, n / (n + 1))  # (28 + 1) * (28 / 29) is more than 28, rounded
    assert (lower < upper).all()
    with pytest.raises(ValueError, match=r"coverage must be a number between 0 and 1. Got 90. For 90 %, pass 0.9."):
        model.predict_interval(X, coverage=90)
    for strange in (0, 1, -0.5, np.nan):
        with pytest.raises(ValueError, match=rf"coverage must be a number between 0 and 1. Got {strange}.$"):
            model.predict_interval(X, coverage=strange)
    with pytest.raises(ValueError, match="coverage must be at most"):
        model.predict_interval(X, (n + 0.5) / (n + 1))
