"""Inputs of several models, brought into one layout."""

from types import SimpleNamespace

import torch

from sklearn_mtae.nn.batching import along_first


def test_models_lie_along_the_first_axis():
    own, last, shared = torch.arange(6).reshape(3, 2), torch.arange(6).reshape(2, 3), torch.arange(2)
    found = list(along_first(SimpleNamespace(batch_size=3), (0, 1, None, None), (own, last, shared, None)))
    assert found[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert found[1].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found[2].tolist() == [[0, 1]] * 3
    assert found[3] is None
