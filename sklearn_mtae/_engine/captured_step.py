"""Training steps that are recorded once and then repeated: on a GPU as a CUDA graph launched as a whole.

A step of a small network consists of some hundred kernels of a few microseconds, and launching them one by one from
Python takes longer than running them. A graph is launched by one call; on a CPU, a list of operations takes its place.
It repeats the same kernels on the same memory with the same numbers. Everything that differs between steps is therefore
in tables on the device, and a counter on the device points to the next entry.
"""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor, nn

from sklearn_mtae.nn.loss import Scales
from sklearn_mtae.nn.random import Mode
from sklearn_mtae.nn.traits import declared, unwrapped

from .batches import Layout, along
from .captured_step_cpu import Step, record_cpu
from .devices import is_out_of_memory
from .rows import Batch

WARM_UP = 3
"""Steps taken before one is recorded: libraries initialise, and the optimiser makes its state."""
LEAST_STEPS = 32
"""Number of steps in a fit below which a recording does not pay."""

KNOWN = {"sklearn_mtae", "torch", "zuko"}
"""Packages whose parts only compute in a step."""
FUNCTIONS = ("corruption", "objective", "penalty")
"""Attributes of models and losses that a step calls and that need not be modules."""

VERSION = tuple(int(part) for part in torch.__version__.split(".")[:2])


def tabulate(steps: Sequence[Scales], n_batches: int, scheduled: bool) -> Scales:
    """Return the weights of the terms over an epoch: numbers, or tables with the steps along the first axis.

    Parameters
    ----------
    steps : sequence of Scales
        The weights at each step, or at all of them: numbers, or one number per model.
    n_batches : int
        Number of steps.
    scheduled : bool
        Whether the weight of the rate may change: the recording must not depend on whether it does in this epoch.
    """
    tables = {
        name: torch.tensor(column, dtype=torch.float64)
        for name, column in zip(Scales._fields, zip(*steps, strict=True), strict=True)
    }
    first = {name: table.flatten()[0] for name, table in tables.items()}
    fixed = {name for name in tables if not (scheduled and name == "rate") and (tables[name] == first[name]).all()}
    long = {name: table.expand(n_batches, *table.shape[1:]) for name, table in tables.items()}
    return Scales(**{name: float(first[name]) if name in fixed else long[name] for name in tables})


class CapturedStep:
    """A training step that its device repeats.

    The first steps of a training are taken normally, one is watched, the next one is recorded, and from then on
    recordings are launched. If a step cannot be recorded, a warning says why, and all steps are taken normally.

    Parameters
    ----------
    step : callable
        Take a batch and the weights of the terms, take a step, and return the loss and its terms by name.
    rows : Batch
        All rows, on the device.
    modules : sequence of Module
        Modules that the step reads: a buffer that is replaced between epochs is copied to where the recording reads it.
    generator : Generator
        Source of the step's draws.
    """

    def __init__(
        self,
        step: Callable[[Batch, Scales], dict[str, Tensor]],
        rows: Batch,
        modules: Sequence[nn.Module],
        generator: Generator,
    ) -> None:
        self.step = step
        self.rows = rows
        self.generator = generator
        self.device = rows.x.device
        self.at = torch.zeros(1, dtype=torch.long, device=self.device)
        self.tables: dict[str, Tensor] = {}
        self.numbers: dict[str, float] = {}
        self.values: dict[str, Tensor] = {}
        self.settings: Any = None
        self.n_taken = 0
        self.replay: Step | None = None
        parts = [part for module in modules for part in module.modules()]
        self.held = [(part._buffers, name, value) for part in parts for name, value in part._buffers.items()]

    def run(self, layout: Layout, scales: Scales, settings: Any) -> dict[str, Tensor]:
        """Take the steps of an epoch.

        Parameters
        ----------
        layout : Layout
            Which rows make up the batches.
        scales : Scales
            Weights of the terms: numbers, or tables with the batches along the first axis.
        settings : object
            What else a recording depends on: if it changes, a new recording is made.

        Returns
        -------
        dict of str to Tensor
            Averages over the rows of what the steps returned.
        """
        with beside(self.device):
            self._load(layout, scales, settings)
            for _ in range(len(layout.positions)):
                if self.replay is None:
                    self._prepare()
                else:
                    self.replay()
            return self._averages(layout.counts)

    def close(self) -> None:
        """Wait for running steps, and release the recording and its memory."""
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()
        self.replay = None
        self.tables.clear()
        self.values.clear()

    def _load(self, layout: Layout, scales: Scales, settings: Any) -> None:
        """Put the data of an epoch's steps where they read it."""
        given = {"positions": layout.positions, "weights": layout.weights, **scales._asdict()}
        tables = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        numbers = {name: value for name, value in scales._asdict().items() if name not in tables}
        if self.settings != (settings, numbers, set(tables)):
            self.settings, self.numbers = (settings, numbers, set(tables)), numbers
            dtypes = {torch.float64: self.rows.x.dtype}
            self.tables = {
                name: torch.empty(table.shape, dtype=dtypes.get(table.dtype, table.dtype), device=self.device)
                for name, table in tables.items()
            }
            self.replay = None
        for name, table in tables.items():
            self.tables[name].copy_(table)
        for buffers, name, held in self.held:
            now = buffers[name]
            if now is not held and now is not None and held is not None:
                held.copy_(now)
                buffers[name] = held
        self.at.zero_()

    def _prepare(self) -> None:
        """Take a step: normally, watched, or recorded."""
        self.n_taken += 1
        if self.n_taken < WARM_UP:
            self._take()
        elif self.n_taken == WARM_UP:
            with Watch(self.device) as watch:
                self._take()
            if watch.found:
                self._give_up(f"it waits for the device in {', '.join(sorted(watch.found))}")
        else:
            self._record()

    def _record(self) -> None:
        """Take a step and record it."""
        causes: list[RuntimeError] = []

        def step() -> None:
            try:
                self._take()
            except RuntimeError as error:
                causes.append(error)  # an error after a broken recording may only say that it is broken
                raise

        try:
            self.replay = RECORDERS[self.device.type](step, self.generator)
        except RuntimeError as error:
            cause = causes.pop() if causes else error
            if is_out_of_memory(cause):
                raise cause from None
            self._give_up(str(cause).partition("\n")[0])
            self._take()

    def _give_up(self, reason: str) -> None:
        """Take steps normally from now on."""
        self.replay = self._take
        warnings.warn(
            f"The training step is not recorded as a graph of the device, and takes longer: {reason}.", stacklevel=2
        )

    def _take(self) -> None:
        """Take the next step; this is what is recorded."""
        entry = {name: table.index_select(0, self.at)[0] for name, table in self.tables.items()}
        positions, weights = entry.pop("positions"), entry.pop("weights", None)
        index = positions.flatten()
        # Twice as fast on a CPU as indexing.
        rows = self.rows.each(lambda part: part.index_select(0, index).unflatten(0, positions.shape))
        batch = rows if weights is None else rows.weighed(weights)
        for name, value in self.step(batch, Scales(**self.numbers, **entry)).items():
            if name not in self.values:
                n_batches = len(self.tables["positions"])
                self.values[name] = value.new_zeros(n_batches, *value.shape)
            self.values[name].index_copy_(0, self.at, value.unsqueeze(0))
        self.at.add_(1)

    def _averages(self, counts: Tensor) -> dict[str, Tensor]:
        """Return the averages of an epoch over its rows."""
        counts = counts.to(self.device, torch.float64)
        sums = {name: (values * along(counts, values)).sum(0) for name, values in self.values.items()}
        return {name: (total / along(counts.sum(0), total)).to(self.values[name]) for name, total in sums.items()}


class Watch(Mode):
    """Notice operations that wait for the device or bring values to it, which no graph can hold.

    A recording that fails may leave more behind than one that is never tried.

    Parameters
    ----------
    device : torch.device
        The device.
    """

    indexing = ("index", "index_put", "index_put_", "_index_put_impl_")
    waiting = frozenset({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape})

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "overloadpacket", func).__name__
        if name in self.indexing:
            masks = torch.bool, torch.uint8
            given = [part for part in args[1] if part is not None]
            waits = any(part.dtype in masks or part.device != args[0].device for part in given)
        elif name in ("_to_copy", "copy_"):
            waits = len({part.device.type for part in (*args, result) if isinstance(part, Tensor)}) > 1
        elif name == "lift_fresh":
            waits = result.device.type == self.device.type
        else:
            waits = not self.waiting.isdisjoint(getattr(func, "tags", ()))
        if waits:
            self.found.add(name)
        return result


_of_thread = threading.local()
_recording = threading.Lock()


@contextmanager
def beside(device: torch.device) -> Iterator[None]:
    """Run on this thread's own stream: nothing is recorded on the stream that all threads share.

    All fits of a thread use one stream: libraries keep memory for each stream that they have seen.
    """
    if device.type != "cuda":
        yield
        return
    streams = vars(_of_thread).setdefault("streams", {})
    current = torch.cuda.current_stream(device)
    if current.device not in streams:
        streams[current.device] = torch.cuda.Stream(current.device)
    stream = streams[current.device]
    stream.wait_stream(current)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        current.wait_stream(stream)


def record_cuda(step: Step, generator: Generator) -> Step:
    """Take a step and record its GPU work on the current stream; return a function that launches it.

    Parameters
    ----------
    step : callable
        The step.
    generator : Generator
        Source of its draws, which continue from launch to launch as they would from step to step.
    """
    graph = torch.cuda.CUDAGraph()
    if VERSION < (2, 14):  # later versions find it by themselves
        graph.register_generator_state(generator)
    # One recording at a time; meanwhile other threads may allocate memory.
    with _recording, torch.cuda.graph(graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
        step()
    graph.replay()  # the recorded work has not been executed yet
    return graph.replay


RECORDERS: dict[str, Callable[[Step, Generator], Step]] = {"cpu": record_cpu}
"""Functions that take a step and return a function that repeats it, by type of device."""
if VERSION >= (2, 12):  # earlier versions do not recover from a recording that fails
    RECORDERS["cuda"] = record_cuda


def is_recordable(parts: Iterable[Any], even: bool) -> bool:
    """Return whether steps can be recorded, according to the parts of the model and the loss.

    Parameters
    ----------
    parts : iterable
        Parts of the model and the loss. If batches are padded, none of them may compare rows.
    even : bool
        Whether all batches have the same size.
    """
    return all(declared(part, "recordable") and (even or not declared(part, "compares_rows")) for part in parts)


def is_known(part: Any) -> bool:
    """Return whether a part belongs to this package or to torch.

    Other parts may count their calls, or do something else in Python that a recording would miss.
    """
    return str(getattr(unwrapped(part), "__module__", None)).partition(".")[0] in KNOWN


def parts_of(modules: Iterable[nn.Module]) -> list[Any]:
    """Return all that runs in a step of some models and losses: the modules within them, their hooks, and functions."""
    within = [part for module in modules for part in module.modules()]
    functions = (getattr(part, name, None) for part in within for name in FUNCTIONS)
    hooks = (
        hook for part in within for slot in (part._forward_pre_hooks, part._forward_hooks) for hook in slot.values()
    )
    return [*within, *hooks, *(function for function in functions if function is not None)]
