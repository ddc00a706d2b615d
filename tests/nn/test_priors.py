"""The contract of every prior in the dictionary."""

import pickle
import sys
from copy import deepcopy
from math import pi

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state

from sklearn_mtae import VAETransformer
from sklearn_mtae.nn.posteriors import POSTERIORS, NormalPosterior
from sklearn_mtae.nn.priors import PRIORS, MixtureOfNormals, StandardNormal, VampPrior

N_FEATURES = 3
EXACT = torch.float64
LINE = torch.linspace(-40, 40, 16001, dtype=EXACT)
AXIS = torch.linspace(-12, 12, 201, dtype=EXACT)
PLANE = torch.cartesian_prod(AXIS, AXIS)
CELL = float(AXIS[1] - AXIS[0]) ** 2


@pytest.fixture(params=sorted(PRIORS))
def prior_name(request):
    return request.param


def moved(module, seed):
    """Return the module with its parameters moved away from where they start."""
    torch.manual_seed(seed)
    scale = 0.1
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += scale * torch.randn_like(parameter)
    return module


def make_prior(name, n_components, seed=0):
    torch.manual_seed(seed)
    return moved(PRIORS[name](n_components, N_FEATURES), seed)


def make_posterior(name, n_components, seed=0):
    torch.manual_seed(seed)
    return moved(POSTERIORS[name](n_components), seed)


def encode(x, n_components, posterior="normal"):
    """Return the posteriors of rows by a fixed encoder, in the precision of the rows."""
    family = make_posterior(posterior, n_components).to(x.dtype)
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(N_FEATURES, family.n_params * n_components, generator=generator)
    return family(x @ weight.to(x.dtype))


def infer_with(n_components, posterior="normal"):
    return lambda x: encode(x, n_components, posterior)


def density_of(name, n_components, posterior="normal"):
    return make_prior(name, n_components).double().given(infer_with(n_components, posterior))


def rows_of(posterior, n_components, scale=1.0, dtype=EXACT, n_rows=4):
    """Return the posteriors of a few random encoder outputs, and the outputs."""
    generator = torch.Generator().manual_seed(2)
    code = scale * torch.randn(n_rows, posterior.n_params * n_components, generator=generator, dtype=dtype)
    code.requires_grad_()
    return posterior(code), code


def normal(*shape, seed=3, dtype=EXACT):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def distance(draws, density):
    """Return Kolmogorov and Smirnov's distance of draws from the integral of a density over the line."""
    cumulative = (density * (LINE[1] - LINE[0])).cumsum(0)
    empirical = torch.searchsorted(draws.sort().values, LINE, right=True) / len(draws)
    return float((empirical - cumulative).abs().max())


def test_prior_integrates_to_one(prior_name):
    density = density_of(prior_name, 1).log_prob(LINE[:, None]).exp().detach()
    assert float(torch.trapezoid(density, LINE)) == pytest.approx(1, abs=1e-4)
    density = density_of(prior_name, 2).log_prob(PLANE).exp().detach()
    assert float(density.sum() * CELL) == pytest.approx(1, abs=3e-3)


def test_vamp_of_flow_posteriors_integrates_to_one():
    prior = VampPrior(2, N_FEATURES, n_inputs=3).double().given(infer_with(2, "flow"))
    coarse = PLANE.view(201, 201, 2)[::2, ::2]
    assert float(prior.log_prob(coarse).detach().exp().sum() * 4 * CELL) == pytest.approx(1, abs=1e-2)
    assert prior.sample(5).shape == (5, 2)


def test_prior_samples_match_the_density(prior_name):
    density = density_of(prior_name, 1)
    draws = density.sample(4000, torch.Generator().manual_seed(0)).detach()
    assert distance(draws[:, 0], density.log_prob(LINE[:, None]).exp().detach()) < 1.95 / 4000**0.5  # p < 0.001
    density = density_of(prior_name, 2)
    draws = density.sample(20000, torch.Generator().manual_seed(0)).detach()
    mass = density.log_prob(PLANE).exp().detach() * CELL
    for moment in (lambda z: z[:, 0], lambda z: z[:, 1], lambda z: z[:, 0] * z[:, 1], lambda z: z.square().sum(-1)):
        seen = moment(draws)
        assert abs(seen.mean() - (mass * moment(PLANE)).sum()) < 4 * seen.std() / 20000**0.5 + 1e-3


@pytest.mark.parametrize("n_components", [1, 2, 5])
def test_prior_shapes_and_precision(prior_name, n_components):
    for dtype in (torch.float32, EXACT):
        density = make_prior(prior_name, n_components).to(dtype).given(infer_with(n_components))
        z = normal(6, 4, n_components).to(dtype)
        log_prob = density.log_prob(z)
        assert log_prob.shape == (6, 4)
        assert log_prob.dtype == density.sample(3).dtype == dtype
        torch.testing.assert_close(density.log_prob(z[2, 1]), log_prob[2, 1])
        assert density.sample(7).shape == (7, n_components)
        exact = density_of(prior_name, n_components).log_prob(z.double())
        torch.testing.assert_close(log_prob.double(), exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("posterior", sorted(POSTERIORS))
def test_kl_is_the_integral(prior_name, posterior):
    density = density_of(prior_name, 1)
    q, _ = rows_of(make_posterior(posterior, 1).double(), 1, scale=0.5)
    quantiles = (torch.arange(4000, dtype=EXACT) + 0.5) / 4000
    z = q.rsample(torch.special.ndtri(quantiles)[:, None, None].expand(-1, 4, 1))
    log_q = q.log_prob(LINE[:, None, None])
    integrand = log_q.exp() * (log_q - density.log_prob(LINE[:, None])[:, None])
    expected = torch.trapezoid(integrand.nan_to_num(0.0), LINE, dim=0)
    torch.testing.assert_close(density.kl(q, z), expected, rtol=5e-3, atol=2e-3)
    torch.testing.assert_close(density.kl_components(q, z).sum(-1), density.kl(q, z))


def test_normal_kl_is_exact_for_each_component():
    prior, (q, _) = StandardNormal(3), rows_of(NormalPosterior(3), 3)
    own = torch.distributions.Normal(q.mean, q.stddev)
    expected = torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(prior.kl_components(q, q.mean), expected)
    torch.testing.assert_close(prior.kl(q, q.mean), expected.sum(-1))


def test_estimated_kl_has_one_value_per_row(prior_name):
    density = density_of(prior_name, 2)
    q, _ = rows_of(NormalPosterior(2), 2)
    several = q.rsample(normal(5, 4, 2))
    assert density.kl(q, several).shape == (4,)
    if prior_name != "normal":
        each = torch.stack([density.kl(q, z) for z in several])
        torch.testing.assert_close(density.kl(q, several), each.mean(0))


@pytest.mark.parametrize("n_components", [1, 2])
def test_prior_gradients_are_finite_at_extreme_codes(prior_name, n_components):
    prior = make_prior(prior_name, n_components)
    z = torch.tensor([0.0, 5.0, -5.0, 1e3, -1e6, 1e6])[:, None].repeat(1, n_components).requires_grad_()
    log_prob = prior.given(infer_with(n_components)).log_prob(z)
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert z.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in prior.parameters())


def test_prior_survives_copies(prior_name):
    prior, z = make_prior(prior_name, 3), normal(6, 3).float()
    infer = infer_with(3)
    expected = prior.given(infer).log_prob(z)
    arrays = {name: value.numpy() for name, value in prior.state_dict().items()}
    fresh = make_prior(prior_name, 3, seed=5)
    fresh.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    for copy in (fresh, deepcopy(prior), pickle.loads(pickle.dumps(prior))):
        torch.testing.assert_close(copy.given(infer).log_prob(z), expected, rtol=0, atol=0)


def test_generator_is_the_source_of_all_draws(prior_name):
    density = density_of(prior_name, 2)
    before = torch.get_rng_state()
    first, second, other = (density.sample(9, torch.Generator().manual_seed(seed)) for seed in (4, 4, 5))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


class DensityOf(nn.Module):
    """The log-density of a prior at codes drawn from posteriors of its own, as a training step computes it."""

    def __init__(self, prior, posterior, n_components):
        super().__init__()
        self.prior = prior
        self.posterior = posterior
        self.encoder = nn.Linear(N_FEATURES, posterior.n_params * n_components)

    def infer(self, x):
        return self.posterior(self.encoder(x))

    def forward(self, x, noise):
        q = self.infer(x)
        return self.prior.given(self.infer).kl(q, q.rsample(noise)).mean()


@pytest.mark.parametrize("n_components", [1, 3])
@pytest.mark.parametrize("posterior", sorted(POSTERIORS))
def test_models_with_it_train_as_one(prior_name, posterior, n_components):
    if not (PRIORS[prior_name].stackable and POSTERIORS[posterior].stackable):
        pytest.skip("not stackable")
    models = [
        DensityOf(make_prior(prior_name, n_components, k), make_posterior(posterior, n_components, k), n_components)
        for k in range(3)
    ]
    parameters, buffers = stack_module_state(models)
    x, noise = normal(8, N_FEATURES).float(), normal(8, n_components).float()

    def loss(own, buffers):
        return functional_call(models[0], (own, buffers), (x, noise))

    gradients, losses = torch.func.vmap(torch.func.grad_and_value(loss))(parameters, buffers)
    for k, model in enumerate(models):
        value = model(x, noise)
        value.backward()
        torch.testing.assert_close(losses[k], value.detach(), rtol=1e-4, atol=1e-4)
        for name, parameter in model.named_parameters():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(gradients[name][k], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["mixture", "flow"])
def test_prior_learns_two_modes(name):
    torch.manual_seed(0)
    prior = PRIORS[name](1, N_FEATURES)
    z = torch.cat([0.3 * torch.randn(500) - 1.5, 0.5 * torch.randn(500) + 1])[:, None]
    optimizer = torch.optim.Adam(prior.parameters(), 1e-2)
    for _ in range(200):
        loss = -prior.log_prob(z).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    modes = torch.tensor([[-1.5, 0.3], [1.0, 0.5]], dtype=EXACT)
    each = -0.5 * ((LINE[:, None] - modes[:, 0]) / modes[:, 1]).square() - modes[:, 1].log() - np.log(2 * pi) / 2
    truth = (each - np.log(2)).logsumexp(-1)
    learned = prior.double().log_prob(LINE[:, None]).detach()
    assert float(torch.trapezoid(truth.exp() * (truth - learned), LINE)) < 0.05  # 0.3 for the best single normal


def test_mixture_keeps_its_variances_above_a_floor():
    prior = MixtureOfNormals(2)
    prior.raw_log_variance.data.fill_(-100.0)
    peak = prior.log_prob(prior.gain * prior.raw_mean).detach().max()
    assert float(peak) < -np.log(2 * pi) - 2 * np.log(0.01) + 1e-3


def test_vamp_starts_from_rows():
    prior, x = VampPrior(2, N_FEATURES, n_inputs=5), normal(3, N_FEATURES).float()
    assert prior.n_learned == 5
    prior.learn(x)
    torch.testing.assert_close(prior.inputs.detach(), x[[0, 1, 2, 0, 1]])
    q, z = encode(x[[0, 1, 2, 0, 1]], 2), normal(6, 2).float()
    expected = q.log_prob(z[:, None]).exp().mean(-1).log()
    torch.testing.assert_close(prior.given(infer_with(2)).log_prob(z), expected)
    assert all(PRIORS[name](2, N_FEATURES).n_learned == 0 for name in ("normal", "mixture", "flow"))


def test_priors_say_what_they_need():
    with pytest.raises(TypeError, match="VampPrior must be given an encoder"):
        VampPrior(2, N_FEATURES).log_prob(torch.zeros(1, 2))
    with pytest.raises(TypeError, match="VampPrior must be given an encoder"):
        VampPrior(2, N_FEATURES).sample(1)
    with pytest.raises(ValueError, match="n_modes must be at least 1"):
        MixtureOfNormals(2, n_modes=0)
    with pytest.raises(ValueError, match="n_inputs must be at least 1"):
        VampPrior(2, N_FEATURES, n_inputs=0)


@pytest.mark.parametrize("table", [PRIORS, POSTERIORS])
def test_flow_without_zuko_names_the_extra(monkeypatch, table):
    monkeypatch.setitem(sys.modules, "zuko.flows", None)
    with pytest.raises(ImportError, match=r"sklearn-mtae\[flow\]"):
        table["flow"](2, *([N_FEATURES] if table is PRIORS else []))


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_a_density_of_few_codes(n_rows):
    X = np.random.default_rng(0).normal(size=(n_rows, 3))
    model = VAETransformer(2, hidden_layer_sizes=(4,), prior="ex_post", max_iter=1, random_state=0).fit(X)
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.sample(3, random_state=0)).all()
