import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from sklearn_mtae import (
    AutoencoderTransformer,
    MultipleImputation,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    PerTaskClassifier,
    PerTaskRegressor,
    VAEImputer,
    VAETransformer,
)
from sklearn_mtae.export import NotExportableError, register_converters, to_onnx

from .both import SMALL, assert_same, run, session

onnx, skl2onnx = pytest.importorskip("onnx"), pytest.importorskip("skl2onnx")
pytestmark = pytest.mark.filterwarnings("ignore:Attribute `prob[AB]_` was deprecated:FutureWarning")  # in skl2onnx
X = np.random.default_rng(0).normal(size=(60, 4))
Y = np.c_[X[:, 0], X[:, 1] ** 2]
KIND = np.where(X[:, 0] + X[:, 1] > 0, "up", "down")
GAPS = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
PIPELINES = {
    "svc": (make_pipeline(AutoencoderTransformer(**SMALL), SVC()), KIND, {"label": "predict"}),
    "per task": (make_pipeline(VAETransformer(**SMALL), PerTaskRegressor(Ridge())), Y, {"variable": "predict"}),
    "own heads": (PerTaskRegressor(MultiTaskVAERegressor(**SMALL, n_estimators=1)), Y, {"variable": "predict"}),
    "numbers": (
        make_pipeline(StandardScaler(), MultiTaskVAERegressor(**SMALL, n_estimators=2)),
        Y,
        {"variable": "predict"},
    ),
    "classes": (
        make_pipeline(StandardScaler(), MultiTaskVAEClassifier(**SMALL, n_estimators=2)),
        KIND,
        {"label": "predict", "probabilities": "predict_proba"},
    ),
    "outliers": (
        make_pipeline(StandardScaler(), OutlierDetector(n_estimators=1, random_state=0)),
        None,
        {"label": "predict", "scores": "score_samples"},
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pipelines(name, dtype):
    estimator, y, results = PIPELINES[name]
    x = GAPS.astype(dtype)
    estimator.fit(x, y)
    found = run(session(to_onnx(estimator, dtype=dtype)), x)
    for result, method in results.items():
        assert_same(found[result], getattr(estimator, method)(x), 1e-4)


def test_skl2onnx_knows_the_estimators():
    register_converters()
    estimator = make_pipeline(AutoencoderTransformer(**SMALL), LogisticRegression()).fit(GAPS, KIND)
    model = skl2onnx.to_onnx(estimator, GAPS[:1].astype(np.float32), options={"zipmap": False})
    found = run(session(model), GAPS)
    assert found["label"].tolist() == estimator.predict(GAPS.astype(np.float32)).tolist()


def test_classifiers_per_task():
    y = np.c_[KIND, np.where(X[:, 2] > 0, "a", "b")]
    estimator = make_pipeline(VAETransformer(**SMALL), PerTaskClassifier(LogisticRegression())).fit(GAPS, y)
    found = run(session(to_onnx(estimator, dtype="float64")), GAPS)
    assert list(found) == ["label_y0", "label_y1", "probabilities_y0", "probabilities_y1"]
    assert np.c_[found["label_y0"], found["label_y1"]].tolist() == estimator.predict(GAPS).tolist()
    assert_same([found["probabilities_y0"], found["probabilities_y1"]], estimator.predict_proba(GAPS))


FRAME = pd.DataFrame(X, columns=list("abcd")).assign(s=np.resize(["x", "y", "z"], 60))
ENCODER = AutoencoderTransformer(**SMALL)
BY_COLUMN = {
    "by name": ColumnTransformer([("own", ENCODER, ["c", "a"])], remainder=StandardScaler()),
    "by place": ColumnTransformer([("own", ENCODER, [2, 0]), ("one", StandardScaler(), slice(1, 3))]),
    "nested": make_pipeline(ColumnTransformer([("own", make_pipeline(StandardScaler(), ENCODER), ["c", "a"])])),
}


@pytest.mark.parametrize("name", BY_COLUMN)
def test_column_transformers_take_each_column(name):
    table = FRAME.drop(columns="s")
    estimator = make_pipeline(BY_COLUMN[name], StandardScaler()).fit(table)
    started = started_session(estimator)
    assert [own.name for own in started.get_inputs()] == list(table)
    assert_same(run(started, table)["variable"], estimator.transform(table))


@pytest.mark.parametrize(
    "first",
    [
        ENCODER,
        ColumnTransformer([("own", ENCODER, ["a", "b"]), ("strings", OneHotEncoder(), ["s"])]),
        make_pipeline(ColumnTransformer([("strings", OneHotEncoder(), [4]), ("own", ENCODER, slice(0, 2))])),
    ],
)
def test_columns_of_strings_in_pipelines(first):
    estimator = make_pipeline(first, LogisticRegression()).fit(FRAME, KIND)
    started = started_session(estimator, "float32")
    assert {own.name: own.type for own in started.get_inputs()}["s"] == "tensor(string)"
    found = run(started, FRAME)
    assert found["label"].tolist() == estimator.predict(FRAME).tolist()
    assert_same(found["probabilities"], estimator.predict_proba(FRAME), 1e-4)


def started_session(estimator, dtype="float64"):
    """Return a session of an estimator's model, which is checked."""
    model = to_onnx(estimator, dtype=dtype)
    onnx.checker.check_model(model, full_check=True)
    return session(model)


def test_strings_cannot_come_as_one_matrix():
    first = ColumnTransformer([("own", ENCODER, ["a", "s"])])
    with pytest.raises(NotExportableError, match=r"for each column, \['a', 's'\].*Make it the first step"):
        to_onnx(make_pipeline(first, LogisticRegression()).fit(FRAME, KIND))


def test_steps_that_cannot_be_exported():
    step = MultipleImputation(LinearRegression(), VAEImputer(VAETransformer(**SMALL)), n_draws=2, n_models=1)
    with pytest.raises(NotExportableError, match="MultipleImputation cannot be exported"):
        to_onnx(make_pipeline(StandardScaler(), step).fit(GAPS, X[:, 0]))


@pytest.mark.parametrize(
    ("estimator", "y", "message"),
    [
        (make_pipeline(MultiTaskVAERegressor(**SMALL, n_estimators=1), Ridge()), Y, "Only the last step"),
        (PerTaskRegressor({"y0": Ridge(), "y1": LogisticRegression()}), np.c_[X[:, 0], X[:, 1] > 0], "'y1'"),
        pytest.param(
            PerTaskClassifier(LogisticRegression()),
            np.c_[KIND, ["same"] * 60],
            "'y1' has one class",
            marks=pytest.mark.filterwarnings("ignore:Task 'y1' has one class"),
        ),
    ],
)
def test_what_cannot_be_converted(estimator, y, message):
    with pytest.raises(NotExportableError, match=message):
        to_onnx(estimator.fit(X, y))


def test_pipelines_have_no_choice_of_methods():
    with pytest.raises(ValueError, match="method must be None"):
        to_onnx(make_pipeline(AutoencoderTransformer(**SMALL), Ridge()).fit(X, Y), "predict")
