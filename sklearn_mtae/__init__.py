"""Autoencoders and multi-task learning as ordinary scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
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
    from ._verbs.region import JointRegion

__all__ = [
    "AutoencoderTransformer",
    "DegenerateModelWarning",
    "Diagnosis",
    "JointRegion",
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

_MODULES = {
    "AutoencoderTransformer": "_estimators.autoencoder",
    "DegenerateModelWarning": "_verbs.diagnosis",
    "Diagnosis": "_verbs.diagnosis",
    "JointRegion": "_verbs.region",
    "MultiTaskVAE": "_estimators.mixed",
    "MultiTaskVAEClassifier": "_estimators.classifier",
    "MultiTaskVAERegressor": "_estimators.regressor",
    "MultipleImputation": "_estimators.multiple_imputation",
    "OutlierDetector": "_estimators.outliers",
    "PerTaskClassifier": "_estimators.per_task",
    "PerTaskRegressor": "_estimators.per_task",
    "VAEImputer": "_estimators.imputer",
    "VAETransformer": "_estimators.vae",
    "align_columns": "_tables.stack_tasks",
    "stack_tasks": "_tables.stack_tasks",
}
"""Where names come from when they are first used: `sklearn_mtae.runtime` needs neither torch nor scikit-learn."""
_PARTS = {"export", "inspection", "metrics", "model_selection", "nn", "persistence", "runtime"}

if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        """Import what is public when it is first used."""
        if name in _PARTS:
            return import_module(f"{__name__}.{name}")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted({*__all__, *_PARTS})
