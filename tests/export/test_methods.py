"""Every estimator with every option that is no user code: both exports give what the estimator does."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAE,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    VAETransformer,
)
from sklearn_mtae._verbs.strangeness import CRITERIA
from sklearn_mtae.nn.architectures import ACTIVATIONS, ARCHITECTURES
from sklearn_mtae.nn.embeddings import EMBEDDINGS
from sklearn_mtae.nn.factories import TASK_LIKELIHOODS
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.sharing import SHARINGS

from .both import SMALL, UNSEEN, assert_all, assert_parity, assert_same, in_numpy, in_onnx, with_all

ROWS = ["transform", "inverse_transform", "predict"]
TASKS = ["transform", "predict", "predict_interval"]
COVERAGE = {"coverage": 0.5}

RNG = np.random.default_rng(0)
N = RNG.normal(size=(48, 9)) @ RNG.normal(size=(9, 9))
N[:, 4] = 2.0
SHARES = RNG.uniform(0.1, 0.9, (48, 9))
COUNTS = RNG.poisson(3, (48, 9)).astype(float)
SUITED = {
    "poisson": COUNTS,
    "negative_binomial": COUNTS,
    "multinomial": COUNTS,
    "bernoulli": (SHARES > 0.5).astype(float),
    "continuous_bernoulli": SHARES,
    "categorical": np.eye(9)[RNG.integers(0, 9, 48)],
    "gamma": SHARES,
    "log_normal": SHARES,
}
WITHOUT_GAPS = {"categorical"}


def frame():
    """Return a frame with gaps, a constant column and a category, which has nine columns to a model."""
    x = pd.DataFrame(table().astype(np.float64)[:, :6], columns=list("abcdef"))
    x["word"] = np.array(["red", "green", "blue"], dtype=object)[np.arange(48) % 3]
    x.loc[::10, "word"] = None
    return x


def later():
    """Return the frame with a word and a number that no fit has seen, and with cells that are far off."""
    x = frame()
    x.loc[1, "word"], x.loc[4, "e"] = UNSEEN, 7.0
    x.loc[2, "a"], x.loc[7, list("abc")] = 1e4, [1e3, -1e3, 2e3]
    return x


def table(likelihood=None):
    """Return rows that suit a likelihood, with gaps and a constant column where that is possible."""
    x = SUITED.get(likelihood, N).copy()
    if likelihood not in WITHOUT_GAPS:
        x[::3, 1] = np.nan
        x[5, 2:5] = np.nan
    return x.astype(np.float32)


def labels(n_tasks=2, kind=N):
    y = kind[:, :n_tasks].copy()
    y[::4, -1] = np.nan
    return y


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("likelihood", [*LIKELIHOODS, "auto"])
def test_likelihoods(likelihood, tmp_path):
    x = table(likelihood).astype(np.float64)
    assert_all(AutoencoderTransformer(**SMALL, likelihood=likelihood).fit(x), x, tmp_path)


def test_likelihoods_side_by_side(tmp_path):
    x = np.c_[N[:, :2], SHARES[:, 2] > 0.5, COUNTS[:, 3], SHARES[:, 4:6], N[:, 6:8], COUNTS[:, 8]].astype(np.float32)
    families = ["gaussian", "laplace", "bernoulli", "poisson", (0, None), "gamma", "laplace", "gaussian", "poisson"]
    assert_all(VAETransformer(**SMALL, likelihood=families).fit(x), x, tmp_path)


@pytest.mark.parametrize(
    "option",
    [
        *[{"activation": own, "layer_norm": True, "dropout": 0.2} for own in ACTIVATIONS],
        *[{"architecture": own, "layer_norm": True} for own in ARCHITECTURES],
        *[{"posterior": own} for own in POSTERIORS],
        *[{"prior": own} for own in PRIORS],
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": (4, 3)},
        {"scaling": "standard"},
    ],
    ids=str,
)
def test_parts(option, tmp_path):
    assert_all(VAETransformer(**{**SMALL, **option}).fit(frame()), later(), tmp_path)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_precisions(dtype, tmp_path):
    model = VAETransformer(**SMALL, dtype=dtype).fit(table())
    x = table().astype(np.float64) if dtype == "float64" else table()
    assert_parity(model, x, ROWS, tmp_path, onnx=False)


@pytest.mark.parametrize(
    "option",
    [
        *[{"sharing": own} for own in SHARINGS],
        *[{"embedding": own} for own in (*EMBEDDINGS, None)],
        *[{"architecture": own} for own in ARCHITECTURES],
        *[{"posterior": own} for own in POSTERIORS if own != "normal"],
        {"member_params": [{"hidden_layer_sizes": (3,)}, {"activation": "tanh"}, {"dropout": 0.3}]},
        {"n_estimators": 1, "early_stopping": True},
    ],
    ids=str,
)
def test_tasks_of_numbers(option, tmp_path):
    model = MultiTaskVAERegressor(**{**SMALL, "n_estimators": 2, **option}).fit(frame(), labels())
    assert_all(with_all(model), later(), tmp_path, onnx="sharing" in option or "member_params" in option)


@pytest.mark.parametrize("likelihood", TASK_LIKELIHOODS)
def test_likelihoods_of_tasks(likelihood, tmp_path):
    y = labels(2, SUITED.get(likelihood, N))
    model = MultiTaskVAERegressor(**SMALL, n_estimators=2, task_likelihoods=likelihood).fit(frame(), y)
    assert_all(with_all(model), later(), tmp_path, onnx=False)


def test_the_default_ensembles(tmp_path):
    own = {"n_estimators": 3, "max_iter": 1, "random_state": 0}
    x = table().astype(np.float64)
    model = MultiTaskVAERegressor(**own).fit(x, labels())
    assert_parity(model, x, ["predict", "predict_interval"], tmp_path, **COVERAGE)
    y = (N[:, :1] > 0).astype(int) + 2 * (N[:, 1:2] > 0)
    model = MultiTaskVAEClassifier(**own).fit(x, y[:, 0])
    assert_parity(model, x, ["predict", "predict_proba", "predict_set"], tmp_path, **COVERAGE)


def test_a_kernel_counts(tmp_path):
    grid = RNG.uniform(-2, 2, (150, 2))
    y = (np.floor(grid).sum(axis=1) % 2).astype(int)  # a chessboard
    model = MultiTaskVAEClassifier(n_estimators=2, max_iter=1, random_state=0).fit(grid, y)
    assert model._fitted.average.kernel is not None
    assert_parity(model, grid[:20], ["predict_proba"], tmp_path)


def test_a_kernel_of_numbers_counts(tmp_path):
    grid = RNG.uniform(-2, 2, (150, 2))
    grid[::9, 1] = np.nan
    y = np.c_[np.sin(4 * grid[:, 0]), grid[:, 0]]
    model = MultiTaskVAERegressor(n_estimators=2, max_iter=1, random_state=0).fit(grid, y)
    assert model._fitted.average.baseline.kernel is not None
    assert_parity(model, grid[:20], ["predict", "predict_interval"], tmp_path, **COVERAGE)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_tasks_of_classes(sharing, tmp_path):
    y = np.c_[
        np.where(N[:, 0] > 0.5, "up", "down"), np.array(["a", "b", "c"])[np.random.default_rng(1).integers(0, 3, 48)]
    ].astype(object)
    y[::5, 1] = None
    model = MultiTaskVAEClassifier(**SMALL, n_estimators=3, sharing=sharing).fit(frame(), y)
    assert_all(with_all(model), later(), tmp_path, onnx=sharing == "hard")


def test_tasks_of_several_kinds(tmp_path):
    y = pd.DataFrame({"far": N[:, 0], "kind": pd.Categorical(RNG.choice(["x", "y"], 48)), "is": N[:, 1] > 0})
    assert_all(with_all(MultiTaskVAE(**SMALL, n_estimators=3).fit(frame(), y)), later(), tmp_path)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_criteria(criterion, tmp_path):
    known = frame().assign(f=np.nan)
    model = OutlierDetector(n_estimators=2, criterion=criterion, max_samples=30, random_state=0).fit(known)
    assert_all(model, later(), tmp_path)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gamma", "categorical"])  # each compares codes in its own way
def test_outliers_by_likelihood(likelihood, tmp_path):
    x = table(likelihood).astype(np.float64)
    model = VAETransformer(**SMALL, likelihood=likelihood)
    model = OutlierDetector(model, n_estimators=1, max_samples=30, random_state=0).fit(x)
    assert_parity(model, x, ["score_samples"], tmp_path, onnx=False)


def test_rows_far_off(tmp_path):
    """In the last rows a cell is 1e4 units away, or all of them a thousand."""
    x = table()[-2:]
    x[0, 3], x[1] = 1e4, x[1] * 1e3
    assert_parity(VAETransformer(**SMALL).fit(table()), x, ROWS, tmp_path)
    model = MultiTaskVAERegressor(**SMALL, n_estimators=3).fit(table(), labels())
    assert_parity(model, x.astype(np.float64), TASKS, tmp_path, **COVERAGE)


def test_rows_that_overflow(tmp_path):
    from .both import in_numpy

    model = VAETransformer(**SMALL).fit(table())
    x = np.full((2, 9), 1.0)
    x[0, 3] = 1e39
    assert np.isfinite(in_numpy(model, tmp_path).transform(x)).all()
    np.testing.assert_allclose(in_numpy(model, tmp_path).transform(x), model.transform(x), rtol=1e-5)


def test_an_own_module_of_known_operations(tmp_path):
    import torch

    def own(n_features, n_code, n_components, n_outputs):
        return torch.nn.Sequential(torch.nn.Linear(n_features, n_code), torch.nn.Hardswish()), torch.nn.Linear(
            n_components, n_outputs
        )

    model = AutoencoderTransformer(2, architecture=own, max_iter=1, random_state=0).fit(table())
    assert_parity(model, table(), ROWS, tmp_path)


@pytest.mark.parametrize("n_estimators", [1, 3])
def test_deviations_of_rows_of_float32(n_estimators, tmp_path):
    """Draws depend on all digits of a row, standardised in its own precision: the exports standardise as is done."""
    model = MultiTaskVAERegressor(**SMALL, n_estimators=n_estimators, early_stopping=True).fit(table(), labels())
    x = table()
    x[2], x[3, 3] = x[2] * 1e3, 1e4
    exported = in_numpy(model, tmp_path)
    assert_same(exported.predict_interval(x, **COVERAGE), model.predict_interval(x, **COVERAGE))
    found = in_onnx(model, "predict_interval", x, "float32", **COVERAGE)
    assert_same(list(found.values()), model.predict_interval(x, **COVERAGE))


@pytest.mark.parametrize("has_categories", [False, True])
def test_deviations_of_frames_of_float32(has_categories, tmp_path):
    """The estimator reads numbers alone in float32, and in float64 beside categories."""
    x = pd.DataFrame(table(), columns=[f"x{j}" for j in range(table().shape[1])])
    x.loc[2, "x1"], x.loc[3, "x2"] = 1e3, 1e4
    if has_categories:
        x["colour"] = pd.Series(["red", "green", None, "blue"] * len(x), dtype=object)[: len(x)]
    model = MultiTaskVAERegressor(**SMALL, n_estimators=1, early_stopping=True).fit(x, labels())
    wanted, exported = model.predict_interval(x, **COVERAGE), in_numpy(model, tmp_path)
    assert_same(exported.predict_interval(x, **COVERAGE), wanted)
    assert exported.transform(x).dtype == model.transform(x).dtype
    assert_same(list(in_onnx(model, "predict_interval", x, "float32", **COVERAGE).values()), wanted)


def test_models_of_different_kinds_that_put_columns_in_order(tmp_path):
    """Columns of two likelihoods take turns, and each model stands alone beside the others."""
    kinds = [{"hidden_layer_sizes": (3,)}, {"activation": "tanh"}, {"dropout": 0.3}]
    x = pd.DataFrame(table()[:, :4], columns=list("abcd"))
    x.insert(1, "word", pd.Series(["red", "green", None, "blue"] * len(x), dtype=object)[: len(x)])
    model = MultiTaskVAERegressor(**{**SMALL, "n_estimators": 3}, member_params=kinds, cv=3).fit(x, labels())
    model._fitted.average.weights[:] = 1 / len(model._fitted.average.weights)
    assert_same(in_numpy(model, tmp_path).predict_interval(x, **COVERAGE), model.predict_interval(x, **COVERAGE))
