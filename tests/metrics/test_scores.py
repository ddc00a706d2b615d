"""Scores and scorers of tables with missing labels, against scikit-learn's scores of one complete column at a time."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn import metrics as complete
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, PredefinedSplit, cross_val_score, cross_validate
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor, PerTaskClassifier, PerTaskRegressor, metrics
from sklearn_mtae.metrics import METRICS, make_task_scorer

OF_NUMBERS = ["r2_score", "root_mean_squared_error", "mean_absolute_error"]
OF_CLASSES = ["accuracy_score", "balanced_accuracy_score"]


class Trees(ClassifierMixin, BaseEstimator):
    """A tree per task: scikit-learn's own multi-output classifiers take no strings beside integers."""

    def fit(self, X, y):
        self.trees_ = [DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y[name]) for name in y]
        self.classes_ = [tree.classes_ for tree in self.trees_]
        return self

    def predict(self, X):
        return np.array([tree.predict(X).astype(object) for tree in self.trees_]).T

    def predict_proba(self, X):
        return [tree.predict_proba(X) for tree in self.trees_]


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 3)), rng.normal(size=(20, 3)), rng.random(20)


@pytest.fixture
def classes():
    """Features, and a frame of strings, of integers and of two classes, without and with gaps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    code = X[:, :3] + 0.5 * rng.normal(size=(120, 3))
    grade = np.array(["high", "low", "mid"])[np.digitize(code[:, 0], [-0.5, 0.5])]
    y = pd.DataFrame({"grade": grade, "count": np.digitize(code[:, 1], [-1, 0, 1]), "toxic": (code[:, 2] > 0) * 1})
    gaps = y.astype(object)
    gaps.iloc[::3, 0] = None
    gaps.iloc[1::3, 1] = np.nan
    gaps.iloc[::2, 2] = pd.NA
    return X, y, gaps


def column_scores(score, y, predictions, *arguments):
    """Return scikit-learn's score of each column's observed labels."""
    scores = []
    for task, name in enumerate(y):
        rows = y[name].notna().to_numpy()
        truth = np.array(y[name][rows].tolist())
        scores.append(score(truth, predictions[task][rows], *(argument[task] for argument in arguments)))
    return scores


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_regression_scores_equal_sklearn_where_nothing_is_missing(name, numbers):
    y, p, w = numbers
    ours, theirs = getattr(metrics, name), getattr(complete, name)
    assert ours(y, p) == pytest.approx(theirs(y, p))
    assert ours(y[:, 0], p[:, 0]) == pytest.approx(theirs(y[:, 0], p[:, 0]))
    assert ours(y, p, sample_weight=w) == pytest.approx(theirs(y, p, sample_weight=w))
    np.testing.assert_allclose(ours(y, p, multioutput="raw_values"), theirs(y, p, multioutput="raw_values"))


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_regression_scores_leave_missing_labels_out(name, numbers):
    y, p, w = numbers
    ours, theirs = getattr(metrics, name), getattr(complete, name)
    y[3:, 1] = np.nan
    p[3:, 1] = np.nan
    y[:, 2] = np.nan
    with pytest.warns(UndefinedMetricWarning, match="Its score is NaN: task 'y2': it has no label"):
        scores = ours(y, p, multioutput="raw_values")
    assert scores[:2] == pytest.approx([theirs(y[:, 0], p[:, 0]), theirs(y[:3, 1], p[:3, 1])])
    assert np.isnan(scores[2])
    with pytest.warns(UndefinedMetricWarning, match="The mean leaves it out: task 'y2'"):
        assert ours(y, p) == pytest.approx(scores[:2].mean())
    weights = np.column_stack([w, w[::-1]])
    assert ours(y[:, :2], p[:, :2], sample_weight=weights, multioutput="raw_values")[1] == pytest.approx(
        theirs(y[:3, 1], p[:3, 1], sample_weight=w[::-1][:3])
    )
    with pytest.warns(UndefinedMetricWarning, match="it has no label"):
        assert np.isnan(ours(y[:, 2], p[:, 2]))


def test_r2_score_needs_two_labels_of_non_zero_weight(numbers):
    y, p, _ = numbers
    y[1:, 1] = np.nan
    with pytest.warns(UndefinedMetricWarning, match="task 'y1': it has only one label"):
        assert np.isnan(metrics.r2_score(y, p, multioutput="raw_values")[1])
    weight = np.r_[1.0, np.zeros(19)]
    with pytest.warns(UndefinedMetricWarning, match="only one label of non-zero weight"):
        assert np.isnan(metrics.r2_score(y[:, 0], p[:, 0], sample_weight=weight))


def test_relative_error(numbers):
    y, p, w = numbers
    r2 = complete.r2_score(y, p, multioutput="raw_values", sample_weight=w)
    ours = metrics.relative_root_mean_squared_error
    np.testing.assert_allclose(ours(y, p, multioutput="raw_values", sample_weight=w), np.sqrt(1 - r2))
    y_train = np.array([[1.0, np.nan, np.nan], [3.0, 7.0, np.nan]])
    y[4:, 0] = np.nan
    expected = np.sqrt(np.sum((y[:4, 0] - p[:4, 0]) ** 2) / np.sum((y[:4, 0] - 2) ** 2))
    with pytest.warns(UndefinedMetricWarning, match="task 'y2': it has no label in y_train"):
        scores = ours(y, p, y_train=y_train, multioutput="raw_values")
    assert scores[0] == pytest.approx(expected)
    assert np.isnan(scores[2])
    with pytest.warns(UndefinedMetricWarning, match="all of its labels are 5"):
        assert np.isnan(ours([5.0, 5.0], [4.0, 6.0]))
    with pytest.raises(ValueError, match="y_train must have the 3 tasks"):
        ours(y, p, y_train=[1.0, 2.0])


@pytest.mark.parametrize("name", OF_CLASSES)
def test_scores_of_classes(name, classes):
    X, y, gaps = classes
    predicted = Trees().fit(X, y).predict(X)
    columns = [np.array(column.tolist()) for column in predicted.T]
    ours, theirs = getattr(metrics, name), getattr(complete, name)
    np.testing.assert_allclose(ours(y, predicted, multioutput="raw_values"), column_scores(theirs, y, columns))
    expected = column_scores(theirs, gaps, columns)
    np.testing.assert_allclose(ours(gaps, predicted, multioutput="raw_values"), expected)
    np.testing.assert_allclose(ours(gaps.to_numpy(), predicted), np.mean(expected))
    w = np.random.default_rng(0).random(120)
    assert ours(y["grade"], columns[0], sample_weight=w) == pytest.approx(
        theirs(y["grade"].to_numpy(), columns[0], sample_weight=w)
    )


def test_balanced_accuracy_over_the_classes_that_are_present():
    assert metrics.balanced_accuracy_score(["a", "a", "b", None], ["a", "c", "b", "c"]) == 0.75


def test_scores_of_probabilities_equal_sklearn_column_by_column(classes):
    X, y, gaps = classes
    model = Trees().fit(X, y)
    p, labels = model.predict_proba(X), model.classes_

    def loss(truth, p, labels):
        return complete.log_loss(truth, p, labels=labels)

    def area(truth, p, labels):
        chosen = p[:, 1] if p.shape[1] == 2 else p
        return complete.roc_auc_score(truth, chosen, multi_class="ovr", labels=None if p.shape[1] == 2 else labels)

    for ours, theirs in ((metrics.log_loss, loss), (metrics.roc_auc_score, area)):
        for table in (y, gaps):
            expected = column_scores(theirs, table, p, labels)
            np.testing.assert_allclose(ours(table, p, labels=labels, multioutput="raw_values"), expected)
            np.testing.assert_allclose(ours(table, p), np.mean(expected))
    ovo = complete.roc_auc_score(y["count"], p[1], multi_class="ovo")
    assert metrics.roc_auc_score(y["count"], p[1], labels=labels[1], multi_class="ovo") == pytest.approx(ovo)
    w = np.random.default_rng(0).random((120, 3))
    assert metrics.log_loss(y, p, labels=labels, sample_weight=w, multioutput="raw_values")[2] == pytest.approx(
        complete.log_loss(y["toxic"], p[2], sample_weight=w[:, 2])
    )


def test_a_class_that_is_absent():
    p = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]])
    y = ["a", "b", "b"]
    assert metrics.log_loss(y, p, labels=["a", "b", "c"]) == pytest.approx(-np.log([0.7, 0.7, 0.8]).mean())
    with pytest.warns(UndefinedMetricWarning, match=r"it has no label of \['c'\]"):
        assert np.isnan(metrics.roc_auc_score(y, p, labels=["a", "b", "c"]))
    with pytest.warns(UndefinedMetricWarning, match="its labels are of 2 classes, its probabilities of 3"):
        assert np.isnan(metrics.roc_auc_score(y, p))
    with pytest.warns(UndefinedMetricWarning, match="its labels are of one class, 1"):
        assert np.isnan(metrics.roc_auc_score([1, 1], p[:2, :2], labels=[0, 1]))
    with pytest.raises(ValueError, match="`labels` names classes that y_true lacks"):
        metrics.log_loss(y, p)


def test_a_class_that_the_classifier_has_not_met_has_probability_zero():
    p = np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]])
    surprise = -np.log(np.finfo(np.float64).eps)
    expected = -(np.log(0.7) + np.log(0.8) - surprise) / 3
    assert metrics.log_loss([0, 2, 1], p, labels=[0, 2]) == pytest.approx(expected)
    assert metrics.roc_auc_score([0, 0, 1, 1], np.ones((4, 1)), labels=[0]) == 0.5
    assert metrics.log_loss([0, 0], np.ones((2, 1)), labels=[0]) == 0


@pytest.mark.parametrize("score", [metric.function for metric in METRICS.values()])
def test_errors_name_what_must_hold(score, numbers):
    y, p, w = numbers
    with pytest.raises(ValueError, match="same shape"):
        score(y, p[:, :2])
    with pytest.raises(ValueError, match="same shape"):
        score(y, p[:5])
    with pytest.raises(ValueError, match="multioutput must be"):
        score(y, p, multioutput="variance_weighted")
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(20,\) or \(20, 3\)"):
        score(y, p, sample_weight=w[:5])


def test_errors_of_labels():
    p = [np.full((2, 2), 0.5)] * 2
    with pytest.raises(ValueError, match="labels must hold one array of classes for each of the 2 tasks"):
        metrics.log_loss([[0, 1], [1, 0]], p, labels=[[0, 1]])
    with pytest.raises(ValueError, match="one type"):
        metrics.log_loss([0, 1], p[0], labels=["0", "1"])
    with pytest.raises(ValueError, match="multi_class must be"):
        metrics.roc_auc_score([0, 1], p[0], multi_class="raise")


@pytest.mark.parametrize("name", METRICS)
def test_scorers_score_the_mean_and_one_task(name, classes):
    X, y, gaps = classes
    metric = METRICS[name]
    if metric.response_method == "predict_proba" or "accuracy" in name:
        model = make_pipeline(StandardScaler(), Trees()).fit(X, y)
    else:
        gaps = gaps[["count", "toxic"]]
        model = LinearRegression().fit(X, y[["count", "toxic"]])
    options = {"labels": model.classes_} if metric.response_method == "predict_proba" else {}
    outputs = getattr(model, metric.response_method)(X)
    scores = metric.function(gaps, outputs, multioutput="raw_values", **options)
    scores = scores if metric.greater_is_better else -scores
    assert make_task_scorer(name)(model, X, gaps) == pytest.approx(scores.mean())
    for task, column in enumerate(gaps):
        assert make_task_scorer(name, column)(model, X, gaps) == pytest.approx(scores[task])
        assert make_task_scorer(name, task)(model, X, gaps.to_numpy()) == pytest.approx(scores[task])


@pytest.mark.parametrize(
    "model",
    [
        KNeighborsClassifier(),
        MultiOutputClassifier(GaussianNB()),
        RandomForestClassifier(10, max_depth=3, random_state=0),
    ],
)
def test_scorers_of_several_classifiers(model, classes):
    X, y, _ = classes
    y = y[["count", "toxic"]]
    model.fit(X, y)
    areas = [make_task_scorer("roc_auc", task)(model, X, y) for task in y]
    assert areas[1] == pytest.approx(complete.roc_auc_score(y["toxic"], model.predict_proba(X)[1][:, 1]))
    assert make_task_scorer("roc_auc")(model, X, y) == pytest.approx(np.mean(areas))
    one = KNeighborsClassifier().fit(X, y["toxic"])
    assert make_task_scorer("log_loss", "toxic")(one, X, y["toxic"]) == pytest.approx(
        -complete.log_loss(y["toxic"], one.predict_proba(X))
    )


@pytest.mark.parametrize(
    "model",
    [
        ClassifierChain(GaussianNB()),
        MLPClassifier((4,), tol=1.0, random_state=0),
    ],
)
def test_scorers_of_classifiers_with_one_probability_per_task(model, classes):
    X, y, _ = classes
    y = (y[["count", "toxic"]] > 0).astype(int)
    p = model.fit(X, y).predict_proba(X)
    expected = [complete.log_loss(y[name], p[:, task]) for task, name in enumerate(y)]
    assert make_task_scorer("log_loss")(model, X, y) == pytest.approx(-np.mean(expected))
    assert make_task_scorer("log_loss", "toxic")(model, X, y) == pytest.approx(-expected[1])


def test_strings_through_a_forest(classes):
    """A forest's classes of strings are arrays of objects."""
    X, y, gaps = classes
    strings = pd.DataFrame({"grade": y["grade"], "toxic": y["toxic"].map({0: "no", 1: "yes"})}).astype(object)
    model = RandomForestClassifier(10, max_depth=3, random_state=0).fit(X, strings.to_numpy())
    p = model.predict_proba(X)
    strings[gaps[["grade", "toxic"]].isna()] = None
    rows = strings["toxic"].notna().to_numpy()
    truth = strings["toxic"][rows].to_numpy(dtype=str)
    assert make_task_scorer("log_loss", "toxic")(model, X, strings) == pytest.approx(
        -complete.log_loss(truth, p[1][rows])
    )
    assert make_task_scorer("roc_auc", 1)(model, X, strings) == complete.roc_auc_score(truth, p[1][rows, 1])
    assert make_task_scorer("accuracy", 1)(model, X, strings) == np.mean(truth == model.predict(X)[rows, 1])


def test_one_task_is_scored_where_the_others_are_of_another_kind(classes):
    X, y, _ = classes
    model = Trees().fit(X, y)
    table = y.assign(count=np.linspace(0, 1, 120))
    assert make_task_scorer("accuracy", "toxic")(model, X, table) == make_task_scorer("accuracy", 2)(model, X, y)


def test_an_unknown_task_is_an_error_that_lists_the_tasks(classes):
    X, y, _ = classes
    y = y[["count", "toxic"]]
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(X, y)
    with pytest.raises(ValueError, match=r"task must be .* 'mass'; the tasks are \['count', 'toxic'\]"):
        make_task_scorer("r2", "mass")(model, X, y)
    with pytest.raises(ValueError, match=r"the tasks are \['y0', 'y1'\]"):
        make_task_scorer("r2", 2)(model, X, y.to_numpy())
    model[-1].task_names_ = ["count", "toxic"]
    by_name = make_task_scorer("r2", "toxic")(model, X, y.to_numpy())
    assert by_name == make_task_scorer("r2", -1)(model, X, y)


def test_scorer_of_a_function(numbers):
    y, p, w = numbers
    model = LinearRegression().fit(p, y)

    def closeness(y_true, y_pred, *, sample_weight=None, multioutput="uniform_average"):
        return -complete.median_absolute_error(y_true, y_pred, sample_weight=sample_weight, multioutput=multioutput)

    assert make_task_scorer(closeness)(model, p, y, w) == pytest.approx(
        -complete.median_absolute_error(y, model.predict(p), sample_weight=w)
    )
    assert make_task_scorer(closeness, 1)(model, p, y) == closeness(y[:, 1], model.predict(p)[:, 1])
    # Passing one of this module's errors itself must not turn the search round.
    assert make_task_scorer(metrics.mean_absolute_error)(model, p, y) == make_task_scorer("mae")(model, p, y) < 0
    for metric in ("rmsd", None):
        with pytest.raises(ValueError, match="metric must be one of"):
            make_task_scorer(metric)


def test_weights_of_labels_reach_one_task(numbers):
    y, p, _ = numbers
    model, w = LinearRegression().fit(p, y), np.random.default_rng(1).random((20, 3))
    expected = complete.r2_score(y[:, 1], model.predict(p)[:, 1], sample_weight=w[:, 1])
    assert make_task_scorer("r2", 1)(model, p, y, w) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["rmse", metrics.r2_score])
def test_scorers_are_pickled_cloned_and_shown(metric, numbers):
    y, p, _ = numbers
    scorer, model = make_task_scorer(metric, "y1"), LinearRegression().fit(p, y)
    search = clone(GridSearchCV(Ridge(), {"alpha": [1.0]}, scoring=scorer))
    for copy in (pickle.loads(pickle.dumps(scorer)), search.scoring):
        assert copy is not scorer
        assert copy(model, p, y) == scorer(model, p, y)
        assert repr(copy) == f"make_task_scorer({metric if metric == 'rmse' else 'r2_score'!r}, 'y1')"
    assert repr(make_task_scorer("r2")) == "make_task_scorer('r2')"


def test_grid_search_by_two_scorers(numbers):
    X, y, _ = numbers
    search = GridSearchCV(
        Ridge(), {"alpha": [0.1, 100.0]}, scoring={"all": make_task_scorer("mae"), "y1": make_task_scorer("mae", "y1")},
        refit="y1", cv=KFold(2),
    ).fit(X, y)  # fmt: skip
    expected = []
    for train, test in KFold(2).split(X):
        model = Ridge(0.1).fit(X[train], y[train])
        expected.append(-complete.mean_absolute_error(y[test, 1], model.predict(X[test])[:, 1]))
    assert search.cv_results_["mean_test_y1"][0] == pytest.approx(np.mean(expected))
    assert search.cv_results_["mean_test_all"][0] != search.cv_results_["mean_test_y1"][0]


def weighted_scores(X, y, w, folds):
    return [
        complete.r2_score(y[test], Ridge().fit(X[train], y[train], w[train]).predict(X[test]), sample_weight=w[test])
        for train, test in folds
    ]


def test_metadata_routing(numbers):
    X, y, w = numbers
    w = w + 0.1
    folds = list(KFold(2).split(X))
    with sklearn.config_context(enable_metadata_routing=True):
        unweighted = cross_val_score(LinearRegression(), X, y, scoring=make_task_scorer("r2"), cv=KFold(2))
        assert unweighted == pytest.approx(cross_val_score(LinearRegression(), X, y, cv=KFold(2)))
        model = Ridge().set_fit_request(sample_weight=True)
        scorer = make_task_scorer("r2").set_score_request(sample_weight=True)
        for scoring in (scorer, clone(scorer, safe=False), {"score": scorer}):
            scores = cross_validate(model, X, y, scoring=scoring, params={"sample_weight": w}, cv=KFold(2))
            assert scores["test_score"] == pytest.approx(weighted_scores(X, y, w, folds))
        search = GridSearchCV(model, {"alpha": [1.0]}, scoring=scorer, cv=KFold(2)).fit(X, y, sample_weight=w)
        assert search.best_score_ == pytest.approx(np.mean(weighted_scores(X, y, w, folds)))
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="make_task_scorer"):
            cross_validate(model, X, y, scoring=make_task_scorer("r2"), params={"sample_weight": w}, cv=KFold(2))


def test_tasks_without_labels_in_a_fold_are_left_out_with_a_warning(numbers):
    X, y, _ = numbers
    y[:10, 1] = np.nan
    model = LinearRegression().fit(X, np.nan_to_num(y))
    folds = PredefinedSplit(np.repeat([0, 1], 10))
    _, first = next(folds.split())
    tasks = [make_task_scorer("r2", task)(model, X[first], y[first]) for task in (0, 2)]
    with pytest.warns(UndefinedMetricWarning, match="task 'y1': it has no label"):
        assert np.isnan(make_task_scorer("r2", 1)(model, X[first], y[first]))
    with pytest.warns(UndefinedMetricWarning, match="task 'y1': it has no label"):
        assert make_task_scorer("r2")(model, X[first], y[first]) == pytest.approx(np.mean(tasks))


@pytest.mark.parametrize("kind", ["frame", "array"])
def test_a_warning_names_each_task_without_a_score(kind, classes):
    """By the names of y's columns; of an array by those of the estimator, otherwise by position."""
    X, y, gaps = classes
    model = Trees().fit(X, y)
    truth = gaps.assign(toxic=gaps["toxic"].where(gaps["toxic"] == 1), grade=None)
    truth = truth if kind == "frame" else truth.to_numpy()
    names = ["grade", "toxic"] if kind == "frame" else ["y0", "y2"]
    options = {"labels": model.classes_, "multioutput": "raw_values"}
    with pytest.warns(UndefinedMetricWarning) as caught:
        areas = metrics.roc_auc_score(truth, model.predict_proba(X), **options)
    (warning,) = caught
    assert f"task {names[0]!r}: it has no label; task {names[1]!r}: its labels are of one class, 1." in str(warning)
    assert warning.filename == __file__
    assert np.isnan(areas).tolist() == [True, False, True]
    model.task_names_ = list(y)
    with pytest.warns(UndefinedMetricWarning, match="task 'toxic': its labels are of one class, 1"):
        assert np.isnan(make_task_scorer("roc_auc", 2)(model, X, truth))
    with pytest.warns(UndefinedMetricWarning, match="'grade': it has no label; task 'toxic'"):
        assert make_task_scorer("roc_auc")(model, X, truth) == areas[1]


@pytest.mark.parametrize("name", METRICS)
def test_where_no_task_can_be_scored_the_mean_is_nan_and_says_so(name):
    y = pd.DataFrame({"left": [np.nan, np.nan], "right": [None, None]})
    predictions = [np.full((2, 2), 0.5)] * 2 if METRICS[name].response_method == "predict_proba" else np.ones((2, 2))
    with pytest.warns(UndefinedMetricWarning, match="task 'left': it has no label; task 'right': it has no label"):
        assert np.isnan(METRICS[name].function(y, predictions))


@pytest.mark.parametrize("estimator", [MultiTaskVAERegressor, MultiTaskVAEClassifier])
def test_the_score_of_an_estimator_names_a_task_without_labels(estimator):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 2)), pd.DataFrame({"left": rng.random(30) > 0.5, "right": rng.random(30) > 0.5}) * 1.0
    model = estimator(2, n_estimators=1, hidden_layer_sizes=(4,), max_iter=1).fit(X, y)
    table = y.assign(right=np.nan)
    for truth in (table, table.to_numpy()):
        with pytest.warns(UndefinedMetricWarning, match="The mean leaves it out: task 'right': it has no label"):
            score = model.score(X, truth)
    one = complete.r2_score if estimator is MultiTaskVAERegressor else complete.accuracy_score
    assert score == pytest.approx(one(y["left"], model.predict(X)[:, 0]))
    heads = Ridge() if estimator is MultiTaskVAERegressor else GaussianNB()
    per_task = {Ridge: PerTaskRegressor, GaussianNB: PerTaskClassifier}[type(heads)](heads).fit(X, y)
    with pytest.warns(UndefinedMetricWarning, match="task 'right': it has no label"):
        assert per_task.score(X, table) == pytest.approx(one(y["left"], per_task.predict(X)[:, 0]))
    for fitted in (model, per_task):
        with pytest.raises(ValueError, match=r"the columns \['left', 'right'\]"):
            fitted.score(X, y[["right", "left"]])
        with pytest.raises(ValueError, match=r"the columns \['left', 'right'\]"):
            make_task_scorer("accuracy", "left")(fitted, X, y[["right", "left"]])


def test_an_error_names_the_task(classes):
    X, y, _ = classes
    p = Trees().fit(X, y).predict_proba(X)
    with pytest.raises(ValueError, match=r"Got 2 for \[1\].* This is task 'toxic'"):
        metrics.log_loss(y.assign(toxic=1), p)
