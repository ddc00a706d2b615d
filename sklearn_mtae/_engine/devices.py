"""Which device and threads a fit runs on, and what an error says of its memory."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import current_process

import torch

from sklearn_mtae.nn.words import suggest

_PROCESS = os.getpid()
"""The process that has imported this; one that is forked from it finds its number here."""


def resolve_device(name: str, *, strict: bool) -> torch.device:
    """Return the device of that name; "auto" is CUDA, then MPS, then the CPU.

    Where one that was asked for is absent, an error (`strict`) or the CPU. Worker processes of joblib, whose names end
    in a number, share out the visible GPUs.

    Parameters
    ----------
    name : str
        "auto" or a torch device.
    strict : bool
        Whether the device must be there.
    """
    # Counted, not initialised: a process that has touched CUDA cannot be forked into workers that use it.
    n_gpus = torch.cuda.device_count()
    present = {"cuda": n_gpus, "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if name == "auto":
        name = next(kind for kind, number in present.items() if number)
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise _absent(name, present) from error
    number = present[device.type] if device.type in present else int(_works(device))
    if (device.index or 0) < number:
        return torch.device("cuda", worker_number() % n_gpus) if name == "cuda" else device
    if strict:
        raise _absent(name, present)
    return torch.device("cpu")


def _works(device: torch.device) -> bool:
    """Return whether a device of a rare kind holds numbers that can be read."""
    try:
        return torch.zeros((), device=device).item() == 0
    except (RuntimeError, AssertionError, ImportError, NotImplementedError):  # each kind refuses in its own way
        return False


def _absent(name: str, present: dict[str, int]) -> ValueError:
    """Return the error of a device that is not here."""
    here = ["auto", *(kind for kind, number in present.items() if number)]
    here += [f"cuda:{position}" for position in range(present["cuda"])]
    none = "" if present["cuda"] else " torch finds no CUDA device."
    hint = " A GPU of NVIDIA is called 'cuda'." if name.lower() == "gpu" else suggest(name, here)
    return ValueError(f"device={name!r} must be one of those that are here, {here}.{none}{hint}")


@contextmanager
def living_threads() -> Iterator[None]:
    """Let torch work with threads that there are: in a process that was forked, with one.

    A fork copies the thread that forks and no other. torch's pool is then one of names alone, for which it would wait
    forever.
    """
    n_threads = torch.get_num_threads()
    if os.getpid() == _PROCESS or n_threads == 1:
        yield
        return
    warnings.warn(
        "This process was forked from one in which torch may have started threads. A fork does not copy them, and "
        "torch would wait for them forever: it works with one thread here. Call torch.set_num_threads(1) in the "
        "worker, or start workers afresh (joblib's 'loky', multiprocessing's 'spawn').",
        RuntimeWarning,
        stacklevel=4,
    )
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def worker_number() -> int:
    """Return the position of this process among its parent's workers, 0 for one that is no worker."""
    number = re.search(r"[-:](\d+)$", current_process().name)
    return int(number.group(1)) - 1 if number else 0


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory could not be had."""
    texts = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(text in str(error) for text in texts)


def give_back(device: torch.device) -> None:
    """Give the memory of a device back that nothing uses any more."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
