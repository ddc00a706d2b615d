"""Weightings of tasks: closed forms, torchjd's own gradients, missing labels."""

import sys

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._fitting.build import build
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.loss import Loss
from sklearn_mtae.nn.objectives import elbo
from sklearn_mtae.nn.random import draw_from
from sklearn_mtae.nn.weightings import WEIGHTINGS, Aggregation, DynamicAverage, FastAdaptive, Uncertainty


@pytest.fixture
def model():
    return MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(16,), max_iter=5, random_state=0)


@pytest.fixture
def gaps(table):
    """The table with 60 % of the labels missing at random."""
    X, Y = table
    return X, np.where(np.random.default_rng(0).random(Y.shape) < 0.6, np.nan, Y)


@pytest.mark.parametrize("name", sorted(WEIGHTINGS))
def test_trains_in_float32_with_most_labels_missing(name, model, gaps):
    X, Y = gaps
    model.set_params(task_weighting=name, batch_size=12, max_iter=6, learning_rate_init=0.03, alpha=0)
    fitted = model.fit(X.astype(np.float32), Y.astype(np.float32))
    assert fitted.task_weights_.shape == (6, 3)
    assert fitted.predict(X.astype(np.float32)).dtype == np.float32
    assert fitted.score(X, Y) > 0.5
    before = fitted.predict(X)
    np.testing.assert_array_equal(model.fit(X.astype(np.float32), Y.astype(np.float32)).predict(X), before)


@pytest.mark.parametrize("name", ["uncertainty", "dwa", "famo", "pcgrad", "nash_mtl"])
def test_classes_and_mixed_kinds(name, table):
    X, Y = table
    labels = np.where(Y > 0, "up", "down").astype(object)
    labels[::2, 0] = None
    settings = {"n_components": 2, "hidden_layer_sizes": (16,), "max_iter": 8, "batch_size": 30, "random_state": 0}
    classifier = MultiTaskVAEClassifier(**settings, n_estimators=1, task_weighting=name, learning_rate_init=0.05).fit(
        X, labels
    )
    assert classifier.score(X, labels) > 0.7
    kinds = ["gaussian", "poisson", "bernoulli"]
    targets = np.column_stack([Y[:, 0], np.abs(Y[:, 1]).round(), Y[:, 2] > 0])
    regressor = MultiTaskVAERegressor(n_estimators=1, **settings, task_weighting=name, task_likelihoods=kinds).fit(
        X, targets
    )
    assert np.isfinite(regressor.loss_curve_).all()


@pytest.mark.parametrize("likelihood", ["squared_error", "gaussian"])
def test_uncertainty_reaches_its_optimum(likelihood):
    """Two linear tasks with noise of their own: the weight of each is the inverse of its mean squared residual."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    Y = X @ rng.normal(size=(3, 2)) + rng.normal(size=(400, 2)) * [0.5, 1.5]
    model = MultiTaskVAERegressor(
        3,
        n_estimators=1,
        hidden_layer_sizes=(),
        head_hidden_layer_sizes=(),
        task_likelihoods=likelihood,
        task_weighting="uncertainty",
        reconstruction_weight=0,
        batch_size=None,
        learning_rate_init=0.05,
        max_iter=600,
        random_state=0,
    ).fit(X, Y)
    residuals = (Y - LinearRegression().fit(X, Y).predict(X)) / Y.std(0)
    # Each epoch draws codes of its own, and the weights move about their optimum: what counts is their mean.
    np.testing.assert_allclose(model.task_weights_[-200:].mean(0), 1 / (residuals**2).mean(0), rtol=0.01)


def test_uncertainty_of_classes_is_a_temperature():
    """At the optimum of `exp(-s) * loss + s / 2` the loss is half of `exp(s)`, for each label whatever its number."""
    weighting = Uncertainty(2, LIKELIHOODS["bernoulli"](2)).train()
    losses, labelled = torch.tensor([0.6, 0.1]), torch.tensor([1.0, 0.25])
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        weighting(losses, labelled).backward()
        optimizer.step()
    torch.testing.assert_close(weighting.end_epoch(losses, labelled), labelled / (2 * losses), rtol=1e-3, atol=0)


def test_dynamic_average_by_hand():
    """Liu et al. 2019, equation 7, with losses of two epochs."""
    weighting = DynamicAverage(2, LIKELIHOODS["poisson"](2)).train()
    ones = torch.ones(2)
    first = weighting.end_epoch(torch.tensor([4.0, 1.0]), ones)
    assert first.tolist() == [1, 1]
    weighting.end_epoch(torch.tensor([2.0, 0.9]), ones)
    ratio = np.array([2 / 4, 0.9 / 1.0])
    expected = 2 * np.exp(ratio / 2) / np.exp(ratio / 2).sum()
    np.testing.assert_allclose(weighting(torch.eye(2)[0], ones).item(), expected[0], rtol=1e-6)
    np.testing.assert_allclose(weighting.weights, expected, rtol=1e-6)


def test_dynamic_average_passes_over_an_epoch_without_labels():
    weighting = DynamicAverage(2, LIKELIHOODS["poisson"](2)).train()
    weighting.end_epoch(torch.tensor([4.0, 1.0]), torch.ones(2))
    weighting.end_epoch(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0]))
    assert torch.isfinite(weighting.weights).all()
    weighting.end_epoch(torch.tensor([2.0, 0.5]), torch.ones(2))
    ratio = np.array([1.0, 0.5])
    np.testing.assert_allclose(weighting.weights, 2 * np.exp(ratio / 2) / np.exp(ratio / 2).sum(), rtol=1e-6)


def test_famo_by_hand():
    """Liu et al. 2023, algorithm 1: gradient of the weighted log losses, then a step of the logits."""
    weighting = FastAdaptive(2, LIKELIHOODS["poisson"](2)).train()
    ones, losses = torch.ones(2), torch.tensor([2.0, 0.5], requires_grad=True)
    weighting(losses, ones).backward()
    by_hand = np.array([0.5 / 2.0, 0.5 / 0.5])
    np.testing.assert_allclose(losses.grad, 2 * by_hand / by_hand.sum(), rtol=1e-6)
    weighting.after_step(losses.detach(), torch.tensor([1.0, 0.5]), ones)
    # The first step of Adam is the learning rate against the gradient: the first task has gained, the second has not.
    np.testing.assert_allclose(weighting.logits, [-0.025, 0.025], rtol=1e-4)


def test_famo_leaves_a_task_without_labels_alone():
    weighting = FastAdaptive(3, LIKELIHOODS["gaussian"](3)).train()
    losses, labelled = torch.tensor([1.0, 0.0, -2.0], requires_grad=True), torch.tensor([1.0, 0.0, 0.5])
    weighting(losses, labelled).backward()
    assert losses.grad[1] == 0
    assert torch.isfinite(losses.grad).all()
    weighting.after_step(losses.detach(), losses.detach() - 0.1, labelled)
    assert torch.isfinite(weighting.logits).all()
    assert weighting.logits[1].abs() < 1e-6


def gradients(model, X, Y, weighting, scale=1.0):
    """Return the gradients of one batch, in float64 and with the same draws each time, the heads scaled before."""
    module = build(model._fitted.recipe_of(0)).double().train()
    with torch.no_grad():
        for parameter in module.heads.parameters():
            parameter.mul_(scale)
    draw_from(module, torch.Generator().manual_seed(0))
    loss = Loss(elbo, beta=0.7, reconstruction_weight=0.3, weighting=weighting).train()
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    result = loss(module, module(X, Y))
    return module, loss, result


@pytest.mark.parametrize("name", ["PCGrad", "UPGrad"])
def test_gradients_are_those_of_torchjd(name, model, gaps):
    """torchjd differentiates the losses itself; what bypasses the code, the rate, is in the rest of the gradient."""
    from torchjd import aggregation
    from torchjd.autojac import backward, jac_to_grad

    X, Y = (torch.from_numpy(part[:24]) for part in gaps)
    model.fit(*gaps)
    targets, make = LIKELIHOODS["gaussian"](3), getattr(aggregation, name)
    module, loss, result = gradients(model, X, Y, Aggregation(3, targets, aggregator=lambda n_tasks: make()))
    module.generator.manual_seed(5)
    loss.backward(result, module)
    ours = {key: parameter.grad.clone() for key, parameter in module.named_parameters()}

    module, loss, result = gradients(model, X, Y, WEIGHTINGS["equal"](3, targets).double())
    means, shared = result.means, module.shared_parameters()
    own = [parameter for parameter in module.parameters() if all(parameter is not other for other in shared)]
    (0.3 * means["distortion"] + 0.7 * means["rate"]).backward(retain_graph=True)
    means["tasks"].sum().backward(inputs=own, retain_graph=True)
    plain = [parameter.grad for parameter in shared]
    for parameter in shared:
        parameter.grad = None
    backward(list(means["tasks"].unbind()), inputs=shared)
    # PCGrad visits the tasks in a random order: that of the seed which our step has drawn.
    torch.manual_seed(int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(5))))
    jac_to_grad(shared, make())
    for parameter, other in zip(shared, plain, strict=True):
        parameter.grad = parameter.grad + other
    assert any(other.abs().max() > 0 for other in plain)
    for key, parameter in module.named_parameters():
        torch.testing.assert_close(ours[key], parameter.grad, rtol=1e-5, atol=1e-8)


def test_a_batch_without_a_label_does_not_move_its_task(model, gaps):
    X, Y = (torch.from_numpy(part[:24]) for part in gaps)
    model.fit(*gaps)
    absent = Y.clone()
    absent[:, 1] = float("nan")
    for name, factory in WEIGHTINGS.items():
        module, loss, result = gradients(model, X, absent, factory(3, LIKELIHOODS["gaussian"](3)).double())
        loss.backward(result, module)
        for parameter in module.heads.parameters():
            assert parameter.grad[1].abs().max() == 0, name
            assert torch.isfinite(parameter.grad).all()
            assert parameter.grad[0].abs().max() > 0


def test_an_instance_of_an_aggregator(model, table):
    from torchjd.aggregation import UPGrad

    X, Y = table
    aggregator = UPGrad(pref_vector=torch.tensor([1.0, 2.0, 1.0]))
    model.set_params(task_weighting=aggregator).fit(X, Y)
    assert model.task_weights_.shape == (5, 3)
    assert model.task_weighting is aggregator
    with pytest.raises(ValueError, match="task_weighting must be one of torchjd's aggregators"):
        model.set_params(task_weighting=torch.nn.Linear(2, 2)).fit(X, Y)


def test_without_torchjd_the_error_says_what_to_install(model, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(ImportError, match=r"pip install 'sklearn-mtae\[mtl\]'"):
        model.set_params(task_weighting="pcgrad").fit(*table)
    model.set_params(task_weighting="uncertainty").fit(*table)


def test_weights_by_name_and_by_position_agree(model, table):
    X, Y = table
    by_name = model.set_params(task_weighting={"y2": 3, "y0": 1, "y1": 2}).fit(X, Y).predict(X)
    np.testing.assert_array_equal(model.set_params(task_weighting=[1, 2, 3]).fit(X, Y).predict(X), by_name)
    np.testing.assert_array_equal(model.task_weights_, np.tile([1.0, 2.0, 3.0], (5, 1)))
    with pytest.raises(
        ValueError, match=r"task_weighting names unknown tasks \['a'\]. The tasks are \['y0', 'y1', 'y2'\]"
    ):
        model.set_params(task_weighting={"a": 1}).fit(X, Y)
    with pytest.raises(ValueError, match=r"There is none for \['y0', 'y1'\]"):
        model.set_params(task_weighting={"y2": 1}).fit(X, Y)


def test_a_factory_of_ones_own(model, table):
    from sklearn_mtae.nn.weightings import Weighting

    class Doubled(Weighting):
        def forward(self, losses, labelled):
            return 2 * losses.sum()

    X, Y = table
    own = model.set_params(task_weighting=Doubled).fit(X, Y).predict(X)
    np.testing.assert_allclose(model.set_params(task_weighting=[2, 2, 2]).fit(X, Y).predict(X), own, rtol=1e-5)


def test_learned_weights_go_on_where_they_were(model, table):
    """Within a call they move by exp(.12) at most: four steps of Adam, each of the learning rate times the gain."""
    model.set_params(task_weighting="uncertainty", task_likelihoods="squared_error", alpha=0, learning_rate_init=0.003)
    for _ in range(60):
        model.partial_fit(*table)
    assert model.task_weights_.shape == (60, 3)
    assert model.task_weights_[0].max() < np.exp(0.13)
    assert model.task_weights_[-1].min() > 1.5


def test_a_task_weighs_alike_whether_it_has_few_labels_or_many(table):
    """The loss of a task is the mean over its labels, computed here by hand and averaged over draws of the code."""
    X, Y = table
    few = Y.copy()
    few[::2, 1] = np.nan
    module_like = MultiTaskVAERegressor(
        2, n_estimators=1, hidden_layer_sizes=(4,), max_iter=1, batch_size=None, random_state=0
    )
    module_like.set_params(task_likelihoods="squared_error", learning_rate_init=1e-12, dtype="float64").fit(X, few)
    units, means = (few - np.nanmean(few, 0)) / np.nanstd(few, 0), []
    module = module_like.module_
    for draw in range(200):
        draw_from(module, torch.Generator().manual_seed(draw))
        output = module(module.units(torch.from_numpy(X)), torch.from_numpy(units))
        means.append(-output.y_log_prob.sum(0).detach().numpy() / (~np.isnan(few)).sum(0))
    for task in range(3):
        assert module_like.term_curves_[f"task:y{task}"][0] == pytest.approx(np.mean(means, 0)[task], abs=0.05)


@pytest.mark.parametrize("name", sorted(WEIGHTINGS))
def test_gradients_whose_products_overflow(name, model, gaps):
    """They are added as they are: no routine of a library fails for them."""
    X, Y = (torch.from_numpy(part[:24]) for part in gaps)
    model.fit(*gaps)
    weighting = WEIGHTINGS[name](3, LIKELIHOODS["gaussian"](3)).double()
    module, loss, result = gradients(model, X, Y, weighting, scale=1e45)
    assert result.loss.isfinite()
    assert result.loss > 1e150
    loss.backward(result, module)
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())
