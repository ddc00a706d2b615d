"""Scores of labels of which some are limits, against all pairs and against the extremes of possible true values."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score, root_mean_squared_error

from sklearn_mtae.metrics import censored_rmse_bounds, concordance_index

SIGNS = np.array(["<", "", ">"])


@pytest.fixture(params=[40, 201])
def censored(request):
    """Labels and predictions with many ties and some gaps, codes, and weights of which some are zero."""
    rng, n_rows = np.random.default_rng(0), request.param
    y, p = rng.integers(0, 12, (n_rows, 2)) * 1.0, rng.integers(0, 9, (n_rows, 2)) * 1.0
    codes = rng.integers(-1, 2, (n_rows, 2))
    y[rng.random(y.shape) < 0.2] = np.nan
    return y, p, codes, rng.integers(0, 4, (n_rows, 2)) * 1.0


def known_order(y, code):
    """Return -1, 0 or 1 for a pair of labels: the first is known to be smaller, not known, or larger.

    Labels are true values themselves or, if they are limits, may be any that lie strictly beyond.
    """
    (low, high), (other_low, other_high) = (
        {-1: (-np.inf, own - 0.25), 0: (own, own), 1: (own + 0.25, np.inf)}[c] for own, c in zip(y, code, strict=True)
    )
    return -1 if high < other_low else 1 if low > other_high else 0


def concordance_of_pairs(y, p, code, w):
    right = every = 0.0
    for pair in combinations(np.flatnonzero(~np.isnan(y)), 2):
        rows = list(pair)
        order, weight = known_order(y[rows], code[rows]), w[rows].prod()
        if order:
            every += weight
            predicted = np.sign(p[rows[0]] - p[rows[1]])
            right += weight * (0.5 if predicted == 0 else float(predicted == order))
    return right / every


def test_concordance_by_all_pairs(censored):
    y, p, codes, w = censored
    ones = np.ones_like(w)
    for code, weight in ((codes, None), (0 * codes, None), (codes, w), (np.abs(codes), w)):
        own = ones if weight is None else w
        expected = [concordance_of_pairs(y[:, t], p[:, t], code[:, t], own[:, t]) for t in range(2)]
        for given in (code, SIGNS[code + 1]):
            scores = concordance_index(y, p, censoring=given, sample_weight=weight, multioutput="raw_values")
            np.testing.assert_allclose(scores, expected, rtol=1e-12)
        assert concordance_index(y, p, censoring=code, sample_weight=weight) == pytest.approx(np.mean(expected))
    expected = concordance_of_pairs(y[:, 0], p[:, 0], codes[:, 0], w[:, 0])
    one = concordance_index(y[:, 0], p[:, 0], censoring=codes[:, 0], sample_weight=w[:, 0])
    assert one == pytest.approx(expected, rel=1e-12)


def test_concordance_of_two_values_is_the_area_under_the_curve():
    rng = np.random.default_rng(0)
    y, p, w = rng.integers(0, 2, 300), rng.normal(size=300).round(1), rng.random(300)
    assert concordance_index(y, p) == pytest.approx(roc_auc_score(y, p))
    assert concordance_index(y, p, sample_weight=w) == pytest.approx(roc_auc_score(y, p, sample_weight=w))
    # Values below 0 and above 0, whatever they are, are two classes too.
    assert concordance_index(0 * y, p, censoring=2 * y - 1) == pytest.approx(roc_auc_score(y, p))


def test_concordance_of_survival_times():
    """Without an event nothing is known of later rows; an event comes before the end of an observation at that time."""
    time, event, risk = np.array([1.0, 2.0, 2.0, 3.0]), np.array([0, 1, 0, 1]), np.array([9.0, 3.0, 1.0, 2.0])
    assert concordance_index(time, -risk, censoring=1 - event) == 1.0
    assert concordance_index(time, risk, censoring=1 - event) == 0.0


def test_concordance_of_many_rows_takes_no_pairs():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200_000)
    assert concordance_index(y, np.exp(y)) == 1.0
    assert concordance_index(y, rng.normal(size=200_000)) == pytest.approx(0.5, abs=0.01)


def test_tasks_whose_labels_cannot_be_told_apart_have_no_concordance():
    y = pd.DataFrame({"left": [5.0, 5.0, np.nan], "right": [1.0, 2.0, 3.0], "none": [1.0, None, None]})
    codes = np.array([[0, 1, 0], [0, 1, 0], [0, 1, 0]])
    reasons = "'left': no two .* known to differ; task 'right': no two .*; task 'none': it has only one label"
    with pytest.warns(UndefinedMetricWarning, match=reasons) as caught:
        assert np.isnan(concordance_index(y, y.fillna(0.0), censoring=codes))
    assert caught[0].filename == __file__


def extremes(y, p, code, y_range):
    """Return the errors of the predictions nearest to and farthest from a grid of possible true values."""
    least, largest = [], []
    for label, prediction, own in zip(y, p, code, strict=True):
        ends = {-1: (y_range[0], label), 0: (label, label), 1: (label, y_range[1])}[own]
        errors = np.abs(np.linspace(*ends, 1201) - prediction)
        least.append(errors.min())
        largest.append(errors.max())
    return np.array(least), np.array(largest)


def test_bounds_by_all_possible_true_values(censored):
    y, p, codes, w = censored
    p = p + 3.0  # some are outside the range
    for weight in (None, w):
        lower, upper = [], []
        for t in range(2):
            rows = ~np.isnan(y[:, t])
            own = None if weight is None else w[rows, t]
            errors = extremes(y[rows, t], p[rows, t], codes[rows, t], (0.0, 12.0))
            least, largest = (
                root_mean_squared_error(0 * own_error, own_error, sample_weight=own) for own_error in errors
            )
            lower.append(least)
            upper.append(largest)
        options = {"censoring": codes, "sample_weight": weight, "y_range": (0, 12)}
        bounds = censored_rmse_bounds(y, p, multioutput="raw_values", **options)
        np.testing.assert_allclose(bounds[0], lower, atol=1e-4)
        np.testing.assert_allclose(bounds[1], upper)
        means = censored_rmse_bounds(y, p, **options)
        np.testing.assert_allclose(means, np.mean(bounds, axis=1))


def test_true_errors_are_within_the_bounds():
    rng = np.random.default_rng(0)
    truth, p = rng.uniform(0, 10, (500, 2)), rng.uniform(-1, 11, (500, 2))
    codes = rng.integers(-1, 2, truth.shape)
    limits = truth - codes * rng.random(truth.shape)
    y = np.where(codes == 0, truth, np.clip(limits, 0, 10))
    error = root_mean_squared_error(truth, p)
    lower, upper = censored_rmse_bounds(y, p, censoring=codes, y_range=(0, 10))
    assert lower < error < upper


def test_bounds_without_limits_are_the_error_and_without_a_range_open():
    y, p = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.5, 2.0], [2.0, 9.0]])
    error = root_mean_squared_error(y, p)
    for options in ({}, {"censoring": [["", ""], ["", ""]]}, {"y_range": ([1, 2], {"y0": 3, "y1": 5})}):
        assert censored_rmse_bounds(y, p, **options) == pytest.approx((error, error))
    lower, upper = censored_rmse_bounds(y, p, censoring=[[0, 0], [0, 1]], multioutput="raw_values")
    np.testing.assert_allclose(lower, [np.sqrt((0.25 + 1) / 2), 0.0])  # 9 is above 5
    np.testing.assert_allclose(upper, [np.sqrt((0.25 + 1) / 2), np.inf])
    assert censored_rmse_bounds([2.0], [5.0], censoring=["<"], y_range=(0, np.inf)) == (3.0, 5.0)


def test_a_task_without_labels_is_named_once():
    y = pd.DataFrame({"left": [1.0, 2.0], "right": [np.nan, np.nan]})
    with pytest.warns(UndefinedMetricWarning, match="task 'right': it has no label") as caught:
        assert censored_rmse_bounds(y, np.ones((2, 2)), censoring=[[0, 0], [-1, 0]]) == (np.sqrt(0.0), np.inf)
    (warning,) = caught
    assert warning.filename == __file__


@pytest.mark.parametrize("score", [concordance_index, censored_rmse_bounds])
def test_errors_name_what_must_hold(score):
    y, p = np.array([[1.0, 2.0], [3.0, 5.0]]), np.ones((2, 2))
    with pytest.raises(ValueError, match="y_true and y_pred must have the same shape"):
        score(y, p[:, :1])
    with pytest.raises(ValueError, match="censoring must have the shape of y"):
        score(y, p, censoring=[0, 1])
    with pytest.raises(ValueError, match=r"censoring must hold .* Got '~' in task 'y1'"):
        score(y, p, censoring=[["", ""], ["", "~"]])
    with pytest.raises(ValueError, match="multioutput must be"):
        score(y, p, multioutput="mean")
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(2,\) or \(2, 2\)"):
        score(y, p, sample_weight=[1.0])
    with pytest.raises(ValueError, match=r"y_pred must be finite\. Got nan\. This is task 'y0'"):
        score(y, np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="This score is of numbers"):
        score(np.full((2, 2), "a"), p)


def test_errors_of_ranges():
    y, p = np.array([[1.0, 2.0], [3.0, 5.0]]), np.ones((2, 2))
    for y_range in (3.0, (1.0,), "ab", None):
        with pytest.raises(ValueError, match=r"y_range must be a tuple \(low, high\)\. Got"):
            censored_rmse_bounds(y, p, y_range=y_range)
    with pytest.raises(ValueError, match=r"low < high\. Got \(4.0, 4.0\) for task 'y0'"):
        censored_rmse_bounds(y, p, y_range=(4, 4))
    with pytest.raises(ValueError, match=r"within y_range\. Got 5, outside \(0.0, 4.0\)\. This is task 'y1'"):
        censored_rmse_bounds(y, p, y_range=(0, 4))
