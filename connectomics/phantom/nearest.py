"""Compiled loops that tell which capsules lie near a point, seen through a warp.

Imported at first use, as `kernels` is, whose capsules, warp and grid these are.
"""

from __future__ import annotations

import math

import numpy as np

from connectomics.compiling import compiled

CELL_NM = 80.0
_HALF_DIAGONAL = 0.8661


@compiled
def _voxel(position, size, count):
    """Index along one axis of the voxel that holds a position (nm)."""
    return min(max(math.floor(position / size + 0.5), 0), count - 1)


@compiled
def bend(warp, point, bent):
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
def slopes(warp, point):
    """How far the warp stretches, and how steep glia's distance is, around a point (nm)."""
    shape = warp.stretch.shape
    k = _voxel(point[0], warp.step, shape[0])
    j = _voxel(point[1], warp.step, shape[1])
    i = _voxel(point[2], warp.step, shape[2])
    return warp.stretch[k, j, i], warp.glia_slope[k, j, i]


@compiled
def capsule_at(rows, m, point):
    """Signed distance from a point to the surface of capsule m, and the unit vector to it."""
    pz, py, px = point[0] - rows[m, 0], point[1] - rows[m, 1], point[2] - rows[m, 2]
    az, ay, ax = rows[m, 3], rows[m, 4], rows[m, 5]
    t = min(max((pz * az + py * ay + px * ax) * rows[m, 8], 0.0), 1.0)
    dz, dy, dx = pz - t * az, py - t * ay, px - t * ax
    distance = math.sqrt(dz * dz + dy * dy + dx * dx) + 1e-9
    outside = distance - rows[m, 6] - t * rows[m, 7]
    return outside, dz / distance, dy / distance, dx / distance


@compiled
def near(capsules, among, point, reach, keep, distance):
    """Keep the capsules that can decide the first or second owner within `reach` of a point.

    Of the first owner those count that can be its nearest, of others those that can be second.
    Indices go into `keep`, distances from the point into `distance`.

    Returns:
        How many were kept, the first owner, its distance and the second owner's distance.
    """
    best, second, who = 1e9, 1e9, -1
    for p in range(len(among)):
        m = among[p]
        outside = capsule_at(capsules.rows, m, point)[0]
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
def sort_by_distance(local, nearest):
    """Sort indices by their distance, both in place (insertion sort: the lists are short)."""
    for k in range(1, len(local)):
        m, outside = local[k], nearest[k]
        p = k
        while p > 0 and nearest[p - 1] > outside:
            nearest[p], local[p] = nearest[p - 1], local[p - 1]
            p -= 1
        nearest[p], local[p] = outside, m


@compiled
def cell_lists(capsules, warp, shape, resolution):
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
        gk, gj, gi = unravel(group, rows, columns)
        _cell_centre(gk, gj, gi, 4 * CELL_NM, centre)
        bend(warp, centre, bent)
        kept = near(capsules, everyone, centre, reach, coarse, distance)[0]
        among = coarse[:kept]
        for part in range(64):
            pk, pj, pi = unravel(part, 4, 4)
            k, j, i = 4 * gk + pk, 4 * gj + pj, 4 * gi + pi
            if k >= cells[0] or j >= cells[1] or i >= cells[2]:
                continue
            _cell_centre(k, j, i, CELL_NM, centre)
            part_reach = _HALF_DIAGONAL * CELL_NM * slopes(warp, centre)[0]
            bend(warp, centre, bent)
            kept = near(capsules, among, centre, part_reach, fine, distance)[0]
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
def cell_list(cells, point):
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
def unravel(index, rows, columns):
    """Three indices of a flat one."""
    return index // (rows * columns), index // columns % rows, index % columns


@compiled
def _cell_centre(k, j, i, size, centre):
    """Write the middle of a cubic cell into `centre`, nm."""
    centre[0], centre[1], centre[2] = (k + 0.5) * size, (j + 0.5) * size, (i + 0.5) * size
