"""Which device and threads a fit runs on, and what an error says of its memory."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import current_process

import torch

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
    available = {"cuda": n_gpus > 0, "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, present in available.items() if present)
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device={name!r} must be 'auto' or a torch device. {error}") from error
    if available.get(device.type, True):
        return torch.device("cuda", worker_number() % n_gpus) if name == "cuda" else device
    if strict:
        raise ValueError(f"device={name!r} needs a {device.type} device. torch finds none; use device='auto'.")
    return torch.device("cpu")


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
