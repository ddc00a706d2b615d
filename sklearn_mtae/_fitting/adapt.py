"""What "auto" stands for, by the number of rows.

Up to `FULL_ROWS` rows, many members are trained for long: steps cost little there, and the rows left out say which of
them were too many. From there on, epochs, members, dropout and decay fall as powers of the number of rows, and layers
grow, until from `MANY_ROWS` rows each row takes the same time: two members see it as often, however many there are.
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
"""Epochs of members at least, of which there are few by then."""
MOST_MEMBERS, LEAST_MEMBERS = 30, 2
NARROW = 64
"""Columns up to which each has bins."""


def share(n_rows: int) -> float:
    """Return the part of the full effort for each row that a table is worth."""
    return min(1.0, FULL_ROWS / n_rows)


def n_epochs(n_rows: int) -> int:
    """Return how many epochs a model by itself is trained for."""
    return max(LEAST_EPOCHS, round(MOST_EPOCHS * share(n_rows) ** 0.7))


def n_member_epochs(n_rows: int) -> int:
    """Return how many epochs a member of the default ensemble is trained for."""
    return max(LEAST_MEMBER_EPOCHS, round(MOST_EPOCHS * share(n_rows)))


def n_members(n_rows: int, n_settings: int) -> int:
    """Return how many members a default ensemble has: as many of each setting."""
    wanted = max(LEAST_MEMBERS, MOST_MEMBERS * share(n_rows) ** 1.2)
    return n_settings * max(1, round(wanted / n_settings))


def single_settings(n_rows: int) -> dict[str, Any]:
    """Return what "auto" stands for in a model that is not a member of the default ensemble."""
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
    """Return what "auto" stands for in members of the default ensemble, which have it in turn.

    Of numbers they are regularised or not, and fit squares or absolute values. Labels of classes say less each: all
    members are regularised more. Of many rows one sees bins of the columns and one the columns as they are: either is
    better somewhere, and each task chooses.
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
    # Nothing is dropped by this one, whose layers of dropout are there to make one stack with the others.
    free = {**shape, "dropout": 1e-9, "alpha": 0.0, "learning_rate_init": 1e-2}
    of_classes = {**regular, "hidden_layer_sizes": _layers(256, n_rows), "dropout": _rounded(0.5 * part**0.5)}
    of_numbers = (regular, free, {**regular, "task_likelihoods": "laplace"})
    settings = (of_classes,) if targets == "classes" else of_numbers
    if n_rows < MANY_ROWS:
        return settings
    if is_narrow:
        return {**settings[0], "embedding": "softened"}, settings[:2][-1]
    return settings[:2]


def _layers(width: int, n_rows: int) -> tuple[int, ...]:
    """Return the widths of the hidden layers, given the first."""
    return (width,) if n_rows < DEEP_ROWS else (width, width // 2)


def _batches(n_rows: int) -> dict[str, Any]:
    """Return the rows of a batch of large tables, as a setting: the fewer the epochs are, the more they need steps."""
    return {} if n_rows <= FULL_ROWS else {"batch_size": max(125, min(n_rows // 100, 200))}


def _rounded(number: float) -> float:
    """Return a number with two digits."""
    return float(f"{number:.2g}")
