"""Several states of fitted models, of which something is asked at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_mtae._engine.contents import computation, named_tensors
from sklearn_mtae._engine.devices import threads_for
from sklearn_mtae._engine.side_by_side import SIZES, DoesNotStackError, Function, SideBySide, stacks
from sklearn_mtae._engine.state import place

from .build import rebuild
from .fitted import Fitted


class InUnits(NamedTuple):
    """A function of a model and standardised rows, as one of rows as they are."""

    function: Function
    dtype: torch.dtype

    def __call__(self, model: Any, x: Tensor) -> Tensor:
        """Return what the function makes of rows."""
        return self.function(model, model.units(x, self.dtype))


class Several:
    """States of fitted models, those of a kind side by side.

    Parameters
    ----------
    kinds : sequence of (list of int, SideBySide)
        Of each kind the positions of its states among all, and the models.
    dtype : torch.dtype
        Precision that they compute in.
    device : torch.device
        Where they lie.
    """

    def __init__(self, kinds: Sequence[tuple[list[int], SideBySide]], dtype: torch.dtype, device: torch.device) -> None:
        self.models = [models for _, models in kinds]
        self.order = np.argsort([position for positions, _ in kinds for position in positions])
        self.dtype, self.device = dtype, device
        self._taken: dict[tuple, bool] = {}
        self.width = sum(len(positions) * models.width for positions, models in kinds)
        """Cells of the widest layer of all models, for each row."""
        self.n_products = max(models.n_products for models in self.models)
        """Numbers that the largest product of one model multiplies and adds up, for each row."""

    def take(self, function: Function, n_columns: int, dtype: Any, recorded: bool = True) -> bool:
        """Return whether they can be asked that of rows all at once."""
        if (function, dtype) not in self._taken:
            x = torch.from_numpy(np.zeros((SIZES[0], n_columns), dtype=dtype))
            self._taken[function, dtype] = self._try(function, x, recorded)
        return self._taken[function, dtype]

    def _try(self, function: Function, x: Tensor, recorded: bool) -> bool:
        try:
            with torch.inference_mode(), threads_for(0):
                self(function, x, recorded)
        except DoesNotStackError:
            return False
        return True

    def __call__(self, function: Function, x: Tensor, recorded: bool = True) -> Tensor:
        """Return what a function makes of rows in their own units with each state, shape (n_rows, n_states, ...)."""
        asked, x = InUnits(function, self.dtype), x.to(self.device)
        run = SideBySide.__call__ if recorded else SideBySide.compute
        return torch.cat([run(models, asked, x) for models in self.models])[self.order].movedim(0, 1)


def several(fitted: Fitted, states: Sequence[int], dtype: torch.dtype, device: torch.device) -> Several | None:
    """Put states side by side; return None where that cannot be done, or a single one is none to put beside."""
    if len(states) == 1:
        return None
    kinds: dict[Any, tuple[nn.Module, list[int], list[dict[str, Tensor]]]] = {}
    prototypes: dict[int, tuple[Any, nn.Module]] = {}
    for position, state in enumerate(states):
        setting = id(fitted.setting_of(state))
        if setting not in prototypes:
            model = place(rebuild(fitted, dtype, state), device).eval().requires_grad_(False)
            if not stacks([model]):
                return None
            prototypes[setting] = computation(model, {}), model
        kind, model = prototypes[setting]
        _, positions, tensors = kinds.setdefault(kind, (model, [], []))
        positions.append(position)
        saved = fitted.state_of(state)
        tensors.append({n: torch.as_tensor(saved[n]) if n in saved else v for n, v in named_tensors(model)})
    put = [(positions, _put(model, tensors)) for model, positions, tensors in kinds.values()]
    return Several(put, dtype, device)


def _put(model: nn.Module, tensors: Sequence[dict[str, Tensor]]) -> SideBySide:
    """Put models of a kind side by side, given the parameters and buffers of each."""
    values = {name: torch.stack([own[name] for own in tensors]).to(value) for name, value in named_tensors(model)}
    differing = {name: own for name, own in values.items() if (own != own[:1]).any()}
    return SideBySide(model, differing or values)
