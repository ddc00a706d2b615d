"""From functions of torch to graphs of ONNX operators."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ._graph import Graph
from ._lowering import Lowering
from ._operations import OPERATIONS
from ._special import DECOMPOSITIONS
from ._trace import trace

MANY = 257
"""The largest number of rows that a function is recorded with."""
GOLDEN = 0.6180339887498949
"""A part of a circle of which multiples never meet."""


def lower(
    function: Callable[..., Sequence[Tensor]],
    names: Sequence[str],
    widths: Sequence[int],
    outputs: Sequence[str],
    complete: bool = False,
    n_copies: int = 1,
) -> Graph:
    """Return the graph of a function of matrices of float64 with the rows along their first axis.

    Parameters
    ----------
    function : callable
        From matrices to tensors.
    names : sequence of str
        Names of the matrices.
    widths : sequence of int
        Their columns.
    outputs : sequence of str
        Names of the results.
    complete : bool, default=False
        Whether no cell is ever missing.
    n_copies : int, default=1
        Copies of each row that the function makes: it is recorded with the fewer rows.
    """
    counts = 2, 3, max(5, MANY // n_copies)
    inputs = [partial(_rows, width, counts[-1]) for width in widths]
    known = {**DECOMPOSITIONS, "isnan": _nowhere} if complete else DECOMPOSITIONS
    traced = trace(function, inputs, counts, OPERATIONS.__contains__, known)
    run = Lowering(Graph(list(names)), widths)
    for position, step in traced.steps.items():
        run.step(position, step, OPERATIONS)
    for name, own in zip(outputs, traced.outputs, strict=True):
        run.graph.outputs[name] = run.name(own)
        run.graph.shapes[run.name(own)] = run.size(own)
    run.graph.prune()
    return run.graph


def _nowhere(x: Tensor) -> Tensor:
    return torch.zeros(x.shape, dtype=torch.bool)  # a constant, which decisions may look at


def _rows(width: int, most: int, n: int) -> Tensor:
    """Return rows of zeros, or of numbers that differ where there are many: no constant may depend on them."""
    zeros = torch.zeros(n, width, dtype=torch.float64)
    return zeros if n < most else (torch.arange(zeros.numel()).to(zeros).reshape(zeros.shape) * GOLDEN).remainder(1.0)
