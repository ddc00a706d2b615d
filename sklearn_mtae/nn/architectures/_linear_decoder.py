"""A network that encodes, and a linear map that decodes."""

from collections.abc import Sequence

from torch import nn

from ._mlp import perceptron


def linear_decoder(
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
    """Return a multi-layer perceptron and a decoder of one linear layer (LDVAE).

    `outputs = W z + b`: the weights of a component are its loadings on the columns, as in factor analysis, while the
    encoder remains free to find the codes for any likelihood (Svensson et al. 2020, doi
    10.1093/bioinformatics/btaa169).

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
        Widths of the encoder's hidden layers; the decoder has none.
    activation : str, default="relu"
        Name of the activation after each hidden layer.
    dropout : float, default=0.0
        Dropout probability after each hidden layer.
    layer_norm : bool, default=False
        Whether each hidden layer is normalised before its activation.

    Examples
    --------
    >>> import torch
    >>> encoder, decoder = linear_decoder(10, 4, 2, 10, hidden_layer_sizes=(64,))
    >>> encoder(torch.zeros(5, 10)).shape, decoder(torch.zeros(5, 2)).shape
    (torch.Size([5, 4]), torch.Size([5, 10]))
    >>> len(decoder)
    1
    """
    style = {"activation": activation, "dropout": dropout, "layer_norm": layer_norm}
    return perceptron([n_features, *hidden_layer_sizes, n_code], **style), perceptron([n_components, n_outputs])
