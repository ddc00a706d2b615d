"""Layers shared by the architectures."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": nn.Identity,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}

LEAST_INT16, N_INT16 = -(2**15), 2**16
"""The smallest number that `draw_int16` draws, and how many numbers it draws from."""


class Dropout(nn.Module):
    """Dropout that draws from its own generator, whereas torch's draws from the global random state.

    Parameters
    ----------
    p : float
        Probability that a unit is dropped.
    """

    end: Tensor
    gain: Tensor

    def __init__(self, p: float) -> None:
        super().__init__()
        # Tensors, so that models with different probabilities can be stacked.
        self.register_buffer("end", torch.tensor(round((1.0 - p) * N_INT16) + LEAST_INT16).float(), persistent=False)
        self.register_buffer("gain", torch.tensor(1.0 / (1.0 - p) if p < 1 else 0.0), persistent=False)
        self.generator: Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with units dropped and the others scaled up; `x` itself outside training."""
        if not self.training:
            return x
        drawn = draw_int16(x, self.generator).to(self.end.dtype)
        # 1 below the end, 0 from there on. A comparison and its conversion to a number would take longer.
        kept = (self.end - drawn).clamp(0, 1)
        return x * (kept * self.gain).to(x.dtype)


def draw_int16(like: Tensor, generator: Generator | None) -> Tensor:
    """Return a 16-bit integer for each cell of a tensor, all integers equally likely."""
    if like.device.type != "cpu":
        numbers = LEAST_INT16, LEAST_INT16 + N_INT16
        return torch.randint(*numbers, like.shape, dtype=torch.int16, device=like.device, generator=generator)
    # Each 64-bit draw makes four of them, in a third of the time of four draws from an interval.
    n_cells = like.shape[-1]
    drawn = like.new_empty(*like.shape[:-1], -(-n_cells // 4), dtype=torch.int64)
    return quarters(drawn.random_(-(2**63), None, generator=generator))[..., :n_cells]


def quarters(numbers: Tensor) -> Tensor:
    """Return the four 16-bit integers of each 64-bit one, the lowest first, side by side in the last axis."""
    try:
        return numbers.view(torch.int16)
    except RuntimeError:  # older versions of torch have no such view under vmap
        parts = torch.stack([numbers >> shift for shift in (0, 16, 32, 48)], -1)
        return parts.to(torch.int16).flatten(-2)


def own_dropout(module: nn.Module) -> nn.Module:
    """Replace every `torch.nn.Dropout` within a module by `Dropout`, in place, and return the module."""
    for name, child in module.named_children():
        if type(child) is nn.Dropout:
            setattr(module, name, Dropout(child.p))
        else:
            own_dropout(child)
    return module


def nonlinearity(
    width: int,
    activation: str,
    dropout: float,
    layer_norm: bool,
    norm: Callable[[int], nn.Module] = nn.LayerNorm,
) -> list[nn.Module]:
    """Return the layers between two linear maps: optional normalisation, an activation, dropout if any."""
    normalised = [norm(width)] if layer_norm else []
    dropped = [Dropout(dropout)] if dropout else []
    return [*normalised, ACTIVATIONS[activation](), *dropped]
