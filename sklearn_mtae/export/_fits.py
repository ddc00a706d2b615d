"""A fitted model as functions of torch: what a runner does block by block, in a form that can be recorded."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from sklearn_mtae._engine.side_by_side import SideBySide
from sklearn_mtae._fitting.build import rebuild
from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae._fitting.recipe import DTYPES
from sklearn_mtae._fitting.several import InUnits, several

from ._cells import expand, levels_of, narrow
from ._trimmed import trim, trim_maps

Function = Callable[[Any, Tensor], Tensor]


class Fit:
    """A fitted model in the precision of its training, on the CPU.

    Parameters
    ----------
    fitted : Fitted
        The result of a fit.
    levels : dict or None, default=None
        Levels that the codes of rows stand for, by column; None takes the model's own.
    dtype : torch.dtype or None, default=None
        Another precision.
    rows : torch.dtype, default=torch.float64
        Precision of the rows, in which they are standardised, as the estimator does it.
    """

    def __init__(
        self,
        fitted: Fitted,
        levels: Any = None,
        dtype: torch.dtype | None = None,
        rows: torch.dtype = torch.float64,
    ) -> None:
        self.fitted = fitted
        self.features = fitted.recipe.columns
        self.levels = levels_of(self.features) if levels is None else levels
        self.dtype = DTYPES[fitted.recipe.dtype] if dtype is None else dtype
        self.rows = rows
        self._models: dict[int, Any] = {}

    @cached_property
    def exact(self) -> "Fit":
        """The same in float64."""
        return Fit(self.fitted, self.levels, torch.float64)

    def model(self, state: int = 0) -> Any:
        """Return the model of a state."""
        if state not in self._models:
            model = rebuild(self.fitted, self.dtype, state).cpu().eval().requires_grad_(False)
            model.fill = partial(_filled, model.fill, self.dtype)  # type: ignore[method-assign]
            trim_maps(model)
            self._models[state] = model
        return self._models[state]

    def expanded(self, x: Tensor) -> Tensor:
        """Return the columns as the model sees them."""
        return expand(x, self.features, self.levels).to(self.rows)

    def narrowed(self, values: Tensor) -> Tensor:
        """Return a value for each column."""
        return narrow(values, self.features)

    def run(self, function: Function, x: Tensor, state: int = 0) -> Tensor:
        """Return a function's results for rows."""
        return InUnits(function, self.rows)(self.model(state), self.expanded(x))

    def stack(self, function: Function, states: Sequence[int]) -> bool:
        """Return whether the estimator evaluates states side by side, in the precision of the training."""
        at_means = getattr(function, "at_means", False)
        found = several(self.fitted, states, self.dtype, torch.device("cpu"), at_means)
        return found is not None and found.take(function, self.features.n_expanded, np.float64)

    def run_states(self, function: Function, states: Sequence[int], x: Tensor) -> Tensor:
        """Return a function's results for rows with each state, shape (n_rows, n_states, ...)."""
        x, asked = self.expanded(x), InUnits(function, self.rows)
        at_means = getattr(function, "at_means", False)
        found = several(self.fitted, states, self.dtype, torch.device("cpu"), at_means, tabulates=False)
        if found is None:
            return self.run_each(asked, states, x)
        try:
            # Side by side, rows of float64 too are standardised in the precision of the training.
            asked_at_once = InUnits(function, self.dtype)
            return torch.cat([_at_once(own, asked_at_once, x) for own in found.models])[found.order].movedim(0, 1)
        except (RuntimeError, NotImplementedError):  # `vmap` cannot run the function, or makes operations of its own
            return self.run_each(asked, states, x)

    def run_each(self, function: Function, states: Sequence[int], x: Tensor) -> Tensor:
        """Return a function's results for expanded rows with each state, one after the other."""
        return torch.stack([function(self.model(state), x) for state in states], dim=1)


def _filled(fill: Callable[..., Tensor], dtype: torch.dtype, x: Tensor, complete: bool = False) -> Tensor:
    """Return the input of a network in its precision, computed in that of the rows: logarithms lose digits."""
    return fill(x, complete).to(dtype)


def _at_once(models: SideBySide, function: Function, x: Tensor) -> Tensor:
    """Return a function's results for rows with models of a kind, shape (n_models, n_rows, ...)."""

    def one(state: dict[str, Tensor]) -> Tensor:
        return functional_call(models.asked, state, (function, x))

    trim(models)
    with _Products():
        return vmap(one, randomness="same")(models.stacked)


class _Products(TorchFunctionMode):
    """Linear layers as products and sums, so that those of several models are one product each."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch."""
        if func is F.linear:
            return _linear(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product = x @ weight.mT
    return product if bias is None else product + bias
