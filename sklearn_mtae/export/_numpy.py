"""Files of exported estimators, which `sklearn_mtae.runtime` runs with numpy alone."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._engine.files import write_file

from ._describe import describe
from ._graph import Graph, Node
from ._lower import lower
from ._members import MEMBERS, by_member
from ._trace import NotExportableError


def to_numpy(estimator: Any, path: str | os.PathLike) -> None:
    """Write a fitted estimator to a file that :func:`sklearn_mtae.runtime.load` runs with numpy alone.

    The file holds the computations of the estimator's methods as operators of ONNX, weights, and what is known of the
    columns. It holds no code, and no training rows beyond those that an estimator keeps, such as the centres of a
    kernel.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator of this package: an autoencoder, with or without tasks, a `VAEImputer` or an
        `OutlierDetector`.
    path : str or PathLike
        Path of the file.

    Raises
    ------
    NotExportableError
        If a part of the estimator cannot be exported; the error names it. No file is written.
    """
    own = describe(estimator)
    arrays: dict[str, NDArray] = dict(own.arrays)
    graphs: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name, asked in own.asked.items():
        width = own.n_codes if asked.takes_codes else own.features.count
        try:
            graph = lower(asked.function, ["X"], [width], asked.outputs, asked.complete, asked.n_copies)
        except NotExportableError as error:
            if name in NEEDED[own.header["kind"]]:
                raise
            left_out[name] = str(error)
        else:
            graphs[name] = {**_described(graph, arrays), "follows": asked.follows}
    write_file(path, {**own.header, "graphs": graphs, "left_out": left_out}, arrays)


NEEDED = {
    "detector": {"score_samples"},
    "imputer": {"impute"},
    "transformer": {"transform"},
    **{kind: {"transform", "predict"} for kind in ("classes", "mixed", "numbers")},
}
"""Computations without which there is no point in a file, by the kind of the model."""


def _described(graph: Graph, arrays: dict[str, NDArray]) -> dict[str, Any]:
    """Return a graph in JSON's types, and add its constants to the arrays, each only once."""
    known = {(own.dtype.str, own.shape, own.tobytes()): name for name, own in arrays.items() if name[0] == "c"}
    names, wide = {}, set()
    for name, given in graph.constants.items():
        value = _narrow(given)
        key = (value.dtype.str, value.shape, value.tobytes())
        names[name] = stored = known.setdefault(key, f"c{len(known)}")
        arrays[stored] = value
        if value.dtype != given.dtype:
            names[name] = f"{stored}w"
            wide.add(stored)
    nodes, width = by_member(graph)
    described = [_node(node, names) for node in nodes]
    return {
        "inputs": graph.inputs,
        "nodes": described,
        "outputs": graph.outputs,
        "width": width,
        "wide": sorted(wide),
    }


def _narrow(value: NDArray) -> NDArray:
    """Return numbers of float64 in float32, as others may need them too, if that holds all of them."""
    if value.dtype != np.float64:
        return value
    with np.errstate(over="ignore"):
        narrow = value.astype(np.float32)
    return narrow if (narrow == value).all() else value


def _node(node: Node, names: Mapping[str, str]) -> list[Any]:
    """Return a node in JSON's types, constants by the names that they have in the file."""
    inside = {"nodes": [_node(own, names) for own in node.attributes["nodes"]]} if node.operator == MEMBERS else {}
    return [node.operator, [names.get(own, own) for own in node.inputs], node.outputs, {**node.attributes, **inside}]
