"""Draws of missing cells by fitted imputers."""

import numpy as np
import pytest

from sklearn_mtae import VAEImputer, VAETransformer
from sklearn_mtae._estimators.joint_draws import draw

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 1)) + 0.3 * RNG.normal(size=(60, 4))
X[RNG.random(X.shape) < 0.2] = np.nan
GAPS = np.isnan(X)


@pytest.fixture(scope="module")
def two():
    """Return an imputer of two models, of which the second draws far-off cells."""
    models = [VAETransformer(1, hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X + 100 * k) for k in range(2)]
    imputer = VAEImputer(models[0])
    imputer.estimators_ = models
    return imputer


@pytest.mark.parametrize("n_draws", [1, 2, 5])
def test_models_of_an_imputer_draw_in_turn(two, n_draws):
    tables = draw(two, X, n_draws, 0)
    assert len(tables) == n_draws
    assert [bool(table[GAPS].mean() > 40) for table in tables] == [False, True, False, True, False][:n_draws]
    for table in tables:
        np.testing.assert_array_equal(table[~GAPS], X[~GAPS])
    assert len({table[GAPS].tobytes() for table in tables}) == n_draws


def test_draws_of_two_models_do_not_depend_on_each_other():
    """The same model twice: its draws differ by more than rounding, as far as two draws of one do."""
    model = VAETransformer(1, hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X)
    imputer = VAEImputer(model)
    imputer.estimators_ = [model, model]
    first, second, third, _ = (table[GAPS] for table in draw(imputer, X, 4, 0))
    assert np.corrcoef(first - second, first - third)[0, 1] < 0.9
    assert np.square(first - second).mean() > 0.5 * np.square(first - third).mean()


def test_a_model_alone_draws_as_it_imputes():
    model = VAETransformer(1, hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X)
    for ours, theirs in zip(draw(model, X, 3, 7), model.impute(X, n_draws=3, random_state=7), strict=True):
        np.testing.assert_array_equal(ours, theirs)
