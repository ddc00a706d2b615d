"""Missing cells of X drawn by several models of X and y together, each fitted to a bootstrap of the rows."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter

from sklearn_mtae._fitting.shared_fits import fit_side_by_side
from sklearn_mtae._tables.checks import safe_indexing
from sklearn_mtae._tables.column_likelihoods import UNNAMED
from sklearn_mtae._tables.containers import is_frame
from sklearn_mtae._tables.filling import missing_cells
from sklearn_mtae._tables.targets import is_missing
from sklearn_mtae.nn.objectives import IWAE
from sklearn_mtae.nn.words import short

from .imputer import VAEImputer
from .vae import VAETransformer

N_STEPS, N_STEPS_ON, BATCH_SIZE = 1000, 120, 64
"""Steps of the model that stands for no imputer, on all rows and from there on a bootstrap of them."""
LINEAR: dict[str, Any] = {
    "hidden_layer_sizes": (128,),
    "architecture": "linear_decoder",
    "objective": IWAE(60),
    "alpha": 0.0,
    "batch_size": BATCH_SIZE,
    "learning_rate_init": 0.01,
}
"""Of fewer weighted draws the bound is loose where much of a row is missing, and coefficients come out too small."""
LARGEST_SEED = np.iinfo(np.int32).max


@dataclass
class JointDraws:
    """Fitted models of the columns of X and y.

    Parameters
    ----------
    imputers : list of estimators
        The models.
    y_names : list
        Names of y's columns, or their positions where X has no names.
    n_draws : int
        Number of tables that are drawn.
    seed : int
        Seed of the draws.
    """

    imputers: list[Any]
    y_names: list[Any]
    n_draws: int
    seed: int

    def complete(self, X: Any, y: NDArray | None = None) -> list[Any]:
        """Return tables of X whose missing cells are drawn given the others, and given y's columns where these are."""
        gaps = missing_cells(X)
        if not gaps.any():
            return [X] * self.n_draws
        y = np.full((len(gaps), len(self.y_names)), np.nan) if y is None else y
        table, n_models = join(X, y, self.y_names), len(self.imputers)
        tables: list[Any] = [None] * self.n_draws
        for position, imputer in enumerate(self.imputers):
            own = range(position, self.n_draws, n_models)
            drawn = draw(imputer, table, len(own), self.seed + position)
            for place, completed in zip(own, drawn, strict=True):
                tables[place] = _columns_of(X, completed)
        return tables


def fit_draws(
    imputer: Any,
    X: Any,
    y: NDArray,
    family: str,
    weight: Any,
    *,
    n_draws: int,
    n_models: int,
    n_jobs: int | None,
    random_state: Any,
) -> JointDraws:
    """Fit clones of an imputer to bootstraps of the rows of X and y, whose columns have a family of likelihoods."""
    rng = check_random_state(random_state)
    y_names = _free_names(X, y.shape[1])
    table = join(X, y, y_names)
    chosen = linear_imputer(*table.shape) if imputer is None else clone(imputer)
    model = _with_targets(chosen, y_names, family)
    weights = weight if has_fit_parameter(model, "sample_weight") else None
    if imputer is None:
        _seed(model, rng.randint(LARGEST_SEED))
        model.fit(table, sample_weight=weights)
        model.set_params(warm_start=True, max_iter=_n_epochs(len(y), N_STEPS_ON))
    models, calls = [], []
    for _ in range(n_models):
        own = deepcopy(model)
        _seed(own, rng.randint(LARGEST_SEED))
        rows = rng.randint(len(y), size=len(y))
        weighed = {} if weights is None else {"sample_weight": np.asarray(weights)[rows]}
        models.append(own)
        calls.append(partial(own.fit, safe_indexing(table, rows), **weighed))
    _fit(models, calls, n_jobs)
    return JointDraws(models, y_names, n_draws, int(rng.randint(LARGEST_SEED - n_models)))


def check_draws(imputer: Any) -> None:
    """Raise an error where an imputer fills cells with means alone."""
    if imputer is None or _network(imputer) is not None or isinstance(imputer, VAEImputer):
        return
    if not getattr(imputer, "sample_posterior", False):
        raise ValueError(
            "imputer must draw: a VAEImputer, a VAETransformer, or one with sample_posterior=True, such as "
            f"IterativeImputer(sample_posterior=True). Got {short(imputer)}."
        )


def linear_imputer(n_rows: int, n_columns: int) -> VAETransformer:
    """Return a factor analysis, of any covariance, whose posterior takes a network: it depends on what is missing."""
    n_components = max(1, min(n_columns - 1, 10))
    return VAETransformer(n_components, **LINEAR, max_iter=_n_epochs(n_rows, N_STEPS))


def _n_epochs(n_rows: int, n_steps: int) -> int:
    return ceil(n_steps / ceil(n_rows / BATCH_SIZE))


def join(X: Any, y: NDArray, y_names: list[Any]) -> Any:
    """Return X with y's columns after its own."""
    if not is_frame(X):
        return np.hstack([X, y.astype(X.dtype)])
    table = X if isinstance(y_names[0], str) else X.set_axis(range(X.shape[1]), axis=1)
    return type(X)({**dict(table.items()), **dict(zip(y_names, y.T, strict=True))}, index=X.index)


def draw(imputer: Any, table: Any, n_draws: int, seed: int) -> list[Any]:
    """Return tables whose missing cells a fitted imputer has drawn."""
    models = imputer.estimators_[:n_draws] if isinstance(imputer, VAEImputer) else [imputer]
    if isinstance(models[0], VAETransformer):
        n_each = max(2, ceil(n_draws / len(models)))  # one draw would be the mean
        seeds = [seed, *check_random_state(seed).randint(LARGEST_SEED, size=len(models) - 1).tolist()]
        each = [model.impute(table, n_draws=n_each, random_state=own) for model, own in zip(models, seeds, strict=True)]
        return [completed for in_turn in zip(*each, strict=True) for completed in in_turn][:n_draws]
    own = deepcopy(imputer)
    own.random_state_ = check_random_state(seed)
    return [_as(table, own.transform(table)) for _ in range(n_draws)]


def _fit(models: list[Any], calls: list[Any], n_jobs: int | None) -> None:
    """Fit the models; networks side by side where they stack."""
    networks = [_network(model) for model in models]
    if networks[0] is not None and not networks[0].warm_start:
        fit_side_by_side(networks, calls, n_jobs)
    else:
        fitted = Parallel(n_jobs=n_jobs)(delayed(_call)(call) for call in calls)
        models[:] = fitted


def _call(call: Any) -> Any:
    return call()


def _network(imputer: Any) -> VAETransformer | None:
    """Return the network that an imputer is to fit, None where it has none that is known before."""
    own = imputer.estimator if isinstance(imputer, VAEImputer) else imputer
    return own if isinstance(own, VAETransformer) else None


def _with_targets(imputer: Any, y_names: list[Any], family: str) -> Any:
    """Return an imputer that knows the likelihood of y's columns, where likelihoods are given by column."""
    network = _network(imputer)
    if network is not None:
        option = network.likelihood
        if isinstance(option, list | tuple):
            network.likelihood = [*option, *[family] * len(y_names)]
        elif isinstance(option, Mapping) or option == UNNAMED:
            network.likelihood = {**(option if isinstance(option, Mapping) else {}), **dict.fromkeys(y_names, family)}
    return imputer


def _seed(imputer: Any, seed: int) -> None:
    """Set the seeds of an imputer and of what is in it."""
    names = [name for name in imputer.get_params() if name.rpartition("__")[2] == "random_state"]
    imputer.set_params(**dict.fromkeys(names, seed))


def _free_names(X: Any, n_names: int) -> list[Any]:
    """Return names that X's columns do not have, positions where those have no names."""
    taken = set(X.columns) if is_frame(X) else set()
    if not all(isinstance(name, str) for name in taken) or not taken:
        return list(range(X.shape[1], X.shape[1] + n_names))
    free = (name for position in range(len(taken) + n_names) if (name := f"target{position}") not in taken)
    return [next(free) for _ in range(n_names)]


def _columns_of(X: Any, table: Any) -> Any:
    """Return X's columns of a table, by X's names."""
    return table.iloc[:, : X.shape[1]].set_axis(X.columns, axis=1) if is_frame(X) else table[:, : X.shape[1]]


def _as(table: Any, filled: Any) -> Any:
    """Return a filled table in the container of the table with gaps."""
    if filled.shape != table.shape:
        raise ValueError(
            f"imputer must keep all {table.shape[1]} columns of X and y. It returned {filled.shape[1]}: a column "
            "without an observed value needs keep_empty_features=True."
        )
    if is_frame(table) and not is_frame(filled):
        return type(table)(filled, index=table.index, columns=table.columns)
    return filled


def indicators(y: NDArray, classes: NDArray) -> NDArray:
    """Return a column for each class but the first, 1 where a label is of it."""
    missing = is_missing(y)
    columns = (y[:, None] == classes[1:]).astype(np.float64)
    columns[missing] = np.nan
    return columns
