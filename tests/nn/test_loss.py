"""The loss: weights of the terms, free bits, and every objective through the estimators."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.func import functional_call, stack_module_state

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.loss import Loss
from sklearn_mtae.nn.models import VAE, Output
from sklearn_mtae.nn.objectives import IWAE, MMD, OBJECTIVES, BetaTC, elbo
from sklearn_mtae.nn.posteriors import DiagonalNormal, NormalPosterior
from sklearn_mtae.nn.priors import MixtureOfNormals, StandardNormal

TERMS = {
    "elbo": {"distortion", "rate"},
    "iwae": {"distortion", "rate", "concentration"},
    "beta_tc": {"distortion", "mutual_information", "total_correlation", "component_rate"},
    "mmd": {"distortion", "rate", "mmd"},
}
SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "random_state": 0}


@pytest.fixture(params=sorted(OBJECTIVES))
def name(request):
    return request.param


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def two_scales(output):
    """An objective of a user's own, with a term that the loss does not know."""
    return {**elbo(output), "size": output.z.square().sum(-1)}


# Weights of the terms.


class Numbers:
    """An objective of constants, two of them rates and one of those with a weight of its own, as is another term."""

    rates = ("rate", "second")
    weights = {"second": 3.0, "own": 5.0}

    def __call__(self, output):
        columns = {"distortion": [1, 3], "rate": [0, 2], "second": [2, 6], "own": [1, 0], "other": [4, 8]}
        return {name: torch.tensor(column, dtype=torch.float64) for name, column in columns.items()}


def test_terms_have_their_weights():
    means = {"distortion": 2, "rate": 1, "second": 4, "own": 0.5, "other": 6}
    result = Loss(Numbers(), beta=2.0, reconstruction_weight=0.5)(nn.Module(), None)
    assert {name: float(mean) for name, mean in result.means.items()} == means
    assert float(result.loss) == 0.5 * 2 + 2 * 1 + 2 * 3 * 4 + 0.5 * 5 * 0.5 + 0.5 * 6


def test_terms_are_averaged_by_the_weights_of_the_rows():
    weight = torch.tensor([0.5, 1.5], dtype=torch.float64)
    result = Loss(Numbers())(nn.Module(), None, weight)
    assert {name: float(mean) for name, mean in result.means.items()} == {
        "distortion": 2.5,
        "rate": 1.5,
        "second": 5.0,
        "own": 0.25,
        "other": 7.0,
    }


def test_scheduled_weight_reaches_all_rates():
    loss = Loss(Numbers(), beta=lambda progress: 10 * progress)
    values = [float(loss(nn.Module(), None, scales=loss.scales(progress)).loss) for progress in (0, 0.5)]
    assert values == [2 + 5 * 0.5 + 6, 2 + 5 * 0.5 + 6 + 5 * (1 + 3 * 4)]


def test_reported_curves_add_up_to_the_loss(name, table):
    model = VAETransformer(**SMALL, objective=name, beta=0.7, batch_size=None, max_iter=3, dtype="float64")
    own = {"total_correlation": 6.0, "mmd": 10.0}
    curves = model.fit(table[0]).term_curves_
    expected = sum(
        own.get(term, 1.0) * (1.0 if term in ("distortion", "concentration", "mmd") else 0.7) * np.array(curve)
        for term, curve in curves.items()
    )
    np.testing.assert_allclose(model.loss_curve_, expected)


# Free bits.


def output_of(mean, log_variance, prior):
    q = DiagonalNormal(mean, log_variance)
    z = q.rsample(normal(*mean.shape, seed=1))
    return Output(z, z, -z.square().sum(-1), q, prior, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("objective", [elbo, MMD(weight=10.0)])
@pytest.mark.parametrize("weighted", [False, True])
def test_free_bits_spare_the_components_below_them(objective, weighted):
    mean = (normal(9, 4) * torch.tensor([0.01, 0.3, 1, 3])).requires_grad_()
    output = output_of(mean, torch.full((9, 4), -0.1, dtype=torch.float64), StandardNormal(4).double())
    weight = torch.linspace(0.2, 1.8, 9, dtype=torch.float64) if weighted else torch.ones(9, dtype=torch.float64)
    rates = kl_divergence(Normal(output.q.mean, output.q.stddev), Normal(0.0, 1.0))
    by_component = (weight[:, None] * rates).mean(0)
    assert (by_component < 0.2).sum() == 2
    free = Loss(objective, beta=3.0, free_bits=0.2)(nn.Module(), output, weight if weighted else None)
    output.generator.manual_seed(0)
    plain = Loss(objective, beta=3.0)(nn.Module(), output, weight if weighted else None)
    excess = 3 * (by_component.clamp(min=0.2).sum() - by_component.sum())
    torch.testing.assert_close(free.loss - plain.loss, excess)
    torch.testing.assert_close(free.means["rate"], by_component.sum())
    (gradient,) = torch.autograd.grad(free.loss - plain.loss, mean, retain_graph=True)
    (spared,) = torch.autograd.grad(-3 * by_component[:2].sum(), mean)
    torch.testing.assert_close(gradient, spared)


def test_free_bits_of_a_rate_that_cannot_be_split_are_those_of_all_components():
    torch.manual_seed(0)
    prior = MixtureOfNormals(4).double()
    output = output_of(normal(9, 4), torch.zeros(9, 4, dtype=torch.float64), prior.given(None))
    rate = prior.given(None).kl(output.q, output.z).mean().detach()
    for free_bits in (float(rate) / 5, float(rate) / 3):
        result = Loss(elbo, free_bits=free_bits)(nn.Module(), output)
        torch.testing.assert_close(result.loss - result.means["distortion"], rate.clamp(min=4 * free_bits))


def test_free_bits_keep_components_in_use():
    """A weight of the rate that switches all components off; the floor holds each of them at its nats."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 6)) + 0.5 * rng.normal(size=(200, 6))
    model = VAETransformer(3, hidden_layer_sizes=(), beta=4.0, batch_size=100, learning_rate_init=0.01, random_state=0)
    rates = []
    for free_bits in (0.0, 0.25):
        model.set_params(free_bits=free_bits, max_iter=90).fit(X)
        mean, std = model.transform(X, return_std=True)
        rates.append((mean**2 + std**2 - 1 - 2 * np.log(std)).mean(0) / 2)
    assert (rates[0] < 0.05).all()
    np.testing.assert_allclose(rates[1], 0.25, atol=0.05)
    assert model.term_curves_["rate"][-1] == pytest.approx(0.75, abs=0.1)


@pytest.mark.parametrize("objective", ["iwae", "beta_tc", IWAE(3)])
def test_free_bits_need_a_rate_that_is_a_divergence(objective, table):
    with pytest.raises(ValueError, match="free_bits needs objective 'elbo' or 'mmd'"):
        VAETransformer(**SMALL, objective=objective, free_bits=0.1).fit(table[0])


@pytest.mark.parametrize("objective", ["elbo", elbo, "mmd", MMD(weight=3.0)])
def test_free_bits_go_with_rates_that_are_divergences(objective, table):
    model = VAETransformer(**SMALL, objective=objective, free_bits=5.0, batch_size=None, max_iter=2, dtype="float64")
    curves = model.fit(table[0]).term_curves_
    expected = np.array(curves["distortion"]) + 10.0  # both components are below five nats
    if "mmd" in curves:
        expected += (10 if objective == "mmd" else 3) * np.array(curves["mmd"])
    np.testing.assert_allclose(model.loss_curve_, expected)


# Every objective in the dictionary.


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_terms_and_gradients_are_finite_with_missing_cells_and_extreme_values(name, scale):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, 4)), rng.normal(size=(40, 3))
    X[rng.random(X.shape) < 0.4] = np.nan
    Y[rng.random(Y.shape) < 0.6] = np.nan
    X[3], Y[5] = np.nan, np.nan
    model = MultiTaskVAERegressor(n_estimators=1, **SMALL, objective=name, max_iter=1).fit(X, Y)
    module, loss = model.module_.train().requires_grad_(True), model.net_.criterion_
    X[10:12] *= scale
    output = module(torch.from_numpy(X).float(), torch.from_numpy(Y).float(), n_draws=loss.n_draws)
    terms = loss.objective(output)
    assert set(terms) == {*TERMS[name], "tasks"}
    assert all(term.shape == ((40, 3) if term_name == "tasks" else (40,)) for term_name, term in terms.items())
    assert all(torch.isfinite(term).all() for term in terms.values())
    sum(term.sum() for term in terms.values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("estimator", "least"), [(VAETransformer, 0.5), (MultiTaskVAERegressor, 0.5), (MultiTaskVAEClassifier, 0.75)]
)
def test_trains_through_the_estimators(name, estimator, least):
    """Five columns and three tasks of two factors, nearly without noise: 0 is guessing, 0.5 for classes."""
    rng = np.random.default_rng(0)
    code = rng.normal(size=(200, 2))
    X, Y = (code @ rng.normal(size=(2, n)) + 0.1 * rng.normal(size=(200, n)) for n in (5, 3))
    gaps = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    target = np.where(Y > 0, "up", "down") if estimator is MultiTaskVAEClassifier else Y
    model = estimator(2, hidden_layer_sizes=(), objective=name, learning_rate_init=0.02, batch_size=25, random_state=0)
    single = {} if estimator is VAETransformer else {"n_estimators": 1}
    model.set_params(max_iter=20, **single).fit(gaps, target)
    score = r2_score(X, model.predict(X)) if estimator is VAETransformer else model.score(X, target)
    assert score > least
    tasks = set() if estimator is VAETransformer else {f"task:{task}" for task in model.task_names_}
    assert set(model.term_curves_) == TERMS[name] | tasks
    assert all(len(curve) == 20 for curve in model.term_curves_.values())


def test_objectives_validate_without_gradients(name, table):
    model = VAETransformer(**SMALL, objective=name, early_stopping=True, max_iter=3).fit(table[0])
    assert np.isfinite(model.validation_scores_).all()
    assert np.ptp(model.validation_scores_) > 0


def test_models_with_it_train_as_one(name):
    """The gradients of three models at once, by `torch.func.vmap`, are those of each."""

    class Trained(nn.Module):
        def __init__(self, seed):
            super().__init__()
            torch.manual_seed(seed)
            likelihood = LIKELIHOODS["gaussian"](5)
            self.model = VAE(nn.Linear(5, 4), nn.Linear(2, 5), likelihood, NormalPosterior(2), Prior(2)).double()

        def forward(self, x, noise):
            q = self.model.infer(x)
            z = q.rsample(noise)
            output = Output(x, z, self.model.log_likelihood(z, x), q, self.model.prior)
            return sum(term.mean() for term in objective(output).values())

    drawn = normal(6, 2, seed=1)

    class Prior(StandardNormal):
        def sample(self, n_samples, generator=None):
            return drawn

    objective, models = OBJECTIVES[name], [Trained(seed) for seed in range(3)]
    draws = getattr(objective, "n_draws", 1)
    x, noise = normal(6, 5), normal(*([draws] if draws > 1 else []), 6, 2, seed=2)
    parameters, buffers = stack_module_state(models)

    def loss(own, buffers):
        return functional_call(models[0], (own, buffers), (x, noise))

    gradients, losses = torch.func.vmap(torch.func.grad_and_value(loss))(parameters, buffers)
    for k, model in enumerate(models):
        value = model(x, noise)
        value.backward()
        torch.testing.assert_close(losses[k], value.detach())
        for parameter_name, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[parameter_name][k], parameter.grad)


# Objectives of the user's own.


def test_function_of_the_users_own(table):
    X, Y = table
    model = VAETransformer(**SMALL, objective=two_scales, batch_size=None, max_iter=3, dtype="float64").fit(X)
    assert set(model.term_curves_) == {"distortion", "rate", "size"}
    np.testing.assert_allclose(model.loss_curve_, sum(np.array(curve) for curve in model.term_curves_.values()))
    tasks = MultiTaskVAERegressor(
        n_estimators=1, **SMALL, objective=two_scales, reconstruction_weight=0.3, beta=0.2, batch_size=None
    )
    curves = tasks.set_params(max_iter=3, dtype="float64").fit(X, Y).term_curves_
    weights = {"distortion": 0.3, "rate": 0.2, "size": 0.3}
    expected = sum(weights.get(term, 1.0) * np.array(curve) for term, curve in curves.items())
    np.testing.assert_allclose(tasks.loss_curve_, expected)


@pytest.mark.parametrize(
    "objective",
    [IWAE(n_draws=3), BetaTC(weight=2.0), MMD(weight=5.0), two_scales],
    ids=lambda objective: getattr(objective, "__name__", repr(objective)),
)
def test_objective_survives_clone_pickle_and_grid_search(objective, table):
    X = table[0]
    model = VAETransformer(**SMALL, objective=objective, max_iter=2)
    assert clone(model).objective == objective
    fitted = pickle.loads(pickle.dumps(model.fit(X)))
    assert fitted.objective == objective
    np.testing.assert_array_equal(fitted.transform(X), model.transform(X))
    np.testing.assert_array_equal(fitted.partial_fit(X).transform(X), model.partial_fit(X).transform(X))
    search = GridSearchCV(VAETransformer(**SMALL, max_iter=2), {"objective": ["elbo", objective]}, cv=2)
    assert search.fit(X).best_params_["objective"] in ("elbo", objective)
    assert set(search.cv_results_["param_objective"]) == {"elbo", objective}


def test_settings_reach_the_training(table):
    seen = []

    def spy(output):
        seen.append(output.z.shape)
        return objective(output)

    objective = IWAE(n_draws=3)
    spy.n_draws = 3
    VAETransformer(**SMALL, objective=spy, batch_size=30, max_iter=1).fit(table[0])
    assert seen == [(3, 30, 2)] * 2
    model = VAETransformer(**SMALL, objective=BetaTC(weight=4.0), batch_size=None, max_iter=2, dtype="float64")
    curves = {term: np.array(curve) for term, curve in model.fit(table[0]).term_curves_.items()}
    np.testing.assert_allclose(model.loss_curve_, sum(curves.values()) + 3 * curves["total_correlation"])


def test_objectives_say_what_they_are(table):
    with pytest.raises(ValueError, match="'objective' parameter of VAETransformer must be"):
        VAETransformer(**SMALL, objective="elbow").fit(table[0])
    assert "objective" not in AutoencoderTransformer().get_params()
