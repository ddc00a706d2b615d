"""Regressions with random intercepts: each as that of the labels' full covariance."""

from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae._fitting import averaging
from sklearn_mtae._fitting.group_effects import MOST_RATIO, PENALTIES, Effects, effect_ratio, mixed_regressions

RNG = np.random.default_rng(0)
SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
regressor = partial(MultiTaskVAERegressor, **SMALL, cv=5, n_estimators=5, member_params=None)


def by_covariance(x, y, weight, groups, ratio):
    """Return slopes and intercept, from the labels' covariance: the penalty has the greatest restricted likelihood."""
    known = weight > 0
    x, y, weight, groups = x[known], y[known], weight[known], groups[known]
    within = np.diag(1 / weight) + ratio * (groups[:, None] == groups)
    ones, scored = np.ones(len(y)), []
    for penalty in PENALTIES * weight.sum():
        covariance = within + x @ x.T / penalty
        precision = np.linalg.inv(covariance)
        left = y - (ones @ precision @ y) / (ones @ precision @ ones)
        logs = np.linalg.slogdet(covariance)[1] + np.log(ones @ precision @ ones)
        scored.append(-logs - (len(y) - 1) * np.log(left @ precision @ left))
    best, precision = PENALTIES[np.argmax(scored)] * weight.sum(), np.linalg.inv(within)
    design = np.column_stack([x, ones])
    penalties = np.diag([*np.full(x.shape[1], best), 0.0])
    solved = np.linalg.solve(design.T @ precision @ design + penalties, design.T @ precision @ y)
    return solved[:-1], solved[-1]


@pytest.mark.parametrize("shape", [(60, 5), (20, 30)])
@pytest.mark.parametrize("noise", [0.1, 2.0])
def test_regressions_are_those_of_a_mixed_model(shape, noise):
    x, weight = RNG.normal(size=shape) + 3, RNG.uniform(0.1, 2, size=(shape[0], 5))
    y = x @ RNG.normal(size=(shape[1], 5)) + noise * RNG.normal(size=weight.shape) + 50
    weight[:3, 1], y[:3, 1], weight[:, 2], weight[:, 4] = 0, np.nan, weight[:, 3], 0
    groups, ratios = RNG.integers(7, size=shape[0]) * 3, np.array([2.0, 0.5, 0.0, 8.0, 0.0])
    slopes, intercepts = mixed_regressions(x, y, weight, Effects(groups, ratios))
    for task, ratio in enumerate(ratios[:4]):
        expected = by_covariance(x, y[:, task], weight[:, task], groups, ratio)
        # With more columns than rows, the normal equations here have a condition number of 1e9.
        np.testing.assert_allclose(slopes[:, task], expected[0], rtol=1e-5)
        np.testing.assert_allclose(intercepts[task], expected[1], rtol=1e-6)
    assert not slopes[:, 4].any()
    assert intercepts[4] == 0


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


def regression(misses, folds, weight, loss):
    """Choose the last candidate."""
    return np.eye(len(misses))[-1]


def test_slopes_within_groups_are_not_blurred_by_their_effects(monkeypatch):
    monkeypatch.setattr(averaging, "select", regression)
    x, y, groups = table(30, 6)
    model = regressor().fit(x, y, groups=groups)
    found = (model.predict(x[0] + np.eye(2)) - model.predict(x[[0, 0]])) - [1, -2]
    plain = LinearRegression().fit(x, y).coef_ - [1, -2]
    assert np.abs(found).max() < 0.1
    assert np.abs(found).max() < 0.5 * np.abs(plain).max()


@pytest.mark.parametrize("limits", [False, True])
def test_limits_and_groups_go_together(limits):
    x, y, groups = table(12, 5)
    y = np.column_stack([y, x[:, 0]])
    censoring = np.zeros(y.shape, dtype=int)
    censoring[y[:, 0] > 2, 0] = limits
    model = regressor().fit(x, np.where(censoring == 1, 2.0, y), groups=groups, censoring=censoring)
    assert np.corrcoef(model.predict(x)[:, 1], y[:, 1])[0, 1] > 0.9
