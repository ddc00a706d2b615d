"""Labels that are known only as limits, as a fit takes them."""

import numpy as np
from scipy import stats

from sklearn_mtae._fitting.censored_labels import loss_with_limits
from sklearn_mtae._fitting.number_average import NumberAverage


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
