"""Splitters: every task and class in proportion, every row once."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score

from sklearn_mtae.metrics import make_task_scorer
from sklearn_mtae.model_selection import TaskKFold, TaskShuffleSplit

GAP = np.nan


def with_gaps(y, share, rng):
    y = y.astype(float)
    y[rng.random(y.shape) < share] = GAP
    return y


def own_rows(n_rows, n_tasks, values, rng):
    """Each row has a label of one task."""
    y = np.full((n_rows, n_tasks), GAP)
    # Some tasks are much larger than others, and none has fewer than 12 labels.
    task = np.r_[np.repeat(np.arange(n_tasks), 12), (n_tasks * rng.random(n_rows - 12 * n_tasks) ** 3).astype(int)]
    y[np.arange(n_rows), rng.permutation(task)] = values
    return y


def make_table(name, seed):
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, [2, 3, 5], size=(400, 3))
    return {
        "numbers": lambda: with_gaps(rng.normal(size=(300, 6)), 0.6, rng),
        "few rows": lambda: with_gaps(rng.normal(size=(80, 4)), 0.6, rng),
        "many tasks": lambda: with_gaps(rng.normal(size=(400, 15)), 0.5, rng),
        "classes": lambda: with_gaps(classes, 0.5, rng),
        "rare class": lambda: with_gaps((rng.random((400, 4)) < 0.15) * 1, 0.4, rng),
        "own rows": lambda: own_rows(600, 25, rng.normal(size=600), rng),
        "own rows, classes": lambda: own_rows(900, 12, rng.integers(0, 2, size=900), rng),
        "hardly any labels": lambda: with_gaps(rng.normal(size=(600, 3)), 0.9, rng),
    }[name]()


TABLES = [
    "numbers", "few rows", "many tasks", "classes", "rare class", "own rows", "own rows, classes", "hardly any labels",
]  # fmt: skip


def kinds_of(y):
    """Return the indicators that must be in proportion, computed apart from the splitter: tasks, classes, no label."""
    y = np.asarray(y, dtype=float)
    kinds = [np.isnan(y).all(1), *(~np.isnan(y)).T]
    if (y[~np.isnan(y)] % 1 == 0).all():
        kinds += [column == value for column in y.T for value in np.unique(column[~np.isnan(column)])]
    return np.array(kinds, dtype=int)


def check_proportion(y, part, within=2):
    kinds = kinds_of(y)
    ideal = kinds.sum(1) * len(part) / len(y)
    assert np.abs(kinds[:, part].sum(1) - ideal).max() < within


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("options", [{}, {"shuffle": True, "random_state": 0}], ids=["in order", "shuffled"])
def test_folds_hold_every_task_and_class_in_proportion(name, seed, options):
    y = make_table(name, seed)
    seen = np.zeros(len(y), dtype=int)
    for train, test in TaskKFold(5, **options).split(y, y):
        check_proportion(y, test)
        assert abs(len(test) - len(y) / 5) < 1
        assert sorted([*train, *test]) == list(range(len(y)))
        seen[test] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("options", "n_train", "n_test"),
    [({"test_size": 0.2}, 0.8, 0.2), ({"test_size": 0.25, "train_size": 0.5}, 0.5, 0.25)],
)
def test_random_parts_hold_every_task_and_class_in_proportion(name, options, n_train, n_test):
    y = make_table(name, 0)
    tests = []
    for train, test in TaskShuffleSplit(3, random_state=0, **options).split(y, y):
        assert (len(train), len(test)) == (n_train * len(y), n_test * len(y))
        assert not set(train) & set(test)
        check_proportion(y, train)
        check_proportion(y, test)
        tests.append(set(test))
    assert tests[0] != tests[1] != tests[2]


def test_sizes_of_random_parts():
    y = np.arange(50.0)
    sizes = [
        tuple(map(len, next(TaskShuffleSplit(random_state=0, **options).split(y, y))))
        for options in ({}, {"test_size": 7}, {"train_size": 0.5}, {"train_size": 20, "test_size": 10})
    ]
    assert sizes == [(45, 5), (43, 7), (25, 25), (20, 10)]
    with pytest.raises(ValueError, match="test_size=50"):
        next(TaskShuffleSplit(test_size=50).split(y, y))


@pytest.mark.parametrize("seed", range(4))
def test_one_task_of_classes_is_split_as_sklearn_does(seed):
    rng = np.random.default_rng(seed)
    y = rng.choice(["a", "b", "c"], p=[0.6, 0.3, 0.1], size=rng.integers(100, 200))
    classes = np.unique(y)

    def counts(splitter):
        folds = [(y[test][:, None] == classes).sum(0) for _, test in splitter.split(y, y)]
        return np.sort(folds, axis=0)

    np.testing.assert_array_equal(counts(TaskKFold(5)), counts(StratifiedKFold(5)))


def test_continuous_and_many_valued_columns_are_split_by_having_a_label():
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=100), np.arange(100), np.arange(100).astype(str)):
        y = pd.DataFrame({"value": values, "other": np.arange(100) % 2})
        y.loc[::3, "value"] = None
        counts = [y["value"].iloc[test].notna().sum() for _, test in TaskKFold(4).split(y, y)]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_frames_of_objects(missing):
    rng = np.random.default_rng(0)
    grade = pd.Series(rng.choice(["high", "low"], size=200), dtype=object)
    mass = pd.Series(rng.normal(size=200), dtype=object)
    grade[rng.random(200) < 0.4] = missing
    mass[rng.random(200) < 0.6] = missing
    y = pd.DataFrame({"grade": grade, "mass": mass})
    codes = y.assign(grade=grade.map({"high": 0, "low": 1}), mass=pd.to_numeric(mass, errors="coerce"))
    codes = codes.astype("Float64").to_numpy(dtype=float, na_value=GAP)
    for frame in (y, y.assign(mass=mass.astype("Float64"), grade=grade.astype("string"))):
        for _, test in TaskKFold(5).split(frame, frame):
            check_proportion(codes, test)
            assert abs((grade.iloc[test] == "high").sum() - (grade == "high").sum() / 5) < 2


def test_folds_are_reproducible():
    y = make_table("numbers", 0)

    def tests(splitter):
        return [test.tolist() for _, test in splitter.split(y, y)]

    assert tests(TaskKFold()) == tests(TaskKFold())
    for splitter in (TaskKFold(shuffle=True, random_state=3), TaskShuffleSplit(3, random_state=3)):
        assert tests(splitter) == tests(splitter)
    assert tests(TaskKFold(shuffle=True, random_state=3)) != tests(TaskKFold(shuffle=True, random_state=4))
    assert tests(TaskKFold(shuffle=True, random_state=3)) != tests(TaskKFold())
    assert tests(TaskShuffleSplit(3, random_state=3)) != tests(TaskShuffleSplit(3, random_state=4))


def test_a_task_with_too_few_labels_is_named():
    y = pd.DataFrame({"mass": np.arange(20.0), "size": [1.5, 2.5, 3.5, 4.5] + [GAP] * 16})
    with pytest.raises(ValueError, match=r"at least 5 labels, .* n_splits=5 folds. Task 'size' has 4"):
        next(TaskKFold(5).split(y, y))
    assert len(list(TaskKFold(4).split(y, y))) == 4
    with pytest.raises(ValueError, match=r"test part of 2 rows has none of task 'size', which has 4 labels"):
        next(TaskShuffleSplit(test_size=2, random_state=0).split(y, y))
    y.iloc[1:, 1] = GAP
    with pytest.raises(ValueError, match=r"at least 2 labels, .* Task 'size' has 1"):
        next(TaskShuffleSplit(test_size=0.5).split(y, y))


def test_a_class_with_fewer_members_than_folds_is_no_error():
    y = np.array(["rare"] * 2 + ["a"] * 20 + ["b"] * 21)
    counts = [(y[test] == "rare").sum() for _, test in TaskKFold(5).split(y, y)]
    assert sorted(counts) == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("splitter", [TaskKFold(), TaskShuffleSplit()])
def test_y_is_required(splitter):
    with pytest.raises(ValueError, match="y must be given"):
        next(splitter.split(np.zeros((20, 2))))


def test_parameters():
    for options in ({"n_splits": 1}, {"n_splits": 2.5}, {"shuffle": 1}, {"random_state": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
            TaskKFold(**options)
    assert repr(TaskKFold(3)) == "TaskKFold(n_splits=3, random_state=None, shuffle=False)"
    assert repr(TaskShuffleSplit(3)).startswith("TaskShuffleSplit(n_splits=3, random_state=None, test_size=None,")
    assert TaskKFold(3).get_n_splits() == TaskShuffleSplit(3).get_n_splits() == 3


@pytest.mark.parametrize("splitter", [TaskKFold(3), TaskShuffleSplit(3, test_size=0.3, random_state=0)])
def test_in_a_search(splitter):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = X @ rng.normal(size=(3, 2)) + 0.1 * rng.normal(size=(60, 2))
    scores = cross_val_score(Ridge(), X, y, cv=splitter, scoring=make_task_scorer("r2"))
    assert (scores > 0.8).all()
    search = GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=splitter, scoring=make_task_scorer("r2", 1)).fit(X, y)
    assert search.n_splits_ == 3
    assert search.best_score_ > 0.8
    classes = (y > 0) * 1
    assert cross_val_score(
        DummyClassifier(), X, classes, cv=splitter, scoring=make_task_scorer("balanced_accuracy")
    ) == pytest.approx(0.5)


@pytest.mark.parametrize("splitter", [TaskKFold(5), TaskShuffleSplit(1, random_state=0)])
def test_large_tables_take_seconds(splitter):
    """Dealing is linear in the labels: a step over all rows for each label takes minutes here."""
    from time import perf_counter

    rng = np.random.default_rng(0)
    y = own_rows(15362, 139, rng.normal(size=15362), rng)
    start = perf_counter()
    for _, test in splitter.split(y, y):
        check_proportion(y, test)
    assert perf_counter() - start < 10


@pytest.mark.parametrize("shuffle", [False, True])
def test_folds_keep_groups_whole_and_tasks_in_proportion(shuffle):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), rng.integers(1, 9, size=60))
    y = np.where(rng.random((len(groups), 3)) < [0.2, 0.5, 0.8], GAP, rng.normal(size=(len(groups), 3)))
    splitter = TaskKFold(5, shuffle=shuffle, random_state=0 if shuffle else None)
    tests = [test for _, test in splitter.split(y, y, groups)]
    assert sorted(np.concatenate(tests)) == list(range(len(groups)))
    assert sum(len(np.unique(groups[test])) for test in tests) == 60
    shares = np.array([[len(test) / len(y), *(~np.isnan(y[test])).sum(0) / (~np.isnan(y)).sum(0)] for test in tests])
    # A group of 8 rows is a thirtieth of the table.
    np.testing.assert_allclose(shares, 0.2, atol=0.05)


def test_random_parts_keep_groups_whole():
    groups = np.repeat(np.array(list("abcdefghij")), 6)
    y = np.random.default_rng(0).normal(size=(60, 2))
    parts = list(TaskShuffleSplit(4, test_size=0.3, random_state=0).split(y, y, groups))
    for train, test in parts:
        assert not set(groups[train]) & set(groups[test])
        assert len(test) == 18
    assert len({tuple(sorted(test)) for _, test in parts}) > 1


def test_groups_are_routed_through_searches():
    groups = np.arange(40) % 4
    X = np.random.default_rng(0).normal(size=(40, 2))
    search = GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=TaskKFold(4)).fit(X, X, groups=groups)
    expected = [Ridge().fit(X[groups != g], X[groups != g]).score(X[groups == g], X[groups == g]) for g in range(4)]
    found = [search.cv_results_[f"split{fold}_test_score"][0] for fold in range(4)]
    np.testing.assert_allclose(sorted(found), sorted(expected))


def test_too_few_groups_are_an_error():
    y = np.arange(12.0)
    with pytest.raises(ValueError, match=r"groups must hold one group for each of 3 parts at least\. Got 2"):
        list(TaskKFold(3).split(y, y, np.arange(12) % 2))
