"""Averages of tasks of several kinds: each task's is that of its kind."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax
from sklearn.metrics import d2_log_loss_score, r2_score

from sklearn_mtae import MultiTaskVAE, MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._fitting import averaging, selection
from sklearn_mtae._fitting.class_average import ClassAverage
from sklearn_mtae._fitting.held_out import HeldOut
from sklearn_mtae._fitting.mixed_average import MixedAverage
from sklearn_mtae._fitting.number_average import predict_average
from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._fitting.selection import select

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

SMALL = {
    "n_components": 2,
    "hidden_layer_sizes": (8,),
    "max_iter": 2,
    "n_estimators": 3,
    "embedding": None,
    "random_state": 0,
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
NUMBERS = pd.DataFrame({"a": X[:, 0] + 0.3 * RNG.normal(size=90), "b": 50 * X[:, 1]})
CLASSES = pd.DataFrame({"c": np.where(X[:, 0] + RNG.normal(size=90) > 0, "up", "down"), "d": X[:, 2] > 0.5})
NUMBERS[RNG.random(NUMBERS.shape) < 0.2] = np.nan
CLASSES = CLASSES.astype({"c": object, "d": "boolean"}).mask(RNG.random(CLASSES.shape) < 0.2)
# Beside each other, as no one kind has them.
MIXED = pd.concat([NUMBERS, CLASSES], axis=1)[["c", "a", "d", "b"]]


def test_numbers_alone_are_the_regressor():
    mixed, regressor = (make(**SMALL).fit(X, NUMBERS) for make in (MultiTaskVAE, MultiTaskVAERegressor))
    for ours, theirs in zip(mixed.predict(X, return_std=True), regressor.predict(X, return_std=True), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    for ours, theirs in zip(*(model.predict_interval(X, 0.5) for model in (mixed, regressor)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    assert mixed.score(X, NUMBERS) == pytest.approx(regressor.score(X, NUMBERS))


def test_classes_alone_are_the_classifier():
    given = [{"dropout": 0.1}, {"alpha": 0.0}]
    make = partial(MultiTaskVAE, **SMALL, member_params=given, task_likelihoods="gaussian")
    mixed = make().fit(X, CLASSES)
    classifier = MultiTaskVAEClassifier(**SMALL, member_params=given).fit(X, CLASSES)
    for verb, options in (("predict_proba", {}), ("predict_set", {"coverage": 0.5})):
        ours, theirs = (getattr(model, verb)(X, **options) for model in (mixed, classifier))
        for name, own in zip(CLASSES.columns, theirs, strict=True):
            np.testing.assert_array_equal(ours[name], own)
    assert (mixed.predict(X).to_numpy() == classifier.predict(X)).all()


@pytest.fixture(scope="module")
def seen():
    """A fit with what the average of its members has seen: the kind, the rows held out and what it made of them."""
    calls = {}
    calibrate = MixedAverage.calibrate

    def watched(self, held_out, run, average, choice, outputs):
        calls.update(kind=self, held_out=held_out, weights=choice.weights, outputs=outputs)
        return calibrate(self, held_out, run, average, choice, outputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MixedAverage, "calibrate", watched)
        patch.setattr(selection, "AGREEMENTS", (0.0,))
        calls["model"] = MultiTaskVAE(**{**SMALL, "n_estimators": 9}, validation_fraction=1 / 3).fit(X, MIXED)
    return calls


def test_numbers_are_chosen_by_their_errors_and_classes_by_their_log_loss(seen):
    held_out, outputs = seen["held_out"], seen["outputs"]
    assert isinstance(held_out, HeldOut)
    for task, name in enumerate(MIXED):
        counted = held_out.weight[:, task] > 0
        y, own = held_out.y[counted, task], outputs[:, counted, task]
        if name in NUMBERS:
            means = np.concatenate([own[..., 0], np.full((1, len(y)), NUMBERS[name].mean())])
            misses, loss = (means - y) / NUMBERS[name].std(ddof=0), {}
        else:
            codes = y.astype(int)
            n_classes, n_labels = CLASSES[name].nunique(), CLASSES[name].count()
            shares = CLASSES[name].value_counts().sort_index().to_numpy(dtype=float) + 1 / n_classes
            rates = (shares / (n_labels + 1))[codes]
            misses = np.concatenate([own[:, np.arange(len(y)), 1 + codes], rates[None]])
            loss = {"loss": ClassAverage.loss}
        weights = select(misses, held_out.folds[counted], held_out.weight[counted, task], **loss)
        np.testing.assert_allclose(seen["weights"][:, task], weights[:-1], err_msg=name)


def test_scores_are_those_of_each_kind(seen):
    """Of classes minus the log of their calibrated probability, of numbers distances in inflated deviations."""
    held_out, outputs, weights, average = (
        seen["held_out"], seen["outputs"], seen["weights"], seen["model"]._fitted.average,
    )  # fmt: skip
    assert (average.inflation[[0, 2]] == 1).all()
    for task in (0, 2):
        counted = held_out.weight[:, task] > 0
        rates = average.base_rates[task]
        mean = np.einsum("k,knc->nc", weights[:, task], outputs[:, counted, task, 1:])
        mean = mean + (1 - weights[:, task].sum()) * rates
        logs = log_softmax(average.sharpness[task] * np.log(mean), axis=1)
        own = -logs[np.arange(counted.sum()), held_out.y[counted, task].astype(int)]
        np.testing.assert_allclose(average.scores[task], np.sort(own))
    for task in (1, 3):
        n_labels = (held_out.weight[:, task] > 0).sum()
        assert len(average.scores[task]) == n_labels
        with_one_more = (np.sum(average.scores[task] ** 2) + 1) / (n_labels + 1)
        assert average.inflation[task] == pytest.approx(np.sqrt(with_one_more))


@pytest.mark.parametrize("options", [{}, {"n_estimators": 1, "early_stopping": True}], ids=str)
def test_one_pass_says_what_each_kind_says(options, monkeypatch):
    # Half of the first candidate, and of the first baseline.
    monkeypatch.setattr(averaging, "select", lambda misses, *_: (np.eye(len(misses))[0] + np.eye(len(misses))[-6]) / 2)
    model = MultiTaskVAE(**{**SMALL, **options}).fit(X, MIXED)
    runner, passes, apply = model._runner, [], ModelRunner.apply
    means, stds = predict_average(runner, X, return_std=True)
    proba, inflation = model.predict_proba(X), np.broadcast_to(runner.fitted.average.inflation, 4)
    monkeypatch.setattr(ModelRunner, "apply", lambda *args, **given: passes.append(given) or apply(*args, **given))
    predicted, (again, std) = model.predict(X), model.predict(X, return_std=True)
    np.testing.assert_allclose(predicted[["a", "b"]], means[:, [1, 3]], rtol=1e-5)
    np.testing.assert_allclose(again[["a", "b"]], means[:, [1, 3]], rtol=1e-5)
    np.testing.assert_allclose(std[["a", "b"]], (stds * inflation)[:, [1, 3]], rtol=1e-4)
    parts = [r2_score(NUMBERS[name].dropna(), predicted[name][NUMBERS[name].notna()]) for name in NUMBERS]
    for name in CLASSES:
        known = CLASSES[name].notna()
        assert (predicted[name] == proba[name].idxmax(axis=1)).all()
        assert (again[name] == predicted[name]).all()
        parts.append(d2_log_loss_score(CLASSES[name][known].astype(str), proba[name][known]))
    assert model.score(X, MIXED) == pytest.approx(np.mean(parts))
    assert sum("states" in given for given in passes) == 3  # the others are of baselines
