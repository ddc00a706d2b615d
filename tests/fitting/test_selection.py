"""Weights of candidates where rows come in groups: between a task's best and those that are best for all tasks."""

import numpy as np
import pandas as pd
import pytest

from sklearn_mtae import MultiTaskVAE, MultiTaskVAERegressor
from sklearn_mtae._fitting import averaging
from sklearn_mtae._fitting.number_average import NumberAverage
from sklearn_mtae._fitting.selection import AGREEMENTS, Judged, agree, hold_back, select

FOLDS = np.arange(40) % 10
WEIGHT = np.ones(40)


def judged(errors, weight=WEIGHT):
    return Judged(errors, FOLDS, weight, NumberAverage.loss)


def noisy_tasks(rng, best):
    """Return the errors of 20 candidates in four tasks, each with noise and one candidate that is a little better."""
    made = {}
    for task, own in enumerate(best):
        errors = rng.normal(size=40) + 0.5 * rng.normal(size=(20, 40))
        errors[own] *= 0.9
        made[task] = judged(np.concatenate([errors, rng.normal(size=(1, 40)) * 1.2]))
    return made


def test_tasks_agree_on_what_is_best_for_all():
    rng, gains = np.random.default_rng(0), []
    for _ in range(20):
        tasks = noisy_tasks(rng, [3, 3, 3, 3])
        chosen = {task: select(*own) for task, own in tasks.items()}
        agreed = agree(tasks, chosen, 20)
        gains += [agreed[task][3] - chosen[task][3] for task in tasks]
        np.testing.assert_allclose([own.sum() for own in agreed.values()], 1)
    assert np.mean(gains) > 0.05


def test_tasks_keep_what_is_best_for_each():
    """One candidate is right in each task, and wrong in all others."""
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(4, 1, 40)) + 2 * (1 - np.eye(4, 5))[:, :, None]
    tasks = {task: judged(own) for task, own in enumerate(errors)}
    chosen = {task: select(*own) for task, own in tasks.items()}
    agreed = agree(tasks, chosen, 4)
    assert all(agreed[task][task] > 0.9 for task in tasks)


def test_the_share_is_that_with_the_least_loss_on_folds_left_out():
    """Computed once more, fold by fold."""
    tasks = noisy_tasks(np.random.default_rng(3), [1, 1, 2, 2])
    chosen = {task: select(*own) for task, own in tasks.items()}
    units = [np.sqrt((own.misses[20].reshape(4, 10) ** 2).mean(axis=0)).mean() for own in tasks.values()]

    def for_all(rows):
        n, totals, picks = len(np.unique(FOLDS[rows])), np.zeros((4, rows.sum())), np.zeros(21)
        for n_picked in range(1, 26):
            sums = np.zeros(21)
            for task, own in tasks.items():
                squares = ((totals[task] + own.misses[:, rows]) / n_picked) ** 2
                of_folds = np.stack([squares[:, FOLDS[rows] == fold].mean(axis=1) for fold in np.unique(FOLDS[rows])])
                sums += np.sqrt(of_folds).sum(axis=0) / n / units[task]
            picks[sums.argmin()] += 1
            totals += np.stack([own.misses[sums.argmin()][rows] for own in tasks.values()])
        often = np.where(picks < 3, 0, picks)
        return often / often.sum() if often.any() else picks / picks.sum()

    losses = np.zeros((4, len(AGREEMENTS)))
    for fold in range(10):
        rows = fold != FOLDS
        together = for_all(rows)
        for task, own in tasks.items():
            alone = select(own.misses[:, rows], FOLDS[rows], WEIGHT[rows])
            for k, share in enumerate(AGREEMENTS):
                errors = ((1 - share) * alone + share * together) @ own.misses[:, ~rows]
                losses[task, k] += np.sqrt(np.mean(errors**2))
    share = AGREEMENTS[np.log(losses).sum(axis=0).argmin()]
    agreed, together = agree(tasks, chosen, 20), for_all(np.ones(40, dtype=bool))
    for task in tasks:
        np.testing.assert_allclose(agreed[task], (1 - share) * chosen[task] + share * together, atol=1e-12)


def test_a_single_task_and_tasks_without_errors_keep_their_choice():
    tasks = noisy_tasks(np.random.default_rng(0), [3, 3])
    perfect = judged(np.zeros((21, 40)))
    own = {0: select(*tasks[0]), 1: np.eye(21)[20]}
    for others in ({}, {1: perfect}):
        agreed = agree({0: tasks[0], **others}, own, 20)
        np.testing.assert_array_equal(agreed[0], own[0])
        np.testing.assert_array_equal(agreed[1], own[1])


def test_tasks_with_few_labels_have_no_say():
    """Nine labels are best told by some candidate by chance; ten count."""
    tasks = noisy_tasks(np.random.default_rng(0), [3, 3, 3])
    own = {task: select(*judged) for task, judged in tasks.items()}
    few = np.arange(40) % 4 == 0
    without = agree({0: tasks[0], 1: tasks[1]}, own, 20)
    for rows, has_say in ((few & (np.arange(40) < 36), False), (few, True)):
        agreed = agree({**tasks, 2: tasks[2].of(rows)}, own, 20)
        assert np.array_equal(agreed[2], own[2]) != has_say
        assert np.array_equal(agreed[0], without[0]) != has_say


@pytest.mark.parametrize("groups", [None, np.arange(60) // 4], ids=["rows", "groups"])
def test_tasks_that_are_free_agree(groups, monkeypatch):
    """A task whose labels are all the same has nothing to choose, and the loss of limits is no task's."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    y = np.column_stack([x @ rng.normal(size=(3, 3)) + rng.normal(size=(60, 3)), np.ones(60)])
    calls = []
    monkeypatch.setattr(averaging, "agree", lambda tasks, chosen, _: calls.append(list(tasks)) or chosen)
    model = MultiTaskVAERegressor(n_components=2, hidden_layer_sizes=(4,), max_iter=2, n_estimators=4, random_state=0)
    model.fit(x, y, groups=groups)
    assert [0, 1, 2] in calls
    calls.clear()
    censoring = np.zeros(y.shape, dtype=int)
    censoring[::4, 1] = 1
    model.fit(x, y, groups=groups, censoring=censoring)
    assert [0, 2] in calls


def test_numbers_and_classes_agree():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    frame = {"number": x[:, 0] + rng.normal(size=80), "class": np.where(x[:, 0] + rng.normal(size=80) > 0, "a", "b")}
    y, groups = pd.DataFrame(frame), np.arange(80) // 4
    model = MultiTaskVAE(n_components=2, hidden_layer_sizes=(4,), max_iter=4, n_estimators=6, random_state=0)
    model.fit(x, y, groups=groups)
    assert np.isfinite(model.predict_proba(x)["class"].to_numpy()).all()
    assert np.isfinite(model.predict(x)["number"].to_numpy(dtype=float)).all()


def test_an_average_counts_as_far_as_it_is_surely_better():
    """Gains of 1 and 3 in two groups: their mean is twice its standard error."""
    groups = {0: np.repeat([4, 9], 20)}
    safe, own = np.repeat(np.sqrt([1.0, 3.0]), 20), np.zeros(40)
    tasks, chosen = {0: judged(np.stack([own, safe]))}, {0: np.array([1.0, 0.0])}
    np.testing.assert_allclose(hold_back(tasks, chosen, groups, 1)[0], [0.75, 0.25])
    better = {0: judged(np.stack([safe, own + 0.1]))}
    np.testing.assert_allclose(hold_back(better, chosen, groups, 1)[0], [0, 1])
    alike = {0: judged(np.stack([own, own + 1]))}
    np.testing.assert_allclose(hold_back(alike, chosen, groups, 1)[0], [1, 0])
    one = {0: np.zeros(40, dtype=int)}
    np.testing.assert_allclose(hold_back(tasks, chosen, one, 1)[0], [1, 0])
    perfect = {0: judged(np.stack([own + 1, own]))}
    np.testing.assert_allclose(hold_back(perfect, chosen, groups, 1)[0], [1, 0])
