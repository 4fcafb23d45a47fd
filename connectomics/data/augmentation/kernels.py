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
def centred_grid(depth, height, width, step):
    """Every `step`-th pixel of a patch, and the last, as points."""
    rows, cols = (height + step - 2) // step + 1, (width + step - 2) // step + 1
    points = np.empty((depth, rows, cols, 2), np.float32)
    for z in range(depth):
        for i in range(rows):
            for j in range(cols):
                points[z, i, j, 0] = min(i * step, height - 1) - (height - 1) / 2
                points[z, i, j, 1] = min(j * step, width - 1) - (width - 1) / 2
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
def sample(image, sections, points, step, size, centre):
    """Read an image linearly at points.

    Args:
        image: `(Z, Y, X)` float32 source crop.
        sections: `(Z',)` source section of each output section.
        points: `(Z', rows, cols, 2)` of every `step`-th pixel, as of `centred_grid`; linear
            between them.
        step: Pixels between points.
        size: `(Y', X')` pixels of the patch.
        centre: The patch centre in the source crop, `(y, x)`.

    Returns:
        `(Z', Y', X')` float32.
    """
    height, width = image.shape[1], image.shape[2]
    values = np.empty((points.shape[0], size[0], size[1]), np.float32)
    line = np.empty((points.shape[2], 2))
    for z in range(points.shape[0]):
        section = image[sections[z]]
        for y in range(size[0]):
            _follow(line, points[z], step, size[0], centre, y)
            for j in range(max(points.shape[2] - 1, 1)):
                first, count, v0, u0, dv, du = _stretch(line, step, size[1], j)
                last = count - 1
                if _within(v0, v0 + last * dv, height) and _within(u0, u0 + last * du, width):
                    for k in range(count):
                        v, u = v0 + k * dv, u0 + k * du
                        row, col = np.uint32(v), np.uint32(u)
                        below, right = row + np.uint32(1), col + np.uint32(1)
                        values[z, y, first + k] = _between(
                            section, row, col, below, right, v - row, u - col
                        )
                    continue
                for k in range(count):
                    v, u = _reflect(v0 + k * dv, height), _reflect(u0 + k * du, width)
                    row, col = int(v), int(u)
                    below, right = min(row + 1, height - 1), min(col + 1, width - 1)
                    values[z, y, first + k] = _between(
                        section, row, col, below, right, v - row, u - col
                    )
    return values


@compiled
def look_up(label, sections, points, step, size, centre):
    """Read labels, of any dtype, at the voxels nearest to points; see `sample`."""
    height, width = label.shape[1], label.shape[2]
    values = np.empty((points.shape[0], size[0], size[1]), label.dtype)
    line = np.empty((points.shape[2], 2))
    for z in range(points.shape[0]):
        section = label[sections[z]]
        for y in range(size[0]):
            _follow(line, points[z], step, size[0], centre, y)
            for j in range(max(points.shape[2] - 1, 1)):
                first, count, v0, u0, dv, du = _stretch(line, step, size[1], j)
                last = count - 1
                inside = _within(v0, v0 + last * dv, height)
                inside = inside and _within(u0, u0 + last * du, width)
                for k in range(count):
                    v, u = v0 + k * dv, u0 + k * du
                    if not inside:
                        v, u = _reflect(v, height), _reflect(u, width)
                    values[z, y, first + k] = section[np.uint32(v + 0.5), np.uint32(u + 0.5)]
    return values


@compiled
def _follow(line, points, step, height, centre, y):
    """Where row y of a section crosses the columns of points, `(cols, 2)`, into `line`."""
    i = min(y // step, max(points.shape[0] - 2, 0))
    below, top = min(i + 1, points.shape[0] - 1), i * step
    f = (y - top) / max(min(top + step, height - 1) - top, 1)
    for j in range(points.shape[1]):
        for axis in range(2):
            first, last = points[i, j, axis], points[below, j, axis]
            line[j, axis] = first + f * (last - first) + centre[axis]


@compiled
def _stretch(line, step, width, j):
    """Pixels between two points of a line: which they are, where they begin, how they go on."""
    right, left = min(j + 1, line.shape[0] - 1), j * step
    wide = min(left + step, width - 1) - left
    dv = (line[right, 0] - line[j, 0]) / max(wide, 1)
    du = (line[right, 1] - line[j, 1]) / max(wide, 1)
    ends = right == line.shape[0] - 1  # with its last pixel
    return left, wide + ends, line[j, 0], line[j, 1], dv, du


@compiled
def _within(first, last, length):
    """Whether positions between two lie inside an axis, with the pixel after them."""
    return min(first, last) >= 0 and max(first, last) < length - 1.001


@compiled
def _between(section, row, col, below, right, fy, fx):
    """The value between four pixels."""
    fy, fx = np.float32(fy), np.float32(fx)
    upper = section[row, col] + fx * (section[row, right] - section[row, col])
    lower = section[below, col] + fx * (section[below, right] - section[below, col])
    return upper + fy * (lower - upper)


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


@compiled
def change_exposure(image, mean, factor, shift, curves):
    """Scale each section about its mean, shift and clip it, and follow its curve, in place.

    Args:
        image: `(Z, Y, X)` float32.
        mean: `(Z,)` of each section.
        factor: `(Z,)` by which it is scaled.
        shift: `(Z,)` that is added.
        curves: `(Z, n)` values at n even steps from 0 to 1; linear between them.
    """
    steps = np.float32(curves.shape[1] - 1)
    for z in range(image.shape[0]):
        middle, times, more, curve = mean[z], factor[z], mean[z] + shift[z], curves[z]
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                value = (image[z, y, x] - middle) * times + more
                place = min(max(value, np.float32(0)), np.float32(1)) * steps
                first = np.uint32(min(place, steps - np.float32(1)))
                low, high = curve[first], curve[np.uint32(first + np.uint32(1))]
                image[z, y, x] = low + (place - np.float32(first)) * (high - low)


@compiled
def add_noise(image, drawn, normal, gaussian, shot):
    """Add normal noise of variance `gaussian + shot * value`, in place.

    Args:
        image: `(Z, Y, X)` float32.
        drawn: uint16 of as many voxels, all numbers equally likely.
        normal: The normal deviate that each of them stands for, 65536 float32.
        gaussian: A variance.
        shot: A variance at the value 1.
    """
    flat = image.reshape(-1)
    for i in range(flat.size):
        variance = max(gaussian + shot * flat[i], np.float32(0))
        flat[i] += normal[drawn[i]] * np.sqrt(variance)
