"""Scores where some labels are known only as limits."""

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import r2_score

from sklearn_mtae._verbs.censored_scores import explained, with_limits


def table(n=200):
    rng = np.random.default_rng(0)
    true = rng.normal(size=n)
    codes = np.where(true < -0.3, -1, np.where(true > 0.9, 1, 0))
    return np.clip(true, -0.3, 0.9), codes, true + 0.4 * rng.normal(size=n), rng.random(n) + 0.5


def test_without_limits_it_is_r2():
    y, _, predicted, weight = table()
    found = explained(y, np.zeros(len(y), dtype=int), predicted, weight)
    assert found == pytest.approx(r2_score(y, predicted, sample_weight=weight), abs=1e-6)


def test_with_limits_it_is_that_of_the_greatest_likelihoods():
    y, codes, predicted, weight = table()

    def likelihood(mean, deviation):
        normal = stats.norm(mean, deviation)
        parts = np.where(codes == 0, normal.logpdf(y), np.where(codes < 0, normal.logcdf(y), normal.logsf(y)))
        return weight @ parts / weight.sum()

    of_model = optimize.minimize_scalar(lambda s: -likelihood(predicted, np.exp(s)), bounds=(-4, 2), method="bounded")
    constant = optimize.minimize(lambda p: -likelihood(p[0], np.exp(p[1])), [0.0, 0.0], method="Nelder-Mead")
    expected = 1 - np.exp(-2 * (constant.fun - of_model.fun))
    assert explained(y, codes, predicted, weight) == pytest.approx(expected, abs=1e-4)


def test_tasks_without_limits_keep_their_scores():
    y, codes, predicted, _ = table()
    targets, outputs = np.stack([y, y], axis=1), np.stack([predicted, predicted], axis=1)
    targets[::4, 1] = np.nan
    both = with_limits(np.array([0.25, np.nan]), targets, outputs, np.stack([0 * codes, codes], axis=1))
    own = ~np.isnan(targets[:, 1])
    alone = explained(y[own], codes[own], predicted[own], np.ones(own.sum()))
    assert both == pytest.approx((0.25 + alone) / 2)


@pytest.mark.parametrize(
    ("y", "codes", "predicted"),
    [([5, 3], [0, 1], [4.5, 4]), ([5, 5, 3], [0, 0, 1], [4.8, 5, 4]), ([1, 2], [1, 1], [1, 3])],
)
def test_a_task_without_two_different_labels_beside_limits_has_no_score(y, codes, predicted):
    y, codes, predicted = (np.array([own, own]).T.astype(float) for own in (y, codes, predicted))
    scores = np.array([0.5, 0.5])
    codes[:, 1] = 0
    with pytest.warns(UndefinedMetricWarning, match="two different labels"):
        assert with_limits(scores, y, predicted, codes.astype(int)) == 0.5
