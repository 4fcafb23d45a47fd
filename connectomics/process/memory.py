"""How much memory this program may use: what the machine has free, or a container allows."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from connectomics.process.cgroups import folders_of

MEMINFO = Path("/proc/meminfo")
WHERE_NOBODY_SAYS = 8 * 2**30


def available_memory() -> int:
    """Bytes that are free, or that the cgroup of this process (version 1 or 2) leaves."""
    return min([_free(), *_left_by_cgroups()])


def peak_memory() -> int:
    """The most bytes that this process has had in memory so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _free() -> int:
    try:
        lines = MEMINFO.read_text().splitlines()
    except OSError:
        return WHERE_NOBODY_SAYS
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else WHERE_NOBODY_SAYS


def _left_by_cgroups() -> Iterator[int]:
    for folder, second in folders_of("memory"):
        names = "memory.max memory.current"
        yield from _left(folder, names if second else "memory.limit_in_bytes memory.usage_in_bytes")


def _left(folder: Path, names: str) -> Iterator[int]:
    """What one cgroup leaves, if it has a limit."""
    try:
        limit, used = (int((folder / name).read_text()) for name in names.split())
    except (OSError, ValueError):  # "max", or no such cgroup
        return
    yield max(0, limit - used)
