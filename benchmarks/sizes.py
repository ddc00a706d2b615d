"""What does a fit cost, and how well does it predict, from a thousand rows to a million?

Run `python -m benchmarks.sizes [--rows 1000 10000 100000 1000000] [--columns 50] [--seeds 1]`.

Normal features, some of which are relevant. The first target is a network (20 `tanh` units of 8 features) with a step
and a product, the second another such network, the third linear with a small part of a third network. Each has noise of
a quarter of its deviation. Scores are R2 on 10,000 other rows. Both have their defaults; boosting is fitted to each
target. Seconds are processor time, including all threads.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.multioutput import MultiOutputRegressor

from sklearn_mtae import MultiTaskVAERegressor

from ._harness import describe_machine, print_row

N_TEST = 10_000
WIDTHS = (10, 10, 10, 14, 8, 8, 8, 8)
MODELS: dict[str, Callable[[], Any]] = {
    "ours": lambda: MultiTaskVAERegressor(random_state=0),
    "boosting": lambda: MultiOutputRegressor(HistGradientBoostingRegressor(random_state=0)),
}


def make_table(n_rows: int, n_columns: int, seed: int) -> tuple[NDArray, NDArray]:
    """Make features and targets."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_columns)).astype(np.float32)
    units = np.tanh(1.5 * X[:, :8] @ rng.normal(size=(8, 20)) / np.sqrt(8))
    smooth = units @ rng.normal(size=(20, 3)) / np.sqrt(20)
    jumps = 2 * np.sign(X[:, 2]) * (np.abs(X[:, 3]) > 0.7) + X[:, 4] * X[:, 5]
    linear = X[:, :20] @ rng.normal(size=20) / 4
    Y = np.column_stack([smooth[:, 0] + 0.5 * jumps, smooth[:, 1], linear + 0.3 * smooth[:, 2]])
    Y = (Y - Y.mean(axis=0)) / Y.std(axis=0)
    return X, Y + 0.25 * rng.normal(size=Y.shape)


def run(model: str, n_rows: int, n_columns: int, seed: int) -> tuple[float, NDArray]:
    """Return the seconds of a fit and R2 of each target."""
    X, Y = make_table(n_rows + N_TEST, n_columns, seed)
    start = time.process_time()
    fitted = MODELS[model]().fit(X[N_TEST:], Y[N_TEST:])
    seconds = time.process_time() - start
    misses = Y[:N_TEST] - fitted.predict(X[:N_TEST])
    return seconds, 1 - (misses**2).mean(axis=0) / Y[:N_TEST].var(axis=0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", type=int, default=[10**3, 10**4, 10**5, 10**6])
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    print(describe_machine())
    print_row(WIDTHS, ("rows", "model", "seconds", "us per row", "first", "second", "third", "mean"))
    for n_rows in arguments.rows:
        for model in arguments.models:
            found = [run(model, n_rows, arguments.columns, seed) for seed in range(arguments.seeds)]
            seconds = float(np.mean([own for own, _ in found]))
            r2 = np.mean([own for _, own in found], axis=0)
            cells = (*(f"{own:.3f}" for own in r2), f"{r2.mean():.4f}")
            print_row(WIDTHS, (n_rows, model, f"{seconds:.1f}", f"{1e6 * seconds / n_rows:.0f}", *cells))


if __name__ == "__main__":
    main()
