"""The state of a graph that is made from the steps of a trace."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ._graph import Graph, as_numpy
from ._trace import NotExportableError, Place, Repeated, Rows, Step, refuse_others

Operation = Callable[..., Any]
"""From a `Lowering` and a step's own arguments to the name of its result, or to several."""


class Lowering:
    """The graph so far, and the names of the steps' results.

    Parameters
    ----------
    graph : Graph
        The graph that nodes are added to.
    widths : sequence of int
        Columns of its inputs.
    """

    def __init__(self, graph: Graph, widths: Sequence[int]) -> None:
        self.graph = graph
        self.names: dict[Place, str] = {Place(-1 - j): name for j, name in enumerate(graph.inputs)}
        self.shapes: dict[Place, Sequence[Any]] = {Place(-1 - j): [Rows(1), width] for j, width in enumerate(widths)}
        self.alike: dict[str, str] = {}
        """Matrices that were repeated along axes before their own, and what they were before that."""
        self.current: Step

    def step(self, position: int, step: Step, table: Mapping[str, Operation]) -> None:
        """Add the nodes of a step at a position, as a table has them."""
        self.current = step
        lowered = table[step.name]
        refuse_others(step.name, lowered, (self, *step.args), step.kwargs)
        made = lowered(self, *step.args, **step.kwargs)
        for j, name in enumerate([made] if isinstance(made, str) else made):
            place = Place(position, j)
            self.names[place], self.shapes[place] = name, step.shapes[j]
            self.graph.shapes[name] = step.shapes[j]

    def name(self, value: Any, dtype: Any = None) -> str:
        """Return the name of an argument, in a dtype if one is given."""
        if isinstance(value, Rows):
            raise NotExportableError(f"The model computes with the number of rows, in {self.current.name!r}.")
        if isinstance(value, Place):
            name = self.names[value]
        elif isinstance(value, Repeated):
            name = self.graph.repeated(value)
        else:
            name = self.graph.constant(value, None if dtype is None or isinstance(value, Tensor) else as_numpy(dtype))
        return name if dtype is None else self.graph.cast(name, dtype)

    def dtype(self, value: Any) -> Any:
        """Return the dtype of an argument; None of a number of Python."""
        if isinstance(value, Place):
            return self.graph.dtypes[self.names[value]]
        if isinstance(value, Tensor | Repeated):
            own = value.value if isinstance(value, Repeated) else value
            return as_numpy(own.dtype)
        return None

    @property
    def shape(self) -> Sequence[Any]:
        """Shape of the step's first result."""
        return self.current.shapes[0]

    @property
    def made(self) -> np.dtype:
        """Dtype of the step's first result."""
        return as_numpy(self.current.dtypes[0])

    def rank(self, value: Any) -> int:
        """Return the number of axes of an argument."""
        return len(self.size(value))

    def size(self, value: Any) -> Sequence[Any]:
        """Return the shape of an argument."""
        return self.shapes[value] if isinstance(value, Place) else value.shape

    def axis(self, value: Any, axis: int) -> int:
        """Return an axis counted from the front."""
        return axis % max(1, self.rank(value))
