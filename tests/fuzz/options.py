"""Estimators and their options, out of their own parameter constraints: a new entry or parameter is drawn by itself."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from inspect import isclass, signature
from math import ceil
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, is_classifier, is_regressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import get_tags
from sklearn.utils._param_validation import Interval, Options

import sklearn_mtae
from sklearn_mtae import model_selection
from sklearn_mtae.nn.corruptions import masking
from sklearn_mtae.nn.likelihoods import LIKELIHOODS, StudentT
from sklearn_mtae.nn.objectives import IWAE
from sklearn_mtae.nn.schedules import linear
from sklearn_mtae.nn.sharing import MixtureOfExperts

from .cells import as_numbers, cells_of, is_frame
from .draws import Draws, Rng, chance, pick
from .tables import Table
from .targets import CATEGORICAL, Targets

__all__ = [
    "ESTIMATORS",
    "SEARCHES",
    "Plan",
    "draw_estimator",
    "draw_name",
    "kinds_of_targets",
    "outside",
    "supports",
    "words_of",
]

SEARCHES = [name for name in model_selection.__all__ if name.endswith("SearchCV")]
PUBLIC = {name: getattr(sklearn_mtae, name) for name in sklearn_mtae.__all__}
# They are made of estimators that have trials of their own.
MADE_OF_OTHERS = {"MultipleImputation", "OutlierDetector"}
ESTIMATORS = [
    name for name, own in PUBLIC.items() if isclass(own) and hasattr(own, "fit") and name not in MADE_OF_OTHERS
] + SEARCHES
NETS = [name for name in ESTIMATORS[: -len(SEARCHES)] if "n_components" in signature(PUBLIC[name]).parameters]
SMALL = {"n_components": 2, "hidden_layer_sizes": (4,), "head_hidden_layer_sizes": (3,), "max_iter": 2}
SMALL |= {"learning_rate_init": 1e-2, "random_state": 0}
"""What keeps a fit short, where nothing else is drawn."""
FEW = {"n_components": [1, 2, 3, 9], "max_iter": [1, 2, 3], "n_importance_samples": [1, 3, 20]}
FEW |= {"batch_size": [1, 3, 16, 100], "n_iter_no_change": [1, 2], "n_jobs": [1], "max_categories": [2, 3, 256]}
SIZES = [(), (1,), (4,), [5], (3, 2), np.array([4]), (np.int64(3),)]
LIMITS = {"learning_rate_init": [1e-4, 1e-2, 0.3], "validation_fraction": [0.1, 0.3, 0.5, 0.9]}
FACTORIES = {"corruption": partial(masking, fraction=0.5), "objective": IWAE(2), "beta": partial(linear, stop=2.0)}
FACTORIES["sharing"] = partial(MixtureOfExperts, n_experts=2)
KEPT = {"verbose", "device", "image_shape", "net_params", "estimator", "encoder", "random_state"}
"""Parameters that have a line of their own, or stay as they are."""


@dataclass
class Plan:
    """An estimator to be made, and what excuses an error of its fit."""

    name: str
    kind: type
    params: dict[str, Any]
    excuses: list[str] = field(default_factory=list)

    def make(self) -> Any:
        """Return the estimator, not fitted."""
        return self.kind(**self.params)


def draw_name(draws: Draws) -> str:
    """Draw an estimator; a search now and then, as it takes several fits."""
    return pick(draws.of("estimator"), {name: 0.3 if name in SEARCHES else 1.0 for name in ESTIMATORS})


def searched(draws: Draws) -> str:
    """Return the estimator that a search is over."""
    return pick(draws.of("searched"), {"AutoencoderTransformer": 5, **dict.fromkeys(NETS, 1)})


def kinds_of_targets(draws: Draws, name: str) -> str | None:
    """Return whether an estimator predicts "numbers", "classes", "mixed" tasks, or nothing (None)."""
    if name in SEARCHES:
        name = searched(draws)
    kind = PUBLIC[name]
    made = kind(Ridge() if name.endswith("Regressor") else GaussianNB()) if name.startswith("PerTask") else kind()
    if is_classifier(made):
        return "classes"
    if hasattr(made, "predict_interval") and hasattr(made, "predict_set"):
        return "mixed"
    return "numbers" if is_regressor(made) or get_tags(made).target_tags.required else None


def draw_estimator(draws: Draws, name: str, table: Table, targets: Targets) -> Plan:
    """Draw an estimator of a class, with options that are about fit for a table."""
    if name in SEARCHES:
        return _search(draws, name, table, targets)
    plan = Plan(name, PUBLIC[name], {})
    for parameter in signature(plan.kind).parameters:
        _draw_parameter(draws.of(parameter), plan, parameter, table, targets)
    plan.excuses += contradictions(plan, table, targets)
    return plan


def _search(draws: Draws, name: str, table: Table, targets: Targets) -> Plan:
    """Draw a search over two settings of an estimator."""
    plan, rng = draw_estimator(draws, searched(draws), table, targets), draws.of("search")
    grid = pick(rng, [{"alpha": [0.0, 1.0]}, {"learning_rate_init": [1e-3, 1e-2]}, {"n_components": [1, 2]}])
    plan.params.setdefault("dtype", "float64")
    plan.params |= {"n_estimators": 1} if "n_estimators" in plan.params else {}
    params = {"estimator": plan.make(), "cv": KFold(2), "refit": chance(rng, 0.9)}
    if "Random" in name:
        params |= {"param_distributions": grid, "random_state": 0}
        params |= {"n_candidates": 2} if "Halving" in name else {"n_iter": 2}
    else:
        params["param_grid"] = grid
    whole = table.shape[0] >= 8 and targets.y is None and not {"encoder", "early_stopping"} & plan.params.keys()
    return Plan(name, getattr(model_selection, name), params, plan.excuses + ([] if whole else ["parts of a table"]))


def _draw_parameter(rng: Rng, plan: Plan, parameter: str, table: Table, targets: Targets) -> None:
    """Draw the value of a parameter, or leave it out."""
    if parameter in SPECIAL:
        value = SPECIAL[parameter](rng, plan, table, targets)
    elif parameter in KEPT or not chance(rng, 0.2):
        value = SMALL.get(parameter, LEFT_OUT)
    else:
        constraints = plan.kind._parameter_constraints.get(parameter, [])
        options = [draw for constraint in constraints for draw in _from_constraint(parameter, constraint, plan)]
        value = pick(rng, options)(rng) if options else SMALL.get(parameter, LEFT_OUT)
    if value is not LEFT_OUT:
        plan.params[parameter] = value


LEFT_OUT = object()
Draw = Callable[[Rng], Any]


def _from_constraint(parameter: str, constraint: Any, plan: Plan) -> list[Draw]:
    """Return draws of what a parameter may be."""
    if parameter.endswith("sizes"):
        return [lambda rng: pick(rng, SIZES)]
    if constraint is None:
        return [lambda rng: None]
    if isinstance(constraint, Options):
        names = sorted(constraint.options)
        return [lambda rng: pick(rng, names)] * min(3, len(names))
    if isinstance(constraint, Interval):
        return [lambda rng: _number(rng, parameter, constraint, plan)] * 2
    if constraint is callable:
        return [lambda rng: FACTORIES[parameter]] if parameter in FACTORIES else []
    return [lambda rng: pick(rng, [True, False, np.True_])] if constraint == "boolean" else []


def _number(rng: Rng, parameter: str, interval: Interval, plan: Plan) -> Any:
    """Return a number of an interval; one that is extreme excuses an error."""
    if issubclass(interval.type, Integral):
        value = pick(rng, FEW.get(parameter, [1, 2, 3]))
        return pick(rng, [value, value, np.int64(value)])
    inside = [v for v in LIMITS.get(parameter, [0.0, 1e-12, 0.1, 0.5, 1, 2.5, np.float32(0.5)]) if v in interval]
    if not chance(rng, 0.1):
        return pick(rng, inside)
    extreme = [v for v in (1 - 1e-12, 1e-9, 1e6, 1e300) if v in interval]
    plan.excuses.append(f"extreme {parameter}")
    return pick(rng, extreme)


def supports(option: Any, names: list[Any]) -> list[tuple[float, float]] | None:
    """Return the support of each column under a likelihood option; None where it cannot be told from the option."""
    if isinstance(option, dict):
        option = [option.get(name, "gaussian") for name in names]
    by_column = isinstance(option, list | tuple)
    each = option if by_column else [option] * len(names)
    if len(each) != len(names):
        return None
    # Of a column by itself, categories are whatever it holds.
    each = ["gaussian" if by_column and one == "categorical" else one for one in each]
    return [(LIKELIHOODS[one] if isinstance(one, str) else one)(1).support for one in each]


def outside(option: Any, X: Any, names: list[Any], words: list[bool], hidden: Any = False) -> np.ndarray | None:
    """Return which rows of a table are outside of the support of a likelihood; None where it cannot be told.

    `words` says which columns are categories by themselves: they hold what they like. What columns that are `hidden`
    hold is not known.
    """
    x = np.where(hidden, np.nan, as_numbers(X))[:, np.logical_not(words)]
    ends = supports(option, names)
    if ends is None or len(ends) != len(words):
        return None
    low, high = np.array(ends)[np.logical_not(words)].T
    rows = ((x < low) | (x > high)).any(axis=1)
    if option == "categorical" and x.shape[1]:  # one category, of which the columns are indicators
        total = np.nansum(x, axis=1)
        rows |= (total > 1.001) | ((total < 0.999) & ~np.isnan(x).any(axis=1))
    return rows


def fits(option: Any, x: np.ndarray, names: list[Any]) -> bool:
    """Return whether numbers lie within the support of a likelihood."""
    ends = supports(option, names)
    if ends is None:
        return False
    low, high = np.transpose(ends)
    return not ((x < low) | (x > high)).any()


def words_of(X: Any) -> list[bool]:
    """Return which columns of a table are categories by themselves."""
    if not is_frame(X):
        return [False] * cells_of(X)[0].shape[1]
    words = [any(isinstance(cell, str) for cell in column) for column in cells_of(X)[0].T]
    return [word or hasattr(own, "categories") for word, own in zip(words, X.dtypes, strict=True)]


def names_of(table: Table) -> list[Any]:
    """Return the names of a table's columns as likelihoods know them."""
    named = is_frame(table.X) and all(isinstance(name, str) for name in table.X.columns)
    return list(table.X.columns) if named or hasattr(table.X, "to_pandas") else list(range(table.shape[1]))


def _likelihood(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    """Return a likelihood, mostly one that has the table in its support."""
    x, names, words, cells = as_numbers(table.X), names_of(table), words_of(table.X), cells_of(table.X)[0]
    single = [name for name in sorted(LIKELIHOODS) if not outside(name, table.X, names, words).any()]
    if chance(rng, 0.4):
        return LEFT_OUT
    if chance(rng, 0.07):
        return pick(rng, sorted(LIKELIHOODS))
    if chance(rng, 0.1):
        return partial(StudentT, df=pick(rng, [3, 5.0]))
    if chance(rng, 0.75) or "names" in table.excuses:
        return pick(rng, single)
    each = [pick(rng, [n for n in sorted(LIKELIHOODS) if fits(n, x[:, [j]], [0])]) for j in range(x.shape[1])]
    words = [word or any(isinstance(cell, str) for cell in column) for word, column in zip(words, cells.T, strict=True)]
    each = ["categorical" if is_word else one for one, is_word in zip(each, words, strict=True)]
    if chance(rng, 0.5):
        return each
    return {name: one for name, one in zip(names, each, strict=True) if chance(rng, 0.5)}


def _task_likelihoods(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    labels = targets.labels
    assert labels is not None
    if targets.is_mixed:
        return _kinds(rng, targets)
    y = np.array([[np.nan if v is None else float(v) for v in row] for row in labels])
    own = [n for n in sorted(LIKELIHOODS) if not LIKELIHOODS[n](1).joint]
    each = [pick(rng, [n for n in own if fits(n, y[:, [t]], [0])]) for t in range(y.shape[1])]
    if chance(rng, 0.5):
        return LEFT_OUT
    if chance(rng, 0.05):
        plan.excuses.append("any likelihood of tasks")
        return pick(rng, sorted(LIKELIHOODS))
    return each if chance(rng, 0.5) else pick(rng, [n for n in own if fits(n, y, list(range(y.shape[1])))])


def _kinds(rng: Rng, targets: Targets) -> Any:
    """Return a likelihood for some of the tasks of several kinds, by name."""
    if chance(rng, 0.4):
        return LEFT_OUT
    assert targets.labels is not None
    given, own = {}, [n for n in sorted(LIKELIHOODS) if not LIKELIHOODS[n](1).joint]
    for name, known, labels in zip(targets.names, targets.levels("auto"), targets.labels.T, strict=True):
        observed = [v for v in labels if v is not None]
        if known is not None:
            continue
        y = np.array(observed, dtype=float)[:, None]
        options = [n for n in own if n != CATEGORICAL and fits(n, y, [0])]
        whole = all(float(v).is_integer() for v in observed)
        options += [CATEGORICAL] * 3 if whole and 0 < len(set(observed)) < 7 else []
        if chance(rng, 0.6):
            given[name] = pick(rng, options)
    return given or LEFT_OUT


def _task_weighting(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    if chance(rng, 0.7):
        return LEFT_OUT
    if chance(rng, 0.8):
        (names,) = (own for own in plan.kind._parameter_constraints["task_weighting"] if isinstance(own, Options))
        return pick(rng, sorted(names.options))
    return pick(rng, [list, np.array])([1.0] * targets.n_tasks)


def _task_similarity(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    return np.full((targets.n_tasks, targets.n_tasks), pick(rng, [0.0, 0.5])) if chance(rng, 0.1) else LEFT_OUT


def _member_params(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    own = [{"alpha": 0.0}, {"dropout": 0.2}]
    return own if chance(rng, 0.15) else pick(rng, {None: 9, "auto": 1})


def _n_estimators(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    own = plan.kind._parameter_constraints["n_estimators"]
    auto = {"auto": 0.2} if any(isinstance(constraint, Options) for constraint in own) else {}
    return pick(rng, {1: 80, 2: 8, np.int64(2): 1, 3: 4, **auto})


def _encoder(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    """Return a fitted autoencoder now and then."""
    if not chance(rng, 0.06) or plan.excuses or table.excuses:
        return LEFT_OUT
    params = {key: plan.params[key] for key in ("likelihood", "scaling") if key in plan.params}
    known = pick(rng, [sklearn_mtae.VAETransformer, sklearn_mtae.AutoencoderTransformer])
    plan.excuses.append("encoder")
    try:
        known = known(2, hidden_layer_sizes=(3,), max_iter=1, random_state=0, **params).fit(table.X)
    except Exception:  # whose fit is not what is looked at here
        return LEFT_OUT
    return FrozenEstimator(known) if chance(rng, 0.5) else known


def _random_state(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    return pick(rng, {0: 10, 7: 1, 2**32 - 1: 0.5, None: 0.5}) if not chance(rng, 0.05) else np.random.RandomState(3)


def _checkpoint(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    if not chance(rng, 0.03):
        return LEFT_OUT
    plan.excuses.append("checkpoint")  # several members have none
    return str(Path(tempfile.gettempdir()) / f"fuzz-{rng.integers(2**62):x}.checkpoint")


def _estimator(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    """Return the model of an imputer, or the heads of tasks."""
    if plan.name == "VAEImputer":
        own = draw_estimator(Draws(int(rng.integers(2**31))), "VAETransformer", table, targets)
        plan.excuses += own.excuses
        return own.make()
    if issubclass(plan.kind, ClassifierMixin):
        return pick(
            rng, {DecisionTreeClassifier(max_depth=2, random_state=0): 4, GaussianNB(): 1, DummyClassifier(): 1}
        )
    return pick(rng, {DecisionTreeRegressor(max_depth=2, random_state=0): 4, Ridge(): 1, DummyRegressor(): 1})


def _class_weight(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    return pick(rng, ["balanced", None]) if chance(rng, 0.3) else LEFT_OUT


def _nothing(rng: Rng, plan: Plan, table: Table, targets: Targets) -> Any:
    return LEFT_OUT


SPECIAL: dict[str, Callable[[Rng, Plan, Table, Targets], Any]] = {
    "likelihood": _likelihood,
    "task_likelihoods": _task_likelihoods,
    "task_weighting": _task_weighting,
    "task_similarity": _task_similarity,
    "n_estimators": _n_estimators,
    "encoder": _encoder,
    "random_state": _random_state,
    "checkpoint": _checkpoint,
    "estimator": _estimator,
    "class_weight": _class_weight,
}


def contradictions(plan: Plan, table: Table, targets: Targets) -> list[str]:
    """Return why what was drawn does not go together, by the documentation."""
    given, n_rows = plan.params, table.shape[0]
    x, likelihood = as_numbers(table.X), given.get("likelihood", "gaussian")
    several = given.get("n_estimators", 1) != 1
    rows = outside(likelihood, table.X, names_of(table), words_of(table.X))
    rules = {
        "support": rows is None or rows.any(),
        "a large count": np.abs(x[np.isfinite(x)]).max(initial=0) > 1e6 and not _standardized(likelihood),
        "a large label": targets.labels is not None
        and is_large_count(given.get("task_likelihoods", "auto"), targets.labels),
        "sparse": hasattr(table.X, "tocsr"),
        "convolutions": str(given.get("architecture")).startswith("conv"),
        "free bits": bool(given.get("free_bits")) and given.get("objective", "elbo") not in ("elbo", "mmd"),
        "few rows to stop by": bool(given.get("early_stopping", False))
        and (n_rows < 4 or ceil(given.get("validation_fraction", 0.1) * n_rows) >= n_rows),
        "several members of few rows": several and n_rows < 4,
        "sharing of hidden layers": given.get("sharing") == "cross_stitch"
        and len(given.get("head_hidden_layer_sizes", "auto")) == 0,
        "sharing of a flow": given.get("posterior") == "flow" and given.get("sharing") == "private",
        "components that a flow ties": given.get("posterior") == "flow" and given.get("objective") == "beta_tc",
        "levels of a column without a cell": "categorical" in _each(likelihood) and np.isnan(x).all(axis=0).any(),
        "an encoder and an embedding": "encoder" in given and "embedding" in given,
        "members that differ": given.get("member_params") is not None and several,
        "a large step": given.get("learning_rate_init") not in (None, "auto") and given["learning_rate_init"] > 0.1,
        "unseen levels are errors": given.get("handle_unknown") == "error",
        "a head's own": plan.name.startswith("PerTask"),
    }
    return [rule for rule, holds in rules.items() if holds]


def _each(option: Any) -> list[Any]:
    """Return the likelihoods that an option names."""
    return list(option.values()) if isinstance(option, dict) else option if isinstance(option, list) else [option]


def is_large_count(option: Any, X: Any) -> bool:
    """Return whether a table has numbers that are too large for counts, which a likelihood takes for some."""
    return not _standardized(option) and np.nanmax(np.abs(as_numbers(X)), initial=0) > 1e15


def _standardized(option: Any) -> bool:
    factories = {**LIKELIHOODS, "auto": LIKELIHOODS["gaussian"]}
    return all((factories[one] if isinstance(one, str) else one)(1).standardized for one in _each(option))
