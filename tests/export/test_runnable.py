import numpy as np
import pytest
import torch

from sklearn_mtae.export._lower import lower
from sklearn_mtae.export._onnx import make_node, onnx_helper
from sklearn_mtae.export._runnable import runnable
from sklearn_mtae.runtime import Graph

from .both import session

pytest.importorskip("onnx")


def started(graph, width):
    """Return a session of ONNX Runtime for a graph of one input."""
    helper, to_tensor = onnx_helper()
    graph = runnable(graph, helper, to_tensor)
    made = helper.make_graph(
        [make_node(helper, node) for node in graph.nodes],
        "graph",
        [helper.make_tensor_value_info("X", 11, [None, width])],
        [helper.make_tensor_value_info(name, 11, None) for name in graph.outputs.values()],
        [to_tensor(value, name) for name, value in graph.constants.items()],
    )
    return session(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))


@pytest.mark.parametrize("n", [1, 2, 3, 8, 11])
def test_eigenvalues(n):
    graph = lower(lambda x: torch.linalg.eigh(x.reshape(-1, n, n)), ["X"], [n * n], ["values", "vectors"])
    described = {"inputs": ["X"], "nodes": [list(own) for own in graph.nodes], "outputs": graph.outputs, "width": 1}
    in_numpy = Graph(described, graph.constants)
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(40, n, n))
    base = np.linalg.qr(matrices[:10])[0]
    matrices[:10] = base * (10.0 ** -np.arange(n)) @ base.swapaxes(1, 2)  # far apart
    matrices[10:12], matrices[12] = np.eye(n), 0  # the same, and none
    matrices = (matrices + matrices.swapaxes(1, 2)) / 2
    x, identity = matrices.reshape(40, -1), np.broadcast_to(np.eye(n), matrices.shape)
    for values, vectors in (in_numpy(x), started(graph, n * n).run(None, {"X": x})):
        np.testing.assert_allclose(np.sort(values, axis=1), np.linalg.eigvalsh(matrices), rtol=0, atol=1e-12)
        np.testing.assert_allclose(vectors * values[:, None] @ vectors.swapaxes(1, 2), matrices, rtol=0, atol=1e-9)
        np.testing.assert_allclose(vectors.swapaxes(1, 2) @ vectors, identity, rtol=0, atol=1e-12)


def test_convolutions_of_float64():
    weight = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 1, 3)

    def function(x):
        return (torch.nn.functional.conv_transpose1d(torch.nn.functional.conv1d(x[:, None], weight), weight),)

    graph = lower(function, ["X"], [7], ["maps"])
    x = np.random.default_rng(0).normal(size=(5, 7))
    (found,) = started(graph, 7).run(None, {"X": x})
    np.testing.assert_allclose(found, function(torch.from_numpy(x))[0], rtol=0, atol=1e-5)


W = torch.linspace(-1, 1, 9, dtype=torch.float64).reshape(3, 3)
FUSED = {
    "silu": lambda x, square: x * x.sigmoid(),
    "scaled silu": lambda x, square: (1.7 * x).sigmoid() * x,
    "left": lambda x, square: square.mT @ W,
    "right": lambda x, square: square @ square.mT,
    "both": lambda x, square: square.mT @ square.mT,
    "through a cast": lambda x, square: square.float().mT.double() @ square,
    "matrix": lambda x, square: (W @ x[:, :3].T).T,
}
"""What ONNX Runtime fuses to operators that it has not always had in float64."""


@pytest.mark.parametrize("name", FUSED)
def test_operators_that_would_be_fused(name):
    def function(x):
        return (FUSED[name](x, x.reshape(-1, 3, 3)),)

    graph = lower(function, ["X"], [9], ["result"])
    x = np.random.default_rng(0).normal(size=(5, 9))
    (found,) = started(graph, 9).run(None, {"X": x})
    np.testing.assert_allclose(found, function(torch.from_numpy(x))[0], rtol=1e-12)
    makers = {name: node.operator for node in graph.nodes for name in node.outputs}
    pairs = {(makers.get(name), node.operator) for node in graph.nodes for name in node.inputs}
    assert not pairs & {("Transpose", "MatMul"), ("Cast", "MatMul"), ("Sigmoid", "Mul")}
