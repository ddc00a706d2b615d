"""What is learned of the dependence between tasks."""

import numpy as np
import pytest

from sklearn_mtae._fitting.cell_margins import OfClasses
from sklearn_mtae._fitting.copula import Copula, box_level_of, deviances, largest_reach, level_of
from sklearn_mtae._fitting.learn_copula import _order, _prefers_box
from sklearn_mtae._fitting.margins import OfNumbers


def test_scores_that_do_not_vary_order_no_classes():
    """The others are two tasks whose known labels all have one score: there is nothing to go along with."""
    labels, others = np.repeat([0.0, 1.0, 2.0], 20), np.tile([0.7, 0.0], (60, 1))
    order = np.array([0, 2, 1])
    np.testing.assert_array_equal(_order(OfClasses(order), labels, np.ones(60), others), order)
    along = others + np.outer(labels, [0, 1])
    np.testing.assert_array_equal(_order(OfClasses(order), labels, np.ones(60), along)[1], 1)


def learned(draw, rho=0.0, n=4000):
    """Return the copula of two tasks whose errors have a distribution."""
    rng = np.random.default_rng(0)
    margin = OfNumbers.learn(draw(rng, n), np.ones(n))
    correlation = np.array([[1.0, rho], [rho, 1.0]])
    z = rng.normal(size=(n, 2)) @ np.linalg.cholesky(correlation).T
    levels = level_of(deviances([margin] * 2, correlation, z), 2)
    box_levels = box_level_of(largest_reach([margin] * 2, z), 2)
    return Copula([margin] * 2, correlation, np.sort(levels), np.sort(box_levels))


def normal(rng, n):
    return rng.normal(size=n)


@pytest.mark.parametrize(("draw", "rho"), [(normal, 0.0), (normal, 0.9), (lambda rng, n: rng.exponential(size=n), 0.0)])
def test_level_sets_are_the_regions_where_boxes_are_not_much_smaller(draw, rho):
    assert not _prefers_box(learned(draw, rho), np.ones((4000, 2), dtype=bool))


def test_boxes_are_the_regions_where_level_sets_are_far_too_large():
    copula = learned(normal)
    copula.levels[:] = 2 * copula.levels + 3
    assert _prefers_box(copula, np.ones((4000, 2), dtype=bool))


def test_boxes_are_the_regions_where_few_rows_have_all_labels():
    copula, known = learned(normal), np.ones((4000, 2), dtype=bool)
    known[15:, 1] = False
    assert _prefers_box(copula, known)
    known[:40] = True
    assert not _prefers_box(copula, known)
    assert not _prefers_box(copula, known[:10])  # all that there are
