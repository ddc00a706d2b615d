"""Labels given other labels, draws, and the worth of a measurement, against the closed forms of the normal law."""

import numpy as np
import pytest
from scipy import stats

from sklearn_mtae._fitting.cell_margins import OfClasses
from sklearn_mtae._fitting.copula import Copula
from sklearn_mtae._fitting.margins import OfNumbers
from sklearn_mtae._fitting.predictions import Predictions
from sklearn_mtae._verbs.joint import condition

TRUTH = np.array([[1.0, 0.8, -0.5, 0.2], [0.8, 1.0, -0.3, 0.4], [-0.5, -0.3, 1.0, 0.1], [0.2, 0.4, 0.1, 1.0]])
NORMAL = OfNumbers.learn(np.random.default_rng(0).normal(size=400), np.ones(400))


def of_numbers(n):
    """Return a copula of numbers, and standard normal predictions of rows."""
    return Copula([NORMAL] * 4, TRUTH, np.zeros(0)), Predictions(np.zeros((n, 4)), np.ones((n, 4)), None)


def with_classes(n):
    """Return a copula of two numbers and then two tasks of two classes, with probabilities of the first of .3, .6."""
    logs = np.log(np.tile([[0.5, 0.5], [0.5, 0.5], [0.3, 0.7], [0.6, 0.4]], (n, 1, 1)))
    margins = [NORMAL, NORMAL, OfClasses(np.arange(2)), OfClasses(np.arange(2))]
    return Copula(margins, TRUTH, np.zeros(0)), Predictions(np.zeros((n, 4)), np.ones((n, 4)), logs)


def test_known_numbers_give_the_normal_conditional_distribution():
    z = np.random.default_rng(0).normal(size=(6, 4))
    known = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]], dtype=bool)
    copula, predicted = of_numbers(6)
    seen = np.zeros(6, dtype=int)
    for own in condition(copula, predicted, np.where(known, z, np.nan)):
        seen[own.rows] += 1
        for place, row in enumerate(own.rows):
            k, u = np.flatnonzero(known[row]), np.flatnonzero(~known[row])
            slope = TRUTH[np.ix_(u, k)] @ np.linalg.inv(TRUTH[np.ix_(k, k)])
            np.testing.assert_array_equal(own.open, u)
            np.testing.assert_allclose(own.mean[0, place], slope @ z[row, k], atol=1e-6)
            np.testing.assert_allclose(own.root @ own.root.T, TRUTH[np.ix_(u, u)] - slope @ TRUTH[np.ix_(k, u)])
    assert (seen == 1).all()


@pytest.mark.parametrize("label", [0, 1])
def test_a_known_class_truncates_the_scores(label):
    copula, predicted = with_classes(1)
    (own,) = condition(copula, predicted, np.array([[np.nan, np.nan, label, np.nan]]))
    cut = stats.norm.ppf(0.3)
    law = stats.truncnorm(-np.inf, cut) if label == 0 else stats.truncnorm(cut, np.inf)
    for position, task in enumerate(own.open):
        mean, variance = own.scores(position).moments
        np.testing.assert_allclose(mean, TRUTH[task, 2] * law.mean(), atol=3e-3)
        np.testing.assert_allclose(variance, 1 - TRUTH[task, 2] ** 2 * (1 - law.var()), atol=3e-3)


def test_known_classes_and_numbers_together_are_as_rejection_sampling_says():
    copula, predicted = with_classes(1)
    (own,) = condition(copula, predicted, np.array([[0.7, np.nan, 1.0, 0.0]]))
    z = np.random.default_rng(0).normal(size=(400_000, 4)) @ np.linalg.cholesky(TRUTH).T
    # The number is known: the others given it.
    z[:, 1:] += TRUTH[0, 1:] * (0.7 - z[:, :1])
    inside = (z[:, 2] > stats.norm.ppf(0.3)) & (z[:, 3] < stats.norm.ppf(0.6))
    mean, variance = own.scores(0).moments
    np.testing.assert_allclose(mean, z[inside, 1].mean(), atol=0.01)
    np.testing.assert_allclose(variance, z[inside, 1].var(), atol=0.01)


def test_rows_do_not_depend_on_the_others():
    copula, predicted = with_classes(500)
    known = np.tile([0.7, np.nan, 1.0, 0.0], (500, 1))
    known[:, 0] = np.linspace(-2, 2, 500)
    every = np.concatenate([own.mean for own in condition(copula, predicted, known)], axis=1)
    (one,) = condition(copula, predicted.take(slice(7, 8)), known[7:8])
    np.testing.assert_allclose(every[:, [7]], one.mean, atol=1e-12)


def test_a_class_without_probability_in_one_row_leaves_the_others_alone():
    """Its cell is empty, like the score of a number; it comes first, and must not make numbers of the classes."""
    logs = np.log(np.array([[0.5, 0.0, 0.5], [0.2, 0.5, 0.3]]) + 1e-300)
    both = np.stack([logs, logs], axis=1)
    copula = Copula([OfClasses(np.arange(3))] * 2, np.array([[1.0, 0.8], [0.8, 1.0]]), np.zeros(0))
    predicted, known = Predictions(*[np.full((2, 2), np.nan)] * 2, both), np.array([[1.0, np.nan]] * 2)
    (own,) = condition(copula, predicted, known)
    (alone,) = condition(copula, predicted.take(slice(1, 2)), known[1:])
    np.testing.assert_allclose(own.mean[:, [1]], alone.mean)
    assert np.isfinite(own.mean).all()


def test_an_almost_impossible_label_leaves_finite_scores():
    copula, _ = with_classes(1)
    logs = np.log(np.array([[[0.5, 0.5], [0.5, 0.5], [1.0, 1e-300], [1e-300, 1.0]]]))
    predicted = Predictions(np.zeros((1, 4)), np.ones((1, 4)), logs)
    (own,) = condition(copula, predicted, np.array([[-50.0, np.nan, 1.0, 0.0]]))
    assert np.isfinite(own.mean).all()
    np.testing.assert_allclose(own.weight.sum(axis=0), 1.0)
