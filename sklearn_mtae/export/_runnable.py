"""What ONNX Runtime has no operators for: eigenvalues of symmetric matrices, and some of float64."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._graph import Graph, Node

N_SWEEPS = 9
"""How often each pair of components is rotated: each time the number of right digits doubles."""


def runnable(graph: Graph, helper: Any, to_tensor: Any) -> Graph:
    """Return a graph of operators that ONNX Runtime has.

    Loops take the place of "Eigh". A matrix is rotated until it is diagonal (Jacobi 1846), in all pairs of neighbouring
    rows at once. Then the rows change places, as players do in a tournament where each meets each (Brent and Luk 1985).
    The eigenvalues are not in order. Convolutions in float64 are done in float32. Sums of one value stand between
    operators that would be fused to one that there is not in float64.

    Parameters
    ----------
    graph : Graph
        The graph.
    helper, to_tensor
        onnx's helper, and its function from arrays to tensors.
    """
    nodes: list[Node] = []
    makers = {name: node for node in graph.nodes for name in node.outputs}
    for node in graph.nodes:
        if node.operator == "Eigh":
            nodes += _Rotations(graph, node, helper, to_tensor).nodes
        elif node.operator in CONVOLUTIONS and graph.dtypes[node.outputs[0]] == np.float64:
            nodes += _in_float32(node)
        elif node.operator in FUSED and graph.dtypes[node.outputs[0]] == np.float64:
            nodes += _apart(node, makers)
        else:
            nodes.append(node)
    graph.nodes = nodes
    return graph


CONVOLUTIONS = {"Conv", "ConvTranspose"}
"""Operators that ONNX Runtime has in float32 alone."""


def _in_float32(node: Node) -> list[Node]:
    """Return a node with its inputs cast to float32, and its output back."""
    names, made = [f"{node.outputs[0]}_{name}" for name in node.inputs], f"{node.outputs[0]}_single"
    casts = [Node("Cast", [own], [name], {"to": "float32"}) for own, name in zip(node.inputs, names, strict=True)]
    own = node._replace(inputs=names, outputs=[made])
    return [*casts, own, Node("Cast", [made], node.outputs, {"to": "float64"})]


FUSED = {"MatMul": "Transpose", "Mul": "Sigmoid"}
"""Operators, and those before them that ONNX Runtime fuses with them, through casts and what does nothing.

In float64 it cannot compute the first pair before version 1.26, nor the second before 1.31.
"""


def _apart(node: Node, makers: Mapping[str, Node]) -> list[Node]:
    """Return a node, and a sum of one value for each input that would be fused with it."""
    names = {name: f"{node.outputs[0]}_{name}" for name in node.inputs if _would_be_fused(node, name, makers)}
    sums = [Node("Sum", [name], [own], {}) for name, own in names.items()]
    return [*sums, node._replace(inputs=[names.get(name, name) for name in node.inputs])]


def _would_be_fused(node: Node, name: str, makers: Mapping[str, Node]) -> bool:
    before = makers.get(name)
    while before is not None and before.operator == "Cast":
        before = makers.get(before.inputs[0])
    if before is None or before.operator != FUSED[node.operator]:
        return False
    order = before.attributes.get("perm", [1, 0])
    return order[-2:] == [len(order) - 1, len(order) - 2]


class _Rotations:
    """The nodes in place of one "Eigh".

    Parameters
    ----------
    graph : Graph
        The graph, which constants are added to.
    node : Node
        The node.
    helper, to_tensor
        onnx's helper, and its function from arrays to tensors.
    """

    def __init__(self, graph: Graph, node: Node, helper: Any, to_tensor: Any) -> None:
        self.graph, self.helper, self.to_tensor, self.nodes = graph, helper, to_tensor, []
        self.prefix = node.outputs[0]
        n = graph.shapes[node.outputs[0]][-1]
        self.n = size = n + n % 2
        matrix = self._add("Pad", node.inputs[0], self._whole([0, 0, 0, 0, size - n, size - n]))
        shape = self._add("Shape", matrix)
        start = self._add("Expand", self._constant(np.eye(size)), shape)
        rounds = self._whole(N_SWEEPS * (size - 1))
        body = {"body": self._body()}
        turned, vectors = self._add("Loop", rounds, self._constant(np.array(True)), matrix, start, n_outputs=2, **body)
        flat = self._add("Reshape", turned, self._whole([-1, size**2]))
        self._add("Gather", flat, self._whole(np.arange(n) * (size + 1)), outputs=[node.outputs[0]], axis=1)
        ends = [self._whole(own) for own in ([0, 0], [n, n], [1, 2])]
        self._add("Slice", vectors, *ends, outputs=[node.outputs[1]])

    def _add(self, operator: str, *inputs: str, n_outputs: int = 1, outputs: Any = None, **attributes: Any) -> Any:
        outputs = outputs or [f"{self.prefix}_{len(self.nodes)}_{j}" for j in range(n_outputs)]
        self.nodes.append(Node(operator, list(inputs), outputs, attributes))
        return outputs[0] if n_outputs == 1 else outputs

    def _constant(self, value: Any) -> str:
        return self.graph.constant(value)

    def _whole(self, value: Any) -> str:
        return self._constant(np.asarray(value, dtype=np.int64))

    def _body(self) -> Any:
        """Return the graph of one round: rotations of neighbouring rows, and the change of places."""
        helper, n, pairs = self.helper, self.n, np.arange(0, self.n, 2)
        constants: dict[str, NDArray] = {
            "first": pairs * (n + 1),
            "second": (pairs + 1) * (n + 1),
            "beside": pairs * (n + 1) + 1,
            "flat": np.array([-1, n**2]),
            "square": np.array([-1, n, n]),
            "turn": _turns(n),
            **{name: np.array(float(value)) for name, value in (("zero", 0), ("one", 1), ("two", 2), ("minus", -1))},
        }

        def named(names: str) -> list[str]:  # columns of a frame may have these names too
            return [f"{self.prefix}/{name}" for name in names.split()]

        def values(names: str, kinds: str) -> list[Any]:
            types = {"i": (np.int64, []), "b": (np.bool_, []), "f": (np.float64, [None, n, n])}
            known = [(helper.np_dtype_to_tensor_dtype(np.dtype(own)), shape) for own, shape in map(types.get, kinds)]  # type: ignore[misc]
            return [helper.make_tensor_value_info(name, *own) for name, own in zip(named(names), known, strict=True)]

        nodes = [helper.make_node(own[0], named(own[1]), named(own[2]), **(own[3] if own[3:] else {})) for own in ROUND]
        takes, makes = values("round go matrix vectors", "ibff"), values("goes turned followed", "bff")
        known = [self.to_tensor(value, *named(name)) for name, value in constants.items()]
        return helper.make_graph(nodes, "rotations", takes, makes, known)


ROUND: list[Any] = [
    ("Identity", "go", "goes"),
    ("Reshape", "matrix flat", "cells"),
    *(("Gather", f"cells {name}", f"{name}s", {"axis": 1}) for name in ("first", "second", "beside")),
    ("Sub", "seconds firsts", "apart"),
    ("Mul", "besides two", "twice"),
    ("Div", "apart twice", "cotangent"),  # of twice the angle
    ("Abs", "cotangent", "size"),
    ("Mul", "size size", "squared"),
    ("Add", "squared one", "more"),
    ("Sqrt", "more", "root"),
    ("Add", "size root", "sum"),
    ("Less", "cotangent zero", "is_below"),
    ("Where", "is_below minus one", "sign"),
    ("Div", "sign sum", "ratio"),
    ("Equal", "besides zero", "is_done"),
    ("Where", "is_done zero ratio", "tangent"),
    ("Mul", "tangent tangent", "tangents"),
    ("Add", "tangents one", "secants"),
    ("Sqrt", "secants", "secant"),
    ("Reciprocal", "secant", "cosine"),
    ("Mul", "tangent cosine", "sine"),
    ("Concat", "cosine sine", "both", {"axis": 1}),
    ("MatMul", "both turn", "turned_cells"),
    ("Reshape", "turned_cells square", "rotation"),
    ("Transpose", "rotation", "inverse", {"perm": [0, 2, 1]}),
    ("Sum", "inverse", "back"),  # which is not fused with what follows, see FUSED
    ("MatMul", "matrix rotation", "half"),
    ("MatMul", "back half", "turned"),
    ("MatMul", "vectors rotation", "followed"),
]
"""Operators of a round, with the names of what they take and make."""


def _turns(n: int) -> NDArray:
    """Return the matrix from cosines and sines, of pairs of rows, to the cells of rotations that then change places."""
    pair = np.arange(n // 2)
    cells = np.zeros((2, n // 2, n, n))
    cells[0, pair, 2 * pair, 2 * pair] = cells[0, pair, 2 * pair + 1, 2 * pair + 1] = 1
    cells[1, pair, 2 * pair, 2 * pair + 1], cells[1, pair, 2 * pair + 1, 2 * pair] = 1, -1
    # The first stays; the others go round, the even ones up and the odd ones down.
    ring = [*range(2, n, 2), *range(n - 1, 0, -2)]
    source = np.arange(n)
    source[ring] = np.roll(ring, 1)
    return cells[..., source].reshape(n, n**2)
