"""Files of fitted models, read without torch and without scikit-learn: only numpy is needed, and no code is run.

A file is laid out as safetensors lays it out: eight bytes that give the length of a header, the header in JSON, and the
arrays one after another. A checksum in the header covers all other bytes.
"""

import json
import os
from hashlib import sha256
from math import prod
from typing import Any

import numpy as np

__all__ = ["FileError", "read_file"]

SCHEMA = 1
"""The newest schema of files that this version reads."""
DTYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "F16": "<f2", "U16": "<u2", "I16": "<i2"}
DTYPES |= {"F32": "<f4", "U32": "<u4", "I32": "<i4", "F64": "<f8", "U64": "<u8", "I64": "<i8"}
"""Dtypes of arrays, by their names in a file."""
N_LENGTH = 8
"""Bytes that give the length of the header."""
OPENING = b'{"__metadata__":{"sha256":"'
"""How the header begins; the checksum follows."""
CHECKSUM = slice(N_LENGTH + len(OPENING), N_LENGTH + len(OPENING) + 2 * sha256().digest_size)
"""Where the checksum is; it is computed with zeros in its place."""
MOST_DIMENSIONS = 32


class FileError(ValueError):
    """The error of a file that is damaged, cut, of another kind, or too new."""


def read_file(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file of this package; it is verified before anything of it is used.

    Parameters
    ----------
    path : str or PathLike
        Path of the file.

    Returns
    -------
    header : dict
        What the file says of itself, in JSON's types.
    arrays : dict of str to ndarray
        The arrays by name, in memory of their own.

    Raises
    ------
    FileError
        If the file is damaged, cut, of another kind, or of a newer version of this package.
    OSError
        If it cannot be opened.
    """
    try:
        return _parse(_verified(path))
    except FileError as error:
        raise FileError(f"{os.fspath(path)!r} cannot be read: {error}") from None


def checksum(*parts: bytes | memoryview) -> bytes:
    """Return the checksum of the parts of a file, which has zeros in place of its own."""
    total = sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest().encode()


def _verified(path: str | os.PathLike) -> bytes:
    """Return the bytes of a file whose checksum is right; a foreign file is not read to its end."""
    with open(path, "rb") as file:
        start = file.read(CHECKSUM.stop)
        if not start:
            raise FileError("it is empty.")
        if len(start) < CHECKSUM.stop or start[N_LENGTH : CHECKSUM.start] != OPENING:
            raise FileError(f"it is cut, or no file of sklearn_mtae; it begins with {start[:12]!r}.")
        raw = start + file.read()
    blank = b"0" * (CHECKSUM.stop - CHECKSUM.start)
    if checksum(raw[: CHECKSUM.start], blank, memoryview(raw)[CHECKSUM.stop :]) != raw[CHECKSUM]:
        raise FileError("its checksum is wrong: bytes of it are missing or have changed.")
    return raw


def _parse(raw: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the header and the arrays of a verified file, which somebody may still have made up."""
    stop = N_LENGTH + int.from_bytes(raw[:N_LENGTH], "little")
    if stop > len(raw):
        raise FileError(f"its header would end at byte {stop}, and it has {len(raw)} bytes.")
    entries = _json(raw[N_LENGTH:stop])
    metadata = entries.pop("__metadata__")
    if not (isinstance(metadata, dict) and isinstance(metadata.get("header"), str)):
        raise FileError("its metadata have no header.")
    schema = metadata.get("schema")
    if not (isinstance(schema, str) and schema.isascii() and schema.isdigit() and len(schema) < 9):
        raise FileError("its metadata have no schema number.")
    if int(schema) > SCHEMA:
        raise FileError(f"it has schema {schema}, and this version of sklearn_mtae reads up to {SCHEMA}; update it.")
    return {**_json(metadata["header"]), "schema": int(schema)}, _arrays(entries, memoryview(raw)[stop:])


def _json(text: bytes | str) -> dict[str, Any]:
    """Return an object of strict JSON."""
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FileError(f"its header is not admissible JSON: {type(error).__name__}, {str(error)[:200]}.") from None
    if not isinstance(found, dict):
        raise FileError("its header is not an object of JSON.")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, whose names must differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _arrays(entries: dict[str, Any], data: memoryview) -> dict[str, np.ndarray]:
    """Return the arrays that the header describes: they must fill the rest of the file, without gaps or overlaps."""
    described = {name: _describe(name, entry) for name, entry in entries.items()}
    arrays, end = {}, 0
    for name, (start, stop, dtype, shape) in sorted(described.items(), key=lambda own: own[1][:2]):
        if start != end or stop > len(data):
            raise FileError(f"array {name!r} lies at bytes {start} to {stop}; {end} to {len(data)} are left.")
        arrays[name], end = _array(data[start:stop], dtype, shape), stop
    if end != len(data):
        raise FileError(f"its arrays end at byte {end} of {len(data)}.")
    return arrays


def _describe(name: str, entry: Any) -> tuple[int, int, np.dtype, tuple[int, ...]]:
    """Return where an array lies, its dtype and its shape."""
    try:
        dtype, shape, (start, stop) = np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"]), entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise FileError(f"array {name!r} has no admissible dtype, shape and data_offsets.") from None
    known = all(type(own) is int and 0 <= own < 2**63 for own in (*shape, start, stop))
    if not known or len(shape) > MOST_DIMENSIONS or prod(shape) * dtype.itemsize != stop - start:
        raise FileError(f"array {name!r} has a shape that is not that of its bytes.")
    return start, stop, dtype, shape


def _array(data: memoryview, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array in memory of its own, as aligned as any other."""
    stored = np.dtype("u1") if dtype.kind == "b" else dtype  # a bool of the value 2 is none
    try:
        return np.frombuffer(data, stored).reshape(shape).astype(dtype.newbyteorder("="))
    except ValueError as error:  # an empty array of lengths that numpy does not take
        raise FileError(f"an array has a shape that is not admissible: {error}.") from None
