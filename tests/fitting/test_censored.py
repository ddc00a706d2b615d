"""What stands in for labels that are known only as limits."""

import numpy as np
import pytest
from scipy import optimize, stats

from sklearn_mtae._fitting.censored import (
    _evenly_spaced,
    consistent_shares,
    expect,
    log_likelihood,
    spread_out,
    stand_ins,
)

ANY = (-np.inf, np.inf)


def censored_normal(n=4000, mean=3.0, std=2.0, seed=0):
    y = np.random.default_rng(seed).normal(mean, std, n)
    codes = np.where(y < 2.5, -1, np.where(y > 5.0, 1, 0))
    return np.clip(y, 2.5, 5.0), codes, y


def most_likely(y, codes):
    """Return the mean and the deviation of the normal distribution that is most likely, by direct maximisation."""

    def loss(params):
        return -log_likelihood(y, codes, np.full(len(y), params[0]), np.exp(params[1])).sum()

    found = optimize.minimize(loss, [y.mean(), np.log(y.std())], method="Nelder-Mead", options={"xatol": 1e-8})
    return found.x[0], np.exp(found.x[1])


@pytest.mark.parametrize("support", [ANY, (0.0, np.inf), (-1.0, 4.0)])
def test_stand_ins_have_the_moments_of_cut_normal_distributions(support):
    y = np.array([1.0, 0.2, 3.5, 2.0, 0.5])
    codes, predicted = np.array([-1, -1, 1, 0, 1]), np.array([0.5, 8.0, 1.0, 0.0, 0.4])
    known = stand_ins(y, codes, predicted, 1.5, support)
    for k, code in enumerate(codes):
        low, high = (support[0], y[k]) if code < 0 else (y[k], support[1])
        cut = stats.truncnorm((low - predicted[k]) / 1.5, (high - predicted[k]) / 1.5, predicted[k], 1.5)
        mean, variance = (y[k], 0.0) if code == 0 else (cut.mean(), cut.var())
        np.testing.assert_allclose((known.mean[k], known.variance[k]), (mean, variance), rtol=1e-6)


@pytest.mark.parametrize("away", [25.0, 1e3, 1e6])
def test_stand_ins_are_finite_far_from_the_limit(away):
    known = stand_ins(np.zeros(4), np.array([-1, 1, -1, 1]), away * np.array([1, -1, -1, 1]), 1.0, ANY)
    np.testing.assert_allclose(known.mean[:2], [-1 / away, 1 / away], rtol=0.01)
    np.testing.assert_allclose(known.mean[2:], [-away, away])
    assert (known.variance >= 0).all()


def test_expectations_end_at_the_maximum_of_the_likelihood():
    y, codes, _ = censored_normal()
    weight = np.ones(len(y))
    _, predicted, deviation = expect(y, codes, weight, lambda v: np.repeat(v.mean(1, keepdims=True), len(y), axis=1))
    np.testing.assert_allclose((predicted[0, 0], deviation[0, 0]), most_likely(y, codes), rtol=2e-3)


def test_log_likelihood_is_that_of_scipy():
    y, codes, _ = censored_normal(50)
    normal = stats.norm(1.0, 0.7)
    known = np.where(codes == 0, normal.logpdf(y), np.where(codes < 0, normal.logcdf(y), normal.logsf(y)))
    np.testing.assert_allclose(log_likelihood(y, codes, np.ones(50), 0.7), known)


def test_spread_values_have_the_distribution_of_the_labels():
    y, codes, true = censored_normal()
    spread = spread_out(y, codes, np.ones(len(y)), ANY)
    np.testing.assert_array_equal(spread[codes == 0], y[codes == 0])
    assert (spread[codes < 0] <= 2.5).all()
    assert (spread[codes > 0] >= 5.0).all()
    assert stats.ks_2samp(spread, true).pvalue > 0.05


def test_spread_values_stay_in_the_support():
    rng = np.random.default_rng(0)
    true = rng.gamma(0.5, size=500)
    limit = np.quantile(true, 0.6)
    spread = spread_out(np.maximum(true, limit), np.where(true < limit, -1, 0), np.ones(500), (0.0, np.inf))
    assert (spread >= 0).all()
    assert len(np.unique(spread)) == 500


def test_labels_without_limits_stay_as_they_are():
    y = np.array([1.0, np.nan, 2.0])
    assert spread_out(y, np.zeros(3, dtype=int), np.array([1.0, 0.0, 1.0]), ANY) is y


@pytest.mark.parametrize("n", [1, 2, 7, 300])
def test_any_run_of_probabilities_is_spread_evenly(n):
    p = _evenly_spaced(n)
    assert len(np.unique(p)) == n
    assert ((p > 0) & (p < 1)).all()
    if n == 300:
        assert stats.kstest(p[100:164], "uniform").statistic < 0.05


def test_shares_are_those_of_kaplan_and_meier():
    rng = np.random.default_rng(0)
    true, limit = rng.normal(size=400), rng.normal(0.3, 1, size=400)
    residuals, codes = np.minimum(true, limit), np.where(true > limit, 1, 0)
    order = np.argsort(residuals)
    shares = consistent_shares(residuals[order], codes[order], np.ones(400))
    known = stats.ecdf(stats.CensoredData.right_censored(residuals, codes == 1)).cdf
    own = np.interp(known.quantiles, residuals[order], np.cumsum(shares))
    inside = known.quantiles < residuals[codes == 0].max()
    np.testing.assert_allclose(own[inside], known.probabilities[inside], atol=1e-4)


def test_shares_are_self_consistent_where_limits_are_of_both_sides():
    """Against the same equations written with one matrix."""
    rng = np.random.default_rng(1)
    true, limit = rng.normal(size=200), rng.normal(size=200)
    codes = np.where(rng.random(200) < 0.4, 0, np.where(true > limit, 1, -1))
    residuals = np.where(codes == 0, true, limit)
    order = np.argsort(residuals)
    residuals, codes = residuals[order], codes[order]
    shares = consistent_shares(residuals, codes, np.ones(200))
    on_side = np.where(codes[:, None] > 0, residuals > residuals[:, None], residuals < residuals[:, None])
    admits = np.where(codes[:, None] == 0, np.eye(200, dtype=bool), on_side)
    support = codes == 0
    beyond = ~(admits & support).any(axis=1)
    admits[beyond] = np.eye(200, dtype=bool)[beyond]
    given = admits * shares
    np.testing.assert_allclose((given / given.sum(1, keepdims=True)).mean(0), shares, atol=1e-5)


def test_shares_with_weights_are_those_of_repeated_residuals():
    rng = np.random.default_rng(2)
    residuals, codes = np.sort(rng.normal(size=80)), rng.integers(-1, 2, size=80)
    times = rng.integers(1, 4, size=80)
    shares = consistent_shares(residuals, codes, times.astype(float))
    repeated = consistent_shares(np.repeat(residuals, times), np.repeat(codes, times), np.ones(times.sum()))
    of_each = np.bincount(np.repeat(np.arange(80), times), repeated)
    np.testing.assert_allclose(np.cumsum(shares), np.cumsum(of_each), atol=2e-3)  # both stop when steps are small
