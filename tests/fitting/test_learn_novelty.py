"""Novelty as the errors of held-out rows ask for it."""

import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae._fitting import learn_novelty
from sklearn_mtae._fitting.held_out import HeldOut
from sklearn_mtae._fitting.learn_novelty import (
    FAR_POWERS,
    LEAST_NEAR,
    SHAPES,
    Errors,
    NoveltyLearner,
    choose_novelty,
)

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
    found, seen = fit.variances(LEFT[:, shape], FAR), LEFT[:, shape] >= fit.least
    np.testing.assert_allclose(found[seen], ((1 - novelty) * 0.25 + novelty * 9)[seen], rtol=0.2, atol=0.2)


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


def test_one_row_of_forty_contradicts_that_far_rows_are_novel():
    left = np.zeros((40, 1))
    left[7] = 1
    squares = np.full(40, 0.5)
    assert choose_novelty(left, Errors(squares, FAR[:40], np.full(40, 1 / 40), 40)).novelty(np.ones(1)) == 0
    squares[7] = 4
    assert choose_novelty(left, Errors(squares, FAR[:40], np.full(40, 1 / 40), 40)).novelty(np.ones(1)) == 1


def test_a_shape_that_agrees_is_taken_before_one_that_fits_better_without():
    """Errors grow with what is left with one shape, but little where all is left; by the other no row is far."""
    left = LEFT[:, :2].copy()
    left[::10, 0] = 1
    fit = choose_novelty(left, drawn(0.05 * left[:, 0]))
    assert (fit.shape, fit.novelty(np.ones(1))) == (1, 1)


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


def test_more_than_four_nats_make_a_choice():
    """The errors have exactly the variances of a novelty; the fewer they are, the less they say."""
    left = np.column_stack([LEFT[:, 0] * 0, LEFT[:, 1]])
    squares = 0.3 + LEFT[:, 1] ** 2 * 8.7
    default = choose_novelty(left, Errors(squares, FAR, SHARE, 1e-6))
    best = choose_novelty(left, Errors(squares, FAR, SHARE, 1e6))
    assert default.powers[0] in FAR_POWERS
    assert (best.shape, best.powers[0]) == (1, 2.0)

    def nats(fit):
        """Return minus the log-likelihood per error, with the best factor of the variances."""
        variances = fit.variances(left[:, fit.shape], FAR)
        return (np.log(variances).mean() + np.log((squares / variances).mean())) / 2

    size = 4 / (nats(default) - nats(best))
    for n, expected in ((0.95 * size, default), (1.05 * size, best)):
        fit = choose_novelty(left, Errors(squares, FAR, SHARE, n))
        assert (fit.shape, fit.powers) == (expected.shape, expected.powers)


def test_rows_nearer_than_the_held_out_ones_are_no_better_known():
    """Of held-out rows, a few are nearly as their neighbours; none is like a training row."""
    novelty = 0.4 + 0.6 * LEFT
    fit = choose_novelty(novelty, drawn(0.2 + 8 * LEFT[:, 1]))
    near, least = fit.variances(np.array([0.0, np.quantile(novelty[:, fit.shape], 0.05)]), FAR[:2])
    assert near == least > 0.2


def test_variances_never_shrink_where_rows_are_novel():
    """Predictions are worse than the mean of the labels, whose variance is that of novel rows."""
    for variance in (20.0, 9.0):
        fit = choose_novelty(LEFT, drawn(np.full(N, variance)))
        assert fit.variances(np.ones(1), FAR[:1]) >= fit.near
        assert fit.near <= 1.1 * variance


def test_next_to_all_held_out_rows_are_far():
    """Nothing is known of rows that are near to others: they do not get what is left of the mean."""
    left = np.full((N, 1), 1 - 1e-9)
    fit = choose_novelty(left, drawn(np.full(N, 9.1)))
    np.testing.assert_allclose(fit.variances(np.array([0.0, 0.5, 1.0]), FAR[:3]), 9.1, rtol=0.1)


def spied_errors(monkeypatch, **options):
    """Return the errors of each task, and the held-out rows, of a fit with baselines alone."""
    seen, choose, learn = [], learn_novelty.choose_novelty, learn_novelty.learn_novelty

    def learned(plan, held_out, columns, run, rest, start, units):
        seen.append((held_out, rest / units, units))
        return learn(plan, held_out, columns, run, rest, start, units)

    def chosen(left, errors):
        seen.append(errors)
        return choose(left, errors)

    monkeypatch.setattr(learn_novelty, "choose_novelty", chosen)
    monkeypatch.setattr("sklearn_mtae._fitting.baseline.learn_novelty", learned)
    x = np.random.default_rng(0).normal(size=(80, 2))
    y = np.column_stack([x[:, 0] + x[:, 1], x[:, 0]]) + 0.2 * np.random.default_rng(1).normal(size=(80, 2))
    settings = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1, "n_estimators": 12, "random_state": 0}
    MultiTaskVAERegressor(**settings, cv=4).fit(x, y, **options)
    return seen


def test_rows_count_by_their_weights(monkeypatch):
    weight = np.random.default_rng(2).uniform(0.1, 3, size=80)
    (held_out, predicted, units), *errors = spied_errors(monkeypatch, sample_weight=weight)
    for task in range(2):
        np.testing.assert_allclose(errors[task].share, weight / weight.sum())
        assert errors[task].size == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
        np.testing.assert_allclose(errors[task].squares, (held_out.y / units - predicted)[:, task] ** 2)


@pytest.mark.parametrize("n_known", [1, 3, 25])
def test_few_labels_have_deviations(n_known):
    x = np.random.default_rng(0).normal(size=(80, 2))
    y = np.column_stack([x[:, 0] + x[:, 1], x[:, 0]]) + 0.2 * np.random.default_rng(1).normal(size=(80, 2))
    y[n_known:, 1] = np.nan
    settings = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1, "n_estimators": 12, "random_state": 0}
    model = MultiTaskVAERegressor(**settings, cv=4).fit(x, y)
    std = model.predict(x, return_std=True)[1]
    assert ((std > 0.02) & (std < 5)).all()
    assert all((own < 1e3).all() for own in model._fitted.average.scores)


def test_groups_count_once(monkeypatch):
    _, *errors = spied_errors(monkeypatch, groups=np.arange(80) // 4)
    assert errors[0].size == pytest.approx(20)


def test_true_values_of_limits_are_not_known(monkeypatch):
    censoring = np.zeros((80, 2), dtype=int)
    censoring[::4, 0] = 1
    (held_out, predicted, units), *errors = spied_errors(monkeypatch, censoring=censoring)
    away = (held_out.y / units - predicted) ** 2
    np.testing.assert_allclose(errors[1].squares, away[:, 1])
    assert (errors[0].squares[::4] > away[::4, 0] * (1 + 1e-9)).all()


def test_the_more_sets_of_labels_the_fewer_centres():
    x = np.random.default_rng(0).normal(size=(600, 3))
    for n_tasks, most in ((1, 128), (64, 64), (256, 32)):
        known = np.random.default_rng(1).random((600, n_tasks)) < 0.7
        coefficients = NoveltyLearner(x, known).fit(np.ones(600, dtype=bool)).neighbours.coefficients
        assert coefficients.shape == (len(SHAPES) * n_tasks, most, most)
