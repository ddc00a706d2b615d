"""How long do predictions take, compared with scikit-learn's network and trees?

Run `python -m benchmarks.predict_speed [--pairs 7] [--smoke]`.

All models are fitted to the diabetes table with their defaults (the trees are 500 extra trees). Ours and the other
predict alternately, and the ratio is a median over such pairs, with the smallest and the largest beside it: other load
on the machine affects both. Times are processor times, on one thread. The bars are printed, never asserted.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

from sklearn_mtae import MultiTaskVAERegressor

from ._harness import MIN_PAIRS, compare, describe_machine, print_row

WIDTHS = (56, 12, 12, 22, 7)
HEADER = ("question", "ours (ms)", "other (ms)", "ratio [min, max]", "bar")


def repeated(predict: Callable[[NDArray], Any], X: NDArray, n_times: int) -> None:
    """Predict the same rows several times."""
    for _ in range(n_times):
        predict(X)


def fitted(smoke: bool) -> tuple[Any, Any, Any, NDArray]:
    """Fit the three models; return them with the rows."""
    X, y = load_diabetes(return_X_y=True)
    ours = MultiTaskVAERegressor(max_iter=4 if smoke else 100, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network = MLPRegressor(random_state=0).fit(X, y)
    return ours, network, ExtraTreesRegressor(500, n_jobs=1, random_state=0).fit(X, y), X


def rows(n_pairs: int, smoke: bool) -> Iterator[tuple[str, ...]]:
    """Ask the questions, one after the other."""
    ours, network, trees, X = fitted(smoke)
    many = X[np.arange(1_000 if smoke else 10_000) % len(X)]
    n_times = 5 if smoke else 50
    interval = partial(ours.predict_interval, coverage=0.9)
    questions: list[tuple[str, Any, Any, NDArray, int, str]] = [
        ("one row, network", ours.predict, network.predict, X[:1], n_times, "<= 10"),
        ("100 rows, network", ours.predict, network.predict, X[:100], n_times, ""),
        (f"{len(many):,} rows, 500 extra trees", ours.predict, trees.predict, many, 1, "<= 1.5"),
        ("intervals of one row, network's prediction", interval, network.predict, X[:1], n_times, ""),
        ("intervals of 442 rows, 500 extra trees' prediction", interval, trees.predict, X, 1, ""),
    ]
    for name, own, other, asked, n, bar in questions:
        result = compare(partial(repeated, own, asked, n), partial(repeated, other, asked, n), n_pairs, process_time)
        times = result.milliseconds(n)
        yield f"ours / {name}", f"{times[0]:.3f}", f"{times[1]:.3f}", str(result.ratio), bar


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=MIN_PAIRS, help=f"alternating pairs (at least {MIN_PAIRS})")
    parser.add_argument("--smoke", action="store_true", help="few epochs, rows and pairs: measures nothing")
    arguments = parser.parse_args()
    n_pairs = 2 if arguments.smoke else max(MIN_PAIRS, arguments.pairs)
    torch.set_num_threads(1)
    print(describe_machine(), f"{n_pairs} pairs", sep="\n")
    print_row(WIDTHS, HEADER)
    with threadpool_limits(1):
        for row in rows(n_pairs, arguments.smoke):
            print_row(WIDTHS, row)


if __name__ == "__main__":
    main()
