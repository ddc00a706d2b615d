"""Labels that are known only as limits, as a fit takes them."""

import numpy as np
import pytest
from scipy import stats

from sklearn_mtae._fitting.censored_labels import loss_with_limits, shares_of_residuals
from sklearn_mtae._fitting.number_average import NumberAverage
from sklearn_mtae._fitting.scores import at_ranks


def errors():
    rng = np.random.default_rng(0)
    shares = rng.random((30, 3))
    return rng.normal(size=(4, 30)), shares / shares.sum(axis=0), rng.integers(-1, 2, size=30)


def test_without_limits_it_is_the_loss_of_numbers():
    averages, shares, codes = errors()
    found = loss_with_limits(averages, shares, 0 * codes, 0.7)
    np.testing.assert_array_equal(found, NumberAverage.loss(averages, shares))


def test_limits_count_by_the_probability_of_their_side():
    """A prediction far on the side that the limit allows costs nothing, one far on the other side its square."""
    averages, shares, codes = errors()
    probability = np.where(codes < 0, stats.norm(averages, 0.7).cdf(0.0), stats.norm(averages, 0.7).sf(0.0))
    squares = np.where(codes == 0, averages**2, -2 * 0.7**2 * np.log(probability))
    np.testing.assert_allclose(loss_with_limits(averages, shares, codes, 0.7), np.sqrt(squares @ shares).mean(axis=1))
    far = loss_with_limits(np.array([[-100.0], [100.0]]), np.ones((1, 1)), np.array([-1]), 0.7)
    np.testing.assert_allclose(far, [0.0, 100.0], rtol=0.01, atol=1e-12)


def sorted_distances(residuals, codes):
    shares = shares_of_residuals(residuals, codes, np.ones(len(residuals)))
    return at_ranks(np.abs(residuals), shares, len(residuals))


def test_distances_are_those_of_the_true_residuals():
    rng = np.random.default_rng(0)
    true = rng.standard_t(4, size=5000)
    limit = rng.normal(-0.5, 2, size=5000)
    codes = np.where(true < limit, -1, 0)
    found = sorted_distances(np.maximum(true, limit), codes)
    assert (np.diff(found) >= 0).all()
    for level in (0.5, 0.8, 0.9):
        assert np.mean(np.abs(true) <= np.quantile(found, level)) == pytest.approx(level, abs=0.02)


def test_distances_without_limits_are_sorted():
    residuals = np.random.default_rng(0).normal(size=301)
    np.testing.assert_array_equal(sorted_distances(residuals, np.zeros(301, dtype=int)), np.sort(np.abs(residuals)))


def test_distances_of_nothing_but_limits_are_those_of_the_limits():
    np.testing.assert_array_equal(sorted_distances(np.array([-2.0, 1.0]), np.array([1, -1])), [1.0, 2.0])
