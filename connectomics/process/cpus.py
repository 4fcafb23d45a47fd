"""How many CPUs this program may use: what it was told, or what the machine leaves it."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from connectomics.process.cgroups import folders_of

STAT = Path("/proc/stat")
"""What each CPU has done since the machine was started, on Linux."""

_told: int | None = None


def use_threads(number: int | None) -> None:
    """Tell this program, and the processes it starts, how many threads to use.

    Args:
        number: `system.num_threads`; None for as many as there are CPUs, or as Zarr's own variable
            says for its reading and writing.
    """
    global _told
    changes, _told = number != _told, number
    if number is not None:
        os.environ["OMP_NUM_THREADS"] = os.environ["ZARR_THREADING__MAX_WORKERS"] = str(number)
    if changes and "zarr" in sys.modules:  # which reads its variable but once
        sys.modules["zarr"].config.set({"threading.max_workers": number})


def available_cpus() -> int:
    """The number of CPUs this process may use.

    What `use_threads` was told; else those that its affinity names, and no more than the quota
    that a container or a scheduler has set for its cgroup (version 1 or 2), or one above it.
    """
    if _told is not None:
        return _told
    known = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    cpus = len(known) or os.cpu_count() or 1
    return max(1, min([cpus, *(math.ceil(quota) for quota in _quotas())]))


def cpus_taken(seconds: float = 0.3) -> float:
    """How many of the CPUs this process may use are at work for other programs.

    This process waits meanwhile. Where the system does not tell, it is 0.
    """
    before = _ticks_of_cpus()
    time.sleep(seconds)
    taken = 0.0
    for cpu, (busy, passed) in _ticks_of_cpus().items():
        earlier_busy, earlier_passed = before.get(cpu, (busy, passed))
        if passed > earlier_passed:
            taken += (busy - earlier_busy) / (passed - earlier_passed)
    return taken


def _ticks_of_cpus() -> dict[int, tuple[int, int]]:
    """Ticks at work, and all ticks, of each CPU this process may use; nothing outside Linux."""
    try:
        lines = STAT.read_text().splitlines()
        mine = os.sched_getaffinity(0)
    except (OSError, AttributeError):
        return {}
    found = {}
    for line in lines:
        name, *ticks = line.split()
        cpu = name.removeprefix("cpu")
        if cpu != name and cpu.isdigit() and int(cpu) in mine:
            # user, nice, system, idle, waiting for a disk, interrupts (two kinds), stolen; guests
            # count as users already
            user, nice, system, idle, waiting, *rest = map(int, ticks[:8])
            busy = user + nice + system + sum(rest)
            found[int(cpu)] = busy, busy + idle + waiting
    return found


def _quotas() -> Iterator[float]:
    """CPUs that each cgroup of this process allows, those without a limit left out."""
    for folder, _ in folders_of("cpu"):
        quota = _quota(folder)
        if quota is not None:
            yield quota


def _quota(folder: Path) -> float | None:
    """CPUs that one cgroup allows, or None."""
    try:
        if (folder / "cpu.max").is_file():  # version 2
            quota, period = (folder / "cpu.max").read_text().split()
        else:  # version 1
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        allowed = float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max", -1, or no such cgroup
        return None
    return allowed if allowed > 0 else None
