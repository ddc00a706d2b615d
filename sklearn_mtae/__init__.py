"""Autoencoders and multi-task learning as ordinary scikit-learn."""

from ._autoencoder import AutoencoderTransformer
from ._classifier import MultiTaskVAEClassifier
from ._diagnosis import DegenerateModelWarning, Diagnosis
from ._imputer import VAEImputer
from ._per_task import PerTaskClassifier, PerTaskRegressor
from ._regressor import MultiTaskVAERegressor
from ._stack_tasks import align_columns, stack_tasks
from ._vae import VAETransformer
from ._version import __version__

__all__ = [
    "AutoencoderTransformer",
    "DegenerateModelWarning",
    "Diagnosis",
    "MultiTaskVAEClassifier",
    "MultiTaskVAERegressor",
    "PerTaskClassifier",
    "PerTaskRegressor",
    "VAEImputer",
    "VAETransformer",
    "__version__",
    "align_columns",
    "stack_tasks",
]
