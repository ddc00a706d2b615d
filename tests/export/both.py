"""Exported estimators beside the estimators themselves: the same results from numpy and from ONNX Runtime."""

import numpy as np
import pandas as pd

from sklearn_mtae import runtime
from sklearn_mtae.export import to_numpy, to_onnx

CLOSE = 1e-5
SMALL = {"n_components": 2, "hidden_layer_sizes": (6,), "max_iter": 1, "random_state": 0}


def with_all(model):
    """Let all members and baselines of a fitted model count: after one epoch, baselines alone may."""
    average = model._fitted.average
    if average.weights is not None:
        average.weights = np.full(average.weights.shape, 0.6 / len(average.weights))
    if average.kernel is not None:
        weights = average.kernel.weights
        average.kernel.weights = np.full(weights.shape, 0.2 / len(weights))
    return model


def in_numpy(estimator, folder):
    """Return an estimator as numpy alone runs it."""
    to_numpy(estimator, folder / "model.mtae")
    return runtime.load(folder / "model.mtae")


def session(model):
    """Return a session of ONNX Runtime on one thread."""
    ort = runtime_of_onnx()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def runtime_of_onnx():
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    return onnxruntime


def in_onnx(estimator, method, X, dtype="float64", **options):
    """Return the results of a method by name, as ONNX Runtime computes them."""
    import onnx

    model = to_onnx(estimator, method, dtype=dtype, **options)
    onnx.checker.check_model(model, full_check=True)
    return run(session(model), X)


def run(started, X):
    """Return the results of a session by name."""
    given = started.get_inputs()
    if len(given) == 1:
        feed = {given[0].name: np.asarray(X).astype(_dtype(given[0]))}
    else:
        feed = {own.name: _column(X[own.name], own) for own in given}
    return dict(zip([own.name for own in started.get_outputs()], started.run(None, feed), strict=True))


def _dtype(given):
    return np.float64 if "double" in given.type else np.float32


def _column(cells, given):
    if "string" in given.type:
        return np.array([["" if pd.isna(cell) else str(cell)] for cell in cells], dtype=object)
    return cells.to_numpy(dtype=_dtype(given), na_value=np.nan)[:, None]


def columns_of(result):
    """Return the columns of any result as a list of arrays."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, list | tuple):
        return [column for own in result for column in columns_of(own)]
    if hasattr(result, "columns"):
        return [np.asarray(result[name]) for name in result]
    array = np.asarray(result)
    return list(array.T) if array.ndim > 1 else [array]


def assert_same(found, wanted, close=CLOSE):
    """Check that results are the same: numbers within a share of the largest of their column, all else exactly."""
    found, wanted = columns_of(found), columns_of(wanted)
    assert len(found) == len(wanted)
    for own, true in zip(found, wanted, strict=True):
        own, true = (np.array(column.tolist()).ravel() for column in (own, true))
        assert own.shape == true.shape
        if true.dtype.kind == "f":
            assert (np.isnan(own.astype(float)) == np.isnan(true)).all()
            apart = np.where(own == true, 0.0, np.where(np.isinf(true), np.inf, own.astype(float)) - true)
            allowed = close * max(1e-300, np.nanmax(np.abs(true[~np.isinf(true)]), initial=0.0))
            assert np.nanmax(np.abs(apart), initial=0.0) <= allowed
        else:
            assert (own.astype(true.dtype) == true).all()


def assert_parity(estimator, X, methods, folder, *, onnx=True, **options):
    """Check the methods of an estimator against both of its exports; options are those of intervals and sets."""
    exported = in_numpy(estimator, folder)
    for method in methods:
        given = estimator.transform(X) if method == "inverse_transform" else X
        own = options if method in ("predict_interval", "predict_set") else {}
        wanted = getattr(estimator, method)(given, **own)
        assert_same(getattr(exported, method)(given, **own), wanted)
        if onnx:
            assert_same(in_onnx(estimator, method, given, **own), wanted)


ROWS = (
    "transform",
    "impute",
    "score_samples",
    "predict",
    "predict_proba",
    "predict_log_proba",
    "predict_interval",
    "predict_set",
)
UNSEEN = "grey"
DETECTED = ("score_samples", "decision_function", "predict")
WEIGHED = {"impute", "score_samples"}
"""What a VAE weighs draws for: numpy and ONNX share its graph but for the eigenvalues, of which a few models tell."""


def assert_all(estimator, X, folder, *, onnx=True, coverage=0.5):
    """Check every method that an exported estimator has, with one ONNX model for most that take rows."""
    exported = in_numpy(estimator, folder)
    of_kind = ROWS if hasattr(exported, "transform") else DETECTED
    own = [method for method in of_kind if hasattr(exported, method) and hasattr(estimator, method)]
    wanted = {method: getattr(estimator, method)(X, **_options(method, coverage)) for method in own}
    for method, true in wanted.items():
        assert_same(getattr(exported, method)(X, **_options(method, coverage)), true)
    if hasattr(exported, "predict_interval"):
        assert_same(exported.predict(X, return_std=True), estimator.predict(X, return_std=True))
    if onnx:
        wanted = {method: true for method, true in wanted.items() if not (method in WEIGHED and "transform" in own)}
        found = list(in_onnx(estimator, list(wanted), X, coverage=coverage).values())
        assert_same(found, list(wanted.values()))
    if hasattr(exported, "transform"):
        codes = estimator.transform(X)
        assert_same(exported.inverse_transform(codes), estimator.inverse_transform(codes))
        if onnx:
            found = in_onnx(estimator, "inverse_transform", codes)
            assert_same(list(found.values()), estimator.inverse_transform(codes))


def _options(method, coverage):
    return {"coverage": coverage} if method in ("predict_interval", "predict_set") else {}
