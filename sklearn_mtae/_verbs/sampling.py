"""Rows drawn from a variational model, optionally given some of their cells."""

from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state, check_scalar
from torch import Tensor

from sklearn_mtae._engine.devices import largest_product, threads_for
from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.blocks import block_rows, blocks, dense
from sklearn_mtae._tables.checks import check_cells
from sklearn_mtae._tables.filling import put
from sklearn_mtae._tables.limits import find_range
from sklearn_mtae.nn.importance import draw
from sklearn_mtae.nn.models import VAE
from sklearn_mtae.nn.random import Seeded
from sklearn_mtae.nn.words import listed, named, short, suggest_each

N_RESAMPLED = 1000
"""Number of rows drawn at once under conditions, from one set of weighted codes."""
DRAWS_PER_SAMPLE, MIN_DRAWS = 10, 5000
"""Weighted codes per such row, and their minimum in all."""


def sample(
    runner: ModelRunner, n_samples: int, random_state: Any, conditions: Mapping[Any, Any] | None, remedy: str
) -> list[Any]:
    """Draw rows on the CPU, with the same draws on every device, in float64: a large location takes digits.

    Parameters
    ----------
    runner : ModelRunner
        The model.
    n_samples : int
        Number of rows.
    random_state : int, RandomState instance or None
        Seed of the draws.
    conditions : mapping or None
        Values of some columns.
    remedy : str
        What to lower if the training has diverged.

    Returns
    -------
    list
        The columns of X, in the form of X, and the targets if there are any, shape (n_samples, n_tasks).
    """
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    model = runner.model(torch.float64, torch.device("cpu"))
    row = None if conditions is None else check_conditions(runner, conditions)
    seed, table = new_seed(random_state), runner.features.table
    n_products = largest_product(model, min(n_samples, block_rows(runner.features.n_expanded)))
    with torch.inference_mode(), Seeded(seed), threads_for(n_products):
        draws = np.random.default_rng(seed)
        drawn = _draw_rows(runner, model, n_samples, row)
        parts = [[x if table is None else table.narrow(x, draws), *rest] for x, *rest in drawn]
    columns, *rest = (np.concatenate(part) for part in zip(*parts, strict=True))
    if not all(np.isfinite(part).all() for part in (columns, *rest)):
        raise ValueError(
            f"The draws are not finite. The training has diverged: lower {remedy}, and fit the model again."
        )
    positions = {name: j for j, name in enumerate(runner.features.names)}
    given = {positions[name]: value for name, value in (conditions or {}).items()}
    return [put(runner.features.restore(columns), given), *rest]


def _draw_rows(runner: ModelRunner, model: VAE, n_samples: int, row: Any) -> Iterator[list[NDArray]]:
    """Yield blocks of drawn rows: columns, and targets if there are any; `row` has the given cells, if not None."""
    x = None if row is None else model.units(torch.from_numpy(dense(row)))
    for codes in _draw_codes(runner, model, n_samples, row, x):
        for part in codes.split(block_rows(runner.features.n_expanded)):
            yield [drawn.numpy() for drawn in model.generate(part, x)]


def _draw_codes(runner: ModelRunner, model: VAE, n_samples: int, row: Any, x: Tensor | None) -> Iterator[Tensor]:
    """Yield codes from the prior, or given the cells of a standardised row `x` that are not NaN."""
    if x is None:
        yield model.prior.given(model.infer).sample(n_samples)
        return
    for rows in blocks(n_samples, N_RESAMPLED):
        n_rows = rows.stop - rows.start
        shape = (max(MIN_DRAWS, DRAWS_PER_SAMPLE * n_rows), 1, model.prior.n_components)
        seed = int(torch.randint(np.iinfo(np.int32).max, ()))
        draws = draw(model, x, torch.randn(shape, dtype=torch.float64), seed)
        if not draws.usable:
            raise ValueError(runner.too_far(dense(row)[0], "The row of conditions"))
        yield draws.resample(n_rows)[:, 0]


def check_conditions(runner: ModelRunner, conditions: Mapping[Any, Any]) -> Any:
    """Return the row of the given cells, NaN elsewhere."""
    features = runner.features
    names = list(features.names)
    if not isinstance(conditions, Mapping):
        raise TypeError(f"conditions must be a dict from columns of X to values. Got {short(conditions)} instead.")
    unknown = [name for name in conditions if name not in names]
    if unknown:
        raise ValueError(
            f"conditions must name columns of X. Got {listed(unknown)}; the columns are {listed(names)}."
            f"{suggest_each(unknown, names)}"
        )
    with named("conditions"):
        row = check_cells([conditions.get(name, np.nan) for name in names], features.table)
    runner.limits.check(row, find_range(row), "the column", features.expanded_names, "conditions")
    return row


def new_seed(random_state: Any) -> int:
    """Draw a seed."""
    with named("random_state"):
        return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
