"""Compiled loops that put capsules on the voxel grid: neurites and mitochondria.

Imported at first use, because importing numba and loading the compiled code takes a second.
Threads may paint sections of their own: a voxel depends on no other.

Capsules come as the named tuple of `neurites`, warp and grid as those of `grid`.
"""

from __future__ import annotations

import math

import numpy as np

from connectomics.compiling import compiled
from connectomics.phantom.nearest import (
    bend,
    capsule_at,
    cell_list,
    near,
    slopes,
    sort_by_distance,
    unravel,
)

# Voxels are painted in square blocks that share one short list of capsules.
BLOCK = 4
# A block that lies deeper than this in one neurite is filled without looking at its voxels.
DEEP_NM = 40.0


@compiled
def paint_neurites(capsules, cells, warp, view, sections, grid):
    """Give every voxel its neurite, its depth inside it, and the darkness of the membrane.

    The owner is the neurite whose surface is nearest (an additively weighted Voronoi diagram of
    capsules), seen through the warp; where all surfaces are far, it is glia (0).

    Args:
        capsules: The neurites.
        cells: Those that matter in each cell of space, from `cell_lists`.
        warp: Displacement.
        view: (3,) nm per voxel; half-width of a membrane and thickness of a section, nm.
        sections: The first to paint, and the first that is not.
        grid: Written.
    """
    shape, resolution = grid.neurons.shape, view[0]
    count = len(capsules.rows)
    local, nearest = np.empty(count, np.int64), np.empty(count)
    centre, bent = np.empty(3), np.empty(4)
    half = 0.5 * BLOCK * math.hypot(resolution[1], resolution[2])
    rows, columns = (shape[1] + BLOCK - 1) // BLOCK, (shape[2] + BLOCK - 1) // BLOCK
    for block in range(sections[0] * rows * columns, sections[1] * rows * columns):
        k, j, i = unravel(block, rows, columns)
        centre[0] = k * resolution[0]
        centre[1] = (j + 0.5) * BLOCK * resolution[1]
        centre[2] = (i + 0.5) * BLOCK * resolution[2]
        among = cell_list(cells, centre)
        stretch, glia_slope = slopes(warp, centre)
        bend(warp, centre, bent)
        reach = half * stretch
        kept, who, best, second = near(capsules, among, centre, reach, local, nearest)
        second = min(second, bent[3] - half * glia_slope)
        corner = (k, j * BLOCK, i * BLOCK)
        if 0.5 * (second - best) - reach > DEEP_NM:
            _fill_block(grid, corner, who)
        else:
            sort_by_distance(local[:kept], nearest[:kept])
            shortlist = (local[:kept], nearest[:kept], centre)
            _paint_block(capsules, shortlist, warp, view, grid, corner)


@compiled
def paint_tube(rows, warp, resolution, low, host, out):
    """Signed distance (nm) to the surface of a union of capsules, within a mask.

    Args:
        rows: (M, 9) float64, see `Capsules`.
        warp: Displacement.
        resolution: (3,) nm per voxel.
        low: (3,) first voxel of the box that is looked at.
        host: (z, y, x) bool, where to look.
        out: (z, y, x) float32, written in the mask.
    """
    point, bent = np.empty(3), np.empty(4)
    for voxel in range(out.size):
        k, j, i = unravel(voxel, out.shape[1], out.shape[2])
        if not host[k, j, i]:
            continue
        point[0] = (k + low[0]) * resolution[0]
        point[1] = (j + low[1]) * resolution[1]
        point[2] = (i + low[2]) * resolution[2]
        bend(warp, point, bent)
        nearest = 1e9
        for m in range(len(rows)):
            nearest = min(nearest, capsule_at(rows, m, point)[0])
        out[k, j, i] = nearest


@compiled
def _fill_block(grid, corner, who):
    """Fill a block that lies deep inside one neurite."""
    k, j0, i0 = corner
    for j in range(j0, min(j0 + BLOCK, grid.neurons.shape[1])):
        for i in range(i0, min(i0 + BLOCK, grid.neurons.shape[2])):
            grid.neurons[k, j, i] = who
            grid.depth[k, j, i] = DEEP_NM
            grid.membrane[k, j, i] = 0


@compiled
def _paint_block(capsules, shortlist, warp, view, grid, corner):
    """Paint the voxels of a block one by one.

    Args:
        capsules: The neurites.
        shortlist: The capsules that matter here, nearest first; their distances from the block's
            centre; that centre, displaced by the warp.
        warp: Displacement.
        view: nm per voxel; half-width of a membrane and thickness of a section, nm.
        grid: Written.
        corner: First voxel of the block.
    """
    k, j0, i0 = corner
    resolution, look = view
    centre = shortlist[2]
    point, bent = np.empty(3), np.empty(4)
    for j in range(j0, min(j0 + BLOCK, grid.neurons.shape[1])):
        for i in range(i0, min(i0 + BLOCK, grid.neurons.shape[2])):
            point[0] = k * resolution[0]
            point[1], point[2] = j * resolution[1], i * resolution[2]
            bend(warp, point, bent)
            off = 0.0
            for axis in range(3):
                off += (point[axis] - centre[axis]) ** 2
            who, depth, tilt = _owner_at(capsules, shortlist, point, math.sqrt(off), bent[3])
            grid.neurons[k, j, i] = who
            grid.depth[k, j, i] = int(min(depth, 255.0))
            grid.membrane[k, j, i] = int(255.0 * _smeared(depth, tilt, look[0], look[1]))


@compiled
def _owner_at(capsules, shortlist, point, off, glia):
    """Neuron id at a point, distance to its border (nm) and the border's slope along z (0..1).

    The list is sorted by distance at the block's centre; no capsule comes closer to the point than
    that less `off`, so the search stops early.
    """
    best, second, who, other = glia, 1e9, 0, -1
    mine, theirs = -1, -1
    local, nearest, _ = shortlist
    rows, owner = capsules.rows, capsules.owner
    for p in range(len(local)):
        if nearest[p] - off > second:
            break
        m = local[p]
        outside = capsule_at(rows, m, point)[0]
        if owner[m] == who:
            if outside < best:
                best, mine = outside, m
        elif outside < best:
            second, other, theirs = best, who, mine
            best, who, mine = outside, owner[m], m
        elif outside < second:
            second, other, theirs = outside, owner[m], m
    if other < 0:
        return who, 255.0, 0.0
    gz, gy, gx = 0.0, 0.0, 0.0
    if theirs >= 0:
        _, gz, gy, gx = capsule_at(rows, theirs, point)
    if mine >= 0:
        _, hz, hy, hx = capsule_at(rows, mine, point)
        gz, gy, gx = gz - hz, gy - hy, gx - hx
    slope = max(math.sqrt(gz * gz + gy * gy + gx * gx), 0.3)
    return who, (second - best) / slope, abs(gz) / slope


@compiled
def _smeared(depth, tilt, width, thickness):
    """Darkness of a Gaussian membrane that is averaged over the thickness of a section.

    A membrane cut obliquely (`tilt` towards 1) comes out broad and pale, as in a projection.
    """
    half = 0.5 * thickness * tilt
    if depth > 3 * width + half:
        return 0.0
    if half < 0.2 * width:
        return math.exp(-0.5 * (depth / width) ** 2)
    root = width * math.sqrt(2.0)
    area = math.erf((depth + half) / root) - math.erf((depth - half) / root)
    return area * width * math.sqrt(0.5 * math.pi) / (2 * half)
