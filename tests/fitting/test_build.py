"""Tasks between bounds."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sklearn_mtae import MultiTaskVAE, MultiTaskVAERegressor
from sklearn_mtae.nn.likelihoods import Quantile

BOUNDED = {"n_components": 1, "hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}


@pytest.mark.parametrize("kind", [MultiTaskVAERegressor, MultiTaskVAE])
def test_tasks_between_bounds_stay_there(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    Y = pd.DataFrame({"share": (X[:, 0] * 3).clip(0, 1) * 20, "size": X[:, 1]})
    model = kind(n_estimators=3, task_likelihoods={"share": (0, 20), "size": "gaussian"}, **BOUNDED)
    model.fit(X, Y)
    far = X * 100  # where a straight line would lead beyond the bounds
    predicted = np.asarray(model.predict(far))[:, 0]
    lower, upper = (np.asarray(own)[:, 0] for own in model.predict_interval(far, coverage=0.85))
    for values in (predicted, lower, upper, np.asarray(model.sample(200, random_state=0)[1])[:, 0]):
        assert values.min() >= 0
        assert values.max() <= 20
    assert predicted.std() > 0
    with pytest.raises(ValueError, match=r"needs 0 <= y <= 20.* 'share'"):
        clone(model).fit(X, Y.assign(share=30.0))


@pytest.mark.parametrize("kind", [MultiTaskVAERegressor, MultiTaskVAE])
def test_a_task_between_bounds_has_the_density_of_a_column_between_them(kind):
    """Pairs, and the family with bounds given as a factory, are the same model."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), rng.uniform(0, 5, 60)
    pair, factory = (
        kind(n_estimators=1, task_likelihoods=[own], **BOUNDED).fit(X, y).predict(X)
        for own in ((0, 5), partial(Quantile, low=0, high=5))
    )
    np.testing.assert_array_equal(pair, factory)


@pytest.mark.parametrize("kind", [MultiTaskVAERegressor, MultiTaskVAE])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((0, 20), r"task_likelihoods must hold a pair \(low, high\) for each task that has bounds"),
        ([0, 20], r"task_likelihoods must hold a pair \(low, high\) for each task that has bounds"),
        ({"y0": (20, 0)}, r"ranges \(low, high\) with low < high. Got \(20, 0\) for task 'y0'"),
        ({"y0": (0, 1, 2)}, r"ranges \(low, high\) or factories. Got \(0, 1, 2\) for task 'y0'"),
    ],
)
def test_bounds_of_tasks_that_say_nothing_clear(kind, given, message):
    X = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(ValueError, match=message):
        kind(n_estimators=1, task_likelihoods=given, **BOUNDED).fit(X, X)
