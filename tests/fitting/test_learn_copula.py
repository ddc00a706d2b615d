"""What is learned of the dependence between tasks."""

import numpy as np

from sklearn_mtae._fitting.cell_margins import OfClasses
from sklearn_mtae._fitting.learn_copula import _order


def test_scores_that_do_not_vary_order_no_classes():
    """The others are two tasks whose known labels all have one score: there is nothing to go along with."""
    labels, others = np.repeat([0.0, 1.0, 2.0], 20), np.tile([0.7, 0.0], (60, 1))
    order = np.array([0, 2, 1])
    np.testing.assert_array_equal(_order(OfClasses(order), labels, np.ones(60), others), order)
    along = others + np.outer(labels, [0, 1])
    np.testing.assert_array_equal(_order(OfClasses(order), labels, np.ones(60), along)[1], 1)
