"""Families of a whole row: multinomial counts, groups of indicators, and such groups beside other columns."""

import pickle
from functools import partial
from time import perf_counter

import numpy as np
import pytest
import torch
from scipy import stats

from sklearn_mtae import VAETransformer
from sklearn_mtae.nn.likelihoods import LIKELIHOODS, Gaussian, Mixed, Multinomial, OneHot, Poisson
from sklearn_mtae.nn.likelihoods._rows import MultinomialCounts

NAN = float("nan")
MEAN = torch.tensor([3.0, 0.5, 1.5, 5.0], dtype=torch.float64)
SHARES = MEAN / MEAN.sum()


def make(kind):
    likelihood = kind(4).double()
    likelihood.learn(MEAN)
    return likelihood


def params_of(n_rows=6):
    return torch.randn(n_rows, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def counts_of(n_rows=6):
    return torch.poisson(MEAN.expand(n_rows, 4), generator=torch.Generator().manual_seed(1))


def probabilities(params, columns=slice(None)):
    weights = (SHARES * params.exp())[:, columns]
    return (weights / weights.sum(-1, keepdim=True)).numpy()


def test_joint_families_are_those_of_whole_rows():
    assert {name for name, make in LIKELIHOODS.items() if make(2).joint} == {"multinomial", "categorical"}
    assert Mixed([Gaussian, partial(OneHot), Gaussian]).joint
    assert not Mixed([Gaussian, Poisson]).joint


def test_multinomial_is_that_of_scipy():
    params, x = params_of(), counts_of()
    density = make(Multinomial).log_prob(params, x).sum(-1)
    expected = stats.multinomial.logpmf(x.numpy(), x.sum(-1).numpy(), probabilities(params))
    np.testing.assert_allclose(density, expected)


def test_multinomial_cell_is_its_own_term_and_its_share_of_the_rest():
    params, x = params_of(), counts_of()
    own = stats.multinomial.logpmf(x.numpy(), x.sum(-1).numpy(), probabilities(params))
    own -= torch.lgamma(x.sum(-1) + 1).numpy()
    cells = x.numpy() * np.log(probabilities(params)) - torch.lgamma(x + 1).numpy()
    np.testing.assert_allclose(cells.sum(-1), own)
    rest = (x / x.sum(-1, keepdim=True) * torch.lgamma(x.sum(-1, keepdim=True) + 1)).numpy()
    np.testing.assert_allclose(make(Multinomial).log_prob(params, x), cells + rest)


@pytest.mark.parametrize("complete", [False, True])
def test_multinomial_row_of_zeros_has_probability_one(complete):
    params = params_of().requires_grad_()
    density = make(Multinomial).log_prob(params, torch.zeros(6, 4, dtype=torch.float64), complete)
    density.sum().backward()
    assert (density == 0).all()
    assert (params.grad == 0).all()


def test_multinomial_gradient_is_counts_less_their_expectation():
    """Of the observed columns alone; also for weights that are no whole numbers."""
    params, x = params_of().requires_grad_(), counts_of() * 0.37
    x[:, 2] = x[3] = NAN
    make(Multinomial).log_prob(params, x).sum().backward()
    kept, rows = [0, 1, 3], [0, 1, 2, 4, 5]
    p = torch.as_tensor(probabilities(params.detach(), kept))
    expected = x[:, kept] - x[:, kept].sum(-1, keepdim=True) * p
    torch.testing.assert_close(params.grad[rows][:, kept], expected[rows])
    assert (params.grad[:, 2] == 0).all()
    assert (params.grad[3] == 0).all()


def test_output_of_zero_means_the_observed_shares():
    zero = torch.zeros(1, 4, dtype=torch.float64)
    torch.testing.assert_close(make(Multinomial).distribution(zero).mean[0], MEAN)
    torch.testing.assert_close(make(OneHot).distribution(zero).mean[0], SHARES)


def test_columns_of_zeros_count_as_the_rarest():
    likelihood = Multinomial(4).double()
    likelihood.learn(torch.tensor([0.0, 2.0, 6.0, 0.0]))
    torch.testing.assert_close(likelihood.log_share.exp(), torch.tensor([2.0, 2.0, 6.0, 2.0]).double() / 12)
    assert likelihood.total == 8
    likelihood.learn(torch.zeros(4))
    torch.testing.assert_close(likelihood.log_share.exp(), torch.full((4,), 0.25).double())
    assert (likelihood.distribution(params_of()).sample() == 0).all()


def test_multinomial_draws_whole_words():
    torch.manual_seed(0)
    likelihood = Multinomial(4).double()
    likelihood.learn(MEAN * 0.74)  # a mean total of 7.4
    params = params_of(1)
    draws = likelihood.distribution(params.expand(4000, 4)).sample()
    assert (draws == draws.round()).all()
    assert (draws.sum(-1) == 7).all()
    p = probabilities(params)[0]
    np.testing.assert_allclose(draws.mean(0), 7 * p, atol=4 * (7 * 0.25 / 4000) ** 0.5)
    distribution = likelihood.distribution(params)
    np.testing.assert_allclose(distribution.mean[0], 7.4 * p)
    np.testing.assert_allclose(distribution.variance[0], 7.4 * p * (1 - p))
    assert distribution.sample((5,)).shape == (5, 1, 4)


def test_multinomial_input_is_free_of_the_total():
    likelihood, x = make(Multinomial), torch.tensor([[3.0, 0.0, 4.0, NAN], [0.0, 0.0, 0.0, 0.0]]).double()
    seen = likelihood.as_input(x)
    torch.testing.assert_close(seen[0, :3], torch.tensor([1.2, 0.0, 1.6]).double())
    assert seen[0, 3].isnan()
    assert (seen[1] == 0).all()
    torch.testing.assert_close(likelihood.as_input(100 * x), seen, equal_nan=True)
    torch.testing.assert_close(likelihood.as_input(x[0]), seen[0], equal_nan=True)
    wide = Multinomial(1000).as_input(torch.zeros(2, 1000))
    assert (wide == 0).all()


def test_one_hot_is_the_cross_entropy_of_its_class():
    params, classes = params_of(), torch.tensor([0, 1, 2, 3, 3, 0])
    x = torch.nn.functional.one_hot(classes, 4).double()
    density = make(OneHot).log_prob(params, x)
    expected = np.log(probabilities(params))[range(6), classes]
    np.testing.assert_allclose(density.sum(-1), expected)
    assert (density[x == 0] == 0).all()


def test_one_hot_draws_one_class():
    torch.manual_seed(0)
    params = params_of(1)
    draws = make(OneHot).distribution(params.expand(4000, 4)).sample()
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert (draws.sum(-1) == 1).all()
    assert stats.chisquare(draws.sum(0), 4000 * probabilities(params)[0]).pvalue > 1e-3


@pytest.fixture
def mixed():
    """A normal and a count column, and two groups of indicators, in no order."""
    colour, size = partial(OneHot), partial(OneHot)
    mixed = Mixed([colour, Gaussian, size, colour, size, Poisson, colour]).double()
    mixed.learn(torch.tensor([0.5, 0.3, 0.1, 0.2, 0.9, 4.0, 0.3], dtype=torch.float64))
    return mixed


GROUPS = {(0, 3, 6): OneHot, (1,): Gaussian, (2, 4): OneHot, (5,): Poisson}


def group(kind, columns):
    alone = kind(len(columns)).double()
    alone.learn(torch.tensor([0.5, 0.3, 0.1, 0.2, 0.9, 4.0, 0.3], dtype=torch.float64)[columns])
    return alone


def test_mixed_groups_are_those_of_their_families(mixed):
    assert [tuple(columns) for _, columns in mixed.parts()] == list(GROUPS)
    params = torch.randn(2, 6, 7, dtype=torch.float64)
    x = torch.tensor([0.0, 0.3, 1.0, 1.0, 0.0, 4.0, 0.0]).double().repeat(6, 1)
    x[2, 0] = x[3, [0, 3, 6]] = x[4, [1, 5]] = x[5] = NAN
    density, q = mixed.log_prob(params, x), mixed.distribution(params)
    for columns, kind in GROUPS.items():
        own = list(columns)
        alone = group(kind, own)
        p = alone.distribution(params[..., own])
        torch.testing.assert_close(density[..., own], alone.log_prob(params[..., own], x[:, own]))
        torch.testing.assert_close(q.mean[..., own], p.mean)
        torch.testing.assert_close(q.variance[..., own], p.variance)
        torch.testing.assert_close(mixed.as_input(x)[:, own], alone.as_input(x[:, own]), equal_nan=True)
    complete = mixed.log_prob(params[:, :2], x[:2], complete=True)
    torch.testing.assert_close(complete, density[:, :2])


def test_mixed_groups_are_drawn_as_one(mixed):
    torch.manual_seed(0)
    params = torch.randn(1, 7, dtype=torch.float64)
    draws = mixed.distribution(params.expand(4000, 7)).sample()
    for columns in ([0, 3, 6], [2, 4]):
        assert (draws[:, columns].sum(-1) == 1).all()
        expected = 4000 * mixed.distribution(params).mean[0, columns]
        assert stats.chisquare(draws[:, columns].sum(0), expected).pvalue > 1e-3


# Draws.


@pytest.mark.parametrize("n_columns", [1, 2, 3, 8, 13])
@pytest.mark.parametrize("total", [0, 1, 7, 1_000, 123_456_789, 10**15])
def test_drawn_rows_add_up(total, n_columns):
    words = MultinomialCounts(
        torch.tensor(float(total), dtype=torch.float64), torch.rand(40, n_columns).double().softmax(-1)
    )
    drawn = words.sample((3,))
    assert drawn.shape == (3, 40, n_columns)
    np.testing.assert_array_equal(drawn.sum(-1), total)
    np.testing.assert_array_equal(drawn, drawn.round())
    assert (drawn >= 0).all()


@pytest.mark.parametrize("total", [4, 50, 10_000, 100_000_000])
@pytest.mark.parametrize("p", [[0.5, 0.3, 0.2], [0.6, 0.0, 0.4], [0.7, 0.29, 0.009, 0.001, 0.0]])
def test_moments_of_drawn_rows_are_those_of_the_multinomial(total, p):
    torch.manual_seed(0)
    n_rows, p = 20_000, np.array(p)
    drawn = MultinomialCounts(torch.tensor(float(total)), torch.from_numpy(p).expand(n_rows, -1)).sample().numpy()
    exact = stats.multinomial(total, p)
    mean, covariance = total * p, exact.cov()
    deviation = np.sqrt(np.diag(covariance))
    assert (np.abs(drawn.mean(0) - mean) <= 5 * deviation / np.sqrt(n_rows)).all()
    apart = drawn - mean
    products = apart[:, :, None] * apart[:, None, :]
    errors = products.std(0) / np.sqrt(n_rows)
    assert (np.abs(products.mean(0) - covariance) <= 5 * errors + 1e-12 * total).all()


def test_drawn_counts_have_the_probabilities_of_scipy():
    torch.manual_seed(0)
    drawn = MultinomialCounts(torch.tensor(5.0), torch.tensor([0.5, 0.3, 0.2]).expand(20_000, 3)).sample().numpy()
    rows, seen = np.unique(drawn, axis=0, return_counts=True)
    expected = 20_000 * stats.multinomial(5, [0.5, 0.3, 0.2]).pmf(rows)
    assert len(rows) == 21
    assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 1e-4


def test_draws_cost_the_same_whatever_the_total():
    words = MultinomialCounts(torch.tensor(1e12, dtype=torch.float64), torch.tensor([0.5, 0.3, 0.2]).expand(100, 3))
    start = perf_counter()
    words.sample()
    assert perf_counter() - start < 1, "drawn one by one they would take days"


def test_the_total_keeps_its_digits():
    X = np.random.default_rng(0).multinomial(123_456_789, [0.5, 0.3, 0.2], size=30)
    model = VAETransformer(2, likelihood="multinomial", hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X)
    for own in (model, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(own.sample(20, random_state=0).sum(axis=1), 123_456_789)


@pytest.mark.parametrize("rate", [3.0, 1e8, 1e15, 1e17, 1e22])
@pytest.mark.parametrize("kind", ["poisson", "negative_binomial"])
def test_draws_of_large_counts(kind, rate):
    torch.manual_seed(0)
    likelihood = LIKELIHOODS[kind](1).double()
    likelihood.learn(torch.tensor([rate], dtype=torch.float64))
    distribution = likelihood.requires_grad_(False).distribution(torch.zeros(20_000, 1).double())
    drawn = distribution.sample().numpy()
    deviation = np.sqrt(float(distribution.variance[0]))
    assert deviation == pytest.approx(np.sqrt(rate + (rate**2 if kind == "negative_binomial" else 0)), rel=1e-5)
    assert abs(drawn.mean() - rate) < 5 * deviation / np.sqrt(20_000)
    assert drawn.std() == pytest.approx(deviation, rel=0.05)
    np.testing.assert_array_equal(drawn, drawn.round())
