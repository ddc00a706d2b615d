import numpy as np
import pytest
import torch

from sklearn_mtae.export._special import DECOMPOSITIONS, LEAST

Z = torch.linspace(-8, 20, 20_001, dtype=torch.float64)
P = torch.cat([torch.logspace(np.log10(LEAST), -1, 2001, dtype=torch.float64), torch.linspace(0.1, 0.9, 2001).double()])
POSITIVE = torch.logspace(-6, 8, 2001, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "function", "x"),
    [
        ("erf", torch.erf, Z),
        ("erfc", torch.erfc, Z[Z < 5]),
        ("special_erfcx", torch.special.erfcx, Z[Z > -5]),
        ("special_ndtri", torch.special.ndtri, torch.cat([P, 1 - P])),
        ("lgamma", torch.lgamma, POSITIVE),
        ("gelu", torch.nn.functional.gelu, Z),
        ("silu", torch.nn.functional.silu, Z),
        ("elu", torch.nn.functional.elu, Z),
        ("log1p", torch.log1p, POSITIVE),
        ("expm1", torch.expm1, Z),
        ("logit", torch.logit, P),
    ],
)
def test_special_functions(name, function, x):
    torch.testing.assert_close(DECOMPOSITIONS[name](x), function(x), rtol=1e-9, atol=1e-9)


def test_normalisation_and_moments():
    x, weight, bias = torch.randn(4, 6, 5), torch.randn(5), torch.randn(5)
    own, _, _ = DECOMPOSITIONS["native_layer_norm"](x, [5], weight, bias, 1e-5)
    torch.testing.assert_close(own, torch.nn.functional.layer_norm(x, [5], weight, bias))
    weight, bias = torch.randn(6), torch.randn(6)
    own, _, _ = DECOMPOSITIONS["native_group_norm"](x, weight, bias, 4, 6, 5, 2, 1e-5)
    torch.testing.assert_close(own, torch.nn.functional.group_norm(x, 2, weight, bias))
    torch.testing.assert_close(DECOMPOSITIONS["var"](x, [1], correction=0), x.var(1, correction=0))
    torch.testing.assert_close(DECOMPOSITIONS["var_mean"](x, [0, 2]), torch.var_mean(x, [0, 2]))


def test_sums_of_exponentials():
    nothing = torch.full((3,), -float("inf"))
    x = torch.stack([torch.randn(3) * 300, nothing, torch.randn(3)])
    torch.testing.assert_close(DECOMPOSITIONS["logsumexp"](x, [1]), x.logsumexp(1))
    torch.testing.assert_close(DECOMPOSITIONS["logaddexp"](x, x.flip(0)), torch.logaddexp(x, x.flip(0)))


def test_searching():
    edges, values = torch.randn(3, 7).sort(-1).values, torch.randn(3, 4)
    assert (DECOMPOSITIONS["searchsorted"](edges, values) == torch.searchsorted(edges, values)).all()


def test_triangles():
    a = torch.randn(4, 5, 5, dtype=torch.float64)
    upper, b = a.triu() + 4 * torch.eye(5), torch.randn(3, 4, 5, 2, dtype=torch.float64)
    own = DECOMPOSITIONS["linalg_solve_triangular"](upper, b, upper=True)
    torch.testing.assert_close(upper @ own, b)
    assert DECOMPOSITIONS["linalg_solve_triangular"](upper.mT, b, upper=False) is NotImplemented
    q, r = DECOMPOSITIONS["linalg_qr"](a)
    torch.testing.assert_close(q @ r, a)
    torch.testing.assert_close(q.mT @ q, torch.eye(5).double().expand(4, -1, -1))
    assert (r.tril(-1) == 0).all()
    assert DECOMPOSITIONS["linalg_qr"](a[..., :3]) is NotImplemented


def test_diagonals_and_places():
    x, own, index = torch.randn(3, 4, 4), torch.randn(3, 4), torch.tensor([[2, 0, 2], [1, 1, 1]])
    torch.testing.assert_close(DECOMPOSITIONS["diagonal"](x, 0, -2, -1), x.diagonal(0, -2, -1))
    put = DECOMPOSITIONS["diagonal_scatter"](x, own, 0, -2, -1)
    torch.testing.assert_close(put, torch.diagonal_scatter(x, own, 0, -2, -1))
    assert DECOMPOSITIONS["diagonal"](x, 1, -2, -1) is DECOMPOSITIONS["diagonal_scatter"](x, own) is NotImplemented
    start, more = torch.randn(2, 4), torch.randn(2, 3)
    found = DECOMPOSITIONS["scatter_add"](start, -1, index, more)
    torch.testing.assert_close(found, start.scatter_add(-1, index, more))
    assert DECOMPOSITIONS["scatter_add"](start, 0, index, more) is NotImplemented
    put, place = DECOMPOSITIONS["index_put"], torch.tensor([3, 0, 3])
    found, wanted = (
        put(start, [None, place], more, True),
        start.index_put((torch.arange(2)[:, None], place), more, True),
    )
    torch.testing.assert_close(found, wanted)
    assert put(start, [None, place], more) is put(start, [place[:2] - 2, place[:2]], more, True) is NotImplemented
    found = DECOMPOSITIONS["slice_scatter"](start, own[:2, :2], 1, 1, 3)
    torch.testing.assert_close(found, start.slice_scatter(own[:2, :2], 1, 1, 3))
    assert DECOMPOSITIONS["slice_scatter"](start, own[:2, :2], 1, 0, 4, 2) is NotImplemented
    torch.testing.assert_close(DECOMPOSITIONS["flip"](x, [0, 2]), x.flip(0, 2))


@pytest.mark.parametrize("transposed", [False, True])
def test_gradients_of_maps(transposed):
    x, weight = torch.randn(2, 3, 7, 6, requires_grad=True), torch.randn(*((3, 5) if transposed else (5, 3)), 3, 2)
    options = [None, [2, 1], [1, 0], [1, 1], transposed, [1, 0] if transposed else [0, 0], 1]
    made = torch.ops.aten.convolution.default(x, weight, *options)
    slopes = torch.randn_like(made)
    (wanted,) = torch.autograd.grad(made, x, slopes)
    own, *_ = DECOMPOSITIONS["convolution_backward"](slopes, x, weight, *options, [True, False, False])
    torch.testing.assert_close(own, wanted)
    others = DECOMPOSITIONS["convolution_backward"](slopes, x, weight, *options, [True, True, False])
    assert others is NotImplemented
