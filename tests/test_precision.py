"""Products in bfloat16, and all that is made of them in float32."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._engine.single import Pair
from sklearn_mtae.nn.architectures import ARCHITECTURES
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.penalties import PENALTIES
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.sharing import SHARINGS
from tests.conftest import ESTIMATORS, REGRESSOR

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

SMALL = {"n_components": 2, "hidden_layer_sizes": (16,), "batch_size": 20, "random_state": 0}
SHARES = np.random.default_rng(0).dirichlet(np.ones(9), size=60)  # admissible to every likelihood, and nine pixels


@pytest.fixture
def steps(monkeypatch):
    """The results of the training steps, and the precision of each product in them."""
    results, products = [], set()
    evaluate, linear = Pair.forward, torch.nn.Linear.forward

    def noted(pair, batch, scales):
        result = evaluate(pair, batch, scales)
        if pair.model.training:
            results.append(result)
        return result

    def layer(module, x):
        product = linear(module, x)
        if module.training and torch.is_grad_enabled():
            products.add(product.dtype)
        return product

    monkeypatch.setattr(Pair, "forward", noted)
    monkeypatch.setattr(torch.nn.Linear, "forward", layer)
    return results, products


@pytest.mark.parametrize("kind", [*ESTIMATORS, MultiTaskVAEClassifier], ids=lambda kind: kind.__name__)
def test_trains_to_about_the_same_loss(kind, table, steps):
    X, Y = table
    y = (np.median(Y, axis=0) < Y).astype(int) if kind is MultiTaskVAEClassifier else Y
    own = {"n_estimators": 1} if kind is MultiTaskVAEClassifier else {}
    single = kind(max_iter=30, **own, **SMALL).fit(X, y)
    results, products = steps
    assert products == {torch.float32}
    results.clear(), products.clear()
    mixed = clone(single).set_params(dtype="bfloat16").fit(X, y)
    assert products == {torch.bfloat16}
    assert {value.dtype for result in results for value in (result.loss, *result.means.values())} == {torch.float32}
    assert mixed.loss_curve_ != single.loss_curve_
    np.testing.assert_allclose(mixed.loss_curve_, single.loss_curve_, rtol=0.05, atol=0.05)
    assert {name: state.dtype for name, state in mixed._fitted.states[0].items()} == {
        name: state.dtype for name, state in single._fitted.states[0].items()
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inference_has_the_precision_of_its_input(table, dtype):
    X, Y = table
    model = MultiTaskVAERegressor(n_estimators=1, dtype="bfloat16", max_iter=3, **SMALL).fit(X, Y)
    same = model._runner.model(torch.from_numpy(X.astype(dtype)).dtype)
    with torch.no_grad():
        code = same.encoder(same.units(torch.from_numpy(X.astype(dtype))))[:, :2].numpy()
    np.testing.assert_array_equal(model.transform(X.astype(dtype)), code)
    loaded = pickle.loads(pickle.dumps(model))
    for own in (model, loaded):
        assert own.transform(X.astype(dtype)).dtype == dtype
        assert own.predict(X.astype(dtype)).dtype == np.float64, "that of the targets, the wider one"
    np.testing.assert_array_equal(loaded.predict(X.astype(dtype)), model.predict(X.astype(dtype)))
    assert model.module_.encoder[0].weight.dtype == torch.float32


def test_validation_has_the_precision_of_the_weights(table, steps):
    """The loss on held-out rows is the one that the fitted model has there."""
    stopping = {"early_stopping": True, "n_iter_no_change": 9, "tol": 0.0}
    model = AutoencoderTransformer(dtype="bfloat16", max_iter=4, likelihood="squared_error", **stopping, **SMALL)
    held_out = model._plan(table[0], None, None).members[0].valid.x
    model.fit(table[0])
    assert model.validation_scores_[-1] == max(model.validation_scores_)
    index = model._plan(table[0], None, None).members[0].valid.index
    scores = model.score_samples(held_out[index]) + np.log(model.module_.units.scale.numpy()).sum()
    assert model.validation_scores_[-1] == pytest.approx(scores.mean(), rel=1e-5)


TABLES = {"architecture": ARCHITECTURES, "likelihood": LIKELIHOODS, "penalty": PENALTIES}
VARIATIONAL = {"prior": PRIORS, "sharing": SHARINGS}
OPTIONS = [(key, name) for tables in (TABLES, VARIATIONAL) for key, table in tables.items() for name in table]


@pytest.mark.parametrize(("parameter", "name"), OPTIONS)
def test_losses_of_every_option_are_float32(steps, parameter, name):
    kind = AutoencoderTransformer if parameter in TABLES else REGRESSOR
    y = None if parameter in TABLES else SHARES[:, :3]
    kind(dtype="bfloat16", max_iter=2, **{parameter: name}, **SMALL).fit(SHARES, y)
    results, products = steps
    assert {value.dtype for result in results for value in (result.loss, *result.means.values())} == {torch.float32}
    assert products <= {torch.bfloat16, torch.float32}, "flows stay in float32"
    assert torch.bfloat16 in products


def test_ensemble():
    model = MultiTaskVAERegressor(dtype="bfloat16", max_iter=3, n_estimators=3, **SMALL).fit(SHARES, SHARES[:, :3])
    single = clone(model).set_params(dtype="float32").fit(SHARES, SHARES[:, :3])
    assert model.loss_curve_ != single.loss_curve_
    np.testing.assert_allclose(model.loss_curve_, single.loss_curve_, rtol=0.05)
    assert {state.dtype for state in model._fitted.states[2].values()} == {
        state.dtype for state in single._fitted.states[2].values()
    }
