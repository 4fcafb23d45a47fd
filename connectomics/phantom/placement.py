"""Choosing where synapses and decoys go, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .contacts import Contacts
from .neurites import AXON
from .synapses import Junction, Size, find_junction
from .tissue import Tissue

# Log-normal sizes, fitted so that the finished labels follow the EM-R50 percentiles.
_HALF_LENGTH_NM, _HALF_LENGTH_SPREAD, _LENGTH_LIMITS_NM = 180.0, 0.58, (90.0, 560.0)
_HALF_HEIGHT_NM, _HALF_HEIGHT_SPREAD, _HEIGHT_LIMITS_NM = 132.0, 0.5, (45.0, 280.0)
_SCALE_SPREAD, _SCALE_LIMITS = 0.18, (0.7, 1.5)
# Gap between crowded neighbours: three to six pixels of 8 nm.
_CROWD_GAP_NM = (24.0, 48.0)
_CLEAR_NM = 170.0
_POOL = 1500
_TRIES = 25
_SHRINKS = 5
_LEAST_SUPPORT = 0.7
_PATIENCE = 3


@dataclass(frozen=True)
class Scene:
    """The tissue in which junctions are placed, and those placed so far.

    Attributes:
        tissue: The neurites.
        thickness_nm: Thickness of the pre and post label at scale 1.
        contacts: Where neurites touch.
        placed: Junctions that are already there; placing adds to it.
    """

    tissue: Tissue
    thickness_nm: tuple[float, float]
    contacts: Contacts
    placed: list[Junction]

    def clearance(self, points_nm: np.ndarray, besides: Junction | None) -> np.ndarray:
        """(N,) distance from each point to the nearest junction but one, nm."""
        from scipy.spatial import KDTree

        faces = [other.face_nm for other in self.placed if other is not besides]
        if not faces:
            return np.full(len(points_nm), np.inf)
        return KDTree(np.concatenate(faces)).query(points_nm)[0]


def place_synapses(
    scene: Scene,
    count: int,
    rng: np.random.Generator,
    *,
    crowding: float,
    polyadic: float,
) -> list[Junction]:
    """Place up to `count` synapses in a scene.

    Args:
        scene: Gets the junctions added.
        count: Synapses wanted; a polyadic junction counts once per partner.
        rng: Source of randomness.
        crowding: Share of junctions that are placed a few pixels beside the one before.
        polyadic: Share of junctions that have two or three post-synaptic partners.

    Returns:
        The junctions, in the order of placement; fewer than wanted where the tissue has no room.
    """
    junctions: list[Junction] = []
    missing, failures = count, 0
    while missing > 0 and failures < _PATIENCE:
        partners = int(rng.integers(2, 4)) if rng.random() < polyadic else 1
        neighbour = junctions[-1] if junctions and rng.random() < crowding else None
        size = _draw_size(rng)
        junction = _place(scene, size, rng, partners=partners, neighbour=neighbour)
        if junction is None and neighbour is not None:
            junction = _place(scene, size, rng, partners=partners)
        if junction is None:
            failures += 1
            continue
        failures = 0
        junctions.append(junction)
        scene.placed.append(junction)
        missing -= len(junction.posts)
    return junctions


def place_decoys(scene: Scene, count: int, rng: np.random.Generator) -> list[Junction]:
    """Place up to `count` junctions that will show vesicles or a density, not both.

    Args:
        scene: Gets the junctions added.
        count: Decoys wanted.
        rng: Source of randomness.

    Returns:
        The junctions.
    """
    decoys: list[Junction] = []
    for _ in range(count):
        junction = _place(scene, _draw_size(rng), rng)
        if junction is not None:
            decoys.append(junction)
            scene.placed.append(junction)
    return decoys


def _draw_size(rng: np.random.Generator) -> Size:
    length, height, scale = rng.normal(size=3)
    length = _HALF_LENGTH_NM * np.exp(_HALF_LENGTH_SPREAD * length)
    height = _HALF_HEIGHT_NM * np.exp(_HALF_HEIGHT_SPREAD * height)
    return Size(
        float(np.clip(length, *_LENGTH_LIMITS_NM)),
        float(np.clip(height, *_HEIGHT_LIMITS_NM)),
        float(np.clip(np.exp(_SCALE_SPREAD * scale), *_SCALE_LIMITS)),
    )


def _place(
    scene: Scene,
    size: Size,
    rng: np.random.Generator,
    *,
    partners: int = 1,
    neighbour: Junction | None = None,
) -> Junction | None:
    """Try contacts until a junction fits; a patch that fits nowhere is made smaller."""
    tissue = scene.tissue
    for _ in range(_SHRINKS):
        for index in _candidates(scene, size, rng, neighbour):
            junction = find_junction(
                tissue.grid.neurons,
                scene.contacts.voxel[index],
                _direction(scene.contacts.pair[index], tissue.neurites.kind, rng),
                size=size,
                thickness_nm=scene.thickness_nm,
                resolution=tissue.resolution,
                partners=partners,
            )
            if junction is not None and neighbour is not None:
                junction = _beside(junction, neighbour, tissue.resolution)
            if junction is None:
                continue
            if scene.clearance(junction.face_nm, neighbour).min() > _CLEAR_NM:
                return junction
        size = size.shrunk(0.85)
    return None


def _candidates(
    scene: Scene, size: Size, rng: np.random.Generator, neighbour: Junction | None
) -> np.ndarray:
    """Contacts to try: of an axon, clear of other junctions, with enough border around."""
    contacts = scene.contacts
    allowed = (scene.tissue.neurites.kind[contacts.pair] == AXON).any(1)
    if neighbour is not None:
        apart = np.linalg.norm(contacts.point_nm - neighbour.centre_nm, axis=1)
        near = neighbour.size.half_length_nm + size.half_length_nm
        allowed &= (apart > 0.6 * near) & (apart < 1.15 * near + 40.0)
    pool = np.flatnonzero(allowed)
    pool = rng.choice(pool, min(len(pool), _POOL), replace=False)
    clearance = scene.clearance(contacts.point_nm[pool], neighbour)
    pool = pool[clearance > _CLEAR_NM + 0.6 * size.half_length_nm]
    return pool[contacts.support(pool, size) > _LEAST_SUPPORT][:_TRIES]


def _direction(pair: np.ndarray, kind: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Pre and post neuron of a contact: the axon is pre, of two axons either."""
    first, second = int(pair[0]), int(pair[1])
    swap = rng.random() < 0.5 if kind[first] == kind[second] else kind[first] != AXON
    return (second, first) if swap else (first, second)


def _beside(junction: Junction, neighbour: Junction, resolution: np.ndarray) -> Junction | None:
    """Trim a junction so that it stops a few pixels short of its neighbour; None if it misses."""
    from scipy.spatial import KDTree

    apart, _ = KDTree(neighbour.voxels * resolution).query(junction.voxels * resolution)
    keep = apart >= _CROWD_GAP_NM[0]
    trimmed = junction.where(keep)
    if np.any(trimmed.side_sizes() < 0.6 * junction.side_sizes()):
        return None
    return trimmed if apart[keep].min() <= _CROWD_GAP_NM[1] else None
