"""Novelty as the errors of held-out rows ask for it."""

import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae._fitting.held_out import HeldOut
from sklearn_mtae._fitting.learn_novelty import FAR_POWERS, LEAST_NEAR, SHAPES, Errors, choose_novelty

RNG = np.random.default_rng(0)
N = 2_000
LEFT = RNG.beta(2, 3, size=(N, 3))
SHARE = np.full(N, 1 / N)
FAR = np.full(N, 9.0)


def drawn(variances, far=FAR, share=SHARE):
    return Errors(variances * RNG.normal(size=N) ** 2, far, share, N)


@pytest.mark.parametrize(("shape", "power"), [(0, 1.0), (1, 4.0), (2, 2.0)])
def test_what_made_the_errors_is_found(shape, power):
    novelty = LEFT[:, shape] ** power
    fit = choose_novelty(LEFT, drawn((1 - novelty) * 0.25 + novelty * 9))
    assert fit.shape == shape
    assert fit.powers[0] == pytest.approx(power, rel=0.5)
    found = (1 - fit.novelty(LEFT[:, shape])) * fit.near + fit.novelty(LEFT[:, shape]) * 9
    np.testing.assert_allclose(found, (1 - novelty) * 0.25 + novelty * 9, rtol=0.2, atol=0.2)


def test_the_mean_variance_is_that_of_the_errors():
    share, far = RNG.dirichlet(np.ones(N)), RNG.uniform(5, 20, size=N)
    for variances in (np.full(N, 0.3), LEFT[:, 1] * far, LEFT[:, 2] * 0.1, np.full(N, 1e-4)):
        errors = drawn(variances, far, share)
        fit = choose_novelty(LEFT, errors)
        novelty = fit.novelty(LEFT[:, fit.shape])
        mean = share @ errors.squares
        assert share @ ((1 - novelty) * fit.near + novelty * far) == pytest.approx(mean)
        assert fit.near >= LEAST_NEAR * mean * (1 - 1e-9)


@pytest.mark.parametrize("variance", [0.5, 1e-4])
def test_errors_that_are_the_same_everywhere_leave_few_rows_novel(variance):
    """Rows that are far from all others are novel all the same."""
    fit = choose_novelty(LEFT, drawn(np.full(N, variance)))
    assert fit.novelty(np.ones(1)) == 1
    assert fit.powers[0] in FAR_POWERS
    assert fit.near == pytest.approx(variance, rel=0.1)


def test_rows_that_look_far_have_all_the_variance_whatever_the_others_have():
    """Where errors grow with what is left, but are far from those of unknown rows, only the farthest have these."""
    fit = choose_novelty(LEFT, drawn(LEFT[:, 1] * 0.1))
    assert (fit.shape, sum(fit.shares)) == (1, 1)
    assert fit.shares[0] < 0.1
    assert fit.novelty(np.ones(1)) == 1


def test_rows_that_are_known_to_be_predicted_are_not_novel():
    """A tenth of the rows is far from all others, and predicted as well as these."""
    left = LEFT.copy()
    left[::10] = 1
    fit = choose_novelty(left, drawn(np.full(N, 0.01)))
    assert fit.novelty(np.ones(1)) == 0
    assert fit.near == pytest.approx(0.01, rel=0.1)


def test_tasks_without_errors_have_no_variance():
    for n in (0, 5):
        fit = choose_novelty(np.full((n, 3), 0.5), Errors(np.zeros(n), np.ones(n), np.full(n, 0.2), n))
        assert (fit.near, fit.novelty(np.ones(1))) == (0.0, 1.0)


def test_held_out_rows_are_compared_with_rows_of_other_folds(monkeypatch):
    """Of two rows that are the same, one tells of the other if it is in another fold."""
    seen, by_others = {}, HeldOut.by_others

    def spied(self, learned, splits, fit, run, shape):
        found = by_others(self, learned, splits, fit, run, shape)
        return seen.setdefault(shape, found)

    monkeypatch.setattr(HeldOut, "by_others", spied)
    x = np.repeat(RNG.uniform(-2, 2, size=(60, 2)), 2, axis=0)
    y = np.sin(4 * x[:, 0]) * np.cos(4 * x[:, 1]) + 0.01 * RNG.normal(size=120)
    folds = np.where(np.arange(120) < 60, np.arange(120) % 4, np.arange(120) // 2 % 4)
    settings = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
    MultiTaskVAERegressor(**settings, n_estimators=12, cv=PredefinedSplit(folds)).fit(x, y)
    left = seen[1, len(SHAPES)][:, 0, -1]
    assert left[:60].max() < 0.02 < 0.05 < np.median(left[60:])
