"""Two predictions of a row are to agree, whether its label is known or not."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import distributions

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae.nn.likelihoods import Categorical, Gaussian, Mixed, Poisson
from tests.stacks import Noiseless, assert_alike, train

RNG = np.random.default_rng(0)
regressor = partial(
    MultiTaskVAERegressor, n_components=2, n_estimators=1, hidden_layer_sizes=(8,), max_iter=3, random_state=0
)


def mean_divergence(p, q):
    return 0.5 * (distributions.kl_divergence(p, q) + distributions.kl_divergence(q, p))


def test_disagreement_is_the_mean_of_both_divergences():
    a, b = torch.randn(2, 5, 3, dtype=torch.float64)
    normal = Gaussian(3).double()
    normal.raw_log_variance.data = torch.randn(3, dtype=torch.float64) / 10
    ours, theirs = normal.disagreement(a, b), mean_divergence(normal.distribution(a), normal.distribution(b))
    torch.testing.assert_close(ours, theirs)
    assert (ours > 0).all()
    a, b = torch.randn(2, 5, 2 * 4, dtype=torch.float64)
    classes = Categorical(2, [4, 4]).double()
    theirs = mean_divergence(classes.distribution(a), classes.distribution(b))
    torch.testing.assert_close(classes.disagreement(a, b), theirs)


def test_disagreement_of_tasks_with_unlike_numbers_of_classes():
    a, b = torch.randn(2, 5, 2 * 4, dtype=torch.float64, requires_grad=True)
    ours = Categorical(2, [4, 3]).double().disagreement(a, b)
    of_three = [own.unflatten(-1, (2, 4))[:, 1, :3] for own in (a, b)]
    torch.testing.assert_close(ours[:, 1], mean_divergence(*(distributions.Categorical(logits=o) for o in of_three)))
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(ours.sum(), (a, b)))


def test_disagreement_of_mixed_kinds():
    mixed = Mixed([Gaussian, Poisson, Gaussian])
    a, b = torch.randn(2, 5, 3 * mixed.n_params)
    means = mixed.distribution(a).mean, mixed.distribution(b).mean
    torch.testing.assert_close(mixed.disagreement(a, b), 0.5 * (means[0] - means[1]).square())


def test_term_is_that_of_a_second_pass(table):
    """By hand: the batch twice, the disagreement of its halves, weighed."""
    X, Y = table
    Y[::2, 0] = np.nan
    weight = RNG.uniform(0.5, 2, size=len(X))
    estimator = regressor(consistency=3.0, dtype="float64", corruption="gaussian", batch_size=None)
    member = estimator._plan(X, Y, weight).members[0]
    batch, model, loss = member.train.read(torch.arange(len(X))), member.model.train(), member.loss.train()
    assert loss.compares_views
    x, y, w = (torch.cat([part, part]) for part in (batch.x, batch.y, batch.weight))
    model.generator = torch.Generator().manual_seed(0)
    output = model(x, y, (True, False))
    result = loss(model, output, w)
    targets = model.task_likelihood.distribution(output.y_params)
    halves = (distributions.Normal(targets.loc[rows], targets.scale[rows]) for rows in (slice(60), slice(60, 120)))
    apart = (mean_divergence(*halves).sum(1) * batch.weight).mean()
    torch.testing.assert_close(result.means["consistency"], apart)
    loss.consistency = 0.0
    torch.testing.assert_close(result.loss, loss(model, output, w).loss + 3 * apart)


def test_term_is_recorded_and_only_a_matter_of_training(table):
    X, Y = table
    model = regressor(consistency=1.0, early_stopping=True, max_iter=10).fit(X, Y)
    assert len(model.term_curves_["consistency"]) == model.n_iter_
    assert min(model.term_curves_["consistency"]) > 0
    assert "consistency" not in regressor().fit(X, Y).term_curves_


def test_nothing_is_drawn_and_nothing_disagrees(table):
    model = regressor(consistency=1.0, posterior=Noiseless, dtype="float64").fit(*table)
    assert max(model.term_curves_["consistency"]) < 1e-25  # a row's place in a batch may move its last digits


@pytest.mark.parametrize("task_weighting", ["pcgrad", "famo", "uncertainty"])
@pytest.mark.parametrize("objective", ["elbo", "iwae"])
def test_with_weightings_and_several_draws(task_weighting, objective, table):
    options = {"task_weighting": task_weighting, "objective": objective, "corruption": "masking"}
    options |= {"max_iter": 12, "learning_rate_init": 0.01}
    losses = [regressor(consistency=own, **options).fit(*table).term_curves_ for own in (1e-9, 100.0)]
    assert losses[1]["consistency"][-1] < 0.5 * losses[0]["consistency"][-1]


def test_stack(table):
    X, Y = table
    models = [
        regressor(consistency=1.0, posterior=Noiseless, dtype="float64", random_state=k, alpha=k) for k in range(3)
    ]
    alone = [regressor(**model.get_params()).fit(X[k:], Y[k:]) for k, model in enumerate(models)]
    assert train([(model, X[k:], Y[k:], None) for k, model in enumerate(models)])[0] == {}
    for ours, theirs in zip(models, alone, strict=True):
        assert_alike(ours, theirs, X)


def test_rows_without_a_label_teach():
    """A hundred labelled digits."""
    X, y = load_digits(return_X_y=True)
    options = {"n_components": 16, "hidden_layer_sizes": (128,), "n_estimators": 1, "max_iter": 40}
    gains = []
    for seed in range(2):
        hidden = np.random.default_rng(seed).permutation(len(y))[100:]
        few = y.astype(object)
        few[hidden] = None
        models = (
            MultiTaskVAEClassifier(consistency=own, corruption="gaussian", random_state=seed, **options)
            for own in (0.0, 3.0)
        )
        without, ours = (model.fit(X, few).score(X[hidden], y[hidden]) for model in models)
        gains.append(ours - without)
    assert np.mean(gains) > 0.01, gains


def test_bad_values(table):
    with pytest.raises(ValueError, match="'consistency' parameter"):
        regressor(consistency=-1.0).fit(*table)
