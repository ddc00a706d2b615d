"""Architectures: how encoder, decoder and heads are wired.

A factory takes the widths and returns two modules: an encoder from (n_rows, n_features) to (n_rows, n_code) and a
decoder from (..., n_components) to (..., n_outputs).
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

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


class BatchedLinear(nn.Module):
    """One linear layer per task, computed as one product.

    Parameters
    ----------
    n_tasks, n_inputs, n_outputs : int
        Number of tasks, inputs of each and outputs of each.
    """

    def __init__(self, n_tasks: int, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        bound = n_inputs**-0.5
        self.weight = nn.Parameter(torch.empty(n_tasks, n_outputs, n_inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_tasks, n_outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_tasks, n_inputs) to (..., n_tasks, n_outputs), each task by its own weights."""
        if self.weight.shape[1] == 1:
            return (x * self.weight[:, 0]).sum(-1, keepdim=True) + self.bias
        return torch.einsum("...ti,toi->...to", x, self.weight) + self.bias

    def share(self, x: Tensor) -> Tensor:
        """Map (..., n_inputs), the same for all tasks, to (..., n_tasks, n_outputs)."""
        return F.linear(x, self.weight.flatten(0, 1), self.bias.flatten()).unflatten(-1, self.bias.shape)


def perceptron(
    widths: Sequence[int],
    activation: str = "relu",
    dropout: float = 0.0,
    layer_norm: bool = False,
    linear: Callable[[int, int], nn.Module] = nn.Linear,
) -> nn.Sequential:
    """Return linear layers of the given widths with activations between them, none after the last."""
    layers: list[nn.Module] = []
    for n_inputs, n_outputs in pairwise(widths[:-1]):
        layers.append(linear(n_inputs, n_outputs))
        layers += [nn.LayerNorm(n_outputs)] if layer_norm else []
        layers.append(ACTIVATIONS[activation]())
        layers += [Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, linear(widths[-2], widths[-1]))


class Heads(nn.Module):
    """One decoder of its own per task, all computed at once.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    widths : sequence of int
        Components of the code, widths of each head's hidden layers, outputs of each head.
    **style
        Activation, dropout and normalisation, as `perceptron` takes them.
    """

    def __init__(self, n_tasks: int, widths: Sequence[int], **style: Any) -> None:
        super().__init__()
        self.layers = perceptron(widths, linear=partial(BatchedLinear, n_tasks), **style)

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (..., n_rows, n_components) to parameters (..., n_rows, n_tasks * n_outputs)."""
        first = self.layers[0]
        assert isinstance(first, BatchedLinear)
        return self.layers[1:](first.share(z)).flatten(-2)


def mlp(
    n_features: int,
    n_code: int,
    n_components: int,
    n_outputs: int,
    *,
    hidden_layer_sizes: Sequence[int] = (128,),
    activation: str = "relu",
    dropout: float = 0.0,
    layer_norm: bool = False,
) -> tuple[nn.Module, nn.Module]:
    """Return two multi-layer perceptrons, the decoder's widths mirroring the encoder's.

    Parameters
    ----------
    n_features : int
        Columns of the encoder's input.
    n_code : int
        Outputs of the encoder: the posterior's parameters of all components.
    n_components : int
        Columns of the decoder's input.
    n_outputs : int
        Outputs of the decoder: the likelihood's parameters of all columns.
    hidden_layer_sizes : sequence of int, default=(128,)
        Widths of the encoder's hidden layers; empty for a linear model.
    activation : str, default="relu"
        Name of the activation after each hidden layer.
    dropout : float, default=0.0
        Dropout probability after each hidden layer.
    layer_norm : bool, default=False
        Whether each hidden layer is normalised before its activation.
    """
    style = {"activation": activation, "dropout": dropout, "layer_norm": layer_norm}
    encoder = perceptron([n_features, *hidden_layer_sizes, n_code], **style)
    decoder = perceptron([n_components, *reversed(hidden_layer_sizes), n_outputs], **style)
    return encoder, decoder


ARCHITECTURES: dict[str, Callable[..., tuple[nn.Module, nn.Module]]] = {"mlp": mlp}
