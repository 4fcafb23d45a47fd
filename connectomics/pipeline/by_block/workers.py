"""Who works on blocks, and what is said of it."""

from __future__ import annotations

import re

from connectomics.blocks import Executor, Shard, Tally, ThisProcess
from connectomics.blocks.cluster import DaskCluster, Job
from connectomics.blocks.processes import LocalProcesses
from connectomics.config.schema import SystemSection
from connectomics.process.cpus import available_cpus


def shard_of(system: SystemSection) -> Shard | None:
    """The share of a job array that `system.shard` names."""
    if system.shard is None:
        return None
    index, count = map(int, system.shard.split("/"))
    return Shard(index, count)


def workers_of(system: SystemSection, gpus: int = 0) -> int:
    """How many processes, or jobs, `system.executor` has.

    Args:
        system: The section.
        gpus: How many GPUs the work is for; 0 where it is for CPUs.
    """
    if system.executor.name == "this_process":
        return 1
    if gpus and system.executor.name == "processes":  # two on one would be in each other's way
        return min(system.executor.workers or gpus, gpus)
    there = gpus or max(1, available_cpus() // (system.num_threads or 1))
    return system.executor.workers or there


def workers_beside(system: SystemSection, gpus: int = 0) -> int:
    """How many of them are processes of this machine beside this one, and share its memory."""
    executor = system.executor
    elsewhere = executor.scheduler is not None or executor.cluster != "local"
    if executor.name == "this_process" or (executor.name == "dask" and elsewhere):
        return 0
    return workers_of(system, gpus)


def memory_of_job(system: SystemSection) -> int | None:
    """Bytes that a job of a cluster asks for; None where no jobs are submitted."""
    executor = system.executor
    if executor.name != "dask" or executor.scheduler is not None or executor.cluster == "local":
        return None
    number, unit = re.fullmatch(r"(\d+) ?([KMGT]i?)B", executor.job.memory).groups()  # pyright: ignore
    return int(number) * (1024 if "i" in unit else 1000) ** ("KMGT".index(unit[0]) + 1)


def threads_of(system: SystemSection, workers: int) -> int | None:
    """How many threads each of so many workers has; None where another program starts them."""
    executor = system.executor
    if system.num_threads is not None or executor.scheduler is not None:
        return system.num_threads
    if executor.name == "dask" and executor.cluster != "local":
        return executor.job.cores
    return max(1, available_cpus() // workers)


def executor_of(system: SystemSection, gpus: int = 0) -> Executor:
    """Where `system.executor` has blocks worked on; see `workers_of`."""
    chosen, workers = system.executor, workers_of(system, gpus)
    if chosen.name == "this_process":
        return ThisProcess()
    if chosen.name == "processes":
        return LocalProcesses(workers, threads=threads_of(system, workers), gpus=gpus)
    return DaskCluster(
        workers,
        chosen.cluster,
        chosen.scheduler,
        Job(**chosen.job.model_dump()),
        threads_of(system, workers),
    )


def describe(tally: Tally, system: SystemSection) -> str:
    """What a run did, in part of a line."""
    parts = [f"{tally.done} block{'s' * (tally.done != 1)} done now"] * (tally.done > 0)
    parts += [f"{tally.earlier} done before"] * (tally.earlier > 0)
    parts += [f"{tally.damaged} made again, whose files were not whole"] * (tally.damaged > 0)
    shard = f" of shard {system.shard}" if system.shard else ""
    return f"{', '.join(parts) or 'nothing to do'}{shard}"


def unfinished(missing: int, what: str, *, last: bool = False) -> str:
    """What to say at the end of a shard, where so many blocks of others are missing.

    Args:
        missing: How many.
        what: The work.
        last: Whether no pass comes after it, in which shards have blocks to do again.
    """
    if not missing:
        return f"{what}: all blocks are done. The command without system.shard puts them together."
    then = "give the commands of all shards again, and in the end one without system.shard."
    if last:
        then = "the command without system.shard puts them together."
    some = (
        "1 block of another shard is" if missing == 1 else f"{missing} blocks of other shards are"
    )
    return f"{what}: {some} not done yet. Afterwards, {then}"
