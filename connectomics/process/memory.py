"""How much memory this program may use: what the machine has free, or a container allows."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
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
    try:
        lines = MEMBERSHIP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = CGROUPS / "memory" if controllers else CGROUPS
        names = "memory.limit_in_bytes memory.usage_in_bytes" if controllers else ""
        for part in (path, *map(str, Path(path).parents)):
            yield from _left(top / part.strip("/"), names or "memory.max memory.current")


def _left(folder: Path, names: str) -> Iterator[int]:
    """What one cgroup leaves, if it has a limit."""
    try:
        limit, used = (int((folder / name).read_text()) for name in names.split())
    except (OSError, ValueError):  # "max", or no such cgroup
        return
    yield max(0, limit - used)
