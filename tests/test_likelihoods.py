"""The contract of every likelihood in the dictionary."""

import pickle

import numpy as np
import pytest
import torch

from sklearn_mtae.nn.likelihoods import LIKELIHOODS, Categorical, Mixed, StudentT

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


def support_of(likelihood):
    """Return points over the support, shape (n_points, 1, 1), and what a density weighs at each of them."""
    discrete = {(0.0, 1.0): torch.arange(2.0), (0.0, INF): torch.arange(4000.0)}
    if likelihood.support in discrete:
        points = discrete[likelihood.support].double()
        return points, torch.ones_like(points)
    points = torch.linspace(-60, 60, 24001, dtype=torch.float64)
    return points, torch.full_like(points, float(points[1] - points[0]))


def mass_of(likelihood, params):
    """Return the mass at each point of the support, shape (n_points, n_rows, n_columns)."""
    points, spacing = support_of(likelihood)
    x = torch.ones(params.shape[0], likelihood.n_columns, dtype=torch.float64)
    density = torch.stack([likelihood.log_prob(params, point * x).detach().exp() for point in points])
    return density * spacing[:, None, None]


def test_density_integrates_to_one(likelihood):
    likelihood = likelihood.double()
    total = mass_of(likelihood, params_of(likelihood)).sum(0)
    torch.testing.assert_close(total, torch.ones(7, 3, dtype=torch.float64), rtol=2e-6, atol=0)


def test_density_is_that_of_the_distribution(likelihood):
    likelihood = likelihood.double()
    params, x = params_of(likelihood), values_of(likelihood)
    torch.testing.assert_close(likelihood.log_prob(params, x), likelihood.distribution(params).log_prob(x))


def test_samples_match_the_density(likelihood):
    """Kolmogorov and Smirnov's distance of 4,000 draws from the sums of the density, and the first two moments."""
    torch.manual_seed(0)
    likelihood = likelihood.double()
    params = params_of(likelihood, 1)
    distribution, points = likelihood.distribution(params), support_of(likelihood)[0]
    draws = torch.stack([distribution.sample() for _ in range(4000)])[:, 0]
    cumulative = mass_of(likelihood, params)[:, 0].cumsum(0)
    for column in range(3):
        empirical = (draws[:, column].sort().values[None] <= points[:, None]).double().mean(1)
        assert (empirical - cumulative[:, column]).abs().max() < 1.95 / 4000**0.5  # p < 0.001
    mean = (points[:, None] * mass_of(likelihood, params)[:, 0]).sum(0)
    torch.testing.assert_close(distribution.mean[0].detach(), mean, rtol=1e-3, atol=1e-3)
    variance = ((points[:, None] - mean) ** 2 * mass_of(likelihood, params)[:, 0]).sum(0)
    torch.testing.assert_close(distribution.variance[0].detach(), variance, rtol=1e-2, atol=1e-3)


def test_densities_are_those_of_scipy():
    from scipy import stats

    x, params = torch.tensor([[0.0, 1.0, 7.0]]).double(), torch.tensor([[0.3, -0.5, 1.2]]).double()
    student = StudentT(3, df=4.0).double()
    student.raw_log_variance.data = torch.tensor([0.0, 0.1, -0.1]).double()
    scale = np.exp([0.0, 0.5, -0.5])
    expected = stats.t.logpdf(x, 4.0, params, scale)
    np.testing.assert_allclose(student.log_prob(params, x).detach(), expected)
    poisson = LIKELIHOODS["poisson"](3).double()
    poisson.learn(torch.tensor([1.0, 2.0, 5.0]))
    mean = params.exp().numpy() * [1.0, 2.0, 5.0]
    np.testing.assert_allclose(poisson.log_prob(params, x).detach(), stats.poisson.logpmf(x, mean), rtol=1e-6)
    binomial = LIKELIHOODS["negative_binomial"](3).double()
    binomial.learn(torch.tensor([1.0, 2.0, 5.0]))
    binomial.raw_log_dispersion.data = torch.tensor([0.0, 0.1, -0.1]).double()
    size = np.exp([0.0, -1.0, 1.0])
    expected = stats.nbinom.logpmf(x, size, size / (size + mean))
    np.testing.assert_allclose(binomial.log_prob(params, x).detach(), expected, rtol=1e-6)


def test_categorical_leaves_absent_classes_out():
    likelihood = Categorical(2, [2, 4])
    params, x = torch.randn(5, 8), torch.tensor([[1.0, 3.0], [0.0, 0.0], [1.0, float("nan")], [0.0, 2.0], [1.0, 1.0]])
    log_prob = likelihood.log_prob(params, x)
    first, second = params[:, :2].log_softmax(-1), params[:, 4:].log_softmax(-1)
    torch.testing.assert_close(log_prob[:, 0], first[range(5), x[:, 0].long()])
    kept = [0, 1, 3, 4]
    torch.testing.assert_close(log_prob[kept, 1], second[kept, x[kept, 1].long()])
    assert log_prob[2, 1] == 0
    assert set(likelihood.distribution(params.expand(500, 5, 8)).sample()[..., 0].flatten().tolist()) == {0, 1}


def test_mixed_columns_are_those_of_their_families():
    names = ["poisson", "gaussian", "bernoulli", "gaussian", "student_t"]
    mixed = Mixed([LIKELIHOODS[name] for name in names]).double()
    params = torch.randn(6, 5, dtype=torch.float64)
    x = torch.tensor([2.0, 0.3, 1.0, -1.0, 0.1]).double().repeat(6, 1)
    x[2, 1] = x[3, 0] = float("nan")
    for column, name in enumerate(names):
        alone, own = LIKELIHOODS[name](1).double(), [column]
        torch.testing.assert_close(mixed.log_prob(params, x)[:, own], alone.log_prob(params[:, own], x[:, own]))
        torch.testing.assert_close(mixed.distribution(params).mean[:, own], alone.distribution(params[:, own]).mean)
        variance = alone.distribution(params[:, own]).variance
        torch.testing.assert_close(mixed.distribution(params).variance[:, own], variance)
        torch.testing.assert_close(mixed.as_input(x)[:, own], alone.as_input(x[:, own]), equal_nan=True)


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
