"""Layers of members, which numpy runs one after the other for many rows, and their embedding."""

import numpy as np
import pytest
import torch

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor, OutlierDetector
from sklearn_mtae.export._graph import Graph, Node
from sklearn_mtae.export._members import MEMBERS, by_member
from sklearn_mtae.export._trace import Rows
from sklearn_mtae.export._trimmed import Trimmed
from sklearn_mtae.nn.embeddings import PiecewiseLinear
from sklearn_mtae.runtime import FEW, OPERATORS
from sklearn_mtae.runtime import Graph as Runnable

from .both import SMALL, assert_same, in_numpy, with_all

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 5))
X[:, 3] = X[:, 3] > 0
WEIGHTS, BIASES, LAST = RNG.normal(size=(4, 5, 6)), RNG.normal(size=(4, 1, 6)), RNG.normal(size=(4, 6, 2))


def layers(middle="Relu"):
    """Return the graph of a network of four members, and what it gives."""
    graph = Graph(["X"])
    graph.shapes["X"] = [Rows(1), 5]
    names = [graph.constant(own) for own in (WEIGHTS, BIASES, LAST)]
    hidden = graph.add("MatMul", "X", names[0])
    shifted = graph.add("Add", hidden, names[1])
    active = graph.add(middle, shifted, **({"axis": 2} if middle == "Softmax" else {}))
    graph.outputs["made"] = graph.add("MatMul", active, names[2])
    for name, width in ((hidden, 6), (shifted, 6), (active, 6), (graph.outputs["made"], 2)):
        graph.shapes[name] = [4, Rows(1), width]
    return graph


def described(graph):
    nodes, width = by_member(graph)

    def node(own):
        inside = {"nodes": list(map(node, own.attributes["nodes"]))} if own.operator == MEMBERS else {}
        return [own.operator, own.inputs, own.outputs, {**own.attributes, **inside}]

    return {"inputs": graph.inputs, "nodes": list(map(node, nodes)), "outputs": graph.outputs, "width": width}


@pytest.mark.parametrize("n", [1, FEW - 1, FEW, 150])
def test_members_are_a_group(n):
    made = described(layers())
    assert [own[0] for own in made["nodes"]] == [MEMBERS]
    assert made["width"] == 6
    wanted = np.maximum(X[:n] @ WEIGHTS + BIASES, 0) @ LAST
    graph = Runnable(made, layers().constants)
    np.testing.assert_allclose(graph._run([X[:n]], False)[0], wanted, rtol=1e-12, atol=1e-12)


def test_what_mixes_cells_is_no_part_of_a_group():
    """The attributes of such an operator count axes, of which those of one member are fewer."""
    graph = layers("Softmax")
    assert [own.operator for own in by_member(graph)[0]] == ["MatMul", "Add", "Softmax", "MatMul"]
    assert by_member(graph)[1] == 24


def test_a_value_that_others_need_is_a_result_of_the_group():
    graph = layers()
    graph.outputs["hidden"] = graph.nodes[1].outputs[0]
    found = Runnable(described(graph), graph.constants)._run([X], False)
    np.testing.assert_allclose(found[1], X @ WEIGHTS + BIASES, rtol=1e-12)


def test_onnx_has_no_groups():
    assert MEMBERS not in OPERATORS
    assert isinstance(layers().nodes[0], Node)


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_many_rows_are_what_few_are(kind, tmp_path):
    own = {**SMALL, "n_estimators": 3, "max_iter": 30}
    if kind == "numbers":
        model, method = MultiTaskVAERegressor(**own).fit(X, np.sin(3 * X[:, :2])), "predict"
    else:
        model, method = MultiTaskVAEClassifier(**own).fit(X, (X[:, 0] > 0) + 2 * (X[:, 1] > 0)), "predict_proba"
    exported = in_numpy(with_all(model), tmp_path)
    assert any(node[0] == MEMBERS for node in exported._graphs["predict"].described["nodes"])
    assert_same(getattr(exported, method)(X), getattr(model, method)(X))
    each = [getattr(exported, method)(row[None])[0] for row in X[:5]]
    assert_same(getattr(exported, method)(X)[:5], np.array(each))


def test_a_trimmed_embedding_gives_what_the_layer_after_it_does():
    """A column of two values has no bins, and one of five has four of them."""
    x = torch.from_numpy(np.c_[X, RNG.integers(0, 5, 150)])
    x[0, 0] = 30
    embedding = PiecewiseLinear(6).double()
    embedding.learn(x[1:])
    weight, bias = torch.from_numpy(RNG.normal(size=(3, 7, 6 * 17))), torch.from_numpy(RNG.normal(size=(3, 7)))
    wanted = embedding(x) @ weight.mT + bias[:, None]
    trimmed = Trimmed(embedding)
    assert trimmed(x).shape[1] == 6 + 4 * 16 + 4 + 1
    torch.testing.assert_close(trimmed(x) @ trimmed.layer(weight, bias).mT, wanted, rtol=1e-10, atol=1e-10)


def test_rows_without_gaps_take_a_shorter_way(tmp_path):
    """Missing cells are filled five times, and the rows encoded again; other rows are encoded once."""
    exported = in_numpy(OutlierDetector(n_estimators=2, random_state=0).fit(X), tmp_path)
    lengths = {name: len(own.described["nodes"]) for name, own in exported._graphs.items()}
    assert lengths["score_samples_complete"] < 0.6 * lengths["score_samples"]
