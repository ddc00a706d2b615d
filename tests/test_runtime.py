import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAE,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    VAETransformer,
    runtime,
)
from sklearn_mtae._engine.files import write_file
from sklearn_mtae.export import to_numpy
from sklearn_mtae.persistence import save
from sklearn_mtae.runtime import FileError, load, read_file

SMALL = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
FRAME = pd.DataFrame({"a": X[:, 0], "city": RNG.choice(["x", "y"], 30), "n": RNG.poisson(3, 30)})


def exported(estimator, folder):
    to_numpy(estimator, folder / "model")
    return load(folder / "model")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return exported(AutoencoderTransformer(**SMALL).fit(X), tmp_path_factory.mktemp("numbers"))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    likelihood = {"n": "poisson"}
    model = AutoencoderTransformer(**SMALL, likelihood=likelihood).fit(FRAME)
    return exported(model, tmp_path_factory.mktemp("mixed"))


CONTAINERS = [X.tolist(), pd.DataFrame(X), pl.DataFrame(X), X.astype(object), np.asfortranarray(X)]


@pytest.mark.parametrize("given", [*CONTAINERS, sparse.csr_array(X), np.ma.array(X)])
def test_containers(given, numbers):
    np.testing.assert_array_equal(numbers.transform(given), numbers.transform(X))


def test_precision_of_results(numbers):
    assert numbers.transform(X).dtype == np.float64
    assert numbers.transform(X.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_cells(missing, numbers):
    rows = X.astype(object)
    rows[0, 1] = missing
    x = X.copy()
    x[0, 1] = np.nan
    np.testing.assert_array_equal(numbers.transform(rows), numbers.transform(x))
    np.testing.assert_array_equal(numbers.transform(np.ma.array(X, mask=np.isnan(x))), numbers.transform(x))


def test_columns_are_found_by_name(mixed):
    wanted = mixed.transform(FRAME)
    np.testing.assert_array_equal(mixed.transform(FRAME[["n", "city", "a"]].assign(more=1)), wanted)
    np.testing.assert_array_equal(mixed.transform(FRAME.values.tolist()), wanted)
    np.testing.assert_array_equal(mixed.transform(FRAME.astype({"city": "category"})), wanted)
    np.testing.assert_array_equal(mixed.transform(pl.from_pandas(FRAME)), wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="city"), r"It lacks \['city'\]"),
        (lambda rows: rows.assign(a=np.inf), "infinity, in column 'a'"),
        (lambda rows: rows.assign(n=-1), "Column 'n' must lie between 0 and"),
        (lambda rows: rows.to_numpy()[:, :2], "X must have 3 columns. Got 2"),
        (lambda rows: rows[:0], "X must have at least one row"),
        (lambda rows: rows.assign(a="0.5"), "Column 'a' holds strings, which are no numbers, such as 0.5"),
        (lambda rows: rows.assign(a=1j), "Column 'a' holds complex numbers"),
        (lambda rows: rows.assign(a=pd.Timedelta(days=1)), "Column 'a' holds dates or durations"),
        (lambda rows: rows.assign(a=[pd.NaT] + [pd.Timestamp(2020, 1, 1)] * 29), "Column 'a' holds dates or durations"),
        (lambda rows: rows.assign(city=[["x"]] * 30), r"Column 'city' holds lists, where .* such as \['x'\]"),
        (lambda rows: pd.concat([rows, rows[["n"]]], axis=1), r"columns of different names.*\['n'\]"),
        (lambda rows: rows["a"].to_numpy(), r"X must have shape \(n_samples, 3\)"),
    ],
)
def test_rows_that_are_not_admissible(change, message, mixed):
    with pytest.raises(ValueError, match=message):
        mixed.transform(change(FRAME))


def rows_with(cell):
    rows = X.astype(object)
    rows[3, 1] = cell
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (X + 1j, "Column 0 holds complex numbers"),
        (rows_with(1j), "Column 1 holds complex numbers"),
        (rows_with(np.timedelta64(1, "s")), "Column 1 holds dates or durations"),
        (X.astype("m8[s]"), "Column 0 holds dates or durations"),
        (np.ma.array(X.astype("M8[s]")), "Column 0 holds dates or durations"),
        (rows_with([1, 2]), "Column 1 holds lists"),
        ([[1, 2, 3], [1, 2]], "X must have rows of the same length"),
        (rows_with({}), "Column 1 must hold numbers"),
        (rows_with("high"), "Column 1 must hold numbers"),
        (rows_with(10**400), "Column 1 must hold numbers"),
    ],
)
def test_cells_that_the_estimator_refuses(rows, message, numbers):
    with pytest.raises((ValueError, TypeError)) as wanted:
        AutoencoderTransformer(**SMALL).fit(X).transform(rows)
    with pytest.raises(wanted.type, match=message):
        numbers.transform(rows)


def test_strings_of_digits_are_numbers_in_arrays_only(numbers):
    wanted = AutoencoderTransformer(**SMALL).fit(X).transform(X.astype(str))
    np.testing.assert_allclose(numbers.transform(X.astype(str)), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_models_can_be_copied(copied, mixed):
    np.testing.assert_array_equal(copied(mixed).transform(FRAME), mixed.transform(FRAME))


def test_levels_that_fit_has_not_seen(mixed, tmp_path):
    strange = FRAME.assign(city="nowhere")
    with pytest.warns(UserWarning, match="'city': 'nowhere'"):
        found = mixed.transform(strange)
    np.testing.assert_array_equal(found, mixed.transform(FRAME.assign(city=None)))
    strict = exported(AutoencoderTransformer(**SMALL, handle_unknown="error").fit(FRAME), tmp_path)
    with pytest.raises(ValueError, match=r"must hold a category known from fit. Got 'nowhere'"):
        strict.transform(strange)


def test_rows_are_computed_in_blocks(numbers, monkeypatch):
    whole = numbers.transform(X)
    monkeypatch.setattr(runtime, "CELLS", 50)
    np.testing.assert_allclose(numbers.transform(X), whole, rtol=1e-6)


def test_codes_that_are_not_admissible(numbers):
    for codes in (X, [1.0, 2.0], np.empty((0, 2))):
        with pytest.raises(ValueError, match=r"Z must have shape \(n_samples, 2\), with at least one row. Got \("):
            numbers.inverse_transform(codes)
    with pytest.raises(ValueError, match=r"Z must hold finite numbers\. Row 1 does not"):
        numbers.inverse_transform([[1.0, 2.0], [1.0, np.nan]])
    with pytest.raises(ValueError, match="Z holds complex numbers"):
        numbers.inverse_transform([[1.0, 2.0j]])
    with pytest.raises(ValueError, match="Z must have rows of the same length"):
        numbers.inverse_transform([[1.0, 2.0], [1.0]])


def test_models_have_the_methods_of_their_kind(tmp_path):
    model = MultiTaskVAERegressor(**SMALL, n_estimators=3).fit(X, X[:, :2])
    regressor = exported(model, tmp_path)
    assert not hasattr(regressor, "predict_proba")
    assert regressor.task_names_ == model.task_names_
    mean, std = model.predict(X, return_std=True)
    found = regressor.predict(X, return_std=True)
    np.testing.assert_allclose(found[0], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], std, rtol=1e-4)
    with pytest.raises(ValueError, match="coverage must be between 0 and 1"):
        regressor.predict_interval(X, 1.0)
    for coverage in ("a", None):
        with pytest.raises(TypeError, match=f"coverage must be a number between 0 and 1. Got {coverage!r}"):
            regressor.predict_interval(X, coverage)
    with pytest.raises(ValueError, match=r"coverage must be at most n / \(n \+ 1\). Task 'y0' has n="):
        regressor.predict_interval(X, 0.99)


def test_classes_are_those_of_fit(tmp_path):
    y = np.c_[X[:, 0] > 0, X[:, 1] > 0].astype(object)
    y[:, 1] = np.where(y[:, 1], "yes", "no")
    model = MultiTaskVAEClassifier(**SMALL, n_estimators=2).fit(X, y)
    classifier = exported(model, tmp_path)
    assert [own.tolist() for own in classifier.classes_] == [own.tolist() for own in model.classes_]
    assert [own.dtype for own in classifier.classes_] == [own.dtype for own in model.classes_]
    assert classifier.predict(X).tolist() == model.predict(X).tolist()


@pytest.mark.parametrize("columns", [["a", "n"], ["city"], ["city", "n"]])
def test_tasks_of_one_kind_have_the_methods_of_the_estimator(columns, tmp_path):
    model = MultiTaskVAE(**SMALL, n_estimators=3).fit(X, FRAME[columns])
    named = exported(model, tmp_path)
    for found, wanted in (
        (named.predict_interval(X, 0.5), model.predict_interval(X, 0.5)),
        (named.predict(X, return_std=True)[1:], model.predict(X, return_std=True)[1:]),
    ):
        for own, true in zip(found, wanted, strict=True):
            np.testing.assert_allclose(own, true.to_numpy(dtype=float), rtol=1e-4, atol=1e-5)
    assert named.classes_.keys() == model.classes_.keys()
    assert hasattr(named, "predict_set") == hasattr(model, "predict_set")


def test_classifiers_have_no_deviations(tmp_path):
    classifier = exported(MultiTaskVAEClassifier(**SMALL, n_estimators=1).fit(X, X[:, 0] > 0), tmp_path)
    with pytest.raises(TypeError, match="return_std"):
        classifier.predict(X, return_std=True)
    with pytest.raises(ValueError, match="need a model fitted with n_estimators > 1"):
        classifier.predict_set(X)


def test_files_of_other_content(tmp_path):
    save(AutoencoderTransformer(**SMALL).fit(X), tmp_path / "saved")
    with pytest.raises(FileError, match=r"it holds no exported model\. Load .* with sklearn_mtae.persistence.load"):
        load(tmp_path / "saved")


@pytest.mark.parametrize("change", ["operator", "kind", "columns", "output", "width"])
def test_made_up_content_is_an_error(change, tmp_path):
    to_numpy(VAETransformer(**SMALL).fit(X), tmp_path / "model")
    header, arrays = read_file(tmp_path / "model")
    del header["schema"]
    node = header["graphs"]["transform"]["nodes"][0]
    if change == "operator":
        node[0] = "System"
    elif change == "width":
        header["graphs"]["transform"]["width"] = 0
    elif change == "output":
        node[2] = []
    else:
        del header[change]
    write_file(tmp_path / "model", header, arrays)
    with pytest.raises(FileError, match="its content is not admissible"):
        load(tmp_path / "model")


def test_damaged_files_are_an_error(tmp_path):
    to_numpy(VAETransformer(**SMALL).fit(X), tmp_path / "model")
    whole = bytearray((tmp_path / "model").read_bytes())
    for place in RNG.integers(0, len(whole), 200):
        changed = whole.copy()
        changed[place] ^= 1 << RNG.integers(8)
        for content in (changed, whole[:place]):
            (tmp_path / "model").write_bytes(content)
            with pytest.raises(FileError, match="cannot be read"):
                load(tmp_path / "model")


ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "sklearn", "scipy", "pandas", "skorch", "sklearn_mtae", "joblib"}:
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import numpy as np
import runtime
print(runtime.load(sys.argv[1]).transform(np.zeros((1, 3))).tolist())
"""


@pytest.mark.slow
def test_the_file_runs_alone_with_numpy(tmp_path):
    """It is copied to a folder of its own; nothing else but numpy can be imported."""
    model = AutoencoderTransformer(**SMALL).fit(X)
    to_numpy(model, tmp_path / "model")
    (tmp_path / "runtime.py").write_text(Path(runtime.__file__).read_text())
    (tmp_path / "alone.py").write_text(ALONE)
    command = [sys.executable, str(tmp_path / "alone.py"), str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(eval(done.stdout), model.transform(np.zeros((1, 3))), rtol=1e-5, atol=1e-6)
