"""The units of columns: which are centred and scaled, and by what."""

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_mtae.nn.likelihoods import Likelihood
from sklearn_mtae.nn.models import Standardizer


def set_units(units: Standardizer, likelihood: Likelihood, mean: NDArray, scale: NDArray) -> None:
    """Set location and scale of the columns whose likelihood has them, and start the likelihood from the means."""
    standardized = standardized_columns(likelihood)
    units.set(np.where(standardized, mean, 0.0), np.where(standardized, scale, 1.0))
    likelihood.learn(torch.as_tensor(mean))


def standardized_columns(likelihood: Likelihood) -> NDArray[np.bool_]:
    """Return which columns are centred and scaled before their density is computed."""
    standardized = np.zeros(likelihood.n_columns, dtype=bool)
    for family, columns in likelihood.parts():
        standardized[columns] = family.standardized
    return standardized
