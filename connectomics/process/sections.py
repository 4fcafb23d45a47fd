"""Work shared among threads by sections."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from connectomics.process.cpus import available_cpus

Result = TypeVar("Result")

FEW = 2**23
"""Voxels of a mask that one thread works through as fast as several."""


def map_sections(
    depth: int,
    task: Callable[[int, int], Result],
    *,
    thickness: int | None = None,
    area: int | None = None,
) -> list[Result]:
    """Call `task(begin, end)` for ranges of sections that cover [0, depth), on every CPU.

    Threads only help tasks that release Python's lock, as compiled loops and large numpy
    operations do. They are gone when the call returns, so a later fork is safe.

    Args:
        depth: Number of sections.
        task: What to do with the sections begin <= z < end. Ranges do not overlap.
        thickness: The most sections of one range. Default: four ranges for each thread.
        area: Voxels of a section of a mask. One of few voxels is one range, without threads: they
            would take longer to start than it takes.

    Returns:
        What the tasks returned, in the order of their ranges.

    >>> map_sections(5, lambda begin, end: (begin, end), thickness=2)
    [(0, 2), (2, 4), (4, 5)]
    """
    if depth == 1 or (area is not None and depth * area < FEW):
        return [task(0, depth)]
    threads = available_cpus()
    if thickness is None:
        thickness = -(-depth // (4 * threads))
    thickness = max(1, thickness)
    ranges = [(z, min(z + thickness, depth)) for z in range(0, depth, thickness)]
    if threads == 1 or len(ranges) == 1:
        return [task(begin, end) for begin, end in ranges]
    with ThreadPoolExecutor(min(threads, len(ranges))) as pool:
        return list(pool.map(lambda limits: task(*limits), ranges))
