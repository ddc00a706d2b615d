"""The data of a fit: a warning of columns without a value."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAEImputer, VAETransformer

SHORT = {"hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
WORDS = "Columns without an observed value are ignored"
FULL = np.random.default_rng(0).normal(size=(40, 2))


@pytest.mark.parametrize("kind", [AutoencoderTransformer, VAETransformer, MultiTaskVAERegressor])
def test_columns_without_a_value_are_named(kind):
    X = pd.DataFrame(FULL, columns=["a", "b"]).assign(c=np.nan, d=np.nan)
    own = {"n_estimators": 1} if kind is MultiTaskVAERegressor else {}
    with pytest.warns(UserWarning, match=rf"{WORDS}: \['c', 'd'\]") as seen:
        model = kind(1, **own, **SHORT).fit(X, X[["a"]])
    assert len(seen) == 1
    # Whatever the columns hold: without them, the model is as good.
    assert np.isfinite(model.transform(X)).all()


def test_values_in_rows_of_weight_zero_are_none():
    X = np.c_[FULL, np.where(np.arange(40) == 3, 1.0, np.nan)]
    with pytest.warns(UserWarning, match=rf"{WORDS}: \[2\]"):
        VAETransformer(1, **SHORT).fit(X, sample_weight=np.arange(40) != 3)


def test_one_value_is_enough_and_a_later_part_may_have_none():
    X = np.c_[FULL, np.where(np.arange(40) == 3, 1.0, np.nan)]
    model = VAETransformer(1, **SHORT).partial_fit(X)
    model.partial_fit(X[10:])


@pytest.mark.parametrize("keep", [True, False])
def test_an_imputer_says_it_in_its_own_way(keep):
    imputer = VAEImputer(VAETransformer(1, **SHORT), keep_empty_features=keep)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        imputer.fit(np.c_[FULL, np.full(40, np.nan)])
    assert ["left out" in str(own.message) for own in seen] == [True] * (not keep)


def test_groups_of_a_row_each_are_none():
    y, weight = FULL[:, 0], (np.arange(40) > 3).astype(float)
    groups = np.where(weight > 0, np.arange(40), 0)  # rows of weight zero do not count
    settings = {**SHORT, "n_estimators": 4}
    for own in ({}, {"sample_weight": weight}):
        plain = MultiTaskVAERegressor(1, **settings).fit(FULL, y, **own)
        grouped = MultiTaskVAERegressor(1, **settings).fit(FULL, y, groups=groups if own else np.arange(40), **own)
        np.testing.assert_array_equal(plain.predict(FULL), grouped.predict(FULL))
