"""Importance sampling as a function that can be recorded: all rows take the same steps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vjp, vmap
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from sklearn_mtae.nn.decisions import may_hold
from sklearn_mtae.nn.importance import (
    Curvature,
    Draws,
    curvature_of,
    decoded_joint,
    from_mixture,
    from_posterior,
    without_failed,
)

from ._special import native_group_norm, native_layer_norm


def weighted_codes(model: Any, x: Tensor, noise: Tensor, seed: int) -> Draws:
    """Return weighted codes of each row, as the estimator draws them, with what they are decoded to.

    Both proposals are made for every row, and each row takes its own, unless no row can have gaps.

    Parameters
    ----------
    model : VAE
        The model.
    x : Tensor of shape (n_rows, n_features)
        Standardised values, NaN where missing.
    noise : Tensor of shape (n_draws, n_rows, n_components)
        Standard normal draws.
    seed : int
        Seed of the draws from the prior.
    """
    gaps = x.isnan().any(-1)
    z, log_proposal = from_posterior(model, x, noise, seed)
    if may_hold(gaps):
        mixed, log_mixture = from_mixture(model, x, noise, seed, expand_at_once)
        z, log_proposal = torch.where(gaps[:, None], mixed, z), torch.where(gaps, log_mixture, log_proposal)
    params, log_joint = decoded_joint(model, x)(z, True)
    return without_failed(z, log_joint - log_proposal, params)


def expand_at_once(log_joint: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor, Curvature]:
    """Return value, gradient and negated second derivatives at each code, those of all components in one pass."""

    def with_value(z: Tensor) -> tuple[Tensor, Tensor]:
        value = log_joint(z)
        return value.sum(), value

    one = torch.eye(z.shape[1], dtype=z.dtype)[:, None].expand(-1, len(z), -1)
    with _Simple():
        made: Any = vjp(grad(with_value, has_aux=True), z, has_aux=True)
        gradient, pull, value = made
        (second,) = vmap(pull)(one)
    return value, gradient.nan_to_num(0.0, 0.0, 0.0), curvature_of(second.movedim(0, -1))


class _Simple(TorchFunctionMode):
    """Layers by simpler operations, where second derivatives of their own change values in place."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch."""
        own: Any = SIMPLE.get(func, func)
        return own(*args, **(kwargs or {}))


def _layer_norm(
    x: Tensor, shape: list[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    return native_layer_norm(x, shape, weight, bias, eps)[0]


def _group_norm(
    x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    return native_group_norm(x, weight, bias, len(x), x.shape[1], x[0, 0].numel(), groups, eps)[0]


def _silu(x: Tensor, inplace: bool = False) -> Tensor:
    return x * x.sigmoid()


def _cross_entropy(logits: Tensor, x: Tensor, **options: Any) -> Tensor:
    if any(value is not None for name, value in options.items() if name != "reduction"):
        return F.binary_cross_entropy_with_logits(logits, x, **options)
    cells = F.softplus(logits, threshold=LINEAR) - x * logits
    return {"none": cells, "sum": cells.sum()}.get(options.get("reduction", "mean"), cells.mean())


LINEAR = 50.0
"""Logit from which on a softplus is a straight line in float64."""
SIMPLE: dict[Any, Callable[..., Tensor]] = {
    F.binary_cross_entropy_with_logits: _cross_entropy,
    F.group_norm: _group_norm,
    F.layer_norm: _layer_norm,
    F.silu: _silu,
}
"""Layers, and functions in their place."""
