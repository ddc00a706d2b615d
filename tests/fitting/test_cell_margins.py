"""Distributions of counts and classes as normal scores, against closed forms, scipy and numerical integration."""

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermeval
from scipy import stats
from scipy.integrate import quad
from scipy.special import factorial

from sklearn_mtae._fitting.cell_margins import OfClasses, OfCounts
from sklearn_mtae._fitting.margins import N_TERMS, Scores
from sklearn_mtae._fitting.predictions import OfTask


def classes(*rows):
    return OfTask(np.full(len(rows), np.nan), np.full(len(rows), np.nan), np.log(np.array(rows)))


def one_normal(mean, std):
    return Scores(np.atleast_2d(mean), std, np.ones((1, np.size(mean))))


def test_standard_normal_scores_leave_predictions_as_they_are():
    for margin, own in [
        (OfClasses(np.array([2, 0, 1])), classes([0.2, 0.5, 0.3], [0.98, 0.01, 0.01])),
        (OfCounts(False), OfTask(np.array([0.3, 4.0, 900.0]), np.array([0.6, 2.0, 90.0]), None)),
        (OfCounts(True), OfTask(np.array([0.3, 0.999]), np.array([0.5, 0.03]), None)),
    ]:
        found = margin.given(own, one_normal(np.zeros(len(own.mean)), 1.0))
        if own.log_probabilities is not None:
            np.testing.assert_allclose(found.log_probabilities, own.log_probabilities, atol=1e-9)
            continue
        np.testing.assert_allclose(found.mean, own.mean, rtol=1e-4, atol=1e-6)
        if not getattr(margin, "is_binary", False):
            np.testing.assert_allclose(found.std, own.std, rtol=0.1)


def test_intervals_of_classes_are_cut_at_their_probabilities_in_their_order():
    margin, own = OfClasses(np.array([1, 0, 2])), classes([0.2, 0.5, 0.3], [0.2, 0.5, 0.3], [0.2, 0.5, 0.3])
    low, high = margin.intervals(own, np.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(stats.norm.cdf(low), [0.5, 0.0, 0.7], atol=1e-12)
    np.testing.assert_allclose(stats.norm.cdf(high), [0.7, 0.5, 1.0], atol=1e-12)


@pytest.mark.parametrize(("mean", "std"), [(0.3, 0.3**0.5), (4.0, 2.0), (4.0, 5.0), (900.0, 30.0)])
def test_intervals_of_counts_are_those_of_the_distribution_with_their_moments(mean, std):
    own = OfTask(np.full(4, mean), np.full(4, std), None)
    y = np.round(mean + std * np.array([-1.0, 0.0, 1.0, 3.0])).clip(0)
    law = stats.poisson(mean)
    if std**2 > mean * 1.001:
        law = stats.nbinom(mean**2 / (std**2 - mean), mean / std**2)
    low, high = OfCounts(False).intervals(own, y)
    np.testing.assert_allclose(stats.norm.cdf(low), law.cdf(y - 1), atol=1e-6)
    np.testing.assert_allclose(stats.norm.cdf(high), law.cdf(y), atol=1e-6)
    drawn = OfCounts(False).values(own, (low + high)[None] / 2)
    np.testing.assert_array_equal(drawn, [y])


def test_centres_are_means_of_truncated_normal_variables():
    margin, own = OfClasses(np.arange(3)), classes([0.1, 0.6, 0.3], [0.1, 0.6, 0.3], [0.1, 0.6, 0.3])
    y = np.arange(3.0)
    low, high = margin.intervals(own, y)
    expected = stats.truncnorm(low, high).mean()
    np.testing.assert_allclose(margin.centres(own, y), expected, atol=1e-9)


def test_terms_are_the_hermite_series_of_the_mean_score():
    margin, own = OfClasses(np.arange(3)), classes([0.15, 0.6, 0.25])
    ends = stats.norm.ppf([0.15, 0.75])
    centres = margin.centres(OfTask(*[np.full(3, np.nan)] * 2, own.log_probabilities.repeat(3, axis=0)), np.arange(3.0))

    def term(k):
        def integrand(z):
            return centres[np.searchsorted(ends, z)] * hermeval(z, np.eye(k + 1)[k]) * stats.norm.pdf(z)

        return quad(integrand, -9, 9, points=ends, limit=200)[0] / np.sqrt(factorial(k))

    np.testing.assert_allclose(margin.terms(own)[0], [term(k) for k in range(1, N_TERMS + 1)], atol=1e-6)


def test_a_class_gives_only_a_part_of_its_score_away():
    found = OfClasses(np.arange(2)).resolved(classes([0.5, 0.5]), one_normal(np.array([0.4]), 0.7))
    share = stats.norm.cdf(0.4 / 0.7)
    both = stats.truncnorm.mean(-0.4 / 0.7, np.inf), stats.truncnorm.mean(-np.inf, -0.4 / 0.7)
    np.testing.assert_allclose(found, 0.49 * (share * both[0] ** 2 + (1 - share) * both[1] ** 2), rtol=1e-9)


def test_a_class_without_probability_and_a_label_beyond_all_counts_have_finite_scores():
    own = classes([1.0, 1e-300, 0.0 + 1e-308])
    assert np.isfinite(OfClasses(np.arange(3)).centres(own, np.array([2.0]))).all()
    counts = OfTask(np.array([0.0, 1e-9]), np.array([1e-10, 1e-5]), None)
    assert np.isfinite(OfCounts(False).centres(counts, np.array([50.0, 1e6]))).all()
