"""Work on whole synapses: some of them at once, wherever their voxels lie."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from connectomics.decoding.blockwise.contract import Parts, Read, Task
from connectomics.decoding.blockwise.grid import Blocks
from connectomics.decoding.blockwise.listing import listed, sides_of
from connectomics.decoding.candidates import Candidates
from connectomics.decoding.foreground import TooMuchForegroundError
from connectomics.errors import DataError
from connectomics.geometry import Box

BATCH = 2**19
"""Voxels of synapses that are decided on at once, at some 150 bytes each, unless one has more."""

MOST = 2**25
"""Voxels that may hang together: no synapses, however crowded, have so many."""


def cut(voxels: np.ndarray, place: np.ndarray, batch: int, where: str) -> np.ndarray:
    """Cut a row of groups into batches.

    Args:
        voxels: (G,) of each group.
        place: (G,) the block that it begins in; a batch holds groups of neighbouring blocks.
        batch: Voxels to have in a batch; one group may have more.
        where: The decoder, for messages.

    Returns:
        (G,) batch from 0 of each group.

    Raises:
        TooMuchForegroundError: A group is too large for any memory.
    """
    if voxels.max(initial=0) > MOST:
        raise TooMuchForegroundError(
            where,
            f"{voxels.max():,} voxels of foreground hang together, more than synapses ever do.",
            "The network says yes to much of the volume: look at its probabilities and train it "
            "longer, or raise the thresholds (thres, hysteresis).",
        )
    order = np.argsort(place, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = (np.cumsum(voxels[order]) - voxels[order]) // max(batch, 1)
    return np.unique(number, return_inverse=True)[1].reshape(-1)


def tasks(start: np.ndarray, component: np.ndarray, batch: np.ndarray) -> Iterator[Task]:
    """A task for each batch of components.

    Args:
        start: (B + 1,) where the components of each block start.
        component: (L,) the component in the volume of each component of a block; -1 is in none.
        batch: (N,) the batch of each component in the volume.

    Yields:
        Tasks of which `work` says which components of which blocks are which of the batch:
        block, local and component, (P,) each, and components, (K,) their numbers in the volume.
    """
    taken = np.flatnonzero(component >= 0)
    of = batch[component[taken]]
    order = np.argsort(of, kind="stable")
    taken, of = taken[order], of[order]
    bounds = np.append(np.flatnonzero(np.diff(of, prepend=-1)), len(of))
    for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
        mine = taken[begin:end]
        block = np.searchsorted(start, mine, "right") - 1
        components, which = np.unique(component[mine], return_inverse=True)
        work = {
            "block": block,
            "local": mine - start[block],
            "component": which.reshape(-1),
            "components": components,
        }
        yield Task(f"{number:06d}", None, work)


def gather_list(
    task: Task, parts: Parts, blocks: Blocks, *, dropped: bool
) -> dict[str, np.ndarray]:
    """The voxels of the components of a batch, in scan order of the volume.

    Args:
        task: A batch, as `tasks` made it.
        parts: The parts so far.
        blocks: The grid.
        dropped: Whether pieces of a side were dropped.

    Returns:
        index (V,) int64 in the volume, component (V,) int32 in the batch, and what else the parts
        say of each voxel.
    """
    work, lists = task.work, []
    bounds = np.flatnonzero(np.diff(work["block"], prepend=-1, append=-1))
    for begin, end in itertools.pairwise(bounds):
        number = int(work["block"][begin])
        name = blocks.name(number)
        part = listed(parts, name)
        of = np.full(len(part["union.voxels"]), -1, np.int32)
        of[work["local"][begin:end]] = work["component"][begin:end]
        component = of[part["component"]]
        taken = np.flatnonzero(component >= 0)
        found = {
            "index": blocks.to_volume(number, part["at"][taken]),
            "component": component[taken],
            "side": sides_of(parts, name, dropped)[taken],
            "values": part["values"][:, taken],
        }
        if "inside" in part:
            found["inside"] = part["inside"][taken]
        lists.append(found)
    whole = {name: np.concatenate([found[name] for found in lists], axis=-1) for name in lists[0]}
    order = np.argsort(whole["index"])
    return {name: values[..., order] for name, values in whole.items()}


def neurons_of(
    read: Read | None, blocks: Blocks, where: str
) -> Callable[[Candidates], np.ndarray] | None:
    """A function that gives the neuron at each voxel of a list, (V,) uint64; 0 is none."""
    if read is None:
        return None

    def gather(candidates: Candidates) -> np.ndarray:
        found = np.zeros(candidates.index.size, np.uint64)
        for _, places in blocks.split(candidates.index):
            found[places] = read_at(read, candidates.coordinates(places), where)
        return found

    return gather


def read_at(read: Read, at: np.ndarray, where: str) -> np.ndarray:
    """The neurons at some voxels (N, 3) that lie near each other."""
    low = at.min(axis=0)
    box = Box(tuple(low), tuple(at.max(axis=0) + 1))  # pyright: ignore[reportArgumentType]
    ids: Any = np.asarray(read(box))
    if ids.dtype.kind not in "ui":
        raise DataError(where, f"the neurons are {ids.dtype}.", "Give whole-number ids.")
    z, y, x = (at - low).T
    return ids[z, y, x]
