"""Compiled loops over the voxels of a patch: where each one comes from, and what is there.

Imported at first use, because numba takes longer to load than everything else together.
Points are `(Z, Y, X, 2)` float32, in-plane `(y, x)` pixels counted from the patch centre.
`sections` is `(Z,)`: the section that each output section has become on its way back to the
source. All kernels release the GIL and run on one thread, as data-loader workers should.
"""

from __future__ import annotations

import numpy as np

from connectomics.compiling import compiled


@compiled
def centred_grid(depth, height, width):
    """The pixels of a patch themselves, as points."""
    points = np.empty((depth, height, width, 2), np.float32)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                points[z, y, x, 0] = y - (height - 1) / 2
                points[z, y, x, 1] = x - (width - 1) / 2
    return points


@compiled
def affine_points(points, sections, matrix, offset):
    """Replace each point p by `matrix @ p + offset` of its section, in place."""
    for z in range(points.shape[0]):
        m, t = matrix[sections[z]], offset[sections[z]]
        for y in range(points.shape[1]):
            for x in range(points.shape[2]):
                p, q = points[z, y, x, 0], points[z, y, x, 1]
                points[z, y, x, 0] = m[0, 0] * p + m[0, 1] * q + t[0]
                points[z, y, x, 1] = m[1, 0] * p + m[1, 1] * q + t[1]


@compiled
def displace_points(points, sections, control, spacing, origin):
    """Add to each point the cubic B-spline of its section's control points, in place.

    `control` is `(Z, gridY, gridX, 2)` px; control point (1, 1) stands at `origin` and the
    next ones `spacing` px apart. Points beyond the grid move like the nearest one on it.
    """
    rows, cols = control.shape[1] - 3, control.shape[2] - 3
    for z in range(points.shape[0]):
        grid = control[sections[z]]
        for y in range(points.shape[1]):
            for x in range(points.shape[2]):
                v = (points[z, y, x, 0] - origin[0]) / spacing
                u = (points[z, y, x, 1] - origin[1]) / spacing
                row = min(max(int(np.floor(v)), 0), rows - 1)
                col = min(max(int(np.floor(u)), 0), cols - 1)
                wy = _b_spline(min(max(v - row, 0.0), 1.0))
                wx = _b_spline(min(max(u - col, 0.0), 1.0))
                dy, dx = np.float32(0), np.float32(0)
                for i in range(4):
                    for j in range(4):
                        weight = wy[i] * wx[j]
                        dy += weight * grid[row + i, col + j, 0]
                        dx += weight * grid[row + i, col + j, 1]
                points[z, y, x, 0] += dy
                points[z, y, x, 1] += dx


@compiled
def _b_spline(t):
    """The four uniform cubic B-spline weights at the fraction t of a knot interval."""
    t = np.float32(t)
    s = np.float32(1) - t
    sixth = np.float32(1 / 6)
    first, last = s * s * s * sixth, t * t * t * sixth
    second = np.float32(2 / 3) - t * t * (np.float32(1) - t * np.float32(0.5))
    return first, second, np.float32(1) - first - second - last, last


@compiled
def sample(image, sections, points, centre):
    """Read an image at points: linearly, and the index of the voxel nearest to each.

    Args:
        image: `(Z, Y, X)` float32 source crop.
        sections: `(Z',)` source section of each output section.
        points: `(Z', Y', X', 2)` points around `centre`.
        centre: The patch centre in the source crop, `(y, x)`.

    Returns:
        `(Z', Y', X')` float32 values, and flat int64 indices into the source crop.
    """
    height, width = image.shape[1], image.shape[2]
    values = np.empty(points.shape[:3], np.float32)
    nearest = np.empty(points.shape[:3], np.int64)
    for z in range(points.shape[0]):
        section = image[sections[z]]
        start = sections[z] * height * width
        for y in range(points.shape[1]):
            for x in range(points.shape[2]):
                v = _reflect(points[z, y, x, 0] + centre[0], height)
                u = _reflect(points[z, y, x, 1] + centre[1], width)
                row, col = int(v), int(u)
                below, right = min(row + 1, height - 1), min(col + 1, width - 1)
                fy, fx = np.float32(v - row), np.float32(u - col)
                upper = section[row, col] + fx * (section[row, right] - section[row, col])
                lower = section[below, col] + fx * (section[below, right] - section[below, col])
                values[z, y, x] = upper + fy * (lower - upper)
                nearest[z, y, x] = start + int(v + 0.5) * width + int(u + 0.5)
    return values, nearest


@compiled
def _reflect(position, length):
    """Mirror a position about the first and the last pixel of an axis, into [0, length - 1]."""
    last = length - 1
    if last == 0:
        return 0.0
    position = abs(position)
    if position > last:
        position = position % (2 * last)
        if position > last:
            position = 2 * last - position
    return position
