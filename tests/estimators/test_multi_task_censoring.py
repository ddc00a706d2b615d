"""Multi-task estimators with labels that are known only as limits."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import optimize, stats
from sklearn.model_selection import GridSearchCV, cross_val_score
from skorch.callbacks import Callback

from sklearn_mtae import MultiTaskVAE, MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._engine import net
from sklearn_mtae._fitting import averaging
from sklearn_mtae.model_selection import StackedGridSearchCV

ONE = {"n_components": 3, "n_estimators": 1, "max_iter": 6, "hidden_layer_sizes": (8,), "random_state": 0}
FEW = {"n_components": 3, "n_estimators": 3, "max_iter": 6, "random_state": 0}


def table(n=120, seed=0, share=0.4):
    """Return rows, true values of two linear tasks, labels of which a share are limits from below, and the codes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    true = X @ rng.normal(size=(4, 2)) + 0.4 * rng.normal(size=(n, 2))
    limit = np.quantile(true, share, axis=0)
    return X, true, np.maximum(true, limit), np.where(true < limit, -1, 0)


def error(model, X, true):
    return np.sqrt(((model.predict(X) - true) ** 2).mean())


def most_likely(X, y, codes):
    """Return slopes, the intercept and the log deviation of a Tobit model by direct maximum likelihood."""
    rows = np.column_stack([X, np.ones(len(X))])

    def loss(params):
        deviation = np.exp(params[-1])
        z = (y - rows @ params[:-1]) / deviation
        observed = stats.norm.logpdf(z) - params[-1]
        return -np.where(codes == 0, observed, np.where(codes < 0, stats.norm.logcdf(z), stats.norm.logsf(z))).mean()

    return optimize.minimize(loss, np.zeros(rows.shape[1] + 1), method="BFGS").x


def test_linear_model_is_the_tobit_model():
    rng = np.random.default_rng(0)
    X, slopes = rng.normal(size=(1000, 3)), np.array([[1.0, -0.5], [0.8, 1.2], [-1.5, 0.7]])
    true = X @ slopes + [0.5, -1.0] + [0.8, 1.3] * rng.normal(size=(1000, 2))
    y = np.clip(true, [0.0, -1.0], [2.0, np.inf])
    codes = np.where(true < y, -1, np.where(true > y, 1, 0))
    assert (codes != 0).mean(0).min() > 0.45
    model = MultiTaskVAERegressor(
        3, n_estimators=1, hidden_layer_sizes=(), head_hidden_layer_sizes=(), alpha=0.0, beta=1e-4,
        reconstruction_weight=1e-3, max_iter=1200, learning_rate_init=0.02, learning_rate_decay=1.0, batch_size=None,
        dtype="float64", random_state=0,
    ).fit(X, y, censoring=codes)  # fmt: skip
    at = model.predict(np.vstack([np.zeros(3), np.eye(3)]))
    likelihood, units = model.module_.task_likelihood, model.module_.task_units
    deviation = (likelihood.log_variance.detach().exp().sqrt() * units.scale).numpy()
    for task in range(2):
        known = most_likely(X, y[:, task], codes[:, task])
        np.testing.assert_allclose(at[1:, task] - at[0, task], known[:3], rtol=0.01)
        np.testing.assert_allclose(at[0, task], known[3], rtol=0.01)
        np.testing.assert_allclose(deviation[task], np.exp(known[4]), rtol=0.01)


@pytest.mark.parametrize("settings", [{"n_estimators": 6, "max_iter": 30}, {**ONE, "max_iter": 60}])
def test_error_is_well_below_that_of_dropping_limits_and_of_limits_as_values(settings):
    X, true, y, codes = table(400)

    def error_of(labels, codes=None):
        return error(MultiTaskVAERegressor(**{"random_state": 0, **settings}).fit(X, labels, censoring=codes), X, true)

    known = error_of(y, codes)
    assert known < 0.8 * error_of(np.where(codes, np.nan, y))
    assert known < 0.8 * error_of(y)


def test_intervals_hold_true_values():
    X, true, y, codes = table(2300)
    model = MultiTaskVAERegressor(n_estimators=10, member_params=None, max_iter=40, random_state=0)
    model.fit(X[:300], y[:300], censoring=codes[:300])  # ten folds: each row is held out by a member
    lower, upper = model.predict_interval(X[300:])
    held = ((lower <= true[300:]) & (true[300:] <= upper)).mean()
    assert 0.8 < held < 0.96
    _, std = model.predict(X[300:], return_std=True)
    away = (model.predict(X[300:]) - true[300:]) / std
    assert np.sqrt((away**2).mean()) == pytest.approx(1, abs=0.15)


def test_numbers_and_classes_with_missing_labels_in_one_fit():
    X, true, y, codes = table(300)
    kind = np.where(X[:, 0] + X[:, 1] > 0, "high", "low")
    Y = pd.DataFrame({"a": y[:, 0], "kind": kind, "b": y[:, 1]})
    signs = pd.DataFrame({"a": np.where(codes[:, 0], "<", ""), "kind": "", "b": np.where(codes[:, 1], "<", "")})
    Y.loc[::5, "a"] = np.nan
    Y.loc[::7, "kind"] = None
    model = MultiTaskVAE(n_estimators=6, max_iter=30, random_state=0)
    found = model.fit(X, Y, censoring=signs).predict(X)
    assert np.mean(found["kind"] == kind) > 0.9
    as_values = MultiTaskVAE(n_estimators=6, max_iter=30, random_state=0).fit(X, Y).predict(X)
    for task, name in enumerate("ab"):
        own, other = (np.sqrt(np.mean((own[name] - true[:, task]) ** 2)) for own in (found, as_values))
        assert own < 0.8 * other
    assert model.score(X, Y, censoring=signs) > 0.6


@pytest.mark.parametrize("settings", [ONE, FEW])
def test_codes_of_observed_labels_change_no_bits(settings):
    X, true, *_ = table()
    true[::4, 1] = np.nan
    plain = MultiTaskVAERegressor(**settings).fit(X, true)
    for codes in (np.zeros(true.shape, dtype=int), np.where(np.isnan(true), "<", "")):
        coded = MultiTaskVAERegressor(**settings).fit(X, true, censoring=codes)
        np.testing.assert_array_equal(coded.predict(X), plain.predict(X))
        assert coded.loss_curve_ == plain.loss_curve_


@pytest.mark.parametrize(
    "name",
    ["gaussian", "squared_error", "student_t", "laplace", "quantile", "log_normal", "gamma", "poisson",
     "negative_binomial", "continuous_bernoulli"],
)  # fmt: skip
@pytest.mark.parametrize("settings", [{**ONE, "early_stopping": True}, FEW])
def test_every_likelihood_trains_on_limits_of_both_sides(name, settings):
    X, true, *_ = table()
    if name in ("log_normal", "gamma"):
        true = np.exp(true / 2)
    elif name in ("poisson", "negative_binomial"):
        true = np.random.default_rng(0).poisson(np.exp(true / 2) + 1.0).astype(float)
    elif name == "continuous_bernoulli":
        true = 1 / (1 + np.exp(-true))
    low, high = np.quantile(true, [0.3, 0.8], axis=0)
    codes, y = np.where(true < low, -1, np.where(true > high, 1, 0)), np.clip(true, low, high)
    model = MultiTaskVAERegressor(**settings, task_likelihoods=name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, y, censoring=codes)
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.score(X, y, censoring=codes))
    assert np.isfinite(model.predict_interval(X, coverage=0.7)).all()


@pytest.mark.parametrize("settings", [ONE, FEW])
def test_repeated_steps_equal_steps_taken_one_by_one(settings, monkeypatch):
    X, _, y, codes = table()
    y[::4, 0] = np.nan
    settings = {**settings, "max_iter": 50, "batch_size": 50}
    recorded = MultiTaskVAERegressor(**settings).fit(X, y, censoring=codes).predict(X)
    monkeypatch.setattr(net, "LEAST_STEPS", 10**9)
    np.testing.assert_array_equal(MultiTaskVAERegressor(**settings).fit(X, y, censoring=codes).predict(X), recorded)


def test_continued_and_partial_fits_take_limits():
    X, true, y, codes = table(200)
    model = MultiTaskVAERegressor(**{**ONE, "max_iter": 40}, warm_start=True)
    before = error(model.fit(X, y, censoring=codes), X, true)
    assert error(model.fit(X, y, censoring=codes), X, true) < before
    parts = MultiTaskVAERegressor(**ONE, alpha=0.0)
    as_values = MultiTaskVAERegressor(**ONE, alpha=0.0)
    for _ in range(60):
        for part in (slice(100), slice(100, None)):
            parts.partial_fit(X[part], y[part], censoring=codes[part])
            as_values.partial_fit(X[part], y[part])
    assert error(parts, X, true) < 0.8 * error(as_values, X, true)


def test_a_part_may_hold_limits_only():
    X, _, y, codes = table()
    limited = (codes != 0).all(axis=1)
    model = MultiTaskVAERegressor(**ONE).partial_fit(X, y, censoring=codes)
    model.partial_fit(X[limited], y[limited], censoring=codes[limited])
    assert np.isfinite(model.predict(X)).all()


def test_checkpoints_tell_limits_apart(tmp_path):
    X, _, y, codes = table()
    path = tmp_path / "fit"

    class Break(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                raise RuntimeError("broken")

    settings = {**ONE, "checkpoint": path}
    with pytest.raises(RuntimeError, match="broken"):
        MultiTaskVAERegressor(**settings, net_params={"callbacks": [Break()]}).fit(X, y, censoring=codes)
    with pytest.raises(ValueError, match="checkpoint"):
        MultiTaskVAERegressor(**settings).fit(X, y)
    resumed = MultiTaskVAERegressor(**settings).fit(X, y, censoring=codes)
    whole = MultiTaskVAERegressor(**ONE).fit(X, y, censoring=codes)
    np.testing.assert_array_equal(resumed.predict(X), whole.predict(X))


def test_limits_are_routed_through_searches():
    X, _, y, codes = table()
    with sklearn.config_context(enable_metadata_routing=True):
        model = MultiTaskVAERegressor(**ONE).set_fit_request(censoring=True).set_score_request(censoring=True)
        grid = {"alpha": [0.0, 1.0]}
        plain = GridSearchCV(model, grid, cv=2).fit(X, y, censoring=codes)
        stacked = StackedGridSearchCV(model, grid, cv=2).fit(X, y, censoring=codes)
        scores = cross_val_score(model, X, y, cv=2, params={"censoring": codes})
    assert np.isfinite(scores).all()
    known = [plain.cv_results_["mean_test_score"], stacked.cv_results_["mean_test_score"]]
    np.testing.assert_allclose(*known, rtol=1e-3, atol=1e-3)


def test_score_without_limits_is_r2():
    X, true, y, codes = table()
    model = MultiTaskVAERegressor(**FEW).fit(X, y, censoring=codes)
    assert model.score(X, true, censoring=np.zeros_like(codes)) == model.score(X, true)


def test_score_prefers_what_is_close_to_the_true_values():
    X, _, y, codes = table(400)
    settings = {"n_estimators": 6, "max_iter": 30, "random_state": 0}
    known = MultiTaskVAERegressor(**settings).fit(X, y, censoring=codes)
    as_values = MultiTaskVAERegressor(**settings).fit(X, y)
    assert known.score(X, y, censoring=codes) > as_values.score(X, y, censoring=codes) + 0.02


def test_single_column_takes_codes_of_one_dimension():
    X, _, y, codes = table()
    flat = MultiTaskVAERegressor(**ONE).fit(X, y[:, 0], censoring=codes[:, 0])
    wide = MultiTaskVAERegressor(**ONE).fit(X, y[:, :1], censoring=codes[:, :1])
    np.testing.assert_array_equal(flat.predict(X), wide.predict(X)[:, 0])
    assert np.isfinite(flat.score(X, y[:, 0], censoring=codes[:, 0]))


def test_classes_have_no_limits():
    X, _, y, codes = table()
    kinds = (y > y.mean(0)).astype(int)
    with pytest.raises(
        ValueError, match=r"distribution function\. Got '<' for task 'y0', whose likelihood is 'categor"
    ):
        MultiTaskVAEClassifier(**ONE).fit(X, kinds, censoring=codes)
    model = MultiTaskVAEClassifier(**ONE).fit(X, kinds, censoring=np.zeros_like(codes))
    with pytest.raises(ValueError, match=r"censoring must be '' for tasks of classes\. Got limits for task 'y0'"):
        model.score(X, kinds, censoring=codes)
    mixed = pd.DataFrame({"kind": np.where(kinds[:, 0], "a", "b"), "number": y[:, 1]})
    with pytest.raises(ValueError, match="task 'kind'"):
        MultiTaskVAE(**ONE).fit(X, mixed, censoring=codes)


def test_a_likelihood_without_distribution_function_is_named():
    X, _, y, codes = table()
    with pytest.raises(ValueError, match="task 'y0', whose likelihood is 'bernoulli'"):
        MultiTaskVAERegressor(**ONE, task_likelihoods="bernoulli").fit(X, np.clip(y, 0, 1), censoring=codes)


@pytest.mark.parametrize(
    ("name", "value", "code", "words"),
    [
        ("poisson", 0.0, -1, "Got '<' 0 in row 3 of task 'y1', whose values go down to 0"),
        ("continuous_bernoulli", 1.0, 1, "Got '>' 1 in row 3 of task 'y1', whose values go up to 1"),
    ],
)
def test_something_must_be_on_the_side_of_a_limit(name, value, code, words):
    X = table()[0]
    y, codes = np.full((len(X), 2), 0.5), np.zeros((len(X), 2), dtype=int)
    y[3, 1], codes[3, 1] = value, code
    with pytest.raises(ValueError, match=words):
        MultiTaskVAERegressor(**ONE, task_likelihoods=name).fit(X, y, censoring=codes)


def test_each_task_needs_an_observed_label_and_a_failed_fit_leaves_the_old_one():
    X, _, y, codes = table()
    model = MultiTaskVAERegressor(**ONE).fit(X, y, censoring=codes)
    before = model.predict(X)
    codes[:, 1] = -1
    with pytest.raises(ValueError, match="All labels of task 'y1' are limits"):
        model.fit(X, y, censoring=codes)
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize("settings", [{"n_estimators": 1, "early_stopping": True}, {"n_estimators": 3}])
def test_limits_are_no_labels_to_the_dependence_of_tasks(settings, monkeypatch):
    """The true values behind limits are drawn, for a single model too: they lie beyond the limits, or near them."""
    seen = {}
    learn = averaging.learn_copula

    def spied(fitted, predicted, y, weight, groups):
        seen.update(y=y, weight=weight)
        return learn(fitted, predicted, y, weight, groups)

    monkeypatch.setattr(averaging, "learn_copula", spied)
    X, _, y, codes = table(120)
    options = {"n_components": 3, "max_iter": 6, "member_params": None, "cv": 3, "random_state": 0}
    MultiTaskVAERegressor(**options, **settings).fit(X, y, censoring=codes)
    known = seen["weight"] > 0
    at_limit = np.isin(seen["y"], y[codes != 0]) & known
    assert not at_limit.any()
    assert known.any()
