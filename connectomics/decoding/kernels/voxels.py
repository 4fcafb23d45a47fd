"""Compiled loops over lists of voxels: the few voxels of a volume that may be synapse.

A list holds the flat index z * Y * X + y * X + x of each voxel, ascending. Neighbours are links:
`links[axis, 0, v]` is the place in the list of the voxel before v along that axis, and
`links[axis, 1, v]` of the one after it; -1 where that voxel is not in the list.
"""

from __future__ import annotations

import numpy as np

from connectomics.compiling import compiled
from connectomics.decoding.kernels.runs import root_of


@compiled
def expand_runs(runs, component, width, first, index, owner):
    """Write the flat index and the component of every voxel of runs, from place first[run] on."""
    for row in range(runs.first.size - 1):
        for i in range(runs.first[row], runs.first[row + 1]):
            place = first[i]
            for x in range(runs.start[i], runs.stop[i]):
                index[place] = row * width + x
                owner[place] = component[i]
                place += 1


@compiled
def test_bits(rows, width, index, out):
    """Write whether the bit of each voxel is set in `rows` (Z * Y, W)."""
    for v in range(index.size):
        row, x = index[v] // width, index[v] % width
        out[v] = (rows[row, x // 64] >> np.uint64(x % 64)) & np.uint64(1)


@compiled
def count_levels(p, counts):
    """Count the voxels of p (Z, Y, X) float32 by p * 255, rounded; NaN counts as 0."""
    for value in p.flat:
        counts[int(value * 255 + 0.5) if 0 < value <= 1 else 0] += 1


@compiled
def link(index, step, block, after):
    """Write the place of index[v] + step to after[v], or -1.

    Both voxels have to lie in the same block of `block` flat indices, so that a row or a section
    does not go on in the next one.
    """
    j = 0
    for v in range(index.size):
        wanted = index[v] + step
        while j < index.size and index[j] < wanted:
            j += 1
        found = j < index.size and index[j] == wanted and wanted // block == index[v] // block
        after[v] = j if found else -1


@compiled
def smooth(values, links, weights, out):
    """Filter values along one axis with a symmetric kernel; voxels not in the list are 0.

    `links` (2, V) are those of the axis; weights[k] is for a distance of k voxels. A gap in the
    list ends the reach of the kernel on that side.
    """
    for v in range(values.size):
        total = weights[0] * values[v]
        for direction in range(2):
            u = v
            for k in range(1, weights.size):
                u = links[direction, u]
                if u < 0:
                    break
                total += weights[k] * values[u]
        out[v] = total


@compiled
def join_equal(key, links, parent):
    """Join neighbours of equal key, where it is not negative."""
    for v in range(key.size):
        if key[v] < 0:
            continue
        for axis in range(3):
            u = links[axis, 1, v]
            if u >= 0 and key[u] == key[v]:
                p, q = root_of(parent, v), root_of(parent, u)
                if p < q:
                    parent[q] = p
                elif q < p:
                    parent[p] = q
    for v in range(key.size):
        root_of_v = root_of(parent, v)
        parent[v] = root_of_v


@compiled
def flood(order, height, links, points, rule, parent):
    """Flood a landscape from its peaks; where two basins meet, join them or let a border stand.

    Args:
        order: (V,) voxels by descending height.
        height: (V,) the landscape.
        links: (3, 2, V).
        points: (V, 3) positions in nm.
        rule: (least, ratio, radius): the lower of two basins is joined to the other where its
            peak is below `least`, the saddle at least `ratio` times its peak, or the peaks
            nearer than `radius` nm.
        parent: (V,) all -1; afterwards the peak of the basin of each voxel.
    """
    least, ratio, radius = rule
    for v in order:
        steepest = np.int64(-1)
        for axis in range(3):
            for direction in range(2):
                u = links[axis, direction, v]
                if u >= 0 and parent[u] >= 0 and (steepest < 0 or height[u] > height[steepest]):
                    steepest = u
        if steepest < 0:
            parent[v] = v
            continue
        parent[v] = root_of(parent, steepest)
        for axis in range(3):
            for direction in range(2):
                u = links[axis, direction, v]
                if u < 0 or parent[u] < 0:
                    continue
                high, low = root_of(parent, v), root_of(parent, u)
                if high == low:
                    continue
                if height[low] > height[high] or (height[low] == height[high] and low < high):
                    high, low = low, high
                apart = 0.0
                for k in range(3):
                    apart += (points[high, k] - points[low, k]) ** 2
                shallow = height[v] >= ratio * height[low]
                if height[low] < least or shallow or apart < radius * radius:
                    parent[low] = high
    for v in range(parent.size):
        peak = root_of(parent, v)
        parent[v] = peak


@compiled
def near_other(synapse, side, links, reach, out):
    """Write whether the other side of its synapse lies within reach[axis] voxels along an axis."""
    for v in range(side.size):
        out[v] = False
        for axis in range(3):
            for direction in range(2):
                u = v
                for _ in range(reach[axis]):
                    u = links[axis, direction, u]
                    if u < 0:
                        break
                    if synapse[u] == synapse[v] and side[u] + side[v] == 3:
                        out[v] = True
