"""Drawing what makes a synapse visible: its vesicles, its density, its cleft."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .synapses import Junction
from .texture import DENSITY_GREY, VESICLE_GREY
from .tissue import Tissue

if TYPE_CHECKING:
    from scipy.spatial import KDTree

_VESICLE_RADIUS_NM, _VESICLE_WALL_NM = 17.0, 4.6
_VESICLE_SPACING_NM = 41.0
_VESICLE_STRENGTH = 0.88
_STRAYS_UM3 = 14.0
# Vesicles are dense this near to the patch, thin out beyond it and end at the second figure.
_CLOUD_NM = (110.0, 75.0, 300.0)
_WRONG_SIDE_NM = 130.0
_BARE_NM = 200.0
# Thickness and darkness of a density: where both sides are alike, and what is added on the pre side
# and on the post side where they are as unlike as they get.
_DENSITY_NM, _PRE_NM, _POST_NM = 28.0, -13.0, 14.0
_DARKNESS, _PRE_DARKNESS, _POST_DARKNESS = 0.85, -0.25, 0.08
_CLEFT_NM = 6.0


def cloud(
    junction: Junction, tissue: Tissue, rng: np.random.Generator, *, share: float = 1.0
) -> np.ndarray:
    """Place the vesicles on the pre side of a junction.

    Args:
        junction: Where.
        tissue: What it lies in.
        rng: Source of randomness.
        share: Of the vesicles that fit.

    Returns:
        (N, 3) centres in nm.
    """
    from scipy.spatial import KDTree

    from .stamps import thin_out

    near, fade, reach = _CLOUD_NM
    low = junction.face_nm.min(0) - reach
    high = junction.face_nm.max(0) + reach
    # A dozen candidates for every place a vesicle could take pack the cloud as full as it gets.
    count = int(12 * np.prod(high - low) / _VESICLE_SPACING_NM**3)
    points = rng.uniform(low, high, (count, 3))
    points = points[np.all((points > 0) & (points < _extent(tissue)), axis=1)]
    at = _voxels(points, tissue)
    points = points[(tissue.grid.neurons[at] == junction.pre) & tissue.free[at]]
    away, _ = KDTree(_thinned(junction.face_nm, rng)).query(points)
    likely = np.exp(-0.5 * (np.maximum(away - near, 0) / fade) ** 2)
    points = points[(away < reach) & (rng.random(len(away)) < likely)]
    points = points[thin_out(points, _VESICLE_SPACING_NM)]
    return points if share == 1 else points[rng.random(len(points)) < share]


def strays(tissue: Tissue, rng: np.random.Generator) -> np.ndarray:
    """Vesicle centres (N, 3) in nm, scattered thinly through all neurites."""
    extent = _extent(tissue)
    points = rng.uniform(0, extent, (int(_STRAYS_UM3 * np.prod(extent) * 1e-9), 3))
    at = _voxels(points, tissue)
    return points[tissue.free[at] & (tissue.grid.neurons[at] > 0)]


def without_misleading(
    points: np.ndarray, tissue: Tissue, synapses: list[Junction], densities: list[Junction]
) -> np.ndarray:
    """Drop vesicles that would make a label ambiguous.

    Args:
        points: (N, 3) vesicle centres, nm.
        tissue: What they lie in.
        synapses: Junctions that have vesicles on their pre side only.
        densities: Junctions that have none.

    Returns:
        (M, 3) the other vesicles.
    """
    from scipy.spatial import KDTree

    tree = KDTree(points)
    keep = np.ones(len(points), bool)
    host = tissue.grid.neurons[_voxels(points, tissue)]
    for junction in synapses:
        near = _within(tree, junction.face_nm, _WRONG_SIDE_NM)
        keep[near[host[near] != junction.pre]] = False
    for junction in densities:
        keep[_within(tree, junction.face_nm, _BARE_NM)] = False
    return points[keep]


def draw_vesicles(points: np.ndarray, tissue: Tissue, rng: np.random.Generator) -> None:
    """Draw vesicles as dark rings into the tissue's image.

    Args:
        points: (N, 3) centres, nm.
        tissue: What they lie in.
        rng: Source of randomness, for their sizes.
    """
    from .stamps import stamp_vesicles

    radii = _VESICLE_RADIUS_NM + rng.normal(scale=1.6, size=len(points))
    wall = max(_VESICLE_WALL_NM, 0.45 * float(tissue.resolution[1:].min()))
    ink = (wall, VESICLE_GREY, _VESICLE_STRENGTH)
    neurons = tissue.grid.neurons
    host = neurons[_voxels(points, tissue)]
    vesicles = np.column_stack([points, radii])
    stamp_vesicles(vesicles, host, neurons, tissue.resolution, ink, tissue.image)


def draw_density(
    junction: Junction, tissue: Tissue, rng: np.random.Generator, *, asymmetry: float = 1.0
) -> None:
    """Draw the post-synaptic density, the thin one opposite and the pale cleft into the image.

    Args:
        junction: Where.
        tissue: What it lies in.
        rng: Source of randomness.
        asymmetry: How unlike the sides are; at 0 both are equally dark, as in an adherens junction.
    """
    points = junction.voxels * tissue.resolution
    thick = _DENSITY_NM + asymmetry * np.where(junction.is_pre, _PRE_NM, _POST_NM)
    if asymmetry > 0:
        thick = thick * junction.size.scale
    strength = _DARKNESS + asymmetry * np.where(junction.is_pre, _PRE_DARKNESS, _POST_DARKNESS)
    thick = thick * (1.0 + 0.09 * _ripple(points, rng))
    dark = strength / (1.0 + np.exp((junction.distance_nm - thick) / 6.0))
    dark = np.clip(dark * (1.0 + 0.08 * _ripple(points, rng)), 0, 1)
    at = tuple(junction.voxels.T)
    grey = tissue.image[at]
    grey = grey + (DENSITY_GREY - grey) * dark
    cleft = max(_CLEFT_NM, 0.6 * float(tissue.resolution[1:].min()))
    tissue.image[at] = np.where(junction.distance_nm < cleft, 0.5 * grey + 45.0, grey)


def _ripple(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth random value of order 1 at every point (nm): three waves of 50 to 100 nm."""
    waves = rng.normal(size=(3, 3))
    waves *= (2 * np.pi / rng.uniform(50, 100, 3) / np.linalg.norm(waves, axis=1))[:, None]
    return np.sin(points @ waves.T + rng.uniform(0, 2 * np.pi, 3)).sum(1)


def _thinned(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At most 250 of the points: enough to measure how far a vesicle is from a patch."""
    return points if len(points) <= 250 else rng.choice(points, 250, replace=False)


def _within(tree: KDTree, centres: np.ndarray, reach: float) -> np.ndarray:
    """Indices of the tree's points within `reach` of any of the centres."""
    found = tree.query_ball_point(centres, reach)
    return np.unique(np.concatenate([np.asarray(hits, np.int64) for hits in found]))


def _extent(tissue: Tissue) -> np.ndarray:
    """(3,) size of the tissue, nm."""
    return np.array(tissue.image.shape) * tissue.resolution


def _voxels(points: np.ndarray, tissue: Tissue) -> tuple[np.ndarray, ...]:
    """Index of the voxel around each point (nm)."""
    last = np.array(tissue.image.shape) - 1
    return tuple(np.clip(np.rint(points / tissue.resolution).astype(int), 0, last).T)
