"""The sizes of regions, against closed forms."""

import numpy as np
import pytest
from scipy import stats

from sklearn_mtae._fitting.copula import box_level_of, deviance_at, distances, level_of, reach_at

TRUTH = np.array([[1.0, 0.8, -0.5], [0.8, 1.0, -0.3], [-0.5, -0.3, 1.0]])


def test_distances_are_of_the_labels_that_a_row_has():
    errors = np.array([[1.0, 2.0, np.nan], [np.nan, 0.5, -1.0], [np.nan] * 3, [0.3, 0.2, 0.1]])
    expected = [
        row[seen] @ np.linalg.inv(TRUTH[np.ix_(seen, seen)]) @ row[seen] if seen.any() else 0.0
        for row, seen in zip(errors, ~np.isnan(errors), strict=True)
    ]
    np.testing.assert_allclose(distances(TRUTH, errors), expected)


@pytest.mark.parametrize("n_tasks", [1, 2, 5, 16])
def test_levels_are_normal_scores_of_chi_squared_variables(n_tasks):
    p = np.array([0.5, 0.8, 0.9, 0.99])
    levels = level_of(stats.chi2.ppf(p, n_tasks), n_tasks)
    np.testing.assert_allclose(stats.norm.cdf(levels), p, atol=0.01)
    np.testing.assert_allclose([deviance_at(level, n_tasks) for level in levels], stats.chi2.ppf(p, n_tasks), rtol=1e-9)


@pytest.mark.parametrize("n_tasks", [1, 2, 16])
def test_box_levels_have_one_distribution_for_any_number_of_independent_scores(n_tasks):
    p = np.array([0.05, 0.5, 0.9, 0.999])
    largest = stats.norm.ppf((1 + p ** (1 / n_tasks)) / 2)
    levels = box_level_of(largest, np.full(4, n_tasks))
    np.testing.assert_allclose(levels, -np.log(-np.log(p)), rtol=1e-9)
    np.testing.assert_allclose([reach_at(level, n_tasks) for level in levels], largest, rtol=1e-9)
