"""`system`: the machine, or the machines, and how the work is shared out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from connectomics.config.schema.base import SLIP, Section, Seed, Size3

SHARD_PATTERN = r"^\d{1,6}/[1-9]\d{0,5}$"
LINE_PATTERN = r"^[^\r\n]{1,200}$"
MEMORY_PATTERN = r"^\d{1,6} ?[KMGT]i?B$"
WALLTIME_PATTERN = r"^\d{1,4}:\d{2}(:\d{2})?$"
ADDRESS_PATTERN = r"^(tcp|tls|ucx|ws|wss)://\S{1,500}$"

Threads = Annotated[int, Field(gt=0, le=1024)]


def _share(text: str) -> str:
    index, count = map(int, text.split("/"))
    if index >= count:
        problem = f"{text!r} is none of {count} shards, which are counted from 0."
        remedy = f"The last one is {count - 1}/{count}."
        raise PydanticCustomError(SLIP, "{problem}", {"problem": problem, "remedy": remedy})
    return text


ShardText = Annotated[str, Field(pattern=SHARD_PATTERN), AfterValidator(_share)]
Directive = Annotated[str, Field(pattern=LINE_PATTERN)]


class JobSection(Section):
    """What one job of a cluster asks for, where Dask submits the jobs (dask-jobqueue)."""

    cores: Threads = 1
    memory: Annotated[str, Field(pattern=MEMORY_PATTERN)] = "8GB"
    walltime: Annotated[str, Field(pattern=WALLTIME_PATTERN)] = "12:00:00"
    queue: Directive | None = None
    account: Directive | None = None
    directives: Annotated[tuple[Directive, ...], Field(max_length=100)] = ()


class ExecutorSection(Section):
    """Where blocks are worked on: here, in processes of this machine, or by Dask.

    `workers` are processes, or jobs of a cluster, where the number has to be given; `processes`
    takes one for each GPU, or for each CPU where there is none, unless told. Dask takes the
    `scheduler` at an address, or makes a `cluster`. A block that fails is tried `retries` times
    more, after all others.
    """

    name: Literal["this_process", "processes", "dask"] = "this_process"
    workers: Threads | None = None
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    scheduler: Annotated[str, Field(pattern=ADDRESS_PATTERN)] | None = None
    cluster: Literal["local", "slurm", "lsf", "pbs"] = "local"
    job: JobSection = JobSection()


class SystemSection(Section):
    """The machine. `num_gpus: auto` takes all there are, or the CPU where there is none.

    Training uses `num_nodes` machines, on each of which SLURM or torchrun starts the command;
    `num_gpus` and `num_cpu_processes` are of each.

    Volumes that do not fit into memory are worked on by blocks of `block_size`, chosen by the
    memory unless given; given, all are. `shard: 3/64` does a 64th of the blocks, the fourth.
    """

    num_gpus: Literal["auto"] | Annotated[int, Field(ge=0, le=1024)] = "auto"
    num_cpu_processes: Threads = 1
    num_nodes: Threads = 1
    num_threads: Threads | None = None
    seed: Seed = 0
    block_size: Size3 | None = None
    shard: ShardText | None = None
    executor: ExecutorSection = ExecutorSection()
