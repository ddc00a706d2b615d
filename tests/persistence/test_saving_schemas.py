"""Files of every released schema are loaded, and their estimators say what they said when they were saved."""

import json
from pathlib import Path

import numpy as np
import pytest

from sklearn_mtae.persistence import load
from sklearn_mtae.persistence._saving import KINDS
from sklearn_mtae.runtime import SCHEMA, read_file

from .schemas import MODELS, VALUES, told

FOLDERS = sorted(Path(__file__).parent.glob("schema_*"))
FILES = [path for folder in FOLDERS for path in sorted(folder.glob("*.mtae")) if path.stem != "values"]


def assert_close(one, other):
    if isinstance(one, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_close(mine, theirs)
    elif isinstance(one, float) and isinstance(other, float):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-6, nan_ok=True)
    else:
        assert one == other


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_predictions_stay(path):
    expected = json.loads((path.parent / "expected.json").read_text())[path.stem]
    found = told(load(path), MODELS[path.stem][1])
    assert found.keys() >= expected.keys()
    for verb, answer in expected.items():
        assert_close(found[verb], answer)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_values_stay(folder):
    model = load(folder / "values.mtae")
    assert model.random_state.normal() == np.random.RandomState(3).normal()
    loaded = model.net_params
    assert len(loaded) <= len(VALUES)  # later schemas may have more
    for position, value in loaded.items():
        assert type(value) is type(VALUES[position])
        assert repr(value) == repr(VALUES[position])
        if isinstance(value, np.ndarray):
            assert value.dtype == VALUES[position].dtype


def kinds_in(packed):
    """Return the kinds and the classes of what is in a file."""
    if isinstance(packed, list):
        return set().union(*map(kinds_in, packed))
    if not isinstance(packed, dict):
        return set()
    own = {packed["type"]} if isinstance(packed.get("type"), str) else set()
    return own.union(*map(kinds_in, packed.values()))


def test_every_schema_has_a_folder_and_every_kind_a_file():
    assert [folder.name for folder in FOLDERS] == [f"schema_{number}" for number in range(1, SCHEMA + 1)]
    headers = [read_file(path)[0] for path in FOLDERS[-1].glob("*.mtae")]
    assert all(header["schema"] == SCHEMA for header in headers)
    assert set().union(*(kinds_in(header["estimator"]) for header in headers)) >= set(KINDS)


def test_the_files_are_small():
    assert all(path.stat().st_size < 40_000 for folder in FOLDERS for path in folder.iterdir())
