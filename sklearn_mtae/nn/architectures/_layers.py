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

    kept: Tensor

    def __init__(self, p: float) -> None:
        super().__init__()
        # A tensor, so that models of different probabilities make one stack.
        self.register_buffer("kept", torch.tensor(1.0 - p), persistent=False)
        self.generator: Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with units dropped and the others scaled up; `x` itself outside training."""
        if not self.training:
            return x
        # Three times as fast as drawing from the Bernoulli distribution.
        drawn = torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=self.generator)
        return x * ((drawn < self.kept).to(x.dtype) / self.kept)


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
