"""Layers that the architectures are made of."""

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

LEAST_WHOLE, N_WHOLE = -(2**15), 2**16
"""The least number that `draw_whole` draws, and how many there are."""


class Dropout(nn.Module):
    """Dropout that draws from a generator of its own, where torch's draws from the global random state.

    Parameters
    ----------
    p : float
        Probability that a unit is dropped.
    """

    end: Tensor
    gain: Tensor

    def __init__(self, p: float) -> None:
        super().__init__()
        # Tensors, so that models of different probabilities make one stack.
        self.register_buffer("end", torch.tensor(round((1.0 - p) * N_WHOLE) + LEAST_WHOLE).float(), persistent=False)
        self.register_buffer("gain", torch.tensor(1.0 / (1.0 - p) if p < 1 else 0.0), persistent=False)
        self.generator: Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with units dropped and the others scaled up; `x` itself outside training."""
        if not self.training:
            return x
        drawn = draw_whole(x, self.generator).to(self.end.dtype)
        # 1 below the end, 0 from there on. A comparison would take longer, and even more so to become a number.
        kept = (self.end - drawn).clamp(0, 1)
        return x * (kept * self.gain).to(x.dtype)


def draw_whole(like: Tensor, generator: Generator | None) -> Tensor:
    """Return a draw from the 16-bit whole numbers for each cell of a tensor, all of them equally likely."""
    if like.device.type != "cpu":
        numbers = LEAST_WHOLE, LEAST_WHOLE + N_WHOLE
        return torch.randint(*numbers, like.shape, dtype=torch.int16, device=like.device, generator=generator)
    # Four for one draw of 64 bits, in a third of the time that as many draws from an interval take.
    n_cells = like.shape[-1]
    drawn = like.new_empty(*like.shape[:-1], -(-n_cells // 4), dtype=torch.int64)
    return drawn.random_(-(2**63), None, generator=generator).view(torch.int16)[..., :n_cells]


def own_dropout(module: nn.Module) -> nn.Module:
    """Replace every `torch.nn.Dropout` in a user's module by ours, in place."""
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
    """Return what stands between two linear maps: a normalisation if asked for, an activation, dropout if any."""
    normalised = [norm(width)] if layer_norm else []
    dropped = [Dropout(dropout)] if dropout else []
    return [*normalised, ACTIVATIONS[activation](), *dropped]
