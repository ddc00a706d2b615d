"""Multi-layer perceptrons."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from ._layers import nonlinearity


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
        layers += [linear(n_inputs, n_outputs), *nonlinearity(n_outputs, activation, dropout, layer_norm)]
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
