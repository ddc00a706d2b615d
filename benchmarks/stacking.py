"""How much faster are models trained side by side: a stacked search, with or without halving, and an ensemble?

Run `python -m benchmarks.stacking [--pairs 3] [--device auto] [--only search,halving,ensemble] [--smoke]`, on a machine
that is otherwise idle.

The search: 18 candidates (`alpha`, `learning_rate_init`, `reconstruction_weight`) in 5 folds, `StackedGridSearchCV`
against `GridSearchCV(n_jobs=2)` of the same multi-task model, whole searches alternately, including refit and scores.
The ratio is theirs over ours: higher is better for us. On a GPU the other side is `GridSearchCV(n_jobs=1)`: one fit
after the other on the same GPU. The best scores of both are printed; they may differ only by the models' random draws.
The data are scikit-learn's diabetes table (442 x 10, the target and two noisy functions of it), and 2,000 x 50 random
numbers with three noisy targets.

The search by halving: `StackedHalvingGridSearchCV` of the same candidates, 18 after 6 epochs, 6 after 18 and 2 after
54, against the same `GridSearchCV`. The scores are those of both choices, each with its epochs, in five other folds.

The ensemble: 16 members, whole fits, against one member with the same rows and epochs, on 500 x 30.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae.model_selection import StackedGridSearchCV, StackedHalvingGridSearchCV

from ._harness import Comparison, compare, describe_machine, print_row, resolve_device

WIDTHS = (46, 9, 9, 22, 8, 20)
HEADER = ("question", "ours, s", "other, s", "ratio [min, max]", "bar", "best score, ours, other")
GRID = {
    "alpha": [0.0, 1.0, 3.0],
    "learning_rate_init": [1e-3, 3e-3],
    "reconstruction_weight": [0.01, 0.1, 1.0],
}


class Table(NamedTuple):
    """Rows, targets and the width of the network."""

    X: NDArray
    Y: NDArray
    n_hidden: int
    bar: str
    halving_bar: str

    def __str__(self) -> str:
        return f"{len(self.X):,} x {self.X.shape[1]}, hidden {self.n_hidden}"


def diabetes() -> Table:
    """Return the diabetes table with two more targets derived from it."""
    X, y = load_diabetes(return_X_y=True)
    noise = np.random.default_rng(0).standard_normal((len(y), 2))
    return Table(X, np.column_stack([y, np.sqrt(y) + noise[:, 0], 20 * X[:, 2] + noise[:, 1]]), 32, ">= 6", ">= 9")


def random_table(n_rows: int, n_columns: int, n_hidden: int, bar: str, halving_bar: str = "") -> Table:
    """Return random rows and three noisy functions of them."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_columns))
    Y = np.tanh(X @ rng.standard_normal((n_columns, 3))) + 0.5 * rng.standard_normal((n_rows, 3))
    return Table(X, Y, n_hidden, bar, halving_bar)


def model(table: Table, n_epochs: int, device: str, **options: Any) -> MultiTaskVAERegressor:
    """Return the model that both sides train."""
    return MultiTaskVAERegressor(
        n_components=8,
        hidden_layer_sizes=(table.n_hidden,),
        max_iter=n_epochs,
        device=device,
        random_state=0,
        **{"n_estimators": 1, "member_params": None, **options},
    )


def search_question(table: Table, n_epochs: int, device: str, n_pairs: int, halving: bool) -> tuple[str, ...]:
    """Compare a search with scikit-learn's full one."""
    n_jobs = 2 if resolve_device(device).type == "cpu" else 1
    folds = KFold(5, shuffle=True, random_state=0)
    searches: dict[str, Any] = {}

    def run(name: str, kind: Callable[..., Any], **options: Any) -> None:
        search = kind(model(table, n_epochs, device), GRID, cv=folds, **options)
        searches[name] = search.fit(table.X, table.Y)

    if halving:
        ours = partial(run, "ours", StackedHalvingGridSearchCV, return_train_score=False)
    else:
        ours = partial(run, "ours", StackedGridSearchCV)
    comparison = compare(ours, partial(run, "other", GridSearchCV, n_jobs=n_jobs), n_pairs)
    question = f"{'by halving' if halving else 'stacked search'} / n_jobs={n_jobs}, {table}"
    score = partial(score_elsewhere, table) if halving else attrgetter("best_score_")
    scores = f"{score(searches['ours']):.4f}, {score(searches['other']):.4f}"
    bar = table.halving_bar if halving else table.bar
    return row(question, comparison, str(comparison.rate_ratio), bar, scores)


def score_elsewhere(table: Table, search: Any) -> float:
    """Return the score of a search's choice in folds that it was not made on."""
    choice = clone(search.estimator).set_params(**search.best_params_)
    return cross_val_score(choice, table.X, table.Y, cv=KFold(5, shuffle=True, random_state=1)).mean()


def ensemble_question(table: Table, n_epochs: int, device: str, n_pairs: int) -> tuple[str, ...]:
    """Compare 16 members with one."""

    def run(n_estimators: int) -> None:
        model(table, n_epochs, device, n_estimators=n_estimators).fit(table.X, table.Y)

    comparison = compare(partial(run, 16), partial(run, 1), n_pairs)
    return row(f"16 members / one, {table}", comparison, str(comparison.ratio), table.bar, "")


def row(question: str, comparison: Comparison, ratio: str, bar: str, scores: str) -> tuple[str, ...]:
    """Return a line of the table."""
    ours, other = comparison.milliseconds()
    return question, f"{ours / 1e3:.2f}", f"{other / 1e3:.2f}", ratio, bar, scores


def rows(only: list[str], device: str, n_pairs: int, smoke: bool) -> Iterator[tuple[str, ...]]:
    """Answer the questions, one after the other."""
    n_epochs = 2 if smoke else 60
    for question in ("search", "halving"):
        for table in (diabetes(), random_table(200 if smoke else 2_000, 50, 128, ">= 3", ">= 3.5")):
            if question in only:
                yield search_question(table, n_epochs, device, n_pairs, question == "halving")
    if "ensemble" in only:
        yield ensemble_question(random_table(500, 30, 64, "<= 4"), n_epochs, device, n_pairs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="alternating pairs")
    parser.add_argument("--device", default="auto", help="where torch trains")
    parser.add_argument("--threads", type=int, help="threads of torch; its own choice by default")
    parser.add_argument("--only", default="search,halving,ensemble", help="the questions to ask")
    parser.add_argument("--smoke", action="store_true", help="few epochs and rows: measures nothing")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(describe_machine(), f"{arguments.pairs} pairs", sep="\n")
    print_row(WIDTHS, HEADER)
    for line in rows(arguments.only.split(","), arguments.device, arguments.pairs, arguments.smoke):
        print_row(WIDTHS, line)


if __name__ == "__main__":
    main()
