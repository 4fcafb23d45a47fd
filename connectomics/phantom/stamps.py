"""Compiled loops over points: vesicles, their spacing, distances to a patch.

Imported at first use, like `kernels`, and single-threaded for the same reason.
"""

from __future__ import annotations

import math

import numpy as np

from connectomics.compiling import compiled


@compiled
def stamp_vesicles(vesicles, host, neurons, resolution, ink, image):
    """Draw the rings that vesicles leave in the sections they touch.

    Args:
        vesicles: (N, 4) float64 centre z, y, x and radius of the membrane's middle, nm.
        host: (N,) uint32 neuron around each centre; nothing is drawn outside it.
        neurons: (Z, Y, X) uint32.
        resolution: (3,) nm per voxel.
        ink: Half-width of the ring in nm, its grey value, its strength (0..1).
        image: (Z, Y, X) float32, drawn in place.
    """
    for v in range(len(vesicles)):
        z, y, x, radius = vesicles[v]
        first = math.ceil((z - radius) / resolution[0] - 0.5)
        last = math.floor((z + radius) / resolution[0] + 0.5)
        for k in range(max(first, 0), min(last, neurons.shape[0] - 1) + 1):
            low = max(z - radius, (k - 0.5) * resolution[0])
            high = min(z + radius, (k + 0.5) * resolution[0])
            share = (high - low) / min(2 * radius, resolution[0])
            if share > 0.25:
                off = max(0.0, low - z, z - high)
                ring = math.sqrt(max(radius * radius - off * off, 0.0))
                faded = (ink[0], ink[1], ink[2] * min(share, 1.0))
                _stamp_ring(image[k], neurons[k], host[v], (y, x, ring), resolution, faded)


@compiled
def _stamp_ring(plane, ids, host, circle, resolution, ink):
    """Draw one ring, slightly dark inside, on the pixels of its host."""
    y, x, ring = circle
    wall, grey, strength = ink
    reach = ring + 2.5 * wall
    j_low, j_high = int((y - reach) / resolution[1]), int((y + reach) / resolution[1]) + 1
    i_low, i_high = int((x - reach) / resolution[2]), int((x + reach) / resolution[2]) + 1
    for j in range(max(j_low, 0), min(j_high, plane.shape[0] - 1) + 1):
        for i in range(max(i_low, 0), min(i_high, plane.shape[1] - 1) + 1):
            if ids[j, i] == host:
                away = math.hypot(j * resolution[1] - y, i * resolution[2] - x)
                dark = math.exp(-0.5 * ((away - ring) / wall) ** 2)
                if away < ring:
                    dark = max(dark, 0.22)
                plane[j, i] += (grey - plane[j, i]) * dark * strength


@compiled
def nearest_points(points, reach, low, resolution, index, distance):
    """Find for every voxel of a box the nearest of some points, where one is within reach.

    Args:
        points: (N, 3) float64, nm.
        reach: Largest distance, nm.
        low: (3,) first voxel of the box.
        resolution: (3,) nm per voxel.
        index: (z, y, x) int64, written where a point is within reach; the caller sets it to -1.
        distance: (z, y, x) float64, written likewise; the caller sets it to `reach`.
    """
    first, last = np.empty(3, np.int64), np.empty(3, np.int64)
    for p in range(len(points)):
        for axis in range(3):
            middle, radius = points[p, axis] / resolution[axis], reach / resolution[axis]
            first[axis] = max(math.ceil(middle - radius) - low[axis], 0)
            last[axis] = min(math.floor(middle + radius) - low[axis], index.shape[axis] - 1)
        for k in range(first[0], last[0] + 1):
            dz = (k + low[0]) * resolution[0] - points[p, 0]
            for j in range(first[1], last[1] + 1):
                dy = (j + low[1]) * resolution[1] - points[p, 1]
                for i in range(first[2], last[2] + 1):
                    dx = (i + low[2]) * resolution[2] - points[p, 2]
                    away = math.sqrt(dz * dz + dy * dy + dx * dx)
                    if away < distance[k, j, i]:
                        index[k, j, i], distance[k, j, i] = p, away


@compiled
def thin_out(points, spacing):
    """Walk through points in order and keep those at least `spacing` from all kept before.

    Args:
        points: (N, 3) float64.
        spacing: Least distance.

    Returns:
        (N,) bool.
    """
    keep = np.zeros(len(points), np.bool_)
    kept = np.empty((len(points), 3))
    n = 0
    for p in range(len(points)):
        free = True
        for q in range(n):
            dz = points[p, 0] - kept[q, 0]
            dy = points[p, 1] - kept[q, 1]
            dx = points[p, 2] - kept[q, 2]
            if dz * dz + dy * dy + dx * dx < spacing * spacing:
                free = False
                break
        if free:
            keep[p] = True
            kept[n] = points[p]
            n += 1
    return keep
