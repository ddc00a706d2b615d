"""Draws from a seed: each thing that is drawn has a generator of its own, named, so that it moves no other."""

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

__all__ = ["Draws", "Rng", "chance", "pick"]

Rng = np.random.Generator


class Draws:
    """Generators by name."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def of(self, name: str) -> Rng:
        """Return the generator of what is drawn under a name."""
        return np.random.default_rng([self.seed, crc32(name.encode())])


def pick(rng: Rng, options: Sequence[Any] | Mapping[Any, float]) -> Any:
    """Return one of the options as it is; of a mapping a key, by weights."""
    if not isinstance(options, Mapping):
        return options[int(rng.integers(len(options)))]
    ends = np.cumsum(list(options.values()))
    return list(options)[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))]


def chance(rng: Rng, probability: float) -> bool:
    """Return True in so many cases."""
    return bool(rng.random() < probability)
