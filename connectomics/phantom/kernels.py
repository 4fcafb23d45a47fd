"""Compiled loops that put capsules on the voxel grid: neurites and mitochondria.

Imported at first use, because importing numba and loading the compiled code takes a second.
Every loop runs on one thread: the same seed must give the same bytes.

Capsules come as the named tuple of `neurites`, warp and grid as those of `grid`.
"""

from __future__ import annotations

import math

import numpy as np

from connectomics.compiling import compiled

# Voxels are painted in square blocks that share one short list of capsules.
BLOCK = 4
CELL_NM = 80.0
# A block that lies deeper than this in one neurite is filled without looking at its voxels.
DEEP_NM = 40.0
_HALF_DIAGONAL = 0.8661


@compiled
def paint_neurites(capsules, warp, resolution, look, grid):
    """Give every voxel its neurite, its depth inside it, and the darkness of the membrane.

    The owner is the neurite whose surface is nearest (an additively weighted Voronoi diagram of
    capsules), seen through the warp; where all surfaces are far, it is glia (0).

    Args:
        capsules: The neurites.
        warp: Displacement.
        resolution: (3,) nm per voxel.
        look: Half-width of a membrane, thickness of a section, nm.
        grid: Written.
    """
    shape = grid.neurons.shape
    cells = _cell_lists(capsules, warp, shape, resolution)
    count = len(capsules.rows)
    local, nearest = np.empty(count, np.int64), np.empty(count)
    centre, bent = np.empty(3), np.empty(4)
    half = 0.5 * BLOCK * math.hypot(resolution[1], resolution[2])
    rows, columns = (shape[1] + BLOCK - 1) // BLOCK, (shape[2] + BLOCK - 1) // BLOCK
    for block in range(shape[0] * rows * columns):
        k, j, i = _unravel(block, rows, columns)
        centre[0] = k * resolution[0]
        centre[1] = (j + 0.5) * BLOCK * resolution[1]
        centre[2] = (i + 0.5) * BLOCK * resolution[2]
        among = _cell_list(cells, centre)
        stretch, glia_slope = _slopes(warp, centre)
        _bend(warp, centre, bent)
        reach = half * stretch
        kept, who, best, second = _near(capsules, among, centre, reach, local, nearest)
        second = min(second, bent[3] - half * glia_slope)
        corner = (k, j * BLOCK, i * BLOCK)
        if 0.5 * (second - best) - reach > DEEP_NM:
            _fill_block(grid, corner, who)
        else:
            _sort_by_distance(local[:kept], nearest[:kept])
            shortlist = (local[:kept], nearest[:kept], centre)
            _paint_block(capsules, shortlist, warp, (resolution, look), grid, corner)


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
        k, j, i = _unravel(voxel, out.shape[1], out.shape[2])
        if not host[k, j, i]:
            continue
        point[0] = (k + low[0]) * resolution[0]
        point[1] = (j + low[1]) * resolution[1]
        point[2] = (i + low[2]) * resolution[2]
        _bend(warp, point, bent)
        nearest = 1e9
        for m in range(len(rows)):
            nearest = min(nearest, _capsule_at(rows, m, point)[0])
        out[k, j, i] = nearest


@compiled
def _voxel(position, size, count):
    """Index along one axis of the voxel that holds a position (nm)."""
    return min(max(math.floor(position / size + 0.5), 0), count - 1)


@compiled
def _bend(warp, point, bent):
    """Displace a point in place; `bent` gets the displacement and glia's distance (trilinear)."""
    lattice = warp.lattice
    fz = min(max(point[0] / warp.step, 0.0), lattice.shape[1] - 1.001)
    fy = min(max(point[1] / warp.step, 0.0), lattice.shape[2] - 1.001)
    fx = min(max(point[2] / warp.step, 0.0), lattice.shape[3] - 1.001)
    iz, iy, ix = int(fz), int(fy), int(fx)
    fz, fy, fx = fz - iz, fy - iy, fx - ix
    for c in range(4):
        a = lattice[c, iz, iy, ix] * (1 - fx) + lattice[c, iz, iy, ix + 1] * fx
        b = lattice[c, iz, iy + 1, ix] * (1 - fx) + lattice[c, iz, iy + 1, ix + 1] * fx
        d = lattice[c, iz + 1, iy, ix] * (1 - fx) + lattice[c, iz + 1, iy, ix + 1] * fx
        e = lattice[c, iz + 1, iy + 1, ix] * (1 - fx) + lattice[c, iz + 1, iy + 1, ix + 1] * fx
        bent[c] = (a * (1 - fy) + b * fy) * (1 - fz) + (d * (1 - fy) + e * fy) * fz
    for axis in range(3):
        point[axis] += bent[axis]


@compiled
def _slopes(warp, point):
    """How far the warp stretches, and how steep glia's distance is, around a point (nm)."""
    shape = warp.stretch.shape
    k = _voxel(point[0], warp.step, shape[0])
    j = _voxel(point[1], warp.step, shape[1])
    i = _voxel(point[2], warp.step, shape[2])
    return warp.stretch[k, j, i], warp.glia_slope[k, j, i]


@compiled
def _capsule_at(rows, m, point):
    """Signed distance from a point to the surface of capsule m, and the unit vector to it."""
    pz, py, px = point[0] - rows[m, 0], point[1] - rows[m, 1], point[2] - rows[m, 2]
    az, ay, ax = rows[m, 3], rows[m, 4], rows[m, 5]
    t = min(max((pz * az + py * ay + px * ax) * rows[m, 8], 0.0), 1.0)
    dz, dy, dx = pz - t * az, py - t * ay, px - t * ax
    distance = math.sqrt(dz * dz + dy * dy + dx * dx) + 1e-9
    outside = distance - rows[m, 6] - t * rows[m, 7]
    return outside, dz / distance, dy / distance, dx / distance


@compiled
def _near(capsules, among, point, reach, keep, distance):
    """Keep the capsules that can decide the first or second owner within `reach` of a point.

    Of the first owner those count that can be its nearest, of others those that can be second.
    Indices go into `keep`, distances from the point into `distance`.

    Returns:
        How many were kept, the first owner, its distance and the second owner's distance.
    """
    best, second, who = 1e9, 1e9, -1
    for p in range(len(among)):
        m = among[p]
        outside = _capsule_at(capsules.rows, m, point)[0]
        distance[p] = outside
        if capsules.owner[m] == who:
            best = min(best, outside)
        elif outside < best:
            second, best, who = best, outside, capsules.owner[m]
        elif outside < second:
            second = outside
    kept = 0
    for p in range(len(among)):
        m = among[p]
        if distance[p] <= (best if capsules.owner[m] == who else second) + 2 * reach:
            keep[kept], distance[kept] = m, distance[p]
            kept += 1
    return kept, who, best, second


@compiled
def _sort_by_distance(local, nearest):
    """Sort indices by their distance, both in place (insertion sort: the lists are short)."""
    for k in range(1, len(local)):
        m, outside = local[k], nearest[k]
        p = k
        while p > 0 and nearest[p - 1] > outside:
            nearest[p], local[p] = nearest[p - 1], local[p - 1]
            p -= 1
        nearest[p], local[p] = outside, m


@compiled
def _cell_lists(capsules, warp, shape, resolution):
    """For every cubic cell of space, the capsules that matter anywhere inside it.

    Cells are searched in groups of 4 x 4 x 4, so that each looks only through its group's list.

    Returns:
        First and last position (Z'', Y'', X'') of each cell's list, and all lists in a row.
    """
    cells = np.empty(3, np.int64)
    for axis in range(3):
        cells[axis] = int(shape[axis] * resolution[axis] / CELL_NM) + 1
    begin = np.zeros((cells[0], cells[1], cells[2]), np.int64)
    end = np.zeros_like(begin)
    total = len(capsules.rows)
    everyone, distance = np.arange(total), np.empty(total)
    coarse, fine = np.empty(total, np.int64), np.empty(total, np.int64)
    members, filled = np.empty(4096, np.int64), 0
    centre, bent = np.empty(3), np.empty(4)
    reach = 4 * _HALF_DIAGONAL * CELL_NM * warp.worst
    rows, columns = (cells[1] + 3) // 4, (cells[2] + 3) // 4
    for group in range((cells[0] + 3) // 4 * rows * columns):
        gk, gj, gi = _unravel(group, rows, columns)
        _cell_centre(gk, gj, gi, 4 * CELL_NM, centre)
        _bend(warp, centre, bent)
        kept = _near(capsules, everyone, centre, reach, coarse, distance)[0]
        among = coarse[:kept]
        for part in range(64):
            pk, pj, pi = _unravel(part, 4, 4)
            k, j, i = 4 * gk + pk, 4 * gj + pj, 4 * gi + pi
            if k >= cells[0] or j >= cells[1] or i >= cells[2]:
                continue
            _cell_centre(k, j, i, CELL_NM, centre)
            part_reach = _HALF_DIAGONAL * CELL_NM * _slopes(warp, centre)[0]
            _bend(warp, centre, bent)
            kept = _near(capsules, among, centre, part_reach, fine, distance)[0]
            begin[k, j, i] = filled
            if filled + kept > len(members):
                longer = np.empty(2 * (filled + kept), np.int64)
                _copy(members, filled, longer, 0)
                members = longer
            _copy(fine, kept, members, filled)
            filled += kept
            end[k, j, i] = filled
    return begin, end, members


@compiled
def _cell_list(cells, point):
    """The capsules that matter in the cell around a point (nm)."""
    begin, end, members = cells
    k = int(min(point[0] // CELL_NM, begin.shape[0] - 1))
    j = int(min(point[1] // CELL_NM, begin.shape[1] - 1))
    i = int(min(point[2] // CELL_NM, begin.shape[2] - 1))
    return members[begin[k, j, i] : end[k, j, i]]


@compiled
def _copy(source, count, target, start):
    """Copy the first entries; as a loop, since a slice assignment takes seconds to compile."""
    for p in range(count):
        target[start + p] = source[p]


@compiled
def _unravel(index, rows, columns):
    """Three indices of a flat one."""
    return index // (rows * columns), index // columns % rows, index % columns


@compiled
def _cell_centre(k, j, i, size, centre):
    """Write the middle of a cubic cell into `centre`, nm."""
    centre[0], centre[1], centre[2] = (k + 0.5) * size, (j + 0.5) * size, (i + 0.5) * size


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
            _bend(warp, point, bent)
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
        outside = _capsule_at(rows, m, point)[0]
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
        _, gz, gy, gx = _capsule_at(rows, theirs, point)
    if mine >= 0:
        _, hz, hy, hx = _capsule_at(rows, mine, point)
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
