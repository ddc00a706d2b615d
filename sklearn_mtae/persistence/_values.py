"""Values without code in them: containers, numpy's arrays, scalars and sources of draws, dates, pandas' cells."""

import datetime
import sys
from decimal import Decimal
from math import prod
from pathlib import Path, PosixPath, WindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._engine.files import CODES

from ._packing import Kind, Packed, Packing, Unpacking, refusal

STORED = {"U": np.dtype("u4"), "S": np.dtype("u1"), "M": np.dtype("i8"), "m": np.dtype("i8")}
"""What cells of strings, dates and durations are stored as, by the kind of their dtype."""
GENERATORS = {name: getattr(np.random, name) for name in ("MT19937", "PCG64", "PCG64DXSM", "SFC64")}
N_WORDS = 624
"""Length of the state of MT19937, in which numpy does not check the position."""


def _pack_items(packing: Packing, value: Any, where: str) -> Packed:
    return {"items": packing.pack(list(value), where)}


def _pack_dict(packing: Packing, value: dict, where: str) -> Packed:
    pairs = value.items()
    return {
        "items": [[packing.pack(key, f"{where}.keys()"), packing.pack(own, f"{where}.{key}")] for key, own in pairs]
    }


def _unpack_dict(unpacking: Unpacking, packed: Packed) -> dict:
    return {unpacking.unpack(key): unpacking.unpack(own) for key, own in packed["items"]}


def _pack_array(packing: Packing, value: NDArray, where: str) -> Packed:
    array = np.asarray(value)
    if array.dtype.kind == "O":
        return {"shape": list(array.shape), "items": packing.pack(array.ravel().tolist(), where)}
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    packed: Packed = {"order": "F"} if is_fortran else {}
    array, dtype = np.asarray(array.T if is_fortran else array, order="C"), array.dtype
    native = dtype.newbyteorder("=")
    if dtype.kind in STORED and dtype.itemsize:
        array = array.astype(native).reshape(*array.shape, 1).view(STORED[dtype.kind])
    if dtype.kind in STORED or dtype != native:
        packed["dtype"] = dtype.str
    if array.dtype.newbyteorder("<") not in CODES:
        raise refusal(value, where, f"files have no arrays of dtype {dtype}")
    return {**packed, "array": packing.add(array, where)}


def _unpack_array(unpacking: Unpacking, packed: Packed) -> NDArray:
    if "items" in packed:
        items = unpacking.unpack(packed["items"])
        if len(items) != prod(packed["shape"]):
            raise ValueError(f"{len(items)} items are not of shape {packed['shape']}")
        return np.fromiter(items, dtype=object, count=len(items)).reshape(packed["shape"])
    array = unpacking.arrays[packed["array"]]
    if "dtype" in packed:
        dtype = np.dtype(packed["dtype"])
        if dtype.kind not in f"biuf{''.join(STORED)}":
            raise ValueError(f"cells have no dtype {dtype}")
        if dtype.kind in STORED:
            array = array.view(dtype.newbyteorder("="))[..., 0]
        array = array.astype(dtype)
    return array.T if packed.get("order") == "F" else array


def _pack_scalar(packing: Packing, value: np.generic, where: str) -> Packed:
    return {"value": _pack_array(packing, np.asarray(value), where)}


def _unpack_scalar(unpacking: Unpacking, packed: Packed) -> Any:
    return _unpack_array(unpacking, packed["value"])[()]


def _pack_draws(packing: Packing, value: Any, where: str) -> Packed:
    is_old = isinstance(value, np.random.RandomState)
    state = value.get_state(legacy=False) if is_old else value.bit_generator.state
    if state["bit_generator"] not in GENERATORS:
        raise refusal(value, where, "give a seed")
    return {"is_old": is_old, "state": packing.pack(state, where)}


def _unpack_draws(unpacking: Unpacking, packed: Packed) -> Any:
    state = unpacking.unpack(packed["state"])
    if not 0 <= state["state"].get("pos", 0) <= N_WORDS:
        raise ValueError(f"a source of draws has no position {state['state']['pos']}")
    source = GENERATORS[state["bit_generator"]]()
    if packed["is_old"]:
        made = np.random.RandomState(source)
        made.set_state(state)
        return made
    source.state = state
    return np.random.Generator(source)


def _spelled(spell: Any, read: Any) -> Kind:
    """Return the kind of objects that a text says all about."""
    return Kind(lambda packing, value, where: {"value": spell(value)}, lambda unpacking, packed: read(packed["value"]))


def _described(describe: Any, make: Any) -> Kind:
    """Return the kind of pandas' objects that a few values say all about; pandas is imported to make one."""

    def unpack(unpacking: Unpacking, packed: Packed) -> Any:
        import pandas

        return make(pandas, *unpacking.unpack(packed["value"]))

    return Kind(lambda packing, value, where: {"value": packing.pack(list(describe(value)), where)}, unpack)


def _timestamp(pandas: Any, value: np.datetime64, zone: str | None) -> Any:
    made = pandas.Timestamp(value)
    return made if zone is None else made.tz_localize("UTC").tz_convert(zone)


KINDS = {
    "tuple": Kind(_pack_items, lambda unpacking, packed: tuple(unpacking.unpack(packed["items"]))),
    "dict": Kind(_pack_dict, _unpack_dict, is_shared=True),
    "float": _spelled(str, float),
    "array": Kind(_pack_array, _unpack_array, is_shared=True),
    "scalar": Kind(_pack_scalar, _unpack_scalar),
    "draws": Kind(_pack_draws, _unpack_draws, is_shared=True),
    "path": _spelled(str, Path),
    "date": _spelled(datetime.date.isoformat, datetime.date.fromisoformat),
    "datetime": _spelled(datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "time": _spelled(datetime.time.isoformat, datetime.time.fromisoformat),
    "timedelta": _spelled(
        lambda value: [value.days, value.seconds, value.microseconds], lambda value: datetime.timedelta(*value)
    ),
    "decimal": _spelled(str, Decimal),
    "bytes": _spelled(bytes.hex, bytes.fromhex),
    "pandas.NA": _described(lambda value: (), lambda pandas: pandas.NA),
    "pandas.NaT": _described(lambda value: (), lambda pandas: pandas.NaT),
    "pandas.Timestamp": _described(lambda value: (value.asm8, value.tz and str(value.tz)), _timestamp),
    "pandas.Timedelta": _described(lambda value: (value.asm8,), lambda pandas, value: pandas.Timedelta(value)),
    "pandas.Interval": _described(
        lambda value: (value.left, value.right, value.closed), lambda pandas, *ends: pandas.Interval(*ends)
    ),
    "pandas.Period": _described(
        lambda value: (value.ordinal, value.freqstr), lambda pandas, own, freq: pandas.Period(ordinal=own, freq=freq)
    ),
    "pandas.StringDtype": _described(
        lambda value: (value.storage, value.na_value), lambda pandas, *own: pandas.StringDtype(own[0], na_value=own[1])
    ),
    "pandas.Series": _described(
        lambda value: (value.to_numpy(), value.index.tolist()), lambda pandas, *own: pandas.Series(*own)
    ),
    "pandas.DataFrame": _described(
        lambda value: (value.to_numpy(), value.index.tolist(), value.columns.tolist()),
        lambda pandas, *own: pandas.DataFrame(*own),
    ),
}
TYPES: dict[type, str] = {
    tuple: "tuple",
    dict: "dict",
    float: "float",
    np.ndarray: "array",
    np.memmap: "array",
    np.random.RandomState: "draws",
    np.random.Generator: "draws",
    PosixPath: "path",
    WindowsPath: "path",
    datetime.date: "date",
    datetime.datetime: "datetime",
    datetime.time: "time",
    datetime.timedelta: "timedelta",
    Decimal: "decimal",
    bytes: "bytes",
}


def find(value: Any) -> str | None:
    """Return the kind of a value."""
    if isinstance(value, np.generic):
        return "scalar"
    return TYPES.get(type(value)) or _pandas_types().get(type(value))


def _pandas_types() -> dict[type, str]:
    """Return the kinds of pandas' types; there are no objects of them where pandas is not imported."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return {}
    named = {name: getattr(pandas, name.removeprefix("pandas.")) for name in KINDS if name.startswith("pandas.")}
    return {own if isinstance(own, type) else type(own): name for name, own in named.items()}
