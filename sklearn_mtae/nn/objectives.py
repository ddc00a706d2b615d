"""Objectives: from a model's output to named terms, one value per row, and from the terms to one loss."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .models import Autoencoder, Output


def elbo(output: Output) -> dict[str, Tensor]:
    """Return the terms of the negative evidence lower bound in nats per row (Kingma and Welling 2014, arXiv 1312.6114).

    `ELBO(x) = E_q[log p(x given z)] - KL(q(z given x), p(z))`

    Returns
    -------
    dict of str to Tensor
        "distortion" of shape (n_rows,), minus log p(x given z); "rate" of shape (n_rows,), the divergence, where there
        is a posterior; "tasks" of shape (n_rows, n_tasks), minus log p(y given z), where there are tasks.
    """
    terms = {"distortion": -output.x_log_prob}
    if output.q is not None and output.prior is not None:
        terms["rate"] = output.prior.kl(output.q, output.z)
    if output.y_log_prob is not None:
        terms["tasks"] = -output.y_log_prob
    return terms


OBJECTIVES: dict[str, Callable[[Output], dict[str, Tensor]]] = {"elbo": elbo}


class Loss(nn.Module):
    """Weigh an objective's terms into one number.

    `loss = reconstruction_weight * distortion + beta * rate + sum_t task_weights[t] * task_t + penalty`, each term
    averaged over the rows of the batch.

    Parameters
    ----------
    objective : callable
        From an `Output` to named terms.
    beta : float or callable
        Weight of the rate, or a function of the training's progress from 0 to 1 that returns it.
    reconstruction_weight : float
        Weight of the distortion.
    task_weights : sequence of float
        Weight of each task.
    penalty : callable or None
        Penalty on the code.
    penalty_weight : float
        Its weight.
    """

    task_weights: Tensor

    def __init__(
        self,
        objective: Callable[[Output], dict[str, Tensor]],
        beta: float | Callable[[float], float] = 1.0,
        reconstruction_weight: float = 1.0,
        task_weights: Sequence[float] = (),
        penalty: Callable[..., Tensor] | None = None,
        penalty_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.objective = objective
        self.beta = beta
        self.reconstruction_weight = reconstruction_weight
        self.register_buffer("task_weights", torch.as_tensor(task_weights), persistent=False)
        self.penalty = penalty
        self.penalty_weight = penalty_weight

    def forward(
        self,
        model: Autoencoder,
        output: Output,
        weight: Tensor | None = None,
        label_weight: Tensor | None = None,
        progress: float = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch and the mean of each of its terms.

        Parameters
        ----------
        model : Autoencoder
            The model that made the output.
        output : Output
            What it made of the batch.
        weight : Tensor of shape (n_rows,) or None
            Weights of the rows, 1 on average over the training data.
        label_weight : Tensor of shape (n_rows, n_tasks) or None
            Weights of the labels alone.
        progress : float
            Part of the training that is done, from 0 to 1.
        """
        terms = self.objective(output)
        if self.penalty is not None and model.training:
            code = output.z if output.q is None else output.q.mean
            terms["penalty"] = self.penalty(model.encode, output.inputs, code, model.generator)
        if label_weight is not None:
            terms["tasks"] = terms["tasks"] * label_weight
        means = {name: self._mean(term, weight) for name, term in terms.items()}
        coefficients = {
            "distortion": self.reconstruction_weight,
            "rate": self.beta(progress) if callable(self.beta) else self.beta,
            "penalty": self.penalty_weight,
        }
        weighted = [
            means[name] @ self.task_weights
            if name == "tasks"
            else self._scale(means[name], coefficients.get(name, 1.0))
            for name in means
        ]
        return sum(weighted[1:], weighted[0]), means

    @staticmethod
    def _mean(term: Tensor, weight: Tensor | None) -> Tensor:
        """Return the weighted mean over rows."""
        if weight is None:
            return term.mean(0)
        return (term * (weight if term.dim() == 1 else weight[:, None])).mean(0)

    @staticmethod
    def _scale(mean: Tensor, coefficient: float) -> Tensor:
        # Small networks are bound by the number of kernels: a product with 1 costs as much as a layer's activation.
        return mean if coefficient == 1 else coefficient * mean
