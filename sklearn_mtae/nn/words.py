"""Wording of errors: short texts for values, long lists of names, and suggestions of the intended name."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from itertools import islice
from typing import Any

from torch import Tensor

MAX_CHARACTERS, MAX_ITEMS, MAX_DEPTH, MAX_NAMES = 80, 6, 3, 20


def short(value: Any, depth: int = 0) -> str:
    """Return a value as an error shows it: arrays by shape and dtype, objects without a short text by class."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, partial):
        return f"a partial of {short(value.func)}"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"the function {value.__qualname__}"
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return _text(value.item())
    if hasattr(value, "shape"):
        dtype = f", dtype={value.dtype}" if hasattr(value, "dtype") else ""
        return f"{type(value).__name__}(shape={tuple(value.shape)}{dtype})"
    if isinstance(value, list | tuple | set | frozenset | dict):
        return _container(value, depth)
    return _text(value)


def _container(value: Any, depth: int) -> str:
    """Return the first items of a container."""
    if depth == MAX_DEPTH:
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, Mapping):
        items = [f"{short(key, depth + 1)}: {short(own, depth + 1)}" for key, own in islice(value.items(), MAX_ITEMS)]
    else:
        items = [short(own, depth + 1) for own in islice(value, MAX_ITEMS)]
    items += [f"... ({len(value)} in all)"] if len(value) > MAX_ITEMS else []
    text = ", ".join(items)
    if isinstance(value, tuple):
        return f"({text},)" if len(value) == 1 else f"({text})"
    return f"[{text}]" if isinstance(value, list) else f"{{{text}}}"


def _text(value: Any) -> str:
    """Return the text of a value that is not a container, on one line."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an object that cannot be shown must not hide the error that shows it
        text = ""
    if not text or re.search(r" at 0x[0-9a-fA-F]+", text) or hasattr(value, "named_parameters"):
        return f"an object of the class {type(value).__name__}"
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."


def listed(names: Iterable[Any]) -> str:
    """Return names as the text of a list; if there are many, the first ones and their number."""
    every = list(names)
    if len(every) <= MAX_NAMES:
        return f"[{', '.join(map(repr, every))}]"
    return f"[{', '.join(map(repr, every[:MAX_NAMES]))}, ... ({len(every)} in all)]"


def suggest(name: Any, known: Iterable[Any]) -> str:
    """Return a question that suggests a similar name, after a space; an empty text if none is similar."""
    by_text = {str(own).lower(): own for own in known}
    close = get_close_matches(str(name).lower(), by_text, n=1, cutoff=0.7)
    return f" Did you mean {by_text[close[0]]!r}?" if close else ""


def suggest_each(names: Iterable[Any], known: Iterable[Any]) -> str:
    """Return `suggest` for the first of several names that resembles a known one."""
    every = list(known)
    return next((text for text in (suggest(name, every) for name in names) if text), "")


@contextmanager
def named(name: str) -> Iterator[None]:
    """Put a name at the start of errors raised in this context, unless they contain it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if name in str(error):
            raise
        raise alike(error)(f"{name}: {error}") from error


def alike(error: TypeError | ValueError | OverflowError) -> type[Exception]:
    """Return the class for an error that replaces another, whose subclass may take other arguments."""
    return ValueError if isinstance(error, ValueError | OverflowError) else TypeError


def ask(function: Callable[..., Any], parameter: str, *inputs: Any) -> Any:
    """Call a user's function; an error that it raises gets a note that names the parameter."""
    try:
        return function(*inputs)
    except Exception as error:
        error.add_note(f"It was raised within the {parameter} of the estimator.")
        raise


def check_shape(value: Any, shape: tuple[int, ...], parameter: str, meaning: str) -> Any:
    """Return a tensor; raise an error that names the parameter if it is not one, or has another shape."""
    if not isinstance(value, Tensor) or value.shape != shape:
        error = ValueError if hasattr(value, "shape") else TypeError
        raise error(f"{parameter} must return {meaning}, a tensor of shape {tuple(shape)}. Got {short(value)} instead.")
    return value
