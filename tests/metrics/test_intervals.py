"""Scores and coverage of intervals, against sums over single labels and against quantiles of a Gaussian."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import norm
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import mean_pinball_loss

from sklearn_mtae.metrics import interval_score, joint_coverage


@pytest.fixture
def intervals():
    """Labels with gaps, a row of none, ends of intervals, and weights of rows of which one is zero."""
    rng = np.random.default_rng(0)
    y, lower = rng.normal(size=(12, 3)), rng.normal(size=(12, 3)) - 1
    y[rng.random(y.shape) < 0.3] = np.nan
    y[4] = y[6, :2] = np.nan
    return y, lower, lower + 2 * rng.random((12, 3)), np.r_[0.0, rng.random(11)]


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_interval_score_is_the_sum_of_two_pinball_losses(coverage, intervals):
    """A different form of the same score: Gneiting and Raftery 2007, section 6.2, by quantile losses."""
    y, lower, upper, w = intervals
    miss = 1 - coverage
    for weight in (None, w):
        expected = []
        for task in range(3):
            rows = ~np.isnan(y[:, task])
            own = None if weight is None else weight[rows]
            low = mean_pinball_loss(y[rows, task], lower[rows, task], alpha=miss / 2, sample_weight=own)
            high = mean_pinball_loss(y[rows, task], upper[rows, task], alpha=1 - miss / 2, sample_weight=own)
            expected.append(2 / miss * (low + high))
        options = {"coverage": coverage, "sample_weight": weight}
        scores = interval_score(y, lower, upper, multioutput="raw_values", **options)
        np.testing.assert_allclose(scores, expected)
        assert interval_score(y, lower, upper, **options) == pytest.approx(np.mean(expected))
    one = interval_score(y[:, 1], lower[:, 1], upper[:, 1], coverage=coverage)
    assert one == pytest.approx(interval_score(y, lower, upper, coverage=coverage, multioutput="raw_values")[1])


def test_interval_score_is_smallest_between_the_quantiles():
    y = norm.ppf((np.arange(10_000) + 0.5) / 10_000)

    def score(ends):
        return interval_score(y, np.full_like(y, ends[0]), np.full_like(y, ends[1]), coverage=0.8)

    best = minimize(score, [-0.5, 0.5], method="Nelder-Mead")
    np.testing.assert_allclose(best.x, norm.ppf([0.1, 0.9]), atol=0.01)


def test_interval_score_of_one_row_and_of_an_interval_without_an_end():
    assert interval_score([[3.0]], [[4.0]], [[6.0]], coverage=0.75) == 2 + 8 * 1
    assert interval_score([3.0], [0.0], [np.inf]) == np.inf


def is_inside(y, lower, upper):
    return all(np.isnan(label) or low <= label <= high for label, low, high in zip(y, lower, upper, strict=True))


@pytest.mark.parametrize("min_labels", [1, 2, 3])
def test_joint_coverage_row_by_row(min_labels, intervals):
    y, lower, upper, w = intervals
    rows = [row for row in range(12) if np.isfinite(y[row]).sum() >= min_labels]
    lower[rows[-1]] = y[rows[-1]] - 1
    upper[rows[-1]] = y[rows[-1]]  # an end belongs to the interval
    lower, upper = np.nan_to_num(lower), np.nan_to_num(upper)
    held = np.array([is_inside(y[row], lower[row], upper[row]) for row in range(12)])
    assert 0 < held[rows].sum() < len(rows)

    class Region:
        def contains(self, targets):
            return np.array([is_inside(*own) for own in zip(targets, lower, upper, strict=True)])

    for region in ((lower, upper), held, held.tolist(), Region()):
        assert joint_coverage(y, region, min_labels=min_labels) == pytest.approx(held[rows].mean())
        weighted = joint_coverage(y, region, min_labels=min_labels, sample_weight=w)
        assert weighted == pytest.approx(np.dot(w[rows], held[rows]) / w[rows].sum())


def test_joint_coverage_of_one_task_and_one_row(intervals):
    y, lower, upper, _ = intervals
    rows = ~np.isnan(y[:, 0])
    expected = np.mean((lower[rows, 0] <= y[rows, 0]) & (y[rows, 0] <= upper[rows, 0]))
    assert joint_coverage(y[:, 0], (lower[:, 0], upper[:, 0])) == pytest.approx(expected)
    assert joint_coverage([[1.0, 2.0]], ([[0.0, 0.0]], [[np.inf, 2.0]])) == 1.0


def test_tasks_without_intervals_are_left_out_with_a_warning(intervals):
    y, lower, upper, _ = intervals
    table = pd.DataFrame({"mass": y[:, 0], "kind": "low", "size": y[:, 2]})
    lower[:, 1] = upper[:, 1] = np.nan
    kept = [0, 2]
    with pytest.warns(UndefinedMetricWarning, match="The mean leaves it out: task 'kind': it has no interval"):
        score = interval_score(table, lower, upper)
    assert score == pytest.approx(interval_score(y[:, kept], lower[:, kept], upper[:, kept]))
    with pytest.warns(UndefinedMetricWarning, match="coverage leaves it out: task 'kind': it has no inter") as caught:
        held = joint_coverage(table, (lower, upper))
    assert held == pytest.approx(joint_coverage(y[:, kept], (lower[:, kept], upper[:, kept])))
    assert caught[0].filename == __file__


def test_where_no_row_has_enough_labels_the_coverage_is_nan_and_says_so():
    y = np.array([[1.0, np.nan], [np.nan, 1.0]])
    with pytest.warns(UndefinedMetricWarning, match="No row has 2 labels: the score is NaN") as caught:
        assert np.isnan(joint_coverage(y, (y - 1, y + 1), min_labels=2))
    assert caught[0].filename == __file__
    with pytest.warns(UndefinedMetricWarning, match="No row has a label and weight"):
        assert np.isnan(joint_coverage(y, [True, True], sample_weight=[0.0, 0.0]))


def test_errors_name_what_must_hold(intervals):
    y, lower, upper, _ = intervals
    for score in (interval_score, lambda y, lower, upper: joint_coverage(y, (lower, upper))):
        with pytest.raises(ValueError, match=r"lower and upper must have the same shape. Got \(12, 3\) and \(12, 2\)"):
            score(y, lower, upper[:, :2])
        with pytest.raises(ValueError, match="must have the s"):
            score(y, lower[:5], upper[:5])
        with pytest.raises(ValueError, match=r"lower must be <= upper\. .* This is task 'y0'"):
            score(y, upper, lower)
        gaps = lower.copy()
        gaps[np.flatnonzero(~np.isnan(y[:, 1]))[0], 1] = np.nan
        with pytest.raises(ValueError, match=r"must have a value for each label\. 1 have none\. This is task 'y1'"):
            score(y, gaps, upper)
        with pytest.raises(ValueError, match=r"y_true must be finite\. Got inf"):
            score(np.full((12, 3), np.inf), lower, upper)
    for coverage in (0, 1, -0.1, 90, np.nan, "0.9", True):
        with pytest.raises(ValueError, match="coverage must be a number between 0 and 1"):
            interval_score(y, lower, upper, coverage=coverage)
    for min_labels in (0, 4, 1.0, True):
        with pytest.raises(ValueError, match="min_labels must be an int from 1 to 3"):
            joint_coverage(y, (lower, upper), min_labels=min_labels)
    for region in (np.ones(12), np.ones((12, 3), dtype=bool), np.ones(5, dtype=bool), "inside", None):
        with pytest.raises(ValueError, match="region must be a tuple of lower and upper ends, or say"):
            joint_coverage(y, region)
    with pytest.raises(ValueError, match="Got a tuple of 3"):
        joint_coverage(y, (lower, upper, upper))
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(12,\), since a joint score"):
        joint_coverage(y, (lower, upper), sample_weight=np.ones((12, 3)))
