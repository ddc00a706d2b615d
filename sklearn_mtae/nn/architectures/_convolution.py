"""Convolutional networks for rows that are flattened images or signals."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from math import isqrt, prod
from numbers import Integral
from typing import Any

from torch import Tensor, nn

from ._layers import nonlinearity
from ._mlp import perceptron

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}
SHAPES = {1: "(length,) or (channels, length)", 2: "(height, width) or (channels, height, width)"}


class OnMaps(nn.Module):
    """Convolutions that run on rows of flattened feature maps and return such rows.

    Parameters
    ----------
    shape : sequence of int
        Channels, then the size of a map along each axis.
    layers : sequence of Module
        From (n_maps, *shape) to maps with `n_params` channels for each flattened channel.
    n_params : int, default=1
        Parameters per column; those of one column are adjacent in the rows returned.
    """

    def __init__(self, shape: Sequence[int], layers: Sequence[nn.Module], n_params: int = 1) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.n_params = n_params
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_inputs) to (..., n_outputs)."""
        rows = x.shape[:-1]
        maps = self.layers(x.reshape(prod(rows), *self.shape))
        columns = maps.unflatten(1, (-1, self.n_params)).movedim(2, -1)
        return columns.reshape(*rows, prod(columns.shape[1:]))


def halving(size: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the settings of a convolution that halves every axis, rounded down; an axis of one pixel stays.

    The kernel is a multiple of the stride, so that every output pixel of a transposed convolution is a sum of equally
    many terms (Odena et al. 2016, doi 10.23915/distill.00003).
    """
    kernel, stride, padding = zip(*((4, 2, 1) if n > 1 else (1, 1, 0) for n in size), strict=True)
    return {"kernel_size": kernel, "stride": stride, "padding": padding}


def downward(channels: Sequence[int], sizes: Sequence[Sequence[int]], **style: Any) -> list[nn.Module]:
    """Return strided convolutions from the first channels and size to the last, each with an activation."""
    convolution, layers = CONVOLUTIONS[len(sizes[0])], []
    for (n_inputs, n_outputs), size in zip(pairwise(channels), sizes[:-1], strict=True):
        layers += [convolution(n_inputs, n_outputs, **halving(size)), *nonlinearity(n_outputs, **style)]
    return layers


def upward(channels: Sequence[int], sizes: Sequence[Sequence[int]], **style: Any) -> list[nn.Module]:
    """Return transposed convolutions from the last number of channels and the last size to the first.

    An activation precedes each of them; none follows the last.
    """
    convolution, layers = TRANSPOSED[len(sizes[0])], []
    for (n_outputs, n_inputs), size in reversed(list(zip(pairwise(channels), sizes[:-1], strict=True))):
        odd = tuple(n % 2 if n > 1 else 0 for n in size)
        layers += nonlinearity(n_inputs, **style)
        layers.append(convolution(n_inputs, n_outputs, **halving(size), output_padding=odd))
    return layers


def channels_and_size(image_shape: Any, n_features: int, n_axes: int) -> tuple[int, ...]:
    """Return channels and size of the images in rows of `n_features` columns."""
    shape = tuple(image_shape) if isinstance(image_shape, Iterable) else ()
    if not (len(shape) - n_axes in (0, 1) and all(isinstance(n, Integral) and int(n) >= 1 for n in shape)):
        raise ValueError(f"image_shape must be {SHAPES[n_axes]}, integers >= 1. Got {image_shape!r} instead.")
    if prod(shape) != n_features:
        raise ValueError(
            f"image_shape must have a product of {n_features}, the number of features. Got {image_shape!r} instead, "
            f"with a product of {prod(shape)}."
        )
    return (1,) * (n_axes + 1 - len(shape)) + tuple(int(n) for n in shape)


def check_channels(channels: Any) -> tuple[int, ...]:
    """Return the channels of each convolution."""
    widths = tuple(channels) if isinstance(channels, Iterable) else ()
    if not (widths and all(isinstance(width, Integral) and int(width) >= 1 for width in widths)):
        raise ValueError(f"channels must hold integers >= 1, at least one of them. Got {channels!r} instead.")
    return tuple(int(width) for width in widths)


def convolutional(
    shape: Sequence[int],
    n_code: int,
    n_components: int,
    n_outputs: int,
    *,
    channels: Sequence[int],
    hidden_layer_sizes: Sequence[int],
    **style: Any,
) -> tuple[nn.Module, nn.Module]:
    """Return encoder and decoder for rows of images of one shape: (channels, length) or (channels, height, width)."""
    if n_outputs % prod(shape):
        raise ValueError(f"n_outputs must be a multiple of n_features={prod(shape)}. Got {n_outputs} instead.")
    n_params = n_outputs // prod(shape)
    widths = check_channels(channels)
    sizes = [tuple(max(1, n // 2**depth) for n in shape[1:]) for depth in range(len(widths) + 1)]
    smallest = (widths[-1], *sizes[-1])
    maps = {"sizes": sizes, "norm": partial(nn.GroupNorm, 1), **style}
    down = OnMaps(shape, downward([shape[0], *widths], **maps))
    up = OnMaps(smallest, upward([n_params * shape[0], *widths], **maps), n_params)
    encoder = nn.Sequential(down, *perceptron([prod(smallest), *hidden_layer_sizes, n_code], **style))
    decoder = nn.Sequential(*perceptron([n_components, *reversed(hidden_layer_sizes), prod(smallest)], **style), up)
    return encoder, decoder


def conv(
    n_features: int,
    n_code: int,
    n_components: int,
    n_outputs: int,
    *,
    hidden_layer_sizes: Sequence[int] = (128,),
    activation: str = "relu",
    dropout: float = 0.0,
    layer_norm: bool = False,
    image_shape: Sequence[int] | None = None,
    channels: Sequence[int] = (32, 64),
) -> tuple[nn.Module, nn.Module]:
    """Return convolutional networks for rows that are flattened images, the decoder mirroring the encoder.

    Convolutions of stride 2, each halving height and width, then dense layers to the code; dense layers and transposed
    convolutions back (Dumoulin and Visin 2016, arXiv 1603.07285).

    Parameters
    ----------
    n_features : int
        Columns of the encoder's input: the pixels of an image, in the order in which `image.ravel()` gives them.
    n_code : int
        Outputs of the encoder: the posterior's parameters of all components.
    n_components : int
        Columns of the decoder's input.
    n_outputs : int
        Outputs of the decoder: the likelihood's parameters of all columns, a multiple of `n_features`.
    hidden_layer_sizes : sequence of int, default=(128,)
        Widths of the dense layers between the encoder's convolutions and the code; may be empty.
    activation : str, default="relu"
        Name of the activation after each convolution and each dense layer.
    dropout : float, default=0.0
        Dropout probability after each activation.
    layer_norm : bool, default=False
        Whether each row is normalised before each activation, over all channels and pixels of its feature maps.
    image_shape : sequence of int or None, default=None
        (height, width) or (channels, height, width), of any size; None is one square channel.
    channels : sequence of int, default=(32, 64)
        Channels of the feature maps after each of the encoder's convolutions.

    Raises
    ------
    ValueError
        If `image_shape` does not have `n_features` pixels, or `n_outputs` is not a multiple of `n_features`.

    Examples
    --------
    >>> import torch
    >>> encoder, decoder = conv(63, 4, 2, 63, image_shape=(7, 9), channels=(8, 16))
    >>> encoder(torch.zeros(5, 63)).shape, decoder(torch.zeros(5, 2)).shape
    (torch.Size([5, 4]), torch.Size([5, 63]))
    """
    side = isqrt(n_features)
    if image_shape is None and side**2 != n_features:
        raise ValueError(
            f"image_shape must be (height, width) or (channels, height, width) where the number of features is not a "
            f"perfect square. Got None for {n_features} features."
        )
    shape = channels_and_size((side, side) if image_shape is None else image_shape, n_features, 2)
    style = {"activation": activation, "dropout": dropout, "layer_norm": layer_norm}
    widths = {"channels": channels, "hidden_layer_sizes": hidden_layer_sizes}
    return convolutional(shape, n_code, n_components, n_outputs, **widths, **style)


def conv1d(
    n_features: int,
    n_code: int,
    n_components: int,
    n_outputs: int,
    *,
    hidden_layer_sizes: Sequence[int] = (128,),
    activation: str = "relu",
    dropout: float = 0.0,
    layer_norm: bool = False,
    image_shape: Sequence[int] | None = None,
    channels: Sequence[int] = (32, 64),
) -> tuple[nn.Module, nn.Module]:
    """Return convolutional networks for rows that are signals, the decoder mirroring the encoder.

    As `conv`, with convolutions along one axis.

    Parameters
    ----------
    n_features : int
        Columns of the encoder's input: the points of a signal, those of each channel together.
    n_code, n_components, n_outputs : int
        As for `conv`.
    hidden_layer_sizes : sequence of int, default=(128,)
        Widths of the dense layers between the encoder's convolutions and the code; may be empty.
    activation : str, default="relu"
        Name of the activation after each convolution and each dense layer.
    dropout : float, default=0.0
        Dropout probability after each activation.
    layer_norm : bool, default=False
        Whether each row is normalised before each activation, over all channels and points of its feature maps.
    image_shape : sequence of int or None, default=None
        (length,) or (channels, length), of any size; None is one channel.
    channels : sequence of int, default=(32, 64)
        Channels of the feature maps after each of the encoder's convolutions.

    Raises
    ------
    ValueError
        If `image_shape` does not have `n_features` points, or `n_outputs` is not a multiple of `n_features`.

    Examples
    --------
    >>> import torch
    >>> encoder, decoder = conv1d(50, 4, 2, 100, channels=(8, 16))
    >>> encoder(torch.zeros(5, 50)).shape, decoder(torch.zeros(5, 2)).shape
    (torch.Size([5, 4]), torch.Size([5, 100]))
    """
    shape = channels_and_size((n_features,) if image_shape is None else image_shape, n_features, 1)
    style = {"activation": activation, "dropout": dropout, "layer_norm": layer_norm}
    widths = {"channels": channels, "hidden_layer_sizes": hidden_layer_sizes}
    return convolutional(shape, n_code, n_components, n_outputs, **widths, **style)
