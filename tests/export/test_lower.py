"""Functions of torch as graphs: numpy and ONNX Runtime compute what torch does, for any number of rows."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sklearn_mtae.export import NotExportableError
from sklearn_mtae.export._lower import lower
from sklearn_mtae.runtime import Graph

from .both import session

W = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)
EDGES = torch.tensor([-2.0, 0, 1, 2]).double()
KERNEL = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(2, 1, 3, 4)


def maps(x):
    return x.repeat_interleave(5, 1).reshape(len(x), 1, 4, 5)


def views(h):
    """Return a sum of views of a product, of which the product itself is computed with first."""
    others = h[:, :1], h.unsqueeze(1)[:, 0], h.reshape(-1, 2, 1).flatten(1), h.t().t(), torch.cat(h.chunk(2, 1), 1)
    made = h.relu() + 1
    return torch.stack([made - own for own in others], 1).flatten(1)


def slopes(x):
    """Return gradients of a function of each row, and its second derivatives."""

    def function(x):
        h = F.layer_norm((x @ W).tanh().cumsum(-1), (3,))
        return (h.gather(1, (x[:, :2] > 0).long()).exp().sum() + F.pad(h, (1, 1)).square().sum()) / 3

    gradient, pull = torch.func.vjp(torch.func.grad(function), x)
    return gradient, torch.func.vmap(pull)(torch.eye(4).double()[:, None].expand(-1, len(x), -1))[0].movedim(0, -1)


FUNCTIONS = {
    "product": lambda x: (x @ W).relu() @ W.T + 1,
    "products": lambda x: torch.einsum("ni,kij->nkj", x, torch.stack([W, 2 * W])).flatten(1),
    "scaled": lambda x: torch.addmm(x[:, :3], x, W, beta=0.5, alpha=2.0).pow(3.0),
    "shares": lambda x: torch.cat([x.softmax(-1), x.log_softmax(0 + 1), x.sigmoid()], dim=1),
    "conditions": lambda x: torch.where((x > 0) & ~(x >= 1) | (x == -2), x.clamp(min=-0.5), -x.clamp(-1, 0.2)),
    "gaps": lambda x: x.masked_fill(x < 0, float("nan")).nan_to_num(3.0).masked_fill(x > 2, float("inf")).nan_to_num(),
    "reductions": lambda x: torch.stack([x.sum(1), x.mean(-1), x.amax(1), x.amin(1), x.var(1), x.std(1)], dim=1),
    "positions": lambda x: x.argmax(1) + (x > 0).sum(1) + x.topk(2, dim=1, largest=False).indices[:, 0],
    "parts": lambda x: torch.cat([part * k for k, part in enumerate(x.chunk(2, dim=1))], 1)[..., [3, 0, 1]].diff(dim=1),
    "shapes": lambda x: x.unflatten(1, (2, 2)).movedim(1, 2).unsqueeze(0).expand(3, -1, -1, -1)[1].flatten(1),
    "gathered": lambda x: W[:, 0].expand(len(x), -1).gather(1, x.abs().floor().clamp(max=3).long()),
    "looked up": lambda x: W[x[:, 0].abs().clamp(max=3).long()] + torch.arange(3),
    "padded": lambda x: F.pad(x, (1, 2), value=7.0).cumsum(1) % 2.5,
    "integers": lambda x: (x.round().long() % 3) * 2 - x.floor().long() // 2,
    "new": lambda x: x.new_ones(len(x), 2) + torch.zeros_like(x[:, :1]) - torch.full_like(x[:, :1], 3.0),
    "convolution": lambda x: F.conv2d(maps(x), KERNEL, torch.tensor([1.0, 2]).double(), (2, 1), (1, 2)).flatten(1),
    "transposed": lambda x: F.conv_transpose2d(
        maps(x).expand(-1, 2, -1, -1), KERNEL, None, (2, 1), (1, 1), (1, 0)
    ).flatten(1),
    "groups": lambda x: F.conv1d(x[:, None].expand(-1, 2, -1), KERNEL[:, :, 0, :2], groups=2).flatten(1),
    "transposed groups": lambda x: F.conv_transpose1d(
        x[:, None].expand(-1, 2, -1), KERNEL[:, :, 0, :2], groups=2, stride=2
    ).flatten(1),
    "signal": lambda x: F.conv1d(x[:, None], KERNEL[:, :, 0, :2], stride=2).flatten(1),
    "special": lambda x: torch.cat([x.erf(), (x.square() + 1).rsqrt(), (x.abs() + 0.1).lgamma()], dim=1),
    "in place": lambda x: (x * 1).add_(2).mul_(x).clamp_(max=3.0),
    "views": lambda x: views(x @ W[:, :2]),
    "activations": lambda x: F.selu(x) + F.elu(x, 0.5) + F.celu(x, 2.0) + F.gelu(x, approximate="tanh") + F.gelu(x),
    "searched": lambda x: torch.searchsorted(EDGES, x, right=True) * 10 + torch.searchsorted(EDGES, x),
    "clipped": lambda x: x.sigmoid().round().logit(eps=0.1),
    "fractions": lambda x: (x / 10).any(1).double() + (x / 10).all(1),
    "cut": lambda x: F.pad(F.pad(x, (-1, 0)), (2, -1)),
    "slopes": lambda x: slopes(x)[0],
    "curvature": lambda x: slopes(x)[1].flatten(1),
    "stacked": lambda x: torch.func.vmap(lambda w: torch.tanh(x @ w))(torch.stack([W, -W])).movedim(0, 1).flatten(1),
}


def rows(n):
    x = np.random.default_rng(n).normal(size=(n, 4)) * 2
    x[:1] = [-2, 0, 1, 2]
    return x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_graph_computes_what_torch_does(name):
    def function(x):
        return (FUNCTIONS[name](x),)

    wanted = {n: function(torch.from_numpy(rows(n)))[0].numpy() for n in (1, 4, 7)}
    graph = lower(function, ["X"], [4], ["made"])
    nodes = [[node.operator, node.inputs, node.outputs, node.attributes] for node in graph.nodes]
    described = {"inputs": ["X"], "nodes": nodes, "outputs": graph.outputs, "width": graph.width}
    for n, own in wanted.items():
        np.testing.assert_allclose(Graph(described, graph.constants)(rows(n))[0], own, rtol=1e-9, atol=1e-9)
    if name in (
        "convolution",
        "transposed",
        "groups",
        "transposed groups",
        "signal",
    ):  # ONNX Runtime has them in float32 only
        return
    started = session(as_model(graph))
    for n, own in wanted.items():
        np.testing.assert_allclose(started.run(None, {"X": rows(n)})[0], own, rtol=1e-9, atol=1e-9)


def as_model(graph):
    from onnx import helper

    from sklearn_mtae.export._onnx import OPSET, make_node, onnx_helper, tensor_type

    _, to_tensor = onnx_helper()
    made = helper.make_graph(
        [make_node(helper, node) for node in graph.nodes],
        "graph",
        [helper.make_tensor_value_info("X", tensor_type(np.float64), [None, 4])],
        [
            helper.make_tensor_value_info(own, tensor_type(graph.dtypes[own]), [None] * len(graph.shapes[own]))
            for own in graph.outputs.values()
        ],
        [to_tensor(value, name) for name, value in graph.constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def test_a_float32_graph_is_computed_in_float64_where_it_overflows():
    graph = lower(lambda x: ((x.float() * 1e30).square().sqrt().double() / 1e30,), ["X"], [4], ["made"])
    nodes = [[node.operator, node.inputs, node.outputs, node.attributes] for node in graph.nodes]
    run = Graph({"inputs": ["X"], "nodes": nodes, "outputs": graph.outputs, "width": 4}, graph.constants)
    np.testing.assert_allclose(run(rows(9))[0], np.abs(rows(9)), rtol=1e-6)
    with pytest.raises(ValueError, match="Row 2 is too far"):
        run(np.array([[1.0] * 4, [2.0] * 4, [1e300] * 4]))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x if x.sum() > 0 else -x, "depends on the values of the rows"),
        (lambda x: torch.linalg.svd(x)[1], "_linalg_svd"),
        (lambda x: torch.rand_like(x), "rand_like"),
        (lambda x: x + torch.arange(float(len(x)))[:, None], "depend on the number of rows"),
        (lambda x: x / len(x), "with the number of rows"),
        (lambda x: sum(x[j : j + 1] for j in range(len(x))), "other operations"),
        (lambda x: x if len(x) > 3 else -x, "other operations"),
        (lambda x: (x + 1, x + 2)[len(x) > 3] * 2, "depends on the number of rows"),
        (lambda x: x * (2.0 if len(x) > 3 else 3.0), "depends on the number of rows"),
        (lambda x: x + torch.full((4,), 1.0 + (len(x) > 3)), "depend on the number of rows"),
        (lambda x: torch.where(x > 0, torch.ones(4).double() if len(x) > 3 else x, x), "depends on the number of rows"),
        (lambda x: x.sum() if len(x) > 3 else x.sum(1), "'sum'"),
        (lambda x: x.round(decimals=1), "'round' with decimals=1"),
        (lambda x: torch.searchsorted(EDGES, x, sorter=torch.arange(4)), "'searchsorted' with sorter="),
        (lambda x: x.view(torch.int64), "'view' with dtype="),
        (lambda x: x + x.argmax(), "'argmax' of all rows"),
        (lambda x: x[x > 0], "index"),
        (lambda x: x.clone()[:, :2].add_(1), "add_"),
        (lambda x: F.conv1d(x[:, None], KERNEL[:, :, 0, :2], dilation=2), "dilated"),
    ],
)
def test_what_cannot_be_exported_is_named(function, message):
    with pytest.raises(NotExportableError, match=message):
        lower(lambda x: (function(x),), ["X"], [4], ["made"])
