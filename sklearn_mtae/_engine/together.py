"""Training of one or several members: which go together, with how much memory and in which processes."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import ceil
from operator import attrgetter
from typing import Any, NamedTuple

from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend
from torch import nn

from sklearn_mtae.nn.loss import Loss
from sklearn_mtae.nn.models import Autoencoder

from .checkpoint import Checkpoint
from .devices import give_back, is_out_of_memory
from .member import Member
from .net import EpochHook, EpochLog, Net
from .optimizer import VectorAdamW
from .stack import Stack

Refused = dict[str, list[Member]]
"""Members that are not trained in a stack, by the reason why."""
Answer = tuple[str | None, int | None]
"""Why a stack was not trained, if so, and the epoch in which the user interrupted, if so; 0 if unknown."""
STACK_BYTES = 2**30
"""Maximum memory of a stack, by an estimate; if more models are given, they are trained one stack after the other."""
STACK_CELLS = 2**19
"""Maximum number of cells of a stack's layer on a CPU, over the rows of a batch: models that share its cache. The next
operation then finds them there, whereas larger arrays go through the main memory each time."""
STACK_MODELS = 8
"""Models that are trained together whatever their cells: with fewer, sharing operations would not pay."""


class Trained(NamedTuple):
    """The outcome of a training, beside that of its members."""

    net: Net | None
    """The net of a member that was trained alone."""
    refused: Refused
    """Members that were not trained because they do not stack, by the reason why: each can be trained alone."""
    interrupted: int | None
    """The epoch in which the user interrupted, if so; 0 if unknown."""


def train(
    members: Sequence[Member],
    *,
    begin: Callable[[Net], Any] | None = None,
    end: Callable[[Net], bool] | None = None,
    log: str = "",
    net_params: Mapping[str, Any] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train members in place: a single one by itself, several as one if they stack.

    If the loss of a single member is not finite, an error is raised. With several, the member keeps the error, and the
    others continue.

    Parameters
    ----------
    members : sequence of Member
        The members.
    begin, end : callable or None, default=None
        Called before and after each epoch with the net; training ends if the second one returns True.
    log : str, default=""
        Owner of the printed lines, one per epoch; none are printed if it is empty.
    net_params : mapping or None, default=None
        Further parameters of the net of a single member, such as its optimiser and callbacks.
    checkpoint : Checkpoint or None, default=None
        Where the training of a single member is saved, and resumed from if it was.

    Raises
    ------
    KeyboardInterrupt
        If the user, or a callback, has ended the training of a single member before there was a model.
    """
    hook = [EpochHook(begin or _do_nothing, end or _do_nothing)] if begin or end else []  # type: ignore[list-item]
    callbacks = [*hook, *([EpochLog(log)] if log else [])]
    if len(members) == 1:
        return _train_alone(members[0], callbacks, net_params or {}, checkpoint)
    refused, parts = stacks_of(members)
    return Trained(None, *train_stacks(parts, refused, callbacks))


def make_net(model: Autoencoder, loss: Loss, learning_rate: float, **params: Any) -> Net:
    """Return the net of a single model, with further parameters; it is not initialised yet."""
    device = str(model.units.location.device)
    return Net(model, loss, lr=learning_rate, train_split=None, device=device, verbose=0, **params)


def _do_nothing(net: Net) -> bool:
    """Let the training continue."""
    return False


def _train_alone(
    member: Member, callbacks: list[Any], net_params: Mapping[str, Any], checkpoint: Checkpoint | None
) -> Trained:
    """Train a single member, with batches of half the size if the memory does not suffice."""
    n_before = len(member.history)
    params = {
        **net_params,
        "callbacks": [*callbacks, *(net_params.get("callbacks") or [])],
        "max_epochs": member.n_epochs - n_before,
        "batch_size": member.batch_size,
        "members": [member],
        "checkpoint": checkpoint,
    }
    make = partial(make_net, member.model, member.loss, member.learning_rate, **params)
    net, failure = _fit(make, member.batch_size > 1)
    if net is None:
        give_back(member.train.device)
        member.drop_unvalidated()
        member.batch_size = ceil(member.batch_size / 2)
        warnings.warn(f"{failure} The training continues with batch_size={member.batch_size}.", stacklevel=2)
        return _train_alone(member, callbacks, net_params, checkpoint)
    if not member.history:
        raise KeyboardInterrupt
    if member.error is not None:
        raise member.error
    return Trained(net, {}, n_before + len(net.history) if net.interrupted_ else None)


def _fit(make: Callable[[], Net], may_fail: bool = True) -> tuple[Net | None, str]:
    """Make a net and train its members; if the memory does not suffice, return None and the error's text."""
    try:
        net = make().initialize()
        net.partial_fit(net.members[0].train)
        net.release()
    except Exception as error:
        if not may_fail or not is_out_of_memory(error):
            raise
        failure = str(error).partition("\n")[0] or "Out of memory."
    else:
        return net, ""
    # Outside the handler, whose traceback keeps the batch alive.
    return None, failure


def stacks_of(
    members: Sequence[Member], share: int | None = None
) -> tuple[dict[str, list[Member]], list[list[Member]]]:
    """Return the models that cannot be trained in stacks, by the reason why, and the stacks of the others.

    The draws of a model depend on the others in its stack, so the stacks must depend only on the models, and not on the
    number of processes.

    Parameters
    ----------
    members : sequence of Member
        The models.
    share : int or None, default=None
        The number of stacks of a kind is a multiple of this, if one stack is not enough; the order of the models is
        then irrelevant. None makes as few stacks as possible, in the order of the models.
    """
    refused: Refused = {}
    stackable: dict[tuple, list[Member]] = {}
    for member in members:
        reason = member.obstacle()
        if reason is not None:
            refused.setdefault(reason, []).append(member)
        else:
            stackable.setdefault(member.kind(), []).append(member)
    return refused, [part for group in stackable.values() for part in _parts(group, share)]


def train_stacks(
    parts: Sequence[list[Member]],
    refused: Refused,
    callbacks: Sequence[Any] = (),
    n_jobs: int | None = 1,
) -> tuple[Refused, int | None]:
    """Train stacks.

    Parameters
    ----------
    parts : sequence of list of Member
        The models of each stack, which are trained in place.
    refused : dict of str to list of Member
        Models that are left out, by the reason why; those that prove not to stack are added.
    callbacks : sequence of skorch callbacks
        Callbacks, which see the means over the models.
    n_jobs : int or None, default=1
        Processes for stacks that are trained on the CPU without callbacks; 1 is this process.

    Returns
    -------
    refused : dict of str to list of Member
        Models that were not trained, by the reason why.
    interrupted : int or None
        The epoch in which the user interrupted, if so; models that are not `finished` are then unchanged.
    """
    on_cpu = all(part[0].train.device.type == "cpu" for part in parts)
    n_jobs = effective_n_jobs(n_jobs) if on_cpu else 1
    trained = (_train(part, callbacks) for part in parts) if n_jobs == 1 else _train_apart(parts, n_jobs)
    for part, (reason, interrupted) in zip(parts, trained, strict=True):
        if reason is not None:
            refused.setdefault(reason, []).extend(member for member in part if not member.has_come_to_rest)
        if interrupted is not None:
            when = f" in epoch {interrupted}" if interrupted else ""
            warnings.warn(f"Training interrupted by user{when}.", stacklevel=2)
            return refused, interrupted
    return refused, None


def _parts(group: list[Member], share: int | None) -> Iterator[list[Member]]:
    """Yield as many models at a time as memory and cache allow, with those of the same rates adjacent."""
    ordered = sorted(group, key=attrgetter("rates" if share is None else "rank"))
    first = group[0] if share is None else ordered[0]
    on_cpu = first.train.device.type == "cpu"
    in_cache = max(STACK_MODELS, STACK_CELLS // first.n_cells()) if on_cpu else len(group)
    size = max(1, min(STACK_BYTES // first.n_bytes(), in_cache))
    n_parts = ceil(len(ordered) / size)
    if n_parts > 1 and share is not None:
        n_parts = min(len(ordered), share * ceil(n_parts / share))
    for part in range(n_parts):
        yield ordered[len(ordered) * part // n_parts : len(ordered) * (part + 1) // n_parts]


def _train_apart(parts: Sequence[list[Member]], n_jobs: int) -> list[Answer]:
    """Train stacks in processes of their own."""
    return_as = "generator" if get_active_backend()[0].supports_return_generator else "list"
    answers: list[Answer] = []
    try:
        trained = Parallel(n_jobs, return_as=return_as)(delayed(_outcomes)(part) for part in parts)
        for part, (answer, outcomes) in zip(parts, trained, strict=True):
            for member, outcome in zip(part, outcomes, strict=True):
                member.adopt(outcome)
            answers.append(answer)
    except KeyboardInterrupt:
        answers.append((None, 0))
    return answers


def _outcomes(members: list[Member]) -> tuple[Answer, list[dict[str, Any]]]:
    """Train a stack; return the outcome and its models."""
    return _train(members, []), [member.outcome() for member in members]


def _train(members: list[Member], callbacks: Sequence[Any]) -> Answer:
    """Train a stack, in halves if the memory does not suffice."""
    before = [member.snapshot() for member in members]
    reason, n_before = None, len(members[0].history)
    try:
        net, _ = _fit(lambda: _make_stack_net(members, callbacks))
        if net is not None:
            return None, n_before + len(net.history) if net.interrupted_ else None
    except Exception as error:
        reason = str(error).partition("\n")[0] or repr(error)
    give_back(members[0].train.device)
    left = [member for member in members if not member.has_come_to_rest]
    for member, outcome in zip(members, before, strict=True):
        if not member.has_come_to_rest:
            member.adopt(outcome)
    if reason is not None or len(left) == 1:
        return reason or "the memory does not suffice", None
    for half in (left[: len(left) // 2], left[len(left) // 2 :]):
        reason, interrupted = _train(half, callbacks)
        if reason is not None or interrupted is not None:
            return reason, interrupted
    return None, None


def _make_stack_net(members: list[Member], callbacks: Sequence[Any]) -> Net:
    """Return the net of a stack; it is not initialised yet."""
    for member in members:
        member.resume()
    return Net(
        Stack([member.pair for member in members]),
        nn.Identity(),
        optimizer=VectorAdamW,
        max_epochs=max(member.n_epochs for member in members),
        batch_size=members[0].batch_size,
        callbacks=list(callbacks),
        train_split=None,
        device=str(members[0].train.device),
        verbose=0,
        members=members,
    )
