"""Connected components of bit masks, found on runs of voxels instead of single ones.

A run is a maximal stretch of set voxels in one row. Labelling a mask is joining the runs that
touch (6-connectivity), with union-find. Components are numbered from 0 in scan order: by the
section, then the row, then the column of their first voxel. No result depends on the number of
threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from connectomics.decoding import kernels
from connectomics.decoding.bits import BitMask
from connectomics.process.sections import map_sections


class Runs(NamedTuple):
    """The runs of a mask (Z, Y, X), row by row; row z * Y + y comes after row z * Y + y - 1.

    Attributes:
        start: (R,) int32, first x of each run.
        stop: (R,) int32, one past its last x.
        first: (Z * Y + 1,) int64; row r has the runs first[r] ... first[r + 1] - 1.
    """

    start: np.ndarray
    stop: np.ndarray
    first: np.ndarray


class Components(NamedTuple):
    """The 6-connected components of a mask.

    Attributes:
        runs: The runs of the mask, R of them.
        of_run: (R,) the number of the component each run belongs to, from 0.
        count: How many components there are.
    """

    runs: Runs
    of_run: np.ndarray
    count: int


def find_runs(mask: BitMask) -> Runs:
    """List the runs of a mask."""
    depth, height, width = mask.shape
    rows = mask.rows
    first = np.zeros(len(rows) + 1, np.int64)
    map_sections(
        depth,
        lambda begin, end: kernels.runs.count_runs(rows, begin * height, end * height, first),
        area=height * width,
    )
    np.cumsum(first, out=first)
    start = np.empty(first[-1], np.int32)
    runs = Runs(start, np.empty_like(start), first)
    map_sections(
        depth,
        lambda begin, end: kernels.runs.fill_runs(rows, width, begin * height, end * height, runs),
        area=height * width,
    )
    return runs


def label_components(mask: BitMask) -> Components:
    """Find the 6-connected components of a mask."""
    depth, height, width = mask.shape
    runs = find_runs(mask)
    parent = np.arange(len(runs.start), dtype=_index_type(len(runs.start)))

    def join(begin: int, end: int) -> int:
        kernels.runs.join_block(runs, height, begin, end, parent)
        return begin

    for z in map_sections(depth, join, area=height * width)[1:]:
        kernels.runs.join_sections(runs, height, z, parent)
    return Components(runs, parent, int(kernels.runs.number_components(parent)))


def count_voxels(runs: Runs, component: np.ndarray, count: int) -> np.ndarray:
    """Add up the voxels of the runs of each component.

    Args:
        runs: R runs.
        component: (R,) the component of each run, from 0.
        count: How many components there are.

    Returns:
        (count,) int64.
    """
    sizes = np.zeros(count, np.int64)
    kernels.runs.count_voxels(runs, component, sizes)
    return sizes


def remove_small(mask: BitMask, min_size: int) -> None:
    """Clear, in place, the 6-connected pieces of fewer than `min_size` voxels."""
    if min_size <= 1:
        return
    pieces = label_components(mask)
    keep = count_voxels(*pieces) >= min_size
    if keep.all():
        return
    (depth, height, width), rows = mask.shape, mask.rows

    def clear(begin: int, end: int) -> None:
        begin, end = begin * height, end * height
        kernels.runs.clear_runs(rows, pieces.runs, pieces.of_run, keep, begin, end)

    map_sections(depth, clear, area=height * width)


def find_owners(inner: Runs, outer: Components, shape: tuple[int, int, int]) -> np.ndarray:
    """The component of `outer` that holds each run of `inner`.

    Args:
        inner: R runs of a mask of this shape.
        outer: The components of another mask of this shape.
        shape: (Z, Y, X).

    Returns:
        (R,) component numbers; -1 for a run that does not lie within a run of `outer`.
    """
    depth, height, width = shape
    owner = np.empty(len(inner.start), outer.of_run.dtype)

    def find(begin: int, end: int) -> None:
        begin, end = begin * height, end * height
        kernels.runs.find_owners(inner, outer.runs, outer.of_run, begin, end, owner)

    map_sections(depth, find, area=height * width)
    return owner


def paint(labels: np.ndarray, runs: Runs, component: np.ndarray, values: np.ndarray) -> None:
    """Write a value over every voxel of each run, in place.

    Args:
        labels: (Z, Y, X), C-contiguous.
        runs: R runs of a mask of that shape.
        component: (R,) index into `values` for each run; runs with -1 are left out.
        values: What to write for each component, of the dtype of `labels`.
    """
    depth, height, width = labels.shape
    rows = labels.reshape(-1, width)

    def write(begin: int, end: int) -> None:
        kernels.runs.paint_runs(rows, runs, component, values, begin * height, end * height)

    map_sections(depth, write, area=height * width)


def _index_type(count: int) -> type[np.signedinteger]:
    """The narrowest type that numbers `count` runs."""
    return np.int32 if count <= np.iinfo(np.int32).max else np.int64
