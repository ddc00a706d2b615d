"""Ctrl-C during a fit: it ends the training, and the steps after the training are completed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Self


class Interrupts:
    """The user's interrupts within a block.

    Unless held, they raise as usual, and it is recorded that they come from the user: callbacks raise
    `KeyboardInterrupt` too, to end a training cleanly. If they are held, the first one waits.

    Only the main thread is interrupted; in other threads, and if the program ignores SIGINT, this does nothing.
    """

    def __init__(self) -> None:
        self.n_pressed = 0
        """How often the user has interrupted."""
        self.is_waiting = False
        """Whether an interrupt waits."""
        self._held = False
        self._before: Any = None
        self._token: Token | None = None

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        before = signal.getsignal(signal.SIGINT)
        if callable(before) and threading.current_thread() is threading.main_thread():
            self._before = before
            signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *error: Any) -> None:
        assert self._token is not None
        _current.reset(self._token)
        if self._before is not None and signal.getsignal(signal.SIGINT) == self._interrupt:
            signal.signal(signal.SIGINT, self._before)
        if error[0] is None and self.is_waiting:  # nobody has reported it
            signal.raise_signal(signal.SIGINT)

    def _interrupt(self, number: int, frame: Any) -> None:
        self.n_pressed += 1
        if self._held and self.n_pressed == 1:
            self.is_waiting = True
        else:
            self.is_waiting = False
            self._before(number, frame)

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Let interrupts raise in this context, a waiting one at once; afterwards, the first one is held."""
        self._held = False
        try:
            if self.is_waiting:
                self.is_waiting = False
                raise KeyboardInterrupt
            yield
        finally:
            self._held = True


_current: ContextVar[Interrupts | None] = ContextVar("interrupts", default=None)


def interrupts() -> Interrupts:
    """Return the interrupts of the running fit."""
    return _current.get() or Interrupts()
