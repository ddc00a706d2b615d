"""Where draws come from: generators of a model's own, and torch's global state left as it was."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor, nn

LEAST_WHOLE, N_WHOLE = -(2**15), 2**16
"""The least number that `draw_whole` draws, and how many there are."""

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


def draw_whole(like: Tensor, generator: Generator | None) -> Tensor:
    """Return a draw from the 16-bit whole numbers for each cell of a tensor, all of them equally likely."""
    if like.device.type != "cpu":
        numbers = LEAST_WHOLE, LEAST_WHOLE + N_WHOLE
        return torch.randint(*numbers, like.shape, dtype=torch.int16, device=like.device, generator=generator)
    # Four for one draw of 64 bits, in a third of the time that as many draws from an interval take.
    n_cells = like.shape[-1]
    drawn = like.new_empty(*like.shape[:-1], -(-n_cells // 4), dtype=torch.int64)
    return drawn.random_(-(2**63), None, generator=generator).view(torch.int16)[..., :n_cells]
