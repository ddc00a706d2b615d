"""Ellipsoids of labels, against closed forms and Monte Carlo."""

import numpy as np
import pytest
from scipy import stats

from sklearn_mtae._verbs.region import JointRegion

R = np.array([[1.0, 0.7], [0.7, 1.0]])


def region(square=4.0, scale=((1.0, 2.0), (0.5, 3.0)), low=-np.inf):
    return JointRegion(
        ["a", "b"], np.array([[1.0, -1.0], [0.0, 5.0]]), np.array(scale), R, square, np.full(2, low), np.full(2, np.inf)
    )


def test_a_region_contains_what_is_within_the_length():
    own = region()
    y = own.center + np.array([[1.0, 1.0], [-2.0, 3.0]])
    errors = (y - own.center) / own.scale
    expected = np.einsum("nt,ts,ns->n", errors, np.linalg.inv(R), errors) <= 4.0
    np.testing.assert_array_equal(own.contains(y), expected)
    assert expected.tolist() == [True, False]


def test_volume_is_that_of_monte_carlo():
    own, rng = region(), np.random.default_rng(0)
    for row in range(2):
        box = own.upper[row] - own.lower[row]
        center, scale = (np.tile(part[row], (200_000, 1)) for part in (own.center, own.scale))
        many = JointRegion(["a", "b"], center, scale, R, 4.0, own.low, own.high)
        inside = many.contains(own.lower[row] + box * rng.random((200_000, 2))).mean()
        np.testing.assert_allclose(own.volume[row], inside * box.prod(), rtol=0.01)


def test_intervals_are_the_extent_of_the_region():
    own = region()
    angle = np.linspace(0, 2 * np.pi, 10_000)
    root = np.linalg.cholesky(own.covariance[0])
    edge = own.center[0] + 2.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ root.T
    np.testing.assert_allclose(own.upper[0], edge.max(axis=0), atol=1e-5)
    np.testing.assert_allclose(own.lower[0], edge.min(axis=0), atol=1e-5)


def test_a_missing_label_may_be_anything():
    own = region()
    y = np.array([[own.upper[0, 0] - 1e-9, np.nan], [own.upper[1, 0] + 1e-6, np.nan]])
    assert own.contains(y).tolist() == [True, False]
    assert own.contains(np.full((2, 2), np.nan)).all()


def test_coverage_of_normal_errors_is_that_of_chi_squared():
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(50_000, 2)) @ np.linalg.cholesky(R).T
    ones = np.ones((50_000, 2))
    own = JointRegion(["a", "b"], 0 * ones, ones, R, 4.0, np.full(2, -np.inf), np.full(2, np.inf))
    np.testing.assert_allclose(own.contains(errors).mean(), stats.chi2.cdf(4.0, 2), atol=0.005)


def test_a_task_without_variance_must_have_its_value():
    own = region(scale=((1.0, 0.0), (1.0, 0.0)))
    assert own.contains([[1.5, -1.0], [0.0, 4.9]]).tolist() == [True, False]
    np.testing.assert_allclose(own.volume, 4.0)
    np.testing.assert_array_equal(own.lower[:, 1], own.center[:, 1])


def test_ends_stay_in_the_support():
    assert (region(low=0.0).lower >= 0).all()


@pytest.mark.parametrize("y", [np.zeros((2, 3)), np.zeros(2), np.zeros((3, 2)), [["a", "b"], ["c", "d"]]])
def test_labels_of_other_shapes_are_refused(y):
    with pytest.raises(ValueError, match=r"one per task|inconsistent|could not convert|numbers|columns"):
        region().contains(y)
