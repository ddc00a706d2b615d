"""Functions as programs: the same results on other rows, whatever runs beside."""

import pytest
import torch

from sklearn_mtae._engine.program import Program

X, OTHERS = torch.randn(6, 3), torch.randn(6, 3)
WEIGHT = torch.randn(3, 4)


def in_place(x):
    made = torch.zeros(6, 4)
    made[:, :2] = x[:, :2]
    return (made.t().mul_(2) + 1).t()


@pytest.mark.parametrize(
    "function",
    [lambda x: (x @ WEIGHT).relu_().sum(1), lambda x: torch.cat([x, x.flip(0)], dim=1), in_place],
    ids=["product", "nest", "in_place"],
)
def test_a_program_does_to_other_rows_what_the_function_does(function):
    program = Program(function, X)
    first = program(OTHERS)
    torch.testing.assert_close(first, function(OTHERS), rtol=0, atol=0)
    torch.testing.assert_close(program(X), function(X), rtol=0, atol=0)
    torch.testing.assert_close(first, function(OTHERS), rtol=0, atol=0)  # it is no memory of the program's


def test_what_does_not_depend_on_the_rows_is_computed_once():
    program = Program(lambda x: x @ WEIGHT.exp().mul(3).softmax(0), X)
    assert len(program.steps) == 1


def test_what_nothing_comes_of_is_left_out():
    program = Program(lambda x: (x.sigmoid(), x.view(6, 3).exp().mul_(2))[1], X)
    assert len(program.steps) == 2
    torch.testing.assert_close(program(OTHERS), 2 * OTHERS.exp(), rtol=0, atol=0)


def test_a_function_that_makes_nothing_of_rows_has_no_program():
    with pytest.raises(ValueError, match="does not follow"):
        Program(lambda x: WEIGHT * 2, X)
    total = torch.zeros(3)
    with pytest.raises(ValueError, match="writes to"):
        Program(lambda x: x + total.add_(x.sum(0)), X)
