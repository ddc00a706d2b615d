"""Values of "auto", by the number of rows.

Up to `FULL_ROWS` rows, many members are trained for long: steps cost little there, and the held-out rows show which of
them were too many. Beyond, epochs, members, dropout and decay fall as powers of the number of rows, and layers grow.
From `MANY_ROWS` rows, each row takes the same time: two members see it equally often, however many rows there are.
"""

from typing import Any

FULL_ROWS = 1_000
"""Rows up to which nothing depends on their number."""
DEEP_ROWS = 2_000
"""Rows from which members have a second hidden layer."""
MANY_ROWS = 10_000
"""Rows from which two members are enough: one that sees bins of the columns, and one that does not."""
MOST_EPOCHS, LEAST_EPOCHS = 100, 6
LEAST_MEMBER_EPOCHS = 9
"""Minimum number of epochs of members, of which there are few by then."""
MOST_MEMBERS, LEAST_MEMBERS = 30, 2
NARROW = 64
"""Number of columns up to which each has bins."""


def share(n_rows: int) -> float:
    """Return the fraction of the full effort per row that a table gets."""
    return min(1.0, FULL_ROWS / n_rows)


def n_epochs(n_rows: int) -> int:
    """Return the number of epochs of a single model."""
    return max(LEAST_EPOCHS, round(MOST_EPOCHS * share(n_rows) ** 0.7))


def n_member_epochs(n_rows: int) -> int:
    """Return the number of epochs of a member of the default ensemble."""
    return max(LEAST_MEMBER_EPOCHS, round(MOST_EPOCHS * share(n_rows)))


def n_members(n_rows: int, n_settings: int) -> int:
    """Return the number of members of a default ensemble, equal for each setting."""
    wanted = max(LEAST_MEMBERS, MOST_MEMBERS * share(n_rows) ** 1.2)
    return n_settings * max(1, round(wanted / n_settings))


def single_settings(n_rows: int) -> dict[str, Any]:
    """Return the values of "auto" in a model that is not a member of the default ensemble."""
    part = share(n_rows)
    return {
        "hidden_layer_sizes": (512,),
        "dropout": 0.0,
        "task_likelihoods": "gaussian",
        "head_hidden_layer_sizes": (16,),
        "embedding": None,
        "alpha": _rounded(3.0 * part),
        "learning_rate_init": _rounded(1e-3 * part**-0.25),
        "learning_rate_decay": _rounded(1 - part),
        "max_iter": n_epochs(n_rows),
    }


def member_params(targets: str | None, n_rows: int, n_columns: int) -> tuple[dict[str, Any], ...]:
    """Return the values of "auto" in members of the default ensemble, which take them in turn.

    For numbers, members are regularised or not, and fit squares or absolute values. Labels of classes carry less
    information each: all members are regularised more, and weigh the columns by their relevance. With many rows, one
    member sees bins of the columns and one the columns themselves: each is better for some tasks, and these choose.
    """
    part, is_narrow = share(n_rows), n_columns <= NARROW
    shape = {
        "hidden_layer_sizes": _layers(16 * min(16, round(8 * part**-0.15)), n_rows),
        "head_hidden_layer_sizes": (),
        "learning_rate_decay": _rounded(1 - part),
        "max_iter": n_member_epochs(n_rows),
        **_batches(n_rows),
        "embedding": "piecewise_linear" if is_narrow else "softened",
    }
    regular = {**shape, "dropout": _rounded(0.3 * part**0.5), "alpha": _rounded(part**0.5), "learning_rate_init": 5e-3}
    # This one drops nothing; its dropout layers only allow it to stack with the others.
    free = {**shape, "dropout": 1e-9, "alpha": 0.0, "learning_rate_init": 1e-2}
    of_classes = {**regular, "hidden_layer_sizes": _layers(256, n_rows), "dropout": _rounded(0.5 * part**0.5)}
    of_numbers = (regular, free, {**regular, "task_likelihoods": "laplace"})
    if n_rows < MANY_ROWS:
        weighted = {**of_classes, "embedding": "weighted_bins" if is_narrow else "weighted"}
        return (weighted,) if targets == "classes" else of_numbers
    settings = (of_classes,) if targets == "classes" else of_numbers
    if is_narrow:
        return {**settings[0], "embedding": "softened"}, settings[:2][-1]
    return settings[:2]


def _layers(width: int, n_rows: int) -> tuple[int, ...]:
    """Return the widths of the hidden layers, given the first."""
    return (width,) if n_rows < DEEP_ROWS else (width, width // 2)


def _batches(n_rows: int) -> dict[str, Any]:
    """Return the batch size for large tables, as a setting: the fewer the epochs, the more steps they need."""
    return {} if n_rows <= FULL_ROWS else {"batch_size": max(125, min(n_rows // 100, 200))}


def _rounded(number: float) -> float:
    """Return a number with two digits."""
    return float(f"{number:.2g}")
