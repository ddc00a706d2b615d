"""Sources of random draws: generators owned by a model, so that torch's global state is left alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Self

import torch
from torch import Generator, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_one_at_a_time = threading.RLock()  # an architecture may itself ask a fitted estimator for its module
SEEDABLE = {"cpu", "cuda", "mps", "xpu"}
"""Types of devices that can draw; a "meta" tensor, for instance, holds no numbers."""


class Mode(TorchDispatchMode):
    """A base for modes that see the operations of their thread, without importing torch's slow compiler.

    One thread at a time: torch keeps one flag for all threads that says whether there is such a mode, and two that
    overlap would leave it wrong.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __enter__(self) -> Self:
        _one_at_a_time.acquire()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        try:
            super().__exit__(*error)
        finally:
            _one_at_a_time.release()


class Seeded(Mode):
    """Make this thread draw from seeded generators wherever it would draw from torch's global generators.

    This is for draws that have no other source, such as initial weights. The numbers are those that the global
    generators would give with this seed, but these are neither read nor advanced, whatever other threads draw from
    them. The exceptions are operations that take no generator in any form (attention with dropout within one kernel),
    which borrow the global one. Code that seeds torch itself seeds the global generator, and so does not change the
    draws made here.

    Parameters
    ----------
    seed : int
        Seed of the generators, one per device.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.generators: dict[torch.device, Generator] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        made_on = torch.device(kwargs.get("device") or "cpu")
        device = next((arg.device for arg in args if isinstance(arg, Tensor)), made_on)
        if device.type not in SEEDABLE:
            return func(*args, **kwargs)
        if device not in self.generators:
            self.generators[device] = Generator(device).manual_seed(self.seed)
        own = self.generators[device]
        taker, position = _with_generator(func)
        if taker is not None:
            given = args[position] if position < len(args) else kwargs.get("generator")
            others = args[:position] + args[position + 1 :]
            return taker(*others, **{**kwargs, "generator": own if given is None else given})
        if torch.is_inference_mode_enabled():
            # Outside inference mode, operations arrive here in parts, some of which take a generator.
            with torch.inference_mode(False), torch.no_grad(), self:
                return func(*args, **kwargs)
        with _as_global(own):
            return func(*args, **kwargs)


@cache
def _with_generator(func: Any) -> tuple[Any, int]:
    """Return the overload of an operation that takes a generator, if there is one, and the generator's position.

    The position is beyond the last argument if the generator is passed by name only.
    """
    names = [argument.name for argument in func._schema.arguments]
    if "generator" in names:
        return func, names.index("generator")
    others = (getattr(func.overloadpacket, name) for name in func.overloadpacket.overloads())
    for other in others:
        own = [argument.name for argument in other._schema.arguments]
        if "generator" in own and [name for name in own if name != "generator"] == names:
            return other, len(own)
    return None, 0


@contextmanager
def _as_global(generator: Generator) -> Iterator[None]:
    """Let a device's global generator continue from another's state within this context."""
    device = generator.device
    on_host = device.type == "cpu"
    source = torch.default_generator if on_host else getattr(torch, device.type).default_generators[device.index or 0]
    before = source.get_state()
    try:
        source.set_state(generator.get_state())
        yield
        generator.set_state(source.get_state())
    finally:
        source.set_state(before)


def draw_from(module: nn.Module, generator: Generator) -> None:
    """Make `generator` the source of all draws of a model and of the layers within it."""
    for part in module.modules():
        if hasattr(part, "generator"):
            part.__dict__["generator"] = generator
