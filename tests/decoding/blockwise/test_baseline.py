"""The baseline decoders by block give what they give on the whole, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from block_decoding import NM, few_blocks, require_same, step
from decoding_volumes import DTYPES, STYLES, empty_channels, random_volume, shapes
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.decoding.blockwise import decode_blocks
from connectomics.errors import ConfigError, DataError
from connectomics.geometry import VoxelGrid

volumes = st.builds(
    random_volume,
    st.integers(0, 10_000),
    shapes,
    st.sampled_from(STYLES),
    st.sampled_from(DTYPES),
    empty_channels,
)
block_sizes = st.tuples(
    st.sampled_from([1, 2, 3, 8]), st.sampled_from([1, 3, 8]), st.sampled_from([1, 7, 40, 64, 100])
)


@settings(max_examples=20, deadline=None)
@given(
    volume=volumes,
    block_size=block_sizes,
    thres=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    thres_small=st.sampled_from([0, 1, 2, 3, 8, 40]),
    dilate_sz=st.sampled_from([0, 1, 2, 5, 8, 65]),
    semantic=st.sampled_from([False, False, False, True]),
    exclusive=st.booleans(),
    paired=st.booleans(),
    table=st.sampled_from(["none", "table", "neurons"]),
)
def test_polarity2instance(volume, block_size, semantic, paired, table, **kwargs):
    steps = [step("polarity2instance", semantic=semantic, **kwargs)]
    steps += [step("drop_one_sided")] * (paired and not semantic)
    shape = volume.shape[1:]
    more = {} if table == "none" else {"grid": VoxelGrid(NM, (60.0, 8.0, -4.0))}
    if table == "neurons":
        more["neurons"] = np.random.default_rng(0).integers(0, 4, shape).astype(np.uint16)
    require_same(volume, steps, few_blocks(shape, block_size), **more)


@settings(max_examples=15, deadline=None)
@given(
    volume=volumes,
    block_size=block_sizes,
    thres=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    thres_small=st.sampled_from([0, 1, 2, 3, 8, 40]),
    dilate_sz=st.sampled_from([0, 1, 2, 5, 8, 65]),
)
def test_binary2instance(volume, block_size, **kwargs):
    volume = volume[2]
    size = few_blocks(volume.shape, block_size)
    require_same(volume, [step("binary2instance", **kwargs)], size)
    require_same(volume[None], [step("binary2instance", **kwargs)], size)


def test_a_synapse_across_eight_blocks_is_one():
    volume = np.zeros((3, 4, 40, 40), np.float32)
    volume[0, 1:3, 10:20, 10:30] = volume[1, 1:3, 20:30, 10:30] = 0.9
    volume[2] = volume[:2].max(axis=0)
    # Each block has less than the least size of a piece.
    found = require_same(
        volume, [step("polarity2instance", thres_small=300)], (2, 20, 20), grid=VoxelGrid(NM)
    )
    assert found.labels.max() == 2
    assert found.table.pre_voxels.tolist() == [400]


def test_labels_in_another_size_are_refused():
    with pytest.raises(ConfigError, match="scale_factors: labels that are made by block"):
        decode_blocks(
            np.zeros((3, 2, 2, 2), np.float32),
            [step("polarity2instance", scale_factors=(1.0, 2.0, 2.0))],
            block_size=(1, 1, 1),
        )


def test_an_illegal_value_is_named_by_its_place_in_the_volume():
    volume = np.zeros((3, 6, 20, 20), np.float32)
    volume[1, 5, 13, 17] = np.nan
    with pytest.raises(DataError, match=r"NaN, first at channel 1, \(z, y, x\) = \(5, 13, 17\)"):
        decode_blocks(volume, [step("polarity2instance")], block_size=(2, 7, 7))
