"""Averages of class probabilities: what is chosen, how sharp it becomes, and the sets of classes that it gives."""

import pickle
from functools import partial

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.metrics import log_loss

from sklearn_mtae import MultiTaskVAEClassifier
from sklearn_mtae._fitting.class_average import ClassAverage, base_rates, best_sharpness
from sklearn_mtae._fitting.selection import N_PICKS, select

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "head_hidden_layer_sizes": (4,), "max_iter": 8}
DIFFERENT = [{"dropout": 0.1}, {"alpha": 0.0, "learning_rate_init": 0.01}]
classifier = partial(
    MultiTaskVAEClassifier, **SMALL, n_estimators=6, member_params=DIFFERENT, validation_fraction=1 / 3, random_state=0
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 5))
KIND = np.digitize(X[:, 0] + 0.5 * RNG.normal(size=90), [-0.5, 0.5])
SIGN = np.where(X[:, 1] + RNG.normal(size=90) > 0, "up", "down").astype(object)
Y = np.column_stack([KIND.astype(object), SIGN])
Y[RNG.random(Y.shape) < 0.2] = None


def mean_loss(probabilities, folds, weight):
    """Return the mean over folds of the log loss."""
    parts = [folds == fold for fold in np.unique(folds)]
    return np.mean([np.average(-np.log(probabilities[own]), weights=weight[own]) for own in parts])


def test_selection_is_greedy():
    weight, folds = RNG.uniform(0.1, 2, size=40), RNG.integers(4, size=40) * 3
    candidates = RNG.uniform(0.05, 0.95, size=(5, 40))
    weights = select(candidates, folds, weight, ClassAverage.loss)
    picked = []
    for _ in range(N_PICKS):
        losses = [mean_loss(np.mean([*picked, own], axis=0), folds, weight) for own in candidates]
        picked.append(candidates[int(np.argmin(losses))])
    np.testing.assert_allclose(weights @ candidates, np.mean(picked, axis=0))
    assert weights.sum() == pytest.approx(1)


def test_base_rates():
    labels = np.array([0.0, 2, 2, np.nan, 1])
    np.testing.assert_allclose(base_rates(labels, np.array([1.0, 1, 2, 9, 0]), 3), np.array([4, 1, 10]) / 15)
    assert base_rates(np.full(3, np.nan), np.ones(3), 2).tolist() == [0.5, 0.5]
    assert base_rates(np.zeros(3), np.ones(3), 1).tolist() == [1]


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_sharpness_is_found(factor):
    """Labels that were drawn from log-probabilities times a factor give the factor."""
    logs = log_softmax(RNG.normal(size=(20_000, 3)), axis=1)
    codes = np.array([RNG.choice(3, p=own) for own in softmax(factor * logs, axis=1)])
    assert best_sharpness(logs, codes, np.ones(len(codes))) == pytest.approx(factor, rel=0.06)


def test_sharpness_of_few_rows_is_held_back():
    """One row that is right would have it infinite, one that is wrong zero."""
    logs = np.log([[0.9, 0.1]])
    right, wrong = (best_sharpness(logs, np.array([code]), np.ones(1)) for code in (0, 1))
    assert 0.85 < wrong < 1 < right < 1.05
    assert best_sharpness(logs[:0], np.array([], dtype=int), np.ones(0)) == 1
    assert best_sharpness(np.zeros((4, 1)), np.zeros(4, dtype=int), np.ones(4)) == 1


def alone(model, k):
    """Return an estimator whose only model is one of another's, in its setting."""
    fitted = model._fitted
    member = k if k < len(fitted.states) else fitted.average.earlier[k - len(fitted.states)][0]
    single = clone(model).set_params(n_estimators=1, member_params=None, **fitted.settings[member]).fit(X, Y)
    single._fitted.states, single._fitted.seed = [fitted.state_of(k)], fitted.seed
    single._fitted.cache.clear()
    return single


@pytest.mark.parametrize("early_stopping", [False, True])
def test_probabilities_are_weighted_and_sharpened(early_stopping, monkeypatch):
    """Those of an independent computation, from models that are run one by one; without regressions."""
    monkeypatch.setattr("sklearn_mtae._fitting.class_average.are_quick", lambda *_: False)
    model = classifier(early_stopping=early_stopping, n_iter_no_change=1, tol=0.01).fit(X, Y)
    average = model._fitted.average
    each = [alone(model, k) for k in range(len(model._fitted.states) + len(average.earlier))]
    for own in each:
        own._fitted.average.sharpness = None
    for task, proba in enumerate(model.predict_proba(X)):
        labels = Y[:, task][Y[:, task] != None]  # noqa: E711
        counts = np.array([(labels == kind).sum() for kind in model.classes_[task]])
        rates = (counts + 1 / len(counts)) / (counts.sum() + 1)
        weights = average.weights[:, task]
        mean = sum(weight * own.predict_proba(X)[task] for weight, own in zip(weights, each, strict=True))
        mean = mean + (1 - weights.sum()) * rates
        expected = mean ** average.sharpness[task]
        np.testing.assert_allclose(proba, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)
        np.testing.assert_array_equal(model.predict(X)[:, task], model.classes_[task][proba.argmax(axis=1)])


def test_noise_is_predicted_by_base_rates():
    noise = RNG.normal(size=(200, 20))
    labels = (RNG.random(200) < 0.2).astype(int)
    others = RNG.normal(size=(2_000, 20))
    truth = (RNG.random(2_000) < 0.2).astype(int)
    model = MultiTaskVAEClassifier(n_estimators=10, max_iter=20, random_state=0).fit(noise, labels)
    proba = model.predict_proba(others)[:, 1]
    assert log_loss(truth, proba) < log_loss(truth, np.full(2_000, labels.mean())) + 0.02


def make_rows(rng, n_rows):
    rows = rng.normal(size=(n_rows, 4))
    logits = np.stack([rows[:, 0] * 1.5, rows[:, 1], -rows[:, 2], 0.5 * rows[:, 3]], axis=1)
    kinds = np.array([rng.choice(4, p=own) for own in softmax(logits, axis=1)])
    return rows, np.column_stack([kinds, rng.random(n_rows) < 1 / (1 + np.exp(-2 * rows[:, 0]))]).astype(float)


@pytest.mark.parametrize("settings", [{"n_estimators": 9}, {"n_estimators": 1, "early_stopping": True}])
def test_sets_hold_what_they_say(settings):
    rng = np.random.default_rng(1)
    rows, labels = make_rows(rng, 1_500)
    labels[rng.random(labels.shape) < 0.3] = np.nan
    later, truth = make_rows(rng, 5_000)
    settings = {**settings, "validation_fraction": 0.4 if settings["n_estimators"] == 1 else 0.1}
    model = MultiTaskVAEClassifier(max_iter=8, random_state=0, **settings).fit(rows, labels)
    wide, narrow = model.predict_set(later), model.predict_set(later, coverage=0.6)
    for task, codes in enumerate(truth.T.astype(int)):
        assert wide[task].dtype == bool
        assert wide[task].shape == (5_000, len(model.classes_[task]))
        held = wide[task][np.arange(5_000), codes].mean()
        assert held == pytest.approx(0.9, abs=0.04 if settings["n_estimators"] == 1 else 0.025)
        assert narrow[task][np.arange(5_000), codes].mean() == pytest.approx(0.6, abs=0.08)
        assert (narrow[task] <= wide[task]).all()


def test_sets_are_those_of_the_threshold():
    """A class is in the set where it is at least as probable as the label that the coverage's rank says."""
    model = classifier().fit(X, Y)
    for task, (members, proba) in enumerate(zip(model.predict_set(X, 0.8), model.predict_proba(X), strict=True)):
        scores = np.sort(model._fitted.average.scores[task])
        assert len(scores) == sum(label is not None for label in Y[:, task])
        limit = scores[int(np.ceil((len(scores) + 1) * 0.8)) - 1]
        np.testing.assert_array_equal(members, -np.log(proba) <= limit)


def test_sets_of_one_column_of_labels():
    model = classifier().fit(X, KIND)
    members = model.predict_set(X)
    assert members.shape == (90, 3)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_set(X), members)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_sets_that_cannot_be():
    with pytest.raises(ValueError, match="predict_set needs rows that were held out"):
        MultiTaskVAEClassifier(**SMALL, n_estimators=1).fit(X, KIND).predict_set(X)
    model = classifier().fit(X, KIND)
    with pytest.raises(ValueError, match="'y0', which has 90"):
        model.predict_set(X, coverage=0.995)
    for coverage in (0, 1, np.nan, "x"):
        with pytest.raises((ValueError, TypeError), match="coverage"):
            model.predict_set(X, coverage=coverage)


def test_balanced_classes_have_equal_base_rates():
    labels = (X[:, 0] > 1).astype(int)
    model = classifier(class_weight="balanced").fit(X, labels)
    np.testing.assert_allclose(model._fitted.average.base_rates[0], [0.5, 0.5])


def test_what_auto_becomes():
    model = MultiTaskVAEClassifier(n_components=2, max_iter=1, random_state=0).fit(X, Y)
    assert len(model.member_params_) == 30
    assert {(own["dropout"], own["alpha"]) for own in model.member_params_} == {(0.5, 1.0)}
    assert {own["embedding"] for own in model.member_params_} == {"weighted_bins"}
    single = MultiTaskVAEClassifier(n_components=2, n_estimators=1, max_iter=1, random_state=0).fit(X, Y)
    assert single.member_params_[0]["hidden_layer_sizes"] == (512,)
    assert "task_likelihoods" not in single.member_params_[0]
