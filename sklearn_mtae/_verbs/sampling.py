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
from sklearn_mtae._tables.filling import put
from sklearn_mtae.nn.importance import Draws, draw
from sklearn_mtae.nn.models import VAE
from sklearn_mtae.nn.random import Seeded
from sklearn_mtae.nn.words import named

from .conditions import Choice, Conditions, ends_of, read_conditions, side_of

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
        Values of some columns and tasks, ranges, or lists of values.
    remedy : str
        What to lower if the training has diverged.

    Returns
    -------
    list
        The columns of X, in the form of X, and the targets if there are any, shape (n_samples, n_tasks).
    """
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    model = runner.model(torch.float64, torch.device("cpu"))
    seed, table = new_seed(random_state), runner.features.table
    n_products = largest_product(model, min(n_samples, block_rows(runner.features.n_expanded)))
    with torch.inference_mode(), Seeded(seed), threads_for(n_products):
        wanted = Conditions(None, {}, []) if conditions is None else read_conditions(runner, model, conditions)
        draws = np.random.default_rng(seed)
        drawn = _draw_rows(runner, model, n_samples, wanted)
        parts = [[x if table is None else table.narrow(x, draws), *rest] for x, *rest in drawn]
    columns, *rest = (np.concatenate(part) for part in zip(*parts, strict=True))
    if not all(np.isfinite(part).all() for part in (columns, *rest)):
        raise ValueError(
            f"The draws are not finite. The training has diverged: lower {remedy}, and fit the model again."
        )
    positions = {name: j for j, name in enumerate(runner.features.names)}
    given = {positions[name]: value for name, value in wanted.fixed.items()}
    return [put(runner.features.restore(columns), given), *rest]


def _draw_rows(runner: ModelRunner, model: VAE, n_samples: int, wanted: Conditions) -> Iterator[list[NDArray]]:
    """Yield blocks of drawn rows: columns, and targets if there are any."""
    x = None if wanted.row is None else model.units(torch.from_numpy(dense(wanted.row)))
    for codes in _draw_codes(runner, model, n_samples, wanted, x):
        for part in codes.split(block_rows(runner.features.n_expanded)):
            drawn = model.generate(part, x)
            wanted.complete(model, part, drawn[0])
            for choice in wanted.choices:
                _put(model, drawn, choice, choice.draw(model, part))
            yield [own.numpy() for own in drawn]


def _put(model: VAE, drawn: tuple[Tensor, ...], choice: Choice, values: Tensor) -> None:
    """Put the values of a condition into drawn rows, in the form of the training values."""
    columns = drawn[1] if choice.of_tasks else drawn[0]
    columns[:, choice.columns] = values
    if isinstance(choice.given, tuple):
        _, likelihood = side_of(model, choice.of_tasks)
        columns[:, choice.columns] = likelihood.as_seen(columns)[:, choice.columns].clamp(*ends_of(choice.given))


def _draw_codes(
    runner: ModelRunner, model: VAE, n_samples: int, wanted: Conditions, x: Tensor | None
) -> Iterator[Tensor]:
    """Yield codes from the prior, or given the cells of a standardised row `x` that are not NaN and the choices."""
    prior = model.prior.given(model.infer)
    if x is None and not wanted.choices:
        yield prior.sample(n_samples)
        return
    for rows in blocks(n_samples, N_RESAMPLED):
        n_rows = rows.stop - rows.start
        n_draws = max(MIN_DRAWS, DRAWS_PER_SAMPLE * n_rows)
        if x is None:
            draws = Draws(prior.sample(n_draws)[:, None], torch.zeros(n_draws, 1, dtype=torch.float64))
        else:
            seed = int(torch.randint(np.iinfo(np.int32).max, ()))
            noise = torch.randn((n_draws, 1, model.prior.n_components), dtype=torch.float64)
            draws = draw(model, x, noise, seed)
        if not draws.usable:
            raise ValueError(runner.too_far(dense(wanted.row)[0], "The row of conditions"))
        more = wanted.log_left(model, draws.z[:, 0]) + (
            wanted.log_mass(model, draws.z[:, 0]) if wanted.choices else 0.0
        )
        draws = draws._replace(log_weight=draws.log_weight + torch.as_tensor(more).expand(n_draws)[:, None])
        yield draws.resample(n_rows)[:, 0]


def new_seed(random_state: Any) -> int:
    """Draw a seed."""
    with named("random_state"):
        return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
