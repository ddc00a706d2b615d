"""Embeddings of values however far off."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae._fitting.build import rebuild
from sklearn_mtae.nn.embeddings import EMBEDDINGS, SOFT_LIMIT, soften


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_values_are_drawn_in(dtype):
    """Against the formula without a square that overflows, `1 / sqrt(1 / x^2 + 1 / limit^2)`."""
    far = torch.tensor([0.1, 1.0, 50.0, 1e4, 1e15, 1e18, 1e20, 1e30, 1e38], dtype=dtype)
    expected = torch.hypot(1 / far, torch.tensor(1 / SOFT_LIMIT, dtype=dtype)).reciprocal()
    for sign in (1, -1):
        torch.testing.assert_close(soften(sign * far), sign * expected)


@pytest.mark.parametrize("embedding", ["piecewise_linear", "softened"])
def test_predictions_saturate(embedding):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3))
    model = MultiTaskVAERegressor(2, embedding=embedding, n_estimators=3, cv=3, max_iter=2, random_state=0)
    model.fit(X, X[:, :2] + 0.1 * rng.normal(size=(90, 2)))
    model._fitted.average.weights[:] = np.array([0.5, 0.5, 0.0] + [0.0] * (len(model._fitted.states) - 3))[:, None]
    for dtype in (np.float32, np.float64):
        rows = np.array([[far, 1.0, -1.0] for far in (1e18, 1e21, 1e30, 1e38)], dtype=dtype)
        found = model.predict(rows)
        np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), rtol=1e-5)


@pytest.mark.parametrize(("name", "plain"), [("weighted", "softened"), ("weighted_bins", "piecewise_linear")])
def test_weights_multiply_what_comes_of_a_column(name, plain):
    x, weights = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([1.0, 0.5, 0.0])
    weighted, other = EMBEDDINGS[name](3), EMBEDDINGS[plain](3)
    for embedding in (weighted, other):
        embedding.learn(x)
    torch.testing.assert_close(weighted(x), other(x))
    weighted.weigh(weights)
    for column, weight in enumerate(weights):
        alone = x.clone()
        alone[:, column] += 0.3
        torch.testing.assert_close(weighted(alone) - weighted(x), weight * (other(alone) - other(x)))


@pytest.mark.parametrize("name", ["weighted", "weighted_bins"])
def test_predictions_of_models_side_by_side_are_weighted_too(name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 6))
    settings = {"embedding": name, "n_estimators": 3, "max_iter": 4, "random_state": 0}
    model = MultiTaskVAERegressor(2, member_params=[{}], **settings).fit(X, X[:, :2])
    average = model._fitted.average
    average.weights[:] = 0.0
    average.weights[:3] = 1 / 3
    average.baseline = replace(average.baseline, slopes=None, kernel=None)
    each = []
    for state in range(3):
        module = rebuild(model._fitted, torch.float64, state).eval()
        each.append(module.predict(module.encode(module.fill(module.units(torch.from_numpy(X))))).detach().numpy())
    np.testing.assert_allclose(model.predict(X), np.mean(each, axis=0), rtol=1e-3, atol=1e-4)
