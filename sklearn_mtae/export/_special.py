"""Functions that neither numpy nor all of ONNX Runtime has, by operations that both have.

They are polynomials in a variable that makes them smooth, fitted when they are first needed, to about 1e-10.
"""

from collections.abc import Callable
from functools import cache
from math import log, pi, sqrt
from typing import Any

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch import Tensor

N_ERFC, N_NDTRI = 14, 22
"""Degrees of the polynomials."""
LEAST = 1e-8
"""Least probability of which the normal quantile is known: quasi-random points are not nearer to 0 or 1."""
SHIFT = 8
"""Steps by which the argument of a gamma function is raised before Stirling's series is used."""


@cache
def _erfc_terms() -> list[float]:
    """Return the polynomial of `log(erfcx(z) / t)` in `2 t - 1`, where `t = 2 / (2 + z)`, for `z >= 0`."""

    def smooth(at: Any) -> Any:
        t = np.maximum((at + 1) / 2, 1e-12)
        return (torch.special.erfcx(torch.from_numpy(2 / t - 2)) / torch.from_numpy(t)).log().numpy()

    return chebyshev.cheb2poly(chebyshev.chebinterpolate(smooth, N_ERFC)).tolist()


@cache
def _ndtri_terms() -> tuple[list[float], float, float]:
    """Return the polynomial of the upper normal quantile of `exp(-w^2 / 2)`, and the interval of `w`."""
    low, high = sqrt(2 * log(2)), sqrt(-2 * log(LEAST))

    def smooth(at: Any) -> Any:
        w = low + (at + 1) / 2 * (high - low)
        return -torch.special.ndtri(torch.from_numpy(np.exp(-(w**2) / 2))).numpy()

    return chebyshev.cheb2poly(chebyshev.chebinterpolate(smooth, N_NDTRI)).tolist(), low, high


def _polynomial(terms: list[float], x: Tensor) -> Tensor:
    """Evaluate a polynomial by Horner's rule."""
    value = x * terms[-1] + terms[-2]
    for term in reversed(terms[:-2]):
        value = value * x + term
    return value


def _erfcx_above(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return t and the logarithm of `erfcx(z) / t`, for `z >= 0`."""
    t = 2 / (2 + z)
    return t, _polynomial(_erfc_terms(), 2 * t - 1)


def erfc(x: Tensor) -> Tensor:
    """Return the complement of the error function."""
    z = x.abs()
    t, exponent = _erfcx_above(z)
    above = t * (exponent - z * z).exp()
    return torch.where(x < 0, 2 - above, above)


def erf(x: Tensor) -> Tensor:
    """Return the error function."""
    return 1 - erfc(x)


def erfcx(x: Tensor) -> Tensor:
    """Return the scaled complement of the error function."""
    z = x.abs()
    t, exponent = _erfcx_above(z)
    above = t * exponent.exp()
    return torch.where(x < 0, 2 * (z * z).exp() - above, above)


def ndtri(p: Tensor) -> Tensor:
    """Return the normal quantile of probabilities that are not nearer than `LEAST` to 0 or 1."""
    terms, low, high = _ndtri_terms()
    w = (-2 * torch.minimum(p, 1 - p).log()).sqrt()
    upper = _polynomial(terms, (w - low) * (2 / (high - low)) - 1)
    return torch.where(p < 0.5, -upper, upper)


def lgamma(x: Tensor) -> Tensor:
    """Return the logarithm of the gamma function, for positive numbers."""
    raised, product = x, torch.zeros_like(x)
    for _ in range(SHIFT):
        product = product + raised.log()
        raised = raised + 1
    square = 1 / (raised * raised)
    series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / raised
    return (raised - 0.5) * raised.log() - raised + 0.5 * log(2 * pi) + series - product


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """Return `x` times the normal distribution function of `x`, or an approximation of it by a tangent."""
    if approximate == "tanh":
        return 0.5 * x * (1 + (sqrt(2 / pi) * (x + 0.044715 * x * x * x)).tanh())
    return 0.5 * x * erfc(x * -sqrt(0.5))


def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """Return `x` where it is positive, else a scaled exponential, both times a number."""
    below = alpha * ((x * input_scale).clamp(max=0).exp() - 1)
    return scale * torch.where(x > 0, x, below)


def logit(x: Tensor, eps: float | None = None) -> Tensor:
    """Return the logarithm of odds, of probabilities that are clipped if `eps` is given."""
    x = x if eps is None else x.clamp(eps, 1 - eps)
    return (x / (1 - x)).log()


def searchsorted(
    edges: Tensor, values: Tensor, *, out_int32: bool = False, right: bool = False, side: str | None = None
) -> object:
    """Return how many edges are below each value, or not above it, both along the last axis."""
    if out_int32:
        return NotImplemented
    edges, values = edges.unsqueeze(-2), values.unsqueeze(-1)
    return ((edges <= values) if right or side == "right" else (edges < values)).sum(-1)


def _moments(x: Tensor, axes: list[int], eps: float) -> tuple[Tensor, Tensor, Tensor]:
    mean = x.mean(axes, keepdim=True)
    away = x - mean
    rstd = (away * away).mean(axes, keepdim=True).add(eps).rsqrt()
    return away * rstd, mean, rstd


def native_layer_norm(
    x: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows normalised over their last axes, their means and reciprocal deviations."""
    own, mean, rstd = _moments(x, list(range(x.dim() - len(shape), x.dim())), eps)
    own = own if weight is None else own * weight
    return own if bias is None else own + bias, mean, rstd


def native_group_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, n: int, c: int, area: int, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return maps normalised over groups of channels, their means and reciprocal deviations."""
    own, mean, rstd = _moments(x.reshape(n, groups, -1), [2], eps)
    own = own.reshape(x.shape)
    each = [1, c] + [1] * (x.dim() - 2)
    own = own if weight is None else own * weight.reshape(each)
    return own if bias is None else own + bias.reshape(each), mean.squeeze(-1), rstd.squeeze(-1)


def logsumexp(x: Tensor, axes: list[int], keepdim: bool = False) -> Tensor:
    """Return the logarithm of sums of exponentials."""
    most = x.amax(axes, keepdim=True)
    most = torch.where(most.abs() == float("inf"), 0.0, most)
    summed = (x - most).exp().sum(axes, keepdim=True).log() + most
    return summed if keepdim else summed.squeeze(axes)


def var(x: Tensor, axes: list[int] | None = None, *, correction: float | None = None, keepdim: bool = False) -> Tensor:
    """Return variances."""
    axes = list(range(x.dim())) if axes is None else axes
    away = x - x.mean(axes, keepdim=True)
    n = 1
    for axis in axes:
        n *= x.shape[axis]
    return (away * away).sum(axes, keepdim=keepdim) / (n - (1 if correction is None else correction))


def logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """Return the logarithm of the sum of two exponentials."""
    most, least = torch.maximum(a, b), torch.minimum(a, b)
    apart = torch.where(most == -float("inf"), 0.0, least - most)
    return most + apart.exp().add(1).log()


def index_put(x: Tensor, indices: list[Tensor | None], value: Tensor, accumulate: bool = False) -> object:
    """Return values of which those under a mask are one number, or those at positions along an axis are added to."""
    given = [(axis, own) for axis, own in enumerate(indices) if own is not None]
    (axis, index), *others = given
    if index.dtype == torch.bool:
        if accumulate or axis or others or value.numel() != 1:
            return NotImplemented
        return torch.where(index.reshape(index.shape + (1,) * (x.dim() - index.dim())), value.reshape(()), x)
    if others or not accumulate or index.dim() != 1:
        return NotImplemented
    is_there = (index[:, None] == torch.arange(x.shape[axis])).to(x.dtype)
    more = value.expand(*x.shape[:axis], len(index), *x.shape[axis + 1 :])
    return x + (more.movedim(axis, -1) @ is_there).movedim(-1, axis)


def linalg_solve_triangular(
    a: Tensor, b: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> object:
    """Return the solution of `a @ x = b` for upper triangles, from the last row on."""
    if not (upper and left) or unitriangular:
        return NotImplemented
    pivot = a.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
    x, above = b / pivot, (a / pivot).triu(1)
    for j in reversed(range(1, a.shape[-1])):
        x = x - above[..., j : j + 1] * x[..., j : j + 1, :]
    return x


def linalg_qr(a: Tensor, mode: str = "reduced") -> object:
    """Return an orthogonal matrix and an upper triangle whose product is a square matrix, by Gram and Schmidt."""
    if mode != "reduced" or a.shape[-1] != a.shape[-2]:
        return NotImplemented
    columns, rows = [], []
    for j in range(a.shape[-1]):
        own = a[..., j : j + 1]
        own = own / (own * own).sum(-2, keepdim=True).sqrt()
        along = own.mT @ a[..., j:]
        a = torch.cat([a[..., :j], a[..., j:] - own * along], dim=-1)
        columns.append(own)
        rows.append(torch.cat([torch.zeros_like(a[..., :1, :j]), along], dim=-1))
    return torch.cat(columns, dim=-1), torch.cat(rows, dim=-2)


def convolution_backward(
    slopes: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: list[int] | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    wanted: list[bool],
) -> object:
    """Return the gradient of maps, that of weights left out, by the convolution that goes the other way."""
    if wanted[1] or wanted[2]:
        return NotImplemented
    left = [0] * len(stride)
    if not transposed:
        reach = zip(slopes.shape[2:], stride, padding, weight.shape[2:], strict=True)
        made = [(n - 1) * step - 2 * pad + size for n, step, pad, size in reach]
        left = [n - own for n, own in zip(x.shape[2:], made, strict=True)]
    own = torch.ops.aten.convolution.default(
        slopes, weight, None, stride, padding, dilation, not transposed, left, groups
    )
    return own, None, None


def scatter_add(x: Tensor, axis: int, index: Tensor, own: Tensor) -> object:
    """Return numbers to which others are added, at positions along the last axis."""
    if axis % x.dim() != x.dim() - 1:
        return NotImplemented
    is_there = index.unsqueeze(-1) == torch.arange(x.shape[-1])
    return x + torch.where(is_there, own.unsqueeze(-1), 0.0).sum(-2)


def slice_scatter(
    x: Tensor, own: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> object:
    """Return values of which those of a slice along an axis are others."""
    first, n = start or 0, x.shape[dim]
    if step != 1 or first < 0:
        return NotImplemented
    last = first + own.shape[dim]
    return torch.cat([x.narrow(dim, 0, first), own, x.narrow(dim, last, n - last)], dim=dim)


def flip(x: Tensor, axes: list[int]) -> Tensor:
    """Return values in reverse order along axes."""
    for axis in axes:
        x = x.index_select(axis, torch.arange(x.shape[axis] - 1, -1, -1))
    return x


def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> object:
    """Return the diagonals of square matrices along the last two axes."""
    n = x.shape[-1]
    if offset or sorted((dim1 % x.dim(), dim2 % x.dim())) != [x.dim() - 2, x.dim() - 1] or x.shape[-2] != n:
        return NotImplemented
    return x.reshape(*x.shape[:-2], n * n)[..., :: n + 1]


def diagonal_scatter(x: Tensor, own: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> object:
    """Return square matrices along the last two axes, with other diagonals."""
    n = x.shape[-1]
    if offset or sorted((dim1 % x.dim(), dim2 % x.dim())) != [x.dim() - 2, x.dim() - 1] or x.shape[-2] != n:
        return NotImplemented
    return torch.where(torch.eye(n, dtype=torch.bool), own.unsqueeze(-1), x)


DECOMPOSITIONS: dict[str, Callable[..., object]] = {
    "_is_all_true": lambda x: torch.ones((), dtype=torch.bool),  # a check of arguments, which rows of a fit pass
    "erf": erf,
    "special_erf": erf,
    "erfc": erfc,
    "special_erfc": erfc,
    "special_erfcx": erfcx,
    "special_ndtri": ndtri,
    "lgamma": lgamma,
    "gelu": gelu,
    "searchsorted": searchsorted,
    "native_layer_norm": native_layer_norm,
    "native_group_norm": native_group_norm,
    "logsumexp": logsumexp,
    "logaddexp": logaddexp,
    "var": var,
    "var_mean": lambda x, axes=None, *, correction=None, keepdim=False: (
        var(x, axes, correction=correction, keepdim=keepdim),
        x.mean(list(range(x.dim())) if axes is None else axes, keepdim=keepdim),
    ),
    "log1p": lambda x: x.add(1).log(),
    "expm1": lambda x: x.exp() - 1,
    "square": lambda x: x * x,
    "rsqrt": lambda x: x.sqrt().reciprocal(),
    "silu": lambda x: x * x.sigmoid(),
    "elu": elu,
    "hardtanh": lambda x, low=-1.0, high=1.0: x.clamp(low, high),
    "addcmul": lambda x, a, b, value=1: x + a * b if value == 1 else x + value * (a * b),
    "remainder": lambda x, y: x - torch.div(x, y, rounding_mode="floor") * y,
    "index_put": index_put,
    "_unsafe_index_put": index_put,
    "logit": logit,
    "linalg_solve_triangular": linalg_solve_triangular,
    "linalg_qr": linalg_qr,
    "convolution_backward": convolution_backward,
    "scatter_add": scatter_add,
    "flip": flip,
    "slice_scatter": slice_scatter,
    "diagonal": diagonal,
    "diagonal_scatter": diagonal_scatter,
    "triu": lambda x, k=0: torch.where(torch.ones(x.shape[-2:], dtype=torch.bool).triu(k), x, 0.0),
}
"""Functions that compute operations by simpler ones, by the operations' names."""
