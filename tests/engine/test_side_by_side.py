"""Models side by side: each as it is alone, and each row as it is alone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_mtae._engine.side_by_side import (
    CELLS,
    SIZES,
    DoesNotStackError,
    SideBySide,
    fill_up,
    filled_blocks,
    stacks,
)

N_MODELS = 5


def ask(model, x):
    return model(x)


def models(dtype=torch.float32):
    torch.manual_seed(0)
    return [nn.Sequential(nn.Linear(7, 40), nn.ReLU(), nn.Linear(40, 3)).to(dtype) for _ in range(N_MODELS)]


def side_by_side(each):
    states = [model.state_dict() for model in each]
    return SideBySide(each[0], {name: torch.stack([state[name] for state in states]) for name in states[0]})


@pytest.fixture(autouse=True)
def no_gradient():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_model_as_it_is_alone(dtype):
    each, x = models(dtype), torch.randn(32, 7, dtype=dtype)
    expected = torch.stack([model(x) for model in each])
    together = side_by_side(each)
    for result in (together(ask, x), together(ask, x), together.compute(ask, x)):
        torch.testing.assert_close(result, expected)


def test_a_row_has_the_same_bits_whatever_rows_come_with_it():
    together, x = side_by_side(models()), torch.randn(256, 7)
    whole = together(ask, x)
    for size in SIZES[:4]:
        parts = [together(ask, part) for part in x.split(size)]
        assert torch.equal(torch.cat(parts, dim=1), whole)


def test_two_threads_at_once():
    together, rows = side_by_side(models()), [torch.randn(8 * (1 + k % 3), 7) for k in range(40)]

    def run(x):
        with torch.inference_mode():
            return together(ask, x)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, rows))
    for x, result in zip(rows, found, strict=True):
        assert torch.equal(result, together(ask, x))


@pytest.mark.parametrize("n_rows", [1, 16, 17, 442, 5_000])
@pytest.mark.parametrize("width", [100, 10_240, 10**7])
def test_blocks_cover_the_rows_within_the_memory(n_rows, width):
    parts = list(filled_blocks(n_rows, width))
    np.testing.assert_array_equal(np.concatenate([np.arange(n_rows)[own] for own, _ in parts]), np.arange(n_rows))
    for own, size in parts:
        assert own.stop - own.start <= size
        assert size in SIZES
        assert size * width <= CELLS or size == SIZES[0]
    assert sum(size for _, size in parts) < n_rows + SIZES[0]


def test_rows_are_filled_up_with_the_last():
    x = torch.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(fill_up(x, 5), [[0, 1], [2, 3], [4, 5], [4, 5], [4, 5]])


def test_what_looks_at_numbers_does_not_stack():
    with pytest.raises(DoesNotStackError):
        side_by_side(models())(lambda model, x: model(x) if model(x).sum() > 0 else x, torch.randn(16, 7))


class Counting(nn.Module):
    """A module of a user's own."""


def test_modules_of_users_are_not_written_down():
    assert stacks(models())
    assert not stacks([nn.Sequential(*models(), Counting())])
