"""The loss: an objective's named terms, weighted and summed into one number."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .models import Autoencoder, MultiTaskVAE, Output
from .objectives import Objective
from .traits import declared
from .weightings import Weighting
from .words import ask, check_shape, listed, short


class Scales(NamedTuple):
    """Weights of the terms at one moment of the training: numbers, or one value per model of a stack."""

    distortion: float | Tensor
    rate: float | Tensor
    penalty: float | Tensor


class Result(NamedTuple):
    """The loss of a batch and its terms."""

    loss: Tensor
    """The number that is minimised."""
    means: dict[str, Tensor]
    """Mean of each term over the rows, before its weight; "tasks", of shape (n_tasks,), over the labels of each."""
    labelled: Tensor | None = None
    """Weight of each task's labels in the batch, 1 on average over batches; None unless the weighting is adaptive."""


class Loss(nn.Module):
    """Weight and sum an objective's terms.

    `loss = reconstruction_weight * distortion + beta * rate + weighting(tasks) + penalty + similarity + consistency`,
    where each term is averaged over the rows of the batch, and a task's over the average number of rows with its label.

    Parameters
    ----------
    objective : callable
        From an `Output` to named terms. It may declare `rates`, the names of the terms that `beta` weights, and
        `weights`, further factors of terms. A term with another name has the weight of the distortion.
    beta : float or callable
        Weight of the rate, or a function of the training's progress from 0 to 1 that returns it.
    reconstruction_weight : float
        Weight of the distortion.
    penalty : callable or None
        Penalty on the code.
    penalty_weight : float
        Its weight.
    weighting : Weighting or None
        From the losses of the tasks to one loss.
    similarity : Tensor of shape (n_tasks, n_tasks) or None
        Weights of the squared distance between the heads of two tasks: how alike they should be.
    label_share : Tensor of shape (n_tasks,) or None
        Share of the training rows that have a label of each task; None is all of them.
    free_bits : float
        Nats below which the rate of a component, averaged over the batch, is not penalised.
    consistency : float
        Weight of the disagreement between two predictions of a row. Above 0, each batch must hold every row twice
        during training: see `compares_views`.
    """

    similarity: Tensor | None
    per_label: Tensor | None

    def __init__(
        self,
        objective: Objective,
        beta: float | Callable[[float], float] = 1.0,
        reconstruction_weight: float = 1.0,
        penalty: Callable[..., Tensor] | None = None,
        penalty_weight: float = 0.0,
        weighting: Weighting | None = None,
        similarity: Tensor | None = None,
        label_share: Tensor | None = None,
        free_bits: float = 0.0,
        consistency: float = 0.0,
    ) -> None:
        super().__init__()
        self.objective = objective
        self.n_draws: int = declared(objective, "n_draws")
        self.rates: Sequence[str] = declared(objective, "rates")
        self.own_weights: Mapping[str, float] = declared(objective, "weights")
        self.free_bits = free_bits
        self.consistency = consistency
        self.beta = beta
        self.reconstruction_weight = reconstruction_weight
        self.penalty = penalty
        self.penalty_weight = penalty_weight
        self.weighting = weighting
        self.register_buffer("similarity", similarity, persistent=False)
        per_label = None
        if label_share is not None and (label_share != 1).any():
            # A task without labels has no loss, whatever its factor.
            per_label = torch.where(label_share > 0, 1 / label_share, 0.0)
        self.register_buffer("per_label", per_label, persistent=False)

    def forward(
        self,
        model: Autoencoder,
        output: Output,
        weight: Tensor | None = None,
        label_weight: Tensor | None = None,
        scales: Scales | None = None,
    ) -> Result:
        """Return the loss of a batch and the mean of each of its terms.

        Parameters
        ----------
        model : Autoencoder
            The model that the output comes from.
        output : Output
            Its output for the batch.
        weight : Tensor of shape (n_rows,) or None
            Weights of the rows, 1 on average over the training data.
        label_weight : Tensor of shape (n_rows, n_tasks) or None
            Weights of single labels, in addition to those of the rows.
        scales : Scales or None
            Weights of the terms; None is their weights at the end of the training.
        """
        terms = check_terms(ask(self.objective, "objective", output), output)
        if self.penalty is not None and model.training:
            code = output.z if output.q is None else output.q.mean
            penalty = ask(self.penalty, "penalty", model.encode, output.inputs, code, model.generator)
            terms["penalty"] = check_shape(penalty, code.shape[:1], "penalty", "a value for each row")
        if label_weight is not None:
            terms["tasks"] = terms["tasks"] * label_weight
        means = {name: self._mean(term, weight) for name, term in terms.items()}
        if self.per_label is not None:
            means["tasks"] = means["tasks"] * self.per_label
        if self.compares_views:
            means["consistency"] = self._mean(disagreement(model, output), weight)  # type: ignore[arg-type]
        if self.similarity is not None:
            means["similarity"] = head_distance(model.heads.own(), self.similarity)  # type: ignore[union-attr]
        adaptive = self.weighting is not None and self.weighting.adaptive
        labelled = self._labelled(output, weight, label_weight) if adaptive else None
        minimised = means
        if self.free_bits:
            minimised = {**means, "rate": self._rate_above(self.free_bits, output, weight)}
        return Result(self._weigh(minimised, labelled, scales or self.scales()), means, labelled)

    @property
    def compares_views(self) -> bool:
        """Whether a step should see each row of a batch twice, half a batch apart, to compare the two."""
        return self.training and self.consistency > 0

    def scales(self, progress: float = 1.0) -> Scales:
        """Return the weights of the terms at a progress of the training between 0 and 1."""
        beta = check_weight(ask(self.beta, "beta", progress), progress) if callable(self.beta) else self.beta
        return Scales(self.reconstruction_weight, beta, self.penalty_weight)

    def _weigh(self, terms: Mapping[str, Tensor], labelled: Tensor | None, scales: Scales) -> Tensor:
        """Return the weighted sum of the terms."""
        own = {"penalty": scales.penalty, "similarity": 1.0, "consistency": self.consistency}
        scale_of = {**own, **dict.fromkeys(self.rates, scales.rate)}
        weighted = []
        for name, mean in terms.items():
            if name == "tasks":
                weighted.append(self.weighting(mean, labelled))  # type: ignore[misc]
                continue
            scale = scale_of.get(name, scales.distortion) * self.own_weights.get(name, 1.0)
            # The speed of small networks depends on the number of kernels: a product with 1 costs as much as an
            # activation.
            weighted.append(mean if not isinstance(scale, Tensor) and scale == 1 else scale * mean)
        return sum(weighted[1:], weighted[0])

    def _rate_above(self, floor: float, output: Output, weight: Tensor | None) -> Tensor:
        """Return the rate, in which each component counts at least `floor` nats."""
        assert output.q is not None
        assert output.prior is not None
        rates = output.prior.kl_components(output.q, output.z)
        # A prior that has only the joint rate of all components has one floor for all of them.
        n_each = output.z.shape[-1] // rates.shape[-1]
        return self._mean(rates, weight).clamp(min=min(float(floor) * n_each, torch.finfo(rates.dtype).max)).sum()

    def backward(self, result: Result, model: Autoencoder) -> None:
        """Accumulate the gradients of a training step."""
        check_gradient(result)
        if self.weighting is None:
            result.loss.backward()
        else:
            self.weighting.backward(result.loss, result.means["tasks"], result.labelled, model)  # type: ignore[arg-type]

    def constrain(self) -> None:
        """Clamp parameters that a step of the optimiser has moved out of their range."""
        if self.weighting is not None:
            self.weighting.constrain()

    def _labelled(self, output: Output, weight: Tensor | None, label_weight: Tensor | None) -> Tensor:
        """Return the weight of each task's labels in the batch."""
        assert output.y_log_prob is not None
        # All draws of a row have the same label.
        every = output.y_log_prob.new_ones(output.y_log_prob.shape[-2:])
        present = every if output.labelled is None else output.labelled.to(output.z)
        labelled = self._mean(present if label_weight is None else present * label_weight, weight)
        return labelled if self.per_label is None else labelled * self.per_label

    @staticmethod
    def _mean(term: Tensor, weight: Tensor | None) -> Tensor:
        """Return the weighted mean over rows."""
        if weight is None:
            return term.mean(0)
        return (term * (weight if term.dim() == 1 else weight[:, None])).mean(0)


def check_terms(terms: Any, output: Output | None) -> dict[str, Tensor]:
    """Return an objective's terms; raise an error unless they are a dict of terms with a value for each row."""
    if not isinstance(terms, dict) or not terms:
        raise TypeError(f"objective must return a dict of named terms, one value per row. Got {short(terms)} instead.")
    if output is None:
        return terms
    of_tasks = output.y_log_prob
    if of_tasks is not None and "tasks" not in terms:
        raise ValueError(
            "objective must return the term 'tasks', of shape (n_rows, n_tasks), where a model has tasks. Got "
            f"only {listed(terms)}."
        )
    n_rows = output.inputs.shape[:1]
    shapes = {} if of_tasks is None else {"tasks": (*n_rows, of_tasks.shape[-1])}
    for name, term in terms.items():
        check_shape(term, shapes.get(name, n_rows), f"objective[{name!r}]", "a value for each row")
    return terms


def check_gradient(result: Result) -> None:
    """Raise an error if a loss does not depend on what the model computes."""
    if not result.loss.requires_grad:
        raise ValueError(
            "objective must return terms that depend on the model's output, to learn from. Got "
            f"{listed(result.means)}, none of which has a gradient."
        )


def check_weight(weight: Any, progress: float) -> float | Tensor:
    """Return the weight that `beta` gives; raise an error unless it is a finite number >= 0."""
    number = float(weight) if isinstance(weight, Real) else None
    if number is not None and isfinite(number) and number >= 0:
        return number
    if number is None and getattr(weight, "shape", None) == ():
        return weight  # type: ignore[return-value]  # a tensor, whose value stays on its device
    error = TypeError if number is None else ValueError
    raise error(f"beta must return a finite weight >= 0. Got {short(weight)} for a progress of {progress:g} instead.")


def disagreement(model: MultiTaskVAE, output: Output) -> Tensor:
    """Return the disagreement between the two predictions of each row, summed over tasks (Laine and Aila 2017).

    The Pi-model, arXiv 1610.02242: the prediction for a row must not depend on the draws of corruption, dropout and
    code, whether its label is known or not.

    Returns
    -------
    Tensor of shape (2 * n_rows,)
        The same for a row and its copy, which are half a batch apart.
    """
    assert output.y_params is not None
    first, second = output.y_params.chunk(2, dim=-2)
    apart = model.task_likelihood.disagreement(first, second).sum(-1)
    return apart.view(-1, apart.shape[-1]).mean(0).repeat(2)


def head_distance(parameters: Sequence[Tensor], similarity: Tensor) -> Tensor:
    """Return half the squared distances between the heads of related tasks (Evgeniou et al. 2005).

    `sum_(s < t) similarity_st * ||head_s - head_t||^2 / 2 = tr(H' L H) / 2`, where L is the Laplacian of the graph.

    Parameters
    ----------
    parameters : sequence of Tensor
        Parameters of the heads, the tasks along the first axis.
    similarity : Tensor of shape (n_tasks, n_tasks)
        Symmetric weights >= 0.
    """
    heads = torch.cat([parameter.flatten(1) for parameter in parameters], dim=1)
    laplacian = similarity.sum(0).diag() - similarity
    return 0.5 * (heads * (laplacian @ heads)).sum()
