"""Outliers: scores by closed forms, thresholds as scikit-learn's detectors have them, cells that make rows strange."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_mtae import AutoencoderTransformer, OutlierDetector, VAETransformer
from tests.messages import message_of

LINEAR = {"hidden_layer_sizes": (), "random_state": 0}
ONE = {"n_estimators": 1, "max_samples": 1.0, "novelty": True, "random_state": 0}
"""One member that has seen all rows."""
TINY = {"estimator": VAETransformer(2, hidden_layer_sizes=(8,), max_iter=2), "n_estimators": 2, "random_state": 0}
TRAINED = VAETransformer(2, learning_rate_init=0.03, max_iter=25, **LINEAR)
AUTOENCODER = AutoencoderTransformer(2, max_iter=5, scaling="standard", **LINEAR)


@pytest.fixture
def rows():
    """Rows of a factor model of two factors, in unlike units."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(200, 2)) @ rng.normal(size=(2, 5)) + 0.5 * rng.normal(size=(200, 5))) * [1, 10, 0.1, 1, 2]


@pytest.fixture
def frame(rows):
    """Numbers, a category and a boolean."""
    numbers = pd.DataFrame(rows[:, :3], columns=["a", "b", "c"])
    return numbers.assign(city=np.where(rows[:, 0] > 0, "Rome", "Oslo"), member=rows[:, 1] > 0)


def unit_rows(member, X):
    """Return rows, and their reconstructions, in standard deviations."""
    return (X - X.mean(axis=0)) / X.std(axis=0), (member.predict(X) - X.mean(axis=0)) / X.std(axis=0)


def test_the_density_of_a_linear_model_ranks_rows_as_mahalanobis_distances(rows):
    detector = OutlierDetector(TRAINED, criterion="density", **ONE).fit(rows)
    score, centred = detector.score_samples(rows), rows - rows.mean(axis=0)
    distance = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(np.cov(rows.T)), centred)
    assert spearmanr(score, -distance)[0] > 0.95
    # One number apart: the mean over the rows is the usual one.
    density = detector.estimators_[0].score_samples(rows)
    np.testing.assert_allclose(score, density - density.mean(), atol=1e-6)


def test_the_reconstruction_is_half_the_squared_error(rows):
    detector = OutlierDetector(AUTOENCODER, criterion="reconstruction", **ONE).fit(rows)
    x, expected = unit_rows(detector.estimators_[0], rows)
    half = np.square(x - expected) / 2
    np.testing.assert_allclose(detector.score_samples(rows), half.mean(axis=0).sum() - half.sum(axis=1), atol=1e-6)


def test_neighbours_are_the_5th_10th_20th_and_40th_of_200(rows):
    detector = OutlierDetector(AUTOENCODER, criterion="neighbours", **ONE).fit(rows)
    _, expected = unit_rows(detector.estimators_[0], rows)
    apart = np.square(expected[:, None] - expected).sum(axis=-1) / 2
    nats = np.sort(apart, axis=1)[:, [4, 9, 19, 39]].mean(axis=1)
    np.testing.assert_allclose(detector.score_samples(rows), nats.mean() - nats, atol=1e-6)


def test_criteria_together_spread_alike(rows):
    parts = [
        OutlierDetector(AUTOENCODER, criterion=criterion, **ONE).fit(rows).score_samples(rows)
        for criterion in ("neighbours", "reconstruction")
    ]
    spreads = [np.subtract(*np.percentile(part, [75, 25])) for part in parts]
    together = sum(part * np.mean(spreads) / spread / 2 for part, spread in zip(parts, spreads, strict=True))
    both = OutlierDetector(AUTOENCODER, **ONE).fit(rows)
    np.testing.assert_allclose(both.score_samples(rows), together, rtol=1e-5, atol=1e-5)


def test_a_cell_has_the_nats_of_its_density_given_the_others(rows):
    detector = OutlierDetector(TRAINED, criterion="density", **ONE).fit(rows)
    member = detector.estimators_[0]
    variance = np.square(member.module_.units.scale.numpy()) / member.module_.likelihood.precision().numpy()
    precision = np.linalg.inv(member.components_.T @ member.components_ + np.diag(variance))
    residual = (rows - rows.mean(axis=0)) @ precision / np.diag(precision)
    nats = np.square(residual) * np.diag(precision) / 2  # of a normal cell given all others, but for a constant
    apart = detector.explain(rows[:20]) - nats[:20]
    np.testing.assert_allclose(apart - apart.mean(axis=0), 0, atol=0.25)  # by 100 draws


@pytest.mark.parametrize("criterion", ["auto", ("density", "reconstruction")])
def test_categories_and_missing_cells_are_cells(frame, criterion):
    frame = frame.iloc[:40].astype({"member": object})
    frame.iloc[:10, 0], frame.iloc[5:20, 3], frame.iloc[8:30, 4] = np.nan, None, None
    detector = OutlierDetector(**{**TINY, "criterion": criterion}).fit(frame)
    explained = detector.explain(frame)
    assert explained.shape == frame.shape
    np.testing.assert_allclose(explained[frame.isna().to_numpy()], 0, atol=1e-3)
    assert (np.abs(explained[frame.notna().to_numpy()]) > 1e-3).mean() > 0.9


def test_an_only_cell_bears_the_score(rows):
    detector = OutlierDetector(**TINY).fit(rows[:, :1])
    np.testing.assert_allclose(detector.explain(rows[:, :1])[:, 0], -detector.score_samples(rows[:, :1]))


def test_the_strange_cell_is_found(rows):
    rows[3, 2] += 10 * rows[:, 2].std()
    detector = OutlierDetector(TRAINED, n_estimators=2, random_state=0).fit(rows)
    assert detector.score_samples(rows).argmin() == 3
    assert detector.explain(rows[3:4]).argmax() == 2


def test_a_level_that_no_member_has_seen_is_strange(frame):
    detector = OutlierDetector(**TINY, novelty=True).fit(frame)
    odd = frame.iloc[:1].assign(city="Atlantis")
    gap = frame.iloc[:1].assign(city=None)
    explained = detector.explain(odd)
    assert explained[0, 3] == pytest.approx(np.log1p(100))  # half of 200 rows
    assert detector.score_samples(gap)[0] - detector.score_samples(odd)[0] == pytest.approx(np.log1p(100))


def test_a_category_that_is_known_in_one_row_is_learned(frame):
    frame["city"] = np.where(np.arange(len(frame)) == 17, "Rome", None)
    detector = OutlierDetector(**TINY).fit(frame)
    assert np.isfinite(detector.score_samples(frame)).all()
    assert len(detector.estimators_) == 2


@pytest.mark.parametrize("contamination", [0.05, 0.25])
def test_contamination_is_the_share_of_outliers_as_in_a_forest(rows, contamination):
    found = [
        detector.fit(rows).predict(rows)
        for detector in (
            OutlierDetector(contamination=contamination, **TINY),
            IsolationForest(contamination=contamination, random_state=0),
        )
    ]
    np.testing.assert_array_equal(*[(labels == -1).sum() for labels in found])


def test_auto_puts_the_offset_at_the_fence(rows):
    detector = OutlierDetector(**TINY).fit(rows)
    score = detector.score_samples(rows)
    low, high = np.percentile(score, [25, 75])
    assert detector.offset_ == pytest.approx(low - 1.5 * (high - low))
    np.testing.assert_allclose(detector.decision_function(rows), score - detector.offset_)
    np.testing.assert_array_equal(detector.predict(rows), np.where(score < detector.offset_, -1, 1))
    np.testing.assert_array_equal(clone(detector).fit_predict(rows), detector.predict(rows))


def test_outliers_among_the_training_rows_are_left_out(rows):
    rng = np.random.default_rng(1)
    X = np.r_[rows, rows[:16] * 0 + rows.mean(axis=0) + rows.std(axis=0) * (3 + 0.1 * rng.normal(size=(16, 5)))]
    y = np.arange(len(X)) >= len(rows)
    trimmed, trusting = (
        OutlierDetector(TRAINED, n_estimators=2, random_state=0, novelty=novelty).fit(X) for novelty in (False, True)
    )
    assert roc_auc_score(y, -trimmed.score_samples(X)) > 0.95
    distance = [-np.median(d.score_samples(X)[y]) for d in (trimmed, trusting)]
    assert distance[0] > distance[1]  # they are no part of what is usual


def test_rows_of_weight_zero_take_no_part(rows):
    X, weight = np.r_[rows, rows[:50] * 1e3], np.r_[np.ones(200), np.zeros(50)]
    weighted = OutlierDetector(**TINY).fit(X, sample_weight=weight)
    without = OutlierDetector(**TINY).fit(rows, sample_weight=np.ones(200))
    np.testing.assert_allclose(weighted.score_samples(rows), without.score_samples(rows), rtol=1e-4)
    assert weighted.offset_ == pytest.approx(without.offset_, rel=1e-4)


def test_rows_do_not_depend_on_those_beside_them(frame):
    detector = OutlierDetector(**TINY).fit(frame)
    score = detector.score_samples(frame)
    np.testing.assert_allclose(score[7:8], detector.score_samples(frame.iloc[7:8]), rtol=1e-5)
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.score_samples(frame), score)
    assert list(again.feature_names_in_) == list(frame.columns)


def test_a_row_far_from_all_is_the_strangest_and_finite(rows):
    detector = OutlierDetector(**TINY).fit(rows.astype(np.float32))
    far = np.full((1, 5), 1e30, np.float32)
    assert np.isfinite(detector.score_samples(far)).all()
    assert detector.score_samples(far)[0] < detector.score_samples(rows).min()
    assert detector.predict(far)[0] == -1
    assert detector.score_samples(np.full((1, 5), np.nan))[0] == 0


def test_one_row_is_usual():
    detector = OutlierDetector(**TINY).fit([[1.0, 2.0]])
    assert detector.predict([[1.0, 2.0]])[0] == 1


def test_the_default_model_has_half_as_many_components_as_columns(rows, frame):
    detector = OutlierDetector(n_estimators=1, max_samples=20, novelty=True, random_state=0)
    assert detector.fit(rows).estimators_[0].n_components == 2
    assert detector.fit(frame).estimators_[0].n_components == 3  # 3 numbers, 2 cities, a boolean
    assert detector.fit(np.repeat(rows, 8, axis=1)).estimators_[0].n_components == 10


def test_it_stands_in_a_pipeline(rows):
    detector = OutlierDetector(**TINY)
    pipe = make_pipeline(FunctionTransformer(), detector).fit(rows)
    np.testing.assert_array_equal(pipe.predict(rows), clone(detector).fit_predict(rows))


@pytest.mark.parametrize("criterion", [(), ("density", "density"), ("density", "nearness"), (1,)])
def test_criteria_are_different_names(rows, criterion):
    message = message_of(lambda: OutlierDetector(criterion=criterion).fit(rows))
    assert "criterion must hold different names of" in message


def test_an_autoencoder_has_no_density(rows):
    message = message_of(lambda: OutlierDetector(AUTOENCODER, criterion="density").fit(rows))
    assert "estimator=AutoencoderTransformer(...)" in message


def test_rounding_makes_no_outlier_of_rows_that_are_all_the_same():
    X = np.ones((50, 3))
    assert (OutlierDetector(n_estimators=1, random_state=0).fit(X).predict(X) == 1).all()
