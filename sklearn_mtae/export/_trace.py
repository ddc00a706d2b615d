"""Recording what a function of rows computes: operations of torch whose shapes hold for any number of rows.

The function is run on two and on three rows. What does not depend on the rows is a constant and is not recorded. A
number that is the same both times is a constant too, one that is twice and three times as much stands for the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

COUNTS = 2, 3
"""Numbers of rows that a function is run on."""


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
    """The steps of a function, and what it returns: places, or tensors where they do not depend on the rows."""

    steps: list[Step]
    outputs: list[Any]


def trace(
    function: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Callable[[int], Tensor]],
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
    known : callable
        Whether a step of a name can be exported; others are taken apart.
    decompositions : mapping
        Functions that compute operations by simpler ones, by the operations' names.

    Raises
    ------
    NotExportableError
        If an operation is not known, or if what is computed depends on the values of the rows.
    """
    first, second = (_record(function, [make(n) for make in inputs], known, decompositions) for n in COUNTS)
    if [step.name for step in first.steps] != [step.name for step in second.steps]:
        raise NotExportableError("The model computes other operations for other numbers of rows.")
    return _merge(first, second)


def _record(
    function: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Tensor],
    known: Callable[[str], bool],
    decompositions: Mapping[str, Callable[..., Any]],
) -> Trace:
    """Record a function of given rows."""
    recorder = _Recorder(known, decompositions)
    for j, value in enumerate(inputs):
        recorder.places[id(value)] = Place(-1 - j)
    with torch.no_grad(), recorder:
        outputs = function(*inputs)
    return Trace(recorder.steps, [recorder.places.get(id(value), value) for value in outputs])


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
        self.places: dict[int, Place] = {}
        self.kept: list[Any] = []  # an identity may be used again once its tensor is gone

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and record it if it depends on the inputs."""
        kwargs = kwargs or {}
        if not any(id(value) in self.places for value in _tensors((args, kwargs))):
            return func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        if name in self.decompositions:
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
        placed_args, placed_kwargs = tree_map(self._placed, (args, kwargs))
        result = func(*args, **kwargs)
        results = list(result) if isinstance(result, list | tuple) else [result]
        for j, value in enumerate(results):
            self.places[id(value)] = Place(len(self.steps), j)
        self.kept += results
        shapes, dtypes = [tuple(value.shape) for value in results], [value.dtype for value in results]
        self.steps.append(Step(name, placed_args, placed_kwargs, shapes, dtypes))
        return result

    def _in_place(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        """Record an operation that changes its first argument as one that makes another in its place."""
        changed = args[0]
        own = changed.untyped_storage().data_ptr()
        others = [value for value in self.kept if value.untyped_storage().data_ptr() == own and value is not changed]
        pure = getattr(torch.ops.aten, name[:-1], None)
        if others or pure is None or func._overloadname not in pure.overloads():
            raise NotExportableError(_refusal(name))
        with self:
            result = getattr(pure, func._overloadname)(*args, **kwargs)
        func(*args, **kwargs)
        self.places[id(changed)] = self.places[id(result)]
        self.kept.append(changed)
        return changed

    def _placed(self, value: Any) -> Any:
        return self.places.get(id(value), value) if isinstance(value, Tensor) else value


REASONS = {
    "_local_scalar_dense": "a decision that depends on the values of the rows",
    "_linalg_eigh": "eigenvalues",
    "embedding_bag": "a tabulated embedding",
}
"""What some operations mean."""


def _refusal(name: str) -> str:
    return f"The model computes {REASONS.get(name, f'the operation {name!r}')}, which cannot be exported."


def _tensors(tree: Any) -> list[Tensor]:
    """Return the tensors among nested arguments."""
    found: list[Tensor] = []
    tree_map(lambda value: found.append(value) if isinstance(value, Tensor) else None, tree)
    return found


def _merge(first: Trace, second: Trace) -> Trace:
    """Return what two recordings have in common, with the number of rows where they differ by it."""
    steps = []
    for a, b in zip(first.steps, second.steps, strict=True):
        parts = {own: _common(getattr(a, own), getattr(b, own), a.name) for own in ("args", "kwargs", "shapes")}
        steps.append(a._replace(**parts))
    return Trace(steps, _common(first.outputs, second.outputs, "the result"))


def _common(a: Any, b: Any, name: str) -> Any:
    """Return an argument that two recordings share."""
    if isinstance(a, Tensor):
        return _common_tensor(a, b, name)
    if isinstance(a, Place):
        return a
    if isinstance(a, dict):
        return {key: _common(a[key], b[key], name) for key in a}
    if isinstance(a, list | tuple):
        return [_common(own, other, name) for own, other in zip(a, b, strict=True)]
    if a == b or (a != a and b != b):
        return a
    if isinstance(a, int) and a * COUNTS[1] == b * COUNTS[0]:
        return Rows(a // COUNTS[0])
    raise NotExportableError(f"The model computes {name!r} with a number that depends on the number of rows.")


class Repeated(NamedTuple):
    """A constant that is the same for all rows: its value for one row, and its shape."""

    value: Tensor
    shape: list[Any]


def _common_tensor(a: Tensor, b: Tensor, name: str) -> Any:
    """Return a constant that two recordings share, or that of one row where there is one for each."""
    if a.shape == b.shape and torch.equal(a.nan_to_num(7e30), b.nan_to_num(7e30)):
        return a
    own = a
    for axis, (n, m) in enumerate(zip(a.shape, b.shape, strict=True)):
        if n != m:
            own = own.narrow(axis, 0, 1)
    if a.dim() == b.dim() and torch.equal(own.expand_as(a).nan_to_num(7e30), a.nan_to_num(7e30)):
        return Repeated(own.contiguous(), _common(list(a.shape), list(b.shape), name))
    raise NotExportableError(f"The model computes {name!r} with numbers that depend on the number of rows.")
