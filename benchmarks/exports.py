"""What do exported models need without torch, how fast are they, and how near are they to the estimators?

Run `python -m benchmarks.exports [sizes speed memory parity] [--python PYTHON] [--rows 10000] [--pairs 7] [--smoke]`.

Sizes and speed are those of the diabetes table with default parameters, on one thread, in processor time. Where a
hundred codes of each row are weighed, a tenth of the rows is taken, a tenth of whose cells are missing. The sides take
turns, and a ratio is a median over such pairs, with the smallest and the largest beside it. Memory is that of a
process of its own, of the interpreter PYTHON: take one of an environment with numpy alone. Parity is over rows with
gaps, levels that fit has not seen, a constant column and cells a million units off, in float64 and in float32: the
largest difference in any column, as a part of the largest number there, and how many labels differ. Models whose rows
are marked "weighed" have 64 hidden units; they are asked for densities and missing cells, for which a hundred codes of
each row are weighed.
"""

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from threadpoolctl import threadpool_limits

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    VAEImputer,
    VAETransformer,
    runtime,
)
from sklearn_mtae.export import to_numpy, to_onnx

from ._exported import UNSEEN, WEIGHED, Session, apart, cases, in_precision
from ._harness import MIN_PAIRS, compare, describe_machine, print_row

METHODS = {
    "AutoencoderTransformer": ["transform", "predict"],
    "VAETransformer": ["transform", "predict", "score_samples", "impute"],
    "MultiTaskVAERegressor": ["predict", "predict_interval"],
    "MultiTaskVAEClassifier": ["predict_proba"],
    "OutlierDetector": ["score_samples"],
}
"""Methods that are timed, by estimator."""
CHILD = """
import sys, time
start = time.perf_counter()
import sklearn_mtae.runtime as runtime
seconds = time.perf_counter() - start
def resident():  # of Linux; that of `resource` begins with the memory of the process that started this one
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
first = resident()
model = runtime.load(sys.argv[1])
import numpy as np
model.predict(np.zeros((int(sys.argv[2]), model.n_features_in_)))
found = sorted({"torch", "sklearn", "scipy", "pandas"} & set(sys.modules))
print(f"{seconds:.3f} {first:.1f} {resident():.1f} {found}")
"""
"""What a process of its own is asked."""


@cache
def models(smoke: bool) -> dict[str, Any]:
    """Return an estimator of each kind, fitted with its defaults."""
    X, y = load_diabetes(return_X_y=True)
    few: dict[str, Any] = {"max_iter": 4} if smoke else {}
    return {
        "AutoencoderTransformer": AutoencoderTransformer(random_state=0, **few).fit(X),
        "VAETransformer": VAETransformer(random_state=0, **few).fit(X),
        "MultiTaskVAERegressor": MultiTaskVAERegressor(random_state=0, **few).fit(X, y),
        "MultiTaskVAEClassifier": MultiTaskVAEClassifier(random_state=0, **few).fit(X, np.digitize(y, [100, 200])),
        "OutlierDetector": OutlierDetector(random_state=0, n_estimators=2 if smoke else 5).fit(X),
    }


def sizes(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield the bytes of each file."""
    yield "estimator", "pickle, MB", "numpy, MB", "ONNX, MB"
    for name, model in models(arguments.smoke).items():
        to_numpy(model, folder / name)
        onnx = to_onnx(model, METHODS[name]).SerializeToString()
        found = len(pickle.dumps(model)), (folder / name).stat().st_size, len(onnx)
        yield name, *(f"{n / 1e6:.2f}" for n in found)


def speed(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield the times of each method: one row and many."""
    X = load_diabetes(return_X_y=True)[0]
    many = X[np.arange(arguments.rows) % len(X)]
    gaps = np.where(np.random.default_rng(0).random(many.shape) < 0.1, np.nan, many)[: len(many) // 10]
    yield "method", "rows", "torch, ms", "numpy, ms", "ONNX, ms", "numpy / torch [min, max]", "ONNX / torch"
    for name, model in models(arguments.smoke).items():
        to_numpy(model, folder / name)
        light = runtime.load(folder / name)
        for method in METHODS[name]:
            session = Session(model, method)
            known = gaps if isinstance(model, VAETransformer) and method in WEIGHED else many
            for dtype, rows, n in (
                ("float64", known, 1),
                ("float32", known.astype(np.float32), 1),
                ("float64", known[:1], 50),
            ):
                theirs = partial(_repeated, getattr(model, method), rows, n)
                sides = [partial(_repeated, ask, rows, n) for ask in (getattr(light, method), session)]
                results = [compare(side, theirs, arguments.pairs, process_time) for side in sides]
                times = [results[0].milliseconds(n)[1], *(own.milliseconds(n)[0] for own in results)]
                told = f"{len(rows):,} {dtype}", *(f"{ms:.2f}" for ms in times), *(str(own.ratio) for own in results)
                yield f"{name}.{method}", *told


def _repeated(ask: Callable[[Any], Any], rows: Any, n: int) -> None:
    for _ in range(n):
        ask(rows)


def memory(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield what importing the runtime, and predicting many rows, takes in a process of its own."""
    yield "model", "import, s", "resident, MB", "with rows predicted, MB", "other packages imported"
    path = folder / "model"
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    for name in ("MultiTaskVAERegressor", "MultiTaskVAEClassifier"):
        to_numpy(models(arguments.smoke)[name], path)
        command = [arguments.python, "-c", CHILD, str(path), str(arguments.rows)]
        runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(3)]
        seconds, first, last, others = min(run.stdout.strip().split(" ", 3) for run in runs)
        yield name, seconds, first, last, others


def parity(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield how far both exports are from the estimator, over all its methods."""
    yield "estimator", "option", "rows", "numpy", "ONNX", "labels that differ", "farthest"
    for name, option, model, X, weighed in cases(arguments.rows, arguments.smoke):
        to_numpy(model, folder / "model")
        light = runtime.load(folder / "model")
        option = ", ".join([option] * bool(option) + ["weighed"] * bool(weighed))
        for dtype in ("float64", "float32"):
            yield name, option, dtype, *_farthest(model, light, in_precision(X, dtype), weighed, dtype)


def _farthest(model: Any, light: Any, X: Any, weighed: Sequence[str], dtype: str) -> Iterator[str]:
    """Yield how far exports are from the estimator for rows of a precision, and of which method that is so."""
    worst, labels, farthest = [0.0, 0.0], 0, ("", 0.0)
    for method, given, wanted in _asked(model, X, weighed):
        for side, ask in enumerate((getattr(light, method), Session(model, method, dtype).in_blocks)):
            far, differ = apart(ask(given), wanted)
            worst[side], labels = max(worst[side], far), labels + differ
            farthest = max(farthest, (method, far), key=lambda own: own[1])
    yield from (*(f"{far:.1e}" for far in worst), str(labels), farthest[0])


ROWS = ["transform", "inverse_transform", "impute", "score_samples", "predict", "predict_proba", "predict_log_proba"]


def _asked(model: Any, X: Any, weighed: Sequence[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yield methods, what each is given, and the estimator's own results: what weighs draws, or all else."""
    left_out = () if isinstance(model, AutoencoderTransformer | OutlierDetector) else WEIGHED
    every = [*ROWS, "predict_interval", "predict_set", "decision_function"]
    for method in weighed or [own for own in every if hasattr(model, own) and own not in left_out]:
        given = model.transform(X) if method == "inverse_transform" else X
        if (method == "impute" or isinstance(model, VAEImputer)) and hasattr(X, "columns"):
            # A graph has no name for a level that it does not know.
            given = X.assign(colour=X["colour"].where(X["colour"] != UNSEEN, None))
        yield method, given, getattr(model, method)(given)


PARTS = {"sizes": sizes, "speed": speed, "memory": memory, "parity": parity}
WIDTHS = {
    "sizes": (24, 10, 10, 10),
    "speed": (40, 15, 10, 10, 10, 24, 24),
    "memory": (24, 10, 13, 24, 24),
    "parity": (24, 44, 8, 8, 8, 18, 18),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument(
        "--python", default=sys.executable, help="an interpreter, best of an environment with numpy alone"
    )
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=MIN_PAIRS)
    parser.add_argument("--smoke", action="store_true", help="few epochs, rows and pairs: measures nothing")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.rows, arguments.pairs = 300, 2
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"parts must be of {sorted(PARTS)}. Got {sorted(unknown)}.")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(describe_machine())
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        for name in arguments.parts or PARTS:
            print()
            for row in PARTS[name](arguments, Path(folder)):
                print_row(WIDTHS[name], row)


if __name__ == "__main__":
    main()
