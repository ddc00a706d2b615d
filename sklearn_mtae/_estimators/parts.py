"""What an estimator is made of: its parameters, and the parts of a model that they stand for."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from sklearn_mtae._engine.optimizer import State
from sklearn_mtae._engine.state import Cache
from sklearn_mtae._fitting.data import Data
from sklearn_mtae._fitting.net_params import check_net_params
from sklearn_mtae._fitting.parameters import copied
from sklearn_mtae._tables.checks import Interval, StrOptions, check_parameters, check_sizes
from sklearn_mtae._tables.column_likelihoods import make_likelihood
from sklearn_mtae._tables.frame import Table
from sklearn_mtae._tables.limits import Limits
from sklearn_mtae.nn.architectures import ACTIVATIONS, ARCHITECTURES, IMAGE_ARCHITECTURES, own_dropout
from sklearn_mtae.nn.corruptions import CORRUPTIONS
from sklearn_mtae.nn.factories import function_of, make_coders
from sklearn_mtae.nn.likelihoods import LIKELIHOODS, Likelihood
from sklearn_mtae.nn.loss import Loss
from sklearn_mtae.nn.models import Autoencoder
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.penalties import PENALTIES
from sklearn_mtae.nn.random import seeded

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}
"""Precision of weights, losses and the optimiser, by `dtype`."""
PRODUCTS = {"bfloat16": torch.bfloat16}
"""Precision of the products within networks while training, where it is another."""


class Composed(BaseEstimator):
    """An estimator whose model is composed of parts, each of them a parameter."""

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "layer_norm": ["boolean"],
        "architecture": [StrOptions(set(ARCHITECTURES)), callable],
        "image_shape": [tuple, list, None],
        "likelihood": [StrOptions(set(LIKELIHOODS)), callable, dict, list, tuple],
        "max_categories": [Interval(Integral, 2, None, closed="left"), None],
        "handle_unknown": [StrOptions({"missing", "error"})],
        "scaling": [StrOptions({"auto", "standard", "bounded"})],
        "corruption": [StrOptions(set(CORRUPTIONS)), callable, None],
        "penalty": [StrOptions(set(PENALTIES)), callable, None],
        "penalty_weight": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "dtype": [StrOptions(set(DTYPES))],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "checkpoint": [str, PathLike, None],
        "net_params": [dict, None],
    }

    n_components: int
    hidden_layer_sizes: Sequence[int]
    activation: str
    dropout: float
    layer_norm: bool
    architecture: str | Callable[..., tuple[nn.Module, nn.Module]]
    image_shape: tuple[int, ...] | None
    likelihood: str | Callable[[int], Likelihood] | Mapping[Any, Any] | Sequence[Any]
    max_categories: int | None
    handle_unknown: str
    scaling: str
    corruption: str | Callable[..., Tensor] | None
    penalty: str | Callable[..., Tensor] | None
    penalty_weight: float
    alpha: float
    batch_size: int | str | None
    learning_rate_init: float
    max_iter: int
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    warm_start: bool
    dtype: str
    device: str
    random_state: int | np.random.RandomState | None
    verbose: bool | int
    checkpoint: str | PathLike | None
    net_params: dict[str, Any] | None

    # What the torch module is built from: kept as it was at `fit`, whatever `set_params` changes later.
    _blueprint_names: tuple[str, ...] = (
        "n_components",
        "hidden_layer_sizes",
        "activation",
        "dropout",
        "layer_norm",
        "architecture",
        "image_shape",
        "likelihood",
        "max_categories",
        "dtype",
    )

    n_features_in_: int
    _table: Table | None
    n_iter_: int
    loss_curve_: list[float]
    validation_scores_: list[float]
    term_curves_: dict[str, list[float]]
    _seed: int
    _states: list[dict[str, NDArray]]
    _optimizer_states: list[State]
    _loss_states: list[dict[str, NDArray]]
    _code_variance: NDArray | None
    _blueprint: dict[str, Any]
    _settings: list[dict[str, Any]]
    _cache: Cache

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted copy: as scikit-learn's, but columns that share a factory of likelihoods still do."""
        again = super().__sklearn_clone__()
        if isinstance(self.likelihood, list | tuple):
            again.likelihood = copied(self.likelihood)
        return again

    def _validate_params(self) -> None:
        """Check the parameters by their constraints."""
        check_parameters(self)
        check_net_params(self.net_params or {}, type(self).__name__)

    @abstractmethod
    def _make_module(self) -> Autoencoder:
        """Compose the model from the parameters."""

    def _empty_module(self, blueprint: dict[str, Any], seed: int = 0) -> Autoencoder:
        """Return a model with initial weights, torch's global random state left as it was."""
        with seeded(seed):
            return self._with(blueprint)._make_module()

    def _with(self, parameters: dict[str, Any]) -> Self:
        """Return a shallow copy with other parameters."""
        other = copy(self)
        other.__dict__.update(parameters)
        return other

    def _make_loss(self, module: Autoencoder, state: dict[str, NDArray], data: Data | None = None) -> Loss:
        """Compose the loss, what it has learned put back; it starts anew where its parts are others."""
        share = None if data is None else data.label_share
        label_share = None if share is None else torch.from_numpy(share)
        loss = Loss(**self._loss_parts(module), label_share=label_share).to(DTYPES[self.dtype])
        shapes = {name: value.shape for name, value in loss.state_dict().items()}
        if shapes == {name: value.shape for name, value in state.items()}:
            loss.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
        return loss

    def _loss_parts(self, module: Autoencoder) -> dict[str, Any]:
        """Return the parts of the loss."""
        penalty = None if self.penalty is None else function_of(self.penalty, PENALTIES, "penalty")
        return {"objective": OBJECTIVES["elbo"], "penalty": penalty, "penalty_weight": self.penalty_weight}

    def _make_corruption(self) -> Callable[..., Tensor] | None:
        return None if self.corruption is None else function_of(self.corruption, CORRUPTIONS, "corruption")

    @property
    def _names_in(self) -> Sequence:
        """Names of the features, or their positions."""
        return list(getattr(self, "feature_names_in_", range(self.n_features_in_)))

    @property
    def _n_columns(self) -> int:
        """Columns of X as the model sees them, categories expanded."""
        return self.n_features_in_ if self._table is None else self._table.n_columns

    @property
    def _expanded_names(self) -> Sequence:
        """Names of the columns as the model sees them."""
        return self._names_in if self._table is None else self._table.names

    def _make_likelihood(self) -> Likelihood:
        return make_likelihood(self.likelihood, self._names_in, self._table)

    def _limits_of(self, likelihood: Likelihood) -> Limits:
        """Return between what numbers the columns must lie."""
        return Limits.of(likelihood, self._table.indicators if self._table is not None else None)

    def _make_coders(
        self, code_params: int, output_params: int, n_inputs: int | None = None
    ) -> tuple[nn.Module, nn.Module]:
        """Return encoder and decoder for so many parameters per component and per column.

        `n_inputs` is the width of the encoder's input, where it is not one input for each column.
        """
        widths = {
            "n_features": n_inputs or self._n_columns,
            "n_code": code_params * self.n_components,
            "n_components": self.n_components,
            "n_outputs": output_params * self._n_columns,
        }
        if isinstance(self.architecture, str):
            encoder, decoder = self._named_architecture(self.architecture)(**widths)
        else:
            encoder, decoder = make_coders(self.architecture, **widths)
        return own_dropout(encoder), own_dropout(decoder)

    def _named_architecture(self, name: str) -> Callable[..., tuple[nn.Module, nn.Module]]:
        """Return the factory of a name, given the parameters that shape its layers."""
        factory = ARCHITECTURES[name]
        sizes = check_sizes(self.hidden_layer_sizes, "hidden_layer_sizes")
        shape = {} if self.image_shape is None else {"image_shape": check_sizes(self.image_shape, "image_shape")}
        if shape and name not in IMAGE_ARCHITECTURES:
            raise ValueError(f"image_shape needs an architecture out of {IMAGE_ARCHITECTURES}. Got {name!r} instead.")
        return partial(factory, hidden_layer_sizes=sizes, **shape, **self._layer_style())

    def _layer_style(self) -> dict[str, Any]:
        return {"activation": self.activation, "dropout": self.dropout, "layer_norm": self.layer_norm}
