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

    The penalty of the contractive autoencoder (Rifai et al. 2011). `E|v' J|^2 = |J|_F^2` for random signs v (Hutchinson
    1990), so one product with the Jacobian is enough, whatever the number of columns and components.
    """
    signs = torch.empty_like(code).bernoulli_(0.5, generator=generator).mul_(2).sub_(1)
    product = torch.func.vjp(encode, x)[1]
    return product(signs)[0].square().sum(-1)


def ridge(encode: Encode, x: Tensor, code: Tensor, generator: Generator | None = None) -> Tensor:
    """Return half the squared norm of each row's code, shape (n_rows,).

    The rate of a VAE whose posterior has a fixed variance, up to a constant (Ghosh et al. 2020, arXiv 1903.12436).
    """
    return 0.5 * code.square().sum(-1)


PENALTIES: dict[str, Callable[..., Tensor]] = {"sparse": sparse, "contractive": contractive, "ridge": ridge}
