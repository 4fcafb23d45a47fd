"""Ours and a baseline timed in turns, and what one row of the table says."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

Call = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: What is done.
        size: On what.
        baseline: How a user would do it otherwise.
        ours_s: Seconds of the clock, the fastest of several runs.
        baseline_s: Likewise, of the baseline in the same run.
        ours_mib: MiB by which the process, or its GPU's memory, grew at most; None where it was
            not measured.
        baseline_mib: Likewise, of the baseline.
        share: Of the measured ceiling that ours reaches, 0 to 1; None where there is no ceiling.
    """

    what: str
    size: str
    baseline: str
    ours_s: float
    baseline_s: float
    ours_mib: float | None = None
    baseline_mib: float | None = None
    share: float | None = None

    @property
    def key(self) -> str:
        """By which it is found in another table."""
        return f"{self.what} · {self.size} · {self.baseline}"

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.baseline_s / self.ours_s

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


Measure = Callable[[bool], Iterator[Row]]
"""From "small sizes, for a quick look" to rows."""


def versus(what: str, size: str, ours: Call, named: tuple[str, Call], *, repeats: int = 3) -> Row:
    """Time two calls in turns, so that whatever else the machine does falls on both.

    Each has run before, as what is compiled or cached once is no part of it. Memory is measured in
    such a run, on Linux.
    """
    name, baseline = named
    ours()
    memory = [grown_mib(ours), grown_mib(baseline)]
    seconds: list[list[float]] = [[], []]
    for _ in range(repeats):
        for taken, call in zip(seconds, (ours, baseline), strict=True):
            began = time.perf_counter()
            call()
            taken.append(time.perf_counter() - began)
    best = [min(taken) for taken in seconds]
    return Row(what, size, name, *best, *memory)


def grown_mib(call: Call) -> float | None:
    """MiB by which memory grows at most during a call, the GPU's where there is one.

    None where it cannot be told.
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        there = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - there) / 2**20
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        call()
        return None
    before = _peak_mib()
    call()
    return max(0.0, _peak_mib() - before)


def _peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
