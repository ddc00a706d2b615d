"""Architectures: the networks of encoder and decoder.

A factory takes the widths and returns two modules: an encoder from (n_rows, n_features) to (n_rows, n_code) and a
decoder from (..., n_components) to (..., n_outputs). The outputs of a column are adjacent, as `Likelihood.split`
expects them.
"""

from collections.abc import Callable
from inspect import signature

from torch import nn

from ._convolution import conv, conv1d
from ._layers import ACTIVATIONS, Dropout, own_dropout
from ._linear_decoder import linear_decoder
from ._mlp import mlp, perceptron
from ._pretrained import Pretrained
from ._resnet import resnet

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "IMAGE_ARCHITECTURES",
    "Dropout",
    "Pretrained",
    "conv",
    "conv1d",
    "linear_decoder",
    "mlp",
    "own_dropout",
    "perceptron",
    "resnet",
]

ARCHITECTURES: dict[str, Callable[..., tuple[nn.Module, nn.Module]]] = {
    "mlp": mlp,
    "resnet": resnet,
    "conv": conv,
    "conv1d": conv1d,
    "linear_decoder": linear_decoder,
}
IMAGE_ARCHITECTURES = [name for name, own in ARCHITECTURES.items() if "image_shape" in signature(own).parameters]
"""Names of the architectures that take an `image_shape`."""
