"""Layers of several members as one node each, so that numpy can run them member by member where there are many rows.

A layer of all members at once has more cells than fit near the processor, and products of few rows at a time are slow.
"""

from collections.abc import Mapping

from numpy.typing import NDArray

from ._graph import Graph, Node

MEMBERS = "Members"
"""The operator, which ONNX does not have."""
CELLWISE = {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Abs", "Sign"}
CELLWISE |= {"Relu", "Tanh", "Sigmoid", "Where", "Cast", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}
CELLWISE |= {"IsNaN", "Not", "And", "Or"}
"""Operators that treat each cell by itself."""
LEAST_NODES = 3
"""Nodes of which a group is made at least."""


def by_member(graph: Graph) -> tuple[list[Node], int]:
    """Return nodes with those of several members in groups, and the cells for each row of the widest value.

    A group has one input, the rows, which all members share, and constants, those of three axes with the members along
    the first. Its attributes are those of a graph.
    """
    nodes, widths = list(graph.nodes), []
    for node in graph.nodes:
        group = _group(node, nodes, graph)
        if len(group) >= LEAST_NODES:
            inside = {name for own in group for name in own.outputs}
            count = _members(graph.constants, node.inputs[1])
            widths.append(graph.widest(inside) // count)
            nodes[nodes.index(node)] = _as_one(group, nodes, graph)
            nodes = [own for own in nodes if own not in group]
    return nodes, max([graph.widest(name for own in nodes if own.operator != MEMBERS for name in own.outputs), *widths])


def _members(constants: Mapping[str, NDArray], name: str) -> int:
    """Return how many members have a constant of their own under a name; 0 if it is something else."""
    own = constants.get(name)
    return 0 if own is None or own.ndim != 3 else len(own)


def _group(first: Node, nodes: list[Node], graph: Graph) -> list[Node]:
    """Return the nodes that can run member by member from a product of the rows with a matrix of each."""
    count = _members(graph.constants, first.inputs[1]) if first.operator == "MatMul" else 0
    if count < 2 or len(graph.shapes.get(first.inputs[0], ())) != 2 or first not in nodes:
        return []
    group, inside = [first], {*first.outputs}
    for node in nodes[nodes.index(first) + 1 :]:
        others = [name for name in node.inputs if name not in inside]
        if len(others) < len(node.inputs) and _is_by_member(node, others, count, graph.constants):
            group.append(node)
            inside.update(node.outputs)
    return group


def _is_by_member(node: Node, others: list[str], count: int, constants: Mapping[str, NDArray]) -> bool:
    """Return whether a node of values of members, and of others, computes each member's by itself."""
    if node.operator == "MatMul":
        return others == node.inputs[1:] and _members(constants, others[0]) == count
    known = [constants.get(name) for name in others]
    fit = [own is not None and (own.ndim == 0 or (own.ndim == 3 and len(own) in (1, count))) for own in known]
    return node.operator in CELLWISE and all(fit)


def _as_one(group: list[Node], nodes: list[Node], graph: Graph) -> Node:
    """Return a group as one node, whose results are those that others need."""
    needed = {name for own in nodes if own not in group for name in own.inputs} | {*graph.outputs.values()}
    outputs = [name for own in group for name in own.outputs if name in needed]
    inside = {"inputs": group[0].inputs[:1], "nodes": group, "outputs": {name: name for name in outputs}}
    return Node(MEMBERS, inside["inputs"], outputs, inside)
