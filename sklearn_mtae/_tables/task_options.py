"""Options of the tasks: their weights, and how alike they are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import (
    check_array,
)

from sklearn_mtae.nn.words import listed, named, short

from .targets import per_task


def check_task_weights(weights: Any, names: Sequence[str]) -> NDArray:
    """Return the weights of the tasks, given by name or by position."""
    with named("task_weighting"):
        values = np.asarray(per_task(weights, names, "task_weighting"))
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not np.all(np.isfinite(values) & (values >= 0)):
        raise ValueError(
            f"task_weighting must hold {len(names)} finite weights >= 0, one per task. Got {short(weights)} instead."
        )
    return values.astype(np.float64)


def check_similarity(similarity: Any, names: Sequence[str]) -> NDArray:
    """Return the similarities of the tasks, shape (n_tasks, n_tasks), in their order; a frame's are found by name."""
    if hasattr(similarity, "columns") and hasattr(similarity, "loc"):
        axes = (list(map(str, similarity.index)), list(map(str, similarity.columns)))
        if any(sorted(axis) != sorted(names) for axis in axes):
            raise ValueError(f"task_similarity must name the tasks {listed(names)} on both axes. Got {short(axes)}.")
        order = [[axis.index(name) for name in names] for axis in axes]
        similarity = np.asarray(similarity)[np.ix_(*order)]
    with named("task_similarity"):
        values = check_array(similarity, dtype=np.float64, input_name="task_similarity")
    if values.shape != (len(names), len(names)):
        raise ValueError(f"task_similarity must have shape ({len(names)}, {len(names)}). Got {values.shape} instead.")
    for s, t in np.argwhere(~np.isclose(values, values.T)):
        raise ValueError(
            f"task_similarity must be symmetric. Got {values[s, t]:g} for ({names[s]!r}, {names[t]!r}) and "
            f"{values[t, s]:g} the other way round."
        )
    for s, t in np.argwhere(values < 0):
        raise ValueError(f"task_similarity must be >= 0. Got {values[s, t]:g} for ({names[s]!r}, {names[t]!r}).")
    return values
