"""One model to train, with everything that its training needs."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae.nn.loss import Loss
from sklearn_mtae.nn.models import Autoencoder
from sklearn_mtae.nn.traits import declared

from .captured_step import parts_of
from .contents import computation, digest, named_tensors, tensor_bytes
from .optimizer import State
from .rows import Rows
from .single import Pair
from .state import dump

OUTCOME = ("history", "kept", "error", "finished", "interrupted", "optimizer_state", "pause")
"""Attributes of a member, beside its modules, that training in a stack changes."""
SCALED = ("beta", "reconstruction_weight", "penalty_weight")
"""Attributes of a loss that a stack keeps separately for each model."""
DRAWING = ("generator",)
"""Attributes of a model's modules that training sets."""


@dataclass
class Pause:
    """The state of a training to be continued: with the optimiser's state, all that its next step depends on.

    Parameters
    ----------
    weights : dict
        State of the model and its loss, which themselves may meanwhile be back at their best.
    order, noise : Tensor
        States of the sources of the rows' order and of the draws.
    best_loss, misses : float, int
        The best held-out loss so far, and the number of epochs in a row without an improvement on it.
    best_weights : dict of str to Tensor
        The weights at the best held-out loss, if there are held-out rows.
    """

    weights: dict[str, Any]
    order: Tensor
    noise: Tensor
    best_loss: float
    misses: int
    best_weights: dict[str, Tensor]


@dataclass
class Member:
    """One model to train, with everything that its training needs.

    Parameters
    ----------
    model : Autoencoder
        The model, which is trained in place.
    loss : Loss
        Its loss.
    train, valid : Rows
        The rows to train on and those held out, if any.
    batch_size : int
        Maximum number of rows per batch.
    n_epochs : int
        Maximum number of epochs.
    seeds : tuple of int
        Seeds of the order of the rows, of the training draws and of the validation draws.
    learning_rate, alpha : float
        Step size of the optimiser and weight decay of the hidden layers.
    annealing : float
        Fraction of the step size that is lost by the end: it falls by the same amount in each epoch.
    patience, tol : int, float
        Number of epochs without an improvement of the held-out loss by `tol` after which the training stops.
    scheduled : bool
        Whether schedules run over this fit; otherwise, they stay at their final values.
    optimizer_state : State
        The initial state of the optimiser, or nothing; afterwards, its final state.
    held_out : ndarray of int
        Index of the rows that the model is not trained on.
    keep_at : sequence of int
        Epochs after which the state of the model is kept.
    name : str
        Name among the members of its fit, if there are several.
    pause_at : int or None
        Epoch after which the training pauses, to be evaluated and continued.
    """

    model: Autoencoder
    loss: Loss
    train: Rows
    valid: Rows | None
    batch_size: int
    n_epochs: int
    seeds: tuple[int, int, int]
    learning_rate: float
    alpha: float
    patience: int
    tol: float
    annealing: float = 0.0
    scheduled: bool = True
    optimizer_state: State = field(default_factory=dict)
    held_out: NDArray = field(default_factory=lambda: np.empty(0, dtype=int))
    keep_at: Sequence[int] = ()
    name: str = ""
    pause_at: int | None = None

    def __post_init__(self) -> None:
        self.pair = Pair(self.model, self.loss)
        self.history: list[dict[str, Any]] = []
        """A row for each epoch run: "train_loss", "train_terms", "valid_loss", "task_weights"."""
        self.kept: dict[int, dict[str, NDArray]] = {}
        """The model's states after the epochs of `keep_at`."""
        self.error: Exception | None = None
        """The error that ended the training early, if any."""
        self.finished = False
        """Whether the model has been trained to the end, or until it was interrupted."""
        self.interrupted = False
        """Whether the user interrupted its training."""
        self.pause: Pause | None = None
        """State of its training while it pauses."""

    @property
    def rates(self) -> tuple[float, float, float]:
        """Learning rate, weight decay, and the fraction of the learning rate that is lost in each epoch."""
        return self.learning_rate, self.alpha, self.annealing / self.n_epochs

    @property
    def n_batches(self) -> int:
        """Steps per epoch."""
        return -(-len(self.train) // self.batch_size)

    @property
    def has_come_to_rest(self) -> bool:
        """Whether the training has ended or should pause."""
        return self.finished or (self.pause is not None and len(self.history) == self.pause_at)

    def resume(self) -> None:
        """Restore the state from before the training paused."""
        if self.pause is not None:
            self.pair.load_state_dict(self.pause.weights)

    def outcome(self) -> dict[str, Any]:
        """Return the result of its training; before that, its starting point."""
        return {name: getattr(self, name) for name in OUTCOME} | {"weights": self.pair.state_dict()}

    def snapshot(self) -> dict[str, Any]:
        """Return its starting point: training changes the weights in place, and replaces everything else."""
        before = {name: copy(value) for name, value in self.outcome().items()}
        return {**before, "weights": {name: value.clone() for name, value in before["weights"].items()}}

    def adopt(self, outcome: dict[str, Any]) -> None:
        """Take over the result of a copy's training, or return to the state before its own."""
        self.pair.load_state_dict(outcome["weights"])
        for name in OUTCOME:
            setattr(self, name, outcome[name])

    def save_state(self) -> None:
        """Keep the state of the model after this epoch."""
        self.pair.constrain()
        self.kept[len(self.history)] = dump(self.model)

    def drop_unvalidated(self) -> None:
        """Forget the last epoch if it was trained but not validated."""
        if self.history and self.valid is not None and "valid_loss" not in self.history[-1]:
            del self.history[-1]

    def check_weights(self) -> None:
        """Record an error if the last step, which no loss follows, has led to weights that are not finite."""
        if self.error is None and not all(bool(weights.isfinite().all()) for weights in self.model.parameters()):
            self.error = ValueError(
                f"The weights must stay finite. After epoch {len(self.history)} they are not. Lower learning_rate_init "
                f"(now {self.learning_rate:g}) or alpha (now {self.alpha:g}), or look for extreme values in the data."
            )

    def obstacle(self) -> str | None:
        """Return the reason why it cannot be trained in a stack, or None."""
        parts = [self.model, self.loss.objective, *self.loss.modules(), *self.model.modules()]
        refusing = [part for part in parts if not declared(part, "stackable")]
        if refusing:
            return f"{type(refusing[0]).__name__} does not stack"
        if self.train.streamed:
            return "the rows lie in a file too large to be read in any order"
        hooked = [part for part in self.pair.modules() if part._backward_hooks or part._backward_pre_hooks]
        hooked += [value for _, value in named_tensors(self.pair) if value._backward_hooks]  # type: ignore[attr-defined]
        if hooked:
            return f"{type(hooked[0]).__name__} has hooks on its gradients, which do not stack"
        running = [part for part in self.model.modules() if getattr(part, "running_mean", None) is not None]
        if running:
            return f"{type(running[0]).__name__} keeps running statistics, which do not stack; use LayerNorm"
        return None

    def kind(self) -> tuple:
        """Return a key that is equal for members that can be one stack."""
        rows = [rows for rows in (self.train, self.valid) if rows is not None]
        data = tuple(
            (r.x.shape[1], r.complete, r.y is None or r.y.shape[1], *(own is None for own in r.optional)) for r in rows
        )
        # Parts that compare the rows of a batch need batches without padding.
        compares = any(declared(part, "compares_rows") for part in parts_of([self.model, self.loss]))
        sizes = [len(r) for r in rows] if compares else ()
        apart = {"loss": SCALED, **{f"model.{name}".rstrip("."): DRAWING for name, _ in self.model.named_modules()}}
        batches = (self.train.dtype, self.train.device, self.n_batches, self.batch_size)
        return (computation(self.pair, apart), data, *batches, *sizes)

    @cached_property
    def rank(self) -> tuple:
        """A key that sorts members of one kind into the same order, whatever order they come in.

        It is fixed by the first call: a training that continues after a pause keeps the order.
        """
        numbers = self.rates, self.n_epochs, self.patience, self.tol, self.seeds
        scales = tuple(self.loss.scales(progress) for progress in (0.0, 0.5, 1.0))
        return *numbers, scales, b"".join(digest(tensor_bytes(value)) for _, value in named_tensors(self.pair))

    def n_cells(self) -> int:
        """Return the cells of its widest layer, or of its rows, over a batch."""
        layers = [parameter.shape[:-1].numel() for parameter in self.model.parameters() if parameter.dim() > 1]
        return max(self.train.x.shape[1], *layers) * min(self.batch_size, len(self.train))

    def n_bytes(self) -> int:
        """Return the approximate memory of its training: parameters, optimiser state and activations."""
        parameters = list(self.model.parameters())
        width = sum(p.shape[0] for p in parameters if p.dim()) + 2 * self.train.x.shape[1]
        cells = 6 * sum(p.numel() for p in parameters) + 4 * width * min(self.batch_size, len(self.train))
        resident = len(self.train) * self.train.x.shape[1] if self.train.stays else 0
        return parameters[0].element_size() * (cells + resident)


def name_of(members: Sequence[Member], number: int) -> str:
    """Name the part of a fit that some members are: the stack of that number, if there are several."""
    return members[0].name if len(members) == 1 else f"stack {number} of {len(members)} members"
