"""What drawn rows are to have: values of columns and tasks, ranges of them, or one of several values."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import log
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.blocks import dense
from sklearn_mtae._tables.checks import check_cells
from sklearn_mtae._tables.frame import Numbers
from sklearn_mtae._tables.levels import Levels
from sklearn_mtae._tables.limits import find_range
from sklearn_mtae._tables.mixed_targets import MixedTasks
from sklearn_mtae.nn.likelihoods import Likelihood, Multinomial
from sklearn_mtae.nn.models import VAE, MultiTaskVAE
from sklearn_mtae.nn.standardizer import Standardizer
from sklearn_mtae.nn.words import listed, named, short, suggest_each

N_SEEN = 2000
"""Rows drawn to see where a range that is open ends, and where its values lie."""
LEAST_SHARE = 1e-6
"""Share of all rows that meet a condition, at least."""
CELLS = 2**22
"""Cells whose densities are computed at once."""


class Choice(NamedTuple):
    """The values that a condition admits, each of some columns of the features, or of one task."""

    name: Any
    given: Any
    of_tasks: bool
    columns: list[int]
    values: Tensor
    """Standardised values, shape (n_values, n_columns)."""
    log_length: Tensor
    """Logs of the lengths that the values cover, shape (n_values,); zero of a value by itself."""
    own: Tensor | None = None
    """The values as they were given, in the columns' own units; None of a range."""

    def log_mass(self, model: VAE, z: Tensor) -> Tensor:
        """Return the log-probability of each value at each code, shape (n_values, n_codes)."""
        _, likelihood = side_of(model, self.of_tasks)
        family, own, params = _family_of(likelihood, self.columns[0], _outputs(model, z, self.of_tasks))
        x = torch.full((len(self.values), 1, len(own)), float("nan"), dtype=z.dtype)
        x[:, 0, [own.index(column) for column in self.columns]] = self.values
        parts = x.split(max(1, CELLS // params.numel()))
        density = [family.log_prob(params.expand(len(part), *params.shape), part).sum(-1) for part in parts]
        return torch.cat(density) + self.log_length[:, None]

    def draw(self, model: VAE, z: Tensor) -> Tensor:
        """Draw one of the values for each code, shape (n_codes, n_columns), in the columns' own units.

        A value of a range is drawn within the length that it covers.
        """
        chosen = torch.multinomial(self.log_mass(model, z).T.softmax(-1), 1)[:, 0]
        if self.own is not None:
            return self.own[chosen]
        length = torch.where(self.log_length == 0, 0.0, self.log_length.exp())[chosen, None]
        units, _ = side_of(model, self.of_tasks)
        values = self.values[chosen] + (torch.rand_like(length) - 0.5) * length
        return units.location[self.columns] + units.scale[self.columns] * values


class Conditions(NamedTuple):
    """What drawn rows are to have."""

    row: Any
    """The columns that are to have one value, shape (1, n_columns), NaN elsewhere; None where there are none."""
    fixed: dict[Any, Any]
    """Their values by name."""
    choices: list[Choice]

    def log_mass(self, model: VAE, z: Tensor) -> Tensor:
        """Return the log-probability of all choices at each code, shape (n_codes,)."""
        masses = [choice.log_mass(model, z).logsumexp(0) for choice in self.choices]
        for choice, mass in zip(self.choices, masses, strict=True):
            _check_share(mass, f"{choice.name!r}: {short(choice.given)}")
        total = torch.stack(masses).sum(0)
        _check_share(total, " together with ".join(f"{own.name!r}: {short(own.given)}" for own in self.choices))
        return total

    def log_left(self, model: VAE, z: Tensor) -> Tensor | float:
        """Return the log-probability that counts of one value leave the total of their rows to others."""
        return sum(family.log_left(params, x) for family, _, params, x in self._given(model, z))

    def complete(self, model: VAE, z: Tensor, drawn: Tensor) -> None:
        """Let drawn rows have the cells with one value, and others that fit these, in place."""
        for family, columns, params, x in self._given(model, z):
            drawn[:, columns] = family.completed(params, x, drawn[:, columns])

    def _given(self, model: VAE, z: Tensor) -> Iterator[tuple[Multinomial, list[int], Tensor, Tensor]]:
        """Yield each family of rows with a total, its columns, parameters and cells with one value."""
        if self.row is None or not any(isinstance(family, Multinomial) for family, _ in model.likelihood.parts()):
            return
        row, outputs = torch.from_numpy(dense(self.row))[0].to(z), model.decode(z)
        for (family, columns), (_, params) in zip(
            model.likelihood.parts(), model.likelihood.each(outputs), strict=True
        ):
            if isinstance(family, Multinomial):
                yield family, columns, params, row[columns]


def _check_share(log_mass: Tensor, words: str) -> None:
    """Raise an error where hardly any row meets a condition."""
    if not log_mass.logsumexp(0) - log(len(log_mass)) > log(LEAST_SHARE):
        raise ValueError(
            f"conditions must be met by more than one row in {1 / LEAST_SHARE:,.0f}. Under the model, hardly any has "
            f"{words}."
        )


def read_conditions(runner: ModelRunner, model: VAE, given: Mapping[Any, Any]) -> Conditions:
    """Check conditions by the names of columns and of tasks."""
    features = runner.features
    names, tasks = list(features.names), list(runner.fitted.recipe.task_names)
    if not isinstance(given, Mapping):
        raise TypeError(f"conditions must be a dict from columns of X to values. Got {short(given)} instead.")
    unknown = [name for name in given if name not in names and name not in tasks]
    if unknown:
        beside = f", the tasks {listed(tasks)}" if tasks else ""
        raise ValueError(
            f"conditions must name columns of X. Got {listed(unknown)}; the columns are {listed(names)}{beside}."
            f"{suggest_each(unknown, [*names, *tasks])}"
        )
    both = [name for name in given if name in names and name in tasks]
    if both:
        raise ValueError(
            f"conditions must name a column of X or a task. Got {listed(both)}, the name of one of each: rename the "
            "task, and fit the model again."
        )
    choices = {name: own for name, own in given.items() if name not in names or _is_choice(own)}
    fixed = {name: own for name, own in given.items() if name not in choices}
    row = _read_row(runner, fixed) if fixed or not choices else None
    if row is not None:
        _check_totals(model, row, features.expanded_names)
    return Conditions(row, fixed, [_read_choice(runner, model, name, own) for name, own in choices.items()])


def _is_choice(given: Any) -> bool:
    several = isinstance(given, Collection) and not isinstance(given, str | bytes | Mapping)
    return several and getattr(given, "ndim", 1) > 0


def _read_row(runner: ModelRunner, values: Mapping[Any, Any]) -> Any:
    """Return a row of the given cells, NaN elsewhere."""
    features = runner.features
    with named("conditions"):
        row = check_cells([values.get(name, np.nan) for name in features.names], features.table)
    runner.limits.check(row, find_range(row), "the column", features.expanded_names, "conditions")
    return row


def _check_held(name: Any, given: Any, column: Any, value: float) -> None:
    """Raise an error where a column, or a task, has a dtype to which a value would be rounded."""
    if isinstance(column, Numbers) and not column.holds(value):
        raise ValueError(f"conditions on {name!r} must be values of its dtype, {column.dtype}. Got {short(given)}.")


def _check_totals(model: VAE, row: Any, names: Sequence) -> None:
    """Raise an error where given counts of a row are more than the total that drawn rows have."""
    for family, columns in model.likelihood.parts():
        given = dense(row)[0, columns]
        if isinstance(family, Multinomial) and np.isnan(given).any() and np.nansum(given) > family.total + 0.5:
            fixed = [names[column] for column, own in zip(columns, given, strict=True) if not np.isnan(own)]
            raise ValueError(
                f"conditions on {listed(fixed)} must not exceed {float(family.total):.6g}, the mean total of the "
                f"training rows, which drawn rows have. Got {np.nansum(given):.6g} in all."
            )


def _read_choice(runner: ModelRunner, model: VAE, name: Any, given: Any) -> Choice:
    """Return the values of a condition on one column or task."""
    of_tasks = name not in runner.features.names
    if not of_tasks:
        _check_alone(runner, model, name, given)
    if isinstance(given, tuple):
        return _read_range(runner, model, name, given, of_tasks)
    several = list(given) if _is_choice(given) else [given]
    if not several:
        raise ValueError(f"conditions must hold a value for {name!r} at least. Got {short(given)}.")
    units, _ = side_of(model, of_tasks)
    if of_tasks:
        columns = [runner.fitted.recipe.task_names.index(name)]
        own = torch.tensor([[_task_value(runner, columns[0], one)] for one in several], dtype=torch.float64)
        values = (own - units.location[columns]) / units.scale[columns]
    else:
        columns = _columns_of(runner, name)
        rows = torch.cat([torch.from_numpy(dense(_read_row(runner, {name: one}))) for one in several])
        own, values = rows[:, columns].to(torch.float64), units(rows)[:, columns]
        if runner.features.has_frame:
            for one, value in zip(several, own[:, 0].tolist(), strict=True):
                _check_held(name, one, _kind_of(runner, name), value)
    if not values.isfinite().all():
        raise ValueError(f"conditions on {name!r} must be finite values, none of them missing. Got {short(given)}.")
    return Choice(name, given, of_tasks, columns, values, torch.zeros(len(several), dtype=torch.float64), own)


def _check_alone(runner: ModelRunner, model: VAE, name: Any, given: Any) -> None:
    """Raise an error where a column is drawn together with others, which its values would not fit."""
    column, *more = _columns_of(runner, name)
    family = next(family for family, own in model.likelihood.parts() if column in own)
    if family.joint and not more and not isinstance(_kind_of(runner, name), Levels):
        raise ValueError(
            f"conditions on {name!r}, which is drawn together with other columns, must be one value. "
            f"Got {short(given)}."
        )


def _kind_of(runner: ModelRunner, name: Any) -> Any:
    """Return what a column of X holds: levels, or numbers."""
    table = runner.features.table
    return None if table is None else table.columns[list(runner.features.names).index(name)]


def _columns_of(runner: ModelRunner, name: Any) -> list[int]:
    """Return the expanded columns of a column of X."""
    return runner.features.groups[list(runner.features.names).index(name)]


def _classes_of(runner: ModelRunner, task: int) -> Any:
    """Return the classes of a task; None of one of numbers."""
    tasks: Any = runner.fitted.recipe.tasks
    if isinstance(tasks, MixedTasks):
        return tasks.by_name.get(tasks.names[task])
    return None if tasks.classes is None else tasks.classes[task]


def _task_value(runner: ModelRunner, task: int, value: Any) -> float:
    """Return a target as the model has it: the position of a class, or a number."""
    name, classes = runner.fitted.recipe.task_names[task], _classes_of(runner, task)
    if classes is None:
        with named(f"conditions on task {name!r}"):
            number = float(value)
        table = getattr(runner.fitted.recipe.tasks, "table", None)
        _check_held(name, value, None if table is None else table.columns[task], number)
        return number
    found = np.flatnonzero([own == value for own in classes])
    if not len(found):
        known = listed(np.asarray(classes).tolist())
        raise ValueError(f"conditions on task {name!r} must be out of its classes {known}. Got {short(value)}.")
    return float(found[0])


def _read_range(runner: ModelRunner, model: VAE, name: Any, given: tuple, of_tasks: bool) -> Choice:
    """Return the values that stand for a range of a column or of a task."""
    column = runner.fitted.recipe.task_names.index(name) if of_tasks else _columns_of(runner, name)[0]
    _check_range(runner, name, given, of_tasks)
    units, likelihood = side_of(model, of_tasks)
    seen = _outputs(model, model.prior.given(model.infer).sample(N_SEEN), of_tasks)
    drawn = likelihood.distribution(seen).sample()[:, column]
    family, own, _ = _family_of(likelihood, column, seen)
    low, high = (
        float(end if is_open else (reached - units.location[column]) / units.scale[column])
        for end, reached, is_open in zip(
            (drawn.min(), drawn.max()),
            family.within(own.index(column), *ends_of(given)),
            np.isinf(ends_of(given)),
            strict=True,
        )
    )
    if not family.standardized:
        low, high = max(low, family.support[0]), min(high, family.support[1])
    values, log_length = family.points(own.index(column), low, high, drawn) if low < high else (torch.empty(0),) * 2
    if not len(values):
        raise ValueError(f"conditions must leave values for {name!r}. Got the range {short(given)}, which has none.")
    return Choice(name, given, of_tasks, [column], values[:, None], log_length)


def ends_of(given: tuple) -> tuple[float, float]:
    """Return the ends of a range, infinite where it is open."""
    low, high = given
    return -np.inf if low is None else float(low), np.inf if high is None else float(high)


def _check_range(runner: ModelRunner, name: Any, given: tuple, of_tasks: bool) -> None:
    """Raise an error where a range has no two ends in order, or is one of classes."""
    ends = [own for own in given if own is not None]
    numbers = all(isinstance(own, int | float | np.number) for own in ends)
    if len(given) != 2 or not numbers or (len(ends) == 2 and not ends[0] < ends[1]):
        raise ValueError(
            f"conditions on {name!r} must be a value, a list of values, or a range (low, high) with low < high, None "
            f"where it is open. Got {short(given)} instead."
        )
    if of_tasks:
        is_class = _classes_of(runner, runner.fitted.recipe.task_names.index(name)) is not None
    else:
        is_class = isinstance(_kind_of(runner, name), Levels)
    if is_class:
        raise ValueError(f"conditions on {name!r}, which holds classes, must be a class or a list. Got {short(given)}.")


def side_of(model: VAE, of_tasks: bool) -> tuple[Standardizer, Likelihood]:
    """Return units and distribution of the columns, or of the targets."""
    if of_tasks:
        assert isinstance(model, MultiTaskVAE)
        return model.task_units, model.task_likelihood
    return model.units, model.likelihood


def _outputs(model: VAE, z: Tensor, of_tasks: bool) -> Tensor:
    """Return the parameters of the distribution of the columns, or of the targets, at codes."""
    if of_tasks:
        assert isinstance(model, MultiTaskVAE)
        return model.heads(z)
    return model.decode(z)


def _family_of(likelihood: Likelihood, column: int, params: Tensor) -> tuple[Likelihood, list[int], Tensor]:
    """Return the family of a column, all columns of it, and its parameters."""
    parts = zip(likelihood.parts(), likelihood.each(params), strict=True)
    return next((family, own, outputs) for (family, own), (_, outputs) in parts if column in own)
