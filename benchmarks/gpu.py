"""What does a training step cost on a GPU, compared with hand-written torch, and does a stacked search pay there?

Run `python -m benchmarks.gpu [--pairs 7] [--only small,epoch,search] [--smoke]` on a machine with a CUDA device that is
otherwise idle. Without one it says so and ends.

`small`: an autoencoder on scikit-learn's digits (1,797 x 64, batches of 128), our step against that of the hand-written
loop of `benchmarks/fit_speed.py` on the same GPU, which launches its kernels one by one. The ratio is theirs over ours.

`epoch`: a VAE on 60,000 x 784 random numbers from 0 to 1 (batches of 256, one hidden layer of 256, 32 components), our
epoch against that of a loop written by hand here, whose step is a CUDA graph too. The ratio is ours over theirs. Our
epoch takes all rows in 235 steps, theirs leaves the last 96 rows out.

Both are the time of a long training minus that of a short one: checks, standardisation and recording happen once per
fit and are not part of a step. A separate line gives their cost.

`search`: the stacked search of `benchmarks/stacking.py` against one fit after the other on the same GPU, whole
searches. The ratio is theirs over ours. The bars are printed, never asserted.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn

from . import _loops, stacking
from ._harness import MIN_PAIRS, Comparison, compare, describe_machine, print_row
from .fit_speed import HEADER, WIDTHS, Row, Shape, fit_autoencoder, fit_vae, loop_autoencoder, make_row

DEVICE = "cuda"
Run = Callable[[Shape, str], None]


def train_captured(
    model: nn.Module, loss: Callable[..., Tensor], X: NDArray, batch_size: int, n_epochs: int, device: torch.device
) -> nn.Module:
    """Train a model by replays of one captured step; the last batch is left out if it is smaller."""
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=True)
    data = _loops.standardized(X).to(device)
    index = torch.arange(batch_size, device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=False)
        loss(model, data.index_select(0, index)).backward()
        optimizer.step()

    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    with torch.cuda.graph(graph, stream=stream):
        step()
    for _ in range(n_epochs):
        for chosen in torch.randperm(len(data), device=device).split(batch_size):
            if len(chosen) == batch_size:
                index.copy_(chosen)
                graph.replay()
    torch.cuda.synchronize()
    return model


def loop_captured_vae(shape: Shape, device: str) -> None:
    """Run the hand-written loop of a VAE, its step captured."""
    model = _loops.VAE(shape.n_features, shape.n_hidden, shape.n_code)
    train_captured(model, _loops.negative_elbo, shape.X, shape.batch_size, shape.n_epochs, torch.device(device))


def digits(n_epochs: int) -> Shape:
    """Return the digits and a small network."""
    return Shape(load_digits().data.astype(np.float32), n_hidden=64, n_code=8, batch_size=128, n_epochs=n_epochs)


def images(n_rows: int, n_epochs: int) -> Shape:
    """Return rows of the shape of MNIST's and a network for them."""
    X = np.random.default_rng(0).random((n_rows, 784), dtype=np.float32)
    return Shape(X, n_hidden=256, n_code=32, batch_size=256, n_epochs=n_epochs)


def marginal(ours: Run, other: Run, short: Shape, long: Shape, n_pairs: int) -> tuple[Comparison, Comparison]:
    """Return the comparison of the additional epochs of a long training, and that of a short one."""
    brief = compare(partial(ours, short, DEVICE), partial(other, short, DEVICE), n_pairs)
    whole = compare(partial(ours, long, DEVICE), partial(other, long, DEVICE), n_pairs)
    return Comparison(whole.ours - brief.ours, whole.other - brief.other), brief


def small_question(n_pairs: int, smoke: bool) -> Iterator[Row]:
    """Compare the steps of a small autoencoder."""
    short, long = digits(4), digits(8 if smoke else 204)
    steps, brief = marginal(fit_autoencoder, loop_autoencoder, short, long, n_pairs)
    times = steps.milliseconds(long.n_steps - short.n_steps)
    yield make_row(f"eager loop's step / ours, {short}", "ms per step", times, str(steps.rate_ratio), ">= 5")
    yield make_row(f"a fit of {short.n_steps} steps, {short}", "ms per fit", brief.milliseconds(), str(brief.ratio))


def epoch_question(n_pairs: int, smoke: bool) -> Iterator[Row]:
    """Compare the epochs of a VAE."""
    n_rows = 10_000 if smoke else 60_000
    short, long = images(n_rows, 1), images(n_rows, 2 if smoke else 11)
    epochs, brief = marginal(fit_vae, loop_captured_vae, short, long, n_pairs)
    times = epochs.milliseconds(long.n_epochs - short.n_epochs)
    yield make_row(f"VAE / loop captured by hand, {short}", "ms per epoch", times, str(epochs.ratio), "<= 1.2")
    yield make_row(f"a fit of one epoch, {short}", "ms per fit", brief.milliseconds(), str(brief.ratio))


def search_question(n_pairs: int, smoke: bool) -> Iterator[tuple[str, ...]]:
    """Compare a stacked search with one fit after the other."""
    table = stacking.diabetes()._replace(bar=">= 20")
    yield stacking.search_question(table, 4 if smoke else 60, DEVICE, min(n_pairs, 3))


QUESTIONS = {"small": small_question, "epoch": epoch_question, "search": search_question}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=MIN_PAIRS, help="alternating pairs")
    parser.add_argument("--only", default=",".join(QUESTIONS), help="the questions to ask")
    parser.add_argument("--smoke", action="store_true", help="few rows, epochs and pairs: measures nothing")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device")
        return
    n_pairs = 1 if arguments.smoke else arguments.pairs
    print(describe_machine(), f"{n_pairs} pairs", sep="\n")
    for name in arguments.only.split(","):
        is_search = name == "search"
        widths, header = (stacking.WIDTHS, stacking.HEADER) if is_search else (WIDTHS, HEADER)
        print_row(widths, header)
        for row in QUESTIONS[name](n_pairs, arguments.smoke):
            print_row(widths, row)


if __name__ == "__main__":
    main()
