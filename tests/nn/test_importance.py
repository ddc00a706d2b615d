"""Densities, imputed cells and conditional draws against exact conditionals, by algebra and by quadrature.

A linear model with normal columns is normal itself, so that everything it says of a row's cells given others is known.
An estimate may err as if by so many draws from the exact conditional distribution, less an allowance: proposals are
mixtures of three parts, of which one is to fit, so that no weight is above three times the mean.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn import importance
from sklearn_mtae.nn.importance import LEAST_CURVATURE, Draws, expand_by_component
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS

N_DRAWS = 5000
LARGEST_WEIGHT = 3.0
SAMPLE_ERROR = ((1 + LARGEST_WEIGHT / 10) / 5000) ** 0.5
"""Standard error of the mean of 5,000 conditional draws, each of which is one of ten weighted codes, in deviations."""
N_FEATURES, N_TASKS = 7, 2


def log_error(n_draws):
    """Return the standard error of a log-density: weights of mean 1 have a variance of `largest - 1` at most."""
    return ((LARGEST_WEIGHT - 1) / n_draws) ** 0.5


def mean_error(n_draws):
    """Return the standard error of a conditional mean, in conditional standard deviations."""
    return (LARGEST_WEIGHT / n_draws) ** 0.5


class Normal:
    """The normal distribution that a fitted linear model stands for: of the columns, then of the tasks."""

    def __init__(self, model):
        module = deepcopy(model.module_).double()
        loadings, bias = module.decoder[-1].weight, module.decoder[-1].bias
        noise, units = module.likelihood.log_variance.exp(), [module.units]
        if hasattr(module, "heads"):
            head = module.heads.layers[0]
            loadings, bias = torch.cat([loadings, head.weight[:, 0]]), torch.cat([bias, head.bias[:, 0]])
            noise = torch.cat([noise, module.task_likelihood.log_variance.exp()])
            units.append(module.task_units)
        scale = torch.cat([unit.scale for unit in units])
        self.mean = (torch.cat([unit.location for unit in units]) + scale * bias).numpy()
        self.covariance = (scale[:, None] * (loadings @ loadings.T + noise.diag()) * scale).numpy()
        self.deviation = np.sqrt(np.diag(self.covariance))

    def log_density(self, row):
        seen = np.flatnonzero(~np.isnan(row))
        if not len(seen):
            return 0.0
        return stats.multivariate_normal(self.mean[seen], self.covariance[np.ix_(seen, seen)]).logpdf(row[seen])

    def given(self, row):
        """Return mean and covariance of the missing cells, and of what lies beyond the row, given those observed."""
        row = np.r_[row, np.full(len(self.mean) - len(row), np.nan)]
        seen, missing = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
        cross, own = self.covariance[np.ix_(missing, seen)], self.covariance[np.ix_(seen, seen)]
        slope = np.linalg.solve(own, cross.T).T
        mean = self.mean[missing] + slope @ (row[seen] - self.mean[seen])
        return mean, self.covariance[np.ix_(missing, missing)] - slope @ cross.T


def factor_rows(n_rows, seed, n_columns=N_FEATURES, n_factors=2, noise=0.5):
    """Return rows of a few factors and noise, in unlike units, and the same with three cells in ten missing."""
    loadings, rng = np.random.default_rng(0).normal(size=(n_factors, n_columns)), np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, n_factors)) @ loadings + noise * rng.normal(size=(n_rows, n_columns))
    x = np.arange(n_columns) + np.logspace(-1, 1, n_columns) * x
    return x, np.where(rng.random(x.shape) < 0.3, np.nan, x)


def fit_linear(X, y=None, estimator=VAETransformer, **settings):
    model = estimator(2, hidden_layer_sizes=(), batch_size=None, max_iter=300, learning_rate_init=0.02, random_state=0)
    return model.set_params(**settings).fit(X, y)


class Linear(NamedTuple):
    """A fitted model, the distribution that it stands for, and a source of rows of the kind that it was fitted to."""

    model: VAETransformer
    exact: Normal
    rows: Callable


@pytest.fixture(scope="module", params=["complete", "gaps", "sharp"])
def linear(request):
    """A model that has never seen a gap, one that has seen many, and one whose posteriors are narrow."""
    rows = partial(factor_rows, n_columns=12, n_factors=4, noise=0.15) if request.param == "sharp" else factor_rows
    n_components = 4 if request.param == "sharp" else 2
    model = fit_linear(rows(500, 1)[request.param == "gaps"], n_components=n_components)
    return Linear(model, Normal(model), rows)


@pytest.fixture(scope="module")
def joint():
    """A multi-task model whose columns and tasks are normal together."""
    X = factor_rows(500, 1, N_FEATURES + N_TASKS)[0]
    settings = {"n_estimators": 1, "head_hidden_layer_sizes": (), "reconstruction_weight": 1.0}
    model = fit_linear(X[:, :N_FEATURES], X[:, N_FEATURES:], MultiTaskVAERegressor, **settings)
    return model, Normal(model)


def assert_within(errors, standard_error):
    """Assert that no error is above five standard errors, and that those of many rows are near one at most."""
    assert np.abs(errors).max() < 5 * standard_error
    if np.size(errors) >= 40:
        assert np.sqrt(np.mean(np.square(errors))) < 1.5 * standard_error


# A linear model, by algebra.


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("n_draws", [100, N_DRAWS])
def test_density_is_that_of_the_observed_cells(linear, gaps, n_draws):
    rows = linear.rows(60, 2)[gaps]
    density = linear.model.score_samples(rows, n_importance_samples=n_draws)
    assert_within(density - [linear.exact.log_density(row) for row in rows], log_error(n_draws))


@pytest.mark.parametrize("seen", [[], [3], [0, 6], [1, 2, 3, 4, 5, 6]])
def test_density_of_few_or_most_cells(linear, seen):
    rows = np.full_like(linear.rows(40, 3)[0], np.nan)
    rows[:, seen] = linear.rows(40, 3)[0][:, seen]
    density = linear.model.score_samples(rows, n_importance_samples=N_DRAWS)
    assert_within(density - [linear.exact.log_density(row) for row in rows], log_error(N_DRAWS))


@pytest.mark.parametrize("n_draws", [100, N_DRAWS])
def test_imputed_cells_are_conditional_means(linear, n_draws):
    rows = linear.rows(60, 2)[1]
    filled = linear.model.impute(rows, n_importance_samples=n_draws)
    np.testing.assert_array_equal(filled[~np.isnan(rows)], rows[~np.isnan(rows)])
    errors = []
    for row, own in zip(rows, filled, strict=True):
        mean, covariance = linear.exact.given(row)
        errors.extend((own[np.isnan(row)] - mean) / np.sqrt(np.diag(covariance)))
    assert len(errors) > 100
    assert_within(errors, mean_error(n_draws))


def test_spread_of_imputed_draws_is_the_conditional_covariance(linear):
    """The covariance depends on which cells are missing alone: rows with the same gaps tell it together."""
    n_rows, n_tables, missing = 40, 200, [0, 2, 5, 6]
    rows = linear.rows(n_rows, 4)[0]
    rows[:, missing] = np.nan
    tables = linear.model.impute(rows, n_tables, n_importance_samples=N_DRAWS, random_state=0)
    means, covariances = zip(*(linear.exact.given(row) for row in rows), strict=True)
    deviation = np.sqrt(np.diag(covariances[0]))
    residuals = (tables[:, :, missing] - np.array(means)) / deviation
    per_row = 1 / n_tables + mean_error(N_DRAWS) ** 2
    assert_within(residuals.mean(0).ravel(), per_row**0.5)
    covariance = np.einsum("tni,tnj->ij", residuals, residuals) / (n_tables * n_rows)
    expected = covariances[0] / np.outer(deviation, deviation)
    assert np.abs(covariance - expected).max() < 5 * (2 * per_row / n_rows) ** 0.5


CONDITIONS = {"one": {4: 2.0}, "agreeing": {0: 2.0, 3: 2.0, 6: 2.0}, "opposed": {0: 2.0, 1: -2.0, 2: 2.0, 5: 2.0}}


def check_conditional_draws(model, exact, deviations, join=np.asarray):
    """Compare 5,000 conditional draws with the exact distribution: each thousand comes from ten times as many codes."""
    signs = np.sign(exact.covariance[0])  # two standard deviations to the side where the first column goes
    conditions = {
        column: exact.mean[column] + signs[column] * distance * exact.deviation[column]
        for column, distance in deviations.items()
    }
    row = np.array([conditions.get(column, np.nan) for column in range(model.n_features_in_)])
    drawn = join(model.sample(5000, random_state=0, conditions=conditions))
    seen = np.flatnonzero(~np.isnan(row))
    np.testing.assert_array_equal(drawn[:, seen], np.tile(row[seen], (5000, 1)))
    mean, covariance = exact.given(row)
    deviation = np.sqrt(np.diag(covariance))
    residuals = (np.delete(drawn, seen, axis=1) - mean) / deviation
    assert_within(residuals.mean(0), SAMPLE_ERROR)
    error = residuals.T @ residuals / 5000 - covariance / np.outer(deviation, deviation)
    assert np.abs(error).max() < 5 * 2**0.5 * SAMPLE_ERROR


@pytest.mark.parametrize("name", sorted(CONDITIONS))
def test_conditional_draws_have_the_conditional_moments(linear, name):
    check_conditional_draws(linear.model, linear.exact, CONDITIONS[name])


@pytest.mark.parametrize("name", sorted(CONDITIONS))
def test_conditional_draws_of_tasks_have_the_conditional_moments(joint, name):
    check_conditional_draws(*joint, CONDITIONS[name], np.hstack)


def test_few_conditional_draws_are_spread_like_many(linear):
    """Fifty calls for a row each, whose codes are drawn anew."""
    model, exact, _ = linear
    value = exact.mean[4] + 2 * exact.deviation[4]
    drawn = np.vstack([model.sample(1, random_state=seed, conditions={4: value}) for seed in range(50)])
    mean, covariance = exact.given(np.where(np.arange(drawn.shape[1]) == 4, value, np.nan))
    scores = (np.delete(drawn, 4, axis=1) - mean) / np.sqrt(np.diag(covariance))
    assert np.abs(scores.mean(0)).max() < 4.5 / 50**0.5
    assert np.abs(scores.std(0) - 1).max() < 4.5 / 100**0.5


def test_rows_do_not_depend_on_each_other(linear):
    rows = linear.rows(30, 5)[1]
    order = np.random.default_rng(0).permutation(30)
    for method in (linear.model.score_samples, linear.model.impute):
        together = method(rows, n_importance_samples=50)
        np.testing.assert_allclose(method(rows[order], n_importance_samples=50), together[order], rtol=1e-9)
        alone = np.concatenate([method(rows[[row]], n_importance_samples=50) for row in (0, 7, 29)])
        np.testing.assert_allclose(alone, together[[0, 7, 29]], rtol=1e-9)


# A curved model, by quadrature.


def curve_rows(n_rows, seed):
    rng = np.random.default_rng(seed)
    t = rng.normal(size=n_rows)
    x = np.stack([t, np.sin(2 * t), t**2, -t], axis=1) + 0.3 * rng.normal(size=(n_rows, 4))
    return x, np.where(rng.random(x.shape) < 0.4, np.nan, x)


@pytest.fixture(scope="module", params=[*sorted(PRIORS), "flow posterior"])
def curved(request):
    """A network with one component, trained on complete rows, and what quadrature over the code makes of rows."""
    options = {"posterior": "flow"} if request.param == "flow posterior" else {"prior": request.param}
    model = VAETransformer(1, hidden_layer_sizes=(16,), learning_rate_init=0.01, max_iter=25, random_state=0, **options)
    model.fit(curve_rows(300, 0)[0])
    return model, partial(integrate, model)


def integrate(model, rows):
    """Return log-densities of rows, and conditional means and standard deviations of all of their cells."""
    module = model._runner.model(torch.float64)
    z = torch.linspace(-12, 12, 8001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        columns = module.likelihood.distribution(module.decode(z))
        mean, variance = module.reconstruct(z).numpy(), (module.units.rescale(columns.stddev) ** 2).numpy()
        log_prior = module.prior.given(module.infer).log_prob(z).numpy()
    cells = stats.norm(mean, np.sqrt(variance)).logpdf(rows[:, None])
    log_joint = np.nan_to_num(cells).sum(-1) + log_prior
    log_density = logsumexp(log_joint, axis=1) + np.log(float(z[1] - z[0]))
    posterior = np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))
    means = posterior @ mean
    return log_density, means, np.sqrt(posterior @ (mean**2 + variance) - means**2)


def test_curved_densities_and_means_are_the_integrals(curved):
    model, exact = curved
    rows = curve_rows(40, 1)[1]
    log_density, means, deviations = exact(rows)
    assert_within(model.score_samples(rows, n_importance_samples=N_DRAWS) - log_density, log_error(N_DRAWS))
    missing = np.isnan(rows)
    errors = (model.impute(rows, n_importance_samples=N_DRAWS) - means)[missing] / deviations[missing]
    assert_within(errors, mean_error(N_DRAWS))


def test_empty_row_becomes_the_mean_of_the_prior(curved):
    model, exact = curved
    empty = np.full((1, 4), np.nan)
    _, means, deviations = exact(empty)
    assert_within((model.impute(empty, n_importance_samples=N_DRAWS) - means) / deviations, mean_error(N_DRAWS))
    drawn = model.sample(20000, random_state=0)
    assert_within((drawn.mean(0) - means) / deviations, 20000**-0.5)
    drawn = model.sample(5000, random_state=0, conditions={})
    assert_within((drawn.mean(0) - means) / deviations, SAMPLE_ERROR)


# What comes back.


def test_imputed_rows_keep_what_was_observed(linear):
    model = linear.model
    complete, rows = linear.rows(20, 6)
    np.testing.assert_array_equal(model.impute(complete), complete)
    np.testing.assert_array_equal(model.impute(complete, 3), np.stack([complete] * 3))
    tables = model.impute(rows, 3, random_state=0)
    assert tables.shape == (3, *rows.shape)
    seen = ~np.isnan(rows)
    assert all((table[seen] == rows[seen]).all() for table in tables)
    assert np.isfinite(tables).all()
    assert (tables[0] != tables[1])[~seen].all()
    np.testing.assert_array_equal(model.impute(rows, 3, random_state=0), tables)
    assert (model.impute(rows, 3, random_state=1) != tables)[:, ~seen].all()
    assert model.impute(rows.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("n_draws", [1, 2, 3])
@pytest.mark.parametrize("posterior", sorted(POSTERIORS))
def test_few_codes_of_every_posterior(n_draws, posterior):
    """With fewer draws than parts of the mixture, some of these have none."""
    x = np.where(np.random.default_rng(0).random((20, 3)) < 0.3, np.nan, np.random.default_rng(1).normal(size=(20, 3)))
    model = VAETransformer(2, hidden_layer_sizes=(4,), posterior=posterior, max_iter=1, random_state=0).fit(x)
    assert np.isfinite(model.score_samples(x, n_importance_samples=n_draws)).all()
    assert np.isfinite(model.impute(x, n_importance_samples=n_draws)).all()


@pytest.mark.parametrize("n_draws", [1, 2, 3, 4])
def test_few_codes_are_enough_for_finite_results(linear, n_draws):
    model, rows = linear.model, linear.rows(20, 6)[1]
    rows[0] = np.nan
    rows[1, 2], rows[1, 3] = 1e6, np.nan
    assert np.isfinite(model.score_samples(rows, n_importance_samples=n_draws)).all()
    assert np.isfinite(model.impute(rows, n_importance_samples=n_draws)).all()
    assert np.isfinite(model.impute(rows, 2, n_importance_samples=n_draws)).all()


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_imputed_cells_lie_in_the_support(name):
    torch.manual_seed(0)
    likelihood = LIKELIHOODS[name](4)
    X = likelihood.distribution(torch.randn(120, 4 * likelihood.n_params)).sample().detach().numpy().astype(np.float64)
    gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.3, np.nan, X)
    gaps[0] = np.nan
    model = VAETransformer(2, hidden_layer_sizes=(8,), likelihood=name, max_iter=3, random_state=0).fit(gaps)
    assert np.isfinite(model.score_samples(gaps)).all()
    low, high = likelihood.support
    for filled in (model.impute(gaps)[None], model.impute(gaps, 4, random_state=0)):
        assert np.isfinite(filled).all()
        assert ((low <= filled) & (filled <= high)).all()
        np.testing.assert_array_equal(filled[:, ~np.isnan(gaps)], np.stack([X[~np.isnan(gaps)]] * len(filled)))


def test_autoencoder_fills_gaps_with_the_reconstruction():
    rows = factor_rows(50, 6)[1]
    rows = rows[np.isnan(rows).any(axis=1)]
    model = AutoencoderTransformer(2, hidden_layer_sizes=(8,), max_iter=3, random_state=0).fit(rows)
    np.testing.assert_array_equal(model.impute(rows), np.where(np.isnan(rows), model.predict(rows), rows))


def test_conditions_on_all_columns_are_the_rows(joint):
    model, _ = joint
    row = factor_rows(1, 7)[0][0]
    X, y = model.sample(3, random_state=0, conditions=dict(enumerate(row)))
    np.testing.assert_array_equal(X, np.tile(row, (3, 1)))
    assert y.shape == (3, N_TASKS)
    assert (y[0] != y[1]).all()


def test_conditions_by_name():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(factor_rows(50, 6)[0], columns=list("abcdefg"))
    model = VAETransformer(2, hidden_layer_sizes=(), max_iter=3, random_state=0).fit(frame)
    drawn = model.sample(4, random_state=0, conditions={"c": 2.5, "a": -1.0})
    assert list(drawn.columns) == list("abcdefg")
    assert (drawn[["c", "a"]] == [2.5, -1.0]).all(axis=None)
    assert drawn["b"].nunique() == 4
    with pytest.raises(ValueError, match=r"conditions must name columns of X. Got \[2\]"):
        model.sample(conditions={2: 0.0})


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({9: 1.0}, r"conditions must name columns of X. Got \[9\]"),
        ({"a": 1.0}, r"conditions must name columns of X. Got \['a'\]"),
        ({1: -1.0}, "conditions needs the column >= 0. Got min -1 in column 1"),
        ({1: np.inf}, "infinity"),
        ({1: "many"}, "Column 1 holds strings, such as 'many'"),
    ],
)
def test_conditions_that_cannot_be(conditions, message):
    counts = np.random.default_rng(0).poisson(3, size=(50, 3))
    model = VAETransformer(2, hidden_layer_sizes=(8,), likelihood="poisson", max_iter=2, random_state=0).fit(counts)
    with pytest.raises(ValueError, match=message):
        model.sample(2, conditions=conditions)


def test_resampled_codes_come_as_often_as_they_weigh():
    torch.manual_seed(0)
    z, log_weight = torch.randn(6, 2, 3), 2 * torch.randn(6, 2) - 50
    drawn = Draws(z, log_weight).resample(20000)
    assert drawn.shape == (20000, 2, 3)
    expected = 20000 * log_weight.double().softmax(0).numpy()
    for row in range(2):
        chosen = (drawn[:, None, row] == z[:, row]).all(-1)
        assert (chosen.sum(1) == 1).all()
        assert stats.chisquare(chosen.sum(0).numpy(), expected[:, row]).pvalue > 1e-3
    torch.testing.assert_close(Draws(z, log_weight).log_marginal(), log_weight.exp().mean(0).log())


# Rows far outside, and others beside them.

PRIOR_NAMES = ["normal", "mixture", "vamp"]


def far_from(X, factor, dtype):
    rows = X[:6].copy()
    rows[::2] *= factor
    return rows.astype(dtype)


@pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("prior", PRIOR_NAMES)
def test_no_row_is_in_the_way_of_another(prior, dtype):
    """A row far outside is finite, and what is said of those beside it is what is said of them alone."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3))
    X[rng.random(X.shape) < 0.4] = np.nan
    model = VAETransformer(prior=prior, hidden_layer_sizes=(64,), max_iter=20, random_state=0).fit(X)
    alone = far_from(X, 1.0, dtype)[1::2]
    scores_alone, filled_alone = model.score_samples(alone), model.impute(alone)
    verbs = (model.score_samples, model.impute, model.transform, partial(model.impute, n_draws=2))
    for factor in (1e3, 1e12, 1e20, 1e30):
        rows = far_from(X, factor, dtype)
        with np.errstate(over="raise", invalid="raise"):
            said = [verb(rows) for verb in verbs]
        assert all(np.isfinite(values).all() for values in said)
        scores, filled = said[:2]
        np.testing.assert_allclose(scores[1::2], scores_alone, rtol=1e-5)
        np.testing.assert_allclose(filled[1::2], filled_alone, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")
def test_where_float32_overflows_the_row_is_reckoned_in_float64():
    X = factor_rows(60, 1)[1]
    model = VAETransformer(2, hidden_layer_sizes=(16,), max_iter=10, random_state=0).fit(X)
    rows = (1e25 * np.sign(X[:10])).astype(np.float32)
    double = rows.astype(np.float64)
    np.testing.assert_allclose(model.transform(rows), model.transform(double), rtol=1e-4)
    np.testing.assert_allclose(model.impute(rows), model.impute(double), rtol=1e-4)
    assert (model.score_samples(rows) == np.finfo(np.float32).min).all(), "the lowest number of float32"
    assert (model.score_samples(double) < -1e45).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_inverse_and_no_root_fails(scale, dtype):
    """Matrices that routines for one of them refuse: singular, indefinite, of all sizes, or no numbers at all."""
    rng = np.random.default_rng(0)
    second = torch.from_numpy(scale * rng.normal(size=(6, 4, 4))).to(dtype)
    second = second + second.mT
    second[1], second[2] = 0.0, scale
    second[3], second[4] = torch.diag(torch.tensor([1.0, 1e-12, -1.0, 1e8])), float("nan")
    target = torch.zeros(6, 4, dtype=dtype)

    def log_joint(z):
        return -0.5 * torch.einsum("ni,nij,nj->n", z, second, z)

    _, _, curvature = expand_by_component(log_joint, target)
    exact = second.double().nan_to_num(0.0)
    values, vectors = np.linalg.eigh(exact.numpy())
    expected = vectors * np.maximum(values, LEAST_CURVATURE)[:, None, :] @ vectors.transpose(0, 2, 1)
    root = curvature.root().double()
    size = np.abs(expected).max(axis=(1, 2), keepdims=True)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    np.testing.assert_allclose((root @ root.mT).numpy() / size, expected / size, atol=tolerance)
    assert (root.triu(1) == 0).all()
    assert (root.diagonal(dim1=-2, dim2=-1) > 0).all()
    gradient = torch.ones(6, 4, dtype=dtype)
    solved = (
        np.linalg.solve(expected, np.ones((6, 4, 1)))[..., 0] if scale == 1.0 else curvature.solve(gradient).numpy()
    )
    np.testing.assert_allclose(curvature.solve(gradient).numpy(), solved, rtol=1e-3, atol=1e-5)


def test_draws_that_are_not_finite_have_no_weight():
    z = torch.tensor([0.0, 1.0, 2.0]).reshape(3, 1, 1).expand(3, 2, 1)
    log_weight = torch.tensor([[0.0, -float("inf")], [-float("inf")] * 2, [0.0, -float("inf")]])
    draws = Draws(z, log_weight)
    assert draws.usable.tolist() == [True, False]
    assert set(draws.resample(50)[:, 0, 0].tolist()) == {0.0, 2.0}
    assert draws.resample(50)[:, 1].isfinite().all()


@pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")
def test_a_row_of_which_nothing_can_be_said_is_named():
    X = 1e-300 * factor_rows(40, 1)[0]
    model = VAETransformer(2, hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X)
    rows = X.copy()
    rows[3, 2], rows[3, 4] = 1e20, np.nan
    for verb in (model.transform, model.impute, partial(model.impute, n_draws=2)):
        with pytest.raises(ValueError, match=r"Row 3 is too far from .* It has 1e\+20 in column 2"):
            verb(rows)
    with pytest.raises(ValueError, match=r"The row of conditions is too far from .* It has 1e\+20 in column 2"):
        model.sample(conditions={2: 1e20})
    assert np.isfinite(model.transform(X)).all()


@pytest.mark.parametrize("gaps", [False, True])
def test_codes_are_decoded_in_parts(gaps, monkeypatch):
    """How many codes have room at once changes rounding alone, and neither the weights nor what is decoded."""
    x = np.random.default_rng(0).normal(size=(20, 4))
    model = VAETransformer(2, hidden_layer_sizes=(8,), max_iter=2, random_state=0).fit(x).module_.eval()
    rows = torch.from_numpy(np.where(np.eye(20, 4) * gaps > 0, np.nan, x)).float()
    noise = torch.randn(30, 20, 2, generator=torch.Generator().manual_seed(0))
    whole = importance.draw(model, rows, noise, 0, keep_params=True)
    assert importance.draws_at_once(model, rows) >= 30
    monkeypatch.setattr(importance, "CACHED_CELLS", 20 * 8 * 7)
    assert importance.draws_at_once(model, rows) == 7
    parts = importance.draw(model, rows, noise, 0, keep_params=True)
    for own, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(own, other)
