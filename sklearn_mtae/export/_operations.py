"""From operations of torch to nodes of ONNX: one table, which a new layer needs only where it has a new operation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ._lowering import Lowering, Operation
from ._trace import NotExportableError, Repeated, Rows

END = 2**62
"""An end of a slice beyond any axis."""


def _same(run: Lowering, x: Any, *stored: Any) -> str:
    """Return the value itself, in the result's dtype; how else it is stored does not matter."""
    return run.name(x, run.made)


def _unary(operator: str) -> Operation:
    return lambda run, x: run.graph.add(operator, run.name(x, run.made))


def _test(operator: str) -> Operation:
    return lambda run, x: run.graph.add(operator, run.name(x), dtype=bool)


def _binary(operator: str) -> Operation:
    """Return the lowering of an operator of two values in the result's dtype."""
    return lambda run, a, b: run.graph.add(operator, run.name(a, run.made), run.name(b, run.made))


def _scaled(operator: str) -> Operation:
    """Return the lowering of a sum or a difference, the second part times a number."""

    def lowered(run: Lowering, a: Any, b: Any, alpha: Any = 1) -> str:
        second = run.name(b, run.made)
        if alpha != 1:
            second = run.graph.add("Mul", second, run.name(alpha, run.made))
        return run.graph.add(operator, run.name(a, run.made), second)

    return lowered


def _div(run: Lowering, a: Any, b: Any, rounding_mode: str | None = None) -> str:
    if rounding_mode not in (None, "floor"):
        raise _not_supported(f"a quotient that is rounded by {rounding_mode!r}")
    dtype = run.made if run.made.kind == "f" else np.dtype(np.float64)
    quotient = run.graph.add("Div", run.name(a, dtype), run.name(b, dtype))
    quotient = quotient if rounding_mode is None else run.graph.add("Floor", quotient)
    return run.graph.cast(quotient, run.made)


def _rsub(run: Lowering, a: Any, b: Any, alpha: Any = 1) -> str:
    return _scaled("Sub")(run, b, a, alpha)


def _comparison(operator: str) -> Operation:
    """Return the lowering of a comparison, in the wider dtype of both."""

    def lowered(run: Lowering, a: Any, b: Any) -> str:
        known = [own for own in (run.dtype(a), run.dtype(b)) if own is not None]
        dtype = np.result_type(*known)
        if dtype.kind in "biu" and isinstance(b, float):
            dtype = np.dtype(np.float64)
        both = run.graph.add(operator.removeprefix("Not"), run.name(a, dtype), run.name(b, dtype), dtype=bool)
        return run.graph.add("Not", both) if operator.startswith("Not") else both

    return lowered


def _logical(operator: str) -> Operation:
    return lambda run, *values: run.graph.add(operator, *(run.name(own, bool) for own in values), dtype=bool)


def _where(run: Lowering, condition: Any, a: Any, b: Any) -> str:
    known = condition.value if isinstance(condition, Repeated) else condition
    if isinstance(known, Tensor) and not known.any() and list(run.size(b)) == list(run.shape):
        return run.name(b, run.made)
    parts = run.name(a, run.made), run.name(b, run.made)
    return run.graph.add("Where", run.name(condition, bool), *parts, dtype=run.made)


def _masked_fill(run: Lowering, x: Any, mask: Any, value: Any) -> str:
    return _where(run, mask, value, x)


def _clamp(run: Lowering, x: Any, low: Any = None, high: Any = None) -> str:
    name = run.name(x, run.made)
    for operator, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            name = run.graph.add(operator, name, run.name(bound, run.made))
    return name


def _nan_to_num(run: Lowering, x: Any, nan: float | None = None, high: Any = None, low: Any = None) -> str:
    name, info = run.name(x), np.finfo(run.made)
    high, low = (info.max if high is None else high), (info.min if low is None else low)
    missing = run.graph.add("IsNaN", name, dtype=bool)
    name = run.graph.add("Where", missing, run.name(nan or 0.0, run.made), name, dtype=run.made)
    for end, value in ((np.inf, high), (-np.inf, low)):
        if value != end:
            is_end = run.graph.add("Equal", name, run.name(end, run.made), dtype=bool)
            name = run.graph.add("Where", is_end, run.name(float(value), run.made), name, dtype=run.made)
    return name


def _reduce(operator: str) -> Operation:
    """Return the lowering of a reduction along axes."""

    def lowered(run: Lowering, x: Any, axes: Any = None, keepdim: bool = False) -> str:
        axes = [axes] if isinstance(axes, int) else axes
        axes = list(range(run.rank(x))) if axes is None or len(axes) == 0 else [run.axis(x, own) for own in axes]
        name = run.name(x, run.made)
        name = run.graph.cast(name, np.int64) if run.made.kind == "b" else name
        made = run.graph.add(operator, name, run.graph.integers(axes), keepdims=int(keepdim))
        return run.graph.cast(made, run.made)

    return lowered


def _argmax(run: Lowering, x: Any, axis: int | None = None, keepdim: bool = False) -> str:
    if axis is None:
        raise _not_supported("'argmax' of all rows at once")
    return run.graph.add("ArgMax", run.name(x), dtype=np.int64, axis=run.axis(x, axis), keepdims=int(keepdim))


def _along(operator: str) -> Operation:
    """Return the lowering of a function along an axis."""
    return lambda run, x, axis, wide: run.graph.add(operator, run.name(x, run.made), axis=run.axis(x, axis))


def _cumsum(run: Lowering, x: Any, axis: int) -> str:
    return run.graph.add("CumSum", run.name(x, run.made), run.graph.constant(np.int64(run.axis(x, axis))))


def _matmul(run: Lowering, a: Any, b: Any) -> str:
    names = [run.name(a), run.name(b)]
    # A product repeats a matrix by itself, unless both sides are.
    first = run.alike.get(names[0], names[0])
    return run.graph.add("MatMul", first, names[1] if first != names[0] else run.alike.get(names[1], names[1]))


def _addmm(run: Lowering, c: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1) -> str:
    product = _matmul(run, a, b)
    product = product if alpha == 1 else run.graph.add("Mul", product, run.name(alpha, run.made))
    rest = run.name(c) if beta == 1 else run.graph.add("Mul", run.name(c), run.name(beta, run.made))
    return run.graph.add("Add", product, rest)


def _transposed(run: Lowering, x: Any, order: Sequence[int]) -> str:
    name = run.name(x)
    return name if list(order) == sorted(order) else run.graph.add("Transpose", name, perm=list(order))


def _permute(run: Lowering, x: Any, order: Sequence[int]) -> str:
    return _transposed(run, x, [run.axis(x, own) for own in order])


def _transpose(run: Lowering, x: Any, first: int = 0, second: int = 1) -> str:
    order = list(range(run.rank(x)))
    if len(order) > 1:
        order[first], order[second] = order[second], order[first]
    return _transposed(run, x, order)


def _reshape(run: Lowering, x: Any, size: Any = None) -> str:
    if run.dtype(x) != run.made:
        raise _not_supported(f"'view' with dtype={run.made.name}")
    return run.name(x) if list(run.size(x)) == list(run.shape) else run.graph.reshape(run.name(x), run.shape)


def _expand(run: Lowering, x: Any, size: Any) -> str:
    size = list(run.size(x))
    if size == list(run.shape):
        return run.name(x)
    name = run.graph.expand(run.name(x), run.shape)
    if len(size) > 1 and size[-2:] == list(run.shape[-2:]) and all(own == 1 for own in size[:-2]):
        run.alike[name] = run.name(x)
    return name


def _filled(run: Lowering, value: Any) -> str:
    return run.graph.expand(run.name(value, run.made), run.shape)


def _slice(run: Lowering, x: Any, axis: int = 0, start: Any = None, end: Any = None, step: int = 1) -> str:
    axis = run.axis(x, axis)
    size = run.size(x)[axis]
    start, end = start or 0, END if end is None else end
    if start == 0 and step == 1 and (isinstance(end, Rows) or isinstance(size, Rows) or end >= size >= 0):
        return run.name(x)
    ends = [run.graph.integers([own]) for own in (start, end, axis, step)]
    return run.graph.add("Slice", run.name(x), *ends)


def _select(run: Lowering, x: Any, axis: int, index: int) -> str:
    return run.graph.add("Gather", run.name(x), run.graph.constant(np.int64(index)), axis=run.axis(x, axis))


def _split(run: Lowering, x: Any, sizes: Any, axis: int = 0) -> list[str]:
    axis, ends = run.axis(x, axis), np.cumsum([shape[axis] for shape in _axes(run, axis)]).tolist()
    parts = zip([0, *ends[:-1]], ends, strict=True)
    return [_slice(run, x, axis, start, end) for start, end in parts]


def _axes(run: Lowering, axis: int) -> list[Sequence[Any]]:
    return list(run.current.shapes)


def _unbind(run: Lowering, x: Any, axis: int = 0) -> list[str]:
    return [_select(run, x, axis, j) for j in range(len(run.current.shapes))]


def _index_select(run: Lowering, x: Any, axis: int, index: Any) -> str:
    return run.graph.add("Gather", run.name(x), run.name(index, np.int64), axis=run.axis(x, axis))


def _index(run: Lowering, x: Any, indices: Sequence[Any]) -> str:
    given = [(axis, own) for axis, own in enumerate(indices) if own is not None]
    if len(given) != 1 or run.dtype(given[0][1]).kind == "b":
        raise _not_supported("an index of several axes, or by a mask")
    return _index_select(run, x, *given[0])


def _gather(run: Lowering, x: Any, axis: int, index: Any) -> str:
    return run.graph.add("GatherElements", run.name(x), run.name(index, np.int64), axis=run.axis(x, axis))


def _cat(run: Lowering, parts: Sequence[Any], axis: int = 0) -> str:
    axis = axis % len(run.shape)
    names = [run.name(own, run.made) for own in parts if 0 not in list(run.size(own))[axis : axis + 1]]
    return names[0] if len(names) == 1 else run.graph.add("Concat", *names, axis=axis)


def _stack(run: Lowering, parts: Sequence[Any], axis: int = 0) -> str:
    axis = axis % len(run.shape)
    at = run.graph.integers([axis])
    return run.graph.add(
        "Concat", *(run.graph.add("Unsqueeze", run.name(own, run.made), at) for own in parts), axis=axis
    )


def _pad(run: Lowering, x: Any, pads: Sequence[int], value: Any = 0) -> str:
    n = run.rank(x)
    pairs = [(pads[2 * j], pads[2 * j + 1]) if 2 * j < len(pads) else (0, 0) for j in range(n)][::-1]
    name = run.name(x)
    for axis, (before, after) in enumerate(pairs):
        if min(before, after) < 0:  # cells are cut off
            ends = [max(0, -before)], [min(0, after) or END], [axis]
            name = run.graph.add("Slice", name, *map(run.graph.integers, ends))
    both = [max(0, own) for end in zip(*pairs, strict=True) for own in end]
    return run.graph.add("Pad", name, run.graph.integers(both), run.name(value, run.made)) if any(both) else name


def _topk(run: Lowering, x: Any, k: int, axis: int = -1, largest: bool = True, in_order: bool = True) -> list[str]:
    dtypes = [run.made, np.dtype(np.int64)]
    attributes = {"axis": run.axis(x, axis), "largest": int(largest)}
    return run.graph.add("TopK", run.name(x), run.graph.integers([k]), dtype=dtypes, n_outputs=2, **attributes)


def _eigh(run: Lowering, x: Any, part: str = "L", with_vectors: bool = True) -> list[str]:
    return run.graph.add("Eigh", run.name(x, run.made), n_outputs=2)


def _convolution(
    run: Lowering,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> str:
    attributes: dict[str, Any] = {"strides": list(stride), "pads": [*padding, *padding], "group": groups}
    if any(own != 1 for own in dilation):
        raise _not_supported("a dilated convolution")
    if transposed:
        attributes["output_padding"] = list(output_padding)
    parts = [run.name(own) for own in (x, weight, bias) if own is not None]
    return run.graph.add("ConvTranspose" if transposed else "Conv", *parts, **attributes)


def _not_supported(what: str) -> Exception:
    return NotExportableError(f"The model computes {what}, which cannot be exported.")


def _power(run: Lowering, x: Any, exponent: Any) -> str:
    if isinstance(exponent, int | float) and exponent == 2:
        return run.graph.add("Mul", *[run.name(x, run.made)] * 2)
    return _binary("Pow")(run, x, exponent)


OPERATIONS: Mapping[str, Operation] = {
    **dict.fromkeys(["_to_copy", "clone", "detach", "alias", "lift_fresh_copy", "contiguous", "to"], _same),
    **dict.fromkeys(["view", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "_reshape_alias"], _reshape),
    **{name: _unary(name.title()) for name in ["neg", "exp", "log", "sqrt", "abs", "floor", "round", "reciprocal"]},
    **{name: _unary(name.title()) for name in ["tanh", "sigmoid", "relu", "sign"]},
    "isnan": _test("IsNaN"),
    "isinf": _test("IsInf"),
    "add": _scaled("Add"),
    "sub": _scaled("Sub"),
    "rsub": _rsub,
    "mul": lambda run, a, b: (_logical("And") if run.made.kind == "b" else _binary("Mul"))(run, a, b),
    "div": _div,
    "pow": _power,
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "eq": _comparison("Equal"),
    "ne": _comparison("NotEqual"),
    "lt": _comparison("Less"),
    "le": _comparison("LessOrEqual"),
    "gt": _comparison("Greater"),
    "ge": _comparison("GreaterOrEqual"),
    "logical_not": _logical("Not"),
    "bitwise_not": _logical("Not"),
    "logical_and": _logical("And"),
    "bitwise_and": _logical("And"),
    "logical_or": _logical("Or"),
    "bitwise_or": _logical("Or"),
    "where": _where,
    "masked_fill": _masked_fill,
    "clamp": _clamp,
    "clamp_min": lambda run, x, low: _clamp(run, x, low),
    "clamp_max": lambda run, x, high: _clamp(run, x, None, high),
    "nan_to_num": _nan_to_num,
    "sum": _reduce("ReduceSum"),
    "mean": _reduce("ReduceMean"),
    "amax": _reduce("ReduceMax"),
    "amin": _reduce("ReduceMin"),
    "any": _reduce("ReduceMax"),
    "all": _reduce("ReduceMin"),
    "argmax": _argmax,
    "_softmax": _along("Softmax"),
    "_log_softmax": _along("LogSoftmax"),
    "cumsum": _cumsum,
    "mm": _matmul,
    "bmm": _matmul,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "permute": _permute,
    "transpose": _transpose,
    "t": _transpose,
    "expand": _expand,
    "full_like": lambda run, x, value: _filled(run, value),
    "zeros_like": lambda run, x: _filled(run, 0),
    "ones_like": lambda run, x: _filled(run, 1),
    "new_full": lambda run, x, size, value: _filled(run, value),
    "new_zeros": lambda run, x, size: _filled(run, 0),
    "new_ones": lambda run, x, size: _filled(run, 1),
    "slice": _slice,
    "select": _select,
    "split": _split,
    "split_with_sizes": _split,
    "unbind": _unbind,
    "index_select": _index_select,
    "index": _index,
    "gather": _gather,
    "cat": _cat,
    "stack": _stack,
    "constant_pad_nd": _pad,
    "topk": _topk,
    "_linalg_eigh": _eigh,
    "convolution": _convolution,
}
"""From an operation's name to the function that adds its nodes."""
