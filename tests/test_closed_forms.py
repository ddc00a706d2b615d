"""The mathematics against closed forms and independent computations."""

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from scipy.linalg import subspace_angles
from scipy.stats import multivariate_normal, norm
from sklearn.base import clone
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.penalties import contractive
from sklearn_mtae.nn.posteriors import DiagonalNormal, quasi_normal
from sklearn_mtae.nn.priors import PRIORS


@pytest.fixture(scope="module")
def factors():
    """Rows of a factor model: three factors, eight columns of unlike noise; a part to fit and a part to score."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(3, 8))
    X = rng.normal(size=(4000, 3)) @ loadings + rng.normal(size=(4000, 8)) * np.linspace(0.3, 1.0, 8)
    return X[:3000], X[3000:]


@pytest.fixture(scope="module")
def linear_vae(factors):
    vae = VAETransformer(3, hidden_layer_sizes=(), max_iter=150, learning_rate_init=5e-3, random_state=0)
    return vae.fit(factors[0])


def decoder_covariance(vae):
    """Return the covariance W W' + Psi that a fitted linear VAE stands for, in X's units."""
    module = vae.module_
    weight = module.decoder[-1].weight.detach().double().numpy()
    noise = module.likelihood.log_variance.exp().detach().double().numpy()
    scale = module.units.scale.numpy()
    return scale[:, None] * (weight @ weight.T + np.diag(noise)) * scale


def linear_decoder(n_features, n_code, n_components, n_outputs):
    """An encoder that can tell which cells are missing, before a linear decoder."""
    encoder = torch.nn.Sequential(torch.nn.Linear(n_features, 64), torch.nn.ReLU(), torch.nn.Linear(64, n_code))
    return encoder, torch.nn.Sequential(torch.nn.Linear(n_components, n_outputs))


def test_linear_autoencoder_is_pca(factors):
    X = StandardScaler().fit_transform(factors[0])
    pca = PCA(3).fit(X)
    model = AutoencoderTransformer(3, hidden_layer_sizes=(), max_iter=100, learning_rate_init=3e-3, random_state=0)
    error = ((model.fit(X).predict(X) - X) ** 2).sum()
    exact = ((pca.inverse_transform(pca.transform(X)) - X) ** 2).sum()
    assert exact <= error <= 1.01 * exact
    decoded = model.inverse_transform(np.eye(3)) - model.inverse_transform(np.zeros((3, 3)))
    assert np.rad2deg(subspace_angles(pca.components_.T, decoded.T).max()) < 5
    code = model.transform(X) - model.transform(X).mean(0)
    assert np.rad2deg(subspace_angles(pca.transform(X), code).max()) < 5


def test_linear_vae_is_factor_analysis(factors, linear_vae):
    train, test = factors
    exact = FactorAnalysis(3).fit(train)
    assert linear_vae.score(test) == pytest.approx(exact.score(test), rel=5e-3)
    error = np.linalg.norm(decoder_covariance(linear_vae) - exact.get_covariance())
    assert error < 0.05 * np.linalg.norm(exact.get_covariance())


def test_importance_weighted_density_is_exact_for_its_own_model(factors, linear_vae):
    test = factors[1][:200]
    mean = linear_vae.inverse_transform(np.zeros((1, 3)))[0]
    exact = multivariate_normal(mean, decoder_covariance(linear_vae)).logpdf(test)
    np.testing.assert_allclose(linear_vae.score_samples(test, n_importance_samples=2000), exact, atol=0.05)


def test_masked_cells_are_marginalised(factors, linear_vae):
    """Rows with missing columns have the density of the model without those columns."""
    seen = [0, 2, 3, 5, 6, 7]
    train, test = factors[0].copy(), factors[1][:200].copy()
    train[::2, [1, 4]] = np.nan
    test[:, [1, 4]] = np.nan
    vae = clone(linear_vae).set_params(architecture=linear_decoder).fit(train)
    mean = vae.inverse_transform(np.zeros((1, 3)))[0][seen]
    exact = multivariate_normal(mean, decoder_covariance(vae)[np.ix_(seen, seen)]).logpdf(test[:, seen])
    error = vae.score_samples(test, n_importance_samples=5000) - exact
    assert np.abs(error).mean() < 0.05


def test_bound_rises_with_the_number_of_draws(factors, linear_vae):
    train, test = factors
    young = clone(linear_vae).set_params(max_iter=3).fit(train)  # its posterior is far from the exact one
    module = young._runner.model(torch.float64)
    x = module.units(torch.from_numpy(test))
    with torch.no_grad():
        q = module.infer(x)
        z = q.rsample(quasi_normal(x, 256, 3, seed=1))
        elbo = module.log_likelihood(z, x).mean(0) - module.prior.kl(q, z)
    elbo = float((elbo + module.units.log_jacobian(x)).mean())
    bounds = [young.score_samples(test, n_importance_samples=k).mean() for k in (4, 64, 1024)]
    assert elbo < bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize("model", [AutoencoderTransformer, VAETransformer])
def test_log_density_carries_the_jacobian(factors, model):
    X = factors[0][:300]
    larger = X * np.r_[10.0, np.ones(7)]
    fit = model(2, max_iter=5, random_state=0)
    difference = fit.fit(X).score_samples(X) - fit.fit(larger).score_samples(larger)
    np.testing.assert_allclose(difference, np.log(10), rtol=1e-3)


def test_kl_is_the_integral():
    q = DiagonalNormal(torch.tensor([[0.7]]), torch.tensor([[-0.6]]))
    z = np.linspace(-10, 10, 20001)
    density = norm(0.7, np.exp(-0.3))
    integral = trapezoid(density.pdf(z) * (density.logpdf(z) - norm.logpdf(z)), z)
    prior = PRIORS["normal"](1)
    assert float(prior.kl(q, q.mean)) == pytest.approx(integral, rel=1e-5)
    draws = q.rsample(quasi_normal(q.mean, 4096, 1, seed=0))
    assert float((q.log_prob(draws) - prior.log_prob(draws)).mean()) == pytest.approx(integral, rel=1e-2)


def test_quasi_normal_draws_are_normal():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(300, 4)))
    draws = quasi_normal(x, 1024, 3, seed=0)
    np.testing.assert_allclose(draws.mean(0), np.zeros((300, 3)), atol=2e-2)
    np.testing.assert_allclose(np.cov(draws[:, 7].T.numpy()), np.eye(3), atol=2e-2)
    across = draws[0].numpy()
    np.testing.assert_allclose(across.mean(0), 0, atol=0.2)
    np.testing.assert_allclose(np.cov(across.T), np.eye(3), atol=0.25)
    torch.testing.assert_close(quasi_normal(x[5:6], 1024, 3, seed=0)[:, 0], draws[:, 5])


def test_contractive_penalty_is_the_squared_jacobian_norm():
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    x = torch.randn(4, 6)
    generator = torch.Generator().manual_seed(0)
    estimate = torch.stack([contractive(encoder, x, encoder(x), generator).detach() for _ in range(2000)]).mean(0)
    exact = torch.stack([torch.func.jacrev(encoder)(row).square().sum() for row in x]).detach()
    torch.testing.assert_close(estimate, exact, rtol=0.1, atol=0)


def test_predictive_deviation_is_the_law_of_total_variance():
    """A linear model's predictive variance is known: noise plus head times posterior covariance times head."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    Y = X @ rng.normal(size=(4, 2)) * [1, 30] + rng.normal(size=(400, 2)) * [1, 30]
    model = MultiTaskVAERegressor(
        2, n_estimators=1, hidden_layer_sizes=(), head_hidden_layer_sizes=(), max_iter=60, random_state=0
    )
    _, std = model.set_params(reconstruction_weight=0.1).fit(X, Y).predict(X, return_std=True)
    module = model.module_
    head = module.heads.layers[0].weight.detach().double().numpy()[:, 0]
    noise = module.task_likelihood.log_variance.exp().detach().double().numpy()
    _, posterior = model.transform(X, return_std=True)
    exact = np.sqrt(noise + posterior**2 @ (head**2).T) * module.task_units.scale.numpy()
    np.testing.assert_allclose(std, exact, rtol=0.03)


def test_gradients_are_finite_with_missing_cells():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(50, 4)), rng.normal(size=(50, 3))
    X[rng.random(X.shape) < 0.4] = np.nan
    Y[rng.random(Y.shape) < 0.6] = np.nan
    model = MultiTaskVAERegressor(2, n_estimators=1, max_iter=2, random_state=0).fit(X, Y)
    module = model.module_.train().requires_grad_(True)
    output = module(torch.from_numpy(X).float(), torch.from_numpy(Y).float())
    (output.x_log_prob.sum() + output.y_log_prob.sum() - output.prior.kl(output.q, output.z).sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters())
