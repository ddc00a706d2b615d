"""Graphs of estimators as ONNX models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._describe import Exportable
from ._graph import OPSET, Graph, Node
from ._lower import lower
from ._outputs import Output, Results, outputs_of
from ._trace import Rows

ML = "ai.onnx.ml"
"""Domain of the operators for categories."""
IR_VERSION = 9
DTYPES = {"float32": np.float32, "float64": np.float64}


def graph_of(
    own: Exportable, methods: Sequence[str], coverage: float, dtype: Any
) -> tuple[Graph, dict[str, tuple[Any, int]]]:
    """Return the graph of methods, and the dtype and the width of each input by its name."""
    outputs = [output for name in methods for output in outputs_of(own, name, coverage)]
    takes_codes = [name == "inverse_transform" for name in methods]
    if any(takes_codes) and not all(takes_codes):
        raise ValueError("inverse_transform takes codes, and cannot be exported together with methods that take rows.")
    width = own.n_codes if all(takes_codes) else own.features.count
    levels = {} if all(takes_codes) else {int(j): known for j, known in own.header["columns"]["levels"].items()}

    def function(x: Tensor) -> list[Tensor]:
        results = Results(own, _coded(x, levels, own))
        return [output.value(results) for output in outputs]

    graph = lower(function, ["rows"], [width], [output.name for output in outputs])
    inputs = _read(graph, own, levels, width, dtype)
    _finish(graph, outputs, dtype)
    return graph, inputs


def _is_text(levels: Sequence[Any]) -> bool:
    return any(isinstance(level, str) for level in levels)


def _coded(x: Tensor, levels: dict[int, list], own: Exportable) -> Tensor:
    """Return rows with the codes of levels that are numbers; those of strings are looked up before."""
    numeric = {j: known for j, known in levels.items() if not _is_text(known)}
    if not numeric:
        return x
    columns = [_code(x[:, j : j + 1], numeric[j], own) if j in numeric else x[:, j : j + 1] for j in range(x.shape[1])]
    return torch.cat(columns, dim=1)


def _code(x: Tensor, levels: Sequence[Any], own: Exportable) -> Tensor:
    """Return the codes of numbers, shape (n_rows, 1)."""
    known = torch.tensor([float(level) for level in levels], dtype=x.dtype)
    same = x == known
    code = (same.to(x.dtype) * torch.arange(len(levels), dtype=x.dtype)).sum(1, keepdim=True)
    code = torch.where(same.any(1, keepdim=True), code, _unknown(own, levels))
    return torch.where(x.isnan(), float("nan"), code)


def _unknown(own: Exportable, levels: Sequence[Any]) -> float:
    return float(len(levels)) if own.header["columns"]["unknown"] == "silent" else float("nan")


def _read(graph: Graph, own: Exportable, levels: dict[int, list], width: int, dtype: Any) -> dict[str, tuple[Any, int]]:
    """Add the nodes that make rows of float64 from the inputs; return dtype and width of each input."""
    if not any(map(_is_text, levels.values())):
        graph.nodes.insert(0, Node("Cast", ["X"], ["rows"], {"to": "float64"}))
        return {"X": (dtype, width)}
    nodes, names, inputs = [], [], {}
    for j, name in enumerate(map(str, own.features.names)):
        column, is_text = f"column{j}", j in levels and _is_text(levels[j])
        inputs[name] = (np.str_ if is_text else dtype, 1)
        if is_text:
            nodes.append(_look_up(name, f"code{j}", levels[j], _unknown(own, levels[j])))
        nodes.append(Node("Cast", [f"code{j}" if is_text else name], [column], {"to": "float64"}))
        names.append(column)
    graph.nodes[:0] = [*nodes, Node("Concat", names, ["rows"], {"axis": 1})]
    return inputs


def _look_up(name: str, made: str, levels: Sequence[Any], unknown: float) -> Node:
    """Return the node that finds the codes of strings."""
    codes = {"": float("nan")} | {str(level): float(code) for code, level in enumerate(levels)}
    attributes = {"keys_strings": list(codes), "values_floats": list(codes.values()), "default_float": unknown}
    return Node("LabelEncoder", [name], [made], attributes)


def _finish(graph: Graph, outputs: Sequence[Output], dtype: Any) -> None:
    """Give results their names, their dtypes and their labels."""
    for output in outputs:
        name = graph.outputs[output.name]
        if output.labels is not None:
            labels = _as_labels(output.labels)
            name = graph.add("Gather", graph.constant(labels), graph.cast(name, np.int64), dtype=labels.dtype, axis=0)
        elif graph.dtypes[name].kind == "f":
            name = graph.cast(name, dtype)
        graph.nodes.append(Node("Identity", [name], [output.name], {}))
        graph.dtypes[output.name] = graph.dtypes[name]
        graph.shapes[output.name] = graph.shapes[graph.outputs[output.name]]
        graph.outputs[output.name] = output.name


def _as_labels(labels: NDArray) -> NDArray:
    """Return labels in a dtype that ONNX has."""
    kinds = {"i": np.int64, "u": np.int64, "f": np.float64, "b": np.bool_}
    return labels.astype(kinds[labels.dtype.kind]) if labels.dtype.kind in kinds else labels.astype(np.str_)


def model_of(graph: Graph, inputs: dict[str, tuple[Any, int]], own: Exportable) -> Any:
    """Return the model of a graph."""
    helper, to_tensor = onnx_helper()
    made = helper.make_graph(
        [make_node(helper, node) for node in graph.nodes],
        own.header["estimator"],
        [helper.make_tensor_value_info(name, tensor_type(own), [None, width]) for name, (own, width) in inputs.items()],
        [
            helper.make_tensor_value_info(name, tensor_type(graph.dtypes[name]), sizes_of(graph, name))
            for name in graph.outputs
        ],
        [to_tensor(value, name) for name, value in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, 3)]
    producer = {"producer_name": "sklearn_mtae", "producer_version": own.header["version"]}
    return helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, **producer)


def sizes_of(graph: Graph, name: str) -> list[int | None]:
    """Return the shape of a result, None for the rows."""
    return [None if isinstance(size, Rows) else size for size in graph.shapes[name]]


def make_node(helper: Any, node: Node) -> Any:
    """Return a node of ONNX."""
    domain = {"domain": ML} if node.operator == "LabelEncoder" else {}
    return helper.make_node(node.operator, node.inputs, node.outputs, **domain, **attributes_of(node))


def attributes_of(node: Node) -> dict[str, Any]:
    """Return the attributes of a node as ONNX has them."""
    return {name: tensor_type(np.dtype(own)) if name == "to" else own for name, own in node.attributes.items()}


def tensor_type(dtype: Any) -> int:
    """Return the type of a tensor, by its number."""
    helper, _ = onnx_helper()
    kind = np.dtype(dtype)
    return helper.np_dtype_to_tensor_dtype(np.dtype(object) if kind.kind == "U" else kind)


def onnx_helper() -> tuple[Any, Any]:
    """Return onnx's helper, and its function from arrays to tensors.

    Raises
    ------
    ImportError
        If onnx is not installed.
    """
    try:
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise ImportError(
            "to_onnx needs onnx, which is not installed.  Install it with: pip install 'sklearn-mtae[onnx]'"
        ) from error
    return helper, lambda value, name: numpy_helper.from_array(
        value.astype(object) if value.dtype.kind == "U" else value, name
    )
