"""Graphs of estimators as ONNX models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._describe import Exportable
from ._graph import OPSET, Graph, Node, free
from ._lower import lower
from ._outputs import Output, Results, outputs_of
from ._runnable import runnable
from ._trace import NotExportableError, Rows

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
    numbers = {j: _rounded(known, own, j, dtype) for j, known in levels.items() if not is_text(known)}

    def function(x: Tensor) -> list[Tensor]:
        # The estimator reads a table with categories in float64.
        results = Results(own, _coded(x, numbers, own), dtype == np.float32 and not levels)
        return [output.value(results) for output in outputs]

    results = [f"result{j}" for j in range(len(outputs))]
    graph = lower(function, ["rows"], [width], results)
    inputs = _read(graph, own, levels, width, dtype)
    _finish(graph, outputs, results, dtype)
    taken: set[str] = set()
    public = {f"input{j}": free(name or f"column{j}", taken) for j, name in enumerate(inputs)}
    graph.rename(public | {name: free(output.name, taken) for name, output in zip(results, outputs, strict=True)})
    return graph, dict(zip(public.values(), inputs.values(), strict=True))


def is_text(levels: Sequence[Any]) -> bool:
    """Return whether a category's levels come as strings."""
    return any(isinstance(level, str) for level in levels)


def _rounded(levels: Sequence[Any], own: Exportable, j: int, dtype: Any) -> NDArray:
    """Return levels that are numbers as an input has them."""
    with np.errstate(over="ignore"):
        known = np.array([float(level) for level in levels]).astype(dtype)
    if len(set(known.tolist())) < len(levels) or not np.isfinite(known).all():
        remedy = ' Pass dtype="float64".' if len(set(map(float, levels))) == len(levels) and dtype == np.float32 else ""
        raise NotExportableError(
            f"The levels of a category must differ in {np.dtype(dtype)}, the dtype of the input. Those of column "
            f"{own.features.names[j]!r} do not.{remedy}"
        )
    return known


def _coded(x: Tensor, levels: dict[int, NDArray], own: Exportable) -> Tensor:
    """Return rows with the codes of levels that are numbers; those of strings are looked up before."""
    if not levels:
        return x
    columns = [_code(x[:, j : j + 1], levels[j], own) if j in levels else x[:, j : j + 1] for j in range(x.shape[1])]
    return torch.cat(columns, dim=1)


def _code(x: Tensor, levels: NDArray, own: Exportable) -> Tensor:
    """Return the codes of numbers, shape (n_rows, 1): cells are compared in the dtype of the input."""
    known = torch.from_numpy(levels)
    same = x.to(known.dtype) == known
    code = (same.to(x.dtype) * torch.arange(len(levels), dtype=x.dtype)).sum(1, keepdim=True)
    code = torch.where(same.any(1, keepdim=True), code, _unknown(own, levels))
    return torch.where(x.isnan(), float("nan"), code)


def _unknown(own: Exportable, levels: Any) -> float:
    return float(len(levels)) if own.header["columns"]["unknown"] == "silent" else float("nan")


def _read(graph: Graph, own: Exportable, levels: dict[int, list], width: int, dtype: Any) -> dict[str, tuple[Any, int]]:
    """Add the nodes that make rows of float64 from the inputs; return dtype and width of each input."""
    if not any(map(is_text, levels.values())):
        graph.nodes.insert(0, Node("Cast", ["input0"], ["rows"], {"to": "float64"}))
        return {"X": (dtype, width)}
    nodes, names, inputs = [], [], {}
    for j, name in enumerate(map(str, own.features.names)):
        given, column, has_words = f"input{j}", f"column{j}", j in levels and is_text(levels[j])
        inputs[name] = (np.str_ if has_words else dtype, 1)
        if has_words:
            nodes.append(_look_up(given, f"code{j}", _spelled(levels[j], name), _unknown(own, levels[j])))
            given = f"code{j}"
        nodes.append(Node("Cast", [given], [column], {"to": "float64"}))
        names.append(column)
    graph.nodes[:0] = [*nodes, Node("Concat", names, ["rows"], {"axis": 1})]
    return inputs


def _spelled(levels: Sequence[Any], name: str) -> list[str]:
    """Return levels as strings, which must differ."""
    words = list(map(str, levels))
    if len(set(words)) < len(words):
        raise NotExportableError(f"The levels of a category must differ as strings. Those of column {name!r} do not.")
    return words


def _look_up(name: str, made: str, levels: Sequence[str], unknown: float) -> Node:
    """Return the node that finds the codes of strings."""
    codes = {"": float("nan")} | {level: float(code) for code, level in enumerate(levels)}
    attributes = {"keys_strings": list(codes), "values_floats": list(codes.values()), "default_float": unknown}
    return Node("LabelEncoder", [name], [made], attributes)


def _finish(graph: Graph, outputs: Sequence[Output], results: Sequence[str], dtype: Any) -> None:
    """Give results their dtypes and their labels, and names of their own."""
    for output, result in zip(outputs, results, strict=True):
        found = name = graph.outputs[result]
        if output.labels is not None:
            labels = _as_labels(output.labels)
            name = graph.add("Gather", graph.constant(labels), graph.cast(name, np.int64), dtype=labels.dtype, axis=0)
        elif graph.dtypes[name].kind == "f":
            name = graph.cast(name, dtype)
        graph.nodes.append(Node("Identity", [name], [result], {}))
        graph.dtypes[result], graph.shapes[result] = graph.dtypes[name], graph.shapes[found]
        graph.outputs[result] = result


def _as_labels(labels: NDArray) -> NDArray:
    """Return labels in a dtype that ONNX has."""
    kinds = {"i": np.int64, "u": np.int64, "f": np.float64, "b": np.bool_}
    return labels.astype(kinds[labels.dtype.kind]) if labels.dtype.kind in kinds else labels.astype(np.str_)


def model_of(graph: Graph, inputs: dict[str, tuple[Any, int]], own: Exportable) -> Any:
    """Return the model of a graph."""
    helper, to_tensor = onnx_helper()
    graph = runnable(graph, helper, to_tensor)
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
    """Return a node of ONNX. onnxruntime 1.20 fuses nodes under names made of theirs, so each has one of its own."""
    domain = {"domain": ML} if node.operator == "LabelEncoder" else {}
    options = {"name": node.outputs[0], **domain, **attributes_of(node)}
    return helper.make_node(node.operator, node.inputs, node.outputs, **options)


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
