"""Displays of the results of the estimators and of the tools around them."""

from ._generation_report import GenerationReportDisplay
from ._joint_samples import JointSamplesDisplay
from ._latent import LatentDisplay
from ._loss_curve import LossCurveDisplay
from ._reconstruction import ReconstructionDisplay
from ._sample import SampleDisplay
from ._task_transfer import TaskTransferDisplay
from ._traversal import TraversalDisplay

__all__ = [
    "GenerationReportDisplay",
    "JointSamplesDisplay",
    "LatentDisplay",
    "LossCurveDisplay",
    "ReconstructionDisplay",
    "SampleDisplay",
    "TaskTransferDisplay",
    "TraversalDisplay",
]
