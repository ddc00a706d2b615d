"""Fitted estimators without torch: files that numpy alone runs, and ONNX."""

from ._numpy import to_numpy
from ._onnx import to_onnx
from ._trace import NotExportableError

__all__ = ["NotExportableError", "to_numpy", "to_onnx"]
