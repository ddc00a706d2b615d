"""Training steps on the CPU: their operations are recorded once, then repeated from the list.

A step of a small network consists of some hundred operations of a few microseconds. Most of its time is overhead:
Python, `vmap`, which takes each operation apart, and autograd, which records the backward pass. A list of the
operations with their tensors needs none of this. It repeats the same kernels on the same numbers, so that its results
equal those of the step to the last bit. As all tensors are known beforehand, so is which of them can share memory.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache, partial
from inspect import isbuiltin, ismethoddescriptor
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from sklearn_mtae.nn.random import Mode

Step = Callable[[], Any]

OF_NEW_TENSORS = {"dtype", "layout", "device", "pin_memory"}
"""Arguments of operations that make a tensor; they do not take them if given a tensor to fill."""
OF_SHAPES = {"ones_like", "zeros_like", "full_like", "new_ones", "new_zeros", "new_full"}
"""Operations that use only the shape of a tensor."""
COPIES = {"clone", "_to_copy"}
"""Operations that copy a tensor, into another type or not."""
ARITHMETIC = {"add", "sub", "mul", "div"}
"""Operations that treat a number like a tensor of it, and can write over their first argument."""
EMPTY = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
"""Operations that allocate memory without values."""


class Operation(NamedTuple):
    """An operation as it was run."""

    function: Any
    args: tuple
    kwargs: dict[str, Any]
    results: list[Tensor]
    made: set[int]
    """Storages of results that are not storages of arguments."""

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors among the arguments."""
        return tensors((self.args, self.kwargs))

    @property
    def written(self) -> list[Tensor]:
        """The tensors among the arguments that the operation changes."""
        schema = self.function._schema.arguments
        given = {**dict(zip((argument.name for argument in schema), self.args, strict=False)), **self.kwargs}
        changed = (a.name for a in schema if a.alias_info is not None and a.alias_info.is_write)
        return tensors([given.get(name) for name in changed])

    @property
    def is_view(self) -> bool:
        """Whether all results are views of the arguments, which are left unchanged."""
        return bool(self.results) and not self.made and not self.written

    @property
    def is_constant(self) -> bool:
        """Whether the results depend only on numbers and shapes."""
        reads = self.inputs and self.function.overloadpacket.__name__ not in OF_SHAPES
        return bool(self.made) and not reads and torch.Tag.nondeterministic_seeded not in self.function.tags

    def moved(self, move: Callable[[Tensor], Tensor]) -> "Operation":
        """Return the operation on other tensors."""
        args, kwargs, results = moved((self.args, self.kwargs, self.results), move)
        return self._replace(args=args, kwargs=kwargs, results=results)


class Tape(Mode):
    """Record the operations that are run."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.seen: dict[int, Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self._see(tensors((args, kwargs)))
        result = func(*args, **kwargs)
        results = tensors(result)
        if results and all(tensor.is_meta for tensor in results):
            return result  # shapes without numbers, which are the same in every step
        made = {storage(tensor) for tensor in results} - self.seen.keys()
        self._see(results)
        self.operations.append(Operation(func, args, kwargs, results, made))
        return result

    def _see(self, shown: Iterable[Tensor]) -> None:
        # Kept to the end, so that no two of them share a place.
        for tensor in shown:
            self.seen.setdefault(storage(tensor), tensor)


def record_cpu(step: Step, generator: Generator) -> Step:
    """Take a step, and return a function that repeats it.

    Parameters
    ----------
    step : callable
        The step. Its operations, tensors and numbers must be the same from step to step.
    generator : Generator
        Source of its draws, which continue from repetition to repetition as they would from step to step.
    """
    with Tape() as tape:
        step()
    with torch.no_grad():
        operations = needed(tape.operations)
        memory = share_memory(operations)
        calls = [call(operation.moved(partial(place, memory))) for operation in operations]

    def repeat() -> None:
        with torch.no_grad():
            for run in calls:
                run()

    return repeat


def needed(operations: Sequence[Operation]) -> list[Operation]:
    """Return the operations without those whose results already exist: views, and constants that stay constant."""
    written = {storage(tensor) for operation in operations for tensor in operation.written}
    return [
        operation
        for operation in operations
        if not (operation.is_view or (operation.is_constant and operation.made.isdisjoint(written)))
    ]


def share_memory(operations: Sequence[Operation]) -> dict[int, Tensor]:
    """Return memory for the results of operations, by their original storages.

    Memory is reused after its last use, at once if an operation can write over its argument. Recently used memory is
    likely to be in the processor's cache.
    """
    uses = {
        storage(tensor): at
        for at, operation in enumerate(operations)
        for tensor in (*operation.inputs, *operation.results)
    }
    made = {key for operation in operations for key in operation.made}
    memory: dict[int, Tensor] = {}
    free: list[Tensor] = []
    for at, operation in enumerate(operations):
        ending = {storage(tensor) for tensor in (*operation.inputs, *operation.results)} & made
        ending = {key for key in ending if uses[key] == at}
        for result in operation.results:
            key = storage(result)
            if key in memory or key not in operation.made:
                continue
            heir = next((old for old in ending - operation.made if can_replace(operation, old, result)), None)
            if heir is None:
                memory[key] = allocate(free, result.untyped_storage().nbytes())
            else:
                memory[key] = memory[heir]
                ending.remove(heir)
        free += [memory[key] for key in ending]
    return memory


def can_replace(operation: Operation, old: int, result: Tensor) -> bool:
    """Return whether an operation may write a result over one of its arguments."""
    those = [tensor for tensor in operation.inputs if storage(tensor) == old]
    return torch.Tag.pointwise in operation.function.tags and all(layout(tensor) == layout(result) for tensor in those)


def layout(tensor: Tensor) -> tuple:
    """Return the layout of a tensor in its storage."""
    size = tensor.untyped_storage().nbytes()
    return tensor.dtype, tensor.shape, tensor.stride(), tensor.storage_offset(), size


def allocate(free: list[Tensor], n_bytes: int) -> Tensor:
    """Return the smallest sufficient free memory (the latest, if there are several), or new memory."""
    fitting = [at for at, memory in enumerate(free) if len(memory) >= n_bytes]
    if not fitting:
        return torch.empty(-(-n_bytes // 16) * 16, dtype=torch.uint8)  # a whole number of cells of any type
    return free.pop(min(reversed(fitting), key=lambda at: len(free[at])))


def place(memory: dict[int, Tensor], tensor: Tensor) -> Tensor:
    """Return a tensor with the same layout in the memory of another one's storage."""
    shared = memory.get(storage(tensor))
    if shared is None:
        return tensor
    return shared.view(tensor.dtype).as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def call(operation: Operation) -> Step:
    """Return a function that runs an operation and puts its results in their place."""
    function, args, kwargs, results, made = operation
    name = function.overloadpacket.__name__
    if name in EMPTY:
        return int  # there is nothing to do
    if not made:
        return quickest(function, args, kwargs)
    if name in COPIES:
        return partial(results[0].copy_, args[0])
    if name in ARITHMETIC and isinstance(args[0], Tensor) and lies_alike(args[0], results[0]):
        return partial(getattr(args[0], f"{name}_"), *args[1:], **kwargs)
    if name == "relu":  # it has no kernel that fills a given tensor, and equals this
        return partial(torch.ops.aten.clamp_min.out._op, *args, 0, out=results[0])
    filling, names = filling_variant(of_tensors(function))
    if len(names) == len(results):
        known = {argument.name for argument in filling._schema.arguments}
        given = {name: value for name, value in kwargs.items() if name in known}
        return quickest(filling, args, {**given, **dict(zip(names, results, strict=True))})

    def run() -> None:
        for result, value in zip(results, tensors(function(*args, **kwargs)), strict=True):
            result.copy_(value)

    return run


known_quickest: dict[tuple[Any, tuple[type, ...]], Any] = {}
"""Torch's Python function for an operation on arguments of given types; None if there is none."""


def quickest(function: Any, args: tuple, kwargs: dict[str, Any]) -> Step:
    """Return a function that runs an operation through torch's own Python function, if there is one."""
    python = quickest_function(function, args, kwargs)
    if ismethoddescriptor(python):
        return partial(getattr(args[0], python.__name__), *args[1:], **kwargs)
    return partial(python, *args, **kwargs)


def quickest_function(function: Any, args: tuple, kwargs: dict[str, Any]) -> Callable[..., Any]:
    """Return torch's own Python function for an operation on arguments of such types, or a substitute.

    It reaches the kernel in half the time, which saves a sixth of a small network's step.
    """
    kinds = tuple(type(value) for value in (*args, *kwargs.values()))
    if (function, kinds) not in known_quickest:
        name = function.overloadpacket.__name__
        candidates = (getattr(place, name, None) for place in (torch, Tensor))
        written_in_c = (other for other in candidates if isbuiltin(other) or ismethoddescriptor(other))
        same = (other for other in written_in_c if operation_of(other, args, kwargs) is function)
        known_quickest[function, kinds] = next(same, None)
    return known_quickest[function, kinds] or function._op


class FirstOperation(Mode):
    """Stop at the first operation, before it is run."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise Found(func)


class Found(Exception):
    """Holds an operation."""


def operation_of(function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """Return the operation that a function of torch dispatches to, if it takes these arguments."""
    try:
        with suppress(TypeError, RuntimeError), FirstOperation():
            function(*args, **kwargs)
    except Found as found:
        return found.args[0]
    return None


def lies_alike(tensor: Tensor, other: Tensor) -> bool:
    """Return whether two tensors hold the same numbers."""
    return tensor.data_ptr() == other.data_ptr() and layout(tensor) == layout(other)


@cache
def filling_variant(function: Any) -> tuple[Any, list[str]]:
    """Return the variant of an operation that fills given tensors, and their argument names, if there is one."""
    packet, wanted = function.overloadpacket, arguments(function)
    for overload in packet.overloads():
        other = getattr(packet, overload)
        known, names = arguments(other), [argument.name for argument in other._schema.arguments if argument.is_out]
        left_out = wanted.keys() - known.keys()
        if names and left_out <= OF_NEW_TENSORS and known == {n: t for n, t in wanted.items() if n not in left_out}:
            return other, names
    return function, []


@cache
def of_tensors(function: Any) -> Any:
    """Return the two-tensor variant of an operation on a tensor and a number, which accepts a number as well.

    Only this variant fills a given tensor; the other makes its own and copies it.
    """
    name = function.overloadpacket.__name__
    return function.overloadpacket.Tensor if function._overloadname == "Scalar" and name in ARITHMETIC else function


def arguments(function: Any) -> dict[str, str]:
    """Return the types of the arguments of an operation by name, without the tensors that it fills."""
    return {argument.name: str(argument.type) for argument in function._schema.arguments if not argument.is_out}


def tensors(tree: Any) -> list[Tensor]:
    """Return the tensors in a nest of tuples, lists and dicts."""
    if isinstance(tree, Tensor):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (tuple, list)) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def moved(tree: Any, move: Callable[[Tensor], Any]) -> Any:
    """Return a nest of tuples, lists and dicts with its tensors replaced."""
    if isinstance(tree, Tensor):
        return move(tree)
    if isinstance(tree, dict):
        return {name: moved(part, move) for name, part in tree.items()}
    return type(tree)(moved(part, move) for part in tree) if isinstance(tree, (tuple, list)) else tree


def storage(tensor: Tensor) -> int:
    """Return a number that identifies the memory of a tensor."""
    return tensor.untyped_storage()._cdata  # its address is 0 where it is empty
