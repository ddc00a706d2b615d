"""Rubin's rules and the variances that they need, against closed forms and scipy."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from sklearn_mtae._verbs.pooling import logistic_variance, ordinary_variance, pool, variance_of

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 2))
Y = X @ [1.0, -1.0] + rng.normal(size=60)


def test_rules_by_hand():
    pooled = pool(np.array([[1.0], [2.0], [3.0]]), np.array([[0.5], [0.7], [0.6]]), 50)
    between, total = 1.0, 0.6 + 4 / 3
    share = 4 / 3 * between / total
    of_tables, of_rows = 2 / share**2, 51 / 53 * 50 * (1 - share)
    freedom = of_tables * of_rows / (of_tables + of_rows)
    ratio = 4 / 3 / 0.6
    assert pooled.estimate == 2
    assert pooled.error**2 == pytest.approx(total)
    assert pooled.freedom == pytest.approx(freedom)
    assert pooled.missing == pytest.approx((ratio + 2 / (freedom + 3)) / (1 + ratio))
    low, high = pooled.interval(0.9)
    assert stats.t.cdf((high - 2) / np.sqrt(total), freedom) == pytest.approx(0.95)
    assert low + high == pytest.approx(4)
    assert pooled.p_value() == pytest.approx(2 * stats.t.sf(2 / np.sqrt(total), freedom))


def test_nothing_is_missing_where_all_tables_agree():
    pooled = pool(np.full((4, 1), 3.0), np.full((4, 1), 0.25), 20)
    assert (pooled.error, pooled.missing) == (0.5, 0)
    assert pooled.freedom == pytest.approx(21 / 23 * 20)


def test_linear_regression_has_the_standard_errors_of_scipy():
    known = stats.linregress(X[:, 0], Y)
    model = LinearRegression().fit(X[:, :1], Y)
    errors = np.sqrt(ordinary_variance(model, X[:, :1], Y, None))
    np.testing.assert_allclose(errors, [known.stderr, known.intercept_stderr])


def test_logistic_regression_has_the_curvature_of_its_likelihood():
    y = Y > 0
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(X, y)

    def likelihood(parameters):
        return np.sum(np.logaddexp(0, np.where(y, -1, 1) * (X @ parameters[:2] + parameters[2])))

    at, h = np.append(model.coef_, model.intercept_), 1e-3
    steps = h * np.eye(3)
    second = [
        [sum(a * b * likelihood(at + a * i + b * j) for a in (-1, 1) for b in (-1, 1)) / (4 * h * h) for j in steps]
        for i in steps
    ]
    np.testing.assert_allclose(logistic_variance(model, X, y, None), np.diag(np.linalg.inv(second)), rtol=1e-4)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cholesky", "newton-cg"])
def test_several_classes_have_the_curvature_of_their_likelihood(fit_intercept, solver):
    """By finite differences of the likelihood with the last class as the reference, and by the rules for sums."""
    y = np.digitize(Y, [-0.7, 0.7])
    design = np.c_[X, np.ones(60)][:, : 2 + fit_intercept]
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=10_000, fit_intercept=fit_intercept, solver=solver).fit(
        X, y
    )
    own = np.c_[model.coef_, model.intercept_][:, : 2 + fit_intercept] if fit_intercept else model.coef_
    np.testing.assert_allclose(own.sum(axis=0), 0, atol=1e-4)
    size = design.shape[1]

    def likelihood(parameters):
        scores = design @ np.append(parameters, np.zeros(size)).reshape(3, size).T
        return np.sum(np.logaddexp.reduce(scores, axis=1) - scores[np.arange(60), y])

    at, h = np.ravel(own[:2] - own[2]), 1e-3
    steps = h * np.eye(2 * size)
    second = [
        [sum(a * b * likelihood(at + a * i + b * j) for a in (-1, 1) for b in (-1, 1)) / (4 * h * h) for j in steps]
        for i in steps
    ]
    covariance = np.linalg.inv(second)
    to_own = np.kron(np.array([[2, -1], [-1, 2], [-1, -1]]) / 3, np.eye(size))
    expected = np.diag(to_own @ covariance @ to_own.T).reshape(3, size)
    found = logistic_variance(model, X, y, None)
    np.testing.assert_allclose(found[:6].reshape(3, 2), expected[:, :2], rtol=1e-3)
    np.testing.assert_allclose(found[6:], expected[:, 2:].ravel(), rtol=1e-3)


@pytest.mark.parametrize("kind", [ordinary_variance, logistic_variance])
def test_whole_weights_are_repetitions_of_the_information(kind):
    weight = rng.integers(1, 4, size=60)
    y = Y if kind is ordinary_variance else Y > 0
    make = LinearRegression if kind is ordinary_variance else lambda: LogisticRegression(C=np.inf, tol=1e-10)
    model = make().fit(X, y, sample_weight=weight)
    repeated = kind(model, np.repeat(X, weight, axis=0), np.repeat(y, weight), None)
    # The spread of a linear regression is that of its rows: repetitions would count as more of them.
    factor = (weight.sum() - 3) / 57 if kind is ordinary_variance else 1
    np.testing.assert_allclose(kind(model, X, y, weight), factor * repeated)


def test_which_estimators_have_a_closed_form():
    known = [LinearRegression(), LinearRegression(fit_intercept=False), LogisticRegression(C=np.inf)]
    unknown = [LinearRegression(positive=True), LogisticRegression(), Ridge()]
    assert all(variance_of(estimator) is not None for estimator in known)
    assert all(variance_of(estimator) is None for estimator in unknown)
