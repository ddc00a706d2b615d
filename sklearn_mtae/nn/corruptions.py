"""Corruptions of the input on which a denoising autoencoder trains (Vincent et al. 2010)."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor


def gaussian(x: Tensor, generator: Generator | None = None, *, scale: float = 0.3) -> Tensor:
    """Return `x` plus normal noise of standard deviation `scale`, in units of each column's own deviation."""
    return x + scale * torch.empty_like(x).normal_(generator=generator)


def masking(x: Tensor, generator: Generator | None = None, *, fraction: float = 0.3) -> Tensor:
    """Return `x` with each cell made missing (NaN) with probability `fraction`."""
    drawn = torch.empty_like(x).uniform_(generator=generator)
    return x.masked_fill(drawn < fraction, float("nan"))


CORRUPTIONS: dict[str, Callable[..., Tensor]] = {"gaussian": gaussian, "masking": masking}
