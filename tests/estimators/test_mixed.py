"""Tasks of all kinds in one model: dtypes in and out, and the ways of scikit-learn."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from sklearn_mtae import MultiTaskVAE
from sklearn_mtae.metrics import d2_score, make_task_scorer
from sklearn_mtae.model_selection import StackedGridSearchCV, TaskKFold, cross_val_predict, transfer_report

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 3, "embedding": None, "random_state": 0}
RNG = np.random.default_rng(0)
N = 80
X = pd.DataFrame(RNG.normal(size=(N, 4)), columns=list("wxyz"), index=np.arange(N) + 100)
SIZES = pd.CategoricalDtype(["none", "small", "large", "huge"], ordered=True)
COMPLETE = pd.DataFrame(
    {
        "price": 20 + 5 * X["w"],
        "visits": RNG.poisson(np.exp(X["x"])),
        "sick": X["w"] + RNG.normal(size=N) > 0,
        "size": pd.Categorical.from_codes(np.digitize(X["y"], [-0.5, 0.5]), dtype=SIZES),
        "town": np.where(X["z"] > 0, "Bonn", "Aachen"),
    },
    index=X.index,
)
Y = COMPLETE.astype({"visits": "Int64", "sick": "boolean", "town": object})
Y = Y.mask(np.random.default_rng(1).random(Y.shape) < 0.3)
CLASSES = {"sick": [False, True], "size": list(SIZES.categories), "town": ["Aachen", "Bonn"]}


def make(**options):
    return MultiTaskVAE(**{"n_estimators": 1, "task_likelihoods": {"visits": "poisson"}, **SMALL, **options})


@pytest.fixture(scope="module")
def ensemble():
    return make(n_estimators=6, max_iter=8, member_params=None, validation_fraction=1 / 3).fit(X, Y)


def test_frames_come_back_as_frames(ensemble):
    predicted, std = ensemble.predict(X, return_std=True)
    assert ensemble.task_kinds_ == dict(
        zip(Y, ["number", "poisson", "categorical", "categorical", "categorical"], strict=True)
    )
    expected = Y.dtypes.astype(object)
    expected["visits"] = pd.Float64Dtype()  # a mean
    assert predicted.dtypes.tolist() == expected.tolist()
    assert predicted.index.equals(X.index)
    assert (std[["price", "visits"]] > 0).all(axis=None)
    assert std[list(CLASSES)].isna().all(axis=None)
    lower, upper = ensemble.predict_interval(X, 0.8)
    assert (lower["visits"] >= 0).all()
    assert (lower["price"] < upper["price"]).all()
    assert lower[list(CLASSES)].isna().all(axis=None)


def test_probabilities_and_sets_are_by_task(ensemble):
    probabilities, sets = ensemble.predict_proba(X), ensemble.predict_set(X, 0.8)
    predicted = ensemble.predict(X)
    assert list(probabilities) == list(sets) == list(ensemble.classes_) == list(CLASSES)
    for name, classes in CLASSES.items():
        assert probabilities[name].columns.tolist() == ensemble.classes_[name].tolist() == classes
        np.testing.assert_allclose(probabilities[name].sum(axis=1), 1, rtol=1e-6)
        assert probabilities[name].idxmax(axis=1).tolist() == predicted[name].tolist()
        assert all(dtype.kind == "b" for dtype in sets[name].dtypes)
        # Whether a class is in the set depends on its probability alone.
        cells = zip(probabilities[name].to_numpy().ravel(), sets[name].to_numpy().ravel(), strict=True)
        ranked = [is_in for _, is_in in sorted(cells)]
        assert ranked == sorted(ranked)


def test_drawn_targets_have_the_dtypes_of_y(ensemble):
    features, targets = ensemble.sample(50, random_state=0)
    assert features.columns.equals(X.columns)
    assert targets.dtypes.tolist() == Y.dtypes.tolist()
    assert (targets["visits"] >= 0).all()
    assert not targets.isna().any(axis=None)


def test_the_score_is_the_mean_part_of_the_deviance_explained(ensemble):
    known = {name: ensemble.predict_proba(X).get(name, ensemble.predict(X)[name]) for name in Y}
    expected = []
    for name, own in known.items():
        kind, rows = ensemble.task_kinds_[name], Y[name].notna().to_numpy()
        classes = [ensemble.classes_[name]] if name in CLASSES else None
        truth = pd.Series(Y[name][rows].tolist())
        part = own[rows].to_numpy(dtype=float)
        expected.append(d2_score(truth, [part], labels=classes, likelihoods=[kind]))
    assert ensemble.score(X, Y) == pytest.approx(np.mean(expected))
    assert make_task_scorer("d2")(ensemble, X, Y) == pytest.approx(np.mean(expected))
    assert make_task_scorer("d2", "size")(ensemble, X, Y) == pytest.approx(expected[3])
    assert make_task_scorer("log_loss", "town")(ensemble, X, Y) < 0
    share = (ensemble.predict(X)["town"] == Y["town"])[Y["town"].notna()].mean()
    assert make_task_scorer("accuracy", "town")(ensemble, X, Y) == pytest.approx(share)
    with pytest.raises(ValueError, match="Negative values in data"):
        ensemble.score(X, Y.assign(visits=-1))


def test_arrays_of_objects():
    y = COMPLETE.astype(object).to_numpy()
    y[::3, 4] = None
    model = make(task_likelihoods={"y1": "poisson"}).fit(X.to_numpy(), y)
    predicted = model.predict(X.to_numpy())
    assert predicted.dtype == object
    assert set(predicted[:, 3]) <= set(SIZES.categories)
    assert isinstance(model.predict_proba(X.to_numpy())["y3"], np.ndarray)
    assert model.classes_["y3"].tolist() == sorted(COMPLETE["size"].unique())
    assert model.sample(2, random_state=0)[1].shape == (2, 5)


def test_a_frame_of_polars_is_an_array_with_names():
    frame = pl.from_pandas(COMPLETE[["price", "sick", "town"]].reset_index(drop=True))
    model = make(max_iter=1, task_likelihoods={"price": "laplace"}).fit(X, frame)
    assert model.task_kinds_ == {"price": "laplace", "sick": "categorical", "town": "categorical"}
    predicted = model.predict(X)
    assert isinstance(predicted, np.ndarray)
    assert [type(cell) for cell in predicted[0]] == [float, bool, str]
    assert all(isinstance(own, np.ndarray) for own in model.predict_proba(X).values())


def test_what_is_not_there_is_not_asked_for():
    model = make(task_likelihoods="auto")
    with pytest.raises(NotFittedError):
        model.predict_proba(X)
    model.fit(X, Y[["price"]])
    assert not hasattr(model, "predict_proba")
    with pytest.raises(ValueError, match="predict_interval needs rows that were held out"):
        model.predict_interval(X)
    with pytest.warns(UserWarning, match="Task 'town' has one class, 'Bonn'"):
        make(task_likelihoods="auto").fit(X, pd.DataFrame({"town": ["Bonn"] * N, "price": Y["price"].to_numpy()}))


def test_exceptions_leave_other_tasks_to_the_members():
    """Tasks that are not named are as without exceptions: with absolute values in each third member."""
    model = make(n_estimators=3, max_iter=1).fit(X, Y)
    assert [own["task_likelihoods"] for own in model.member_params_] == ["gaussian", "gaussian", "laplace"]
    assert make(task_likelihoods={}, n_estimators=3, max_iter=1).fit(X, Y).member_params_ == model.member_params_
    with pytest.raises(ValueError, match="must be one for all tasks of numbers"):
        make(n_estimators=2, member_params=[{"task_likelihoods": {"town": "poisson"}}]).fit(X, Y)
    one = make(task_likelihoods="laplace").fit(X, Y)
    assert one.task_kinds_["price"] == "number"
    from sklearn_mtae.nn.likelihoods import Categorical, Laplace

    families = [(type(family), columns) for family, columns in one.module_.task_likelihood.parts()]
    assert families == [(Laplace, [0, 1]), (Categorical, [2, 3, 4])]


@pytest.mark.parametrize(
    "option",
    [
        "balanced",
        {"sick": {True: 3.0}, "town": "balanced"},
        [None, None, {True: 3.0}, None, "balanced"],
        {True: 3.0, "Bonn": 2.0},
    ],
    ids=str,
)
def test_weights_of_classes_are_weights_of_labels(option):
    weight, classes = Y.notna().to_numpy(dtype=float), list(CLASSES)
    for task, name in enumerate(Y):
        by_task = dict(zip(Y, option, strict=True)) if isinstance(option, list) else option
        own = by_task.get(name) if isinstance(by_task, dict) and True not in by_task else by_task
        known = Y[name].notna().to_numpy()
        if name in classes and own is not None:
            labels = Y[name][known].astype(object).to_numpy()
            choice = {label: own.get(label, 1) for label in CLASSES[name]} if isinstance(own, dict) else own
            by_label = compute_sample_weight(choice, labels)
            weight[known, task] = by_label / by_label.mean()
    options = {"max_iter": 1, "hidden_layer_sizes": (4,)}
    by_class = make(**options, class_weight=option).fit(X, Y).predict_proba(X)
    by_label = make(**options).fit(X, Y, sample_weight=weight).predict_proba(X)
    for name in classes:
        np.testing.assert_allclose(by_class[name], by_label[name], rtol=1e-5)
    assert make(class_weight="balanced", max_iter=1).fit(X, Y[["price", "visits"]]).n_iter_ == 1
    with pytest.raises(ValueError, match=r"class_weight must be for tasks of classes. Got it for \['visits'\]"):
        make(class_weight={"visits": "balanced"}).fit(X, Y)


def test_parts_and_a_warm_start():
    model = make().partial_fit(X, Y)
    assert model.partial_fit(X[:10], Y[:10]).n_iter_ == 2
    with pytest.raises(ValueError, match=r"Task 'town' has \['Cologne'\]"):
        model.partial_fit(X[:1], Y[:1].assign(town="Cologne"))
    warm = make(warm_start=True).fit(X, Y)
    assert warm.fit(X, Y).n_iter_ == 6
    with pytest.raises(ValueError, match="must not change task_likelihoods"):
        warm.set_params(task_likelihoods="auto").fit(X, Y)


def test_pickles_and_searches():
    model = make(max_iter=1)
    pd.testing.assert_frame_equal(
        pickle.loads(pickle.dumps(clone(model).fit(X, Y))).predict(X), clone(model).fit(X, Y).predict(X)
    )
    grid = {"learning_rate_init": [1e-3, 1e-2]}
    one_by_one, stacked = (
        search(model, grid, cv=TaskKFold(2)).fit(X, Y) for search in (GridSearchCV, StackedGridSearchCV)
    )
    # The models of a stack draw other codes than each does by itself.
    scores = [search.cv_results_["mean_test_score"] for search in (one_by_one, stacked)]
    np.testing.assert_allclose(*scores, atol=0.02)
    assert one_by_one.best_params_ == stacked.best_params_
    pipeline = make_pipeline(StandardScaler(), clone(model)).fit(X, Y)
    assert make_task_scorer("d2")(pipeline, X, Y) == pytest.approx(pipeline.score(X, Y))
    assert permutation_importance(pipeline, X, Y, n_repeats=1).importances_mean.shape == (4,)
    assert pipeline[-1].feature_importance(X.to_numpy(), random_state=0).tasks.shape == (5, 4)


def test_predictions_of_folds_are_joined():
    y = Y[["price", "town"]].copy()
    y.iloc[0, 1], y.iloc[1:, 1] = "Dover", COMPLETE["town"].iloc[1:]  # in one fold's test part alone
    model = make(max_iter=1, task_likelihoods="auto")
    predicted = cross_val_predict(model, X, y, cv=2)
    assert predicted.index.equals(X.index)
    assert predicted.dtypes.tolist() == y.dtypes.tolist()
    with pytest.warns(RuntimeWarning, match=r"some lack \['Dover'\]"):
        probabilities = cross_val_predict(model, X, y, cv=2, method="predict_proba")["town"]
    assert probabilities.columns.tolist() == ["Aachen", "Bonn", "Dover"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert (probabilities["Dover"] == 0).sum() == N // 2


def test_a_report_on_what_sharing_helps():
    from sklearn.dummy import DummyClassifier, DummyRegressor

    y = Y[["price", "visits", "size"]]
    baseline = {"price": DummyRegressor(), "visits": DummyRegressor(), "size": DummyClassifier(strategy="prior")}
    model = make(max_iter=1, class_weight={"size": "balanced"})
    report = transfer_report(model, X, y, cv=2, baseline=baseline, random_state=0)
    assert report.scoring == "d2"
    assert np.isfinite(report.gains).all()
    # A constant of the training rows explains nothing of others.
    assert (report.scores["baseline"] < 0.01).all()
    assert (report.scores["baseline"] > -0.5).all()
