"""A function of rows as a list of torch's operations: recorded once, then run on other rows, in any thread."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from .captured_step_cpu import Operation, Tape, lies_alike, moved, quickest_function, storage, tensors


class Slot(NamedTuple):
    """Placeholder for a tensor that a run of a program makes."""

    position: int


class Program:
    """The operations of a function on rows, without the overhead of Python and `vmap`.

    Each run makes its own tensors, and whatever does not depend on the rows is computed once: several threads may run
    it at once.

    Parameters
    ----------
    function : callable
        From rows to a tensor. Its operations must be the same whatever the numbers are.
    x : Tensor
        Rows; the program takes others of their shape and type.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], x: Tensor) -> None:
        with Tape() as tape:
            result = function(x)
        steps = _needed(_of_rows(tape.operations, x), result)
        slots, steps = _slots(steps, x)
        if id(result) not in slots or any(id(own) in slots for step in steps for own in tensors(step.kwargs)):
            raise ValueError("the result does not follow from the rows by torch's operations on tensors")
        self.n_slots, self.result = len(slots), slots[id(result)].position
        ending = _ending(steps, slots, {self.result})
        self.steps = [(*_call(step, slots), own) for step, own in zip(steps, ending, strict=True)]

    def __call__(self, x: Tensor) -> Tensor:
        """Run the program on rows."""
        values: list[Any] = [x, *[None] * (self.n_slots - 1)]
        for function, args, varying, kwargs, places, ending in self.steps:
            given = args.copy()
            for position, part in varying:
                given[position] = values[part.position] if type(part) is Slot else _filled(part, values)
            made = function(*given, **kwargs)
            if type(made) is Tensor:
                values[places[0]] = made
            else:
                for place, tensor in zip(places, tensors(made), strict=True):
                    values[place] = tensor
            for slot in ending:  # its memory, which is in the cache, can then be used by the next steps
                values[slot] = None
        return values[self.result]


def _needed(steps: Sequence[Operation], result: Tensor) -> list[Operation]:
    """Return the steps without those whose results are not used."""
    needed, kept = {storage(result)}, []
    for step in reversed(steps):
        if not needed.isdisjoint(map(storage, [*step.results, *step.written])):
            needed.update(map(storage, step.inputs))
            kept.append(step)
    return kept[::-1]


def _slots(steps: Sequence[Operation], x: Tensor) -> tuple[dict[int, Slot], list[Operation]]:
    """Return the slots of tensors by their ids, and the steps without those that return a tensor unchanged."""
    slots, kept = {id(x): Slot(0)}, []
    for step in steps:
        known = [own for own in step.inputs if id(own) in slots]
        same = [own for own in known if step.is_view and all(lies_alike(own, made) for made in step.results)]
        if not same:
            kept.append(step)
        for made in step.results:
            slots.setdefault(id(made), slots[id(same[0])] if same else Slot(len(slots)))
    return slots, kept


def _ending(steps: Sequence[Operation], slots: dict[int, Slot], kept: set[int]) -> list[list[int]]:
    """Return the slots that are no longer used after each step, without those to be kept."""
    last = {slots[id(own)].position: k for k, step in enumerate(steps) for own in step.inputs if id(own) in slots}
    return [[slot for slot, at in last.items() if at == k and slot not in kept] for k in range(len(steps))]


def _call(step: Operation, slots: dict[int, Slot]) -> tuple[Any, list[Any], list[tuple[int, Any]], dict, list[int]]:
    """Return the function of a step, its arguments, which of them vary and how, and the slots of its results."""
    args: list[Any] = list(moved(step.args, lambda tensor: slots.get(id(tensor), tensor)))
    varying = [(position, part) for position, part in enumerate(args) if type(part) in (Slot, list, tuple)]
    places = [slots[id(made)].position for made in step.results]
    return quickest_function(step.function, step.args, step.kwargs), args, varying, step.kwargs, places


def _filled(tree: Any, values: Sequence[Any]) -> Any:
    """Return a nest of tuples and lists with tensors in their slots."""
    if type(tree) is Slot:
        return values[tree.position]
    return [_filled(part, values) for part in tree] if isinstance(tree, (tuple, list)) else tree


def _of_rows(operations: Sequence[Operation], x: Tensor) -> list[Operation]:
    """Return the operations that depend on the rows, and those that make the tensors they write to."""
    moving, before = {storage(x)}, 0
    while len(moving) > before:
        before = len(moving)
        for own in operations:
            if not moving.isdisjoint({*map(storage, own.inputs), *own.made}):
                moving |= {*own.made, *map(storage, own.written)}
    steps = [own for own in operations if not moving.isdisjoint({*map(storage, own.inputs), *own.made})]
    made = {key for own in steps for key in own.made}
    if not made | {storage(x)} >= moving:
        raise ValueError("a module writes to a tensor that does not depend on the rows")
    return steps
