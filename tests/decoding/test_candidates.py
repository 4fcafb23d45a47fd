"""The list of voxels: neighbours, pieces and sizes against plain arrays."""

from __future__ import annotations

import numpy as np
from decoding_oracle import same_instances
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label
from synapse_volumes import listed, spread

from connectomics.decoding.bits import BitMask
from connectomics.decoding.candidates import (
    is_set,
    link_offset,
    link_sections,
    list_voxels,
    pieces_of,
)
from connectomics.decoding.runs import label_components

masks = st.tuples(st.integers(0, 10_000), st.sampled_from([(1, 1, 3), (3, 4, 5), (4, 7, 70)]))


def random_mask(seed, shape):
    return np.random.default_rng(seed).random(shape) < 0.6


@settings(deadline=None)
@given(masks)
def test_links_are_the_neighbours_along_each_axis(seed_and_shape):
    mask = random_mask(*seed_and_shape)
    voxels = listed(np.where(mask, 0, -1))
    place = spread(voxels, np.arange(voxels.index.size))
    for axis in range(3):
        for direction, step in ((0, -1), (1, 1)):
            padded = np.pad(place, 1, constant_values=-1)
            shifted = np.roll(padded, -step, axis)[1:-1, 1:-1, 1:-1]
            assert np.array_equal(voxels.links[axis, direction], shifted[mask])


@settings(deadline=None)
@given(masks)
def test_links_across_two_sections(seed_and_shape):
    mask = random_mask(*seed_and_shape)
    voxels = listed(np.where(mask, 0, -1))
    place = spread(voxels, np.arange(voxels.index.size))
    beyond = np.concatenate([place[2:], np.full_like(place[:2], -1)])[: len(place)]
    assert np.array_equal(link_sections(voxels, 2), beyond[mask])


@settings(deadline=None)
@given(masks)
def test_pieces_are_components_of_equal_key(seed_and_shape):
    seed, shape = seed_and_shape
    key = np.random.default_rng(seed).integers(-1, 3, shape)
    voxels = listed(np.zeros(shape, int))
    piece, count = pieces_of(voxels, key.ravel().astype(np.int32))
    expected = label(key + 1, connectivity=1)
    assert same_instances(piece.reshape(shape) + 1, expected)
    assert count == expected.max()


@settings(deadline=None)
@given(masks)
def test_listing_the_voxels_of_components(seed_and_shape):
    mask = random_mask(*seed_and_shape)
    index, owner = list_voxels(label_components(BitMask.pack(mask)), mask.shape)
    assert np.array_equal(index, np.flatnonzero(mask))
    assert np.array_equal(owner + 1, label(mask, connectivity=1)[mask])


@settings(deadline=None)
@given(masks)
def test_looking_up_bits(seed_and_shape):
    mask = random_mask(*seed_and_shape)
    everywhere = np.arange(mask.size)
    assert np.array_equal(is_set(BitMask.pack(mask), everywhere), mask.ravel())


def test_sizes_of_sides_and_renumbering():
    voxels = listed([[[0, 0, 1, 1, 1, -1]]], [[[1, 2, 2, 2, 0, 0]]])
    assert voxels.side_sizes().tolist() == [[1, 0], [1, 2]]
    dropped = voxels.renumber(np.array([-1, 0]))
    assert dropped.synapse.tolist() == [-1, -1, 0, 0, 0]
    assert dropped.side_sizes().tolist() == [[0], [2]]
    assert voxels.points_nm()[1].tolist() == [0, 0, 8]


def test_sides_of_many_synapses_are_counted():
    many = np.arange(300)[None, None]  # more than a side's type can count
    assert listed(many, np.full_like(many, 2)).side_sizes()[1].tolist() == [1] * 300


@settings(deadline=None)
@given(masks, st.sampled_from([(0, 0, 2), (0, 1, -1), (1, -1, 0), (2, 1, 1)]))
def test_links_at_any_offset(seed_and_shape, offset):
    mask = random_mask(*seed_and_shape)
    index = np.flatnonzero(mask)
    place = {tuple(voxel): n for n, voxel in enumerate(np.argwhere(mask))}
    expected = [place.get(tuple(np.add(voxel, offset)), -1) for voxel in np.argwhere(mask)]
    assert link_offset(index, mask.shape, offset).tolist() == expected
