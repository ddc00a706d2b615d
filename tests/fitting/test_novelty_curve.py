"""How novelty grows with what is left of the variance, as the errors of held-out rows ask for it."""

import numpy as np
import pytest

from sklearn_mtae._fitting.novelty_curve import FAR_POWERS, LEAST_NEAR, Errors, choose_curve

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
    curve = choose_curve(LEFT, drawn((1 - novelty) * 0.25 + novelty * 9))
    assert curve.shape == shape
    assert curve.powers[0] == pytest.approx(power, rel=0.5)
    found, seen = curve.variances(LEFT[:, shape], FAR), LEFT[:, shape] >= curve.least
    np.testing.assert_allclose(found[seen], ((1 - novelty) * 0.25 + novelty * 9)[seen], rtol=0.2, atol=0.2)


def test_the_mean_variance_is_that_of_the_errors():
    share, far = RNG.dirichlet(np.ones(N)), RNG.uniform(5, 20, size=N)
    for variances in (np.full(N, 0.3), LEFT[:, 1] * far, LEFT[:, 2] * 0.1, np.full(N, 1e-4)):
        errors = drawn(variances, far, share)
        curve = choose_curve(LEFT, errors)
        novelty = curve.novelty(LEFT[:, curve.shape])
        mean = share @ errors.squares
        assert share @ ((1 - novelty) * curve.near + novelty * far) == pytest.approx(mean)
        assert curve.near >= LEAST_NEAR * mean * (1 - 1e-9)


@pytest.mark.parametrize("variance", [0.5, 1e-4])
def test_errors_that_are_the_same_everywhere_leave_few_rows_novel(variance):
    """Rows that are far from all others are novel all the same."""
    curve = choose_curve(LEFT, drawn(np.full(N, variance)))
    assert curve.novelty(np.ones(1)) == 1
    assert curve.powers[0] in FAR_POWERS
    assert curve.near == pytest.approx(variance, rel=0.1)


def test_rows_that_look_far_have_all_the_variance_whatever_the_others_have():
    """Where errors grow with what is left, but are far from those of unknown rows, only the farthest have these."""
    curve = choose_curve(LEFT, drawn(LEFT[:, 1] * 0.1))
    assert (curve.shape, sum(curve.shares)) == (1, 1)
    assert curve.shares[0] < 0.1
    assert curve.novelty(np.ones(1)) == 1


def test_rows_that_are_known_to_be_predicted_are_not_novel():
    """A tenth of the rows is far from all others, and predicted as well as these."""
    left = LEFT.copy()
    left[::10] = 1
    curve = choose_curve(left, drawn(np.full(N, 0.01)))
    assert curve.novelty(np.ones(1)) == 0
    assert curve.near == pytest.approx(0.01, rel=0.1)


def test_one_row_of_forty_contradicts_that_far_rows_are_novel():
    left = np.zeros((40, 1))
    left[7] = 1
    squares = np.full(40, 0.5)
    assert choose_curve(left, Errors(squares, FAR[:40], np.full(40, 1 / 40), 40)).novelty(np.ones(1)) == 0
    squares[7] = 4
    assert choose_curve(left, Errors(squares, FAR[:40], np.full(40, 1 / 40), 40)).novelty(np.ones(1)) == 1


def test_a_shape_that_agrees_is_taken_before_one_that_fits_better_without():
    """Errors grow with what is left with one shape, but little where all is left; by the other no row is far."""
    left = LEFT[:, :2].copy()
    left[::10, 0] = 1
    curve = choose_curve(left, drawn(0.05 * left[:, 0]))
    assert (curve.shape, curve.novelty(np.ones(1))) == (1, 1)


def test_tasks_without_errors_have_no_variance():
    for n in (0, 5):
        curve = choose_curve(np.full((n, 3), 0.5), Errors(np.zeros(n), np.ones(n), np.full(n, 0.2), n))
        assert (curve.near, curve.novelty(np.ones(1))) == (0.0, 1.0)


def test_more_than_four_nats_make_a_choice():
    """The errors have exactly the variances of a novelty; the fewer they are, the less they say."""
    left = np.column_stack([LEFT[:, 0] * 0, LEFT[:, 1]])
    squares = 0.3 + LEFT[:, 1] ** 2 * 8.7
    default = choose_curve(left, Errors(squares, FAR, SHARE, 1e-6))
    best = choose_curve(left, Errors(squares, FAR, SHARE, 1e6))
    assert default.powers[0] in FAR_POWERS
    assert (best.shape, best.powers[0]) == (1, 2.0)

    def nats(curve):
        """Return minus the log-likelihood per error, with the best factor of the variances."""
        variances = curve.variances(left[:, curve.shape], FAR)
        return (np.log(variances).mean() + np.log((squares / variances).mean())) / 2

    size = 4 / (nats(default) - nats(best))
    for n, expected in ((0.95 * size, default), (1.05 * size, best)):
        curve = choose_curve(left, Errors(squares, FAR, SHARE, n))
        assert (curve.shape, curve.powers) == (expected.shape, expected.powers)


def test_rows_nearer_than_the_held_out_ones_are_no_better_known():
    """Of held-out rows, a few are nearly as their neighbours; none is like a training row."""
    novelty = 0.4 + 0.6 * LEFT
    curve = choose_curve(novelty, drawn(0.2 + 8 * LEFT[:, 1]))
    near, least = curve.variances(np.array([0.0, np.quantile(novelty[:, curve.shape], 0.05)]), FAR[:2])
    assert near == least > 0.2


def test_variances_never_shrink_where_rows_are_novel():
    """Predictions are worse than the mean of the labels, whose variance is that of novel rows."""
    for variance in (20.0, 9.0):
        curve = choose_curve(LEFT, drawn(np.full(N, variance)))
        assert curve.variances(np.ones(1), FAR[:1]) >= curve.near
        assert curve.near <= 1.1 * variance


def test_next_to_all_held_out_rows_are_far():
    """Nothing is known of rows that are near to others: they do not get what is left of the mean."""
    left = np.full((N, 1), 1 - 1e-9)
    curve = choose_curve(left, drawn(np.full(N, 9.1)))
    np.testing.assert_allclose(curve.variances(np.array([0.0, 0.5, 1.0]), FAR[:3]), 9.1, rtol=0.1)
