"""Units of columns, and warnings of values that are far from all others."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sklearn_mtae import MultiTaskVAERegressor, VAETransformer

SHORT = {"n_components": 1, "hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}


def frame(far):
    rng = np.random.default_rng(0)
    income = np.r_[far, rng.normal(3, 2, 299)]
    return pd.DataFrame({"age": rng.normal(40, 9, 300), "income": income})


@pytest.mark.parametrize("far", [1e10, 1e30])
def test_one_far_value_leaves_rows_their_digits(far):
    X = frame(far)
    with pytest.warns(UserWarning, match=r"Column 'income' of X has values far from all others, such as 1e\+"):
        model = VAETransformer(likelihood="quantile", **SHORT).fit(X)
    gaps = X.copy()
    gaps.loc[1:200, "income"] = np.nan
    # Each is drawn from a normal distribution: all digits differ, and hardly any is beyond 5 deviations.
    for values in (
        model.sample(300, random_state=0)["income"],
        model.impute(gaps, n_draws=2, random_state=0)[0]["income"],
    ):
        usual = values[values < 100]
        assert len(usual) > 290
        assert usual.nunique() > 0.95 * len(usual)
        assert 1 < usual.std() < 3
    scores = model.score_samples(X)
    alone = VAETransformer(likelihood="quantile", **SHORT).fit(X.iloc[1:]).score_samples(X.iloc[1:])
    assert np.isfinite(scores).all()
    assert np.median(scores[1:]) == pytest.approx(np.median(alone), abs=0.5)


def test_a_value_that_leaves_the_others_no_digits_is_named():
    with pytest.warns(UserWarning, match="Column 'income'.*float32 cannot tell the other values apart"):
        VAETransformer(likelihood="quantile", **SHORT).fit(frame(1e100))


def test_far_labels_are_named():
    X = frame(1e10)
    with pytest.warns(UserWarning, match="Column 'income' of y"):
        MultiTaskVAERegressor(n_estimators=1, task_likelihoods="quantile", **SHORT).fit(X[["age"]], X[["income"]])


QUANTILES = VAETransformer(2, hidden_layer_sizes=(4,), likelihood="quantile", max_iter=1, random_state=0)


def with_encoder(encoder, **options):
    return MultiTaskVAERegressor(2, encoder=encoder, n_estimators=1, max_iter=1, random_state=0, **options)


@pytest.mark.parametrize("likelihood", ["quantile", {0: "quantile", 1: "quantile"}])
def test_an_encoder_brings_its_maps(likelihood):
    X = np.random.default_rng(0).gamma(1.0, size=(60, 2))
    encoder = clone(QUANTILES).set_params(likelihood=likelihood).fit(X)
    model = with_encoder(encoder, likelihood=likelihood).fit(X[::2], X[::2].sum(axis=1))
    own, known = model._fitted.states[0], encoder._fitted.states[0]
    learned = [name for name in known if name.startswith("likelihood.") and "variance" not in name]
    assert any("maps" in name for name in learned)
    for name in learned:
        np.testing.assert_array_equal(own[name], known[name], strict=True)


@pytest.mark.parametrize(("known", "likelihood"), [("quantile", "gaussian"), ("gaussian", "quantile")])
def test_an_encoder_of_other_inputs_is_refused(known, likelihood):
    X = np.random.default_rng(0).gamma(1.0, size=(60, 2))
    encoder = clone(QUANTILES).set_params(likelihood=known).fit(X)
    with pytest.raises(ValueError, match=r'likelihood must .* be "quantile" where it is'):
        with_encoder(encoder, likelihood=likelihood).fit(X, X.sum(axis=1))
