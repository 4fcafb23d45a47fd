"""Who works on blocks."""

from __future__ import annotations

from collections.abc import Iterator

from connectomics.config.schema import Config
from connectomics.errors import Fault


def check_workers(config: Config) -> Iterator[Fault]:
    """How many jobs a cluster is asked for is for a person to say."""
    executor = config.system.executor
    submits = executor.name == "dask" and executor.scheduler is None and executor.cluster != "local"
    if submits and executor.workers is None:
        problem = f"is not given, and {executor.cluster} is asked for a job for each."
        yield Fault("system.executor.workers", problem, "Say how many jobs, such as 32.")
