"""The device and threads that a fit runs on, and errors of their memory."""

import ctypes
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from multiprocessing import current_process
from typing import Any

import torch
from torch import nn

from sklearn_mtae.nn.words import suggest

LARGE_PRODUCT = 2**24
"""Multiplications and additions from which a matrix product runs on several threads: on one thread it takes some 300
microseconds. torch's threads spin while they wait for each other and for more work. Beside another busy process they
wait for a processor, which takes milliseconds, after each operation that they share."""

_PROCESS = os.getpid()
"""The process that has imported this; a fork of it finds its number here."""
_here = threading.local()
"""The user's number of torch threads for this thread, while another is set."""


def resolve_device(name: str, *, strict: bool) -> torch.device:
    """Return the device of a name; "auto" is CUDA, then MPS, then the CPU.

    If the requested device is absent, raise an error (`strict`) or use the CPU. Worker processes of joblib, whose names
    end in a number, share the visible GPUs.

    Parameters
    ----------
    name : str
        "auto" or a torch device.
    strict : bool
        Whether the device must be there.
    """
    # Count devices without initialising them: a process that has used CUDA cannot be forked into workers that use it.
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
    """Return whether a device of a rare kind holds readable numbers."""
    try:
        return torch.zeros((), device=device).item() == 0
    except (RuntimeError, AssertionError, ImportError, NotImplementedError):  # each kind fails in its own way
        return False


def _absent(name: str, present: dict[str, int]) -> ValueError:
    """Return the error for a missing device."""
    here = ["auto", *(kind for kind, number in present.items() if number)]
    here += [f"cuda:{position}" for position in range(present["cuda"])]
    none = "" if present["cuda"] else " torch finds no CUDA device."
    hint = " An NVIDIA GPU is called 'cuda'." if name.lower() == "gpu" else suggest(name, here)
    return ValueError(f"device={name!r} must be one of the available devices, {here}.{none}{hint}")


@contextmanager
def threads_for(n_products: int) -> Iterator[None]:
    """Let torch use one thread, or its configured number if that pays and the threads are alive.

    The previous setting is restored afterwards, and other threads of the process are not affected.

    A fork copies only the forking thread. torch's pool then has no live threads, and torch would wait for them forever:
    in a forked process, it uses one thread.

    Parameters
    ----------
    n_products : int
        Multiplications and additions in the largest matrix product of a model: see `LARGE_PRODUCT`.
    """
    before, outermost = torch.get_num_threads(), not hasattr(_here, "given")
    given = before if outermost else _here.given
    n_threads = given if n_products >= LARGE_PRODUCT else 1
    if n_threads > 1 and os.getpid() != _PROCESS:
        _warn_of_fork()
        n_threads = 1
    _here.given = given
    undo = _set_threads(n_threads) if n_threads != before else None
    try:
        yield
    finally:
        if outermost:
            del _here.given
        if undo is not None:
            undo()


def _warn_of_fork() -> None:
    warnings.warn(
        "This process was forked from one in which torch may have started threads. A fork does not copy them, and "
        "torch would wait for them forever: it works with one thread here. Call torch.set_num_threads(1) in the "
        "worker, or start workers afresh (joblib's 'loky', multiprocessing's 'spawn').",
        RuntimeWarning,
        stacklevel=5,
    )


def _set_threads(number: int) -> Callable[[], Any]:
    """Let operations of this thread run on a number of threads; return a function that undoes it.

    `torch.set_num_threads` would permanently set it for threads that start meanwhile too.
    """
    before = torch.get_num_threads()
    pools = _pools()
    if pools is None:
        torch.set_num_threads(number)
        return partial(torch.set_num_threads, before)
    set_openmp, set_mkl = pools
    set_openmp(number)
    own = set_mkl(number)

    def undo() -> None:
        set_openmp(before)
        set_mkl(own)

    return undo


@cache
def _pools() -> tuple[Callable[[int], Any], Callable[[int], Any]] | None:
    """Return functions that set the threads of OpenMP, and of MKL if torch has it, for the calling thread.

    None if they are not found through torch, as on Windows.
    """
    torchs = ctypes.CDLL(torch._C.__file__)
    try:
        return torchs.omp_set_num_threads, getattr(torchs, "MKL_Set_Num_Threads_Local", int)
    except AttributeError:
        return None


def worker_number() -> int:
    """Return the position of this process among its parent's workers; 0 if it is not a worker."""
    number = re.search(r"[-:](\d+)$", current_process().name)
    return int(number.group(1)) - 1 if number else 0


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory could not be allocated."""
    texts = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(text in str(error) for text in texts)


def give_back(device: torch.device) -> None:
    """Free unused memory of a device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def largest_product(model: nn.Module, n_rows: int) -> int:
    """Return the multiplications and additions in a model's largest matrix product with this number of rows."""
    return n_rows * max((parameter.numel() for parameter in model.parameters() if parameter.dim() > 1), default=0)
