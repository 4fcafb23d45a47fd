"""Which components of different blocks are one: those that share a face of two voxels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from connectomics.decoding.blockwise.contract import Part, Parts, State, Task
from connectomics.decoding.blockwise.grid import Blocks
from connectomics.decoding.blockwise.listing import listed
from connectomics.decoding.merging import number_connected


def own(state: State, kind: str, number: int) -> slice:
    """Where the components of a block stand among those of all blocks."""
    first = state[f"{kind}.start"]
    return slice(int(first[number]), int(first[number + 1]))


def face_tasks(state: State, *, blocks: Blocks, kinds: tuple[str, ...]) -> Iterator[Task]:
    """A task for each block that has components and a later neighbour that has some."""
    held = np.any([np.diff(state[f"{kind}.start"]) > 0 for kind in kinds], axis=0)
    for number in np.flatnonzero(held):
        after = [blocks.after(int(number), axis) for axis in range(3)]
        if any(other is not None and held[other] for other in after):
            others = np.array([-1 if n is None or not held[n] else n for n in after])
            yield blocks.task(int(number), {"after": others})


def match_faces(task: Task, parts: Parts, *, blocks: Blocks, kinds: tuple[str, ...]) -> Part:
    """Pairs of components, of this block and of the next along each axis, that touch.

    Args:
        task: The block, and its later neighbours (-1 where there is none).
        parts: The parts so far.
        blocks: The grid.
        kinds: The components to match.

    Returns:
        (N, 2) for each kind and axis.
    """
    mine = listed(parts, task.name)
    pairs = {}
    for axis, other in enumerate(task.work["after"]):
        if other < 0:
            continue
        theirs = listed(parts, blocks.name(int(other)))
        for kind in kinds:
            here, there = mine[f"{kind}.face{axis}1"], theirs[f"{kind}.face{axis}0"]
            _, a, b = np.intersect1d(here[0], there[0], assume_unique=True, return_indices=True)
            both = np.stack([here[1, a], there[1, b]], axis=1)
            pairs[f"{kind}{axis}"] = np.unique(both, axis=0)
    return pairs


def stitch(
    state: State, done: Iterable[tuple[Task, Part]], *, blocks: Blocks, kinds: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Number what is one component in the volume.

    Returns:
        KIND.of: (N,) the number of each component of each block, blocks in order. Those of the
        union are numbered in scan order of their first voxel, as in the volume.
    """
    pairs: dict[str, list[np.ndarray]] = {kind: [np.empty((0, 2), np.int64)] for kind in kinds}
    for task, part in done:
        number = blocks.number(task.name)
        for axis, other in enumerate(task.work["after"]):
            for kind in kinds if other >= 0 else ():
                start = state[f"{kind}.start"]
                pairs[kind].append(part[f"{kind}{axis}"] + start[[number, int(other)]])
    found = {}
    for kind in kinds:
        count = int(state[f"{kind}.start"][-1])
        of = number_connected(count, np.concatenate(pairs[kind])) if count else np.empty(0, int)
        if kind == "union":
            of = np.argsort(np.argsort(smallest(state["union.first"], of)))[of]
        found[f"{kind}.of"] = of.astype(np.int64)
    return found


def smallest(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """(N, ...) the least of the values (L, ...) of the parts of each component."""
    return _reduced(np.minimum, values, of)


def largest(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """(N, ...) the greatest of the values (L, ...) of the parts of each component."""
    return _reduced(np.maximum, values, of)


def total(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """(N, ...) the sum of the values (L, ...) of the parts of each component."""
    return _reduced(np.add, values, of)


def _reduced(reduce: np.ufunc, values: np.ndarray, of: np.ndarray) -> np.ndarray:
    if len(of) == 0:
        return values
    order = np.argsort(of, kind="stable")
    starts = np.flatnonzero(np.diff(of[order], prepend=-1))
    return reduce.reduceat(values[order], starts, axis=0)


def in_order(
    done: Iterable[tuple[Task, Part]], names: Iterable[str], blocks: Blocks
) -> dict[str, np.ndarray]:
    """Join small arrays of all blocks, in the order of the blocks.

    Args:
        done: The parts of all blocks, in any order.
        names: Of arrays (N, ...), one row for each component of a block.
        blocks: The grid.

    Returns:
        The joined arrays; and of those called KIND.voxels, KIND.start, (B + 1,): where the
        components of each block start among all.
    """
    names = tuple(names)
    found = {blocks.number(task.name): [part[name] for name in names] for task, part in done}
    columns = list(zip(*(found[number] for number in sorted(found)), strict=True))
    joined = {}
    for name, arrays in zip(names, columns, strict=True):
        joined[name] = np.concatenate(arrays)
        kind, _, what = name.partition(".")
        if what == "voxels":
            joined[f"{kind}.start"] = np.cumsum([0, *map(len, arrays)])
    return joined


def inserted(
    state: State, done: Iterable[tuple[Task, Part]], names: Iterable[str], blocks: Blocks
) -> State:
    """Put the arrays of some blocks that had no components among those of all blocks."""
    late = {blocks.number(task.name): part for task, part in done}
    if not late:
        return state
    new = dict(state)
    for name in names:
        kind, _, what = name.partition(".")
        arrays = np.split(state[name], state[f"{kind}.start"][1:-1])  # as they were
        arrays = [late[number][name] if number in late else a for number, a in enumerate(arrays)]
        new[name] = np.concatenate(arrays)
        if what == "voxels":
            new[f"{kind}.start"] = np.cumsum([0, *map(len, arrays)])
    return new


def sides_in_order(state: State, done: Iterable[tuple[Task, Part]], blocks: Blocks) -> np.ndarray:
    """(L, 2) int64, voxels on each side of each component of each block; 0 without a part."""
    sides = np.zeros((int(state["union.start"][-1]), 2), np.int64)
    for task, part in done:
        sides[own(state, "union", blocks.number(task.name))] = part["union.sides"]
    return sides
