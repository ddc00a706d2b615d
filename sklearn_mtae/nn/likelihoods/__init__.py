"""Likelihoods: how a column is distributed once the code is known.

A likelihood is one small class: the number of decoder outputs it takes per column, the interval its values must lie
in and the distribution those outputs stand for. Masking, checks and contract tests come with the base class and the
dictionary.
"""

from collections.abc import Callable
from functools import partial

from ._base import Likelihood
from ._continuous import Gaussian, LocationScale, StudentT
from ._discrete import Bernoulli, Categorical, Counts, NegativeBinomial, Poisson
from ._mixed import Mixed

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Categorical",
    "Counts",
    "Gaussian",
    "Likelihood",
    "LocationScale",
    "Mixed",
    "NegativeBinomial",
    "Poisson",
    "StudentT",
]

LIKELIHOODS: dict[str, Callable[[int], Likelihood]] = {
    "gaussian": Gaussian,
    "squared_error": partial(Gaussian, scale=1.0),
    "student_t": StudentT,
    "bernoulli": Bernoulli,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
}
