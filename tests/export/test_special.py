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
