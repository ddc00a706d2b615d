"""Kernels beside the members of ensembles: fitted as scikit-learn's are, and to rows that were not left out."""

import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold

from sklearn_mtae import MultiTaskVAE, MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._fitting.baseline import task_units
from sklearn_mtae._fitting.class_average import ClassAverage
from sklearn_mtae._fitting.kernel import (
    N_KERNELS,
    RIDGES,
    SHAPES,
    ClassKernelLearner,
    NumberKernelLearner,
    choose_rows,
    n_centres,
)
from sklearn_mtae._fitting.kernel_ridge import NEAREST, relevant_scales
from sklearn_mtae._fitting.logistic import PENALTIES
from sklearn_mtae._fitting.number_average import NumberAverage
from sklearn_mtae._tables.row_index import evenly

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

RNG = np.random.default_rng(0)
# Squares of a board: classes that rows near by share, and no line between them.
X = RNG.uniform(-2, 2, size=(240, 2))
BOARD = (np.floor(X).sum(axis=1) % 2).astype(int)
KIND = np.digitize(X[:, 0], [-1, 1])
Y = np.column_stack([BOARD, KIND]).astype(float)
Y[::7, 0] = Y[::5, 1] = np.nan
SMALL = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1, "n_estimators": 4, "random_state": 0}
SIZES = [2, 3]


def standardised(rows):
    """Return rows in the units of networks."""
    far = np.abs(X - X.mean(axis=0)).max(axis=0)
    return (rows - X.mean(axis=0)) / np.maximum(X.std(axis=0), far / 2)


def drawn_in(rows):
    """Return rows as kernels see them: within ten units."""
    units = standardised(rows)
    return units / np.sqrt(1 + (units / 10) ** 2)


LABELLED = ~np.isnan(Y).all(axis=1)
"""Rows that have a label."""


def kernel_ridge(rows, train, y, weight, kernel, scales):
    """Return what scikit-learn's kernel ridge regression says of rows, shape (n_rows, n_outputs)."""
    (shape, ridge), drawn = kernel, scales[int(kernel[0].by_relevance)]
    rows, train = drawn_in(rows) * drawn, drawn_in(train) * drawn
    squares = (shape.locality * cdist(own, train, "sqeuclidean") for own in (rows, train))
    near, known = (np.exp(-own if shape.power == 1 else -np.sqrt(own + NEAREST)) for own in squares)
    model = KernelRidge(alpha=ridge, kernel="precomputed").fit(known, y, sample_weight=weight / weight.mean())
    return model.predict(near)


def scales_of(all_rows, train, away, weight):
    """Return the factors of columns: all alike, with the rows' total variance as unit, and those learned."""
    alike = np.full(2, drawn_in(all_rows).var(axis=0).sum() ** -0.5)
    return alike, relevant_scales(drawn_in(train), away, weight)


KERNELS = [(shape, ridge) for shape in SHAPES for ridge in RIDGES]


def expected(rows, train, weight=None, all_rows=None):
    """Return what scikit-learn's regressions of each class say, at least a hundredth, and in all 1: two lists of 24."""
    weight = np.ones(len(Y)) if weight is None else weight
    known = np.where(np.isnan(Y[train]), 0.0, weight[train, None])
    rates = np.zeros((2, 3))
    for task, size in enumerate(SIZES):
        counts = np.array([known[Y[train, task] == code, task].sum() for code in range(size)])
        rates[task, :size] = (counts + 1 / size) / (counts.sum() + 1)
    away = (Y[train, :, None] == np.arange(3)) - rates
    scales, found = scales_of(X[LABELLED] if all_rows is None else all_rows, X[train], away, known), []
    for task, size in enumerate(SIZES):
        own = known[:, task] > 0
        given = X[train][own], away[own, task, :size], known[own, task]
        shares = [rates[task, :size] + kernel_ridge(rows, *given, kernel, scales) for kernel in KERNELS]
        shares = [np.maximum(one, 0.02 / size) for one in shares]
        found.append(np.array([one / one.sum(axis=1, keepdims=True) for one in shares]))
    return found


def recorded(monkeypatch, **settings):
    """Return a fitted classifier, and what its average was chosen from."""
    seen = {}
    calibrate = ClassAverage.calibrate

    def spied(kind, held_out, run, average, choice, outputs):
        seen.update(held_out=held_out, weights=choice.weights, outputs=outputs)
        return calibrate(kind, held_out, run, average, choice, outputs)

    monkeypatch.setattr(ClassAverage, "calibrate", spied)
    return MultiTaskVAEClassifier(**{**SMALL, **settings}).fit(X, Y), seen


@pytest.mark.parametrize("cv", [4, [(np.arange(80, 240), np.arange(80)), (np.arange(160), np.arange(160, 240))]])
def test_rows_are_left_out(cv, monkeypatch):
    """Rows are judged by a kernel of the others; those that no fold leaves out do not count."""
    _, seen = recorded(monkeypatch, cv=cv)
    held_out, own = seen["held_out"], seen["outputs"][-N_KERNELS:]
    assert len(seen["outputs"]) == len(held_out.candidates) + 1 + len(PENALTIES) + N_KERNELS  # the first is base rates
    # Each of four folds is left out once.
    parts = held_out.positions if isinstance(cv, int) else [own for _, own in cv]
    rows = np.unique(np.concatenate(parts))
    trained = [np.setdiff1d(rows, part) for part in parts] if isinstance(cv, int) else [own for own, _ in cv]
    for part, train in zip(parts, trained, strict=False):
        wanted = expected(X[part], np.intersect1d(train, np.flatnonzero(LABELLED)))
        for task, size in enumerate(SIZES):
            shares = own[:, np.searchsorted(rows, part), task, :size]
            np.testing.assert_allclose(shares, wanted[task], rtol=1e-3, atol=1e-4)
    assert (own[:, :, 0, 2] == 0).all()  # a class of the other task


def test_probabilities_are_those_of_an_independent_computation(monkeypatch):
    model, seen = recorded(monkeypatch)
    average = model._fitted.average
    weights = seen["weights"][-N_KERNELS:]
    np.testing.assert_array_equal(average.kernel.weights, weights[weights.any(axis=1)])
    assert (weights.sum(axis=0) > 0.5).all()
    later = RNG.uniform(-2, 2, size=(50, 2))
    fitted = {**vars(average), "kernel": None, "sharpness": None}
    of_kernels = expected(later, np.flatnonzero(LABELLED))
    for task, proba in enumerate(model.predict_proba(later)):
        model._fitted.average = type(average)(**{**fitted, "weights": average.weights})
        rest = model.predict_proba(later)[task]  # members, and all that is left the base rates'
        model._fitted.average = average
        own = weights[:, task]
        mixed = rest - own.sum() * average.base_rates[task] + np.einsum("k,knc->nc", own, of_kernels[task])
        powers = mixed ** average.sharpness[task]
        np.testing.assert_allclose(proba, powers / powers.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-4)


def test_what_networks_smooth_over_is_found():
    """Networks of one epoch know nothing of a board; rows near by do."""
    rows = RNG.uniform(-2, 2, size=(500, 2))
    model, alone = (MultiTaskVAEClassifier(**SMALL, member_params=own).fit(X, BOARD) for own in ("auto", None))
    truth = np.floor(rows).sum(axis=1) % 2
    assert log_loss(truth, model.predict_proba(rows)) < 0.5 < log_loss(truth, alone.predict_proba(rows))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
    np.testing.assert_allclose(model.predict_proba(rows[:1]), model.predict_proba(rows)[:1], rtol=1e-5)


@pytest.mark.parametrize(
    "settings", [{"member_params": None}, {"member_params": [{}]}, {"hidden_layer_sizes": ()}, {"n_estimators": 1}]
)
def test_no_kernel_where_members_were_given(settings):
    assert MultiTaskVAEClassifier(**{**SMALL, **settings}).fit(X, BOARD)._fitted.average.kernel is None


def test_each_task_has_the_kernel_of_its_kind():
    """Of a mixed table; the probabilities are those of the kernel of classes."""
    targets = pd.DataFrame({"number": X[:, 0] + 0.1 * X[:, 1], "board": np.where(BOARD, "black", "white")})
    model = MultiTaskVAE(**SMALL).fit(X, targets)
    average = model._fitted.average
    assert (average.kernel.weights[:, 0] == 0).all()
    assert average.kernel.weights[:, 1].sum() > 0
    assert average.baseline.kernel is None or average.baseline.kernel.weights[1] == 0
    proba = model.predict_proba(X)["board"].to_numpy()
    assert log_loss(BOARD == 0, proba) < 0.5
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    assert np.isfinite(model.predict(X)["number"]).all()


def test_weights_are_those_of_rows():
    """A row of weight 2 is as two rows, where the mean of the weights stays as it is."""
    weight = RNG.uniform(0.5, 2, size=240)
    known = np.where(np.isnan(Y), 0, weight[:, None])
    learner = ClassKernelLearner(drawn_in(X), (Y[:, :, None] == np.arange(3)).astype(float), known)
    rates = np.zeros((2, 3))
    for task, size in enumerate(SIZES):
        counts = np.array([known[Y[:, task] == code, task].sum() for code in range(size)])
        rates[task, :size] = (counts + 1 / size) / (counts.sum() + 1)
    trials = learner.fit(np.ones(240, dtype=bool), rates)
    shares = trials(SimpleNamespace(fill=lambda x: x), torch.from_numpy(standardised(X))).numpy()
    wanted = expected(X, np.arange(240), weight, X)
    for task, size in enumerate(SIZES):
        own = np.moveaxis(shares[:, task, :size], -1, 0)
        np.testing.assert_allclose(own, wanted[task], rtol=1e-4, atol=1e-6)


def test_centres():
    """The more rows there are, and the more different sets of them have labels, the fewer are centres."""
    assert n_centres(np.ones((1_800, 100))) == 1_800
    assert n_centres(np.ones((2_000, 100))) == 1_000
    assert n_centres(np.ones((4_000, 3))) == 707
    assert n_centres(np.ones((1, 3))) == n_centres(np.zeros((1, 0))) == 1
    assert n_centres(np.eye(2_000, 8)) == 353
    assert n_centres(np.repeat([[1, 0]], 1_800, axis=0)) == 1_800  # no system of a task without labels


# Waves that are too short for networks of one epoch, and for lines.
WAVES = np.column_stack([np.sin(4 * X[:, 0]) + X[:, 1], np.cos(3 * X.sum(axis=1))])
GAPS = WAVES.copy()
GAPS[::7, 0] = GAPS[::5, 1] = np.nan


def regressions(rows, train, weight, all_rows, units=1.0):
    """Return what scikit-learn's kernel ridge regressions of both waves predict, shape (24, n_rows, 2).

    Columns are as relevant as the waves in their units say.
    """
    known = np.where(np.isnan(GAPS[train]), 0.0, weight[train, None])
    means = (np.nan_to_num(GAPS[train]) * known).sum(axis=0) / known.sum(axis=0)
    away = np.nan_to_num(GAPS[train] - means)
    scales, found = scales_of(all_rows, X[train], (away / units)[..., None], known), np.empty((N_KERNELS, len(rows), 2))
    for task in range(2):
        own = known[:, task] > 0
        given = X[train][own], away[own, task], known[own, task]
        found[:, :, task] = [means[task] + kernel_ridge(rows, *given, kernel, scales) for kernel in KERNELS]
    return found


def test_numbers_are_predicted_as_by_scikit_learn():
    weight = RNG.uniform(0.5, 2, size=240)
    learner = NumberKernelLearner(drawn_in(X), GAPS, np.where(np.isnan(GAPS), 0.0, weight[:, None]))
    chosen, rows = RNG.random(240) < 0.7, RNG.uniform(-2, 2, size=(40, 2))
    trials = learner.fit(chosen)
    wanted = regressions(rows, np.flatnonzero(chosen), weight, X)
    model, x = SimpleNamespace(fill=lambda x: x), torch.from_numpy(standardised(rows))
    np.testing.assert_allclose(np.moveaxis(trials(model, x).numpy(), -1, 0), wanted, atol=2e-5)
    shares = RNG.dirichlet(np.ones(len(wanted)), size=2).T
    shares[3:6] = 0  # a shape that nothing is left of
    mixed = trials.mixed(shares)
    sums = mixed(model, x).numpy() + mixed.weights * trials.means
    np.testing.assert_allclose(sums, np.einsum("kt,knt->nt", shares, wanted), atol=2e-5)
    assert len(mixed.neighbours.shapes) == len(SHAPES) - 1


def test_numbers_of_left_out_rows_are_those_of_other_rows(monkeypatch):
    seen, calibrate = {}, NumberAverage.calibrate

    def spied(kind, held_out, run, average, choice, outputs):
        seen.update(held_out=held_out, outputs=outputs)
        return calibrate(kind, held_out, run, average, choice, outputs)

    monkeypatch.setattr(NumberAverage, "calibrate", spied)
    model = MultiTaskVAERegressor(**{**SMALL, "n_estimators": 12}, cv=4).fit(X, GAPS)
    held_out, own = seen["held_out"], seen["outputs"][-N_KERNELS:]
    parts = [held_out.positions[k] for k in held_out.candidates[0]]
    assert len(np.unique(np.concatenate(parts))) == 240
    units = task_units(model._fitted)
    np.testing.assert_allclose(units, np.nanstd(GAPS, axis=0))
    for part in parts:
        train = np.setdiff1d(np.flatnonzero(LABELLED), part)
        wanted = regressions(X[part], train, np.ones(240), X[LABELLED], units)
        np.testing.assert_allclose(own[:, part], wanted, atol=2e-4)
    kernel = model._fitted.average.baseline.kernel
    assert (kernel.weights > 0.5).all()


def test_numbers_that_networks_smooth_over_are_found():
    """In both precisions, in few rows and in many."""
    rows = RNG.uniform(-1.9, 1.9, size=(500, 2))
    truth = np.column_stack([np.sin(4 * rows[:, 0]) + rows[:, 1], np.cos(3 * rows.sum(axis=1))])
    model, alone = (MultiTaskVAERegressor(**SMALL, member_params=own).fit(X, GAPS) for own in ("auto", None))
    assert model.score(rows, truth) > 0.95 > 0.6 > alone.score(rows, truth)
    predicted = model.predict(rows)
    np.testing.assert_allclose(model.predict(rows[:1]), predicted[:1], rtol=1e-9)
    np.testing.assert_allclose(model.predict(rows.astype(np.float32)), predicted, atol=1e-5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(rows), predicted)
    lower, upper = model.predict_interval(rows, coverage=0.9)
    assert ((lower <= truth) & (truth <= upper)).mean() > 0.8
    assert "kernels by" in model.describe()


def test_the_unit_of_a_task_does_not_matter():
    one, other = (MultiTaskVAERegressor(**SMALL).fit(X, GAPS * unit) for unit in (1.0, 2.0**30))
    np.testing.assert_allclose(other.predict(X) / 2**30, one.predict(X), rtol=1e-6)
    assert task_units(other._fitted)[0] > 2**28


@pytest.mark.parametrize(
    "settings",
    [{"member_params": None}, {"hidden_layer_sizes": ()}, {"n_estimators": 1}, {"task_likelihoods": "gamma"}],
)
def test_no_kernel_of_numbers(settings):
    y = np.exp(WAVES)
    assert MultiTaskVAERegressor(**{**SMALL, **settings}).fit(X, y)._fitted.average.baseline.kernel is None


def test_no_kernel_of_limits():
    """Labels that are limits are no values; other tasks keep their kernel."""
    codes = np.zeros(WAVES.shape, dtype=int)
    codes[WAVES[:, 0] < 0, 0] = -1
    y = np.where(codes < 0, 0.0, WAVES)
    model = MultiTaskVAERegressor(**SMALL).fit(X, y, censoring=codes)
    kernel = model._fitted.average.baseline.kernel
    assert (kernel.neighbours.coefficients[:, :, 0] == 0).all()
    assert kernel.weights[1] > 0.5


def test_rows_without_a_label_take_no_place():
    rows, labelled = np.arange(20_000) + 7, np.arange(20_000) % 20 == 1
    few = np.isin(np.arange(20_000), RNG.choice(20_000, 300, replace=False))
    for known in (labelled, few):
        np.testing.assert_array_equal(choose_rows(rows, known[:, None] * 0.5), rows[known])
    # Few labels of a task beside many of another are all among the rows.
    both = np.column_stack([few, np.ones(20_000)])
    chosen = choose_rows(rows, both)
    assert len(chosen) == len(np.unique(chosen)) == 4_000
    assert np.isin(rows[few], chosen).all()
    assert len(choose_rows(rows, np.ones((20_000, 3)))) == 4_000
    assert len(choose_rows(rows, np.zeros((20_000, 2)))) == len(choose_rows(rows[:0], both[:0])) == 0


def test_centres_stand_for_more_rows(monkeypatch):
    """The squared error over all rows and the penalty are least; with rows enough, centres are all the rows."""
    monkeypatch.setattr("sklearn_mtae._fitting.kernel.MOST_STEPS", 60**2 * 240)
    monkeypatch.setattr("sklearn_mtae._fitting.kernel.SIMPLER", 1)
    learner = NumberKernelLearner(drawn_in(X), WAVES, np.ones((240, 2)))
    trials = learner.fit(np.ones(240, dtype=bool))
    model, x = SimpleNamespace(fill=lambda x: x), torch.from_numpy(standardised(X))
    own = trials.neighbours
    at = evenly(np.arange(240), 60)
    np.testing.assert_allclose(own.centres, drawn_in(X)[at], rtol=1e-6)
    found = np.moveaxis(trials(model, x).numpy(), -1, 0) - trials.means
    for k, (shape, ridge) in enumerate(KERNELS):
        rows = drawn_in(X) * own.scales[int(shape.by_relevance)]
        squares = shape.locality * cdist(rows, rows[at], "sqeuclidean")
        near = np.exp(-squares if shape.power == 1 else -np.sqrt(squares + NEAREST))
        # Least squares of the rows, and of the root of the penalty.
        values, vectors = np.linalg.eigh(near[at])
        root = np.sqrt(ridge * (values + 1e-10).clip(min=0))[:, None] * vectors.T
        both, away = np.vstack([near, root]), np.vstack([WAVES - trials.means, np.zeros((60, 2))])
        wanted = near @ np.linalg.lstsq(both, away)[0]
        np.testing.assert_allclose(found[k], wanted, atol=2e-4)


@pytest.mark.parametrize("n_rows", [40, 60, 100])
def test_rows_that_are_the_same_but_for_rounding(n_rows):
    """Distances are rounding errors: a kernel then says what the base rates or the means say."""
    shares = (RNG.poisson(5, size=8) + 1.0) * RNG.integers(1, 9, size=(n_rows, 1))
    y = RNG.random(n_rows) < 0.5
    settings = {"likelihood": "multinomial", "max_iter": 1, "n_estimators": 5, "random_state": 0}
    proba = MultiTaskVAEClassifier(2, **settings).fit(shares, y).predict_proba(shares)
    assert np.isfinite(proba).all()
    far = 1e9 + 3 * RNG.normal(size=(n_rows, 4))
    trials = NumberKernelLearner(far, y[:, None] + 0.0, np.ones((n_rows, 1))).fit(np.ones(n_rows, dtype=bool))
    predicted = trials(SimpleNamespace(fill=lambda x: x), torch.from_numpy(far)).numpy()
    np.testing.assert_allclose(predicted, y.mean(), atol=1e-6)


def test_numbers_are_not_told_of_the_codes_of_classes():
    """Columns are relevant to numbers, whatever the classes of the table, and whatever the names of these."""
    rows = RNG.uniform(-2, 2, size=(300, 6))
    number = np.sin(2 * rows[:, 0])
    classes = np.array([f"class {code:02d}" for code in np.digitize(rows[:, 1], np.linspace(-1.9, 1.9, 29))])
    model = MultiTaskVAE(**SMALL).fit(rows[:200], pd.DataFrame({"number": number, "kind": classes})[:200])
    assert np.corrcoef(model.predict(rows[200:])["number"].astype(float), number[200:])[0, 1] > 0.99
    scales = model._fitted.average.baseline.kernel.neighbours.scales[1]
    assert scales[1:].max() < 0.1 * scales[0]


@pytest.mark.parametrize("n_rows", [300, 1_900])
def test_rows_near_each_other_beside_one_far_away(n_rows):
    """Those who held the far one out have rows at distances that are small beside their distance from the mean."""
    rows = RNG.normal(size=(n_rows, 1))
    y = np.sin(2 * rows[:, 0])
    rows[7] = 1e6
    model = MultiTaskVAERegressor(**SMALL).fit(rows, y)
    assert np.isfinite(model.predict(rows)).all()


def test_folds_without_a_label_to_learn_from():
    """A kernel of no rows says what means and base rates say."""
    y = np.full((240, 1), np.nan)
    y[3] = 7.0
    np.testing.assert_allclose(MultiTaskVAERegressor(**SMALL).fit(X, y).predict(X), 7, atol=0.5)
    classes = np.where(np.arange(240) < 60, BOARD, np.nan)
    model = MultiTaskVAEClassifier(**SMALL, cv=KFold(4)).fit(X, classes)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-6)


def test_no_kernels_where_memory_would_not_do(monkeypatch):
    monkeypatch.setattr("sklearn_mtae._fitting.kernel.MOST_PREDICTED", 48 * 2 * N_KERNELS - 1)  # 48 rows are held out
    assert MultiTaskVAERegressor(**SMALL).fit(X, GAPS)._fitted.average.baseline.kernel is None
    assert MultiTaskVAERegressor(**SMALL).fit(X, GAPS[:, 0])._fitted.average.baseline.kernel is not None
    assert MultiTaskVAEClassifier(**SMALL).fit(X, Y)._fitted.average.kernel is None
