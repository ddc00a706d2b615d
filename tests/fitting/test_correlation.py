"""Correlations of scores of which intervals are known, against closed forms."""

import numpy as np
import pytest
from scipy import stats

from sklearn_mtae._fitting.cell_margins import OfClasses
from sklearn_mtae._fitting.correlation import LabelScores, _hold_back, correlate, gain, learn_correlation
from sklearn_mtae._fitting.margins import OfNumbers
from sklearn_mtae._fitting.predictions import OfTask

TRUTH = np.array([[1.0, 0.8, -0.5], [0.8, 1.0, -0.3], [-0.5, -0.3, 1.0]])
NORMAL = OfNumbers.learn(np.random.default_rng(0).normal(size=400), np.ones(400))


def scores(n, truth=TRUTH, seed=0):
    return np.random.default_rng(seed).normal(size=(n, len(truth))) @ np.linalg.cholesky(truth).T


def known(centres, terms, weight):
    """Return what is known of scores; of numbers, the scores themselves."""
    seen = np.where(weight > 0, centres, np.nan)
    return LabelScores(centres, terms, seen, seen, weight)


def of_numbers(z):
    """Return centres and terms of tasks of numbers."""
    terms = NORMAL.terms(OfTask(np.zeros(len(z)), np.ones(len(z)), None)).T
    return z, np.stack([terms] * z.shape[1], axis=-1)


def of_classes(z, shares):
    """Return centres and terms of tasks whose scores are cut at row-wise probabilities of the first class."""
    centres, terms = [], []
    for column, share in zip(z.T, shares.T, strict=True):
        own = OfTask(column * np.nan, column * np.nan, np.log(np.stack([share, 1 - share], axis=1)))
        margin = OfClasses(np.arange(2))
        centres.append(margin.centres(own, (column > stats.norm.ppf(share)).astype(float)))
        terms.append(margin.terms(own).T)
    return np.stack(centres, axis=1), np.stack(terms, axis=-1)


def test_correlations_of_numbers_are_the_usual_ones_but_for_shrinking():
    z = scores(5000)
    found = correlate(known(*of_numbers(z), np.ones(z.shape)))
    usual = (z.T @ z) / np.sqrt(np.outer((z**2).sum(0), (z**2).sum(0)))
    np.testing.assert_allclose(found, usual, atol=1e-3)


def test_missing_labels_leave_the_correlations_of_pairs_that_are_there():
    z, rng = scores(30_000), np.random.default_rng(1)
    weight = (rng.random(z.shape) < 0.6).astype(float)
    centres, terms = of_numbers(np.where(weight > 0, z, 0.0))
    found = correlate(known(centres, terms * (weight > 0), weight))
    np.testing.assert_allclose(found, TRUTH, atol=0.02)


def test_pairs_of_few_rows_do_not_contradict_each_other():
    """Each pair is known from other rows, some seven of them: together they must not say that labels are certain."""
    least, whole = [], []
    for seed in range(20):
        z, rng = scores(40, 0.4 * np.eye(5) + 0.6, seed), np.random.default_rng(seed)
        weight = (rng.random(z.shape) < 0.4).astype(float)
        centres, terms = of_numbers(np.where(weight > 0, z, 0.0))
        least.append(np.linalg.eigvalsh(correlate(known(centres, terms * (weight > 0), weight)))[0])
        whole.append(np.linalg.eigvalsh(correlate(known(*of_numbers(z), np.ones(z.shape))))[0])
    assert min(least) > 0.15
    assert np.mean(whole) < 0.4  # 0.4 is the truth, which samples of complete rows fall below


@pytest.mark.parametrize("weight", [np.ones((300, 3)), np.random.default_rng(0).random((300, 1)) * np.ones(3)])
def test_nothing_is_held_back_where_no_label_is_missing(weight):
    np.testing.assert_allclose(_hold_back(TRUTH, np.sqrt(weight)), TRUTH, rtol=1e-12)


def test_what_is_held_back_is_as_documented():
    """Tasks of 100 and 60 labels, 50 of them in the same rows, and one with 5 labels in rows of the first."""
    weight = np.zeros((200, 3))
    weight[:100, 0] = weight[50:110, 1] = weight[:5, 2] = 1.0
    shares = [50 / (50 + 3 * (1 - 50 / 110))] * 2 + [5 / (5 + 3 * (1 - 5 / 100))]
    expected = TRUTH * np.sqrt(np.outer(shares, shares))
    np.fill_diagonal(expected, 1.0)
    np.testing.assert_allclose(_hold_back(TRUTH, weight), expected, rtol=1e-12)


def test_independent_tasks_of_few_rows_stay_independent():
    """A correlation that a few rows have by chance must predict rows outside of them to count."""
    found = []
    for seed in range(40):
        z = scores(30, np.eye(2), seed)
        found.append(abs(learn_correlation(known(*of_numbers(z), np.ones(z.shape)), [NORMAL] * 2)[0][0, 1]))
    assert np.mean(np.array(found) > 0) < 0.25


def test_correlations_of_classes_are_those_of_the_scores_behind_them():
    """Tetrachoric correlations, with thresholds that differ from row to row."""
    z, rng = scores(40_000), np.random.default_rng(1)
    shares = rng.uniform(0.1, 0.9, size=z.shape)
    np.testing.assert_allclose(correlate(known(*of_classes(z, shares), np.ones(z.shape))), TRUTH, atol=0.025)


def test_correlations_of_a_number_with_a_class():
    z, rng = scores(40_000), np.random.default_rng(1)
    both = of_numbers(z), of_classes(z, rng.uniform(0.1, 0.9, size=z.shape))
    centres, terms = (
        np.concatenate([own[..., :1], others[..., 1:]], axis=-1) for own, others in zip(*both, strict=True)
    )
    np.testing.assert_allclose(correlate(known(centres, terms, np.ones(z.shape))), TRUTH, atol=0.025)


def test_weights_count_as_copies_of_rows():
    z = scores(300)
    weight = np.random.default_rng(2).integers(0, 3, size=300)
    copies = z.repeat(weight, axis=0)
    weights = np.repeat(weight[:, None].astype(float), 3, axis=1)
    centres, terms = of_numbers(np.where(weights > 0, z, 0.0))
    found = correlate(known(centres, terms * (weights > 0), weights))
    np.testing.assert_allclose(found, correlate(known(*of_numbers(copies), np.ones(copies.shape))), atol=0.01)


def test_few_rows_of_independent_tasks_give_correlations_near_zero():
    found, usual = [], []
    for seed in range(20):
        z, pairs = scores(15, np.eye(10), seed), np.triu_indices(10, 1)
        found.append(correlate(known(*of_numbers(z), np.ones(z.shape)))[pairs])
        usual.append(np.corrcoef(z.T)[pairs])
    assert np.square(found).mean() < 0.1 * np.square(usual).mean()


def test_few_rows_of_tasks_that_all_depend_on_each_other_keep_most_of_it():
    found = [
        correlate(known(*of_numbers(z), np.ones(z.shape)))[0, 1]
        for z in (scores(15, TRUTH, seed) for seed in range(40))
    ]
    assert 0.7 < np.mean(found) < 0.85


def test_no_row_with_both_labels_means_no_correlation():
    z = scores(100)
    weight = np.ones(z.shape)
    weight[:50, 0], weight[50:, 1:] = 0.0, 0.0
    centres, terms = of_numbers(np.where(weight > 0, z, 0.0))
    found = correlate(known(centres, terms * (weight > 0), weight))
    assert (found[0, 1:] == 0).all()
    assert found[1, 2] != 0


def test_contradictory_pairs_still_give_a_matrix_that_is_positive_definite():
    """Each pair comes from rows of its own: a with b, b with c, and a with minus c."""
    z = np.random.default_rng(0).normal(size=300)
    labels, weight = np.zeros((300, 3)), np.zeros((300, 3))
    for rows, (s, t), sign in zip(np.split(np.arange(300), 3), [(0, 1), (1, 2), (0, 2)], [1, 1, -1], strict=True):
        labels[rows, s], labels[rows, t] = z[rows], sign * z[rows]
        weight[np.ix_(rows, (s, t))] = 1.0
    centres, terms = of_numbers(labels)
    found = correlate(known(centres, terms * (weight > 0), weight))
    np.linalg.cholesky(found)
    np.testing.assert_allclose(np.diag(found), 1.0)


def test_equal_tasks_are_almost_perfectly_correlated():
    z = scores(500)[:, [0, 0]]
    found = correlate(known(*of_numbers(z), np.ones(z.shape)))
    assert 0.99 < found[0, 1] < 1
    np.linalg.cholesky(found)


def test_cross_validation_leaves_correlations_of_many_rows_alone():
    z = scores(2000)
    own = known(*of_numbers(z), np.ones(z.shape))
    np.testing.assert_array_equal(learn_correlation(own, [NORMAL] * 3)[0], correlate(own))


def test_cross_validation_draws_contradictory_correlations_towards_zero():
    """Each pair of 75 rows of almost redundant classes has a likely correlation, but no row could have them all."""
    rng = np.random.default_rng(3)
    truth = np.full((5, 5), 0.9) + 0.1 * np.eye(5)
    z = scores(75, truth, 5)
    shares = rng.uniform(0.1, 0.9, size=z.shape)
    thresholds = stats.norm.ppf(shares)
    centres, terms = of_classes(z, shares)
    low, high = np.where(z > thresholds, thresholds, -np.inf), np.where(z > thresholds, np.inf, thresholds)
    own = LabelScores(centres, terms, low, high, np.ones(z.shape))
    assert (
        np.linalg.eigvalsh(learn_correlation(own, [OfClasses(np.arange(2))] * 5)[0])[0]
        > np.linalg.eigvalsh(correlate(own))[0]
    )


def test_few_rows_with_two_labels_mean_no_correlation():
    z = scores(100)
    weight = np.where(np.arange(100)[:, None] < 5, 1.0, np.eye(3)[np.arange(100) % 3])
    centres, terms = of_numbers(np.where(weight > 0, z, 0.0))
    np.testing.assert_array_equal(
        learn_correlation(known(centres, terms * (weight > 0), weight), [NORMAL] * 3)[0], np.eye(3)
    )


def test_the_gain_of_numbers_is_the_explained_part_of_their_variance():
    """For one other label, -n / 2 log(1 - r^2)."""
    z = scores(20_000)[:, :2]
    own = known(*of_numbers(z), np.ones(z.shape))
    np.testing.assert_allclose(gain(TRUTH[:2, :2], own, [NORMAL] * 2), -len(z) * np.log(1 - 0.8**2), rtol=0.03)
    np.testing.assert_allclose(gain(np.eye(2), own, [NORMAL] * 2), 0.0, atol=1e-6)


def test_tasks_whose_large_errors_do_not_go_together_are_not_drawn_together():
    """Ranks are correlated, but the squares are all in single rows of one task or the other."""
    rng = np.random.default_rng(0)
    z = scores(400)[:, :2]
    errors = z.copy()
    errors[rng.permutation(400)[:20], rng.integers(2, size=20)] = 30.0
    margins = [OfNumbers.learn(column / column.std(), np.ones(400)) for column in errors.T]
    nothing = OfTask(np.zeros(400), np.ones(400), None)
    centres = np.stack(
        [own.centres(nothing, column / column.std()) for own, column in zip(margins, errors.T, strict=True)], axis=1
    )
    own = known(centres, of_numbers(z)[1], np.ones(z.shape))
    assert learn_correlation(own, margins)[0][0, 1] < 0.5 * correlate(own)[0, 1]
