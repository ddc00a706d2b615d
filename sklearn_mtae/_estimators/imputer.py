"""Missing cells filled by a variational autoencoder."""

import warnings
from collections.abc import Sequence
from math import ceil
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.impute import MissingIndicator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_mtae._fitting.callbacks import CallbackSupportMixin, tell_of_models, with_callbacks  # pyright: ignore[reportAttributeAccessIssue]
from sklearn_mtae._tables.checks import Interval, check_parameters, feature_names
from sklearn_mtae._tables.column_likelihoods import CATEGORICAL, UNNAMED, names_categories, per_column
from sklearn_mtae._tables.containers import is_frame
from sklearn_mtae._tables.filling import (
    append,
    as_it_came,
    blank,
    check_finite,
    fill,
    fill_constant,
    missing_cells,
    read,
    select,
)
from sklearn_mtae._verbs.imputation import decode_gaps, expect
from sklearn_mtae.nn.objectives import IWAE

from .vae import VAETransformer

N_STEPS, BATCH_SIZE = 1700, 64
MIN_EPOCHS, MAX_EPOCHS = 10, 200
NETWORKS = ((128,), (64, 64))
"""Hidden layers of the default models. Two layers follow curved dependence that one misses, and one does better with
outliers or where dependence is almost linear. The mean of both is often better than either, and never far behind."""
DEFAULTS = {
    "n_components": 10,
    "alpha": 0.1,
    "scaling": "standard",
    "objective": IWAE(20),
    "batch_size": BATCH_SIZE,
    "learning_rate_init": 5e-3,
    "learning_rate_decay": 1.0,
}
"""The default models of an imputer. Many weighted draws matter most, because the posterior given half a row is wide. A
small decoder makes them cheap, and large steps that fall to zero let a short training go as far as a long one. A small
table that is seen too often is overfitted."""


class VAEImputer(CallbackSupportMixin, TransformerMixin, BaseEstimator):
    """Fill missing cells with a variational autoencoder of the observed ones.

    The autoencoder learns from the observed cells of all rows (MIWAE, Mattei and Frellsen 2019, arXiv 1812.02633). A
    missing cell becomes its mean given the observed cells of its row, by importance sampling: `sum_k v_k E[x given
    z_k]`. It can replace `sklearn.impute.IterativeImputer`.

    Parameters
    ----------
    estimator : VAETransformer or None, default=None
        The model, cloned before it is fitted. None fills with the mean of two models of 10 components, one with a
        hidden layer of 128 units, the other with two of 64. They are trained with 20 weighted draws (IWAE) and a step
        size that falls to zero, for 1700 steps of 64 rows, but for at least 10 and at most 200 epochs.
    n_importance_samples : int, default=100
        Codes per row that are drawn and weighted.
    add_indicator : bool, default=False
        Whether to append a column of indicators, 1 where a cell was missing, for each column that had missing cells in
        `fit`. No column of X may have the name of an indicator, such as "missingindicator_age".
    keep_empty_features : bool, default=False
        Whether columns without an observed value in `fit`, whatever their dtype, are kept. They are filled with 0, or
        with "missing_value" for strings or categories. The model ignores what they hold later.
    random_state : int, RandomState instance or None, default=None
        Seed of the models where `estimator` is None.
    verbose : bool or int, default=False
        Whether models print a line per epoch; one that does so by itself goes on doing it.

    Attributes
    ----------
    estimators_ : list of VAETransformer
        The fitted model, or the two default ones.
    estimator_ : VAETransformer
        The first of them; `estimator_.impute(X, n_draws=5)` makes several tables of draws.
    indicator_ : sklearn.impute.MissingIndicator or None
        The indicator, with `add_indicator`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had names.

    See Also
    --------
    VAETransformer.impute : The same for a model that you have fitted, with draws instead of means.
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
    >>> tables = {"column means": np.nanmean(gaps, axis=0), "filled": filled}
    >>> for name, table in tables.items():
    ...     print(f"{name}: error {np.abs(table - X)[np.isnan(gaps)].mean():.1f}")
    column means: error 0.8
    filled: error 0.3
    """

    _parameter_constraints: dict = {
        "estimator": [VAETransformer, None],
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    estimators_: list[VAETransformer]
    indicator_: MissingIndicator | None
    _is_empty: NDArray[np.bool_]

    def __init__(
        self,
        estimator=None,
        *,
        n_importance_samples=100,
        add_indicator=False,
        keep_empty_features=False,
        random_state=None,
        verbose=False,
    ):
        self.estimator = estimator
        self.n_importance_samples = n_importance_samples
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
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
            If a parameter, a shape or a value is invalid.
        TypeError
            If X is sparse.
        """
        check_parameters(self)
        _check_dense(X)
        table = read(X, self.estimator is None or not names_categories(self.estimator.likelihood))
        two_dimensional = len(getattr(table, "shape", ())) == 2  # the model rejects input that is not a table
        missing = missing_cells(table) if two_dimensional else np.empty((0, 0), dtype=bool)
        empty: NDArray[np.bool_] = np.asarray(missing.all(axis=0))
        models = self._models(len(missing), _likely_names(table, len(empty)), empty)
        with tell_of_models(self, X, len(models)) as tell, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Columns without an observed value are ignored")  # told below
            known = _hide(table, empty, missing)
            for model in models:
                with tell(model):
                    model.fit(known, sample_weight=sample_weight)
        indicator = MissingIndicator(error_on_new=False).fit(_as_gaps(missing)) if self.add_indicator else None
        if indicator is not None:
            _check_names(models[0], indicator, empty & (not self.keep_empty_features))
        self.estimators_, self.indicator_, self._is_empty = models, indicator, empty
        if empty.any() and not self.keep_empty_features:
            every = models[0]._fitted.recipe.columns.names
            names = [every[column] for column in np.flatnonzero(empty).tolist()]
            warnings.warn(
                f"Columns without an observed value are left out: {names}. Set keep_empty_features=True to keep them.",
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
            A copy of X with its missing cells filled and everything else unchanged, then the indicators; a frame where
            X is one. A column changes its dtype only where it cannot hold the values.

        Raises
        ------
        ValueError
            If a shape or a value is not admissible.
        TypeError
            If X is sparse.
        """
        check_is_fitted(self)
        _check_dense(X)
        runners = [model._runner for model in self.estimators_]
        runner = runners[0]
        table = read(X, runner.features.table is None)
        if tuple(getattr(table, "shape", ()))[1:] != (self.n_features_in_,):
            runner.read(table)  # raises the error that says what is wrong
        missing, empty = missing_cells(table), self._is_empty
        check_finite(table, empty, runner.features.names)  # the model checks the others
        gaps = missing & ~empty
        x = runner.read(_hide(table, empty, missing))
        (decoded,) = decode_gaps(runner, x, gaps, lambda x: [expect(runners, x, self.n_importance_samples)])
        filled = fill(table, gaps, decoded)
        filled = fill_constant(filled, missing & empty) if self.keep_empty_features else select(filled, ~empty)
        filled = as_it_came(X, filled)
        if self.indicator_ is None:
            return filled
        return append(filled, self.indicator_.transform(_as_gaps(missing)), self.get_feature_names_out())

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray:
        """Return the names of the output columns.

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
    def estimator_(self) -> VAETransformer:
        """The fitted model; of the two default ones, that with one hidden layer."""
        check_is_fitted(self)
        return self.estimators_[0]

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

    def _models(self, n_rows: int, names: Sequence, empty: NDArray[np.bool_]) -> list[VAETransformer]:
        """Return the models to fit to this number of rows; none treats a column without levels as a category."""
        if self.estimator is None:
            n_epochs = ceil(N_STEPS / max(1, ceil(n_rows / BATCH_SIZE)))
            seeds = check_random_state(self.random_state).randint(np.iinfo(np.int32).max, size=len(NETWORKS)).tolist()
            own = {**DEFAULTS, "max_iter": min(max(n_epochs, MIN_EPOCHS), MAX_EPOCHS), "verbose": self.verbose}
            pairs = zip(NETWORKS, seeds, strict=True)
            return [VAETransformer(hidden_layer_sizes=layers, random_state=seed, **own) for layers, seed in pairs]
        model = clone(self.estimator)
        if self.verbose:
            model.set_params(verbose=self.verbose)
        if empty.any() and names_categories(model.likelihood):
            options = zip(names, per_column(model.likelihood, names), empty.tolist(), strict=True)
            own = {name: UNNAMED if is_empty and one == CATEGORICAL else one for name, one, is_empty in options if one}
            model.set_params(likelihood=own)
        return [model]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimators_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _check_dense(X: Any) -> None:
    if issparse(X):
        raise TypeError("Sparse data was passed for X, but filled rows are dense; use X.toarray().")


def _likely_names(table: Any, n_columns: int) -> Sequence:
    """Return the names that a model uses for the columns: positions where not all names are strings."""
    names = list(getattr(table, "columns", ()))
    return names if names and all(isinstance(name, str) for name in names) else range(n_columns)


def _hide(table: Any, empty: NDArray[np.bool_], missing: NDArray[np.bool_]) -> Any:
    """Return a table in which the columns that were empty in `fit` are emptied: no model has learned them."""
    hidden = empty & ~missing.all(axis=0)
    if is_frame(table):
        hidden |= empty & [dtype.kind != "f" for dtype in table.dtypes]
    return blank(table, hidden) if hidden.any() else table


def _check_names(model: VAETransformer, indicator: MissingIndicator, left_out: NDArray[np.bool_]) -> None:
    """Raise an error if a column has the name of an indicator."""
    names = feature_names(model, None)
    twice = sorted(set(names[~left_out]) & set(indicator.get_feature_names_out(names)))
    if twice:
        raise ValueError(
            f"add_indicator=True needs columns without the name of an indicator. Got {twice}; rename them, or "
            "set add_indicator=False."
        )


def _as_gaps(missing: NDArray[np.bool_]) -> NDArray:
    """Return NaN where a cell is missing, 0 elsewhere."""
    return np.where(missing, np.nan, 0.0)
