"""The autoencoder as a transformer."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from ._base import BaseAutoencoder
from ._data import describe
from .metrics import r2_score
from .nn.models import Autoencoder


class AutoencoderTransformer(BaseAutoencoder):
    """Compress rows to a few components by a neural network that can undo it."""

    def __init__(
        self,
        n_components=16,
        *,
        hidden_layer_sizes=(128,),
        activation="relu",
        dropout=0.0,
        layer_norm=False,
        architecture="mlp",
        likelihood="squared_error",
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

    def fit(self, X, y=None, sample_weight=None) -> Self:
        return self._fit(X, y, sample_weight)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean R2 of the reconstruction over the columns that vary, missing cells left out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y : None
            Ignored.

        Returns
        -------
        float
            Score; 1 is perfect, 0 as good as each column's mean.
        """
        X = self._check_rows(X)
        scores = r2_score(X, self.predict(X), multioutput="raw_values")
        columns = describe(X)
        varying = columns.max > columns.min
        return float(np.mean(scores[varying])) if varying.any() else float(np.nanmean(scores))

    def _make_module(self) -> Autoencoder:
        likelihood = self._make_likelihood()
        encoder, decoder = self._make_coders(1, likelihood.n_params)
        return Autoencoder(encoder, decoder, likelihood, self._make_corruption())
