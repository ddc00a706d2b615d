"""The arguments and the results of factories and functions supplied by users."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from inspect import Parameter, signature
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from .embeddings import EMBEDDINGS
from .likelihoods import LIKELIHOODS, Likelihood
from .posteriors import NormalPosterior
from .priors import PRIORS, Prior
from .sharing import SHARINGS, Heads
from .traits import declared
from .weightings import Weighting
from .words import ask, short

TASK_LIKELIHOODS = {name: own for name, own in LIKELIHOODS.items() if not declared(own, "joint")}
"""The likelihoods whose columns are drawn one by one, as the targets of separate tasks are."""
CALLS = {
    "architecture": "n_features=, n_code=, n_components=, n_outputs=",
    "beta": "progress",
    "corruption": "x, generator",
    "embedding": "n_columns",
    "likelihood": "n_columns",
    "objective": "output",
    "penalty": "encode, x, code, generator",
    "posterior": "n_components",
    "prior": "n_components, n_features",
    "sharing": "n_tasks, widths, n_features=, activation=, dropout=, layer_norm=",
    "task_likelihoods": "n_columns",
    "task_weighting": "n_tasks, likelihood",
}
"""Arguments of callables, by parameter; those that end in "=" are passed by name."""
KINDS: dict[str, tuple[type, str]] = {
    "embedding": (nn.Module, "a torch module"),
    "likelihood": (Likelihood, "a Likelihood of sklearn_mtae.nn.likelihoods"),
    "posterior": (NormalPosterior, "a NormalPosterior of sklearn_mtae.nn.posteriors"),
    "prior": (Prior, "a Prior of sklearn_mtae.nn.priors"),
    "sharing": (Heads, "Heads of sklearn_mtae.nn.sharing"),
    "task_likelihoods": (Likelihood, "a Likelihood of sklearn_mtae.nn.likelihoods"),
    "task_weighting": (Weighting, "a Weighting of sklearn_mtae.nn.weightings"),
}
"""Results of factories, by parameter: the class, and its name in an error message."""


def make(option: Any, table: Mapping[str, Callable[..., Any]], parameter: str, *inputs: Any, **named: Any) -> Any:
    """Call a named factory, or the user's own, whose result must be of the parameter's kind."""
    if isinstance(option, str):
        return table[option](*inputs, **named)
    return _check_kind(_call(option, parameter, *inputs, **named), option, parameter)


@dataclass(frozen=True)
class LikelihoodMaker:
    """A user's own factory of likelihoods, with its results checked; two makers of the same factory are equal."""

    option: Callable[[int], Likelihood]
    parameter: str

    def __call__(self, n_columns: int) -> Likelihood:
        """Return a likelihood of `n_columns` columns."""
        likelihood = _check_kind(_call(self.option, self.parameter, n_columns), self.option, self.parameter)
        if likelihood.n_columns != n_columns:
            raise ValueError(
                f"{self.parameter} must return a Likelihood of the {n_columns} columns that it is asked for. Got "
                f"{short(self.option)}, which returned one of {likelihood.n_columns}."
            )
        return likelihood


def likelihood_maker(option: Any, parameter: str) -> Callable[[int], Likelihood]:
    """Return a factory of likelihoods: a named one, or the user's own."""
    return LIKELIHOODS[option] if isinstance(option, str) else LikelihoodMaker(option, parameter)


def make_prior(option: Any, n_components: int, n_features: int) -> Prior:
    """Return a prior of `n_components` components."""
    prior = make(option, PRIORS, "prior", n_components, n_features)
    if prior.n_components != n_components:
        raise ValueError(
            f"prior must return a Prior of n_components={n_components}. Got {short(option)}, which returned one of "
            f"{prior.n_components}."
        )
    return prior


def make_coders(option: Any, **widths: int) -> tuple[nn.Module, nn.Module]:
    """Return the encoder and the decoder of a user's own architecture, which must have the requested widths."""
    made = _call(option, "architecture", **widths)
    if not (isinstance(made, list | tuple) and len(made) == 2 and all(isinstance(own, nn.Module) for own in made)):
        raise TypeError(
            f"architecture must return two torch modules, an encoder and a decoder. Got {short(option)}, which "
            f"returned {short(made)}."
        )
    encoder, decoder = made
    check_width(encoder, "architecture", "an encoder", widths["n_features"], widths["n_code"], "n_features", "n_code")
    check_width(
        decoder, "architecture", "a decoder", widths["n_components"], widths["n_outputs"], "n_components", "n_outputs"
    )
    return encoder, decoder


def make_heads(option: Any, n_tasks: int, widths: Sequence[int], **named: Any) -> Heads:
    """Return the heads of `n_tasks` tasks; the user's own must have the requested widths."""
    heads = make(option, SHARINGS, "sharing", n_tasks, widths, **named)
    if not isinstance(option, str):
        n_inputs = widths[0] + heads.n_extra
        check_width(heads, "sharing", "heads", n_inputs, n_tasks * widths[-1], "n_components", "n_tasks * n_outputs")
    return heads


def make_embedding(option: Any, n_columns: int) -> nn.Module:
    """Return the layer between the columns and the encoder."""
    embedding = make(option, EMBEDDINGS, "embedding", n_columns)
    if isinstance(option, str):
        return embedding
    if not (isinstance(getattr(embedding, "n_outputs", None), Integral) and hasattr(embedding, "learn")):
        raise TypeError(
            "embedding must return a torch module with n_outputs, the columns that it makes of n_columns, and learn(x)."
            f" Got {short(option)}, which returned {short(embedding)}."
        )
    check_width(embedding, "embedding", "a module", n_columns, embedding.n_outputs, "n_columns", "n_outputs")
    return embedding


def weighting_maker(option: Any, table: Mapping[str, Callable[..., Weighting]]) -> Callable[..., Weighting]:
    """Return a factory of task weightings: a named one, or the user's own."""
    return table[option] if isinstance(option, str) else partial(make, option, table, "task_weighting")


def check_width(
    network: nn.Module, parameter: str, kind: str, n_inputs: int, n_outputs: int, inputs: str, outputs: str
) -> None:
    """Raise an error if a network does not map rows of one width to rows of another; it is tried on zeros."""
    floating = [own for own in (*network.parameters(), *network.buffers()) if own.is_floating_point()]
    known = next(iter(floating), torch.zeros(()))
    if len({own.dtype for own in floating}) > 1:  # a model has one precision; no digit is lost here
        network.to(reduce(torch.promote_types, {own.dtype for own in floating}))
        known = next(network.parameters(), known)
    must = f"{parameter} must return {kind} from {inputs}={n_inputs} to {outputs}={n_outputs} columns."
    modes = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            made = ask(network, parameter, torch.zeros(2, n_inputs, dtype=known.dtype, device=known.device))
    except RuntimeError as error:  # torch's own error for sizes that do not fit
        raise ValueError(f"{must} Got one that fails for rows of {n_inputs} columns: {error}") from error
    finally:
        for part, mode in modes:
            part.training = mode
    if not isinstance(made, Tensor) or made.shape != (2, n_outputs):
        shape = f"{tuple(made.shape)}" if isinstance(made, Tensor) else short(made)
        raise ValueError(f"{must} Got one that makes {shape} of rows of shape (2, {n_inputs}).")


def function_of(option: Any, table: Mapping[str, Any], parameter: str) -> Any:
    """Return a named function, or the user's own, which must take the arguments that a training step passes."""
    if isinstance(option, str):
        return table[option]
    if isinstance(option, type):
        raise TypeError(
            f"{parameter} must be a function {_usage(parameter)}, or an object that acts as one. Got {short(option)}: "
            f"give an instance, {option.__name__}(...)."
        )
    _check_call(option.forward if isinstance(option, nn.Module) else option, option, parameter)
    return option


def _call(option: Any, parameter: str, *inputs: Any, **named: Any) -> Any:
    """Call a user's factory."""
    if isinstance(option, nn.Module):
        raise TypeError(
            f"{parameter} must be a factory {_usage(parameter)}, such as a class, as each model has parameters of its "
            f"own. Got {short(option)}, which is an instance already."
        )
    _check_call(option, option, parameter)
    return ask(partial(option, **named), parameter, *inputs)


def _check_call(function: Any, option: Any, parameter: str) -> None:
    """Raise an error if a callable does not take the arguments that it will be called with."""
    try:
        own = signature(function)
    except (TypeError, ValueError):  # some callables written in C have no signature
        return
    words = CALLS[parameter].split(", ")
    named = {word.removesuffix("="): None for word in words if word.endswith("=")}
    try:
        own.bind(*(word for word in words if not word.endswith("=")), **named)
    except TypeError as error:
        takes = [str(one.replace(annotation=Parameter.empty)) for one in own.parameters.values()]
        raise TypeError(
            f"{parameter} must be callable {_usage(parameter)}. Got {short(option)}, which takes ({', '.join(takes)}): "
            f"{error}."
        ) from error


def _usage(parameter: str) -> str:
    return f"as {parameter}({CALLS[parameter]})"


def _check_kind(made: Any, option: Any, parameter: str) -> Any:
    """Return a factory's result; raise an error if it is not of the parameter's kind."""
    kind, words = KINDS[parameter]
    if not isinstance(made, kind):
        raise TypeError(f"{parameter} must return {words}. Got {short(option)}, which returned {short(made)}.")
    return made
