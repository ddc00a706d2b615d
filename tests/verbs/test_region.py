"""Ellipsoids of labels, against closed forms and Monte Carlo."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sklearn_mtae._fitting.cell_margins import OfCounts
from sklearn_mtae._fitting.margins import OfNumbers
from sklearn_mtae._verbs.region import JointRegion

R = np.array([[1.0, 0.7], [0.7, 1.0]])
NORMAL = OfNumbers.learn(np.random.default_rng(0).normal(size=400), np.ones(400))
SKEWED = OfNumbers.learn(np.random.default_rng(0).exponential(size=4000) - 1, np.ones(4000))


def region(deviance=4.0, scale=((1.0, 2.0), (0.5, 3.0)), low=-np.inf, margins=(NORMAL, NORMAL), n=None):
    center, scale = np.array([[1.0, -1.0], [0.0, 5.0]]), np.array(scale)
    if n is not None:
        center, scale = np.tile(center[:1], (n, 1)), np.tile(scale[:1], (n, 1))
    ends = np.full(2, low), np.full(2, np.inf)
    return JointRegion(["a", "b"], center, scale, R, deviance, 1.5, *ends, list(margins))


def test_a_region_contains_what_is_within_the_length():
    own = region()
    y = own.center + np.array([[1.0, 1.0], [-2.0, 3.0]])
    errors = (y - own.center) / own.scale
    expected = np.einsum("nt,ts,ns->n", errors, np.linalg.inv(R), errors) <= 4.0
    np.testing.assert_array_equal(own.contains(y), expected)
    assert expected.tolist() == [True, False]


def test_counts_that_are_all_zero_lie_in_their_region():
    own = region(deviance=1e-23, scale=((0.0, 0.0), (0.0, 0.0)), margins=(OfCounts(False), OfCounts(False)))
    own.center[:] = 0.0
    assert own.contains(np.array([[0, 0], [0, np.nan]])).all()
    assert not own.contains(np.array([[0, 1], [1, np.nan]])).any()


@pytest.mark.parametrize("margins", [(NORMAL, NORMAL), (SKEWED, NORMAL)], ids=["normal", "skewed"])
def test_volume_is_that_of_monte_carlo(margins):
    own, n = region(margins=margins, n=400_000), 400_000
    y = own.center + own.scale * np.random.default_rng(0).uniform(-3, 8, size=(n, 2))
    np.testing.assert_allclose(own.volume[0], own.contains(y).mean() * 11**2 * own.scale[0].prod(), rtol=0.015)


def test_a_box_contains_what_is_between_its_ends():
    own = replace(region(margins=(SKEWED, NORMAL)), is_box=True)
    inside, outside = (own.upper + step * own.scale for step in (-0.01, 0.01))
    assert own.contains(inside).all()
    for y in (outside, own.lower - 0.01 * own.scale):
        assert not own.contains(np.column_stack([y[:, 0], own.center[:, 1]])).any()
        assert not own.contains(np.column_stack([np.full(2, np.nan), y[:, 1]])).any()
    np.testing.assert_allclose(own.volume, (own.upper - own.lower).prod(axis=1), rtol=1e-9)


def test_the_region_is_where_the_density_is_high():
    """Of exponential errors, independent of normal ones, against the density itself."""
    own = replace(region(margins=(SKEWED, NORMAL), n=20_000), correlation=np.eye(2))
    rng = np.random.default_rng(1)
    errors = np.column_stack([rng.exponential(size=20_000) - 1, rng.normal(size=20_000)])
    inside = own.contains(own.center + own.scale * errors)
    deviance = 2 * (errors[:, 0] + 1) + errors[:, 1] ** 2
    limit = np.quantile(deviance, inside.mean())
    assert np.mean(inside == (deviance <= limit)) > 0.97


def test_volume_of_normal_errors_is_that_of_an_ellipse():
    own = region()
    np.testing.assert_allclose(own.volume, np.pi * 4.0 * np.sqrt(1 - 0.7**2) * own.scale.prod(axis=1), rtol=1e-6)


def test_simultaneous_intervals_end_at_the_largest_score():
    own = region()
    np.testing.assert_allclose(own.upper, own.center + 1.5 * own.scale, rtol=1e-6)
    np.testing.assert_allclose(own.lower, own.center - 1.5 * own.scale, rtol=1e-6)
    skewed = region(margins=(SKEWED, NORMAL))
    assert (skewed.upper - skewed.center > skewed.center - skewed.lower)[:, 0].all()


def test_a_missing_label_may_be_anything():
    own = region()
    y = own.center + own.scale * np.array([[1.999, np.nan], [2.001, np.nan]])
    assert own.contains(y).tolist() == [True, False]
    assert own.contains(np.full((2, 2), np.nan)).all()


def test_masked_labels_are_missing_ones():
    own = region()
    assert own.contains(np.ma.array(np.full((2, 2), 1e6), mask=True)).all()
    y = np.ma.array(own.center + own.scale * [[1.999, 9.0], [2.001, 9.0]], mask=[[False, True]] * 2)
    assert own.contains(y).tolist() == [True, False]


def test_a_region_without_end_contains_all_labels():
    """Scores of far labels are at the end of their range, which does not put them into a bounded region."""
    far = np.full((2, 2), 1e9)
    assert not region(deviance=1e3).contains(far).any()
    own = replace(region(deviance=np.inf, low=0.0), reach=np.inf)
    assert own.contains(far).all()
    assert np.isinf(own.volume).all()
    assert np.isinf(own.upper).all()
    np.testing.assert_array_equal(own.lower, 0.0)


def test_coverage_of_normal_errors_is_that_of_chi_squared():
    own = region(n=50_000)
    errors = np.random.default_rng(0).normal(size=(50_000, 2)) @ np.linalg.cholesky(R).T
    inside = own.contains(own.center + own.scale * errors)
    np.testing.assert_allclose(inside.mean(), stats.chi2.cdf(4.0, 2), atol=0.005)


def test_a_frame_may_have_other_columns():
    own, y = region(), np.array([[1.0, -1.0], [9.0, 9.0]])
    frame = pd.DataFrame({"class": ["u", "v"], "b": y[:, 1], "a": y[:, 0]})[["a", "class", "b"]]
    for order in (["a", "class", "b"], ["b", "class", "a"]):
        assert own.contains(frame[order]).tolist() == own.contains(y).tolist() == [True, False]


def test_a_task_without_variance_must_have_its_value():
    own = region(scale=((1.0, 0.0), (1.0, 0.0)))
    assert own.contains([[1.5, -1.0], [0.0, 4.9]]).tolist() == [True, False]
    np.testing.assert_allclose(own.volume, 4.0, rtol=1e-6)
    np.testing.assert_array_equal(own.lower[:, 1], own.center[:, 1])


def test_ends_stay_in_the_support():
    assert (region(low=0.0).lower >= 0).all()


@pytest.mark.parametrize("y", [np.zeros((2, 3)), np.zeros(2), np.zeros((3, 2)), [["a", "b"], ["c", "d"]]])
def test_labels_of_other_shapes_are_refused(y):
    with pytest.raises(ValueError, match=r"one per task|inconsistent|could not convert|numbers|columns"):
        region().contains(y)
