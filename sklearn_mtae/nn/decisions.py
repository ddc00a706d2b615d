"""Decisions that depend on the rows, where these may not be looked at."""

from torch import Tensor


def may_hold(mask: Tensor) -> bool:
    """Return whether a condition holds for any cell, or whether that cannot be seen.

    It cannot within `torch.func.vmap`, and while a computation is recorded: it must then be right for all rows.
    """
    try:
        return bool(mask.any())
    except RuntimeError:
        return True
