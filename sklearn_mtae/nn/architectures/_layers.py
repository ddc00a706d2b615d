"""Layers that the architectures are made of."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from sklearn_mtae.nn.random import LEAST_WHOLE, N_WHOLE, draw_whole

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": nn.Identity,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


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
