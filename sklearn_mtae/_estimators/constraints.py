"""Constraints on the parameters of the estimators, by group."""

from numbers import Integral, Real
from os import PathLike

from sklearn_mtae._fitting.recipe import DTYPES
from sklearn_mtae._tables.checks import HasMethods, Interval, StrOptions
from sklearn_mtae.nn.architectures import ACTIVATIONS, ARCHITECTURES
from sklearn_mtae.nn.corruptions import CORRUPTIONS
from sklearn_mtae.nn.embeddings import EMBEDDINGS
from sklearn_mtae.nn.factories import TASK_LIKELIHOODS
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.penalties import PENALTIES
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.nn.sharing import SHARINGS
from sklearn_mtae.nn.weightings import WEIGHTINGS

BASE: dict = {
    "n_components": [Interval(Integral, 1, None, closed="left")],
    "hidden_layer_sizes": ["array-like"],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "layer_norm": ["boolean"],
    "architecture": [StrOptions(set(ARCHITECTURES)), callable],
    "image_shape": [tuple, list, None],
    "likelihood": [StrOptions({"auto", *LIKELIHOODS}), callable, dict, list, tuple],
    "max_categories": [Interval(Integral, 2, None, closed="left"), None],
    "handle_unknown": [StrOptions({"missing", "error"})],
    "scaling": [StrOptions({"auto", "standard", "bounded"})],
    "corruption": [StrOptions(set(CORRUPTIONS)), callable, None],
    "penalty": [StrOptions(set(PENALTIES)), callable, None],
    "penalty_weight": [Interval(Real, 0, None, closed="left")],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "learning_rate_decay": [Interval(Real, 0, 1, closed="both")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "warm_start": ["boolean"],
    "dtype": [StrOptions(set(DTYPES))],
    "device": [str],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "checkpoint": [str, PathLike, None],
    "net_params": [dict, None],
}
"""Constraints of all models."""
VARIATIONAL: dict = {
    **BASE,
    "posterior": [StrOptions(set(POSTERIORS)), callable],
    "prior": [StrOptions(set(PRIORS)), callable],
    "objective": [StrOptions(set(OBJECTIVES)), callable],
    "beta": [Interval(Real, 0, None, closed="left"), StrOptions(set(SCHEDULES)), callable],
    "free_bits": [Interval(Real, 0, None, closed="left")],
}
"""Constraints of models whose code is a distribution."""
MULTI_TASK: dict = {
    **VARIATIONAL,
    "hidden_layer_sizes": ["array-like", StrOptions({"auto"})],
    "dropout": [*BASE["dropout"], StrOptions({"auto"})],
    "sharing": [StrOptions(set(SHARINGS)), callable],
    "head_hidden_layer_sizes": ["array-like", StrOptions({"auto"})],
    "reconstruction_weight": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
    "beta": [Interval(Real, 0, None, closed="left"), StrOptions({"auto", *SCHEDULES}), callable],
    "task_weighting": [StrOptions(set(WEIGHTINGS)), "array-like", dict, callable],
    "task_similarity": ["array-like", None],
    "consistency": [Interval(Real, 0, None, closed="left")],
    "encoder": [HasMethods(["fit", "transform"]), None],
    "freeze_encoder": ["boolean"],
    "embedding": [StrOptions({"auto", *EMBEDDINGS}), callable, None],
    "n_estimators": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "member_params": ["array-like", StrOptions({"auto"}), None],
    "alpha": [*BASE["alpha"], StrOptions({"auto"})],
    "learning_rate_init": [*BASE["learning_rate_init"], StrOptions({"auto"})],
    "max_iter": [*BASE["max_iter"], StrOptions({"auto"})],
    "learning_rate_decay": [*BASE["learning_rate_decay"], StrOptions({"auto"})],
    "cv": ["cv_object"],
}
"""Constraints of models with tasks."""
NUMBERS: dict = {
    **MULTI_TASK,
    "task_likelihoods": [StrOptions({"auto", *TASK_LIKELIHOODS}), callable, dict, list, tuple],
}
"""Constraints for tasks that are numbers."""
CLASSES: dict = {
    **MULTI_TASK,
    "class_weight": [dict, list, tuple, str, None],
}
"""Constraints for tasks that are classes."""
MIXED: dict = {**NUMBERS, "class_weight": CLASSES["class_weight"]}
"""Constraints for tasks of all kinds."""
