"""Interleaved timing, and a description of the machine to judge a figure by."""

import gc
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import sklearn
import skorch
import torch
from numpy.typing import NDArray

MIN_PAIRS = 7
"""Minimum number of alternating pairs for a meaningful median."""


class Summary(NamedTuple):
    """A median and the range around it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def summarize(values: NDArray) -> Summary:
    """Return the median, the smallest and the largest of some values."""
    return Summary(float(np.median(values)), float(values.min()), float(values.max()))


@dataclass
class Comparison:
    """Seconds of two sides, run alternately; the same position in both is one pair."""

    ours: NDArray
    other: NDArray

    @property
    def ratio(self) -> Summary:
        """Our time over the other's, pair by pair: lower is better for us."""
        return summarize(self.ours / self.other)

    @property
    def rate_ratio(self) -> Summary:
        """Our rate over the other's, pair by pair: higher is better for us."""
        return summarize(self.other / self.ours)

    def difference(self, n_units: int) -> Summary:
        """Our time minus the other's in milliseconds per unit, pair by pair."""
        return summarize(1e3 * (self.ours - self.other) / n_units)

    def milliseconds(self, n_units: int = 1) -> tuple[float, float]:
        """Return the median time of each side per step (or whatever a run consists of)."""
        return 1e3 * float(np.median(self.ours)) / n_units, 1e3 * float(np.median(self.other)) / n_units


def compare(
    ours: Callable[[], Any],
    other: Callable[[], Any],
    n_pairs: int = MIN_PAIRS,
    clock: Callable[[], float] = perf_counter,
) -> Comparison:
    """Run two sides in turn (ours, other, ours, other, ...) after one warm-up of each.

    Drifts of the machine, of its clock or its other load, then affect both sides of a pair equally.
    """
    _seconds(ours, clock), _seconds(other, clock)
    pairs = np.array([(_seconds(ours, clock), _seconds(other, clock)) for _ in range(n_pairs)])
    return Comparison(pairs[:, 0], pairs[:, 1])


def _seconds(run: Callable[[], Any], clock: Callable[[], float]) -> float:
    gc.collect()
    _synchronize()
    start = clock()
    run()
    _synchronize()
    return clock() - start


def _synchronize() -> None:
    """Wait for the GPU, which continues after the call that started it has returned."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    elif torch.backends.mps.is_available():
        torch.mps.synchronize()


def resolve_device(name: str) -> torch.device:
    """Return the device that "auto" stands for (CUDA, then MPS, then the CPU), or the named one."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def describe_machine() -> str:
    """Return one line: platform, processors, torch's threads, versions and the GPU, if there is one."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "skorch": skorch.__version__,
    }
    return (
        f"{platform.platform()}, {os.cpu_count()} processors, {torch.get_num_threads()} torch threads, "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + gpu
    )


def print_row(widths: Sequence[int], cells: Sequence[str]) -> None:
    """Print one row at once: the measurements behind a table take minutes."""
    print("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip())
    sys.stdout.flush()
