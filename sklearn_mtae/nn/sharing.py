"""Sharing: how the heads of the tasks read the code, and what they share beyond it.

Heads take the number of tasks, the widths of one head and the style of its layers. They map codes to the parameters of
every task at once. Each kind of sharing is one small class and one dictionary entry.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .architectures import perceptron


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
        """Map (..., n_tasks, n_inputs) to (..., n_tasks, n_outputs), each task with its own weights."""
        if self.weight.shape[1] == 1:
            return (x * self.weight.squeeze(1)).sum(-1, keepdim=True) + self.bias
        return torch.einsum("...ti,toi->...to", x, self.weight) + self.bias

    def share(self, x: Tensor) -> Tensor:
        """Map (..., n_inputs), the same for all tasks, to (..., n_tasks, n_outputs)."""
        return F.linear(x, self.weight.flatten(0, 1), self.bias.flatten()).unflatten(-1, self.bias.shape)


def run_shared(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Run the networks of all tasks on the same (..., n_inputs); return (..., n_tasks, n_outputs)."""
    first = layers[0]
    assert isinstance(first, BatchedLinear)
    return layers[1:](first.share(x))


def own_parameters(layers: nn.Sequential) -> list[nn.Parameter]:
    """Return the parameters of the tasks' networks that have the tasks along their first axis."""
    linear = (layer for layer in layers if isinstance(layer, BatchedLinear))
    return [parameter for layer in linear for parameter in layer.parameters()]


class Heads(nn.Module):
    """Hard sharing: the tasks share only the code, and each has its own decoder (Caruana 1997).

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    widths : sequence of int
        Components of the code, widths of each head's hidden layers, outputs of each head.
    n_features : int, default=0
        Columns of X, for heads that read them.
    **style
        Activation, dropout and normalisation, as `perceptron` takes them. A normalisation has one gain per hidden unit,
        the same for all tasks.
    """

    n_extra: int = 0
    """Components of the code in addition to those that the features are decoded from."""
    # Declarations: see `nn.traits`.
    needs_hidden: ClassVar[bool] = False

    def __init__(self, n_tasks: int, widths: Sequence[int], *, n_features: int = 0, **style: Any) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        self.layers = perceptron(widths, linear=partial(BatchedLinear, n_tasks), **style)

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (..., n_rows, n_components + n_extra) to parameters (..., n_rows, n_tasks * n_outputs)."""
        return run_shared(self.layers, z).flatten(-2)

    def extend(self, code: Tensor, x: Tensor) -> Tensor:
        """Return posterior parameters of shape (n_rows, n_params * (n_components + n_extra)).

        Parameters
        ----------
        code : Tensor of shape (n_rows, n_params * n_components)
            Parameters of the components that all tasks share: the encoder's outputs.
        x : Tensor of shape (n_rows, n_features)
            The encoder's input.
        """
        return code

    def after(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, nn.Module] | None:
        """Merge the linear layer that makes codes with the first of the heads; return it and the rest of the heads.

        None if heads do more with codes than that, or if the product of the two is larger than both.

        Parameters
        ----------
        weight : Tensor of shape (n_components, n_inputs)
            Weights of the layer that makes codes.
        bias : Tensor of shape (n_components,)
            Its biases.
        """
        if type(self) is not Heads:
            return None
        first: Any = self.layers[0]
        own, shape = first.weight.flatten(0, 1), first.bias.shape
        if own.shape[0] > 2 * own.shape[1]:
            return None
        return (
            own @ weight,
            own @ bias + first.bias.flatten(),
            LaterLayers(nn.Sequential(*list(self.layers)[1:]), shape),
        )

    def networks(self) -> list[nn.Module]:
        """Return the networks that the heads are made of."""
        return [self.layers]

    def common(self) -> list[nn.Parameter]:
        """Return the parameters that more than one task reads."""
        own = {id(parameter) for parameter in self.own()}
        return [parameter for parameter in self.parameters() if id(parameter) not in own]

    def own(self) -> list[nn.Parameter]:
        """Return the task-specific parameters, with the tasks along the first axis."""
        return own_parameters(self.layers)


class LaterLayers(nn.Module):
    """Heads whose first layer is part of the encoder.

    Parameters
    ----------
    layers : Sequential
        The layers after it.
    shape : tuple of int
        Number of tasks and outputs of each after the first layer.
    """

    n_extra: int = 0

    def __init__(self, layers: nn.Sequential, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = layers
        self.shape = tuple(shape)

    def extend(self, code: Tensor, x: Tensor) -> Tensor:
        """Return the outputs of the encoder."""
        return code

    def forward(self, z: Tensor) -> Tensor:
        """Map outputs of the first layer (..., n_rows, n_tasks * n_outputs) to those of the last."""
        return self.layers(z.unflatten(-1, self.shape)).flatten(-2)


class MixtureOfExperts(Heads):
    """Experts that all tasks share, mixed for each task by its own gate (Ma et al. 2018, MMoE).

    `head_t(sum_k softmax(G_t z)_k expert_k(z))`: an expert is one hidden layer on the code z, a gate a linear map.
    doi 10.1145/3219819.3220007.

    Parameters
    ----------
    n_tasks, widths, n_features, **style
        As for `Heads`.
    n_experts : int, default=4
        Number of experts.
    n_hidden : int, default=32
        Width of an expert.
    """

    def __init__(
        self,
        n_tasks: int,
        widths: Sequence[int],
        *,
        n_features: int = 0,
        n_experts: int = 4,
        n_hidden: int = 32,
        **style: Any,
    ) -> None:
        if n_experts < 1:
            raise ValueError(f"n_experts must be at least 1. Got {n_experts!r} instead.")
        super().__init__(n_tasks, [n_hidden, *widths[1:]], **style)
        self.experts = BatchedLinear(n_experts, widths[0], n_hidden)
        self.activation = perceptron([1, n_hidden, 1], **style)[1:-1]
        self.gates = BatchedLinear(n_tasks, widths[0], n_experts)

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (..., n_rows, n_components) to parameters (..., n_rows, n_tasks * n_outputs)."""
        opinions = self.activation(self.experts.share(z))
        shares = self.gates.share(z).softmax(-1)
        return self.layers(torch.einsum("...tk,...kh->...th", shares, opinions)).flatten(-2)

    def networks(self) -> list[nn.Module]:
        """Return the networks that the heads are made of."""
        return [self.experts, self.gates, *super().networks()]

    def own(self) -> list[nn.Parameter]:
        """Return the task-specific parameters, with the tasks along the first axis."""
        return [*super().own(), *self.gates.parameters()]


class CrossStitch(Heads):
    """Heads that pass their hidden layers to each other through learned weights (Misra et al. 2016, arXiv 1604.03539).

    After each hidden layer, task s reads `sum_t A_st hidden_t`, where `A` starts at .9 on the diagonal and shares the
    rest among the other tasks.

    Parameters
    ----------
    n_tasks, widths, n_features, **style
        As for `Heads`; there must be a hidden layer.
    """

    needs_hidden = True
    start: Tensor

    def __init__(self, n_tasks: int, widths: Sequence[int], *, n_features: int = 0, **style: Any) -> None:
        super().__init__(n_tasks, widths, **style)
        if len(widths) < 3:
            raise ValueError("sharing='cross_stitch' needs a hidden layer in head_hidden_layer_sizes. Got none.")
        others = 0.1 / max(1, n_tasks - 1)
        start = torch.full((n_tasks, n_tasks), others).fill_diagonal_(0.9 if n_tasks > 1 else 1.0)
        self.register_buffer("start", start, persistent=False)
        # As vectors, and as distances from the start, because weight decay acts on matrices.
        self.stitches = nn.ParameterList(nn.Parameter(torch.zeros(n_tasks**2)) for _ in widths[2:])

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (..., n_rows, n_components) to parameters (..., n_rows, n_tasks * n_outputs)."""
        first = self.layers[0]
        assert isinstance(first, BatchedLinear)
        hidden = first.share(z)
        stitches = iter(self.stitches)
        for layer in list(self.layers)[1:]:
            if isinstance(layer, BatchedLinear):
                mixing = self.start + next(stitches).view_as(self.start)
                hidden = torch.einsum("st,...th->...sh", mixing, hidden)
            hidden = layer(hidden)
        return hidden.flatten(-2)

    def own(self) -> list[nn.Parameter]:
        """Return the task-specific parameters: those of the last layer."""
        return list(self.layers[len(self.layers) - 1].parameters())


class PrivateBlocks(Heads):
    """Heads with a few components of their own beside the shared ones, each from its own small encoder.

    Information that only one task needs then does not have to pass through the shared components, which limits the harm
    that unrelated tasks do to each other. The features are decoded only from the shared components.

    Parameters
    ----------
    n_tasks, widths, **style
        As for `Heads`.
    n_features : int
        Columns of X.
    n_private : int, default=4
        Number of own components per task.
    n_hidden : int, default=128
        Width of the hidden layer of each task's encoder.
    """

    n_params: ClassVar[int] = 2
    """Posterior parameters per component: mean and log variance."""

    def __init__(
        self,
        n_tasks: int,
        widths: Sequence[int],
        *,
        n_features: int,
        n_private: int = 4,
        n_hidden: int = 128,
        **style: Any,
    ) -> None:
        if min(n_private, n_hidden) < 1:
            raise ValueError(f"n_private and n_hidden must be >= 1. Got {n_private} and {n_hidden}.")
        super().__init__(n_tasks, [widths[0] + n_private, *widths[1:]], **style)
        self.n_private = n_private
        self.n_extra = n_tasks * n_private
        self.encoders = perceptron(
            [n_features, n_hidden, self.n_params * n_private], linear=partial(BatchedLinear, n_tasks), **style
        )

    def extend(self, code: Tensor, x: Tensor) -> Tensor:
        """Return posterior parameters of the shared components and of each task's own, grouped by kind."""
        private = run_shared(self.encoders, x).unflatten(-1, (self.n_params, self.n_private))
        shared = code.unflatten(-1, (self.n_params, -1))
        return torch.cat([shared, private.movedim(-3, -2).flatten(-2)], dim=-1).flatten(-2)

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (..., n_rows, n_components + n_extra) to parameters (..., n_rows, n_tasks * n_outputs)."""
        private = z[..., -self.n_extra :].unflatten(-1, (self.n_tasks, self.n_private))
        shared = z[..., None, : -self.n_extra].expand(*private.shape[:-1], -1)
        return self.layers(torch.cat([shared, private], dim=-1)).flatten(-2)

    def networks(self) -> list[nn.Module]:
        """Return the networks that the heads are made of."""
        return [self.encoders, *super().networks()]

    def own(self) -> list[nn.Parameter]:
        """Return the task-specific parameters, with the tasks along the first axis."""
        return [*own_parameters(self.encoders), *super().own()]


SHARINGS: dict[str, Callable[..., Heads]] = {
    "hard": Heads,
    "mmoe": MixtureOfExperts,
    "cross_stitch": CrossStitch,
    "private": PrivateBlocks,
}
