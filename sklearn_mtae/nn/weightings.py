"""Task weightings: from the losses of the tasks to one loss, or to the gradients of the shared parameters.

A weighting is made from the number of tasks and the likelihood of the targets. Most are one small class each; those
that combine gradients come from torchjd and share a class.
"""

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from math import log
from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from .likelihoods import Likelihood
from .models import MultiTaskVAE
from .quiet import quiet
from .random import Seeded

LEAST_SIZE = 1e-8
"""Smallest value of a loss, where it must be positive."""


class Weighting(nn.Module):
    """Equal weights for all tasks.

    `loss = sum_t loss_t`, where `loss_t` is the mean over the labels of task t.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    likelihood : Likelihood
        Distribution of the targets.
    """

    # Declarations: see `nn.traits`.
    adaptive: ClassVar[bool] = False
    looks_back: ClassVar[bool] = False
    stackable: ClassVar[bool] = True
    recordable: ClassVar[bool] = True

    def __init__(self, n_tasks: int, likelihood: Likelihood) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        peaks = torch.full((n_tasks,), float("nan"))
        for family, columns in likelihood.parts():
            peaks[columns] = float("nan") if family.peak is None else family.peak
        self.register_buffer("peaks", peaks, persistent=False)
        self.register_buffer("weights", torch.ones(n_tasks), persistent=self.adaptive)

    peaks: Tensor
    weights: Tensor

    def forward(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return one loss.

        Parameters
        ----------
        losses : Tensor of shape (n_tasks,)
            Loss of each task, in nats per label, for the average number of labels in a batch of this size.
        labelled : Tensor of shape (n_tasks,)
            Weight of the task's labels in the batch relative to the average; only adaptive weightings get it.
        """
        return losses @ self.weights

    def backward(self, loss: Tensor, losses: Tensor, labelled: Tensor, model: MultiTaskVAE) -> None:
        """Accumulate the gradients of a training step."""
        loss.backward()

    def constrain(self) -> None:
        """Clamp parameters that a step of the optimiser has moved out of their range."""

    def after_step(self, before: Tensor, after: Tensor, labelled: Tensor) -> None:
        """Learn from a batch's losses before and after a step."""

    def end_epoch(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Learn from the mean losses of an epoch; return the weights used in it, shape (n_tasks,)."""
        return self.weights.clone()

    def log_sizes(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return the log of each task's loss per label as a positive number, NaN without a label.

        For a bounded density, the positive number is the distance from the bound. A density that learns its own scale
        has no bound: there it is `exp(2 * loss)`, which for a normal distribution is the variance up to a constant.
        """
        per_label = losses / labelled
        return torch.where(self.peaks.isnan(), 2 * per_label, (per_label + self.peaks).clamp_min(LEAST_SIZE).log())


class Fixed(Weighting):
    """Given weights.

    `loss = sum_t weight_t * loss_t`

    Parameters
    ----------
    n_tasks, likelihood
        As for `Weighting`.
    weights : array-like of shape (n_tasks,)
        Weight of each task.
    """

    def __init__(self, n_tasks: int, likelihood: Likelihood, *, weights: ArrayLike) -> None:
        super().__init__(n_tasks, likelihood)
        self.weights = torch.as_tensor(weights, dtype=self.weights.dtype)


class Uncertainty(Weighting):
    """Weights learned as the precision of each task's labels (Kendall et al. 2018, arXiv 1705.07115).

    `loss = sum_t exp(-s_t) * excess_t + s_t / 2`, where the excess is the loss minus the least value that it can take,
    and the second term counts once per label. At its optimum `exp(s_t)` is twice the excess per label; for a squared
    error, its mean. The density of a likelihood that learns its own scale already contains this; such a task is left
    unchanged, and its weight is that of the density.
    """

    adaptive = True
    gain: ClassVar[float] = 10.0
    floor: ClassVar[float] = log(1e-4)

    def __init__(self, n_tasks: int, likelihood: Likelihood) -> None:
        super().__init__(n_tasks, likelihood)
        self.raw_log_variance = nn.Parameter(torch.zeros(n_tasks))
        self.precision = likelihood.precision

    def forward(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return one loss."""
        if not self.training:
            return losses.sum()
        bounded = ~self.peaks.isnan()
        s = self.gain * self.raw_log_variance
        excess = losses + self.peaks.nan_to_num() * labelled
        return torch.where(bounded, (-s).exp() * excess + s / 2 * labelled, losses).sum()

    @torch.no_grad()
    def constrain(self) -> None:
        """Keep each variance at its floor or above."""
        self.raw_log_variance.copy_(self.raw_log_variance.clamp(min=self.floor / self.gain))

    def end_epoch(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return the precision of each task."""
        s = self.gain * self.raw_log_variance.detach()
        self.weights = torch.where(self.peaks.isnan(), self.precision().to(s), (-s).exp())
        return self.weights.clone()


class DynamicAverage(Weighting):
    """Weights that follow how slowly each task's loss falls (Liu et al. 2019, DWA, arXiv 1803.10704).

    `weight_t = n_tasks * softmax_t(r_t / temperature)`, where `r_t` is the loss of the last epoch over that of the one
    before it.

    Parameters
    ----------
    n_tasks, likelihood
        As for `Weighting`.
    temperature : float, default=2.0
        The higher it is, the more alike are the weights.
    """

    adaptive = True
    last: Tensor

    def __init__(self, n_tasks: int, likelihood: Likelihood, *, temperature: float = 2.0) -> None:
        super().__init__(n_tasks, likelihood)
        self.temperature = temperature
        self.register_buffer("last", torch.full((n_tasks,), float("nan")))

    def forward(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return one loss."""
        return losses @ self.weights if self.training else losses.sum()

    def end_epoch(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Set the weights of the next epoch; return those of this one."""
        used = self.weights
        now = self.log_sizes(losses, labelled)
        ratio = (now - self.last).exp().nan_to_num(1.0).clamp_max(10.0)
        self.weights = self.n_tasks * (ratio / self.temperature).softmax(0)
        self.last = torch.where(now.isnan(), self.last, now)
        return used


class FastAdaptive(Weighting):
    """Weights that make all losses fall at about the same speed (Liu et al. 2023, FAMO, arXiv 2306.03792).

    The loss is `sum_t z_t log(loss_t)`, `z = softmax(w)`, of losses as positive numbers (see `log_sizes`), scaled
    so that the weights of the losses average 1; after a step, `w` moves to give more weight to tasks whose log loss
    has fallen less. A task without a label in the batch, or at its least possible loss, takes no part in a step.

    Parameters
    ----------
    n_tasks, likelihood
        As for `Weighting`.
    learning_rate : float, default=0.025
        Step size of the weights.
    decay : float, default=0.001
        Their weight decay.
    """

    adaptive = True
    stackable = False
    looks_back = True
    recordable = False
    logits: Tensor

    def __init__(
        self, n_tasks: int, likelihood: Likelihood, *, learning_rate: float = 0.025, decay: float = 1e-3
    ) -> None:
        super().__init__(n_tasks, likelihood)
        self.learning_rate = learning_rate
        self.decay = decay
        self.register_buffer("logits", torch.zeros(n_tasks))
        self.optimizer: torch.optim.Optimizer | None = None

    def shares(self, logits: Tensor, present: Tensor) -> Tensor:
        """Return the softmax over the tasks that take part."""
        return logits.masked_fill(~present, -float("inf")).softmax(0)

    def takes_part(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return a mask of tasks with a label and a loss that can fall: that of a task with one class never can."""
        at_bound = ~self.peaks.isnan() & (losses + self.peaks * labelled <= LEAST_SIZE * labelled)
        return (labelled > 0) & ~at_bound

    def forward(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return one loss."""
        present = self.takes_part(losses, labelled)
        if not self.training or not present.any():
            return losses.sum()
        with torch.no_grad():
            # Derivative of the log of a loss per label with respect to the loss.
            slope = torch.where(self.peaks.isnan(), 2.0, (-self.log_sizes(losses, labelled)).exp()) / labelled
            relative = torch.where(present, self.shares(self.logits, present) * slope, 0.0)
            weights = present.sum() * relative / relative.sum()
            self.weights = torch.where(present, weights, self.weights)
        return losses @ torch.where(present, weights, 0.0)

    def after_step(self, before: Tensor, after: Tensor, labelled: Tensor) -> None:
        """Move weight away from the tasks whose losses have fallen most."""
        present = self.takes_part(before, labelled)
        if not present.any():
            return
        if self.optimizer is None:
            self.optimizer = torch.optim.Adam([self.logits], lr=self.learning_rate, weight_decay=self.decay)
        gained = (self.log_sizes(before, labelled) - self.log_sizes(after, labelled)).nan_to_num(0.0)
        with torch.enable_grad():
            logits = self.logits.clone().requires_grad_()
            (self.logits.grad,) = torch.autograd.grad(self.shares(logits, present), logits, gained)
        self.optimizer.step()


class Aggregation(Weighting):
    """Combine the gradients of the tasks with respect to what they share, by an aggregator of torchjd.

    All other gradients stay unchanged: those of rate and distortion, and those of each task's own parameters. A task
    without labels in a batch has no gradient there and takes no part in the combination.

    Parameters
    ----------
    n_tasks, likelihood
        As for `Weighting`.
    aggregator : callable
        Takes the number of tasks, returns a `torchjd.aggregation.Aggregator`.
    averages : bool, default=False
        Whether the aggregator averages rather than adds. Its result is then multiplied by the number of tasks with a
        label in the batch; otherwise rate and distortion would outweigh the tasks the more of them there are.
    """

    adaptive = True
    stackable = False
    recordable = False

    def __init__(
        self, n_tasks: int, likelihood: Likelihood, *, aggregator: Callable[[int], nn.Module], averages: bool = False
    ) -> None:
        super().__init__(n_tasks, likelihood)
        self.averages = averages
        self.make = aggregator
        # One for each number of tasks in a batch, as some depend on it. The first is made now, to fail early.
        self.aggregators = {n_tasks: aggregator(n_tasks)}
        self.used: list[Tensor] = []

    def forward(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return the sum of the losses, whose gradients `backward` corrects."""
        return losses.sum()

    def backward(self, loss: Tensor, losses: Tensor, labelled: Tensor, model: MultiTaskVAE) -> None:
        """Accumulate the gradients of the loss, with those of the shared parameters combined."""
        shared = model.shared_parameters()
        jacobian = task_jacobian(losses, shared)
        loss.backward()
        rows = ((labelled > 0) & jacobian.any(1)).nonzero()[:, 0]
        if len(rows) > 1 and jacobian.square().sum().isfinite():  # aggregators multiply gradients with each other
            seed = int(torch.randint(2**31, (), generator=model.generator, device=jacobian.device))
            with Seeded(seed):
                combined = self._combine(jacobian[rows], rows)
            add_to_gradients(shared, combined - jacobian.sum(0))

    def _combine(self, jacobian: Tensor, rows: Tensor) -> Tensor:
        """Return the aggregated gradient, and keep the weights if the aggregator has any."""
        if len(rows) not in self.aggregators:
            self.aggregators[len(rows)] = self.make(len(rows))
        aggregator = self.aggregators[len(rows)].to(jacobian.device)
        scale = len(rows) if self.averages else 1
        # Nash-MTL solves a small problem at each step, for which an approximate solution is good enough, and divides by
        # weights that may tend to zero.
        notes = "You are solving a parameterized problem that is not DPP", "Solution may be inaccurate"
        with quiet(*notes, "divide by zero"):
            if not weighs(aggregator):
                return scale * aggregator(jacobian)
            weights = scale * aggregator.weighting(jacobian).to(jacobian)  # type: ignore[operator]
        self.used.append(torch.full_like(self.weights, float("nan")).index_put((rows,), weights.to(self.weights)))
        return weights @ jacobian

    def end_epoch(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return the mean weights of the epoch's steps; NaN if the aggregator has none."""
        mean = torch.stack(self.used).nanmean(0) if self.used else torch.full_like(self.weights, float("nan"))
        self.used = []
        return mean


def task_jacobian(losses: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the gradient of each task's loss with respect to all parameters, shape (n_tasks, n_values)."""
    directions = torch.eye(len(losses), dtype=losses.dtype, device=losses.device)
    options: dict[str, Any] = {"retain_graph": True, "materialize_grads": True}
    gradients = torch.autograd.grad(losses, parameters, directions, is_grads_batched=True, **options)
    return torch.cat([gradient.flatten(1) for gradient in gradients], dim=1)


def add_to_gradients(parameters: Sequence[nn.Parameter], vector: Tensor) -> None:
    """Add a vector's parts to the gradients of the parameters, in place."""
    for parameter, part in zip(parameters, vector.split([p.numel() for p in parameters]), strict=True):
        assert parameter.grad is not None
        parameter.grad += part.view_as(parameter)


def torchjd_aggregation() -> Any:
    """Return torchjd's module of aggregators.

    Raises
    ------
    ImportError
        If torchjd is not installed.
    """
    try:
        return importlib.import_module("torchjd.aggregation")
    except ImportError as error:
        raise ImportError(
            "This task_weighting combines gradients with torchjd, which is not installed. "
            "Install it with: pip install 'sklearn-mtae[mtl]'"
        ) from error


def weighs(aggregator: nn.Module) -> bool:
    """Return whether an aggregator is a weighted sum of the tasks' gradients."""
    return isinstance(aggregator, torchjd_aggregation().WeightedAggregator)


def aggregation(
    name: str, sized: str | None = None, averages: bool = False, **settings: Any
) -> Callable[..., Aggregation]:
    """Return the factory of a weighting with one of torchjd's aggregators.

    Parameters
    ----------
    name : str
        Name of the class.
    sized : str or None, default=None
        Name of its parameter for the number of tasks, if it has one.
    averages : bool, default=False
        As for `Aggregation`.
    **settings
        Its other parameters.
    """

    def make(n_tasks: int) -> nn.Module:
        size = {} if sized is None else {sized: n_tasks}
        return getattr(torchjd_aggregation(), name)(**size, **settings)

    return partial(Aggregation, aggregator=make, averages=averages)


WEIGHTINGS: dict[str, Callable[..., Weighting]] = {
    "equal": Weighting,
    "uncertainty": Uncertainty,
    "dwa": DynamicAverage,
    "famo": FastAdaptive,
    "pcgrad": aggregation("PCGrad"),
    "upgrad": aggregation("UPGrad", averages=True),
    "cagrad": aggregation("CAGrad", averages=True, c=0.5),
    "nash_mtl": aggregation("NashMTL", sized="n_tasks"),
    "imtl_g": aggregation("IMTLG", averages=True),
    "mgda": aggregation("MGDA", averages=True),
    "aligned_mtl": aggregation("AlignedMTL", averages=True),
    "dual_proj": aggregation("DualProj", averages=True),
    "config": aggregation("ConFIG"),
    "grad_drop": aggregation("GradDrop"),
}
