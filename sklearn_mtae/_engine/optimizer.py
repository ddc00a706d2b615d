"""The optimiser: AdamW over a few long vectors, and its state as arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import unwrap
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

State = dict[str, dict[str, NDArray]]
"""State of an optimiser for a model, by the names of the parameters that it moves."""
Slices = dict[str, list[tuple[int, int, nn.Parameter]]]
"""Parameters that an optimiser moves, by name: each holds the models from the first number to the second."""


def flatten_parameters(parameters: list[nn.Parameter]) -> nn.Parameter:
    """Lay out parameters and their gradients in one vector each, which the parameters become views of.

    A step of an optimiser takes Python time for every parameter, more than the arithmetic for a small network.
    """
    flat = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
    flat.grad = torch.zeros_like(flat)
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel()
        parameter.data = flat.data[start:stop].view(parameter.shape)
        parameter.grad = flat.grad[start:stop].view(parameter.shape)
        start = stop
    return flat


@dataclass
class Rate:
    """A step size that falls, where a step that is repeated looks it up."""

    value: float
    tensor: Tensor


class VectorAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) over a few long vectors.

    The kernel is that of `torch.optim.AdamW(fused=True)`; what is left out is torch's work in Python at each step for
    profilers, hooks and many parameters, and a count of the steps for each vector. A fit of a small network is 1.16
    times as fast, and `torch._dynamo`, whose import takes 2.6 s, is not imported.

    Parameters
    ----------
    params : iterable of Parameter or of dict
        Vectors, with their gradients allocated.
    lr, betas, eps, weight_decay
        As for `torch.optim.AdamW`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not (isinstance(betas, list | tuple) and len(betas) == 2 and all(0 <= beta < 1 for beta in betas)):
            raise ValueError(f"net_params must have two numbers in [0, 1) for 'optimizer__betas'. Got {betas!r}.")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self._lists: list[tuple[list, ...]] | None = None
        self._counters: list[Tensor] = []
        self._rates: list[Rate | None] = []

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of vectors."""
        # Without torch's wrapping, which imports its compiler: that takes longer than many fits.
        unwrap(torch.optim.Optimizer.add_param_group)(self, param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take a step, after the closure if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._lists is None:
            counters: dict[float, Tensor] = {}
            self._lists = [self._list(group["params"], counters) for group in self.param_groups]
            self._counters = list(counters.values())
            self._rates = [_rate(group["lr"]) if _falls(group) else None for group in self.param_groups]
        self.take_rates()
        torch._foreach_add_(self._counters, 1)  # pyright: ignore[reportPrivateImportUsage]
        for group, rate, lists in zip(self.param_groups, self._rates, self._lists, strict=True):
            vectors, gradients, means, squares, steps = lists
            torch._fused_adamw_(  # pyright: ignore[reportPrivateImportUsage]
                vectors,
                gradients,
                means,
                squares,
                [],
                steps,
                lr=group["lr"] if rate is None else rate.tensor,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the saved state of the optimiser."""
        super().load_state_dict(state_dict)
        self._lists = None
        for vector, state in self.state.items():
            # torch leaves the number of steps on the device where it was loaded; the fused kernel needs it beside the
            # vector.
            state["step"] = state["step"].to(vector.device)

    def take_rates(self) -> None:
        """Let the steps that follow, repeated ones too, have the step sizes that the groups have now."""
        for group, rate in zip(self.param_groups, self._rates, strict=False):
            # A recorded step must not hold the writing of what is there already.
            if rate is not None and rate.value != group["lr"]:
                rate.value = group["lr"]
                rate.tensor.fill_(rate.value)

    def numbers(self) -> list[dict[str, Any]]:
        """Return the numbers that a step takes, for each group, but for step sizes that it looks up."""
        looked_up = [{"params", "lr"} if _falls(group) else {"params"} for group in self.param_groups]
        return [
            {name: value for name, value in group.items() if name not in names}
            for group, names in zip(self.param_groups, looked_up, strict=True)
        ]

    def _list(self, vectors: list[nn.Parameter], counters: dict[float, Tensor]) -> tuple[list, ...]:
        """Return the arguments of a step of a group, looked up once: vectors, gradients, moments and steps.

        Vectors that have been moved equally often share a counter, which is looked up by its number, or added.
        """
        for vector in vectors:
            if not self.state[vector]:
                zeros = {name: torch.zeros_like(vector) for name in ("exp_avg", "exp_avg_sq")}
                self.state[vector] = {"step": torch.zeros((), device=vector.device), **zeros}
        states = [self.state[vector] for vector in vectors]
        for state in states:
            state["step"] = counters.setdefault(float(state["step"]), state["step"])
        means, squares, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
        return vectors, [vector.grad for vector in vectors], means, squares, steps

    step.hooked = True  # type: ignore[attr-defined]  # tells torch that its profiling wrapper is already in place


def _rate(value: float) -> Rate:
    """Return a step size with the tensor that it is looked up in."""
    return Rate(value, torch.tensor(value, dtype=torch.float64))


def _falls(group: dict[str, Any]) -> bool:
    """Return whether the step size of a group is looked up: on a CPU, where a tensor holds all of its digits."""
    return bool(group.get("annealing")) and group["params"][0].device.type == "cpu"


def dump_moments(optimizer: Any, slices: Slices, position: int, stacked: bool) -> State:
    """Save the optimiser's moments of one model as arrays; nothing if the optimiser is the user's own.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    slices : Slices
        The parameters that it moves.
    position : int
        Position of the model.
    stacked : bool
        Whether parameters have the models along their first axis.
    """
    if type(optimizer) is not VectorAdamW:
        return {}
    states: State = {}
    for name, parts in slices.items():
        first, part = next((first, part) for first, last, part in parts if first <= position < last)
        values = {k: v[position - first] if stacked and v.dim() else v for k, v in optimizer.state[part].items()}
        states[name] = {key: value.cpu().numpy().copy() for key, value in values.items()}
    return {name: state for name, state in states.items() if state}


def load_moments(optimizer: Any, slices: Slices, saved: Sequence[State], stacked: bool) -> None:
    """Restore the saved state of an optimiser for each model; it starts afresh if parameters have changed."""
    if type(optimizer) is not VectorAdamW:
        return
    for name, parts in slices.items():
        for first, last, part in parts:
            states = [state.get(name, {}) for state in saved[first:last]]
            shape = part.shape[1:] if stacked else part.shape
            if not all(state and state["exp_avg"].shape == shape for state in states):
                continue
            moments = {key: [state[key] for state in states] for key in ("exp_avg", "exp_avg_sq")}
            arrays = {key: np.stack(values) if stacked else values[0] for key, values in moments.items()}
            arrays["step"] = states[0]["step"]
            optimizer.state[part] = {key: torch.tensor(array, device=part.device) for key, array in arrays.items()}
