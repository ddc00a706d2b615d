"""Tables with columns of several kinds: densities, means and draws against scipy's and integrals over the codes."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.special import expit, log_softmax, logit, logsumexp, softmax

from sklearn_mtae import AutoencoderTransformer, VAETransformer
from tests.people import LEVELS, LIKELIHOOD, SMALL, complete, with_gaps

NAN = float("nan")


def distributions(model, codes, columns):
    """Return the distribution of each numeric column, and the logits of each category, given codes (..., 2)."""
    module = deepcopy(model.module_).double()
    with torch.no_grad():
        outputs = (
            module.decode(torch.as_tensor(codes)).unflatten(-1, (model._fitted.recipe.columns.n_expanded, -1)).numpy()
        )
    learned = {j: (family.double(), k) for family, own in module.likelihood.parts() for k, j in enumerate(own)}
    position, made = 0, {}
    for name in columns:
        family, k = learned[position]
        width = len(LEVELS.get(name, [0]))
        own = outputs[..., position : position + width, 0]
        units = float(module.units.location[position]), float(module.units.scale[position])
        state = {key: value.detach().numpy() for key, value in family.state_dict().items()}
        made[name] = own + state["log_share"] if name in LEVELS else SCIPY[name](own[..., 0], state, k, units)
        position += width
    return made


def normal(eta, state, k, units):
    return stats.norm(units[0] + units[1] * eta, units[1] * np.exp(5 * state["raw_log_variance"][k]))


def negative_binomial(eta, state, k, units):
    size = np.exp(-10 * state["raw_log_dispersion"][k])
    return stats.nbinom(size, size / (size + np.exp(eta + state["log_location"][k])))


def log_normal(eta, state, k, units):
    return stats.lognorm(np.exp(5 * state["raw_log_variance"][k]), scale=np.exp(eta + state["log_location"][k]))


SCIPY = {
    "age": normal,
    "visits": lambda eta, state, k, units: stats.poisson(np.exp(eta + state["log_location"][k])),
    "member": lambda eta, state, k, units: stats.bernoulli(expit(eta + logit(state["location"][k]))),
    "pay": log_normal,
    "light": normal,
    "claims": negative_binomial,
    "rooms": normal,
    "flag": normal,
}


def log_density(made, X):
    """Return the sum over the observed cells of log p(cell given code), rows along the last axis."""
    total = 0.0
    for name in X:
        if name in LEVELS:
            indicators = pd.get_dummies(pd.Categorical(X[name].astype(object), LEVELS[name])).to_numpy(dtype=float)
            total = total + (log_softmax(made[name], -1) * indicators).sum(-1)  # a missing cell has none
        else:
            x = X[name].astype("Float64").to_numpy(dtype=float, na_value=NAN)
            known = np.isfinite(x)
            density = getattr(made[name], "logpdf", None) or made[name].logpmf
            total = total + np.where(known, density(np.where(known, x, 1.0)), 0.0)
    return total


def test_score_is_the_sum_of_what_the_families_give():
    people = with_gaps()
    model = AutoencoderTransformer(**SMALL, likelihood=LIKELIHOOD).fit(people)
    expected = log_density(distributions(model, model.transform(people), people), people)
    np.testing.assert_allclose(model.score_samples(people), expected, rtol=1e-6)


@pytest.fixture(scope="module")
def hidden():
    """A model of one component, its table with gaps, a grid of codes and the log-weights of its points."""
    X = complete(400)[["age", "job", "visits", "pay"]]
    gone = np.random.default_rng(1).random(X.shape) < 0.3
    gone[:, 0] &= ~gone[:, 1:].all(axis=1)
    parameters = {"hidden_layer_sizes": (16,), "learning_rate_init": 1e-2, "max_iter": 30, "random_state": 0}
    likelihood = {"visits": "poisson", "pay": "log_normal"}
    model = VAETransformer(1, **parameters, likelihood=likelihood).fit(X.mask(gone))
    grid = np.linspace(-6, 6, 4001)
    return model, X.mask(gone)[:60], grid, stats.norm.logpdf(grid) + np.log(grid[1] - grid[0])


def test_log_density_is_the_integral_over_the_codes(hidden):
    model, X, grid, weight = hidden
    joint = log_density(distributions(model, grid[:, None, None], X), X) + weight[:, None]
    scores = model.score_samples(X, n_importance_samples=3000)
    np.testing.assert_allclose(scores, logsumexp(joint, axis=0), atol=0.05)


def test_filled_cells_are_means_over_the_codes(hidden):
    model, X, grid, weight = hidden
    made = distributions(model, grid[:, None, None], X)
    posterior = softmax(log_density(made, X) + weight[:, None], axis=0)
    filled = model.impute(X, n_importance_samples=3000)
    tables = model.impute(X, 400, n_importance_samples=3000, random_state=0)
    for name in ("age", "visits", "pay"):
        gone = X[name].isna().to_numpy()
        mean = made[name].mean() * np.ones(len(grid))[:, None]
        expected = (posterior * mean).sum(0)[gone]
        variance = (posterior * (made[name].var() + mean**2)).sum(0)[gone] - expected**2
        one = np.sqrt(variance / 400)  # of the mean of 400 draws; that of the mean itself is of 1000 useful codes
        tolerance = 0.5 if name == "visits" else 0.0
        assert (np.abs(filled[name][gone] - expected) <= tolerance + 5 * np.sqrt(variance / 1000)).all()
        drawn = np.mean([table[name][gone].to_numpy(dtype=float) for table in tables], axis=0)
        assert (np.abs(drawn - expected) <= 5 * one).all()
    gone = X["job"].isna().to_numpy()
    p = (posterior[..., None] * softmax(made["job"], axis=-1)).sum(0)[gone]
    clear = np.sort(p)[:, -1] - np.sort(p)[:, -2] > 0.1
    assert clear.sum() > 5
    assert filled["job"][gone][clear].tolist() == np.array(LEVELS["job"])[p.argmax(1)][clear].tolist()
    shares = np.mean([pd.get_dummies(pd.Categorical(t["job"][gone], LEVELS["job"])) for t in tables], axis=0)
    np.testing.assert_allclose(shares, p, atol=5 * 0.5 / 400**0.5)


def test_draws_under_conditions_are_those_of_the_integral(hidden):
    model, X, grid, weight = hidden
    made = distributions(model, grid[:, None], X)
    row = pd.DataFrame({"job": ["smith"], "visits": [5]})
    made_given = {name: made[name] for name in row}
    posterior = softmax(log_density(made_given, row) + weight)
    drawn = model.sample(2000, random_state=0, conditions={"job": "smith", "visits": 5})
    assert (drawn["job"] == "smith").all()
    assert (drawn["visits"] == 5).all()
    for name in ("age", "pay"):
        mean = (posterior * made[name].mean()).sum()
        variance = (posterior * (made[name].var() + made[name].mean() ** 2)).sum() - mean**2
        assert abs(drawn[name].mean() - mean) < 5 * np.sqrt(variance / 1000)
        assert drawn[name].var() == pytest.approx(variance, rel=0.3)
    # Half a unit of age is a tenth of what it varies by: the quantiles come from the mixture over the codes.
    quantile = float((posterior * made["age"].cdf(50.0)).sum())
    assert (drawn["age"] <= 50).mean() == pytest.approx(quantile, abs=5 * 0.5 / 1000**0.5)
