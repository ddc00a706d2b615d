"""Autoencoders and multi-task learning as ordinary scikit-learn."""

from ._estimators.autoencoder import AutoencoderTransformer
from ._estimators.classifier import MultiTaskVAEClassifier
from ._estimators.imputer import VAEImputer
from ._estimators.mixed import MultiTaskVAE
from ._estimators.multiple_imputation import MultipleImputation
from ._estimators.outliers import OutlierDetector
from ._estimators.per_task import PerTaskClassifier, PerTaskRegressor
from ._estimators.regressor import MultiTaskVAERegressor
from ._estimators.vae import VAETransformer
from ._tables.stack_tasks import align_columns, stack_tasks
from ._verbs.diagnosis import DegenerateModelWarning, Diagnosis
from ._version import __version__

__all__ = [
    "AutoencoderTransformer",
    "DegenerateModelWarning",
    "Diagnosis",
    "MultiTaskVAE",
    "MultiTaskVAEClassifier",
    "MultiTaskVAERegressor",
    "MultipleImputation",
    "OutlierDetector",
    "PerTaskClassifier",
    "PerTaskRegressor",
    "VAEImputer",
    "VAETransformer",
    "__version__",
    "align_columns",
    "stack_tasks",
]
