"""Neurites on the voxel grid: the warp they are seen through, and what each voxel belongs to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from connectomics.process.sections import map_sections

from .neurites import Neurites

_LATTICE_NM = 80.0
_BROAD_NM, _BROAD_SIZE_NM = 240.0, 66.0
_NARROW_NM, _NARROW_SIZE_NM = 100.0, 19.0
_GLIA_NM = 40.0
_MEMBRANE_HALF_WIDTH_NM = 7.5


class Warp(NamedTuple):
    """A smooth displacement of space, through which straight capsules are seen bent.

    Attributes:
        lattice: (4, Z', Y', X') displacement along z, y, x and the distance from all neurites at
            which glia begins, nm.
        step: Spacing of the lattice, nm.
        stretch: (Z', Y', X') most by which the warp lengthens a distance around each cell of the
            lattice; 1 = not at all.
        worst: The largest `stretch`.
        glia_slope: (Z', Y', X') steepest change of glia's distance around each cell, nm per nm.
    """

    lattice: np.ndarray
    step: float
    stretch: np.ndarray
    worst: float
    glia_slope: np.ndarray


class Grid(NamedTuple):
    """What the neurites look like on the voxel grid.

    Attributes:
        neurons: (Z, Y, X) uint32 neuron ids, 0 for glia.
        depth: (Z, Y, X) uint8 distance to the border in nm, exact up to 40 and at least 40 beyond.
        membrane: (Z, Y, X) uint8 darkness of the membrane, 255 = all membrane.
    """

    neurons: np.ndarray
    depth: np.ndarray
    membrane: np.ndarray


def draw_warp(
    shape: tuple[int, int, int], resolution: np.ndarray, rng: np.random.Generator
) -> Warp:
    """Draw a displacement: broad bends plus a narrow ripple.

    Args:
        shape: Sections, rows, columns.
        resolution: (3,) nm per voxel.
        rng: Source of randomness.

    Returns:
        The warp, on a lattice that covers the volume.
    """
    from scipy.ndimage import gaussian_filter, maximum_filter

    size = (np.array(shape) * resolution / _LATTICE_NM).astype(int) + 3
    lattice = np.empty((4, *size))
    for field in range(4):
        broad = gaussian_filter(rng.normal(size=size), _BROAD_NM / _LATTICE_NM, mode="wrap")
        narrow = gaussian_filter(rng.normal(size=size), _NARROW_NM / _LATTICE_NM, mode="wrap")
        # Rescaled to unit variance, which a small lattice only shows on average.
        lattice[field] = _BROAD_SIZE_NM * broad / _smoothed_deviation(_BROAD_NM)
        lattice[field] += _NARROW_SIZE_NM * narrow / _smoothed_deviation(_NARROW_NM)
    lattice[3] = _GLIA_NM + 0.5 * lattice[3]
    # Inside a cell the slope along an axis is a mean of that of its four edges; a cell's figure
    # also holds for its neighbours, so that it holds for whatever lies partly in this cell.
    slopes = np.zeros((2, *size))
    for axis in range(3):
        edge = np.diff(lattice, axis=axis + 1, append=np.take(lattice, [-1], axis + 1))
        edge = (edge / _LATTICE_NM) ** 2
        slopes[0] += maximum_filter(edge[:3].sum(0), size=3)
        slopes[1] += maximum_filter(edge[3], size=3)
    slopes = np.sqrt(slopes)
    stretch = 1.0 + slopes[0]
    return Warp(lattice, _LATTICE_NM, stretch, float(stretch.max()), slopes[1])


def _smoothed_deviation(sigma_nm: float) -> float:
    """Standard deviation left of white noise on the lattice by a 3-D Gaussian filter."""
    sigma = sigma_nm / _LATTICE_NM
    return float((2.0 * np.sqrt(np.pi) * sigma) ** -1.5)


def paint_grid(
    neurites: Neurites, shape: tuple[int, int, int], warp: Warp, resolution: np.ndarray
) -> Grid:
    """Give every voxel its neurite, its depth in it and the darkness of the membrane there.

    Args:
        neurites: The bead chains.
        shape: Sections, rows, columns.
        warp: The displacement they are seen through.
        resolution: (3,) nm per voxel.

    Returns:
        The grid.
    """
    from .kernels import paint_neurites
    from .nearest import cell_lists

    grid = Grid(np.empty(shape, np.uint32), np.empty(shape, np.uint8), np.empty(shape, np.uint8))
    view = (resolution, (_MEMBRANE_HALF_WIDTH_NM, float(resolution[0])))
    capsules = neurites.capsules()
    cells = cell_lists(capsules, warp, shape, resolution)

    def paint(begin: int, end: int) -> None:
        paint_neurites(capsules, cells, warp, view, (begin, end), grid)

    map_sections(shape[0], paint)
    return grid
