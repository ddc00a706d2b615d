"""Tasks whose labels are all of one class, beside others."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from sklearn_mtae import MultiTaskVAEClassifier, PerTaskClassifier, PerTaskRegressor
from sklearn_mtae.model_selection import StackedGridSearchCV
from sklearn_mtae.nn.weightings import WEIGHTINGS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
WORD = np.where(X[:, 0] > 0, "high", "low")
ONE = np.where(RNG.random(40) < 0.5, None, "same").astype(object)
Y = pd.DataFrame({"word": WORD, "one": ONE})
WARNING = "Task 'one' has one class, 'same', which is predicted for every row"


def model(**parameters):
    small = {"n_components": 2, "hidden_layer_sizes": (8,), "n_estimators": 1, "max_iter": 2, "random_state": 0}
    return MultiTaskVAEClassifier(**{**small, **parameters})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_weight": "balanced"},
        {"n_estimators": 3, "early_stopping": True},
        {"sharing": "cross_stitch", "consistency": 1.0, "task_similarity": np.ones((2, 2))},
        {"sharing": "mmoe", "task_weighting": {"word": 1.0, "one": 2.0}},
    ],
    ids=lambda options: ",".join(options),
)
def test_it_is_predicted_as_that_class_with_a_warning(options):
    with pytest.warns(UserWarning, match=WARNING) as caught:
        fitted = model(**options).fit(X, Y)
    assert len(caught) == 1
    assert [own.tolist() for own in fitted.classes_] == [["high", "low"], ["same"]]
    assert (fitted.predict(X)[:, 1] == "same").all()
    word, one = fitted.predict_proba(X)
    np.testing.assert_array_equal(one, np.ones((40, 1)))
    np.testing.assert_array_equal(fitted.predict_log_proba(X)[1], np.zeros((40, 1)))
    np.testing.assert_allclose(word.sum(1), 1.0, rtol=1e-5)
    accuracy = np.mean(fitted.predict(X)[:, 0] == WORD)
    assert fitted.score(X, Y) == pytest.approx((accuracy + 1) / 2)
    assert set(fitted.sample(20, random_state=0)[1][:, 1]) == {"same"}


@pytest.mark.parametrize("name", [name for name in WEIGHTINGS if name not in ("dwa", "uncertainty")])
def test_it_has_no_say_in_how_the_others_are_weighed(name):
    """There is nothing to learn from it: what is left is one task, which every weighting of losses leaves as it is."""
    with pytest.warns(UserWarning, match=WARNING):
        fitted = model(task_weighting=name).fit(X, Y)
    with pytest.warns(UserWarning, match=WARNING):
        plain = model().fit(X, Y)
    np.testing.assert_allclose(fitted.predict_proba(X)[0], plain.predict_proba(X)[0], rtol=1e-5)


def test_one_task_of_one_class():
    with pytest.warns(UserWarning, match="Task 'y0' has one class, 7, which"):
        fitted = model().fit(X, np.full(40, 7))
    np.testing.assert_array_equal(fitted.predict(X), np.full(40, 7))
    np.testing.assert_array_equal(fitted.predict_proba(X), np.ones((40, 1)))
    assert fitted.classes_.tolist() == [7]


def test_classes_that_are_given():
    fitted = model().fit(X, Y, classes=[["high", "low"], ["same", "other"]])
    assert fitted.classes_[1].tolist() == ["other", "same"]
    first = model(max_iter=1).partial_fit(X, Y, classes=[["high", "low"], ["same", "other"]])
    for own in (fitted, first):
        proba = own.predict_proba(X)[1]
        assert proba.shape == (40, 2)
        np.testing.assert_allclose(proba.sum(1), 1.0, rtol=1e-5)
        assert (proba < 1).all()
    same = model().fit(X, Y["word"], classes=["low", "high"])
    np.testing.assert_array_equal(same.predict_proba(X), model().fit(X, Y["word"]).predict_proba(X))
    with pytest.raises(ValueError, match=r"Task 'one' has \['same'\]; its classes are \['other'\]"):
        model().fit(X, Y, classes=[["high", "low"], ["other"]])
    assert fitted.partial_fit(X, Y).n_iter_ == 3  # keeps them, and says nothing


def test_the_first_part_of_one_class_warns_once():
    with pytest.warns(UserWarning, match=WARNING) as caught:
        fitted = model().partial_fit(X, Y).partial_fit(X, Y)
    assert len(caught) == 1
    with pytest.raises(ValueError, match=r"Task 'one' has \['new'\]; its classes are \['same'\]"):
        fitted.partial_fit(X, Y.assign(one="new"))


def test_a_stacked_search_warns_and_scores_as_fits_one_by_one():
    search = StackedGridSearchCV(model(), {"alpha": [0.0, 3.0]}, cv=KFold(2), refit=False)
    with pytest.warns(UserWarning, match=WARNING):
        search.fit(X, Y)
    for k, (train, test) in enumerate(KFold(2).split(X)):
        for alpha, score in zip((0.0, 3.0), search.cv_results_[f"split{k}_test_score"], strict=True):
            with pytest.warns(UserWarning, match=WARNING):
                fitted = model(alpha=alpha).fit(X[train], Y.iloc[train])
            assert score == pytest.approx(fitted.score(X[test], Y.iloc[test]))


def test_a_stacked_search_passes_classes_on():
    classes = [["high", "low"], ["same", "other"]]
    search = StackedGridSearchCV(model(), {"alpha": [0.0]}, cv=KFold(2))
    with pytest.warns(UserWarning, match="No fit could be stacked"):
        search.fit(X, Y, classes=classes)
    assert search.best_estimator_.classes_[1].tolist() == ["other", "same"]


@pytest.mark.parametrize("head", [LogisticRegression(), SVC(), GaussianNB()])
def test_per_task(head):
    with pytest.warns(UserWarning, match=WARNING):
        fitted = PerTaskClassifier(head).fit(X, Y)
    assert (fitted.predict(X)[:, 1] == "same").all()
    expected = type(head)(**head.get_params()).fit(X, WORD)
    np.testing.assert_array_equal(fitted.predict(X)[:, 0], expected.predict(X))
    assert fitted.score(X, Y) == pytest.approx((expected.score(X, WORD) + 1) / 2)
    assert [own.tolist() for own in fitted.classes_] == [["high", "low"], ["same"]]
    assert fitted.n_features_in_ == 3
    if hasattr(head, "predict_proba"):
        np.testing.assert_array_equal(fitted.predict_proba(X)[1], np.ones((40, 1)))
        np.testing.assert_array_equal(fitted.predict_log_proba(X)[1], np.zeros((40, 1)))
    if hasattr(head, "decision_function"):
        np.testing.assert_array_equal(fitted.decision_function(X)[1], np.zeros((40, 1)))
        np.testing.assert_allclose(fitted.decision_function(X)[0], expected.decision_function(X))


def test_per_task_of_numbers_and_classes():
    table = Y.assign(number=1.0)
    heads = {"word": SVC(), "one": SVC(), "number": Ridge()}
    with pytest.warns(UserWarning, match=WARNING) as caught:
        fitted = PerTaskRegressor(heads).fit(X, table)
    assert len(caught) == 1  # equal numbers are no class
    assert fitted.predict(X)[0, 1:].tolist() == ["same", pytest.approx(1.0)]


def test_an_error_of_a_head_names_its_task():
    class Picky(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            if "b" in y:
                raise ValueError("No b, please.")
            return super().fit(X, y, sample_weight)

    with pytest.raises(ValueError, match=r"No b, please\. This is the estimator of task 'letter'"):
        PerTaskClassifier(Picky()).fit(X, Y[["word"]].assign(letter=np.where(X[:, 1] > 0, "a", "b")))
