"""The recipe: the kind of a model, and the given parameters of an estimator."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch

from sklearn_mtae._tables.features import Features
from sklearn_mtae._tables.targets import Tasks
from sklearn_mtae.nn.words import short

from .parameters import copied, same

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}
"""Precision of weights, losses and the optimiser, by `dtype`."""
PRODUCTS = {"bfloat16": torch.bfloat16}
"""Precision of the products within networks while training, if it differs."""
SHAPING = (
    "n_components",
    "hidden_layer_sizes",
    "activation",
    "dropout",
    "layer_norm",
    "architecture",
    "image_shape",
    "likelihood",
    "max_categories",
    "dtype",
    "posterior",
    "prior",
    "sharing",
    "head_hidden_layer_sizes",
    "encoder",
    "freeze_encoder",
    "embedding",
    "task_likelihoods",
)
"""Parameters that a model is built from: kept as they were at `fit`, whatever happens to the estimator's."""


UNKNOWN = Features(0)
"""The columns of X before there is data."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """The parts of a model and its training.

    A parameter is an attribute too: `recipe.alpha`.

    Parameters
    ----------
    owner : str
        Name of the estimator's class, for messages.
    model : str
        Kind of the model, a key of `sklearn_mtae._fitting.build.MODELS`.
    targets : str or None
        Kind of the targets, a key of `sklearn_mtae._tables.read_targets.TARGETS`; None if there are none.
    parameters : Mapping
        Parameters of the estimator by name.
    columns : Features
        The columns of X; none before there is data.
    tasks : Tasks or None
        The columns of y.
    """

    owner: str
    model: str
    targets: str | None
    parameters: Mapping[str, Any]
    columns: Features = UNKNOWN
    tasks: Tasks | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "parameters" or name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.parameters[name]
        except KeyError:
            raise AttributeError(f"{self.owner} has no parameter {name!r}") from None

    def of_member(self, settings: Mapping[str, Any]) -> Self:
        """Return the recipe of a member of an ensemble, which differs in its own parameters."""
        return replace(self, parameters={**self.parameters, **settings}) if settings else self

    def of_shape(self) -> Self:
        """Return the part that shapes the model, in copies that the user can no longer change."""
        own = {name: copied(self.parameters[name]) for name in SHAPING if name in self.parameters}
        return replace(self, parameters=own)

    def check_same_shape(self, fitted: "Recipe") -> None:
        """Raise an error if a continued fit asks for another model than the fitted one."""
        for name in SHAPING:
            if name in fitted.parameters and not same(self.parameters[name], fitted.parameters[name]):
                raise ValueError(
                    "A continued fit must not change the parameters that shape the model. "
                    f"{name}={short(fitted.parameters[name])} became {short(self.parameters[name])}; fit from the "
                    "start with warm_start=False."
                )

    @property
    def task_names(self) -> list[str]:
        """Names of the tasks; none if there are no targets."""
        return [] if self.tasks is None else self.tasks.names
