"""A long fit that can be resumed after its process has ended: the state written after each epoch."""

import errno
import os
import re
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from .lock import Lock
from .replace import UNFINISHED, replace_file

MAGIC = b"sklearn_mtae checkpoint 1\n"
"""The start of each file; the SHA-256 of the rest follows."""
N_HEADER = len(MAGIC) + sha256().digest_size


class Checkpoint:
    """The file that a training is saved to; nobody else uses it meanwhile.

    Parameters
    ----------
    path : str or PathLike
        Path of the file.
    identify : callable
        Returns a text that only an equal fit with equal data has. Not called if the path is invalid.

    Raises
    ------
    ValueError
        If it is not a path of a file, if another fit uses it, or if the file there is not the complete file of a fit
        with that identity.
    """

    def __init__(self, path: str | os.PathLike, identify: Callable[[], str]) -> None:
        self.path = _check_path(path)
        self._lock = _own(self.path)
        try:
            self.identity = identify()
            _clear(self.path)
            self.saved = self._load() if self.path.exists() else None
        except BaseException:
            self.release()
            raise
        self.seed: int | None = None if self.saved is None else self.saved["seed"]
        """Seed of the fit."""

    def _load(self) -> dict[str, Any]:
        """Return the content of the file; its bytes are verified before they are read."""
        data = self.path.read_bytes()
        if not data.startswith(MAGIC):
            raise self._refusal("is empty" if not data else "was not written by this version of sklearn_mtae")
        if data[len(MAGIC) : N_HEADER] != sha256(data[N_HEADER:]).digest():
            raise self._refusal("is damaged: bytes of it are missing or have changed")
        saved = torch.load(BytesIO(data[N_HEADER:]), map_location="cpu", weights_only=True)
        if saved["identity"] != self.identity:
            raise self._refusal("holds another one")
        return saved

    def _refusal(self, what: str) -> ValueError:
        return ValueError(
            f"checkpoint must be the whole file of a fit of the same parameters and data. {str(self.path)!r} {what}: "
            "delete it, or give each fit a file of its own."
        )

    def save(self, net: Any) -> None:
        """Save everything that the rest of the training depends on; an interrupted write keeps the previous file.

        Raises
        ------
        OSError
            If it cannot be written. The previous file is kept.
        """
        (run,) = net.runs_.runs
        state = {
            "identity": self.identity,
            "seed": self.seed,
            "module": net.module_.state_dict(),
            "criterion": net.criterion_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "order": run.order.get_state(),
            "noise": net.noise_.get_state(),
            "step": net.step_,
            "best": net.best_,
            "history": list(net.history),
            "rows": run.member.history,
            "stopping": (run.best_loss, run.misses, net.runs_.best_weights),
        }
        payload = BytesIO()
        try:
            torch.save(state, payload)
            replace_file(self.path, MAGIC + sha256(payload.getbuffer()).digest(), payload.getbuffer(), mode=0o600)
        except OSError as error:
            code, reason = error.errno or errno.EIO, error.strerror or str(error)
            written = "The file of the epoch before is still there." if self.path.exists() else "There is none yet."
            raise OSError(code, f"checkpoint could not be written: {reason}. {written}", str(self.path)) from error

    def restore(self, net: Any) -> int:
        """Resume a net where it was saved, if it was; return the number of completed epochs."""
        saved, self.saved = self.saved, None
        if saved is None:
            return 0
        (run,) = net.runs_.runs
        net.module_.load_state_dict(saved["module"])
        net.criterion_.load_state_dict(saved["criterion"])
        net.optimizer_.load_state_dict(saved["optimizer"])
        run.order.set_state(saved["order"])
        net.noise_.set_state(saved["noise"])
        net.step_, net.best_ = saved["step"], saved["best"]
        net.history.extend(saved["history"])
        run.member.history[:] = saved["rows"]
        run.best_loss, run.misses, weights = saved["stopping"]
        net.runs_.best_weights = {name: value.to(net.device) for name, value in weights.items()}
        return len(saved["history"])

    def remove(self) -> None:
        """Remove the file: the fit is done."""
        self.path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let others use the file."""
        self._lock.release()


def _check_path(path: str | os.PathLike) -> Path:
    """Return a path at which a file can be."""
    given = os.fsdecode(path)
    place = Path(given)
    if not given or "\0" in given or place.is_dir():
        raise ValueError(f"checkpoint must be the path of a file. Got {given!r}{', a folder' * bool(given)}.")
    if not place.parent.is_dir():
        raise ValueError(
            f"checkpoint must lie in an existing folder. Got {given!r}; create {str(place.parent)!r} first."
        )
    if place.exists() and not place.is_file():
        raise ValueError(f"checkpoint must be the path of a file. Got {given!r}, a device or the like.")
    return place.absolute()  # a callback may change the folder


def _own(path: Path) -> Lock:
    """Return the ownership of a path."""
    try:
        lock = Lock.take(path.with_name(f".{path.name}.lock"))
    except OSError as error:
        raise ValueError(
            f"checkpoint must lie in a folder that can be written to. {str(path)!r} does not: {error.strerror}."
        ) from error
    if lock is None:
        raise ValueError(
            f"checkpoint must be used by one fit at a time. Another one is writing to {str(path)!r}: each fit needs a "
            "file of its own. In a search, leave checkpoint out, or fit the candidates one after the other."
        )
    return lock


def _clear(path: Path) -> None:
    """Remove the leftovers of a process killed while writing; `replace_file` gave them their names."""
    left = re.compile(re.escape(f".{path.name}") + UNFINISHED)
    for other in path.parent.iterdir():
        if left.fullmatch(other.name):
            other.unlink(missing_ok=True)
