"""Exam scores of 139 schools: one model of all of them against ridge regressions.

Run `python -m benchmarks.school --data-dir DIR [--no-report]`.

DIR holds `school_b.mat` and `school_1_indexes.mat` to `school_10_indexes.mat`, the London school data (Goldstein 1991)
with the ten splits of Argyriou, Evgeniou and Pontil (2008): 15,362 students, each a row of one task.

Mean squared error over the test rows, for each split and their mean. Ridge regressions choose their penalty on the
training rows. The joint model, `MultiTaskVAERegressor` with linear heads that are tied by a `task_similarity` alike for
all schools, chooses the strength of that tie and its learning rate on the training rows of each split, by three folds.
The second table is `transfer_report` over the same splits, one setting for all of them.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV

from sklearn_mtae import MultiTaskVAERegressor, PerTaskRegressor, stack_tasks
from sklearn_mtae.model_selection import TaskKFold, transfer_report

from ._harness import describe_machine, print_row

ALPHAS = np.logspace(-2, 3, 11)
WIDTHS = (36, 8, 60)


class School(NamedTuple):
    """The data set."""

    X: NDArray
    """Students, shape (15362, 27)."""
    Y: NDArray
    """Scores, shape (15362, 139), NaN except for a student's own school."""
    school: NDArray
    """Position of each student's school."""
    splits: list[tuple[NDArray, NDArray]]
    """Training and test rows."""

    @property
    def y(self) -> NDArray:
        """Scores, shape (15362,)."""
        return np.nansum(self.Y, axis=1)


def load(folder: Path) -> School:
    """Return the data set; the last column of `x` is constant and left out."""
    table = loadmat(folder / "school_b.mat")
    X, y = table["x"].T[:, :-1].astype(float), table["y"].ravel().astype(float)
    starts = table["task_indexes"].ravel() - 1
    school = np.searchsorted(starts, np.arange(len(y)), side="right") - 1
    tasks = {f"school {s}": (X[school == s], y[school == s]) for s in range(len(starts))}
    indexes = [loadmat(folder / f"school_{split}_indexes.mat") for split in range(1, 11)]
    splits = [(rows["tr"].ravel() - 1, rows["tst"].ravel() - 1) for rows in indexes]
    return School(*stack_tasks(tasks), school, splits)


def mean_squared_error(model: Any, X: NDArray, Y: NDArray) -> float:
    """Return minus the mean squared error over all labels of all schools: greater is better."""
    return -float(np.nanmean((Y - model.predict(X)) ** 2))


def joint_model(**settings: Any) -> MultiTaskVAERegressor:
    """Return the model of all schools; `tie` is the assumed similarity of all schools."""
    tie = settings.pop("tie", 0.03)
    alike = np.full((139, 139), tie)
    fixed = {"head_hidden_layer_sizes": (), "reconstruction_weight": 0.01, "random_state": 0}
    return MultiTaskVAERegressor(n_estimators=1, **fixed, task_similarity=alike, **settings)


def grid() -> dict[str, list] | list[dict[str, list]]:
    """Return the settings that the joint model chooses from: short and fast, or long and slow."""
    ties = [np.full((139, 139), tie) for tie in (0.01, 0.03, 0.1)]
    speeds = [{"max_iter": [8], "learning_rate_init": [1e-3]}, {"max_iter": [30], "learning_rate_init": [3e-4]}]
    return [{**speed, "task_similarity": ties} for speed in speeds]


def school_means(data: School, train: NDArray, test: NDArray) -> NDArray:
    """Predict each school's mean."""
    return np.nanmean(data.Y[train], axis=0)[data.school[test]]


def ridge(data: School, train: NDArray, test: NDArray) -> NDArray:
    """Predict with one ridge regression of all rows."""
    return RidgeCV(ALPHAS).fit(data.X[train], data.y[train]).predict(data.X[test])


def ridge_per_school(data: School, train: NDArray, test: NDArray) -> NDArray:
    """Predict with a ridge regression per school."""
    heads = PerTaskRegressor(RidgeCV(ALPHAS)).fit(data.X[train], data.Y[train])
    return heads.predict(data.X[test])[np.arange(len(test)), data.school[test]]


def ridge_with_intercepts(data: School, train: NDArray, test: NDArray) -> NDArray:
    """Predict with one ridge regression of all rows, with an unpenalised intercept per school."""
    present = np.eye(139)[data.school]
    centres = (present[train].T @ np.column_stack([data.X, data.y])[train]) / present[train].sum(0)[:, None]
    x, y = data.X - centres[data.school, :-1], data.y - centres[data.school, -1]
    slopes = RidgeCV(ALPHAS, fit_intercept=False).fit(x[train], y[train])
    return slopes.predict(x[test]) + centres[data.school[test], -1]


def joint(data: School, train: NDArray, test: NDArray) -> NDArray:
    """Predict with the joint model, whose setting is chosen on the training rows."""
    folds = TaskKFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(joint_model(), grid(), scoring=mean_squared_error, cv=folds)
    search.fit(data.X[train], data.Y[train])
    return search.predict(data.X[test])[np.arange(len(test)), data.school[test]]


MODELS: dict[str, Callable[..., NDArray]] = {
    "mean of each school": school_means,
    "ridge, all rows": ridge,
    "ridge per school": ridge_per_school,
    "ridge, all rows, intercept per school": ridge_with_intercepts,
    "MultiTaskVAERegressor": joint,
}


def print_report(data: School) -> None:
    """Print the mean squared errors of the models in a transfer report."""
    model = joint_model(max_iter=30)
    report = transfer_report(model, data.X, data.Y, cv=data.splits, random_state=0)
    n_test = np.array([np.bincount(data.school[test], minlength=139) for _, test in data.splits])
    print("\ntransfer_report, learning_rate_init=1e-3, max_iter=30: mean squared error over the test rows")
    for name, scores in report.scores.items():
        errors = (n_test * scores**2).sum(1) / n_test.sum(1)
        print_row(WIDTHS, (name, f"{errors.mean():.2f}", " ".join(f"{error:.1f}" for error in errors)))
    advice = report.frame["advice"].value_counts().to_dict()
    print(f"advice: {advice}; mean gain {report.frame['gain'].mean():.3f} of alone's RMSE")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--no-report", action="store_true", help="leave the transfer report out")
    arguments = parser.parse_args()
    data = load(arguments.data_dir)
    print(describe_machine())
    print_row(WIDTHS, ("model", "mean", "mean squared error over the test rows of each split"))
    for name, predict in MODELS.items():
        errors = [float(np.mean((predict(data, *rows) - data.y[rows[1]]) ** 2)) for rows in data.splits]
        print_row(WIDTHS, (name, f"{np.mean(errors):.2f}", " ".join(f"{error:.1f}" for error in errors)))
    if not arguments.no_report:
        print_report(data)


if __name__ == "__main__":
    main()
