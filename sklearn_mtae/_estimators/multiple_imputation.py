"""An estimator fitted to several completed tables, its predictions averaged and its coefficients pooled."""

from copy import deepcopy
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import Pipeline
from sklearn.utils import Tags, check_consistent_length, check_scalar, column_or_1d, get_tags
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_array, check_is_fitted, has_fit_parameter, validate_data

from sklearn_mtae._tables.checks import HasMethods, Interval, check_features, check_parameters, feature_names
from sklearn_mtae._tables.containers import is_frame, plain
from sklearn_mtae._verbs.pooling import Pooled, collect, pool
from sklearn_mtae.nn.words import named, short

from .joint_draws import JointDraws, check_draws, fit_draws, indicators


class MultipleImputation(MetaEstimatorMixin, BaseEstimator):
    """Fit an estimator to several completed tables; average its predictions and pool its coefficients.

    Missing cells of X are drawn `n_draws` times from their distribution given the observed cells of their rows. A clone
    of the estimator is fitted to each completed table. By Rubin's rules, with estimates `q_k` and their variances
    `u_k`,

    `estimate = mean_k(q_k),   se^2 = mean_k(u_k) + (1 + 1 / n_draws) * var_k(q_k)`

    so that standard errors count what is not known of the missing cells. The draws differ by what the observed cells
    leave open and by what the imputer cannot know of its own parameters: each of `n_models` clones of it is fitted to
    a bootstrap of the rows.

    In `fit`, y is a column of the imputation model beside X: without it, coefficients are drawn towards zero. In
    `predict` y is missing in all rows, and cells are drawn given X alone.

    Parameters
    ----------
    estimator : estimator
        Regressor or classifier, a clone of which is fitted to each table.
    imputer : VAEImputer, VAETransformer, IterativeImputer or None, default=None
        What draws the missing cells: the models of a `VAEImputer` in turn, an `IterativeImputer` if it has
        `sample_posterior=True`. None is a `VAETransformer` with a linear decoder (factor analysis), for linear tables.
    n_draws : int, default=20
        Number of completed tables.
    n_models : int, default=5
        Number of imputers, each fitted to a bootstrap of the rows; they share the draws evenly.
    variance : callable or None, default=None
        Function of a fitted estimator, the completed X and y that returns the variances of its coefficients, those of
        `coef_` followed by those of `intercept_`. None takes the closed form of a `LinearRegression`, or of a
        `LogisticRegression` without a penalty (`C=np.inf`), on more rows than coefficients; others have pooled
        coefficients without standard errors.
    n_jobs : int or None, default=None
        Number of estimators that are fitted or predict at a time; None is 1, -1 all processors.
    random_state : int, RandomState instance or None, default=None
        Seed of the bootstraps, of the imputers and of the draws; it takes the place of the imputer's own.

    Attributes
    ----------
    estimators_ : list of estimators
        The fitted estimators, one per table.
    imputers_ : list of estimators
        The fitted imputers, of the columns of X and y.
    coef_ : ndarray
        Pooled coefficients, in the estimator's shape, where it has any.
    intercept_ : float or ndarray
        Pooled intercept.
    se_ : ndarray
        Standard errors of `coef_`, where variances are known.
    intercept_se_ : float or ndarray
        Standard error of the intercept; 0 where none was fitted.
    df_ : ndarray
        Degrees of freedom of the coefficients' t distributions (Barnard and Rubin 1999).
    fmi_ : ndarray
        Fraction of missing information of each coefficient.
    classes_ : ndarray
        Classes, of a classifier.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had names.

    See Also
    --------
    VAEImputer : One table, filled with means.
    VAETransformer.impute : Several tables of draws.

    References
    ----------
    Rubin, D. B. (1987). *Multiple imputation for nonresponse in surveys*. Wiley.

    Barnard, J. and Rubin, D. B. (1999). Small-sample degrees of freedom with multiple imputation. *Biometrika* 86.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn_mtae import MultipleImputation
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> X = X[["bmi", "bp", "s5"]].mask(np.random.default_rng(0).random((442, 3)) < 0.3)
    >>> model = MultipleImputation(LinearRegression(), n_draws=10, n_models=2, random_state=0).fit(X, y)
    >>> model.predict(X).shape
    (442,)
    >>> model.summary().index.tolist()
    ['bmi', 'bp', 's5', 'intercept']
    >>> model.fmi_.round(1)
    array([0.3, 0.3, 0.1])
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict", "get_params"])],
        "imputer": [HasMethods(["fit", "get_params"]), None],
        "n_draws": [Interval(Integral, 2, None, closed="left")],
        "n_models": [Interval(Integral, 1, None, closed="left")],
        "variance": [callable, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }
    # Weights in fit are the estimator's to ask for; those in score are our own.
    __metadata_request__fit = {"sample_weight": UNUSED}

    estimators_: list[Any]
    classes_: NDArray
    coef_: NDArray
    intercept_: Any
    _draws: JointDraws
    _pooled: Pooled | None

    def __init__(
        self,
        estimator,
        imputer=None,
        *,
        n_draws=20,
        n_models=5,
        variance=None,
        n_jobs=None,
        random_state=None,
    ):
        self.estimator = estimator
        self.imputer = imputer
        self.n_draws = n_draws
        self.n_models = n_models
        self.variance = variance
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the imputers, and the estimator to each completed table.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y : array-like of shape (n_samples,)
            Targets, none of them missing.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, passed to the estimator, and to the imputer where it takes them.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, a shape or a value is not admissible, if the imputer does not draw, or if there are weights
            and the estimator takes none.
        TypeError
            If X is sparse.
        """
        check_parameters(self)
        check_draws(self.imputer)
        table = self._read(X, reset=True)
        y, columns = self._read_targets(table, y)
        params = self._fit_params(sample_weight)
        draws = fit_draws(
            self.imputer,
            table,
            columns,
            "bernoulli" if is_classifier(self) else "gaussian",
            params.get("sample_weight"),
            n_draws=self.n_draws,
            n_models=min(self.n_models, self.n_draws),
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )
        tables = draws.complete(table, columns)
        estimators = Parallel(n_jobs=self.n_jobs)(
            delayed(clone(self.estimator).fit)(table, y, **params) for table in tables
        )
        self._draws, self.estimators_ = draws, estimators
        self._pool(tables, y, params.get("sample_weight"))
        return self

    def predict(self, X: Any) -> NDArray:
        """Predict by the mean of the estimators, each on draws of its own, which depend on a row's place in X too.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.

        Returns
        -------
        ndarray of shape (n_samples,)
            Mean predictions; of a classifier the class of the largest mean probability, or the most frequent one where
            it has no probabilities.
        """
        check_is_fitted(self)
        if not is_classifier(self):
            return np.mean(self._each("predict", X), axis=0)
        if hasattr(self.estimator, "predict_proba"):
            return self.classes_[self.predict_proba(X).argmax(axis=1)]
        votes = np.stack(self._each("predict", X))[..., None] == self.classes_
        return self.classes_[votes.sum(axis=0).argmax(axis=1)]

    @available_if(lambda self: hasattr(self.estimator, "predict_proba"))
    def predict_proba(self, X: Any) -> NDArray:
        """Return the mean of the estimators' probabilities.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        return np.mean(self._each("predict_proba", X), axis=0)

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R2, or the accuracy of a classifier.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            The score.
        """
        measure = accuracy_score if is_classifier(self) else r2_score
        return float(measure(y, self.predict(X), sample_weight=sample_weight))

    def summary(self, confidence: float = 0.95) -> Any:
        """Return a table of the pooled coefficients.

        Parameters
        ----------
        confidence : float, default=0.95
            Coverage of the intervals.

        Returns
        -------
        pandas.DataFrame of n_coefficients rows
            `estimate`, `se`, `low` and `high` (the ends of the interval), `t`, `df`, `p` and `fmi`.

        Raises
        ------
        ValueError
            If the estimator has no coefficients, or if their variances are not known.
        ImportError
            If pandas is not installed.
        """
        check_is_fitted(self)
        check_scalar(confidence, "confidence", Real, min_val=0, max_val=1, include_boundaries="neither")
        if self._pooled is None:
            raise ValueError(
                "A summary needs coefficients with variances: of LinearRegression or LogisticRegression(C=np.inf),"
                " on more rows than coefficients, alone or last in a pipeline, or what variance= computes. Got "
                f"{short(self.estimator)}."
            )
        import pandas as pd

        pooled = self._pooled
        low, high = pooled.interval(confidence)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = pooled.estimate / pooled.error
        columns = {"estimate": pooled.estimate, "se": pooled.error, "low": low, "high": high, "t": t}
        columns |= {"df": pooled.freedom, "p": pooled.p_value(), "fmi": pooled.missing}
        return pd.DataFrame(columns, index=self._names())

    @property
    def imputers_(self) -> list[Any]:
        """The fitted imputers, of the columns of X and y."""
        check_is_fitted(self)
        return self._draws.imputers

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the routing of metadata: what `fit` passes to the estimator's, and our own request in `score`.

        Returns
        -------
        MetadataRouter
            The routes.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return MetadataRouter(owner=self).add_self_request(self).add(method_mapping=mapping, estimator=self.estimator)

    def _read(self, X: Any, reset: bool) -> Any:
        """Return X as a frame, or as an array of floats."""
        if issparse(X):
            raise TypeError("Sparse data was passed for X, but completed rows are dense; use X.toarray().")
        X = plain(X)
        if not is_frame(X):
            return check_features(self, X, None, reset=reset)
        validate_data(self, X, reset=reset, skip_check_array=True)
        return X

    def _read_targets(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        """Return y, and its columns in the imputation model: numbers, or an indicator for each class but the first."""
        if y is None:
            raise ValueError("MultipleImputation requires y to be passed, but the target y is None.")
        y = column_or_1d(y, warn=True)
        numeric = None if is_classifier(self) else "numeric"
        with named("y"):
            y = check_array(y, ensure_2d=False, dtype=numeric, input_name="y")
        check_consistent_length(X, y)
        if not is_classifier(self):
            return y, y[:, None].astype(np.float64)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        return y, indicators(y, self.classes_)

    def _fit_params(self, sample_weight: Any) -> dict[str, Any]:
        """Return the parameters of the estimators' fit."""
        if sample_weight is None:
            return {}
        if get_config()["enable_metadata_routing"]:
            return dict(process_routing(self, "fit", sample_weight=sample_weight).estimator.fit)
        if not has_fit_parameter(self.estimator, "sample_weight"):
            raise ValueError(f"sample_weight needs an estimator that takes it. {short(self.estimator)} does not.")
        return {"sample_weight": sample_weight}

    def _each(self, method: str, X: Any) -> list[NDArray]:
        """Call a method of each estimator with the table that is drawn for it."""
        check_is_fitted(self)
        tables = self._draws.complete(self._read(X, reset=False))
        calls = (delayed(getattr(own, method))(table) for own, table in zip(self.estimators_, tables, strict=True))
        return Parallel(n_jobs=self.n_jobs)(calls)

    def _pool(self, tables: list[Any], y: NDArray, weight: Any) -> None:
        """Pool the coefficients, where there are any, and their variances, where these are known."""
        for name in ("coef_", "intercept_", "se_", "intercept_se_", "df_", "fmi_"):
            self.__dict__.pop(name, None)
        values = collect(self.estimators_, tables, y, weight, self.variance)
        self._pooled = None
        if values is None:
            return
        self.coef_, self.intercept_ = values.split(values.estimates.mean(axis=0))
        if values.variances is None:
            return
        self._pooled = pooled = pool(values.estimates, values.variances, len(y) - values.n_free)
        self.se_, self.intercept_se_ = values.split(pooled.error)
        self.df_, self.fmi_ = values.split(pooled.freedom)[0], values.split(pooled.missing)[0]

    def _names(self) -> list[str]:
        """Return the names of the pooled coefficients and of the intercept."""
        first = self.estimators_[0]
        names = feature_names(self, None)
        if isinstance(first, Pipeline) and len(first) > 1:
            names = first[:-1].get_feature_names_out(names)
        assert self._pooled is not None
        parts = [list(names), ["intercept"][: len(self._pooled.estimate) - np.size(self.coef_)]]
        n_sets, classes = np.size(self.coef_) // len(names), list(getattr(self, "classes_", ()))
        sets = classes if n_sets == len(classes) else range(n_sets)
        return [f"{name} ({own})" if n_sets > 1 else name for part in parts for own in sets for name in part]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_draws")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        own = get_tags(self.estimator) if hasattr(self.estimator, "__sklearn_tags__") else tags
        tags.estimator_type = own.estimator_type
        tags.classifier_tags, tags.regressor_tags = deepcopy(own.classifier_tags), deepcopy(own.regressor_tags)
        tags.target_tags.required = True
        tags.target_tags.multi_output = False
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = False
        return tags
