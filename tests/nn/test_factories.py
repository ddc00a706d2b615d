"""Factories and functions of the user's own: what they take and return is checked, what they raise comes through."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._fitting.build import build
from sklearn_mtae._tables.features import Features
from sklearn_mtae.nn.likelihoods import Gaussian, StudentT
from sklearn_mtae.nn.objectives import IWAE, elbo
from sklearn_mtae.nn.priors import StandardNormal
from sklearn_mtae.nn.sharing import Heads
from sklearn_mtae.nn.weightings import Uncertainty
from tests.messages import SINGLE, SMALL, OwnError, X, Y, message_of, refuse


def coders(n_features, n_code, n_components, n_outputs, inputs=0, code=0, components=0, outputs=0):
    """An architecture whose widths may be wrong."""
    return nn.Linear(n_features + inputs, n_code + code), nn.Linear(n_components + components, n_outputs + outputs)


@pytest.mark.parametrize(
    ("wrong", "kind", "widths"),
    [
        ("inputs", "an encoder", "n_features=4 to n_code=2"),
        ("code", "an encoder", "n_features=4 to n_code=2"),
        ("components", "a decoder", "n_components=2 to n_outputs=4"),
        ("outputs", "a decoder", "n_components=2 to n_outputs=4"),
    ],
)
def test_widths_of_an_architecture(wrong, kind, widths):
    def architecture(**sizes):
        return coders(**sizes, **{wrong: 1})

    model = AutoencoderTransformer(architecture=architecture, **SMALL)
    assert f"architecture must return {kind} from {widths} columns" in message_of(lambda: model.fit(X))


def test_looking_at_an_architecture_leaves_it_as_it_is():
    seen = []

    def architecture(n_features, n_code, n_components, n_outputs):
        norm = nn.BatchNorm1d(n_features)
        frozen = nn.Linear(n_features, n_features).eval()
        seen.append((norm, frozen))
        return nn.Sequential(norm, frozen, nn.Linear(n_features, n_code)), nn.Linear(n_components, n_outputs)

    model = AutoencoderTransformer(architecture=architecture, **SMALL)
    module = build(replace(model._recipe(), columns=Features(4)))
    norm, frozen = seen[-1]
    assert norm.training
    assert not frozen.training
    assert int(norm.num_batches_tracked) == 0
    assert module.training


class Wide(Heads):
    """Heads that return too much."""

    def forward(self, z):
        """Return twice what is asked for."""
        return torch.cat([super().forward(z)] * 2, dim=-1)


class Narrow(nn.Module):
    """An embedding that returns less than it says."""

    def __init__(self, n_columns):
        super().__init__()
        self.n_outputs = n_columns + 1

    def learn(self, x):
        """Learn nothing."""

    def forward(self, x):
        """Return the columns."""
        return x


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"likelihood": Gaussian(4)}, "likelihood must be a factory as likelihood(n_columns)"),
        ({"likelihood": lambda n: Gaussian(n + 1)}, "likelihood must return a Likelihood of the 4 columns"),
        ({"likelihood": {0: lambda n: None}}, "likelihood must return a Likelihood"),
        ({"task_likelihoods": ["gaussian", lambda n: None]}, "task_likelihoods must return a Likelihood"),
        ({"prior": StandardNormal(2)}, "prior must be a factory as prior(n_components, n_features)"),
        ({"prior": lambda n, m: StandardNormal(n + 1)}, "prior must return a Prior of n_components=2"),
        ({"objective": IWAE}, "objective must be a function as objective(output)"),
        ({"objective": lambda output: {"distortion": -output.x_log_prob}}, "must return the term 'tasks'"),
        (
            {"objective": lambda output: {**elbo(output), "size": output.z.square().mean()}},
            "objective['size'] must return a value for each row, a tensor of shape (",
        ),
        (
            {"objective": lambda output: {name: term.detach() for name, term in elbo(output).items()}},
            "objective must return terms that depend on the model's output",
        ),
        ({"penalty": lambda encode, x, code, generator: code.sum()}, "penalty must return a value for each row"),
        ({"corruption": lambda x, generator: x[:, :2]}, "corruption must return the changed rows"),
        ({"beta": lambda progress: -1.0}, "beta must return a finite weight >= 0. Got -1.0 for a progress of 0"),
        ({"sharing": Wide}, "sharing must return heads from n_components=2 to n_tasks * n_outputs=2 columns"),
        ({"embedding": Narrow}, "embedding must return a module from n_columns=4 to n_outputs=5 columns"),
        ({"embedding": lambda n: nn.Identity()}, "embedding must return a torch module with n_outputs"),
        ({"task_weighting": lambda n, likelihood: None}, "task_weighting must return a Weighting"),
        ({"task_weighting": Uncertainty(2, Gaussian(2))}, "task_weighting must be the class Uncertainty"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("n_estimators", [1, 2])
@pytest.mark.filterwarnings("ignore:2 members are trained one after the other")
def test_what_factories_and_functions_return(options, text, n_estimators):
    model = MultiTaskVAERegressor(**{**SINGLE, "n_estimators": n_estimators, "batch_size": 12}, **options)
    message = message_of(lambda: model.fit(X, Y))
    assert text in message


def test_errors_of_the_user_come_through_with_a_note():
    for name in ("architecture", "likelihood", "posterior", "prior", "objective", "beta", "corruption", "penalty"):
        with pytest.raises(OwnError) as caught:
            VAETransformer(**SMALL, **{name: refuse}).fit(X)
        assert name in caught.value.__notes__[0]


def test_factories_that_are_right_give_what_names_give():
    named = VAETransformer(likelihood=["student_t", "gaussian", "student_t", "gaussian"], **SMALL).fit(X)
    given = VAETransformer(likelihood=[StudentT, Gaussian, StudentT, Gaussian], **SMALL).fit(X)
    np.testing.assert_array_equal(given.transform(X), named.transform(X))


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"callbacks": [1]}, "callbacks of skorch"),
        ({"callbacks": [("log", 3)]}, "callbacks of skorch"),
        ({"callbacks": 3}, "a list for 'callbacks'"),
        ({"optimizer": 3}, "a class of optimisers for 'optimizer'"),
        ({"optimizer": lambda *args, **kwargs: None}, "one that made None"),
        ({"optimizer__nope": 3}, "'optimizer__betas'"),
        ({"optimizer__betas": 3}, "two numbers in [0, 1)"),
        ({"optimizer__betas": (2, 3)}, "two numbers in [0, 1)"),
        ({"compile": "yes"}, "True or False for 'compile'"),
        ({3: 4}, "Got 3"),
        ({"nope": 1}, "out of ['callbacks', 'compile', 'optimizer'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_net_params(params, text):
    message = message_of(lambda: AutoencoderTransformer(**{**SMALL, "alpha": 0}, net_params=params).fit(X))
    assert "net_params" in message
    assert text in message
