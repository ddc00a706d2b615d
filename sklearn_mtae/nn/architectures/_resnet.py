"""Residual networks for tables."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from ._layers import nonlinearity
from ._mlp import perceptron


class Residual(nn.Module):
    """A residual block (Gorishniy et al. 2021, arXiv 2106.11959): `skip(x) + B dropout(activation(A norm(x)))`.

    `skip` is x itself, or a linear map of it where the width changes.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Width before the block; width after it, and of its hidden layer.
    activation : str
        Name of the activation.
    dropout : float
        Dropout probability of the hidden layer.
    layer_norm : bool
        Whether the block normalises its input.
    """

    def __init__(self, n_inputs: int, n_outputs: int, activation: str, dropout: float, layer_norm: bool) -> None:
        super().__init__()
        self.skip = nn.Identity() if n_inputs == n_outputs else nn.Linear(n_inputs, n_outputs, bias=False)
        self.layers = nn.Sequential(
            *([nn.LayerNorm(n_inputs)] if layer_norm else []),
            nn.Linear(n_inputs, n_outputs),
            *nonlinearity(n_outputs, activation, dropout, layer_norm=False),
            nn.Linear(n_outputs, n_outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_inputs) to (..., n_outputs)."""
        return self.skip(x) + self.layers(x)


def residual(widths: Sequence[int], activation: str, dropout: float, layer_norm: bool) -> nn.Sequential:
    """Return a residual block per hidden width between two linear maps; one linear map where there is none."""
    n_inputs, *hidden, n_outputs = widths
    if not hidden:
        return perceptron(widths)
    blocks = [Residual(*pair, activation, dropout, layer_norm) for pair in pairwise([hidden[0], *hidden])]
    # The last block ends in a sum, so an activation is needed between it and the output.
    last = nonlinearity(hidden[-1], activation, 0.0, layer_norm)
    return nn.Sequential(nn.Linear(n_inputs, hidden[0]), *blocks, *last, nn.Linear(hidden[-1], n_outputs))


def resnet(
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
    """Return two residual networks for tables, the decoder's widths mirroring the encoder's.

    A linear map to the first width, a residual block per width, an activation and a linear output (Gorishniy et al.
    2021, arXiv 2106.11959).

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
        Width after each of the encoder's residual blocks; empty for a linear model.
    activation : str, default="relu"
        Name of the activation within each block and before the output.
    dropout : float, default=0.0
        Dropout probability after the activation of each block.
    layer_norm : bool, default=False
        Whether the input of each block, and that of the last activation, is normalised.

    Examples
    --------
    >>> import torch
    >>> encoder, decoder = resnet(10, 4, 2, 10, hidden_layer_sizes=(64, 32), layer_norm=True)
    >>> encoder(torch.zeros(5, 10)).shape, decoder(torch.zeros(7, 5, 2)).shape
    (torch.Size([5, 4]), torch.Size([7, 5, 10]))
    """
    style = {"activation": activation, "dropout": dropout, "layer_norm": layer_norm}
    encoder = residual([n_features, *hidden_layer_sizes, n_code], **style)
    decoder = residual([n_components, *reversed(hidden_layer_sizes), n_outputs], **style)
    return encoder, decoder
