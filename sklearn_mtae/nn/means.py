"""Predictions at posterior means, with fewer products than the model that they are those of."""

from copy import copy
from typing import Any, TypeGuard

from torch import Tensor, nn
from torch.nn import functional as F

from .embeddings import PiecewiseLinear
from .models import MultiTaskVAE
from .posteriors import PointPosterior
from .tabulated import Tabulated


class Product(nn.Module):
    """A linear layer that several ones come to.

    Parameters
    ----------
    weight : Tensor of shape (n_outputs, n_inputs)
        Its weights.
    bias : Tensor of shape (n_outputs,)
        Its biases.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_inputs) to (..., n_outputs)."""
        return F.linear(x, self.weight, self.bias)


def at_means(function: Any) -> Any:
    """Declare that a function asks a model for predictions at posterior means alone."""
    function.at_means = True
    return function


def for_means(model: MultiTaskVAE) -> MultiTaskVAE:
    """Return a model whose predictions at posterior means are those of another, of which nothing else can be asked.

    Linear layers that follow each other are multiplied out, what a prediction does not need is left out, and an
    embedding of the columns is tabulated together with the layer after it.
    """
    parts: dict[str, Any] = {"decoder": nn.Identity(), "prior": nn.Identity()}
    parts["task_likelihood"] = model.task_likelihood.for_means()
    encoder = model.encoder
    last = _end(encoder, -1)
    means = model.posterior.mean_layer(last.weight, last.bias) if _is_linear(last) else None
    folded = None if means is None else model.heads.after(*means)
    if folded is not None:
        weight, bias, parts["heads"] = folded
        encoder, parts["posterior"] = _replaced(encoder, -1, Product(weight, bias)), PointPosterior()
    return _copied(model, encoder=_tabulated(encoder), **parts)


def _tabulated(encoder: nn.Module) -> nn.Module:
    """Return an encoder, tabulated as far as it is linear in an embedding."""
    if not (type(encoder) is nn.Sequential and type(encoder[0]) is PiecewiseLinear):
        return encoder
    embedding, network = encoder
    first = _end(network, 0)
    if not _is_linear(first) or first.weight.device.type != "cpu":
        return encoder
    return _replaced(network, 0, Tabulated(embedding, embedding.tabulate(first.weight, first.bias)))


def _is_linear(layer: nn.Module) -> TypeGuard[Product]:
    """Return whether a layer is linear and has a bias."""
    return type(layer) in (nn.Linear, Product) and layer.bias is not None


def _end(network: nn.Module, position: int) -> nn.Module:
    """Return the first or the last layer of layers in a row."""
    while type(network) is nn.Sequential and len(network):
        network = network[position]
    return network


def _replaced(network: nn.Module, position: int, layer: nn.Module) -> nn.Module:
    """Return layers in a row with another one in the place of the first or the last."""
    if type(network) is not nn.Sequential:
        return layer
    layers = list(network)
    layers[position] = _replaced(layers[position], position, layer)
    return nn.Sequential(*layers)


def _copied(model: MultiTaskVAE, **parts: nn.Module) -> MultiTaskVAE:
    """Return a model with some parts in the place of its own."""
    other = copy(model)
    other._modules = {**model._modules, **parts}
    return other
