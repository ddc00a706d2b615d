"""A lock for one holder at a time, across threads and processes: it ends with its process, however that ends."""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Optional

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
"""Errors that mean that somebody else holds a lock; others mean that the file system has no locks."""


class Lock:
    """A lock on an empty file that exists only for this purpose.

    Parameters
    ----------
    path : Path
        The file.
    descriptor : int
        The open file.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor: int | None = descriptor
        self._process = os.getpid()

    @classmethod
    def take(cls, path: Path) -> Optional["Lock"]:
        """Return the lock, or None if somebody else holds it.

        Raises
        ------
        OSError
            If the file cannot be made, or if it is a symbolic link.
        """
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
            lock = cls(path, descriptor)
            try:
                _try_lock(descriptor)
            except OSError as error:
                if error.errno in HELD:
                    lock._close()
                    return None
            if lock._is_current():
                return lock
            lock._close()  # its holder has removed the file between the two calls

    def _is_current(self) -> bool:
        """Return whether the locked file is still the one with that name."""
        assert self.descriptor is not None
        try:
            return os.path.samestat(os.fstat(self.descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Release the lock and remove the file."""
        if self.descriptor is None:
            return
        if sys.platform == "win32":  # cannot remove an open file
            self._close()
        with suppress(OSError):
            self.path.unlink()
        self._close()

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        if self._process == os.getpid():  # the copy in a forked process owns nothing
            self.release()
