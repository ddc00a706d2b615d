import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAE,
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
GAPS = np.where(RNG.random(X.shape) < 0.2, np.nan, X)


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


def with_levels(levels):
    return pd.DataFrame({"a": X[:, 0], "c": pd.Categorical(np.resize(np.array(levels), len(X)))})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_categories_are_compared_in_the_dtype_of_the_input(dtype):
    table = with_levels([0.1, 0.2, 0.3])
    model = AutoencoderTransformer(**SMALL).fit(table)
    found = in_onnx(model, "transform", table, dtype)["transform"]
    assert_same(found, model.transform(table))
    assert np.ptp(model.transform(table.assign(c=np.nan)) - found) > 1e-3


def test_large_whole_numbers_are_categories_in_float64():
    table = with_levels([2**24 + 1, 2**24, 5])
    model = AutoencoderTransformer(**SMALL).fit(table)
    assert_same(in_onnx(model, "transform", table)["transform"], model.transform(table))
    with pytest.raises(NotExportableError, match=r"'c' do not\. Pass dtype=\"float64\""):
        to_onnx(model)


@pytest.mark.parametrize("levels", [[2**60 + 1, 2**60], [1e300, 2.0]])
def test_categories_that_the_input_cannot_hold(levels):
    model = AutoencoderTransformer(**SMALL).fit(with_levels(levels))
    with pytest.raises(NotExportableError, match="must differ in float32"):
        to_onnx(model)
    if levels[0] == 2**60 + 1:
        with pytest.raises(NotExportableError, match=r"must differ in float64.*'c' do not\.$"):
            to_onnx(model, dtype="float64")


def test_categories_that_are_the_same_as_strings():
    table = with_levels([0]).assign(c=pd.Series([1, "1", "x", None] * 10, dtype=object))
    with pytest.raises(NotExportableError, match="must differ as strings"):
        to_onnx(AutoencoderTransformer(**SMALL, likelihood={"c": "categorical"}).fit(table))


def test_labels_that_are_numbers_used_within():
    table = with_levels([0, 1, 2, 3])
    model = AutoencoderTransformer(**SMALL).fit(table)
    assert_same(in_onnx(model, "predict", table), model.predict(table))


@pytest.mark.parametrize(
    "names", [["c0", "s", "c1"], ["v9", "rows", "input0"], ["predict_s", "s", ""], ["X", "s", "predict"]]
)
@pytest.mark.parametrize("method", ["transform", "predict"])
def test_columns_may_have_any_name(names, method):
    table = pd.DataFrame({"a": X[:, 0], "b": np.resize(["x", "y", "z"], len(X)), "c": X[:, 1]}).set_axis(names, axis=1)
    model = AutoencoderTransformer(**SMALL).fit(table)
    started = session(to_onnx(model, method, dtype="float64"))
    inputs = [own.name for own in started.get_inputs()]
    assert inputs == [name or "column2" for name in names]
    assert not set(inputs) & {own.name for own in started.get_outputs()}
    assert_same(in_onnx(model, method, table.set_axis(inputs, axis=1)), getattr(model, method)(table))


def test_a_result_makes_way_for_a_column_of_its_name():
    table = with_levels(["x", "y"]).rename(columns={"a": "transform"})
    assert list(in_onnx(AutoencoderTransformer(**SMALL).fit(table), "transform", table)) == ["transform_"]


@pytest.mark.parametrize("method", ["predict", "impute"])
@pytest.mark.parametrize("with_category", [False, True])
def test_whole_numbers_and_booleans_are_rounded(method, with_category):
    table = pd.DataFrame({"i": np.arange(40) % 5, "b": np.arange(40) % 2 == 0, "x": X[:, 0]})
    table = table.assign(c=np.resize(["u", "v"], 40)) if with_category else table
    model = AutoencoderTransformer(**SMALL).fit(table)
    gaps = table.astype({"i": float, "b": object})
    gaps.loc[::3, ["i", "b"]] = np.nan
    wanted = getattr(model, method)(gaps)
    found = in_onnx(model, method, gaps)
    found = np.column_stack(list(found.values())).T if with_category else found[method].T
    for own, name in zip(found, table, strict=True):
        true = wanted[name].astype(object if name == "c" else float)
        assert (own == true).all() if name in "cib" else np.allclose(own.astype(float), true)


@pytest.mark.parametrize("n_tasks", [1, 3])
def test_intervals_and_sets(n_tasks):
    y = np.c_[Y, X[:, 2] * X[:, 0]]
    words = np.where(y > 0.1, "up", np.where(y < -0.5, "down", "level"))
    own = slice(None) if n_tasks > 1 else 0
    numbers = MultiTaskVAERegressor(**SMALL, n_estimators=3).fit(X, y[:, own])
    classes = MultiTaskVAEClassifier(**SMALL, n_estimators=3).fit(X, words[:, own])
    for coverage in (0.3, 0.8):
        found = in_onnx(numbers, "predict_interval", GAPS, coverage=coverage)
        assert_same(list(found.values()), numbers.predict_interval(GAPS, coverage=coverage))
        found = in_onnx(classes, "predict_set", GAPS, coverage=coverage)
        assert_same(list(found.values()), classes.predict_set(GAPS, coverage=coverage))


def test_intervals_and_sets_of_mixed_tasks():
    y = pd.DataFrame({"number": Y[:, 0], "kind": np.where(Y[:, 1] > 0.5, "high", "low")})
    model = MultiTaskVAE(**SMALL, n_estimators=3).fit(X, y)
    for coverage in (0.4, 0.8):
        found = in_onnx(model, ["predict_interval", "predict_set"], GAPS, coverage=coverage)
        assert_same(found["predict_set_kind"], model.predict_set(GAPS, coverage=coverage)["kind"])
        low, high = model.predict_interval(GAPS, coverage=coverage)
        assert_same([found["lower"], found["upper"]], [low, high])


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (SVC(), NotFittedError, "SVC instance is not fitted"),
        (make_pipeline(StandardScaler(), AutoencoderTransformer(2)), NotFittedError, "not fitted"),
    ],
)
def test_estimators_that_cannot_be_converted(estimator, error, message):
    with pytest.raises(error, match=message):
        to_onnx(estimator)


@pytest.mark.parametrize("method", [[], ["transform", "transform"], 5, [None]])
def test_methods_must_be_names_that_differ(method):
    with pytest.raises(ValueError, match="method must be a name, or a sequence of names that differ"):
        to_onnx(VAETransformer(**SMALL).fit(X), method)


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
