"""What a report says of rows whose likeness is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import r2_score, roc_auc_score

from sklearn_mtae.metrics import generation_report
from sklearn_mtae.metrics._learned import AreaUnderCurve, nearest_real
from sklearn_mtae.metrics._pooled_tables import copy_gaps, read_tables
from sklearn_mtae.metrics._similarity import Marginals, Pairs
from tests.messages import message_of

QUICK = {"n_bootstraps": 20, "random_state": 0}
N = 150


def rows(seed, n_rows=N):
    """Return rows of numbers, classes and booleans that depend on each other, with missing cells."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n_rows)
    table = pd.DataFrame({"age": 40 + 10 * z + 3 * rng.normal(size=n_rows), "pay": np.exp(z + rng.normal(size=n_rows))})
    table["job"] = np.array(["aide", "clerk", "smith"], dtype=object)[np.digitize(z, [-0.5, 0.5])]
    table["member"] = z + rng.normal(size=n_rows) > 0
    hidden = rng.random((n_rows, 2)) < 0.1
    return table.assign(pay=table["pay"].mask(hidden[:, 0]), job=table["job"].mask(hidden[:, 1]))


REAL, HELD_OUT = rows(0), rows(1)


def test_new_rows_of_the_same_distribution_are_near_all_ideals():
    report = generation_report(REAL, rows(2), HELD_OUT, target="member", **QUICK)
    assert list(report.measures) == ["marginals", "pairs", "c2st", "privacy", "taught"]
    for name, (score, low, high, ideal) in report.measures.items():
        assert low - 0.03 <= ideal <= high + 0.03, name
        assert abs(score - ideal) < 0.15, name
    assert report.measures["c2st"].ideal == 1
    assert report.measures["privacy"].ideal == 0.5


def test_independent_columns_have_good_marginals_alone():
    rng = np.random.default_rng(0)
    apart = rows(2).apply(lambda column: column.iloc[rng.permutation(N)].array)
    measures = generation_report(REAL, apart, HELD_OUT, target="member", **QUICK).measures
    assert measures["marginals"].score > measures["marginals"].ideal - 0.05
    assert measures["pairs"].high < measures["pairs"].ideal
    assert measures["c2st"].score < 0.6
    assert measures["taught"].high < measures["taught"].ideal


def test_copies_are_found():
    copies = REAL.sample(N, replace=True, random_state=0)
    measures = generation_report(REAL, copies, HELD_OUT, **QUICK).measures
    assert measures["privacy"].score > 0.97
    assert measures["privacy"].low > 0.9


def test_rows_that_real_and_held_out_rows_share_are_nobodys():
    assert generation_report(REAL, REAL, REAL, **QUICK).measures["privacy"].score == 0.5


@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_rows_that_know_nothing_of_the_split_are_as_near_to_either_side(gaps):
    """Gaps that hardly two rows have in common, heavy tails, and three times as many real as held-out rows."""
    rng, shares = np.random.default_rng(0), []
    for seed in range(300):
        parts = [rng.standard_t(2, size=(n_rows, 6)) for n_rows in (60, 60, 20)]
        real, drawn, held_out = (np.where(rng.random(own.shape) < gaps, np.nan, own) for own in parts)
        drawn, state = np.where(np.isnan(drawn), 0.0, drawn), np.random.RandomState(seed)
        score, n_rows = nearest_real(copy_gaps(read_tables((real, drawn, held_out), None, state), state), state)
        shares.append(score(np.ones(n_rows)))
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)


def test_the_shifted_column_is_named():
    drawn = rows(2)
    report = generation_report(REAL, drawn.assign(age=drawn["age"] + 20), HELD_OUT, **QUICK)
    assert min(report.marginals, key=report.marginals.get) == "age"
    assert "least alike column: 'age'" in repr(report)


def test_it_prints_as_a_table_and_becomes_a_frame():
    report = generation_report(REAL, rows(2), HELD_OUT, **QUICK)
    frame = report.to_frame()
    assert frame.columns.tolist() == ["score", "low", "high", "ideal"]
    assert frame.loc["c2st", "score"] == report.measures["c2st"].score
    assert f"{frame.loc['pairs', 'score']:.3f}" in repr(report)


def test_the_same_seed_gives_the_same_report():
    one, other = (generation_report(REAL, rows(2), HELD_OUT, target="age", **QUICK) for _ in range(2))
    assert one.measures == other.measures


def test_arrays_and_frames_in_another_order_are_the_same_tables():
    tables = [table[["age", "pay"]] for table in (REAL, rows(2), HELD_OUT)]
    by_name = generation_report(tables[0], tables[1][["pay", "age"]], tables[2], **QUICK)
    by_place = generation_report(*(table.to_numpy() for table in tables), target=None, **QUICK)
    assert by_name.measures == by_place.measures
    assert list(by_place.marginals) == [0, 1]


def test_gaps_are_copied_where_the_model_draws_none():
    drawn = rows(2).fillna({"pay": 1.0, "job": "aide"})
    drawn = drawn.assign(pay=rows(3)["pay"].fillna(1.0))
    real, held_out = (table.assign(pay=np.nan) for table in (REAL, HELD_OUT))
    copied, seen = (generation_report(real, drawn, held_out, copy_missing=copy, **QUICK) for copy in (True, False))
    assert copied.marginals["pay"] == 1
    assert seen.marginals["pay"] == 0


def test_marginals_are_those_of_scipy():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=40), rng.normal(0.5, size=30)
    x, which = np.r_[one, other][:, None], np.repeat([0.0, 1.0], [40, 30])
    assert Marginals(x, np.array([0]))(1 - which, which)[0] == pytest.approx(1 - stats.ks_2samp(one, other).statistic)
    codes = rng.integers(3, size=(70, 1)).astype(float)
    shares = [np.bincount(codes[which == own, 0].astype(int), minlength=3) / (which == own).sum() for own in (0, 1)]
    expected = 1 - np.abs(shares[0] - shares[1]).sum() / 2
    assert Marginals(codes, np.array([3]))(1 - which, which)[0] == pytest.approx(expected)


def test_pairs_are_those_of_numpy_over_the_rows_that_have_both():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2)) @ [[1.0, 0.8], [0.0, 0.6]] + 100
    x[rng.random(x.shape) < 0.2] = np.nan
    which = np.repeat([0.0, 1.0], 40)
    both = ~np.isnan(x).any(axis=1)
    correlations = [np.corrcoef(x[both & (which == own)].T)[0, 1] for own in (0, 1)]
    (similarity,) = Pairs(x, np.array([0, 0]))(1 - which, which)
    assert similarity == pytest.approx(1 - abs(correlations[0] - correlations[1]) / 2)
    codes = rng.integers(2, size=(80, 2)).astype(float)
    shares = [np.bincount((codes @ [2, 1]).astype(int)[which == own], minlength=4) / 40 for own in (0, 1)]
    (similarity,) = Pairs(codes, np.array([2, 2]))(1 - which, which)
    assert similarity == pytest.approx(1 - np.abs(shares[0] - shares[1]).sum() / 2)


def test_a_constant_column_has_no_correlation():
    x = np.c_[np.full(20, 0.1), np.arange(20.0)]
    which = np.repeat([0.0, 1.0], 10)
    assert Pairs(x, np.array([0, 0]))(1 - which, which)[0] == 1


def test_area_is_that_of_scikit_learn_with_ties_and_weights():
    rng = np.random.default_rng(0)
    score, positive, weight = rng.integers(5, size=50), rng.random(50) < 0.4, rng.integers(3, size=50)
    expected = roc_auc_score(positive, score, sample_weight=weight)
    assert AreaUnderCurve(score, positive)(weight) == pytest.approx(expected)


def test_what_is_taught_by_real_rows_themselves_is_the_ideal():
    for target, chance in (("member", 0.5), ("age", 0.0), ("job", 0.5)):
        taught = generation_report(REAL, REAL, HELD_OUT, target=target, **QUICK).measures["taught"]
        assert taught == pytest.approx([taught.ideal] * 4)
        assert taught.ideal > chance


def test_taught_numbers_are_scored_by_r2():
    """A straight line that trees follow but for noise that is known."""
    rng = np.random.default_rng(0)
    x = rng.integers(2, size=(3, 400, 1)).astype(float)
    real, drawn, held_out = np.concatenate([x, x + 0.5 * rng.normal(size=x.shape)], axis=2)
    taught = generation_report(real, drawn, held_out, target=1, **QUICK).measures["taught"]
    known = r2_score(held_out[:, 1], held_out[:, 0])
    assert (taught.score, taught.ideal) == (pytest.approx(known, abs=0.02), pytest.approx(known, abs=0.02))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"drawn": REAL.drop(columns="job")}, "drawn must have the columns of the other tables"),
        ({"held_out": REAL.rename(columns={"job": "work"})}, "'work'"),
        ({"drawn": REAL.assign(age="old")}, "Column 'age' of drawn must hold numbers"),
        ({"real": REAL.assign(age=pd.Timestamp("2020-01-01"))}, "Column 'age' of real holds dates"),
        ({"drawn": HELD_OUT.assign(age=pd.Timestamp("2020-01-01"))}, "Column 'age' of drawn holds dates"),
        ({"real": REAL.iloc[:1]}, "real must be a table of two rows or more"),
        ({"target": "jobs"}, "Did you mean 'job'"),
        ({"real": REAL.assign(age=np.inf)}, "infinity"),
        ({"n_bootstraps": 0}, "n_bootstraps"),
        ({"max_rows": 1}, "max_rows"),
    ],
)
def test_errors(change, words):
    tables = {"real": REAL, "drawn": HELD_OUT, "held_out": HELD_OUT}
    assert words in message_of(lambda: generation_report(**{**tables, **change}))


def test_large_tables_are_cut_down():
    report = generation_report(REAL, rows(2), HELD_OUT, max_rows=20, **QUICK)
    assert report.measures["marginals"].ideal < 0.9  # chance takes more away from small tables


@pytest.mark.parametrize("unit", [1e200, 1e-200])
def test_measures_do_not_depend_on_extreme_units(unit):
    x = np.random.default_rng(0).normal(size=(90, 2)).cumsum(axis=1)
    parts = x[:30], x[30:60], x[60:]
    usual, extreme = (
        generation_report(*(part * scale for part in parts), target=0, n_bootstraps=2, random_state=0)
        for scale in (1, unit)
    )
    for name, measure in usual.measures.items():
        np.testing.assert_allclose(extreme.measures[name], measure, rtol=1e-6, err_msg=name)
