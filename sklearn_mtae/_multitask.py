"""Several tasks predicted from one shared code."""
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from torch import Tensor

from ._base import Data
from ._data import Columns, describe
from ._validation import (
    Interval,
    StrOptions,
    check_features,
    check_labels,
    check_support,
    check_targets,
    check_weights,
    resolve,
    task_names,
)
from ._vae import BaseVAE
from .metrics import r2_score
from .nn.architectures import Heads
from .nn.likelihoods import LIKELIHOODS
from .nn.models import Autoencoder, MultiTaskVAE
from .nn.objectives import Loss
from .nn.posteriors import quasi_normal


class MultiTaskVAERegressor(RegressorMixin, BaseVAE):
    """Predict several targets through one shared latent space (SC-VAE)."""

    _parameter_constraints: dict = {
        **BaseVAE._parameter_constraints,
        "task_likelihoods": [StrOptions(set(LIKELIHOODS)), callable],
        "head_hidden_layer_sizes": ["array-like"],
        "reconstruction_weight": [Interval(Real, 0, None, closed="left")],
        "task_weighting": [StrOptions({"equal"}), "array-like"],
    }

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
        task_likelihoods="gaussian",
        head_hidden_layer_sizes=(16,),
        objective="elbo",
        beta=1.0,
        reconstruction_weight=1.0,
        task_weighting="equal",
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
        self.task_likelihoods = task_likelihoods
        self.head_hidden_layer_sizes = head_hidden_layer_sizes
        self.objective = objective
        self.beta = beta
        self.reconstruction_weight = reconstruction_weight
        self.task_weighting = task_weighting
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

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        return self._fit(X, y, sample_weight, partial=True)

    def predict(self, X: ArrayLike, return_std: bool = False) -> NDArray | tuple[NDArray, NDArray]:
        X = self._check_rows(X)
        mean = self._as_targets(self._apply(lambda module, x: module.predict(module.encode(module.fill(x))), X))
        if not return_std:
            return mean
        noise = quasi_normal(64, self.n_components, self._seed)
        std = self._apply(lambda module, x: module.predict_std(x, noise.to(x)), X, n_draws=len(noise))
        return mean, self._as_targets(std)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        return r2_score(y, self.predict(X), sample_weight=sample_weight)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[NDArray, NDArray]:
        X, Y = self._sample(n_samples, random_state)
        return X, self._as_targets(Y)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _as_targets(self, columns: NDArray) -> NDArray:
        """Return predictions in the shape that y had."""
        return columns[:, 0] if self._y_ndim == 1 else columns

    def _make_module(self) -> MultiTaskVAE:
        n_tasks = len(self.task_names_)
        likelihood = resolve(self.task_likelihoods, LIKELIHOODS)(n_tasks)
        widths = [self.n_components, *self.head_hidden_layer_sizes, likelihood.n_params]
        heads = Heads(n_tasks, widths, **self._layer_style())
        return MultiTaskVAE(**self._variational_parts(), heads=heads, task_likelihood=likelihood)

    def _loss_parts(self) -> dict[str, Any]:
        parts = {"reconstruction_weight": self.reconstruction_weight, "task_weights": self._task_weights()}
        return {**super()._loss_parts(), **parts}

    def _task_weights(self) -> NDArray:
        n_tasks = len(self.task_names_)
        if isinstance(self.task_weighting, str):
            return np.ones(n_tasks)
        weights = np.asarray(self.task_weighting, dtype=np.float64)
        if weights.shape != (n_tasks,) or not np.all(weights >= 0):
            raise ValueError(
                f"task_weighting must be 'equal' or {n_tasks} weights >= 0, one per task. Got {self.task_weighting!r}."
            )
        return weights

    def _check_data(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Data:
        """Check features, targets and weights."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        x = check_features(self, X, reset=reset)
        targets, names = check_targets(y, x), task_names(y)
        weight = check_weights(sample_weight, x, len(names))
        columns = describe(targets, weight)
        if reset:
            check_labels(columns, names)
            self.task_names_, self._y_ndim = names, np.ndim(y)
        elif len(names) != len(self.task_names_):
            raise ValueError(f"y must have {len(self.task_names_)} columns, one per task. Got {len(names)} instead.")
        row_weight = None if weight is None or weight.ndim == 2 else weight
        return Data(x, targets, weight, describe(x, row_weight), columns)

    def _check_values(self, module: MultiTaskVAE, data: Data) -> None:
        super()._check_values(module, data)
        option = f"task_likelihoods={self.task_likelihoods!r}"
        check_support(data.targets, module.task_likelihood, option, "y", self.task_names_)

    def _learn_units(self, module: MultiTaskVAE, data: Data) -> None:
        super()._learn_units(module, data)
        if module.task_likelihood.standardized:
            module.task_units.set(data.targets.mean, data.targets.scale)

    def _named_terms(self, terms: dict[str, Any]) -> Iterator[tuple[str, float]]:
        for name, value in terms.items():
            if name == "tasks":
                yield from ((f"task:{task}", loss) for task, loss in zip(self.task_names_, value, strict=True))
            else:
                yield name, value
