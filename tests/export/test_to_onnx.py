import numpy as np
import pytest

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    VAETransformer,
)
from sklearn_mtae.export import NotExportableError, to_onnx

from .both import SMALL, assert_same, in_onnx, run, session
from .people import people

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.c_[X[:, 0], X[:, 1] ** 2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_of_inputs_and_results(dtype):
    model = VAETransformer(**SMALL).fit(X)
    (found,) = in_onnx(model, "transform", X, dtype).values()
    assert found.dtype == dtype
    assert_same(found, model.transform(X.astype(dtype)))


def test_several_methods_are_one_model():
    model = MultiTaskVAERegressor(**SMALL, n_estimators=3).fit(X, Y)
    found = in_onnx(model, ["transform", "predict", "predict_interval"], X, coverage=0.5)
    assert list(found) == ["transform", "predict", "lower", "upper"]
    assert_same(found["predict"], model.predict(X))
    assert (found["lower"] < found["upper"]).all()


def test_names_of_tasks():
    y = np.c_[X[:, 0] > 0, X[:, 1] > 0].astype(int)
    model = MultiTaskVAEClassifier(**SMALL, n_estimators=3).fit(X, y)
    found = in_onnx(model, None, X)
    assert list(found) == ["predict_y0", "predict_y1", "predict_proba_y0", "predict_proba_y1"]
    alone = MultiTaskVAEClassifier(**SMALL, n_estimators=3).fit(X, np.where(y[:, 0], "yes", "no"))
    found = in_onnx(alone, None, X)
    assert found["predict"].tolist() == alone.predict(X).tolist()
    assert_same(found["predict_proba"], alone.predict_proba(X))


@pytest.mark.filterwarnings("ignore:Categories that fit has not seen")
def test_columns_of_strings_are_inputs_of_their_own():
    known, later = people()
    model = MultiTaskVAERegressor(**SMALL, n_estimators=2).fit(known, known["age"])
    started = session(to_onnx(model, dtype="float64"))
    assert [own.name for own in started.get_inputs()] == list(known)
    assert_same(run(started, later)["predict"], model.predict(later))
    detector = OutlierDetector(n_estimators=1, random_state=0).fit(known)
    assert_same(in_onnx(detector, "score_samples", later), detector.score_samples(later))


def test_columns_with_categories_are_results_of_their_own():
    known, _ = people()
    model = AutoencoderTransformer(**SMALL).fit(known)
    found, wanted = in_onnx(model, "predict", known), model.predict(known)
    assert list(found) == [f"predict_{name}" for name in known]
    for name in ("job", "city", "size"):
        assert found[f"predict_{name}"].ravel().tolist() == wanted[name].tolist()
    assert_same(found["predict_weight"], wanted["weight"])


def test_categories_of_numbers_stay_in_the_matrix():
    table = np.c_[RNG.integers(0, 3, 40), X]
    model = AutoencoderTransformer(**SMALL, likelihood={0: "categorical"}).fit(table)
    table[0, 0] = np.nan
    assert_same(in_onnx(model, "transform", table)["transform"], model.transform(table))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"method": "sample"}, "method must be one of"),
        ({"method": ["transform", "inverse_transform"]}, "inverse_transform takes codes"),
        ({"method": "predict_interval", "coverage": 0.999}, "coverage must be at most"),
    ],
)
def test_options_that_are_not_admissible(options, message):
    with pytest.raises(ValueError, match=message):
        to_onnx(MultiTaskVAERegressor(**SMALL, n_estimators=3).fit(X, Y), **options)


def test_intervals_need_rows_that_were_held_out():
    with pytest.raises(NotExportableError, match="held out"):
        to_onnx(MultiTaskVAERegressor(**SMALL, n_estimators=1).fit(X, Y), "predict_interval")
