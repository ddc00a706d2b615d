"""Saving a fitted estimator and loading it again."""

import os
import warnings
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.exceptions import InconsistentVersionWarning

from sklearn_mtae._engine.files import write_file
from sklearn_mtae._version import __version__
from sklearn_mtae.runtime import FileError, read_file

from . import _estimators, _parts, _values
from ._packing import Packing, Unpacking

VERSIONS = {
    "sklearn_mtae": __version__,
    "numpy": np.__version__,
    "scikit-learn": sklearn.__version__,
    "torch": torch.__version__,
}
KINDS = {**_values.KINDS, **_parts.KINDS, **_estimators.KINDS}
CONTENT = "estimator"
"""What a file is said to hold."""


def save(estimator: Any, path: str | os.PathLike) -> None:
    """Save an estimator in a file that holds numbers and names, and no code.

    The file has the layout of safetensors: parameters, columns and versions are JSON in its header. Equal estimators
    give equal bytes. Whatever interrupts the saving, a file that was there before is kept until the new one is whole.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, fitted or not, or a pipeline of them and of those estimators of scikit-learn whose
        state is plain arrays: linear models, naive Bayes, dummies and scalers.
    path : str or PathLike
        Path of the file.

    Raises
    ------
    TypeError
        If something of it cannot be saved, such as a function or a class of your own.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : Load the estimator again.
    trusted_types : What skops may load, for pipelines with any estimator of scikit-learn.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mtae import VAETransformer
    >>> from sklearn_mtae.persistence import load, save
    >>> X, _ = load_iris(return_X_y=True)
    >>> vae = VAETransformer(2, max_iter=5, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(vae, Path(folder) / "vae.mtae")
    ...     again = load(Path(folder) / "vae.mtae")
    >>> float(abs(again.transform(X) - vae.transform(X)).max())
    0.0
    """
    packing = Packing(KINDS, _find)
    try:
        packed = packing.pack(estimator, "")
    except RecursionError as error:
        raise TypeError("A parameter must not be nested without end to be saved. One holds itself.") from error
    if not isinstance(packed, dict) or packed["type"] != "estimator":
        raise TypeError(f"save takes an estimator. Got {type(estimator).__name__}.")
    write_file(path, {"content": CONTENT, "versions": VERSIONS, "estimator": packed}, packing.arrays)


def load(path: str | os.PathLike) -> Any:
    """Load an estimator that `save` has saved; nothing of the file is executed.

    It predicts what the saved one did, and its training can be continued. Files of earlier versions of this package
    can be loaded.

    Parameters
    ----------
    path : str or PathLike
        Path of the file.

    Returns
    -------
    estimator
        The estimator.

    Raises
    ------
    FileError
        If the file is damaged, cut, of another kind, or of a newer version of this package.
    OSError
        If it cannot be opened.

    Warns
    -----
    InconsistentVersionWarning
        If it holds estimators of another version of scikit-learn.

    See Also
    --------
    save : Save an estimator, with an example.
    """
    header, arrays = read_file(path)
    if header.get("content") != CONTENT:
        raise FileError(
            f"{os.fspath(path)!r} must hold an estimator. It holds {header.get('content')!r}: an exported model is "
            "loaded by sklearn_mtae.runtime.load."
        )
    try:
        packed, saved = header["estimator"], header["versions"]["scikit-learn"]
        if packed["type"] != "estimator":
            raise ValueError("there is no estimator")
        estimator = Unpacking(KINDS, arrays).unpack(packed)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        reason = f"its content is not admissible: {type(error).__name__}, {error}."
        raise FileError(f"{os.fspath(path)!r} cannot be read: {reason}") from error
    if saved != sklearn.__version__ and _estimators.has_foreign(packed):
        _warn_of_version(type(estimator).__name__, saved)
    return estimator


def _find(value: Any) -> str | None:
    """Return the kind of an object."""
    return _estimators.find(value) or _parts.find(value) or _values.find(value)


def _warn_of_version(name: str, saved: str) -> None:
    """Warn of estimators of another version of scikit-learn, as it does itself."""
    versions = {"current_sklearn_version": sklearn.__version__, "original_sklearn_version": saved}
    warnings.warn(InconsistentVersionWarning(estimator_name=name, **versions), stacklevel=3)
