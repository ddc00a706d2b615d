"""Architectures: how encoder and decoder are wired.

A factory takes the widths and returns two modules: an encoder from (n_rows, n_features) to (n_rows, n_code) and a
decoder from (..., n_components) to (..., n_outputs).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

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


class Pretrained(nn.Module):
    """A trained encoder, and a linear map from its outputs to the parameters of a posterior.

    The map starts where the posterior's means are the known code, as far as there are components for it, and the log
    variances those that the encoder gives; -4 where it gives none. Other components start as the prior.

    Parameters
    ----------
    encoder : Module
        From columns to `n_outputs` outputs, the code (or its mean) first.
    n_outputs : int
        Outputs of the encoder.
    n_known : int
        Components of its code.
    n_components : int
        Components of the posterior.
    frozen : bool
        Whether the encoder stays as it is; it then works as outside training, without dropout.
    """

    def __init__(self, encoder: nn.Module, n_outputs: int, n_known: int, n_components: int, frozen: bool) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(not frozen)
        self.frozen = frozen
        self.adapter = nn.Linear(n_outputs, 2 * n_components)
        n_kept = min(n_known, n_components)
        with torch.no_grad():
            weight, bias = self.adapter.weight.zero_(), self.adapter.bias.zero_()
            weight[:n_kept, :n_kept].fill_diagonal_(1.0)
            if n_outputs == 2 * n_known:
                weight[n_components : n_components + n_kept, n_known : n_known + n_kept].fill_diagonal_(1.0)
            else:
                bias[n_components : n_components + n_kept] = -4.0

    def train(self, mode: bool = True) -> "Pretrained":
        """Set the mode of training, or not, of what is trained."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_features) to posterior parameters (n_rows, 2 * n_components)."""
        return self.adapter(self.encoder(x))


ARCHITECTURES: dict[str, Callable[..., tuple[nn.Module, nn.Module]]] = {"mlp": mlp}
