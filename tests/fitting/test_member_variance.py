"""How much closer to the labels the average of all members is than that of the members that held a row out."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sklearn_mtae._fitting.choice import Choice
from sklearn_mtae._fitting.member_variance import member_variance

N_ROWS, N_MEMBERS = 6000, 10


def held_out_rows(n_settings, n_deals=1) -> Any:
    """Return held-out rows of ten members per setting, and the candidates' states: two epochs of each member."""
    n_folds = N_MEMBERS // n_deals
    members = np.arange(N_MEMBERS * n_settings)
    positions = [np.arange(k // n_settings % n_folds, N_ROWS, n_folds) for k in members]
    candidates = [
        {int(k): int(k) + epoch * len(members) for k in members[setting::n_settings]}
        for setting in range(n_settings)
        for epoch in range(2)
    ]
    return SimpleNamespace(
        y=np.zeros((N_ROWS, 2)), candidates=candidates, positions=positions, all_x=lambda rows: np.arange(N_ROWS)[rows]
    )


@pytest.mark.parametrize("n_deals", [1, 2])
def test_variances_are_those_of_independent_members(n_deals):
    """Members vary with variance 4 for the first task and 1 for the second, equally after both epochs."""
    held_out = held_out_rows(n_settings=2, n_deals=n_deals)
    of_members = np.random.default_rng(0).normal(size=(20, N_ROWS, 2)) * [2.0, 1.0]
    weights = np.array([[0.25, 0.5], [0.25, 0.0], [0.5, 0.0], [0.0, 0.5]])

    def run(states, x):
        return np.stack([of_members[state % 20][x] for state in states], axis=1)

    found = member_variance(held_out, run, weights)
    # Each setting has half of the weight, in whichever epochs: their errors are the same.
    of_one = 2 * 0.5**2 * np.array([4.0, 1.0])
    np.testing.assert_allclose(found.few.mean(axis=0), of_one / n_deals, rtol=0.05)
    np.testing.assert_allclose(found.every.mean(axis=0), of_one / 10, rtol=0.05)
    np.testing.assert_allclose(found.within.mean(axis=0), 0.9 * np.array([4.0, 1.0]), rtol=0.05)


def test_errors_become_those_of_all_members():
    """The members that were trained on a row have learned a part of its error, which is not their variance."""
    rng = np.random.default_rng(1)
    held_out = held_out_rows(n_settings=1)
    held_out.y = rng.normal(size=(N_ROWS, 2))
    of_members = 0.8 * rng.normal(size=(10, N_ROWS, 2))
    learned = 0.6 * held_out.y
    means = np.zeros((N_ROWS, 2))
    for k, rows in enumerate(held_out.positions):
        means[rows] = of_members[k, rows]

    def run(states, x):
        is_new = np.stack([np.isin(x, held_out.positions[state % 10]) for state in states])[..., None]
        return np.where(is_new, 0.0, learned[x]).swapaxes(0, 1) + np.stack(
            [of_members[state % 10][x] for state in states], axis=1
        )

    counted = np.ones((N_ROWS, 2), dtype=bool)
    counted[::3, 1] = False
    found = member_variance(held_out, run, np.array([[1.0, 0.3], [0.0, 0.7]]))
    std = np.exp(0.3 * rng.normal(size=(N_ROWS, 2)))
    held_out.weight, held_out.unknown = 1.0 * counted, None
    errors = (found.shrinkage(held_out, means, std) * (held_out.y - means) / std)[counted[:, 1]]
    of_all = 1 + 0.8**2 / 10  # it was 1 + 0.8**2; the mean of 4,000 such squares has a deviation of 3 %
    np.testing.assert_allclose((errors**2).mean(axis=0), of_all * (1 / std**2)[counted[:, 1]].mean(axis=0), rtol=0.1)
    # Of limits, only the expectations of the true values are known, and their variances.
    held_out.y, held_out.unknown = means, (held_out.y - means) ** 2
    again = (found.shrinkage(held_out, means, std) * np.sqrt(held_out.unknown) / std)[counted[:, 1]]
    np.testing.assert_allclose(again, np.abs(errors))


def test_a_single_member_of_each_setting_says_nothing():
    held_out = held_out_rows(n_settings=10)
    held_out.candidates = [{k: k} for k in range(10)]
    found = member_variance(held_out, lambda *_: pytest.fail("members are run"), np.full((10, 2), 0.1))
    assert not found.is_known
    mean, std = np.ones((N_ROWS, 2)), np.full((N_ROWS, 2), 2.0)
    assert (found.shrinkage(held_out, mean, std) == 1).all()
    assert found.widened(std) is std


def test_rows_are_calibrated_by_the_weights_of_other_parts():
    choice = Choice(np.eye(2), np.array([0, 1, 1]), np.stack([np.eye(2), 1 - np.eye(2)]))
    outputs = np.arange(12.0).reshape(2, 3, 2)
    found = choice.for_held_out(lambda own, rows: np.einsum("kt,knt->nt", own, outputs[:, rows]))
    np.testing.assert_array_equal(found, [[0, 7], [8, 3], [10, 5]])
    constant = choice.where(np.array([True, False]), np.eye(2)[:, [1]])
    np.testing.assert_array_equal(constant.weights, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(constant.of_parts[1], [[0, 0], [1, 1]])
