"""Averages of numbers: each row as it is alone, in several threads, within bounded memory."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._engine import side_by_side
from sklearn_mtae._fitting.adapt import member_params
from sklearn_mtae._fitting.run import ModelRunner

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 4))
Y = X[:, :2] ** 2 + RNG.normal(size=(150, 2)) / 4


@pytest.fixture(scope="module")
def fitted():
    settings = member_params("numbers", *X.shape)  # as by default, but no kernel counts
    return MultiTaskVAERegressor(n_estimators=6, member_params=settings, max_iter=4, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def of_kernel():
    model = MultiTaskVAERegressor(n_estimators=6, max_iter=4, random_state=0).fit(X, Y)
    assert model._fitted.average.baseline.kernel.weights.any()
    return model


@pytest.fixture(scope="module")
def classifier():
    return MultiTaskVAEClassifier(n_estimators=4, max_iter=4, random_state=0).fit(X, (Y > 1).astype(int))


def test_a_row_has_the_same_bits_whatever_rows_come_with_it(fitted, of_kernel, classifier):
    stds = (lambda x, own=own: own.predict(x, return_std=True)[1] for own in (fitted, of_kernel))
    for ask in (fitted.predict, of_kernel.predict, *stds, classifier.predict_log_proba):
        whole = np.stack(ask(X), axis=0)
        parts = np.concatenate([np.stack(ask(X[k : k + 7]), axis=0) for k in range(0, 150, 7)], whole.ndim - 2 and 1)
        np.testing.assert_allclose(parts, whole, rtol=1e-13)


def one_by_one(ask, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(ModelRunner, "_several", lambda *args: None)
        return ask()


def test_side_by_side_is_one_by_one(fitted, classifier, monkeypatch):
    for ask, tol in (
        (partial(fitted.predict, X), 1e-6),
        (lambda: fitted.predict(X, return_std=True)[1], 1e-3),  # rounding moves the quasi-random draws
        (lambda: np.stack(classifier.predict_proba(X)), 1e-6),
    ):
        np.testing.assert_allclose(ask(), one_by_one(ask, monkeypatch), rtol=tol, atol=tol)


def test_training_in_float64_is_averaged_in_float64(monkeypatch):
    model = MultiTaskVAERegressor(n_estimators=3, max_iter=2, dtype="float64", random_state=0).fit(X, Y)
    ask = partial(model.predict, X)
    np.testing.assert_allclose(ask(), one_by_one(ask, monkeypatch), rtol=1e-12)


def test_rows_beyond_float32_are_computed_in_float64(fitted, monkeypatch):
    far = X[:3] * 1e60
    ask = partial(fitted.predict, far)
    np.testing.assert_allclose(ask(), one_by_one(ask, monkeypatch), rtol=1e-10)


@pytest.mark.parametrize("which", ["fitted", "of_kernel"])
def test_two_threads_predict_at_once(which, request):
    model = request.getfixturevalue(which)
    expected = model.predict(X)
    model._fitted.cache.clear()
    with ThreadPoolExecutor(4) as pool:
        for rows, found in pool.map(lambda k: (slice(k, k + 9), model.predict(X[k : k + 9])), range(0, 150, 9)):
            np.testing.assert_array_equal(found, expected[rows])


def test_models_are_put_side_by_side_once(fitted, monkeypatch):
    fitted.predict(X)

    def never(*args):
        raise AssertionError

    monkeypatch.setattr("sklearn_mtae._fitting.run.several", never)
    monkeypatch.setattr(side_by_side, "Program", never)
    fitted.predict(X)


def test_memory_is_bounded_by_blocks(fitted, monkeypatch):
    expected, sizes = fitted.predict(X), []
    call = side_by_side.SideBySide.__call__
    n_states = len(fitted._fitted.counted_states()[0])
    monkeypatch.setattr(side_by_side, "CELLS", n_states * 128 * 40)  # cells of all layers of 128 units, for 40 rows

    def counting(self, function, x):
        sizes.append(len(x))
        return call(self, function, x)

    monkeypatch.setattr(side_by_side.SideBySide, "__call__", counting)
    np.testing.assert_array_equal(fitted.predict(X), expected)
    assert max(sizes) == 32


class Layer(nn.Module):
    """A module of a user's own, that looks at its numbers."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.linear = nn.Linear(n_inputs, n_outputs)

    def forward(self, x):
        return self.linear(x if float(x.detach().sum()) > -1e30 else -x)


def architecture(n_features, n_code, n_components, n_outputs):
    return Layer(n_features, n_code), Layer(n_components, n_outputs)


@pytest.mark.filterwarnings("ignore:.*trained one after the other")
def test_modules_of_users_are_run_one_by_one():
    model = MultiTaskVAERegressor(n_estimators=2, architecture=architecture, max_iter=2, random_state=0).fit(X, Y)
    weights = model._fitted.average.weights
    each = [model._runner.model(torch.float64, state=k) for k in range(len(weights))]
    x = torch.from_numpy(X)
    with torch.inference_mode():
        means = [own.predict(own.encode(own.units(x))).numpy() for own in each]
    left = (1 - weights.sum(axis=0)) * model._fitted.average.baseline.intercepts
    np.testing.assert_allclose(model.predict(X), np.einsum("kt,knt->nt", weights, np.stack(means)) + left)
