"""How much do six tasks gain from each other when they are related, and what do they lose when they are not?

Run `python -m benchmarks.related_tasks [--seeds 5] [--no-report]`.

Synthetic data: 20 normal features; a task is a weighted sum of three `tanh` units of a projection, with noise of a
tenth of its deviation. "related": all tasks have the same units and similar weights; "same units": the same units,
different weights; "unrelated": different units. There are 500 rows, all labelled, or with five of the six tasks cut to
20 labels. Root mean squared error on 1,000 other rows, in deviations of the target, mean over tasks and seeds; beside
it the change against the same network trained on each task alone. Everything has its defaults.
"""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sklearn_mtae import MultiTaskVAERegressor, PerTaskRegressor
from sklearn_mtae.metrics import root_mean_squared_error
from sklearn_mtae.model_selection import TaskShuffleSplit, transfer_report

from ._harness import describe_machine, print_row

N_ROWS, N_TEST, N_FEATURES, N_UNITS, N_TASKS, N_FEW = 500, 1000, 20, 3, 6, 20
KINDS = ("related", "same units", "unrelated")
WIDTHS = (12, 26, 36, 8, 8)
JOINT: dict[str, dict[str, Any]] = {
    "joint": {},
    "joint, uncertainty": {"task_weighting": "uncertainty"},
    "joint, pcgrad": {"task_weighting": "pcgrad"},
    "joint, private blocks": {"sharing": "private"},
    "joint, private blocks, pcgrad": {"sharing": "private", "task_weighting": "pcgrad"},
}


def make_tasks(kind: str, seed: int) -> tuple[NDArray, NDArray]:
    """Return features and targets of all rows, the test rows last."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N_ROWS + N_TEST, N_FEATURES))
    n_blocks = N_TASKS if kind == "unrelated" else 1
    projections = rng.normal(size=(n_blocks, N_FEATURES, N_UNITS)) * 2 / np.sqrt(N_FEATURES)
    weights = rng.normal(size=(N_TASKS, N_UNITS))
    if kind == "related":
        weights = rng.normal(size=N_UNITS) + 0.3 * weights
    units = np.tanh(X @ projections)
    Y = np.stack([units[task % n_blocks] @ weights[task] for task in range(N_TASKS)], axis=1)
    Y /= Y.std(axis=0)
    return X, Y + 0.1 * rng.normal(size=Y.shape)


def cut(Y: NDArray, seed: int) -> NDArray:
    """Return labels, of which all tasks except the first keep 20."""
    rng, few = np.random.default_rng(seed), Y.copy()
    for task in range(1, N_TASKS):
        few[rng.permutation(len(Y))[N_FEW:], task] = np.nan
    return few


def error(model: BaseEstimator, kind: str, few: bool, seed: int) -> float:
    """Return the error of a model, mean over tasks."""
    X, Y = make_tasks(kind, seed)
    labels = cut(Y[:N_ROWS], seed) if few else Y[:N_ROWS]
    return root_mean_squared_error(Y[N_ROWS:], model.fit(X[:N_ROWS], labels).predict(X[N_ROWS:]))


def print_errors(n_seeds: int) -> None:
    """Print the error of each model on each kind of tasks."""
    network = MultiTaskVAERegressor(n_estimators=1, random_state=0)
    models: dict[str, BaseEstimator] = {"alone": PerTaskRegressor(network)}
    models |= {
        name: MultiTaskVAERegressor(n_estimators=1, random_state=0, **settings) for name, settings in JOINT.items()
    }
    print_row(WIDTHS, ("tasks", "labels", "model", "RMSE", "change"))
    for kind in KINDS:
        for few, labels in ((True, f"{N_ROWS}, five times {N_FEW}"), (False, f"{N_ROWS} each")):
            alone = float("nan")
            for name, model in models.items():
                mean = float(np.mean([error(model, kind, few, seed) for seed in range(n_seeds)]))
                alone = mean if name == "alone" else alone
                print_row(WIDTHS, (kind, labels, name, f"{mean:.3f}", f"{mean / alone - 1:+.1%}"))


def print_reports() -> None:
    """Print the transfer reports of related and of unrelated tasks with few labels."""
    for kind in ("related", "unrelated"):
        X, Y = make_tasks(kind, seed=0)
        cv = TaskShuffleSplit(10, test_size=0.3, random_state=0)
        model = MultiTaskVAERegressor(n_estimators=1)
        report = transfer_report(model, X[:N_ROWS], cut(Y[:N_ROWS], seed=0), cv=cv, random_state=0)
        print(f"\ntransfer_report, {kind}:")
        print(report.frame.round(3).to_string())
        between = ~np.eye(N_TASKS, dtype=bool)
        print(f"mean cosine between the gradients of two tasks: {report.conflict[between].mean():.3f}")


def main() -> None:
    """Print the table and the reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--no-report", action="store_true", help="leave the transfer reports out")
    arguments = parser.parse_args()
    print(describe_machine())
    print_errors(arguments.seeds)
    if not arguments.no_report:
        print_reports()


if __name__ == "__main__":
    main()
