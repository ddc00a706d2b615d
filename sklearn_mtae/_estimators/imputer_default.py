"""The default model of an imputer: its network and the length of its training are chosen by cells of held-out rows."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from copy import deepcopy
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from sklearn_mtae._tables.checks import check_weights, safe_indexing
from sklearn_mtae._tables.coded_rows import Coded, cells_of
from sklearn_mtae._verbs.imputation import expect
from sklearn_mtae.nn.objectives import IWAE

from .vae import VAETransformer

N_STEPS, BATCH_SIZE = 850, 64
"""Steps of a short training, and rows of a step."""
MIN_EPOCHS, MAX_EPOCHS = 10, 100
"""Epochs of a short training."""
LONG = 3
"""Length of a long training, in units of a short one."""
NETWORKS: tuple[tuple[int, ...], ...] = ((128,), (64, 64))
"""Hidden layers to choose from: two for curved dependence, one where columns are nearly linear or have outliers."""
N_TRIALS = len(NETWORKS) + 1
LAYERS_MARGIN, LENGTH_MARGIN = 0.02, 0.01
"""Share by which the error of two layers, and of a long training, must be less: otherwise chance chooses. What two
layers make of outliers can cost more than they gain."""
MIN_ROWS, MAX_ROWS = 100, 5000
"""Rows below which nothing is chosen, and rows at most to choose by: what is chosen costs little on large tables."""
HELD_OUT = 0.2
"""Share of these rows that is held out."""
N_FOLDS, N_DRAWS = 4, 50
"""Parts of the cells of held-out rows, which are hidden one after the other, and weighted codes of each row."""
DEFAULTS = {
    "n_components": 10,
    "hidden_layer_sizes": NETWORKS[0],
    "alpha": 0.1,
    "scaling": "standard",
    "objective": IWAE(20),
    "batch_size": BATCH_SIZE,
    "learning_rate_init": 5e-3,
    "learning_rate_decay": 1.0,
}
"""The default model of an imputer. Many weighted draws matter most, because the posterior given half a row is wide. A
small decoder makes them cheap, and large steps that fall to zero let a short training go as far as a long one. A small
table that is seen too often is overfitted."""
TRIAL = {**DEFAULTS, "objective": IWAE(10), "warm_start": True}
"""Fewer draws rank networks and lengths alike, in two thirds of the time."""
Tell = Callable[[VAETransformer, str], AbstractContextManager[None]]
"""Lets callbacks hear of the fit of a model, by a name."""


def choose_model(
    table: Any, n_rows: int, sample_weight: Any, random_state: Any, *, tell: Tell, verbose: Any
) -> VAETransformer:
    """Return the model to fit to a table, with the network and the epochs that fill cells of held-out rows best.

    Each network is trained for a short time. The better one goes on for a long time; where it does not improve, the
    short training is enough. The step size falls to zero each time.
    """
    layers, times = NETWORKS[0], 1
    if is_chosen(n_rows):
        with suppress(ValueError):  # rows may lack what a model needs; an error of the whole table comes again
            weight = check_weights(sample_weight, table)
            rng = deepcopy(check_random_state(random_state))  # the fit draws the same with and without trials
            search = Search(table, weight, rng, tell, bool(verbose))
            layers, times = search.run(count_epochs(n_rows, LONG) > count_epochs(n_rows))
    own = {**DEFAULTS, "hidden_layer_sizes": layers, "max_iter": count_epochs(n_rows, times)}
    return VAETransformer(**own, random_state=random_state, verbose=verbose)


def is_chosen(n_rows: int) -> bool:
    """Return whether a table has enough rows to choose by."""
    return n_rows >= MIN_ROWS


def count_epochs(n_rows: int, times: int = 1) -> int:
    """Return the epochs of a training; one of a large table has as many as it needs to see all rows a few times."""
    n_batches = max(1, ceil(n_rows / BATCH_SIZE))
    return min(max(ceil(times * N_STEPS / n_batches), MIN_EPOCHS), times * MAX_EPOCHS)


class Search:
    """The choice of a network and of the length of its training, by a part of the rows.

    Parameters
    ----------
    table : DataFrame or array of shape (n_rows, n_features)
        The table.
    weight : ndarray of shape (n_rows,) or None
        Weights of its rows.
    rng : RandomState
        Source of the parts and of the models' seed.
    tell : callable
        Lets callbacks hear of a fit.
    verbose : bool
        Whether to print a line per trial.
    """

    def __init__(
        self, table: Any, weight: NDArray | None, rng: np.random.RandomState, tell: Tell, verbose: bool
    ) -> None:
        n_rows = len(table) if weight is None else len(weight)
        rows = rng.permutation(np.arange(n_rows) if weight is None else np.flatnonzero(weight))[:MAX_ROWS]
        n_held_out = ceil(HELD_OUT * len(rows))
        self.rows = np.sort(rows[n_held_out:])
        """Index of the rows to train on."""
        self.train, self.valid = (safe_indexing(table, own) for own in (self.rows, np.sort(rows[:n_held_out])))
        self.weight = None if weight is None else weight[self.rows]
        self.seed = int(rng.randint(np.iinfo(np.int32).max))
        self.tell, self.verbose = tell, verbose

    def run(self, may_be_long: bool) -> tuple[tuple[int, ...], int]:
        """Return the hidden layers, and the length of the training in units of a short one."""
        models = [VAETransformer(**{**TRIAL, "hidden_layer_sizes": own}, random_state=self.seed) for own in NETWORKS]
        short, long = (count_epochs(len(self.rows), times) for times in (1, LONG))
        errors = [self.go_on(model, 0, short) for model in models]
        best = int(errors[1] < (1 - LAYERS_MARGIN) * errors[0])
        is_long = may_be_long and self.go_on(models[best], short, long) < (1 - LENGTH_MARGIN) * errors[best]
        return NETWORKS[best], LONG if is_long else 1

    def go_on(self, model: VAETransformer, n_done: int, n_epochs: int) -> float:
        """Train a model up to some epochs, and return its error for cells of held-out rows."""
        model.set_params(max_iter=n_epochs - n_done)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user hears those of the fit to all rows
            warnings.filterwarnings("error", "Training interrupted by user")
            try:
                with self.tell(model, "trial"):
                    model.fit(self.train, sample_weight=self.weight)
            except UserWarning:
                raise KeyboardInterrupt from None  # there is no model of all rows yet
            error = held_out_error(model, self.valid, self.seed)
        if self.verbose:
            print(f"[VAEImputer] trial of {model.hidden_layer_sizes}, {n_epochs} epochs: held-out error {error:.4f}")
        return error


def held_out_error(model: VAETransformer, rows: Any, seed: int) -> float:
    """Return the error of the cells of rows, each given others: in standard deviations; of a wrong level, 1.

    It is the geometric mean of the mean absolute and the root mean squared error. The latter is what counts, but of few
    cells it is that of some outliers.

    Parameters
    ----------
    model : VAETransformer
        The fitted model.
    rows : DataFrame or array of shape (n_rows, n_features)
        Rows that it was not trained on.
    seed : int
        Decides which cells are hidden together.
    """
    runner = model._runner
    x = runner.read(rows)
    cells = cells_of(x)
    fold = np.random.default_rng(seed).integers(N_FOLDS, size=cells.shape)
    filled = np.empty_like(cells)
    for own in range(N_FOLDS):
        hidden = fold == own
        filled[hidden] = expect(runner, _without(x, hidden), N_DRAWS)[hidden]
    scale = np.nanstd(cells, axis=0)
    scale[~(scale > 0)] = np.nan  # nothing to predict
    error = np.abs(filled - cells) / scale
    for category in getattr(x, "categories", ()):
        own = category.feature
        error[:, own] = np.where(np.isnan(cells[:, own]), np.nan, filled[:, own] != cells[:, own])
    return float(np.sqrt(np.nanmean(error) * np.sqrt(np.nanmean(error**2))))


def _without(x: Any, hidden: NDArray[np.bool_]) -> Any:
    """Return rows without some of their cells."""
    cells = np.where(hidden, np.nan, cells_of(x))
    return Coded(cells, x.categories, x.numbers, x.n_columns) if isinstance(x, Coded) else cells
