"""What each feature matters to the components and to the tasks."""

import pickle
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.loadings import is_reorderable

METHODS = ["permutation", "gradient"]
LINEAR = {"hidden_layer_sizes": (), "dtype": "float64", "random_state": 0}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def pair_distance(column):
    """Return the mean distance of two cells: what shuffling moves a cell by, on average over all shufflings."""
    return np.abs(column[:, None] - column).mean()


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
    model = MultiTaskVAERegressor(
        2, n_estimators=1, hidden_layer_sizes=(32,), sharing=sharing, max_iter=30, random_state=0
    )
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
    model = MultiTaskVAEClassifier(3, hidden_layer_sizes=(32,), n_estimators=1, max_iter=30, random_state=0)
    model.set_params(learning_rate_init=4e-3).fit(X, labels)
    importance = model.feature_importance(X, method=method, random_state=0)
    assert importance.tasks.argmax(axis=1).tolist() == [1, 4]
    others = np.sort(importance.tasks, axis=1)[:, -2]
    assert (others < 0.35 * importance.tasks.max(axis=1)).all()


def test_importance_to_classes_is_the_length_of_the_change(tasks):
    X, Y = tasks
    labels = np.digitize(Y[:, 0], [2, 12])
    # Smooth: a step of the finite difference must not cross a kink.
    model = MultiTaskVAEClassifier(
        2, hidden_layer_sizes=(8,), activation="tanh", n_estimators=1, max_iter=20, random_state=0
    )
    model.fit(X, labels)
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
@pytest.mark.parametrize("kind", [MultiTaskVAERegressor, MultiTaskVAEClassifier])
def test_importance_to_tasks_is_the_mean_over_the_members_of_an_ensemble(tasks, kind, method, monkeypatch):
    """Each member alone, in the place of the first, and the mean of all by their weights."""
    monkeypatch.setattr("sklearn_mtae._fitting.class_average.are_quick", lambda *_: False)
    X, Y = tasks
    # Linear tasks are left to the linear baseline.
    Y = Y > [7, 0] if kind is MultiTaskVAEClassifier else np.abs(Y - [7, 0])
    model = kind(2, n_estimators=3, hidden_layer_sizes=(16,), max_iter=20, member_params=None, random_state=0)
    model.set_params(learning_rate_init=1e-2).fit(X[:200], Y[:200])
    fitted = model._fitted
    asked = {"method": method, "n_repeats": 1, "random_state": 0}
    found = model.feature_importance(X[:100], **asked)
    positions, weights = fitted.counted_states()
    assert len(positions) > 1
    alone = []
    for k in [0, *positions]:
        average = replace(fitted.average, weights=None)
        single = replace(
            fitted, states=[fitted.state_of(k)], settings=[fitted.setting_of(k)], average=average, cache={}
        )
        member = copy(model)
        member._fitted = single
        alone.append(member.feature_importance(X[:100], **asked))
    expected = np.einsum("kt,ktf->tf", weights / weights.sum(axis=0), np.stack([own.tasks for own in alone[1:]]))
    np.testing.assert_allclose(found.tasks, expected, rtol=1e-4)
    np.testing.assert_allclose(found.components, alone[0].components, rtol=1e-4)
    assert not np.allclose(found.tasks, alone[0].tasks, rtol=1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_a_category_is_one_feature(method):
    pandas = pytest.importorskip("pandas")
    kind, noise = np.random.default_rng(0).integers(3, size=300), normal(300)
    X = pandas.DataFrame({"noise": noise, "kind": np.array(["a", "b", "c"])[kind], "fixed": 1.0})
    X.loc[::9, "kind"] = None
    model = MultiTaskVAERegressor(
        2, n_estimators=1, hidden_layer_sizes=(16,), max_iter=20, learning_rate_init=4e-3, random_state=0
    )
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
    model = MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(8,), max_iter=2, random_state=0).fit(X, Y)
    whole = model.feature_importance(X, method=method, random_state=0)
    monkeypatch.setattr("sklearn_mtae._fitting.run.block_rows", lambda n_columns: 7)
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


def test_importance_of_what_is_too_far_is_an_error():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)) * [1e-300, 1, 1]
    model = VAETransformer(2, hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X)
    assert np.isfinite(model.feature_importance(X, method="gradient").components).all()
    far = np.c_[rng.normal(size=40), X[:, 1:]]
    with pytest.raises(ValueError, match="importance of column 0 is not finite: X is too far from"):
        model.feature_importance(far, method="gradient")
