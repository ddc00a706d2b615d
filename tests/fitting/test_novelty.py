"""How novel rows are: what Gaussian processes of scikit-learn leave of their variance."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae._fitting.fitted import Baseline
from sklearn_mtae._fitting.kernel_ridge import Shape
from sklearn_mtae._fitting.learn_novelty import RIDGE, SHAPES, NoveltyLearner
from sklearn_mtae._fitting.novelty import Novelty
from sklearn_mtae._fitting.novelty_curve import Curve

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3)) * [1, 2, 0.5]
KNOWN = np.column_stack([np.arange(90) < 50, np.arange(90) >= 40, np.ones(90, dtype=bool)])
NEW = RNG.normal(size=(20, 3)) * 3
MODEL = SimpleNamespace(fill=lambda x: x)


def drawn_in(rows):
    return rows / np.sqrt(1 + (rows / 10) ** 2)


def left_by_scikit_learn(rows, shape, new, unit):
    """Return the variance that a Gaussian process leaves, which does not depend on labels."""
    kernel = Matern(
        length_scale=(2 * shape.locality) ** -0.5 if shape.power == 1 else shape.locality**-0.5,
        nu=np.inf if shape.power == 1 else 0.5,
    )
    process = GaussianProcessRegressor(kernel, alpha=RIDGE, optimizer=None).fit(rows * unit, np.zeros(len(rows)))
    return process.predict(new * unit, return_std=True)[1] ** 2


def test_what_is_left_is_what_gaussian_processes_leave():
    """Each task has a process of its own, with the rows that have its labels."""
    assert {shape.power for shape in SHAPES} <= {1.0, 0.5}
    learner = NoveltyLearner(drawn_in(X), KNOWN)
    unit = drawn_in(X).var(axis=0).sum() ** -0.5
    for tasks in ([0, 1, 2], [2, 1]):
        left = learner.fit(np.ones(90, dtype=bool), tasks)(MODEL, torch.from_numpy(NEW)).numpy()
        for found, task in zip(left.swapaxes(0, 1), tasks, strict=True):
            for k, shape in enumerate(SHAPES):
                expected = left_by_scikit_learn(drawn_in(X)[KNOWN[:, task]], Shape(*shape), drawn_in(NEW), unit)
                np.testing.assert_allclose(found[:, k], expected, atol=2e-5)


def test_novelty_is_a_sum_of_powers_of_what_is_left():
    learner, x = NoveltyLearner(drawn_in(X), KNOWN), torch.from_numpy(NEW)
    trials = learner.fit(np.arange(90) % 3 > 0, range(3))
    chosen = [(2, 0.0, (4.0, 1.0), (1.0, 0.0)), (0, 0.1, (16.0, 64.0), (0.3, 0.7)), (2, 0.5, (1.0, 1.0), (1.0, 0.0))]
    curves = {task: Curve(0.0, *own, 0.1) for task, own in enumerate(chosen)}
    novelty, left = trials.chosen(curves, Baseline(np.zeros(3), np.ones(3))), trials(MODEL, x).numpy()
    second = left[:, 1, 0].clip(0.1)
    expected = np.column_stack([left[:, 0, 2] ** 4, 0.3 * second**16 + 0.7 * second**64, left[:, 2, 2].clip(0.5)])
    np.testing.assert_allclose(novelty(MODEL, x), expected, rtol=1e-9)


def test_no_row_is_novel_for_tasks_without_a_curve():
    trials = NoveltyLearner(drawn_in(X), KNOWN).fit(np.ones(90, dtype=bool), [2])
    curve = Curve(0.0, 1, 0.0, (2.0, 1.0), (1.0, 0.0), 0.1)
    novelty = trials.chosen({2: curve}, Baseline(np.zeros(3), np.ones(3)))
    assert len(novelty.neighbours.coefficients) == 1
    found = novelty(MODEL, torch.from_numpy(NEW)).numpy()
    assert not found[:, :2].any()
    assert (found[:, 2] > 0).all()


def test_deviations_are_those_of_a_mixture():
    """A row is novel with a probability, and then its label is drawn from the distribution of all labels."""
    novelty = Novelty(None, None, None, None, None, means=np.array([3.0, -20.0]), deviations=np.array([2.0, 50.0]))
    units, near, share = np.array([2.0, 50.0]), np.array([0.5, 10.0]), np.array([[0.0, 0.2], [1.0, 0.7]])
    predicted = np.array([[4.0, 30.0], [5.0, -10.0]])
    rng, n = np.random.default_rng(0), 1_000_000
    for row in range(2):
        for task in range(2):
            from_all = rng.normal(novelty.means[task], novelty.deviations[task], n)
            usual = rng.normal(predicted[row, task], near[task], n)
            drawn = np.where(rng.random(n) < share[row, task], from_all, usual)
            expected = np.sqrt(np.mean((drawn - predicted[row, task]) ** 2))
            found = novelty.widened(near, share, predicted, units)[row, task]
            assert found == pytest.approx(expected, rel=5e-3)


def test_a_row_far_from_all_others_has_the_deviation_of_all_labels():
    """A kernel predicts the mean for it, and lines go on: their error may be as large as their step from the mean."""
    x = RNG.uniform(-2, 2, size=(300, 2))
    y = 40 * np.sin(3 * x[:, 0]) + 40 * np.cos(2 * x[:, 1]) + RNG.normal(size=300) + 500
    model = MultiTaskVAERegressor(n_components=2, hidden_layer_sizes=(4,), max_iter=1, random_state=0).fit(x, y)
    average = model._fitted.average
    assert not average.weights.any()
    mean, std = model.predict(np.array([[1e3, -1e3]]), return_std=True)
    wanted = average.inflation[0] * np.sqrt(y.var() + (mean - y.mean()) ** 2)
    np.testing.assert_allclose(std, wanted, rtol=1e-6)
    near = model.predict(RNG.uniform(-1.8, 1.8, size=(200, 2)), return_std=True)[1]
    assert near.max() < std / 2
    low, high = model.predict_interval(np.array([[0.0, 0.0], [1e3, -1e3]]))
    assert (high - low)[1] > 3 * (high - low)[0]


def test_with_all_weight_at_networks_there_is_no_novelty():
    x = RNG.normal(size=(40, 2))
    model = MultiTaskVAERegressor(n_estimators=1, max_iter=1, random_state=0).fit(x, x[:, 0])
    assert model._fitted.average.baseline.novelty is None


def test_what_is_prepared_for_predictions_is_not_pickled():
    model = MultiTaskVAERegressor(n_components=2, hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    model.fit(X, np.sin(3 * X[:, 0]))
    before = pickle.dumps(model)
    model.predict(X, return_std=True)
    assert model._fitted.average.baseline.novelty.neighbours.cache
    assert len(pickle.dumps(model)) == len(before)
    assert not pickle.loads(before)._fitted.average.baseline.novelty.neighbours.cache
