"""The likelihood "quantile": maps, atoms, bounds."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats

from sklearn_mtae import VAETransformer
from sklearn_mtae.nn.likelihoods import Quantile, _quantile
from sklearn_mtae.nn.likelihoods._quantile import log_interval

N = 20_000


def learned(column, *, low=None, high=None, weight=None, dtype=torch.float64):
    """Return a family that has learned one column, and the column standardised."""
    x = torch.as_tensor(np.asarray(column, dtype=float))[:, None]
    location, scale = x.nanmean(0), x[~x.isnan()].std(correction=0)[None]
    likelihood = Quantile(1, low, high).to(dtype)
    likelihood.learn_rows(x, location, scale, None if weight is None else torch.as_tensor(weight)[:, None])
    return likelihood, ((x - location) / scale).to(dtype)


def density_of(likelihood, points, loc=0.0):
    points = torch.as_tensor(points)[:, None]
    return likelihood.log_prob(torch.full_like(points, loc), points).detach()[:, 0].exp().numpy()


COLUMNS = {
    "normal": lambda rng: rng.normal(3, 2, N),
    "skewed": lambda rng: np.exp(rng.normal(0, 1.5, N)),
    "zeros": lambda rng: np.where(rng.random(N) < 0.5, 0, rng.gamma(2, 100, N)),
    "counts": lambda rng: rng.poisson(3, N),
    "peaks": lambda rng: np.where(rng.random(N) < 0.3, rng.normal(-5, 0.1, N), rng.normal(5, 1, N)),
    "capped": lambda rng: rng.normal(0, 1, N).clip(-0.5, 1),
    "uniform": lambda rng: rng.random(N),
}


@pytest.fixture(params=COLUMNS)
def column(request):
    return np.asarray(COLUMNS[request.param](np.random.default_rng(0)), dtype=float)


def test_normal_column_has_the_normal_density():
    x = np.random.default_rng(0).normal(3, 2, N)
    likelihood, u = learned(x)
    density = density_of(likelihood, u[:, 0])
    np.testing.assert_allclose(density, stats.norm.pdf(x, x.mean(), x.std()) * x.std(), rtol=1e-4)


@pytest.mark.parametrize("loc", [0.0, 0.7])
def test_lengths_and_atoms_have_a_total_mass_of_one(column, loc):
    likelihood, _ = learned(column)
    maps = likelihood.maps
    edges = maps.edges[0][~maps.edges[0].isinf()].numpy()
    slopes, origins = maps.slope[0, : len(edges) + 1], maps.origin[0, : len(edges) + 1]
    atoms = density_of(likelihood, origins[slopes == 0], loc).sum()
    bounds = np.r_[-60, edges, 60]
    pieces = [(low, high) for low, high, slope in zip(bounds, bounds[1:], slopes, strict=False) if slope > 0]
    fine = np.array([cut for piece in pieces for cut in pairwise(np.linspace(*piece, 100))])
    (nodes, weights), half = np.polynomial.legendre.leggauss(5), np.diff(fine) / 2
    points = fine.mean(axis=1, keepdims=True) + half * nodes
    lengths = (half * weights * density_of(likelihood, points.ravel(), loc).reshape(points.shape)).sum()
    assert atoms + lengths == pytest.approx(1, abs=2e-3)


def test_draws_are_distributed_as_the_column(column):
    likelihood, u = learned(column)
    torch.manual_seed(0)
    draws = likelihood.distribution(torch.zeros(N, 1, dtype=torch.float64)).sample()[:, 0].numpy()
    assert stats.ks_2samp(draws, u[:, 0].numpy()).statistic < 1.95 * (2 / N) ** 0.5  # p > 0.001, were values distinct


def test_moments_are_those_of_draws(column):
    likelihood, _ = learned(column)
    with torch.no_grad():
        likelihood.raw_log_variance.fill_(np.log(0.6) / likelihood.gain)
    torch.manual_seed(0)
    distribution = likelihood.distribution(torch.full((400_000, 1), 0.4, dtype=torch.float64))
    draws = distribution.sample()[:, 0].numpy()
    error = draws.std() / len(draws) ** 0.5
    first = likelihood.distribution(torch.full((1, 1), 0.4, dtype=torch.float64))
    assert first.mean.item() == pytest.approx(draws.mean(), abs=4 * error)
    assert first.variance.item() == pytest.approx(draws.var(), rel=0.1)


def test_atoms_have_the_probabilities_of_ordered_probit():
    rng = np.random.default_rng(0)
    likelihood, _ = learned(rng.choice(3, N, p=[0.5, 0.2, 0.3]))
    shares = np.bincount(rng.__class__(np.random.PCG64(0)).choice(3, N, p=[0.5, 0.2, 0.3])) / N
    cuts = stats.norm.ppf(np.cumsum(shares)[:2])
    with torch.no_grad():
        likelihood.raw_log_variance.fill_(np.log(0.25) / likelihood.gain)
    points = likelihood.maps.origin[0][likelihood.maps.slope[0] == 0]
    expected = np.diff(stats.norm.cdf((cuts - 0.3) / 0.5), prepend=0, append=1)
    np.testing.assert_allclose(density_of(likelihood, points, 0.3), expected, atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_that_occur_often_are_atoms_in_any_precision(dtype):
    column = np.where(np.arange(N) % 2, 0.1, np.random.default_rng(0).gamma(2, 1e6, N))
    likelihood, u = learned(column, dtype=dtype)
    is_atom = likelihood.is_atom(u)[:, 0].numpy()
    np.testing.assert_array_equal(is_atom, np.arange(N) % 2 == 1)
    density = likelihood.log_prob(torch.zeros_like(u), u)
    assert density[1].exp().item() == pytest.approx(0.5, abs=1e-3)


def test_log_of_an_interval_keeps_its_digits_far_out():
    low = np.array([-1.0, -30.0, 20.0, -0.1, -3.0, 3.0, -300.0])
    high = np.array([1.0, -29.5, 21.0, 0.2, 2.0, 3.001, -299.0])
    flipped = low + high > 0
    a, b = np.where(flipped, -high, low), np.where(flipped, -low, high)
    expected = stats.norm.logcdf(b) + np.log1p(-np.exp(stats.norm.logcdf(a) - stats.norm.logcdf(b)))
    np.testing.assert_allclose(log_interval(torch.tensor(low), torch.tensor(high)), expected, rtol=1e-6)
    single = log_interval(torch.tensor(low).float(), torch.tensor(high).float())
    np.testing.assert_allclose(single, expected, rtol=2e-3)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_gradients_are_finite_at_atoms_and_extreme_outputs(column, scale):
    likelihood, u = learned(column, dtype=torch.float32)
    torch.manual_seed(0)
    params = (scale * torch.randn_like(u)).requires_grad_()
    density = likelihood.log_prob(params, u)
    assert torch.isfinite(density).all()
    density.sum().backward()
    assert torch.isfinite(params.grad).all()
    assert all(torch.isfinite(own.grad).all() for own in likelihood.parameters())


def test_what_was_not_seen_has_a_density():
    likelihood, _ = learned(np.repeat([0.0, 1.0, 2.0, 5.0], 50))
    x = torch.tensor([[-3.0], [0.123], [0.9], [7.0]], dtype=torch.float64)
    assert torch.isfinite(likelihood.log_prob(torch.zeros_like(x), x)).all()


@pytest.mark.parametrize("column", [np.full(30, 4.0), np.full(30, np.nan), [1.0]], ids=["constant", "empty", "one"])
def test_a_column_that_tells_nothing_is_normal(column):
    x = torch.as_tensor(np.asarray(column))[:, None]
    likelihood = Quantile(1).double()
    likelihood.learn_rows(x, torch.zeros(1), torch.ones(1))
    points = x.nan_to_num(0.0)[:1]
    assert likelihood.log_prob(torch.zeros_like(points), points).item() == pytest.approx(stats.norm.logpdf(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("far", [1e10, -1e30])
def test_one_far_value_leaves_the_others_their_digits_and_densities(far, dtype):
    column = np.random.default_rng(0).normal(3, 2, 500)
    usual, mean, deviation = column[1:].copy(), column[1:].mean(), column[1:].std()
    column[0] = far
    x = torch.as_tensor(column)[:, None]
    likelihood = Quantile(1).to(dtype)
    location, scale = likelihood.units(x, x.mean(0), x.std(0, correction=0))
    likelihood.learn_rows(x, location, scale)
    u = ((x - location) / scale).to(dtype)
    assert likelihood.is_atom(u)[:, 0].tolist() == [True] + 499 * [False]
    density = likelihood.log_prob(torch.zeros_like(u), u).detach()[:, 0].double().numpy()
    assert density[0] == pytest.approx(np.log(1 / 500), abs=0.1)
    expected = stats.norm.logpdf(usual, mean, deviation).mean() + np.log(499 / 500)
    assert density[1:].mean() - scale.log().item() == pytest.approx(expected, abs=0.1)
    torch.manual_seed(0)
    draws = likelihood.distribution(torch.zeros(N, 1, dtype=dtype)).sample().double()
    seen = likelihood.as_seen(draws * scale + location)[:, 0].numpy()
    near = seen[np.abs(seen) < 100]
    assert len(near) > 0.995 * N
    assert len(np.unique(near)) > 0.95 * len(near)
    assert (seen == far).mean() == pytest.approx(1 / 500, abs=0.001)
    assert stats.ks_1samp(near, stats.norm(mean, deviation).cdf).statistic < 0.05


def test_units_are_mean_and_deviation_unless_far_values_move_these(column):
    x = torch.as_tensor(column)[:, None]
    mean, deviation = x.mean(0), x.std(0, correction=0)
    assert torch.cat(Quantile(1).units(x, mean, deviation)).tolist() == torch.cat([mean, deviation]).tolist()
    x[:3] = 1e12
    location, scale = Quantile(1).units(x, x.mean(0), x.std(0, correction=0))
    assert abs(location - mean) < deviation
    assert deviation / 10 < scale < 2 * deviation


def test_units_count_weights_as_repeated_rows():
    x, times = torch.tensor([[1.0], [2.0], [4.0], [1e9]]).double(), torch.tensor([[3], [1], [4], [1]])
    repeated = x.repeat_interleave(times[:, 0], 0)
    units = repeated.mean(0), repeated.std(0, correction=0)
    found = Quantile(1).units(x, *units, weight=times.double())
    assert torch.cat(found).tolist() == torch.cat(Quantile(1).units(repeated, *units)).tolist()
    assert found[1] < 10


def test_bounds_take_in_what_lies_beyond():
    column = np.random.default_rng(0).gamma(2, 1, N)
    likelihood, _ = learned(column, low=0.0, high=40.0)
    assert likelihood.support == (0.0, 40.0)
    torch.manual_seed(0)
    draws = likelihood.distribution(torch.full((N, 1), 3.0, dtype=torch.float64)).sample()
    values = draws * column.std() + column.mean()
    assert values.min() >= -1e-9
    assert column.max() < values.max() <= 40 + 1e-9
    assert likelihood.as_seen(torch.tensor([[-1.0], [41.0]]).double()).flatten().tolist() == [0.0, 40.0]


def test_draws_come_in_the_form_of_the_training_values():
    column = np.round(np.random.default_rng(0).normal(20, 5, 3000), 1)
    likelihood, _ = learned(column)
    seen = likelihood.as_seen(torch.tensor([[20.123], [1e3], [-1e3]]).double()).flatten().numpy()
    np.testing.assert_allclose(seen, [20.1, column.max(), column.min()])


def test_draws_of_an_atom_are_the_value_itself():
    rng = np.random.default_rng(0)
    column = np.where(rng.random(N) < 0.3, 0.0, rng.gamma(2, 100, N))
    likelihood, _ = learned(column)
    torch.manual_seed(0)
    draws = likelihood.distribution(torch.zeros(N, 1, dtype=torch.float64)).sample()
    seen = likelihood.as_seen(draws * column.std() + column.mean())
    assert (seen == 0).double().mean().item() == pytest.approx(0.3, abs=0.02)


def test_rows_of_weight_zero_are_left_out_and_only_ratios_matter():
    rng = np.random.default_rng(0)
    column, weight = rng.gamma(2, 1, 400), 2.5 * rng.integers(0, 2, 400)
    weighted, alone = Quantile(1).double(), Quantile(1).double()
    units = torch.zeros(1), torch.ones(1)
    weighted.learn_rows(torch.as_tensor(column)[:, None], *units, torch.as_tensor(weight)[:, None])
    alone.learn_rows(torch.as_tensor(column[weight > 0])[:, None], *units)
    points = np.linspace(0.1, 6, 50)
    np.testing.assert_allclose(density_of(weighted, points), density_of(alone, points))


def test_two_that_have_learned_stack_by_vmap():
    rng = np.random.default_rng(0)
    pair = [learned(rng.gamma(2, 1, 500))[0], learned(rng.poisson(2, 500))[0]]
    params, x = torch.randn(2, 7, 1).double(), torch.linspace(-1, 2, 7).double()[:, None]
    state, buffers = torch.func.stack_module_state(pair)

    def call(state, buffers, params):
        base = copy.deepcopy(pair[0])
        return torch.func.functional_call(
            Density(base), {f"own.{k}": v for k, v in {**state, **buffers}.items()}, (params, x)
        )

    found = torch.func.vmap(call)(state, buffers, params)
    for k, own in enumerate(pair):
        torch.testing.assert_close(found[k], own.log_prob(params[k], x))


class Density(torch.nn.Module):
    def __init__(self, own):
        super().__init__()
        self.own = own

    def forward(self, params, x):
        return self.own.log_prob(params, x)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1)])
def test_bounds_must_be_in_order(low, high):
    with pytest.raises(ValueError, match="low must be below high"):
        Quantile(1, low, high)


def test_a_float32_model_draws_the_training_values_themselves():
    """All digits of the values outlive the precision of the training."""
    rng = np.random.default_rng(0)
    few, often = rng.choice([0.1, 0.62, 0.98], 300), np.where(rng.random(300) < 0.5, 0.3, rng.gamma(2, 1, 300))
    X = np.column_stack([few, often, np.round(rng.normal(20, 5, 300), 2)])
    model = VAETransformer(1, hidden_layer_sizes=(4,), likelihood="quantile", max_iter=2, random_state=0).fit(X)
    drawn = model.sample(300, random_state=0)
    assert set(drawn[:, 0]) <= {0.1, 0.62, 0.98}
    assert (drawn[:, 1] == 0.3).mean() > 0.2
    np.testing.assert_array_equal(drawn[:, 2], np.round(drawn[:, 2], 2))
    assert (drawn.min(axis=0) >= X.min(axis=0)).all()
    assert (drawn.max(axis=0) <= X.max(axis=0)).all()


@pytest.mark.parametrize(("location", "scale"), [(0.0, 1e-12), (1e7, 1.0), (1e12, 1.0)])
def test_draws_keep_the_digits_of_tiny_and_of_distant_values(location, scale):
    column = location + scale * np.random.default_rng(0).normal(size=300)
    likelihood, _ = learned(column)
    assert likelihood.decimals.tolist() == [-1]
    assert likelihood.as_seen(torch.tensor([[column[0]]]).double()).item() == column[0]


def test_decimals_are_seen_through_the_rounding_of_float32():
    column = np.round(np.random.default_rng(0).normal(20, 5, 300), 2).astype(np.float32)
    likelihood, _ = learned(column)
    assert likelihood.decimals.tolist() == [2]


def test_a_column_without_a_value_has_finite_draws():
    X = np.column_stack([np.full(50, np.nan), np.arange(50.0)])
    model = VAETransformer(1, hidden_layer_sizes=(4,), likelihood="quantile", max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match=r"Columns without an observed value are ignored: \[0\]"):
        model.fit(X)
    assert np.isfinite(model.sample(5, random_state=0)).all()


def test_moments_of_many_columns_are_those_of_each():
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=500), rng.poisson(3, 500), np.exp(rng.normal(size=500)), rng.integers(0, 100, 500)]
    x = torch.as_tensor(np.column_stack(columns).astype(float))
    units = x.mean(0), x.std(0, correction=0)
    together = Quantile(4).double()
    together.learn_rows(x, *units)
    params = torch.as_tensor(rng.normal(size=(3, 700, 4)))
    found = together.distribution(params)
    for j in range(4):
        own = Quantile(1).double()
        own.learn_rows(x[:, [j]], units[0][[j]], units[1][[j]])
        alone = own.distribution(params[..., [j]])
        torch.testing.assert_close(found.mean[..., [j]], alone.mean)
        torch.testing.assert_close(found.variance[..., [j]], alone.variance)


def test_mean_and_variance_share_their_sums(monkeypatch):
    likelihood, _ = learned(np.random.default_rng(0).gamma(2, 1, 500))
    n_calls, sums = [], _quantile._sum_regions
    monkeypatch.setattr(_quantile, "_sum_regions", lambda *args: n_calls.append(1) or sums(*args))
    distribution = likelihood.distribution(torch.zeros(7, 1).double())
    assert (distribution.variance > 0).all()
    assert torch.isfinite(distribution.mean).all()
    assert len(n_calls) == 1


def test_moments_stack_by_vmap():
    likelihood, _ = learned(np.random.default_rng(0).gamma(2, 1, 500))
    params = torch.randn(3, 7, 1).double()
    found = torch.func.vmap(lambda params: likelihood.distribution(params).mean)(params)
    torch.testing.assert_close(found, likelihood.distribution(params).mean)


def test_a_dense_run_beside_distant_values_is_no_single_value():
    """Values that are each close to the next are not all the same: most of a heavy-tailed column is such a run."""
    column = np.random.default_rng(0).lognormal(0, 3, N)
    likelihood, _ = learned(column)
    torch.manual_seed(0)
    draws = likelihood.distribution(torch.zeros(N, 1, dtype=torch.float64)).sample() * column.std() + column.mean()
    seen = likelihood.as_seen(draws)[:, 0].numpy()
    np.testing.assert_allclose(np.quantile(seen, [0.25, 0.5, 0.75]), np.quantile(column, [0.25, 0.5, 0.75]), rtol=0.15)
