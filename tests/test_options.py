"""Every entry of every dictionary works in an estimator: it fits, clones, pickles, is saved and comes back the same."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import VAETransformer
from sklearn_mtae.nn.architectures import ACTIVATIONS, ARCHITECTURES
from sklearn_mtae.nn.corruptions import CORRUPTIONS
from sklearn_mtae.nn.likelihoods import LIKELIHOODS, LocationScale
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.penalties import PENALTIES
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.persistence import load, save
from tests.conftest import REGRESSOR

TABLES = {
    "activation": ACTIVATIONS,
    "architecture": ARCHITECTURES,
    "beta": SCHEDULES,
    "corruption": CORRUPTIONS,
    "likelihood": LIKELIHOODS,
    "objective": OBJECTIVES,
    "penalty": PENALTIES,
    "posterior": POSTERIORS,
    "prior": PRIORS,
}
OPTIONS = [(parameter, name) for parameter, table in TABLES.items() for name in table]


@pytest.mark.parametrize("kind", [VAETransformer, REGRESSOR])
@pytest.mark.parametrize(("parameter", "name"), OPTIONS, ids=lambda value: value)
def test_option(kind, parameter, name, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.dirichlet(np.ones(9), size=40)  # admissible to every likelihood, and nine pixels
    X[rng.random(X.shape) < 0.1] = np.nan
    Y = np.nan_to_num(X[:, :2]) + 0.1 * rng.normal(size=(40, 2))
    model = kind(2, hidden_layer_sizes=(8,), max_iter=2, random_state=0, **{parameter: name}).fit(X, Y)
    again = pickle.loads(pickle.dumps(clone(model).fit(X, Y)))
    save(model, tmp_path / "a")
    loaded = load(tmp_path / "a")
    for verb in ("transform", "predict", "score_samples", "impute"):
        values = getattr(model, verb)(X)
        assert np.isfinite(values).all(), verb
        for other in (again, loaded):
            np.testing.assert_array_equal(getattr(other, verb)(X), values, err_msg=verb)
    drawn = model.sample(3, random_state=0)
    assert np.isfinite(drawn[0] if isinstance(drawn, tuple) else drawn).all()


@pytest.mark.parametrize(("n_components", "start"), [(2, 0.75), (6, 0.25), (8, 0.1), (9, 0.1)])
@pytest.mark.parametrize("likelihood", ["gaussian", "student_t", ["gaussian"] * 4 + ["laplace"] * 4])
def test_a_vae_starts_at_the_variance_that_principal_components_leave(n_components, start, likelihood):
    X = np.random.default_rng(0).normal(size=(40, 8))
    still = {"max_iter": 1, "learning_rate_init": 1e-9, "hidden_layer_sizes": (4,), "random_state": 0}
    module = VAETransformer(n_components, likelihood=likelihood, **still).fit(X).module_
    families = [part for part in module.likelihood.modules() if isinstance(part, LocationScale)]
    for family in families:
        np.testing.assert_allclose(family.log_variance.detach().exp(), start, rtol=1e-4)
    kept = min(n_components, 8)
    left = 1 - PCA(kept).fit(StandardScaler().fit_transform(X)).explained_variance_ratio_.sum()
    assert left <= start
