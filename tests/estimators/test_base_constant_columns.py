"""Columns that have never varied: nothing was learned from them, so that nothing may depend on them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAE,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    VAEImputer,
    VAETransformer,
)
from sklearn_mtae.nn.architectures import ARCHITECTURES
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.sharing import SHARINGS

pytestmark = pytest.mark.filterwarnings("ignore:Columns without an observed value")

TINY: dict[str, Any] = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
PAIR: dict[str, Any] = {"n_estimators": 2}
N, AT = 120, 2
"""Number of rows, and the position of the column."""
MODELS = [
    AutoencoderTransformer(**TINY),
    AutoencoderTransformer(**{**TINY, "hidden_layer_sizes": ()}),
    AutoencoderTransformer(corruption="gaussian", **TINY),
    # The columns of "categorical" are one category, none of which changes alone.
    *(VAETransformer(likelihood=name, **TINY) for name in LIKELIHOODS if name != "categorical"),
    *(VAETransformer(architecture=name, **TINY) for name in ARCHITECTURES),
    *(MultiTaskVAERegressor(sharing=name, **TINY, **PAIR) for name in SHARINGS),
    MultiTaskVAERegressor(n_components=2, random_state=0),
    MultiTaskVAEClassifier(n_components=2, random_state=0),
    MultiTaskVAE(**TINY, **PAIR),
    VAEImputer(VAETransformer(**TINY)),
]
ASKED = (
    *("transform", "predict", "predict_proba", "predict_interval", "predict_set"),
    *("impute", "encode_distribution", "score_samples", "reconstruction_error", "score"),
)


def rows(seed, value, likelihood=""):
    """Return rows that suit a likelihood; one column has a single value."""
    x = np.random.default_rng(seed).normal(size=(N, 9))
    shares = 1 / (1 + np.exp(-x))
    x = {
        **dict.fromkeys(("poisson", "negative_binomial", "multinomial"), np.floor(4 * shares)),
        **dict.fromkeys(("continuous_bernoulli", "gamma", "log_normal"), shares),
        "bernoulli": (x > 0).astype(float),
    }.get(likelihood, x)
    x[:, AT] = value
    return x


def labels(model, x):
    """Return targets that a model takes."""
    y = x[:, :2] + x[:, 3:4]
    if isinstance(model, MultiTaskVAEClassifier):
        return (y > np.median(y, axis=0)).astype(int)
    return pd.DataFrame({"number": y[:, 0], "kind": pd.Categorical(y[:, 1] > 0)}) if type(model) is MultiTaskVAE else y


def parts(result):
    """Return the arrays of any result."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, tuple | list):
        return [array for own in result for array in parts(own)]
    return [np.array(np.asarray(result).tolist())]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: " ".join(repr(model).split()))
@pytest.mark.parametrize("value", [1.0, np.nan])
def test_another_value_changes_nothing(model, value):
    likelihood = str(model.get_params().get("likelihood"))
    x, new = rows(0, value, likelihood), rows(1, value, likelihood)
    own = {} if hasattr(model, "fill_value") else {"y": labels(model, x)}
    model = clone(model).fit(x, **own)
    new[::3, 0] = np.nan
    other = new.copy()
    other[:, AT] = 0.0 if likelihood in {"bernoulli", "continuous_bernoulli"} else 3.0
    for name in ASKED:
        if hasattr(model, name):
            y = (labels(model, new),) if name == "score" and own else ()
            known, found = (parts(getattr(model, name)(x, *y)) for x in (new, other))
            for before, after in zip(known, found, strict=True):
                if name == "impute" or isinstance(model, VAEImputer):
                    before[:, AT] = after[:, AT] = 0.0  # observed cells stay as they came
                np.testing.assert_allclose(before, after, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("likelihood", ["gaussian", "quantile", "student_t", "auto"])
def test_it_comes_back_exactly(likelihood, dtype):
    x = rows(0, 0.1).astype(dtype)
    model = VAETransformer(likelihood=likelihood, **TINY).fit(x)
    gaps = np.where(np.arange(9) == AT, np.nan, x).astype(dtype)
    for found in (model.predict(x), model.inverse_transform(model.transform(x)), model.impute(gaps), model.sample(20)):
        np.testing.assert_array_equal(np.asarray(found)[:, AT], dtype(0.1))


def test_a_column_that_begins_to_vary_is_learned():
    x, varied = rows(0, 1.0), rows(0, 1.0)
    varied[:, AT] = np.where(np.arange(N) % 2, 1.0, 2.0)
    model = AutoencoderTransformer(**TINY).partial_fit(x).partial_fit(x)
    other = x.copy()
    other[:, AT] = 2.0
    np.testing.assert_array_equal(model.transform(x), model.transform(other))
    for _ in range(2):
        model.partial_fit(varied).partial_fit(x)
        assert np.abs(model.transform(x) - model.transform(other)).max() > 1e-3


@pytest.mark.parametrize("frozen", [True, False])
def test_an_encoder_knows_what_varied_in_its_own_rows(frozen):
    """A column that varied there still counts where it is constant; one that varies only here does too."""
    there, here = rows(0, 1.0), rows(1, 1.0)
    there[:, 0], here[:, 1] = 5.0, 5.0
    source = FrozenEstimator(VAETransformer(**TINY).fit(there))
    model = MultiTaskVAERegressor(encoder=source, freeze_encoder=frozen, **TINY).fit(here, here[:, 0])
    before = model.transform(here)
    for column, counts in ((0, True), (1, True), (AT, False)):
        other = here.copy()
        other[:, column] += 1.0
        assert (np.abs(model.transform(other) - before).max() > 1e-4) == counts


def test_loadings_are_zero():
    model = VAETransformer(2, hidden_layer_sizes=(), max_iter=3, random_state=0).fit(rows(0, 1.0))
    assert (model.components_[:, AT] == 0).all()
    assert (np.delete(model.components_, AT, axis=1) != 0).all()


@pytest.mark.parametrize("dtypes", [(np.float64, np.float32), (np.float32, np.float64)])
def test_another_number_is_as_strange_as_an_unknown_level(dtypes):
    train, asked = dtypes
    x = rows(0, 0.1).astype(train)
    options: dict[str, Any] = {**PAIR, "max_samples": 0.5, "novelty": True, "random_state": 0}
    detector = OutlierDetector(VAETransformer(**TINY), **options).fit(x)
    same, other = rows(0, 0.1).astype(asked), rows(0, 0.3).astype(asked)
    nats = np.log1p(N / 2)  # each member was trained on half of the rows
    np.testing.assert_allclose(detector.score_samples(same) - detector.score_samples(other), nats, rtol=1e-5)
    np.testing.assert_allclose(detector.explain(other)[:, AT] - detector.explain(same)[:, AT], nats, rtol=1e-5)


def test_a_column_without_a_value_is_not_strange():
    detector = OutlierDetector(VAETransformer(**TINY), n_estimators=2, novelty=True, random_state=0)
    detector.fit(rows(0, np.nan))
    gap, full = rows(1, np.nan), rows(1, 7.0)
    np.testing.assert_allclose(detector.score_samples(gap), detector.score_samples(full), rtol=1e-6)
    assert (detector.explain(full)[:, AT] == 0).all()


def test_what_differs_by_rounding_is_constant():
    """Shares add up to 1, but for the last digit."""
    rng = np.random.default_rng(1)
    shares = rng.gamma(1, size=(N, 5))
    shares /= shares.sum(axis=1, keepdims=True)
    y = np.sin(6 * shares[:, 0]) + shares[:, 1] + 0.05 * rng.normal(size=N)
    total = shares.sum(axis=1)
    assert len(np.unique(total)) > 1
    for model in (MultiTaskVAERegressor(**{**TINY, "n_estimators": 1}), VAETransformer(**TINY)):
        model.fit(np.c_[shares, total], y)
        for other in (np.ones(N), total + 1e-9, total.astype(np.float32)):
            np.testing.assert_array_equal(model.predict(np.c_[shares, other]), model.predict(np.c_[shares, total]))
            np.testing.assert_allclose(
                model.score_samples(np.c_[shares, other]), model.score_samples(np.c_[shares, total]), rtol=1e-12
            )
    detector = OutlierDetector(VAETransformer(**TINY), novelty=True, random_state=0, **PAIR)
    detector.fit(np.c_[shares, total])
    known = detector.score_samples(np.c_[shares, total])
    np.testing.assert_allclose(detector.score_samples(np.c_[shares, np.ones(N)]), known)
    assert (detector.score_samples(np.c_[shares, total + 1e-3]) < known - 1).all()


def test_a_condition_on_it_changes_no_other_column():
    model = VAETransformer(**TINY).fit(rows(0, 1.0))
    same, other = (model.sample(50, random_state=0, conditions={AT: value}) for value in (1.0, 5.0))
    np.testing.assert_array_equal(np.delete(same, AT, axis=1), np.delete(other, AT, axis=1))
    assert (other[:, AT] == 5.0).all()


def test_sparse_rows_are_as_strange_as_dense_ones():
    x = np.random.default_rng(0).poisson(1, (N, 5)).astype(float)
    estimator = VAETransformer(likelihood="poisson", **TINY)
    for train in (x, np.where(np.arange(5) == AT, 1.0, x)):
        detector = OutlierDetector(estimator, novelty=True, random_state=0, **PAIR).fit(csr_array(train))
        np.testing.assert_allclose(detector.score_samples(csr_array(x)), detector.score_samples(x))
