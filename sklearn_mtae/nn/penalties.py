"""Penalties on the code, added to the loss."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

Encode = Callable[[Tensor], Tensor]


def sparse(encode: Encode, x: Tensor, code: Tensor, generator: Generator | None = None) -> Tensor:
    """Return the L1 norm of each row's code, shape (n_rows,)."""
    return code.abs().sum(-1)


def contractive(encode: Encode, x: Tensor, code: Tensor, generator: Generator | None = None) -> Tensor:
    """Return an unbiased estimate of the encoder's squared Jacobian norm at each row, shape (n_rows,).

    The penalty of the contractive autoencoder (Rifai et al. 2011). `E|J v|^2 = |J|_F^2` for random signs v (Hutchinson
    1990), so one Jacobian-vector product serves, whatever the number of columns.
    """
    signs = torch.empty_like(x).bernoulli_(0.5, generator=generator).mul_(2).sub_(1)
    _, product = torch.func.jvp(encode, (x,), (signs,))
    return product.square().sum(-1)


PENALTIES: dict[str, Callable[..., Tensor]] = {"sparse": sparse, "contractive": contractive}
