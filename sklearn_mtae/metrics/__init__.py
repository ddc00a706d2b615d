"""Scores over tables of targets that leave out missing labels, and a report on drawn rows."""

from ._censored import censored_rmse_bounds, concordance_index
from ._deviance import d2_score
from ._draw_scores import crps_score, energy_score, variogram_score
from ._generation_report import GenerationReport, generation_report
from ._intervals import interval_score, joint_coverage
from ._scorer import make_task_scorer
from ._scores import METRICS as METRICS
from ._scores import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    relative_root_mean_squared_error,
    roc_auc_score,
    root_mean_squared_error,
)

__all__ = [
    "GenerationReport",
    "accuracy_score",
    "balanced_accuracy_score",
    "censored_rmse_bounds",
    "concordance_index",
    "crps_score",
    "d2_score",
    "energy_score",
    "generation_report",
    "interval_score",
    "joint_coverage",
    "log_loss",
    "make_task_scorer",
    "mean_absolute_error",
    "r2_score",
    "relative_root_mean_squared_error",
    "roc_auc_score",
    "root_mean_squared_error",
    "variogram_score",
]
