"""Models reduced to their predictions at posterior means: the predictions are those of the whole model."""

from functools import partial

import pytest
import torch

from sklearn_mtae.nn.architectures import ARCHITECTURES
from sklearn_mtae.nn.embeddings import EMBEDDINGS
from sklearn_mtae.nn.likelihoods import Categorical, Gaussian, Laplace, LogNormal, Mixed, Poisson, StudentT
from sklearn_mtae.nn.means import Product, at_means, for_means
from sklearn_mtae.nn.models import MultiTaskVAE
from sklearn_mtae.nn.posteriors import NormalPosterior
from sklearn_mtae.nn.priors import StandardNormal
from sklearn_mtae.nn.sharing import SHARINGS

N_COLUMNS, N_COMPONENTS, N_TASKS = 5, 3, 2
X = torch.randn(40, N_COLUMNS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def make(task=Gaussian, architecture="mlp", hidden=(12,), embedding="piecewise_linear", sharing="hard", head_hidden=()):
    """Return a model whose parts have random weights, and whose targets have units."""
    torch.manual_seed(0)
    likelihood, tasks = Gaussian(N_COLUMNS), task(N_TASKS)
    front = EMBEDDINGS[embedding](N_COLUMNS)
    front.learn(X)
    make_networks = partial(ARCHITECTURES[architecture], hidden_layer_sizes=hidden)
    encoder, decoder = make_networks(front.n_outputs, 2 * N_COMPONENTS, N_COMPONENTS, N_COLUMNS)
    heads = SHARINGS[sharing](N_TASKS, [N_COMPONENTS, *head_hidden, tasks.n_params], n_features=N_COLUMNS)
    model = MultiTaskVAE(
        torch.nn.Sequential(front, encoder),
        decoder,
        likelihood,
        NormalPosterior(N_COMPONENTS),
        StandardNormal(N_COMPONENTS),
        heads,
        tasks,
    )
    model.task_units.set([3.0, -1.0], [2.0, 5.0])
    return model.double().eval().requires_grad_(False)


class Shifted(Gaussian):
    """A family of a user's own, whose mean is not the location."""

    def distribution(self, params):
        return super().distribution(params + 1)


def number_and_count(_):
    return Mixed([Gaussian, Poisson])


def predict(model):
    return model.predict(model.encode(model.fill(X)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"task": Laplace, "embedding": "softened"},
        {"task": StudentT, "architecture": "resnet"},
        {"task": Poisson, "head_hidden": (4,)},
        {"task": LogNormal},
        {"task": Shifted},
        {"hidden": ()},
        {"head_hidden": (16,)},
        {"sharing": "mmoe"},
        {"sharing": "private"},
        {"task": number_and_count},
    ],
    ids=lambda options: ", ".join(f"{name}={getattr(own, '__name__', own)}" for name, own in options.items()),
)
def test_predictions_are_those_of_the_whole_model(options):
    model = make(**options)
    expected = predict(model)
    torch.testing.assert_close(predict(for_means(model)), expected)
    torch.testing.assert_close(predict(model), expected, rtol=0, atol=0)  # it stays as it was


def test_classes_too():
    model = make(task=lambda _: Mixed([partial(Categorical, n_classes=[3]), Gaussian]))
    z = model.encode(model.fill(X))
    reduced = for_means(model)
    found = reduced.predict_log_proba(reduced.encode(reduced.fill(X)))
    torch.testing.assert_close(found, model.predict_log_proba(z))


def test_linear_layers_are_multiplied_out_and_families_with_a_location_are_alike():
    normal, laplace = for_means(make()), for_means(make(task=Laplace))
    assert type(normal.task_likelihood) is type(laplace.task_likelihood)
    (last,) = (part for part in normal.encoder.modules() if type(part) is Product)
    assert last.weight.shape == (N_TASKS, 12)
    # Sixteen hidden units of each of two heads are more than the code's components.
    assert not any(type(part) is Product for part in for_means(make(head_hidden=(16,))).modules())


def test_what_asks_for_means_alone_says_so():
    assert at_means(predict).at_means
