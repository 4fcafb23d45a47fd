"""Processes of this machine that do tasks, each with threads and a GPU of its own."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from connectomics.blocks.executors import Outcome, Task, Work, attempt
from connectomics.errors import Fault
from connectomics.process.cpus import use_threads
from connectomics.process.signals import ignore_group_signals

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    number: int
    task: Task | None = None


class LocalProcesses:
    """Does tasks in processes of their own. Each opens what it needs once.

    A process that is killed costs the task that it had in hand; another takes its place.
    """

    def __init__(self, workers: int, *, threads: int | None = None, gpus: int = 0) -> None:
        """Set how many processes there are.

        Args:
            workers: Processes at once.
            threads: Of each; None to leave it to the libraries.
            gpus: Over how many GPUs they are spread; 0 leaves them what they find.
        """
        self.workers = workers
        self.threads = threads
        self.gpus = gpus

    def map(self, work: Work, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """See `Executor`."""
        context = multiprocessing.get_context("spawn")
        payload, pending = pickle.dumps(work), iter(tasks)
        numbers = list(range(self.workers))
        busy: dict[Connection, _Worker] = {}
        idle: list[_Worker] = []
        try:
            while True:
                while len(busy) < self.workers and (task := next(pending, None)) is not None:
                    worker = idle.pop() if idle else self._start(context, payload, numbers.pop(0))
                    worker.task = task
                    with suppress(OSError):  # that it is gone shows when it is asked
                        worker.pipe.send(task)
                    busy[worker.pipe] = worker
                if not busy:
                    return
                for pipe in wait(list(busy)):
                    assert isinstance(pipe, Connection)
                    worker = busy.pop(pipe)
                    try:
                        outcome = pipe.recv()
                        idle.append(worker)
                    except (EOFError, OSError):
                        assert worker.task is not None
                        outcome = Outcome(worker.task, fault=_lost(worker))
                        numbers.append(worker.number)
                    yield outcome
        finally:
            for worker in [*busy.values(), *idle]:
                worker.process.terminate()
                worker.process.join()
                worker.pipe.close()

    def _start(self, context: Any, payload: bytes, number: int) -> _Worker:
        here, there = context.Pipe()
        visible = _gpu(number % self.gpus) if self.gpus else None
        process = context.Process(
            target=_serve, args=(there, payload, self.threads, visible), daemon=True
        )
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


def _serve(pipe: Connection, payload: bytes, threads: int | None, visible: str | None) -> None:
    """Do one task after another, until the process that asks for them ends."""
    ignore_group_signals()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if visible is not None:
        os.environ[VISIBLE] = visible
    if threads is not None:
        use_threads(threads)
    work = pickle.loads(payload)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(attempt(work, task))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
