"""Which device a fit runs on, and what an error says of its memory."""

import re
from multiprocessing import current_process

import torch


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
