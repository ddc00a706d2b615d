"""Predictions at posterior means, with fewer products than in the full model."""

from copy import copy
from typing import Any, TypeGuard

from torch import Tensor, nn
from torch.nn import functional as F

from .embeddings import PiecewiseLinear
from .models import MultiTaskVAE
from .posteriors import PointPosterior
from .tabulated import Tabulated


class Product(nn.Module):
    """A linear layer that replaces several.

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
    """Declare that a function asks a model only for predictions at posterior means."""
    function.at_means = True
    return function


def for_means(model: MultiTaskVAE, tabulates: bool = True) -> MultiTaskVAE:
    """Return a model with the same predictions at posterior means, which can do nothing else.

    Consecutive linear layers are multiplied out, parts that predictions do not need are left out, and an embedding of
    the columns is tabulated together with the layer after it, if that is wanted.
    """
    parts: dict[str, Any] = {"decoder": nn.Identity(), "prior": nn.Identity()}
    parts["task_likelihood"] = model.task_likelihood.for_means()
    layers = _in_a_row(model.encoder)
    last = layers[-1]
    means = model.posterior.mean_layer(last.weight, last.bias) if _is_linear(last) else None
    folded = None if means is None else model.heads.after(*means)
    if folded is not None:
        weight, bias, parts["heads"] = folded
        layers[-1], parts["posterior"] = Product(weight, bias), PointPosterior()
    return _copied(model, encoder=nn.Sequential(*(_tabulated(layers) if tabulates else layers)), **parts)


def _in_a_row(network: nn.Module) -> list[nn.Module]:
    """Return the layers that a network runs one after the other."""
    if type(network) is not nn.Sequential:
        return [network]
    return [layer for part in network for layer in _in_a_row(part)]


def _tabulated(layers: list[nn.Module]) -> list[nn.Module]:
    """Return layers in sequence, with the first two as a table if they are an embedding and a linear layer."""
    if len(layers) < 2 or type(layers[0]) is not PiecewiseLinear or not _is_linear(layers[1]):
        return layers
    embedding, first = layers[0], layers[1]
    if first.weight.device.type != "cpu":  # elsewhere a product is faster
        return layers
    return [Tabulated(embedding, embedding.tabulate(first.weight, first.bias)), *layers[2:]]


def _is_linear(layer: nn.Module) -> TypeGuard[Product]:
    """Return whether a layer is linear and has a bias."""
    return type(layer) in (nn.Linear, Product) and layer.bias is not None


def _copied(model: MultiTaskVAE, **parts: nn.Module) -> MultiTaskVAE:
    """Return a model with some of its parts replaced."""
    other = copy(model)
    other._modules = {**model._modules, **parts}
    return other
