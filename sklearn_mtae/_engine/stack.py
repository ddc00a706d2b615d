"""Several models of one kind as one, with their parameters and batches side by side."""

import sys
from collections.abc import Sequence
from copy import deepcopy
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from sklearn_mtae.nn.loss import Result, Scales, check_gradient

from .contents import bypass, named_tensors
from .linear import linear
from .optimizer import Slices
from .rows import Batch
from .single import Pair

WEIGHTING = "loss.weighting."
"""Prefix of the names of a weighting's parameters and buffers."""
HOOKS = {Tensor.register_hook, Tensor.retain_grad}
"""Hooks on gradients, which are not called within `torch.func.vmap`."""
OF_GRADIENTS = {getattr(Tensor, name).__get__ for name in ("requires_grad", "grad_fn", "is_leaf")}
"""Queries of a tensor's gradient, which are right only for torch's own functions within `torch.func.vmap`."""


class WithinStack(TorchFunctionMode):
    """Compute linear layers of all models at once, and raise an error if a module reads a tensor's gradient."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch."""
        if func is F.linear:
            return linear(*args, **(kwargs or {}))
        # Only `sys._getframe` finds the caller quickly; `inspect` reads its file.
        caller = sys._getframe(1).f_globals["__name__"]
        if func in HOOKS or (func in OF_GRADIENTS and caller.partition(".")[0] != "torch"):
            name = getattr(func, "__self__", func).__name__
            raise RuntimeError(f"a module calls Tensor.{name} while it computes, which does not stack")
        return func(*args, **(kwargs or {}))


class Stack(nn.Module):
    """Models of one kind, and their losses, that are computed as one by `torch.func.vmap`.

    Parameters
    ----------
    pairs : sequence of Pair
        The models; they are copied.
    """

    is_stack: ClassVar[bool] = True

    def __init__(self, pairs: Sequence[Pair]) -> None:
        super().__init__()
        # How they compute, and what all of them share.
        self.pair = deepcopy(pairs[0]).requires_grad_(False)
        decayed = {id(value) for value in pairs[0].model.hidden_weights()}
        self.decayed = [name for name, value in named_tensors(pairs[0]) if id(value) in decayed]
        everything = [dict(named_tensors(pair)) for pair in pairs]
        stacked = {name: torch.stack([tensors[name].detach() for tensors in everything]) for name in everything[0]}
        learned = {name for name, value in everything[0].items() if value.requires_grad}
        alike = {name for name, values in stacked.items() if name not in learned and (values == values[:1]).all()}
        # Draws have the shape of a prior's numbers; weights may be equal only for an epoch.
        alike = {name for name in alike if not name.startswith(("model.prior.", WEIGHTING))}
        self.fixed = {name: value for name, value in stacked.items() if name not in learned | alike}
        self._learn({name: value for name, value in stacked.items() if name in learned})
        places = _places(self.pair)
        named = enumerate([*self.learned, *self.fixed])
        self.places = [(slots, key, position) for position, name in named for slots, key in places[name]]
        """Where modules keep what differs: their dict, its key, and the position among the stacked values."""
        self.alike = [slot for name in alike for slot in places[name]]
        """Where modules keep what all models share."""
        reached = bypass(self.pair, pairs[0], [*self.learned, *self.fixed])
        if reached is not None:
            raise ValueError(f"{reached!r} is reached by other ways than its module's attributes, which does not stack")

    def __len__(self) -> int:
        return len(next(iter(self.learned.values())))

    def _learn(self, values: dict[str, Tensor]) -> None:
        """Use stacked values as the parameters."""
        self.learned = {name: nn.Parameter(value) for name, value in values.items()}
        for parameter in self.learned.values():
            parameter.grad = torch.zeros_like(parameter)

    def parameter_groups(self, rates: Sequence[tuple[float, float, float]]) -> list[dict[str, Any]]:
        """Return the groups of an optimiser: adjacent models form one group if their rates are the same.

        Parameters
        ----------
        rates : sequence of tuple of float
            Learning rate, weight decay and annealing per epoch of each model.
        """
        groups = []
        self.slices: Slices = {name: [] for name in self.learned}
        for decays in (True, False):
            names = [name for name in self.learned if (name in self.decayed) == decays]
            first = 0
            own = ((rate, decay if decays else 0.0, annealing) for rate, decay, annealing in rates)
            for (rate, decay, annealing), same in groupby(own):
                last = first + len(list(same))
                parts = [slice_models(self.learned[name], first, last) for name in names]
                for name, part in zip(names, parts, strict=True):
                    self.slices[name].append((first, last, part))
                group = {"params": parts, "lr": rate, "weight_decay": decay, "first_lr": rate, "annealing": annealing}
                groups += [group] if parts else []
                first = last
        return groups

    def forward(self, batch: Batch, scales: Scales) -> Result:
        """Return the results of all models, along the first axis of each tensor.

        The weights of the terms are each a number, one number per model or a tensor of shape (n_models,).
        """
        tensors = {name: part for name, part in batch._asdict().items() if isinstance(part, Tensor)}
        shared, separate = _split(scales, batch.x)

        def one(state: Sequence[Tensor], tensors: dict[str, Tensor], separate: dict[str, Tensor]) -> dict[str, Any]:
            # What `torch.func.functional_call` does, in a tenth of its time.
            for slots, key, position in self.places:
                slots[key] = state[position]
            # Here, for all models at once, and not after the step.
            self.pair.constrain()
            result = self.pair(batch._replace(**tensors), Scales(**shared, **separate))
            for slots, key, position in self.places:
                check_unchanged(key, slots[key] is state[position])
            return {name: part for name, part in result._asdict().items() if part is not None}

        before = [slots[key] for slots, key, _ in self.places]
        constants = [(slots, key, slots[key], slots[key]._version) for slots, key in self.alike]
        try:
            with WithinStack():
                state = [*self.learned.values(), *self.fixed.values()]
                result = vmap(one, randomness="different")(state, tensors, separate)
        finally:
            for (slots, key, _), value in zip(self.places, before, strict=True):
                slots[key] = value
        for slots, key, value, version in constants:
            check_unchanged(key, slots[key] is value and value._version == version)
        return Result(**result)

    def set_gradients(self, result: Result) -> None:
        """Set the gradients to those of the results."""
        check_gradient(result)
        learned = list(self.learned.values())
        gradients = torch.autograd.grad(result.loss.sum(), learned, materialize_grads=True)
        for parameter, gradient in zip(learned, gradients, strict=True):
            parameter.grad.copy_(gradient)  # type: ignore[union-attr]  # in place: groups have views of it

    def constrain(self) -> None:
        """Do nothing: the models constrain themselves before their next batch, all of them at once."""

    def select(self, models: Sequence[int]) -> None:
        """Continue with some of the models, in this order."""
        self._learn({name: value.detach()[models] for name, value in self.learned.items()})
        self.fixed = {name: value[models] for name, value in self.fixed.items()}

    def weights(self) -> dict[str, Tensor]:
        """Return the weights that early stopping restores: those of the models, but not of their losses."""
        return {name: value.detach() for name, value in self.learned.items() if name.startswith("model.")}

    @torch.no_grad()
    def write(self, position: int, pair: Pair, instead: dict[str, Tensor]) -> None:
        """Write a model's learned values into its own modules, or earlier weights if given."""
        stacked = {**self.fixed, **self.learned, **instead}
        for name, value in named_tensors(pair):
            if name in stacked:
                value.copy_(stacked[name][position])
        pair.constrain()

    @torch.no_grad()
    def end_epoch(self, position: int, losses: Tensor, labelled: Tensor | None) -> Tensor:
        """Let a model's weighting of tasks learn from an epoch; return its weights in that epoch."""
        weighting = self.pair.loss.weighting
        assert weighting is not None
        if not weighting.adaptive:
            return self.fixed[WEIGHTING + "weights"][position].clone()
        stacked = {**self.learned, **self.fixed}
        for name, value in named_tensors(self.pair):
            # A weighting may read learned values of the likelihood of the tasks.
            if name in stacked and name.startswith((WEIGHTING, "model.task_likelihood.")):
                value.copy_(stacked[name][position])
        self.pair.constrain()
        weights = weighting.end_epoch(losses, labelled)  # type: ignore[arg-type]
        for name, value in weighting.named_buffers():
            self.fixed[WEIGHTING + name][position] = value
        return weights


def _places(module: nn.Module) -> dict[str, list[tuple[dict[str, Any], str]]]:
    """Return where modules keep each parameter and buffer, by name: several places if it is shared."""
    names = {id(value): name for name, value in named_tensors(module)}
    places: dict[str, list[tuple[dict[str, Any], str]]] = {name: [] for name in names.values()}
    for part in module.modules():
        for slots in (part._parameters, part._buffers):
            for key, value in slots.items():
                if value is not None:
                    places[names[id(value)]].append((slots, key))
    return places


def check_unchanged(name: str, is_unchanged: bool) -> None:
    """Raise an error if a module has changed its buffer: in a stack, such changes would be lost."""
    if not is_unchanged:
        raise ValueError(f"a module writes to its {name!r} while it computes, which does not stack")


def _split(scales: Scales, like: Tensor) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return the scales that all models share, and those of each model."""
    shared, separate = {}, {}
    for name, values in scales._asdict().items():
        if isinstance(values, Tensor):
            separate[name] = values
        elif not isinstance(values, tuple) or len(set(values)) == 1:
            shared[name] = values[0] if isinstance(values, tuple) else values
        else:
            separate[name] = torch.tensor(values, dtype=like.dtype, device=like.device)
    return shared, separate


def slice_models(parameter: nn.Parameter, first: int, last: int) -> nn.Parameter:
    """Return the models from `first` to `last` as a parameter over the same memory, gradient included."""
    assert parameter.grad is not None
    part = nn.Parameter(parameter.detach()[first:last])
    part.grad = parameter.grad[first:last]
    return part


def mean_row(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the means over several models of the records of an epoch."""
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return {
        name: mean_row([row[name] for row in rows])
        if isinstance(rows[0][name], dict)
        else np.mean([row[name] for row in rows], axis=0).tolist()
        for name in names
    }
