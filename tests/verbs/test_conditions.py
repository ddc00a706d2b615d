"""Conditions on drawn rows at the edges: what a column cannot be, ends of ranges, lists of other kinds."""

import numpy as np
import pandas as pd
import pytest

from sklearn_mtae import VAETransformer

N = 200


def fitted(X, likelihood="auto"):
    return VAETransformer(1, hidden_layer_sizes=(4,), likelihood=likelihood, max_iter=2, random_state=0).fit(X)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    return fitted(
        pd.DataFrame({"few": rng.integers(0, 10, N), "many": rng.integers(0, 400, N), "x": rng.normal(size=N)})
    )


def draw(model, name, given):
    return model.sample(60, conditions={name: given}, random_state=0)[name]


def test_ends_of_a_range_that_are_values_are_among_the_draws(model):
    assert set(draw(model, "few", (2, 4))) == {2, 3, 4}
    assert set(draw(model, "many", (100, 101))) == {100, 101}


@pytest.mark.parametrize(
    ("name", "given"), [("few", (2.2, 2.8)), ("few", (-5, -1)), ("many", (100.2, 100.8)), ("many", (1000, 2000))]
)
def test_a_range_without_a_value_is_named(model, name, given):
    with pytest.raises(ValueError, match=f"conditions must leave values for '{name}'"):
        draw(model, name, given)


def test_both_ends_may_be_open(model):
    assert np.isfinite(draw(model, "x", (None, None))).all()
    assert (draw(model, "x", (-np.inf, 0.0)) <= 0).all()


@pytest.mark.parametrize("given", [[np.nan], [1.0, None]])
def test_one_of_several_values_must_not_be_missing(model, given):
    with pytest.raises(ValueError, match="conditions on 'x' must be finite values"):
        draw(model, "x", given)


@pytest.mark.parametrize("given", [range(2), pd.Series([0.0, 1.0]), pd.Index([0, 1]), {0, 1}, np.array([0, 1])])
def test_several_values_come_in_any_collection(model, given):
    assert set(draw(model, "x", given)) == {0, 1}


@pytest.mark.parametrize("given", [[0, 1], (0, 1)])
def test_a_column_of_a_joint_family_takes_one_value(given):
    model = fitted(np.eye(3)[np.random.default_rng(0).integers(0, 3, N)], "categorical")
    with pytest.raises(ValueError, match="drawn together with other columns"):
        model.sample(5, conditions={0: given})
    assert (model.sample(5, conditions={0: 1}) == [1, 0, 0]).all()
