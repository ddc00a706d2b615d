"""The identity of a value as a text: equal exactly for equal contents, in any process."""

import dis
import sys
from collections import OrderedDict
from collections.abc import Iterable
from copyreg import dispatch_table
from functools import cached_property, partial
from hashlib import blake2b
from numbers import Number
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_mtae._tables.blocks import block_rows, blocks

CONSTANTS = (Number, str, bytes, tuple, frozenset, np.ndarray, torch.Tensor, FunctionType, type, partial, type(None))
"""Types of names in a module that are part of what its functions are. Lists and dicts are left out: those that a
function finds in its module are mostly meant to change, like counters and caches."""
OF_CLASSES = {"__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__firstlineno__"}
OF_CLASSES |= {"__static_attributes__", "__annotate__", "__annotate_func__", "__annotations_cache__", "_abc_impl"}
OF_CLASSES |= {"__abstractmethods__", "__parameters__", "__orig_bases__", "__dataclass_fields__"}
"""Attributes of a class that are irrelevant to its behaviour."""
ACCESSORS = (staticmethod, classmethod, property, cached_property)
LAID_OUT = (GetSetDescriptorType, MemberDescriptorType)
"""Types of a class's attributes that come from its layout."""


def identity(*values: Any) -> str:
    """Return a text that is equal for values of equal contents, whatever process they are in.

    Numbers are compared as numbers, lists and tuples by their items, arrays byte by byte, and other objects by their
    pickles. Functions and classes of installed packages are compared by name and version. Others are compared by their
    code, their defaults, their closures, and the constants, functions and classes of their module that they name; names
    that a function assigns itself are left out.

    Parameters
    ----------
    *values : object
        What to compare. Memory-mapped arrays are read block by block.

    Raises
    ------
    TypeError
        If a part of a value has no contents to compare, such as a lock or a generator.
    """
    contents = Contents()
    contents.add(list(values))
    return contents.hash.hexdigest()


class Contents:
    """Feed values to a hash."""

    def __init__(self) -> None:
        self.hash = blake2b(digest_size=20)
        self._active: dict[int, int] = {}
        self._done: dict[int, bytes] = {}
        self._kept: list[Any] = []

    def add(self, value: Any) -> None:
        """Feed a value."""
        if value is None or value is Ellipsis or value is NotImplemented:
            self._mark(repr(value))
        elif isinstance(value, Number | np.number | np.bool_):
            self._add_number(value)
        elif isinstance(value, str | bytes):
            self._mark("text", str(value) if isinstance(value, str) else value)
        elif id(value) in self._active:
            self._mark("cycle", len(self._active) - self._active[id(value)])
        else:
            self.hash.update(self._digest(value))

    def _digest(self, value: Any) -> bytes:
        """Return the hash of an object: the same wherever and however often it occurs."""
        key = id(value)
        if key not in self._done:
            outer, self.hash = self.hash, blake2b(digest_size=20)
            self._active[key] = len(self._active)
            self._add_object(value)
            self._done[key] = self.hash.digest()
            self._kept.append(value)  # the id of a deleted object may be reused
            del self._active[key]
            self.hash = outer
        return self._done[key]

    def _add_object(self, value: Any) -> None:
        adder = EXACTLY.get(type(value)) or next((own for kind, own in KINDS if isinstance(value, kind)), None)
        if adder is not None and not isinstance(value, np.ma.MaskedArray):
            adder(self, value)
        elif issparse(value) and not isinstance(value, np.ndarray):
            parts = [getattr(value, name, None) for name in ("data", "indices", "indptr", "row", "col")]
            self._mark("sparse", value.format, value.shape)
            self.add([part if part is None or part.dtype.kind != "i" else part.astype(np.int64) for part in parts])
        else:
            self._add_reduced(value)

    def _mark(self, *words: Any) -> None:
        self.hash.update(f"{words!r};".encode("utf-8", "backslashreplace"))

    def _add_number(self, value: Any) -> None:
        if isinstance(value, int | np.integer | np.bool_):
            self._mark("number", int(value))
        elif isinstance(value, float | np.floating):
            exact = float(value)
            self._mark("number", int(exact) if exact.is_integer() else exact)
        else:
            self._mark(type(value).__name__, str(value))

    def _add_array(self, array: NDArray) -> None:
        self._mark("array", array.dtype.str, array.dtype.descr, array.shape)
        if array.dtype.hasobject:
            self.add(array.ravel().tolist())
        elif array.ndim == 0 or not array.size:
            self.hash.update(array.tobytes())
        else:
            for rows in blocks(len(array), block_rows(array[:1].size)):
                self.hash.update(np.ascontiguousarray(array[rows]).tobytes())

    def _add_tensor(self, tensor: torch.Tensor) -> None:
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise TypeError(f"the numbers of a tensor of layout {tensor.layout} cannot be read")
        own = tensor.detach().cpu().contiguous()
        self._mark("tensor", str(own.dtype), tuple(own.shape), tensor.requires_grad)
        self._add_array(own.flatten().view(torch.uint8).numpy())

    def _add_sequence(self, values: list | tuple) -> None:
        self._mark("sequence", len(values))
        for value in values:
            self.add(value)

    def _add_set(self, values: Iterable) -> None:
        self._mark("set", *sorted(identity(value) for value in values))

    def _add_mapping(self, values: Any) -> None:
        self._mark("mapping", len(values))
        for name, value in values.items():
            self.add(name)
            self.add(value)

    def _add_module(self, module: ModuleType) -> None:
        self._mark("module", module.__name__, _version(module.__name__))

    def _add_method(self, method: MethodType) -> None:
        self._mark("method")
        self.add([method.__func__, method.__self__])

    def _add_builtin(self, function: BuiltinFunctionType) -> None:
        self._mark("builtin", function.__module__, function.__qualname__)
        if not isinstance(function.__self__, ModuleType | type(None)):
            self.add(function.__self__)

    def _add_function(self, function: FunctionType) -> None:
        if self._is_installed(function):
            return
        code = function.__code__
        self._add_code(code)
        loaded, stored = _names(code)
        self.add([function.__defaults__, function.__kwdefaults__, function.__dict__])
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            if name not in stored:
                self.add([name, _enclosed(cell)])
        for name in sorted(loaded - stored):
            value = function.__globals__.get(name)
            if isinstance(value, CONSTANTS):
                self.add([name, value])

    def _add_code(self, code: CodeType) -> None:
        self._mark("code", code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_flags)
        self.add(code.co_consts)

    def _add_class(self, own: type) -> None:
        if self._is_installed(own):
            return
        self.add(own.__bases__)
        for name, value in sorted(vars(own).items()):
            if name not in OF_CLASSES and not isinstance(value, LAID_OUT):
                self.add([name, value])

    def _is_installed(self, value: Any) -> bool:
        """Feed the name of a function or class; return whether that is enough: it belongs to an installed package."""
        version = _version(value.__module__ or "")
        self._mark(value.__module__ if version else None, value.__qualname__, version)
        return version is not None and "<" not in value.__qualname__

    def _add_accessor(self, accessor: Any) -> None:
        names = ("__func__", "fget", "fset", "fdel", "func")
        self._mark(type(accessor).__name__)
        self.add([getattr(accessor, name, None) for name in names])

    def _add_reduced(self, value: Any) -> None:
        registered = dispatch_table.get(type(value))
        reduced: Any = value.__reduce_ex__(4) if registered is None else registered(value)
        if isinstance(reduced, str):
            self._mark("name", getattr(value, "__module__", None), reduced)
            self.add(getattr(value, "__wrapped__", None))
            return
        function, args, *more = reduced
        state, items, pairs = [*more, None, None, None][:3]
        self._mark("object")
        self.add([function, args, state, *(part if part is None else list(part) for part in (items, pairs))])


EXACTLY: dict[type, Any] = {
    list: Contents._add_sequence,
    tuple: Contents._add_sequence,
    set: Contents._add_set,
    frozenset: Contents._add_set,
    dict: Contents._add_mapping,
    OrderedDict: Contents._add_mapping,
    MappingProxyType: Contents._add_mapping,
    FunctionType: Contents._add_function,
    MethodType: Contents._add_method,
    BuiltinFunctionType: Contents._add_builtin,
    CodeType: Contents._add_code,
}
"""How objects of a type are fed to the hash."""
KINDS: tuple[tuple[Any, Any], ...] = (
    (np.ndarray, Contents._add_array),
    (torch.Tensor, Contents._add_tensor),
    (ModuleType, Contents._add_module),
    (type, Contents._add_class),
    (ACCESSORS, Contents._add_accessor),
)
"""How objects of a type, or of one derived from it, are fed."""


def _names(code: CodeType) -> tuple[set[str], set[str]]:
    """Return the names that a function, and nested ones, look up in their module, and those that they assign."""
    steps = list(dis.get_instructions(code))
    loaded = {step.argval for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    stored = {step.argval for step in steps if step.opname in ("STORE_GLOBAL", "STORE_DEREF")}
    for part in code.co_consts:
        if isinstance(part, CodeType):
            within = _names(part)
            loaded, stored = loaded | within[0], stored | within[1]
    return loaded, stored


def _enclosed(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing has been assigned yet
        return None


def _version(module: str) -> str | None:
    """Return the version of the installed package that a module belongs to, or None."""
    package = module.partition(".")[0]
    if package == "__main__":
        return None
    if package in sys.stdlib_module_names:
        return ".".join(map(str, sys.version_info[:2]))
    version = getattr(sys.modules.get(package), "__version__", None)
    return version if isinstance(version, str) else None
