"""The contract of every posterior in the dictionary."""

import pickle
from copy import deepcopy

import pytest
import torch

from sklearn_mtae.nn.posteriors import POSTERIORS, DiagonalNormal, NormalPosterior
from tests.nn.test_priors import CELL, EXACT, LINE, PLANE, distance, make_posterior, moved, normal, rows_of


@pytest.fixture(params=sorted(POSTERIORS))
def posterior_name(request):
    return request.param


def test_posterior_integrates_to_one(posterior_name):
    q, _ = rows_of(make_posterior(posterior_name, 1).double(), 1)
    line = LINE[::4]
    total = torch.trapezoid(q.log_prob(line[:, None, None]).exp(), line, dim=0)
    torch.testing.assert_close(total, torch.ones(4, dtype=EXACT), rtol=0, atol=1e-4)
    q, _ = rows_of(make_posterior(posterior_name, 2).double(), 2, scale=0.5, n_rows=2)
    total = q.log_prob(PLANE[:, None]).exp().sum(0) * CELL
    torch.testing.assert_close(total, torch.ones(2, dtype=EXACT), rtol=0, atol=2e-3)


def test_posterior_draws_match_the_density(posterior_name):
    q, _ = rows_of(make_posterior(posterior_name, 1).double(), 1)
    draws, density = q.rsample(normal(4000, 4, 1)).detach(), q.log_prob(LINE[:, None, None]).exp().detach()
    assert max(distance(draws[:, row, 0], density[:, row]) for row in range(4)) < 1.95 / 4000**0.5


@pytest.mark.parametrize("n_components", [1, 2, 5])
def test_log_prob_is_that_of_the_jacobian(posterior_name, n_components):
    q, _ = rows_of(make_posterior(posterior_name, n_components).double(), n_components)
    noise = normal(4, n_components)
    jacobian = torch.autograd.functional.jacobian(q.rsample, noise)[range(4), :, range(4)]
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum(-1) - jacobian.det().abs().log()
    z = q.rsample(noise)
    torch.testing.assert_close(q.log_prob(z), expected)
    torch.testing.assert_close(q.log_prob(z.clone()), expected)


@pytest.mark.parametrize("n_components", [1, 2, 5])
def test_moments_are_those_of_draws(posterior_name, n_components):
    q, _ = rows_of(make_posterior(posterior_name, n_components).double(), n_components)
    z = q.rsample(normal(20000, 4, n_components))
    torch.testing.assert_close((q.mean - z.mean(0)) / z.std(0), torch.zeros_like(q.mean), rtol=0, atol=0.05)
    torch.testing.assert_close(q.stddev / z.std(0), torch.ones_like(q.mean), rtol=0, atol=0.1)
    torch.testing.assert_close(q.log_variance, 2 * q.stddev.log())


@pytest.mark.parametrize("n_components", [1, 2, 5])
def test_leading_axes_of_noise_and_codes_are_kept(posterior_name, n_components):
    q, _ = rows_of(make_posterior(posterior_name, n_components).double(), n_components)
    shared = normal(6, 1, n_components)
    z = q.rsample(shared)
    assert z.shape == (6, 4, n_components)
    torch.testing.assert_close(z, q.rsample(shared.expand(6, 4, n_components)))
    torch.testing.assert_close(z[2], q.rsample(shared[2]))
    log_prob = q.log_prob(z)
    assert log_prob.shape == (6, 4)
    torch.testing.assert_close(q.log_prob(z[2].clone()), log_prob[2])
    pairs = q.log_prob(z[2].unsqueeze(1))
    assert pairs.shape == (4, 4)
    torch.testing.assert_close(pairs.diagonal(), log_prob[2])


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("n_components", [1, 3])
def test_gradients_are_finite_at_extreme_encoder_outputs(posterior_name, n_components, scale):
    posterior = make_posterior(posterior_name, n_components)
    q, code = rows_of(posterior, n_components, scale, torch.float32)
    z = q.rsample(normal(4, n_components).float())
    parts = [z, q.log_prob(z), q.log_prob(z.detach()), q.mean, q.stddev, q.log_variance]
    assert all(part.isfinite().all() for part in parts)
    sum(part.sum() for part in parts).backward()
    assert code.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in posterior.parameters())


def test_posterior_inverts_in_single_precision(posterior_name):
    posterior = moved(make_posterior(posterior_name, 3), seed=7)
    q, code = rows_of(posterior, 3, dtype=torch.float32, n_rows=500)
    exact = deepcopy(posterior).double()(code.detach().double())
    noise = normal(500, 3)
    z = exact.rsample(noise).detach()
    error = (q.log_prob(z.float()).double() - exact.log_prob(z)).abs()
    assert error.max() < 1e-2


def test_posterior_survives_copies(posterior_name):
    posterior, noise = make_posterior(posterior_name, 3), normal(4, 3).float()
    expected = rows_of(posterior, 3, dtype=torch.float32)[0].rsample(noise)
    fresh = make_posterior(posterior_name, 3, seed=5)
    fresh.load_state_dict(posterior.state_dict())
    for copy in (fresh, deepcopy(posterior), pickle.loads(pickle.dumps(posterior))):
        z = rows_of(copy, 3, dtype=torch.float32)[0].rsample(noise)
        torch.testing.assert_close(z, expected, rtol=0, atol=0)


def test_noise_has_the_generator_as_its_source(posterior_name):
    posterior = make_posterior(posterior_name, 3)
    q, _ = rows_of(posterior, 3, dtype=torch.float32)
    before = torch.get_rng_state()
    one = posterior.noise(q, torch.Generator().manual_seed(0))
    many = posterior.noise(q, torch.Generator().manual_seed(0), 500)
    assert torch.equal(torch.get_rng_state(), before)
    assert one.shape == (4, 3)
    assert many.shape == (500, 4, 3)
    assert one.dtype == torch.float32
    torch.testing.assert_close(many.mean(), torch.tensor(0.0), rtol=0, atol=0.05)
    torch.testing.assert_close(many.std(), torch.tensor(1.0), rtol=0, atol=0.05)
    assert posterior.noise(q, None).shape == (4, 3)


def test_fixed_posterior_takes_no_gradient(posterior_name):
    q, _ = rows_of(make_posterior(posterior_name, 3).double(), 3)
    z = normal(4, 3)
    if q.fixed is not None:
        torch.testing.assert_close(q.fixed.log_prob(z), q.log_prob(z))
        assert q.log_prob(z).requires_grad
        assert not q.fixed.log_prob(z).requires_grad


def test_posteriors_of_rows_can_be_taken(posterior_name):
    q, _ = rows_of(make_posterior(posterior_name, 3).double(), 3)
    index, z = torch.tensor([2, 0, 2]), normal(3, 3)
    torch.testing.assert_close(q.take(index).log_prob(z), q.log_prob(z.unsqueeze(1))[range(3), index])


def test_flow_starts_as_the_normal_posterior():
    torch.manual_seed(0)
    flow, code, noise = POSTERIORS["flow"](3), normal(4, 9).float(), normal(4, 3).float()
    q, expected = flow(code), NormalPosterior(3)(code[:, :6])
    z = q.rsample(noise)
    torch.testing.assert_close(z, expected.rsample(noise))
    torch.testing.assert_close(q.log_prob(z), expected.log_prob(z))
    for moment in ("mean", "stddev", "log_variance"):
        torch.testing.assert_close(getattr(q, moment), getattr(expected, moment), rtol=1e-4, atol=1e-4)


def test_components_have_densities_where_they_are_independent(posterior_name):
    q, _ = rows_of(make_posterior(posterior_name, 3).double(), 3)
    z = normal(6, 4, 3)
    if isinstance(q, DiagonalNormal):
        expected = torch.distributions.Normal(q.mean, q.stddev).log_prob(z)
        torch.testing.assert_close(q.log_prob_components(z), expected)
    else:
        with pytest.raises(TypeError, match="components must be independent"):
            q.log_prob_components(z)
