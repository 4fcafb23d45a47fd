"""The tissue before sectioning: neurites and their insides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import texture
from .grid import Grid, draw_warp, paint_grid
from .neurites import Neurites, grow_neurites

# A vesicle's centre keeps this far from the membrane.
_VESICLE_CLEARANCE_NM = 24


@dataclass(frozen=True)
class Tissue:
    """Neurites with their insides painted, before membranes and synapses are drawn.

    Attributes:
        neurites: The bead chains.
        grid: The neurites on the voxel grid.
        image: (Z, Y, X) float32 grey values; drawing goes on in place.
        free: (Z, Y, X) bool, True where a vesicle may have its centre.
        resolution: (3,) nm per voxel.
    """

    neurites: Neurites
    grid: Grid
    image: np.ndarray
    free: np.ndarray
    resolution: np.ndarray


def build_tissue(
    shape: tuple[int, int, int],
    resolution: np.ndarray,
    grow: np.random.Generator,
    fill: np.random.Generator,
) -> Tissue:
    """Grow neurites through a volume and fill them with cytoplasm and mitochondria.

    Args:
        shape: Sections, rows, columns.
        resolution: (3,) nm per voxel.
        grow: Source of randomness for the shapes.
        fill: Source of randomness for what is inside.

    Returns:
        The tissue.
    """
    neurites = grow_neurites(np.array(shape) * resolution, grow)
    warp = draw_warp(shape, resolution, grow)
    grid = paint_grid(neurites, shape, warp, resolution)
    image = texture.cytoplasm(grid.neurons, neurites.kind, resolution, fill)
    mitochondria = texture.add_mitochondria(image, neurites, grid, warp, resolution, fill)
    free = (grid.depth > _VESICLE_CLEARANCE_NM) & ~mitochondria
    return Tissue(neurites, grid, image, free, resolution)
