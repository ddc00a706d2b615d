"""The variational autoencoder as a transformer."""
from numbers import Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ._base import BaseAutoencoder
from ._state import seeded
from ._validation import Interval, StrOptions, resolve
from .nn.models import VAE
from .nn.objectives import OBJECTIVES
from .nn.posteriors import POSTERIORS, quasi_normal
from .nn.priors import PRIORS
from .nn.schedules import SCHEDULES


class BaseVAE(BaseAutoencoder):
    """What the variational estimators share: the code is a distribution."""

    _parameter_constraints: dict = {
        **BaseAutoencoder._parameter_constraints,
        "posterior": [StrOptions(set(POSTERIORS)), callable],
        "prior": [StrOptions(set(PRIORS)), callable],
        "objective": [StrOptions(set(OBJECTIVES)), callable],
        "beta": [Interval(Real, 0, None, closed="left"), StrOptions(set(SCHEDULES)), callable],
    }

    def transform(self, X: ArrayLike, return_std: bool = False) -> NDArray | tuple[NDArray, NDArray]:
        """Encode rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        return_std : bool, default=False
            Whether to return the posteriors' standard deviations too.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_components)
            Posterior means.
        std : ndarray of shape (n_samples, n_components)
            Posterior standard deviations, with `return_std`.
        """
        mean = super().transform(X)
        if not return_std:
            return mean
        return mean, self._apply(lambda module, x: module.infer(module.fill(x)).stddev, self._check_rows(X))

    def score_samples(self, X: ArrayLike, n_importance_samples: int = 100) -> NDArray:
        """Return log p(x) of each row in nats, in X's own units, over its observed cells.

        Importance sampling (Burda et al. 2016, arXiv 1509.00519): `log mean_k p(x, z_k) / q(z_k given x)`, z_k drawn from
        q(z given x); a lower bound that rises with the number of draws to log p(x). The draws are the same
        quasi-random points for each row, so that a row's score does not depend on the rows beside it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        n_importance_samples : int, default=100
            Draws per row.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log-densities.
        """
        X = self._check_rows(X)
        noise = quasi_normal(n_importance_samples, self.n_components, self._seed)

        def log_density(module: VAE, x: Tensor) -> Tensor:
            return module.log_marginal(x, noise.to(x)) + module.units.log_jacobian(x)

        return self._apply(log_density, X, n_draws=n_importance_samples)

    def _loss_parts(self) -> dict[str, Any]:
        beta = SCHEDULES[self.beta] if isinstance(self.beta, str) else self.beta
        return {**super()._loss_parts(), "objective": resolve(self.objective, OBJECTIVES), "beta": beta}

    def _variational_parts(self) -> dict[str, Any]:
        """Return the parts of a variational model."""
        likelihood = self._make_likelihood()
        posterior = resolve(self.posterior, POSTERIORS)()
        encoder, decoder = self._make_coders(posterior.n_params, likelihood.n_params)
        prior = resolve(self.prior, PRIORS)(self.n_components)
        return {
            "encoder": encoder,
            "decoder": decoder,
            "likelihood": likelihood,
            "posterior": posterior,
            "prior": prior,
            "corruption": self._make_corruption(),
        }

    def _sample(self, n_samples: int, random_state: Any) -> list[NDArray]:
        """Draw rows on the CPU, from one seed whatever the device."""
        check_is_fitted(self)
        seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
        module = self._fitted_module(getattr(torch, self.dtype), torch.device("cpu"))
        with torch.inference_mode(), seeded(seed):
            return [part.numpy() for part in module.sample(n_samples)]


class VAETransformer(BaseVAE):
    """Describe rows by a distribution over a few components, and draw new rows from it."""

    def __init__(
        self,
        n_components=16,
        *,
        hidden_layer_sizes=(128,),
        activation="relu",
        dropout=0.0,
        layer_norm=False,
        architecture="mlp",
        likelihood="gaussian",
        posterior="normal",
        prior="normal",
        objective="elbo",
        beta=1.0,
        corruption=None,
        penalty=None,
        penalty_weight=1e-3,
        alpha=0.0,
        batch_size="auto",
        learning_rate_init=1e-3,
        max_iter=200,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        warm_start=False,
        dtype="float32",
        device="auto",
        random_state=None,
        verbose=False,
        net_params=None,
    ):
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.layer_norm = layer_norm
        self.architecture = architecture
        self.likelihood = likelihood
        self.posterior = posterior
        self.prior = prior
        self.objective = objective
        self.beta = beta
        self.corruption = corruption
        self.penalty = penalty
        self.penalty_weight = penalty_weight
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.dtype = dtype
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.net_params = net_params

    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        return self._fit(X, y, sample_weight)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> NDArray:
        return self._sample(n_samples, random_state)[0]

    def _make_module(self) -> VAE:
        return VAE(**self._variational_parts())
