"""What modules ask of gradients, which `torch.func.vmap` answers wrongly."""

import sys
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

HOOKS = {Tensor.register_hook, Tensor.retain_grad}
"""What is to be called with a gradient, and within `torch.func.vmap` is not."""
OF_GRADIENTS = {getattr(Tensor, name).__get__ for name in ("requires_grad", "grad_fn", "is_leaf")}
"""What a tensor says of its gradient, and within `torch.func.vmap` says rightly to torch's own functions alone."""


class NoGradientsSeen(TorchFunctionMode):
    """Raise an error where a module that is not torch's looks at the gradient of a tensor while it computes."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch."""
        # The caller of a function is known to Python's own private `_getframe` alone; `inspect` is slow.
        if func in HOOKS or (func in OF_GRADIENTS and not _is_torchs(sys._getframe(1).f_globals["__name__"])):
            name = getattr(func, "__self__", func).__name__
            raise RuntimeError(f"a module calls Tensor.{name} while it computes, which does not stack")
        return func(*args, **(kwargs or {}))


def _is_torchs(module: str) -> bool:
    """Return whether a module is one of torch's."""
    return module.partition(".")[0] == "torch"
