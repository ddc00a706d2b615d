"""What does a fit cost compared with a hand-written torch loop and with other packages?

Run `python -m benchmarks.fit_speed [--pairs 7] [--device auto] [--threads N] [--smoke]`, on a machine that is otherwise
idle. On a busy one `--threads 1` gives steadier ratios, since no thread then waits for another.

Every ratio is a median over pairs of whole runs, ours and the other's alternately, with the smallest and the largest
pair beside it. Both sides train the same architecture (one hidden ReLU layer, mirrored) with the same batch size,
number of epochs and Adam, and both standardise the data within the measured time. The digits are scikit-learn's (1,797
x 64, as float32). The rows of 60,000 x 784 are random normal float32 numbers, since the time of a step does not depend
on their values. The bars are printed, never asserted.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from skorch import NeuralNetRegressor
from threadpoolctl import threadpool_limits

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer

from . import _loops
from ._harness import MIN_PAIRS, Comparison, compare, describe_machine, print_row, resolve_device

try:
    from . import _pythae

    pythae: ModuleType | None = _pythae
except ImportError:
    pythae = None

WIDTHS = (54, 11, 8, 13, 20, 7)
HEADER = ("question", "unit", "ours", "other", "ratio [min, max]", "bar")


class Row(NamedTuple):
    """One line of the table."""

    question: str
    unit: str
    ours: str
    other: str
    ratio: str
    bar: str = ""


@dataclass(frozen=True)
class Shape:
    """Rows and the network to train on them."""

    X: NDArray
    n_hidden: int
    n_code: int
    batch_size: int
    n_epochs: int

    def __str__(self) -> str:
        return f"{len(self.X):,} x {self.X.shape[1]}"

    @property
    def n_features(self) -> int:
        """Columns of the data."""
        return self.X.shape[1]

    @property
    def n_steps(self) -> int:
        """Steps of a whole run."""
        return self.n_epochs * -(-len(self.X) // self.batch_size)

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of the estimators: everything that their defaults do beyond the hand-written loop is turned off."""
        return {
            "n_components": self.n_code,
            "hidden_layer_sizes": (self.n_hidden,),
            "activation": "relu",
            "layer_norm": False,
            "alpha": 0.0,
            "penalty": None,
            "batch_size": self.batch_size,
            "max_iter": self.n_epochs,
            "learning_rate_init": 1e-3,
            "random_state": 0,
        }


def random_rows(n_rows: int, n_columns: int) -> NDArray:
    """Return random normal float32 numbers."""
    return np.random.default_rng(0).standard_normal((n_rows, n_columns), dtype=np.float32)


def make_shapes(smoke: bool) -> list[Shape]:
    """Return the two shapes; a smoke run cuts the large one short."""
    digits = load_digits().data.astype(np.float32)
    wide = random_rows(2_000 if smoke else 60_000, 784)
    return [
        Shape(digits, n_hidden=64, n_code=8, batch_size=128, n_epochs=2 if smoke else 20),
        Shape(wide, n_hidden=256, n_code=32, batch_size=256, n_epochs=1 if smoke else 2),
    ]


# The runs: each trains one model from its construction to its last step.


def fit_autoencoder(shape: Shape, device: str) -> None:
    """Fit our autoencoder."""
    AutoencoderTransformer(likelihood="squared_error", device=device, **shape.options).fit(shape.X)


def fit_usual_autoencoder(shape: Shape, device: str) -> None:
    """Fit our autoencoder with its default penalty, weight decay and units, which the loop lacks."""
    options = {name: value for name, value in shape.options.items() if name not in ("alpha", "penalty")}
    AutoencoderTransformer(device=device, **options).fit(shape.X)


def fit_vae(shape: Shape, device: str) -> None:
    """Fit our VAE."""
    VAETransformer(beta=1.0, device=device, **shape.options).fit(shape.X)


def loop_autoencoder(shape: Shape, device: str) -> None:
    """Run the hand-written loop."""
    model = _loops.autoencoder(shape.n_features, shape.n_hidden, shape.n_code)
    loss = _loops.reconstruction_loss
    _loops.train(model, loss, shape.X, shape.batch_size, shape.n_epochs, resolve_device(device))


def loop_vae(shape: Shape, device: str) -> None:
    """Run the hand-written loop of a VAE."""
    model = _loops.VAE(shape.n_features, shape.n_hidden, shape.n_code)
    _loops.train(model, _loops.negative_elbo, shape.X, shape.batch_size, shape.n_epochs, resolve_device(device))


def fit_mlp(shape: Shape, device: str) -> None:
    """Fit scikit-learn's network to its own input, on the CPU, all epochs."""
    X = _loops.standardized(shape.X).numpy()
    model = MLPRegressor(
        hidden_layer_sizes=(shape.n_hidden, shape.n_code, shape.n_hidden),
        batch_size=shape.batch_size,
        max_iter=shape.n_epochs,
        tol=0.0,
        n_iter_no_change=shape.n_epochs + 1,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, X)


def fit_skorch(shape: Shape, device: str) -> None:
    """Fit a plain skorch net to its own input."""
    X = _loops.standardized(shape.X).numpy()
    NeuralNetRegressor(
        _loops.autoencoder(shape.n_features, shape.n_hidden, shape.n_code),
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=shape.n_epochs,
        batch_size=shape.batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        device=str(resolve_device(device)),
    ).fit(X, X)


def fit_pythae(trainer: ModuleType, shape: Shape, device: str) -> None:
    """Fit pythae's autoencoder."""
    X = _loops.standardized(shape.X)
    trainer.train(X, shape.n_hidden, shape.n_code, shape.batch_size, shape.n_epochs, resolve_device(device))


# The questions.


def make_row(question: str, unit: str, times: tuple[float, float], ratio: str, bar: str = "") -> Row:
    """Return a row; the times are ours and the other's."""
    return Row(question, unit, f"{times[0]:.3f}", f"{times[1]:.3f}", ratio, bar)


def step_row(question: str, comparison: Comparison, n_steps: int, bar: str = "") -> Row:
    """Return the row of a comparison of steps."""
    return make_row(question, "ms per step", comparison.milliseconds(n_steps), str(comparison.ratio), bar)


def loop_questions(shapes: list[Shape], device: str, n_pairs: int) -> Iterator[Row]:
    """Compare the autoencoder and the VAE with hand-written loops."""
    contests: list[tuple[str, Callable, Callable, tuple[str, str]]] = [
        ("autoencoder / hand-written loop", fit_autoencoder, loop_autoencoder, ("<= 1.10", "<= 1.10")),
        ("default autoencoder / plain loop", fit_usual_autoencoder, loop_autoencoder, ("<= .70", "<= 1.05")),
        ("VAE / hand-written loop", fit_vae, loop_vae, ("", "")),
    ]
    for name, ours, other, bars in contests:
        for shape, bar in zip(shapes, bars, strict=True):
            comparison = compare(partial(ours, shape, device), partial(other, shape, device), n_pairs)
            yield step_row(f"{name}, {shape}", comparison, shape.n_steps, bar)


def package_questions(shapes: list[Shape], device: str, n_pairs: int) -> Iterator[Row]:
    """Compare the autoencoder with other packages."""
    packages: dict[str, Callable[[Shape, str], None] | None] = {
        "sklearn MLPRegressor": fit_mlp,
        "skorch NeuralNetRegressor": fit_skorch,
        "pythae trainer": None if pythae is None else partial(fit_pythae, pythae),
    }
    for name, other in packages.items():
        for shape in shapes:
            question = f"autoencoder / {name}, {shape}"
            if other is None:
                yield Row(question, "ms per step", "", "not installed", "")
                continue
            comparison = compare(partial(fit_autoencoder, shape, device), partial(other, shape, device), n_pairs)
            yield step_row(question, comparison, shape.n_steps)


def task_question(n_epochs: int, device: str, n_pairs: int) -> Row:
    """Compare a step of 100 tasks with a step of one."""
    shape = Shape(random_rows(2_000, 32), n_hidden=128, n_code=16, batch_size=200, n_epochs=n_epochs)
    Y = random_rows(2_000, 100)

    def fit(n_tasks: int) -> None:
        MultiTaskVAERegressor(n_estimators=1, beta=1.0, device=device, **shape.options).fit(shape.X, Y[:, :n_tasks])

    comparison = compare(partial(fit, 100), partial(fit, 1), n_pairs)
    return step_row(f"multi-task VAE, 100 tasks / 1 task, {shape}", comparison, shape.n_steps, "<= 3")


def transform_question(device: str, n_pairs: int) -> Row:
    """Compare `transform` with the encoder's raw pass over the whole tensor: the ratio of the rates, ours over raw."""
    X = random_rows(100_000, 64)
    model = AutoencoderTransformer(8, hidden_layer_sizes=(64,), max_iter=1, device=device, random_state=0)
    encoder = model.fit(X[:2_000]).module_.encoder

    def raw() -> NDArray:
        with torch.inference_mode():
            return encoder(torch.from_numpy(X).to(resolve_device(device))).cpu().numpy()

    comparison = compare(partial(model.transform, X), raw, n_pairs)
    question = "transform rate / raw encoder's, 100,000 x 64"
    return make_row(question, "ms per call", comparison.milliseconds(), str(comparison.rate_ratio), ">= 0.8")


def fixed_cost_question(device: str, n_pairs: int, n_fits: int = 20) -> Row:
    """Subtract the hand-written loop from a fit that is nearly all overhead: one step."""
    shape = Shape(random_rows(100, 20), n_hidden=64, n_code=8, batch_size=128, n_epochs=1)

    def repeated(run: Callable[[Shape, str], None]) -> None:
        for _ in range(n_fits):
            run(shape, device)

    comparison = compare(partial(repeated, fit_autoencoder), partial(repeated, loop_autoencoder), n_pairs)
    question = f"fixed cost: fit - loop (ms, no ratio), {shape}"
    return make_row(question, "ms per fit", comparison.milliseconds(n_fits), str(comparison.difference(n_fits)), "< 15")


def rows(device: str, n_pairs: int, smoke: bool) -> Iterator[Row]:
    """Answer all questions, one after the other."""
    shapes = make_shapes(smoke)
    yield from loop_questions(shapes, device, n_pairs)
    yield from package_questions(shapes, device, n_pairs)
    yield task_question(2 if smoke else 20, device, n_pairs)
    yield transform_question(device, n_pairs)
    yield fixed_cost_question(device, n_pairs)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=MIN_PAIRS, help=f"alternating pairs (at least {MIN_PAIRS})")
    parser.add_argument("--device", default="auto", help="where torch trains")
    parser.add_argument("--threads", type=int, help="threads of torch and BLAS; their own choice by default")
    parser.add_argument("--smoke", action="store_true", help="few rows, epochs and pairs: measures nothing")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    arguments = parse_arguments()
    n_pairs = 2 if arguments.smoke else max(MIN_PAIRS, arguments.pairs)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(describe_machine(), f"{n_pairs} pairs", sep="\n")
    print_row(WIDTHS, HEADER)
    with threadpool_limits(arguments.threads):
        for row in rows(arguments.device, n_pairs, arguments.smoke):
            print_row(WIDTHS, row)


if __name__ == "__main__":
    main()
