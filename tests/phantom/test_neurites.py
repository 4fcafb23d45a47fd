from __future__ import annotations

import numpy as np

from connectomics.phantom.neurites import AXON, DENDRITE, Neurites, grow_neurites

EXTENT = np.array([900.0, 1500.0, 1500.0])


def overlap_share(neurites: Neurites) -> float:
    """Share of beads whose centre lies inside a bead of another neurite."""
    apart = np.linalg.norm(neurites.points[:, None] - neurites.points[None], axis=2)
    other = neurites.owner[:, None] != neurites.owner[None]
    return float(np.mean((other & (apart < neurites.radii[None])).any(1)))


def test_relaxing_pushes_neurites_apart():
    loose = grow_neurites(EXTENT, np.random.default_rng(0), iterations=0)
    packed = grow_neurites(EXTENT, np.random.default_rng(0))
    assert overlap_share(packed) < 0.35 * overlap_share(loose)


def test_chains_stay_together():
    neurites = grow_neurites(EXTENT, np.random.default_rng(1))
    capsules, owner = neurites.capsules()
    length = np.linalg.norm(capsules[:, 3:6], axis=1)
    assert np.median(length) < 250
    end = np.flatnonzero(neurites.previous >= 0)
    assert np.array_equal(neurites.owner[end], neurites.owner[neurites.previous[end]])
    assert np.array_equal(owner, neurites.owner[end])
    assert np.allclose(capsules[:, 8] * length**2, 1)


def test_there_are_axons_and_dendrites_and_dendrites_are_thicker():
    neurites = grow_neurites(EXTENT, np.random.default_rng(2))
    kind = neurites.kind[neurites.owner]
    assert set(kind) == {AXON, DENDRITE}
    assert np.median(neurites.radii[kind == DENDRITE]) > np.median(neurites.radii[kind == AXON])
