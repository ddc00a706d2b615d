"""Random intercepts of groups in ridge regressions: each as generalised least squares with the full covariance."""

from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae._fitting import averaging
from sklearn_mtae._fitting.baseline import PENALTIES, ridge
from sklearn_mtae._fitting.group_effects import MOST_RATIO, Effects, effect_ratio

RNG = np.random.default_rng(0)
SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
regressor = partial(MultiTaskVAERegressor, **SMALL, cv=5, n_estimators=5, member_params=None)


def by_covariance(x, y, weight, groups, ratio, penalty):
    """Return slopes and intercept, from the inverse of the labels' covariance."""
    known = weight > 0
    x, y, weight, groups = x[known], y[known], weight[known], groups[known]
    precision = np.linalg.inv(np.diag(1 / weight) + ratio * (groups[:, None] == groups))
    design = np.column_stack([x, np.ones(len(x))])
    penalties = np.diag([*np.full(x.shape[1], penalty * weight.sum() / (1 + ratio)), 0.0])
    solved = np.linalg.solve(design.T @ precision @ design + penalties, design.T @ precision @ y)
    return solved[:-1], solved[-1]


@pytest.mark.parametrize("shape", [(60, 5), (20, 30)])
def test_regressions_are_those_of_generalised_least_squares(shape):
    x, y = RNG.normal(size=shape) + 3, RNG.normal(size=(shape[0], 4)) + 50
    weight = RNG.uniform(0.1, 2, size=y.shape)
    weight[:3, 1], y[:3, 1], weight[:, 2] = 0, np.nan, weight[:, 3]
    groups, ratios = RNG.integers(7, size=shape[0]) * 3, np.array([2.0, 0.5, 0.0, 8.0])
    slopes, intercepts = ridge(x, y, weight, Effects(groups, ratios))
    for k, penalty in enumerate(PENALTIES):
        for task, ratio in enumerate(ratios):
            expected = by_covariance(x, y[:, task], weight[:, task], groups, ratio, penalty)
            np.testing.assert_allclose(slopes[k, :, task], expected[0], rtol=1e-8)
            np.testing.assert_allclose(intercepts[k, task], expected[1], rtol=1e-8)


def test_the_size_of_effects_is_that_of_an_analysis_of_variance():
    groups = np.repeat(np.arange(2_000), RNG.integers(1, 6, size=2_000))
    weight = RNG.uniform(0.5, 2, size=len(groups))
    for ratio in (0.25, 4.0):
        away = 3 * (np.sqrt(ratio) * RNG.normal(size=2_000)[groups] + RNG.normal(size=len(groups)) / np.sqrt(weight))
        assert effect_ratio(away, groups, weight) == ratio
        assert effect_ratio(away, groups, 4 * weight) == ratio / 4
    assert effect_ratio(RNG.normal(size=len(groups)), groups, weight) < 0.1
    assert effect_ratio(groups % 3.0, groups, weight) == MOST_RATIO
    assert effect_ratio(np.arange(5.0), np.arange(5), np.ones(5)) == 0
    assert effect_ratio(np.zeros(6), np.arange(6) % 2, np.ones(6)) == 0


def table(n_groups, n_rows):
    """Return groups with a large effect on the labels, and with a column that varies little within groups."""
    groups = np.repeat(np.arange(n_groups), n_rows)
    x = np.column_stack([RNG.normal(size=n_groups)[groups], np.zeros(len(groups))]) + RNG.normal(size=(len(groups), 2))
    y = x @ [1.0, -2.0] + 2 * RNG.normal(size=n_groups)[groups] + 0.3 * RNG.normal(size=len(groups))
    return x, y, groups


def least_penalty(misses, folds, weight, loss):
    """Choose the regression with the smallest penalty."""
    return np.eye(len(misses))[-len(PENALTIES)]


def test_slopes_within_groups_are_not_blurred_by_their_effects(monkeypatch):
    monkeypatch.setattr(averaging, "select", least_penalty)
    x, y, groups = table(30, 6)
    model = regressor().fit(x, y, groups=groups)
    found = (model.predict(x[0] + np.eye(2)) - model.predict(x[[0, 0]])) - [1, -2]
    plain = LinearRegression().fit(x, y).coef_ - [1, -2]
    assert np.abs(found).max() < 0.1
    assert np.abs(found).max() < 0.5 * np.abs(plain).max()


def test_groups_of_one_row_are_rows():
    """Their regressions are those of the same folds without groups, to the bit."""
    x, y, _ = table(1, 60)
    folds = [(np.setdiff1d(np.arange(60), test), test) for _, test in KFold(5).split(x)]
    without, with_groups = (regressor(cv=folds).fit(x, y, groups=own) for own in (None, np.arange(60)))
    np.testing.assert_array_equal(without.predict(x), with_groups.predict(x))
