"""The pass that reads probabilities: the foreground of each block, listed, and what hangs together.

What is labelled by connected components is of a kind: "union", the components that are the
synapses, and "pre" and "post", the pieces of one side, where small ones are to be dropped. A block
numbers its own; `stitching` says which of different blocks are one.

The part of a block holds, in voxels of its foreground and in components it has:

    at            (V,) uint32, flat indices in the block, ascending
    component     (V,) int32, the component of each; -1 is none
    pre, post     (V,) int32, the piece of that side, or -1, where pieces are to be dropped
    side          (V,) int8, the side, where none are
    values        (C, V) what the channels hold there, where that is needed
    KIND.voxels   (N,) int64, size of each component or piece
    KIND.faceAE   (2, F) int32: for each voxel on the face of axis A at its begin (E = 0) or end
                  (E = 1), its place on the face, ascending, and its component
    union.sides   (N, 2) int64, its pre and its post voxels, where the side is known
    union.first   (N,) int64, flat index in the volume of the first voxel, gaps included
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from connectomics.decoding.bits import BitMask, dilate_in_plane
from connectomics.decoding.blockwise.contract import Part, Parts, Read
from connectomics.decoding.blockwise.grid import Blocks
from connectomics.decoding.candidates import NONE, POST, PRE, is_set, list_voxels
from connectomics.decoding.probabilities import Probabilities, check_block
from connectomics.decoding.runs import Components, find_owners, find_runs, label_components
from connectomics.geometry import Box, Triple

FACES = tuple((axis, end) for axis in range(3) for end in range(2))


LISTED, CROWDED, SIDES = "candidates", "crowded", "sides"
"""The passes that list blocks, that list those that the first has left, and that drop pieces."""


def listed(parts: Parts, name: str) -> Part:
    """The list of a block."""
    part = parts(LISTED, name)
    return parts(CROWDED, name) if "crowded" in part and part["crowded"].any() else part


def sides_of(parts: Parts, name: str, dropped: bool) -> np.ndarray:
    """(V,) the side of each listed voxel of a block.

    Args:
        parts: The parts so far.
        name: The block.
        dropped: Whether pieces of a side were dropped, which took a pass of its own.
    """
    return (parts(SIDES, name) if dropped else listed(parts, name))["side"]


def read_block(
    blocks: Blocks, number: int, read: Read, *, edge: int, channels: int, where: str
) -> tuple[Probabilities, Box]:
    """The probabilities that decide on a block, and where the block lies in them.

    Args:
        blocks: The grid.
        number: The block.
        read: Reads a box.
        edge: Of the square by which a mask is dilated in each section.
        channels: How many the probabilities have.
        where: The decoder, for messages.
    """
    box = blocks.box(number)
    steps = max(0, edge - 1)
    after = steps // 2  # a voxel spreads this far towards higher y and x, see dilate_in_plane
    before = steps - after
    (z, y, x), (z_end, y_end, x_end) = box.start, box.stop
    wide = Box((z, y - after, x - after), (z_end, y_end + before, x_end + before))
    wide = wide.clip(blocks.shape)
    probabilities = check_block(read(wide), channels=channels, where=where, start=wide.start)
    return probabilities, box.shift([-start for start in wide.start])


def largest_value(probabilities: Probabilities) -> np.ndarray:
    """(1,) the largest value of a uint8 block, 255 for other types."""
    is_octets = probabilities.dtype == np.uint8
    return np.array([int(np.max(probabilities.volume)) if is_octets else 255])


def core(probabilities: Probabilities, box: Box) -> Probabilities:
    """A part of probabilities."""
    start = box.shift(probabilities.start).start
    volume = probabilities.volume[(..., *box.slices)]
    return replace(probabilities, volume=volume, shape=box.shape, start=start)


def crop(mask: BitMask, box: Box) -> BitMask:
    """A part of a mask."""
    return mask if box.shape == mask.shape else BitMask.pack(mask.unpack()[box.slices])


def dilated(mask: BitMask, edge: int) -> BitMask:
    """A mask, dilated in each section by a square."""
    wider = BitMask(mask.bits.copy(), mask.shape)
    dilate_in_plane(wider, edge)
    return wider


def list_union(
    blocks: Blocks, number: int, union: BitMask, wanted: BitMask
) -> dict[str, np.ndarray]:
    """List the voxels of a mask, and the components of another that holds it.

    Args:
        blocks: The grid.
        number: The block.
        union: The mask that falls into components, gaps bridged.
        wanted: The voxels to list, all of them in `union`.
    """
    components = label_components(union)
    index, owner = list_voxels(components, union.shape)
    first = np.empty(components.count, np.int64)
    first[owner[::-1]] = index[::-1]  # of several, the last that is written stays: the first
    runs = find_runs(wanted)
    held = Components(runs, find_owners(runs, components, union.shape), components.count)
    at, component = list_voxels(held, union.shape)
    return {
        "at": at.astype(np.uint32),
        "component": component.astype(np.int32),
        "union.voxels": np.bincount(component, minlength=components.count),
        "union.first": blocks.to_volume(number, first),
        **_faces("union", index, owner, union.shape),
    }


def list_pieces(at: np.ndarray, pre: BitMask, post: BitMask) -> dict[str, np.ndarray]:
    """Which pieces of the sides the listed voxels belong to.

    Args:
        at: (V,) flat indices in the block.
        pre: The pre side in it.
        post: The post side.
    """
    found: dict[str, np.ndarray] = {}
    for kind, mask in (("pre", pre), ("post", post)):
        index, owner = list_voxels(label_components(mask), mask.shape)
        of_voxel = np.full(at.size, -1, np.int32)
        of_voxel[np.searchsorted(at, index)] = owner
        found[kind] = of_voxel
        found[f"{kind}.voxels"] = np.bincount(owner)
        found |= _faces(kind, index, owner, mask.shape)
    return found


def list_sides(at: np.ndarray, pre: BitMask, post: BitMask) -> np.ndarray:
    """(V,) int8, the side of listed voxels; post where both hold."""
    index = at.astype(np.int64)
    side = np.where(is_set(post, index), POST, np.where(is_set(pre, index), PRE, NONE))
    return side.astype(np.int8)


def count_sides(side: np.ndarray, component: np.ndarray, count: int) -> np.ndarray:
    """(count, 2) int64, the pre and the post voxels of each component."""
    columns = [np.bincount(component[side == s], minlength=count) for s in (PRE, POST)]
    return np.stack(columns, axis=1)


def _faces(kind: str, index: np.ndarray, owner: np.ndarray, shape: Triple) -> dict[str, np.ndarray]:
    """The voxels on each face of a block, and the component each is of."""
    places = np.unravel_index(index, shape)
    found = {}
    for axis, end in FACES:
        on_face = np.flatnonzero(places[axis] == (shape[axis] - 1 if end else 0))
        a, b = (k for k in range(3) if k != axis)
        at = places[a][on_face] * shape[b] + places[b][on_face]
        found[f"{kind}.face{axis}{end}"] = np.stack([at, owner[on_face]]).astype(np.int32)
    return found
