"""What log-likelihood does a VAE of MNIST's digits reach, and what do more draws per row add?

Run `python -m benchmarks.mnist_nll --data-dir DIR [--epochs 20] [--batch 100] [--schedule constant] [--test-rows N]`.

DIR holds MNIST's four published files of images and labels, ending in `-ubyte.gz`; the labels are not read. The network
is that of Burda et al. (2016, arXiv 1509.00519) with one layer of 50 latent variables: two layers of 200 tanh units on
either side, Bernoulli pixels. A training pixel is drawn anew in each epoch, 1 with a probability of its grey level; the
test images are drawn once. Models, all on the same draws in the same epochs:

- `pythae`: the VAE of pythae in that package's own trainer. It is no dependency: `pip install pythae`, where possible
  in an environment of its own; without it the model is left out.
- `vae`: ours. The layers of both networks start from torch's initial weights and are trained by Adam. Ours takes the
  pixels' means off before the encoder, and adds their logits to the decoder's outputs: the article's code starts the
  decoder's last biases there.
- `pythae_means`: pythae's with the same constants before and after its networks, to tell their part from the packages'.
- `iwae`, `iwae50`: ours, by the importance-weighted bound of 5 or 50 draws.

One function computes the negative log-likelihood of all models, in nats per image: random draws from the model's own
posterior, 5,000 per test image in the table and 100 for some test images in the curve. It is not used for any choice.
`--schedule burda --batch 20 --adam-eps 1e-4` is the article's schedule of 3,280 epochs, which is for a GPU.
"""

import argparse
import gzip
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, repeat
from math import log
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from sklearn_mtae import VAETransformer
from sklearn_mtae.nn.architectures import mlp
from sklearn_mtae.nn.objectives import IWAE

from ._harness import describe_machine, print_row, resolve_device

try:
    from . import _pythae
except ImportError:
    _pythae = None

WIDTHS = (20, 9, 10, 15, 34, 14)
HEADER = ("model", "NLL", "std error", "bound, 1 draw", "difference, image by image", "s per epoch")
N_COMPONENTS, HIDDEN = 50, (200, 200)
LEARNING_RATE = 1e-3
RAREST = 1e-3
"""Bound on a pixel's mean, so that its logit is finite: that of our likelihood."""
N_DRAWS, N_CURVE_DRAWS, N_CURVE_ROWS, N_CHECKED = 5_000, 100, 1_000, 100
CELLS = {"cuda": 2**27}
"""Pixels that are decoded at once, by device; elsewhere so few that they stay in a core's cache."""


class Settings(NamedTuple):
    """What all models are trained with."""

    means: Tensor
    """Mean of each pixel over the training images, shape (n_features,)."""
    batch_size: int
    eps: float
    seed: int
    device: torch.device


class Model(Protocol):
    """A model that can be trained for an epoch and has the two halves of a VAE."""

    def train_epoch(self, X: NDArray, learning_rate: float) -> None:
        """Train for one epoch on rows of zeros and ones."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posteriors' means and log variances, each of shape (n_rows, n_components)."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """Return the logits of the pixels, shape (..., n_features)."""
        ...


class Ours:
    """Our VAE, one epoch at a time."""

    def __init__(self, settings: Settings, objective: Any = "elbo") -> None:
        self.estimator = VAETransformer(
            N_COMPONENTS,
            hidden_layer_sizes=HIDDEN,
            activation="tanh",
            likelihood="bernoulli",
            objective=objective,
            alpha=0.0,
            batch_size=settings.batch_size,
            device=str(settings.device),
            random_state=settings.seed,
            net_params={"optimizer__eps": settings.eps},
        )

    def train_epoch(self, X: NDArray, learning_rate: float) -> None:
        self.estimator.set_params(learning_rate_init=learning_rate).partial_fit(X)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        module = self.estimator.module_
        q = module.infer(module.fill(x))
        return q.mean, q.log_variance

    def decode(self, z: Tensor) -> Tensor:
        module = self.estimator.module_
        return module.likelihood.logits(module.decode(z))


class Shift(nn.Module):
    """Add a constant."""

    constant: Tensor

    def __init__(self, constant: Tensor) -> None:
        super().__init__()
        self.register_buffer("constant", constant)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.constant


def make_pythae(settings: Settings, from_means: bool = False) -> Model:
    """Return pythae's VAE on networks of the same layers, with or without the constants that ours has around them."""
    assert _pythae is not None
    torch.manual_seed(settings.seed)
    n_features = len(settings.means)
    encoder, decoder = mlp(
        n_features, 2 * N_COMPONENTS, N_COMPONENTS, n_features, hidden_layer_sizes=HIDDEN, activation="tanh"
    )
    if from_means:
        means = settings.means.clamp(RAREST, 1 - RAREST)
        encoder, decoder = nn.Sequential(Shift(-means), encoder), nn.Sequential(decoder, Shift(means.logit()))
    training = {"batch_size": settings.batch_size, "eps": settings.eps, "seed": settings.seed}
    return _pythae.BernoulliVAE(encoder, decoder, n_features, N_COMPONENTS, device=settings.device, **training)


class Entry(NamedTuple):
    """A line of the table."""

    title: str
    make: Callable[[Settings], Model]
    rival: str
    """Title of the line that it is compared with."""


MODELS = {
    "pythae": Entry("pythae VAE", make_pythae, ""),
    "vae": Entry("VAE", Ours, "pythae VAE"),
    "iwae": Entry("IWAE, 5 draws", partial(Ours, objective=IWAE(n_draws=5)), "VAE"),
    "iwae50": Entry("IWAE, 50 draws", partial(Ours, objective=IWAE(n_draws=50)), "VAE"),
    "pythae_means": Entry("pythae VAE, means", partial(make_pythae, from_means=True), "VAE"),
}


def burda() -> Iterator[float]:
    """Yield the learning rate of each of the article's 3,280 epochs."""
    for stage in range(8):
        yield from repeat(LEARNING_RATE * 10 ** (-stage / 7), 3**stage)


SCHEDULES: dict[str, tuple[Callable[[], Iterator[float]], int]] = {
    "constant": (partial(repeat, LEARNING_RATE), 20),
    "burda": (burda, 3_280),
}
"""Learning rates of the epochs, and how many epochs there are unless told otherwise."""


def load(path: Path) -> NDArray:
    """Return the images of a file in MNIST's format, shape (n_images, n_pixels), as bytes."""
    with gzip.open(path) as file:
        magic, n_images, height, width = np.frombuffer(file.read(16), dtype=">i4")
        if magic != 2051:
            raise ValueError(f"{path} must hold images, which start with 2051. Got {magic} instead.")
        return np.frombuffer(file.read(), dtype=np.uint8).reshape(n_images, height * width)


def binarize(images: NDArray, seed: tuple[int, int]) -> NDArray:
    """Return zeros and ones in float32, a pixel being 1 with a probability of its grey level over 255."""
    drawn = np.random.default_rng(seed).integers(255, size=images.shape, dtype=np.uint8)
    return (drawn < images).astype(np.float32)


def log_weights(model: Model, x: Tensor, n_draws: int, generator: Generator) -> Tensor:
    """Return log p(x, z) / q(z given x) at draws from each row's posterior, shape (n_rows, n_draws)."""
    mean, log_variance = (part.unsqueeze(1) for part in model.encode(x))
    noise = torch.randn(len(x), n_draws, mean.shape[-1], generator=generator, device=x.device)
    z = mean + (log_variance / 2).exp() * noise
    logits = model.decode(z)
    pixels = F.binary_cross_entropy_with_logits(logits, x.unsqueeze(1).expand_as(logits), reduction="none")
    return (noise.square() + log_variance - z.square()).sum(-1) / 2 - pixels.sum(-1)


@torch.inference_mode()
def negative_log_likelihood(model: Model, x: Tensor, n_draws: int) -> NDArray:
    """Return `-log mean_k p(x, z_k) / q(z_k given x)` of each row, by the same noise for every model."""
    generator = torch.Generator(x.device).manual_seed(0)
    n_points = CELLS.get(x.device.type, 2**20) // x.shape[1]
    draws = torch.arange(n_draws).split(n_points)
    n_rows = max(1, n_points // n_draws)

    def estimate(rows: Tensor) -> Tensor:
        weights = [log_weights(model, rows, len(part), generator) for part in draws]
        return log(n_draws) - torch.cat(weights, dim=1).logsumexp(1)

    return torch.cat([estimate(rows) for rows in x.split(n_rows)]).double().cpu().numpy()


def train(
    models: dict[str, Model], images: NDArray, x: Tensor, rates: list[float], seed: int, every: int
) -> dict[str, float]:
    """Train all models, epoch by epoch, and print the curve; return the seconds of each."""
    seconds = dict.fromkeys(models, 0.0)
    widths = (6, 14, *(18 for _ in models))
    print_row(widths, ("epoch", "learning rate", *(MODELS[name].title for name in models)))
    for epoch, rate in enumerate(rates, start=1):
        X = binarize(images, (seed, epoch))
        for name, model in models.items():
            start = perf_counter()
            model.train_epoch(X, rate)
            seconds[name] += perf_counter() - start
        if epoch % every == 0 or epoch == len(rates):
            curve = [negative_log_likelihood(model, x, N_CURVE_DRAWS).mean() for model in models.values()]
            print_row(widths, (str(epoch), f"{rate:.3g}", *(f"{value:.2f}" for value in curve)))
    return seconds


def print_table(models: dict[str, Model], x: Tensor, seconds_per_epoch: dict[str, float]) -> None:
    """Print the likelihoods of the trained models, each line as soon as it is known."""
    print_row(WIDTHS, HEADER)
    values: dict[str, NDArray] = {}
    for name, model in models.items():
        values[MODELS[name].title] = own = negative_log_likelihood(model, x, N_DRAWS)
        bound = negative_log_likelihood(model, x, 1).mean()
        mean, error = mean_and_error(own)
        cells = (f"{mean:.3f}", f"{error:.3f}", f"{bound:.2f}", compare(own, values, MODELS[name].rival))
        print_row(WIDTHS, (MODELS[name].title, *cells, f"{seconds_per_epoch[name]:.1f}"))
        if isinstance(model, Ours):
            print_check(model.estimator, x[:N_CHECKED], own[:N_CHECKED])


def compare(values: NDArray, others: dict[str, NDArray], rival: str) -> str:
    """Return the mean difference to the rival's values and its standard error, if there is a rival."""
    if rival not in others:
        return ""
    mean, error = mean_and_error(values - others[rival])
    return f"{mean:+.3f} +/- {error:.3f} to {rival}"


def mean_and_error(values: NDArray) -> tuple[float, float]:
    """Return the mean over rows and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def print_check(estimator: VAETransformer, x: Tensor, values: NDArray) -> None:
    """Print the estimator's own likelihoods of some rows, from quasi-random draws."""
    own = -estimator.score_samples(x.cpu().numpy(), n_importance_samples=N_DRAWS).mean()
    print(f"    first {len(x)} images: {values.mean():.3f}, by score_samples {own:.3f}")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["pythae", "vae", "iwae", "pythae_means"])
    parser.add_argument("--schedule", choices=SCHEDULES, default="constant", help="of the learning rate")
    parser.add_argument("--epochs", type=int, help="20, or 3,280 with the article's schedule")
    parser.add_argument("--batch", type=int, default=100, help="rows per step")
    parser.add_argument("--adam-eps", type=float, default=1e-8, help="epsilon of Adam")
    parser.add_argument("--test-rows", type=int, help="how many test images; all by default")
    parser.add_argument("--every", type=int, help="epochs between two points of the curve; by default 20 points")
    parser.add_argument("--seed", type=int, default=0, help="of the weights, the order and the draws of the training")
    parser.add_argument("--device", default="auto", help="where torch trains")
    return parser.parse_args()


def make_models(names: list[str], settings: Settings) -> dict[str, Model]:
    """Return the models that can be trained here, by name."""
    if _pythae is None:
        print("pythae is not installed and left out: pip install pythae")
        names = [name for name in names if not name.startswith("pythae")]
    return {name: MODELS[name].make(settings) for name in names}


def main() -> None:
    """Print the curve and the table."""
    arguments = parse_arguments()
    device = resolve_device(arguments.device)
    images = load(arguments.data_dir / "train-images-idx3-ubyte.gz")
    test = load(arguments.data_dir / "t10k-images-idx3-ubyte.gz")[: arguments.test_rows]
    x = torch.from_numpy(binarize(test, (0, 0))).to(device)
    means = torch.from_numpy(images.mean(0) / 255).float()
    settings = Settings(means, arguments.batch, arguments.adam_eps, arguments.seed, device)
    print(describe_machine())
    models = make_models(arguments.models, settings)
    schedule, n_epochs = SCHEDULES[arguments.schedule]
    rates = list(islice(schedule(), arguments.epochs or n_epochs))
    every = arguments.every or max(1, len(rates) // 20)
    seconds = train(models, images, x[:N_CURVE_ROWS], rates, arguments.seed, every)
    print(f"{len(rates)} epochs, {len(x):,} test images, {N_DRAWS:,} draws, nats per image")
    print_table(models, x, {name: total / len(rates) for name, total in seconds.items()})


if __name__ == "__main__":
    main()
