"""One model and its loss: the counterpart of a `Stack` for a single model."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from sklearn_mtae.nn.loss import Loss, Result, Scales
from sklearn_mtae.nn.models import Autoencoder

from .optimizer import Slices, flatten_parameters
from .rows import Batch


class Pair(nn.Module):
    """A model and its loss, as one function of their parameters and buffers.

    Parameters
    ----------
    model : Autoencoder
        The model.
    loss : Loss
        Its loss.
    """

    def __init__(self, model: Autoencoder, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def constrain(self) -> None:
        """Clamp parameters that a step of the optimiser has moved out of their range."""
        self.model.constrain()
        self.loss.constrain()

    def forward(self, batch: Batch, scales: Scales) -> Result:
        """Return the result of a batch: the loss of the model's output."""
        if self.loss.compares_views:
            batch = batch.each(lambda part: torch.cat([part, part]))
        codes = {} if batch.censoring is None else {"censoring": batch.censoring}
        output = self.model(batch.x, batch.y, batch.complete, self.loss.n_draws, **codes)
        return self.loss(self.model, output, batch.weight, batch.label_weight, scales)


class Single(Pair):
    """The only model of a training.

    Parameters
    ----------
    model : Autoencoder
        The model, compiled if requested.
    loss : Loss
        Its loss.
    decays : bool
        Whether the weights of the hidden layers decay.
    """

    is_stack: ClassVar[bool] = False

    def __init__(self, model: Autoencoder, loss: Loss, decays: bool) -> None:
        super().__init__(model, loss)
        parameters = {id(p): p for p in self.parameters() if p.requires_grad}
        hidden = {id(p) for p in model.hidden_weights()} if decays else set()
        groups = {
            "decayed": [p for key, p in parameters.items() if key in hidden],
            "free": [p for key, p in parameters.items() if key not in hidden],
        }
        self.learned = {name: flatten_parameters(group) for name, group in groups.items() if group}
        """The vectors that the optimiser moves: all learnable parameters are views of them."""
        self.slices: Slices = {name: [(0, 1, vector)] for name, vector in self.learned.items()}

    def set_gradients(self, result: Result) -> None:
        """Set the gradients to those of a result."""
        # In place: a gradient set to None would no longer be a view of the vector's.
        for vector in self.learned.values():
            assert vector.grad is not None
            vector.grad.zero_()
        self.loss.backward(result, self.model)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights that early stopping restores, including buffers, with an axis for models."""
        state = self.model.state_dict()
        return {name: value[None] for name, value in state.items() if isinstance(value, Tensor)}

    @torch.no_grad()
    def write(self, position: int, pair: Pair, instead: dict[str, Tensor]) -> None:
        """Write earlier weights, if any are given; the model already has the others."""
        state = self.model.state_dict() if instead else {}
        for name, value in instead.items():
            state[name].copy_(value[position])

    def end_epoch(self, position: int, losses: Tensor, labelled: Tensor | None) -> Tensor:
        """Let the weighting of tasks learn from an epoch; return its weights in that epoch."""
        assert self.loss.weighting is not None
        return self.loss.weighting.end_epoch(losses, labelled)  # type: ignore[arg-type]
