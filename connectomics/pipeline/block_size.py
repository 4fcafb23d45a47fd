"""How a result is cut into blocks, and what is known of one that was begun.

A volume that fits into memory is one block, and is worked on at once. Larger ones, and all where
`system` says so, are cut into blocks; their results are Zarr stores in which a block is a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectomics.blocks import BlockGrid, Ledger, parts_begun
from connectomics.config.schema import SystemSection
from connectomics.data.identity import Identity
from connectomics.geometry import Triple
from connectomics.pipeline.by_block import workers_of
from connectomics.process.memory import available_memory

BLOCK_SIZE = "block size"
"""The part of a key that says how a volume was cut; absent where it was not."""

NOTES = "notes"
"""What is not worth finding out again, among the markers of a ledger."""

SMALLEST, LARGEST = (16, 128, 128), (128, 1024, 1024)
"""Blocks that are chosen here are whole numbers of the chunks in which volumes are stored."""

SHARE_OF_MEMORY = 0.5
"""What results may take of the memory that is free."""


def choose_block(
    system: SystemSection,
    shape: Triple,
    *,
    begun: Path,
    at_once: int,
    of_block: Callable[[Triple], int],
    gpus: int = 0,
) -> Triple | None:
    """Decide whether a result is made block by block, and of what size.

    Args:
        system: The section.
        shape: (Z, Y, X) of the volume.
        begun: The folder of the result, if it was begun before: an unfinished one is gone on with
            as it was begun, unless a size is given.
        at_once: Bytes of memory that making all of it at once takes.
        of_block: Bytes that a block takes.
        gpus: See `workers_of`.

    Returns:
        (z, y, x) voxels, no more than the volume has, or None to make it at once.
    """
    elsewhere = system.shard is not None or system.executor.name != "this_process"
    size = system.block_size or block_in(parts_begun(begun) or {})
    if size is None:
        budget = SHARE_OF_MEMORY * available_memory()
        if at_once <= budget and not elsewhere:
            return None
        workers = 1 if system.executor.name == "dask" else workers_of(system, gpus)
        size = largest_block(shape, lambda block: of_block(block) <= budget / workers)
    grid = BlockGrid(shape, size)
    return grid.block if len(grid) > 1 or elsewhere else None


def largest_block(shape: Triple, fits: Callable[[Triple], bool]) -> Triple:
    """The largest block that fits, growing along y and x before z.

    >>> largest_block((100, 5000, 300), lambda block: block[1] * block[2] <= 512 * 512)
    (128, 512, 512)
    """
    block = list(SMALLEST)
    grown = True
    while grown:
        grown = False
        for axis in (1, 2, 0):
            larger = [2 * n if i == axis else n for i, n in enumerate(block)]
            useful = block[axis] < shape[axis] and larger[axis] <= LARGEST[axis]
            if useful and fits((larger[0], larger[1], larger[2])):
                block, grown = larger, True
    return block[0], block[1], block[2]


def block_in(parts: Mapping[str, Any]) -> Triple | None:
    """The size of blocks in the parts of a key."""
    found = parts.get(BLOCK_SIZE)
    if not isinstance(found, Sequence) or len(found) != 3:
        return None
    return int(found[0]), int(found[1]), int(found[2])


def with_block(parts: Mapping[str, Any], block: Triple | None) -> dict[str, Any]:
    """The parts of a key, with the size of blocks where there are any."""
    return {**parts, **({BLOCK_SIZE: list(block)} if block else {})}


def known_volumes(begun: Path) -> dict[str, Identity]:
    """What is known, by an earlier run, of the volumes that an unfinished result is made from.

    A volume need not be read again to be recognised, by each process of a job array for itself.
    """
    notes = Ledger(begun).of(NOTES)
    stored = notes.facts("volumes") or {}
    known = {name: Identity.from_dict(one) for name, one in stored.items()}
    return {name: one for name, one in known.items() if one}


def note_volumes(ledger: Ledger, volumes: Mapping[str, Identity]) -> None:
    """Keep what `known_volumes` gives."""
    notes = ledger.of(NOTES)
    notes.mark("volumes", {name: one.as_dict() for name, one in volumes.items()})
