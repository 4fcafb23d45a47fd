"""Synaptic junctions: where two neurites meet over a patch wide enough, and the slabs beside it.

A junction is a patch of the border between a pre-synaptic neurite and its post-synaptic partners.
Its label is what lies nearer than a fixed distance to the patch within the same section, as
annotators draw it who go through a stack section by section: what a section does not show is not
labelled in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

# Steepest border that gets a junction, as the z component of its normal: a junction seen en face
# is hardly visible in sections.
_STEEPEST = 0.68
# Share of the voxels asked for that the neurites' shapes must leave room for, on each side.
_LEAST_FILLED = 0.5
_LEAST_SIDE_NM3 = 0.4e6
_LEAST_SEEN_NM2 = 3000.0
_LEAST_EDGES = 12
_FLAT_NM = 130.0


@dataclass(frozen=True)
class Size:
    """How large a junction is meant to be.

    Attributes:
        half_length_nm: Half-axis of the patch in the section plane.
        half_height_nm: Half-axis across sections.
        scale: Factor on the thickness of the label and of the density alike, so that the one can
            be told from the other.
    """

    half_length_nm: float
    half_height_nm: float
    scale: float

    def shrunk(self, factor: float) -> Size:
        """The same thickness over a smaller patch."""
        return Size(factor * self.half_length_nm, factor * self.half_height_nm, self.scale)


@dataclass(frozen=True)
class Border:
    """Pixel edges between a neuron and its neighbours within sections.

    Attributes:
        points: (F, 3) midpoints, nm.
        facing: (F,) the neighbour.
    """

    points: np.ndarray
    facing: np.ndarray


@dataclass(frozen=True)
class Junction:
    """A patch of border between one neurite and others, with the voxels beside it.

    Attributes:
        pre: Neuron id of the pre-synaptic side.
        posts: Neuron ids of the other side.
        size: As asked for.
        face_nm: (F, 3) points of the patch.
        voxels: (N, 3) indices of the voxels in both slabs.
        distance_nm: (N,) their distance to the patch within their section.
        is_pre: (N,) True on the pre side.
        partner: (N,) the post neuron that the voxel belongs to, or lies nearest to.
    """

    pre: int
    posts: tuple[int, ...]
    size: Size
    face_nm: np.ndarray
    voxels: np.ndarray
    distance_nm: np.ndarray
    is_pre: np.ndarray
    partner: np.ndarray

    @property
    def centre_nm(self) -> np.ndarray:
        """(3,) middle of the patch."""
        return self.face_nm.mean(0)

    def where(self, keep: np.ndarray) -> Junction:
        """The same junction with fewer voxels; `keep` is (N,) bool."""
        return replace(
            self,
            voxels=self.voxels[keep],
            distance_nm=self.distance_nm[keep],
            is_pre=self.is_pre[keep],
            partner=self.partner[keep],
        )

    def side_sizes(self) -> np.ndarray:
        """(2, number of partners) voxels on the pre and post side of each connection."""
        sides = (self.is_pre, ~self.is_pre)
        return np.array([[np.sum(s & (self.partner == p)) for p in self.posts] for s in sides])


def find_junction(
    neurons: np.ndarray,
    voxel: np.ndarray,
    pair: tuple[int, int],
    *,
    size: Size,
    thickness_nm: tuple[float, float],
    resolution: np.ndarray,
    partners: int = 1,
) -> Junction | None:
    """Build the junction at a point of the border between two neurites, if it fits there.

    Args:
        neurons: (Z, Y, X) uint32.
        voxel: (3,) a voxel at the border.
        pair: Pre-synaptic neuron, post-synaptic neuron.
        size: Size of the patch.
        thickness_nm: Thickness of the pre and post slab at scale 1.
        resolution: (3,) nm per voxel.
        partners: 1 for this post neuron alone; n for two to n post neurons at once.

    Returns:
        The junction, or None where the border is too steep or the neurites leave no room for it.
    """
    pre, post = pair
    thickness = size.scale * np.asarray(thickness_nm)
    reach = 1.1 * max(size.half_length_nm, size.half_height_nm) + thickness.max() + 16.0
    low = np.maximum(voxel - np.ceil(reach / resolution), 0).astype(int)
    high = (voxel + np.ceil(reach / resolution) + 1).astype(int)
    crop = neurons[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    border = _border(crop, low, pre, resolution)
    if partners == 1:
        mine = border.facing == post
        border = Border(border.points[mine], border.facing[mine])
    inside = _patch(border, voxel * resolution, size)
    posts = _partners(border.facing[inside], partners)
    inside &= np.isin(border.facing, posts)
    if post not in posts or len(posts) < min(partners, 2) or inside.sum() < _LEAST_EDGES:
        return None
    voxels, distance, is_pre, partner = _slabs(
        crop, low, pre, (border, inside), thickness, resolution
    )
    junction = Junction(pre, posts, size, border.points[inside], voxels, distance, is_pre, partner)
    sides = junction.side_sizes()
    asked = 3.85 * size.half_length_nm * size.half_height_nm * thickness / np.prod(resolution)
    roomy = np.all(sides.sum(1) >= _LEAST_FILLED * asked)
    return junction if roomy and sides.min() * np.prod(resolution) >= _LEAST_SIDE_NM3 else None


def _border(crop: np.ndarray, low: np.ndarray, pre: int, resolution: np.ndarray) -> Border:
    """Pixel edges between `pre` and other neurons in a crop that starts at voxel `low`."""
    points, facing = [], []
    for axis in (1, 2):
        here = crop[tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))]
        there = crop[tuple(slice(1, None) if a == axis else slice(None) for a in range(3))]
        is_here = here == pre
        at = np.nonzero((is_here != (there == pre)) & (here > 0) & (there > 0))
        middle = np.column_stack(at).astype(float)
        middle[:, axis] += 0.5
        points.append((middle + low) * resolution)
        facing.append(np.where(is_here[at], there[at], here[at]))
    return Border(np.concatenate(points), np.concatenate(facing))


def _patch(border: Border, centre: np.ndarray, size: Size) -> np.ndarray:
    """(F,) bool: the edges within the patch around a point; none where the border is too steep."""
    near = border.points[np.linalg.norm(border.points - centre, axis=1) < _FLAT_NM]
    if len(near) < _LEAST_EDGES:
        return np.zeros(len(border.points), bool)
    normal = np.linalg.svd(near - near.mean(0), full_matrices=False)[2][2]
    if abs(normal[0]) > _STEEPEST:
        return np.zeros(len(border.points), bool)
    level = np.cross(normal, (1.0, 0.0, 0.0))
    level /= np.linalg.norm(level)
    offset = (border.points - centre) @ np.stack([normal, level, np.cross(normal, level)]).T
    # A super-ellipse: annotators end a synapse at nearly its full width, not in a point.
    round_off = (offset[:, 1] / size.half_length_nm) ** 6 + (
        offset[:, 2] / size.half_height_nm
    ) ** 6
    return (round_off <= 1) & (np.abs(offset[:, 0]) < 0.75 * size.half_length_nm)


def _partners(facing: np.ndarray, most: int) -> tuple[int, ...]:
    """Neurons that face at least a fifth of the patch, the largest first."""
    ids, counts = np.unique(facing, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return tuple(int(ids[k]) for k in order if counts[k] >= 0.2 * len(facing))


def _slabs(
    crop: np.ndarray,
    low: np.ndarray,
    pre: int,
    patch: tuple[Border, np.ndarray],
    thickness: np.ndarray,
    resolution: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Voxels on both sides whose nearest edge in their section lies in the patch.

    Returns:
        Indices (N, 3), distance in nm (N,), whether pre (N,), post partner (N,).
    """
    from .stamps import nearest_points

    border, inside = patch
    face, thick = border.points[inside], float(thickness.max())
    start = np.maximum(np.floor((face.min(0) - thick) / resolution) - low, 0).astype(int)
    stop = (np.ceil((face.max(0) + thick) / resolution) - low + 1).astype(int)
    part = crop[start[0] : stop[0], start[1] : stop[1], start[2] : stop[2]]
    # An edge farther than this from the patch is nearest to no voxel of the slabs.
    close = np.all(
        np.abs(border.points - np.clip(border.points, face.min(0), face.max(0))) <= 2 * thick,
        axis=1,
    )
    border, inside = Border(border.points[close], border.facing[close]), inside[close]
    index, away = np.full(part.shape, -1), np.full(part.shape, thick)
    # Sections moved so far apart that none sees the edges of another.
    apart = np.array([1e3 * thick / resolution[0], 1.0, 1.0])
    nearest_points(border.points * apart, thick, start + low, resolution * apart, index, away)
    found = np.nonzero(index >= 0)
    at, distance, nearest = np.column_stack(found), away[found], index[found]
    owner, partner = part[found], border.facing[nearest]
    is_pre = owner == pre
    keep = inside[nearest] & (distance <= np.where(is_pre, thickness[0], thickness[1]))
    keep &= is_pre | (owner == partner)
    keep[keep] = _in_largest_piece(at[keep], part.shape)
    # A section belongs to the synapse where both of its sides can be seen in it.
    least = _LEAST_SEEN_NM2 / (resolution[1] * resolution[2])
    for side in (is_pre, np.logical_not(is_pre)):
        keep &= np.bincount(at[keep & side, 0], minlength=len(part))[at[:, 0]] >= least
    return at[keep] + start + low, distance[keep], is_pre[keep], partner[keep]


def _in_largest_piece(at: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(N,) bool: which of the voxels belong to their largest 26-connected piece."""
    from scipy.ndimage import label

    mask = np.zeros(shape, bool)
    mask[tuple(at.T)] = True
    pieces = np.zeros(shape, np.int32)
    label(mask, np.ones((3, 3, 3)), output=pieces)
    mine = pieces[tuple(at.T)]
    return mine == np.bincount(mine, minlength=1).argmax()
