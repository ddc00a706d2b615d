"""A tabulated embedding: the same as the embedding and the linear layer after it."""

import pytest
import torch
from torch import nn
from torch.func import vmap

from sklearn_mtae.nn.embeddings import PiecewiseLinear
from sklearn_mtae.nn.tabulated import Tabulated

N_COLUMNS, N_OUTPUTS = 4, 7


@pytest.fixture
def embedding():
    x = torch.randn(200, N_COLUMNS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 1] = (x[:, 1] > 0).double()  # no bins
    x[:, 2] = x[:, 2].round()  # a few bins
    embedding = PiecewiseLinear(N_COLUMNS).double()
    embedding.learn(x)
    return embedding


def rows(embedding):
    generator = torch.Generator().manual_seed(1)
    usual = torch.randn(30, N_COLUMNS, generator=generator, dtype=torch.float64)
    return torch.cat([usual, 100 * usual, embedding.lower.T, torch.zeros(1, N_COLUMNS)])


def layer(dtype=torch.float64):
    return nn.Linear(N_COLUMNS * 17, N_OUTPUTS, dtype=dtype).requires_grad_(False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_it_is_the_layer_after_the_embedding(embedding, dtype):
    x, linear = rows(embedding).to(dtype), layer(dtype)
    embedding.to(dtype)
    tabulated = Tabulated(embedding, embedding.tabulate(linear.weight, linear.bias))
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(tabulated(x), linear(embedding(x)), rtol=tolerance, atol=tolerance)


def test_several_tables_at_once(embedding):
    x, layers = rows(embedding), [layer() for _ in range(3)]
    tables = torch.stack([embedding.tabulate(own.weight, own.bias) for own in layers])
    expected = torch.stack([own(embedding(x)) for own in layers])
    torch.testing.assert_close(vmap(lambda table: Tabulated(embedding, table)(x))(tables), expected)


def test_what_is_no_number_stays_none(embedding):
    linear, x = layer(), torch.zeros(3, N_COLUMNS, dtype=torch.float64)
    x[0, 0], x[1, 3] = torch.inf, torch.nan
    made = Tabulated(embedding, embedding.tabulate(linear.weight, linear.bias))(x)
    assert made.isnan().all(dim=1).tolist() == [True, True, False]
