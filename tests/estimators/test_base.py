"""What users do with the estimators, beyond scikit-learn's own checks."""

import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVR
from sklearn.utils import estimator_html_repr

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.corruptions import CORRUPTIONS, gaussian, masking
from sklearn_mtae.nn.likelihoods import Gaussian, Likelihood
from sklearn_mtae.nn.penalties import PENALTIES
from tests.conftest import ESTIMATORS


def linear_coders(n_features, n_code, n_components, n_outputs):
    """Return a user's own architecture, with a torch Dropout in it."""
    encoder = torch.nn.Sequential(torch.nn.Dropout(0.2), torch.nn.Linear(n_features, n_code))
    return encoder, torch.nn.Linear(n_components, n_outputs)


class Laplace(Likelihood):
    """A user's own likelihood: location from the decoder, scale fixed."""

    def distribution(self, params):
        return torch.distributions.Laplace(params, torch.ones_like(params), validate_args=False)


def test_names_and_frames(estimator, table):
    X, Y = table
    frame = pd.DataFrame(X, columns=list("abcde"))
    estimator.set_output(transform="pandas").fit(frame, Y)
    prefix = type(estimator).__name__.lower()
    assert list(estimator.get_feature_names_out()) == [f"{prefix}0", f"{prefix}1"]
    assert list(estimator.transform(frame).columns) == [f"{prefix}0", f"{prefix}1"]
    assert list(estimator.feature_names_in_) == list("abcde")
    polars = pytest.importorskip("polars")
    assert isinstance(estimator.set_output(transform="polars").transform(frame), polars.DataFrame)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.transform(frame[list("edcba")])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_follows_the_input(estimator, table, dtype):
    X, Y = (part.astype(dtype) for part in table)
    estimator.fit(X, Y)
    Z = estimator.transform(X)
    assert Z.dtype == estimator.predict(X).dtype == estimator.inverse_transform(Z).dtype == dtype
    other = np.float64 if dtype == np.float32 else np.float32
    np.testing.assert_allclose(estimator.transform(X.astype(other)), Z, atol=1e-4)


def test_training_in_float64(estimator, table):
    estimator.set_params(dtype="float64").fit(*table)
    assert {p.dtype for p in estimator.module_.parameters()} == {torch.float64}


def test_curves(estimator, table):
    estimator.set_params(early_stopping=True)
    if not isinstance(estimator, AutoencoderTransformer):
        estimator.set_params(beta=1.0)
    if isinstance(estimator, MultiTaskVAERegressor):
        estimator.set_params(reconstruction_weight=1.0)
    estimator.fit(*table)
    assert len(estimator.loss_curve_) == len(estimator.validation_scores_) == estimator.n_iter_ == 3
    expected = {"distortion"}
    if not isinstance(estimator, AutoencoderTransformer):
        expected.add("rate")
    if isinstance(estimator, MultiTaskVAERegressor):
        expected |= {"task:y0", "task:y1", "task:y2"}
    assert set(estimator.term_curves_) >= expected
    terms = {name: curve for name, curve in estimator.term_curves_.items() if name != "penalty"}
    penalty = estimator.penalty_weight * np.asarray(estimator.term_curves_.get("penalty", np.zeros(3)))
    np.testing.assert_allclose(np.sum(list(terms.values()), axis=0) + penalty, estimator.loss_curve_, rtol=1e-4)


def test_early_stopping_restores_the_best_weights(table):
    X, _ = table
    model = VAETransformer(
        2,
        early_stopping=True,
        validation_fraction=0.3,
        n_iter_no_change=3,
        learning_rate_init=0.05,
        max_iter=300,
        beta=1.0,
        random_state=0,
    ).fit(X)
    assert model.n_iter_ < model.max_iter
    best = int(np.argmax(model.validation_scores_))
    shorter = clone(model).set_params(max_iter=best + 1, n_iter_no_change=1000).fit(X)
    np.testing.assert_allclose(model.transform(X), shorter.transform(X), rtol=1e-6)


def test_partial_fit_trains_on(estimator, table):
    X, Y = table
    for _ in range(2):
        estimator.partial_fit(X, Y)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 2
    losses = [estimator.partial_fit(X, Y).loss_curve_[-1] for _ in range(30)]
    assert losses[-1] < losses[0]


def test_partial_fit_goes_on_after_pickling(estimator, table):
    import pickle

    X, Y = table
    estimator.partial_fit(X, Y)
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.partial_fit(X, Y).transform(X), estimator.partial_fit(X, Y).transform(X))


def test_warm_start_goes_on_and_cold_start_begins_again(estimator, table):
    X, Y = table
    first = estimator.fit(X, Y).transform(X)
    np.testing.assert_array_equal(estimator.fit(X, Y).transform(X), first)
    estimator.set_params(warm_start=True).fit(X, Y)
    assert estimator.n_iter_ == 6
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]
    assert not np.array_equal(estimator.transform(X), first)


def test_rows_of_weight_zero_do_not_count(estimator, table):
    X, Y = table
    weight = np.ones(len(X))
    weight[40:] = 0
    noisy = X.copy()
    noisy[40:] = 1e6
    half = clone(estimator).fit(X[:40], Y[:40])
    weighted = estimator.fit(noisy, Y, sample_weight=weight)
    np.testing.assert_allclose(weighted.module_.units.location, half.module_.units.location)
    np.testing.assert_allclose(weighted.transform(X), half.transform(X), atol=1e-5)


def test_only_ratios_of_weights_matter(estimator, table):
    X, Y = table
    weight = np.random.default_rng(0).random(len(X)) + 0.5
    one = clone(estimator).fit(X, Y, sample_weight=weight).transform(X)
    np.testing.assert_allclose(estimator.fit(X, Y, sample_weight=1000 * weight).transform(X), one, atol=1e-5)


@pytest.mark.parametrize("corruption", [*sorted(CORRUPTIONS), partial(masking, fraction=0.6), gaussian])
def test_corruptions_change_the_training_alone(estimator, table, corruption):
    X, Y = table
    clean = clone(estimator).fit(X, Y)
    noisy = estimator.set_params(corruption=corruption).fit(X, Y)
    assert not np.allclose(noisy.transform(X), clean.transform(X))
    np.testing.assert_array_equal(noisy.transform(X), noisy.transform(X))


@pytest.mark.parametrize("penalty", sorted(PENALTIES))
def test_penalties_shrink_what_they_penalise(penalty, table):
    X, _ = table
    model = AutoencoderTransformer(2, hidden_layer_sizes=(8,), max_iter=100, learning_rate_init=0.01, random_state=0)
    weak = clone(model).set_params(penalty=penalty, penalty_weight=1e-6).fit(X)
    strong = model.set_params(penalty=penalty, penalty_weight=1.0).fit(X)
    assert strong.term_curves_["penalty"][-1] < 0.5 * weak.term_curves_["penalty"][-1]


def test_own_architecture_and_likelihood(estimator, table):
    estimator.set_params(architecture=linear_coders, likelihood=Laplace).fit(*table)
    assert isinstance(estimator.module_.likelihood, Laplace)
    assert not any(type(part) is torch.nn.Dropout for part in estimator.module_.modules())
    estimator.set_params(likelihood=partial(Gaussian, scale=0.5)).fit(*table)


@pytest.mark.parametrize("beta", ["linear", lambda progress: 0.5 * progress, 0.0])
def test_beta_weighs_the_rate(table, beta):
    model = VAETransformer(2, max_iter=8, batch_size=10, beta=beta, random_state=0).fit(table[0])
    rates = np.divide(np.subtract(model.loss_curve_, model.term_curves_["distortion"]), model.term_curves_["rate"])
    assert np.all(np.diff(rates) >= -1e-4)
    assert rates[-1] == pytest.approx({0.0: 0}.get(beta, 1.0 if beta == "linear" else 0.45), abs=0.07)


def test_bernoulli_reconstructs_probabilities():
    X = (np.random.default_rng(0).random((80, 6)) < np.linspace(0.1, 0.9, 6)).astype(float)
    for model in ESTIMATORS:
        model = model(2, likelihood="bernoulli", max_iter=5, random_state=0).fit(X, X[:, 0])
        means = model.inverse_transform(model.transform(X))
        assert ((means > 0) & (means < 1)).all()
        if hasattr(model, "sample"):
            drawn = model.sample(50, random_state=0)
            assert set(np.unique(drawn[0] if isinstance(drawn, tuple) else drawn)) <= {0.0, 1.0}


def test_samples_have_the_moments_of_the_data(table):
    X, _ = table
    drawn = VAETransformer(2, random_state=0).fit(X).sample(4000, random_state=0)
    np.testing.assert_allclose(drawn.mean(0), X.mean(0), atol=0.4 * X.std(0).max())
    np.testing.assert_allclose(drawn.std(0), X.std(0), rtol=0.3)


def test_missing_features(estimator, table):
    X, Y = table
    X = X.copy()
    X[np.random.default_rng(0).random(X.shape) < 0.3] = np.nan
    estimator.fit(X, Y)
    assert np.isfinite(estimator.transform(X)).all()
    assert np.isfinite(estimator.predict(X)).all()
    assert np.isfinite(estimator.score_samples(X)).all()
    assert np.isfinite(estimator.score(X, Y))


def test_pipeline_and_grid_search(table):
    X, Y = table
    search = GridSearchCV(
        Pipeline([("encode", AutoencoderTransformer(max_iter=5, random_state=0)), ("svr", SVR())]),
        {"encode__n_components": [1, 3], "encode__likelihood": ["squared_error", "gaussian"], "svr__C": [1, 10]},
        cv=2,
    ).fit(X, Y[:, 0])
    assert set(search.best_params_) == {"encode__n_components", "encode__likelihood", "svr__C"}


def test_metadata_routing(table):
    X, Y = table
    weight = np.ones((len(X), 3))
    with config_context(enable_metadata_routing=True):
        model = MultiTaskVAERegressor(2, n_estimators=1, max_iter=2, random_state=0).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        search = GridSearchCV(model, {"n_components": [1, 2]}, cv=2).fit(X, Y, sample_weight=weight)
        assert search.best_estimator_.n_iter_ == 2
        encoder = AutoencoderTransformer(2, max_iter=2).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(encoder, SVR().set_fit_request(sample_weight=True))
        pipeline.fit(X, Y[:, 0], sample_weight=np.ones(len(X)))


def test_html_representation(estimator, table):
    assert type(estimator).__name__ in estimator_html_repr(estimator)
    assert type(estimator).__name__ in estimator_html_repr(estimator.fit(*table))


def test_verbose_prints_a_line_an_epoch(estimator, table, capsys):
    estimator.set_params(verbose=1, early_stopping=True).fit(*table)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"[{type(estimator).__name__}] Epoch 1: loss ")
    assert "distortion" in lines[0]
    assert "validation" in lines[0]
    capsys.readouterr()
    estimator.set_params(verbose=0).fit(*table)
    assert capsys.readouterr().out == ""


def test_skorch_callbacks_and_parameters(estimator, table):
    from skorch.callbacks import Callback, GradientNormClipping, LRScheduler

    class Watch(Callback):
        def __init__(self):
            self.batches, self.gradients, self.epochs = 0, 0, 0

        def on_batch_end(self, net, **kwargs):
            self.batches += kwargs["training"]

        def on_grad_computed(self, net, named_parameters, **kwargs):
            self.gradients += all(p.grad is not None for _, p in named_parameters)

        def on_epoch_end(self, net, **kwargs):
            self.epochs += 1

    watch = Watch()
    callbacks = [watch, GradientNormClipping(1e-3), LRScheduler("StepLR", step_size=1, gamma=0.5)]
    estimator.set_params(net_params={"callbacks": callbacks, "optimizer__betas": (0.5, 0.9)}, batch_size=20)
    estimator.fit(*table)
    assert (watch.batches, watch.gradients, watch.epochs) == (9, 9, 3)
    assert estimator.net_.optimizer_.param_groups[0]["betas"] == (0.5, 0.9)
    assert estimator.net_.optimizer_.param_groups[0]["lr"] < 1e-3
    assert len(estimator.net_.history) == 3


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.LBFGS])
def test_own_optimiser(estimator, table, optimizer):
    estimator.set_params(net_params={"optimizer": optimizer}, learning_rate_init=1e-4, alpha=0.0).fit(*table)
    assert isinstance(estimator.net_.optimizer_, optimizer)


def test_weight_decay_is_not_ignored(estimator, table):
    estimator.set_params(net_params={"optimizer": torch.optim.LBFGS}, alpha=1.0)
    with pytest.raises(ValueError, match="alpha must be 0 with an optimizer other than AdamW"):
        estimator.fit(*table)


def test_skorch_callback_that_stops_is_no_interrupt(estimator, table):
    from skorch.callbacks import EarlyStopping

    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=1e9, threshold_mode="abs", sink=lambda *_: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.set_params(max_iter=50, net_params={"callbacks": [stop]}).fit(*table)
    assert estimator.n_iter_ < 10


def hidden_weights(model):
    return model.module_.hidden_weights()


def test_weight_decay_spares_what_is_not_hidden(table):
    X, _ = table
    free = VAETransformer(2, hidden_layer_sizes=(8,), alpha=0.0, random_state=0, max_iter=20).fit(X)
    decayed = clone(free).set_params(alpha=20.0).fit(X)
    assert len(hidden_weights(decayed)) == 2
    assert hidden_weights(clone(free).set_params(hidden_layer_sizes=()).fit(X)) == []
    shrunk = [p.norm() / q.norm() for p, q in zip(hidden_weights(decayed), hidden_weights(free), strict=True)]
    assert max(shrunk) < 0.9
    assert [group["weight_decay"] for group in decayed.net_.optimizer_.param_groups] == [20.0, 0.0]


def test_scores_with_missing_labels_in_cross_validation(table):
    X, Y = table
    Y = Y.copy()
    Y[np.random.default_rng(0).random(Y.shape) < 0.3] = np.nan
    scores = cross_val_score(MultiTaskVAERegressor(2, n_estimators=1, random_state=0, max_iter=20), X, Y, cv=3)
    assert np.isfinite(scores).all()


def test_own_adamw_takes_the_steps_of_torchs(estimator, table):
    ours = clone(estimator).set_params(alpha=3.0, dtype="float64").fit(*table)
    torchs = estimator.set_params(alpha=3.0, dtype="float64", net_params={"optimizer": torch.optim.AdamW}).fit(*table)
    np.testing.assert_allclose(ours.transform(table[0]), torchs.transform(table[0]), rtol=1e-9)


@pytest.mark.parametrize("rows", [slice(1), slice(0, 2)])
def test_a_score_that_is_not_defined(rows):
    """R2 needs two values; where no column has them it is NaN, as in `metrics`, and nobody is warned of a mean."""
    X = np.random.default_rng(0).normal(size=(20, 3))
    model = AutoencoderTransformer(2, hidden_layer_sizes=(8,), max_iter=2, random_state=0).fit(X)
    gaps = np.where(np.eye(20, 3)[rows] > 0, X[rows], np.nan)
    assert np.isnan(model.score(gaps))
    assert np.isfinite(model.score(X[rows])) == (len(X[rows]) > 1)


def test_a_subclass_may_have_fewer_parameters_and_others(table):
    class Small(AutoencoderTransformer):
        def __init__(self, n_components=2, *, max_iter=2, factor=1.0):
            super().__init__(n_components, hidden_layer_sizes=(4,), max_iter=max_iter, random_state=0)
            self.factor = factor

        def transform(self, X):
            return self.factor * super().transform(X)

    X, _ = table
    expected = AutoencoderTransformer(2, hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit_transform(X)
    np.testing.assert_array_equal(Small(factor=2.0).fit(X).transform(X), 2 * expected)
    assert Small().partial_fit(X).set_params(max_iter=3).fit(X).n_iter_ == 3
