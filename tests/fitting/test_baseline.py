"""Ridge regressions beside the members: each as scikit-learn's, judged by rows that it was not fitted to."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from sklearn_mtae import MultiTaskVAE, MultiTaskVAERegressor
from sklearn_mtae._fitting import averaging
from sklearn_mtae._fitting.baseline import PENALTIES, Baselines, ridge
from sklearn_mtae._fitting.held_out import HeldOut
from sklearn_mtae._fitting.number_average import NumberAverage
from sklearn_mtae._fitting.run import ModelRunner

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)) * [1, 5, 0.1, 1] + [0, 100, 0, 3]
Y = X @ RNG.normal(size=(4, 2)) + RNG.normal(size=(60, 2)) + [0, 1e3]
SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
regressor = partial(MultiTaskVAERegressor, **SMALL, n_estimators=4, cv=2, member_params=[{}, {"alpha": 0.5}])
N_BASELINES = 1 + len(PENALTIES)


def columns(rows, location, scale):
    """Return standardised columns with gaps filled and outliers drawn in, computed by numpy."""
    z = np.nan_to_num((rows - location) / scale)
    return z / np.sqrt(1 + (z / 10) ** 2)


def by_scikit_learn(rows, y, weight, new, penalty):
    known = weight > 0
    model = Ridge(alpha=penalty * weight.sum(), solver="cholesky", tol=1e-12)
    return model.fit(rows[known], y[known], weight[known]).predict(new)


@pytest.mark.parametrize("shape", [(40, 5), (10, 30)])
def test_ridge_is_that_of_scikit_learn(shape):
    x, y = RNG.normal(size=shape) + 3, RNG.normal(size=(shape[0], 4)) + 50
    weight = RNG.uniform(0.1, 2, size=y.shape)
    weight[:3, 1], y[:3, 1], weight[:, 2], y[:, 2] = 0, np.nan, 0, np.nan
    slopes, intercepts = ridge(x, y, weight)
    for k, penalty in enumerate(PENALTIES):
        for task in (0, 1, 3):
            expected = by_scikit_learn(x, y[:, task], weight[:, task], x, penalty)
            np.testing.assert_allclose(x @ slopes[k, :, task] + intercepts[k, task], expected, rtol=1e-10)
    assert not slopes[:, :, 2].any()
    assert not intercepts[:, 2].any()


def weighing(own):
    """Return a choice that gives the members what is left of the weights that are given to the baselines."""

    def choice(misses, folds, weight, loss):
        n = len(misses) - N_BASELINES
        return np.concatenate([np.full(n, (1 - sum(own)) / n), own])

    return choice


def test_baselines_count_by_their_weights(monkeypatch):
    gaps, labels = np.where(RNG.random(X.shape) < 0.1, np.nan, X), np.where(RNG.random(Y.shape) < 0.2, np.nan, Y)
    rows_weight = RNG.uniform(0.5, 2, size=60)
    own = np.zeros(N_BASELINES)
    own[0], own[2], own[4] = 0.2, 0.1, 0.3
    monkeypatch.setattr(averaging, "select", weighing(own))
    monkeypatch.setattr(averaging, "agree", lambda _, chosen, __: chosen)
    model = regressor().fit(gaps, labels, sample_weight=rows_weight)
    np.testing.assert_allclose(model._fitted.average.weights.sum(axis=0), 0.4)
    without = model.predict(gaps) - members_alone(model, gaps)
    location = np.nansum(rows_weight[:, None] * gaps, axis=0) / (rows_weight[:, None] * ~np.isnan(gaps)).sum(axis=0)
    z = columns(gaps, location, model._fitted.states[0]["units.scale"])
    for task in range(2):
        weight = np.where(np.isnan(labels[:, task]), 0, rows_weight)
        mean = np.average(labels[weight > 0, task], weights=weight[weight > 0])
        parts = [own[0] * mean]
        parts += [
            share * by_scikit_learn(z, labels[:, task], weight, z, penalty)
            for share, penalty in zip(own[1:], PENALTIES, strict=True)
        ]
        np.testing.assert_allclose(without[:, task], sum(parts), rtol=1e-5)


def members_alone(model, x):
    """Return the weighted sum of what the states that count predict."""
    average, runner = model._fitted.average, model._runner
    rows = runner.read(x)
    each = [runner.apply(NumberAverage.output, rows, state=k, dtype=float) for k in range(len(average.weights))]
    return np.einsum("kt,knt->nt", average.weights, np.stack(each))


def test_a_linear_table_is_predicted_as_by_ridge_regression():
    """Two epochs of a small network are no match for it, and deviations tell how large its errors on new rows are."""
    x = RNG.normal(size=(200, 30))
    y = x @ RNG.normal(size=30) + 3 * RNG.normal(size=200)
    model = MultiTaskVAERegressor(**SMALL, n_estimators=3, cv=3).fit(x[:100], y[:100])
    assert (model._fitted.average.weights == 0).all()
    regressions = [by_scikit_learn(x[:100], y[:100], np.ones(100), x[100:], penalty) for penalty in PENALTIES]
    least = min(root_mean_square(own - y[100:]) for own in regressions)
    assert root_mean_square(model.predict(x[100:]) - y[100:]) < 1.05 * least
    mean, std = model.predict(x[100:], return_std=True)
    assert 0.7 < root_mean_square((y[100:] - mean) / std) < 1.4


def root_mean_square(numbers):
    return np.sqrt(np.mean(numbers**2))


def test_deviations_are_root_mean_squares_of_errors_on_rows_of_other_folds(monkeypatch):
    """They are the same for all rows: in a linear table with noise, errors do not depend on how close others are."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(200, 30)), rng.uniform(0.5, 2, size=200)
    y = x @ rng.normal(size=(30, 2)) + 3 * rng.normal(size=(200, 2))
    y[rng.random(y.shape) < 0.2] = np.nan
    monkeypatch.setattr(averaging, "select", weighing(np.eye(N_BASELINES)[3]))
    monkeypatch.setattr(averaging, "agree", lambda _, chosen, __: chosen)
    model = regressor(cv=4, member_params=[{}]).fit(x, y, sample_weight=weight)
    std = model.predict(rng.normal(size=(300, 30)), return_std=True)[1]
    z = columns(x, np.average(x, axis=0, weights=weight), model._fitted.states[0]["units.scale"])
    splits = {id(split): split for split in model._plan(x, y, weight).splits}.values()
    for task, known in enumerate(~np.isnan(y.T)):
        away = np.full(200, np.nan)
        for train, test in splits:
            own = np.where(known, weight, 0.0)[train]
            away[test] = y[test, task] - by_scikit_learn(z[train], y[train, task], own, z[test], PENALTIES[2])
        expected = np.sqrt(np.average(away[known] ** 2, weights=weight[known]))
        np.testing.assert_allclose(std[:, task], expected, rtol=1e-6)


def test_rows_are_judged_by_regressions_that_were_not_fitted_to_them():
    plan = regressor()._plan(X, Y, None)
    fitted = plan.so_far()
    held_out = HeldOut(plan, [{k: k for k in range(4)}])
    kind = NumberAverage(plan.data, fitted)
    found = Baselines(ModelRunner(fitted), plan, kind.start.baseline, kind.units).predict(held_out)
    np.testing.assert_allclose(found[0], np.tile(Y.mean(axis=0), (60, 1)))
    z = columns(X, X.mean(axis=0), fitted.states[0]["units.scale"])
    for train, test in {id(split): split for split in plan.splits}.values():
        for k, penalty in enumerate(PENALTIES, start=1):
            for task in range(2):
                expected = by_scikit_learn(z[train], Y[train, task], np.ones(len(train)), z[test], penalty)
                np.testing.assert_allclose(found[k, np.searchsorted(held_out.rows, test), task], expected, rtol=1e-5)


def test_what_must_be_positive_has_no_regression():
    counts = np.random.default_rng(1).poisson(np.exp(1 + X[:, 3] - 3))
    model = regressor(task_likelihoods="poisson").fit(X, counts)
    assert model._fitted.average.baseline.slopes is None or not model._fitted.average.baseline.slopes.any()
    assert (model.predict(X * 100) >= 0).all()


def test_numbers_beside_classes_have_regressions():
    frame = pd.DataFrame({"number": X[:, 0] + X[:, 1] / 5, "class": np.where(X[:, 3] > 3, "a", "b")})
    model = MultiTaskVAE(**SMALL, n_estimators=4, cv=2).fit(X, frame)
    assert model._fitted.average.baseline.slopes[:, 0].any()
    assert np.corrcoef(model.predict(X)["number"].astype(float), frame["number"])[0, 1] > 0.99


def test_kernels_count_beside_groups_without_effects():
    """Twenty groups of ten rows, and a function that no regression with random intercepts follows."""
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(200, 4)), rng.normal(size=(500, 4))
    y, expected = (np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] for x in (X, new))
    settings = {"n_estimators": 8, "max_iter": 5, "random_state": 0}
    model = MultiTaskVAERegressor(**settings).fit(X, y, groups=np.repeat(np.arange(20), 10))
    assert r2_score(expected, model.predict(new)) > 0.9
