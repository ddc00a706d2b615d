"""Schedules: the weight of the rate as training goes on."""

from collections.abc import Callable


def linear(progress: float, *, stop: float = 1.0, warmup: float = 0.5) -> float:
    """Return a weight that rises from 0 to `stop` over the first part of the training, then stays.

    Parameters
    ----------
    progress : float
        Part of the training steps that are done, from 0 to 1.
    stop : float, default=1.0
        Final weight.
    warmup : float, default=0.5
        Part of the training over which the weight rises.
    """
    return stop * min(1.0, progress / warmup)


SCHEDULES: dict[str, Callable[[float], float]] = {"linear": linear}
