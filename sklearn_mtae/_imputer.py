"""Missing cells filled by a variational autoencoder."""

import warnings
from math import ceil
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.impute import MissingIndicator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from ._table import is_frame
from ._tasks import is_missing
from ._vae import VAETransformer
from ._validation import Interval, check_parameters, feature_names
from .nn.objectives import IWAE

N_STEPS, BATCH_SIZE = 4000, 64
DEFAULTS = {
    "n_components": 10,
    "hidden_layer_sizes": (128, 128),
    "activation": "tanh",
    "dropout": 0.1,
    "alpha": 0.1,
    "scaling": "standard",
    "objective": IWAE(20),
    "batch_size": BATCH_SIZE,
}
"""The model of an imputer that is given none. Many weighted draws matter most: of half a row the posterior is wide."""


class VAEImputer(TransformerMixin, BaseEstimator):
    """Fill missing cells by what a variational autoencoder makes of the observed ones.

    The autoencoder learns from the observed cells of all rows, whichever they are (MIWAE, Mattei and Frellsen 2019,
    arXiv 1812.02633), and a missing cell becomes its mean given the observed cells of its row, by importance sampling:
    `sum_k v_k E[x given z_k]`. It stands where `sklearn.impute.IterativeImputer` stands.

    Parameters
    ----------
    estimator : VAETransformer or None, default=None
        The model, cloned before it is fitted. None is one of 10 components and two hidden layers of 128 units, trained
        by 20 weighted draws (IWAE) for 4,000 steps of 64 rows, but no more than 1,000 epochs.
    n_importance_samples : int, default=300
        Codes per row that are drawn and weighed.
    add_indicator : bool, default=False
        Whether to append a column of indicators, 1 where a cell was missing, for each column that had missing cells in
        `fit`.
    keep_empty_features : bool, default=False
        Whether columns without an observed value in `fit` are kept, filled with 0, or left out.
    random_state : int, RandomState instance or None, default=None
        Seed of the model where `estimator` is None.

    Attributes
    ----------
    estimator_ : VAETransformer
        The fitted model; `estimator_.impute(X, n_draws=5)` makes several tables of draws.
    indicator_ : sklearn.impute.MissingIndicator or None
        The indicator, with `add_indicator`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had names.

    See Also
    --------
    VAETransformer.impute : The same of a model that you have fitted, and draws instead of means.
    sklearn.impute.IterativeImputer : Each column regressed on the others in turn.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mtae import VAEImputer, VAETransformer
    >>> X, _ = load_iris(return_X_y=True)
    >>> gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    >>> imputer = VAEImputer(VAETransformer(2, hidden_layer_sizes=(64,), max_iter=100, random_state=0))
    >>> filled = imputer.fit_transform(gaps)
    >>> bool(np.abs(filled - X)[np.isnan(gaps)].mean() < 0.5)
    True
    """

    _parameter_constraints: dict = {
        "estimator": [VAETransformer, None],
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "random_state": ["random_state"],
    }

    estimator_: VAETransformer
    indicator_: MissingIndicator | None

    def __init__(
        self,
        estimator=None,
        *,
        n_importance_samples=300,
        add_indicator=False,
        keep_empty_features=False,
        random_state=None,
    ):
        self.estimator = estimator
        self.n_importance_samples = n_importance_samples
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from the observed cells.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing; also a DataFrame with categories.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; only their ratios matter.

        Returns
        -------
        self
            The fitted imputer.

        Raises
        ------
        ValueError
            If a parameter, a shape or a value is not admissible.
        TypeError
            If X is sparse.
        """
        self._validate_params()
        _check_dense(X)
        table: Any = X if hasattr(X, "__len__") else np.asarray(X)
        n_rows = len(table) if getattr(table, "ndim", 1) else 0  # what is no table is refused by the model
        self.estimator_ = self._model(n_rows).fit(X, sample_weight=sample_weight)
        missing = missing_cells(X)
        self._is_empty = missing.all(axis=0)
        self.indicator_ = MissingIndicator(error_on_new=False).fit(_as_gaps(missing)) if self.add_indicator else None
        if self._is_empty.any() and not self.keep_empty_features:
            names = self.estimator_._names_in
            empty = [names[column] for column in np.flatnonzero(self._is_empty)]
            warnings.warn(
                f"Columns without an observed value are left out: {empty}. Set keep_empty_features=True to keep them.",
                stacklevel=2,
            )
        return self

    def transform(self, X: ArrayLike) -> NDArray:
        """Fill the missing cells.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_features_out)
            The rows, observed cells as they were, then the indicators; a DataFrame where the imputer was fitted to one.

        Raises
        ------
        ValueError
            If a shape or a value is not admissible.
        TypeError
            If X is sparse.
        """
        check_is_fitted(self)
        _check_dense(X)
        filled = self.estimator_.impute(X, n_importance_samples=self.n_importance_samples)
        missing = missing_cells(X)
        columns = self._without_empty(filled, missing)
        if self.indicator_ is None:
            return columns
        gaps = self.indicator_.transform(_as_gaps(missing))
        if not is_frame(columns):
            return np.hstack([columns, gaps.astype(columns.dtype)])
        names = self.get_feature_names_out()
        added = dict(zip(names[columns.shape[1] :], gaps.T, strict=True))
        return columns.assign(**added).set_axis(names, axis=1)

    def _without_empty(self, filled: Any, missing: NDArray[np.bool_]) -> Any:
        """Return filled rows without the columns that were empty in `fit`, or with zeros in their missing cells."""
        frame = is_frame(filled)
        if not self.keep_empty_features:
            return filled.iloc[:, ~self._is_empty] if frame else filled[:, ~self._is_empty]
        for column in np.flatnonzero(self._is_empty):
            if frame:
                filled.isetitem(column, filled.iloc[:, column].mask(missing[:, column], 0))
            else:
                filled[missing[:, column], column] = 0
        return filled

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray:
        """Return the names of the columns that come out.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features; None takes those of `fit`.

        Returns
        -------
        ndarray of str
            Names of the columns that are kept, and of the indicators.
        """
        check_is_fitted(self)
        names = feature_names(self, input_features)
        kept = names if self.keep_empty_features else names[~self._is_empty]
        return kept if self.indicator_ is None else np.r_[kept, self.indicator_.get_feature_names_out(names)]

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        check_is_fitted(self)
        return self.estimator_.n_features_in_

    @property
    def feature_names_in_(self) -> NDArray:
        """Names of the features."""
        check_is_fitted(self)
        return self.estimator_.feature_names_in_

    def _validate_params(self) -> None:
        """Check the parameters by their constraints."""
        check_parameters(self)

    def _model(self, n_rows: int) -> VAETransformer:
        """Return the model to fit to so many rows."""
        if self.estimator is not None:
            return clone(self.estimator)
        n_epochs = ceil(N_STEPS * BATCH_SIZE / max(1, n_rows))
        return VAETransformer(**DEFAULTS, max_iter=min(max(n_epochs, 10), 1000), random_state=self.random_state)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _check_dense(X: Any) -> None:
    if issparse(X):
        raise TypeError("Sparse data was passed for X, but filled rows are dense; use X.toarray().")


def missing_cells(X: Any) -> NDArray[np.bool_]:
    """Return where cells are missing, shape (n_samples, n_features)."""
    if is_frame(X):
        return X.isna().to_numpy()
    cells = np.asarray(X)
    return np.stack([is_missing(column) for column in cells.T], axis=1)


def _as_gaps(missing: NDArray[np.bool_]) -> NDArray:
    """Return NaN where a cell is missing, 0 elsewhere."""
    return np.where(missing, np.nan, 0.0)
