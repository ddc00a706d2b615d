"""Schedules: the weight of the rate as training goes on."""

from functools import partial

import numpy as np
import pytest

from sklearn_mtae import MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.schedules import SCHEDULES, cyclic, linear

N_STEPS = 16


def betas_of(model, reconstruction_weight=1.0):
    """Return the weight that the rate had in each epoch of a single step, from what the loss has beside it."""
    terms = {name: np.array(values) for name, values in model.term_curves_.items()}
    rate, distortion = terms.pop("rate"), terms.pop("distortion")
    return (np.array(model.loss_curve_) - reconstruction_weight * distortion - sum(terms.values())) / rate


@pytest.mark.parametrize(
    ("progress", "weight"), [(0, 0), (0.125, 0.25), (0.25, 0.5), (0.499, 0.998), (0.5, 1), (0.75, 1), (1, 1)]
)
def test_linear_rises_over_the_first_half(progress, weight):
    assert linear(progress) == pytest.approx(weight)
    assert linear(progress, stop=3.0) == pytest.approx(3 * weight)
    assert linear(progress / 2, warmup=0.25) == pytest.approx(weight)


@pytest.mark.parametrize("cycle", range(4))
@pytest.mark.parametrize(("part", "weight"), [(0, 0), (0.25, 0.5), (0.375, 0.75), (0.5, 1), (0.75, 1), (0.9375, 1)])
def test_cyclic_rises_over_the_first_half_of_each_cycle(cycle, part, weight):
    progress = (cycle + part) / 4
    assert cyclic(progress) == pytest.approx(weight)
    assert cyclic(progress, stop=3.0) == pytest.approx(3 * weight)
    assert cyclic(progress, warmup=0.25) == pytest.approx(min(1, 2 * weight))


def test_cyclic_ends_at_the_top():
    assert cyclic(1.0) == 1
    assert cyclic(1.0, stop=0.2, n_cycles=7, warmup=1.0) == 0.2
    assert [cyclic(k / 6, n_cycles=3) for k in range(7)] == pytest.approx([0, 1, 0, 1, 0, 1, 1])


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_training_follows_the_schedule(name, table):
    X = table[0]
    model = VAETransformer(2, hidden_layer_sizes=(), beta=name, batch_size=None, max_iter=N_STEPS, dtype="float64")
    expected = [SCHEDULES[name](step / N_STEPS) for step in range(N_STEPS)]
    np.testing.assert_allclose(betas_of(model.fit(X)), expected, atol=1e-9)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize(("given", "weight"), [("auto", 0.05 * 3 / 5), (0.3, 0.3)])
def test_schedule_of_tasks_ends_at_the_weight_of_the_distortion(name, given, weight, table):
    model = MultiTaskVAERegressor(
        2,
        n_estimators=1,
        hidden_layer_sizes=(),
        beta=name,
        reconstruction_weight=given,
        batch_size=None,
        max_iter=N_STEPS,
    )
    betas = betas_of(model.set_params(dtype="float64").fit(*table), weight)
    np.testing.assert_allclose(betas, [weight * SCHEDULES[name](step / N_STEPS) for step in range(N_STEPS)], atol=1e-9)
    assert betas[-1] == pytest.approx(weight)


def test_own_function_sees_the_progress_and_stands_at_its_end_where_training_has_none(table):
    X, seen = table[0], []

    def watched(progress):
        seen.append(progress)
        return 0.5

    model = VAETransformer(2, hidden_layer_sizes=(), beta=watched, batch_size=20, max_iter=4).fit(X)
    np.testing.assert_allclose(seen[:12], np.arange(12) / 12)
    seen.clear()
    model.partial_fit(X)
    assert seen == [1.0] * 3
    seen.clear()
    model.set_params(early_stopping=True, batch_size=None, max_iter=2).fit(X)
    assert seen[:4] == [0.0, 1.0, 0.5, 1.0]


def test_schedule_of_other_settings(table):
    beta = partial(linear, stop=4.0, warmup=1.0)
    model = VAETransformer(2, hidden_layer_sizes=(), beta=beta, batch_size=None, max_iter=8, dtype="float64")
    np.testing.assert_allclose(betas_of(model.fit(table[0])), np.arange(8) / 2, atol=1e-9)
