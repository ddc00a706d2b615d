"""Writing the files that `sklearn_mtae.runtime` reads."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._engine.replace import replace_file
from sklearn_mtae.runtime import CHECKSUM, DTYPES, N_LENGTH, SCHEMA, checksum

CODES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
"""Names of the dtypes in a file."""
ALIGNED = 64
"""The header ends at a multiple of this many bytes."""


def write_file(path: str | os.PathLike, header: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> None:
    """Write a header of JSON's types and arrays of numbers; an interrupted write keeps the file that was there.

    Equal content gives equal bytes.

    Parameters
    ----------
    path : str or PathLike
        Path of the file.
    header : mapping
        What the file says of itself.
    arrays : mapping of str to ndarray
        Arrays whose dtypes are values of `sklearn_mtae.runtime.DTYPES`, in any byte order.
    """
    # Arrays of long cells lie first: each begins at a multiple of the size of its cells.
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    parts = [np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<")) for name in names]
    entries, stop = {}, 0
    for name, array in zip(names, parts, strict=True):
        start, stop = stop, stop + array.nbytes
        shape = list(arrays[name].shape)
        entries[name] = {"dtype": CODES[array.dtype], "shape": shape, "data_offsets": [start, stop]}
    digest = "0" * (CHECKSUM.stop - CHECKSUM.start)
    metadata = {"sha256": digest, "schema": str(SCHEMA), "header": _json(header)}
    text = _json({"__metadata__": metadata, **entries}).encode()
    text += b" " * (-(N_LENGTH + len(text)) % ALIGNED)
    start, data = len(text).to_bytes(N_LENGTH, "little") + text, [array.data.cast("B") for array in parts if array.size]
    start = start[: CHECKSUM.start] + checksum(start, *data) + start[CHECKSUM.stop :]
    replace_file(Path(path), start, *data)


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, allow_nan=False, separators=(",", ":"))
