"""The imputer: columns that were empty in `fit`, or are later, names of what comes out, imputers in a row."""

import warnings
from contextlib import nullcontext

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from tests.estimators import test_imputer
from tests.estimators.test_imputer import EMPTY, NAN, assert_only_gaps_filled, imputer, small

gappy, frame = test_imputer.gappy, test_imputer.frame

# Columns that were empty in `fit`.

EMPTIES = {
    "float": np.full(60, NAN),
    "single": np.full(60, NAN, dtype=np.float32),
    "none": pd.Series([None] * 60, dtype=object),
    "boolean": pd.array([None] * 60, dtype="boolean"),
    "integer": pd.array([None] * 60, dtype="Int64"),
    "str": pd.Series([NAN] * 60, dtype=pd.StringDtype(na_value=NAN)),  # "str" of pandas 3
    "string": pd.array([None] * 60, dtype="string"),
    "category": pd.Categorical([None] * 60),
    "levels": pd.Categorical([None] * 60, ["u", "v"], ordered=True),
}
LATER = {"none": "word", "boolean": True, "integer": 7, "str": "word", "string": "word", "category": "u", "levels": "v"}
"""What such a column holds in a row of another table."""
FILL = {name: "missing_value" if name in ("str", "string", "category", "levels") else 0 for name in EMPTIES}
"""What stands for nothing: a name where a later step sees names, otherwise 0, as scikit-learn's imputers have it."""


def with_empty(frame, name):
    return frame.assign(empty=pd.Series(EMPTIES[name], index=frame.index))


@pytest.mark.parametrize("name", EMPTIES)
def test_empty_columns_of_every_dtype(frame, name):
    """Left out they change nothing; kept they are filled."""
    X = with_empty(frame, name)
    expected = imputer().fit_transform(frame)
    fitted = imputer(add_indicator=True)
    with pytest.warns(UserWarning, match=rf"{EMPTY}: \['empty'\]"):
        fitted.fit(X)
    filled = fitted.transform(X)
    assert list(filled) == fitted.get_feature_names_out().tolist()
    assert filled["missingindicator_empty"].all()
    assert_only_gaps_filled(filled[list(frame)], frame)
    pd.testing.assert_series_equal(filled["size"], expected["size"])
    kept = imputer(keep_empty_features=True).fit(X)
    filled = kept.transform(X)
    assert list(filled) == kept.get_feature_names_out().tolist() == list(X)
    assert filled["empty"].tolist() == [FILL[name]] * 60
    assert_only_gaps_filled(filled[list(frame)], frame)


@pytest.mark.parametrize("name", [name for name, value in FILL.items() if value])
def test_a_step_after_kept_columns_takes_what_they_hold_later(frame, name):
    X = with_empty(frame, name)
    fitted = imputer(keep_empty_features=True).fit(X)
    step = small().fit(fitted.transform(X))
    later = X.assign(empty=pd.Series([LATER[name], *[None] * 59], index=X.index, dtype=object))
    with pytest.warns(UserWarning, match="Categories that fit has not seen"):
        assert np.isfinite(step.transform(fitted.transform(later))).all()


@pytest.mark.parametrize("name", EMPTIES)
def test_what_empty_columns_hold_later(frame, name):
    """It stays as it is, and no other cell depends on it: the model has never seen such a cell."""
    X = with_empty(frame, name)
    fitted = imputer(keep_empty_features=True).fit(X)
    later = X.assign(empty=pd.Series([LATER.get(name, 1e3), *[None] * 59], index=X.index, dtype=object))
    filled = fitted.transform(later)
    assert filled["empty"].tolist() == [LATER.get(name, 1e3), *[0] * 59]  # objects, of whatever kind they are
    assert_frame_equal(filled.drop(columns="empty"), fitted.transform(X).drop(columns="empty"))


@pytest.mark.parametrize("keep", [False, True])
def test_empty_columns_are_those_of_scikit_learn(gappy, keep):
    X, other = np.c_[gappy, np.full(60, NAN)], np.c_[gappy, np.arange(60.0)]
    theirs = SimpleImputer(keep_empty_features=keep, add_indicator=True).fit(X)
    ours = imputer(keep_empty_features=keep, add_indicator=True)
    with nullcontext() if keep else pytest.warns(UserWarning, match=EMPTY):
        ours.fit(X)
    for rows in (X, other):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = theirs.transform(rows)
        filled = ours.transform(rows)
        assert filled.shape == expected.shape
        np.testing.assert_array_equal(filled[:, 4:], expected[:, 4:])


def test_an_empty_column_that_is_named_categorical(frame):
    X = with_empty(frame, "none")
    named = ["gaussian" if dtype.kind in "biuf" else "categorical" for dtype in frame.dtypes]
    for likelihood in ({"empty": "categorical"}, [*named, "categorical"]):
        filled = imputer(small(likelihood=likelihood), keep_empty_features=True).fit_transform(X)
        assert filled["empty"].tolist() == [0] * 60
        assert_only_gaps_filled(filled[list(frame)], frame)
    codes = np.c_[frame["a"].to_numpy(), np.full(60, NAN)]
    with pytest.warns(UserWarning, match=EMPTY):
        assert imputer(small(likelihood={1: "categorical"})).fit_transform(codes).shape == (60, 1)


def test_columns_that_are_empty_only_later(frame):
    fitted = imputer(add_indicator=True).fit(frame)
    nothing = pd.DataFrame({name: pd.Series([None] * 3, dtype=object) for name in frame})
    filled = fitted.transform(nothing)
    assert list(filled) == fitted.get_feature_names_out().tolist()
    assert not filled.isna().any(axis=None)
    assert set(filled["job"]) <= {"clerk", "smith"}
    assert set(filled["size"]) <= {"s", "m", "l"}
    extra = frame.astype({"flag": "boolean"}).mask(np.random.default_rng(3).random(frame.shape) < 0.5)
    filled = fitted.transform(extra)
    assert_only_gaps_filled(filled[list(frame)], extra)


@pytest.mark.parametrize("twice", ["missingindicator_a", "missingindicator_size"])
def test_columns_that_are_called_as_an_indicator_is(frame, twice):
    X = frame.assign(**{twice: 1.0})
    with pytest.raises(ValueError, match=rf"add_indicator=True needs columns .* Got \['{twice}'\]; rename them"):
        imputer(add_indicator=True).fit(X)
    assert list(imputer().fit_transform(X)) == list(X)
    other = frame.assign(missingindicator_flag=1.0)
    assert imputer(add_indicator=True).fit(other).get_feature_names_out().tolist().count("missingindicator_flag") == 1


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_two_in_a_row(frame, gappy, output):
    for X in (frame, gappy) if output != "polars" else (gappy,):  # of polars, numbers are taken
        first, second = imputer(add_indicator=True), imputer(add_indicator=True)
        both = make_pipeline(first, second).set_output(transform=output)
        filled = both.fit_transform(X)
        once = clone(first).set_output(transform=output).fit_transform(X)
        np.testing.assert_array_equal(np.asarray(filled), np.asarray(once))
        assert both.get_feature_names_out().tolist() == first.get_feature_names_out().tolist()
        names = getattr(filled, "columns", both.get_feature_names_out())
        assert list(names) == both.get_feature_names_out().tolist()
        half = X[:5] if X is gappy else X.iloc[:5]
        assert both.transform(half).shape == (5, filled.shape[1])


@pytest.mark.parametrize("keep", [False, True])
def test_infinity_in_a_column_that_was_empty(gappy, keep):
    """It is refused wherever it stands, as scikit-learn's imputers do, left out or not."""
    X, later = np.c_[gappy, np.full(60, NAN)], np.c_[gappy, np.full(60, NAN)]
    later[3, -1] = np.inf
    last = gappy.shape[1]
    tables = [(X, later, last), (pd.DataFrame(X).add_prefix("x"), pd.DataFrame(later).add_prefix("x"), f"x{last}")]
    tables.append((tables[1][0], tables[1][1].astype({f"x{last}": object}), f"x{last}"))
    tables.append((pl.DataFrame(X), pl.DataFrame(later), f"column_{last}"))
    for first, rows, name in tables:
        own = imputer(keep_empty_features=keep)
        with nullcontext() if keep else pytest.warns(UserWarning, match=EMPTY):
            own.fit(first)
        with pytest.raises(ValueError, match=f"contains infinity, in column {name!r}"):
            own.transform(rows)
