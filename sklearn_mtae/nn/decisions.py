"""Decisions that depend on the rows, where these may not be looked at."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def may_hold(mask: Tensor) -> bool:
    """Return whether a condition holds for any cell, or whether that cannot be seen."""
    return _seen(mask, mask.any) is not False


def is_hidden(x: Tensor) -> bool:
    """Return whether the values of a tensor cannot be looked at."""
    return _seen(x, x.flatten()[:1].sum) is None


def _seen(x: Tensor, read: Callable[[], Tensor]) -> Any:
    """Return a number read from a tensor; None within `torch.func.vmap`, and while a computation is recorded."""
    if x.is_cuda and torch.cuda.is_current_stream_capturing():
        return None
    try:
        return read().item()
    except RuntimeError:
        return None
