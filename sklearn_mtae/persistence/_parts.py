"""Parts of models: classes and functions of `sklearn_mtae.nn`, by name, and small objects that hold values."""

from dataclasses import fields, is_dataclass
from functools import partial
from importlib import import_module
from inspect import signature
from types import FunctionType
from typing import Any

import torch
from sklearn import model_selection as splitters

from sklearn_mtae._estimators.joint_draws import JointDraws
from sklearn_mtae._fitting.cell_margins import OfClasses, OfCounts
from sklearn_mtae._fitting.copula import Copula
from sklearn_mtae._fitting.fitted import Average, Baseline, Fitted
from sklearn_mtae._fitting.kernel import ClassKernel, Neighbours, NumberKernel
from sklearn_mtae._fitting.logistic import ClassRegressions
from sklearn_mtae._fitting.margins import OfNumbers
from sklearn_mtae._fitting.novelty import Novelty
from sklearn_mtae._fitting.recipe import Recipe
from sklearn_mtae._fitting.variance_function import VarianceFunction
from sklearn_mtae._tables.column_likelihoods import Bounded
from sklearn_mtae._tables.features import Features
from sklearn_mtae._tables.frame import Numbers, Table
from sklearn_mtae._tables.levels import Levels
from sklearn_mtae._tables.mixed_targets import MixedTasks
from sklearn_mtae._tables.targets import Tasks
from sklearn_mtae._verbs.pooling import Pooled
from sklearn_mtae._verbs.strangeness import Gauge
from sklearn_mtae.model_selection import TaskKFold, TaskShuffleSplit
from sklearn_mtae.nn import objectives
from sklearn_mtae.nn.likelihoods._marginals import Map

from ._packing import Kind, Packed, Packing, Unpacking

MODULES = [
    import_module(f"sklearn_mtae.nn.{name}")
    for name in (
        *("architectures", "corruptions", "embeddings", "likelihoods", "objectives", "penalties", "posteriors"),
        *("priors", "schedules", "sharing", "weightings"),
    )
]
"""Modules whose classes and functions a file may name."""
OPTIMIZERS = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"]
OBJECTS = (
    *(Average, Baseline, Bounded, ClassKernel, ClassRegressions, Copula, Features, Fitted, Gauge, JointDraws, Levels),
    *(Map, MixedTasks, Neighbours, Novelty, NumberKernel, Numbers, OfClasses, OfCounts, OfNumbers, Pooled, Recipe),
    *(Table, Tasks, VarianceFunction),
    *(objectives.BetaTC, objectives.IWAE, objectives.MMD),
)
"""Classes whose objects are their fields."""
SPLITTERS = (
    *(splitters.KFold, splitters.GroupKFold, splitters.StratifiedKFold, splitters.StratifiedGroupKFold),
    *(splitters.ShuffleSplit, splitters.GroupShuffleSplit, splitters.StratifiedShuffleSplit),
    *(splitters.LeaveOneOut, splitters.LeaveOneGroupOut, splitters.PredefinedSplit, TaskKFold, TaskShuffleSplit),
)
"""Classes whose objects are the parameters of their constructor."""


def _named_parts() -> dict[str, Any]:
    """Return the classes and the functions that an option may be, by name."""
    found = {f"torch.optim.{name}": getattr(torch.optim, name) for name in OPTIMIZERS}
    for module in MODULES:
        inside = f"{module.__name__}."
        own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
        options = [entry for table in own.values() if isinstance(table, dict) for entry in table.values()]
        for name, value in own.items():
            is_option = isinstance(value, FunctionType) and value in options
            is_option |= isinstance(value, type) and issubclass(value, torch.nn.Module)
            if is_option and f"{value.__module__}.".startswith(inside):
                found[inside.removeprefix("sklearn_mtae.") + name] = value
    return found


NAMED = _named_parts()
"""What a name in a file may stand for."""
_NAMES = {value: name for name, value in NAMED.items()}
_CLASSES = {own.__name__: own for own in (*OBJECTS, *SPLITTERS)}


def _pack_partial(packing: Packing, value: partial, where: str) -> Packed:
    parts = [packing.pack(own, where) for own in (value.func, list(value.args), dict(value.keywords))]
    return dict(zip(("function", "args", "keywords"), parts, strict=True))


def _unpack_partial(unpacking: Unpacking, packed: Packed) -> partial:
    function, args, keywords = (unpacking.unpack(packed[name]) for name in ("function", "args", "keywords"))
    return partial(function, *args, **keywords)


def _names_of(kind: type) -> list[str]:
    """Return the attributes that say all about an object of a class."""
    if is_dataclass(kind):
        return [field.name for field in fields(kind) if field.name != "cache"]
    return list(getattr(kind, "_fields", None) or signature(kind).parameters)


def _pack_object(packing: Packing, value: Any, where: str) -> Packed:
    names = _names_of(type(value))
    own = {name: packing.pack(getattr(value, name), f"{where}.{name}") for name in names}
    return {"class": type(value).__name__, "fields": own}


def _unpack_object(unpacking: Unpacking, packed: Packed) -> Any:
    kind, known = _CLASSES[packed["class"]], _names_of(_CLASSES[packed["class"]])
    own = {name: unpacking.unpack(value) for name, value in packed["fields"].items()}
    unknown = own.keys() - set(known)
    if unknown:
        raise ValueError(f"{packed['class']} has no field {unknown.pop()!r}")
    return kind(**own)


KINDS = {
    "name": Kind(
        lambda packing, value, where: {"name": _NAMES[value]}, lambda unpacking, packed: NAMED[packed["name"]]
    ),
    "partial": Kind(_pack_partial, _unpack_partial, is_shared=True),
    "object": Kind(_pack_object, _unpack_object, is_shared=True),
}


def find(value: Any) -> str | None:
    """Return the kind of a part."""
    if isinstance(value, type | FunctionType):
        return "name" if value in _NAMES else None
    if type(value) is partial:
        return "partial"
    return "object" if type(value) in _CLASSES.values() else None
