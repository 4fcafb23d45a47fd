"""How much memory this program may use: what the machine has free, or a container allows."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from connectomics.process.cgroups import folders_of

MEMINFO = Path("/proc/meminfo")
STATM = Path("/proc/self/statm")
WHERE_NOBODY_SAYS = 8 * 2**30

HEAPS = "MALLOC_ARENA_MAX"
"""The environment variable by which glibc is told how many heaps a program may have."""
M_ARENA_MAX = -8
"""The same in glibc's malloc.h."""


def share_one_heap() -> None:
    """Have all threads, and the programs started from here, take memory from one heap.

    glibc gives every thread a heap of its own, and each keeps what it once had: a program that
    works through blocks with several threads grows by a fifth, and the more blocks the more. Other
    C libraries are left as they are, and so is what the user has set.
    """
    if HEAPS in os.environ:
        return
    os.environ[HEAPS] = "1"
    with suppress(OSError, AttributeError):  # there is no such function
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def available_memory() -> int:
    """Bytes that are free, or that the cgroup of this process (version 1 or 2) leaves."""
    return min([_free(), *_left_by_cgroups()])


def total_memory() -> int | None:
    """Bytes of this machine with its swap, or what a cgroup allows; None where nobody says."""
    sizes = _sizes()
    if "MemTotal" not in sizes:
        return None
    swap = sizes.get("SwapTotal", 0)
    return min([sizes["MemTotal"], *(limit for limit, _ in _limits())]) + swap


def used_memory() -> int:
    """Bytes that this process has in memory now."""
    try:
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return peak_memory()


def peak_memory() -> int:
    """The most bytes that this process has had in memory so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _free() -> int:
    return _sizes().get("MemAvailable", WHERE_NOBODY_SAYS)


def _sizes() -> dict[str, int]:
    """Bytes by their names in `/proc/meminfo`; none where there is no such file."""
    try:
        lines = [line.split() for line in MEMINFO.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines if len(line) == 3}


def _left_by_cgroups() -> Iterator[int]:
    return (max(0, limit - used) for limit, used in _limits())


def _limits() -> Iterator[tuple[int, int]]:
    """What each cgroup that has a limit allows, and what of it is used."""
    for folder, second in folders_of("memory"):
        names = "memory.max memory.current"
        yield from _limit(
            folder, names if second else "memory.limit_in_bytes memory.usage_in_bytes"
        )


def _limit(folder: Path, names: str) -> Iterator[tuple[int, int]]:
    try:
        limit, used = (int((folder / name).read_text()) for name in names.split())
    except (OSError, ValueError):  # "max", or no such cgroup
        return
    yield limit, max(0, used - _reclaimable(folder))


def _reclaimable(folder: Path) -> int:
    """Bytes that hold parts of files, which the kernel gives away when they are needed."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    found = dict(line.split() for line in lines)
    return int(found.get("total_inactive_file") or found.get("inactive_file") or 0)
