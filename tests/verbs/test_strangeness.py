"""Strangeness: which neighbours count, and how far they are by products and cell by cell."""

import numpy as np
import pytest

from sklearn_mtae import AutoencoderTransformer, OutlierDetector
from sklearn_mtae._verbs.strangeness import ranks
from sklearn_mtae.nn.likelihoods import Gaussian


class CellByCell(Gaussian):
    """The same, but for what the distances are computed by."""

    def disagreement(self, params, others):
        """Return half the squared distances."""
        return super().disagreement(params, others)


@pytest.mark.parametrize(
    ("n_codes", "expected"), [(1024, [4, 9, 19, 39, 79, 159]), (200, [4, 9, 19, 39]), (10, [4]), (3, [2]), (1, [0])]
)
def test_neighbours_are_twice_as_far_down_the_list_up_to_a_fifth(n_codes, expected):
    assert ranks(n_codes) == expected


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_products_give_the_distances_of_observed_cells(share):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4))
    X[rng.random(X.shape) < share] = np.nan
    scores = [
        OutlierDetector(
            AutoencoderTransformer(2, hidden_layer_sizes=(4,), likelihood=likelihood, max_iter=2),
            n_estimators=1,
            random_state=0,
        )
        .fit(X)
        .score_samples(X)
        for likelihood in (Gaussian, CellByCell)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-6, atol=1e-6)
