import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    PerTaskClassifier,
    PerTaskRegressor,
    VAETransformer,
)
from sklearn_mtae.export import NotExportableError, register_converters, to_onnx

from .both import SMALL, assert_same, run, session

skl2onnx = pytest.importorskip("skl2onnx")
pytestmark = pytest.mark.filterwarnings("ignore:Attribute `prob[AB]_` was deprecated:FutureWarning")  # in skl2onnx
X = np.random.default_rng(0).normal(size=(60, 4))
Y = np.c_[X[:, 0], X[:, 1] ** 2]
KIND = np.where(X[:, 0] + X[:, 1] > 0, "up", "down")
GAPS = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
PIPELINES = {
    "svc": (make_pipeline(AutoencoderTransformer(**SMALL), SVC()), KIND, {"label": "predict"}),
    "per task": (make_pipeline(VAETransformer(**SMALL), PerTaskRegressor(Ridge())), Y, {"variable": "predict"}),
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
