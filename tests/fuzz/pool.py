"""Trials in processes of their own: one that dies or hangs is a finding, and the others go on."""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from time import monotonic
from traceback import format_exc
from typing import Any

from .trial import SECONDS, Finding, Outcome, Trial

__all__ = ["outcomes"]

MOST_BYTES = 12 * 2**30
"""Memory beyond which a trial ends in a MemoryError."""
MOST_SECONDS = 4 * SECONDS
"""Seconds by the clock after which a trial that did not end itself, since it waits for something, is ended."""


def _work(connection: Connection, only: str | None) -> None:
    """Run trials by the seeds that come, until None comes."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    connection.send(None)  # all is imported
    while (seed := connection.recv()) is not None:
        try:
            outcome = Trial(seed, only).run()
        except Exception:  # the fuzzer's own
            outcome = _lost(seed, format_exc(), only)
        connection.send(outcome)


@dataclass
class Worker:
    """A process and the trial that it is at."""

    process: Any
    connection: Connection
    seed: int = -1
    since: float = 0.0

    def begin(self, seed: int) -> None:
        """Hand over a seed."""
        self.seed, self.since = seed, monotonic()
        self.connection.send(seed)


def _hire(only: str | None) -> Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, only), daemon=True)
    process.start()
    theirs.close()
    ours.recv()
    return Worker(process, ours)


def outcomes(seeds: Iterator[int], n_jobs: int, only: str | None) -> Iterator[Outcome]:
    """Yield the outcomes of trials as they come."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    workers = [_hire(only) for _ in range(n_jobs)]
    busy = [worker for worker, seed in zip(workers, seeds, strict=False) if not worker.begin(seed)]
    while busy:
        ready = wait([worker.connection for worker in busy], timeout=5)
        for worker in list(busy):
            outcome = _outcome(worker, worker.connection in ready, only)
            if outcome is None:
                continue
            yield outcome
            busy.remove(worker)
            if not worker.process.is_alive():
                workers.remove(worker)
                workers.append(worker := _hire(only))
            seed = next(seeds, None)
            if seed is not None:
                worker.begin(seed)
                busy.append(worker)
    for worker in workers:
        worker.connection.send(None)
        worker.process.join()


def _outcome(worker: Worker, is_ready: bool, only: str | None) -> Outcome | None:
    """Return what a worker's trial came to, None if it is still at it."""
    try:
        if is_ready:
            return worker.connection.recv()
    except EOFError:
        worker.process.join()
        return _lost(worker.seed, f"the process died with exit code {worker.process.exitcode}", only)
    if monotonic() - worker.since < MOST_SECONDS:
        return None
    worker.process.kill()
    worker.process.join()
    return _lost(worker.seed, f"more than {MOST_SECONDS} seconds", only)


def _lost(seed: int, text: str, only: str | None) -> Outcome:
    name = only or "?"
    return Outcome(seed, name, findings=[Finding(seed, name, "the whole trial", "ends", text, only)])
