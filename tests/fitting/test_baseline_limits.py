"""Ridge regressions on labels some of which are known only as limits."""

import numpy as np
import pytest
from scipy import optimize

from sklearn_mtae._fitting.baseline import PENALTIES, ridge, ridge_on_limits
from sklearn_mtae._fitting.censored import log_likelihood


def table(n=300, n_columns=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n_columns))
    true = x @ np.linspace(-1, 1, n_columns) + 0.3 + 0.5 * rng.normal(size=n)
    codes = np.where(true < -0.2, -1, np.where(true > 1.0, 1, 0))
    return x, np.clip(true, -0.2, 1.0), codes, rng.random(n) + 0.5


def test_is_the_most_likely_of_penalised_tobit_models():
    x, y, codes, weight = table()
    slopes, intercepts = ridge_on_limits(x, y, codes, weight)
    share, centred = weight / weight.sum(), x - weight @ x / weight.sum()
    for k, penalty in enumerate(PENALTIES):

        def loss(params, penalty=penalty):
            slope, intercept, deviation = params[:-2], params[-2], np.exp(params[-1])
            fit = log_likelihood(y, codes, centred @ slope + intercept, deviation)
            return -share @ fit + penalty / 2 * (slope @ slope) / deviation**2

        start = np.r_[slopes[k], y.mean(), np.log(0.5)]
        # The penalty is per unit of the squared error, so that it depends on the deviation, which is not penalised.
        for _ in range(30):
            fixed = start[-1]
            found = optimize.minimize(lambda p, fixed=fixed: loss(np.r_[p, fixed]), start[:-1], method="BFGS").x
            scale = optimize.minimize_scalar(
                lambda s, found=found: -share @ log_likelihood(y, codes, centred @ found[:-1] + found[-1], np.exp(s)),
                bounds=(-5, 3),
                method="bounded",
                options={"xatol": 1e-10},
            ).x
            start = np.r_[found, scale]
        np.testing.assert_allclose(slopes[k], found[:-1], rtol=0.005, atol=0.003)
        np.testing.assert_allclose(intercepts[k], found[-1] - weight @ x / weight.sum() @ found[:-1], atol=0.004)


@pytest.mark.parametrize("shape", [(300, 4), (20, 40)])
def test_without_limits_is_the_ridge_regression(shape):
    x, y, _, weight = table(*shape)
    found = ridge_on_limits(x, y, np.zeros(len(y), dtype=int), weight)
    expected = ridge(x, y[:, None], weight[:, None])
    np.testing.assert_allclose(found[0], expected[0][..., 0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[1], expected[1][..., 0], rtol=1e-9, atol=1e-12)


def test_rows_of_weight_zero_do_not_count():
    x, y, codes, weight = table()
    weight[::3], other = 0.0, y.copy()
    other[::3] = np.nan
    for own, expected in zip(
        ridge_on_limits(x, other, codes, weight), ridge_on_limits(x, y, codes, weight), strict=True
    ):
        np.testing.assert_array_equal(own, expected)
