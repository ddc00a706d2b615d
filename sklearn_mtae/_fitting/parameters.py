"""Parameters as values: copies that nobody else can change, and comparison of two parameters."""

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from numbers import Number
from typing import Any

import numpy as np
from torch import Tensor


def is_auto(value: Any) -> bool:
    """Return whether a parameter is left to the estimator."""
    return isinstance(value, str) and value == "auto"


def copied(value: Any) -> Any:
    """Return a copy that does not change with the original; functions and uncopyable objects are kept.

    NumPy's scalars become Python's, which have methods that networks of other packages need.
    """
    if isinstance(value, np.generic):
        return value.item()
    try:
        return deepcopy(value)
    except TypeError:  # a lock, a generator or an open file within a user's object
        return value


def same(a: Any, b: Any) -> bool:
    """Return whether two values of a parameter mean the same: 2 and `np.int64(2)`, `[16]` and `(16,)`."""
    if a is b:
        return True
    a, b = (value.tolist() if isinstance(value, np.ndarray | Tensor) else value for value in (a, b))
    if isinstance(a, Number | np.bool_) and isinstance(b, Number | np.bool_):
        return bool(a == b or (a != a and b != b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and _same_content(a, b)


def _same_content(a: Any, b: Any) -> bool:
    """Return whether two objects of a type are equal; without an own equality, their contents are compared."""
    if isinstance(a, partial):
        return same([a.func, a.args, a.keywords], [b.func, b.args, b.keywords])
    if type(a).__eq__ is not object.__eq__:
        return bool(a == b)
    return hasattr(a, "__dict__") and not isinstance(a, type) and same(a.__getstate__(), b.__getstate__())
