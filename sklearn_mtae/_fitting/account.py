"""The report of a fit: which models it made, and which of them count, after which epochs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae.nn.words import short

from .fitted import Fitted


def models_made(fitted: Fitted) -> str:
    """Return a line with the number of models, the reason, and the parameters that were "auto" or that differ."""
    distinct, n_models = _distinct(fitted.settings), len(fitted.settings)
    why = f", since {fitted.alone}" if fitted.alone else ""
    models = f"{n_models} model{'s' if n_models > 1 else ''} for {fitted.n_rows} rows{why}"
    common = {name: v for name, v in distinct[0].items() if all(own.get(name) == v for own in distinct)}
    parts = [models, _listed(common)]
    if len(distinct) > 1:
        own = [{name: value for name, value in setting.items() if name not in common} for setting in distinct]
        parts.append("in turn " + "; ".join(f"({k}) {_listed(setting)}" for k, setting in enumerate(own, start=1)))
    return ": ".join([parts[0], ", ".join(part for part in parts[1:] if part)]).removesuffix(": ")


def models_counted(fitted: Fitted) -> str:
    """Return a line with the settings and epochs that count, on average over the tasks."""
    shares = {text: float(own.mean()) for text, own in _shares(fitted).items()}
    return f"held-out rows chose {_weighed(shares)}"


def account(fitted: Fitted) -> str:
    """Return both lines, the latter for each task, and between them why the training ended early, if so."""
    lines = [models_made(fitted), *filter(None, [fitted.ended])]
    if fitted.average.weights is not None:
        shares = _shares(fitted)
        for position, task in enumerate(fitted.recipe.task_names):
            lines.append(f"{task}: {_weighed({text: float(own[position]) for text, own in shares.items()})}")
    return "\n".join(lines)


def _distinct(settings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the settings that members take in turn, each once."""
    return [own for k, own in enumerate(settings) if own not in settings[:k]]


def _listed(setting: dict[str, Any]) -> str:
    return ", ".join(f"{name}={short(value)}" for name, value in setting.items())


def _shares(fitted: Fitted) -> dict[str, NDArray]:
    """Return the tasks' weights of each setting and epoch, and of the baselines."""
    weights, distinct = fitted.average.weights, _distinct(fitted.settings)
    assert weights is not None
    several, found = len(distinct) > 1, {}
    for state in np.flatnonzero((weights != 0).any(axis=1)).tolist():
        whose = f"({distinct.index(fitted.setting_of(state)) + 1}) " if several else ""
        text = f"{whose}after epoch {fitted.epochs[state]}"
        found[text] = found.get(text, 0.0) + weights[state]
    left, baseline = 1 - weights.sum(axis=0), fitted.average.baseline
    kernel, lines = fitted.average.kernel, fitted.average.lines
    if lines is not None:
        found["logistic regressions"] = own = lines.weights.sum(axis=0)
        left = left - own
    near = np.zeros(len(left)) if kernel is None else kernel.weights.sum(axis=0)
    if baseline.kernel is not None:
        near = near + left * baseline.kernel.weights
    if near.any():
        found["kernels"], left = near, left - near
    linear = baseline.slopes is not None
    return {**found, "ridge regression and the labels' mean" if linear else "the labels' own mean or rates": left}


def _weighed(shares: dict[str, float]) -> str:
    """Return the entries with a share of at least a hundredth, largest first."""
    ordered = sorted(shares.items(), key=lambda own: -own[1])
    return ", ".join(f"{text} by {share:.2f}" for text, share in ordered if share >= 0.005)
