"""Where draws come from: generators of a model's own, and torch's global state left as it was."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator, nn

_global_state = threading.RLock()  # an architecture may itself ask a fitted estimator for its module


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global CPU generator for a while and put it back as it was.

    For draws that know no other source, such as those of initial weights. One thread at a time, since two would restore
    each other's state.
    """
    with _global_state:
        before = torch.default_generator.get_state()
        try:
            torch.default_generator.manual_seed(seed)
            yield
        finally:
            torch.default_generator.set_state(before)


def draw_from(module: nn.Module, generator: Generator) -> None:
    """Make `generator` the source of all draws of a model and of the layers within it."""
    for part in module.modules():
        if hasattr(part, "generator"):
            part.__dict__["generator"] = generator
