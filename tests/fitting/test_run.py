"""What rows are computed in."""

import numpy as np
import pytest

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, OutlierDetector, VAETransformer

X = np.random.default_rng(0).gamma(1.0, size=(60, 4)).astype(np.float32)
X[::7, 1] = np.nan
X[3, 2] = 1e4
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


@pytest.mark.parametrize("likelihood", ["gaussian", "gamma", "quantile", "student_t", "poisson"])
@pytest.mark.parametrize("kind", [AutoencoderTransformer, VAETransformer, MultiTaskVAERegressor])
def test_densities_of_float32_are_those_of_float64(kind, likelihood):
    """Importance weights are differences of large numbers: rows have the same ones in both precisions."""
    x = np.round(X) if likelihood == "poisson" else X
    model = kind(2, **SMALL, likelihood=likelihood).fit(
        x, *([np.nan_to_num(x[:, 0])] * hasattr(kind, "predict_interval"))
    )
    methods = ["score_samples", *(["impute"] * (kind is not AutoencoderTransformer))]
    for ask in (getattr(model, name) for name in methods):
        found, wanted = ask(x), ask(x.astype(np.float64))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, wanted.astype(np.float32))


@pytest.mark.parametrize("criterion", ["density", "neighbours", "reconstruction"])
def test_scores_of_detectors_of_float32_are_those_of_float64(criterion):
    model = OutlierDetector(VAETransformer(2, **SMALL), criterion=criterion, n_estimators=2, random_state=0).fit(X)
    np.testing.assert_array_equal(model.score_samples(X), model.score_samples(X.astype(np.float64)))
