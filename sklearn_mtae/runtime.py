"""Files of fitted models, read without torch and without scikit-learn: only numpy is needed, and no code is run.

A file is laid out as safetensors lays it out: eight bytes that give the length of a header, the header in JSON, and the
arrays one after another. A checksum in the header covers all other bytes.
"""

import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time, timedelta
from functools import partial
from hashlib import sha256
from math import ceil, prod
from numbers import Real
from typing import Any

import numpy as np

__all__ = ["FileError", "load", "read_file"]

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
SLACK = 1e-6
"""Nats by which classes in a set may be less probable than they should: their probabilities are rounded."""
CELLS = 2**18
"""Cells of the widest value that few nodes compute at once: a megabyte in float32, which fits near the processor."""
LOGARITHMS = {"log_proba", "log_density"}
"""Results that may be minus infinity."""
FEW = 64
"""Rows from which on members are computed one after the other."""


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
    with open(os.fspath(path), "rb", buffering=0) as file:
        start = file.read(CHECKSUM.stop)
        if not start:
            raise FileError("it is empty.")
        if len(start) < CHECKSUM.stop or start[N_LENGTH : CHECKSUM.start] != OPENING:
            raise FileError(f"it is cut, or no file of sklearn_mtae; it begins with {start[:12]!r}.")
        file.seek(0)
        raw = file.readall()
    zeros = b"0" * (CHECKSUM.stop - CHECKSUM.start)
    if checksum(raw[: CHECKSUM.start], zeros, memoryview(raw)[CHECKSUM.stop :]) != raw[CHECKSUM]:
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


def _reduce(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda x, axes, keepdims=1: function(x, axis=tuple(axes.tolist()), keepdims=bool(keepdims))


def _softmax(x: np.ndarray, axis: int) -> np.ndarray:
    shares = np.exp(x - x.max(axis, keepdims=True))
    return shares / shares.sum(axis, keepdims=True)


def _log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    away = x - x.max(axis, keepdims=True)
    return away - np.log(np.exp(away).sum(axis, keepdims=True))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1, np.exp(np.minimum(x, 0))) / (1 + np.exp(-np.abs(x)))


def _slice(x: np.ndarray, start: Any, stop: Any, axes: Any, steps: Any = (1,)) -> np.ndarray:
    where = [slice(None)] * x.ndim
    for axis, *own in zip(axes, start, stop, steps, strict=True):
        where[axis] = slice(*map(int, own))
    return x[tuple(where)]


def _tanh(x: np.ndarray) -> np.ndarray:
    return np.tanh(x) if x.dtype == np.float32 else 1 - 2 / (np.exp(2 * x) + 1)  # of float64, in half the time


def _top_k(x: np.ndarray, k: np.ndarray, axis: int, largest: int) -> list[np.ndarray]:
    rows, n = np.ascontiguousarray(np.moveaxis(-x if largest else x, axis, -1)), int(k[0])
    near = np.argpartition(rows, n - 1)[..., :n]
    order = np.argsort(np.take_along_axis(rows, near, -1), kind="stable")
    index = np.take_along_axis(near, order, -1)
    values = np.take_along_axis(rows, index, -1)
    return [np.moveaxis(own, -1, axis) for own in (-values if largest else values, index)]


def _conv(x: np.ndarray, weight: np.ndarray, strides: Any, pads: Any) -> np.ndarray:
    around = np.pad(x, [(0, 0), (0, 0), *np.reshape(pads, (2, -1)).T.tolist()])
    seen = np.lib.stride_tricks.sliding_window_view(around, weight.shape[2:], tuple(range(2, x.ndim)))
    seen = seen[(slice(None), slice(None), *(slice(None, None, step) for step in strides))]
    kernel = tuple(range(-(x.ndim - 2), 0))
    return np.moveaxis(np.tensordot(seen, weight, ((1, *kernel), (1, *kernel))), -1, 1)


def _conv_transpose(x: np.ndarray, weight: np.ndarray, strides: Any, pads: Any, output_padding: Any) -> np.ndarray:
    """Return a convolution of the maps spread apart, with the kernel turned round."""
    sizes = [(n - 1) * step + 1 for n, step in zip(x.shape[2:], strides, strict=True)]
    apart = np.zeros((*x.shape[:2], *sizes), x.dtype)
    apart[(slice(None), slice(None), *(slice(None, None, step) for step in strides))] = x
    reach = [n - 1 - pad for n, pad in zip(weight.shape[2:], pads, strict=False)]
    more = [own + extra for own, extra in zip(reach, output_padding, strict=True)]
    return _conv(apart, np.flip(weight.swapaxes(0, 1), tuple(range(2, x.ndim))), [1] * len(strides), [*reach, *more])


def _grouped(convolve: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Return a convolution of groups of channels, each with its own kernels, such as those of several members."""

    def run(x: np.ndarray, weight: np.ndarray, bias: Any = None, group: int = 1, **options: Any) -> np.ndarray:
        parts = zip(np.split(x, group, 1), np.split(weight, group), strict=True)
        made = np.concatenate([convolve(*own, **options) for own in parts], 1)
        return made if bias is None else made + bias.reshape(-1, *[1] * (x.ndim - 2))

    return run


NAMES = "abs ceil exp floor log round sign sqrt reciprocal"
OPERATORS: dict[str, Callable[..., Any]] = {name.title(): getattr(np, name) for name in NAMES.split()}
OPERATORS |= {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power}
OPERATORS |= {"Max": np.maximum, "Min": np.minimum, "Neg": np.negative, "MatMul": np.matmul, "Where": np.where}
OPERATORS |= {"IsNaN": np.isnan, "IsInf": np.isinf, "Not": np.logical_not, "And": np.logical_and, "Or": np.logical_or}
OPERATORS |= {"Equal": np.equal, "Less": np.less, "LessOrEqual": np.less_equal, "Greater": np.greater}
OPERATORS |= {"GreaterOrEqual": np.greater_equal, "Identity": lambda x: x, "Cast": lambda x, to: x.astype(to)}
OPERATORS |= {"Tanh": _tanh, "Sigmoid": _sigmoid, "Softmax": _softmax, "LogSoftmax": _log_softmax}
OPERATORS |= {"ReduceSum": _reduce(np.sum), "ReduceMean": _reduce(np.mean), "ReduceMax": _reduce(np.max)}
OPERATORS |= {"ReduceMin": _reduce(np.min), "TopK": _top_k}
OPERATORS |= {"Relu": lambda x: x.clip(0, np.inf)}  # in a third of the time of np.maximum
OPERATORS |= {"Conv": _grouped(_conv), "ConvTranspose": _grouped(_conv_transpose)}
OPERATORS |= {
    "ArgMax": lambda x, axis, keepdims: np.argmax(x, axis, keepdims=bool(keepdims)),
    "Concat": lambda *parts, axis: np.concatenate(parts, axis),
    "CumSum": lambda x, axis: np.cumsum(x, int(axis)),
    "Expand": lambda x, shape: np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape))),
    "Gather": lambda x, index, axis: np.take(x, index, axis),
    "GatherElements": lambda x, index, axis: np.take_along_axis(x, index, axis),
    "Pad": lambda x, pads, value: np.pad(x, pads.reshape(2, -1).T, constant_values=value),
    "Unsqueeze": lambda x, axes: np.expand_dims(x, tuple(axes)),
}
OPERATORS |= {"Reshape": lambda x, shape: x.reshape(shape), "Transpose": lambda x, perm: x.transpose(perm)}
OPERATORS |= {"Slice": _slice, "Shape": lambda x: np.array(x.shape), "Eigh": np.linalg.eigh}
"""The operators of ONNX that exported models are made of."""


class Graph:
    """A computation by operators of ONNX: its nodes, inputs, outputs and width, in JSON's types, and its constants."""

    def __init__(self, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        if type(width := described["width"]) is not int or width < 1:
            raise ValueError(f"a width of {width!r}")
        wide = {f"{name}w": arrays[name].astype(np.float64) for name in described.get("wide", ())}
        self.described, self.arrays = described, {**arrays, **wide}
        self.plans = {False: self._plan(False)}

    def __call__(self, x: np.ndarray, given: Any = None) -> list[np.ndarray]:
        """Return the results for rows, which were `given` in some precision; where float32 overflows, in float64."""
        precise = self.described.get("follows", False) and not _is_single(given)
        size = max(1, CELLS * min(8, 1 + len(self.described["nodes"]) // 200) // self.described["width"])
        with np.errstate(all="ignore"):
            parts = [self._checked([x[j : j + size]], j, precise) for j in range(0, len(x), size)]
        return [own[0] if len(own) == 1 else np.concatenate(own) for own in zip(*parts, strict=True)]

    def _checked(self, block: Sequence[np.ndarray], first: int, precise: bool) -> list[np.ndarray]:
        """Return the results for a block of rows, and raise an error if one is not finite."""
        results = self._run(block, precise)
        failed = self._failed(results)
        if failed.any() and not precise:
            results = [own.astype(np.float64) if own.dtype.kind == "f" else own for own in results]
            again = self._run([own[failed] for own in block], True)
            for own, better in zip(results, again, strict=True):
                own[failed] = better
            failed = self._failed(results)
        if failed.any():
            row, where = first + int(np.flatnonzero(failed)[0]), "the rows that the model was fitted to"
            raise ValueError(f"Row {row} is too far from {where}: its result is not finite.")
        return results

    def _failed(self, results: Sequence[np.ndarray]) -> np.ndarray:
        """Return which rows have a result that is neither finite nor the logarithm of zero."""
        failed = np.zeros(len(results[0]), dtype=bool)
        for name, own in zip(self.described["outputs"], results, strict=True):
            if own.dtype.kind == "f":
                good = np.isfinite(own) | (np.isneginf(own) if name in LOGARITHMS else False)
                failed |= ~good.reshape(len(own), -1).all(axis=1)
        return failed

    def _run(self, block: Sequence[np.ndarray], precise: bool) -> list[np.ndarray]:
        """Evaluate the nodes, in float64 instead of float32 if they are to be `precise`."""
        if precise not in self.plans:
            self.plans[precise] = self._plan(precise)
        start, steps = self.plans[precise]
        values = [*block, *start]
        for operate, inputs, output, more, done in steps:
            made = operate(*[values[own] for own in inputs])
            if more:
                values[output : output + more + 1] = made
            else:
                values[output] = made
            for own in done:
                values[own] = None
        return [values[own] for own in self.results]

    def _plan(self, precise: bool) -> tuple[list[Any], list[Any]]:
        """Return what is known before the rows are, and the nodes: operators, places, and what is done with then."""
        described, constants = self.described, self.arrays
        nodes, names = described["nodes"], [*described["inputs"]]
        used = dict.fromkeys(own for node in nodes for own in node[1] if own in constants)
        names += [*used, *(own for node in nodes for own in node[2])]
        place = {name: j for j, name in enumerate(names)}
        known = (constants[name] for name in used)
        start: list[Any] = [own.astype(float) if precise and own.dtype == np.float32 else own for own in known]
        start += [None] * (len(names) - len(described["inputs"]) - len(used))
        self.results = [place[own] for own in described["outputs"].values()]
        needed, steps = {*described["inputs"], *used, *described["outputs"].values()}, []
        for operator, inputs, outputs, attributes in reversed(nodes):
            done, needed = {*inputs, *outputs} - needed, needed.union(inputs)
            if precise and attributes.get("to") == "float32":
                attributes = {"to": "float64"}
            is_each = operator == "Members"
            operate = Members(attributes, constants, precise) if is_each else OPERATORS[operator]
            operate = partial(operate, **attributes) if attributes and not is_each else operate
            places = [[place[own] for own in names] for names in (inputs, done)]
            steps.append((operate, places[0], place[outputs[0]], len(outputs) - 1, places[1]))
        return start, steps[::-1]


class Members:
    """Layers of several members: all at once for few rows, and one after the other for many, whose values are large."""

    def __init__(self, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray], precise: bool) -> None:
        own = {name: arrays[name] for node in described["nodes"] for name in node[1] if name in arrays}
        count = max(len(v) for v in own.values() if v.ndim == 3)
        each = [{k: v[j % len(v)] if v.ndim == 3 else v for k, v in own.items()} for j in range(count)]
        self.whole, *self.each = (Graph({**described, "width": 1}, some) for some in (own, *each))
        self.precise = precise

    def __call__(self, x: np.ndarray) -> Any:
        """Return the results, with the members along the first axis."""
        parts = [own._run([x], self.precise) for own in (self.each if len(x) >= FEW else [self.whole])]
        made = list(map(np.stack, zip(*parts, strict=True))) if len(parts) > 1 else parts[0]
        return made if len(made) > 1 else made[0]


class Columns:
    """The columns of X: names, levels of categories, dtypes, and the least and greatest admissible values."""

    def __init__(self, described: Mapping[str, Any], bounds: np.ndarray) -> None:
        self.names, self.count, self.unknown, self.dtypes = map(described.get, ("names", "count", "unknown", "dtypes"))
        self.levels = {int(j): own for j, own in described["levels"].items()}
        self.codes = {j: {level: code for code, level in enumerate(own)} for j, own in self.levels.items()}
        self.bounds = bounds

    def name(self, j: int) -> Any:
        """Return the name of a column, or its position."""
        return j if self.names is None else self.names[j]

    def split(self, X: Any) -> list[np.ndarray]:
        """Return the columns of a frame, found by name, or of an array or a list of rows."""
        if hasattr(X, "columns"):
            names = list(X.columns)
            if twice := [name for name, n in Counter(names).items() if n > 1]:
                raise ValueError(f"X must have columns of different names. It has several of each of {twice}.")
            if self.names is not None and (lacking := [name for name in self.names if name not in names]):
                raise ValueError(f"X must have the columns of fit. It lacks {lacking}.")
            columns = [np.asarray(X[name]) for name in (names if self.names is None else self.names)]
        else:
            array = _array_of(X, "X")
            array = np.asarray(X, dtype=object) if array.dtype.kind in "US" and array is not X else array
            if array.ndim != 2:
                raise ValueError(f"X must have shape (n_samples, {self.count}). Got {array.shape} instead.")
            columns = list(array.T)
        if len(columns) != self.count:
            raise ValueError(f"X must have {self.count} columns. Got {len(columns)} instead.")
        return columns

    def read(self, X: Any, bounds: Any = None) -> np.ndarray:
        """Return rows as numbers and codes of levels in float64, NaN where a cell is missing."""
        if type(X) is np.ndarray and X.shape[1:] == (self.count,) and X.dtype.kind in "biuf" and not self.levels:
            return self._checked(X.astype(np.float64), self.bounds if bounds is None else bounds)
        return self.coded(self.split(X), bounds)

    def coded(self, columns: Sequence[np.ndarray], bounds: Any = None) -> np.ndarray:
        """Return columns as numbers and codes of levels in float64, NaN where a cell is missing."""
        own = [self._codes(j, v) if j in self.levels else self._numbers(j, v) for j, v in enumerate(columns)]
        return self._checked(np.stack(own, axis=1), self.bounds if bounds is None else bounds)

    def _checked(self, x: np.ndarray, bounds: np.ndarray) -> np.ndarray:
        if not len(x):
            raise ValueError("X must have at least one row. Got none.")
        for j in np.flatnonzero(np.isinf(x).any(axis=0)).tolist():
            raise ValueError(f"Input X contains infinity, in column {self.name(j)!r}.")
        for j in np.flatnonzero(((x < bounds[0]) | (x > bounds[1])).any(axis=0)).tolist():
            raise ValueError(f"Column {self.name(j)!r} must lie between {bounds[0, j]:g} and {bounds[1, j]:g}.")
        return x

    def _numbers(self, j: int, cells: np.ndarray) -> np.ndarray:
        if cells.dtype.kind in "biuf":
            return cells.astype(np.float64)
        # The estimator reads strings of digits in arrays, and never in frames.
        _check_kinds(cells, f"Column {self.name(j)!r}", REFUSED | (STRINGS if self.levels or self.dtypes else {}))
        try:
            return np.array([np.nan if _is_missing(own) else float(own) for own in cells])
        except (TypeError, ValueError, OverflowError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"Column {self.name(j)!r} must hold numbers: {error}.") from None

    def _codes(self, j: int, cells: np.ndarray) -> np.ndarray:
        known, other = self.codes[j], len(self.codes[j])
        _check_kinds(cells, f"Column {self.name(j)!r}", SEVERAL)
        codes = np.array([np.nan if _is_missing(own) else known.get(own, other) for own in cells.tolist()], np.float64)
        if self.unknown == "silent" or not (codes == other).any():
            return codes
        strange = cells[np.flatnonzero(codes == other)[0]]
        if self.unknown == "error":
            raise ValueError(f"Column {self.name(j)!r} must hold a category known from fit. Got {strange!r}.")
        words = "Categories that fit has not seen count as missing cells"
        warnings.warn(f"{words}, in column {self.name(j)!r}: {strange!r}.", stacklevel=6)
        return np.where(codes == other, np.nan, codes)

    def restore(self, values: np.ndarray) -> list[np.ndarray]:
        """Return columns of levels, and of numbers in the dtypes of fit."""
        return [self._level(j, own) if j in self.levels else self._number(j, own) for j, own in enumerate(values.T)]

    def _level(self, j: int, codes: np.ndarray) -> np.ndarray:
        levels = np.array([*self.levels[j], np.nan], dtype=object)
        cells = levels[np.where(np.isnan(codes), -1, codes).astype(int)]
        return cells if any(isinstance(own, str) for own in self.levels[j]) else cells.astype(np.float64)

    def _number(self, j: int, values: np.ndarray) -> np.ndarray:
        dtype = np.dtype(values.dtype if self.dtypes is None else self.dtypes[j])
        if dtype.kind == "b":
            return values > 0.5
        if dtype.kind in "iu":
            high = np.nextafter(2.0 ** (8 * dtype.itemsize - (dtype.kind == "i")), 0)
            return values.round().clip(np.iinfo(dtype).min, high).astype(dtype)
        return values.clip(np.finfo(dtype).min, np.finfo(dtype).max).astype(dtype)


def _is_single(X: Any) -> bool:
    """Return whether all of X is float32."""
    return all(own == np.float32 for own in getattr(X, "dtypes", [getattr(X, "dtype", None)]))


def _array_of(X: Any, owner: str) -> np.ndarray:
    """Return an array of a table that is no frame, with zeros of sparse rows, and NaN where it is masked."""
    try:
        X = X.toarray() if hasattr(X, "toarray") else X
        is_masked = isinstance(X, np.ma.MaskedArray) and X.dtype.kind in "biuf"
        return np.ma.filled(X.astype(np.float64), np.nan) if is_masked else np.asarray(X)
    except ValueError:
        raise ValueError(f"{owner} must have rows of the same length, with one value in each cell.") from None


LISTS = "lists, where each cell must be one value"
SEVERAL: dict[Any, str] = {(list, set, dict, np.ndarray): LISTS}
REFUSED = {(complex, np.complexfloating): "complex numbers, which are not supported", (list, set, np.ndarray): LISTS}
REFUSED |= {(date, time, timedelta, np.datetime64, np.timedelta64): "dates or durations, which are no numbers"}
STRINGS: dict[Any, str] = {(str, bytes): "strings, which are no numbers"}
"""What no cell may hold, what no number is, and what no number of a frame is, by type."""


def _check_kinds(cells: np.ndarray, owner: str, refused: Mapping[Any, str]) -> None:
    """Raise an error if cells hold values of types that are refused."""
    for kind in dict.fromkeys(map(type, cells)):
        for kinds, what in refused.items():
            if issubclass(kind, kinds):
                own = (v for v in cells if type(v) is kind and (hasattr(v, "__len__") or not _is_missing(v)))
                if (value := next(own, None)) is not None:
                    raise ValueError(f"{owner} holds {what}, such as {value!s}.")


def _is_missing(cell: Any) -> bool:
    """Return whether a cell is None, NaN, or what pandas has for a missing one."""
    return cell is None or type(cell).__name__ == "NAType" or bool(cell != cell)


def _gaps(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return which cells of columns are missing, shape (n_columns, n_rows)."""
    return np.array([list(map(_is_missing, own.tolist())) for own in columns], dtype=bool)


def _table(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return columns as one array, of objects where their kinds differ."""
    is_one_kind = len({own.dtype.kind for own in columns}) == 1
    return np.stack(columns if is_one_kind else [own.astype(object) for own in columns], axis=1)


class Model:
    """What any exported estimator has: what the file says of itself, columns, and computations by name."""

    def __init__(self, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._header, self._arrays = header, arrays
        self._columns = Columns(header["columns"], arrays["bounds"])
        self._graphs = {name: Graph(own, arrays) for name, own in header["graphs"].items()}
        self.n_features_in_ = self._columns.count
        if self._columns.names is not None:
            self.feature_names_in_ = np.array(self._columns.names, dtype=object)

    def __reduce__(self) -> Any:
        return type(self), (self._header, self._arrays)

    def __repr__(self) -> str:
        return f"<{self._header['estimator']} of sklearn_mtae {self._header['version']}, without torch>"

    def _run(self, name: str, X: Any) -> list[np.ndarray]:
        """Return the results of a computation for rows."""
        return self._graph(name)(self._columns.read(X), X)

    def _parted(self, name: str, x: np.ndarray, given: Any) -> np.ndarray:
        """Return the results of a computation for rows; there may be a faster one for rows without gaps."""
        whole = f"{name}_complete"
        gaps, results = np.isnan(x).any(axis=1) | (whole not in self._graphs), np.empty(len(x))
        for rows, own in ((gaps, name), (~gaps, whole)):
            if rows.any():
                (results[rows],) = self._graph(own)(x[rows], given)
        return results

    def _filled(self, columns: Sequence[np.ndarray], given: Any) -> list[np.ndarray]:
        """Return columns whose missing cells are filled."""
        x, gaps = self._columns.coded(columns), _gaps(columns)
        values, rows = np.zeros(x.shape), gaps.any(axis=0)
        if rows.any():
            (values[rows],) = self._graph("impute")(x[rows], given)
        made = zip(gaps, self._columns.restore(values), columns, strict=True)
        return [np.where(gap, own, cells) if gap.any() else cells for gap, own, cells in made]

    def _graph(self, name: str) -> Graph:
        if name not in self._graphs:
            raise ValueError(f"{self!r} cannot compute {name!r}: {self._header['left_out'].get(name, 'no such part')}")
        return self._graphs[name]


class Transformer(Model):
    """An encoder and a decoder: the methods of the exported estimator, with arrays as results."""

    def transform(self, X: Any) -> np.ndarray:
        """Return codes of rows, shape (n_samples, n_components)."""
        return self._as_precise(self._run("transform", X)[0], X)

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Return the columns of codes, shape (n_samples, n_features)."""
        codes, n_codes = _array_of(Z, "Z"), len(self._header["names_out"])
        if codes.ndim != 2 or codes.shape[1] != n_codes or not len(codes):
            raise ValueError(f"Z must have shape (n_samples, {n_codes}), with at least one row. Got {codes.shape}.")
        if codes.dtype.kind not in "biuf":
            _check_kinds(codes.ravel(), "Z", REFUSED)
        codes = codes.astype(np.float64)
        if not np.isfinite(codes).all():
            raise ValueError(f"Z must hold finite numbers. Row {int(np.argmin(np.isfinite(codes).all(1)))} does not.")
        return self._restored(self._graph("inverse_transform")(codes, Z)[0], Z)

    def predict(self, X: Any) -> np.ndarray:
        """Return reconstructed rows, shape (n_samples, n_features)."""
        return self._restored(self._run("reconstruct", X)[0], X)

    def impute(self, X: Any) -> np.ndarray:
        """Return rows whose missing cells are filled, shape (n_samples, n_features)."""
        return _table(self._filled(self._columns.split(X), X))

    def score_samples(self, X: Any) -> np.ndarray:
        """Return log-densities of rows, shape (n_samples,); minus infinity outside the support."""
        scores = self._parted("score_samples", self._columns.read(X, self._arrays["sizes"]), X)
        rounded = self._as_precise(scores, X)
        return np.where(np.isfinite(scores), rounded.clip(np.finfo(rounded.dtype).min), rounded)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of codes."""
        return np.array(self._header["names_out"], dtype=object)

    def _restored(self, values: np.ndarray, like: Any) -> np.ndarray:
        return _table(self._columns.restore(self._as_precise(values, like)))

    @staticmethod
    def _as_precise(values: np.ndarray, like: Any) -> np.ndarray:
        """Return numbers in float32 where the rows are, else in float64."""
        return values.astype(np.float32 if _is_single(like) else np.float64)


class Predictor(Transformer):
    """A model of tasks, numbers and classes."""

    def __init__(self, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__(header, arrays)
        self._tasks = header["tasks"]
        self.task_names_ = self._tasks["names"]
        known = zip(self._tasks["classes"], self._tasks["dtypes"], strict=True)
        self._classes = [None if own is None else np.array(own, dtype=dtype) for own, dtype in known]

    def predict(self, X: Any) -> Any:
        """Return predictions of all tasks in the shape of y."""
        mean, _, logs = self._predict(X)
        return self._labels(mean, logs)

    def _labels(self, mean: Any, logs: Any) -> np.ndarray:
        """Return means of numbers and the most probable classes, in the shape of y."""
        columns = [
            mean[:, task] if own is None else own[logs[:, task, : len(own)].argmax(1)]
            for task, own in enumerate(self._classes)
        ]
        return self._shaped(_table(columns))

    def _predict(self, X: Any, with_std: bool = False) -> tuple[Any, Any, Any]:
        """Return means, deviations and logarithms of probabilities of all tasks; NaN where there are no numbers."""
        name = f"spread{'_float32' * _is_single(X)}" if with_std and None in self._tasks["classes"] else "predict"
        found = dict(zip(self._graph(name).described["outputs"], self._run(name, X), strict=True))
        nothing = np.full((len(next(iter(found.values()))), len(self._classes)), np.nan)
        return found.get("mean", nothing), found.get("std", nothing), found.get("log_proba")

    def _reach(self, coverage: float, wanted: Sequence[bool]) -> np.ndarray:
        """Return the distance within which a fraction of the held-out labels of each task lies."""
        if not isinstance(coverage, Real):
            raise TypeError(f"coverage must be a number between 0 and 1. Got {coverage!r}.")
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1, and be neither. Got {coverage}.")
        if "scores0" not in self._arrays:
            raise ValueError("Intervals and sets need a model fitted with n_estimators > 1 or early_stopping=True.")
        found = []
        for task, name in enumerate(self.task_names_):
            scores = self._arrays.get(f"scores{task}", np.empty(0))
            rank = ceil(round((len(scores) + 1) * coverage, 9))
            if wanted[task] and rank > len(scores):
                raise ValueError(f"coverage must be at most n / (n + 1). Task {name!r} has n={len(scores)}.")
            found.append(scores[rank - 1] if wanted[task] else np.nan)
        return np.array(found)

    def _by_task(self, parts: Any) -> Any:
        """Return what there is for the classes of each task: an array, a list, or a dict by name."""
        found = {
            name: parts[task] if isinstance(parts, list) else parts[:, task, : len(own)]
            for task, (name, own) in enumerate(zip(self.task_names_, self._classes, strict=True))
            if own is not None
        }
        if self._tasks["by_name"]:
            return found
        return next(iter(found.values())) if self._tasks["n_dimensions"] == 1 else list(found.values())

    def _numbers(self, columns: np.ndarray) -> np.ndarray:
        return self._shaped(np.where([own is not None for own in self._classes], np.nan, columns))

    def _shaped(self, columns: np.ndarray) -> np.ndarray:
        return columns[:, 0] if self._tasks["n_dimensions"] == 1 else columns


class Regressor(Predictor):
    """A model of tasks of numbers."""

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return predictions of all tasks in the shape of y, with standard deviations of numbers if requested."""
        mean, std, logs = self._predict(X, return_std)
        predicted = self._labels(mean, logs)
        return (predicted, self._numbers(std * self._arrays["inflation"])) if return_std else predicted

    def predict_interval(self, X: Any, coverage: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of intervals that contain a fraction of the labels of tasks of numbers."""
        reach = self._reach(coverage, [own is None for own in self._classes])
        mean, std, _ = self._predict(X, True)
        low, high = self._arrays["limits"]
        return tuple(self._numbers(np.clip(mean + sign * std * reach, low, high)) for sign in (-1, 1))  # type: ignore[return-value]


class Classifier(Predictor):
    """A model of tasks of classes."""

    def predict_log_proba(self, X: Any) -> Any:
        """Return logarithms of class probabilities: an array, or one for each task as the estimator has them."""
        return self._by_task(self._predict(X)[2])

    def predict_proba(self, X: Any) -> Any:
        """Return class probabilities: an array, or one for each task as the estimator has them."""
        return self._by_task(np.exp(self._predict(X)[2]))

    def predict_set(self, X: Any, coverage: float = 0.9) -> Any:
        """Return which classes are in sets that contain a fraction of the labels."""
        reach = self._reach(coverage, [own is not None for own in self._classes])
        return self._by_task(self._predict(X)[2] >= -reach[:, None] - SLACK)

    @property
    def classes_(self) -> Any:
        """Classes, as the estimator has them."""
        return self._by_task(self._classes)


class Mixed(Regressor, Classifier):
    """A model of tasks of numbers and of classes."""


class NamedNumbers(Regressor):
    """A model of tasks of numbers, that might have been of classes."""

    @property
    def classes_(self) -> dict[str, np.ndarray]:
        """Classes by task, of which there are none."""
        return {}


class Detector(Model):
    """A detector of outliers."""

    @property
    def offset_(self) -> float:
        """The score below which a row is an outlier."""
        return float(self._arrays["offset"])

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how usual rows are, shape (n_samples,)."""
        return self._parted("score_samples", self._columns.read(X), X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores above the offset, shape (n_samples,)."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return -1 for outliers and 1 for other rows, shape (n_samples,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)


class Imputer(Model):
    """A filler of missing cells."""

    def transform(self, X: Any) -> np.ndarray:
        """Return rows whose missing cells are filled, then indicators, shape (n_samples, n_features_out)."""
        own, columns = self._header["imputer"], self._columns.split(X)
        gaps, hidden = _gaps(columns), list(columns)
        for j in own["empty"]:  # no model has learned them
            hidden[j] = np.full(len(columns[j]), np.nan)
        filled = self._filled(hidden, X)
        for j in own["empty"]:
            dtype = X[self._columns.name(j)].dtype if hasattr(X, "columns") else columns[j].dtype
            is_text = hasattr(dtype, "categories") or dtype.type is str
            filled[j] = np.where(gaps[j], "missing_value" if is_text else 0, columns[j])
        kept = [filled[j] for j in own["kept"]] + [gaps[j].astype(np.float64) for j in own["indicators"]]
        return _table(kept) if kept else np.empty((len(columns[0]), 0))

    get_feature_names_out = Transformer.get_feature_names_out


MODELS = {
    "imputer": Imputer,
    "transformer": Transformer,
    "numbers": Regressor,
    "classes": Classifier,
    "mixed": Mixed,
    "detector": Detector,
}
NAMED = {"numbers": NamedNumbers, "classes": Mixed}
"""Models by kind, and those of estimators that take tasks of either kind."""


def load(path: str | os.PathLike) -> Any:
    """Load a model that `sklearn_mtae.export.to_numpy` has written, to run it with numpy alone.

    Parameters
    ----------
    path : str or PathLike
        Path of the file.

    Returns
    -------
    Model
        A model with the methods of the estimator that was exported.

    Raises
    ------
    FileError
        If the file is damaged, or holds no exported model.
    """
    header, arrays = read_file(path)
    if header.get("content") != "exported":
        is_saved = header.get("content") == "estimator"
        remedy = " Load a saved estimator with sklearn_mtae.persistence.load." if is_saved else ""
        raise FileError(f"{os.fspath(path)!r} cannot be read: it holds no exported model.{remedy}")
    try:
        models = {**MODELS, **(NAMED if header.get("tasks", {}).get("by_name") else {})}
        return models[header["kind"]](header, arrays)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise FileError(f"{os.fspath(path)!r} cannot be read: its content is not admissible ({error!r}).") from None
