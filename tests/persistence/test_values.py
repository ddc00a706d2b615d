"""Values come back as they were: their types, their dtypes, their bits."""

import datetime
import itertools
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier
from sklearn_mtae.persistence import load, save
from sklearn_mtae.persistence._packing import Packing, Unpacking
from sklearn_mtae.persistence._saving import KINDS, _find

VALUES = [
    *(None, True, False, 0, -(10**30), "", "é\ud800\0", 0.1, -0.0, 5e-324, float("inf"), float("-inf"), float("nan")),
    *([], [1, [2.0, "a"]], (), (1, (2, [3])), {}, {"a": {1: "b", (2, None): [3]}, None: 4, 2.5: 5, True: 6, "type": 7}),
    *(np.float32(0.1), np.float64(0.1), np.float16(0.1), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True)),
    *(np.str_("a"), np.bytes_(b"a"), np.datetime64("2020-01-02"), np.datetime64("NaT"), np.timedelta64(3, "h")),
    *(
        Decimal("1.10"),
        b"\0a",
        Path("/a/b"),
        datetime.date(2020, 1, 2),
        datetime.time(3, 4),
        datetime.timedelta(1, 2, 3),
    ),
    *(datetime.datetime(2020, 1, 2, 3, 4, 5, 6), pd.NA, pd.NaT, pd.Timestamp("2020-01-02 03:04:05.000000006")),
    *(pd.Timestamp("2020-01-02", tz="Europe/Berlin"), pd.Timedelta("1 day 3 ns"), pd.Interval(0, 1.5, "both")),
    *(pd.Period("2020-01", "M"), pd.StringDtype("pyarrow"), pd.StringDtype("python", na_value=np.nan)),
]
ARRAYS = [
    *(np.arange(3), np.array(2.5), np.empty((0, 2), "f2"), np.arange(3, dtype=">f4"), np.arange(6).reshape(2, 3).T),
    *(
        np.arange(10)[::3],
        np.array([np.nan, -0.0]),
        np.array([True]),
        np.array(["a", "bcd", ""]),
        np.array([b"a", b"bc"]),
    ),
    *(np.array(["abc"], dtype="U9"), np.array([["a"], ["b"]], dtype=">U2"), np.array([], dtype="U3")),
    *(np.array(["2020-01-02", "NaT"], dtype="M8[D]"), np.array([3], dtype="m8[s]"), np.array([], dtype=object)),
    np.fromiter([(1, "a"), (2, "b")], dtype=object),
    np.array([[None, "a", 1], [2.5, np.nan, (1, 2)]], dtype=object),
]


def again(value):
    packing = Packing(KINDS, _find)
    packed = packing.pack(value, "")
    return Unpacking(KINDS, packing.arrays).unpack(packed)


def spelled(value):
    """Return a text that differs where types or signs do."""
    if isinstance(value, dict):
        return f"{type(value)} {[(spelled(key), spelled(own)) for key, own in value.items()]}"
    if isinstance(value, list | tuple):
        return f"{type(value)} {[spelled(own) for own in value]}"
    return f"{type(value)} {value!r} {getattr(value, 'unit', '')}"


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values(value):
    assert spelled(again(value)) == spelled(value)


@pytest.mark.parametrize("array", ARRAYS, ids=repr)
def test_arrays(array):
    loaded = again(array)
    assert loaded.dtype == array.dtype
    assert loaded.shape == array.shape
    if array.size > 1 and array.ndim > 1:
        assert loaded.flags.f_contiguous == array.flags.f_contiguous
    if array.dtype == object:
        assert spelled(loaded.tolist()) == spelled(array.tolist())
    else:
        assert loaded.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "value", [1j, {1, 2}, range(3), iter([1]), object(), np.array([1j]), np.zeros(1, "i,i"), len, itertools]
)
def test_what_has_no_place_in_a_file(value):
    with pytest.raises(TypeError, match=r"^here\.a must hold numbers, names"):
        Packing(KINDS, _find).pack({"a": value}, "here")


def test_a_container_in_itself(tmp_path):
    value = []
    value.append(value)
    with pytest.raises(TypeError, match="holds itself"):
        save(AutoencoderTransformer(hidden_layer_sizes=value), tmp_path / "a")


def columns():
    n = 24
    rng = np.random.default_rng(0)
    cells, days = rng.choice(["a", "b", "c"], n), pd.to_datetime(rng.choice(["2020-01-01", "2021-01-01"], n))
    frame = {
        "float": rng.normal(size=n),
        "float32": rng.normal(size=n).astype("float32"),
        "int8": rng.integers(5, size=n).astype("int8"),
        "Int64": pd.array(rng.integers(5, size=n), dtype="Int64"),
        "bool": rng.random(n) < 0.5,
        "boolean": pd.array(rng.random(n) < 0.5, dtype="boolean"),
        "object": cells.astype(object),
        "string": pd.array(cells, dtype="string"),
        "arrow": pd.array(cells, dtype="string[pyarrow]"),
        "category": pd.Categorical(cells, ["c", "a", "b", "z"], ordered=True),
        "whole": pd.Categorical(rng.integers(3, size=n)),
        "interval": pd.cut(rng.normal(size=n), [-10, -0.3, 0.3, 10]),
        "date": pd.Categorical(days),
        "zone": pd.Categorical(days.tz_localize("Europe/Berlin")),
        "period": pd.Categorical(pd.PeriodIndex(rng.choice(["2020-01", "2021-01"], n), freq="M")),
        "truth": pd.Categorical(rng.random(n) < 0.5),
    }
    frame = pd.DataFrame(frame)
    frame.loc[:2, ["float", "Int64", "boolean", "object", "string", "category", "interval", "date"]] = None
    return frame


def test_columns_of_a_frame(tmp_path):
    X = columns()
    model = AutoencoderTransformer(1, hidden_layer_sizes=(2,), max_iter=1, random_state=0).fit(X)
    save(model, tmp_path / "a")
    loaded = load(tmp_path / "a")
    for verb in ("predict", "impute"):
        pd.testing.assert_frame_equal(getattr(loaded, verb)(X), getattr(model, verb)(X), check_exact=True)
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    np.testing.assert_array_equal(loaded.column_names_, model.column_names_)


@pytest.mark.parametrize("classes", [[1, 0], [True, False], ["a", "bcd"], [0.0, 2.0]])
def test_classes(classes, tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 2))
    y = np.array(classes)[np.arange(20) % 2]
    model = MultiTaskVAEClassifier(1, hidden_layer_sizes=(2,), max_iter=1, n_estimators=1, random_state=0).fit(X, y)
    save(model, tmp_path / "a")
    loaded = load(tmp_path / "a")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.predict(X).dtype == model.predict(X).dtype
    assert loaded.classes_.dtype == model.classes_.dtype
