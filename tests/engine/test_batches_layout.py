"""Batches as tables of positions and weights."""

from itertools import pairwise

import pytest
import torch

from sklearn_mtae._engine.batches import lay_out


@pytest.mark.parametrize(("n_rows", "n_batches"), [([10], 3), ([12], 4), ([7, 10, 9], 3), ([1, 5], 4)])
def test_layout(n_rows, n_batches):
    """Each row counts once, and each batch weighs its rows alike; means over padded batches are those of the rows."""
    orders = torch.stack([torch.cat([torch.randperm(n), torch.zeros(max(n_rows) - n, dtype=int)]) for n in n_rows])
    positions, weights, counts = lay_out(n_rows, n_batches, orders)
    assert (weights is None) is all(n % n_batches == 0 for n in n_rows)
    weights = torch.ones(positions.shape) if weights is None else weights
    for k, n in enumerate(n_rows):
        bounds = [n * batch // n_batches for batch in range(n_batches + 1)]
        value = torch.rand(n, dtype=torch.float64)
        for batch, (start, end) in enumerate(pairwise(bounds)):
            own, weight = positions[batch, k], weights[batch, k]
            assert own[weight > 0].tolist() == orders[k, start:end].tolist()
            assert counts[batch, k] == end - start
            if end > start:
                expected = value[orders[k, start:end]].mean()
                torch.testing.assert_close((value[own] * weight).mean(), expected)
