"""The contract of every likelihood in the dictionary."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import distributions

from sklearn_mtae.nn.likelihoods import LIKELIHOODS, Categorical, Mixed, StudentT

INF = float("inf")
MEAN = torch.tensor([2.0, 0.5, 1.5], dtype=torch.float64)
N_DRAWS = 4000


def make(name, columns=(0, 1, 2)):
    likelihood = LIKELIHOODS[name](len(columns)).double()
    likelihood.learn(MEAN[list(columns)])
    return likelihood


@pytest.fixture(params=sorted(LIKELIHOODS))
def name(request):
    torch.manual_seed(0)
    return request.param


@pytest.fixture
def likelihood(name):
    return make(name)


def params_of(likelihood, n_rows=7, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(n_rows, 3 * likelihood.n_params, generator=generator, dtype=torch.float64)


def values_of(likelihood, n_rows=7):
    return likelihood.distribution(params_of(likelihood, n_rows)).sample()


def space_of(likelihood):
    """Return rows that cover the support, shape (n_points, 3), and what the density weighs at each, shape (n_points,).

    The columns of a joint family go through all rows that it can draw; those of others all hold the same value.
    """
    low, high = likelihood.support
    if likelihood.joint:
        total = 1 if high == 1 else int(MEAN.sum())
        counts = torch.cartesian_prod(*[torch.arange(total + 1.0).double()] * 3)
        rows = counts[counts.sum(1) == total]
        return rows, torch.ones(len(rows), dtype=torch.float64)
    if likelihood.distribution(params_of(likelihood)).support.is_discrete:
        points = torch.arange(min(high + 1, 4000.0)).double()
        weights = torch.ones_like(points)
    elif low > 0:
        points, spacing = midpoints(-15, 25)
        weights, points = points.exp() * spacing, points.exp()
    else:
        points, spacing = midpoints(max(low, -60), min(high, 60))
        weights = torch.full_like(points, spacing)
    return points[:, None].expand(-1, 3), weights


def midpoints(low, high, n_points=24000):
    spacing = (high - low) / n_points
    return low + spacing * (torch.arange(n_points, dtype=torch.float64) + 0.5), spacing


def mass_of(likelihood, params):
    """Return the mass at each point of the support, shape (n_points, n_rows, 3), or (n_points, n_rows, 1) if joint."""
    points, weights = space_of(likelihood)
    log_prob = likelihood.log_prob(params.expand(len(points), *params.shape), points[:, None]).detach()
    if likelihood.joint:
        log_prob = log_prob.sum(-1, keepdim=True)
    return log_prob.exp() * weights[:, None, None]


def empirical_of(likelihood, draws):
    """Return the part of the draws at each point of the support or before it, shape (n_points, 3 or 1)."""
    points, _ = space_of(likelihood)
    if likelihood.joint:
        equal = (draws[:, None] == points).all(-1)
        assert equal.any(1).all()
        return equal.double().mean(0).cumsum(0)[:, None]
    ranks = torch.searchsorted(draws.T.sort().values.contiguous(), points.T.contiguous(), right=True)
    return ranks.T / len(draws)


def test_density_integrates_to_one(likelihood):
    total = mass_of(likelihood, params_of(likelihood)).sum(0)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-5, atol=0)


def test_density_is_that_of_the_distribution(likelihood):
    params, x = params_of(likelihood), values_of(likelihood)
    distribution, density = likelihood.distribution(params), likelihood.log_prob(params, x)
    if likelihood.joint:  # torch's multinomial distribution takes the total from the row
        density, total = density.sum(-1), int(x[0].sum())
        distribution = distributions.Multinomial(total, distribution.mean, validate_args=False)
    torch.testing.assert_close(density, distribution.log_prob(x))


def test_samples_match_the_density(likelihood):
    """Kolmogorov and Smirnov's distance of 4,000 draws from the sums of the density, and the first two moments."""
    params = params_of(likelihood, 1)
    mass, points = mass_of(likelihood, params)[:, 0], space_of(likelihood)[0]
    draws = likelihood.distribution(params.expand(N_DRAWS, -1)).sample()
    distance = (empirical_of(likelihood, draws) - mass.cumsum(0)).abs()
    assert distance.max() < 1.95 / N_DRAWS**0.5  # p < 0.001
    distribution = likelihood.distribution(params)
    mean = (points * mass).sum(0)
    torch.testing.assert_close(distribution.mean[0].detach(), mean, rtol=1e-3, atol=1e-3)
    variance = ((points - mean) ** 2 * mass).sum(0)
    torch.testing.assert_close(distribution.variance[0].detach(), variance, rtol=1e-2, atol=1e-3)


def test_draws_lie_in_the_support(likelihood):
    low, high = likelihood.support
    x = likelihood.float().distribution(params_of(likelihood, 2000, scale=20.0).float()).sample()
    assert ((low <= x) & (x <= high)).all()


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_gradients_are_finite_with_missing_cells_and_extreme_parameters(likelihood, scale):
    x = values_of(likelihood).float()
    likelihood, params = likelihood.float(), params_of(likelihood, scale=scale).float().requires_grad_()
    x[::2, 1] = float("nan")
    x[3] = float("nan")
    density = likelihood.log_prob(params, x)
    assert torch.isfinite(density).all()
    density.sum().backward()
    assert torch.isfinite(params.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in likelihood.parameters())
    assert (density[3] == 0).all()
    assert (density[::2, 1] == 0).all()


def test_mask_is_the_dropped_column(name, likelihood):
    params, x = params_of(likelihood), values_of(likelihood)
    masked = x.clone()
    masked[:, 1] = float("nan")
    own = params.unflatten(-1, (3, -1))[:, [0, 2]].flatten(1)
    density = likelihood.log_prob(params, masked)
    torch.testing.assert_close(density[:, [0, 2]], make(name, (0, 2)).log_prob(own, x[:, [0, 2]]))
    torch.testing.assert_close(density[:, 1], torch.zeros(7, dtype=torch.float64))
    torch.testing.assert_close(likelihood.log_prob(params, x, complete=True), likelihood.log_prob(params, x))


def test_draws_broadcast_over_rows(likelihood):
    params, x = params_of(likelihood), values_of(likelihood)
    x[2, 1] = float("nan")
    several = likelihood.log_prob(torch.stack([params, params + 1]), x)
    torch.testing.assert_close(several[0], likelihood.log_prob(params, x))
    torch.testing.assert_close(several[1], likelihood.log_prob(params + 1, x))


def test_inputs_keep_missing_cells_and_are_finite_elsewhere(likelihood):
    x = values_of(likelihood)
    x[2, 1] = x[4] = float("nan")
    seen = likelihood.as_input(x)
    assert seen.shape == x.shape
    assert (seen.isnan() == x.isnan()).all()
    assert torch.isfinite(seen[~x.isnan()]).all()


def test_copies_and_pickles(likelihood):
    params, x = params_of(likelihood), values_of(likelihood)
    x[2, 1] = x[4] = float("nan")
    for again in (pickle.loads(pickle.dumps(likelihood)), copy.deepcopy(likelihood)):
        torch.testing.assert_close(again.log_prob(params, x), likelihood.log_prob(params, x), rtol=0, atol=0)
        torch.testing.assert_close(again.distribution(params).mean, likelihood.distribution(params).mean)


def test_stacks_by_vmap(name, likelihood):
    """Two models at once, each with what it has learned."""
    other = make(name)
    other.learn(MEAN.flip(0))
    params, x = params_of(likelihood), values_of(likelihood)
    x[2, 1] = x[4] = float("nan")
    state, buffers = torch.func.stack_module_state([likelihood, other])

    class Both(torch.nn.Module):
        def __init__(self, likelihood):
            super().__init__()
            self.likelihood = likelihood

        def forward(self, params, x):
            return self.likelihood.log_prob(params, x), self.likelihood.distribution(params).mean

    def call(state, buffers, params, x):
        named = {f"likelihood.{key}": value for key, value in {**state, **buffers}.items()}
        return torch.func.functional_call(Both(likelihood), named, (params, x))

    density, mean = torch.func.vmap(call, (0, 0, 0, None))(state, buffers, torch.stack([params, params + 1]), x)
    for one, own, offset in ((0, likelihood, 0), (1, other, 1)):
        torch.testing.assert_close(density[one], own.log_prob(params + offset, x))
        torch.testing.assert_close(mean[one], own.distribution(params + offset).mean)


def test_densities_are_those_of_scipy():
    x, params = torch.tensor([[0.0, 1.0, 7.0]]).double(), torch.tensor([[0.3, -0.5, 1.2]]).double()
    raw, scale = torch.tensor([0.0, 0.1, -0.1]).double(), np.exp([0.0, 0.5, -0.5])
    student = StudentT(3, df=4.0).double()
    student.raw_log_variance.data = raw
    np.testing.assert_allclose(student.log_prob(params, x).detach(), stats.t.logpdf(x, 4.0, params, scale))
    laplace = make("laplace")
    laplace.raw_log_variance.data = raw
    np.testing.assert_allclose(laplace.log_prob(params, x).detach(), stats.laplace.logpdf(x, params, scale))
    normal = make("log_normal")
    normal.raw_log_variance.data = raw
    expected = stats.lognorm.logpdf(x + 0.5, scale, scale=MEAN * params.exp())
    np.testing.assert_allclose(normal.log_prob(params, x + 0.5).detach(), expected)
    mean = (MEAN * params.exp()).numpy()
    np.testing.assert_allclose(make("poisson").log_prob(params, x).detach(), stats.poisson.logpmf(x, mean))
    binomial = make("negative_binomial")
    binomial.raw_log_dispersion.data = raw
    size = np.exp([0.0, -1.0, 1.0])
    expected = stats.nbinom.logpmf(x, size, size / (size + mean))
    np.testing.assert_allclose(binomial.log_prob(params, x).detach(), expected)


LOG_SHAPES = [-7.0, -1.0, 0.0, 1.0, 2.7, 2.8, 5.0, 9.2]


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("log_shape", LOG_SHAPES)
def test_gamma_is_that_of_scipy(log_shape, dtype, rtol):
    """Whatever the shape, large ones too, where the terms of the density are far larger than their sum."""
    likelihood = make("gamma").to(dtype)
    likelihood.raw_log_variance.data.fill_(-log_shape / likelihood.gain)
    params = torch.tensor([[0.3, -0.5, 1.2]], dtype=dtype, requires_grad=True)
    mean, shape = (MEAN * params.detach().double().exp()).numpy(), np.exp(log_shape)
    x = torch.from_numpy(stats.gamma.ppf([[0.01], [0.5], [0.99]], shape, scale=mean / shape)).clamp(min=1e-30).to(dtype)
    density = likelihood.log_prob(params, x)
    expected = stats.gamma(shape, scale=mean / shape)
    np.testing.assert_allclose(density.detach(), expected.logpdf(x), rtol=rtol, atol=20 * rtol)
    distribution = likelihood.distribution(params)
    np.testing.assert_allclose(distribution.mean.detach(), expected.mean(), rtol=rtol)
    np.testing.assert_allclose(distribution.variance.detach(), expected.var(), rtol=rtol)
    density.sum().backward()
    slope = (shape * (x.double().numpy() / mean - 1)).sum(axis=0)
    np.testing.assert_allclose(params.grad[0], slope, rtol=100 * rtol, atol=100 * rtol)


@pytest.mark.parametrize("shape", [0.3, 3.0, 300.0])
def test_gamma_recovers_a_shape(shape):
    x = torch.from_numpy(np.random.default_rng(0).gamma(shape, 5.0 / shape, size=(4000, 1)))
    likelihood = LIKELIHOODS["gamma"](1).double()
    likelihood.learn(x.mean(0))
    offset = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([offset, *likelihood.parameters()], max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = -likelihood.log_prob(offset.expand(4000, 1), x).mean()
        value.backward()
        return value

    optimizer.step(loss)
    expected, _, scale = stats.gamma.fit(x.numpy(), floc=0)
    np.testing.assert_allclose(likelihood.precision(), expected, rtol=1e-3)
    np.testing.assert_allclose(likelihood.precision(), shape, rtol=0.1)
    np.testing.assert_allclose(likelihood.distribution(offset).mean.detach(), expected * scale, rtol=1e-3)


def test_gamma_disagreement_is_the_mean_of_both_divergences():
    likelihood, params = make("gamma"), params_of(make("gamma"))
    likelihood.raw_log_variance.data = torch.tensor([0.0, 0.1, -0.1]).double()
    others = params.flip(0)
    p, q = (
        distributions.Gamma(likelihood.precision(), likelihood.precision() / likelihood.distribution(own).mean)
        for own in (params, others)
    )
    expected = (distributions.kl_divergence(p, q) + distributions.kl_divergence(q, p)) / 2
    torch.testing.assert_close(likelihood.disagreement(params, others), expected)
    assert torch.isfinite(likelihood.float().disagreement(1e3 * params.float(), 1e3 * others.float())).all()


RATES = [0.0, 1e-9, 1e-4, 0.01, 0.3, 0.499, 0.5, 0.501, 1.0, 4.0, 20.0, 100.0, 1e3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rate", sorted({sign * rate for rate in RATES for sign in (-1, 1)}))
def test_continuous_bernoulli_is_stable(rate, dtype):
    """Near a probability of 1/2, where its closed form cancels, and for large logits, against numerical integrals."""
    tolerance = {"rtol": 2e-5, "atol": 2e-7} if dtype == torch.float32 else {"rtol": 1e-7, "atol": 1e-9}
    top = max(rate, 0.0)

    def integral(function):
        inside = [abs(edge - 20 / abs(rate)) for edge in (0, 1) if abs(rate) > 40]
        return integrate.quad(lambda x: function(x) * np.exp(rate * x - top), 0, 1, points=inside or None, epsabs=0)[0]

    mass = integral(lambda x: 1.0)
    mean = integral(lambda x: x) / mass
    variance = integral(lambda x: (x - mean) ** 2) / mass
    likelihood = LIKELIHOODS["continuous_bernoulli"](1).to(dtype)
    x, params = torch.tensor([[0.0], [0.3], [1.0]], dtype=dtype), torch.full((3, 1), rate, dtype=dtype)
    density = likelihood.log_prob(params.requires_grad_(), x)
    density.sum().backward()
    expected = rate * x.double().numpy() - top - np.log(mass)
    np.testing.assert_allclose(density.detach(), expected, rtol=tolerance["rtol"], atol=10 * tolerance["atol"])
    np.testing.assert_allclose(params.grad, x.numpy() - mean, **tolerance)
    distribution = likelihood.distribution(params.detach())
    np.testing.assert_allclose(distribution.mean, np.full((3, 1), mean), **tolerance)
    np.testing.assert_allclose(distribution.variance, np.full((3, 1), variance), **tolerance)


@pytest.mark.parametrize("rate", [-300.0, -3.0, 0.0, 1e-3, 3.0, 300.0])
def test_continuous_bernoulli_draws(rate):
    """Against a truncated exponential distribution, from float32 logits."""
    torch.manual_seed(0)
    x = LIKELIHOODS["continuous_bernoulli"](1).distribution(torch.full((N_DRAWS, 1), rate)).sample()[:, 0].numpy()
    falling = 1 - x if rate > 0 else x
    expected = stats.truncexpon(abs(rate), scale=1 / abs(rate)) if rate else stats.uniform()
    assert stats.kstest(falling, expected.cdf).pvalue > 1e-3


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
    names = ["poisson", "gaussian", "bernoulli", "gaussian", "student_t", "log_normal"]
    mixed = Mixed([LIKELIHOODS[name] for name in names]).double()
    params = torch.randn(6, 6, dtype=torch.float64)
    x = torch.tensor([2.0, 0.3, 1.0, -1.0, 0.1, 0.2]).double().repeat(6, 1)
    x[2, 1] = x[3, 0] = float("nan")
    assert not mixed.joint
    for column, name in enumerate(names):
        alone, own = LIKELIHOODS[name](1).double(), [column]
        torch.testing.assert_close(mixed.log_prob(params, x)[:, own], alone.log_prob(params[:, own], x[:, own]))
        torch.testing.assert_close(mixed.distribution(params).mean[:, own], alone.distribution(params[:, own]).mean)
        variance = alone.distribution(params[:, own]).variance
        torch.testing.assert_close(mixed.distribution(params).variance[:, own], variance)
        torch.testing.assert_close(mixed.as_input(x)[:, own], alone.as_input(x[:, own]), equal_nan=True)


LEARNED = [name for name in LIKELIHOODS if hasattr(LIKELIHOODS[name](1), "raw_log_variance")]


@pytest.mark.parametrize("name", LEARNED)
def test_learned_variance_has_its_floor(name):
    likelihood = LIKELIHOODS[name](2)
    with torch.no_grad():
        likelihood.raw_log_variance.fill_(-1e3)
    likelihood.constrain()
    assert likelihood.log_variance.exp().tolist() == pytest.approx([1e-4, 1e-4])
    assert likelihood.precision().tolist() == pytest.approx([1e4, 1e4])
    assert likelihood.at_floor(1.5) == {0: likelihood.variance_floor, 1: likelihood.variance_floor}
    likelihood.start(0.25)
    assert likelihood.precision().tolist() == pytest.approx([4.0, 4.0])
    assert likelihood.at_floor(1.5) == {}


def test_where_nothing_is_learned_nothing_starts_and_no_floor_is_near():
    likelihood = Mixed(
        [LIKELIHOODS[name] for name in ("poisson", "squared_error", "gaussian", "bernoulli", "gaussian")]
    )
    likelihood.start(1e-4)
    assert likelihood.at_floor(1.5) == {2: 1e-4, 4: 1e-4}


@pytest.mark.parametrize("name", [name for name in LIKELIHOODS if LIKELIHOODS[name](1).support[0] > 0])
def test_positive_numbers_start_from_the_mean_and_refuse_zero(name):
    likelihood = make(name)
    assert likelihood.support[0] == np.finfo(np.float32).tiny
    x = torch.tensor([[2.0, 0.5, 1.5], [4.0, 0.25, 0.0]]).double()
    seen = likelihood.as_input(x)
    torch.testing.assert_close(seen[0], torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(seen[1, :2].exp(), torch.tensor([2.0, 0.5]).double())
    assert torch.isfinite(seen).all()
    likelihood.learn(torch.tensor([1.0, 0.0, 3.0]))  # a column without a value
    assert torch.isfinite(likelihood.log_location).all()


def test_moments_of_classes_are_those_of_their_positions():
    torch.manual_seed(0)
    likelihood = Categorical(2, [2, 3])
    params = torch.randn(5, 6, dtype=torch.float64)
    found = likelihood.distribution(params)
    p = params.unflatten(-1, (2, 3)).clone()
    p[:, 0, 2] = -INF
    p = p.softmax(-1).numpy()
    mean = p @ np.arange(3)
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.variance, p @ np.arange(3) ** 2 - mean**2)


def test_numbers_beside_classes_have_one_class_that_is_certain():
    classes = partial(Categorical, n_classes=[3, 2])
    mixed = Mixed([LIKELIHOODS["gaussian"], classes, LIKELIHOODS["gaussian"], classes])
    assert mixed.of_classes == [False, True, False, True]
    params = torch.randn(4, 5, 12, dtype=torch.float64)
    log_p = mixed.logits(params).log_softmax(-1)
    assert log_p.shape == (4, 5, 4, 3)
    own = params.unflatten(-1, (4, 3))[..., [1, 3], :]
    torch.testing.assert_close(log_p[..., [1, 3], :], classes(2).logits(own.flatten(-2)).log_softmax(-1))
    assert (log_p[..., [0, 2], 0] == 0).all()
    assert (log_p[..., [0, 2], 1:] == -INF).all()
