"""One model and its loss, computed as they are: what a `Stack` is for several."""

import torch
from torch import Tensor, nn

from sklearn_mtae.nn.loss import Loss, Result, Scales
from sklearn_mtae.nn.models import Autoencoder

from .optimizer import Slices, flatten_parameters
from .rows import Batch


def evaluate(model: Autoencoder, loss: Loss, batch: Batch, scales: Scales) -> Result:
    """Return the result of a batch: the loss of what a model makes of it."""
    batch = batch.each(loss.views)
    output = model(batch.x, batch.y, batch.complete, loss.n_draws)
    return loss(model, output, batch.weight, batch.label_weight, scales)


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
        """Put parameters that a step of the optimiser has moved out of their range back into it."""
        self.model.constrain()
        self.loss.constrain()

    def forward(self, batch: dict[str, Tensor], complete: tuple[bool, bool], scales: Scales) -> dict[str, Tensor]:
        """Return the parts of the `Result` of a batch: its loss, the mean of each term, and what is labelled."""
        # Here, where all models go through it at once, and not after the step.
        self.constrain()
        rows = Batch(batch["x"], batch.get("y"), batch.get("weight"), batch.get("label_weight"), complete)
        result = evaluate(self.model, self.loss, rows, scales)
        labelled = {} if result.labelled is None else {"labelled": result.labelled}
        return {"loss": result.loss, **labelled, **{f"mean:{name}": mean for name, mean in result.means.items()}}


class Single:
    """The only model of a training.

    Parameters
    ----------
    model : Autoencoder
        The model, compiled where that was asked for.
    loss : Loss
        Its loss.
    decays : bool
        Whether the weights of the hidden layers are to decay.
    """

    def __init__(self, model: Autoencoder, loss: Loss, decays: bool) -> None:
        self.model = model
        self.loss = loss
        parameters = {id(p): p for module in (model, loss) for p in module.parameters() if p.requires_grad}
        hidden = {id(p) for p in model.hidden_weights()} if decays else set()
        groups = {
            "decayed": [p for key, p in parameters.items() if key in hidden],
            "free": [p for key, p in parameters.items() if key not in hidden],
        }
        self.learned = {name: flatten_parameters(group) for name, group in groups.items() if group}
        """What the optimiser moves: all learnable parameters are views of these vectors."""
        self.slices: Slices = {name: [(0, 1, vector)] for name, vector in self.learned.items()}

    def __call__(self, batch: Batch, scales: Scales) -> Result:
        """Return the result of a batch."""
        return evaluate(self.model, self.loss, batch, scales)

    def set_gradients(self, result: Result) -> None:
        """Let the gradients be those of a result."""
        # In place: a gradient set to None would no longer be a view of the vector's.
        for vector in self.learned.values():
            assert vector.grad is not None
            vector.grad.zero_()
        self.loss.backward(result, self.model)

    def constrain(self) -> None:
        """Put parameters that a step of the optimiser has moved out of their range back into it."""
        self.model.constrain()
        self.loss.constrain()

    def weights(self) -> dict[str, Tensor]:
        """Return the weights that early stopping goes back to, buffers among them, with an axis for the models."""
        state = self.model.state_dict()
        return {name: value[None] for name, value in state.items() if isinstance(value, Tensor)}

    @torch.no_grad()
    def write(self, position: int, pair: Pair, instead: dict[str, Tensor]) -> None:
        """Write earlier weights, if any are given; the others are the model's own already."""
        state = self.model.state_dict() if instead else {}
        for name, value in instead.items():
            state[name].copy_(value[position])

    def end_epoch(self, position: int, losses: Tensor, labelled: Tensor | None) -> Tensor:
        """Let the weighting of tasks learn from an epoch; return the weights that it had."""
        assert self.loss.weighting is not None
        return self.loss.weighting.end_epoch(losses, labelled)  # type: ignore[arg-type]
