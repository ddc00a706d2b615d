"""Expected warnings: ignored in the thread that expects them, and in no other."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

_expected: ContextVar[tuple[str, ...]] = ContextVar("expected", default=())


class _Expected:
    """Stand-in for a filter's regular expression that matches the warnings that this thread expects."""

    @property
    def pattern(self) -> str:
        """A regular expression for the expected warnings; scikit-learn passes filters to its workers in this form."""
        return "|".join(f"(?:{pattern})" for pattern in _expected.get()) or "(?!)"

    def match(self, text: str) -> bool:
        """Return whether a warning is expected."""
        return re.match(self.pattern, text) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Expected)

    def __hash__(self) -> int:
        return hash(_Expected)


_FILTER = ("ignore", _Expected(), Warning, None, 0)


@contextmanager
def quiet(*patterns: str) -> Iterator[None]:
    """Ignore the warnings of this thread whose text begins with one of the patterns.

    `warnings.catch_warnings` restores all filters of the process; with several threads, one is then left with the
    filters of another. Here a single filter is added and removed, which matches nothing in other threads.
    """
    token = _expected.set((*_expected.get(), *patterns))
    warnings.filters.insert(0, _FILTER)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        with suppress(ValueError):  # a `catch_warnings` that has ended meanwhile
            warnings.filters.remove(_FILTER)  # type: ignore[attr-defined]
        _expected.reset(token)
