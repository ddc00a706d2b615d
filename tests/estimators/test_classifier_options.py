"""Options of the classifier: weights of classes, parts of the data, and input that is not admissible."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score
from sklearn.utils.class_weight import compute_sample_weight

from tests.estimators.test_classifier import ABSENT, KIND, LETTERS, WORDS, YES, X, learner, model, without

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
    """Its labels have no say, and the task keeps its own beside the others."""
    Y = np.column_stack([YES, KIND])
    weight = np.column_stack([np.ones(90), KIND != 4]).astype(float)
    ours = model(class_weight=[None, {4: 0}]).fit(X, Y).predict_proba(X)
    for own, theirs in zip(ours, model().fit(X, Y, sample_weight=weight).predict_proba(X), strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-5)


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


def test_parts_that_lack_classes_and_tasks():
    Y = np.column_stack([YES, KIND]).astype(float)
    few = learner()
    Y[30:60, 0] = np.nan
    parts = [np.flatnonzero((KIND < 3) & ~np.isnan(Y[:, 0])), *np.split(np.arange(90), 3)]
    for _ in range(40):
        for rows in parts:
            few.partial_fit(X[rows], Y[rows], classes=[[1.0, 0.0], np.arange(5)])
    assert few.n_iter_ == 160
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
    fitted.fit(X, np.where(KIND[:, None] == 4, np.nan, Y))  # classes that this part lacks remain
    assert fitted.n_iter_ == 40
    assert fitted.loss_curve_[20] < 0.8 * fitted.loss_curve_[0]
    assert fitted.predict_proba(X)[1].shape == (90, 5)
    probabilities = fitted.predict_proba(X)[1]
    with pytest.raises(ValueError, match=r"Task 'y1' has \['7'\]"):
        fitted.fit(X, np.where(Y == 4, 7, Y))
    np.testing.assert_array_equal(fitted.predict_proba(X)[1], probabilities)


TWO = np.column_stack([YES, KIND]).astype(object)


def second(column):
    return np.column_stack([YES.astype(object), np.asarray(column, dtype=object)])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (second([None] * 90), "needs an observed label of non-zero weight. Task 'y1' has none"),
        (second(np.where(ABSENT, np.inf, 1.0)), "contains infinity, in task 'y1'"),
        (np.column_stack([YES, np.where(ABSENT, -np.inf, 1.0)]), "contains infinity, in task 'y1'"),
        (np.column_stack([YES, X[:, 0]]), "Unknown label type: continuous.* task 'y1'"),
        (second(without(KIND, "a")), r"one type, numbers or strings. Task 'y1' has \['int.*', 'str'\]"),
        (np.zeros((90, 2, 1)), r"y must have shape \(n_samples,\) or \(n_samples, n_tasks\). Got \(90, 2, 1\)"),
        (TWO[:80], "inconsistent numbers of samples"),
        (pd.DataFrame(TWO, columns=["a", "a"]), "different names, one per task"),
        (pd.DataFrame(TWO, columns=[1, "1"]), r"different names, one per task, also .* Got \[1, '1'\]"),
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
        ([[0, 1], [0]], r"Task 'y1' has \['1', '2', '3', '4'\]; its classes are \[0\]"),
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
            r"class_weight names unknown tasks \['kind'\]",
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


def test_options_by_names_that_are_the_same_as_strings():
    with pytest.raises(ValueError, match=r"class_weight must have different names, .* Got \[1, '1'\]"):
        model(class_weight={1: "balanced", "1": None, "2": None}).fit(X, pd.DataFrame(TWO, columns=["1", "2"]))
