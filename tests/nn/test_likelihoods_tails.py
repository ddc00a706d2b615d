"""The distribution functions of the likelihoods that have one."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torch.func import vmap

from sklearn_mtae.nn.likelihoods import LIKELIHOODS, Categorical, Counts, Mixed, StudentT

from .test_likelihoods import make, mass_of, params_of, space_of, values_of

NAMES = sorted(name for name in LIKELIHOODS if make(name).has_cdf)
DF, SIZE = 5.0, 0.7


def of_scipy(name, params, likelihood):
    """Return scipy's distributions with the parameters of a likelihood."""
    scale = (likelihood.log_variance / 2).exp().detach().numpy() if hasattr(likelihood, "log_variance") else None
    log_mean = likelihood.log_mean(params).numpy() if hasattr(likelihood, "log_mean") else None
    params = params.numpy()
    makers = {
        "gaussian": lambda: stats.norm(params, scale),
        "squared_error": lambda: stats.norm(params, 1),
        "quantile": lambda: stats.norm(params, scale),
        "student_t": lambda: stats.t(DF, params, scale),
        "laplace": lambda: stats.laplace(params, scale),
        "log_normal": lambda: stats.lognorm(scale, scale=np.exp(log_mean)),
        "gamma": lambda: stats.gamma(scale**-2, scale=np.exp(log_mean) * scale**2),
        "poisson": lambda: stats.poisson(np.exp(log_mean)),
        "negative_binomial": lambda: stats.nbinom(SIZE, SIZE / (SIZE + np.exp(log_mean))),
        "continuous_bernoulli": lambda: Rising(params),
    }
    return makers[name]()


class Rising:
    """The exponential distribution on [0, 1] that a continuous Bernoulli distribution is."""

    def __init__(self, logits):
        self.logits = logits

    def logcdf(self, x):
        return np.log(np.expm1(self.logits * x) / np.expm1(self.logits))

    def logsf(self, x):
        return np.log(np.expm1(-self.logits * (1 - x)) / np.expm1(-self.logits))


def learned(name):
    """Return a likelihood whose learned scales differ from where they start."""
    likelihood = make(name)
    with torch.no_grad():
        for parameter in likelihood.parameters():
            parameter.copy_(-torch.tensor(SIZE).log() / 10 if name == "negative_binomial" else torch.tensor(-0.06))
    return likelihood


@pytest.fixture(params=NAMES)
def name(request):
    torch.manual_seed(0)
    return request.param


@pytest.fixture
def likelihood(name):
    return learned(name)


def test_classes_and_rows_have_none():
    assert set(LIKELIHOODS) - set(NAMES) == {"bernoulli", "categorical", "multinomial"}
    with pytest.raises(NotImplementedError, match="Bernoulli has no distribution function"):
        LIKELIHOODS["bernoulli"](3).log_cdf(torch.zeros(2, 3), torch.zeros(2, 3))


def test_counts_of_ones_own_have_none():
    class Own(Counts):
        pass

    assert not Own(2).has_cdf


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_equals_scipy(name, likelihood, scale):
    params, x = params_of(likelihood, scale=scale), values_of(likelihood)
    known = of_scipy(name, params, likelihood)
    for own, theirs in ((likelihood.log_cdf, known.logcdf), (likelihood.log_sf, known.logsf)):
        np.testing.assert_allclose(own(params, x).detach(), theirs(x.numpy()), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("shape", [1e-3, 0.05, 1.0, 40.0, 1e4])
def test_gamma_equals_scipy_for_any_shape_and_tail(shape):
    likelihood = make("gamma", [0])
    with torch.no_grad():
        likelihood.raw_log_variance.fill_(-np.log(shape) / likelihood.gain)
    known = stats.gamma(shape, scale=float(likelihood.log_mean(torch.zeros(1)).exp()) / shape)
    x = known.isf([1e-30, 1e-6, 0.1, 0.6, 1 - 1e-6])
    x = torch.tensor(x[x > 1e-30])[:, None]
    for own, theirs in ((likelihood.log_cdf, known.logcdf), (likelihood.log_sf, known.logsf)):
        np.testing.assert_allclose(own(torch.zeros_like(x), x).detach(), theirs(x.numpy()), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("df", [2.1, 3.7, 30.0, 1e3])
def test_student_t_equals_scipy_for_any_degrees_of_freedom(df):
    x = torch.tensor([-1e6, -30.0, -2.0, -1e-3, 1e-3, 0.5, 8.0, 1e4], dtype=torch.float64)[:, None]
    likelihood = StudentT(1, df).double()
    # scipy's own logarithm is minus infinity where the probability is.
    known = [stats.t(df).cdf(x.numpy()), stats.t(df).sf(x.numpy())]
    for own, theirs in zip((likelihood.log_cdf, likelihood.log_sf), known, strict=True):
        found, some = own(torch.zeros_like(x), x).detach().numpy(), theirs > 1e-290
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[some], np.log(theirs[some]), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("mean", [1e-3, 0.4, 30.0, 4e3])
@pytest.mark.parametrize("dispersion", [None, 1e-3, 1.0, 1e3])
def test_counts_equal_scipy_in_the_tails(mean, dispersion):
    likelihood = make("poisson" if dispersion is None else "negative_binomial", [0])
    known = stats.poisson(mean) if dispersion is None else stats.nbinom(1 / dispersion, 1 / (1 + mean * dispersion))
    if dispersion is not None:
        with torch.no_grad():
            likelihood.raw_log_dispersion.fill_(np.log(dispersion) / likelihood.gain)
    likelihood.learn(torch.tensor([mean], dtype=torch.float64))
    x = torch.tensor(np.unique(known.isf([1e-12, 1e-3, 0.3, 0.9, 1 - 1e-9])).clip(0))[:, None]
    for own, theirs in ((likelihood.log_cdf, known.cdf(x)), (likelihood.log_sf, known.sf(x))):
        np.testing.assert_allclose(own(torch.zeros_like(x), x).detach(), np.log(theirs), rtol=1e-6, atol=1e-7)


def test_is_the_integral_of_the_density(likelihood):
    params = params_of(likelihood, 3)
    points, _ = space_of(likelihood)
    below = mass_of(likelihood, params).cumsum(0)
    for at in torch.linspace(0.1, 0.9, 5):
        place = int((below[:, 0, 0] < at).sum())
        edge = points[place] if isinstance(likelihood, Counts) else (points[place] + points[place + 1]) / 2
        found = likelihood.log_cdf(params, edge[None]).exp()
        torch.testing.assert_close(found.detach(), below[place], rtol=0, atol=2e-4)


def test_is_monotone_and_both_sides_add_up(likelihood):
    params = params_of(likelihood, 1)
    low, high = max(likelihood.support[0], -8.0), min(likelihood.support[1], 8.0)
    x = torch.linspace(low, high, 400, dtype=torch.float64)[1:-1, None].expand(-1, 3)
    below, above = likelihood.log_cdf(params, x), likelihood.log_sf(params, x)
    assert (below.diff(dim=0) >= -1e-9).all()
    assert (above.diff(dim=0) <= 1e-9).all()
    torch.testing.assert_close(torch.logaddexp(below, above), torch.zeros_like(below), rtol=0, atol=1e-9)


def test_gradients_are_those_of_differences(likelihood):
    x = values_of(likelihood)
    names, parameters = zip(*likelihood.named_parameters(), strict=True) if list(likelihood.parameters()) else ((), ())

    def log_tails(params, *own):
        state = dict(zip(names, own, strict=True))
        with torch.nn.utils.stateless._reparametrize_module(likelihood, state):
            return torch.stack([likelihood.log_cdf(params, x), likelihood.log_sf(params, x)])

    given = params_of(likelihood).requires_grad_(), *(own.detach().clone().requires_grad_() for own in parameters)
    assert torch.autograd.gradcheck(log_tails, given, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [0.0, 1.0, 30.0, 1e3])
def test_is_finite_in_float32_whatever_the_outputs(likelihood, size):
    likelihood = likelihood.float()
    for sign in (-1.0, 1.0):
        params = torch.full((9, 3), sign * size, requires_grad=True)
        low, high = likelihood.support
        ends = {"low": max(low, -1e3), "high": min(high, 1e15 if isinstance(likelihood, Counts) else 1e3)}
        x = torch.linspace(ends["low"], ends["high"], 9)[:, None].expand(-1, 3)
        for code in (-1.0, 1.0):
            result = likelihood.log_prob(params, x, censoring=torch.full_like(x, code))
            assert result.isfinite().all()
            assert (result <= 0).all()
            learned = [params, *likelihood.parameters()]
            assert all(own.isfinite().all() for own in torch.autograd.grad(result.sum(), learned, allow_unused=True))


def test_float32_has_six_digits(name, likelihood):
    params, x = params_of(likelihood), values_of(likelihood)
    exact = likelihood.log_cdf(params, x), likelihood.log_sf(params, x)
    likelihood = likelihood.float()
    found = likelihood.log_cdf(params.float(), x.float()), likelihood.log_sf(params.float(), x.float())
    for own, theirs in zip(found, exact, strict=True):
        torch.testing.assert_close(own.double(), theirs, rtol=2e-5, atol=2e-5)


def test_stacks(likelihood):
    params, x = torch.stack([params_of(likelihood), 2 * params_of(likelihood)]), values_of(likelihood)
    codes = torch.ones_like(x)
    both = vmap(lambda own: likelihood.log_prob(own, x, censoring=codes))(params)
    each = torch.stack([likelihood.log_prob(own, x, censoring=codes) for own in params])
    torch.testing.assert_close(both, each)


def test_codes_choose_the_side(likelihood):
    params, x = params_of(likelihood), values_of(likelihood)
    x[0] = float("nan")
    codes = torch.zeros_like(x)
    codes[:, 1], codes[:, 2] = -1, 1
    found = likelihood.log_prob(params, x, censoring=codes)
    assert (found[0] == 0).all()
    torch.testing.assert_close(found[1:, 0], likelihood.log_prob(params, x)[1:, 0])
    below, above = likelihood.log_below(params[1:], x[1:]), likelihood.log_sf(params[1:], x[1:])
    torch.testing.assert_close(found[1:, 1], below[:, 1])
    torch.testing.assert_close(found[1:, 2], above[:, 2])
    gradient = torch.autograd.grad(likelihood.log_prob(params.requires_grad_(), x, censoring=codes).sum(), params)
    assert gradient[0].isfinite().all()


def test_no_codes_change_no_bits(likelihood):
    params, x = params_of(likelihood), values_of(likelihood)
    x[2, 1] = float("nan")
    plain, coded = likelihood.log_prob(params, x), likelihood.log_prob(params, x, censoring=torch.zeros_like(x))
    assert torch.equal(plain, coded)


@pytest.mark.parametrize("name", ["poisson", "negative_binomial"])
def test_below_a_count_leaves_the_count_out(name):
    likelihood = make(name)
    params = params_of(likelihood)
    whole = torch.full((7, 3), 3.0, dtype=torch.float64)
    torch.testing.assert_close(likelihood.log_below(params, whole), likelihood.log_cdf(params, whole - 1))
    torch.testing.assert_close(likelihood.log_below(params, whole - 0.5), likelihood.log_cdf(params, whole - 1))
    torch.testing.assert_close(likelihood.log_sf(params, whole + 0.5), likelihood.log_sf(params, whole))


def test_quantile_leaves_an_atom_out():
    rows = torch.cat([torch.zeros(40), torch.linspace(1, 9, 60)]).double()[:, None]
    likelihood = LIKELIHOODS["quantile"](1).double()
    unit = torch.ones(1, dtype=torch.float64)
    likelihood.learn_rows(rows, 0 * unit, unit)
    params = torch.tensor([[0.0]], dtype=torch.float64)
    at, below = (own(params, 0 * params).exp().item() for own in (likelihood.log_cdf, likelihood.log_below))
    atom = likelihood.log_prob(params, 0 * params).exp().item()
    assert below < 0.01
    assert at - below == pytest.approx(atom, abs=1e-9)
    assert atom == pytest.approx(0.4, abs=0.03)


def test_mixed_families_take_their_own_codes():
    mixed = Mixed([LIKELIHOODS["gaussian"], partial(Categorical, n_classes=[3]), LIKELIHOODS["gamma"]]).double()
    params = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.tensor([[0.3, 1.0, 2.0]], dtype=torch.float64).expand(5, -1)
    codes = torch.tensor([[-1.0, 0.0, 1.0]], dtype=torch.float64).expand(5, -1)
    found, plain = mixed.log_prob(params, x, censoring=codes), mixed.log_prob(params, x)
    gaussian, gamma = mixed.families[0], mixed.families[2]
    torch.testing.assert_close(found[:, 0], gaussian.log_cdf(params[:, :1], x[:, :1])[:, 0])
    torch.testing.assert_close(found[:, 1], plain[:, 1])
    torch.testing.assert_close(found[:, 2], gamma.log_sf(params[:, 6:7], x[:, 2:])[:, 0])
