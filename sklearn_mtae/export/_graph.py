"""A computation as nodes of ONNX operators, which numpy and ONNX Runtime both evaluate."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._trace import NotExportableError, Repeated, Rows

OPSET = 18
"""Version of the ONNX operators."""


class Node(NamedTuple):
    """An operator, the names of what it takes and makes, and its attributes."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


@dataclass
class Graph:
    """Nodes in the order of their evaluation, and the constants among their inputs.

    Parameters
    ----------
    inputs : list of str
        Names of the inputs, all of them matrices of float64 with the rows along their first axis.
    """

    inputs: list[str]
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, NDArray] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    """Names of the results in the graph, by their own names."""
    dtypes: dict[str, np.dtype] = field(default_factory=dict)
    """Of every value."""
    shapes: dict[str, Sequence[Any]] = field(default_factory=dict)
    """Of values whose shapes are known, the results among them."""
    _known: dict[Any, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dtypes |= {name: np.dtype(np.float64) for name in self.inputs}

    def add(self, operator: str, *inputs: str, dtype: Any = None, n_outputs: int = 1, **attributes: Any) -> Any:
        """Add a node, unless there is the same already; return the name of its output, or of several."""
        key = (operator, inputs, repr(attributes))
        if key not in self._known:
            outputs = [f"v{len(self.dtypes) + j}" for j in range(n_outputs)]
            self.nodes.append(Node(operator, list(inputs), outputs, attributes))
            dtypes = dtype if isinstance(dtype, list) else [dtype or self.dtypes[inputs[0]]] * n_outputs
            self.dtypes |= {name: np.dtype(own) for name, own in zip(outputs, dtypes, strict=True)}
            self._known[key] = outputs[0] if n_outputs == 1 else outputs  # type: ignore[assignment]
        return self._known[key]

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Add a constant, unless there is the same already."""
        array = np.asarray(value.detach().cpu().numpy() if isinstance(value, Tensor) else value, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = name = f"c{len(self.dtypes)}"
            self.constants[name] = np.ascontiguousarray(array).reshape(array.shape)
            self.dtypes[name] = array.dtype
        return self._known[key]

    def cast(self, name: str, dtype: Any) -> str:
        """Return a value in a dtype."""
        dtype = as_numpy(dtype)
        if self.dtypes[name] == dtype:
            return name
        if name in self.constants:
            return self.constant(self.constants[name].astype(dtype))
        return self.add("Cast", name, dtype=dtype, to=dtype.name)

    @property
    def rows(self) -> str:
        """The number of rows, of shape (1,)."""
        shape = self.add("Shape", self.inputs[0], dtype=np.int64)
        return self.add("Slice", shape, self.integers([0]), self.integers([1]), self.integers([0]))

    def integers(self, values: Sequence[int]) -> str:
        """Return a constant vector of integers."""
        if any(isinstance(value, Rows) for value in values):
            raise NotExportableError("The model reads rows by a position that depends on their number.")
        return self.constant(np.array(values, dtype=np.int64))

    def shape(self, sizes: Sequence[Any]) -> str:
        """Return a shape, of which some sizes are multiples of the number of rows."""
        if not any(isinstance(size, Rows) for size in sizes):
            return self.integers(sizes)
        parts = [self._size(size) for size in sizes]
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=0)

    def _size(self, size: Any) -> str:
        if not isinstance(size, Rows):
            return self.integers([size])
        return self.rows if size.times == 1 else self.add("Mul", self.rows, self.integers([size.times]))

    def reshape(self, name: str, sizes: Sequence[Any]) -> str:
        """Return a value in another shape."""
        free = [isinstance(size, Rows) for size in sizes]
        if sum(free) == 1:
            return self.add(
                "Reshape", name, self.integers([-1 if own else s for s, own in zip(sizes, free, strict=True)])
            )
        return self.add("Reshape", name, self.shape(sizes))

    def expand(self, name: str, sizes: Sequence[Any]) -> str:
        """Return a value repeated along axes."""
        return self.add("Expand", name, self.shape(sizes))

    @property
    def width(self) -> int:
        """Cells for each row of the widest value."""
        return self.widest(name for node in self.nodes for name in node.outputs)

    def widest(self, names: Iterable[str]) -> int:
        """Return the cells for each row of the widest of some values."""
        known = (self.shapes[name] for name in names if name in self.shapes)
        return max((prod(size.times if isinstance(size, Rows) else size for size in own) for own in known), default=1)

    def repeated(self, value: Repeated) -> str:
        """Return a constant that is the same for all rows."""
        return self.expand(self.constant(value.value), value.shape)

    def prune(self) -> None:
        """Remove what no output needs."""
        needed, kept = set(self.outputs.values()), []
        for node in reversed(self.nodes):
            if needed & set(node.outputs):
                needed |= set(node.inputs)
                kept.append(node)
        self.nodes = kept[::-1]
        self.constants = {name: value for name, value in self.constants.items() if name in needed}
        self._known = {key: own for key, own in self._known.items() if needed & set(np.atleast_1d(own).tolist())}

    def rename(self, public: Mapping[str, str]) -> None:
        """Give some values other names; values that have one of these already make way."""
        values = {name for node in self.nodes for name in (*node.inputs, *node.outputs)} | {*self.constants}
        taken = {*public.values(), *values}
        names = {name: free(name, taken) for name in sorted(values & {*public.values()})} | dict(public)

        def each(given: list[str]) -> list[str]:
            return [names.get(name, name) for name in given]

        def own(mapping: Mapping[str, Any]) -> dict[str, Any]:
            return dict(zip(each([*mapping]), mapping.values(), strict=True))

        self.nodes = [node._replace(inputs=each(node.inputs), outputs=each(node.outputs)) for node in self.nodes]
        self.constants, self.dtypes, self.shapes = own(self.constants), own(self.dtypes), own(self.shapes)
        self.outputs = dict(zip(each([*self.outputs]), each([*self.outputs.values()]), strict=True))
        self._known.clear()


def free(name: str, taken: set[str]) -> str:
    """Return a name that is not taken, with underscores after it if need be, and take it."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def as_numpy(dtype: Any) -> np.dtype:
    """Return a dtype of numpy for one of torch."""
    return np.dtype(str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else dtype)
