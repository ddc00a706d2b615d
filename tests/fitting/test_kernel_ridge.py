"""Kernel ridge regression, and the columns that it finds relevant, against closed forms and finite differences."""

import numpy as np
import torch
from sklearn.kernel_ridge import KernelRidge

from sklearn_mtae._fitting.kernel_ridge import SquaredDistances, closeness, relevant_scales, unit_scale

RNG = np.random.default_rng(0)


def test_closeness():
    distances = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
    np.testing.assert_allclose(closeness(distances, 0.5), np.exp([0, -0.5, -2]))
    np.testing.assert_allclose(closeness(distances, 0.25, 0.5), np.exp([0, -0.5, -1]), atol=1e-6)


def test_roots_of_rounding_errors_are_small():
    """A row that is a centre has the same closeness, whatever the order of the sums in its distance from itself."""
    rows = torch.from_numpy(30 * RNG.normal(size=(50, 40))) * unit_scale(30 * np.ones((2, 40)) * [[1], [-1]])
    others = rows.flip(1)
    one, other = (closeness(SquaredDistances(own)(own), 0.1, 0.5) for own in (rows, others))
    np.testing.assert_allclose(one, other, atol=1e-8)


def test_the_unit_of_rows():
    rows = RNG.normal(size=(100, 7)) * 9 + 4
    assert np.isclose((rows * unit_scale(rows)).var(axis=0).sum(), 1)
    assert unit_scale(np.full((5, 3), 1e9) + 1e-6 * RNG.normal(size=(5, 3))) == 0


def test_relevance_is_the_mean_square_of_slopes():
    """Those of scikit-learn's regressions along each column, by differences, summed over what is predicted."""
    X, weight = RNG.normal(size=(80, 4)), RNG.uniform(0.5, 2, size=80)
    Y = np.column_stack([np.sin(2 * X[:, 0]) + X[:, 1], 0.3 * X[:, 2] ** 2])
    scales = np.full(4, X.var(axis=0).sum() ** -0.5)
    for _ in range(3):
        model = KernelRidge(alpha=0.1, kernel="rbf", gamma=0.5)
        model.fit(X * scales, Y, sample_weight=weight / weight.mean())
        squares = np.empty(4)
        for column, step in enumerate(1e-5 * np.eye(4)):
            slopes = model.predict((X + step) * scales) - model.predict((X - step) * scales)
            squares[column] = weight @ ((slopes / 2e-5) ** 2).sum(axis=1)
        scales = np.sqrt(squares / squares.max() + 1e-6)
        scales /= np.sqrt((X * scales).var(axis=0).sum())
    found = relevant_scales(X, Y[..., None], np.column_stack([weight, weight]))
    np.testing.assert_allclose(found, scales, rtol=1e-4)
    assert found[3] < 0.2 * found[0]


def test_columns_without_a_say_lose_theirs():
    X = RNG.normal(size=(300, 20))
    y = np.sin(2 * X[:, 0]) + X[:, 1] ** 2
    scales = relevant_scales(X, y[:, None, None], np.ones((300, 1)))
    assert scales[2:].max() < 0.2 * scales[:2].min()


def test_nothing_to_predict():
    """Columns then count alike."""
    X = RNG.normal(size=(20, 3))
    for y, weight in ((np.zeros((20, 1, 1)), np.ones((20, 1))), (np.ones((20, 1, 1)), np.zeros((20, 1)))):
        scales = relevant_scales(X, y, weight)
        np.testing.assert_allclose(scales, X.var(axis=0).sum() ** -0.5)
