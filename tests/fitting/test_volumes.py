"""Volumes of regions of errors, against closed forms."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import gamma

from sklearn_mtae._fitting.margins import OfNumbers
from sklearn_mtae._fitting.volumes import volume_of_box, volume_of_level_set

RNG = np.random.default_rng(0)
NORMAL = OfNumbers.learn(RNG.normal(size=400), np.ones(400))
SKEWED = OfNumbers.learn(RNG.exponential(size=20_000) - 1, np.ones(20_000))


@pytest.mark.parametrize("k", [1, 2, 14])
@pytest.mark.parametrize("deviance", [-3.0, 0.0, 1e-3, 0.3, 20.0])
def test_level_sets_of_normal_errors_are_ellipsoids(k, deviance):
    correlation = 0.6 + 0.4 * np.eye(k)
    ball = np.pi ** (k / 2) / gamma(k / 2 + 1) * max(deviance, 0.0) ** (k / 2)
    found = volume_of_level_set([NORMAL] * k, correlation, deviance)
    np.testing.assert_allclose(found, ball * np.sqrt(np.linalg.det(correlation)), rtol=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_level_sets_of_exponential_errors_are_simplices(share):
    """Their density is high where their sum is small."""
    z = RNG.normal(size=(400_000, 2))
    deviance = np.quantile((z**2).sum(axis=1) + 2 * sum(SKEWED.log_slopes(own) for own in z.T), share)
    simplex = stats.gamma(2).ppf(share) ** 2 / 2
    np.testing.assert_allclose(volume_of_level_set([SKEWED] * 2, np.eye(2), deviance), simplex, rtol=0.06)


def test_boxes_are_products_of_intervals():
    np.testing.assert_allclose(volume_of_box([NORMAL] * 3, 1.5), 3.0**3, rtol=1e-9)
    outside = 2 * stats.norm.sf(1.5)
    low, high = stats.expon.ppf([SKEWED.lower_share * outside, 1 - (1 - SKEWED.lower_share) * outside])
    np.testing.assert_allclose(volume_of_box([SKEWED, NORMAL], 1.5), 3.0 * (high - low), rtol=0.03)


def test_without_tasks_and_without_ends():
    assert volume_of_box([], np.inf) == volume_of_level_set([], np.zeros((0, 0)), np.inf) == 1.0
    assert volume_of_box([NORMAL], np.inf) == volume_of_level_set([NORMAL], np.eye(1), np.inf) == np.inf
