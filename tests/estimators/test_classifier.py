"""Classes: labels of every kind, against scikit-learn and against the module's own weights."""

import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import MultiTaskVAEClassifier
from sklearn_mtae.metrics import make_task_scorer
from sklearn_mtae.model_selection import TaskKFold

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
YES = (X[:, 0] + 0.1 * RNG.normal(size=90) > 0).astype(int)
KIND = np.digitize(X[:, 1], [-0.8, -0.2, 0.3, 0.9])
WORDS = np.array(["no", "yes"])[YES]
LETTERS = np.array(list("abcde"))[KIND]
ABSENT = np.arange(90) % 3 == 0


def model(**parameters):
    small = {"n_components": 2, "hidden_layer_sizes": (8,), "n_estimators": 1, "max_iter": 3, "random_state": 0}
    return MultiTaskVAEClassifier(**{**small, **parameters})


def learner(**parameters):
    return model(**{"n_components": 4, "max_iter": 60, "learning_rate_init": 0.01, "alpha": 0.0, **parameters})


def without(values, missing):
    return [missing if absent else value for value, absent in zip(values, ABSENT, strict=True)]


@pytest.mark.parametrize(
    "y",
    [
        WORDS,
        WORDS.astype(object),
        YES,
        YES.astype(bool),
        KIND.astype(float),
        KIND.astype(np.uint8),
        KIND - 2,
        pd.Series(WORDS, dtype=object, name="word"),
        pd.Series(LETTERS, dtype="category"),
        np.column_stack([WORDS, LETTERS]),
        np.column_stack([YES, KIND]),
        np.column_stack([YES, KIND]).astype(float),
        np.column_stack([YES, 1 - YES]).astype(bool),
        pd.DataFrame({"a": YES, "b": KIND}),
    ],
    ids=lambda y: f"{type(y).__name__}-{getattr(y, 'dtype', '')}-{np.ndim(y)}",
)
def test_shapes_types_and_order_are_those_of_a_forest(y):
    ours, forest = model().fit(X, y), RandomForestClassifier(3, random_state=0).fit(X, y)
    assert isinstance(ours.classes_, list) == isinstance(forest.classes_, list)
    several = isinstance(forest.classes_, list)
    for own, theirs in zip(*((m.classes_ if several else [m.classes_]) for m in (ours, forest)), strict=True):
        assert own.dtype == theirs.dtype
        np.testing.assert_array_equal(own, theirs)
    assert ours.predict(X).dtype == forest.predict(X).dtype
    assert ours.predict(X).shape == forest.predict(X).shape
    for method in ("predict_proba", "predict_log_proba"):
        with np.errstate(divide="ignore"):
            own, theirs = (getattr(m, method)(X) for m in (ours, forest))
        assert isinstance(own, list) == isinstance(theirs, list)
        assert [p.shape for p in own] == [p.shape for p in theirs]
        assert np.asarray(own[0]).dtype == theirs[0].dtype


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (without(WORDS.tolist(), None), ["no", "yes"]),
        (without(WORDS.tolist(), np.nan), ["no", "yes"]),
        (without(WORDS.tolist(), pd.NA), ["no", "yes"]),
        (without(YES.tolist(), None), [0, 1]),
        (without(YES.astype(bool).tolist(), None), [False, True]),
        (np.array(without(WORDS.tolist(), None), dtype=object), ["no", "yes"]),
        (np.where(ABSENT, np.nan, KIND), [0.0, 1.0, 2.0, 3.0, 4.0]),
        (pd.Series(without(KIND.tolist(), None), dtype="Int64"), [0, 1, 2, 3, 4]),
        (pd.Series(without(KIND.tolist(), None), dtype="Float64"), [0.0, 1.0, 2.0, 3.0, 4.0]),
        (pd.Series(without(YES.astype(bool).tolist(), None), dtype="boolean"), [False, True]),
        (pd.Series(without(WORDS.tolist(), None), dtype="string"), ["no", "yes"]),
        (pd.Series(without(WORDS.tolist(), None), dtype="category"), ["no", "yes"]),
        (pd.Series(without(KIND.tolist(), None), dtype="category"), [0, 1, 2, 3, 4]),
    ],
    ids=lambda part: f"{type(part).__name__}-{getattr(part, 'dtype', '')}",
)
def test_missing_labels(labels, classes):
    """What a label that is missing is called makes no difference, for one task and beside another."""
    fitted = model().fit(X, labels)
    assert fitted.classes_.tolist() == classes
    assert fitted.predict(X).shape == (90,)
    assert set(fitted.predict(X).tolist()) <= set(classes)
    lookup = {label: float(position) for position, label in enumerate(classes)}
    codes = [np.nan if absent else lookup[label] for label, absent in zip(list(labels), ABSENT, strict=True)]
    plain = model().fit(X, np.array(codes))
    np.testing.assert_array_equal(plain.predict_proba(X), fitted.predict_proba(X))
    assert fitted.score(X, labels) == plain.score(X, np.array(codes))
    table = pd.DataFrame({"one": pd.Series(labels), "other": LETTERS})
    both = model().fit(X, table)
    assert [own.tolist() for own in both.classes_] == [classes, list("abcde")]
    assert both.predict(X).dtype == object


def test_types_of_their_own():
    table = pd.DataFrame({"word": WORDS, "yes": YES.astype(bool), "kind": pd.Series(KIND, dtype="Int64")})
    fitted = model().fit(X, table)
    assert fitted.task_names_ == ["word", "yes", "kind"]
    assert {type(label) for label in fitted.predict(X)[0]} == {str, bool, int}
    numbers = model().fit(X, pd.DataFrame({"kind": KIND, "half": YES.astype(float)}))
    assert numbers.predict(X).dtype == np.float64
    rows = [[word, kind] for word, kind in zip(WORDS.tolist(), KIND.tolist(), strict=True)]
    assert [own.tolist() for own in model().fit(X, rows).classes_] == [["no", "yes"], [0, 1, 2, 3, 4]]


def test_polars():
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"word": without(WORDS.tolist(), None), "kind": KIND})
    fitted = model().fit(X, table)
    assert fitted.task_names_ == ["word", "kind"]
    assert [own.tolist() for own in fitted.classes_] == [["no", "yes"], [0, 1, 2, 3, 4]]
    same = model().fit(X, pd.DataFrame({"word": without(WORDS.tolist(), None), "kind": KIND}))
    np.testing.assert_array_equal(fitted.predict(X), same.predict(X))
    assert fitted.score(X, table) == same.score(X, table)
    for labels in (without(WORDS.tolist(), None), without(YES.tolist(), None)):
        assert model().fit(X, polars.Series("one", labels)).task_names_ == ["one"]


def test_one_column():
    row, column = model().fit(X, WORDS), model().fit(X, WORDS[:, None])
    assert isinstance(row.classes_, np.ndarray)
    assert [own.tolist() for own in column.classes_] == [["no", "yes"]]
    assert column.predict(X).shape == (90, 1)
    np.testing.assert_array_equal(column.predict_proba(X)[0], row.predict_proba(X))
    np.testing.assert_array_equal(column.predict(X)[:, 0], row.predict(X))
    assert row.sample(5, random_state=0)[1].shape == (5,)
    assert column.sample(5, random_state=0)[1].shape == (5, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities(dtype):
    fitted = learner().fit(X, np.column_stack([YES, KIND]))
    proba, logs = fitted.predict_proba(X.astype(dtype)), fitted.predict_log_proba(X.astype(dtype))
    for task, (probability, log) in enumerate(zip(proba, logs, strict=True)):
        assert probability.dtype == dtype
        np.testing.assert_allclose(probability.sum(1), 1.0, rtol=1e-5)
        np.testing.assert_allclose(np.exp(log), probability, rtol=1e-5)
        expected = fitted.classes_[task][probability.argmax(1)]
        np.testing.assert_array_equal(fitted.predict(X.astype(dtype))[:, task], expected)


def test_heads_by_hand():
    """Two classes and five classes beside each other: each a softmax over its own outputs alone."""
    fitted = learner(scaling="standard").fit(X, np.column_stack([WORDS, LETTERS]))
    state = {name: value.double().numpy() for name, value in fitted.module_.state_dict().items()}

    def relu(x):
        return np.maximum(x, 0)

    z = (X - X.mean(0)) / X.std(0)
    z = relu(z @ state["encoder.0.weight"].T + state["encoder.0.bias"])
    z = (z @ state["encoder.2.weight"].T + state["encoder.2.bias"])[:, :4]
    np.testing.assert_allclose(fitted.transform(X), z, atol=1e-9)
    for task, n_classes in enumerate((2, 5)):
        hidden = relu(z @ state["heads.layers.0.weight"][task].T + state["heads.layers.0.bias"][task])
        outputs = hidden @ state["heads.layers.2.weight"][task].T + state["heads.layers.2.bias"][task]
        exponentials = np.exp(outputs[:, :n_classes])
        expected = exponentials / exponentials.sum(1, keepdims=True)
        np.testing.assert_allclose(fitted.predict_proba(X)[task], expected, atol=1e-9)


def test_absent_outputs_have_no_gradient():
    module = model().fit(X, np.column_stack([YES, KIND])).module_.train().requires_grad_(True)
    output = module(torch.from_numpy(X).float(), torch.from_numpy(np.column_stack([YES, KIND])).float())
    output.y_log_prob.sum().backward()
    slopes = module.heads.layers[-1].bias.grad
    assert slopes[0, :2].all()
    assert not slopes[0, 2:].any()
    assert slopes[1].all()


def test_digits_about_as_well_as_a_logistic_regression():
    digits, labels = load_digits(return_X_y=True)
    parts = train_test_split(digits, labels, random_state=0)
    ours = MultiTaskVAEClassifier(
        8, hidden_layer_sizes=(64,), n_estimators=1, max_iter=30, learning_rate_init=3e-3, random_state=0
    )
    scores = [m.fit(parts[0], parts[2]).score(parts[1], parts[3]) for m in (ours, LogisticRegression(max_iter=5000))]
    assert scores[0] > scores[1] - 0.02


def test_score_leaves_missing_labels_out():
    truth = pd.DataFrame({"word": without(WORDS.tolist(), None), "kind": np.where(KIND > 3, np.nan, KIND)})
    fitted = learner().fit(X, truth)
    prediction = fitted.predict(X)
    expected = [np.mean(prediction[~ABSENT, 0] == WORDS[~ABSENT]), np.mean(prediction[KIND <= 3, 1] == KIND[KIND <= 3])]
    assert fitted.score(X, truth) == pytest.approx(np.mean(expected))
    assert fitted.score(X, truth) > 0.7
    weight = np.arange(90.0)
    first = np.average(prediction[~ABSENT, 0] == WORDS[~ABSENT], weights=weight[~ABSENT])
    second = np.average(prediction[KIND <= 3, 1] == KIND[KIND <= 3], weights=weight[KIND <= 3])
    assert fitted.score(X, truth, sample_weight=weight) == pytest.approx((first + second) / 2)


def test_draws_are_classes():
    generative = learner(beta=1.0, reconstruction_weight=1.0, max_iter=150)
    drawn, labels = generative.fit(X, pd.DataFrame({"word": WORDS, "kind": KIND})).sample(500, random_state=0)
    assert drawn.shape == (500, 4)
    assert set(labels[:, 0]) == {"no", "yes"}
    assert set(labels[:, 1]) == {0, 1, 2, 3, 4}
    # The first feature decides the first task, in the draws too.
    yes = labels[:, 0] == "yes"
    assert drawn[yes, 0].mean() > drawn[~yes, 0].mean() + 0.5


def test_search_by_tasks():
    Y = pd.DataFrame({"word": without(WORDS.tolist(), None), "kind": KIND})
    search = GridSearchCV(
        learner(max_iter=15),
        {"class_weight": [None, "balanced"], "beta": [0.1, 3.0]},
        cv=TaskKFold(3),
        scoring={"mean": make_task_scorer("accuracy"), "word": make_task_scorer("log_loss", task="word")},
        refit="mean",
        error_score="raise",
    ).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_mean"]).all()
    assert (search.cv_results_["mean_test_word"] < 0).all()
    assert search.score(X, Y) == make_task_scorer("accuracy")(search.best_estimator_, X, Y)


def test_pipeline_and_common_scorers():
    pipeline = make_pipeline(StandardScaler(), learner()).fit(X, WORDS)
    assert pipeline.score(X, WORDS) > 0.85
    assert pipeline.predict_proba(X).shape == (90, 2)
    scores = cross_val_score(learner(max_iter=30), X, WORDS, scoring="roc_auc", cv=3)
    assert scores.mean() > 0.8


def test_clone_pickle_and_joblib():
    Y = pd.DataFrame({"word": without(WORDS.tolist(), None), "kind": KIND})
    fitted = model(class_weight={"word": {"yes": 2}, "kind": None}).fit(X, Y)
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    buffer.seek(0)
    for other in (pickle.loads(pickle.dumps(fitted)), joblib.load(buffer), clone(fitted).fit(X, Y)):
        np.testing.assert_array_equal(other.predict(X), fitted.predict(X))
        np.testing.assert_array_equal(other.predict_proba(X)[1], fitted.predict_proba(X)[1])
        assert other.partial_fit(X, Y).n_iter_ == 4
