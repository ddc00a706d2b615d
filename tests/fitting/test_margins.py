"""Distributions of numbers as normal scores, against closed forms and scipy."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from sklearn_mtae._fitting.margins import OfNumbers, Scores
from sklearn_mtae._fitting.predictions import OfTask


def numbers(n=3):
    return OfTask(np.linspace(-1.0, 2.0, n), np.linspace(0.5, 2.0, n), None)


def straight():
    return OfNumbers.learn(np.random.default_rng(0).normal(size=400), np.ones(400))


def skewed(n=20_000):
    return OfNumbers.learn(np.random.default_rng(0).exponential(size=n) - 1, np.ones(n))


def one_normal(mean, std):
    return Scores(np.atleast_2d(mean), std, np.ones((1, np.size(mean))))


def test_scores_of_normal_errors_are_the_errors():
    own, z = numbers(), np.array([-1.3, 0.0, 2.1])
    low, high = straight().intervals(own, own.mean + own.std * z)
    np.testing.assert_allclose(low, z, atol=1e-9)
    assert (low == high).all()


@pytest.mark.parametrize("margin", [straight(), skewed()], ids=["normal", "skewed"])
def test_draws_of_numbers_have_the_predicted_mean_and_deviation_and_come_back(margin):
    own = numbers()
    z = np.random.default_rng(1).normal(size=(200_000, 3))
    drawn = margin.values(own, z)
    np.testing.assert_allclose(drawn.mean(axis=0), own.mean, atol=0.02)
    np.testing.assert_allclose(drawn.std(axis=0), own.std, rtol=0.02)
    np.testing.assert_allclose(margin.centres(own, drawn[0]), z[0], atol=1e-6)


def test_errors_of_a_skewed_number_have_its_quantiles():
    """Those of an exponential distribution, standardised."""
    z = np.array([[-1.5], [0.0], [1.5]])
    expected = stats.expon.ppf(stats.norm.cdf(z)) - 1
    np.testing.assert_allclose(skewed().values(OfTask(np.zeros(1), np.ones(1), None), z), expected, atol=0.12)


@pytest.mark.parametrize("margin", [straight(), skewed()], ids=["normal", "skewed"])
def test_moments_of_numbers_given_other_scores_are_those_of_draws(margin):
    own, scores = numbers(), Scores(np.array([[0.5, -1.0, 1.0], [1.0, 0.0, -2.0]]), 0.6, np.full((2, 3), 0.5))
    rng = np.random.default_rng(0)
    z = scores.mean[rng.integers(2, size=400_000)] + 0.6 * rng.normal(size=(400_000, 3))
    drawn, found = margin.values(own, z), margin.given(own, scores)
    np.testing.assert_allclose(found.mean, drawn.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(found.std, drawn.std(axis=0), rtol=0.02)


@pytest.mark.parametrize("margin", [straight(), skewed()], ids=["normal", "skewed"])
def test_standard_normal_scores_leave_predictions_as_they_are(margin):
    own = numbers()
    found = margin.given(own, one_normal(np.zeros(3), 1.0))
    np.testing.assert_allclose(found.mean, own.mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, own.std, rtol=1e-12)


def test_most_errors_keep_their_ranks_where_a_few_are_far_off():
    """A shift by the mean would move the narrow middle, with 97 % of the errors, past all of its own width."""
    rng = np.random.default_rng(0)
    errors = np.where(rng.random(2000) < 0.03, 5.0, 0.01 * rng.normal(size=2000))
    errors = errors / errors.std()
    scores = OfNumbers.learn(errors, np.ones(2000)).centres(OfTask(np.zeros(2000), np.ones(2000), None), errors)
    expected = stats.norm.ppf((stats.rankdata(errors) - 0.5) / 2000)
    middle = errors < 0.5
    np.testing.assert_allclose(scores[middle], expected[middle], atol=0.25)


def test_a_number_gives_its_score_away():
    np.testing.assert_allclose(straight().resolved(numbers(1), one_normal(np.array([0.4]), 0.7)), 0.49)


def test_slopes_are_those_of_errors_by_their_scores():
    z = np.linspace(-2.5, 2.5, 50)
    for margin in (straight(), skewed()):
        step = 1e-6
        slopes = (margin.errors_at(z + step) - margin.errors_at(z - step)) / (2 * step)
        np.testing.assert_allclose(margin.slopes(z), slopes, rtol=1e-6)
        logs = margin.log_slopes(z)
        np.testing.assert_allclose(logs - logs[0], np.log(slopes / slopes[0]), atol=1e-6)
        assert margin.least_log_slope <= logs.min()
        nodes = margin.log_slopes(np.random.default_rng(0).normal(size=400_000))
        np.testing.assert_allclose(nodes.mean(), 0.0, atol=0.005)


def test_where_a_value_occurs_often_the_density_does_not_count():
    margin = OfNumbers.learn(np.repeat([-1.0, 0.0, 3.0], [50, 100, 50]), np.ones(200))
    np.testing.assert_array_equal(margin.log_slopes(np.linspace(-3, 3, 9)), 0.0)
    assert margin.least_log_slope == 0.0


@pytest.mark.parametrize("margin", [straight(), skewed()], ids=["normal", "skewed"])
def test_ends_and_reaches_are_inverse(margin):
    for reach in (0.3, 1.5, 4.0):
        np.testing.assert_allclose(margin.reaches(margin.ends(reach)), reach, rtol=1e-9)
        low, high = stats.norm.cdf(margin.ends(reach))
        np.testing.assert_allclose(high - low, 1 - 2 * stats.norm.sf(reach), rtol=1e-9)
    assert margin.ends(np.inf).tolist() == [-np.inf, np.inf]


def test_intervals_of_skewed_errors_are_about_the_shortest():
    """Of an exponential distribution, which is densest at its least value, the shortest intervals begin there."""
    margin, reach = skewed(), stats.norm.isf(0.015)
    width = np.ptp(margin.errors_at(margin.ends(reach)))

    def of_share(share):
        return np.ptp(stats.expon.ppf([0.03 * share, 1 - 0.03 * (1 - share)]))

    shortest = minimize_scalar(of_share, bounds=(0.0, 1.0), method="bounded").fun
    assert margin.lower_share < 0.1
    np.testing.assert_allclose(width, shortest, rtol=0.06)
    assert width < 0.85 * of_share(0.5)
