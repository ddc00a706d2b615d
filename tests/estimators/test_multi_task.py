"""Tasks: shapes, names, missing labels, weights."""

import numpy as np
import pandas as pd
import pytest

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae.metrics import r2_score


@pytest.fixture
def model():
    return MultiTaskVAERegressor(
        2, n_estimators=1, hidden_layer_sizes=(16,), max_iter=60, learning_rate_init=0.01, random_state=0
    )


def test_one_dimension_in_one_dimension_out(model, table):
    X, Y = table
    mean, std = model.fit(X, Y[:, 0]).predict(X, return_std=True)
    assert mean.shape == std.shape == (60,)
    assert model.sample(4, random_state=0)[1].shape == (4,)
    mean, std = model.fit(X, Y[:, :1]).predict(X, return_std=True)
    assert mean.shape == std.shape == (60, 1)


def test_task_names(model, table):
    X, Y = table
    assert model.fit(X, pd.DataFrame(Y, columns=["a", "b", "c"])).task_names_ == ["a", "b", "c"]
    assert {"task:a", "task:b", "task:c"} <= set(model.term_curves_)
    assert model.fit(X, pd.Series(Y[:, 0], name="b")).task_names_ == ["b"]
    assert model.fit(X, Y.tolist()).task_names_ == ["y0", "y1", "y2"]


def test_missing_labels_do_not_move_their_task(model, table):
    """What stands in the cells of a label that is missing has no influence, and the others are learned."""
    X, Y = table
    sparse = Y.copy()
    sparse[np.random.default_rng(0).random(Y.shape) < 0.5] = np.nan
    assert model.fit(X, sparse).score(X, Y) > 0.6
    assert model.score(X, sparse) == pytest.approx(r2_score(sparse, model.predict(X)))


def test_unlabelled_rows_train_the_encoder(model, table):
    X, Y = table
    few = np.full_like(Y, np.nan)
    few[:20] = Y[:20]
    semi = model.fit(X, few).transform(X)
    assert not np.allclose(semi, model.fit(X[:20], Y[:20]).transform(X))


def test_label_weights(model, table):
    X, Y = table
    wrong = Y.copy()
    wrong[30:, 1] += 1e4
    weight = np.ones_like(Y)
    weight[30:, 1] = 0
    missing = Y.copy()
    missing[30:, 1] = np.nan
    weighted = model.fit(X, wrong, sample_weight=weight).predict(X)
    np.testing.assert_allclose(weighted, model.fit(X, missing).predict(X), rtol=1e-3, atol=1e-3)


def test_task_weighting_leaves_a_task_out(model, table):
    X, Y = table
    model.set_params(task_weighting=[1, 0, 1]).fit(X, Y)
    scores = r2_score(Y, model.predict(X), multioutput="raw_values")
    assert scores[1] < 0.3 < min(scores[0], scores[2])


def test_reconstruction_weight_zero_leaves_features_alone(model, table):
    X, Y = table
    model.set_params(reconstruction_weight=0.0, beta=0.0).fit(X, Y)
    np.testing.assert_allclose(
        np.sum([model.term_curves_[f"task:y{t}"] for t in range(3)], 0), model.loss_curve_, rtol=1e-5
    )
    assert model.score(X, Y) > 0.8


def test_heads_are_separate_networks():
    """Each head equals the network of its own weights, computed alone."""
    import torch

    from sklearn_mtae.nn.sharing import Heads

    torch.manual_seed(0)
    heads = Heads(4, [3, 5, 2], activation="tanh")
    z = torch.randn(7, 3)
    together = heads(z).unflatten(-1, (4, 2))
    first, last = heads.layers[0], heads.layers[-1]
    for task in range(4):
        hidden = torch.tanh(z @ first.weight[task].T + first.bias[task])
        torch.testing.assert_close(together[:, task], hidden @ last.weight[task].T + last.bias[task])
    draws = torch.randn(6, 7, 3)
    torch.testing.assert_close(heads(draws)[2], heads(draws[2]))
