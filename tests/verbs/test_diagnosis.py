"""A fitted model is looked at for what goes wrong without an error."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from sklearn_mtae import (
    AutoencoderTransformer,
    DegenerateModelWarning,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    VAETransformer,
)
from sklearn_mtae._verbs.diagnosis import Codes, is_related, is_rising

LINE = np.linspace(-1, 1, 150)[:, None] * [1.0, -2.0, 0.5]
LINEAR = {"hidden_layer_sizes": (), "learning_rate_init": 0.02, "batch_size": None, "max_iter": 600, "random_state": 0}


def fit_and_catch(estimator, *args):
    """Return the fitted estimator and what it was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(*args)
    assert all(warning.category is DegenerateModelWarning for warning in caught)
    return estimator, [str(warning.message) for warning in caught]


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)[0]


@pytest.fixture(scope="module")
def fitted(iris):
    return VAETransformer(5, hidden_layer_sizes=(64,), max_iter=20, random_state=0).fit(iris)


def small(**params):
    return VAETransformer(**{"hidden_layer_sizes": (32,), "random_state": 0, **params})


# What is measured.


def test_measures_of_a_normal_prior(fitted, iris):
    mean, std = fitted.transform(iris, return_std=True)
    diagnosis = fitted.diagnose(iris)
    # Integrated numerically, component by component and row by row.
    grid, width = np.linspace(-12, 12, 2001, retstep=True)
    distance = (grid[:, None, None] - mean) / std
    q = np.exp(-(distance**2) / 2) / std / np.sqrt(2 * np.pi)
    log_ratio = -(distance**2) / 2 - np.log(std) + grid[:, None, None] ** 2 / 2
    rate = (q * log_ratio).sum(axis=0) * width
    np.testing.assert_allclose(diagnosis.rate_per_component, rate.mean(axis=0), atol=1e-8)
    np.testing.assert_allclose(diagnosis.rate, rate.sum(axis=1).mean(), atol=1e-7)
    np.testing.assert_array_equal(diagnosis.active_units, np.var(mean, axis=0) > 0.01)


def test_mismatch_is_that_of_normals_with_the_moments_of_all_draws(fitted, iris):
    mean, std = fitted.transform(iris, return_std=True)
    z = (mean + std * np.random.default_rng(0).normal(size=(2000, *mean.shape))).reshape(-1, mean.shape[1])
    m, v = z.mean(axis=0), z.var(axis=0)
    expected = 0.5 * (m**2 + v - 1 - np.log(v))
    np.testing.assert_allclose(fitted.diagnose(iris).aggregate_mismatch, expected, atol=2e-3)


def test_rate_parts_into_information_and_mismatch():
    """Of a normal prior: what is left of the rate without the mismatch is what a component says of its row."""
    rng = np.random.default_rng(0)
    mean, std = rng.normal(1, 2, size=(400, 3)), rng.uniform(0.1, 2, size=(400, 3))
    rates = 0.5 * (mean**2 + std**2 - 1 - 2 * np.log(std))
    codes = Codes(mean, std, rates, np.zeros(3), np.ones(3))
    information = codes._replace(rates=rates.sum(axis=1, keepdims=True)).rate_per_component()
    np.testing.assert_allclose(codes.rate_per_component(), information + codes.mismatch())
    # The aggregate's own normal is the nearest one to all posteriors.
    for shift, scale in [(0.1, 1.0), (0.0, 0.9), (0.0, 1.1)]:
        m, s = mean.mean(axis=0) + shift, np.sqrt(codes.variance) * scale
        other = np.log(s / std) + (std**2 + (mean - m) ** 2) / (2 * s**2) - 0.5
        assert (information < other.mean(axis=0)).all()


def test_mismatch_of_another_prior_is_that_of_its_draws(iris):
    model = small(n_components=2, prior="mixture", max_iter=5).fit(iris)
    z = np.random.default_rng(0)
    prior = model.module_.prior.mixture()
    weight, mean = prior.log_weight.exp().detach().numpy(), prior.q.mean.detach().numpy()
    variance = prior.q.log_variance.exp().detach().numpy()
    prior_mean = weight @ mean
    prior_variance = weight @ (variance + mean**2) - prior_mean**2
    mean, std = model.transform(iris, return_std=True)
    z = (mean + std * z.normal(size=(2000, *mean.shape))).reshape(-1, 2)
    ratio, shift = z.var(axis=0) / prior_variance, (z.mean(axis=0) - prior_mean) ** 2 / prior_variance
    diagnosis = model.diagnose(iris)
    np.testing.assert_allclose(diagnosis.aggregate_mismatch, (ratio - 1 - np.log(ratio) + shift) / 2, atol=0.02)
    aggregate = np.log(z.var(axis=0)) / 2 - np.log(std).mean(axis=0)
    np.testing.assert_allclose(diagnosis.rate_per_component, aggregate, atol=0.01)


@pytest.mark.parametrize("params", [{"prior": "vamp"}, {"prior": "flow"}, {"posterior": "flow"}], ids=str)
def test_every_prior_and_posterior(iris, params):
    if "flow" in params.values():
        pytest.importorskip("zuko")
    diagnosis = small(n_components=3, max_iter=2, **params).fit(iris).diagnose(iris)
    measures = diagnosis.rate_per_component, diagnosis.active_units, diagnosis.aggregate_mismatch
    assert all(measure.shape == (3,) and np.isfinite(measure).all() for measure in measures)
    assert (diagnosis.aggregate_mismatch >= 0).all()


def test_a_diagnosis_is_a_function_of_model_and_rows(fitted, iris):
    first, second = fitted.diagnose(iris), fitted.diagnose(iris)
    assert repr(first) == repr(second)
    narrow = fitted.diagnose(iris.astype(np.float32))
    np.testing.assert_allclose(narrow.rate_per_component, first.rate_per_component, atol=1e-4)


def test_missing_cells(fitted, iris):
    gaps = np.where(np.random.default_rng(0).random(iris.shape) < 0.2, np.nan, iris)
    assert np.isfinite(fitted.diagnose(gaps).rate_per_component).all()


def test_components_of_the_tasks_own_count_for_the_rate_alone(iris):
    model = MultiTaskVAERegressor(
        2, n_estimators=1, hidden_layer_sizes=(8,), sharing="private", max_iter=3, random_state=0
    )
    diagnosis = model.fit(iris[:, :2], iris[:, 2:]).diagnose(iris[:, :2])
    assert diagnosis.rate_per_component.shape == diagnosis.active_units.shape == (2,)
    assert diagnosis.rate > diagnosis.rate_per_component.sum()


# What is printed.


def test_it_prints_as_a_table(fitted, iris):
    diagnosis = fitted.diagnose(iris)
    lines = str(diagnosis).splitlines()
    assert str(diagnosis) == repr(diagnosis)
    n_active = int(diagnosis.active_units.sum())
    assert lines[0] == f"Diagnosis: {n_active} of 5 components active, rate {diagnosis.rate:.3g} nats per row"
    rows = [line.split() for line in lines[2:7]]
    order = np.argsort(-diagnosis.rate_per_component)
    assert [int(row[0]) for row in rows] == order.tolist()
    np.testing.assert_allclose([float(row[1]) for row in rows], diagnosis.rate_per_component[order], atol=5e-4)
    assert lines[7] == "variance at its floor: none"


def test_many_components_are_cut_short(iris):
    lines = str(small(n_components=40, max_iter=1).fit(iris).diagnose(iris)).splitlines()
    assert len(lines) == 2 + 12 + 1 + 1
    assert "28 more" in lines[14]


# What is wrong, and what is not.


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_digits])
def test_ordinary_fits_are_not_warned_of(load):
    X, _ = load(return_X_y=True)
    model, messages = fit_and_catch(VAETransformer(hidden_layer_sizes=(64,), random_state=0), X)
    diagnosis = model.diagnose(X)
    assert messages == diagnosis.warnings == []
    assert diagnosis.active_units.any()
    assert not diagnosis.collapsed


def test_collapse(iris):
    model, messages = fit_and_catch(small(beta=50), iris)
    diagnosis = model.diagnose(iris)
    assert diagnosis.collapsed
    assert not diagnosis.active_units.any()
    assert messages == diagnosis.warnings
    assert "No component is in use" in messages[0]
    assert "0 of 16" in messages[0]
    # The remedies that it names.
    assert not small(beta=1).fit(iris).diagnose(iris).collapsed
    assert not small(beta=50, free_bits=0.1).fit(iris).diagnose(iris).collapsed


def test_a_beginning_is_no_collapse(iris):
    model, messages = fit_and_catch(small(beta=50, max_iter=30), iris)  # 9 steps an epoch
    assert model.diagnose(iris).collapsed
    assert not messages


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([], False),
        ([1.0], False),
        (np.linspace(1, 0, 40), False),
        (np.full(40, 0.05), False),
        (np.full(40, 0.05).cumsum(), False),
        (0.001 * 1.1 ** np.arange(40), True),
        (1e-6 * 1.1 ** np.arange(40), False),
    ],
)
def test_what_rises(curve, expected):
    assert is_rising(list(curve)) is expected


def test_unrelated_columns_leave_nothing_to_encode():
    X = np.random.default_rng(0).normal(size=(300, 4))
    model, messages = fit_and_catch(small(max_iter=60), X)
    assert model.diagnose(X).collapsed
    assert not messages
    # Their targets may be related to them all the same.
    tasks = MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(8,), beta=50, random_state=0)
    assert "No component is in use" in fit_and_catch(tasks, X, X[:, :2])[1][0]


@pytest.mark.parametrize(("n_rows", "n_columns"), [(60, 2), (300, 5), (100, 300)])
def test_what_is_related(n_rows, n_columns):
    rng = np.random.default_rng(0)
    X = 100 + rng.normal(size=(20, n_rows, n_columns))
    X[rng.random(X.shape) < 0.1] = np.nan
    assert np.mean([is_related(x) for x in X]) <= 0.2
    shared = 3 * rng.normal(size=(20, n_rows, 1))
    assert all(is_related(x) for x in X + shared)


def test_floor_of_columns_without_noise():
    frame = pd.DataFrame(LINE, columns=["a", "b", "c"]).assign(
        noise=np.random.default_rng(0).normal(size=len(LINE)), constant=1.0
    )
    model, messages = fit_and_catch(VAETransformer(2, **LINEAR), frame)
    diagnosis = model.diagnose(frame)
    variance = model.module_.likelihood.log_variance.exp().detach().numpy()
    assert (variance[[0, 1, 2, 4]] < 1.5e-4).all()
    assert diagnosis.at_floor == ["a", "b", "c"]
    assert messages == diagnosis.warnings
    assert "'a', 'b', 'c' is at its floor (3 in all)" in messages[0]
    # The remedy that it names.
    fixed = VAETransformer(2, **LINEAR, likelihood=dict.fromkeys("abc", "squared_error"))
    assert fit_and_catch(fixed, frame)[0].diagnose(frame).at_floor == []


def test_floor_of_log_normal_columns():
    X = np.exp(LINE[:, [0, 2]])
    model, messages = fit_and_catch(VAETransformer(2, **LINEAR, likelihood="log_normal"), X)
    low = model.module_.likelihood.log_variance.exp().detach().numpy() < 1.5e-4
    assert low.any()
    assert model.diagnose(X).at_floor == np.flatnonzero(low).tolist()
    assert "floor" in messages[0]
    # Rows that are all alike say nothing against the columns.
    assert model.diagnose(X[:1].repeat(5, axis=0)).at_floor == []


def test_floor_of_a_task():
    X = np.random.default_rng(0).normal(size=(100, 3))
    Y = pd.DataFrame({"hard": np.random.default_rng(1).normal(size=100), "easy": X[:, 0], "constant": 1.0})
    model = MultiTaskVAERegressor(3, n_estimators=1, **LINEAR, head_hidden_layer_sizes=())
    _, messages = fit_and_catch(model, X, Y)
    assert "task:easy" in model.diagnose(X).at_floor
    assert not {"task:hard", "task:constant"} & set(model.diagnose(X).at_floor)
    assert len(messages) == 1
    assert "'task:easy'" in messages[0]
    # A light rate lets the codes lie where they serve the tasks: to be known, and no fault.
    assert messages[0] in model.diagnose(X).warnings
    assert "off the prior" in model.diagnose(X).warnings[1]


def test_codes_off_the_prior(iris):
    model, messages = fit_and_catch(small(beta=0.001, max_iter=60), iris)
    diagnosis = model.diagnose(iris)
    off = diagnosis.aggregate_mismatch
    assert off.max() > 0.5
    assert messages == diagnosis.warnings
    assert f"{(off > 0.5).sum()} of 16 components diverge" in messages[0]
    assert f"component {off.argmax()} by {off.max():.2g}" in messages[0]
    # The remedy that it names.
    assert not fit_and_catch(small(beta=1, max_iter=60), iris)[1]


def test_codes_that_nothing_draws_to_the_prior_are_reported_and_not_warned_of(iris):
    model, messages = fit_and_catch(small(beta=0, max_iter=60), iris)
    assert not messages
    assert "off the prior" in model.diagnose(iris).warnings[0]


def test_classifier():
    X, y = load_iris(return_X_y=True)
    model, messages = fit_and_catch(
        MultiTaskVAEClassifier(hidden_layer_sizes=(8,), n_estimators=1, max_iter=3, random_state=0), X, y
    )
    assert not messages
    assert model.diagnose(X).at_floor == []


# When it is looked for.


def test_rows_of_no_weight_are_not_looked_at(iris):
    model = small(beta=50)
    far = np.vstack([iris, iris + 1e6])
    with pytest.warns(DegenerateModelWarning, match="No component"):
        model.fit(far, sample_weight=np.repeat([1.0, 0.0], len(iris)))


def test_partial_fit_does_not_warn(iris):
    model = small(beta=50, max_iter=45)
    with pytest.warns(DegenerateModelWarning):
        model.fit(iris)
    model.partial_fit(iris)
    assert model.diagnose(iris).collapsed


def test_fit_keeps_nothing_for_it(iris):
    model = small(max_iter=1).fit(iris)
    assert set(model._fitted.cache) == {"net"}


def test_a_warning_that_is_an_error_leaves_a_fitted_model(iris):
    model = small(beta=50, max_iter=1).fit(iris[:, :2])
    model.set_params(max_iter=45)
    with pytest.raises(DegenerateModelWarning):  # pytest makes errors of warnings
        model.fit(iris)
    assert model.n_features_in_ == 4
    assert model.transform(iris).shape == (150, 16)


def test_points_are_not_diagnosed():
    assert not hasattr(AutoencoderTransformer, "diagnose")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_model_that_has_diverged_is_diagnosed_without_a_word_of_numpy(dtype):
    """Decoded values near the largest number, whose sums are beyond it."""
    X = np.random.default_rng(0).normal(size=(40, 2))
    model = VAETransformer(2, hidden_layer_sizes=(), dtype=dtype, max_iter=1, random_state=0).fit(X)
    state = model._fitted.states[0]
    state["likelihood.raw_log_variance"] = np.full_like(state["likelihood.raw_log_variance"], -1e3)
    for name in [name for name in state if name.startswith("decoder") and name.endswith("bias")]:
        state[name] = np.full_like(state[name], np.finfo(dtype).max / 4)
    assert str(pickle.loads(pickle.dumps(model)).diagnose(X.astype(dtype)))
