from functools import partial

import numpy as np
import pytest

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAE,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    VAEImputer,
    VAETransformer,
)

REGRESSOR = partial(MultiTaskVAERegressor, n_estimators=1)
"""A single model: what an ensemble adds has tests of its own."""
REGRESSOR.__name__ = "MultiTaskVAERegressor"  # type: ignore[attr-defined]
ESTIMATORS = [AutoencoderTransformer, VAETransformer, REGRESSOR]
EVERY = [
    AutoencoderTransformer,
    VAETransformer,
    MultiTaskVAERegressor,
    MultiTaskVAEClassifier,
    MultiTaskVAE,
    VAEImputer,
    OutlierDetector,
]


@pytest.fixture(params=ESTIMATORS, ids=lambda estimator: estimator.__name__)
def estimator(request):
    """Each estimator in turn, small and quick."""
    return request.param(n_components=2, hidden_layer_sizes=(8,), max_iter=3, random_state=0)


@pytest.fixture
def table():
    """Correlated features of unlike units, and three targets that depend on them."""
    rng = np.random.default_rng(0)
    code = rng.normal(size=(60, 2))
    X = code @ rng.normal(size=(2, 5)) * [1, 10, 0.1, 1, 1] + [0, 100, 0, -5, 0] + 0.1 * rng.normal(size=(60, 5))
    Y = code @ rng.normal(size=(2, 3)) * [1, 50, 1] + [0, 7, 0] + 0.1 * rng.normal(size=(60, 3))
    return X, Y
