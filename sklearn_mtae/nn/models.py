"""The three models: an encoder, a decoder and the meaning of the code between them.

All of them work on standardised values, NaN where a cell is missing; `Standardizer` converts to and from the data's own
units.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor, distributions, nn

from .likelihoods import Categorical, Likelihood, Mixed
from .posteriors import NormalPosterior, Posterior
from .priors import Density, Prior
from .sharing import Heads
from .standardizer import Standardizer
from .words import ask, check_shape


class Output(NamedTuple):
    """A model's output for a batch: everything that an objective or a penalty needs."""

    inputs: Tensor
    """The encoder's input, shape (n_rows, n_features): corrupted and filled."""
    z: Tensor
    """Codes, shape (n_rows, n_components), drawn from `q` if there is one. Several draws lie along a first axis, here
    and in everything computed from it."""
    x_log_prob: Tensor
    """log p(x given z) over the observed cells, shape (n_rows,)."""
    q: Posterior | None = None
    """Posterior q(z given x)."""
    prior: Density | None = None
    """Prior p(z)."""
    y_log_prob: Tensor | None = None
    """log p(y_t given z) of each task, shape (n_rows, n_tasks); zero without a label."""
    y_params: Tensor | None = None
    """Parameters of every task's distribution, shape (n_rows, n_tasks * n_params)."""
    labelled: Tensor | None = None
    """Whether each label is present, shape (n_rows, n_tasks); None where all are known to be."""
    generator: Generator | None = None
    """Source of further draws."""


class Autoencoder(nn.Module):
    """Encoder, decoder and the likelihood of the columns, given the code.

    Parameters
    ----------
    encoder, decoder : Module
        From columns to the code (or the posterior's parameters), and from the code to the likelihood's parameters.
    likelihood : Likelihood
        Distribution of the columns.
    corruption : callable or None, default=None
        Applied to the encoder's input while training.
    """

    generator: Generator | None = None
    """Source of all draws of a training step; None is torch's own."""
    products: torch.dtype | None = None
    """Precision of the products within networks while training; None is that of their weights."""

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        corruption: Callable[..., Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.corruption = corruption
        self.units = Standardizer(likelihood.n_columns)

    def fill(self, x: Tensor, complete: bool = False) -> Tensor:
        """Return the encoder's input: a missing cell becomes 0, its column's location."""
        x = self.likelihood.as_input(x)
        if self.training and self.corruption is not None:
            corrupted = ask(self.corruption, "corruption", x, self.generator)
            corrupted = check_shape(corrupted, x.shape, "corruption", "the changed rows")
            x, complete = corrupted.to(x.dtype), False
        # Infinities stay: a number in their place would be made up.
        return x if complete else x.nan_to_num(0.0, float("inf"), -float("inf"))

    def run(self, network: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Return a network's output in the precision of its first input, whatever that of the products within it.

        Densities, divergences and their sums thus never have less precision than the weights.
        """
        if self.products is None or not self.training:
            return network(*inputs)
        with torch.autocast(inputs[0].device.type, self.products, cache_enabled=False):
            return network(*inputs).to(inputs[0].dtype)

    @property
    def width(self) -> int:
        """Outputs of the widest layer."""
        return max((parameter.shape[0] for parameter in self.parameters() if parameter.dim()), default=1)

    def encode(self, x: Tensor) -> Tensor:
        """Return the code of each row, shape (n_rows, n_components)."""
        return self.run(self.encoder, x)

    def decode(self, z: Tensor) -> Tensor:
        """Return the likelihood's parameters at each code."""
        return self.run(self.decoder, z)

    def log_likelihood(self, z: Tensor, x: Tensor, complete: bool = False) -> Tensor:
        """Return log p(x given z) over the observed cells of each row, shape (..., n_rows)."""
        return self.likelihood.log_prob(self.decode(z), x, complete).sum(-1)

    def forward(
        self, x: Tensor, y: Tensor | None = None, complete: tuple[bool, bool] = (False, False), n_draws: int = 1
    ) -> Output:
        """Return codes and log-likelihoods of a batch of shape (n_rows, n_features).

        `complete` promises that no cell of `x` or `y` is missing; `n_draws` is the number of codes drawn per row, in a
        model that draws them.
        """
        inputs = self.fill(x, complete[0])
        z = self.encode(inputs)
        return Output(inputs, z, self.log_likelihood(z, x, complete[0]))

    def log_jacobian(self, x: Tensor) -> Tensor:
        """Return what turns a log-density of standardised rows into one in the data's own units, shape (n_rows,)."""
        return self.units.log_jacobian(x, self.likelihood.is_atom(x))

    def constrain(self) -> None:
        """Clamp parameters that a step of the optimiser has moved out of their range."""
        self.likelihood.constrain()

    def hidden_weights(self) -> list[nn.Parameter]:
        """Return the weights that decay: each network's matrices except the last; a linear model has none."""
        named = (network.named_parameters() for network in self.networks())
        # The biases of several heads form a matrix too.
        weights = [[p for name, p in own if p.dim() > 1 and not name.endswith("bias")] for own in named]
        return [p for network in weights for p in network[:-1]]

    def networks(self) -> list[nn.Module]:
        """Return the networks that the model is made of."""
        return [self.encoder, self.decoder]

    def task_outputs(self, z: Tensor) -> Tensor:
        """Predict each task at each code, shape (n_rows, n_tasks, n_outputs); this model has no tasks."""
        return z.new_zeros(len(z), 0, 1)

    def reconstruct(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """Return the likelihood's mean at each code, in the data's own units and float64."""
        return self.units.inverse(self.expect(z, x))

    def expect(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """Return the likelihood's mean at each code, standardised as the columns are."""
        return self.columns(z, x).mean

    def columns(self, z: Tensor, x: Tensor | None = None) -> distributions.Distribution:
        """Return the distributions of the columns at each code; with `x`, of its missing cells given the others."""
        return self.decoded_columns(self.decode(z), x)

    def decoded_columns(self, params: Tensor, x: Tensor | None = None) -> distributions.Distribution:
        """Return the distributions of the columns by their parameters; `x` is as for `columns`."""
        return self.likelihood.distribution(params if x is None else self.likelihood.given(params, x))


class VAE(Autoencoder):
    """An autoencoder whose code is a distribution.

    Parameters
    ----------
    encoder, decoder, likelihood, corruption
        As for `Autoencoder`.
    posterior : NormalPosterior
        Turns the encoder's output into q(z given x).
    prior : Prior
        p(z).
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        posterior: NormalPosterior,
        prior: Prior,
        corruption: Callable[..., Tensor] | None = None,
    ) -> None:
        super().__init__(encoder, decoder, likelihood, corruption)
        self.posterior = posterior
        self.prior = prior

    def infer(self, x: Tensor) -> Posterior:
        """Return q(z given x) for filled rows."""
        return self.posterior(self.run(self.encoder, x))

    def encode(self, x: Tensor) -> Tensor:
        """Return the posterior mean of each row."""
        return self.infer(x).mean

    def forward(
        self, x: Tensor, y: Tensor | None = None, complete: tuple[bool, bool] = (False, False), n_draws: int = 1
    ) -> Output:
        """Return posteriors, draws of each and their log-likelihoods."""
        inputs = self.fill(x, complete[0])
        q = self.infer(inputs)
        z = q.rsample(self.posterior.noise(q, self.generator, n_draws))
        log_prob, prior = self.log_likelihood(z, x, complete[0]), self.prior.given(self.infer)
        return Output(inputs, z, log_prob, q, prior, generator=self.generator)

    def sample(self, n_samples: int) -> tuple[Tensor, ...]:
        """Draw codes from the prior and columns given the codes, in the data's own units."""
        return self.generate(self.prior.given(self.infer).sample(n_samples))

    def generate(self, z: Tensor, x: Tensor | None = None) -> tuple[Tensor, ...]:
        """Draw columns given the codes, in the data's own units; `x` is as for `columns`."""
        return (self.likelihood.as_seen(self.units.inverse(self.columns(z, x).sample())),)


class MultiTaskVAE(VAE):
    """A VAE with a decoder for each task on the shared code.

    Parameters
    ----------
    encoder, decoder, likelihood, posterior, prior, corruption
        As for `VAE`.
    heads : Heads
        From codes to the parameters of every task.
    task_likelihood : Likelihood
        Distribution of the targets, one column per task.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        posterior: NormalPosterior,
        prior: Prior,
        heads: Heads,
        task_likelihood: Likelihood,
        corruption: Callable[..., Tensor] | None = None,
    ) -> None:
        super().__init__(encoder, decoder, likelihood, posterior, prior, corruption)
        self.heads = heads
        self.n_shared = prior.n_components - heads.n_extra
        self.task_likelihood = task_likelihood
        self.task_units = Standardizer(task_likelihood.n_columns)

    def constrain(self) -> None:
        """Clamp parameters that a step of the optimiser has moved out of their range."""
        super().constrain()
        self.task_likelihood.constrain()

    def networks(self) -> list[nn.Module]:
        """Return the networks that the model is made of."""
        return [*super().networks(), *self.heads.networks()]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the learned parameters that several tasks depend on: the encoder's, and those that heads share."""
        shared = [*self.encoder.parameters(), *self.posterior.parameters(), *self.heads.common()]
        return [parameter for parameter in shared if parameter.requires_grad]

    def infer(self, x: Tensor) -> Posterior:
        """Return q(z given x) for filled rows, with the components that heads add to the encoder's."""
        return self.posterior(self.run(self.heads.extend, self.run(self.encoder, x), x))

    def decode(self, z: Tensor) -> Tensor:
        """Return the likelihood's parameters at each code, from the components that all tasks share."""
        return super().decode(z[..., : self.n_shared] if self.heads.n_extra else z)

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        y: Tensor,
        complete: tuple[bool, bool] = (False, False),
        n_draws: int = 1,
        censoring: Tensor | None = None,
    ) -> Output:
        """Return the VAE's output, with the log-likelihood of each task's labels at the same draws.

        `censoring`, of the shape of `y`, is -1 or 1 where a label is a limit that the true value is below or above.
        """
        output = super().forward(x, y, complete, n_draws)
        params = self.run(self.heads, output.z)
        codes = {} if censoring is None else {"censoring": censoring}
        log_prob = self.task_likelihood.log_prob(params, y, complete[1], **codes)
        return output._replace(y_log_prob=log_prob, y_params=params, labelled=None if complete[1] else ~y.isnan())

    def generate(self, z: Tensor, x: Tensor | None = None) -> tuple[Tensor, ...]:
        """Draw columns and targets given the codes, in the data's own units."""
        targets = self.task_units.inverse(self.targets(z).sample())
        return *super().generate(z, x), self.task_likelihood.as_seen(targets)

    def targets(self, z: Tensor) -> distributions.Distribution:
        """Return the distributions of the standardised targets at each code.

        They are in float64 whatever the model's precision: a large mean has no digits to spare, and its square must not
        overflow.
        """
        return self.task_likelihood.distribution(self.heads(z).to(self.task_units.location.dtype))

    def predict(self, z: Tensor) -> Tensor:
        """Return the mean of each task at each code, shape (..., n_rows, n_tasks), in the targets' own units."""
        return self.task_units.inverse(self.targets(z).mean)

    def task_outputs(self, z: Tensor) -> Tensor:
        """Predict each task at each code: its mean, or its class probabilities, shape (n_rows, n_tasks, n_outputs).

        If a task has fewer outputs than others, the last ones are zero.
        """
        if isinstance(self.task_likelihood, Categorical):
            return self.predict_log_proba(z).exp()
        means = self.task_likelihood.distribution(self.heads(z)).mean.unsqueeze(-1)
        of_classes = self.task_likelihood.of_classes if isinstance(self.task_likelihood, Mixed) else [False]
        if not any(of_classes):
            return means
        is_class = torch.tensor(of_classes, device=z.device)[:, None]
        # A task of numbers has one class, whose probability of 1 leaves its mean.
        return self.predict_log_proba(z).exp() * torch.where(is_class, 1.0, means)

    def predict_log_proba(self, z: Tensor) -> Tensor:
        """Return the log-probability of each class of each task, shape (..., n_rows, n_tasks, n_classes)."""
        return self.task_likelihood.logits(self.heads(z)).log_softmax(-1)  # type: ignore[operator]

    def predict_std(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return the predictive standard deviation of each task, shape (n_rows, n_tasks), in the targets' own units.

        By the law of total variance over the posterior: the mean of the noise's variance plus the variance of the mean.
        """
        targets = self.targets(self.infer(self.fill(x)).rsample(noise))
        variance = targets.variance.mean(0) + targets.mean.var(0, correction=0)
        return self.task_units.rescale(variance.sqrt())
