"""Sparse counts: fitted as the dense array is, and never made dense as a whole."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import estimator_checks, get_tags

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.likelihoods import Gaussian, Multinomial, Poisson
from tests.conftest import ESTIMATORS

COUNTS = ["poisson", "negative_binomial", "multinomial", "bernoulli"]
SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
Y = np.random.default_rng(1).normal(size=(80, 2))


@pytest.fixture
def counts():
    """Rows of counts whose columns belong to two topics."""
    rng = np.random.default_rng(0)
    topic = rng.random((80, 1))
    mean = topic * np.r_[np.full(6, 1.5), np.full(6, 0.2)] + (1 - topic) * np.r_[np.full(6, 0.2), np.full(6, 1.5)]
    return sparse.csr_matrix(rng.poisson(mean).astype(np.float64))


def admissible(X, likelihood):
    """Return counts, or where there are any."""
    return (X > 0).astype(X.dtype) if likelihood == "bernoulli" else X


def results(model, X):
    return [model.transform(X), model.score_samples(X), model.predict(X), np.array(model.loss_curve_)]


def assert_same(one, other, atol=1e-6):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("likelihood", COUNTS)
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_sparse_is_dense(counts, kind, likelihood):
    X = admissible(counts, likelihood)
    model = kind(**SMALL, likelihood=likelihood)
    ours, theirs = clone(model).fit(X, Y), clone(model).fit(X.toarray(), Y)
    assert_same(results(ours, X), results(theirs, X.toarray()))
    assert_same(results(ours, X.toarray()), results(theirs, X))
    score = (ours.score(X, Y), theirs.score(X.toarray(), Y))
    assert score[0] == pytest.approx(score[1])
    assert type(ours.transform(X)) is np.ndarray
    assert ours.n_features_in_ == 12


FORMATS = ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"]
CONTAINERS = [getattr(sparse, f"{form}_{kind}") for form in FORMATS for kind in ("array", "matrix")]


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container.__name__)
def test_containers(counts, container):
    model = VAETransformer(**SMALL, likelihood="poisson")
    X = container(counts)
    assert_same(results(model.fit(X), X), results(model.fit(counts.toarray()), counts.toarray()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32, np.uint8, bool])
def test_dtypes(counts, dtype):
    model = VAETransformer(**SMALL, likelihood="poisson")
    X = sparse.csr_array(counts).astype(dtype)
    ours = results(model.fit(X), X)
    # scikit-learn makes float64 of sparse integers; of a dense array's too.
    assert ours[0].dtype == (np.float32 if dtype == np.float32 else np.float64)
    assert_same(ours, results(model.fit(X.toarray()), X.toarray()), atol=1e-5)


def test_indices_of_64_bits_in_any_order(counts):
    model = VAETransformer(**SMALL, likelihood="poisson").fit(counts)
    rows = []
    for start, stop in zip(counts.indptr[:-1], counts.indptr[1:], strict=True):
        rows.append(np.arange(start, stop)[::-1])
    order = np.concatenate(rows)
    X = sparse.csr_array((counts.data[order], counts.indices[order].astype(np.int64), counts.indptr.astype(np.int64)))
    assert not X.has_sorted_indices
    np.testing.assert_array_equal(model.transform(X), model.transform(counts))


@pytest.mark.parametrize("likelihood", COUNTS)
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_missing_cells(counts, kind, likelihood):
    """A missing cell is one that is stored, and is NaN; one that is not stored is 0."""
    x = admissible(counts, likelihood).toarray()
    x[np.random.default_rng(2).random(x.shape) < 0.2] = np.nan
    X = sparse.csr_array(x)
    assert np.isnan(X.data).any()
    model = kind(**SMALL, likelihood=likelihood)
    assert_same(results(clone(model).fit(X, Y), X), results(clone(model).fit(x, Y), x))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_filled_rows_are_dense(counts, kind):
    x = counts.toarray()
    x[np.random.default_rng(2).random(x.shape) < 0.2] = np.nan
    model = kind(**SMALL, likelihood="poisson").fit(x, Y)
    np.testing.assert_array_equal(model.impute(sparse.csr_array(x)), model.impute(x))
    if kind is not AutoencoderTransformer:
        draws = [model.impute(X, 2, random_state=0) for X in (sparse.csr_array(x), x)]
        np.testing.assert_array_equal(*draws)


OPTIONS = [
    {"early_stopping": True},
    {"batch_size": 7, "net_params": {"record_steps": False}},  # recorded steps of unlike sizes make other draws
    {"batch_size": None},
    {"corruption": "masking"},
    {"dtype": "float64"},
    {"likelihood": {j: "poisson" if j < 6 else "bernoulli" for j in range(12)}},
    {"likelihood": [Poisson] * 6 + [Multinomial] * 6},
]


@pytest.mark.parametrize("options", [*OPTIONS, {"prior": "vamp"}], ids=str)
def test_options(counts, options):
    X = admissible(counts, "bernoulli")
    model = VAETransformer(**{**SMALL, "likelihood": "poisson", **options})
    ours, theirs = clone(model).fit(X), clone(model).fit(X.toarray())
    assert_same(results(ours, X), results(theirs, X.toarray()))
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, atol=1e-6)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_weights(counts, kind):
    weight = np.random.default_rng(3).integers(0, 3, 80)
    model = kind(**SMALL, likelihood="multinomial")
    ours, theirs = (clone(model).fit(X, Y, sample_weight=weight) for X in (counts, counts.toarray()))
    assert_same(results(ours, counts), results(theirs, counts.toarray()))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_training_goes_on(counts, kind):
    x = counts.toarray()
    model = kind(**SMALL, likelihood="poisson")
    ours = clone(model).partial_fit(counts[:40], Y[:40]).partial_fit(counts[40:], Y[40:])
    theirs = clone(model).partial_fit(x[:40], Y[:40]).partial_fit(x[40:], Y[40:])
    assert_same(results(ours, counts), results(theirs, x))
    mixed = clone(model).partial_fit(counts[:40], Y[:40]).partial_fit(x[40:], Y[40:])
    assert_same(results(mixed, counts), results(theirs, x))
    warm = clone(model).set_params(warm_start=True)
    assert_same(results(clone(warm).fit(counts, Y).fit(counts, Y), counts), results(clone(warm).fit(x, Y).fit(x, Y), x))


def test_weights_of_labels(counts):
    model = MultiTaskVAERegressor(n_estimators=1, **SMALL, likelihood="poisson")
    weight = np.abs(Y)
    ours, theirs = (clone(model).fit(X, Y, sample_weight=weight) for X in (counts, counts.toarray()))
    assert_same(results(ours, counts), results(theirs, counts.toarray()))
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(80,\) or \(80, 2\). Got \(80, 3\) instead"):
        model.fit(counts, Y, sample_weight=np.ones((80, 3)))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(counts, Y[:-1])


def test_frames_of_sparse_columns(counts):
    X = pd.DataFrame.sparse.from_spmatrix(counts, columns=[f"w{j}" for j in range(12)])
    model = VAETransformer(**SMALL, likelihood="poisson")
    assert_same(results(model.fit(counts), counts)[:2], results(model.fit(X), X)[:2])
    assert model.feature_names_in_.tolist() == list(X)
    assert model.sample(3).dtypes.equals(X.dtypes)
    with pytest.raises(TypeError, match="Sparse data was passed for X"):
        VAETransformer(**SMALL).fit(X)


@pytest.mark.parametrize(
    ("likelihood", "error", "message"),
    [
        (
            "gaussian",
            TypeError,
            "Sparse data was passed for X.*not centred, such as 'multi.*'gaussian'; use",
        ),
        ("student_t", TypeError, r"use X\.toarray\(\), or .* sklearn.decomposition.TruncatedSVD takes sparse data"),
        ({0: "poisson"}, TypeError, "Sparse data was passed for X.*not centred"),
        ([Poisson] * 11 + [Gaussian], TypeError, "Sparse data was passed for X.*not centred"),
        ({3: "categorical"}, TypeError, r"Sparse data was passed for X; with column 3 'categorical', use X\.toarray"),
        ({12: "poisson"}, ValueError, r"likelihood names unknown columns \[12\]"),
        (["poisson"] * 3, ValueError, "likelihood must hold one per column of X, 12 of them. Got 3"),
        ("log_normal", ValueError, "needs X > 0. Got min 0 in column 0"),
        ("bernoulli", ValueError, "needs 0 <= X <= 1. Got max .* in column"),
    ],
)
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_likelihoods_that_do_not_fit(counts, kind, likelihood, error, message):
    with pytest.raises(error, match=message):
        kind(**SMALL, likelihood=likelihood).fit(counts, Y)


def test_values_that_do_not_fit(counts):
    model = VAETransformer(**SMALL, likelihood="poisson").fit(counts)
    with pytest.raises(ValueError, match=r"Negative values in data: .*'poisson' needs X >= 0\. Got min -"):
        clone(model).fit(-counts)
    infinite = counts.copy()
    infinite.data[3] = np.inf
    for method in (clone(model).fit, model.transform):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            method(infinite)
    with pytest.raises(ValueError, match="X has 11 features, but VAETransformer is expecting 12 features"):
        model.transform(counts[:, :11])
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        model.transform(counts[:0])


# Memory.

MEGABYTE = 2**20


@pytest.fixture(scope="module")
def large():
    """50,000 rows of 1,000 columns, one in a thousand cells not 0: 1 MB, and 400 MB as an array."""
    rng = np.random.default_rng(0)
    cells = np.unique(rng.integers(0, 5 * 10**7, 5 * 10**4))
    data = rng.poisson(3, len(cells)) + 1.0
    X = sparse.csr_array((data, np.divmod(cells, 1000)), shape=(50_000, 1000))
    assert X.data.nbytes + X.indices.nbytes + X.indptr.nbytes < 2 * MEGABYTE
    assert X.dtype.itemsize * np.prod(X.shape) == 4e8
    return X


def peak(function):
    """Return the most memory that numpy held during a call, in megabytes."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / MEGABYTE
    finally:
        tracemalloc.stop()


def test_large_matrix_is_never_made_dense(large):
    """Blocks of half a million cells, 4 MB in float64, and a few copies of one at a time."""
    model = AutoencoderTransformer(2, hidden_layer_sizes=(4,), likelihood="poisson", batch_size=4000, max_iter=1)
    model.fit(large[:1000])  # what is imported at the first call is not counted
    assert peak(lambda: model.fit(large)) < 24
    part = large[:10_000]  # 80 MB as an array
    for method in (model.transform, model.score_samples, model.partial_fit):
        assert peak(lambda method=method: method(part.tocsc())) < 24


# What scikit-learn is told.


def lonely(n_columns):
    """Return a likelihood; what it is cannot be known before it is made."""
    return Poisson(n_columns)


@pytest.mark.parametrize(
    ("likelihood", "takes_sparse", "needs_positive"),
    [
        ("gaussian", False, False),
        ("student_t", False, False),
        ("log_normal", False, True),
        *((name, True, True) for name in COUNTS),
        (Poisson, True, True),
        (lonely, False, False),
        ({0: "poisson", 1: "bernoulli"}, True, True),
        ({0: "poisson", 1: "gaussian"}, False, True),
        (["poisson", None], False, True),
        (["poisson", "categorical"], False, True),
        ({}, False, False),
        ("gausian", False, False),
        (7, False, False),
    ],
)
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_tags(kind, likelihood, takes_sparse, needs_positive):
    tags = get_tags(kind(likelihood=likelihood)).input_tags
    assert (tags.sparse, tags.positive_only) == (takes_sparse, needs_positive)


CHECKS = [f"check_estimator_sparse_{name}" for name in ("tag", "array", "matrix")]


@pytest.mark.parametrize("name", [*CHECKS, "check_positive_only_tag_during_fit"])
@pytest.mark.parametrize("likelihood", ["poisson", "gaussian"])
def test_checks_of_scikit_learn(name, likelihood):
    """With a regressor: of what has `predict`, the checks want one value per row."""
    getattr(estimator_checks, name)(
        "MultiTaskVAERegressor", MultiTaskVAERegressor(n_estimators=1, **SMALL, likelihood=likelihood)
    )
