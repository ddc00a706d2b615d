"""The density of the codes, fitted when the training is over: a mixture of normals in the place of the prior."""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from sklearn_mtae._engine.batches import Batches
from sklearn_mtae._engine.member import Member
from sklearn_mtae._tables.blocks import block_rows
from sklearn_mtae._tables.row_index import evenly
from sklearn_mtae.nn.models import VAE

N_MODES = (1, 2, 5, 10, 20, 40, 80, 120, 200)
"""Numbers of normal distributions to choose among."""
CODES_PER_MODE = 50
TOLERANCE = 0.5
"""Nats per code by which more normals may be worse on held-out codes: too few smooth away what rows have."""
HELD_OUT = 4
"""One code in so many is held out to choose by."""


def learn_code_density(member: Member, seed: int) -> None:
    """Let the prior become a mixture fitted to codes of the training rows, drawn from their posteriors."""
    model = member.model
    if not (isinstance(model, VAE) and model.prior.n_codes):
        return
    codes = _draw_codes(member, model, model.prior.n_codes, seed)
    if len(codes) < 2:
        return
    most = min(model.prior.n_modes, len(codes) // CODES_PER_MODE)
    found = _fit(codes, _choose_modes(codes, most, seed), seed)
    parts = (torch.from_numpy(part) for part in (found.means_, found.precisions_cholesky_, found.weights_))
    model.prior.take_over(*parts)


@torch.no_grad()
def _draw_codes(member: Member, model: VAE, n_most: int, seed: int) -> NDArray:
    """Draw a code of each row; where rows have weights, they come as often as these say."""
    rows, generator = member.train, torch.Generator().manual_seed(seed)
    model.eval()
    parts, weights = [], []
    for batch in Batches(rows, block_rows(model.width)):
        q = model.infer(model.fill(batch.x))
        noise = torch.randn(*q.mean.shape, generator=generator).to(q.mean)
        parts.append(q.rsample(noise).double().cpu().numpy())
        weights.append(None if batch.weight is None else batch.weight.double().cpu().numpy())
    codes = np.concatenate(parts)
    chosen = evenly(np.arange(len(codes)), n_most)
    weight = None if weights[0] is None else np.concatenate(weights)
    if weight is not None and np.ptp(weight) > 0:
        chosen = by_weight(weight, len(chosen))
    return codes[chosen]


def by_weight(weight: NDArray, n_draws: int) -> NDArray:
    """Draw positions, each as often as its share of the weight says, to within one.

    Systematic resampling: where equally spaced points fall on the cumulated weights (Kitagawa 1996, doi
    10.1080/10618600.1996.10474692).
    """
    points = (np.arange(n_draws) + 0.5) / n_draws
    return np.searchsorted(weight.cumsum(), points * weight.sum()).clip(max=len(weight) - 1)


def _choose_modes(codes: NDArray, most: int, seed: int) -> int:
    """Return the largest number of normals under which held-out codes are about as likely as under the best."""
    if most < 2:
        return 1
    order = np.random.default_rng(seed).permutation(len(codes))
    held_out, rest = codes[order[::HELD_OUT]], np.delete(codes, order[::HELD_OUT], axis=0)
    best, chosen = -np.inf, 1
    for n_modes in N_MODES:
        if n_modes > most:
            break
        score = _fit(rest, n_modes, seed).score(held_out)
        best = max(best, score)
        if score < best - TOLERANCE:
            break
        chosen = n_modes
    return chosen


def _fit(codes: NDArray, n_modes: int, seed: int) -> GaussianMixture:
    """Fit a mixture with full covariances."""
    mixture = GaussianMixture(n_modes, reg_covar=1e-3, max_iter=50, init_params="k-means++", random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # more steps change little
        return mixture.fit(codes)
