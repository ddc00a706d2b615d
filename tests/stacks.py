"""What the tests of stacks share: trainings without draws, and what is left of a training."""

import numpy as np
import torch

from sklearn_mtae._engine import together as stacking
from sklearn_mtae._fitting.fit import keep
from sklearn_mtae.nn.architectures import ACTIVATIONS, ARCHITECTURES
from sklearn_mtae.nn.corruptions import CORRUPTIONS
from sklearn_mtae.nn.embeddings import EMBEDDINGS
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.penalties import PENALTIES
from sklearn_mtae.nn.posteriors import POSTERIORS, NormalPosterior
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.sharing import SHARINGS
from sklearn_mtae.nn.weightings import WEIGHTINGS


class Noiseless(NormalPosterior):
    """A posterior whose draws are its means, so that models can be compared to the last digits."""

    def noise(self, q, generator, n_draws=1):
        like = q.mean if n_draws == 1 else q.mean.expand(n_draws, *q.mean.shape)
        return torch.zeros_like(like)


class Branching(torch.nn.Linear):
    """What it does depends on what it sees."""

    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else super().forward(-x)


def branching(n_features, n_code, n_components, n_outputs):
    return Branching(n_features, n_code), torch.nn.Linear(n_components, n_outputs)


def options(autoencoder, variational, regressor, **of_regressor):
    """Return each option of each dictionary: what makes an estimator that has it, its parameter and its name.

    Further dictionaries of the regressor's are given by their parameters.
    """
    tables = {
        autoencoder: {
            "activation": ACTIVATIONS,
            "architecture": ARCHITECTURES,
            "corruption": CORRUPTIONS,
            "likelihood": LIKELIHOODS,
            "penalty": PENALTIES,
        },
        variational: {"objective": OBJECTIVES, "posterior": POSTERIORS, "prior": PRIORS},
        regressor: {**of_regressor, "embedding": EMBEDDINGS, "sharing": SHARINGS, "task_weighting": WEIGHTINGS},
    }
    return [(make, key, name) for make, own in tables.items() for key, table in own.items() for name in table]


def train(calls):
    """Train estimators together, each with what its `fit` takes; return what was refused, and the plans."""
    plans = [estimator._plan(*call) for estimator, *call in calls]
    _, refused, interrupted = stacking.train([member for plan in plans for member in plan.members])
    assert interrupted is None
    for (estimator, *_), plan in zip(calls, plans, strict=True):
        if all(member.finished for member in plan.members):
            estimator._take(keep(plan))
    return refused, plans


def numbers(estimator):
    """Return all that a training leaves: weights, what the loss has learned, and curves."""
    names = ("n_iter_", "loss_curve_", "validation_scores_", "task_weights_")
    own = {name: getattr(estimator, name) for name in names if hasattr(estimator, name)}
    return {**own, **estimator.term_curves_, **estimator._fitted.states[0], **estimator._fitted.loss_states[0]}


def assert_alike(stacked, alone, x):
    """Check that two estimators have been trained alike, to the last digits but a few."""
    ours, theirs = numbers(stacked), numbers(alone)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-8, atol=1e-10, err_msg=name)
    np.testing.assert_allclose(stacked.transform(x), alone.transform(x), rtol=1e-8, atol=1e-10)


def raise_at(monkeypatch, error, condition):
    """Let a stack raise an error where a condition holds, given the stack and how often it has been called."""
    forward, n_calls = stacking.Stack.forward, [0]

    def failing(stack, *args):
        n_calls[0] += 1
        if condition(stack, n_calls[0]):
            raise error
        return forward(stack, *args)

    monkeypatch.setattr(stacking.Stack, "forward", failing)
