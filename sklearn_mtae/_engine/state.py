"""Conversion between a torch module and a fitted estimator's state, a dict of numpy arrays."""

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sklearn_mtae.nn.quiet import quiet
from sklearn_mtae.nn.traits import declared

M = TypeVar("M", bound=nn.Module)


def dump(module: nn.Module) -> dict[str, NDArray]:
    """Return a module's parameters and buffers as arrays of their own."""
    return {name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()}


def load(module: M, state: dict[str, NDArray], dtype: torch.dtype) -> M:
    """Put saved arrays into a module, cast to `dtype` except what its parts call `exact`, which is kept in float64.

    Arrays of the right dtype are shared, not copied: memory-mapped weights stay one copy for all processes.
    """
    # Read-only memory maps. Inference writes to no array, and training gets copies.
    with quiet("The given NumPy array is not writable"):
        tensors = {name: torch.from_numpy(np.asarray(array)) for name, array in state.items()}
    cast = {name: value.to(dtype) if value.is_floating_point() else value for name, value in tensors.items()}
    # The saved parameters replace the initial ones before these are cast: a large model would exist twice.
    module.load_state_dict(cast, assign=True)
    module.to(dtype)
    for name, part in module.named_modules():
        for buffer in declared(part, "exact"):
            value = state[f"{name}.{buffer}"]
            part.register_buffer(buffer, torch.tensor(value, dtype=torch.float64))
    return module


def place(module: M, device: torch.device) -> M:
    """Move a module to a device; Apple's has no float64."""
    return (module.float() if device.type == "mps" else module).to(device)
