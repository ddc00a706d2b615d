"""Scores of draws, against closed forms of Gaussians and against sums over all pairs of draws, one row at a time."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.special import gamma
from scipy.stats import norm
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import mean_absolute_error

from sklearn_mtae.metrics import crps_score, energy_score, variogram_score

SCALES = np.array([1.0, 20.0, 0.1])
JOINT = [energy_score, variogram_score]


@pytest.fixture
def drawn():
    """Labels with gaps, a row of one label and a row of none, draws, and weights of rows of which one is zero."""
    rng = np.random.default_rng(0)
    y, samples = rng.normal(size=(8, 3)) * SCALES + 5, rng.normal(size=(7, 8, 3)) * SCALES + 5
    y[0, 1] = y[3, 0] = y[4, 2] = np.nan
    y[1, 1:] = y[5] = np.nan
    return y, samples, np.r_[0.0, rng.random(7)]


def energy_of_pairs(y, draws, fair):
    """Return the energy score of a row, by its definition."""
    n = len(draws)
    error = sum(np.sqrt(np.sum((x - y) ** 2)) for x in draws) / n
    pairs = sum(np.sqrt(np.sum((one - other) ** 2)) for one, other in product(draws, draws))
    return error - pairs / (2 * n * (n - 1 if fair else n))


def variogram_of_pairs(y, draws, p, weights):
    """Return the variogram score of a row, by its definition."""
    return sum(
        weights[s, t] * (abs(y[s] - y[t]) ** p - np.mean([abs(x[s] - x[t]) ** p for x in draws])) ** 2
        for s, t in product(range(len(y)), range(len(y)))
    )


@pytest.mark.parametrize("fair", [True, False])
def test_crps_by_all_pairs(drawn, fair):
    y, samples, w = drawn
    expected, weighted = [], []
    for task in range(3):
        rows = np.flatnonzero(~np.isnan(y[:, task]))
        own = [energy_of_pairs(y[row, [task]], samples[:, row, [task]], fair) for row in rows]
        expected.append(np.mean(own))
        weighted.append(np.dot(w[rows], own) / w[rows].sum())
    kept = {"fair": fair, "multioutput": "raw_values"}
    np.testing.assert_allclose(crps_score(y, samples, **kept), expected)
    np.testing.assert_allclose(crps_score(y, samples, sample_weight=w, **kept), weighted)
    by_label = np.where(np.isnan(y), 9.0, w[:, None])
    np.testing.assert_allclose(crps_score(y, samples, sample_weight=by_label, **kept), weighted)
    assert crps_score(y, samples, fair=fair) == pytest.approx(np.mean(expected))
    assert crps_score(y[:, 0], samples[..., 0], fair=fair) == pytest.approx(expected[0])


def gaussian_crps(y, mean, std):
    """Return the CRPS of a Gaussian (Gneiting and Raftery 2007, section 4.2)."""
    z = (y - mean) / std
    return std * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))


def test_crps_of_a_gaussian_by_its_quantiles():
    """Draws at the middle of equally probable parts: the score of the draws as they are is that of the distribution."""
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000, loc=3.0, scale=2.0)
    y = np.array([3.0, 1.0, 9.0, 1e3])
    samples = np.repeat(quantiles[:, None], len(y), axis=1)
    for row in range(len(y)):
        one = crps_score(y[[row]], samples[:, [row]], fair=False)
        assert one == pytest.approx(gaussian_crps(y[row], 3.0, 2.0), rel=1e-4)


def test_fair_scores_do_not_depend_on_the_number_of_draws():
    """Of two draws the score is unbiased; as they are, it is above by a quarter of their mean distance."""
    rng = np.random.default_rng(0)
    y, samples = np.zeros(200_000), rng.normal(size=(2, 200_000))
    expected, distance = gaussian_crps(0.0, 0.0, 1.0), 2 / np.sqrt(np.pi)
    assert crps_score(y, samples) == pytest.approx(expected, abs=0.01)
    assert crps_score(y, samples, fair=False) == pytest.approx(expected + distance / 4, abs=0.01)
    # Of a standard Gaussian in three dimensions, norms are chi distributed.
    norm_of_three = np.sqrt(2) * gamma(2) / gamma(1.5)
    y, samples = np.zeros((50_000, 3)), rng.normal(size=(2, 50_000, 3))
    fair, plain = (energy_score(y, samples, scale=None, fair=fair) for fair in (True, False))
    assert fair == pytest.approx(norm_of_three * (1 - 1 / np.sqrt(2)), abs=0.02)
    assert plain == pytest.approx(norm_of_three * (1 - 1 / np.sqrt(2) / 2), abs=0.02)


def test_crps_keeps_its_digits_far_from_zero():
    rng = np.random.default_rng(0)
    y, samples = rng.integers(0, 64, 5) / 64, rng.integers(0, 64, (9, 5)) / 64
    assert crps_score(y + 2.0**40, samples + 2.0**40) == crps_score(y, samples)


@pytest.mark.parametrize("fair", [True, False])
def test_energy_score_by_all_pairs_of_the_observed_tasks(drawn, fair):
    y, samples, w = drawn
    rows = [row for row in range(8) if row != 5]
    own = []
    for row in rows:
        tasks = ~np.isnan(y[row])
        own.append(energy_of_pairs((y / SCALES)[row, tasks], (samples / SCALES)[:, row, tasks], fair))
    assert energy_score(y, samples, scale=SCALES, fair=fair) == pytest.approx(np.mean(own))
    assert energy_score(y / SCALES, samples / SCALES, scale=None, fair=fair) == pytest.approx(np.mean(own))
    weighted = energy_score(y, samples, scale=SCALES, fair=fair, sample_weight=w)
    assert weighted == pytest.approx(np.dot(w[rows], own) / w[rows].sum())


@pytest.mark.parametrize("p", [0.5, 1, 2.0])
def test_variogram_score_by_all_pairs_of_the_observed_tasks(drawn, p):
    y, samples, w = drawn
    weights = np.arange(9.0).reshape(3, 3)
    rows = [row for row in range(8) if row not in (1, 5)]
    for chosen in (weights, None):
        own = []
        for row in rows:
            tasks = np.flatnonzero(~np.isnan(y[row]))
            pairs = np.ones((3, 3)) if chosen is None else weights
            pairs = pairs[np.ix_(tasks, tasks)]
            own.append(variogram_of_pairs((y / SCALES)[row, tasks], (samples / SCALES)[:, row, tasks], p, pairs))
        options = {"p": p, "weights": chosen, "scale": SCALES}
        assert variogram_score(y, samples, **options) == pytest.approx(np.mean(own))
        weighted = variogram_score(y, samples, sample_weight=w, **options)
        assert weighted == pytest.approx(np.dot(w[rows], own) / w[rows].sum())


def test_energy_score_of_one_task_is_the_crps_and_of_one_draw_the_error(drawn):
    y, samples, _ = drawn
    assert energy_score(y[:, 0], samples[..., 0], scale=None) == pytest.approx(crps_score(y[:, 0], samples[..., 0]))
    rows = ~np.isnan(y[:, 0])
    error = mean_absolute_error(y[rows, 0], samples[0, rows, 0])
    assert energy_score(y[:, :1], samples[:1, :, :1], scale=None, fair=False) == pytest.approx(error)
    assert crps_score(y[:, 0], samples[:1, :, 0], fair=False) == pytest.approx(error)


@pytest.mark.parametrize("score", JOINT)
def test_scores_of_one_row(score):
    y, samples = np.array([[0.0, 4.0]]), np.array([[[3.0, 0.0]], [[3.0, 8.0]]])
    expected = {energy_score: 5.0 - 8.0 / 2, variogram_score: 2 * (4.0 - (3.0 + 5.0) / 2) ** 2}[score]
    options = {} if score is energy_score else {"p": 1}
    assert score(y, samples, scale=None, **options) == expected
    with pytest.warns(UndefinedMetricWarning, match=r"task 'y0': all of its labels are 0.*; set scale") as caught:
        assert np.isnan(score(y, samples, **options))
    assert caught[0].filename == __file__


@pytest.mark.parametrize("score", JOINT)
def test_standard_deviations_are_those_of_the_labels_that_count(score, drawn):
    y, samples, w = drawn
    assert score(y, samples) == pytest.approx(score(y, samples, scale=np.nanstd(y, axis=0)))
    by_name = dict(zip("cba", np.nanstd(y, axis=0)[::-1], strict=True))
    assert score(pd.DataFrame(y, columns=list("abc")), samples, scale=by_name) == pytest.approx(score(y, samples))
    assert score(y * SCALES, samples * SCALES) == pytest.approx(score(y, samples))
    weights = np.where(np.isnan(y), 0.0, w[:, None])
    mean = np.nansum(weights * y, axis=0) / weights.sum(axis=0)
    std = np.sqrt(np.nansum(weights * (y - mean) ** 2, axis=0) / weights.sum(axis=0))
    expected = score(y, samples, scale=std, sample_weight=w)
    assert score(y, samples, sample_weight=w) == pytest.approx(expected)
    y[0] = np.inf  # of weight zero
    assert score(y, samples, sample_weight=w) == pytest.approx(expected)


@pytest.mark.parametrize("score", JOINT)
def test_tasks_that_cannot_be_scored_are_left_out_with_a_warning(score, drawn):
    y, samples, _ = drawn
    table = pd.DataFrame(y, columns=["mass", "size", "kind"]).astype({"kind": object})
    table["kind"] = None
    mixed = samples.astype(object)
    mixed[..., 2] = "low"
    with pytest.warns(UndefinedMetricWarning, match="The score leaves it out: task 'kind': it has no label"):
        assert score(table, mixed) == pytest.approx(score(y[:, :2], samples[..., :2]))
    y[:, 2] = np.where(np.isnan(y[:, 2]), np.nan, 5.0)
    with pytest.warns(UndefinedMetricWarning, match="task 'y2': all of its labels are 5") as caught:
        assert score(y, samples) == pytest.approx(score(y[:, :2], samples[..., :2]))
    (warning,) = caught
    assert warning.filename == __file__


def test_where_no_row_can_be_scored_the_score_is_nan_and_says_so(drawn):
    y, samples, w = drawn
    with pytest.warns(UndefinedMetricWarning, match="No row has 2 labels: the score is NaN") as caught:
        assert np.isnan(variogram_score([[1.0, np.nan], [np.nan, 1.0]], samples[:, :2, :2], scale=2.0))
    assert caught[0].filename == __file__
    for score in (crps_score, *JOINT):
        with pytest.warns(UndefinedMetricWarning, match="task 'y2': it has no label of non-zero weight"):
            assert np.isnan(score(y, samples, sample_weight=0 * w))


@pytest.mark.parametrize("score", [crps_score, *JOINT])
def test_errors_name_what_must_hold(score, drawn):
    y, samples, w = drawn
    for wrong in (samples[:, :5], samples[..., :2], samples[0], samples[:0], samples[..., None]):
        with pytest.raises(ValueError, match=r"samples must have shape .* here \(n_samples, 8, 3\), .* Got \("):
            score(y, wrong)
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(8,\)"):
        score(y, samples, sample_weight=w[:5])
    wrong = samples.copy()
    wrong[2, 2, 1] = np.nan
    with pytest.raises(ValueError, match=r"samples must be finite\. Got nan\. This is task 'y1'"):
        score(y, wrong)
    y[2, 1] = np.inf
    with pytest.raises(ValueError, match=r"y_true must be finite\. Got inf\. This is task 'y1'"):
        score(y, samples)
    y[2, 1] = 1e155  # its square is not finite
    with pytest.raises(ValueError, match=r"y_true must lie between -1e\+150 and 1e\+150\. Got 1e\+155\. This is task"):
        score(y, samples)
    with pytest.raises(ValueError, match=r"This score is of numbers\. Got 'a'"):
        score(np.full((8, 3), "a"), samples)


@pytest.mark.parametrize("score", JOINT)
def test_errors_of_joint_scores(score, drawn):
    y, samples, _ = drawn
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(8,\), since a joint score is of whole rows"):
        score(y, samples, sample_weight=np.ones((8, 3)))
    for wrong in ("mad", 0.0, -1.0, [1.0, np.nan, 1.0]):
        with pytest.raises(ValueError, match="scale must"):
            score(y, samples, scale=wrong)
    with pytest.raises(ValueError, match="scale must have one value per task"):
        score(y, samples, scale=[1.0])
    with pytest.raises(ValueError, match="scale names unknown tasks"):
        score(y, samples, scale={"mass": 1.0})


def test_errors_of_options(drawn):
    y, samples, _ = drawn
    for score in (crps_score, energy_score):
        with pytest.raises(ValueError, match="fair=True needs two draws"):
            score(y, samples[:1])
    for p in (0, -1.0, np.inf, np.nan, "1", True):
        with pytest.raises(ValueError, match="p must be a number > 0"):
            variogram_score(y, samples, p=p)
    for weights in (np.ones(3), -np.ones((3, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(ValueError, match=r"weights must hold finite numbers >= 0, of shape \(3, 3\)"):
            variogram_score(y, samples, weights=weights)


def test_draws_of_integers_and_of_single_precision_are_scored_as_float64(drawn):
    y, samples, _ = drawn
    for own in (samples.astype(np.float32), samples.astype(int)):
        for score in (crps_score, *JOINT):
            assert score(y, own) == score(y, own.astype(np.float64))


def test_draws_are_read_in_blocks(monkeypatch, drawn):
    y, samples, w = drawn
    whole = [score(y, samples, sample_weight=w) for score in (crps_score, *JOINT)]
    monkeypatch.setattr("sklearn_mtae._tables.blocks.BLOCK_CELLS", 45)
    assert whole == [score(y, samples, sample_weight=w) for score in (crps_score, *JOINT)]
