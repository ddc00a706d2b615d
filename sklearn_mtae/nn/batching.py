"""Several models at once: what `torch.func.vmap` gives a function of ours, in one layout."""

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor


def along_first(info: Any, in_dims: tuple, inputs: Iterable[Tensor | None]) -> Iterator[Any]:
    """Yield tensors with the models along a first axis, also those that all models share, which have no such axis.

    Parameters
    ----------
    info : object
        What `vmap` says of itself: the number of models is its `batch_size`.
    in_dims : tuple of (int or None)
        The axis of the models in each input, None where they share it.
    inputs : iterable of (Tensor or None)
        The inputs; None stays None.
    """
    for value, axis in zip(inputs, in_dims, strict=True):
        if value is None:
            yield None
        else:
            yield value.expand(info.batch_size, *value.shape) if axis is None else value.movedim(axis, 0)
