"""Classes: labels of every kind, against scikit-learn and against the module's own weights."""

import io
import pickle
from contextlib import nullcontext

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

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
    small = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
    return MultiTaskVAEClassifier(**{**small, **parameters})


def learner(**parameters):
    return model(**{"n_components": 4, "max_iter": 80, "learning_rate_init": 0.01, **parameters})


def without(values, missing):
    return [missing if absent else value for value, absent in zip(values, ABSENT, strict=True)]


# Labels.


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
    codes = np.array(without(np.searchsorted(classes, np.asarray(labels)[~ABSENT][0:1]).tolist() * 90, np.nan))
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


# Probabilities.


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
    ours = MultiTaskVAEClassifier(8, hidden_layer_sizes=(64,), max_iter=30, learning_rate_init=3e-3, random_state=0)
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
    drawn, labels = learner().fit(X, pd.DataFrame({"word": WORDS, "kind": KIND})).sample(200, random_state=0)
    assert drawn.shape == (200, 4)
    assert set(labels[:, 0]) == {"no", "yes"}
    assert set(labels[:, 1]) == {0, 1, 2, 3, 4}
    # The first feature decides the first task, in the draws too.
    yes = labels[:, 0] == "yes"
    assert drawn[yes, 0].mean() > drawn[~yes, 0].mean() + 0.5


# Weights.


RARE = np.where(X[:, 0] > 1.2, "rare", "usual")


def average_one(weight):
    return weight / weight.mean(0)


@pytest.mark.parametrize(
    ("option", "each"),
    [
        ("balanced", ["balanced", "balanced"]),
        (["balanced", None], ["balanced", None]),
        ([{"rare": 5}, "balanced"], [{"rare": 5, "usual": 1}, "balanced"]),
        ({"rare": 5, "a": 2, "b": 3}, [{"rare": 5, "usual": 1}, {"a": 2, "b": 3, "c": 1, "d": 1, "e": 1}]),
        ({"y1": None, "y0": "balanced"}, ["balanced", None]),
        ({"y1": "balanced", "y0": {"rare": 2, "usual": 0.5}}, [{"rare": 2, "usual": 0.5}, "balanced"]),
    ],
)
def test_weights_of_classes_are_weights_of_labels(option, each):
    Y = np.column_stack([RARE, LETTERS])
    weight = np.column_stack(
        [average_one(compute_sample_weight(choice, column)) for choice, column in zip(each, Y.T, strict=True)]
    )
    by_class = model(class_weight=option).fit(X, Y).predict_proba(X)
    by_label = model().fit(X, Y, sample_weight=weight).predict_proba(X)
    for own, theirs in zip(by_class, by_label, strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-5)
    assert not np.allclose(by_class[0], model().fit(X, Y).predict_proba(X)[0])


@pytest.mark.parametrize("option", ["balanced", {"rare": 7}, [{"rare": 7, "usual": 2}]])
def test_weights_of_one_task(option):
    labels = np.where(ABSENT, None, RARE)
    choice = option[0] if isinstance(option, list) else option
    by_class = {"usual": 1, **choice} if isinstance(choice, dict) else choice
    weight = np.zeros((90, 1))
    weight[~ABSENT, 0] = average_one(compute_sample_weight(by_class, RARE[~ABSENT]))
    np.testing.assert_allclose(
        model(class_weight=option).fit(X, labels).predict_proba(X),
        model().fit(X, labels, sample_weight=weight).predict_proba(X),
        rtol=1e-5,
    )


def test_a_class_of_weight_zero_is_missing():
    nothing = np.where(KIND == 4, np.nan, KIND)
    ours = model(class_weight={4: 0}).fit(X, np.column_stack([KIND, KIND])).predict_proba(X)
    theirs = model().partial_fit(X, np.column_stack([KIND, KIND]))  # knows all five classes
    theirs = model(warm_start=True, max_iter=3)
    weight = np.repeat((KIND != 4)[:, None], 2, axis=1).astype(float)
    theirs = theirs.fit(X, np.column_stack([KIND, KIND]), sample_weight=weight).predict_proba(X)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    assert np.isnan(nothing).any()


def test_class_weights_count_weights_of_rows_and_labels():
    """A row of weight zero has no say in what is balanced, and one of weight two counts twice."""
    half = np.arange(90) < 45
    once = model(class_weight="balanced").fit(X[half], RARE[half]).predict_proba(X)
    np.testing.assert_allclose(
        model(class_weight="balanced").fit(X, RARE, sample_weight=half.astype(float)).predict_proba(X), once, rtol=1e-4
    )
    weight = 1.0 + (np.arange(90) % 2)[:, None]
    counts = {label: weight[label == RARE].sum() for label in ("rare", "usual")}
    expected = weight[:, 0] / np.array([counts[label] for label in RARE])
    np.testing.assert_allclose(
        model(class_weight="balanced").fit(X, RARE, sample_weight=weight).predict_proba(X),
        model().fit(X, RARE, sample_weight=average_one(expected)[:, None]).predict_proba(X),
        rtol=1e-5,
    )


def test_balance_raises_the_recall_of_a_rare_class():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(400, 3))
    rare = rows[:, 0] + rng.normal(size=400) > 2.2
    recalls = [
        recall_score(rare, learner(class_weight=option, max_iter=40).fit(rows, rare).predict(rows))
        for option in (None, "balanced")
    ]
    assert recalls[1] > recalls[0] + 0.3


def test_weights_of_rows_and_labels():
    """Weight zero is absence: of a row, or of a label."""
    kept = np.arange(90) % 4 != 1
    Y = np.column_stack([YES, KIND])
    np.testing.assert_allclose(
        model().fit(X, Y, sample_weight=3.0 * kept).predict_proba(X)[1],
        model().fit(X[kept], Y[kept]).predict_proba(X)[1],
        rtol=1e-4,
    )
    weight = np.column_stack([kept, np.ones(90)]).astype(float)
    absent = np.where(weight > 0, Y, np.nan)
    for own, theirs in zip(
        model().fit(X, Y, sample_weight=weight).predict_proba(X), model().fit(X, absent).predict_proba(X), strict=True
    ):
        np.testing.assert_allclose(own, theirs, rtol=1e-4)


# Going on.


def test_parts_that_lack_classes_and_tasks():
    Y = np.column_stack([YES, KIND]).astype(float)
    few = learner()
    first = np.flatnonzero((YES == 0) | (KIND < 3))[:20]
    kinds = [[1.0, 0.0], np.arange(5)]
    Y[30:60, 0] = np.nan
    for _ in range(60):
        for rows in (first[KIND[first] < 3], np.arange(30), np.arange(30, 60), np.arange(60, 90)):
            few.partial_fit(X[rows], Y[rows], classes=kinds)
    assert few.n_iter_ == 240
    assert [own.tolist() for own in few.classes_] == [[0, 1], [0, 1, 2, 3, 4]]
    assert [p.shape for p in few.predict_proba(X)] == [(90, 2), (90, 5)]
    assert few.score(X, np.column_stack([YES, KIND])) > 0.7


@pytest.mark.parametrize("classes", [["yes", "no"], np.array(["no", "yes"]), pd.Series(["no", "yes"])])
def test_classes_of_one_task(classes):
    only = WORDS == "no"
    fitted = model().partial_fit(X[only], WORDS[only], classes=classes).partial_fit(X, WORDS)
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert fitted.predict_proba(X).shape == (90, 2)
    many = np.arange(26)
    assert model().partial_fit(X, KIND, classes=many).predict_proba(X).shape == (90, 26)


def test_warm_start():
    Y = np.column_stack([YES, KIND])
    fitted = learner(warm_start=True, max_iter=20).fit(X, Y)
    before = fitted.loss_curve_[-1]
    fitted.fit(X, np.where(KIND[:, None] == 4, np.nan, Y))  # classes that this part lacks remain
    assert fitted.n_iter_ == 40
    assert fitted.loss_curve_[20] < before + 0.5 < fitted.loss_curve_[0]
    assert fitted.predict_proba(X)[1].shape == (90, 5)
    probabilities = fitted.predict_proba(X)[1]
    with pytest.raises(ValueError, match=r"Task 'y1' has \['7'\]"):
        fitted.fit(X, np.where(Y == 4, 7, Y))
    np.testing.assert_array_equal(fitted.predict_proba(X)[1], probabilities)


# In company.


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


# Errors.


TWO = np.column_stack([YES, KIND]).astype(object)


def second(column):
    return np.column_stack([YES.astype(object), np.asarray(column, dtype=object)])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (second(np.ones(90)), r"needs labels of two classes. Task 'y1' has one class, \[1.0\]"),
        (second([None] * 90), "needs an observed label of non-zero weight. Task 'y1' has none"),
        (second(np.where(ABSENT, np.inf, 1.0)), "contains infinity, in task 'y1'"),
        (np.column_stack([YES, np.where(ABSENT, -np.inf, 1.0)]), "contains infinity, in task 'y1'"),
        (np.column_stack([YES, X[:, 0]]), "Unknown label type: continuous.* task 'y1'"),
        (second(without(KIND, "a")), r"one type, numbers or strings. Task 'y1' has \['int.*', 'str'\]"),
        (np.zeros((90, 2, 1)), r"y must have shape \(n_samples,\) or \(n_samples, n_tasks\). Got \(90, 2, 1\)"),
        (TWO[:80], "inconsistent numbers of samples"),
        (pd.DataFrame(TWO, columns=["a", "a"]), "different names, one per task"),
        (None, "requires y to be passed, but the target y is None"),
    ],
)
def test_labels_that_are_none(y, message):
    with pytest.raises(ValueError, match=message):
        model().fit(X, y)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([[0, 1]], r"classes must hold those of each task, \['y0', 'y1'\]. Got 1 of them"),
        ([0, 1], r"classes must be a list for each of the tasks \['y0', 'y1'\]. Got \[0, 1\]"),
        ([[0, 1], [0, 1]], r"Task 'y1' has \['2', '3', '4'\]; its classes are \[0, 1\]"),
        ([[0, 1], [0]], r"Task 'y1' has one class, \[0\]"),
        ([[0, "a"], [0, 1]], r"Task 'y0' has \['int', 'str'\]"),
    ],
)
def test_classes_that_are_none(classes, message):
    with pytest.raises(ValueError, match=message):
        model().partial_fit(X, TWO, classes=classes)


def test_labels_of_a_later_part():
    fitted = model().partial_fit(X, pd.DataFrame({"word": WORDS, "kind": KIND}))
    for column, labels, unknown in (("kind", KIND + 1, r"\['5'\]"), ("word", LETTERS, r"\['a', .*'e'\]")):
        later = pd.DataFrame({"word": WORDS, "kind": KIND}).assign(**{column: labels})
        with pytest.raises(ValueError, match=f"Task '{column}' has {unknown}; its classes are"):
            fitted.partial_fit(X, later)
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        fitted.partial_fit(X, pd.DataFrame({"word": WORDS, "kind": KIND}), classes=[["no", "yes"], [0, 1, 2, 3, 4, 5]])
    with pytest.raises(ValueError, match=r"y must have the columns \['word', 'kind'\], in this order"):
        fitted.partial_fit(X, pd.DataFrame({"kind": KIND, "word": WORDS}))
    with nullcontext():
        assert fitted.partial_fit(X, pd.DataFrame({"word": WORDS, "kind": KIND})).n_iter_ == 2


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({0: 1, 9: 2}, r"class_weight names unknown classes \[9\]. The classes are \[0, 1, 2, 3, 4\]"),
        ([None, {0: 1, 9: 2}], r"class_weight names unknown classes \[9\] of task 'y1'. Its classes are \[0, 1, 2"),
        ({"y0": None, "y1": {"0": 1}}, r"class_weight names unknown classes \['0'\] of task 'y1'"),
        (["balanced"], r"class_weight must have one value per task, 2 of them: \['y0', 'y1'\]. Got 1"),
        (
            {"y0": "balanced", "kind": None},
            r"class_weight names unknown tasks \['kind'\]. The tasks are \['y0', 'y1'\]",
        ),
        ({"y0": "balanced"}, r"class_weight must have a value for each task. There is none for \['y1'\]"),
        ([None, {1: -2}], r"class_weight must hold finite weights >= 0. Got \{1: -2\} for task 'y1'"),
        ({1: np.nan}, "class_weight must hold finite weights >= 0"),
        ("balance", "class_weight must be 'balanced', a dict by class or None. Got 'balance' for task 'y0'"),
        ([None, 3], "class_weight must be 'balanced', a dict by class or None. Got 3 for task 'y1'"),
        (3, "'class_weight' parameter of MultiTaskVAEClassifier must be"),
    ],
)
def test_class_weights_that_are_none(option, message):
    with pytest.raises(ValueError, match=message):
        model(class_weight=option).fit(X, np.column_stack([YES, KIND]))
