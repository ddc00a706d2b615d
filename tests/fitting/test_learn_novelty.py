"""Which rows are novel, by rows that baselines were not fitted to."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import PredefinedSplit

from sklearn_mtae import MultiTaskVAE, MultiTaskVAERegressor
from sklearn_mtae._fitting import averaging, learn_novelty
from sklearn_mtae._fitting.baseline import PENALTIES
from sklearn_mtae._fitting.held_out import HeldOut
from sklearn_mtae._fitting.learn_novelty import SHAPES, NoveltyLearner

RNG = np.random.default_rng(0)


def test_held_out_rows_are_compared_with_rows_of_other_folds(monkeypatch):
    """Of two rows that are the same, one tells of the other if it is in another fold."""
    seen, by_others = {}, HeldOut.by_others

    def spied(self, learned, splits, fit, run, shape):
        found = by_others(self, learned, splits, fit, run, shape)
        return seen.setdefault(shape, found)

    monkeypatch.setattr(HeldOut, "by_others", spied)
    x = np.repeat(RNG.uniform(-2, 2, size=(60, 2)), 2, axis=0)
    y = np.sin(4 * x[:, 0]) * np.cos(4 * x[:, 1]) + 0.01 * RNG.normal(size=120)
    folds = np.where(np.arange(120) < 60, np.arange(120) % 4, np.arange(120) // 2 % 4)
    settings = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
    MultiTaskVAERegressor(**settings, n_estimators=12, cv=PredefinedSplit(folds)).fit(x, y)
    left = seen[1, len(SHAPES)][:, 0, -1]
    assert left[:60].max() < 0.02 < 0.05 < np.median(left[60:])


SMALL = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1, "n_estimators": 12, "random_state": 0, "cv": 4}


def table():
    """Return rows and two targets of which regressions tell a lot."""
    x = np.random.default_rng(0).normal(size=(80, 2))
    return x, np.column_stack([x[:, 0] + x[:, 1], x[:, 0]]) + 0.2 * np.random.default_rng(1).normal(size=(80, 2))


def spied_errors(monkeypatch, **options):
    """Return the errors of each task, and the held-out rows, of a fit with baselines alone."""
    seen, choose, learn = [], learn_novelty.choose_curve, learn_novelty.learn_novelty

    def learned(plan, held_out, columns, run, rest, start, units, is_fitted):
        seen.append((held_out, rest / units, units))
        return learn(plan, held_out, columns, run, rest, start, units, is_fitted)

    def chosen(left, errors):
        seen.append(errors)
        return choose(left, errors)

    monkeypatch.setattr(learn_novelty, "choose_curve", chosen)
    monkeypatch.setattr("sklearn_mtae._fitting.baseline.learn_novelty", learned)
    x, y = table()
    MultiTaskVAERegressor(**SMALL).fit(x, y, **options)
    return seen


def test_rows_count_by_their_weights(monkeypatch):
    weight = np.random.default_rng(2).uniform(0.1, 3, size=80)
    (held_out, predicted, units), *errors = spied_errors(monkeypatch, sample_weight=weight)
    for task in range(2):
        np.testing.assert_allclose(errors[task].share, weight / weight.sum())
        assert errors[task].size == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
        np.testing.assert_allclose(errors[task].squares, (held_out.y / units - predicted)[:, task] ** 2)


@pytest.mark.parametrize("n_known", [1, 3, 25])
def test_few_labels_have_deviations(n_known):
    x, y = table()
    y[n_known:, 1] = np.nan
    model = MultiTaskVAERegressor(**SMALL).fit(x, y)
    std = model.predict(x, return_std=True)[1]
    assert ((std > 0.02) & (std < 5)).all()
    assert all((own < 1e3).all() for own in model._fitted.average.scores)


def test_groups_count_once(monkeypatch):
    _, *errors = spied_errors(monkeypatch, groups=np.arange(80) // 4)
    assert errors[0].size == pytest.approx(20)


def test_true_values_of_limits_are_not_known(monkeypatch):
    censoring = np.zeros((80, 2), dtype=int)
    censoring[::4, 0] = 1
    (held_out, predicted, units), *errors = spied_errors(monkeypatch, censoring=censoring)
    away = (held_out.y / units - predicted) ** 2
    np.testing.assert_allclose(errors[1].squares, away[:, 1])
    assert (errors[0].squares[::4] > away[::4, 0] * (1 + 1e-9)).all()


def test_the_more_sets_of_labels_the_fewer_centres():
    x = np.random.default_rng(0).normal(size=(600, 3))
    for n_tasks, most in ((1, 128), (64, 64), (256, 32)):
        known = np.random.default_rng(1).random((600, n_tasks)) < 0.7
        coefficients = NoveltyLearner(x, known).fit(np.ones(600, dtype=bool), range(n_tasks)).neighbours.coefficients
        assert coefficients.shape == (len(SHAPES) * n_tasks, most, most)


def test_tasks_with_their_mean_alone_have_no_novelty(monkeypatch):
    """Neither labels that are all the same nor classes ask how novel rows are, whichever rows they are known for."""
    asked, by_others = [], HeldOut.by_others

    def spied(self, learned, splits, fit, run, shape):
        asked.append(shape)
        return by_others(self, learned, splits, fit, run, shape)

    x, y = table()
    frame = pd.DataFrame({"same": 3.0, "number": y[:, 0], "class": np.where(x[:, 1] > 0, "a", "b")})
    frame.loc[:30, "same"] = frame.loc[40:, "class"] = None
    monkeypatch.setattr(HeldOut, "by_others", spied)
    model = MultiTaskVAE(**{**SMALL, "n_estimators": 4}, member_params=[{}]).fit(x, frame)
    assert [shape for shape in asked if len(shape) == 2] == [(1, len(SHAPES))]  # those of classes have an axis more
    novelty = model._fitted.average.baseline.novelty
    assert len(novelty.neighbours.coefficients) == 1
    assert not novelty.shares[:, [0, 2]].any()
    std = model.predict(np.vstack([x, 50 * x]), return_std=True)[1]
    assert (std["same"] < 1e-9).all()
    assert std["number"].max() > 5 * std["number"].min()


def test_what_is_learned_for_held_out_rows_alone_is_not_kept(monkeypatch):
    """The mean is all that counts for new rows; each part of the held-out ones has been predicted by a regression."""
    calls = []

    def select(misses, folds, weight, loss):
        mean, regression = np.eye(len(misses))[[-1 - len(PENALTIES), -len(PENALTIES)]]
        calls.append(len(folds))
        return mean if len(calls) == 2 else regression

    monkeypatch.setattr(averaging, "select", select)
    monkeypatch.setattr(averaging, "agree", lambda _, chosen, __: chosen)
    x, y = table()
    model = MultiTaskVAERegressor(**{**SMALL, "n_estimators": 4}, member_params=[{}]).fit(x, y)
    assert calls == [80] * 2 + [60] * 8
    average = model._fitted.average
    assert average.baseline.novelty.shares.any(axis=0).tolist() == [True, False]
    std = model.predict(np.vstack([x, 50 * x]), return_std=True)[1]
    assert std[:, 0].max() > 2 * std[:, 0].min()
    np.testing.assert_allclose(std[:, 1], average.inflation[1] * y[:, 1].std())
