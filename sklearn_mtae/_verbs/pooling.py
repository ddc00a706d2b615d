"""Estimates of several completed tables pooled by Rubin's rules, and the variances that these need."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, softmax
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline

from sklearn_mtae.nn.words import ask, named


@dataclass(frozen=True)
class Pooled:
    """Pooled estimates.

    Parameters
    ----------
    estimate : ndarray of shape (n_estimates,)
        Means over the tables.
    error : ndarray of shape (n_estimates,)
        Standard errors.
    freedom : ndarray of shape (n_estimates,)
        Degrees of freedom of t (Barnard and Rubin 1999).
    missing : ndarray of shape (n_estimates,)
        Fractions of missing information.
    """

    estimate: NDArray
    error: NDArray
    freedom: NDArray
    missing: NDArray

    def interval(self, confidence: float) -> tuple[NDArray, NDArray]:
        """Return both ends of the confidence intervals."""
        margin = stats.t.ppf((1 + confidence) / 2, self.freedom) * self.error
        return self.estimate - margin, self.estimate + margin

    def p_value(self) -> NDArray:
        """Return the two-sided p-values of estimates of 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return 2 * stats.t.sf(np.abs(self.estimate / self.error), self.freedom)


def pool(estimates: NDArray, variances: NDArray, complete_freedom: float) -> Pooled:
    """Pool estimates and their variances, of shape (n_tables, n_estimates).

    Parameters
    ----------
    estimates, variances : ndarray of shape (n_tables, n_estimates)
        Of each completed table, as if nothing had been missing.
    complete_freedom : float
        Degrees of freedom that a complete table would leave.
    """
    n_tables = len(estimates)
    within, between = variances.mean(axis=0), (1 + 1 / n_tables) * estimates.var(axis=0, ddof=1)
    total = within + between
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total > 0, between / total, 0.0)
        of_tables = (n_tables - 1) / share**2
        of_rows = (complete_freedom + 1) / (complete_freedom + 3) * complete_freedom * (1 - share)
        freedom = np.where(share > 0, 1 / (1 / of_tables + 1 / of_rows), of_rows)
        ratio = between / within
        missing = np.where(within > 0, (ratio + 2 / (freedom + 3)) / (1 + ratio), 1.0)
    return Pooled(estimates.mean(axis=0), np.sqrt(total), freedom, np.where(between > 0, missing, 0.0))


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of several fitted models.

    Parameters
    ----------
    estimates : ndarray of shape (n_models, n_estimates)
        Coefficients, and after them the intercepts, where these are fitted.
    variances : ndarray of shape (n_models, n_estimates) or None
        Their variances, where these are known.
    shape : tuple of int
        Shape of a model's coefficients.
    intercept : float or ndarray
        The intercept of one of them, for its shape.
    n_free : int
        Number of estimates that the others do not determine.
    """

    estimates: NDArray
    variances: NDArray | None
    shape: tuple[int, ...]
    intercept: Any
    n_free: int

    def split(self, values: NDArray) -> tuple[NDArray, Any]:
        """Return values of the coefficients in their shape, and those of the intercept: as it is where not fitted."""
        n_coefficients = int(np.prod(self.shape))
        rest = values[n_coefficients:]
        intercept = rest.reshape(np.shape(self.intercept))[()] if len(rest) else self.intercept
        return values[:n_coefficients].reshape(self.shape), intercept


def collect(models: list[Any], tables: list[Any], y: Any, weight: Any, variance: Any) -> Coefficients | None:
    """Return the coefficients of fitted models, or of the last steps of pipelines; None where they have none.

    Parameters
    ----------
    models : list of estimators
        The models.
    tables : list of tables
        The rows that each was fitted to.
    y, weight : array-like
        Their targets, and their weights, None where all count alike.
    variance : callable or None
        Function of a model, its rows and y that returns variances; None takes those in closed form.
    """
    finals = [last_step(model) for model in models]
    if not hasattr(finals[0], "coef_"):
        return None
    has_intercept = getattr(finals[0], "fit_intercept", True) and hasattr(finals[0], "intercept_")
    estimates = np.stack([np.r_[np.ravel(m.coef_), np.ravel(m.intercept_) if has_intercept else []] for m in finals])
    own = _own_variances if variance is not None else _known_variances
    variances = own(models, tables, y, weight, variance)
    if variances is not None and variances.shape != estimates.shape:
        raise ValueError(
            f"variance must return {estimates.shape[1]} numbers, of coef_ and then of intercept_. Got an array of "
            f"shape {variances.shape[1:]}."
        )
    n_free = estimates.shape[1]
    if variance is None and _n_classes(finals[0]) > 2:
        n_free -= n_free // _n_classes(finals[0])  # over the classes, they add up to zero
    intercept = getattr(finals[0], "intercept_", 0.0)
    return Coefficients(estimates, variances, np.shape(finals[0].coef_), intercept, n_free)


def last_step(model: Any) -> Any:
    """Return a model, of a pipeline its last step."""
    return model[-1] if isinstance(model, Pipeline) else model


def _own_variances(models: list[Any], tables: list[Any], y: Any, weight: Any, variance: Any) -> NDArray:
    """Return what the user's function makes of the models."""
    with named("variance"):
        own = [ask(variance, "variance", model, table, y) for model, table in zip(models, tables, strict=True)]
        return np.stack([np.asarray(values, dtype=np.float64) for values in own])


def _known_variances(models: list[Any], tables: list[Any], y: Any, weight: Any, variance: None) -> NDArray | None:
    """Return the variances in closed form, None where there is none."""
    closed_form = variance_of(last_step(models[0]))
    if closed_form is None:
        return None
    variances = []
    for model, table in zip(models, tables, strict=True):
        design = model[:-1].transform(table) if isinstance(model, Pipeline) and len(model) > 1 else table
        variances.append(closed_form(last_step(model), design, y, weight))
    if np.isnan(variances).any():
        warnings.warn(
            f"Standard errors need more rows than coefficients, {len(variances[0])} of them. They are left out: there "
            "is no se_, intercept_se_, df_ or fmi_.",
            stacklevel=5,
        )
        return None
    return np.stack(variances)


def _n_classes(model: Any) -> int:
    return len(getattr(model, "classes_", ()))


def variance_of(model: Any) -> Callable[[Any, Any, Any, Any], NDArray] | None:
    """Return what computes the variances of a model's coefficients; None where there is no closed form."""
    return next((own for kind, holds, own in CLOSED_FORMS if type(model) is kind and holds(model)), None)


def ordinary_variance(model: LinearRegression, X: Any, y: Any, weight: Any) -> NDArray:
    """Return the variances of a linear regression's coefficients and intercept: s^2 (X'X)^-1."""
    design, y = _design(model, X), np.asarray(y, dtype=np.float64)
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    freedom = np.count_nonzero(weight) - design.shape[1]
    if freedom < 1:
        return np.full(design.shape[1], np.nan)
    spread = np.sum(weight * (y - model.predict(X)) ** 2) / freedom
    return spread * np.diag(np.linalg.pinv((design.T * weight) @ design))


def logistic_variance(model: LogisticRegression, X: Any, y: Any, weight: Any) -> NDArray:
    """Return the variances of a logistic regression's coefficients and intercept: the inverse of Fisher's information.

    The coefficients of several classes add up to zero, which takes the place of a class of reference.
    """
    design = _design(model, X)
    weight = np.ones(len(design)) if weight is None else np.asarray(weight, dtype=np.float64)
    if len(model.classes_) > 2:
        return _multinomial_variance(model, design, weight)
    probability = expit(design @ np.append(model.coef_, model.intercept_)[: design.shape[1]])
    return np.diag(np.linalg.pinv((design.T * (weight * probability * (1 - probability))) @ design))


def _multinomial_variance(model: LogisticRegression, design: NDArray, weight: NDArray) -> NDArray:
    """Return the variances of the coefficients of several classes, then those of their intercepts."""
    n_classes, n_columns = len(model.coef_), design.shape[1]
    own = np.c_[model.coef_, model.intercept_][:, :n_columns] if model.fit_intercept else model.coef_
    p = softmax(design @ own.T, axis=1)[:, :-1]
    # Of the distances from the last class; the coefficients are these, less their mean over all classes.
    curvature = weight[:, None, None] * (p[:, :, None] * np.eye(n_classes - 1) - p[:, :, None] * p[:, None, :])
    blocks = np.einsum("ikl,ia,ib->kalb", curvature, design, design, optimize=True)
    covariance = np.linalg.pinv(blocks.reshape((n_classes - 1) * n_columns, -1)).reshape(blocks.shape)
    centred = (np.eye(n_classes) - 1 / n_classes)[:, :-1]
    variance = np.einsum("ck,kala,cl->ca", centred, covariance, centred)
    n_coefficients = model.coef_.shape[1]
    return np.r_[variance[:, :n_coefficients].ravel(), variance[:, n_coefficients:].ravel()]


def _design(model: Any, X: Any) -> NDArray:
    """Return the columns that a model multiplies by its coefficients, the intercept's last."""
    columns = np.asarray(X, dtype=np.float64)
    return np.c_[columns, np.ones(len(columns))] if model.fit_intercept else columns


CLOSED_FORMS = (
    (LinearRegression, lambda model: not model.positive, ordinary_variance),
    (LogisticRegression, lambda model: model.penalty is None or np.isinf(model.C), logistic_variance),
)
"""Classes, whether what follows holds with an instance's parameters, and the variances of the coefficients."""
