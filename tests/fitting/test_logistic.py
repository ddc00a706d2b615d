"""Logistic regressions of classes against scikit-learn's, and their part in an average."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from sklearn_mtae import MultiTaskVAEClassifier
from sklearn_mtae._fitting import logistic
from sklearn_mtae._fitting.class_average import average_log_probabilities, base_rates, padded
from sklearn_mtae._fitting.kernel import run_alike
from sklearn_mtae._fitting.logistic import PENALTIES, RegressionLearner

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 5)) @ RNG.normal(size=(5, 5)) + 3
KIND = (X[:, :4] - X[:, 1:] @ RNG.normal(size=(4, 4)) / 2 + 2 * RNG.gumbel(size=(200, 4))).argmax(axis=1)
SIGN = (X[:, 0] - X[:, 1] + RNG.logistic(size=200) > 0).astype(int)
WEIGHT = RNG.uniform(0.2, 2, size=200)


def fitted(labels, weight, chosen=None):
    """Return regressions of tasks, and their probabilities for X, shape (n_penalties, n_rows, n_tasks, n_classes)."""
    chosen = np.ones(len(X), dtype=bool) if chosen is None else chosen
    n_classes = [int(np.nanmax(own)) + 1 for own in labels.T]
    rates = padded([base_rates(y, w, n) for y, w, n in zip(labels[chosen].T, weight[chosen].T, n_classes, strict=True)])
    is_label = (labels[:, :, None] == np.arange(max(n_classes))).astype(float)
    trials = RegressionLearner(X, is_label, weight).fit(chosen, rates)
    logits = np.einsum("nc,pctk->pntk", X, trials.slopes) + trials.intercepts[:, None]
    return trials, softmax(logits, axis=-1), rates


def reference(labels, weight, penalty):
    """Return the probabilities by scikit-learn, with one more label at the mean of the rows that is split."""
    n_classes = labels.max() + 1
    rows = np.concatenate([X, np.tile(X.mean(axis=0), (n_classes, 1))])
    labels, weight = np.append(labels, np.arange(n_classes)), np.append(weight, np.full(n_classes, 1 / n_classes))
    # Of two classes, scikit-learn has one slope, the difference of ours; its square is twice the sum of ours.
    strength = (2 if n_classes == 2 else 1) / (penalty * weight.sum())
    model = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000)
    return model.fit(rows, labels, sample_weight=weight).predict_proba(X)


@pytest.mark.parametrize("labels", [KIND, SIGN], ids=["four classes", "two classes"])
def test_probabilities_are_those_of_scikit_learn(labels, monkeypatch):
    monkeypatch.setattr(logistic, "MOST_STEPS", 5_000)
    monkeypatch.setattr(logistic, "LEAST_GAIN", 1e-16)
    _, probabilities, _ = fitted(labels[:, None].astype(float), WEIGHT[:, None])
    for own, penalty in zip(probabilities, PENALTIES, strict=True):
        np.testing.assert_allclose(own[:, 0], reference(labels, WEIGHT, penalty), atol=1e-5)


def test_few_steps_are_close():
    """A fit ends before its last digits are settled: they change no probability by much."""
    _, probabilities, _ = fitted(KIND[:, None].astype(float), WEIGHT[:, None])
    for own, penalty in zip(probabilities, PENALTIES, strict=True):
        np.testing.assert_allclose(own[:, 0], reference(KIND, WEIGHT, penalty), atol=0.01)


def test_each_task_has_its_own_labels(monkeypatch):
    """Tasks that are fitted together, with labels missing in part, are those fitted one by one."""
    monkeypatch.setattr(logistic, "MOST_STEPS", 5_000)
    monkeypatch.setattr(logistic, "LEAST_GAIN", 1e-16)
    labels = np.column_stack([KIND, SIGN]).astype(float)
    labels[RNG.random(labels.shape) < 0.3] = np.nan
    weight = np.where(np.isnan(labels), 0.0, WEIGHT[:, None])
    chosen = np.arange(200) % 4 > 0
    _, together, rates = fitted(labels, weight, chosen)
    assert (together[:, :, 1, 2:] == 0).all()
    for task, n_classes in enumerate([4, 2]):
        own = chosen & (weight[:, task] > 0)
        _, alone, _ = fitted(labels[:, [task]], weight[:, [task]], own)
        np.testing.assert_allclose(together[:, :, task, :n_classes], alone[:, :, 0], atol=1e-6)
        assert rates[task].sum() == pytest.approx(1)


def test_without_slopes_probabilities_are_base_rates(monkeypatch):
    monkeypatch.setattr(logistic, "PENALTIES", (1e12,))
    _, probabilities, rates = fitted(KIND[:, None].astype(float), WEIGHT[:, None])
    np.testing.assert_allclose(probabilities[0, :, 0], np.tile(rates[0], (200, 1)), atol=1e-9)


def test_hard_rows():
    """Without labels, and with columns that repeat each other or never vary, regressions stay finite."""
    wide = np.column_stack([X, X[:, :1], np.ones(200), np.tile(X, 60)])
    is_label = (KIND[:, None, None] == np.arange(4)).astype(float)
    learner = RegressionLearner(wide, is_label, np.ones((200, 1)))
    for chosen in (np.zeros(200, dtype=bool), np.arange(200) < 1, np.arange(200) < 150):
        rates = padded([base_rates(KIND[chosen].astype(float), np.ones(chosen.sum()), 4)])
        trials = learner.fit(chosen, rates)
        assert np.isfinite(trials.slopes).all()
        assert np.isfinite(trials.intercepts).all()
    nothing = learner.fit(np.zeros(200, dtype=bool), np.full((1, 4), 0.25))
    assert not nothing.slopes.any()
    np.testing.assert_allclose(softmax(nothing.intercepts, axis=-1), 0.25)


def test_a_linear_truth_is_left_to_regressions():
    rng = np.random.default_rng(1)
    rows, slopes = rng.normal(size=(2_150, 10)), rng.normal(size=10)
    y = np.where(rng.random(2_150) < 1 / (1 + np.exp(-rows @ slopes)), "yes", "no")
    model = MultiTaskVAEClassifier(max_iter=20, random_state=0).fit(rows[:150], y[:150])
    lines = model._fitted.average.lines
    assert lines.weights.sum() > 0.3
    assert "logistic regressions by" in model.describe()
    own = np.log(model.predict_proba(rows[150:]))[np.arange(2_000), (y[150:] == "yes").astype(int)]
    peer = LogisticRegression().fit(rows[:150], y[:150]).predict_log_proba(rows[150:])
    assert -own.mean() < -peer[np.arange(2_000), (y[150:] == "yes").astype(int)].mean() + 0.02


def test_probabilities_count_by_their_weights():
    """Of several penalties, each has its weight, and with the members' and the base rates' they add up to 1."""
    labels = np.column_stack([KIND, SIGN])
    model = MultiTaskVAEClassifier(n_components=2, hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X, labels)
    average, state = model._fitted.average, model._fitted.states[0]
    lines, runner = average.lines, model._runner
    units = (X - state["units.location"]) / state["units.scale"]
    units = units / np.sqrt(1 + (units / 10) ** 2)
    logits = np.einsum("nc,rctk->nrtk", units, lines.slopes) + lines.intercepts
    wanted = np.einsum("nrtk,rt->ntk", softmax(logits, axis=-1), lines.weights)
    np.testing.assert_allclose(run_alike(runner.apply, lines, X), wanted, rtol=1e-5, atol=1e-9)
    average.sharpness = None
    np.testing.assert_allclose(np.exp(average_log_probabilities(runner, X)).sum(axis=-1), 1, rtol=1e-6)


def test_too_many_outputs_have_no_regressions(monkeypatch):
    monkeypatch.setattr(logistic, "MOST_PRODUCTS", 1)
    model = MultiTaskVAEClassifier(max_iter=5, random_state=0).fit(X, SIGN)
    assert model._fitted.average.lines is None
