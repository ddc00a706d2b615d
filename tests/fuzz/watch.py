"""One call under watch: its result, or its error, and what it did that no call may do."""

import io
import os
import random
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from dis import opname
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import sklearn
import torch
from scipy.sparse import issparse
from sklearn.exceptions import NotFittedError

from .cells import cells_of

__all__ = ["Call", "Untouched", "kind_of_text", "watched"]

CLEAR = (ValueError, TypeError, NotImplementedError, ImportError, NotFittedError)
"""Errors that may reach a user. Subclasses of them are someone else's: a LinAlgError is a ValueError."""
INNER = re.compile(
    r"mat1 and mat2|linalg|broadcast|NoneType|out of range|LinAlgError|size mismatch|unhashable|must match the size|"
    r"shape mismatch|not subscriptable|truth value|Triggered internally|expected scalar type|positional argument|"
    r"unexpected keyword|object has no attribute|cannot reshape|not supported between|could not be promoted|"
    r"degrees of freedom|not writ[e]?able|cholesky|singular|Expected .* to have|same dtype|casting|cpu\(\)|numpy array "
    r"is not|empty slice|invalid value encountered|divide by zero|overflow encountered|unsupported operand|arg[0-9]|"
    r"zero-size array",
    re.IGNORECASE,
)
"""Words of torch's, numpy's and Python's own messages, which say nothing to a user of this package."""
SPECS = map(find_spec, ("sklearn_mtae", "sklearn", "skorch", "narwhals"))
WRITERS = [Path(spec.origin or "").parent for spec in SPECS if spec]
"""Packages whose errors are written for users; scikit-learn 1.7 does without narwhals."""
HEADS = re.compile(r"sklearn/(linear_model|tree|dummy|naive_bayes)")
"""Estimators that users bring; what they raise is theirs."""


@dataclass
class Call:
    """What became of a call."""

    label: str
    value: Any = None
    error: BaseException | None = None
    findings: list[tuple[str, str]] = field(default_factory=list)
    """Invariants that do not hold, and how."""

    @property
    def failed(self) -> bool:
        """Whether it ended in an error."""
        return self.error is not None


class Untouched:
    """Copies of what a caller owns, to see later whether it is as it was."""

    def __init__(self, **objects: Any) -> None:
        self.objects = objects
        self.hashes = {name: _content(value) for name, value in objects.items()}

    def changes(self) -> list[tuple[str, str]]:
        """Return which of the objects have changed."""
        changed = [name for name, value in self.objects.items() if _content(value) != self.hashes[name]]
        return [("caller's objects unchanged", f"{name} has changed") for name in changed]


def _content(value: Any) -> str:
    """Return a hash of the contents, of dtypes and of the memory's layout."""
    layout = ()
    if isinstance(value, np.ndarray):
        layout = (value.strides, value.flags.writeable, value.dtype.str)
    if isinstance(value, pd.DataFrame | pd.Series):  # a pickle of which holds what it has computed so far
        frame = pd.DataFrame(value)
        axes = [str(frame.index), str(frame.columns), list(map(str, frame.dtypes)), getattr(value, "name", None)]
        value = [*axes, [list(map(repr, row)) for row in cells_of(frame)[0]]]
    if issparse(value):  # which keeps in mind whether it is sorted
        value = (value.format, value.shape, value.tocoo().coords, value.data, vars(value).get("indptr"))
    try:
        return joblib.hash((value, layout))
    except Exception:  # what cannot be pickled
        return repr(value)


def global_state() -> dict[str, Any]:
    """Return what belongs to the whole process, and to none of its calls."""
    return {
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "numpy's random state": joblib.hash(np.random.get_state(legacy=False)),  # noqa: NPY002
        "Python's random state": hash(random.getstate()),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's threads": torch.get_num_threads(),
        "torch's grad mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "torch's determinism": torch.are_deterministic_algorithms_enabled(),
        "torch's autocast": torch.is_autocast_enabled("cpu"),
        "warning filters": list(warnings.filters),
        "numpy's errors": np.geterr(),
        "numpy's printing": repr(np.get_printoptions()),
        "scikit-learn's configuration": sklearn.get_config(),
        "environment": dict(os.environ),
        "directory": os.getcwd(),
    }


def watched(label: str, function: Callable[..., Any], *args: Any, exempt: tuple[str, ...] = (), **kwargs: Any) -> Call:
    """Call a function, and look at what it does beside returning something."""
    call, printed = Call(label), io.StringIO()
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(printed):
        warnings.simplefilter("always")
        before, n_modules = global_state(), len(sys.modules)
        try:
            call.value = function(*args, **kwargs)
        except Exception as error:
            call.error = error
        after = global_state()
    # What a library does when it is first imported is its own.
    exempt += ("warning filters", "environment") if len(sys.modules) > n_modules else ()
    call.findings += [("global states unchanged", k) for k in before if before[k] != after[k] and k not in exempt]
    call.findings += [("prints nothing", printed.getvalue())] if printed.getvalue() else []
    if not re.search("infinity", str(call.error)):  # scikit-learn adds up infinities, and numpy warns, to find them
        call.findings += [("warnings are the package's own", text) for text in map(_bad_warning, caught) if text]
    if call.error is not None:
        call.findings += [("errors are clear", text) for text in _bad_error(call.error)]
    return call


OWN = {"sklearn_mtae", "sklearn", "narwhals"}


def _bad_warning(warning: Any) -> str | None:
    """Return what is wrong with a warning: its category, or that it comes from within a library."""
    category, text = warning.category, str(warning.message)
    of_scores = warning.filename.endswith("sklearn/model_selection/_search.py")  # a search adds up infinite ones
    if HEADS.search(warning.filename) or of_scores:
        return None
    own = category is UserWarning or category.__module__.split(".")[0] in OWN
    foreign = re.search(r"site-packages/(?!sklearn/|sklearn_mtae/|joblib/)", warning.filename)
    if own and not foreign and not INNER.search(text):
        return None
    return f"{category.__name__}: {text} ({Path(warning.filename).name}:{warning.lineno})"


def _bad_error(error: BaseException) -> Iterator[str]:
    """Yield what is wrong with an error: its type, its words, or that nobody wrote it for a user."""
    text, frames = str(error).strip(), list(traceback.walk_tb(error.__traceback__))
    shown = f"{type(error).__name__}: {text[:300]}"
    if any(HEADS.search(frame.f_code.co_filename) for frame, _ in frames):
        return
    if type(error) not in CLEAR and type(error).__module__.split(".")[0] not in OWN:
        yield f"{shown} (type of the error)"
    elif not text or INNER.search(text):
        yield f"{shown} (words of the error)"
    elif not _is_written(error):
        yield f"{shown} (raised within a library)"


def _is_written(error: BaseException) -> bool:
    """Return whether a statement `raise` of this package, scikit-learn, which reads frames by narwhals, or skorch."""
    tb = error.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    assert tb is not None
    code = tb.tb_frame.f_code
    by_statement = opname[code.co_code[tb.tb_lasti]] == "RAISE_VARARGS"
    return by_statement and any(folder in Path(code.co_filename).parents for folder in WRITERS)


def kind_of_text(text: str) -> str:
    """Return a message without what it says of one case: names, numbers, lists."""
    text = re.sub(r"\[[^\]]*\]|\([^)]*\)|\{[^}]*\}|'[^']*'|\"[^\"]*\"|[-+]?\d[\d.]*(e[-+]?\d+)?", "_", text)
    return re.sub(r"\s+", " ", text)[:110]
