"""What components stand for: the loadings of a linear decoder, and their order."""

import pickle

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard, subspace_angles
from sklearn.base import clone
from sklearn.decomposition import PCA, FactorAnalysis

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.architectures import ARCHITECTURES, linear_decoder
from sklearn_mtae.nn.likelihoods import Gaussian, Likelihood
from sklearn_mtae.nn.loadings import code_variance, is_reorderable, loadings, relevance, reorder
from sklearn_mtae.nn.models import VAE, Autoencoder
from sklearn_mtae.nn.posteriors import NormalPosterior
from sklearn_mtae.nn.priors import MixtureOfNormals, StandardNormal, VampPrior


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture(scope="module")
def factors():
    """Rows of three orthogonal factors of unlike strength, in eight columns that all have the same variance."""
    basis = hadamard(8)[1:4] / np.sqrt(8)
    return normal(1500, 3) * [1.5, 3, 2.2] @ basis + 0.5 * normal(1500, 8, seed=1)


MODELS = {
    "linear": {"hidden_layer_sizes": (), "batch_size": None, "max_iter": 500, "learning_rate_init": 2e-2},
    "linear_decoder": {"architecture": "linear_decoder", "hidden_layer_sizes": (64,), "scaling": "standard"},
}


@pytest.fixture(scope="module", params=MODELS)
def vae(request, factors):
    """A VAE with twice the components that it needs."""
    options = {"max_iter": 60, "learning_rate_init": 1e-2, **MODELS[request.param]}
    return VAETransformer(6, **options, random_state=0).fit(factors)


def test_needless_components_are_switched_off(vae):
    assert vae.relevance_.sum() == pytest.approx(1)
    assert (vae.relevance_[:3] > 0.1).all()
    assert (vae.relevance_[3:] < 0.003).all()


def test_components_are_in_order(vae, factors):
    assert (np.diff(vae.relevance_) <= 0).all()
    mean, std = vae.transform(factors, return_std=True)
    loading = vae.components_ / factors.std(axis=0)
    explained = np.square(loading).sum(axis=1) * (mean.var(axis=0) + np.square(std).mean(axis=0))
    np.testing.assert_allclose(vae.relevance_, explained / explained.sum(), rtol=1e-4)


def test_components_are_principal_components(vae, factors):
    """The rate tells components apart by their variance; a network is there sooner than a linear model."""
    exact = PCA(3).fit(factors)
    loading = vae.components_[:3]
    alike = np.abs(loading @ exact.components_.T) / np.linalg.norm(loading, axis=1, keepdims=True)
    assert (np.diag(alike) > 0.85).all()
    signal = exact.explained_variance_ - exact.noise_variance_
    np.testing.assert_allclose(vae.relevance_[:3], signal / signal.sum(), atol=0.06)


def test_components_span_the_loadings_of_factor_analysis(vae, factors):
    exact = FactorAnalysis(3).fit(factors)
    assert np.rad2deg(subspace_angles(vae.components_[:3].T, exact.components_.T).max()) < 3
    covariance = vae.components_.T @ vae.components_
    assert np.linalg.norm(covariance - exact.components_.T @ exact.components_) < 0.1 * np.linalg.norm(covariance)


def test_loadings_are_differences_of_decoded_codes(vae):
    decoded = vae.inverse_transform(np.eye(6)) - vae.inverse_transform(np.zeros((6, 6)))
    np.testing.assert_allclose(vae.components_, decoded, atol=1e-9)


@pytest.mark.parametrize("name", ["mlp", "resnet", "linear_decoder"])
def test_loadings_are_in_units_of_the_columns(estimator, table, name):
    X, Y = table
    estimator.set_params(architecture=name, hidden_layer_sizes=()).fit(X, Y)
    decoded = estimator.inverse_transform(np.eye(2)) - estimator.inverse_transform(np.zeros((2, 2)))
    np.testing.assert_allclose(estimator.components_, decoded, rtol=1e-6, atol=1e-9)


class Spread(Likelihood):
    """Mean and log deviation of each column, both from the decoder."""

    n_params = 2

    def distribution(self, params):
        mean, log_deviation = self.split(params)
        return torch.distributions.Normal(mean, log_deviation.clamp(-3, 3).exp())


@pytest.mark.parametrize(
    ("likelihood", "link"), [("poisson", np.log), ("bernoulli", lambda p: np.log(p / (1 - p))), (Spread, np.asarray)]
)
def test_loadings_are_on_the_scale_of_the_link(likelihood, link):
    X = (normal(80, 4) > 0).astype(float)
    model = VAETransformer(2, architecture="linear_decoder", likelihood=likelihood, hidden_layer_sizes=(8,), max_iter=3)
    model.set_params(random_state=0).fit(X)
    decoded = link(model.inverse_transform(np.eye(2))) - link(model.inverse_transform(np.zeros((2, 2))))
    np.testing.assert_allclose(model.components_, decoded, atol=1e-6)


def test_loadings_of_a_table_are_those_of_its_expanded_columns():
    pandas = pytest.importorskip("pandas")
    x = normal(200)
    X = pandas.DataFrame({"size": 10 * x, "kind": np.where(x > 0, "big", "small"), "noise": normal(200, seed=1)})
    model = VAETransformer(1, architecture="linear_decoder", hidden_layer_sizes=(8,), max_iter=30, random_state=0)
    model.set_params(learning_rate_init=4e-3).fit(X)
    assert model.column_names_.tolist() == ["size", "kind=big", "kind=small", "noise"]
    loading = dict(zip(model.column_names_, model.components_[0] * np.sign(model.components_[0, 0]), strict=True))
    moved, start = model.inverse_transform([[1.0], [0.0]])["size"]
    assert loading["size"] == pytest.approx(abs(moved - start), rel=1e-5)
    assert loading["kind=big"] - loading["kind=small"] > 1
    unnamed = VAETransformer(1, hidden_layer_sizes=(8,), max_iter=1, likelihood={1: "categorical"})
    assert unnamed.fit(X.to_numpy()).column_names_.tolist() == ["x0", "x1=big", "x1=small", "x2"]


def build(kind, prior=StandardNormal, encoder="mlp", n_components=4):
    torch.manual_seed(0)
    n_params = 1 if kind is Autoencoder else 2
    layers, _ = ARCHITECTURES[encoder](9, n_params * n_components, n_components, 9, hidden_layer_sizes=(6,))
    _, decoder = linear_decoder(9, n_params * n_components, n_components, 9)
    own = () if kind is Autoencoder else (NormalPosterior(), prior(n_components, 9))
    return kind(layers, decoder, Gaussian(9), *own).double().eval()


@pytest.mark.parametrize("encoder", ["mlp", "resnet", "conv", "conv1d"])
def test_another_order_leaves_an_autoencoder_as_it_is(encoder):
    x, order, model = torch.from_numpy(normal(20, 9)), torch.tensor([2, 0, 3, 1]), build(Autoencoder, encoder=encoder)
    z, likelihood, loading = model.encode(x), model.log_likelihood(model.encode(x), x), loadings(model).clone()
    reorder(model, order)
    torch.testing.assert_close(model.encode(x), z[:, order])
    torch.testing.assert_close(model.log_likelihood(model.encode(x), x), likelihood)
    torch.testing.assert_close(loadings(model), loading[order])


@pytest.mark.parametrize("prior", [StandardNormal, VampPrior])
def test_another_order_leaves_the_density_of_a_vae_as_it_is(prior):
    x, order, model = torch.from_numpy(normal(20, 9)), torch.tensor([2, 0, 3, 1]), build(VAE, prior)
    z = torch.from_numpy(normal(20, 4, seed=1))

    def density(z):
        q, p = model.infer(x), model.prior.given(model.infer)
        return model.log_likelihood(z, x) + p.log_prob(z), q.log_prob(z), model.reconstruct(q.mean)

    before = density(z)
    assert is_reorderable(model)
    reorder(model, order)
    for one, other in zip(density(z[:, order]), before, strict=True):
        torch.testing.assert_close(one, other)


def test_no_other_order_where_more_than_two_layers_know_the_components():
    assert not is_reorderable(build(VAE, MixtureOfNormals))
    model = build(VAE)
    model.encoder.append(torch.nn.Tanh())
    assert not is_reorderable(model)
    model = build(Autoencoder)
    model.decoder = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 9))
    assert not is_reorderable(model)
    assert loadings(model) is None


def test_weights_count_as_repeats():
    x, model = torch.from_numpy(normal(30, 9)), build(VAE)
    times = torch.arange(30) % 4
    weighted = code_variance(model, [(x[:10], times[:10].double()), (x[10:], times[10:].double())])
    repeated = code_variance(model, [(x.repeat_interleave(times, 0), None)])
    torch.testing.assert_close(weighted, repeated)
    q = model.infer(x)
    exact = q.mean.var(0, correction=0) + q.stddev.square().mean(0)
    torch.testing.assert_close(code_variance(model, [(x, None)]), exact.detach())


def test_relevance_of_a_decoder_that_ignores_the_code_is_zero():
    assert relevance(torch.zeros(3, 5), torch.ones(3).double()).tolist() == [0, 0, 0]


def test_order_outlives_pickling_and_training_on(factors):
    X = factors[:400]
    model = VAETransformer(4, hidden_layer_sizes=(), max_iter=8, warm_start=True, random_state=0).fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.relevance_, model.relevance_)
    np.testing.assert_array_equal(again.components_, model.components_)
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    start = model.components_
    model.set_params(learning_rate_init=1e-7).fit(X)
    np.testing.assert_allclose(model.components_, start, atol=1e-3)
    assert (np.diff(model.relevance_) <= 0).all()
    np.testing.assert_array_equal(clone(model).set_params(learning_rate_init=1e-3).fit(X).components_, start)


def test_part_of_the_data_leaves_the_order_alone(factors):
    X = factors[:400]
    model = VAETransformer(6, hidden_layer_sizes=(), learning_rate_init=1e-9, random_state=0).partial_fit(X)
    start, order = model.components_, np.argsort(-model.relevance_)
    assert not np.array_equal(order, np.arange(6))
    np.testing.assert_allclose(model.partial_fit(X).components_, start, atol=1e-5)
    fitted = clone(model).set_params(max_iter=1).fit(X)
    np.testing.assert_allclose(fitted.components_, start[order], atol=1e-5)


@pytest.mark.parametrize("options", [{"early_stopping": True}, {"dropout": 0.5}, {"corruption": "masking"}])
def test_order_is_that_of_the_codes_of_transform(estimator, factors, options):
    X, Y = factors[:200], factors[:200, :2]
    estimator.set_params(n_components=4, architecture="linear_decoder", scaling="standard", max_iter=5, **options)
    estimator.fit(X, Y)
    variance = estimator.transform(X).var(axis=0)
    if not isinstance(estimator, AutoencoderTransformer):
        variance += np.square(estimator.transform(X, return_std=True)[1]).mean(axis=0)
    explained = np.square(estimator.components_ / X.std(axis=0)).sum(axis=1) * variance
    tolerance = 0.2 if "early_stopping" in options else 1e-4  # rows that are held out do not count
    np.testing.assert_allclose(estimator.relevance_, explained / explained.sum(), rtol=tolerance)
    ordered = (np.diff(estimator.relevance_) <= 0).all()
    assert ordered or isinstance(estimator, MultiTaskVAERegressor)


def test_no_loadings_without_a_linear_decoder(estimator, table):
    X, Y = table
    for name in ("components_", "relevance_", "column_names_"):
        assert not hasattr(clone(estimator), name)
    estimator.fit(X, Y)
    message = r"components_ needs a linear decoder: .* Got architecture='mlp', hidden_layer_sizes=\(8,\)"
    with pytest.raises(AttributeError, match=message):
        _ = estimator.components_
    with pytest.raises(AttributeError, match="relevance_ needs a linear decoder"):
        _ = estimator.set_params(hidden_layer_sizes=()).relevance_
    assert estimator.column_names_.tolist() == ["x0", "x1", "x2", "x3", "x4"]
