"""Scorers of draws, intervals, regions and censored labels, against the scores of what the estimator returns."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import UndefinedMetricWarning, UnsetMetadataPassedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import MultiTaskVAE, MultiTaskVAERegressor, metrics
from sklearn_mtae.metrics import make_task_scorer
from sklearn_mtae.metrics._scorer import SCORED

OF_DRAWS = ["crps", "energy", "variogram"]


class Gaussian(RegressorMixin, BaseEstimator):
    """Ridge regressions, with Gaussian draws around them of one covariance."""

    def __init__(self, alpha=1.0, has_regions=True):
        self.alpha = alpha
        self.has_regions = has_regions

    def fit(self, X, y):
        y = np.asarray(y, dtype=float)
        y = np.where(np.isnan(y), np.nanmean(y, axis=0), y)
        self.ridge_ = Ridge(self.alpha).fit(X, y)
        self.cov_ = np.atleast_2d(np.cov(y - self.ridge_.predict(X), rowvar=False))
        return self

    def predict(self, X):
        return self.ridge_.predict(X)

    def predict_samples(self, X, n_samples=100, y_observed=None, random_state=None):
        noise = np.random.default_rng(random_state).normal(size=(n_samples, len(X), len(self.cov_)))
        return self.predict(X) + noise @ np.linalg.cholesky(self.cov_).T

    def predict_interval(self, X, coverage=0.9):
        reach = np.quantile(np.abs(np.random.default_rng(0).normal(size=10_000)), coverage) * np.sqrt(
            np.diag(self.cov_)
        )
        return self.predict(X) - reach, self.predict(X) + reach

    @property
    def predict_region(self):
        if not self.has_regions:
            raise AttributeError("it has no regions")
        return lambda X, coverage: Region(*self.predict_interval(X, 1 - (1 - coverage) / len(self.cov_)))


class Region:
    """A box."""

    def __init__(self, lower, upper):
        self.lower, self.upper = lower, upper

    def contains(self, y):
        y = np.asarray(y, dtype=float)
        return (np.isnan(y) | ((self.lower <= y) & (y <= self.upper))).all(axis=1)


@pytest.fixture
def fitted():
    """A fitted model, rows, and a frame of labels of unlike units with gaps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    Y = (X @ rng.normal(size=(4, 3)) + rng.normal(size=(60, 3))) * [1, 30, 0.1]
    Y[rng.random(Y.shape) < 0.3] = np.nan
    y = pd.DataFrame(Y, columns=["mass", "size", "age"])
    return Gaussian().fit(X, y), X, y


@pytest.mark.parametrize("name", OF_DRAWS)
def test_scorers_of_draws(name, fitted):
    model, X, y = fitted
    score = SCORED[name].function
    samples = model.predict_samples(X, 100, random_state=0)
    assert make_task_scorer(name)(model, X, y) == -score(y, samples) < 0
    assert make_task_scorer(score)(model, X, y.to_numpy()) == -score(y, samples)
    few = model.predict_samples(X, 5, random_state=3)
    assert make_task_scorer(name, n_samples=5, random_state=3)(model, X, y) == -score(y, few)
    tasks = make_task_scorer(name, ["age", "mass"])
    assert tasks(model, X, y) == pytest.approx(-score(y[["age", "mass"]], samples[..., [2, 0]]))
    assert tasks(model, X, y) == make_task_scorer(name, [-1, 0])(model, X, y.to_numpy())
    if name != "variogram":
        assert make_task_scorer(name, "size")(model, X, y) == -score(y["size"], samples[..., 1])
        assert make_task_scorer(name, fair=False)(model, X, y) == -score(y, samples, fair=False)
    w = np.random.default_rng(0).random(60)
    assert make_task_scorer(name)(model, X, y, w) == -score(y, samples, sample_weight=w)


def test_options_of_tasks_are_those_of_the_chosen_tasks(fitted):
    model, X, y = fitted
    samples, scale = model.predict_samples(X, 100, random_state=0), {"size": 20.0, "age": 0.5, "mass": 2.0}
    weights = np.arange(9.0).reshape(3, 3)
    for given in (scale, [2.0, 20.0, 0.5], None):
        for task in (None, ["size", "age"]):
            own = slice(None) if task is None else [1, 2]
            units = None if given is None else np.array([2.0, 20.0, 0.5])[own]
            expected = metrics.energy_score(y.iloc[:, own], samples[..., own], scale=units)
            assert make_task_scorer("energy", task, scale=given)(model, X, y) == pytest.approx(-expected)
            pairs = weights[own][:, own]
            expected = metrics.variogram_score(y.iloc[:, own], samples[..., own], scale=units, weights=pairs, p=1)
            scorer = make_task_scorer("variogram", task, scale=given, weights=weights, p=1)
            assert scorer(model, X, y) == pytest.approx(-expected)


def test_scorers_of_intervals_and_regions(fitted):
    model, X, y = fitted
    for options, coverage in (({}, 0.9), ({"coverage": 0.6}, 0.6)):
        lower, upper = model.predict_interval(X, coverage)
        expected = metrics.interval_score(y, lower, upper, coverage=coverage, multioutput="raw_values")
        assert make_task_scorer("interval", **options)(model, X, y) == pytest.approx(-expected.mean())
        assert make_task_scorer("interval", 1, **options)(model, X, y) == pytest.approx(-expected[1])
        assert make_task_scorer("interval", [2, 0], **options)(model, X, y) == pytest.approx(-expected[[2, 0]].mean())
        inside = model.predict_region(X, coverage).contains(y)
        counted = y.notna().any(axis=1)
        assert make_task_scorer("joint_coverage", **options)(model, X, y) == inside[counted].mean()
        box = Gaussian(has_regions=False).fit(X, y)
        expected = metrics.joint_coverage(y, (lower, upper))
        assert make_task_scorer("joint_coverage", **options)(box, X, y) == expected < inside[counted].mean()
        complete = y.notna().sum(axis=1) == 3
        scorer = make_task_scorer("joint_coverage", min_labels=3, **options)
        assert scorer(model, X, y) == inside[complete].mean()


@pytest.mark.parametrize("has_regions", [True, False])
@pytest.mark.parametrize("kind", ["frame", "numbered", "array", "objects"])
def test_joint_coverage_of_some_tasks_looks_at_their_labels_alone(kind, has_regions, fitted):
    _, X, y = fitted
    model = Gaussian(has_regions=has_regions).fit(X, y)
    lower, upper = model.predict_interval(X, 1 - 0.1 / 3 if has_regions else 0.9)
    given = {
        "frame": y,
        "numbered": y.set_axis(range(3), axis=1),
        "array": y.to_numpy(),
        "objects": y.astype(object).to_numpy(),
    }[kind]
    for task, own in (("size", [1]), (["size", "mass"], [1, 0])):
        expected = metrics.joint_coverage(y.to_numpy()[:, own], (lower[:, own], upper[:, own]))
        task = task if kind == "frame" else own
        assert make_task_scorer("joint_coverage", task)(model, X, given) == pytest.approx(expected)


def test_scorers_of_pipelines_ask_the_last_step(fitted):
    _, X, y = fitted
    model = make_pipeline(StandardScaler(), "passthrough", Gaussian()).fit(X, y)
    scaled = model[:-1].transform(X)
    for name in ("energy", "interval", "joint_coverage"):
        assert make_task_scorer(name)(model, X, y) == make_task_scorer(name)(model[-1], scaled, y)


def test_tasks_of_several_kinds_in_one_list(fitted):
    model, X, y = fitted
    raw = metrics.r2_score(y, model.predict(X), multioutput="raw_values")
    assert make_task_scorer("r2", ["age", "mass"])(model, X, y) == pytest.approx(raw[[2, 0]].mean())

    def closeness(y_true, y_pred, *, sample_weight=None, multioutput, power=1):
        assert y_true.shape == y_pred.shape == (60, 2)
        return -float(np.nanmean(np.abs(y_true - y_pred) ** power))

    def scaled(y_true, y_pred, *, multioutput, scale):
        return -float(np.nanmean(np.abs(y_true - y_pred) / scale))

    assert make_task_scorer(scaled, "age", scale=[1.0] * 60)(model, X, y) < 0  # as it was given
    error = (y - model.predict(X))[["age", "mass"]]
    scorer = make_task_scorer(closeness, ["age", "mass"], power=2)
    assert scorer(model, X, y) == pytest.approx(-np.nanmean(error**2))
    for task in ([], [0, "mass"]):
        with pytest.raises(ValueError, match="task must be a list of different tasks"):
            make_task_scorer("r2", task)(model, X, y)
    with pytest.raises(ValueError, match=r"task must be a task or its position\. Got 'weight'"):
        make_task_scorer("r2", ["mass", "weight"])(model, X, y)


def test_scorers_of_censored_labels(fitted):
    model, X, y = fitted
    codes = np.random.default_rng(0).integers(-1, 2, y.shape)
    p = model.predict(X)
    expected = metrics.concordance_index(y, p, censoring=codes, multioutput="raw_values")
    assert make_task_scorer("concordance")(model, X, y, censoring=codes) == pytest.approx(expected.mean())
    assert make_task_scorer("concordance", "age")(model, X, y, censoring=codes) == pytest.approx(expected[2])
    assert make_task_scorer("concordance")(model, X, y) == metrics.concordance_index(y, p) != expected.mean()
    lower = metrics.censored_rmse_bounds(y, p, censoring=codes, multioutput="raw_values")[0]
    scorer = make_task_scorer("censored_rmse", ["age", "size"], y_range=({"mass": -9, "size": -999, "age": -9}, 999))
    assert scorer(model, X, y, censoring=codes) == pytest.approx(-lower[[2, 1]].mean())
    w = np.random.default_rng(0).random(y.shape)
    weighted = metrics.concordance_index(y["age"], p[:, 2], censoring=codes[:, 2], sample_weight=w[:, 2])
    assert make_task_scorer("concordance", "age")(model, X, y, w, codes) == pytest.approx(weighted)
    with pytest.raises(TypeError, match=r"make_task_scorer\('rmse'\) takes no censoring"):
        make_task_scorer("rmse")(model, X, y, censoring=codes)


def test_censoring_is_routed(fitted):
    _, X, y = fitted
    codes = np.random.default_rng(0).choice(["", "<", ">"], y.shape)
    with sklearn.config_context(enable_metadata_routing=True):
        scoring = {
            "c": make_task_scorer("concordance").set_score_request(censoring=True),
            "plain": make_task_scorer("concordance").set_score_request(censoring=False),
            "crps": make_task_scorer("crps"),
        }
        kept = {"scoring": scoring, "cv": KFold(2), "params": {"censoring": codes}}
        scores = cross_validate(Gaussian(), X, y, return_estimator=True, **kept)
        for part, (_, test) in enumerate(KFold(2).split(X)):
            p = scores["estimator"][part].predict(X[test])
            for name, own in (("c", codes[test]), ("plain", None)):
                assert scores[f"test_{name}"][part] == metrics.concordance_index(y.iloc[test], p, censoring=own)
        scoring["c"] = make_task_scorer("concordance")
        with pytest.raises(UnsetMetadataPassedError, match="make_task_scorer"):
            cross_validate(Gaussian(), X, y, **kept)
    with pytest.raises(TypeError, match=r"takes \['sample_weight'\]. Got \['censoring'\]"):
        make_task_scorer("crps").set_score_request(censoring=True)


def test_search_by_energy_score_is_reproducible(fitted):
    _, X, y = fitted
    scorer = make_task_scorer("energy", n_samples=20)
    searches = [
        GridSearchCV(Gaussian(), {"alpha": [1.0, 1e4]}, scoring=scorer, cv=KFold(2)).fit(X, y) for _ in range(2)
    ]
    assert searches[0].best_params_ == {"alpha": 1.0}
    for search in searches:
        np.testing.assert_array_equal(search.cv_results_["mean_test_score"], searches[0].cv_results_["mean_test_score"])


@pytest.mark.parametrize("name", SCORED)
def test_scorers_are_pickled_and_cloned_with_their_options(name):
    scorer = make_task_scorer(name, ["a", "b"])
    for copy in (pickle.loads(pickle.dumps(scorer)), clone(scorer, safe=False)):
        assert repr(copy) == f"make_task_scorer({name!r}, ['a', 'b'])"
    assert repr(make_task_scorer("energy", n_samples=7, scale=None)) == (
        "make_task_scorer('energy', n_samples=7, scale=None)"
    )


def test_unknown_options_and_names_are_errors():
    with pytest.raises(TypeError, match=r"'energy' has the options \['fair', 'n_samples', 'random_state', 'scale'\]"):
        make_task_scorer("energy", scales=None)
    for name, option in (
        ("energy", "coverage"),
        ("r2", "n_samples"),
        ("interval", "multioutput"),
        ("rrmse", "y_train"),
    ):
        with pytest.raises(TypeError, match=f"{name!r} has the options .* Got {option!r}"):
            make_task_scorer(name, **{option: 1})
    with pytest.raises(ValueError, match=r"metric must be one of .* Did you mean 'energy'"):
        make_task_scorer("enrgy")
    for options in ({"y_range": 3.0}, {"y_range": (1, 2, 3)}):
        with pytest.raises(ValueError, match="y_range must be a tuple"):
            make_task_scorer("censored_rmse", "y0", **options)(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), [[0.0]], [0.0])
    with pytest.raises(AttributeError, match="predict_samples"):
        make_task_scorer("energy")(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), [[0.0]], [0.0])


def test_a_test_part_without_labels_of_a_task_names_it(fitted):
    model, X, y = fitted
    y = y.assign(age=np.nan)
    for name in (*OF_DRAWS, "interval", "concordance", "censored_rmse"):
        with pytest.warns(UndefinedMetricWarning, match="task 'age': it has no label"):
            whole = make_task_scorer(name)(model, X, y)
        assert whole == pytest.approx(make_task_scorer(name, ["mass", "size"])(model, X, y))


def test_intervals_of_the_package_s_own_estimators():
    rng = np.random.default_rng(0)
    X, short = rng.normal(size=(60, 3)), {"n_estimators": 2, "max_iter": 2, "random_state": 0}
    y = pd.DataFrame(X[:, :2] + 0.3 * rng.normal(size=(60, 2)), columns=["mass", "size"])
    y.iloc[::4, 1] = np.nan
    model = MultiTaskVAERegressor(2, **short).fit(X, y)
    lower, upper = model.predict_interval(X, 0.8)
    assert make_task_scorer("interval", coverage=0.8)(model, X, y) == -metrics.interval_score(
        y, lower, upper, coverage=0.8
    )
    mixed = y.assign(kind=np.where(X[:, 0] > 0, "up", "down"))
    model = MultiTaskVAE(2, **short).fit(X, mixed)
    half = {"coverage": 0.5}
    scores = [make_task_scorer("interval", task, **half)(model, X, mixed) for task in ("mass", "size")]
    assert make_task_scorer("interval", ["mass", "size"], **half)(model, X, mixed) == pytest.approx(np.mean(scores))
    with pytest.warns(UndefinedMetricWarning, match="task 'kind': it has no interval"):
        assert make_task_scorer("interval", **half)(model, X, mixed) == pytest.approx(np.mean(scores))
