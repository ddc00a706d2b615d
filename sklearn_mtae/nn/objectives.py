"""Objectives: from a model's output to named terms, one value per row.

An objective is a function of the output, or a callable object that declares what it needs (see `nn.traits`), such as
the number of draws of the code and the weights of its own terms.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log
from typing import ClassVar

from torch import Tensor

from .models import Output
from .posteriors import Posterior
from .priors import Density

Terms = dict[str, Tensor]
Objective = Callable[[Output], Terms]


def elbo(output: Output) -> Terms:
    """Return the terms of the negative evidence lower bound in nats per row (Kingma and Welling 2014, arXiv 1312.6114).

    `ELBO(x) = E_q[log p(x given z)] - KL(q(z given x), p(z))`

    Returns
    -------
    dict of str to Tensor
        "distortion" of shape (n_rows,), minus log p(x given z); "rate" of shape (n_rows,), the divergence, if there is
        a posterior; "tasks" of shape (n_rows, n_tasks), minus log p(y given z), where there are tasks.
    """
    terms = {"distortion": -output.x_log_prob}
    if output.q is not None and output.prior is not None:
        terms["rate"] = output.prior.kl(output.q, output.z)
    if output.y_log_prob is not None:
        terms["tasks"] = -output.y_log_prob
    return terms


@dataclass(frozen=True)
class IWAE:
    """The importance-weighted bound (Burda et al. 2016, arXiv 1509.00519).

    `log p(x) >= E[log mean_k w_k]`, `w_k = p(x, z_k) / q(z_k given x)`: it rises with the number of draws. Term by
    term,

    `-log mean_k w_k = sum_k v_k (distortion_k + rate_k) + KL(v, uniform)`, where `v_k = w_k / sum_j w_j`,

    of which the last, "concentration", has no gradient of its own. The encoder's gradient is the doubly reparameterised
    one (Tucker et al. 2019, arXiv 1810.04152), which does not drown in noise as draws are added. A posterior whose
    parameters cannot be held fixed uses the plain gradient. If there are tasks, their labels count as part of x.

    Parameters
    ----------
    n_draws : int, default=5
        Draws per row and step.
    """

    n_draws: int = 5
    has_divergence: ClassVar[bool] = False
    stackable: ClassVar[bool] = False  # a hook on a gradient is not called within `vmap`

    def __post_init__(self) -> None:
        if self.n_draws < 1 or self.n_draws != int(self.n_draws):
            raise ValueError(f"n_draws must be a whole number >= 1. Got {self.n_draws!r} instead.")

    def __call__(self, output: Output) -> Terms:
        """Return the terms of minus the bound, each of shape (n_rows,), and those of the tasks."""
        q, prior = _distributions(output)
        # A single draw has no axis of its own.
        z, log_prob = (part if self.n_draws > 1 else part[None] for part in (output.z, output.x_log_prob))
        fixed = q.fixed
        rate = (q if fixed is None else fixed).log_prob(z) - prior.log_prob(z)
        task_log_prob = None
        log_weight = (log_prob - rate).detach()
        if output.y_log_prob is not None:
            task_log_prob = output.y_log_prob if self.n_draws > 1 else output.y_log_prob[None]
            log_weight = log_weight + task_log_prob.detach().sum(-1)
        weight = log_weight.softmax(0)
        if fixed is not None and output.z.requires_grad:
            # The gradient along each draw's path is weighted once more.
            path = weight if self.n_draws > 1 else weight[0]
            output.z.register_hook(lambda gradient: gradient * path.unsqueeze(-1))
        concentration = (weight * log_weight.log_softmax(0)).sum(0) + log(len(z))
        terms = {
            "distortion": -(weight * log_prob).sum(0),
            "rate": (weight * rate).sum(0),
            "concentration": concentration,
        }
        if task_log_prob is not None:
            terms["tasks"] = -(weight.unsqueeze(-1) * task_log_prob).sum(0)
        return terms


@dataclass(frozen=True)
class BetaTC:
    """The evidence lower bound with its rate split in three (Chen et al. 2018, arXiv 1802.04942).

    `rate = mutual information of x and z + total correlation of z's components + sum_j KL(q(z_j), p(z_j))`

    The total correlation counts `weight` times as much as the others, which makes the components more independent;
    `beta` weights all three. The density q(z) of all codes is estimated by the mixture of the batch's own posteriors.
    The estimate in the article adds a constant that depends on the number of rows; the gradient is the same.

    Parameters
    ----------
    weight : float, default=6.0
        Weight of the total correlation.
    """

    weight: float = 6.0
    rates: ClassVar[tuple[str, ...]] = ("mutual_information", "total_correlation", "component_rate")
    has_divergence: ClassVar[bool] = False
    compares_rows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_weight(self.weight)

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights of the terms."""
        return {"total_correlation": self.weight}

    def __call__(self, output: Output) -> Terms:
        """Return the terms of minus the bound, each of shape (n_rows,), and those of the tasks."""
        (q, prior), z = _distributions(output), output.z
        terms = elbo(output._replace(q=None))
        # From here on, codes lie along the first axis and posteriors along the second.
        pairs = q.log_prob_components(z.unsqueeze(1))
        log_mixture = pairs.sum(-1).logsumexp(1) - log(len(z))
        log_marginals = (pairs.logsumexp(1) - log(len(z))).sum(-1)
        terms["mutual_information"] = q.log_prob(z) - log_mixture
        terms["total_correlation"] = log_mixture - log_marginals
        terms["component_rate"] = log_marginals - prior.log_prob(z)
        return terms


@dataclass(frozen=True)
class MMD:
    """The evidence lower bound and the distance of all codes from the prior (Zhao et al. 2019, arXiv 1706.02262).

    `loss = distortion + beta * rate + weight * MMD^2(q(z), p(z))`

    This is the InfoVAE, in whose notation `beta = 1 - alpha` and `weight = alpha + lambda - 1`. With `beta=0` only the
    distance of all codes together from the prior is left, and each code may carry as much information on its row as it
    can. MMD is the maximum mean discrepancy (Gretton et al. 2012) between the batch's codes and as many draws from the
    prior, with the kernel `exp(-|a - b|^2 / (2 * n_components))`.

    Parameters
    ----------
    weight : float, default=10.0
        Weight of the squared discrepancy, which lies between 0 and 2. It is estimated from a batch: with much larger
        weights its noise dominates the gradient, and all codes collapse into one.
    """

    weight: float = 10.0
    compares_rows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_weight(self.weight)

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights of the terms."""
        return {"mmd": self.weight}

    def __call__(self, output: Output) -> Terms:
        """Return the terms, each of shape (n_rows,), and those of the tasks."""
        drawn = _distributions(output)[1].sample(len(output.z), output.generator)
        within, between = (_kernel(output.z, other).mean(1) for other in (output.z, drawn))
        # The prior's own part is spread evenly, so that the mean over the rows is the discrepancy.
        return {**elbo(output), "mmd": within - 2 * between + _kernel(drawn, drawn).mean()}


def _check_weight(weight: float) -> None:
    """Raise an error if a weight is negative."""
    if not weight >= 0:
        raise ValueError(f"weight must be >= 0. Got {weight!r} instead.")


def _distributions(output: Output) -> tuple[Posterior, Density]:
    """Return the posterior and the prior of a variational model's output."""
    if output.q is None or output.prior is None:
        raise ValueError("The objective needs a model with a posterior and a prior.")
    return output.q, output.prior


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Return the kernel of all pairs, shape (n_a, n_b)."""
    # Not `cdist`, whose gradient is infinite at a distance of zero.
    squared = (a.unsqueeze(1) - b).square().sum(-1)
    return (-squared / (2 * a.shape[-1])).exp()


OBJECTIVES: dict[str, Objective] = {"elbo": elbo, "iwae": IWAE(), "beta_tc": BetaTC(), "mmd": MMD()}
