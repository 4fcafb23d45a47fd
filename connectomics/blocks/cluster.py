"""Dask: workers on this machine, on a cluster, or wherever a scheduler has them."""

from __future__ import annotations

import importlib
import logging
import os
import pickle
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from shutil import which
from typing import Any, Literal

from connectomics.blocks.executors import Outcome, Task, Work, attempt, started
from connectomics.errors import Fault, MachineError
from connectomics.process.cpus import use_threads

INSTALL = 'pip install "distributed>=2025.1" "dask-jobqueue>=0.9"'
SUBMITS = {"slurm": "sbatch", "lsf": "bsub", "pbs": "qsub"}
"""What submits a job, by cluster."""
IN_HAND = 2
"""Tasks at the scheduler for each worker: one that is worked on, one that waits."""


@dataclass(frozen=True)
class Job:
    """What one job of a cluster asks for.

    Attributes:
        cores: Of a job; a job does one block at a time with all of them.
        memory: Such as 16GB.
        walltime: Such as 12:00:00.
        queue: The queue or partition, where one is to be named.
        account: Who pays, where one is to be named.
        directives: More lines of the head of the job script, such as `--gres=gpu:1`.
    """

    cores: int = 1
    memory: str = "8GB"
    walltime: str = "12:00:00"
    queue: str | None = None
    account: str | None = None
    directives: Sequence[str] = ()


@dataclass(frozen=True)
class DaskCluster:
    """Does tasks by Dask.

    A worker that is lost costs the tasks that it had in hand, which Dask gives to others. A
    scheduler that is lost costs nothing that is marked as done.

    Attributes:
        workers: Processes of this machine, or jobs of a cluster, where this program starts them.
        cluster: What starts them: this program itself, or SLURM, LSF or PBS.
        scheduler: The address of one that is there already, such as tcp://10.0.0.1:8786.
        job: What one job asks for.
        threads: Of a worker, for the block in its hand; None leaves it all CPUs that it may use.
        seconds_to_answer: How long to wait for the scheduler at an address.
    """

    workers: int = 1
    cluster: Literal["local", "slurm", "lsf", "pbs"] = "local"
    scheduler: str | None = None
    job: Job = Job()
    threads: int | None = None
    seconds_to_answer: float = 30

    def map(self, work: Work, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """See `Executor`."""
        distributed = _require("distributed")
        # What it says of lost connections, with lines of Python, is said here in words.
        for name in [name for name in logging.root.manager.loggerDict if "distributed" in name]:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        given = pickle.dumps(work), str(Path.cwd()), self.threads
        with started(self, lambda: self._client(distributed)) as client:
            pending, running = iter(tasks), distributed.as_completed()
            in_hand: dict[Any, Task] = {}
            while True:
                room = IN_HAND * max(1, workers_there(client), self.workers)
                while len(in_hand) < room and (task := next(pending, None)) is not None:
                    future = client.submit(_do, task, *given, pure=False)
                    in_hand[future] = task
                    running.add(future)
                if not in_hand:
                    return
                future = next(running)
                yield self._outcome(future, in_hand.pop(future), client.status == "running")

    def _outcome(self, future: Any, task: Task, connected: bool) -> Outcome:
        if future.status == "finished":
            return future.result()
        if future.status in ("cancelled", "lost"):
            if connected:
                return Outcome(task, fault=Fault("worker", "that did this block was lost."))
            raise _lost(self.scheduler or f"of this program ({self.cluster})")
        error = future.exception()
        if type(error).__name__ == "KilledWorker":
            problem = "that did this block ended, several times: most likely memory ran out."
            return Outcome(task, fault=Fault("worker", problem))
        return Outcome(task, fault=Fault("worker", f"{type(error).__name__}: {error}"))

    @contextmanager
    def _client(self, distributed: Any) -> Iterator[Any]:
        if self.scheduler is not None:
            try:
                client = distributed.Client(self.scheduler, timeout=self.seconds_to_answer)
            except (OSError, TimeoutError) as error:
                problem = f"no Dask scheduler answers there ({error})."
                remedy = "Start one with `dask scheduler`, and workers with `dask worker ADDRESS`."
                raise MachineError(self.scheduler, problem, remedy) from error
            with client:
                yield client
            return
        with self.start() as cluster, distributed.Client(cluster) as client:
            yield client

    def start(self) -> Any:
        """Start the workers of this program, or submit their jobs; a context manager."""
        if self.cluster == "local":
            return _require("distributed").LocalCluster(
                n_workers=self.workers, threads_per_worker=1, dashboard_address=None
            )
        if which(command := SUBMITS[self.cluster]) is None:
            problem = f"submits jobs by {command}, which this machine does not have."
            remedy = (
                "Give the command where jobs are submitted, or name another cluster: local, or a "
                "scheduler that is there already (system.executor.scheduler)."
            )
            raise MachineError("system.executor.cluster", f"{self.cluster} {problem}", remedy)
        cluster = self.jobs()
        cluster.scale(jobs=self.workers)
        return cluster

    def jobs(self) -> Any:
        """A cluster of jobs, none of which is submitted yet; `job_script()` shows one."""
        jobqueue = _require("dask_jobqueue")
        job = self.job
        named = {"queue": job.queue, "walltime": job.walltime}
        # LSF calls what pays a project.
        named["project" if self.cluster == "lsf" else "account"] = job.account
        select = f"select=1:ncpus={job.cores}:mem={job.memory.replace(' ', '')}"
        cluster, cores = {
            "slurm": (jobqueue.SLURMCluster, {"job_cpu": job.cores}),
            "lsf": (jobqueue.LSFCluster, {"ncpus": job.cores}),
            "pbs": (jobqueue.PBSCluster, {"resource_spec": select}),
        }[self.cluster]
        return cluster(
            cores=1,  # a worker does one block at a time
            processes=1,
            **cores,
            memory=job.memory,
            job_extra_directives=list(job.directives),
            scheduler_options={"dashboard_address": None},
            **{name: value for name, value in named.items() if value is not None},
        )


def workers_there(client: Any) -> int:
    """How many workers a scheduler has by now; none where it does not answer.

    `Client.scheduler_info` lists five at most in some versions of Dask.
    """
    if client.status != "running":
        return 0
    try:
        return len(client.nthreads())
    except OSError:
        return 0


def _do(task: Task, payload: bytes, folder: str, threads: int | None) -> Outcome:
    """Do a task on a worker, in the folder of who asks for it: paths may be seen from there."""
    os.chdir(folder)
    use_threads(threads)
    return attempt(_work(payload), task)


@lru_cache(maxsize=2)
def _work(payload: bytes) -> Work:
    """What a worker opens once, and keeps."""
    return pickle.loads(payload)


def _require(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        problem = f"dask needs the package {module.replace('_', '-')}, which is not installed."
        raise MachineError("system.executor", problem, f"Install it: {INSTALL}") from error


def _lost(scheduler: str) -> MachineError:
    problem = "the Dask scheduler was lost."
    remedy = "Start it anew and give the same command again: what is marked as done stays done."
    return MachineError(scheduler, problem, remedy)
