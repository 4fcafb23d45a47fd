"""Processes of this machine that do tasks, each with threads and a GPU of its own."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from connectomics.blocks.executors import Outcome, Task, Work, attempt, started
from connectomics.errors import Fault
from connectomics.process.cpus import use_threads
from connectomics.process.signals import ignore_group_signals

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    number: int
    work: bytes = b""
    task: Task | None = None

    def give(self, work: bytes, task: Task) -> None:
        """Have it do a task; the work itself is sent where it is another than the last."""
        self.task, fresh, self.work = task, work != self.work, work
        with suppress(OSError):  # that it is gone shows when it is asked
            self.pipe.send((work if fresh else None, task))


@dataclass
class _Pool:
    """Processes that were started; `numbers` are of those that may be started beside them."""

    numbers: list[int]
    idle: list[_Worker] = field(default_factory=list)
    busy: dict[Connection, _Worker] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalProcesses:
    """Does tasks in processes of their own. Each opens what it needs once.

    A process that is killed costs the task that it had in hand; another takes its place.

    Attributes:
        workers: Processes at once.
        threads: Of each; None to leave it to the libraries.
        gpus: Over how many GPUs they are spread; 0 leaves them what they find.
    """

    workers: int
    threads: int | None = None
    gpus: int = 0

    def map(self, work: Work, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """See `Executor`."""
        payload, pending = pickle.dumps(work), iter(tasks)
        with started(self, self._pool) as pool:
            while True:
                while len(pool.busy) < self.workers and (task := next(pending, None)) is not None:
                    worker = pool.idle.pop() if pool.idle else self._start(pool.numbers.pop(0))
                    worker.give(payload, task)
                    pool.busy[worker.pipe] = worker
                if not pool.busy:
                    return
                for pipe in wait(list(pool.busy)):
                    assert isinstance(pipe, Connection)
                    worker = pool.busy.pop(pipe)
                    try:
                        outcome = pipe.recv()
                        pool.idle.append(worker)
                    except (EOFError, OSError):
                        assert worker.task is not None
                        outcome = Outcome(worker.task, fault=_lost(worker))
                        pool.numbers.append(worker.number)
                    yield outcome

    @contextmanager
    def _pool(self) -> Iterator[_Pool]:
        pool = _Pool(list(range(self.workers)))
        try:
            yield pool
        finally:
            for worker in [*pool.busy.values(), *pool.idle]:
                worker.process.terminate()
                worker.process.join()
                worker.pipe.close()

    def _start(self, number: int) -> _Worker:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        visible = _gpu(number % self.gpus) if self.gpus else None
        process = context.Process(target=_serve, args=(there, self.threads, visible), daemon=True)
        process.start()
        there.close()
        return _Worker(process, here, number)


def _gpu(number: int) -> str:
    """The name of one of the GPUs that this process sees."""
    seen = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    return seen[number] if number < len(seen) else str(number)


def _lost(worker: _Worker) -> Fault:
    worker.process.join()
    code = worker.process.exitcode
    if code is None or code >= 0:
        return Fault("process", f"of this block ended by itself, with exit status {code}.")
    name = signal.Signals(-code).name
    reason = ", most likely because memory ran out" * (name == "SIGKILL")
    return Fault("process", f"of this block was ended by {name}{reason}.")


def _serve(pipe: Connection, threads: int | None, visible: str | None) -> None:
    """Do one task after another, until the process that asks for them ends."""
    ignore_group_signals()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if visible is not None:
        os.environ[VISIBLE] = visible
    if threads is not None:
        use_threads(threads)
    work: Any = None
    while True:
        try:
            payload, task = pipe.recv()
        except EOFError:
            return
        if payload is not None:
            work = None  # what the last one holds, such as a network on a GPU, goes first
            work = pickle.loads(payload)
        pipe.send(attempt(work, task))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
