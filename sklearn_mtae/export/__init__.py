"""Fitted estimators without torch: files that numpy alone runs, and ONNX."""

from ._numpy import to_numpy
from ._pipelines import register_converters
from ._to_onnx import to_onnx
from ._trace import NotExportableError

__all__ = ["NotExportableError", "register_converters", "to_numpy", "to_onnx"]
