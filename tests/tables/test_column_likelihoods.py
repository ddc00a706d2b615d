"""The likelihood of each column of X: what "auto" is for booleans."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from sklearn_mtae import VAETransformer
from tests.people import SMALL


def small(likelihood):
    return VAETransformer(**{**SMALL, "likelihood": likelihood})


FLAGS = np.random.default_rng(0).random((30, 2)) < 0.5
GAPS = np.where(np.arange(60).reshape(30, 2) % 7 == 0, None, FLAGS)


@pytest.mark.parametrize(
    "X",
    [
        FLAGS,
        FLAGS.tolist(),
        GAPS,
        pd.DataFrame(FLAGS),
        pd.DataFrame(GAPS),
        pd.DataFrame(GAPS).astype("boolean"),
        pl.DataFrame(FLAGS),
        sparse.csr_array(FLAGS),
    ],
    ids=["array", "list", "objects", "frame", "frame of objects", "nullable frame", "polars", "sparse"],
)
def test_booleans_are_booleans_whatever_holds_them(X):
    """They are drawn as zeros and ones, with the density of a table of zeros and ones under "bernoulli"."""
    model = small("auto").fit(X)
    assert list(model.likelihoods_.values()) == ["bernoulli", "bernoulli"]
    assert set(np.ravel(np.asarray(model.sample(50, random_state=0), dtype=float))) == {0, 1}
    if X is FLAGS:
        named = small("bernoulli").fit(FLAGS.astype(float))
        np.testing.assert_array_equal(model.score_samples(FLAGS), named.score_samples(FLAGS.astype(float)))


def test_only_columns_of_booleans_are_booleans_in_an_array_of_objects():
    X = np.column_stack([FLAGS[:, 0].astype(object), np.arange(30.0)])
    assert small("auto").fit(X).likelihoods_ == {0: "bernoulli", 1: "quantile"}
