"""What components and tasks stand for: the loadings of a linear decoder, and what each feature matters to them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch, check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sklearn_mtae._tables.blocks import dense
from sklearn_mtae._tables.checks import feature_names
from sklearn_mtae._tables.describe import describe
from sklearn_mtae.nn.loadings import loadings, relevance
from sklearn_mtae.nn.models import Autoencoder
from sklearn_mtae.nn.words import short

from .training import Trainable

STEEPEST = 1e15
"""A slope above it is none: an empty row of counts, divided by its length, has an infinite one."""


class Interpretable(Trainable):
    """An estimator that tells what its components stand for."""

    module_: Any
    get_feature_names_out: Callable[..., NDArray]
    _n_features_out: int
    _check_rows: Callable[[Any], NDArray]
    _apply: Callable[..., NDArray]
    _results: Callable[..., Iterator[tuple[slice, NDArray]]]

    @property
    def components_(self) -> NDArray:
        """Loadings of a linear decoder, shape (n_components, n_columns).

        By how much the mean of each column moves per unit of a component, in X's own units; where the likelihood has a
        link, such as the logarithm of a count's mean or the logit of a probability, the output on its scale. The
        columns are `column_names_`.
        """
        loading = self._loadings("components_")
        return loading * self.module_.units.scale.numpy(force=True)

    @property
    def relevance_(self) -> NDArray:
        """Share of each component in what the components explain, shape (n_components,), adding up to 1.

        `|loading|^2 * variance`, in the standardised units of the training; the variance is that of the codes of the
        rows that were trained on last. Parts that two components explain together are left out.
        """
        loading = self._loadings("relevance_")
        assert self._code_variance is not None
        return relevance(torch.from_numpy(loading), torch.from_numpy(self._code_variance)).numpy()

    @property
    def column_names_(self) -> NDArray:
        """Names of the columns as the model sees them: those of X, a category one for each level, "job=clerk"."""
        check_is_fitted(self)
        prefix = "" if hasattr(self, "feature_names_in_") else "x"
        return np.array([f"{prefix}{name}" for name in self._expanded_names], dtype=object)

    def feature_importance(
        self,
        X: ArrayLike,
        y: Any = None,
        *,
        method: str = "permutation",
        n_repeats: int = 5,
        random_state: int | np.random.RandomState | None = None,
    ) -> Bunch:
        """Return how much each feature moves each component, and the prediction of each task where there are tasks.

        "permutation" shuffles one feature over the rows, missing cells with it, and takes the mean distance by which an
        output `f` moves: `mean_i |f(x_i) - f(shuffled x_i)| / std(f)`. "gradient" takes the mean slope:
        `mean_i |df / dx_j (x_i)| std(x_j) / std(f)`, zero at a missing cell. Of a linear `f` and a normal column the
        first is `2 / sqrt(pi)` = 1.13 times the second. What matters only by jumps has no gradient, what saturates a
        small one; but slopes take one pass for all features, where shuffling takes `n_repeats` for each.

        The output of a component is its code (the posterior's mean), that of a task its predicted mean, or all its
        class probabilities, and both the distance and the deviation are lengths of vectors. A feature of categories is
        shuffled as one, and its slope is the length of those of its levels. Neither is causal, and features that depend
        on each other share their importance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing: some hundreds of them.
        y : None
            Ignored.
        method : {"permutation", "gradient"}, default="permutation"
            How importance is measured.
        n_repeats : int, default=5
            How often each feature is shuffled.
        random_state : int, RandomState instance or None, default=None
            Seed of the shuffling.

        Returns
        -------
        Bunch
            `components` of shape (n_components, n_features), `feature_names`, `component_names`; where there are tasks
            `tasks` of shape (n_tasks, n_features) and `task_names` too. In standard deviations of the output over X; 0
            of an output that is constant.

        Raises
        ------
        ValueError
            If `method` or `n_repeats` is not admissible, or if an importance is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mtae import AutoencoderTransformer
        >>> X = np.random.default_rng(0).normal(size=(200, 3)) * [1, 1, 0]
        >>> model = AutoencoderTransformer(1, hidden_layer_sizes=(), random_state=0).fit(X)
        >>> importance = model.feature_importance(X, method="gradient")
        >>> importance.feature_names[importance.components[0] > 0]
        array(['x0', 'x1'], dtype=object)
        """
        if not (isinstance(method, str) and method in IMPORTANCES):
            raise ValueError(f"method must be one of {list(IMPORTANCES)}. Got {short(method)} instead.")
        check_scalar(n_repeats, "n_repeats", Integral, min_val=1)
        x = self._check_rows(X)
        names = getattr(self, "task_names_", [])
        outputs = self._apply(self._outputs, x).astype(np.float64)
        question = Question(self._apply, self._results, self._outputs, x, outputs, self._starts(outputs), self._groups)
        with np.errstate(over="ignore", invalid="ignore"):
            distances = IMPORTANCES[method](question, n_repeats, check_random_state(random_state))
            importance = question.in_deviations(distances)
        for feature in np.flatnonzero(~np.isfinite(importance).all(axis=0)).tolist():
            raise ValueError(
                f"The importance of column {self._names_in[feature]!r} is not finite: X is too far from the rows that "
                "the model was fitted to."
            )
        n_columns = self._n_features_out
        tasks = {"tasks": importance[n_columns:], "task_names": np.array(names, dtype=object)} if names else {}
        return Bunch(
            components=importance[:n_columns],
            feature_names=feature_names(self, None),
            component_names=self.get_feature_names_out(),
            **tasks,
        )

    def _loadings(self, name: str) -> NDArray:
        """Return the loadings in standardised units, shape (n_components, n_columns), for an attribute of this name."""
        loading = loadings(self.module_)
        if loading is None:
            chosen = {key: self._blueprint[key] for key in ("architecture", "hidden_layer_sizes")}
            raise AttributeError(
                f"{name} needs a linear decoder: architecture='linear_decoder', or hidden_layer_sizes=() with 'mlp' or "
                f"'resnet'. Got {', '.join(f'{key}={value!r}' for key, value in chosen.items())}."
            )
        return loading.numpy(force=True)

    @property
    def _groups(self) -> list[list[int]]:
        """Positions of the columns of each feature."""
        return [[j] for j in range(self.n_features_in_)] if self._table is None else self._table.groups

    def _outputs(self, module: Any, x: Tensor) -> Tensor:
        """Return the codes of standardised rows, then what is predicted of each task, shape (n_rows, n_outputs)."""
        z = module.encode(module.fill(x))
        return torch.cat([z[:, : self._n_features_out], self._task_outputs(module, z).flatten(1)], dim=-1)

    def _task_outputs(self, module: Any, z: Tensor) -> Tensor:
        """Return what is predicted of each task at each code, shape (n_rows, n_tasks, n_outputs); of no task here."""
        return z.new_zeros(len(z), 0, 1)

    def _starts(self, outputs: NDArray) -> NDArray:
        """Return the first column of each component and of each task among the outputs."""
        n_columns, n_tasks = self._n_features_out, len(getattr(self, "task_names_", []))
        n_each = (outputs.shape[1] - n_columns) // max(1, n_tasks)
        return np.r_[np.arange(n_columns), n_columns + n_each * np.arange(n_tasks)]


class Question(NamedTuple):
    """What is asked of a model: how much each feature moves each output."""

    apply: Callable[..., NDArray]
    """Runs a function of the module and of standardised rows over blocks of rows, and puts the results together."""
    results: Callable[..., Iterator[tuple[slice, NDArray]]]
    """Yields the blocks and their results one by one."""
    function: Callable[[Any, Tensor], Tensor]
    """The outputs of standardised rows."""
    x: Any
    """Rows, shape (n_rows, n_columns); sparse or not."""
    outputs: NDArray
    """Their outputs, shape (n_rows, n_outputs)."""
    starts: NDArray
    """First column of each component and of each task among the outputs, shape (n_targets,)."""
    groups: Sequence[Sequence[int]]
    """Positions of the columns of each feature."""

    def lengths(self, change: NDArray) -> NDArray:
        """Return the length of each target's part of the outputs, shape (n_rows, n_targets)."""
        return np.sqrt(np.add.reduceat(np.square(change), self.starts, axis=1))

    def in_deviations(self, distances: NDArray) -> NDArray:
        """Return distances of shape (n_targets, n_features) in standard deviations of the targets' outputs."""
        squares = np.square(self.lengths(self.outputs - self.outputs.mean(axis=0)))
        deviation = np.sqrt(squares.mean(axis=0))[:, None]
        # Codes, probabilities and standardised predictions are of the order of 1: what varies less is rounding.
        varies = deviation > 10 * np.finfo(self.x.dtype).eps
        return np.divide(distances, deviation, out=np.zeros_like(distances), where=varies)


class Shuffled:
    """Rows whose cells of some columns are those of other rows, put together block by block.

    Parameters
    ----------
    x : ndarray or CSR array of shape (n_rows, n_columns)
        The rows.
    columns : sequence of int
        The columns.
    order : ndarray of int of shape (n_rows,)
        The row that each of them takes the cells of.
    """

    def __init__(self, x: Any, columns: Sequence[int], order: NDArray) -> None:
        self.x = x
        self.columns = np.array(columns)
        self.order = order
        self.shape = x.shape
        self.dtype = x.dtype

    def __getitem__(self, rows: slice) -> NDArray:
        block = np.array(dense(self.x[rows]))
        block[:, self.columns] = dense(self.x[self.order[rows]])[:, self.columns]
        return block


def permutation(question: Question, n_repeats: int, random_state: np.random.RandomState) -> NDArray:
    """Return the mean distance by which shuffling each feature moves each target, shape (n_targets, n_features)."""
    x, outputs = question.x, question.outputs
    orders = [random_state.permutation(x.shape[0]) for _ in range(n_repeats)]

    def distance(group: Sequence[int], order: NDArray) -> NDArray:
        moved = question.apply(question.function, Shuffled(x, group, order))
        return question.lengths(moved - outputs).mean(axis=0)

    return np.stack([np.mean([distance(g, order) for order in orders], axis=0) for g in question.groups], axis=1)


def gradient(question: Question, n_repeats: int, random_state: np.random.RandomState) -> NDArray:
    """Return each target's mean slope per standard deviation of each feature, shape (n_targets, n_features)."""
    columns = describe(question.x)
    deviation = torch.from_numpy(np.where(columns.max > columns.min, columns.deviation, 0.0))
    owner = torch.from_numpy(np.repeat(np.arange(len(question.groups)), list(map(len, question.groups))))
    bounds = [*question.starts.tolist(), question.outputs.shape[1]]

    def slopes(module: Autoencoder, x: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            x = x.clone().requires_grad_()
            outputs = question.function(module, x)
            spread = (deviation.to(module.units.scale) / module.units.scale).to(x)
            sums = []
            for start, stop in pairwise(bounds):
                squares = squared_slopes(outputs[:, start:stop], x) * spread.square()
                per_feature = x.new_zeros(len(x), len(question.groups)).index_add_(1, owner.to(x.device), squares)
                sums.append(per_feature.sqrt().sum(0))
            return torch.stack(sums)

    return sum(block.astype(np.float64) for _, block in question.results(slopes, question.x)) / question.x.shape[0]


def squared_slopes(outputs: Tensor, x: Tensor) -> Tensor:
    """Return the squared lengths of the slopes of each row's outputs in its columns, shape (n_rows, n_columns)."""
    squares = torch.zeros_like(x)
    for output in outputs.unbind(1):
        (slope,) = torch.autograd.grad(output.sum(), x, retain_graph=True)
        squares += torch.where(slope.abs() < STEEPEST, slope, 0.0).square()
    return squares


IMPORTANCES: dict[str, Callable[[Question, int, np.random.RandomState], NDArray]] = {
    "permutation": permutation,
    "gradient": gradient,
}
