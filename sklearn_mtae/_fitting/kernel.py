"""Kernel ridge regressions of numbers and of classes: they use nearby rows, where networks are smooth."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from sklearn_mtae._engine.linear import LANES
from sklearn_mtae._tables.row_index import evenly
from sklearn_mtae.nn.embeddings import soften
from sklearn_mtae.nn.models import Autoencoder

from .kernel_ridge import Shape, SquaredDistances, closeness, regress, relevant_scales, unit_scale

MOST_ROWS = 4_000
"""Maximum number of rows that kernels learn from."""
MOST_STEPS = 2e9
"""Maximum of rows times squared centres, and times systems of equations, to which the time of a kernel is proportional.
Tasks that have labels of the same rows share a system."""
SHAPES = (
    *(Shape(False, 1.0, locality) for locality in (0.5, 2.0, 8.0)),
    *(Shape(False, 0.5, locality) for locality in (0.03, 0.3)),
    *(Shape(True, 1.0, locality) for locality in (0.25, 1.0)),
    Shape(True, 0.5, 0.1),
)
"""How closeness may fall with distance."""
RIDGES = (0.01, 0.1, 1.0)
"""Penalties of the squared norm, relative to a row's squared error. Each shape comes with each of them."""
N_KERNELS = len(SHAPES) * len(RIDGES)
"""Number of kernels to choose among."""
SIMPLER = 3
"""Factor by which there may be more of them where all rows are centres: the equations are simpler."""
MOST_PREDICTED = 2**27
"""Maximum number of predictions of kernels for held-out rows: 1 GB. Where there would be more, there are no kernels."""
LEAST_SHARE = 0.02
"""Minimum probability of a class, divided by the number of classes: a regression may fall below 0."""


@dataclass(eq=False)
class Neighbours:
    """Sums over nearby rows, by several kernels.

    Parameters
    ----------
    centres : ndarray of shape (n_centres, n_columns)
        Training rows, as networks see them.
    scales : ndarray of shape (n_scales, n_columns)
        Factors of the columns in distances: all alike, and by their relevance.
    shapes : ndarray of shape (n_kernels, 3)
        How closeness falls with distance, as in `Shape`.
    coefficients : ndarray of shape (n_kernels, n_centres, n_sums)
        Contribution of each centre to each sum, per unit of closeness.
    """

    centres: NDArray
    scales: NDArray
    shapes: NDArray
    coefficients: NDArray
    cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    """What does not depend on rows. It is computed again if absent, and not part of the state."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "cache": {}}

    def __call__(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield the sums of each kernel for the inputs of kernels, shape (n_rows, n_sums).

        Large coefficients of both signs nearly cancel, so the rows must be in float64.
        """
        distances, filled = self._prepared(rows)
        n_sums = self.coefficients.shape[2]
        for near, own in zip(closeness_by(self.shapes, rows, distances), filled, strict=True):
            yield (near @ own)[:, :n_sums]

    def _prepared(self, rows: Tensor) -> tuple[list[SquaredDistances], Tensor]:
        """Return the distances with each of the scales, and coefficients for sums that treat all rows alike."""
        key = f"{rows.dtype} on {rows.device}"
        if key not in self.cache:
            with torch.inference_mode(False):  # others may want gradients
                centres, scales, own = (
                    torch.from_numpy(part).to(rows) for part in (self.centres, self.scales, self.coefficients)
                )
                filled = pad(own, (0, -own.shape[2] % LANES))
                self.cache[key] = [SquaredDistances(centres, scale) for scale in scales], filled
        return self.cache[key]

    @property
    def n_copies(self) -> int:
        """Factor by which the cells of a row grow while it is compared with the centres, and summed by each kernel."""
        n_kernels, n_centres, n_sums = self.coefficients.shape
        return max(1, (2 * n_centres + n_kernels * n_sums) // self.centres.shape[1])

    def with_kernels(self, shapes: NDArray, coefficients: NDArray) -> "Neighbours":
        """Return the same with other kernels; zeros fill its centres up, so that all rows are treated alike."""
        none, fill = (0, 0), (0, -coefficients.shape[1] % LANES)
        centres, coefficients = np.pad(self.centres, (fill, none)), np.pad(coefficients, (none, fill, none))
        return replace(self, centres=centres, shapes=shapes, coefficients=coefficients)


@dataclass(eq=False)
class NumberKernel:
    """Numbers as sums over nearby rows, in the units of the tasks and without their means.

    Parameters
    ----------
    neighbours : Neighbours
        The sums that make up the numbers.
    weights : ndarray of shape (n_tasks,)
        Its weight among the baselines.
    """

    neighbours: Neighbours
    weights: NDArray

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return the numbers for standardised rows, shape (n_rows, n_tasks)."""
        return self.add_up(kernel_inputs(model, x))

    def add_up(self, rows: Tensor) -> Tensor:
        """Return the numbers for the inputs of kernels."""
        return torch.stack(list(self.neighbours(rows))).sum(0)


@dataclass(eq=False)
class ClassKernel:
    """Class probabilities from the classes of nearby rows.

    Parameters
    ----------
    neighbours : Neighbours
        The sums that probabilities differ by from base rates.
    rates : ndarray of shape (n_tasks, n_classes)
        Base rates; zero for classes of other tasks.
    weights : ndarray of shape (n_kernels, n_tasks)
        The weight of each kernel in the average with the members.
    """

    neighbours: Neighbours
    rates: NDArray
    weights: NDArray

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return the weighted probabilities of standardised rows, shape (n_rows, n_tasks, n_classes)."""
        shares = zip(self.neighbours(kernel_inputs(model, x)), torch.from_numpy(self.weights).to(x), strict=True)
        return torch.stack([weight[:, None] * class_shares(sums, self.rates) for sums, weight in shares]).sum(0)


class KernelLearner:
    """Rows, parts of which kernels of each shape and penalty are fitted to.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns)
        Rows as networks see them.
    weight : ndarray of shape (n_rows, n_tasks)
        Weights of their labels; zero where there is none.
    """

    def __init__(self, rows: NDArray, weight: NDArray) -> None:
        self.rows = rows.astype(np.float32)
        self.weight = weight
        self.alike = np.full(rows.shape[1], unit_scale(rows))

    def fit(self, chosen: NDArray[np.bool_], away: NDArray) -> Neighbours:
        """Return the kernels of the chosen rows.

        Parameters
        ----------
        chosen : ndarray of bool of shape (n_rows,)
            Which rows to learn from.
        away : ndarray of shape (n_chosen, n_tasks, n_outputs)
            What to predict for them, without its mean.
        """
        rows, weight = self.rows[chosen].astype(np.float64), self.weight[chosen]
        at = evenly(np.arange(len(rows)), n_centres(weight))
        relevant = relevant_scales(rows[at], away[at], weight[at]) if len(at) else self.alike
        scales = np.stack([self.alike, relevant])
        shapes, points = np.array(SHAPES, dtype=np.float64), torch.from_numpy(rows)
        distances = [SquaredDistances(points[at], scale) for scale in torch.from_numpy(scales)]
        coefficients = [
            regress(near, away, weight, RIDGES, near[at] if len(at) < len(rows) else None)
            for near in closeness_by(shapes, points, distances)
        ]
        flat = np.concatenate(coefficients).reshape(N_KERNELS, len(at), away.shape[1] * away.shape[2])
        return Neighbours(self.rows[chosen][at], scales, shapes.repeat(len(RIDGES), axis=0), flat)


class NumberKernelLearner:
    """Rows and numbers, parts of which kernels are fitted to.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns)
        Rows as networks see them.
    y, weight : ndarray of shape (n_rows, n_tasks)
        Labels in the units of the tasks, and their weights; labels of weight zero may be NaN.
    """

    def __init__(self, rows: NDArray, y: NDArray, weight: NDArray) -> None:
        self.kernels, self.y = KernelLearner(rows, weight), np.where(weight > 0, y, 0.0)

    def fit(self, chosen: NDArray[np.bool_]) -> "NumberTrials":
        """Return kernels of the chosen rows."""
        weight, y = self.kernels.weight[chosen], self.y[chosen]
        means = (weight * y).sum(axis=0) / np.maximum(weight.sum(axis=0), np.finfo(float).tiny)
        return NumberTrials(self.kernels.fit(chosen, (y - means)[..., None]), means)


class NumberTrials(NamedTuple):
    """Kernels of each shape and penalty, to choose among for numbers."""

    neighbours: Neighbours
    """The kernels."""
    means: NDArray
    """Means of the labels, shape (n_tasks,)."""

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return what each predicts for standardised rows, shape (n_rows, n_tasks, n_kernels)."""
        sums = list(self.neighbours(kernel_inputs(model, x)))
        return torch.stack(sums, dim=-1) + torch.from_numpy(self.means)[:, None].to(x)

    def mixed(self, shares: NDArray) -> NumberKernel:
        """Return the sum of the kernels with shares of shape (n_kernels, n_tasks), without the means."""
        own = shares.reshape(len(SHAPES), len(RIDGES), -1)
        used = own.any(axis=(1, 2))
        coefficients = self.neighbours.coefficients.reshape(len(SHAPES), len(RIDGES), -1, len(self.means))
        of_shapes = np.einsum("srt,srnt->snt", own[used], coefficients[used])
        return NumberKernel(self.neighbours.with_kernels(np.array(SHAPES)[used], of_shapes), shares.sum(axis=0))


class ClassKernelLearner:
    """Rows and classes, parts of which kernels are fitted to.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns)
        Rows as networks see them.
    is_label : ndarray of shape (n_rows, n_tasks, n_classes)
        1 for the class of each label, and 0.
    weight : ndarray of shape (n_rows, n_tasks)
        Weights of the labels; zero where there is none.
    """

    def __init__(self, rows: NDArray, is_label: NDArray, weight: NDArray) -> None:
        self.kernels, self.is_label = KernelLearner(rows, weight), is_label

    def fit(self, chosen: NDArray[np.bool_], rates: NDArray) -> "ClassTrials":
        """Return the kernels of the chosen rows, given the base rates among them."""
        return ClassTrials(self.kernels.fit(chosen, self.is_label[chosen] - rates), rates)


class ClassTrials(NamedTuple):
    """Kernels of each shape and penalty, to choose among for classes."""

    neighbours: Neighbours
    """The kernels."""
    rates: NDArray
    """Base rates, shape (n_tasks, n_classes)."""

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return the probabilities by each for standardised rows, shape (n_rows, n_tasks, n_classes, n_kernels)."""
        each = self.neighbours(kernel_inputs(model, x))
        return torch.stack([class_shares(sums, self.rates) for sums in each], dim=-1)

    def mixed(self, shares: NDArray) -> ClassKernel:
        """Return the kernels that have shares of shape (n_kernels, n_tasks)."""
        used, own = shares.any(axis=1), self.neighbours
        return ClassKernel(own.with_kernels(own.shapes[used], own.coefficients[used]), self.rates, shares[used])


def class_shares(sums: Tensor, rates: NDArray) -> Tensor:
    """Return class probabilities, given how they differ from base rates, one task after the other."""
    of_classes = torch.from_numpy(rates).to(sums)
    shares, is_class = of_classes + sums.unflatten(1, rates.shape), of_classes > 0
    least = LEAST_SHARE / is_class.sum(-1, keepdim=True)
    shares = torch.where(is_class, shares.maximum(least), 0.0)
    return shares / shares.sum(-1, keepdim=True)


def run_kernel(apply: Callable[..., NDArray], kernel: Any, x: Any) -> NDArray:
    """Run a function with `neighbours` over rows, by a runner's `apply`.

    Each row has the same bits whatever rows come with it.
    """
    return run_alike(apply, kernel, x, n_draws=kernel.neighbours.n_copies)


def run_alike(apply: Callable[..., NDArray], function: Any, x: Any, n_draws: int = 1) -> NDArray:
    """Run a function over rows as `run_kernel` does; `n_draws` is by how much the cells of a row grow."""
    return apply(function, x, dtype=np.float64, n_draws=n_draws, precise=True, alike=True)


def run_trials(run: Callable[..., NDArray], trials: Any, x: Any) -> NDArray:
    """Run a function with `neighbours` over rows, once; the bits do not depend on the number of threads."""
    return run(trials, x, n_draws=trials.neighbours.n_copies, alike=True)


def kernel_inputs(model: Autoencoder, x: Tensor) -> Tensor:
    """Return standardised rows as a kernel compares them: cells filled, outliers drawn in."""
    return soften(model.fill(x))


def closeness_by(shapes: NDArray, rows: Tensor, distances: Sequence[SquaredDistances]) -> Iterator[Tensor]:
    """Yield the closeness of rows to centres by each shape; equal shapes follow one another.

    `distances` are those with all columns alike, and by their relevance.
    """
    last: list[float] = []
    apart = near = rows
    for shape in shapes.tolist():
        if shape[:1] != last[:1]:
            apart = distances[int(shape[0])](rows)
        if shape != last:
            _, power, locality = last = shape
            near = closeness(apart, locality, power)
        yield near


def choose_rows(rows: NDArray, weight: NDArray, n_most: int = MOST_ROWS) -> NDArray:
    """Return the index of rows to learn from: evenly spaced ones that have a label, with an equal share of each task.

    Parameters
    ----------
    rows : ndarray of int of shape (n_rows,)
        Index of the rows.
    weight : ndarray of shape (n_rows, n_tasks)
        Weights of their labels; zero where there is none.
    n_most : int, default=MOST_ROWS
        Maximum number of rows.
    """
    known = weight > 0
    chosen = np.unique(np.concatenate([evenly(rows[own], n_most // len(known.T)) for own in known.T]))
    others = np.setdiff1d(rows[known.any(axis=1)], chosen)
    return np.sort(np.concatenate([chosen, evenly(others, n_most - len(chosen))]))


def n_centres(weight: NDArray) -> int:
    """Return the number of rows that are centres, given the weights of labels, shape (n_rows, n_tasks)."""
    n_rows, n_systems = weight.shape[0], np.unique(weight[:, weight.any(axis=0)], axis=1).shape[1]
    if n_rows**3 * n_systems <= SIMPLER * MOST_STEPS:
        return n_rows
    return int(np.sqrt(MOST_STEPS / (n_systems * n_rows)))


def are_few(n_rows: int, n_outputs: int) -> bool:
    """Return whether there is memory for what all kernels predict for held-out rows."""
    return n_rows * n_outputs * N_KERNELS <= MOST_PREDICTED
