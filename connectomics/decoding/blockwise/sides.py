"""Which side a voxel has, once it is known which pieces of sides are too small."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from connectomics.decoding.blockwise import stitching
from connectomics.decoding.blockwise.contract import Part, Parts, State, Task
from connectomics.decoding.blockwise.grid import Blocks
from connectomics.decoding.blockwise.listing import count_sides, listed
from connectomics.decoding.candidates import NONE, POST, PRE


def side_tasks(state: State, blocks: Blocks, kinds: tuple[str, ...]) -> Iterator[Task]:
    """A task for each block that has components, with the pieces of sides that are kept."""
    held = np.any([np.diff(state[f"{kind}.start"]) > 0 for kind in kinds], axis=0)
    for number in map(int, np.flatnonzero(held)):
        slices = {kind: stitching.own(state, kind, number) for kind in ("pre", "post")}
        yield blocks.task(number, {k: state[f"{k}.kept"][own] for k, own in slices.items()})


def decide_sides(task: Task, parts: Parts, *, counted: bool) -> Part:
    """Which side the listed voxels of a block have, now that small pieces are known.

    Args:
        task: A block, and which pieces of its pre and post sides are kept.
        parts: The parts so far.
        counted: Whether to count the sides of components, too.
    """
    part = listed(parts, task.name)
    side = np.full(part["at"].size, NONE, np.int8)
    for kind, value in (("pre", PRE), ("post", POST)):  # post wins where both hold
        piece = part[kind]
        side[(piece >= 0) & np.append(task.work[kind], False)[piece]] = value
    if not counted:
        return {"side": side}
    count = len(part["union.voxels"])
    return {"side": side, "union.sides": count_sides(side, part["component"], count)}
