"""How strange rows are to a model, in nats, and which cells make them so."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._fitting.build import column_likelihood
from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.blocks import dense
from sklearn_mtae._tables.coded_rows import cells_of
from sklearn_mtae._tables.describe import differ
from sklearn_mtae._tables.filling import missing_cells
from sklearn_mtae.nn.decisions import may_hold
from sklearn_mtae.nn.importance import Draws
from sklearn_mtae.nn.likelihoods import Likelihood
from sklearn_mtae.nn.models import Autoencoder

from .imputation import weighted_codes

FIRST_RANK, LAST_SHARE = 5, 0.2
"""The nearest codes that count: the 5th, and each time twice as far down the list, up to a fifth of the codes."""
N_REFINEMENTS = 5
"""How often missing cells are filled, and the row encoded again."""
N_DRAWS = 100
"""Weighted codes of each row, for its density."""
LEAST_SPREAD = 1e-6
"""Nats below which what rows differ by is rounding."""
MOST = 1e30
"""Nats of a cell at most: sums over cells and models stay finite, and rows that overflow are the strangest."""

Cells = Callable[[Any, Tensor], Tensor]
"""From a model and standardised rows to the nats of each cell, shape (n_rows, n_expanded)."""


class Gauge(NamedTuple):
    """What is usual to one model: its strangeness is what is above it."""

    criteria: tuple[str, ...]
    """What the model is asked, names of `CRITERIA`."""
    codes: NDArray
    """Codes of rows that it was trained on, shape (n_codes, n_components)."""
    usual: NDArray
    """Mean nats of a column's cells by each criterion, shape (n_criteria, n_expanded)."""
    weight: NDArray
    """Weights of the criteria, shape (n_criteria,), adding up to 1 where all spread alike."""
    unseen: float
    """Nats of a level that it has not seen, and of another number where it has only seen one."""


def reconstruction(runner: ModelRunner, codes: NDArray) -> Cells:
    """Return the function -log p(x_j given the code of the row)."""

    def cells(model: Autoencoder, x: Tensor) -> Tensor:
        return -model.likelihood.log_prob(model.decode(encode(model, x)), x)

    return cells


def neighbours(runner: ModelRunner, codes: NDArray) -> Cells:
    """Return the function of how far a row's reconstruction is from what the nearest codes are decoded to.

    In nats, as `Likelihood.disagreement` has them: half the squared distance in units of the decoder's variance, or the
    mean of both divergences. The mean over the codes of some ranks, from near to far: near ones see gaps between
    clusters, far ones see small clusters off all others, whose rows are near to each other.
    """
    nearness, decoded = ranks(len(codes)), {}

    def cells(model: Autoencoder, x: Tensor) -> Tensor:
        if x.dtype not in decoded:
            decoded[x.dtype] = model.decode(torch.as_tensor(codes).to(x))
        known, own = decoded[x.dtype], model.decode(encode(model, x))
        apart = _distances(model.likelihood, known, own, x).nan_to_num(MOST, MOST)
        nearest = apart.topk(nearness[-1] + 1, dim=0, largest=False).indices[nearness]
        return model.likelihood.disagreement(own, known[nearest]).mean(0)

    return cells


def _distances(family: Likelihood, known: Tensor, own: Tensor, x: Tensor) -> Tensor:
    """Return the disagreement of all that is known with each row's own, over its observed cells: (n_codes, n_rows)."""
    if not _is_squared(family):
        return family.disagreement(own, known.unsqueeze(1)).masked_fill(x.isnan(), 0.0).sum(-1)
    there, here = (family.distribution(params).mean for params in (known, own))
    weight = (0.5 * family.precision() * ~x.isnan()).to(here)
    return there.square() @ weight.T - 2 * there @ (weight * here).T + (weight * here.square()).sum(-1)


def _is_squared(family: Likelihood) -> bool:
    """Return whether a family's disagreement is a squared distance, of which products give the sums over cells."""
    return type(family).disagreement is Likelihood.disagreement


def density(runner: ModelRunner, codes: NDArray) -> Cells:
    """Return the function of what each cell has in -log p(x), by importance sampling.

    The mean of -log p(x_j given z) over the weighted codes, and an equal share for each cell of the rest: what the
    codes that fit the row have less of the prior than of its posterior.
    """
    return lambda model, x: density_of_cells(model, x, weighted_codes(runner, model, x, N_DRAWS, keep_params=True))


def density_of_cells(model: Any, x: Tensor, draws: Draws) -> Tensor:
    """Return what each cell has in -log p(x), given weighted codes of the rows, of which what is decoded was kept."""
    assert draws.params is not None
    each = model.likelihood.log_prob(draws.params, x)
    nats = -torch.einsum("kn,kn...->n...", draws.log_weight.softmax(0), each)
    observed = (~x.isnan()).to(nats)
    rest = -draws.log_marginal() - nats.sum(-1)
    return nats + observed * (rest / observed.sum(-1).clamp(min=1.0)).unsqueeze(-1)


CRITERIA: dict[str, Callable[[ModelRunner, NDArray], Cells]] = {
    "density": density,
    "neighbours": neighbours,
    "reconstruction": reconstruction,
}
"""From what a detector scores rows: all are nats of cells."""


def encode(model: Autoencoder, x: Tensor) -> Tensor:
    """Return the codes of rows, missing cells filled with what the code of the others is decoded to."""
    z, missing = model.encode(model.fill(x)), x.isnan()
    for _ in range(N_REFINEMENTS if may_hold(missing) else 0):
        z = model.encode(model.fill(torch.where(missing, model.expect(z), x)))
    return z


def ranks(n_codes: int) -> list[int]:
    """Return the positions, in order of distance, of the codes that a row is compared with."""
    last = max(FIRST_RANK, int(LAST_SHARE * n_codes))
    found = [FIRST_RANK * 2**k - 1 for k in range(32) if FIRST_RANK * 2**k <= last]
    return sorted({min(rank, n_codes - 1) for rank in found})


def gauge(runner: ModelRunner, criteria: Sequence[str], trained: Any, usual: Any, n_rows: int) -> Gauge:
    """Learn what is usual to a model.

    Parameters
    ----------
    runner : ModelRunner
        The model.
    criteria : sequence of str
        What it is asked, of `CRITERIA`.
    trained : array-like
        Rows that it was trained on, whose codes are kept.
    usual : array-like
        Rows that it was not trained on, where there are any.
    n_rows : int
        Number of rows that it was trained on.

    Returns
    -------
    Gauge
        What it takes for usual. The criteria have weights by which they spread alike over these rows, in nats of the
        mean spread of all.
    """
    codes = runner.apply(encode, runner.read(trained))
    x = runner.read(usual)
    means, spreads = [], []
    for name in criteria:
        nats = _apply(runner, {name: CRITERIA[name](runner, codes)}, codes, x, lambda parts: parts[0], slice(0, 0))
        observed = np.isfinite(nats)
        mean = np.where(observed, nats, 0.0).sum(axis=0) / np.maximum(1, observed.sum(axis=0))
        total = np.where(observed, nats - mean, 0.0).sum(axis=1)
        means.append(mean)
        spreads.append(max(LEAST_SPREAD, float(np.subtract(*np.percentile(total, [75, 25])))))
    spread = np.array(spreads)
    return Gauge(
        tuple(criteria), codes, np.array(means), spread.mean() / spread / len(criteria), float(np.log1p(n_rows))
    )


def strangeness(runner: ModelRunner, known: Gauge, X: Any) -> NDArray:
    """Return by how many nats the cells of each row are above what is usual in their columns, shape (n_rows,).

    A missing cell has none, and a value that has no distance from those that the model has seen `known.unseen`: a level
    it does not know, or another number in a column that has never varied.
    """
    x = runner.read(X)
    return _excess(runner, known, x, slice(0, 0)) + known.unseen * _unseen(runner, x, X).sum(axis=1)


def without_each(runner: ModelRunner, known: Gauge, X: Any) -> NDArray:
    """Return by how many nats a row is less strange where one of its cells is hidden, shape (n_rows, n_features)."""
    x = runner.read(X)
    whole = _excess(runner, known, x, slice(0, 0))
    hidden = [slice(own[0], own[-1] + 1) for own in runner.features.groups]
    each = [whole - _excess(runner, known, x, columns) for columns in hidden]
    return np.stack(each, axis=1) + known.unseen * _unseen(runner, x, X)


def _excess(runner: ModelRunner, known: Gauge, x: Any, hidden: slice) -> NDArray:
    """Return the sum over each row of the weighed nats above the usual ones, some columns taken for missing."""
    parts = {name: CRITERIA[name](runner, known.codes) for name in known.criteria}

    def total(nats: list[Tensor]) -> Tensor:
        each = zip(nats, known.usual, known.weight.tolist(), strict=True)
        return sum(weight * (own - torch.as_tensor(usual).to(own)).nansum(-1) for own, usual, weight in each)  # type: ignore[return-value]

    return _apply(runner, parts, known.codes, x, total, hidden)


def _apply(
    runner: ModelRunner,
    parts: Mapping[str, Cells],
    codes: NDArray,
    x: Any,
    finish: Callable[[list[Tensor]], Tensor],
    hidden: slice,
) -> NDArray:
    """Run functions of cells over rows, some columns hidden; what they make of a missing cell is NaN."""

    def function(model: Any, x: Tensor) -> Tensor:
        x[:, hidden] = float("nan")
        missing = x.isnan()
        each = [cells(model, x).nan_to_num(MOST, MOST, -MOST).clamp(max=MOST) for cells in parts.values()]
        return finish([nats.masked_fill(missing, float("nan")) for nats in each])

    n_pairs = len(codes) // (runner.features.n_expanded if _is_squared(column_likelihood(runner.fitted.recipe)) else 1)
    n_copies = max(N_DRAWS if "density" in parts else 1, n_pairs)
    found = [result for _, result in runner.results(function, x, n_draws=n_copies, weighs=True)]
    return np.concatenate(found).astype(np.float64)


def _unseen(runner: ModelRunner, x: Any, X: Any) -> NDArray:
    """Return which cells hold such a level or number, shape (n_rows, n_features), as 0 and 1."""
    table, only = runner.features.table, runner.features.only_numbers
    held, found = np.flatnonzero(~np.isnan(only)), np.zeros((x.shape[0], len(only)), dtype=bool)
    if len(held):
        cells = dense(cells_of(x)[:, held])
        # Rows may come in another precision than that of the training.
        other = differ(cells, only[held]) & (cells.astype(np.float32) != only[held].astype(np.float32))
        found[:, held] = ~np.isnan(cells) & other
    if table is not None and table.expands:
        found |= np.isnan(cells_of(x)) & ~missing_cells(X)
    return found.astype(float)
