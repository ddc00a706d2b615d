"""Valid contents of the parameter `net_params`."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from sklearn_mtae._engine.net import Callback, Net  # pyright: ignore[reportAttributeAccessIssue]
from sklearn_mtae._engine.optimizer import VectorAdamW
from sklearn_mtae.nn.words import listed, short, suggest, suggest_each

OWN_NAMES = {
    "module": "architecture",
    "criterion": "likelihood",
    "lr": "learning_rate_init",
    "optimizer__lr": "learning_rate_init",
    "max_epochs": "max_iter",
    "batch_size": "batch_size",
    "device": "device",
    "train_split": "early_stopping",
    "warm_start": "warm_start",
    "verbose": "verbose",
    "optimizer__weight_decay": "alpha",
    "optimizer__param_groups": "alpha",
    "iterator_train": "batch_size",
    "iterator_valid": "batch_size",
    "dataset": "X",
    "members": "X",
    "valid_rows": "validation_fraction",
    "seeds": "random_state",
    "checkpoint": "checkpoint",
    "scheduled": "beta",
    "predict_nonlinearity": "likelihood",
}
"""Names in skorch and in the net of settings that have a parameter here."""

TAKEN = {name for owner in (Net, *Net.__bases__) for name in signature(owner.__init__).parameters}
TAKEN -= {*OWN_NAMES, "self", "args", "kwargs"}
"""Names that `net_params` may hold; a name and two underscores lead to its own parameters."""
SWITCHES = {"compile", "record_steps"}


def check_net_params(params: Mapping[Any, Any], estimator: str) -> None:
    """Raise an error if further parameters of the net are invalid."""
    for name in params:
        parts = [name] if not isinstance(name, str) else [name, name.split("__")[0]]
        own = next((OWN_NAMES[part] for part in parts if part in OWN_NAMES), None)
        if own is not None:
            raise ValueError(f"net_params must leave {name!r} out: {estimator} has {own!r} for it.")
        if parts[-1] not in TAKEN:
            hint = suggest(parts[-1], TAKEN)
            raise ValueError(f"net_params must hold parameters out of {sorted(TAKEN)}. Got {short(name)}.{hint}")
    for name in SWITCHES & set(params):
        if not isinstance(params[name], bool):
            raise TypeError(f"net_params must have True or False for {name!r}. Got {short(params[name])} instead.")
    _check_optimizer(params.get("optimizer", VectorAdamW), params)
    _check_callbacks(params.get("callbacks") or [])


def _check_optimizer(optimizer: Any, params: Mapping[str, Any]) -> None:
    """Raise an error if an optimiser is not one, or does not take its given parameters."""
    if not callable(optimizer):
        raise TypeError(
            "net_params must have a class of optimisers for 'optimizer', such as torch.optim.SGD. Got "
            f"{short(optimizer)} instead."
        )
    prefix = "optimizer__"
    own = {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}
    try:
        signature(optimizer).bind([], lr=0.0, **own)
    except TypeError as error:
        known = [name for name in signature(optimizer).parameters if name not in ("self", "params", "lr")]
        hint = suggest_each([name for name in own if name not in known], known)
        raise TypeError(
            f"net_params must hold parameters that {_of(optimizer)} takes: "
            f"{listed(prefix + name for name in known)}. Got {listed(prefix + name for name in own)}: {error}.{hint}"
        ) from error


def _of(optimizer: Any) -> str:
    """Name an optimiser in an error; to the user, the package's own is torch's AdamW."""
    return "AdamW, the default," if optimizer is VectorAdamW else short(optimizer)


def _check_callbacks(callbacks: Any) -> None:
    """Raise an error if callbacks are not skorch's."""
    if not isinstance(callbacks, list | tuple):
        raise ValueError(f"net_params must have a list for 'callbacks'. Got {short(callbacks)} instead.")
    for given in callbacks:
        pair = isinstance(given, tuple) and len(given) == 2
        own = given[1] if pair else given
        if not (isinstance(own, Callback) or (isinstance(own, type) and issubclass(own, Callback))):
            raise TypeError(
                "net_params must have callbacks of skorch for 'callbacks', or pairs of a name and one. Got "
                f"{short(given)}."
            )
