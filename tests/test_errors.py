"""Bad input: each gets an error that says what must hold, what came and where, or the right answer."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.likelihoods import LIKELIHOODS


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X: np.where(np.arange(X.size).reshape(X.shape) == 7, np.inf, X), ValueError, "contains infinity"),
        (lambda X: np.full(X.shape, "word", dtype=object), ValueError, "could not convert string to float"),
        (lambda X: X[None], ValueError, "Found array with dim 3"),
        (lambda X: X[:, 0], ValueError, "Expected 2D array, got 1D array"),
        (lambda X: sparse.csr_matrix(X), TypeError, r"use X.toarray\(\), or reduce the columns first"),
        (lambda X: X[:0], ValueError, "Found array with 0 sample"),
        (lambda X: X[:, :0], ValueError, "0 feature"),
    ],
)
def test_features(estimator, table, change, error, message):
    X, Y = table
    with pytest.raises(error, match=message):
        estimator.fit(change(X), Y)


def test_number_of_features(estimator, table):
    X, Y = table
    estimator.fit(X, Y)
    with pytest.raises(ValueError, match=r"has 4 features, but .* is expecting 5 features"):
        estimator.transform(X[:, :4])
    with pytest.raises(ValueError, match=r"Z must have 2 columns, one per component. Got 3 instead"):
        estimator.inverse_transform(np.zeros((4, 3)))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "'n_components' parameter .* must be an int in the range"),
        ({"likelihood": "gausian"}, "'likelihood' parameter .* must be a str among .*'gaussian'"),
        ({"architecture": "resnet50"}, "'architecture' parameter .* must be a str among {"),
        ({"activation": "sine"}, "'activation' parameter .*'tanh'"),
        ({"corruption": "salt"}, "'corruption' parameter .*'masking'"),
        ({"penalty": "l7"}, "'penalty' parameter .*'sparse'"),
        ({"hidden_layer_sizes": (8, 0)}, r"hidden_layer_sizes must hold integers >= 1. Got \(8, 0\)"),
        ({"learning_rate_init": 0.0}, "'learning_rate_init' parameter"),
        ({"batch_size": 0}, "'batch_size' parameter"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"net_params": {"lr": 0.1}}, "net_params must leave 'lr' out: .* has 'learning_rate_init' for it"),
        ({"net_params": {"optimiser": None}}, r"net_params must hold .* Got 'optimiser'. Did you mean 'optimizer'"),
    ],
)
def test_parameters(estimator, table, parameters, message):
    with pytest.raises(ValueError, match=message):
        estimator.set_params(**parameters).fit(*table)


def test_unknown_parameter():
    with pytest.raises(TypeError, match="latent_dim"):
        VAETransformer(latent_dim=3)


def test_support_names_the_column(table):
    X, _ = table
    frame = pd.DataFrame(np.abs(X) / np.abs(X).max(), columns=list("abcde"))
    frame.loc[4, "c"] = -1.3
    with pytest.raises(ValueError, match=r"likelihood='bernoulli' needs 0 <= X <= 1. Got min -1.3 in column 'c'"):
        AutoencoderTransformer(likelihood="bernoulli").fit(frame)
    targets = pd.DataFrame({"yes": np.ones(60), "count": 7.0})
    message = "task_likelihoods='bernoulli' needs 0 <= y <= 1. Got max 7 in column 'count'"
    with pytest.raises(ValueError, match=message):
        MultiTaskVAERegressor(n_estimators=1, task_likelihoods="bernoulli").fit(X, targets)


def test_targets(table):
    X, Y = table
    model = MultiTaskVAERegressor(2, n_estimators=1, max_iter=2)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, Y[:-1])
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        model.fit(X, None)
    with pytest.raises(ValueError, match="Input y contains infinity"):
        model.fit(X, np.where(Y > 1, np.inf, Y))
    empty = pd.DataFrame(Y, columns=["a", "b", "c"]).assign(b=np.nan)
    with pytest.raises(ValueError, match=r"Task 'b' \(column 1 of y\) has none"):
        model.fit(X, empty)
    with pytest.raises(ValueError, match=r"Task 'y1' \(column 1 of y\) has none"):
        model.fit(X, Y, sample_weight=np.ones_like(Y) * [1, 0, 1])
    with pytest.raises(ValueError, match=r"y must have 3 columns, one per task. Got 2 instead"):
        model.partial_fit(X, Y).partial_fit(X, Y[:, :2])


def test_weights(table):
    X, Y = table
    model = MultiTaskVAERegressor(2, n_estimators=1, max_iter=2)
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(60,\) or \(60, 3\). Got \(60, 2\)"):
        model.fit(X, Y, sample_weight=np.ones((60, 2)))
    with pytest.raises(ValueError, match="Negative values"):
        model.fit(X, Y, sample_weight=-np.ones((60, 3)))
    with pytest.raises(ValueError, match=r"weight.*zero"):
        model.fit(X, Y, sample_weight=np.zeros((60, 3)))
    for weights in ([1, 2], [[1, 1, 1]]):
        with pytest.raises(ValueError, match="task_weighting must have one value per task, 3 of them"):
            model.set_params(task_weighting=weights).fit(X, Y)
    for weights in ([1, -1, 1], [1, np.nan, 1], ["a", "b", "c"]):
        with pytest.raises(ValueError, match="task_weighting must hold 3 finite weights >= 0"):
            model.set_params(task_weighting=weights).fit(X, Y)


def test_columns_without_values_or_without_spread(estimator, table):
    X, Y = table
    X = X.copy()
    X[:, 1] = np.nan
    X[:, 3] = 4.25
    with pytest.warns(UserWarning, match=r"Columns without an observed value are ignored: \[1\]"):
        estimator.set_params(max_iter=30).fit(X, Y)
    decoded = estimator.inverse_transform(estimator.transform(X))
    assert np.isfinite(decoded).all()
    np.testing.assert_allclose(decoded[:, 3], 4.25, atol=0.5)
    X[:, 1] = 8.0  # seen by no training row
    assert np.isfinite(estimator.transform(X)).all()


@pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
def test_one_row(estimator, likelihood):
    X, Y = np.array([[0.25, 0.625, 0.125]]), np.array([[0.25, 7.0]])  # as shares that sum to one, all have them
    estimator.set_params(likelihood=likelihood).fit(X, Y)
    assert np.isfinite(estimator.predict(X)).all()
    assert np.isfinite(estimator.score_samples(X)).all()
    with pytest.raises(ValueError, match=r"early_stopping=True holds out .* Got 1 rows"):
        estimator.set_params(early_stopping=True).fit(X, Y)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_loss_that_is_not_finite(estimator, table):
    with pytest.raises(
        ValueError, match=r"loss must stay finite. It became (nan|inf) in epoch \d+ .*Lower learning_rate"
    ):
        estimator.set_params(learning_rate_init=1e30, max_iter=20).fit(*table)


def test_a_fit_that_fails_leaves_the_last_one(estimator, table):
    X, Y = table
    Z = estimator.fit(X, Y).transform(X)
    with pytest.raises(ValueError, match="loss must stay finite"):
        estimator.set_params(learning_rate_init=1e30, max_iter=20).fit(X, Y)
    np.testing.assert_array_equal(estimator.transform(X), Z)
