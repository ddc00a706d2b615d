"""What components and tasks stand for: loadings, their order, and the importance of features."""

import pickle

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.linalg import hadamard, subspace_angles
from sklearn.base import clone
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.exceptions import NotFittedError

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.architectures import ARCHITECTURES, linear_decoder
from sklearn_mtae.nn.likelihoods import Gaussian, Likelihood
from sklearn_mtae.nn.loadings import code_variance, is_reorderable, loadings, relevance, reorder
from sklearn_mtae.nn.models import VAE, Autoencoder
from sklearn_mtae.nn.posteriors import NormalPosterior
from sklearn_mtae.nn.priors import MixtureOfNormals, StandardNormal, VampPrior

METHODS = ["permutation", "gradient"]
LINEAR = {"hidden_layer_sizes": (), "dtype": "float64", "random_state": 0}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def pair_distance(column):
    """Return the mean distance of two cells: what shuffling moves a cell by, on average over all shufflings."""
    return np.abs(column[:, None] - column).mean()


# Loadings and their order.


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


# Importance of features.


def test_slopes_of_a_linear_encoder_are_its_weights():
    X = normal(300, 4) * [1, 10, 0.1, 3] + [0, 5, 7, 0]
    model = AutoencoderTransformer(2, **LINEAR).fit(X)
    weight = model.module_.encoder[0].weight.detach().numpy() / X.std(axis=0)
    exact = np.abs(weight) * X.std(axis=0) / model.transform(X).std(axis=0)[:, None]
    np.testing.assert_allclose(model.feature_importance(X, method="gradient").components, exact, rtol=1e-9)


def test_shuffling_a_linear_encoder_moves_it_by_its_weights():
    X = normal(60, 3) * [1, 10, 0.1]
    model = VAETransformer(2, **LINEAR, max_iter=20).fit(X)
    weight = model.module_.encoder[0].weight.detach().numpy()[:2] / X.std(axis=0)
    distance = [pair_distance(column) for column in X.T]
    exact = np.abs(weight) * distance / model.transform(X).std(axis=0)[:, None]
    found = model.feature_importance(X, n_repeats=200, random_state=0).components
    np.testing.assert_allclose(found, exact, rtol=0.03)


def test_normal_columns_have_both_importances_in_a_known_ratio():
    X = normal(3000, 3)
    model = VAETransformer(2, **LINEAR, max_iter=3).fit(X)
    shuffled, slope = (model.feature_importance(X, method=method, random_state=0).components for method in METHODS)
    np.testing.assert_allclose(shuffled / slope, 2 / np.sqrt(np.pi), rtol=0.05)


def test_slopes_are_differences_of_codes(table):
    X, _ = table
    X = X.copy()
    X[::7, 2] = np.nan
    model = VAETransformer(2, hidden_layer_sizes=(8,), activation="tanh", dtype="float64", random_state=0).fit(X)
    step = 1e-6 * np.nanstd(X, axis=0)
    slopes = [(model.transform(X + np.diag(step)[j]) - model.transform(X - np.diag(step)[j])) / 2e-6 for j in range(5)]
    exact = np.abs(slopes).mean(axis=1).T / model.transform(X).std(axis=0)[:, None]
    found = model.feature_importance(X, method="gradient").components
    np.testing.assert_allclose(found, exact, rtol=1e-4)


def test_shuffling_is_of_the_cells_missing_ones_too(table):
    X, _ = table
    X = X.copy()
    X[::3, 1] = np.nan
    model = AutoencoderTransformer(2, hidden_layer_sizes=(8,), max_iter=20, random_state=0).fit(X)
    found = model.feature_importance(X, random_state=3, n_repeats=1).components
    order, Z = np.random.RandomState(3).permutation(len(X)), model.transform(X)
    for j in range(5):
        shuffled = X.copy()
        shuffled[:, j] = X[order, j]
        exact = np.abs(model.transform(shuffled) - Z).mean(axis=0) / Z.std(axis=0)
        np.testing.assert_allclose(found[:, j], exact, rtol=1e-6)


@pytest.fixture(scope="module")
def tasks():
    """Six features, of which each task needs another one."""
    X = normal(400, 6) * [1, 10, 0.1, 1, 1, 1]
    return X, X[:, [1, 4]] * [1, -30] + [7, 0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sharing", ["hard", "private"])
def test_feature_of_each_regression_is_found(tasks, method, sharing):
    X, Y = tasks
    model = MultiTaskVAERegressor(2, hidden_layer_sizes=(32,), sharing=sharing, max_iter=30, random_state=0)
    model.set_params(learning_rate_init=4e-3).fit(X, Y)
    importance = model.feature_importance(X, method=method, random_state=0)
    assert importance.components.shape == (2, 6)
    assert importance.tasks.argmax(axis=1).tolist() == [1, 4]
    # The distance of two normal draws is 2 / sqrt(pi) standard deviations on average.
    expected = {"permutation": 2 / np.sqrt(np.pi), "gradient": 1.0}[method]
    np.testing.assert_allclose(importance.tasks[[0, 1], [1, 4]], expected, atol=0.15)
    assert np.delete(importance.tasks[0], 1).max() < 0.2
    assert np.delete(importance.tasks[1], 4).max() < 0.2


@pytest.mark.parametrize("method", METHODS)
def test_feature_of_each_classification_is_found(tasks, method):
    X, Y = tasks
    labels = np.column_stack([np.digitize(Y[:, 0], [2, 12]), Y[:, 1] > 0])
    model = MultiTaskVAEClassifier(3, hidden_layer_sizes=(32,), max_iter=30, random_state=0)
    model.set_params(learning_rate_init=4e-3).fit(X, labels)
    importance = model.feature_importance(X, method=method, random_state=0)
    assert importance.tasks.argmax(axis=1).tolist() == [1, 4]
    others = np.sort(importance.tasks, axis=1)[:, -2]
    assert (others < 0.35 * importance.tasks.max(axis=1)).all()


def test_importance_to_classes_is_the_length_of_the_change(tasks):
    X, Y = tasks
    labels = np.digitize(Y[:, 0], [2, 12])
    model = MultiTaskVAEClassifier(2, hidden_layer_sizes=(8,), max_iter=20, random_state=0).fit(X, labels)
    order, p = np.random.RandomState(0).permutation(len(X)), model.predict_proba(X)
    shuffled = X.copy()
    shuffled[:, 1] = X[order, 1]
    moved = np.linalg.norm(model.predict_proba(shuffled) - p, axis=1).mean()
    found = model.feature_importance(X, n_repeats=1, random_state=0).tasks
    assert found.shape == (1, 6)
    assert found[0, 1] == pytest.approx(moved / np.sqrt(p.var(axis=0).sum()))
    step = 1e-5 * X.std(axis=0)[1] * np.eye(6)[1]
    slope = np.linalg.norm(model.predict_proba(X + step) - model.predict_proba(X - step), axis=1).mean() / 2e-5
    found = model.feature_importance(X, method="gradient").tasks
    assert found[0, 1] == pytest.approx(slope / np.sqrt(p.var(axis=0).sum()), rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_category_is_one_feature(method):
    pandas = pytest.importorskip("pandas")
    kind, noise = np.random.default_rng(0).integers(3, size=300), normal(300)
    X = pandas.DataFrame({"noise": noise, "kind": np.array(["a", "b", "c"])[kind], "fixed": 1.0})
    X.loc[::9, "kind"] = None
    model = MultiTaskVAERegressor(2, hidden_layer_sizes=(16,), max_iter=20, learning_rate_init=4e-3, random_state=0)
    importance = model.fit(X, pandas.Series(np.array([-1.0, 0, 5])[kind], name="price")).feature_importance(
        X, method=method, random_state=0
    )
    assert importance.feature_names.tolist() == ["noise", "kind", "fixed"]
    assert importance.component_names.tolist() == ["multitaskvaeregressor0", "multitaskvaeregressor1"]
    assert importance.task_names.tolist() == ["price"]
    assert importance.components.shape == (2, 3)
    assert importance.tasks[0].argmax() == 1
    assert importance.tasks[0, 2] == 0
    assert (importance.components[:, 2] == 0).all()


def test_slope_of_a_category_is_the_length_of_those_of_its_levels():
    X = np.column_stack([normal(200), np.random.default_rng(0).integers(3, size=200)])
    model = VAETransformer(2, **LINEAR, max_iter=5, likelihood={1: "categorical"}).fit(X)
    weight = model.module_.encoder[0].weight.detach().numpy()[:2]
    expanded = np.column_stack([X[:, 0] / X[:, 0].std(), X[:, [1]] == np.arange(3)])
    slope = np.abs(weight) * expanded.std(axis=0) / model.transform(X).std(axis=0)[:, None]
    exact = np.column_stack([slope[:, 0], np.linalg.norm(slope[:, 1:], axis=1)])
    found = model.feature_importance(X, method="gradient")
    np.testing.assert_allclose(found.components, exact, rtol=1e-9)
    assert found.feature_names.tolist() == ["x0", "x1"]
    assert "tasks" not in found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("likelihood", ["multinomial", "poisson"])
def test_sparse_rows_are_as_dense_ones(method, likelihood):
    X = np.random.default_rng(0).poisson(0.4, size=(150, 6)).astype(float)
    assert (X.sum(axis=1) == 0).any()
    sparse = scipy.sparse.csr_array(X)
    model = VAETransformer(2, likelihood=likelihood, hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(sparse)
    found, expected = (model.feature_importance(x, method=method, random_state=0).components for x in (sparse, X))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert expected.max() < 10  # an empty row has no direction, and no slope


@pytest.mark.parametrize("method", METHODS)
def test_blocks_change_nothing(tasks, method, monkeypatch):
    X, Y = tasks
    model = MultiTaskVAERegressor(2, hidden_layer_sizes=(8,), max_iter=2, random_state=0).fit(X, Y)
    whole = model.feature_importance(X, method=method, random_state=0)
    monkeypatch.setattr("sklearn_mtae._base.block_rows", lambda n_columns: 7)
    parts = model.feature_importance(X, method=method, random_state=0)
    np.testing.assert_allclose(parts.components, whole.components)
    np.testing.assert_allclose(parts.tasks, whole.tasks)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_component_that_is_constant_has_no_importance(method, dtype):
    X = normal(50, 3).astype(dtype)

    def lazy(n_features, n_code, n_components, n_outputs):
        encoder = torch.nn.Linear(n_features, n_code)
        torch.nn.init.zeros_(encoder.weight[1])
        return encoder.requires_grad_(False), torch.nn.Linear(n_components, n_outputs)

    model = AutoencoderTransformer(2, architecture=lazy, max_iter=1, random_state=0).fit(X)
    found = np.sort(model.feature_importance(X, method=method, random_state=0).components.sum(axis=1))
    assert found[0] == 0
    assert found[1] > 0.1


def test_importance_is_reproducible_and_leaves_the_estimator_alone(estimator, table):
    X, Y = table
    estimator.fit(X, Y)
    Z, copied = estimator.transform(X), pickle.loads(pickle.dumps(estimator))
    first = estimator.feature_importance(X, random_state=3)
    np.testing.assert_array_equal(copied.feature_importance(X, Y, random_state=3).components, first.components)
    assert not np.array_equal(estimator.feature_importance(X, random_state=4).components, first.components)
    for method in METHODS:
        estimator.feature_importance(X, method=method)
    np.testing.assert_array_equal(estimator.transform(X), Z)
    assert vars(clone(estimator)).keys() == vars(type(estimator)(2)).keys()


def test_importance_with_flows(table):
    pytest.importorskip("zuko")
    X, _ = table
    model = VAETransformer(2, hidden_layer_sizes=(8,), posterior="flow", prior="flow", max_iter=2, random_state=0)
    model.set_params(architecture="linear_decoder").fit(X)
    assert not is_reorderable(model.module_)
    for method in METHODS:
        assert np.isfinite(model.feature_importance(X, method=method, random_state=0).components).all()


def test_errors_of_importance(estimator, table):
    X, Y = table
    with pytest.raises(NotFittedError):
        estimator.feature_importance(X)
    estimator.fit(X, Y)
    with pytest.raises(ValueError, match=r"method must be one of \['permutation', 'gradient'\]. Got 'shap' instead"):
        estimator.feature_importance(X, method="shap")
    with pytest.raises(ValueError, match="n_repeats == 0, must be >= 1"):
        estimator.feature_importance(X, n_repeats=0)
    with pytest.raises(ValueError, match="X has 4 features, but"):
        estimator.feature_importance(X[:, 1:])
