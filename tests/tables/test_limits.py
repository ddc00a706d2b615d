"""Values that a likelihood does not have, after `fit`: what scores say of them, and what the other verbs do."""

import re
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAEImputer, VAETransformer
from sklearn_mtae.nn.likelihoods import LIKELIHOODS, OneHot

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

NAN = np.nan
TINY = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
BOUNDED = sorted(name for name, family in LIKELIHOODS.items() if np.isfinite(getattr(family, "support", (-np.inf,))[0]))
TOP = {name: np.isfinite(LIKELIHOODS[name].support[1]) for name in BOUNDED}
KINDS = [AutoencoderTransformer, VAETransformer, MultiTaskVAERegressor]


def admissible(n=40, n_columns=3):
    """Rows of shares: every likelihood has them."""
    return np.random.default_rng(0).dirichlet(np.ones(n_columns), size=n)


def fit(kind, likelihood, X, **settings):
    own = {**TINY, **({"n_estimators": 1} if kind is MultiTaskVAERegressor else {}), **settings}
    return kind(2, likelihood=likelihood, **own).fit(X, None if kind is not MultiTaskVAERegressor else X[:, 0])


def outside(X, name, dtype=np.float64):
    """Return rows of which two have a value that there cannot be, and one a gap beside it."""
    rows = X.astype(dtype)
    rows[3, 1] = -2.0
    rows[5, 0], rows[5, 2] = (7.0 if TOP[name] else -1e-3), np.nan
    rows[6, 0] = np.nan
    return rows, np.isin(np.arange(len(X)), [3, 5])


def test_there_are_likelihoods_with_a_support():
    assert {"bernoulli", "poisson", "negative_binomial", "log_normal", "multinomial", "categorical"} <= set(BOUNDED)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_what_cannot_be_are_minus_infinity(kind, name, dtype):
    X = admissible()
    model = fit(kind, name, X)
    rows, cannot = outside(X, name, dtype)
    scores = model.score_samples(rows)
    assert scores.dtype == dtype
    np.testing.assert_array_equal(scores == -np.inf, cannot)
    assert np.isfinite(scores[~cannot]).all()
    np.testing.assert_allclose(scores[~cannot], model.score_samples(rows[~cannot]), rtol=1e-5)
    np.testing.assert_array_equal(model.score_samples(rows[cannot]), -np.inf)
    if LIKELIHOODS[name].peak is not None:
        assert scores.max() <= 0, "a probability"


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("kind", KINDS)
def test_other_verbs_raise_what_fit_raises(kind, name):
    X = admissible()
    model = fit(kind, name, X)
    rows, _ = outside(X, name)
    with pytest.raises(ValueError, match="needs") as refused:
        fit(kind, name, rows)
    verbs = {verb: getattr(model, verb) for verb in ("transform", "predict", "impute", "feature_importance")}
    y = X[:, 0]
    verbs["partial_fit"] = lambda rows: model.partial_fit(rows, y)
    verbs["warm start"] = lambda rows: model.set_params(warm_start=True).fit(rows, y)
    if kind is not VAETransformer:  # whose score is the mean of `score_samples`
        verbs["score"] = lambda rows: model.score(rows, y)
    if kind is not AutoencoderTransformer:
        verbs |= {"draws": lambda rows: model.impute(rows, 2), "diagnose": model.diagnose}
        verbs["std"] = lambda rows: model.transform(rows, return_std=True)
    for call in verbs.values():
        with pytest.raises(ValueError, match=re.escape(str(refused.value))):
            call(rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(X)


@pytest.mark.parametrize("name", BOUNDED)
def test_conditions_and_imputers(name):
    X = admissible()
    with pytest.raises(ValueError, match="conditions needs"):
        fit(VAETransformer, name, X).sample(conditions={1: -2.0})
    imputer = VAEImputer(VAETransformer(2, likelihood=name, **TINY)).fit(X)
    with pytest.raises(ValueError, match=f"likelihood='{name}' needs"):
        imputer.transform(outside(X, name)[0])


WHOLE = [(0, 0, 0), (1, 1, 0), (0.5, 0.2, 0.2), (NAN, 1, 1)]
"""Rows of indicators that are of no category."""


def indicators(n=40, dtype=np.float64):
    return np.eye(3, dtype=dtype)[np.random.default_rng(0).integers(0, 3, n)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("row", WHOLE)
def test_indicators_are_of_one_category(row, dtype):
    """A row is of one or has shares that sum to one. Any other has no probability, and no other verb takes it."""
    X, strange = indicators(dtype=dtype), np.array([row], dtype)
    model, beside = fit(VAETransformer, "categorical", X), np.r_[X, strange]
    scores = model.score_samples(beside)
    np.testing.assert_array_equal(scores[:-1], model.score_samples(X))
    assert scores[-1] == -np.inf
    for verb in (model.transform, model.impute, lambda X: fit(VAETransformer, "categorical", X)):
        with pytest.raises(ValueError, match=r"sum to 1 over columns \[0, 1, 2\]. Got a sum of [\d.]+ in row 40"):
            verb(beside)
    weighted = clone(model).fit(beside, sample_weight=np.r_[np.ones(40), 0.0])
    np.testing.assert_array_equal(weighted.transform(X), model.transform(X))


def test_shares_and_gaps_are_of_one_category_too():
    X = indicators()
    model = fit(VAETransformer, "categorical", np.r_[X, [[0.3333, 0.3333, 0.3334], [NAN, NAN, 0], [NAN, 1, 0]]])
    assert np.isfinite(model.score_samples([[0.5, 0.25, 0.25], [NAN, NAN, NAN], [0, 0, NAN]])).all()
    with pytest.raises(ValueError, match="conditions needs rows that sum to 1 over columns"):
        model.sample(3, conditions={0: 1, 1: 1})


@pytest.mark.parametrize("container", [list, tuple])
def test_a_clone_keeps_groups_of_columns(container):
    X, one_hot, other = np.c_[indicators(), indicators()[::-1]], partial(OneHot), partial(OneHot)
    model = VAETransformer(2, likelihood=container([one_hot] * 3 + [other] * 3), **TINY)
    expected = model.fit(X).score_samples(X)
    assert expected.min() < -1  # of two categories; those of one column each would be certain
    np.testing.assert_array_equal(clone(clone(model)).fit(X).score_samples(X), expected)
    best = GridSearchCV(model, {"alpha": [0.0]}, cv=2, error_score="raise").fit(X).best_estimator_
    np.testing.assert_array_equal(best.set_params(alpha=model.alpha).fit(X).score_samples(X), expected)


@pytest.mark.parametrize("mixed", [False, True])
def test_what_is_filled_in_leaves_one_category(mixed):
    """A missing indicator is 1 only where none of its row is: what the others leave of one, in means and draws."""
    one_hot = partial(OneHot)
    X = np.c_[indicators(200), np.arange(200.0)] if mixed else indicators(200)
    rows = np.array([[1, NAN, 0], [NAN, 0, 0], [NAN, NAN, 0], [NAN, NAN, 1], [0.25, NAN, NAN], [NAN, NAN, NAN]])
    rows = np.c_[rows, np.full(6, NAN)] if mixed else rows
    models = [AutoencoderTransformer, VAETransformer]
    fitted = [fit(kind, [one_hot] * 3 + ["gaussian"] if mixed else "categorical", X) for kind in models]
    for filled in (fitted[0].impute(rows), fitted[1].impute(rows), VAEImputer(fitted[1]).fit(X).transform(rows)):
        np.testing.assert_allclose(filled[:, :3].sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(filled[[0, 1, 3], :3], [[1, 0, 0], [1, 0, 0], [0, 0, 1]], atol=1e-6)
    free = fitted[1].impute(np.full((1, rows.shape[1]), NAN))[0]  # of two classes, the ratio is the model's
    some = fitted[1].impute(rows[[2]])[0]
    np.testing.assert_allclose(some[0] / some[1], free[0] / free[1], rtol=0.2)
    tables = np.array(fitted[1].impute(rows[[0, 1, 2, 3, 5]], n_draws=30, random_state=0))[..., :3]
    assert set(tables.ravel()) == {0, 1}
    assert (tables.sum(axis=-1) == 1).all()
    assert len(set(tables[:, 2, 0])) == 2
    drawn = fitted[1].sample(50, random_state=0, conditions={1: 0})[:, :3]
    assert (drawn.sum(axis=1) == 1).all()
    assert not drawn[:, 1].any()
    assert (fitted[1].sample(5, random_state=0, conditions={2: 1})[:, :3] == [0, 0, 1]).all()


def test_groups_of_indicators_are_checked_beside_categories():
    """Those that are made of a category are right by themselves; their columns have no check to fail."""
    one_hot = partial(OneHot)
    X = pd.DataFrame(indicators(), columns=list("abc")).assign(colour=["red", "green"] * 20, size=np.arange(40.0))
    model = fit(VAETransformer, dict.fromkeys("abc", one_hot), X)
    assert np.isfinite(model.score_samples(X)).all()
    wrong = X.assign(a=1.0, b=1.0)
    assert np.isneginf(model.score_samples(wrong)).all()
    with pytest.raises(ValueError, match=r"over columns \['a', 'b', 'c'\]"):
        model.transform(wrong)


def test_a_column_is_named_and_others_may_be_negative():
    X = pd.DataFrame(admissible(), columns=list("abc"))
    model = VAETransformer(2, likelihood={"b": "poisson"}, **TINY).fit(X)
    moved = X - [1, 0, 1]
    assert np.isfinite(model.score_samples(moved)).all()
    with pytest.raises(ValueError, match=r"needs X >= 0. Got min -1 in column 'b'"):
        model.transform(X - [0, X["b"].min() + 1, 0])


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "bernoulli", "multinomial"])
def test_sparse_rows(name):
    X = np.round(3 * admissible()) if name != "bernoulli" else np.round(admissible())
    model = fit(VAETransformer, name, sparse.csr_array(X))
    rows = X.copy()
    rows[3, 1] = -1.0
    np.testing.assert_array_equal(model.score_samples(sparse.csr_array(rows)) == -np.inf, np.arange(40) == 3)
    np.testing.assert_array_equal(model.score_samples(sparse.csr_array(rows)), model.score_samples(rows))
    with pytest.raises(ValueError, match="Got min -1 in column 1"):
        model.transform(sparse.csr_array(rows))


def test_an_empty_sparse_cell_is_a_zero():
    model = fit(AutoencoderTransformer, "log_normal", admissible() + 0.1)
    rows = np.ones((3, 3))
    rows[1, 1] = 0.0
    with pytest.raises(ValueError, match=r"needs X > 0. Got min 0 in column 1"):
        model.transform(sparse.csr_array(rows))


def test_files_are_read_in_blocks(tmp_path):
    X = admissible(400)
    model = fit(VAETransformer, "poisson", X)
    mapped = np.memmap(tmp_path / "x", dtype=np.float64, mode="w+", shape=X.shape)
    mapped[:] = X
    mapped[300, 2] = -1.0
    np.testing.assert_array_equal(model.score_samples(mapped) == -np.inf, np.arange(400) == 300)
    with pytest.raises(ValueError, match="Got min -1 in column 2"):
        model.transform(mapped)
    assert mapped[300, 2] == -1.0


def test_expectations_are_in_the_support():
    X = np.full((10, 3), 0.5)
    for name in ("bernoulli", "continuous_bernoulli", "poisson", "negative_binomial", "multinomial"):
        assert np.isfinite(fit(VAETransformer, name, admissible()).score_samples(X)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mean", [1e2, 1e6, 1e9, 1e12])
def test_probabilities_of_large_counts(mean, dtype):
    """What is left of terms of a billion is a density: that of the counts that the model says they are."""
    X = np.round(mean + np.sqrt(mean) * np.random.default_rng(0).normal(size=(40, 2))).astype(dtype)
    model = AutoencoderTransformer(1, likelihood="poisson", **TINY).fit(X)
    for name, weights in model._fitted.states[0].items():
        weights[...] = 0 if name.startswith("decoder") else weights  # each column is then predicted by its mean
    model._fitted.cache.clear()
    predicted = model.predict(X.astype(np.float64))
    np.testing.assert_allclose(predicted, np.broadcast_to(X.mean(axis=0, dtype=float), X.shape), rtol=1e-5)
    expected = stats.poisson.logpmf(X.astype(np.float64), predicted).sum(axis=1)
    assert model.score_samples(X).max() <= 0
    np.testing.assert_allclose(model.score_samples(X), expected, rtol=1e-3, atol=0.05)


@pytest.mark.parametrize("n_estimators", [1, 3])
@pytest.mark.parametrize("name", sorted(set(BOUNDED) - {"multinomial", "categorical"}))
def test_labels_are_checked_where_they_are_scored(name, n_estimators):
    X, Y = admissible(), admissible()
    settings = {**TINY, "n_estimators": n_estimators, "task_likelihoods": name}
    model = MultiTaskVAERegressor(2, **settings).fit(X, Y)
    wrong = Y.copy()
    wrong[3, 1] = -2.0
    with pytest.raises(ValueError, match="in column 'y1'") as refused:
        MultiTaskVAERegressor(2, **settings).fit(X, wrong)
    for call in (model.score, model.partial_fit):
        with pytest.raises(ValueError, match=re.escape(str(refused.value))):
            call(X, wrong)
    weight = np.ones_like(Y)
    weight[3, 1] = 0.0
    assert np.isfinite(model.score(X, wrong, weight)), "a label without weight does not count"
    assert model.score(X, np.where(wrong < 0, np.nan, wrong)) == pytest.approx(model.score(X, wrong, weight), abs=1e-12)


@pytest.mark.parametrize("likelihood", ["bernoulli", "poisson", "multinomial"])
def test_probabilities_are_at_most_one(likelihood):
    rng = np.random.default_rng(0)
    X = rng.poisson(3, size=(30, 3)).clip(0, 1 if likelihood == "bernoulli" else None).astype(float)
    model = VAETransformer(2, likelihood=likelihood, max_iter=60, beta=0.01, random_state=3).fit(X)
    rows = np.array([[0, 0, 0], [0, np.nan, 0], [np.nan, 0, np.nan]])
    assert (model.score_samples(rows) <= 0).all()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_of_a_row_without_a_cell_all_is_known(likelihood):
    X = np.random.default_rng(0).random((30, 3)).round()
    model = VAETransformer(2, likelihood=likelihood, max_iter=20, beta=0.01, random_state=0).fit(X)
    assert model.score_samples(np.full((2, 3), np.nan)).tolist() == [0.0, 0.0]
