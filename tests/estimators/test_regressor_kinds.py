"""Targets of several kinds in one regressor."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.model_selection import GridSearchCV

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae.nn.likelihoods import LIKELIHOODS, StudentT


@pytest.fixture
def kinds():
    """A count, a yes or no, and a number with outliers, of the same features."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    eta = X @ rng.normal(size=(4, 3))
    Y = pd.DataFrame(
        {
            "visits": rng.poisson(40 * np.exp(0.3 * eta[:, 0])).astype(float),
            "returned": (eta[:, 1] + rng.logistic(size=400) > 1).astype(float),
            "spent": 50 + 10 * eta[:, 2] + 3 * rng.standard_t(2.5, size=400),
        }
    )
    return X, Y


@pytest.fixture
def model():
    return MultiTaskVAERegressor(
        4, n_estimators=1, hidden_layer_sizes=(32,), max_iter=60, alpha=0, learning_rate_init=3e-3, random_state=0
    )


NAMES = {"visits": "poisson", "returned": "bernoulli", "spent": "student_t"}


def test_predicts_the_mean_of_each_kind(model, kinds):
    X, Y = kinds
    train, test = slice(0, 300), slice(300, 400)
    prediction = model.set_params(task_likelihoods=NAMES).fit(X[train], Y[train]).predict(X[test])
    visits = PoissonRegressor(alpha=1e-3).fit(X[train], Y["visits"][train]).predict(X[test])
    returned = LogisticRegression().fit(X[train], Y["returned"][train]).predict_proba(X[test])[:, 1]
    assert np.abs(prediction[:, 0] / visits - 1).mean() < 0.15
    assert prediction[:, 1].min() > 0
    assert prediction[:, 1].max() < 1
    assert np.abs(prediction[:, 1] - returned).mean() < 0.12
    assert np.corrcoef(prediction[:, 2], Y["spent"][test])[0, 1] > 0.8


def test_names_positions_and_factories_agree(model, kinds):
    X, Y = kinds
    model.set_params(max_iter=3)
    by_name = model.set_params(task_likelihoods=NAMES).fit(X, Y).predict(X)
    for option in (list(NAMES.values()), [LIKELIHOODS[name] for name in NAMES.values()], tuple(NAMES.values())):
        np.testing.assert_array_equal(model.set_params(task_likelihoods=option).fit(X, Y).predict(X), by_name)


def test_everything_around_it(model, kinds):
    X, Y = kinds
    Y = Y.mask(np.random.default_rng(1).random(Y.shape) < 0.3)
    model.set_params(task_likelihoods={**NAMES, "spent": StudentT}, max_iter=5)
    search = GridSearchCV(model, {"n_components": [2, 4]}, cv=3).fit(X, Y)
    mean, std = search.best_estimator_.predict(X, return_std=True)
    assert mean.shape == std.shape == (400, 3)
    assert (std > 0).all()
    # The variance of a yes or no is that of its probability, whatever the code.
    np.testing.assert_allclose(std[:, 1] ** 2, mean[:, 1] * (1 - mean[:, 1]), atol=0.02)
    _, draws = search.best_estimator_.sample(500, random_state=0)
    assert set(np.unique(draws[:, 1])) == {0.0, 1.0}
    assert (draws[:, 0] == np.round(draws[:, 0])).all()
    clone(search.best_estimator_).fit(X, Y)


def test_counts_start_from_their_mean(kinds):
    """Counts in the thousands are no strain: the log of the column's mean is learned before the first step."""
    X, Y = kinds
    counts = Y[["visits"]] * 1000
    for name in ("poisson", "negative_binomial"):
        model = MultiTaskVAERegressor(
            2,
            n_estimators=1,
            hidden_layer_sizes=(8,),
            max_iter=1,
            learning_rate_init=1e-9,
            task_likelihoods=name,
            random_state=0,
        ).fit(X, counts)
        assert model.predict(X).mean() == pytest.approx(counts["visits"].mean(), rel=0.5)


# A hundred epochs are too few for the codes to reach the prior, and normal columns do not suit counts.
@pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")
def test_counts_as_features():
    rng = np.random.default_rng(0)
    rates = np.exp(rng.normal(size=(300, 2)) @ rng.normal(size=(2, 5)))
    X = rng.poisson(20 * rates).astype(float)
    X[::7, 1] = np.nan
    from sklearn_mtae import VAETransformer

    scores = {}
    for name in ("poisson", "negative_binomial", "gaussian"):
        vae = VAETransformer(2, hidden_layer_sizes=(32,), likelihood=name, max_iter=100, alpha=0, random_state=0).fit(X)
        decoded, observed = vae.predict(X), ~np.isnan(X)
        scores[name] = vae.score(X)
        if name != "gaussian":
            assert np.corrcoef(np.log(decoded[observed]), np.log1p(X[observed]))[0, 1] > 0.9
    assert scores["negative_binomial"] > max(scores["poisson"], scores["gaussian"]) + 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({**NAMES, "age": "gaussian"}, r"task_likelihoods names unknown tasks \['age'\]. The tasks are \['visits',"),
        (["poisson", "bernoulli"], "task_likelihoods must have one value per task, 3 of them"),
        (["poisson", "bernoulli", "cauchy"], r"names out of \['bernoulli',.*Got 'cauchy'"),
        (["poisson", "poisson", "bernoulli"], "needs 0 <= y <= 1. Got min .* in column 'spent'"),
        ("poisson", "needs y >= 0. Got min .* in column 'spent'"),
    ],
)
def test_errors(model, kinds, option, message):
    X, Y = kinds
    Y = Y - [0, 0, 200]
    with pytest.raises(ValueError, match=message):
        model.set_params(task_likelihoods=option).fit(X, Y)
