"""Traits: what a part of a model may declare about itself, beside the required methods of its kind.

A part is a likelihood, a posterior, a prior, an objective, a corruption, a penalty, a weighting, heads, or any module
within a network. A declaration is an attribute of the part or of its class. All of them are optional: a part that
declares nothing, like a function or module from elsewhere, has the defaults.
"""

from functools import partial
from typing import Any, NamedTuple

from torch import nn

MIXING = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.MultiheadAttention, nn.RNNBase)
"""Layers of torch that may treat the rows of a batch as parts of one whole."""


class Trait(NamedTuple):
    """Something that a part may declare."""

    default: Any
    """The value for a part that does not declare it."""
    meaning: str


TRAITS: dict[str, Trait] = {
    "stackable": Trait(True, "Whether several models with the part can be trained as one by `torch.func.vmap`."),
    "recordable": Trait(
        True, "Whether a step is the same operations whatever the numbers are, so that a device can repeat it."
    ),
    "compares_rows": Trait(
        False, "Whether the part mixes the rows of a batch, so that a row that is repeated would count."
    ),
    "exact": Trait((), "Names of a module's buffers that stay in float64 whatever the model's own precision."),
    "joint": Trait(
        False, "Whether a likelihood's columns are drawn together, and cannot be the targets of separate tasks."
    ),
    "adaptive": Trait(False, "Whether a weighting's weights depend on the losses, and so on which labels are present."),
    "looks_back": Trait(
        False, "Whether a weighting's `after_step` wants the losses of a batch after the step that they led to."
    ),
    "needs_hidden": Trait(False, "Whether each of the heads must have a hidden layer."),
    "n_draws": Trait(1, "How many draws of the code an objective takes per row."),
    "rates": Trait(("rate",), "Names of an objective's terms that `beta` weighs."),
    "weights": Trait({}, "Factors of an objective's terms, beside those that the loss gives them."),
    "has_divergence": Trait(
        True, 'Whether an objective\'s "rate" is a divergence from the prior, as `free_bits` takes it to be.'
    ),
}


def declared(part: Any, name: str) -> Any:
    """Look up a trait that a part or its factory declares; the default if neither does."""
    default = isinstance(part, MIXING) if name == "compares_rows" else TRAITS[name].default
    while isinstance(part, partial) and not hasattr(part, name):
        part = part.func
    return getattr(part, name, default)


def unwrapped(factory: Any) -> Any:
    """Return the class or function within a `functools.partial`, or within several nested ones."""
    while isinstance(factory, partial):
        factory = factory.func
    return factory
