"""Recording what a function of rows computes: operations of torch whose shapes hold for any number of rows.

The function is run on two, on three and on many rows. What does not depend on the rows is a constant and is not
recorded. A number that is the same each time is a constant too, one that is as many times as much stands for the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

ROUNDINGS = 8
"""Roundings by which constants may differ that are the same for all rows."""


class NotExportableError(RuntimeError, ValueError):
    """The error of what cannot be exported: an estimator, or an operation that a model computes."""

    __module__ = "sklearn_mtae.export"


class Place(NamedTuple):
    """A value that depends on the rows: the position of the step that makes it, and which of its results it is.

    Inputs have negative positions.
    """

    step: int
    result: int = 0


class Rows(NamedTuple):
    """A multiple of the number of rows."""

    times: int


class Step(NamedTuple):
    """An operation of torch: its name, its arguments, and shapes and dtypes of its results."""

    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    shapes: Sequence[Any]
    dtypes: Sequence[torch.dtype]


class Trace(NamedTuple):
    """The steps of a function by position, and what it returns: places, or tensors that do not depend on the rows."""

    steps: dict[int, Step]
    outputs: list[Any]

    def needed(self) -> list[int]:
        """Return the positions of the steps that the outputs need."""
        found = {own.step for own in self.outputs if isinstance(own, Place)}
        for position, step in reversed(self.steps.items()):
            if position in found:
                found |= {own.step for own in _among((step.args, step.kwargs), Place)}
        return [position for position in self.steps if position in found]


def trace(
    function: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Callable[[int], Tensor]],
    counts: Sequence[int],
    known: Callable[[str], bool],
    decompositions: Mapping[str, Callable[..., Any]],
) -> Trace:
    """Record a function of rows.

    Parameters
    ----------
    function : callable
        From tensors with the rows along their first axis to tensors.
    inputs : sequence of callable
        From a number of rows to each tensor.
    counts : sequence of int
        Numbers of rows that the function is run on.
    known : callable
        Whether a step of a name can be exported; others are taken apart.
    decompositions : mapping
        Functions that compute operations by simpler ones, by the operations' names.

    Raises
    ------
    NotExportableError
        If an operation is not known, or if what is computed depends on the values of the rows.
    """
    traces = [_record(function, [make(n) for make in inputs], known, decompositions) for n in counts]
    names = [[step.name for step in own.steps.values()] for own in traces]
    if any(own != names[0] for own in names):
        raise NotExportableError("The model computes other operations for other numbers of rows.")
    return _merge(traces, counts)


def _record(
    function: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Tensor],
    known: Callable[[str], bool],
    decompositions: Mapping[str, Callable[..., Any]],
) -> Trace:
    """Record a function of given rows."""
    recorder = _Recorder(known, decompositions)
    for j, value in enumerate(inputs):
        recorder.keep(value, Place(-1 - j))
    with torch.no_grad(), recorder:
        outputs = function(*inputs)
    return Trace(dict(enumerate(recorder.steps)), [recorder.placed(value) for value in outputs])


class Shown(NamedTuple):
    """What tells a tensor from others: the memory that it shows, and how. What gradients need comes in new objects."""

    memory: int
    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def by(cls, value: Tensor) -> "Shown":
        """Return what a tensor shows; one without cells shows nothing that another one does."""
        memory = 0 if value._is_zerotensor() else value.untyped_storage().data_ptr()
        memory = memory or id(value)
        return cls(memory, int(value.storage_offset()), value.dtype, tuple(value.shape), value.stride())


@cache
def _general() -> Mapping[Any, Callable[..., Any]]:
    """Return torch's own ways to compute operations by simpler ones."""
    return torch.export.default_decompositions()


class _Recorder(TorchDispatchMode):
    """What is computed from the inputs, while this is active."""

    def __init__(self, known: Callable[[str], bool], decompositions: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__()
        self.known, self.decompositions = known, decompositions
        self.steps: list[Step] = []
        self.places: dict[Shown, tuple[Place, StorageWeakRef]] = {}
        """Places of tensors, and their memory, which others use once it is gone."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and record it if it depends on the inputs."""
        kwargs = kwargs or {}
        if not any(isinstance(self.placed(value), Place) for value in _among((args, kwargs), Tensor)):
            return func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        if name in self.decompositions:
            refuse_others(name, self.decompositions[name], args, kwargs)
            with self:
                result = self.decompositions[name](*args, **kwargs)
            if result is NotImplemented:
                raise NotExportableError(_refusal(name))
            return result
        if self.known(name):
            return self._step(name, func, args, kwargs)
        if name.endswith("_") and not name.startswith("_"):
            return self._in_place(name, func, args, kwargs)
        with self:
            result = func.decompose(*args, **kwargs)
            if result is NotImplemented and func in _general():
                result = _general()[func](*args, **kwargs)
        if result is NotImplemented:
            raise NotExportableError(_refusal(name))
        return result

    def _step(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        """Run and record an operation."""
        kept = {option: value for option, value in kwargs.items() if option not in IN_THE_RESULT}
        placed_args, placed_kwargs = _each(self.placed, (args, kept))
        result = func(*args, **kwargs)
        results = list(result) if isinstance(result, list | tuple) else [result]
        for j, value in enumerate(results):
            self.keep(value, Place(len(self.steps), j))
        shapes, dtypes = [tuple(value.shape) for value in results], [value.dtype for value in results]
        self.steps.append(Step(name, placed_args, placed_kwargs, shapes, dtypes))
        return result

    def _in_place(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        """Record an operation that changes its first argument as one that makes another in its place."""
        changed, pure = Shown.by(args[0]), getattr(torch.ops.aten, name[:-1], None)
        others = [own for own in self.places if own.memory == changed.memory and own != changed and self.lives(own)]
        is_part = args[0].numel() * args[0].element_size() < args[0].untyped_storage().nbytes()
        if others or is_part or pure is None or func._overloadname not in pure.overloads():
            raise NotExportableError(_refusal(name))
        with self:
            result = getattr(pure, func._overloadname)(*args, **kwargs)
        func(*args, **kwargs)
        self.keep(args[0], self.placed(result))
        return args[0]

    def keep(self, value: Tensor, place: Place) -> None:
        """Keep the place of a tensor."""
        self.places[Shown.by(value)] = place, StorageWeakRef(value.untyped_storage())

    def placed(self, value: Any) -> Any:
        """Return the place of a tensor that depends on the inputs; anything else stays as it is."""
        if not isinstance(value, Tensor):
            return value
        shown = Shown.by(value)
        return self.places[shown][0] if self.lives(shown) else value

    def lives(self, shown: Shown) -> bool:
        """Return whether what is shown has a place."""
        return shown in self.places and not self.places[shown][1].expired()


REASONS = {
    "_local_scalar_dense": "a decision that depends on the values of the rows",
    "embedding_bag": "a tabulated embedding",
}
"""What some operations mean."""


def _refusal(name: str, options: str = "") -> str:
    return f"The model computes {REASONS.get(name, f'the operation {name!r}')}{options}, which cannot be exported."


IN_THE_RESULT = {"dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "implicit", "sparse_grad"}
"""Options of operations that concern only how results are stored, of which the dtype is recorded, or gradients."""


def refuse_others(name: str, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise an error if an operation has arguments that a function in its place does not take."""
    try:
        _signature(function).bind(*args, **kwargs)
    except TypeError:
        given = ", ".join(f"{option}={value!r}" for option, value in kwargs.items()) or f"{len(args)} arguments"
        raise NotExportableError(_refusal(name, f" with {given}")) from None


_signature = cache(signature)


def _each(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return nested arguments with a function's results for what is in them; places are not taken apart."""
    if type(tree) in (list, tuple):
        return type(tree)([_each(function, own) for own in tree])
    return {key: _each(function, own) for key, own in tree.items()} if type(tree) is dict else function(tree)


def _among(tree: Any, kind: Any) -> list[Any]:
    """Return what is of a kind among nested arguments."""
    found: list[Any] = []
    _each(lambda value: found.append(value) if isinstance(value, kind) else None, tree)
    return found


def _merge(traces: Sequence[Trace], counts: Sequence[int]) -> Trace:
    """Return what recordings have in common, with the number of rows where they differ by it."""
    steps = {}
    for position in traces[0].needed():
        name, *parts = zip(*(own.steps[position] for own in traces), strict=True)
        steps[position] = Step(name[0], *(_common(part, name[0], counts) for part in parts))
    return Trace(steps, _common([trace.outputs for trace in traces], "the result", counts))


def _common(found: Sequence[Any], name: str, counts: Sequence[int]) -> Any:
    """Return an argument that recordings share."""
    first: Any = found[0]
    kinds = {type(own) for own in found}
    if all(issubclass(kind, Tensor) for kind in kinds):
        return _common_tensor(found, name, counts)
    if len(kinds) == 1:
        if isinstance(first, dict) and all(own.keys() == first.keys() for own in found):
            return {key: _common([own[key] for own in found], name, counts) for key in first}
        if isinstance(first, list | tuple) and not isinstance(first, Place) and len(set(map(len, found))) == 1:
            return [_common(own, name, counts) for own in zip(*found, strict=True)]
        if all(own == first or (own != own and first != first) for own in found):
            return first
        if isinstance(first, int) and all(own * counts[0] == first * n for own, n in zip(found, counts, strict=True)):
            return Rows(first // counts[0])
    raise NotExportableError(f"The model computes {name!r} with a value that depends on the number of rows.")


class Repeated(NamedTuple):
    """A constant that is the same for all rows: its value for one row, and its shape."""

    value: Tensor
    shape: list[Any]


def _common_tensor(found: Sequence[Tensor], name: str, counts: Sequence[int]) -> Any:
    """Return a constant that recordings share, or that of one row where there is one for each."""
    first = found[0]
    if all(_is_same(own, first) for own in found):
        return first
    if len({own.dim() for own in found}) == 1:
        one = first
        for axis, sizes in enumerate(zip(*(own.shape for own in found), strict=True)):
            one = one if len(set(sizes)) == 1 else one.narrow(axis, 0, 1)
        shape = _common([list(own.shape) for own in found], name, counts)
        if all(_is_close(one.expand_as(own), own) for own in found):
            return Repeated(one.contiguous(), shape)
    raise NotExportableError(f"The model computes {name!r} with numbers that depend on the number of rows.")


def _is_same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a.nan_to_num(7e30), b.nan_to_num(7e30))


def _is_close(a: Tensor, b: Tensor) -> bool:
    """Return whether two constants are the same but for a few roundings of their largest cell.

    Products depend on where a row lies.
    """
    if a.shape != b.shape or a.dtype != b.dtype or not a.is_floating_point():
        return _is_same(a, b)
    rounding = ROUNDINGS * torch.finfo(a.dtype).eps
    largest = float(a.abs().nan_to_num(0.0, 0.0, 0.0).amax()) if a.numel() else 0.0
    return torch.allclose(a, b, rtol=rounding, atol=rounding * largest, equal_nan=True)
