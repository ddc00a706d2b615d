"""Linear layers of several models as one: what each of them computes alone, and its gradients."""

import pytest
import torch
from torch.func import jvp, vjp, vmap
from torch.nn import functional as F

from sklearn_mtae._engine.linear import LANES, StackedLinear
from sklearn_mtae._engine.stack import WithinStack

K = 3


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def one_by_one(x, weight, bias):
    """The layers, model by model."""
    biases = [None] * K if bias is None else bias
    return torch.stack([F.linear(*own) for own in zip(x, weight, biases, strict=True)])


def as_one(x, weight, bias):
    """The layers, as a stack runs them."""
    with WithinStack():
        return vmap(F.linear, in_dims=(0, 0, None if bias is None else 0))(x, weight, bias)


def inner(output):
    """Return a number whose gradient differs from cell to cell."""
    return (output * torch.arange(output.numel(), dtype=output.dtype).view_as(output).sin()).sum()


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("n_outputs", [1, 5, LANES - 1, LANES, 33])
@pytest.mark.parametrize("n_inputs", [1, 7, LANES, 40])
@pytest.mark.parametrize("leading", [(), (1,), (50,), (2, 9)])
@pytest.mark.parametrize("biased", [True, False])
def test_outputs_and_gradients(n_outputs, n_inputs, leading, biased):
    given = normal(K, *leading, n_inputs), normal(K, n_outputs, n_inputs), normal(K, n_outputs) if biased else None
    ours, theirs = as_one(*given), one_by_one(*given)
    torch.testing.assert_close(ours, theirs)
    assert ours.is_contiguous()
    learned = [tensor for tensor in given if tensor is not None]
    torch.testing.assert_close(torch.autograd.grad(inner(ours), learned), torch.autograd.grad(inner(theirs), learned))


@pytest.mark.parametrize("n_outputs", [3, 20])
def test_gradients_of_gradients(n_outputs):
    given = normal(K, 17, 4), normal(K, n_outputs, 4), normal(K, n_outputs)
    assert torch.autograd.gradgradcheck(StackedLinear.apply, given)


def test_rows_that_lie_in_another_order():
    x, weight = normal(40, 6, K), normal(5, K, 6)
    with WithinStack():
        ours = vmap(F.linear, in_dims=(2, 1))(x, weight)
    torch.testing.assert_close(ours, one_by_one(x.movedim(2, 0), weight.movedim(1, 0), None))


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_what_all_models_share(shared):
    given = [normal(K, 20, 6), normal(K, 5, 6), normal(K, 5)]
    given[shared] = normal(*given[shared].shape[1:])
    with WithinStack():
        ours = vmap(F.linear, in_dims=tuple(None if k == shared else 0 for k in range(3)))(*given)
    theirs = one_by_one(*(tensor.expand(K, *tensor.shape) if k == shared else tensor for k, tensor in enumerate(given)))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(inner(ours), given), torch.autograd.grad(inner(theirs), given))


def backward(x, weight, bias):
    """A product with a Jacobian, as the contractive penalty has it."""
    return vjp(lambda rows: F.linear(rows, weight, bias).tanh(), x)[1](torch.ones(20, 5, dtype=x.dtype))[0]


def forward(*varied):
    """Products the other way round, with the Jacobian of some of rows, weights and biases."""

    def product(*given):
        def function(*own):
            own = dict(zip(varied, own, strict=True))
            return F.linear(*(own.get(k, given[k]) for k in range(3))).tanh()

        return jvp(function, tuple(given[k] for k in varied), tuple(given[k].cos() for k in varied))[1]

    return product


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")  # of torch's own, in its first jvp
@pytest.mark.parametrize("product", [backward, *(forward(*varied) for varied in [(0,), (1,), (2,), (0, 2), (0, 1, 2)])])
def test_products_with_a_jacobian(product):
    """Within a model."""
    x, weight, bias = normal(K, 20, 6), normal(K, 5, 6), normal(K, 5)
    theirs = torch.stack([product(*own) for own in zip(x, weight, bias, strict=True)])
    with WithinStack():
        ours = vmap(product)(x, weight, bias)
    torch.testing.assert_close(ours, theirs)
    given = [x, weight, bias]
    torch.testing.assert_close(torch.autograd.grad(inner(ours), given), torch.autograd.grad(inner(theirs), given))


def test_arguments_by_name():
    x, weight, bias = normal(K, 20, 6), normal(K, 5, 6), normal(K, 5)
    with WithinStack():
        ours = vmap(lambda *own: F.linear(bias=own[2], weight=own[1], input=own[0]))(x, weight, bias)
    torch.testing.assert_close(ours, one_by_one(x, weight, bias))


def test_precision_of_products_is_left_to_torch():
    x, weight = torch.randn(K, 20, 6), torch.randn(K, 5, 6)
    with WithinStack(), torch.autocast("cpu", torch.bfloat16):
        assert vmap(F.linear)(x, weight).dtype == torch.bfloat16
