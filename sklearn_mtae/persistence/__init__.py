"""Estimators in files without pickle: nothing is executed when one is loaded."""

from sklearn_mtae.runtime import FileError

from ._saving import load, save
from ._trusted import trusted_types

__all__ = ["FileError", "load", "save", "trusted_types"]
