"""Linear layers of several models as one, with each product in its faster orientation.

Without it, a step of an ensemble takes a quarter longer: gradients of weights come transposed and are copied, and
biases are added separately.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sklearn_mtae.nn.batching import along_first

LANES = 16
"""Columns below which a product is slow, by up to six times, on processors that work on this many numbers at once. Its
transpose, with the rows in place of the columns, is not slow."""


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute a linear layer within `torch.func.vmap`: `F.linear` for all models at once."""
    if torch.is_autocast_enabled(input.device.type):
        return F.linear(input, weight, bias)
    return Linear.apply(input, weight, bias)


class Linear(torch.autograd.Function):
    """The linear layer of one model, which `torch.func.vmap` turns into a `StackedLinear` of all models."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return `x @ weight.mT + bias`."""
        return F.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        """Keep what the gradients need."""
        x, weight, bias = inputs
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)
        ctx.biased = bias is not None

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the gradients of rows, weights and biases."""
        x, weight = ctx.saved_tensors
        of_rows = gradient.reshape(-1, gradient.shape[-1])
        of_bias = of_rows.sum(0) if ctx.biased else None
        return gradient @ weight, of_rows.mT @ x.reshape(-1, x.shape[-1]), of_bias

    @staticmethod
    def jvp(ctx: Any, x: Tensor | None, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """Return the change of the outputs given changes of rows, weights and biases."""
        at_x, at_weight = ctx.saved_tensors
        by_x = None if x is None else F.linear(x, at_weight)
        by_weight = None if weight is None else F.linear(at_x, weight)
        by_bias = None if bias is None else bias.expand(*at_x.shape[:-1], -1)
        first, *others = (change for change in (by_x, by_weight, by_bias) if change is not None)
        return sum(others, first)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *inputs: Tensor | None) -> tuple[Tensor, int]:
        """Return the outputs of all models, along the first axis."""
        return StackedLinear.apply(*along_first(info, in_dims, inputs)), 0


class StackedLinear(torch.autograd.Function):
    """Linear layers of several models, along the first axis of rows, weights and biases."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map (n_models, ..., n_inputs) to (n_models, ..., n_outputs), each model with its own weights."""
        ctx.save_for_backward(x, weight)
        rows = as_rows(x)
        if bias is None:
            output = product(rows, weight.mT).contiguous()
        elif is_narrow(rows, weight.mT):
            output = rows.new_empty(*rows.shape[:-1], weight.shape[-2])
            torch.add(product(rows, weight.mT), bias[:, None], out=output)
        else:
            output = torch.baddbmm(bias[:, None], rows, weight.mT)
        return output.view(*x.shape[:-1], weight.shape[-2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients of rows, weights and biases."""
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        gradient = as_rows(gradient)
        return (
            product(gradient, weight).contiguous().view_as(x) if of_x else None,
            product(gradient.mT, as_rows(x)) if of_weight else None,
            gradient.sum(1) if of_bias else None,
        )


def as_rows(values: Tensor) -> Tensor:
    """Return values of shape (n_models, ..., n) as (n_models, n_rows, n)."""
    return values.reshape(len(values), -1, values.shape[-1])


def is_narrow(left: Tensor, right: Tensor) -> bool:
    """Return whether a matrix product is faster as the transpose of the product of the transposes."""
    return left.device.type == "cpu" and right.shape[-1] < min(LANES, left.shape[-2])


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return the products of matrices; narrow products are not contiguous."""
    return torch.bmm(right.mT, left.mT).mT if is_narrow(left, right) else torch.bmm(left, right)
