"""Imputation and log-densities, from the observed cells of each row."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.blocks import block_rows, blocks
from sklearn_mtae._tables.filling import as_it_came, fill, missing_cells, read
from sklearn_mtae._tables.row_index import Chosen
from sklearn_mtae.nn.importance import Draws, draw, draws_at_once
from sklearn_mtae.nn.models import VAE, Autoencoder
from sklearn_mtae.nn.posteriors import quasi_normal
from sklearn_mtae.nn.random import Seeded

from .sampling import new_seed


def fill_cells(runner: ModelRunner, X: Any, expect: Callable[[Any], list[NDArray]], n_tables: int = 1) -> list[Any]:
    """Return copies of X with missing cells filled by a function of the rows that have some."""
    table = read(X, runner.features.table is None)
    x, gaps = runner.read(table), missing_cells(table)
    return [as_it_came(X, fill(table, gaps, part)) for part in decode_gaps(runner, x, gaps, expect, n_tables)]


def decode_gaps(
    runner: ModelRunner, x: Any, gaps: NDArray[np.bool_], expect: Callable[[Any], list[NDArray]], n_tables: int = 1
) -> list[list[Any]]:
    """Return tables, as X's columns, of a function's values for the rows with gaps, each in parts."""
    index = np.flatnonzero(gaps.any(axis=1))
    tables: list[list[Any]] = [[] for _ in range(n_tables)]
    for rows in blocks(len(index), block_rows(runner.features.n_expanded)):
        for table, columns in zip(tables, expect(Chosen(x, index[rows])), strict=True):
            table.append(runner.features.restore(columns))
    return tables


def impute_reconstructed(runner: ModelRunner, X: Any) -> Any:
    """Fill missing cells with their reconstruction."""

    def reconstruct(model: Autoencoder, x: Tensor) -> Tensor:
        return model.reconstruct(model.encode(model.fill(x)), x)

    return fill_cells(runner, X, lambda rows: [runner.decode(reconstruct, rows)])[0]


def impute_expected(runner: ModelRunner, X: Any, n_importance_samples: int) -> Any:
    """Fill missing cells with their means given the observed cells of their rows."""
    return fill_cells(runner, X, lambda rows: [expect([runner], rows, n_importance_samples)])[0]


def impute_drawn(runner: ModelRunner, X: Any, n_draws: int, n_importance_samples: int, random_state: Any) -> Any:
    """Return tables of missing cells filled with draws from their distribution given the observed cells."""

    def several(model: VAE, x: Tensor) -> Tensor:
        draws = weighted_codes(runner, model, x, n_importance_samples)
        parts = draws.resample(n_draws).split(draws_at_once(model, x))
        drawn = torch.cat([model.generate(part, x)[0] for part in parts]).movedim(0, 1)
        return torch.where(draws.usable[:, None, None], drawn, float("nan"))

    seed, n_most = new_seed(random_state), max(n_draws, n_importance_samples)
    levels = np.random.default_rng(seed)

    def drawn(rows: Any) -> list[NDArray]:
        return list(runner.decode(several, rows, levels, n_draws=n_most, weighs=True).swapaxes(0, 1))

    with Seeded(seed):
        tables = fill_cells(runner, X, drawn, n_draws)
    is_array = runner.features.table is None and isinstance(tables[0], np.ndarray)
    return np.stack(tables) if is_array else tables


def expect(runners: Sequence[ModelRunner], x: Any, n_importance_samples: int) -> NDArray:
    """Return the mean of each cell of rows, given the observed cells of its row; of several models, their mean."""

    def means(runner: ModelRunner) -> NDArray:
        def mean(model: VAE, x: Tensor) -> Tensor:
            return weighted_mean(model, x, weighted_codes(runner, model, x, n_importance_samples, keep_params=True))

        return runner.apply(mean, x, n_draws=n_importance_samples, weighs=True)

    table, mean = runners[0].features.table, np.mean([means(runner) for runner in runners], axis=0)
    return mean if table is None else table.narrow(mean)


def log_marginals(runner: ModelRunner, X: Any, n_importance_samples: int) -> NDArray:
    """Return log p(x) of each row by importance sampling."""

    def log_density(model: VAE, x: Tensor) -> Tensor:
        return log_marginal(model, x, weighted_codes(runner, model, x, n_importance_samples))

    return runner.log_densities(log_density, X, n_draws=n_importance_samples)


def weighted_mean(model: VAE, x: Tensor, draws: Draws) -> Tensor:
    """Return the mean of each cell of rows over weighted codes, of which what is decoded was kept, in X's units."""
    assert draws.params is not None
    each = model.decoded_columns(draws.params, x).mean
    mean = torch.einsum("kn,kn...->n...", draws.log_weight.softmax(0), each)
    return model.units.inverse(mean.clamp(each.amin(0), each.amax(0)))  # rounding must not lead out of their range


def log_marginal(model: VAE, x: Tensor, draws: Draws) -> Tensor:
    """Return log p(x) of rows, in X's units, given their weighted codes."""
    density = draws.log_marginal() + model.log_jacobian(x)
    if all(family.peak == 0.0 for family, _ in model.likelihood.parts()):
        density = density.clamp(max=0.0)  # probabilities are at most 1, whatever the draws
    return torch.where(x.isnan().all(-1), 0.0, density)


def log_conditionals(runner: ModelRunner, X: Any) -> NDArray:
    """Return log p(x given its code) of each row."""
    return runner.log_densities(log_conditional, X)


def log_conditional(model: Autoencoder, x: Tensor) -> Tensor:
    """Return log p(x given its code) of standardised rows, in X's units."""
    return model.log_likelihood(model.encode(model.fill(x)), x) + model.log_jacobian(x)


def weighted_codes(runner: ModelRunner, model: VAE, x: Tensor, n_draws: int, keep_params: bool = False) -> Draws:
    """Return weighted codes of each row, with what they are decoded to where that is to be kept."""
    seed = runner.fitted.seed
    noise = quasi_normal(model.fill(x), n_draws, model.prior.n_components, seed)
    return draw(model, x, noise, seed, keep_params)
