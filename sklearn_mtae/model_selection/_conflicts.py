"""Gradients of the tasks in the shared parameters, measured during the training of a model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Generator, Tensor, nn

from sklearn_mtae._engine.net import EpochHook, Net
from sklearn_mtae._engine.rows import Batch, Rows
from sklearn_mtae._estimators.multi_task import BaseMultiTaskVAE
from sklearn_mtae._fitting.ensemble import member_settings
from sklearn_mtae._tables.targets import target_columns
from sklearn_mtae.nn.models import MultiTaskVAE
from sklearn_mtae.nn.random import Seeded, draw_from
from sklearn_mtae.nn.weightings import task_jacobian

MIN_OVERLAP = 0.3
"""Share of the smaller task's labelled rows that two tasks must have in common for the cosine of their gradients."""
STEP = 0.1
"""Length of a step relative to Adam's first. A step as long as that overshoots: it may raise the task's own loss."""
N_EPOCHS = 10
N_ROWS = 1000


class Transfer(NamedTuple):
    """Effects of the tasks on each other through shared parameters. Each of shape (n_tasks, n_tasks)."""

    conflict: NDArray
    """Cosines between the gradients of two tasks."""
    affinity: NDArray
    """[i, j]: nats per label by which the loss of task j falls after a step along task i's gradient."""


def label_overlap(labelled: NDArray) -> NDArray:
    """Return, for each pair of tasks, the rows with labels of both over those of the task with fewer labels.

    Parameters
    ----------
    labelled : ndarray of bool of shape (n_rows, n_tasks)
        Where there are labels.
    """
    shared = labelled.T.astype(np.float64) @ labelled
    return shared / np.minimum.outer(np.diag(shared), np.diag(shared))


def measure_transfer(estimator: BaseMultiTaskVAE, X: Any, Y: Any) -> Transfer:
    """Measure how the tasks affect each other, averaged over epochs spread over one fit.

    Parameters
    ----------
    estimator : BaseMultiTaskVAE
        Estimator whose clone is fitted.
    X, Y
        Features and targets.
    """
    recipe = estimator._recipe()
    probe = Probe(recipe.of_member(member_settings(recipe, 1, len(target_columns(Y)[0]))[0]).max_iter)
    observed(estimator, probe).fit(X, Y)
    return Transfer(*map(np.mean, zip(*probe.measured, strict=True), (0, 0)))


def observed(estimator: BaseMultiTaskVAE, probe: "Probe") -> BaseMultiTaskVAE:
    """Return a clone of an estimator with a probe in its fit, after the user's own callbacks."""
    own = estimator.net_params or {}
    hook = EpochHook(lambda net: None, probe)
    return clone(estimator).set_params(net_params={**own, "callbacks": [*(own.get("callbacks") or []), hook]})


class Probe:
    """Measure at the end of some epochs, without changing the training.

    Parameters
    ----------
    max_iter : int
        Number of epochs; the first and the last are among those measured.
    """

    def __init__(self, max_iter: int) -> None:
        self.epochs = set(np.linspace(1, max_iter, N_EPOCHS).round().astype(int).tolist())
        self.measured: list[Transfer] = []
        self.batch: Batch | None = None

    def __call__(self, net: Net) -> bool:
        """Measure, if due; never ask the training to stop."""
        if len(net.history) in self.epochs:
            rows = net.members[0].train
            self.batch = self.batch or rows.read(sample_rows(rows))
            self.measured.append(Snapshot(net, self.batch).transfer(net.lr))
        return False


def sample_rows(rows: Rows, n_sampled: int = N_ROWS) -> Tensor:
    """Return the positions of some rows, among which all tasks have about as many labels as possible."""
    if len(rows) <= n_sampled:
        return torch.arange(len(rows))
    assert rows.y is not None
    order = np.random.default_rng(0).permutation(len(rows))
    labelled = ~np.isnan(rows.y[rows.index[order]])
    # A row's place in the task queue in which it comes first.
    place = np.where(labelled, labelled.cumsum(0), len(rows)).min(1)
    return torch.from_numpy(np.sort(order[np.argsort(place, kind="stable")[:n_sampled]]))


class Snapshot:
    """The losses of the tasks on a batch at one moment of the training, always with the same draws.

    Parameters
    ----------
    net : Net
        The net that is trained.
    batch : Batch
        Rows, with labels of all tasks.
    """

    def __init__(self, net: Net, batch: Batch) -> None:
        self.module: MultiTaskVAE = getattr(net.module_, "_orig_mod", net.module_)  # the module from before `compile`
        self.objective, self.n_draws = net.criterion_.objective, net.criterion_.n_draws
        self.batch = batch
        self.shared = self.module.shared_parameters()
        if not self.shared:
            raise ValueError("estimator must have learned parameters that its tasks share. Got none.")

    def transfer(self, learning_rate: float) -> Transfer:
        """Return cosines and affinities, for a tenth of Adam's first step: each value moves by the learning rate."""
        before, jacobian = self.gradients()
        lengths = jacobian.norm(dim=1, keepdim=True)
        directions = jacobian / lengths.where(lengths != 0, 1.0)
        length = STEP * learning_rate * jacobian.shape[1] ** 0.5
        after = torch.stack([self.losses_after(-length * direction) for direction in directions])
        return Transfer((directions @ directions.T).cpu().numpy(), (before - after).cpu().numpy())

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Return the losses and their gradients with respect to shared parameters, shape (n_tasks, n_values)."""
        with self._at_rest():
            losses = self._losses()
            return losses.detach(), task_jacobian(losses, self.shared)

    def losses_after(self, step: Tensor) -> Tensor:
        """Return the losses of the tasks after a step of the shared parameters, which is then undone."""
        with self._at_rest(), torch.no_grad(), moved(self.shared, step):
            return self._losses()

    def _losses(self) -> Tensor:
        """Return the loss of each task in nats per label."""
        batch = self.batch
        assert batch.y is not None
        terms = self.objective(self.module(batch.x, batch.y, batch.complete, self.n_draws))["tasks"]
        weight = (~batch.y.isnan()).to(terms)
        for given in (batch.label_weight, None if batch.weight is None else batch.weight[:, None]):
            weight = weight if given is None else weight * given
        return (terms * weight).sum(0) / weight.sum(0)

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Evaluate without dropout and corruption, with own draws, and restore everything."""
        modes = {part: part.training for part in self.module.modules()}
        source, device = self.module.generator, self.shared[0].device
        try:
            with Seeded(0):
                draw_from(self.module.eval(), Generator(device).manual_seed(0))
                yield
        finally:
            draw_from(self.module, source)  # type: ignore[arg-type]
            for part, training in modes.items():
                part.training = training


@contextmanager
def moved(parameters: Sequence[nn.Parameter], step: Tensor) -> Iterator[None]:
    """Temporarily add a vector to parameters, in place: an optimiser may hold views of them."""
    before = [parameter.detach().clone() for parameter in parameters]
    parts = step.split([parameter.numel() for parameter in parameters])
    try:
        with torch.no_grad():
            for parameter, part in zip(parameters, parts, strict=True):
                parameter += part.view_as(parameter)
        yield
    finally:
        with torch.no_grad():
            for parameter, values in zip(parameters, before, strict=True):
                parameter.copy_(values)
