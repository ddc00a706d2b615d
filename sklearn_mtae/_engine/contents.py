"""Keys of what modules compute with, which are equal for equal contents."""

import weakref
from collections.abc import Collection, Hashable, Iterable, Mapping
from enum import Enum
from functools import partial
from hashlib import blake2b
from math import copysign
from types import (
    BuiltinFunctionType,
    CodeType,
    EllipsisType,
    FunctionType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    NoneType,
    NotImplementedType,
)
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

ATOMS = (NoneType, bool, str, bytes, EllipsisType, NotImplementedType, range, CodeType)
ATOMS += (torch.dtype, torch.device, torch.layout, torch.memory_format)
"""Types whose equality is that of their content."""
TORCHS = set(vars(nn.Module())) - {"training"}
"""Torch's attributes of every module: parameters, buffers, submodules and hooks have their own keys."""
HOOKS = ("_forward_pre_hooks", "_forward_hooks")
"""Where modules keep their hooks."""


class Same:
    """An object that equals only itself: its behaviour cannot be read from it.

    Parameters
    ----------
    value : object
        The object.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    def __repr__(self) -> str:
        return f"{type(self.value).__qualname__} at {id(self.value)}"


class Contents:
    """Keys of objects, which are equal if their contents are.

    Numbers are equal across their types, and NaN is NaN; arrays and tensors have dtype and shape too. An object is
    represented by its pickle and its attributes; an object without such content equals only itself. Modules, parameters
    and buffers within `root` are represented by their names, not by their numbers.

    Parameters
    ----------
    root : Module or None, default=None
        A module.
    watched : mapping of int to str, default={}
        Names of further objects, by their id; those encountered are listed in `met`.
    """

    def __init__(self, root: nn.Module | None = None, watched: Mapping[int, str] | None = None) -> None:
        self.names: dict[int, str] = {}
        if root is not None:
            self.names = {id(part): name for name, part in [*root.named_modules(), *named_tensors(root)]}
        self.watched = watched or {}
        self.met: list[str] = []
        self.tensors: list[Tensor] = []
        """Encountered tensors, including those of `root`."""
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # an id is unique only while its object exists

    def of(self, value: Any) -> Hashable:
        """Return the key of an object."""
        if type(value) in ATOMS:
            return type(value), value
        if type(value) in (int, float, complex):
            return number(value)
        if id(value) in self.watched:
            self.met.append(self.watched[id(value)])
        if isinstance(value, Tensor):
            self.tensors.append(value)
        if id(value) in self.names:
            return "own", self.names[id(value)]
        if isinstance(value, type | ModuleType | Enum):
            return Same(value)
        if type(value) in (tuple, frozenset):
            return self._collection(value)
        if id(value) in self._numbers:
            return "again", self._numbers[id(value)]
        self._numbers[id(value)] = len(self._numbers)
        self._alive.append(value)
        return self._content(value)

    def _content(self, value: Any) -> Hashable:
        if type(value) in (list, set):
            return self._collection(value)
        if type(value) is dict:
            return dict, tuple((self.of(name), self.of(own)) for name, own in value.items())
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, MethodType):
            return MethodType, self.of(value.__func__), self.of(value.__self__)
        if isinstance(value, BuiltinFunctionType | MethodWrapperType):
            owner = getattr(value, "__self__", None)
            return Same(value) if owner is None or isinstance(owner, ModuleType) else (value.__name__, self.of(owner))
        if isinstance(value, weakref.ref):
            return weakref.ref, self.of(value())
        if isinstance(value, nn.Module):
            return self.of_module(value), tuple((name, self.of(own)) for name, own in named_tensors(value))
        return self._data(value)

    def _data(self, value: Any) -> Hashable:
        if type(value) is np.ndarray:
            cells = self.of(value.tolist()) if value.dtype.hasobject else digest(value.tobytes())
            return np.ndarray, value.dtype, value.shape, cells
        if isinstance(value, Generator):
            return Generator, value.device, digest(value.get_state().numpy().tobytes())
        if type(value) in (Tensor, nn.Parameter) and value.layout is torch.strided and value.device.type != "meta":
            kind = type(value), value.dtype, value.shape, value.device, value.requires_grad
            return (*kind, digest(tensor_bytes(value)), self.of(vars(value)))
        if isinstance(value, np.generic) and value.dtype.kind in "biufc" and not isinstance(value.item(), np.generic):
            return self.of(value.item())
        return self._object(value)

    def _collection(self, value: Iterable[Any]) -> Hashable:
        """Return the key of a list, tuple or set."""
        gather = frozenset if isinstance(value, set | frozenset) else tuple
        return type(value), gather(self.of(own) for own in value)

    def _function(self, value: FunctionType) -> Hashable:
        """Return the key of a function: its code, its default arguments, and its closure and globals."""
        defaults = self.of(value.__defaults__), self.of(value.__kwdefaults__)
        around = tuple(self._cell(cell) for cell in value.__closure__ or ())
        return value.__code__, *defaults, *around, Same(value.__globals__), self.of(vars(value))

    def _cell(self, cell: Any) -> Hashable:
        """Return the key of a variable of an enclosing function, which may have no value yet."""
        try:
            return self.of(cell.cell_contents)
        except ValueError:
            return Same(cell)

    def _object(self, value: Any) -> Hashable:
        """Return the key of an object of an unknown class: its reduction for copies, and its attributes."""
        try:
            made = value.__reduce_ex__(4)
        except Exception:  # whatever a class raises if its objects cannot be copied
            return Same(value)
        if isinstance(made, str):
            return Same(value)
        make, arguments, state, items, pairs = (*made, None, None, None)[:5]
        # The state of a `partial` has them; accessing them would create some and change its pickle.
        attributes = None if isinstance(value, partial) else getattr(value, "__dict__", None)
        contents = make, arguments, state, list(items or ()), list(pairs or ()), attributes
        self._alive.append(contents)
        return type(value), *(self.of(own) for own in contents)

    def of_module(self, module: nn.Module, apart: Collection[str] = ()) -> Hashable:
        """Return the key of a module, with its contents by name, without the attributes left `apart`."""
        attributes = sorted(name for name in vars(module) if name not in TORCHS and name not in apart)
        own = tuple((name, self.of(vars(module)[name])) for name in attributes)
        slots = (module._modules, module._parameters, module._buffers)
        within = tuple((name, self.names.get(id(part))) for slot in slots for name, part in slot.items())
        return type(module), own, within, tuple(self._hooks(module, name) for name in HOOKS)

    def _hooks(self, module: nn.Module, name: str) -> Hashable:
        """Return the keys of a module's hooks, and which of them want keyword arguments or are always called."""
        hooks = getattr(module, name)
        kinds = [getattr(module, name + kind, {}) for kind in ("_with_kwargs", "_always_called")]
        return tuple((self.of(hook), *(handle in kind for kind in kinds)) for handle, hook in hooks.items())


def computation(root: nn.Module, apart: Mapping[str, Collection[str]]) -> Hashable:
    """Return a key that is equal for modules that differ only in the numbers of parameters and buffers.

    Parameters
    ----------
    root : Module
        A module.
    apart : mapping of str to collection of str
        Attributes that may differ, by the name of a module; the name of `root` is "".
    """
    contents = Contents(root)
    try:
        parts = tuple(contents.of_module(part, apart.get(name, ())) for name, part in root.named_modules())
    except RecursionError:
        return Same(root)
    return parts, tuple((name, own.shape, own.dtype, own.requires_grad) for name, own in named_tensors(root))


def bypass(copy: nn.Module, original: nn.Module, placed: Collection[str]) -> str | None:
    """Return the name of a part that a copy of a module reaches by other ways than torch's attributes, or None.

    Values that replace its parameters and buffers are not found there. Functions are not copied: they still refer to
    parts of the original.

    Parameters
    ----------
    copy, original : Module
        A copy of a module, and the module.
    placed : collection of str
        Names of the parameters and buffers that are replaced.
    """
    names = {id(part): name for name, part in [*original.named_modules(), *named_tensors(original)]}
    found, met = Contents(original), Contents(copy, names)
    for part, twin in zip(original.modules(), copy.modules(), strict=True):
        found.of_module(part)
        met.of_module(twin)
    own = dict(named_tensors(original))
    learned = {name: value for name, value in own.items() if value.requires_grad}
    constants = [value for name, value in own.items() if name not in learned]
    views = shared_memory(found.tensors, {name: own[name] for name in placed}), shared_memory(constants, learned)
    return next((name for name in [*met.met, *views] if name is not None), None)


def shared_memory(tensors: Iterable[Tensor], others: Mapping[str, Tensor]) -> str | None:
    """Return the name of one of the `others` that shares memory with one of some tensors, or None."""
    places = {memory(value): name for name, value in others.items() if value.numel()}
    return next((places[memory(value)] for value in tensors if memory(value) in places), None)


def memory(value: Tensor) -> Hashable:
    """Return the address of a tensor's numbers."""
    return value.untyped_storage().data_ptr() if value.layout is torch.strided else Same(value)


def named_tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Return parameters and buffers with their names."""
    return [*module.named_parameters(), *module.named_buffers()]


def number(value: complex) -> Hashable:
    """Return the key of a number: equal for equal numbers, and for NaN, but it distinguishes the sign of zero."""
    if isinstance(value, complex):
        return complex, number(value.real), number(value.imag)
    if value != value:
        return "nan"
    return "number", value, value == 0 and copysign(1.0, value) < 0


def tensor_bytes(value: Tensor) -> bytes:
    """Return the numbers of a tensor as bytes."""
    # A single number may count as contiguous whatever its stride is; a clone has the stride that a view needs.
    plain = value.detach().resolve_conj().resolve_neg().cpu().clone(memory_format=torch.contiguous_format)
    return plain.reshape(-1).view(torch.uint8).numpy().tobytes()


def digest(content: bytes) -> bytes:
    """Return a short text for a long one."""
    return blake2b(content, digest_size=20).digest()
