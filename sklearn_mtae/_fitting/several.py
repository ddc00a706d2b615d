"""Several states of fitted models, evaluated at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_mtae._engine.contents import computation, named_tensors
from sklearn_mtae._engine.devices import largest_product, threads_for
from sklearn_mtae._engine.side_by_side import SIZES, DoesNotStackError, Function, SideBySide, stacks
from sklearn_mtae._engine.state import place
from sklearn_mtae.nn.means import for_means

from .build import rebuild
from .fitted import Fitted


class InUnits(NamedTuple):
    """A function of a model and standardised rows, as a function of raw rows."""

    function: Function
    dtype: torch.dtype

    def __call__(self, model: Any, x: Tensor) -> Tensor:
        """Return the function's results for rows."""
        return self.function(model, model.units(x, self.dtype))


class Several:
    """States of fitted models, with those of one kind side by side.

    Parameters
    ----------
    kinds : sequence of (list of int, SideBySide)
        For each kind, the positions of its states among all, and the models.
    dtype : torch.dtype
        Precision that they compute in.
    device : torch.device
        Where they are.
    width : int
        Cells of the widest layer of all models, for each row.
    n_products : int
        Multiplications and additions in the largest product of one model, per row.
    """

    def __init__(
        self,
        kinds: Sequence[tuple[list[int], SideBySide]],
        dtype: torch.dtype,
        device: torch.device,
        width: int,
        n_products: int,
    ) -> None:
        self.models = [models for _, models in kinds]
        order = np.argsort([position for positions, _ in kinds for position in positions])
        self.order = torch.from_numpy(order).to(device)
        self.dtype, self.device = dtype, device
        self._taken: dict[tuple, bool] = {}
        self.width, self.n_products = width, n_products

    def take(self, function: Function, n_columns: int, dtype: Any, recorded: bool = True) -> bool:
        """Return whether they can evaluate the function on rows all at once."""
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
        """Return a function's results for rows in their own units with each state, shape (n_rows, n_states, ...)."""
        asked, x = InUnits(function, self.dtype), x.to(self.device)
        run = SideBySide.__call__ if recorded else SideBySide.compute
        return torch.cat([run(models, asked, x) for models in self.models])[self.order].movedim(0, 1)


class Group(NamedTuple):
    """States of one setting."""

    positions: list[int]
    """Their positions among all."""
    model: Any
    """The model that computes them."""
    values: dict[str, Tensor]
    """Their parameters and buffers, with the states along the first axis."""


def several(
    fitted: Fitted,
    states: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
    at_means: bool = False,
    tabulates: bool = True,
) -> Several | None:
    """Put states side by side; return None if that is not possible, or if there is only one.

    `at_means` says that they only predict at posterior means; embeddings are then tabulated unless told otherwise.
    """
    if len(states) == 1:
        return None
    settings: dict[int, list[int]] = {}
    for position, state in enumerate(states):
        settings.setdefault(id(fitted.setting_of(state)), []).append(position)
    kinds: dict[Any, list[Group]] = {}
    width = n_products = 0
    for positions in settings.values():
        model = place(rebuild(fitted, dtype, states[positions[0]]), device).eval().requires_grad_(False)
        if not stacks([model]):
            return None
        width += len(positions) * model.width
        n_products = max(n_products, largest_product(model, 1))
        group = Group(positions, model, _values(fitted, model, [states[position] for position in positions]))
        group = _reduced(group, tabulates) if at_means else group
        kinds.setdefault(computation(group.model, {}), []).append(group)
    return Several(list(map(_put, kinds.values())), dtype, device, width, n_products)


def _values(fitted: Fitted, model: nn.Module, states: Sequence[int]) -> dict[str, Tensor]:
    """Return the parameters and buffers of states of a model's kind, with the states along the first axis."""
    saved = [fitted.state_of(state) for state in states]
    return {
        name: torch.stack([torch.as_tensor(own[name]) if name in own else value for own in saved]).to(value)
        for name, value in named_tensors(model)
    }


def _reduced(group: Group, tabulates: bool) -> Group:
    """Reduce models to the parts that predict at posterior means."""

    def reduced_values(model: Any, x: Tensor) -> Any:
        return dict(named_tensors(for_means(model, tabulates)))

    with torch.inference_mode():
        values: Any = SideBySide(group.model, group.values).compute(reduced_values, torch.empty(0))
        return group._replace(model=for_means(group.model, tabulates), values=values)


def _put(groups: Sequence[Group]) -> tuple[list[int], SideBySide]:
    """Put models of a kind side by side; return their positions too."""
    values = {name: torch.cat([group.values[name] for group in groups]) for name in groups[0].values}
    differing = {name: own for name, own in values.items() if (own != own[:1]).any()}
    positions = [position for group in groups for position in group.positions]
    # Equal models share what is no number, such as the order of columns: it need not be an index of several axes.
    numbers = {name: own for name, own in values.items() if own.is_floating_point()}
    return positions, SideBySide(groups[0].model, differing or numbers)
