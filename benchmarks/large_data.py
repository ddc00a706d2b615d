"""Does a fit stay fast and small when the data are larger than memory?

Run `python -m benchmarks.large_data [--gigabytes 2] [--pairs 7] [--threads N] [--directory DIR] [--smoke]`, on Linux,
with enough space for the file in DIR (by default, the folder of temporary files). Three questions:

- What is the peak of the anonymous memory while a memory-mapped file is fitted for an epoch, and transformed into
  another file? This is everything that the process holds, including its libraries, except the pages of the files,
  which the system can reclaim.
- What does a fit from a file cost beside a fit from an array in memory, once the file is in the page cache?
- What does an epoch cost per row, from 10,000 to 10,000,000 rows? Each size trains on a million rows or more, so that
  what a fit costs once does not count; the slope is that of the logarithm of the time over the logarithm of the rows.

The rows are random normal float32 numbers, since the time of a step does not depend on their values. The network has
one hidden layer of 64 units and a code of 8. The bars are printed, never asserted.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sklearn_mtae import AutoencoderTransformer
from sklearn_mtae._engine.rows import STREAMED_BYTES

from ._harness import MIN_PAIRS, compare, describe_machine, print_row, summarize

WIDTHS = (60, 14, 24, 9)
HEADER = ("question", "unit", "figure [min, max]", "bar")
N_COLUMNS = 100
FILE_ROWS = 3 * STREAMED_BYTES // 2 // (4 * N_COLUMNS)
"""Rows of a file that is large enough to be shuffled in blocks."""
CHUNK_ROWS = 100_000
"""Number of rows that are drawn and written at once."""
N_COMPONENTS = 8
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
N_ROUNDS = 3
"""Number of fits of each size, one size after the other."""
TRAINED_ROWS = 1_000_000
"""Minimum number of rows, counted once per epoch, that each size trains on."""
MB = 2**20


class Row(NamedTuple):
    """One line of the table."""

    question: str
    unit: str
    figure: str
    bar: str = ""


class AnonymousMemory:
    """The peak of this process's anonymous memory in bytes within the context, sampled every two milliseconds."""

    def __enter__(self) -> Self:
        self.peak, self._done = self.now(), Event()
        self._watcher = Thread(target=self._watch)
        self._watcher.start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._done.set()
        self._watcher.join()

    @staticmethod
    def now() -> int:
        """Return the current memory of the process."""
        status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self.peak = max(self.peak, self.now())


def make_model(batch_size: int, n_epochs: int = 1) -> AutoencoderTransformer:
    """Return the model that is fitted."""
    return AutoencoderTransformer(
        N_COMPONENTS, hidden_layer_sizes=(64,), batch_size=batch_size, max_iter=n_epochs, device="cpu", random_state=0
    )


def write_rows(path: Path, n_rows: int) -> np.memmap:
    """Write random rows to a file and return it, mapped."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, n_rows, CHUNK_ROWS):
            rng.standard_normal((min(CHUNK_ROWS, n_rows - start), N_COLUMNS), dtype=np.float32).tofile(file)
    return np.memmap(path, dtype=np.float32, mode="r", shape=(n_rows, N_COLUMNS))


def memory_question(directory: Path, n_bytes: float) -> Iterator[Row]:
    """Fit a file for an epoch, and transform it into another."""
    X = write_rows(directory / "large", int(n_bytes / 4 / N_COLUMNS))
    codes = np.memmap(directory / "codes", dtype=np.float32, mode="w+", shape=(len(X), N_COMPONENTS))
    make_model(256).fit(X[:1000])
    before, name = AnonymousMemory.now(), f"{X.nbytes / 1e9:.2g} GB, {len(X):,} x {N_COLUMNS}"
    yield Row(f"anonymous memory before, {name}", "MB", f"{before / MB:.0f}")
    start = perf_counter()
    with AnonymousMemory() as memory:
        model = make_model(256).fit(X)
    seconds = perf_counter() - start
    yield Row(f"peak of anonymous memory, fit, {name}", "MB", f"{memory.peak / MB:.0f}", "< 1024")
    yield Row(f"fit, {name}", "us per row", f"{1e6 * seconds / len(X):.2f}")
    with AnonymousMemory() as memory:
        model.transform(X, out=codes)
    yield Row(f"peak of anonymous memory, transform, {name}", "MB", f"{memory.peak / MB:.0f}", "< 1024")
    (directory / "large").unlink()


def file_question(directory: Path, n_rows: int, n_pairs: int) -> Row:
    """Compare a fit from a file with one from an array."""
    file = write_rows(directory / "rows", n_rows)
    array = np.array(file)
    comparison = compare(lambda: make_model(256).fit(file), lambda: make_model(256).fit(array), n_pairs)
    question = f"fit from a file / from an array, {n_rows:,} x {N_COLUMNS}"
    return Row(question, "ratio", str(comparison.ratio), "<= 1.25")


def size_questions(sizes: tuple[int, ...], n_rounds: int, trained_rows: int) -> Iterator[Row]:
    """Fit increasing numbers of rows of four columns."""
    X = np.random.default_rng(0).standard_normal((sizes[-1], 4), dtype=np.float32)
    make_model(1000).fit(X[: sizes[0]])
    times = np.array([[microseconds_per_row(X[:size], trained_rows) for size in sizes] for _ in range(n_rounds)])
    for size, own in zip(sizes, times.T, strict=True):
        yield Row(f"cost of a row, {size:,} x 4", "us per epoch", str(summarize(own)))
    slopes = np.polyfit(np.log(sizes), np.log(times.T), 1)[0]
    yield Row("slope of log(cost of a row) over log(rows)", "", str(summarize(slopes)), "about 0")


def microseconds_per_row(X: NDArray, trained_rows: int) -> float:
    """Return the cost of a row per epoch."""
    n_epochs = max(1, trained_rows // len(X))
    start = perf_counter()
    make_model(1000, n_epochs).fit(X)
    return 1e6 * (perf_counter() - start) / (n_epochs * len(X))


def rows(directory: Path, arguments: argparse.Namespace) -> Iterator[Row]:
    """Answer all questions, starting with memory, before it holds an array."""
    if arguments.smoke:
        yield from memory_question(directory, 4e6)
        yield file_question(directory, 10_000, 2)
        yield from size_questions((1_000, 10_000), 1, 10_000)
        return
    yield from memory_question(directory, arguments.gigabytes * 1e9)
    yield file_question(directory, FILE_ROWS, max(MIN_PAIRS, arguments.pairs))
    yield from size_questions(SIZES, N_ROUNDS, TRAINED_ROWS)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the file of the first question")
    parser.add_argument("--pairs", type=int, default=MIN_PAIRS, help=f"alternating pairs (at least {MIN_PAIRS})")
    parser.add_argument("--threads", type=int, help="threads of torch and BLAS; their own choice by default")
    parser.add_argument("--directory", help="where the files are written, and removed from")
    parser.add_argument("--smoke", action="store_true", help="few rows and pairs: measures nothing")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(describe_machine())
    print_row(WIDTHS, HEADER)
    with threadpool_limits(arguments.threads), TemporaryDirectory(dir=arguments.directory) as directory:
        for row in rows(Path(directory), arguments):
            print_row(WIDTHS, row)


if __name__ == "__main__":
    main()
