"""Likelihoods: the distribution of a column given the code.

A likelihood is one small class. It gives the number of decoder outputs per column, the interval that values must lie
in, and the distribution for given outputs. The base class and the dictionary add masking, checks and contract tests.
"""

from collections.abc import Callable
from functools import partial

from ._base import Likelihood, LogLink
from ._bounded import ContinuousBernoulli
from ._continuous import Gaussian, Laplace, LocationScale, StudentT
from ._discrete import Bernoulli, Categorical, Counts, NegativeBinomial, Poisson
from ._mixed import Mixed
from ._positive import Gamma, LogNormal, Positive
from ._quantile import Quantile
from ._rows import Multinomial, OneHot, WholeRow

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "Counts",
    "Gamma",
    "Gaussian",
    "Laplace",
    "Likelihood",
    "LocationScale",
    "LogLink",
    "LogNormal",
    "Mixed",
    "Multinomial",
    "NegativeBinomial",
    "OneHot",
    "Poisson",
    "Positive",
    "Quantile",
    "StudentT",
    "WholeRow",
]

LIKELIHOODS: dict[str, Callable[[int], Likelihood]] = {
    "gaussian": Gaussian,
    "squared_error": partial(Gaussian, scale=1.0),
    "student_t": StudentT,
    "laplace": Laplace,
    "quantile": Quantile,
    "log_normal": LogNormal,
    "gamma": Gamma,
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "multinomial": Multinomial,
    "categorical": OneHot,
}
