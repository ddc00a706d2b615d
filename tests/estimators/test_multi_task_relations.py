"""What tasks are known to have to do with each other, and an encoder that is known beforehand."""

import pickle
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.loss import head_distance
from sklearn_mtae.nn.sharing import SHARINGS
from tests.conftest import ESTIMATORS


def regressor(**parameters):
    small = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
    return MultiTaskVAERegressor(n_estimators=1, **{**small, **parameters})


def test_distance_of_heads_is_a_sum_over_pairs():
    rng = np.random.default_rng(0)
    parameters = [rng.normal(size=shape) for shape in ((4, 3, 2), (4, 3), (4, 1))]
    similarity = rng.random((4, 4))
    similarity += similarity.T
    expected = sum(
        similarity[s, t] / 2 * sum(((p[s] - p[t]) ** 2).sum() for p in parameters) for s, t in combinations(range(4), 2)
    )
    distance = head_distance([torch.from_numpy(p) for p in parameters], torch.from_numpy(similarity))
    assert float(distance) == pytest.approx(expected)


def heads_of(model):
    """Return the heads' own parameters, one row per task."""
    return np.hstack([p.detach().numpy().reshape(len(p), -1) for p in model.module_.heads.own()])


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("sharing", sorted(SHARINGS))
def test_similar_tasks_have_similar_heads(table, sharing, layer_norm):
    model = regressor(sharing=sharing, layer_norm=layer_norm, max_iter=60, learning_rate_init=0.03, alpha=0.0)
    similarity = np.zeros((3, 3))
    similarity[0, 1] = similarity[1, 0] = 1e3
    heads = heads_of(model.set_params(task_similarity=similarity).fit(*table))
    assert np.abs(heads[0] - heads[1]).max() < 0.05 < np.abs(heads[0] - heads[2]).max() / 3
    assert model.term_curves_["similarity"][-1] < 0.1 * model.term_curves_["similarity"][0]


def test_no_similarity_changes_nothing(table):
    X, Y = table
    without = regressor().fit(X, Y).predict(X)
    np.testing.assert_array_equal(regressor(task_similarity=np.zeros((3, 3))).fit(X, Y).predict(X), without)
    np.testing.assert_array_equal(regressor(task_similarity=7 * np.eye(3)).fit(X, Y).predict(X), without)
    assert not np.array_equal(regressor(task_similarity=np.ones((3, 3))).fit(X, Y).predict(X), without)


def test_frame_is_aligned_by_name(table):
    X, Y = table
    names = ["a", "b", "c"]
    similarity = np.array([[0, 5, 1], [5, 0, 0], [1, 0, 0.0]])
    frame = pd.DataFrame(similarity, names, names)
    similarity.flags.writeable = False  # as a memory map is
    shuffled = frame.loc[["c", "a", "b"], ["b", "c", "a"]]
    targets = pd.DataFrame(Y, columns=names)
    in_order = regressor(task_similarity=similarity).fit(X, targets).predict(X)
    np.testing.assert_array_equal(regressor(task_similarity=shuffled).fit(X, targets).predict(X), in_order)
    np.testing.assert_array_equal(regressor(task_similarity=similarity.tolist()).fit(X, targets).predict(X), in_order)
    other = frame.loc[["c", "a", "b"], ["c", "a", "b"]].to_numpy()
    assert not np.array_equal(regressor(task_similarity=other).fit(X, targets).predict(X), in_order)


@pytest.mark.parametrize(
    ("similarity", "message"),
    [
        (np.ones((2, 2)), r"task_similarity must have shape \(3, 3\). Got \(2, 2\)"),
        (np.ones(3), "Expected 2D array"),
        ([[0, 1, 2], [1, 0, 3], [2, 4, 0]], r"must be symmetric. Got 3 for \('b', 'c'\) and 4 the other way round"),
        ([[0, 1, -2], [1, 0, 3], [-2, 3, 0]], r"must be >= 0. Got -2 for \('a', 'c'\)"),
        (np.full((3, 3), np.nan), "task_similarity contains NaN"),
        (np.full((3, 3), np.inf), "task_similarity contains infinity"),
        (pd.DataFrame(np.ones((3, 3)), list("acb"), list("xyz")), r"must name the tasks \['a', 'b', 'c'\] on both"),
        (pd.DataFrame(np.ones((3, 3)), columns=list("abc")), r"must name the tasks \['a', 'b', 'c'\] on both"),
    ],
)
def test_errors_of_similarity(table, similarity, message):
    X, Y = table
    with pytest.raises(ValueError, match=message):
        regressor(task_similarity=similarity).fit(X, pd.DataFrame(Y, columns=list("abc")))


class Given(torch.nn.Module):
    """An encoder that is not learned: the features are the code, nearly without noise."""

    def forward(self, x):
        return torch.cat([x, torch.full_like(x, -20.0)], dim=-1)


def given_code(n_features, n_code, n_components, n_outputs):
    return Given(), torch.nn.Linear(n_components, n_outputs)


def test_optimum_of_linear_heads_is_known():
    """With a given code, squared errors and the graph penalty make one linear system."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 4))
    Y[rng.random(Y.shape) < 0.4] = np.nan
    similarity = rng.random((4, 4))
    similarity = similarity + similarity.T - 2 * np.diag(np.diag(similarity))
    model = MultiTaskVAERegressor(
        3,
        n_estimators=1,
        architecture=given_code,
        head_hidden_layer_sizes=(),
        task_likelihoods="squared_error",
        task_similarity=similarity,
        beta=0.0,
        reconstruction_weight=0.0,
        scaling="standard",
        alpha=0.0,
        batch_size=None,
        learning_rate_init=0.05,
        max_iter=300,
        dtype="float64",
        random_state=0,
    ).fit(X, Y)
    code = np.column_stack([(X - X.mean(0)) / X.std(0), np.ones(40)])
    targets = (Y - np.nanmean(Y, 0)) / np.nanstd(Y, 0)
    system = np.kron(np.diag(similarity.sum(0)) - similarity, np.eye(4))
    right = []
    for task in range(4):
        labelled = ~np.isnan(Y[:, task])
        own, n_labels = code[labelled], labelled.sum()
        system[4 * task : 4 * task + 4, 4 * task : 4 * task + 4] += own.T @ own / n_labels
        right.append(own.T @ targets[labelled, task] / n_labels)
    heads = np.linalg.solve(system, np.concatenate(right)).reshape(4, 4)
    np.testing.assert_allclose(heads_of(model), heads, atol=1e-3)
    np.testing.assert_allclose(model.predict(X), code @ heads.T * np.nanstd(Y, 0) + np.nanmean(Y, 0), atol=5e-3)


@pytest.fixture(params=ESTIMATORS, ids=lambda source: source.__name__)
def source(request, table):
    return request.param(3, hidden_layer_sizes=(8,), max_iter=5, random_state=1).fit(*table)


def still(encoder, **parameters):
    """Return an estimator that is where it starts."""
    return regressor(
        **{"n_components": 3, "encoder": encoder, "max_iter": 1, "learning_rate_init": 1e-12, "alpha": 0.0} | parameters
    )


def weights(encoder):
    return {name: value.numpy().copy() for name, value in encoder.state_dict().items()}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("n_components", [1, 3, 5])
def test_code_starts_as_that_of_the_source(source, table, frozen, n_components):
    X, Y = table
    model = still(source, n_components=n_components, freeze_encoder=frozen).fit(X[:30], Y[:30])
    mean, std = model.transform(X, return_std=True)
    kept = min(3, n_components)
    np.testing.assert_allclose(mean[:, :kept], source.transform(X)[:, :kept], atol=1e-9)
    np.testing.assert_allclose(mean[:, kept:], 0.0, atol=1e-9)
    np.testing.assert_allclose(std[:, kept:], 1.0, atol=1e-9)
    known = isinstance(source, AutoencoderTransformer)
    expected = np.exp(-2.0) if known else source.transform(X, return_std=True)[1][:, :kept]
    np.testing.assert_allclose(std[:, :kept], np.broadcast_to(expected, (60, kept)), atol=1e-9)


def test_units_are_those_of_the_source(source, table):
    X, Y = table
    model = still(source).fit(3 * X[:20], Y[:20])
    for name in ("location", "scale"):
        torch.testing.assert_close(getattr(model.module_.units, name), getattr(source.module_.units, name))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_frozen_encoder_stays(source, table, dtype):
    model = regressor(encoder=source, freeze_encoder=True, max_iter=15, learning_rate_init=0.03, dtype=dtype)
    model.fit(*table).partial_fit(*table)
    model.set_params(warm_start=True).fit(*table)
    before, after = weights(source.module_.encoder), weights(model.module_.encoder.encoder)
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
    adapter = model.module_.encoder.adapter.weight.numpy()
    assert np.abs(adapter[:2, :3] - np.eye(2, 3)).max() > 0.05
    assert not model.module_.encoder.encoder.training


def test_free_encoder_moves_and_its_source_does_not(source, table):
    before = weights(source.module_.encoder)
    model = regressor(encoder=source, max_iter=20, learning_rate_init=0.01).fit(*table)
    for name, value in weights(model.module_.encoder.encoder).items():
        assert not np.array_equal(value, before[name])
        np.testing.assert_array_equal(source.module_.encoder.state_dict()[name], before[name])


def test_dropout_of_a_frozen_encoder_is_off(table):
    X, Y = table
    source = VAETransformer(2, hidden_layer_sizes=(8,), dropout=0.5, max_iter=2, random_state=0).fit(X)
    x = torch.randn(20, 5)
    for frozen in (True, False):
        module = regressor(encoder=source, freeze_encoder=frozen).fit(X, Y).module_.train()
        assert torch.equal(module.encoder(x), module.encoder(x)) == frozen
    assert module.training


def test_classifier_on_an_encoder(source, table):
    X, Y = table
    model = MultiTaskVAEClassifier(3, encoder=source, freeze_encoder=True, max_iter=40, learning_rate_init=0.02)
    high = np.greater(Y, np.median(Y, 0))
    assert model.set_params(random_state=0, n_estimators=1).fit(X, high).score(X, high) > 0.8


def test_private_components_of_source_and_model(table):
    X, Y = table
    source = regressor(n_components=3, sharing="private").fit(X, Y)
    for sharing in ("hard", "private"):
        model = still(source, sharing=sharing).fit(X, Y)
        np.testing.assert_allclose(model.transform(X), source.transform(X), atol=1e-9)


def test_encoder_of_an_encoder(source, table):
    X, Y = table
    second = still(still(source, freeze_encoder=True).fit(X, Y)).fit(X, Y)
    np.testing.assert_allclose(second.transform(X), source.transform(X), atol=1e-9)


def test_frozen_estimator_in_a_search(source, table):
    X, Y = table
    frozen = FrozenEstimator(source)
    search = GridSearchCV(regressor(encoder=frozen), {"freeze_encoder": [True, False]}, cv=2, error_score="raise")
    best = search.fit(X, Y).best_estimator_
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    expected = regressor(encoder=source, **search.best_params_).fit(X, Y).predict(X)
    np.testing.assert_array_equal(best.predict(X), expected)


def test_bare_estimator_in_a_search(source, table):
    search = GridSearchCV(regressor(encoder=source), {"beta": [0.1, 1.0]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match=r"(?s)encoder must be fitted\. .* Wrap the fitted encoder in sklearn\.frozen"):
        search.fit(*table)


def test_model_outlives_its_source(source, table):
    X, Y = table
    model = regressor(encoder=source).fit(X, Y)
    prediction, saved = model.predict(X), pickle.dumps(model)
    source.set_params(n_components=1, hidden_layer_sizes=(3, 2)).fit(X, Y)
    model.set_params(encoder=None)
    np.testing.assert_array_equal(pickle.loads(saved).predict(X), prediction)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), prediction)
    np.testing.assert_allclose(model.predict(X.astype(np.float32)), prediction, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("ours", ["poisson", "negative_binomial"])
def test_counts(table, ours):
    counts = np.random.default_rng(0).poisson([1, 20, 3, 0.5, 7], size=(60, 5))
    source = VAETransformer(3, hidden_layer_sizes=(8,), likelihood="poisson", max_iter=5, random_state=0).fit(counts)
    model = still(source, likelihood=ours).fit(counts[:20] + 5, table[1][:20])
    np.testing.assert_allclose(model.transform(counts), source.transform(counts), atol=1e-6)


@pytest.mark.parametrize("ours", ["gaussian", "squared_error", "student_t"])
def test_likelihoods_of_location_and_scale_go_together(source, table, ours):
    X, Y = table
    np.testing.assert_allclose(still(source, likelihood=ours).fit(X, Y).transform(X), source.transform(X), atol=1e-9)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("gaussian", "bernoulli"), ("bernoulli", "gaussian"), ("bernoulli", "poisson"), ("poisson", "bernoulli")],
)
def test_likelihoods_that_do_not_go_together(table, theirs, ours):
    X = np.random.default_rng(0).integers(0, 2, size=(60, 5))
    source = VAETransformer(2, hidden_layer_sizes=(8,), likelihood=theirs, max_iter=1, random_state=0).fit(X)
    with pytest.raises(ValueError, match=f"likelihood must .*Got '{ours}' and '{theirs}'"):
        regressor(encoder=source, likelihood=ours).fit(X, table[1])


def test_errors_of_encoder(source, table):
    X, Y = table
    frame = pd.DataFrame(X, columns=list("abcde"))
    named = clone(source).fit(frame, Y)
    with pytest.raises(ValueError, match=r"(?s)encoder must be fitted. Got .*, which is not"):
        regressor(encoder=clone(source)).fit(X, Y)
    with pytest.raises(ValueError, match=r"encoder must be a fitted autoencoder of this package. Got PCA"):
        regressor(encoder=PCA(2).fit(X)).fit(X, Y)
    with pytest.raises(ValueError, match=r"'encoder' parameter of MultiTaskVAERegressor must be"):
        regressor(encoder="pca").fit(X, Y)
    with pytest.raises(ValueError, match=r"encoder must be fitted to the features of X, 4. It was fitted to 5"):
        regressor(encoder=source).fit(X[:, :4], Y)
    with pytest.raises(ValueError, match=r"features of X, \['e', .*\]. It was fitted to \['a', 'b', 'c', 'd', 'e'\]"):
        regressor(encoder=named).fit(frame[list("edcba")], Y)
    assert regressor(encoder=named).fit(X, Y).predict(X).shape == (60, 3)
