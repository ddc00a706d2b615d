import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor, VAETransformer, runtime
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
        (lambda rows: rows.assign(a="high"), "Column 'a' must hold numbers"),
        (lambda rows: rows.assign(a=np.inf), "infinity, in column 'a'"),
        (lambda rows: rows.assign(n=-1), "Column 'n' must lie between 0 and"),
        (lambda rows: rows.to_numpy()[:, :2], "X must have 3 columns. Got 2"),
        (lambda rows: rows[:0], "X must have at least one row"),
        (lambda rows: rows["a"].to_numpy(), r"X must have shape \(n_samples, 3\)"),
    ],
)
def test_rows_that_are_not_admissible(change, message, mixed):
    with pytest.raises(ValueError, match=message):
        mixed.transform(change(FRAME))


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
    for codes in (X, [[1.0, np.nan]], [1.0, 2.0]):
        with pytest.raises(ValueError, match=r"Z must hold finite numbers, of shape \(n_samples, 2\)"):
            numbers.inverse_transform(codes)


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


def test_files_of_other_content(tmp_path):
    save(AutoencoderTransformer(**SMALL).fit(X), tmp_path / "saved")
    with pytest.raises(FileError, match="it holds no exported model"):
        load(tmp_path / "saved")


@pytest.mark.parametrize("change", ["operator", "kind", "columns", "output"])
def test_made_up_content_is_an_error(change, tmp_path):
    to_numpy(VAETransformer(**SMALL).fit(X), tmp_path / "model")
    header, arrays = read_file(tmp_path / "model")
    del header["schema"]
    node = header["graphs"]["transform"]["nodes"][0]
    if change == "operator":
        node[0] = "System"
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
