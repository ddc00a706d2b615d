"""Fitted models of one kind as one function of rows: they are evaluated together as batched products."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from .captured_step import is_known, is_recordable, parts_of
from .linear import LANES, linear
from .program import Program
from .stack import WithinStack

Function = Callable[[Any, Tensor], Tensor]
"""From a model and rows to a result for each row; equal functions do the same."""
SIZES = tuple(8 * 2**power for power in range(8))
"""Number of rows that are computed at once; fewer are padded. Products of a multiple of eight rows and of `LANES`
columns treat all rows alike: the result for a row has the same bits, even in float32, whatever rows come with it."""
CELLS = 2**20
"""Maximum number of cells of a layer of all models that are computed at once: 4 MB in float32. For larger blocks,
memory may be returned to the system and cleared again each time, which takes longer than the products."""


class DoesNotStackError(Exception):
    """The models cannot be evaluated together."""


class SideBySide:
    """Models of one kind, computed as one by `torch.func.vmap`, with a recorded program per number of rows.

    Parameters
    ----------
    model : Module
        One of the models: how all of them compute, and what they share. This object owns it from now on.
    stacked : mapping of str to Tensor
        Parameters and buffers in which they differ, with the models along the first axis.
    """

    def __init__(self, model: nn.Module, stacked: Mapping[str, Tensor]) -> None:
        self.asked = _Asked(model)
        self.stacked = {f"model.{name}": value for name, value in stacked.items()}
        self.programs: dict[tuple, Program] = {}
        self._writing = threading.Lock()

    def __call__(self, function: Function, x: Tensor) -> Tensor:
        """Return a function's results for rows with each model, shape (n_models, n_rows, ...)."""
        key = function, x.shape, x.dtype
        program = self.programs.get(key)
        if program is None:
            # The model's parameters are replaced while a program is recorded: one thread at a time.
            with self._writing:
                program = self.programs[key] = self._write(function, x)
        return program(x)

    def _write(self, function: Function, x: Tensor) -> Program:
        try:
            return Program(partial(self.compute, function), x)
        except ValueError as error:
            raise DoesNotStackError(str(error)) from error

    def compute(self, function: Function, x: Tensor) -> Tensor:
        """Compute the function without a program."""

        def one(state: dict[str, Tensor]) -> Tensor:
            return functional_call(self.asked, state, (function, x))

        try:
            with AllRowsAlike():
                return vmap(one, randomness="same")(self.stacked)
        except (RuntimeError, NotImplementedError) as error:  # errors of `vmap` if it cannot run a function
            raise DoesNotStackError(str(error)) from error


class AllRowsAlike(WithinStack):
    """Compute linear layers of all models at once, with outputs padded like the rows."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch."""
        if func is not F.linear:
            return super().__torch_function__(func, types, args, kwargs)
        return _linear(*args, **(kwargs or {}))


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    n_outputs, n_inputs = weight.shape
    more, inner = -n_outputs % LANES, max(0, LANES - n_inputs)
    if more or inner:
        weight = F.pad(weight, (0, inner, 0, more))
        bias = None if bias is None else F.pad(bias, (0, more))
    if inner:
        input = F.pad(input, (0, inner))
    return linear(input, weight, bias)[..., :n_outputs]


class _Asked(nn.Module):
    """A model, as an argument of a function."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Function, x: Tensor) -> Tensor:
        """Return a function's results for rows."""
        return function(self.model, x)


def stacks(models: Sequence[nn.Module]) -> bool:
    """Return whether a program can be recorded for models with these parts."""
    parts = parts_of(models)
    return is_recordable(parts, True) and all(map(is_known, parts))


def filled_blocks(n_rows: int, width: int) -> Iterator[tuple[slice, int]]:
    """Yield the slices that cover some rows, and the number of rows to pad each to.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    width : int
        Cells of the widest layer of all models, for each row.
    """
    start = 0
    while start < n_rows:
        most = max(SIZES[0], min(n_rows - start, CELLS // width))
        size = max(size for size in SIZES if size <= most)
        yield slice(start, min(start + size, n_rows)), size
        start += size


def fill_up(x: Tensor, size: int) -> Tensor:
    """Repeat the last row up to a number of rows."""
    return torch.cat([x, x[-1:].expand(size - len(x), -1)]) if size > len(x) else x
