"""The loadings of a linear decoder, and the share of each component in what they explain."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .models import VAE, Autoencoder, MultiTaskVAE
from .posteriors import NormalPosterior
from .priors import StandardNormal, VampPrior


def only_linear(network: nn.Module) -> nn.Linear | None:
    """Return the linear layer that a network consists of; None if there is more to it."""
    if type(network) is nn.Sequential and len(network) == 1:
        return only_linear(network[0])
    return network if type(network) is nn.Linear else None


def last_linear(network: nn.Module) -> nn.Linear | None:
    """Return the linear layer that a network ends in; None if that is unknown."""
    if type(network) is nn.Sequential and len(network):
        return last_linear(network[-1])
    return network if type(network) is nn.Linear else None


def loadings(model: Autoencoder) -> Tensor | None:
    """Return the loadings of a linear decoder, shape (n_components, n_columns); None if it is not linear.

    How far the decoder's output moves with a component. For a column with several outputs it is the first, which a
    likelihood takes as the location. A column that has never varied does not move.
    """
    layer = only_linear(model.decoder)
    if layer is None:
        return None
    loading = layer.weight.detach().unflatten(0, (model.likelihood.n_columns, -1))[:, 0].T
    constants = model.units.constants
    return loading if constants is None else loading.where(constants.isnan(), 0.0)


@torch.no_grad()
def code_variance(model: Autoencoder, batches: Iterable[tuple[Tensor, Tensor | None]]) -> Tensor:
    """Return the variance of each component over rows, shape (n_components + n_extra,), in float64 on the CPU.

    For a variational model it is the variance of q(z) = mean_i q(z given x_i): that of the means plus the mean of the
    variances (the law of total variance).

    Parameters
    ----------
    model : Autoencoder
        The model, in evaluation mode.
    batches : iterable of (Tensor, Tensor or None)
        Standardised rows of shape (n_rows, n_features), NaN where a cell is missing, and their weights.
    """
    total, sums, squares = 0.0, torch.zeros(()).double(), torch.zeros(()).double()
    for x, weight in batches:
        mean, variance = (moment.cpu().double() for moment in _moments(model, model.fill(x)))
        weights = torch.ones(len(x)).double() if weight is None else weight.cpu().double()
        total += float(weights.sum())
        sums = sums + weights @ mean
        squares = squares + weights @ (mean.square() + variance)
    return (squares / total - (sums / total).square()).clamp(min=0)


def _moments(model: Autoencoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of the code of each filled row, each of shape (n_rows, n_components)."""
    if isinstance(model, VAE):
        q = model.infer(x)
        return q.mean, q.stddev.square()
    code = model.encode(x)
    return code, torch.zeros_like(code)


def relevance(loading: Tensor, variance: Tensor) -> Tensor:
    """Return the share of each component in what the components explain, shape (n_components,), adding up to 1.

    `|loading_j|^2 variance_j / sum_k |loading_k|^2 variance_k`, all 0 if the decoder ignores the code.

    Parameters
    ----------
    loading : Tensor of shape (n_components, n_columns)
        Loadings.
    variance : Tensor of shape (n_components,)
        Variances of the codes.
    """
    explained = loading.cpu().double().square().sum(1) * variance
    return explained / explained.sum().clamp(min=torch.finfo(explained.dtype).tiny)


def is_reorderable(model: Autoencoder) -> bool:
    """Return whether the components can be reordered: whether only two linear layers distinguish them.

    This holds if a linear decoder follows an encoder that ends in a linear layer and there are no tasks. A variational
    model must also have a normal posterior, and a prior that is standard normal or a mixture of the encoder's own
    posteriors.
    """
    if isinstance(model, VAE) and (
        isinstance(model, MultiTaskVAE)
        or type(model.posterior) is not NormalPosterior
        or type(model.prior) not in (StandardNormal, VampPrior)
    ):
        return False
    return only_linear(model.decoder) is not None and last_linear(model.encoder) is not None


@torch.no_grad()
def reorder(model: Autoencoder, order: Tensor) -> None:
    """Put the components in another order, in place, without changing what the model computes.

    Parameters
    ----------
    model : Autoencoder
        A model that `is_reorderable`.
    order : Tensor of int of shape (n_components,)
        The component that comes first, then the second, and so on.
    """
    first, last = only_linear(model.decoder), last_linear(model.encoder)
    assert first is not None
    assert last is not None
    order = order.to(first.weight.device)
    first.weight.copy_(first.weight[:, order])
    for parameter in last.parameters():
        # Outputs of one kind are adjacent: all means, then all log variances.
        kinds = parameter.unflatten(0, (-1, len(order)))
        parameter.copy_(kinds[:, order].flatten(0, 1))
