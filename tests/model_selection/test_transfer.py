"""The report on tasks against fits, scores and intervals computed one by one."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import ShuffleSplit
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae.model_selection import TaskKFold, TaskShuffleSplit, transfer_report
from sklearn_mtae.model_selection import _transfer as transfer
from sklearn_mtae.model_selection import _transfer_report as reports


@pytest.fixture
def small():
    return MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(6,), max_iter=2, random_state=0)


@pytest.fixture
def gaps(table):
    """Half of the labels of the first task missing."""
    X, Y = table
    Y[::2, 0] = np.nan
    return X, Y


def shift(steps, n=60):
    """Return splits by hand: each leaves out another dozen rows."""
    rows = np.arange(n)
    return [(rows[rows % 5 != step], rows[rows % 5 == step]) for step in range(steps)]


def test_related_tasks_with_few_labels_are_to_share():
    """Five tasks with rows of their own, 16 each, all of them the same direction of 24 features."""
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(80, 24)), rng.normal(size=24)
    owner = np.repeat(np.arange(5), 16)
    Y = np.where(owner[:, None] == np.arange(5), (X @ weights)[:, None] * [1, -2, 3, 4, 5] + [0, 1, 2, 3, 4], np.nan)
    model = MultiTaskVAERegressor(
        8, n_estimators=1, hidden_layer_sizes=(), head_hidden_layer_sizes=(), reconstruction_weight=0
    )
    model.set_params(learning_rate_init=0.03, max_iter=60)
    report = transfer_report(model, X, Y, cv=TaskKFold(4), models=["alone", "joint"], random_state=0)
    assert (report.frame["gain"] > 0.1).all()
    assert (report.frame["advice"] == "share").sum() >= 3
    assert (report.frame["advice"][report.frame["certain"]] == "share").all()
    assert report.frame["n_labels"].tolist() == [16] * 5
    assert (report.frame["joint"] < report.frame["alone"]).all()


def test_scores_are_those_of_fits_by_hand(small, gaps):
    X, Y = gaps
    report = transfer_report(small, X, Y, cv=shift(2), baseline=LinearRegression(), scoring="mae")
    for split, (train, test) in enumerate(shift(2)):
        joint = clone(small).fit(X[train], Y[train]).predict(X[test])
        for task in range(3):
            has = ~np.isnan(Y[:, task])
            own, test_own = train[has[train]], test[has[test]]
            alone = clone(small).fit(X[own], Y[own, task]).predict(X[test_own])
            line = LinearRegression().fit(X[own], Y[own, task]).predict(X[test_own])
            truth = Y[test_own, task]
            expected = {"alone": alone, "joint": joint[has[test], task], "baseline": line}
            for name, prediction in expected.items():
                score = mean_absolute_error(truth, prediction)
                np.testing.assert_allclose(report.scores[name][split, task], score, rtol=1e-5)
    gone = report.scores["alone"] - report.scores["joint"]
    np.testing.assert_allclose(report.gains, gone / report.scores["alone"].mean(0))
    for name, scores in report.scores.items():
        np.testing.assert_allclose(report.frame[name], scores.mean(0))


def test_pooled_is_one_autoencoder_with_a_head_per_task(small, gaps):
    X, Y = gaps
    ((train, test),) = shift(1)
    report = transfer_report(small.set_params(dropout=0.1), X, Y, cv=shift(1))
    encoder = AutoencoderTransformer(2, hidden_layer_sizes=(6,), dropout=0.1, random_state=0).fit(X[train])
    for task in range(3):
        has = ~np.isnan(Y[:, task])
        own, test_own = train[has[train]], test[has[test]]
        head = TransformedTargetRegressor(make_pipeline(StandardScaler(), SVR()), transformer=StandardScaler())
        prediction = head.fit(encoder.transform(X[own]), Y[own, task]).predict(encoder.transform(X[test_own]))
        score = root_mean_squared_error(Y[test_own, task], prediction)
        np.testing.assert_allclose(report.scores["pooled"][0, task], score, rtol=1e-4)


def test_pooled_of_ones_own_takes_the_table(small, table):
    X, Y = table
    report = transfer_report(small, X, Y, cv=shift(1), pooled=MultiOutputRegressor(LinearRegression()), scoring="r2")
    ((train, test),) = shift(1)
    prediction = LinearRegression().fit(X[train], Y[train]).predict(X[test])
    expected = r2_score(Y[test], prediction, multioutput="raw_values")
    np.testing.assert_allclose(report.scores["pooled"][0], expected)
    np.testing.assert_allclose(report.gains, report.scores["joint"] - report.scores["alone"])


def test_alone_keeps_its_own_of_the_options_by_task(small, table):
    X, Y = table
    Y[:, 1] = np.abs(Y[:, 1]).round()
    kinds = {"a": "gaussian", "b": "poisson", "c": "student_t"}
    options = {"task_weighting": [1, 2, 3], "task_similarity": np.ones((3, 3)), "task_likelihoods": kinds}
    frame = pd.DataFrame(Y, columns=["a", "b", "c"])
    report = transfer_report(clone(small).set_params(**options), X, frame, cv=shift(1))
    ((train, test),) = shift(1)
    for task, name in enumerate(frame):
        own = clone(small).set_params(task_likelihoods=kinds[name]).fit(X[train], Y[train, task])
        score = root_mean_squared_error(Y[test, task], own.predict(X[test]))
        np.testing.assert_allclose(report.scores["alone"][0, task], score, rtol=1e-5)


def test_classifier(table):
    X, Y = table
    grade = np.where(Y[:, 0] > 0, "high", "low").astype(object)
    grade[::4] = None
    size = np.digitize(Y[:, 1], np.quantile(Y[:, 1], [0.3, 0.7])) * 1.0
    size[1::4] = np.nan
    frame = pd.DataFrame({"grade": grade, "size": size})
    weight = {"grade": "balanced", "size": {0: 1.0, 1: 3.0, 2: 1.0}}
    model = MultiTaskVAEClassifier(
        2, hidden_layer_sizes=(6,), n_estimators=1, max_iter=3, class_weight=weight, random_state=0
    )
    options = {
        "cv": 2,
        "baseline": make_pipeline(StandardScaler(), LogisticRegression()),
        "scoring": "log_loss",
        "random_state": 0,
    }
    report = transfer_report(model, pd.DataFrame(X).add_prefix("x"), frame, **options)
    assert report.frame.index.tolist() == report.task_names == ["grade", "size"]
    assert np.isfinite(np.stack(list(report.scores.values()))).all()
    train, test = next(TaskKFold(2, shuffle=True, random_state=0).split(X, frame))
    own, test_own = (rows[~np.isnan(size[rows])] for rows in (train, test))
    alone = clone(model).set_params(class_weight={1: 3.0}).fit(X[own], size[own])
    np.testing.assert_allclose(
        report.scores["alone"][0, 1], log_loss(size[test_own], alone.predict_proba(X[test_own])), rtol=1e-4
    )
    encoder = AutoencoderTransformer(2, hidden_layer_sizes=(6,), random_state=0).fit(X[train])
    head = CalibratedClassifierCV(make_pipeline(StandardScaler(), SVC()), ensemble=False, cv=3)
    pooled = head.fit(encoder.transform(X[own]), size[own]).predict_proba(encoder.transform(X[test_own]))
    np.testing.assert_allclose(report.scores["pooled"][0, 1], log_loss(size[test_own], pooled), rtol=1e-3)
    by_name = transfer_report(model.set_params(class_weight={"low": 2.0, 1: 3.0}), X, frame, cv=2, random_state=0)
    assert by_name.scoring == "accuracy"
    assert ((by_name.scores["joint"] >= 0) & (by_name.scores["joint"] <= 1)).all()


def test_interval_by_hand():
    """Gains .1, .3, .2: mean .2, variance .01, t(.975, 2) = 4.302653, and a test part a quarter of the train part."""
    gains = np.array([[0.1, np.nan, np.nan], [0.3, 0.5, np.nan], [0.2, np.nan, np.nan]])
    mean, error, margin = reports._interval(gains, 0.25)
    expected = np.sqrt((1 / 3 + 0.25) * 0.01)
    np.testing.assert_allclose([mean[0], error[0], margin[0]], [0.2, expected, 4.302653 * expected], rtol=1e-6)
    assert mean[1] == 0.5
    assert np.isnan([error[1], margin[1], mean[2], error[2]]).all()


def test_interval_and_advice_in_the_frame(small, table):
    X, Y = table
    report = transfer_report(small, X, Y, cv=ShuffleSplit(3, test_size=20, random_state=0), random_state=0)
    margin = 4.302653 * np.sqrt((1 / 3 + 20 / 40) * report.gains.var(0, ddof=1))
    np.testing.assert_allclose(report.frame["gain"], report.gains.mean(0))
    np.testing.assert_allclose(report.frame["gain_high"] - report.frame["gain"], margin, rtol=1e-6)
    np.testing.assert_allclose(report.frame["gain"] - report.frame["gain_low"], margin, rtol=1e-6)
    outside = np.abs(report.gains.mean(0)) > margin
    assert report.frame["certain"].tolist() == outside.tolist()
    clear = report.gains.mean(0) > margin / 4.302653
    assert report.frame["advice"].tolist() == [["train alone", "share"][int(helps)] for helps in clear]


def test_an_error_of_zero_has_no_gain():
    gains = reports._gains(np.array([[0.0, 2.0]]), np.array([[1.0, 1.0]]), greater_is_better=False)
    np.testing.assert_allclose(gains, [[np.nan, 0.5]])


def test_default_splits(table):
    X, Y = table
    expected = list(TaskShuffleSplit(10, test_size=0.2, random_state=3).split(X, Y))
    for (train, test), (own_train, own_test) in zip(transfer._splits(None, X, Y, None, 3), expected, strict=True):
        np.testing.assert_array_equal(train, own_train)
        np.testing.assert_array_equal(test, own_test)


def test_groups_reach_the_splits_and_the_fits(small, table, monkeypatch):
    X, Y = table
    groups, fitted = np.arange(60) // 6, []
    own = MultiTaskVAERegressor.fit

    def fit(self, X, y, sample_weight=None, groups=None):
        fitted.append(groups)
        return own(self, X, y, sample_weight, groups)

    monkeypatch.setattr(MultiTaskVAERegressor, "fit", fit)
    transfer_report(small, X, Y, cv=2, groups=groups, models=("alone", "joint"), random_state=0)
    of_splits = [set(own) for own in fitted if own is not None]
    parts = [set(groups[train]) for train, _ in TaskKFold(2, shuffle=True, random_state=0).split(X, Y, groups)]
    assert all(len(own) == 5 for own in parts)
    assert [of_splits.count(own) for own in parts] == [1 + Y.shape[1]] * 2


def test_reproducible_by_random_state_and_in_parallel(small, gaps):
    X, Y = gaps
    model = small.set_params(random_state=None)
    first, second, other = (
        transfer_report(model, X, Y, cv=2, random_state=seed, n_jobs=n_jobs)
        for seed, n_jobs in ((0, None), (0, 2), (1, None))
    )
    pd.testing.assert_frame_equal(first.frame, second.frame)
    np.testing.assert_allclose(first.affinity, second.affinity, rtol=1e-6)
    assert not np.allclose(first.scores["joint"], other.scores["joint"])


# Errors.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimator": AutoencoderTransformer()}, r"estimator must be one of \['MultiTaskVAERegressor'"),
        ({"scoring": "rmsle"}, "scoring must be one of .* Got 'rmsle'"),
        ({"scoring": "log_loss"}, "scoring='log_loss' needs an estimator with predict_proba"),
        ({"Y": np.arange(60.0)}, "Y must have two tasks or more. Got 1 instead"),
        ({"Y": np.ones((50, 2))}, "inconsistent numbers of samples"),
        ({"cv": [(np.arange(30), np.arange(30, 60))]}, "The train part of 30 rows has none of task 'y0'"),
    ],
)
def test_errors(small, table, change, message):
    X, Y = table
    Y[:30, 0] = np.nan
    arguments = {"estimator": small, "X": X, "Y": Y, **change}
    with pytest.raises(ValueError, match=message):
        transfer_report(**arguments)


# Classes with few labels, tasks with few rows in common.


@pytest.fixture
def rare(table):
    """A task of which one class has two labels, beside another."""
    X, Y = table
    kind = np.where(Y[:, 0] > 0, "high", "low").astype(object)
    kind[[3, 40]] = "rare"
    return X, pd.DataFrame({"kind": kind, "plain": (Y[:, 1] > 7) * 1})


@pytest.mark.parametrize("scoring", ["roc_auc", "log_loss"])
def test_a_class_with_two_labels(rare, scoring):
    X, Y = rare
    model = MultiTaskVAEClassifier(
        2,
        hidden_layer_sizes=(4,),
        n_estimators=1,
        max_iter=1,
        class_weight={"kind": {"rare": 3}, "plain": None},
        random_state=0,
    )
    splits = [(np.arange(20, 60), np.arange(20)), (np.r_[:3, 4:40], np.r_[3, 40:60])]  # one label to train, and none
    options = {"cv": splits, "scoring": scoring, "baseline": GaussianNB(), "random_state": 0}
    if scoring == "log_loss":
        report = transfer_report(model, X, Y, **options)
        assert all(np.isfinite(scores).all() for scores in report.scores.values())
        # What no training label has shown is possible to our own: 36 nats would be the loss of a probability of 0.
        assert (report.scores["joint"] < 10).all()
        return
    splits[1] = (splits[0][1], np.r_[20:40, 41:60])
    with pytest.warns(UndefinedMetricWarning, match=r"Task 'kind' has no score of .* in 1 of 2 splits"):
        report = transfer_report(model, X, Y, **options)
    kinds = np.isnan(report.scores["joint"][:, 0])
    assert kinds.tolist() == [False, True]
    assert {name for _, _, name, _ in report.unscored} == {"kind"}
    assert {model for model, *_ in report.unscored} == {"alone", "pooled", "joint", "baseline"}
    assert ("joint", 1, "kind", "it has no label of ['rare']") in report.unscored
    assert "it has no label of ['rare']" in repr(report)
    assert np.isfinite(report.frame["joint"]).all()


def test_a_head_of_probabilities_with_few_labels():
    """Three folds, or as many as the rarest class has labels."""
    x, y = np.random.default_rng(0).normal(size=(20, 2)), np.repeat(["a", "b"], 10)
    for n_labels, folds in ((10, 3), (2, 2)):
        keep = np.r_[:10, 10 : 10 + n_labels]
        ours = transfer._svc("predict_proba").fit(x[keep], y[keep])
        head = make_pipeline(StandardScaler(), SVC())
        theirs = CalibratedClassifierCV(head, ensemble=False, cv=folds).fit(x[keep], y[keep])
        np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x))
    proba = transfer._svc("predict_proba").fit(x[:11], y[:11]).predict_proba(x)
    np.testing.assert_allclose(proba.sum(1), 1)


def test_a_task_without_a_score_is_named(small, table):
    X, Y = table
    frame = pd.DataFrame(Y, columns=["a", "b", "c"])
    frame.loc[frame.index % 5 == 0, "b"] = np.nan  # none in the test part of the first split
    with pytest.warns(
        UndefinedMetricWarning, match="Task 'b' has no score of joint, alone in 1 of 2 splits: it has no"
    ):
        report = transfer_report(small, X, frame, cv=shift(2), models=["alone", "joint"])
    assert np.isnan(report.scores["joint"]).tolist() == [[False, True, False], [False] * 3]


def test_pooled_may_be_left_out(small, table):
    X, Y = table
    report = transfer_report(small, X, Y, cv=shift(1), models=("joint", "alone"))
    assert sorted(report.scores) == ["alone", "joint"]
    assert "pooled" not in report.frame
    assert report.unscored == []
    with pytest.raises(ValueError, match=r"models must hold 'alone' and 'joint', .* Got \['pooled'\] instead"):
        transfer_report(small, X, Y, models=["pooled"])
    with pytest.raises(ValueError, match="pooled is given, but is not among models"):
        transfer_report(small, X, Y, models=["alone", "joint"], pooled=LinearRegression())


def test_cosines_are_for_tasks_that_share_rows(small, table):
    X, Y = table
    Y[:, 1], Y[:, 2] = Y[:, 0], Y[:, 0]
    Y[30:, 0], Y[:30, 1], Y[:20, 2] = np.nan, np.nan, np.nan  # rows 0-29, 30-59, 20-59
    splits = [(rows, rows) for rows in [np.arange(60)]]
    report = transfer_report(small, X, Y, cv=splits, models=["alone", "joint"])
    np.testing.assert_allclose(report.overlap, [[1, 0, 1 / 3], [0, 1, 1], [1 / 3, 1, 1]])
    assert np.isnan(report.conflict).tolist() == [[False, True, False], [True, False, False], [False] * 3]
    assert np.isfinite(report.affinity).all()
    assert "share less than 30% of their labelled rows" in repr(report)


def test_without_pandas(small, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        transfer_report(small, *table)
