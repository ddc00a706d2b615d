"""The contract of every likelihood in the dictionary."""

import pickle

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from sklearn_mtae.nn.likelihoods import LIKELIHOODS

INF = float("inf")


@pytest.fixture(params=sorted(LIKELIHOODS))
def likelihood(request):
    torch.manual_seed(0)
    return LIKELIHOODS[request.param](3)


def params_of(likelihood, n_rows=7, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(n_rows, 3 * likelihood.n_params, generator=generator, dtype=torch.float64)


def values_of(likelihood, n_rows=7):
    return likelihood.distribution(params_of(likelihood, n_rows)).sample()


def test_density_integrates_to_one(likelihood):
    likelihood = likelihood.double()
    params = params_of(likelihood)
    if likelihood.support == (0.0, 1.0):
        total = sum(likelihood.log_prob(params, torch.full((7, 3), x, dtype=torch.float64)).exp() for x in (0.0, 1.0))
    else:
        grid = torch.linspace(-40, 40, 8001, dtype=torch.float64)
        density = torch.stack([likelihood.log_prob(params, x.expand(7, 3)).exp() for x in grid])
        total = torch.trapezoid(density, grid, dim=0)
    torch.testing.assert_close(total, torch.ones(7, 3, dtype=torch.float64), rtol=1e-6, atol=0)


def test_density_is_that_of_the_distribution(likelihood):
    likelihood = likelihood.double()
    params, x = params_of(likelihood), values_of(likelihood)
    torch.testing.assert_close(likelihood.log_prob(params, x), likelihood.distribution(params).log_prob(x))


def test_samples_match_the_density(likelihood):
    torch.manual_seed(0)
    distribution = likelihood.double().distribution(params_of(likelihood, 1))
    draws = torch.stack([distribution.sample() for _ in range(4000)])[:, 0].numpy()
    if likelihood.support == (0.0, 1.0):
        np.testing.assert_allclose(draws.mean(0), distribution.mean[0].numpy(), atol=0.03)
    else:
        uniform = distribution.cdf(torch.from_numpy(draws)).detach().numpy()
        assert all(kstest(column, "uniform").pvalue > 1e-3 for column in uniform.T)
    np.testing.assert_allclose(draws.std(0), distribution.stddev[0].detach().numpy(), rtol=0.1)


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_gradients_are_finite_with_missing_cells_and_extreme_parameters(likelihood, scale):
    params = params_of(likelihood, scale=scale).float().requires_grad_()
    x = values_of(likelihood).float()
    x[::2, 1] = float("nan")
    x[3] = float("nan")
    density = likelihood.log_prob(params, x)
    density.sum().backward()
    assert torch.isfinite(params.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in likelihood.parameters())
    assert (density[3] == 0).all()
    assert (density[::2, 1] == 0).all()


def test_mask_is_the_dropped_column(likelihood):
    params, x = params_of(likelihood), values_of(likelihood)
    masked = x.clone()
    masked[:, 1] = float("nan")
    likelihood = likelihood.double()
    expected = likelihood.log_prob(params, x)[:, [0, 2]].sum(-1)
    torch.testing.assert_close(likelihood.log_prob(params, masked).sum(-1), expected)
    torch.testing.assert_close(likelihood.log_prob(params, x, complete=True), likelihood.log_prob(params, x))


def test_draws_broadcast_over_rows(likelihood):
    likelihood = likelihood.double()
    params, x = params_of(likelihood), values_of(likelihood)
    several = likelihood.log_prob(torch.stack([params, params + 1]), x)
    torch.testing.assert_close(several[0], likelihood.log_prob(params, x))
    torch.testing.assert_close(several[1], likelihood.log_prob(params + 1, x))


def test_pickles_and_stacks(likelihood):
    params, x = params_of(likelihood).float(), values_of(likelihood).float()
    again = pickle.loads(pickle.dumps(likelihood))
    torch.testing.assert_close(again.log_prob(params, x), likelihood.log_prob(params, x))
    stacked = torch.func.vmap(likelihood.log_prob)(torch.stack([params, params + 1]), torch.stack([x, x]))
    torch.testing.assert_close(stacked[1], likelihood.log_prob(params + 1, x))


def test_learned_variance_has_its_floor():
    likelihood = LIKELIHOODS["gaussian"](2)
    with torch.no_grad():
        likelihood.raw_log_variance.fill_(-1e3)
    likelihood.constrain()
    assert likelihood.log_variance.exp().tolist() == pytest.approx([1e-4, 1e-4])
