"""What happens between fits: parameters that change, states that are taken up, fits that fail."""

import copy
import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer


def normalised_coders(n_features, n_code, n_components, n_outputs):
    """Return an architecture whose encoder has buffers that training changes."""
    encoder = torch.nn.Sequential(torch.nn.Linear(n_features, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, n_code))
    return encoder, torch.nn.Linear(n_components, n_outputs)


def test_parameters_set_after_fit_wait_for_the_next(estimator, table):
    X, Y = table
    estimator.fit(X, Y)
    before = estimator.transform(X), estimator.predict(X), estimator.score_samples(X)
    estimator.set_params(n_components=1, activation="tanh", hidden_layer_sizes=(3,), dtype="float64")
    again = pickle.loads(pickle.dumps(estimator))
    for model in (estimator, again):
        for one, other in zip(before, (model.transform(X), model.predict(X), model.score_samples(X)), strict=True):
            np.testing.assert_array_equal(one, other)
        assert len(model.get_feature_names_out()) == 2
        assert model.inverse_transform(before[0]).shape == X.shape
        assert model.net_.module_.encoder[0].out_features == 8
    assert estimator.fit(X, Y).transform(X).shape == (60, 1)


@pytest.mark.parametrize("change", [{"n_components": 3}, {"activation": "tanh"}, {"likelihood": "gaussian"}])
def test_going_on_needs_the_same_shape(estimator, table, change):
    X, Y = table
    estimator.set_params(warm_start=True, likelihood="squared_error").fit(X, Y).set_params(**change)
    with pytest.raises(ValueError, match="must not change the parameters that shape the model"):
        estimator.fit(X, Y)
    with pytest.raises(ValueError, match="must not change the parameters that shape the model"):
        estimator.partial_fit(X, Y)


def test_training_on_leaves_a_loaded_file_and_a_copy_alone(estimator, table, tmp_path):
    X, Y = table
    estimator.set_params(architecture=normalised_coders).fit(X, Y)
    Z = estimator.transform(X)
    joblib.dump(estimator, tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r").partial_fit(X + 3, Y)
    shallow = copy.copy(estimator).partial_fit(X + 3, Y)
    assert not np.allclose(mapped.transform(X), Z)
    assert not np.allclose(shallow.transform(X), Z)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(estimator)).transform(X), Z)


def test_failed_fit_on_other_columns_leaves_the_last_one(estimator, table):
    X, Y = table
    Z = estimator.fit(X, Y).transform(X)
    with pytest.raises(ValueError, match="loss must stay finite"):
        estimator.set_params(learning_rate_init=1e30, max_iter=20).fit(X[:, :3], Y[:, :2])
    np.testing.assert_array_equal(estimator.transform(X), Z)
    assert estimator.predict(X).shape == (60, 3 if isinstance(estimator, MultiTaskVAERegressor) else 5)


@pytest.mark.parametrize("alphas", [(3.0, 0.0), (0.0, 3.0)])
def test_optimiser_starts_anew_where_its_vectors_changed(estimator, table, alphas):
    X, Y = table
    for alpha in alphas:
        estimator.set_params(alpha=alpha).partial_fit(X, Y)
    state = estimator._fitted.optimizer_states[0]
    assert {name: part["exp_avg"].size for name, part in state.items()} == {
        name: vector.numel() for name, vector in estimator.net_.runs_.models.learned.items()
    }


def test_architecture_may_use_a_fitted_estimator(table):
    X, _ = table
    first = AutoencoderTransformer(2, hidden_layer_sizes=(8,), max_iter=2, random_state=0).fit(X)

    def pretrained(n_features, n_code, n_components, n_outputs):
        return copy.deepcopy(first.module_.encoder).requires_grad_(True), torch.nn.Linear(n_components, n_outputs)

    again = AutoencoderTransformer(2, architecture=pretrained, max_iter=1, random_state=0).fit(X)
    assert again.transform(X).shape == (60, 2)


def test_compiled_net_keeps_plain_names(table):
    X, _ = table
    model = AutoencoderTransformer(2, hidden_layer_sizes=(8,), max_iter=2, random_state=0)
    plain = clone(model).fit(X).transform(X)
    compiled = model.set_params(net_params={"compile": True, "compile__backend": "eager"}).fit(X)
    np.testing.assert_allclose(compiled.transform(X), plain, atol=1e-5)


def test_samples_keep_the_digits_of_a_large_location():
    rng = np.random.default_rng(0)
    X = np.column_stack([1.7e9 + 20 * rng.normal(size=300), rng.normal(size=300)])
    drawn = VAETransformer(2, hidden_layer_sizes=(32,), random_state=0).fit(X).sample(500, random_state=0)
    assert drawn[:, 0].std() == pytest.approx(20, rel=0.3)
    assert len(np.unique(drawn[:, 0])) > 400


@pytest.mark.parametrize(
    "view", [lambda X: X[::-1], lambda X: X[:, ::-1], np.asfortranarray, lambda X: X.astype(">f8")]
)
def test_any_layout_of_memory(estimator, table, view):
    X, Y = table
    estimator.fit(X, Y)
    np.testing.assert_allclose(estimator.transform(view(X)), estimator.transform(np.array(view(X), dtype=float)))


def test_held_out_loss_is_a_weighted_mean(table):
    X, _ = table
    weight = np.ones(len(X))
    weight[:5] = 1e6
    model = VAETransformer(2, hidden_layer_sizes=(8,), early_stopping=True, random_state=0, max_iter=3)
    assert 2 < -model.fit(X, sample_weight=weight).validation_scores_[0] < 20


def test_weights_of_missing_labels_have_no_say(table):
    X, Y = table
    Y = Y.copy()
    Y[::2, 1] = np.nan
    model = MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(8,), max_iter=3, random_state=0)
    loud = np.where(np.isnan(Y), 50.0, 1.0)
    np.testing.assert_array_equal(
        model.fit(X, Y, sample_weight=loud).predict(X), model.fit(X, Y, sample_weight=np.ones_like(Y)).predict(X)
    )


def test_target_columns_are_told_apart_by_name(table):
    pandas = pytest.importorskip("pandas")
    X, Y = table
    frame = pandas.DataFrame(Y, columns=["a", "b", "c"])
    model = MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(8,)).partial_fit(X, frame)
    with pytest.raises(ValueError, match=r"y must have the columns \['a', 'b', 'c'\], in this order"):
        model.partial_fit(X, frame[["b", "a", "c"]])
    nullable = frame.round().astype("Int64")
    nullable.iloc[::3, 0] = pandas.NA
    assert np.isfinite(model.fit(X, nullable).score(X, nullable))


@pytest.mark.parametrize("name", ["valid_rows", "seeds", "iterator_train__shuffle", "dataset__x", "optimizer__lr"])
def test_no_parameter_of_the_net_is_ignored(estimator, table, name):
    with pytest.raises(ValueError, match=f"net_params must leave '{name}' out"):
        estimator.set_params(net_params={name: None}).fit(*table)


def test_counts_are_checked(table):
    X, _ = table
    vae = VAETransformer(2, hidden_layer_sizes=(8,), max_iter=1).fit(X)
    with pytest.raises(ValueError, match="n_importance_samples == 0, must be >= 1"):
        vae.score_samples(X, n_importance_samples=0)
    with pytest.raises(ValueError, match="n_samples == -1, must be >= 1"):
        vae.sample(-1)


def test_checkpoints_of_skorch(estimator, table, tmp_path):
    from skorch.callbacks import Checkpoint

    callbacks = [Checkpoint(dirname=str(tmp_path), monitor="train_loss_best")]
    estimator.set_params(net_params={"callbacks": callbacks}).fit(*table)
    assert (tmp_path / "params.pt").exists()
