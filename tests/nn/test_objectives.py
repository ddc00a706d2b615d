"""Objectives: values and gradients against independent computations."""

from math import log

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from sklearn.metrics.pairwise import rbf_kernel
from torch import nn

from sklearn_mtae.nn.loss import Loss
from sklearn_mtae.nn.models import Output
from sklearn_mtae.nn.objectives import IWAE, MMD, BetaTC, elbo
from sklearn_mtae.nn.posteriors import POSTERIORS, DiagonalNormal
from sklearn_mtae.nn.priors import MixtureOfNormals, StandardNormal

EXACT = torch.float64
NOISE, LABEL_NOISE = 0.7, 0.4
N_FEATURES, N_COMPONENTS, N_TASKS = 5, 2, 3

RATES = ("mutual_information", "total_correlation", "component_rate")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=EXACT)


def orthogonal_weight():
    """Return a decoder's weight with orthogonal columns: the exact posterior's covariance is then diagonal."""
    return torch.linalg.qr(normal(N_FEATURES, N_COMPONENTS, seed=1))[0] * torch.tensor([1.5, 0.8], dtype=EXACT)


def exact_posterior(x, weight):
    variance = 1 / (1 + weight.square().sum(0) / NOISE**2)
    return DiagonalNormal(variance * (x @ weight) / NOISE**2, variance.log().expand(len(x), -1))


def normal_log_prob(x, mean, deviation):
    return torch.distributions.Normal(mean, deviation).log_prob(x)


def make_output(x, q, noise, weight, prior=None, heads=None, y=None):
    """Return what a linear model with unit loadings makes of rows, given the posterior of each."""
    z = q.rsample(noise)
    y_log_prob = None
    if heads is not None:
        y_log_prob = torch.where(y.isnan(), 0.0, normal_log_prob(y.nan_to_num(), z @ heads.T, LABEL_NOISE))
    x_log_prob = normal_log_prob(x, z @ weight.T, NOISE).sum(-1)
    return Output(x, z, x_log_prob, q, prior or StandardNormal(N_COMPONENTS).double(), y_log_prob)


def log_weights(output):
    """Return log p(x, z) - log q(z given x) of each draw, labels a part of x, with a gradient to everything."""
    labels = 0.0 if output.y_log_prob is None else output.y_log_prob.sum(-1)
    return output.x_log_prob + labels + output.prior.log_prob(output.z) - output.q.log_prob(output.z)


def plain_bound(output):
    """Return minus the bound of each row, but for a constant, for autograd to differentiate as it is."""
    return -log_weights(output).reshape(-1, len(output.q.mean)).logsumexp(0)


def total(terms):
    """Return the sum of the terms of each row, tasks included."""
    return sum(term if term.dim() == 1 else term.sum(-1) for term in terms.values())


@pytest.fixture
def case():
    """Rows, labels with gaps, posteriors off the exact ones, the decoder and the heads."""
    weight, heads = orthogonal_weight(), normal(N_TASKS, N_COMPONENTS, seed=2)
    z = normal(6, N_COMPONENTS, seed=3)
    x = z @ weight.T + NOISE * normal(6, N_FEATURES, seed=4)
    y = z @ heads.T + LABEL_NOISE * normal(6, N_TASKS, seed=5)
    y[[0, 2, 2], [1, 0, 2]] = float("nan")
    q = exact_posterior(x, weight)
    q = DiagonalNormal(q.mean + 0.3 * normal(6, N_COMPONENTS, seed=6), q.log_variance + 0.4)
    return x, y, q, weight, heads


# The evidence lower bound.


def test_elbo_is_made_of_its_terms(case):
    x, y, q, weight, heads = case
    output = make_output(x, q, normal(6, N_COMPONENTS), weight, heads=heads, y=y)
    terms, z = elbo(output), output.z.numpy()
    assert set(terms) == {"distortion", "rate", "tasks"}
    distortion = -stats.norm(z @ weight.numpy().T, NOISE).logpdf(x.numpy()).sum(1)
    np.testing.assert_allclose(terms["distortion"], distortion)
    np.testing.assert_allclose(terms["tasks"], -np.nan_to_num(stats.norm(z @ heads.numpy().T, LABEL_NOISE).logpdf(y)))
    mean, variance = q.mean.numpy(), q.log_variance.exp().numpy()
    np.testing.assert_allclose(terms["rate"], 0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(1))


def test_elbo_of_a_model_without_a_posterior_is_the_distortion(case):
    x = case[0]
    assert set(elbo(Output(x, x, x.sum(1)))) == {"distortion"}


# The importance-weighted bound.


@pytest.mark.parametrize("n_draws", [1, 7])
@pytest.mark.parametrize("labelled", [False, True])
def test_iwae_terms_add_up_to_minus_the_bound(case, n_draws, labelled):
    x, y, q, weight, heads = case
    noise = normal(*([n_draws] if n_draws > 1 else []), 6, N_COMPONENTS)
    output = make_output(x, q, noise, weight, **({"heads": heads, "y": y} if labelled else {}))
    z = output.z.reshape(n_draws, 6, N_COMPONENTS).numpy()
    log_weight = stats.norm(z @ weight.numpy().T, NOISE).logpdf(x).sum(-1) + stats.norm.logpdf(z).sum(-1)
    log_weight -= stats.norm(q.mean, q.stddev).logpdf(z).sum(-1)
    if labelled:
        log_weight += np.nan_to_num(stats.norm(z @ heads.numpy().T, LABEL_NOISE).logpdf(y)).sum(-1)
    terms = IWAE(n_draws)(output)
    np.testing.assert_allclose(total(terms), log(n_draws) - logsumexp(log_weight, axis=0))
    assert all(term.shape == ((6, N_TASKS) if name == "tasks" else (6,)) for name, term in terms.items())
    assert (terms["concentration"] >= 0).all()
    assert (terms["concentration"] <= log(n_draws) + 1e-12).all()


def test_iwae_of_one_draw_is_the_evidence_lower_bound(case):
    """A draw gives the bound's own estimate; the mean of many is the bound with an exact rate."""
    x, _, q, weight, _ = case
    noise = normal(20000, 1, N_COMPONENTS).expand(-1, 6, -1)
    output = make_output(x, q, noise[0], weight)
    torch.testing.assert_close(total(IWAE(1)(output)), -log_weights(output))
    many = make_output(x, q, noise, weight)
    estimates = -log_weights(many)
    expected = total(elbo(many._replace(x_log_prob=many.x_log_prob.mean(0))))
    assert ((estimates.mean(0) - expected).abs() < 5 * estimates.std(0) / 20000**0.5).all()


def test_iwae_rises_with_the_draws_to_the_density():
    weight, n_rows = orthogonal_weight(), 300
    x = normal(n_rows, N_COMPONENTS, seed=3) @ weight.T + NOISE * normal(n_rows, N_FEATURES, seed=4)
    q = exact_posterior(x, weight)
    q = DiagonalNormal(q.mean + q.stddev, q.log_variance + 0.5)
    covariance = weight @ weight.T + NOISE**2 * torch.eye(N_FEATURES, dtype=EXACT)
    exact = stats.multivariate_normal(np.zeros(N_FEATURES), covariance).logpdf(x).mean()
    bounds = []
    for n_draws in (1, 2, 6, 2000):
        noise = normal(n_draws, n_rows, N_COMPONENTS)[0 if n_draws == 1 else slice(None)]
        bounds.append(-float(total(IWAE(n_draws)(make_output(x, q, noise, weight))).mean()))
    assert bounds == sorted(bounds)
    assert bounds[0] < exact - 0.1
    assert bounds[-1] == pytest.approx(exact, abs=0.01)


def learning(case, prior, posterior=None):
    """Return the parts of `case` and the prior with gradients: the decoder's side, and the encoder's outputs."""
    x, y, q, weight, heads = case
    generation = [weight.requires_grad_(), heads.requires_grad_(), *prior.parameters()]
    if posterior is None:
        return x, y, generation, list(q)
    code = torch.cat([q.mean, q.log_variance, normal(6, N_COMPONENTS)], dim=1)
    return x, y, [*generation, *posterior.parameters()], [code]


@pytest.mark.parametrize("n_draws", [1, 8])
@pytest.mark.parametrize("family", sorted(POSTERIORS))
def test_iwae_gradient_of_what_generates_is_that_of_the_bound(case, n_draws, family):
    """Draw by draw; for a posterior whose parameters cannot be held fixed, that of the encoder too."""
    torch.manual_seed(0)
    prior = MixtureOfNormals(N_COMPONENTS, n_modes=3).double()
    posterior = None if family == "normal" else POSTERIORS[family](N_COMPONENTS).double()
    x, y, generation, code = learning(case, prior, posterior)
    leaves = generation + [part.requires_grad_() for part in code] * (posterior is not None)
    noise = normal(*([n_draws] if n_draws > 1 else []), 6, N_COMPONENTS)

    def gradients(bound):
        q = DiagonalNormal(*code) if posterior is None else posterior(code[0])
        output = make_output(x, q, noise, generation[0], prior.given(None), generation[1], y)
        return torch.autograd.grad(bound(output).sum(), leaves)

    plain = gradients(plain_bound)
    torch.testing.assert_close(gradients(lambda output: total(IWAE(n_draws)(output))), plain)


def encoder_gradients(q, n_draws, n_repeats, bound, case):
    """Return gradients to each repeat's own mean and log variance, shape (n_repeats, 2 * n_components)."""
    x, y, _, weight, heads = case
    leaves = [part[:1].repeat(n_repeats, 1).requires_grad_() for part in q]
    noise = normal(*([n_draws] if n_draws > 1 else []), n_repeats, N_COMPONENTS)
    output = make_output(x[:1], DiagonalNormal(*leaves), noise, weight, heads=heads, y=y[:1])
    return torch.cat(torch.autograd.grad(bound(output).sum(), leaves), dim=1)


@pytest.mark.parametrize("n_draws", [1, 5])
def test_iwae_encoder_gradient_agrees_in_expectation(case, n_draws):
    n_repeats = 40000
    doubly = encoder_gradients(case[2], n_draws, n_repeats, lambda output: total(IWAE(n_draws)(output)), case)
    plain = encoder_gradients(case[2], n_draws, n_repeats, plain_bound, case)
    difference = doubly - plain
    standard_error = difference.std(0) / n_repeats**0.5
    assert (difference.mean(0).abs() < 4.5 * standard_error).all()
    assert (plain.mean(0).abs() > 20 * standard_error).any()  # there is something to agree on


def test_iwae_encoder_gradient_does_not_drown_in_noise_near_the_optimum(case):
    x, y, _, weight, heads = case
    both = torch.cat([weight / NOISE, heads[[0, 2]] / LABEL_NOISE])  # the row lacks the second label
    precision = torch.eye(N_COMPONENTS, dtype=EXACT) + both.T @ both
    rows = torch.cat([x[0] / NOISE, y[0, [0, 2]] / LABEL_NOISE])
    q = DiagonalNormal(torch.linalg.solve(precision, both.T @ rows)[None], -precision.diagonal().log()[None])
    doubly = encoder_gradients(q, 64, 2000, lambda output: total(IWAE(64)(output)), case)
    plain = encoder_gradients(q, 64, 2000, plain_bound, case)
    assert (doubly.var(0) < 0.2 * plain.var(0)).all()


def test_iwae_encoder_gradient_vanishes_at_the_exact_posterior(case):
    x, _, _, weight, _ = case
    q = exact_posterior(x, weight)
    leaves = [part.clone().requires_grad_() for part in q]
    output = make_output(x, DiagonalNormal(*leaves), normal(16, 6, N_COMPONENTS), weight)
    for gradient in torch.autograd.grad(total(IWAE(16)(output)).sum(), leaves):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


# The rate, taken apart.


def rate_parts(q, z):
    """Return the three parts by scipy's densities, one pair of rows after the other."""
    codes, rows = z.numpy(), stats.norm(q.mean.numpy(), q.stddev.numpy())
    pairs = np.stack([rows.logpdf(code) for code in codes])
    log_q = np.array([pairs[i, i].sum() for i in range(len(codes))])
    aggregate = logsumexp(pairs.sum(-1), axis=1) - log(len(codes))
    marginals = (logsumexp(pairs, axis=1) - log(len(codes))).sum(-1)
    return log_q - aggregate, aggregate - marginals, marginals - stats.norm.logpdf(codes).sum(-1)


def test_beta_tc_parts_are_those_of_the_mixture_of_posteriors(case):
    x, y, q, weight, heads = case
    output = make_output(x, q, normal(6, N_COMPONENTS), weight, heads=heads, y=y)
    terms, bound = BetaTC()(output), elbo(output)
    for name, expected in zip(RATES, rate_parts(q, output.z), strict=True):
        np.testing.assert_allclose(terms[name], expected, atol=1e-12)
    estimated_rate = q.log_prob(output.z) - StandardNormal(N_COMPONENTS).log_prob(output.z)
    torch.testing.assert_close(sum(terms[name] for name in RATES), estimated_rate)
    for name in ("distortion", "tasks"):
        torch.testing.assert_close(terms[name], bound[name])


def total_correlation(mean, variance, seed=0):
    """Return the total correlation of each row, for posteriors with the given means and one variance."""
    q = DiagonalNormal(mean, torch.full_like(mean, log(variance)))
    z = q.rsample(normal(*mean.shape, seed=seed))
    output = Output(z, z, z.sum(-1), q, StandardNormal(mean.shape[1]).double())
    return BetaTC()(output)["total_correlation"]


def test_total_correlation_is_zero_where_the_aggregate_is_a_product():
    """Means on a grid: the mixture of all posteriors is the product of its margins, at every point."""
    axes = normal(5, seed=7), normal(4, seed=8), normal(3, seed=9)
    own = total_correlation(torch.cartesian_prod(*axes), 0.3)
    torch.testing.assert_close(own, torch.zeros_like(own), rtol=0, atol=1e-12)


@pytest.mark.parametrize("correlation", [0.5, 0.9])
def test_total_correlation_of_a_correlated_aggregate(correlation):
    """Normal codes have `-log(1 - correlation^2) / 2`; a mixture of 1,500 wide normals is nearly one."""
    variance = 0.05
    covariance = torch.tensor([[1, correlation], [correlation, 1]], dtype=EXACT) - variance * torch.eye(2, dtype=EXACT)
    mean = normal(1500, 2, seed=10) @ torch.linalg.cholesky(covariance).T
    own = total_correlation(mean, variance, seed=11)
    expected = -0.5 * log(1 - correlation**2)
    assert abs(float(own.mean()) - expected) < 4 * float(own.std()) / 1500**0.5 + 0.02


def test_beta_tc_weight_enters_the_loss_times_beta(case):
    x, _, q, weight, _ = case
    output = make_output(x, q, normal(6, N_COMPONENTS), weight)
    result = Loss(BetaTC(weight=3.0), beta=2.0, reconstruction_weight=0.5)(nn.Module(), output)
    mutual, correlation, component = (part.mean() for part in rate_parts(q, output.z))
    expected = 0.5 * -output.x_log_prob.mean() + 2 * (mutual + 3 * correlation + component)
    assert float(result.loss) == pytest.approx(float(expected))
    assert float(result.means["total_correlation"]) == pytest.approx(correlation)  # reported without its weight


# The distance from the prior.


class Given(StandardNormal):
    """A normal prior whose draws are given."""

    def __init__(self, draws):
        super().__init__(draws.shape[1])
        self.draws = draws

    def sample(self, n_samples, generator=None):
        return self.draws[:n_samples]


def discrepancies(shift, n_rows, n_repeats):
    """Return the squared discrepancy of normal codes, shifted by so much, from as many draws of the prior."""
    z = normal(n_repeats, n_rows, 3, seed=12) + torch.tensor(shift, dtype=EXACT)
    prior, generator = StandardNormal(3).double(), torch.Generator().manual_seed(13)
    outputs = (Output(code, code, code.sum(-1), DiagonalNormal(code, code), prior, None, None, generator) for code in z)
    return torch.stack([MMD()(output)["mmd"].mean() for output in outputs])


def test_mmd_is_the_v_statistic(case):
    x, _, q, weight, _ = case
    drawn = normal(6, N_COMPONENTS, seed=14)
    output = make_output(x, q, normal(6, N_COMPONENTS), weight, Given(drawn).double())
    terms = MMD()(output)
    gamma = 1 / (2 * N_COMPONENTS)
    own, cross, prior = (rbf_kernel(a, b, gamma) for a, b in ((output.z,) * 2, (output.z, drawn), (drawn, drawn)))
    expected = own.mean() - 2 * cross.mean() + prior.mean()
    assert float(terms["mmd"].mean()) == pytest.approx(expected)
    bound = elbo(output)
    assert all(torch.equal(terms[name], bound[name]) for name in ("distortion", "rate"))
    loss = Loss(MMD(weight=50.0), beta=0.5)(nn.Module(), output).loss
    assert float(loss) == pytest.approx(float(bound["distortion"].mean() + bound["rate"].mean() / 2 + 50 * expected))


def test_mmd_is_small_where_codes_are_the_priors_and_large_where_not():
    """Its expectation is known: the kernel of two normal codes is `(1 + 2/c)^(-c/2)` on average, less where apart."""
    kernel, n_rows = (1 + 2 / 3) ** -1.5, 200
    same = discrepancies([0.0, 0.0, 0.0], n_rows, 60)
    bias = 2 * (1 - kernel) / n_rows
    assert abs(float(same.mean()) - bias) < 4.5 * float(same.std()) / 60**0.5
    apart = discrepancies([1.0, -1.0, 0.5], n_rows, 60)
    expected = 2 * kernel * (1 - np.exp(-2.25 / (2 * (3 + 2)))) + bias
    assert abs(float(apart.mean()) - expected) < 4.5 * float(apart.std()) / 60**0.5
    assert expected > 10 * bias


@pytest.mark.parametrize("objective", [IWAE(), BetaTC(), MMD()], ids=repr)
def test_objectives_of_a_posterior_say_that_they_need_one(case, objective):
    x = case[0]
    with pytest.raises(ValueError, match="needs a model with a posterior and a prior"):
        objective(Output(x, x, x.sum(1)))


def test_mmd_gradient_is_finite_where_codes_coincide():
    z = torch.zeros(5, 3, requires_grad=True)
    output = Output(z, z, z.sum(-1), DiagonalNormal(z, z), Given(torch.zeros(5, 3)))
    MMD()(output)["mmd"].mean().backward()
    assert torch.isfinite(z.grad).all()
