"""What X, y and weights may come in: any layout of memory, masked cells, frames of other packages, clear refusals."""

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    PerTaskRegressor,
    VAEImputer,
    VAETransformer,
    metrics,
    stack_tasks,
)
from sklearn_mtae._tables.blocks import tensor
from sklearn_mtae._tables.containers import plain
from sklearn_mtae._tables.targets import target_columns, task_names

NAN = float("nan")
SMALL = {"n_components": 1, "hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
Y = RNG.normal(size=(12, 2))
GONE = RNG.random(X.shape) < 0.3
LOST = RNG.random(Y.shape) < 0.3


@pytest.fixture(scope="module")
def model():
    return MultiTaskVAERegressor(n_estimators=1, **SMALL).fit(X, Y)


def strided(array):
    """Return the array as a field of records that are no multiple of its cells long."""
    records = np.zeros(array.shape, dtype=[("flag", "i1"), ("cell", array.dtype)])
    records["cell"] = array
    return records["cell"]


VIEWS = {
    "reversed": lambda a: a[::-1],
    "one row, reversed": lambda a: a[::-1][:1],
    "one row, reversed both ways": lambda a: a[::-1, ::-1][:1],
    "columns reversed": lambda a: a[:, ::-1],
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "Fortran": np.asfortranarray,
    "big-endian": lambda a: a.astype(">f8"),
    "repeated by strides": lambda a: np.broadcast_to(a[:1], a.shape),
    "one row by strides": lambda a: np.broadcast_to(a[0], (1, a.shape[1])),
    "field of records": strided,
    "one row of a field": lambda a: strided(a)[:1],
    "subclass": lambda a: a.view(type("Own", (np.ndarray,), {})),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_layouts_of_memory(model, view):
    rows = view(X)
    rows.flags.writeable = False
    same = np.array(rows, dtype=float, order="C")
    for method in (model.transform, model.score_samples, model.predict, model.impute):
        np.testing.assert_allclose(method(rows), method(same), rtol=1e-12)
    codes = view(X[:, :2])[:, :1]
    np.testing.assert_allclose(model.inverse_transform(codes), model.inverse_transform(np.array(codes, dtype=float)))
    out = np.empty((2 * len(same), 3))[::-2][: len(same), 1:2]
    np.testing.assert_array_equal(model.transform(rows, out=out), model.transform(same))
    if len(rows) > 1:
        targets, weight = view(Y), np.abs(view(X)[:, 0])
        fitted = MultiTaskVAERegressor(n_estimators=1, **SMALL).fit(rows, targets, sample_weight=weight)
        plainly = MultiTaskVAERegressor(n_estimators=1, **SMALL).fit(
            same, np.array(targets, dtype=float), sample_weight=np.array(weight, dtype=float)
        )
        np.testing.assert_allclose(fitted.predict(X), plainly.predict(X), rtol=1e-6)


def test_tensors_share_what_they_can():
    assert tensor(X).data_ptr() == X.ctypes.data
    assert tensor(X[3:5]).data_ptr() == X[3:5].ctypes.data
    for rows in (X[::-1][:1], X[::-1, ::-1][:1, :1], strided(X)[:1, :1], X[:0]):
        np.testing.assert_array_equal(tensor(rows).numpy(), rows)


@pytest.mark.parametrize("part", ["X", "y"])
def test_no_rows(model, part):
    with pytest.raises(ValueError, match=r"0 sample|inconsistent"):
        MultiTaskVAERegressor(**SMALL).fit(X[:0] if part == "X" else X, Y[:0])
    for method in (model.transform, model.impute):
        with pytest.raises(ValueError, match="0 sample"):
            method(X[:0])


# Missing cells.

MASKED = {
    "floats": np.ma.array(X, mask=GONE, fill_value=1e20),
    "integers": np.ma.array((9 * X).astype(int), mask=GONE),
    "objects": np.ma.array(X.astype(object), mask=GONE),
    "rows in a list": [*np.ma.array(X, mask=GONE)],
    "NA": np.where(GONE, pd.NA, X.astype(object)),
    "NaT": np.where(GONE, pd.NaT, X.astype(object)),
    "None in a list": np.where(GONE, None, X.astype(object)).tolist(),
    "NA in a list": np.where(GONE, pd.NA, X.astype(object)).tolist(),
}


@pytest.mark.parametrize("name", MASKED)
def test_missing_cells(name):
    rows = MASKED[name]
    same = np.where(GONE, NAN, (9 * X).astype(int) if name == "integers" else X)
    ours, theirs = (AutoencoderTransformer(**SMALL).fit(each) for each in (rows, same))
    np.testing.assert_array_equal(ours.transform(rows), theirs.transform(same))
    filled = ours.impute(rows)
    assert type(filled) is np.ndarray
    np.testing.assert_array_equal(filled.astype(float), theirs.impute(same))
    assert (filled.dtype == object) == (name in ("objects", "NA", "NaT")), "other cells are numbers as they were"
    imputer = VAEImputer(VAETransformer(**SMALL), n_importance_samples=5, add_indicator=True)
    np.testing.assert_array_equal(imputer.fit_transform(rows)[:, 3:].astype(float), GONE[:, GONE.any(axis=0)])


def test_masked_arrays_without_a_mask():
    assert plain(np.ma.array([1, 2])).dtype == np.int64
    days = np.ma.array(np.array([1, 2], dtype="M8[ns]"), mask=[True, False])
    assert np.isnat(plain(days)).tolist() == [True, False]


LABELS = {
    "masked": np.ma.array(Y, mask=LOST),
    "NA": np.where(LOST, pd.NA, Y.astype(object)),
    "NA in a list": np.where(LOST, pd.NA, Y.astype(object)).tolist(),
    "NA in a frame": pd.DataFrame(np.where(LOST, pd.NA, Y.astype(object)), columns=["y0", "y1"]),
    "nullable": pd.DataFrame(np.where(LOST, NAN, Y), columns=["y0", "y1"]).astype("Float64"),
    "polars": pl.DataFrame(np.where(LOST, NAN, Y), schema=["y0", "y1"]).fill_nan(None),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_missing_labels(labels):
    same = np.where(LOST, NAN, Y)
    ours, theirs = (MultiTaskVAERegressor(n_estimators=1, **SMALL).fit(X, each) for each in (labels, same))
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)
    assert ours.task_names_ == ["y0", "y1"]
    assert ours.score(X, labels) == pytest.approx(theirs.score(X, same))
    assert metrics.r2_score(labels, Y) == metrics.r2_score(same, Y) == 1


def test_masked_classes_and_weights():
    classes = (Y > 0).astype(int)
    masked = np.ma.array(classes, mask=LOST)
    ours = MultiTaskVAEClassifier(n_estimators=1, **SMALL).fit(X, masked)
    theirs = MultiTaskVAEClassifier(n_estimators=1, **SMALL).fit(X, np.where(LOST, None, classes.astype(object)))
    assert [own.tolist() for own in ours.classes_] == [[0, 1], [0, 1]]
    np.testing.assert_array_equal(ours.predict_proba(X)[0], theirs.predict_proba(X)[0])
    with pytest.raises(ValueError, match="sample_weight contains NaN"):
        VAETransformer(**SMALL).fit(X, sample_weight=np.ma.array(np.ones(12), mask=GONE[:, 0]))
    with pytest.raises(TypeError, match="out must be a numpy array"):
        VAETransformer(**SMALL).fit(X).transform(X, out=np.ma.zeros((12, 1)))
    one = np.lib.stride_tricks.as_strided(np.zeros(1), (12, 1), (0, 8), writeable=True)
    with pytest.raises(ValueError, match="out must have a place for each cell"):
        VAETransformer(**SMALL).fit(X).transform(X, out=one)


def test_masked_rows_of_tasks():
    stacked, labels = stack_tasks({"a": (np.ma.array(X, mask=GONE), np.ma.array(Y[:, 0], mask=LOST[:, 0]))})
    np.testing.assert_array_equal(stacked, np.where(GONE, NAN, X))
    np.testing.assert_array_equal(labels[:, 0], np.where(LOST[:, 0], NAN, Y[:, 0]))


# Containers of other packages.


class Lazy:
    """A frame whose cells are computed on demand; with the attributes of pandas' frames, and without their methods."""

    def __init__(self, frame):
        self.frame, self.columns, self.dtypes, self.shape = frame, frame.columns, frame.dtypes, (NAN, frame.shape[1])
        self.iloc, self.ndim = None, 2

    def __array__(self, dtype=None, copy=None):
        return self.frame.to_numpy(dtype=dtype)

    def __len__(self):
        return len(self.frame)


class Computed(Lazy):
    def compute(self):
        return self.frame


@pytest.mark.parametrize("container", [Lazy, Computed])
def test_frames_on_demand(container):
    frame = pd.DataFrame(np.where(GONE, NAN, X), columns=list("abc"))
    lazy = container(frame)
    ours, theirs = (VAETransformer(**SMALL).fit(each) for each in (lazy, frame))
    for method in ("transform", "score_samples", "predict", "impute"):
        np.testing.assert_array_equal(np.asarray(getattr(ours, method)(lazy)), getattr(theirs, method)(frame))
    targets = pd.DataFrame(Y, columns=["u", "v"])
    model = MultiTaskVAERegressor(n_estimators=1, **SMALL).fit(lazy, Computed(targets))
    assert model.task_names_ == ["u", "v"]


def test_frames_of_dask():
    dask = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(X, columns=list("abc"))
    lazy = dask.from_pandas(frame, npartitions=2)
    ours, theirs = (VAETransformer(**SMALL).fit(each) for each in (lazy, frame))
    # Older pandas hands dask's partitions over in another memory layout, and sums round by it.
    np.testing.assert_allclose(ours.transform(lazy), theirs.transform(frame), rtol=1e-6)
    assert ours.feature_names_in_.tolist() == list("abc")


def test_tables_of_arrow():
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"n": [2**53 + 1, None, 3] * 4, "job": ["a", "b", None] * 4})
    model = VAETransformer(**SMALL).fit(table)
    filled = model.impute(table)
    assert filled["n"].dtype == "int64[pyarrow]"
    assert filled["n"][0] == 2**53 + 1
    assert set(filled["job"]) == {"a", "b"}
    assert task_names(table) == ["n", "job"]


def test_names_of_tasks_are_those_of_series():
    """Arrays of other packages have names too: what they were computed by."""
    named = type("Named", (), {"name": "add-3f2a", "__array__": lambda self, dtype=None, copy=None: Y})()
    assert task_names(named) == ["y0", "y1"]
    assert task_names(pd.Series(Y[:, 0], name="dose")) == task_names(pl.Series("dose", Y[:, 0])) == ["dose"]


# What is refused.

DAYS = (1e15 * Y).astype("M8[ns]")


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (DAYS, ValueError, "Task 'y0' holds dates or durations, such as"),
        (DAYS - DAYS[0], ValueError, "Task 'y0' holds dates or durations"),
        (pd.DataFrame({"dose": Y[:, 0], "day": DAYS[:, 0]}), ValueError, "Task 'day' holds dates or durations"),
        (pd.Series(DAYS[:, 0], name="day").dt.tz_localize("UTC"), ValueError, "Task 'day' holds dates"),
        (np.full((12, 2), date(2020, 1, 1)), ValueError, "Task 'y0' holds dates or durations, such as '2020-01-01'"),
        (Y + 1j, ValueError, "Complex data not supported: task 'y0'"),
        (sparse.csr_array(Y), TypeError, r"Sparse data was passed for y.*use y\.toarray\(\)"),
        (np.zeros(12, dtype=[("a", float)]), ValueError, "Task 'y0' holds records.*data frame"),
        (pd.DataFrame(index=range(12)), ValueError, "y must have at least one column, one per task"),
    ],
)
@pytest.mark.parametrize("kind", [MultiTaskVAERegressor, MultiTaskVAEClassifier])
def test_labels_that_are_refused(kind, labels, error, message):
    with pytest.raises(error, match=message):
        kind(**SMALL).fit(X, labels)
    with pytest.raises(error, match=message):
        target_columns(labels)


def test_labels_that_are_no_numbers():
    with pytest.raises(ValueError, match="Task 'dose' must hold numbers: could not convert string to float"):
        MultiTaskVAERegressor(**SMALL).fit(X, pd.DataFrame({"dose": ["low", "high"] * 6}))
    with pytest.raises(ValueError, match="Task 'y0' holds dates"):
        PerTaskRegressor(VAETransformer()).fit(X, DAYS)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((1e15 * X).astype("M8[ns]"), "Column 0 holds dates or durations"),
        ((1e15 * X).astype("m8[ns]"), "Column 0 holds dates or durations"),
        (np.c_[X.astype(object), np.full(12, date(2020, 1, 1))], "Column 3 holds dates or durations, such as '2020"),
        (pl.DataFrame({"x": X[:, 0], "day": [date(2020, 1, 1)] * 12}), "Column 'day' holds dates or durations"),
        (X + 1j, "Complex data not supported: column 0"),
        (np.zeros(12, dtype=[("a", float), ("b", float)]), "The table holds records.*data frame"),
        (
            pd.DataFrame({"pairs": [[1.0, 2.0]] * 12}),
            r"Column 'pairs' holds lists, such as \[1.0, 2.0\]; each",
        ),
        (pl.DataFrame({"pairs": [[1.0, 2.0]] * 12}), "Column 'pairs' holds lists"),
        (np.fromiter([[{1}]] * 12, dtype=object).reshape(12, 1), "Column 0 holds lists"),
        (pd.Series(X[:, 0]), "Expected a 2-dimensional container"),
        (pd.array(X[:, 0]), "Expected 2D array"),
    ],
)
def test_rows_that_are_refused(model, rows, message):
    for kind in (AutoencoderTransformer, VAETransformer):
        with pytest.raises(ValueError, match=message):
            kind(**SMALL).fit(rows)
    with pytest.raises(ValueError, match=message):
        VAEImputer(VAETransformer(**SMALL)).fit(rows)


def test_cells_that_hold_several_values(model):
    """They are no labels, no categories and no conditions, whatever numpy, pandas and polars make of them."""
    for labels in (pd.Series([[1, 2]] * 12, name="pairs"), pl.DataFrame({"pairs": [[1, 2]] * 12})):
        for kind in (MultiTaskVAERegressor, MultiTaskVAEClassifier):
            with pytest.raises(ValueError, match="Task 'pairs' holds lists"):
                kind(**SMALL).fit(X, labels)
    with pytest.raises(ValueError, match="Column 'pairs' holds lists"):
        VAETransformer(**SMALL, likelihood={"pairs": "categorical"}).fit(pd.DataFrame({"pairs": [[1, 2]] * 12}))
    with pytest.raises(ValueError, match="conditions: Column 0 holds lists"):
        VAETransformer(**SMALL).fit(X).sample(2, conditions={0: [[1.0]]})


@pytest.mark.parametrize("fill", [0.0, 1.0, np.nan])
def test_sparse_frames_of_any_fill_value(fill):
    dense = pd.DataFrame(np.abs(X)).round()
    dense.columns = list("abc")
    if np.isnan(fill):
        dense = dense.where(dense != 1)
    sparse_frame = dense.astype(pd.SparseDtype("float64", fill))
    expected = VAETransformer(**SMALL, likelihood="poisson").fit(dense).transform(dense)
    transformed = VAETransformer(**SMALL, likelihood="poisson").fit(sparse_frame).transform(sparse_frame)
    np.testing.assert_allclose(transformed, expected, rtol=1e-6)


def test_other_arguments_that_are_refused(model):
    with pytest.raises(ValueError, match="Column 0 holds dates"):
        model.inverse_transform((1e15 * X[:, :1]).astype("M8[ns]"))
    with pytest.raises(ValueError, match="Sample_weight holds dates"):
        VAETransformer(**SMALL).fit(X, sample_weight=DAYS[:, 0])
    with pytest.raises(TypeError, match=r"np\.matrix is not supported"):
        model.transform(X.view(np.matrix))
