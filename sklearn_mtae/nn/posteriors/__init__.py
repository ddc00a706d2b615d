"""Posteriors: q(z given x), built from the encoder's outputs."""

from collections.abc import Callable

from ._flow import FlowNormal, FlowPosterior, Splines
from ._normal import DiagonalNormal, NormalPosterior, PointPosterior, Posterior, normal_log_prob, quasi_normal

__all__ = [
    "POSTERIORS",
    "DiagonalNormal",
    "FlowNormal",
    "FlowPosterior",
    "NormalPosterior",
    "PointPosterior",
    "Posterior",
    "Splines",
    "normal_log_prob",
    "quasi_normal",
]

POSTERIORS: dict[str, Callable[[int], NormalPosterior]] = {"normal": NormalPosterior, "flow": FlowPosterior}
