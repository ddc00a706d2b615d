"""Schedules: the weight of the rate as training goes on."""

from collections.abc import Callable


def linear(progress: float, *, stop: float = 1.0, warmup: float = 0.5) -> float:
    """Return a weight that rises from 0 to `stop` over the first part of the training and then stays there.

    Parameters
    ----------
    progress : float
        Share of the training steps that are done, from 0 to 1.
    stop : float, default=1.0
        Final weight.
    warmup : float, default=0.5
        Share of the training over which the weight rises.
    """
    return stop if progress >= warmup else stop * progress / warmup


def cyclic(progress: float, *, stop: float = 1.0, n_cycles: int = 4, warmup: float = 0.5) -> float:
    """Return a weight that rises from 0 to `stop` again and again (Fu et al. 2019, arXiv 1903.10145).

    Parameters
    ----------
    progress : float
        Share of the training steps that are done, from 0 to 1.
    stop : float, default=1.0
        Weight at the end of each cycle.
    n_cycles : int, default=4
        Number of cycles.
    warmup : float, default=0.5
        Share of a cycle over which the weight rises.
    """
    if progress >= 1:
        return stop
    return linear(progress * n_cycles % 1, stop=stop, warmup=warmup)


SCHEDULES: dict[str, Callable[..., float]] = {"linear": linear, "cyclic": cyclic}
