"""Parts of models without what is never used: empty bins of embeddings, edges that maps have not."""

from typing import Any

import torch
from torch import Tensor, nn

from sklearn_mtae._engine.side_by_side import SideBySide
from sklearn_mtae.nn.embeddings import PiecewiseLinear, Weighted, soften
from sklearn_mtae.nn.likelihoods import Quantile


class Trimmed(nn.Module):
    """A piecewise linear embedding without empty bins, offsets and weights, and with a constant, for a bias after it.

    Parameters
    ----------
    own : PiecewiseLinear
        The embedding.
    """

    kept: Tensor
    """Outputs of the embedding that are left."""

    def __init__(self, own: PiecewiseLinear) -> None:
        super().__init__()
        is_bin = own.per_width != 0
        self.column, place = is_bin.nonzero().unbind(1)
        self.lower, self.per_width = own.lower[is_bin], own.per_width[is_bin]
        n_columns, n_bins = is_bin.shape
        self.kept = torch.cat([torch.arange(n_columns), n_columns + self.column * n_bins + place])
        self.offset = torch.cat([torch.zeros(n_columns).double(), own.offset.double().flatten()])

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_columns) to (n_rows, n_kept + 1)."""
        place = ((x[:, self.column] - self.lower) * self.per_width).clamp(0, 1)
        return torch.cat([soften(x), place, torch.ones_like(x[:, :1])], dim=-1)

    def layer(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the weights of the layer after this, (..., n_outputs, n_kept + 1), from those after the embedding."""
        bias = (bias.double() - weight.double() @ self.offset).to(bias)
        return torch.cat([weight[..., self.kept], bias[..., None]], dim=-1)


def trim(models: SideBySide) -> None:
    """Trim the embedding of members, where they have it in common and linear layers follow."""
    parts: dict[str, Any] = dict(models.asked.named_modules())
    stacked: Any = models.stacked
    trim_maps(models.asked, stacked)
    for name, own in parts.items():
        after = _after(name, parts)
        weight, bias = f"{after}.weight", f"{after}.bias"
        factors = f"{name}.weights"
        shared = not any(key.startswith(f"{name}.") for key in stacked if key != factors)
        if isinstance(own, PiecewiseLinear) and shared and {weight, bias} <= stacked.keys():
            parent, _, place = name.rpartition(".")
            if isinstance(own, Weighted):
                stacked[weight] = stacked[weight] * stacked.pop(factors, own.weights).unsqueeze(-2)
            parts[parent]._modules[place] = trimmed = Trimmed(own)
            stacked[weight] = trimmed.layer(stacked[weight], stacked.pop(bias))
            parts[after].bias = None


def trim_maps(model: nn.Module, stacked: dict[str, Tensor] | None = None) -> None:
    """Leave of maps to normal scores as many edges as the columns have at most: the others lie at infinity.

    `stacked` holds what several models do not have in common, by name.
    """
    for name, own in model.named_modules():
        if isinstance(own, Quantile):
            found = {key: (stacked or {}).get(f"{name}.maps.{key}", value) for key, value in own.maps.named_buffers()}
            most = max(1, int(found["edges"].isfinite().sum(-1).max()))
            for key, value in found.items():
                left = value[..., : most if key in ("edges", "levels") else most + 1].clone()
                if stacked is not None and f"{name}.maps.{key}" in stacked:
                    stacked[f"{name}.maps.{key}"] = left
                else:
                    setattr(own.maps, key, left)


def _after(name: str, parts: dict[str, Any]) -> str:
    """Return the name of the layer after the one of a name: the next of its sequence."""
    parent, _, place = name.rpartition(".")
    if type(parts.get(parent)) is not nn.Sequential:
        return ""
    found = f"{parent}.{int(place) + 1}"
    while type(parts.get(found)) is nn.Sequential:
        found += ".0"
    return found
