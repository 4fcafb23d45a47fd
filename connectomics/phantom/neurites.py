"""Neurites: chains of beads that are packed into a box until they hardly overlap.

Every neurite is a chain of beads joined by capsules. Axons are thin with boutons, dendrites are
thick and carry spines. The chains start as random lines and are relaxed: beads of different
neurites push each other apart while each chain stays stretched and smooth. What the capsules
leave free is glia.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

BEAD_SPACING_NM = 130.0
AXON, DENDRITE = 0, 1

# Share of the box that each kind of tube fills. Together slightly less than the box: the capsules
# are grown over the gaps later and glia takes the rest.
_FILL = {DENDRITE: 0.34, AXON: 0.56}


class Capsules(NamedTuple):
    """Tubes with round ends, as the kernels read them.

    Attributes:
        rows: (M, 9) float64: start z, y, x and axis z, y, x in nm, radius at the start, by how
            much it is larger at the other end, 1 / squared length.
        owner: (M,) int64 neuron ids.
    """

    rows: np.ndarray
    owner: np.ndarray


@dataclass(frozen=True)
class Neurites:
    """Packed bead chains.

    Attributes:
        points: (N, 3) bead centres in nm, (z, y, x).
        radii: (N,) radius of the neurite at each bead, nm.
        owner: (N,) neuron id of each bead, from 1.
        previous: (N,) index of the bead this one is joined to, -1 at the start of a chain.
        kind: (number of neurons + 1,) `AXON` or `DENDRITE` per neuron id; entry 0 is unused.
    """

    points: np.ndarray
    radii: np.ndarray
    owner: np.ndarray
    previous: np.ndarray
    kind: np.ndarray

    def capsules(self) -> Capsules:
        """The joined beads as capsules."""
        end = np.flatnonzero(self.previous >= 0)
        start = self.previous[end]
        axis = self.points[end] - self.points[start]
        growth = self.radii[end] - self.radii[start]
        rows = capsule_rows(self.points[start], axis, self.radii[start], growth)
        return Capsules(rows, self.owner[end].astype(np.int64))


def capsule_rows(
    start: np.ndarray, axis: np.ndarray, radius: np.ndarray, growth: np.ndarray
) -> np.ndarray:
    """Pack capsules into the rows of `Capsules`.

    Args:
        start: (M, 3) one end of each axis, nm.
        axis: (M, 3) from there to the other end.
        radius: (M,) radius at the start.
        growth: (M,) by how much it is larger at the other end.

    Returns:
        (M, 9) float64.
    """
    inverse = 1.0 / np.maximum((axis**2).sum(1), 1e-6)
    return np.ascontiguousarray(np.column_stack([start, axis, radius, growth, inverse]))


def grow_neurites(
    extent_nm: np.ndarray, rng: np.random.Generator, *, iterations: int = 36
) -> Neurites:
    """Fill a box with neurites.

    Args:
        extent_nm: (3,) size of the box from its origin, nm (z, y, x).
        rng: Source of randomness.
        iterations: Relaxation steps.

    Returns:
        The packed chains; beads reach past the box on every side, so that it is full to its faces.
    """
    margin = np.array([450.0, 450.0, 450.0])
    low, high = -margin, np.asarray(extent_nm, float) + margin
    chains: list[tuple[np.ndarray, np.ndarray, int, int]] = []
    kinds = [AXON]
    for kind, share in _FILL.items():
        wanted = share * float(np.prod(high - low))
        while wanted > 0:
            path = _line_through(low, high, rng)
            if len(path) < 4:
                continue
            radii = _radii(len(path), kind, rng)
            kinds.append(kind)
            neuron = len(kinds) - 1
            chains.append((path, radii, neuron, -1))
            wanted -= float(np.sum(np.pi * radii**2) * BEAD_SPACING_NM)
            if kind == DENDRITE:
                chains.extend(_spines(path, radii, neuron, rng))
    points, radii, owner, previous = _join(chains)
    points = _relax(points, radii, owner, previous, (low, high), iterations)
    return Neurites(points, radii, owner, previous, np.array(kinds))


def _line_through(low: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Walk a slowly turning line both ways from a random point until it leaves the box."""
    origin = rng.uniform(low, high)
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    halves = []
    for sign in (1.0, -1.0):
        point, heading, half = origin.copy(), sign * direction, []
        while np.all((point >= low) & (point <= high)):
            half.append(point.copy())
            heading = heading + rng.normal(scale=0.16, size=3)
            heading /= np.linalg.norm(heading)
            point = point + BEAD_SPACING_NM * heading
        halves.append(half)
    return np.array(halves[1][:0:-1] + halves[0])


def _radii(count: int, kind: int, rng: np.random.Generator) -> np.ndarray:
    """Radius along a neurite: a slow undulation, and boutons on axons."""
    position = np.arange(count) * BEAD_SPACING_NM
    phase = rng.uniform(0, 2 * np.pi)
    wave = 1.0 + 0.16 * np.sin(2 * np.pi * position / rng.uniform(900, 1800) + phase)
    if kind == DENDRITE:
        return rng.uniform(210.0, 420.0) * wave
    radii = rng.uniform(65.0, 140.0) * wave
    at = rng.uniform(0, 1500)
    while at < position[-1]:
        size, width = rng.uniform(110.0, 250.0), rng.uniform(190.0, 360.0)
        radii = radii + size * np.exp(-0.5 * ((position - at) / width) ** 2)
        at += rng.uniform(1100, 2600)
    return radii


def _spines(path: np.ndarray, radii: np.ndarray, neuron: int, rng: np.random.Generator) -> list:
    """Side branches of a dendrite: a thin neck and a round head."""
    spines = []
    for bead in range(2, len(path) - 2):
        if rng.random() > 0.22:
            continue
        axis = path[bead + 1] - path[bead - 1]
        out = np.cross(axis, rng.normal(size=3))
        out /= np.linalg.norm(out)
        steps = np.arange(1, int(rng.integers(3, 5)) + 1)[:, None]
        points = path[bead] + out * (0.7 * radii[bead] + 130.0 * steps)
        neck = np.full(len(points), rng.uniform(60.0, 90.0))
        neck[-1] = rng.uniform(150.0, 250.0)
        spines.append((points, neck, neuron, bead - len(path)))
    return spines


def _join(chains: list) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Concatenate chains; a spine's first bead is joined to its dendrite's bead."""
    previous, owner, offset, stem_end = [], [], 0, 0
    for path, _, neuron, root in chains:
        is_stem = root == -1
        links = np.arange(offset - 1, offset + len(path) - 1)
        links[0] = -1 if is_stem else stem_end + root
        previous.append(links)
        owner.append(np.full(len(path), neuron))
        offset += len(path)
        if is_stem:
            stem_end = offset
    points = np.concatenate([path for path, *_ in chains])
    radii = np.concatenate([radii for _, radii, *_ in chains])
    return points, radii, np.concatenate(owner), np.concatenate(previous)


def _relax(
    points: np.ndarray,
    radii: np.ndarray,
    owner: np.ndarray,
    previous: np.ndarray,
    box: tuple[np.ndarray, np.ndarray],
    iterations: int,
) -> np.ndarray:
    """Push beads of different neurites apart, keep chains stretched; returns new points."""
    from scipy.spatial import KDTree

    points = points.copy()
    end = np.flatnonzero(previous >= 0)
    start = previous[end]
    rest = np.linalg.norm(points[end] - points[start], axis=1)
    slack = 120.0
    pairs = np.empty((0, 2), np.int64)
    for step in range(iterations):
        if step % 6 == 0:
            pairs = KDTree(points).query_pairs(2 * float(radii.max()), output_type="ndarray")
            i, j = pairs[:, 0], pairs[:, 1]
            gap = np.linalg.norm(points[i] - points[j], axis=1) - radii[i] - radii[j]
            pairs = pairs[(owner[i] != owner[j]) & (gap < slack)]
        points += _repulsion(points, radii, pairs)
        points += _tension(points, start, end, rest)
        np.clip(points, box[0], box[1], out=points)
    return points


def _repulsion(points: np.ndarray, radii: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Mean push on each bead by those it overlaps; the thinner one yields more."""
    i, j = pairs[:, 0], pairs[:, 1]
    apart = points[i] - points[j]
    distance = np.linalg.norm(apart, axis=1) + 1e-6
    overlap = np.maximum(0.0, radii[i] + radii[j] - distance)
    unit = apart / distance[:, None]
    share = radii[j] / (radii[i] + radii[j])
    push_i = (0.7 * overlap * share)[:, None] * unit
    push_j = (-0.7 * overlap * (1 - share))[:, None] * unit
    count = len(points)
    touching = np.bincount(i, overlap > 0, count) + np.bincount(j, overlap > 0, count)
    total = np.empty_like(points)
    for axis in range(3):
        total[:, axis] = np.bincount(i, push_i[:, axis], count)
        total[:, axis] += np.bincount(j, push_j[:, axis], count)
    return total / np.sqrt(np.maximum(touching, 1.0))[:, None]


def _tension(
    points: np.ndarray, start: np.ndarray, end: np.ndarray, rest: np.ndarray
) -> np.ndarray:
    """Pull joined beads to their rest distance and towards the mean of their neighbours."""
    count = len(points)
    along = points[end] - points[start]
    length = np.linalg.norm(along, axis=1) + 1e-6
    pull = (0.25 * (length - rest) / length)[:, None] * along
    degree = np.bincount(start, minlength=count) + np.bincount(end, minlength=count)
    move = np.empty_like(points)
    for axis in range(3):
        move[:, axis] = np.bincount(start, pull[:, axis], count)
        move[:, axis] -= np.bincount(end, pull[:, axis], count)
        mean = np.bincount(start, points[end, axis], count)
        mean += np.bincount(end, points[start, axis], count)
        inner = degree >= 2
        smooth = mean[inner] / degree[inner] - points[inner, axis]
        move[inner, axis] += 0.18 * smooth
    return move
