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


class Dropout(nn.Module):
    """Dropout that draws from a generator of its own, where torch's draws from the global random state.

    Parameters
    ----------
    p : float
        Probability that a unit is dropped.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with units dropped and the others scaled up; `x` itself outside training."""
        if not self.training or self.p == 0:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * kept / (1 - self.p)


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
