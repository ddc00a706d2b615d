"""Kernels beside the members of classifiers: fitted as scikit-learn's are, and to rows that were not left out."""

import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import log_loss

from sklearn_mtae import MultiTaskVAE, MultiTaskVAEClassifier
from sklearn_mtae._fitting.class_average import ClassAverage
from sklearn_mtae._fitting.kernel import KernelLearner, n_centres

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

RNG = np.random.default_rng(0)
# Squares of a board: classes that rows near by share, and no line between them.
X = RNG.uniform(-2, 2, size=(240, 2))
BOARD = (np.floor(X).sum(axis=1) % 2).astype(int)
KIND = np.digitize(X[:, 0], [-1, 1])
Y = np.column_stack([BOARD, KIND]).astype(float)
Y[::7, 0] = Y[::5, 1] = np.nan
SMALL = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1, "n_estimators": 4, "random_state": 0}
SIZES = [2, 3]


def standardised(rows):
    """Return rows in the units of networks."""
    far = np.abs(X - X.mean(axis=0)).max(axis=0)
    return (rows - X.mean(axis=0)) / np.maximum(X.std(axis=0), far / 2)


def drawn_in(rows):
    """Return rows as kernels see them: within ten units."""
    units = standardised(rows)
    return units / np.sqrt(1 + (units / 10) ** 2)


def expected(rows, train, task, weight=None):
    """Return what scikit-learn's kernel ridge regression of each class says, at least a hundredth, and in all 1."""
    chosen = train[~np.isnan(Y[train, task])]
    is_class = Y[chosen, task, None] == np.arange(SIZES[task])
    weight = np.ones(len(Y)) if weight is None else weight
    counts = weight[chosen] @ is_class
    rates = (counts + 1 / SIZES[task]) / (counts.sum() + 1)
    ridge = KernelRidge(alpha=1.0, kernel="rbf", gamma=2 / drawn_in(X).var(axis=0).sum())
    ridge.fit(drawn_in(X[chosen]), is_class - rates, sample_weight=weight[chosen] / weight[chosen].mean())
    shares = np.maximum(rates + ridge.predict(drawn_in(rows)), 0.02 / SIZES[task])
    return shares / shares.sum(axis=1, keepdims=True)


def recorded(monkeypatch, **settings):
    """Return a fitted classifier, and what its average was chosen from."""
    seen = {}
    calibrate = ClassAverage.calibrate

    def spied(kind, held_out, run, average, choice, outputs):
        seen.update(held_out=held_out, weights=choice.weights, outputs=outputs)
        return calibrate(kind, held_out, run, average, choice, outputs)

    monkeypatch.setattr(ClassAverage, "calibrate", spied)
    return MultiTaskVAEClassifier(**{**SMALL, **settings}).fit(X, Y), seen


@pytest.mark.parametrize("cv", [4, [(np.arange(80, 240), np.arange(80)), (np.arange(160), np.arange(160, 240))]])
def test_rows_are_left_out(cv, monkeypatch):
    """Rows are judged by a kernel of the others; those that no fold leaves out do not count."""
    _, seen = recorded(monkeypatch, cv=cv)
    held_out, own = seen["held_out"], seen["outputs"][-1]
    assert len(seen["outputs"]) == len(held_out.candidates) + 2  # base rates, and a kernel
    # Each of four folds is left out once.
    parts = held_out.positions if isinstance(cv, int) else [own for _, own in cv]
    rows = np.unique(np.concatenate(parts))
    trained = [np.setdiff1d(rows, part) for part in parts] if isinstance(cv, int) else [own for own, _ in cv]
    for part, train in zip(parts, trained, strict=False):
        for task, size in enumerate(SIZES):
            shares = own[np.searchsorted(rows, part), task, :size]
            np.testing.assert_allclose(shares, expected(X[part], train, task), rtol=1e-3, atol=1e-4)
    assert (own[:, 0, 2] == 0).all()  # a class of the other task


def test_probabilities_are_those_of_an_independent_computation(monkeypatch):
    model, seen = recorded(monkeypatch)
    average = model._fitted.average
    np.testing.assert_array_equal(average.kernel.weights, seen["weights"][-1])
    assert (average.kernel.weights > 0.5).all()
    later = RNG.uniform(-2, 2, size=(50, 2))
    fitted = {**vars(average), "kernel": None, "sharpness": None}
    for task, proba in enumerate(model.predict_proba(later)):
        own = average.kernel.weights[task]
        of_kernel = expected(later, np.arange(240), task)
        model._fitted.average = type(average)(**{**fitted, "weights": average.weights})
        rest = model.predict_proba(later)[task]  # members, and all that is left the base rates'
        model._fitted.average = average
        mixed = rest - own * average.base_rates[task] + own * of_kernel
        powers = mixed ** average.sharpness[task]
        np.testing.assert_allclose(proba, powers / powers.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-4)


def test_what_networks_smooth_over_is_found():
    """Networks of one epoch know nothing of a board; rows near by do."""
    rows = RNG.uniform(-2, 2, size=(500, 2))
    model, alone = (MultiTaskVAEClassifier(**SMALL, member_params=own).fit(X, BOARD) for own in ("auto", None))
    truth = np.floor(rows).sum(axis=1) % 2
    assert log_loss(truth, model.predict_proba(rows)) < 0.5 < log_loss(truth, alone.predict_proba(rows))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
    np.testing.assert_allclose(model.predict_proba(rows[:1]), model.predict_proba(rows)[:1], rtol=1e-5)


@pytest.mark.parametrize(
    "settings", [{"member_params": None}, {"member_params": [{}]}, {"hidden_layer_sizes": ()}, {"n_estimators": 1}]
)
def test_no_kernel_where_members_were_given(settings):
    assert MultiTaskVAEClassifier(**{**SMALL, **settings}).fit(X, BOARD)._fitted.average.kernel is None


def test_tasks_of_numbers_have_none():
    """Of a mixed table the classes alone have a kernel; their part is the classifier's, the numbers' their members'."""
    targets = pd.DataFrame({"number": X[:, 0] + 0.1 * X[:, 1], "board": np.where(BOARD, "black", "white")})
    model = MultiTaskVAE(**SMALL).fit(X, targets)
    weights = model._fitted.average.kernel.weights
    assert weights[0] == 0 < weights[1]
    proba = model.predict_proba(X)["board"].to_numpy()
    assert log_loss(BOARD == 0, proba) < 0.5
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    assert np.isfinite(model.predict(X)["number"]).all()


def test_weights_are_those_of_rows():
    """A row of weight 2 is as two rows, where the mean of the weights stays as it is."""
    weight = RNG.uniform(0.5, 2, size=240)
    known = np.where(np.isnan(Y), 0, weight[:, None])
    learner = KernelLearner(drawn_in(X), Y, known, 3)
    rates = np.zeros((2, 3))
    for task, size in enumerate(SIZES):
        counts = np.array([known[Y[:, task] == code, task].sum() for code in range(size)])
        rates[task, :size] = (counts + 1 / size) / (counts.sum() + 1)
    kernel = learner.fit(np.ones(240, dtype=bool), rates)
    shares = kernel(SimpleNamespace(fill=lambda x: x), torch.from_numpy(standardised(X))).numpy()
    for task, size in enumerate(SIZES):
        np.testing.assert_allclose(shares[:, task, :size], expected(X, np.arange(240), task, weight), rtol=1e-4)


def test_rows_to_learn_from():
    assert n_centres(np.ones((5, 100))) == 2_000
    assert n_centres(np.eye(80)) == 1_000  # eight times as many systems, each of an eighth of the time
