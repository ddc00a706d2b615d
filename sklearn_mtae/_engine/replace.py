"""Replacing a file: an interrupted write keeps the old one."""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

UNFINISHED = r"\.[a-z0-9_]{8}\.tmp"
"""How the name of a file ends that is being written; the name of the file to replace stands before it."""


def replace_file(path: Path, *parts: Any, mode: int | None = None) -> None:
    """Replace a file with a new one, once all of it is on the disk.

    `mode` holds its permissions, within the process's mask; None keeps those of the file that is replaced.
    """
    path = Path(os.path.realpath(path))  # a link goes on pointing to it
    name = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(name, "xb", opener=lambda name, flags: os.open(name, flags, 0o666 if mode is None else mode)) as file:
            if mode is None and path.exists():
                shutil.copymode(path, name)
            _write(file, parts)
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _flush_folder(path.parent)


def _write(file: BinaryIO, parts: tuple) -> None:
    """Write to the disk, not only to the system's memory."""
    for part in parts:
        file.write(part)
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Write the file's new name to the disk too, if the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
