"""Folds that are no partition choose and calibrate; the models are then trained on all rows."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ShuffleSplit, TimeSeriesSplit

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae.model_selection import StackedGridSearchCV

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = X @ RNG.normal(size=(3, 2)) + 0.1 * RNG.normal(size=(60, 2))
SINGLE = {"n_estimators": 1, "hidden_layer_sizes": (4,), "learning_rate_init": 0.05, "random_state": 0}


def weights_of(model):
    return {name: value.numpy() for name, value in model.module_.state_dict().items()}


def test_a_single_model_is_that_of_all_rows_after_the_best_epoch():
    stopped = MultiTaskVAERegressor(
        **SINGLE, early_stopping=True, max_iter=40, n_iter_no_change=3, cv=TimeSeriesSplit(3)
    )
    stopped.fit(X, Y)
    best = int(np.argmax(stopped.validation_scores_)) + 1
    assert best < 40
    plain = MultiTaskVAERegressor(**SINGLE, max_iter=best).fit(X, Y)
    for name, own in weights_of(plain).items():
        np.testing.assert_array_equal(weights_of(stopped)[name], own)
    assert stopped.n_iter_ == best


@pytest.mark.parametrize("cv", [TimeSeriesSplit(3), ShuffleSplit(3, test_size=0.5, random_state=0)])
def test_an_ensemble_is_judged_by_what_was_left_out_and_trained_on_all(cv):
    model = MultiTaskVAERegressor(n_estimators=9, hidden_layer_sizes=(4,), max_iter=8, random_state=0, cv=cv).fit(X, Y)
    n_left_out = len(np.unique(np.concatenate([test for _, test in cv.split(X)])))
    assert [len(own) for own in model._fitted.average.scores] == [n_left_out] * 2


def test_an_ensemble_has_learned_from_what_was_left_out():
    """Those that never saw the second half do worse there than those that were trained on it, too."""
    first = [(np.arange(30), np.arange(30, 60))]
    far = Y + 5 * (np.arange(60) >= 30)[:, None]
    model = MultiTaskVAERegressor(n_estimators=6, hidden_layer_sizes=(4,), max_iter=60, random_state=0, cv=first)
    trained = model.fit(X, far)
    alone = clone(model).set_params(cv=None).fit(X[:30], far[:30])
    errors = [np.abs(own.predict(X[30:]) - far[30:]).mean() for own in (trained, alone)]
    assert errors[0] < 0.8 * errors[1]


def test_a_stacked_search_finds_the_same():
    grid = {"alpha": [0.1, 1.0]}
    model = MultiTaskVAERegressor(**SINGLE, early_stopping=True, max_iter=4, cv=TimeSeriesSplit(3))
    reasons = pytest.warns(match="not a partition of the rows"), pytest.warns(match="No fit could be stacked")
    with reasons[0], reasons[1]:
        stacked = StackedGridSearchCV(model, grid, cv=2).fit(X, Y)
    expected = GridSearchCV(model, grid, cv=2).fit(X, Y)
    np.testing.assert_array_equal(stacked.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
