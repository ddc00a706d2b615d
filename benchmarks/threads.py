"""How much does another busy process slow a fit and a prediction, by the number of torch's threads?

Run `python -m benchmarks.threads [--repeats 3] [--smoke]`.

The default regressor with `max_iter=20` is fitted to the diabetes table in a separate process and predicts its 442 rows
ten times, alternately alone and beside a process that computes endlessly. The table shows the smallest wall time and
processor time over the repeats.
"""

import argparse
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ._harness import describe_machine, print_row

WIDTHS = (10, 10, 12, 12, 14, 14)
HEADER = ("threads", "beside", "fit (s)", "fit CPU (s)", "predict (s)", "predict CPU (s)")
PROGRAM = """
import sys, torch
from time import perf_counter, process_time
from sklearn.datasets import load_diabetes
from sklearn_mtae import MultiTaskVAERegressor
torch.set_num_threads(int(sys.argv[1]))
X, y = load_diabetes(return_X_y=True)
model = MultiTaskVAERegressor(max_iter=int(sys.argv[2]), random_state=0)
MultiTaskVAERegressor(n_estimators=2, max_iter=1).fit(X, y).predict(X)
times = [(perf_counter(), process_time())]
for run in (lambda: model.fit(X, y), lambda: [model.predict(X) for _ in range(10)]):
    run()
    times.append((perf_counter(), process_time()))
for before, after in zip(times, times[1:]):
    print(*(end - start for start, end in zip(before, after)))
"""


def compute_without_end() -> None:
    """Keep a processor busy."""
    while True:
        pass


@contextmanager
def busy(n_processes: int) -> Iterator[None]:
    """Keep a number of processes busy meanwhile."""
    processes = [multiprocessing.Process(target=compute_without_end, daemon=True) for _ in range(n_processes)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def measure(n_threads: int, n_epochs: int) -> list[float]:
    """Return wall time and processor time of a fit and of ten predictions."""
    program = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(n_threads), str(n_epochs)]
    return [float(cell) for cell in subprocess.run(program, check=True, capture_output=True, text=True).stdout.split()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each row, of which the fastest counts")
    parser.add_argument("--smoke", action="store_true", help="two epochs, one run: measures nothing")
    arguments = parser.parse_args()
    print(describe_machine())
    print_row(WIDTHS, HEADER)
    settings = [(n_threads, n_busy) for n_threads in (1, 2) for n_busy in (0, 1)]
    found: dict[tuple[int, int], list[list[float]]] = {setting: [] for setting in settings}
    for _ in range(1 if arguments.smoke else arguments.repeats):
        for n_threads, n_busy in settings:
            with busy(n_busy):
                found[n_threads, n_busy].append(measure(n_threads, 2 if arguments.smoke else 20))
    for (n_threads, n_busy), times in found.items():
        least = [f"{min(column):.2f}" for column in zip(*times, strict=True)]
        print_row(WIDTHS, [str(n_threads), f"{n_busy} busy", *least])


if __name__ == "__main__":
    main()
