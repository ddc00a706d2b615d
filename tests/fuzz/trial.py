"""One trial: what is drawn from a seed, fitted, asked, and found."""

import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature
from itertools import islice
from time import process_time
from types import FrameType
from typing import Any

import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from .cells import cells_of
from .checks import VERBS, Check, Fitted, has_classes
from .draws import Draws, Rng
from .extras import EXTRAS, stacked
from .mixed import MIXED_VERBS
from .options import SEARCHES, draw_estimator, draw_name, is_large_count, kinds_of_targets
from .tables import UNKNOWN, Table, draw_later, draw_table
from .targets import draw_targets, draw_weights
from .watch import Call, Untouched, kind_of_text, watched

__all__ = ["Finding", "Outcome", "Trial"]

SECONDS = 180
"""Seconds of the processor that a trial may take: a busy machine is no finding."""
N_VERBS, N_LATER, N_EXTRAS = 4, 3, 2
"""How many verbs a trial asks of the rows of the fit, how many of later rows, and how many invariants beside them."""

CALIBRATED = "predict_interval", "predict_set"
"""Verbs that need labels which were held out."""

SHOWN = 3
"""Complaints of one invariant that are kept of a trial."""


class TooLong(BaseException):
    """Ends a trial that does not end; no handler of errors takes it for one."""


@dataclass(frozen=True)
class Finding:
    """An invariant that does not hold: in which trial, of which call, and how."""

    seed: int
    name: str
    where: str
    invariant: str
    text: str
    only: str | None = None

    @property
    def kind(self) -> str:
        """What findings of a kind have in common."""
        return f"{self.where} | {self.invariant} | {kind_of_text(self.text)}"

    @property
    def replay(self) -> str:
        """The command that replays the trial."""
        return f"python -m tests.fuzz --replay {self.seed}" + (f" --only {self.only}" if self.only else "")


@dataclass
class Outcome:
    """What a trial came to."""

    seed: int
    name: str
    fitted: bool = False
    errors: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0


class Trial:
    """What is drawn from a seed."""

    def __init__(self, seed: int, only: str | None = None) -> None:
        self.seed, self.only, self.draws = seed, only, Draws(seed)
        self.name = only or draw_name(self.draws)
        self.outcome = Outcome(seed, self.name)
        self.tracebacks: list[str] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._draw()

    def _draw(self) -> None:
        self.table = draw_table(self.draws)
        kinds = kinds_of_targets(self.draws, self.name)
        self.targets = draw_targets(self.draws, self.table.shape[0], kinds)
        n_tasks = -1 if self.name in SEARCHES else self.targets.n_tasks
        self.weights, excuses = draw_weights(self.draws, self.table.shape[0], n_tasks)
        self.plan = draw_estimator(self.draws, self.name, self.table, self.targets)
        self.later = draw_later(self.draws, self.table)
        self.excuses = [*self.table.excuses, *self.targets.excuses, *self.plan.excuses, *excuses]
        if self.name == "VAEImputer":
            self.excuses = [excuse for excuse in self.excuses if excuse != UNKNOWN]

    def __str__(self) -> str:
        cells = cells_of(self.table.X)[0]
        lines = [f"seed {self.seed}: {self.name}({', '.join(f'{k}={v!r}' for k, v in self.plan.params.items())})"]
        lines += [f"X: {self.table.kind}, {type(self.table.X).__name__} of shape {self.table.shape}"]
        dtypes = getattr(self.table.X, "dtypes", [getattr(self.table.X, "dtype", "")] * cells.shape[1])
        names = getattr(self.table.X, "columns", range(cells.shape[1]))
        lines += [
            f"  {name!r} ({dtype}): {cells[:8, j].tolist()}"
            for j, (name, dtype) in enumerate(zip(names, dtypes, strict=True))
        ]
        if self.targets.labels is not None:
            lines += [f"y: {self.targets.kind}"] + [f"  {own[:8].tolist()}" for own in self.targets.labels.T]
        lines += [f"weights: {self.weights}"] if self.weights is not None else []
        return "\n".join([*lines, f"later: {self.later.kind}", f"errors are excused by: {self.excuses or 'nothing'}"])

    def run(self) -> Outcome:
        """Fit, ask and look."""
        start = process_time()
        with _time_limit(SECONDS), warnings.catch_warnings(), _all_warnings():
            warnings.simplefilter("ignore")
            try:
                self._run()
            except TooLong:
                self._find("the whole trial", "ends", f"more than {SECONDS} seconds of the processor")
        self.outcome.seconds = process_time() - start
        return self.outcome

    def _run(self) -> None:
        model = self.plan.make()
        given = {"X": self.table.X}
        given |= {} if self.targets.y is None else {"y": self.targets.y}
        given |= {} if self.weights is None else {"sample_weight": self.weights}
        params = model.get_params(deep=False)
        # What draws is meant to move on.
        owned = Untouched(**given, parameters={k: v for k, v in params.items() if "RandomState" not in repr(v)})
        call = self._watched("fit", model.fit, **given)
        self.outcome.fitted = not call.failed
        self._judge(call, self.excuses)
        if call.failed:
            self._check("fit", "a failed fit leaves nothing", _is_left_alone(model))
        else:
            self._ask(model, given)
        for invariant, text in owned.changes():
            self._find("all calls", invariant, text)

    def _watched(self, label: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
        drawn = self.plan.params.get("random_state", 0) is None or self._searched_is_unseeded()
        call = watched(label, function, *args, exempt=("numpy's random state",) if drawn else (), **kwargs)
        if self.name.startswith("PerTask"):  # whose heads may warn of what they like
            call.findings = [own for own in call.findings if not own[0].startswith("warnings")]
        return call

    def _searched_is_unseeded(self) -> bool:
        own = self.plan.params.get("estimator")
        return own is not None and getattr(own, "random_state", 0) is None

    def _ask(self, model: Any, given: dict[str, Any]) -> None:
        """Ask a fitted estimator what it can be asked."""
        rng = self.draws.of("asked")
        if self.name in SEARCHES:
            self._check("fit", "stacked as one by one", stacked(model, given))
            model = getattr(model, "best_estimator_", None)
            if model is None:
                return
        fitted = Fitted(model, self.plan, self.table, self.targets)
        for table, n_verbs in ((self.table, N_VERBS), (self.later, N_LATER)):
            owned = Untouched(**{table.kind: table.X})
            for label in _some(rng, _verbs_of(fitted, later=table is self.later), n_verbs):
                self._verb(fitted, label, table)
            for invariant, text in owned.changes():
                self._find("verbs", invariant, text)
        for label in _some(rng, list(EXTRAS), N_EXTRAS):
            self._check("several calls", label, EXTRAS[label](fitted, given, rng))

    def _verb(self, fitted: Fitted, label: str, table: Table) -> None:
        """Ask one thing of rows."""
        method, kwargs, check = _verbs(fitted)[label]
        rows = () if method == "sample" else (table.X,)
        rows += (self.targets.y,) if method == "score" and self.targets.y is not None else ()
        where = label if table is self.table else f"{label} of later rows"
        call = self._watched(where, getattr(fitted.model, method), *rows, **kwargs)
        sound = table is self.later and not table.excuses
        outside = sound and rows and fitted.outside(table.X).any()
        large = sound and is_large_count(fitted.likelihood or "gaussian", table.X)
        excuses = [*self.excuses, *table.excuses, *(["outside of the support"] if outside else [])]
        excuses += ["a large count"] if large else []
        self._judge(call, [*excuses, "few labels"] if label in CALIBRATED else excuses)
        if not call.failed and outside and label not in ("score_samples", "score"):
            self._find(where, "rows outside of the support are refused", f"{table.kind}: {label} answered")
        elif not call.failed:
            self._check(where, "results are as documented", check(fitted, table.X, call.value))

    def _judge(self, call: Call, excuses: list[str]) -> None:
        """Look at what a call did, and whether an error of it has a reason."""
        for invariant, text in call.findings:
            self._find(call.label, invariant, text, call.error)
        if call.error is not None:
            text = f"{type(call.error).__name__}: {call.error}"
            self.outcome.errors.append(kind_of_text(text))
            if not excuses:
                self._find(call.label, "what is sound is not refused", text, call.error)

    def _check(self, where: str, invariant: str, complaints: Iterator[str]) -> None:
        """Keep what an invariant complains of; one that ends in an error is a finding too, but for an excuse."""
        try:
            for text in islice(complaints, SHOWN):
                self._find(where, invariant, text)
        except Exception as error:
            if not (isinstance(error, ValueError | TypeError) and self.excuses):
                self._find(where, invariant, f"ended in {type(error).__name__}: {error}", error)

    def _find(self, where: str, invariant: str, text: str, error: BaseException | None = None) -> None:
        self.outcome.findings.append(Finding(self.seed, self.name, where, invariant, text, self.only))
        shown = traceback.format_exception(error) if error is not None else ["no error was raised"]
        self.tracebacks.append("".join(shown))


def _verbs(fitted: Fitted) -> dict[str, tuple[str, dict[str, Any], Check]]:
    """Return what estimators of such targets are asked."""
    return {**VERBS, **MIXED_VERBS} if fitted.targets.is_mixed else VERBS


def _verbs_of(fitted: Fitted, later: bool) -> list[str]:
    """Return the verbs that an estimator has."""
    model, name = fitted.model, fitted.plan.name
    targets = None if fitted.targets.y is None else "classes" if has_classes(model) else "numbers"
    targets = "mixed" if fitted.targets.is_mixed else targets
    unfit = {"predict": targets is not None, "predict numbers": targets != "numbers"}
    unfit |= {"predict classes": targets != "classes", "imputer transform": name != "VAEImputer"}
    unfit |= {"transform": name == "VAEImputer", "score": later, "sample": later}
    own = fitted.plan.params
    unfit |= dict.fromkeys(CALIBRATED, own.get("n_estimators", 1) == 1 and not own.get("early_stopping", False))
    found = []
    for label, (method, kwargs, _) in _verbs(fitted).items():
        if hasattr(model, method) and not unfit.get(label, False):
            known = signature(getattr(model, method)).parameters
            found += [label] if kwargs.keys() <= known.keys() else []
    return found


def _some(rng: Rng, names: list[str], count: int) -> list[str]:
    return [names[i] for i in rng.permutation(len(names))[:count]]


def _is_left_alone(model: Any) -> Iterator[str]:
    """A fit that fails leaves an estimator that is not fitted."""
    try:
        check_is_fitted(model, "cv_results_" if hasattr(model, "cv") else None)
    except NotFittedError:
        return
    yield "is fitted after an error"


@contextmanager
def _all_warnings() -> Iterator[None]:
    """Let torch give a warning each time, as a trial must not depend on those before it."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        yield
    finally:
        torch.set_warn_always(before)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise `TooLong` after so many seconds of the processor, where signals can be had."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
