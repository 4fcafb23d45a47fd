"""Grey values of the tissue: cytoplasm, mitochondria, membranes, vesicles and densities.

Everything is painted on a scale of 0 (black) to 255; the section artefacts and the final noise
come later, in `artefacts`.
"""

from __future__ import annotations

import numpy as np

from .grid import Grid, Warp
from .neurites import DENDRITE, Neurites, capsule_rows

MEMBRANE_GREY = 22.0
DENSITY_GREY = 14.0
VESICLE_GREY = 42.0
_TILES = 6
_ORGANELLE_CLEARANCE_NM = 22


def cytoplasm(
    neurons: np.ndarray, kind: np.ndarray, resolution: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Paint what fills the neurites: a grey of their own, grain, filaments and specks.

    Args:
        neurons: (Z, Y, X) uint32 neuron ids, 0 for glia.
        kind: Kind of each neuron id.
        resolution: (3,) nm per voxel.
        rng: Source of randomness.

    Returns:
        (Z, Y, X) float32 grey values.
    """
    base = np.where(kind == DENDRITE, 186.0, 174.0) + rng.normal(0, 10, len(kind))
    speck = np.where(kind == DENDRITE, 1.0, 0.75) * rng.uniform(0.5, 1.2, len(kind))
    base[0], speck[0] = 128.0, 1.3
    base, speck = base.astype(np.float32), speck.astype(np.float32)
    size = np.array(neurons.shape[1:])
    tiles = _texture_tiles(size + 64, resolution, rng)
    out = np.empty(neurons.shape, np.float32)
    for section, ids in enumerate(neurons):
        grain, specks = tiles[rng.integers(_TILES)]
        y, x = rng.integers(0, 64, 2)
        window = np.s_[y : y + size[0], x : x + size[1]]
        flip = np.s_[:: 1 - 2 * rng.integers(2), :: 1 - 2 * rng.integers(2)]
        out[section] = base[ids] + grain[window][flip] - speck[ids] * specks[window][flip]
    return out


def _texture_tiles(size: np.ndarray, resolution: np.ndarray, rng: np.random.Generator) -> list:
    """A few (grain, specks) pairs, reused with shifts and flips: filtering noise is slow."""
    from scipy.ndimage import gaussian_filter

    def smooth(sigma_nm: float) -> np.ndarray:
        white = rng.standard_normal(size, dtype=np.float32)
        field = gaussian_filter(white, sigma_nm / resolution[1:], mode="wrap")
        return field / field.std()

    tiles = []
    for _ in range(_TILES):
        grain = 7.0 * smooth(8.0) + 8.0 * smooth(20.0) + 5.0 * smooth(60.0)
        dots = np.clip(smooth(9.0) - 1.1, 0, 1.5) * 50.0
        tubules = np.exp(-0.5 * (smooth(36.0) / 0.14) ** 2) * (smooth(80.0) > 0.8) * 55.0
        tiles.append((grain, dots + tubules))
    return tiles


def add_mitochondria(
    image: np.ndarray,
    neurites: Neurites,
    grid: Grid,
    warp: Warp,
    resolution: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Paint dark ovals with cristae along the axes of the thicker neurites.

    Args:
        image: (Z, Y, X) float32, painted in place.
        neurites: The bead chains.
        grid: The neurites on the voxel grid.
        warp: The displacement they are seen through.
        resolution: (3,) nm per voxel.
        rng: Source of randomness.

    Returns:
        (Z, Y, X) bool, True inside mitochondria.
    """
    from .kernels import paint_tube

    occupied = np.zeros(image.shape, bool)
    jolt = float(np.abs(warp.lattice[:3]).max())
    for rows, radius, owner in _mitochondria(neurites, rng):
        tips = np.concatenate([rows[:, :3], rows[:, :3] + rows[:, 3:6]])
        reach = radius + jolt
        low = np.maximum(np.floor((tips.min(0) - reach) / resolution), 0).astype(int)
        high = np.minimum(np.ceil((tips.max(0) + reach) / resolution), image.shape).astype(int)
        if np.any(high <= low):
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        away = np.ones(high - low, np.float32)
        paint_tube(rows, warp, resolution, low, grid.neurons[box] == owner, away)
        inside = (away < 0) & (grid.depth[box] > _ORGANELLE_CLEARANCE_NM)
        where = np.nonzero(inside)
        grey = _mitochondrion_grey(np.column_stack(where) * resolution, away[where], rng)
        image[box][where] = grey + 0.6 * (image[box][where] - 175.0)
        occupied[box] |= inside
    return occupied


def _mitochondria(neurites: Neurites, rng: np.random.Generator) -> list:
    """Choose runs of beads that hold a mitochondrion: (capsules, radius, neuron id)."""
    found = []
    wide = (neurites.radii > 175.0) & (neurites.previous >= 0)
    starts = np.flatnonzero(wide & (rng.random(len(wide)) < 0.10))
    used = np.zeros(len(wide), bool)
    for start in starts:
        beads = np.arange(start, min(start + int(rng.integers(2, 8)), len(wide)))
        chained = np.append(True, neurites.previous[beads[1:]] == beads[:-1])
        beads = beads[np.logical_and.accumulate(chained & wide[beads])]
        if len(beads) < 2 or used[beads].any():
            continue
        used[max(start - 3, 0) : beads[-1] + 4] = True
        radius = float(np.clip(rng.uniform(0.35, 0.55) * neurites.radii[beads].mean(), 70, 190))
        points = neurites.points[beads] + rng.normal(scale=0.25 * radius, size=3)
        axis = np.diff(points, axis=0)
        thick = np.full(len(axis), radius)
        rows = capsule_rows(points[:-1], axis, thick, np.zeros_like(thick))
        found.append((rows, radius, int(neurites.owner[start])))
    return found


def _mitochondrion_grey(
    points: np.ndarray, away: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Dark matrix, lighter cristae in bent stripes, dark double membrane."""
    across = rng.normal(size=3) * (0.4, 1.0, 1.0)
    across /= np.linalg.norm(across)
    side = np.cross(across, rng.normal(size=3))
    bend = 1.3 * np.sin(points @ side / rng.uniform(35, 60) + rng.uniform(0, 6))
    bend += 1.1 * np.sin(points @ (0.6 * side + across) / rng.uniform(40, 70))
    bend += 0.03 * points[:, 0] * rng.normal()
    stripes = np.sin(points @ across * (2 * np.pi / rng.uniform(48, 70)) + bend)
    broken = np.sin(points @ side / rng.uniform(30, 45) + 1.5 * bend)
    grey = rng.uniform(78, 108) + 60.0 * np.clip(stripes - 0.35, 0, 1) * (broken > -0.5)
    grey = np.where(away > -20.0, 112.0, grey)
    return np.where(away > -11.0, 55.0, grey).astype(np.float32)


def shade(image: np.ndarray, darkness: np.ndarray, grey: float) -> None:
    """Draw `image` towards a grey in place; `darkness` is uint8, 255 = all the way."""
    for plane, dark in zip(image, darkness, strict=True):
        plane += (grey - plane) * (dark * np.float32(1 / 255))
