"""The features: what is learned about X's columns before a fit, and X as a model sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_mtae.nn.likelihoods import Likelihood
from sklearn_mtae.nn.words import listed, short

from .checks import check_feature_names, check_features, row_weights, stand_in_class
from .column_likelihoods import find_booleans, is_per_column, learn_table, make_likelihood, standardized_columns
from .containers import is_frame, plain
from .describe import Columns, differ
from .frame import Table


@dataclass(frozen=True, eq=False)
class Features:
    """The columns of X.

    Parameters
    ----------
    count : int
        Number of columns.
    given_names : ndarray of str or None
        Names of the columns, if X had names.
    table : Table or None
        How categories are expanded and frames are restored; None for an array of numbers, which is unchanged.
    booleans : tuple of bool
        Which columns hold booleans.
    constants : ndarray of shape (n_expanded,) or None
        Values of the expanded columns that have never varied, infinity for those without any value, NaN for all others;
        None if all have varied.
    """

    count: int
    given_names: NDArray | None = None
    table: Table | None = None
    booleans: tuple[bool, ...] = ()
    constants: NDArray | None = None

    @property
    def names(self) -> Sequence:
        """Names of the columns, or their positions."""
        return range(self.count) if self.given_names is None else list(self.given_names)

    @property
    def n_expanded(self) -> int:
        """Number of columns as a model sees them, with expanded categories."""
        return self.count if self.table is None else self.table.n_columns

    @property
    def expanded_names(self) -> Sequence:
        """Names of the columns as a model sees them."""
        return self.names if self.table is None else self.table.names

    @property
    def groups(self) -> list[list[int]]:
        """Positions of the expanded columns of each column."""
        return [[j] for j in range(self.count)] if self.table is None else self.table.groups

    @property
    def indicators(self) -> list[bool] | None:
        """Which of the expanded columns are indicators of a category."""
        return None if self.table is None else self.table.indicators

    @property
    def only_numbers(self) -> NDArray:
        """The only value that each column of numbers has had, shape (count,); NaN for all other columns."""
        if self.constants is None:
            return np.full(self.count, np.nan)
        found = np.array([self.constants[own[0]] for own in self.groups])
        if self.indicators is not None:
            found[[self.indicators[own[0]] for own in self.groups]] = np.nan
        return np.where(np.isinf(found), np.nan, found)

    @property
    def has_frame(self) -> bool:
        """Whether the columns came in a frame, whose dtypes hold their numbers."""
        return self.table is not None and self.table.framed

    def after(self, columns: Columns, before: "Features | None" = None) -> "Features":
        """Return the same with the columns that have never varied in rows with some statistics, nor in those before."""
        constants = np.where(columns.n_observed > 0, columns.mean, np.inf)
        constants[columns.varies] = np.nan
        if before is not None:
            known = np.full(len(constants), np.nan) if before.constants is None else before.constants
            same = ~(columns.varies | differ(constants, known))
            constants = np.where(same | (columns.n_observed == 0), known, np.nan)
        return replace(self, constants=None if np.isnan(constants).all() else constants)

    def likelihood(self, option: Any) -> Likelihood:
        """Return the distribution of the columns, for the parameter `likelihood`."""
        return make_likelihood(option, self.names, self.table, self.booleans)

    def restore(self, columns: NDArray, like: Any = None) -> Any:
        """Return values of the columns in the form of X: a frame with the index of `like` if X was a frame."""
        index = getattr(like, "index", None)
        # A list has an `index` too, which is a method.
        return columns if self.table is None else self.table.decode(columns, index=None if callable(index) else index)

    def check_same(self, others: "Features") -> None:
        """Raise an error if an encoder was fitted to other columns than these."""
        ours, theirs = ([] if own.given_names is None else list(own.given_names) for own in (self, others))
        if self.count != others.count or (ours and theirs and ours != theirs):
            raise ValueError(
                "encoder must be fitted to the features of X, "
                f"{listed(ours) if ours else self.count}. It was fitted to "
                f"{listed(theirs) if theirs else others.count}."
            )


def learn_features(
    X: Any,
    owner: str,
    *,
    likelihood: Any,
    max_categories: int | None,
    unknown: str,
    sample_weight: Any = None,
    encoded_by: Features | None = None,
) -> tuple[Any, Features]:
    """Learn the columns of X.

    Parameters
    ----------
    X : array-like
        The table.
    owner : str
        Name of the estimator, for messages.
    likelihood, max_categories, unknown
        The parameters `likelihood`, `max_categories` and `handle_unknown`.
    sample_weight : array-like or None
        Weights of the rows.
    encoded_by : Features or None
        Features of an encoder that is taken over: it knows the categories by their positions.

    Returns
    -------
    x : ndarray, CSR array or Coded of shape (n_samples, n_expanded)
        The columns as a model sees them.
    features : Features
        Their description.
    """
    X, stand = plain(X), stand_in_class(owner)()
    table, weight = None, None
    if is_frame(X) or is_per_column(likelihood):
        check_feature_names(stand, X)
        weight, known = row_weights(sample_weight, X), _learned(stand)
        if encoded_by is not None and encoded_by.table is not None and encoded_by.table.expands:
            known.check_same(encoded_by)
            table = encoded_by.table
        else:
            table = learn_table(X, likelihood, known.names, max_categories, weight)
    x = check_features(stand, X, table, reset=True, unknown=unknown, weight=weight)
    features = replace(_learned(stand, table), booleans=find_booleans(X, table))
    if issparse(x) and standardized_columns(features.likelihood(likelihood)).any():
        raise TypeError(
            f"Sparse data was passed for X, which needs likelihoods whose columns are not centred, such as "
            f"'multinomial' or 'poisson'. Got likelihood={short(likelihood)}; use X.toarray(), or reduce the "
            "columns first: sklearn.decomposition.TruncatedSVD takes sparse data."
        )
    return x, features


def read_features(X: Any, owner: str, known: Features, *, unknown: str, sample_weight: Any = None) -> Any:
    """Read X as seen by a model that was fitted to known columns."""
    X = plain(X)
    weight = None if known.table is None else row_weights(sample_weight, X)
    stand = stand_in_class(owner)()
    stand.n_features_in_ = known.count
    if known.given_names is not None:
        stand.feature_names_in_ = known.given_names
    return check_features(stand, X, known.table, reset=False, unknown=unknown, weight=weight)


def _learned(stand: Any, table: Table | None = None) -> Features:
    return Features(stand.n_features_in_, getattr(stand, "feature_names_in_", None), table)
