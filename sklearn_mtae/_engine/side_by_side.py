"""Fitted models of one kind as one function of rows: what is asked of all of them is one batched product."""

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
"""From a model and rows to something of each row; equal functions do the same."""
SIZES = tuple(8 * 2**power for power in range(8))
"""How many rows are computed at once; fewer are filled up. Products of a multiple of eight rows and of `LANES` columns
treat all rows alike: what is made of a row has the same bits, even in float32, whatever rows come with it."""
CELLS = 2**20
"""Cells of a layer of all models that are computed at once, at most: 4 MB in float32. Of larger blocks, memory may go
back to the system and be cleared again for each, which takes longer than the products."""


class DoesNotStackError(Exception):
    """What is asked of models cannot be asked of all of them at once."""


class SideBySide:
    """Models of one kind, computed as one by `torch.func.vmap`, of which a program is written for each size of rows.

    Parameters
    ----------
    model : Module
        One of the models: how all of them compute, and what they have alike. It is this object's from now on.
    stacked : mapping of str to Tensor
        Parameters and buffers in which they differ, the models along the first axis.
    """

    def __init__(self, model: nn.Module, stacked: Mapping[str, Tensor]) -> None:
        self.asked = _Asked(model)
        self.stacked = {f"model.{name}": value for name, value in stacked.items()}
        self.programs: dict[tuple, Program] = {}
        self._writing = threading.Lock()

    def __call__(self, function: Function, x: Tensor) -> Tensor:
        """Return what a function makes of rows with each model, shape (n_models, n_rows, ...)."""
        key = function, x.shape, x.dtype
        program = self.programs.get(key)
        if program is None:
            # The model's parameters are replaced while a program is written: by one thread at a time.
            with self._writing:
                program = self.programs[key] = self._write(function, x)
        return program(x)

    def _write(self, function: Function, x: Tensor) -> Program:
        try:
            return Program(partial(self.compute, function), x)
        except ValueError as error:
            raise DoesNotStackError(str(error)) from error

    def compute(self, function: Function, x: Tensor) -> Tensor:
        """Compute it, without a program."""

        def one(state: dict[str, Tensor]) -> Tensor:
            return functional_call(self.asked, state, (function, x))

        try:
            with AllRowsAlike():
                return vmap(one, randomness="same")(self.stacked)
        except (RuntimeError, NotImplementedError) as error:  # what `vmap` says where it cannot
            raise DoesNotStackError(str(error)) from error


class AllRowsAlike(WithinStack):
    """Compute linear layers of all models at once, the outputs of each filled up as the rows are."""

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
    """A model, of which a function is asked."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Function, x: Tensor) -> Tensor:
        """Return what a function makes of rows."""
        return function(self.model, x)


def stacks(models: Sequence[nn.Module]) -> bool:
    """Return whether models are made of parts of which a program can be written."""
    parts = parts_of(models)
    return is_recordable(parts, True) and all(map(is_known, parts))


def filled_blocks(n_rows: int, width: int) -> Iterator[tuple[slice, int]]:
    """Yield the slices that cover some rows, and how many rows each is to be filled up to.

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
    """Repeat the last of some rows until there are so many."""
    return torch.cat([x, x[-1:].expand(size - len(x), -1)]) if size > len(x) else x
