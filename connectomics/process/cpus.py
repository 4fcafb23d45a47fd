"""How many CPUs this program may use: what it was told, or what the machine leaves it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from connectomics.process.cgroups import folders_of

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
