"""The passes give the same where blocks hold no more than what is needed of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from block_decoding import NM, few_blocks, step
from block_volumes import SMALL, classes, crowd, neurons
from decoding_volumes import as_dtype
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.decoding import decode
from connectomics.decoding.blockwise import Blocks, needed, passes, tables_of
from connectomics.decoding.levels import AS_THEY_ARE, Levels, count_values
from connectomics.decoding.probabilities import check_block
from connectomics.geometry import VoxelGrid


def decoded(volume, steps, block_size, neurons=None):
    """Labels and table from cleared blocks, and the share of the volume that was left."""
    shape = volume.shape[1:]
    blocks, cleared = Blocks(shape, block_size), volume.copy()
    keeps = needed(steps, shape, NM)
    named = None if neurons is None else lambda box: neurons[box.slices]
    plan = passes(
        steps, shape=shape, block_size=block_size, grid=VoxelGrid(NM), neurons=named, batch=50
    )
    state, kept = {}, {}
    labels, left = np.zeros(shape, np.uint16), 0
    for one in plan:
        source = volume if one.name == "thresholds" else cleared
        if one.name == "candidates":
            left = clear(keeps, blocks, volume, cleared, state)
        for task in one.tasks(state):
            part = one.run(task, lambda box, s=source: s[(..., *box.slices)], kept_of(kept))
            kept[one.name, task.name] = part
            if one.name == "labels":
                labels[task.box.slices] = part["labels"]
        tasks = list(one.tasks(state))
        state = one.combine(state, ((task, kept[one.name, task.name]) for task in tasks))
    return labels, tables_of(state)[0], left / labels.size


def kept_of(kept):
    return lambda step, task: kept[step, task]


def clear(keeps, blocks, volume, cleared, state):
    """Clear each block by its own levels, and again by those of the volume where that is needed."""
    left = 0
    for number in range(len(blocks)):
        box = blocks.box(number)
        levels, block = AS_THEY_ARE, volume[(..., *box.slices)].copy()
        if keeps.adapts:
            checked = check_block(block, channels=3, where="test")
            levels = keeps.levels_of_block(count_values(checked, exclusive=keeps.exclusive))
            true = Levels(*map(float, state["levels"]))
            levels = true if keeps.bound(levels) > keeps.bound(true) else levels
        left += keeps.clear(block, box, levels)
        cleared[(..., *box.slices)] = block
    return left


SHAPES = st.tuples(
    st.sampled_from([3, 8, 12]), st.sampled_from([16, 30]), st.sampled_from([31, 90])
)
BLOCKS = st.tuples(
    st.sampled_from([1, 3, 8]), st.sampled_from([3, 8, 30]), st.sampled_from([7, 64])
)
CHOSEN = {
    "synapses": st.fixed_dictionaries(
        {
            "adapt": st.booleans(),
            "hysteresis": st.sampled_from([(0.3, 0.5), (0.2, 0.4), None]),
            "pair_nm": st.sampled_from([0.0, 60.0, 150.0]),
            "bridge_nm": st.sampled_from([0.0, 16.0, 40.0]),
            "min_piece_nm3": st.sampled_from([0.0, 20e3]),
            "min_confidence": st.just(0.0),
        }
    ),
    "polarity2instance": st.fixed_dictionaries(
        {
            "thres": st.sampled_from([0.4, 0.6]),
            "thres_small": st.sampled_from([0, 4]),
            "dilate_sz": st.sampled_from([0, 2, 5]),
            "semantic": st.booleans(),
        }
    ),
}


cases = given(
    seed=st.integers(0, 10_000),
    shape=SHAPES,
    block_size=BLOCKS,
    dtype=st.sampled_from([np.uint8, np.float16, np.float32]),
    exclusive=st.booleans(),
    named=st.booleans(),
    decoder=st.sampled_from([*CHOSEN]),
    data=st.data(),
)


@settings(max_examples=10, deadline=None)
@cases
def test_what_is_cleared_is_never_missed(**case):
    check(**case)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@cases
def test_what_is_cleared_is_never_missed_in_many_cases(**case):
    check(**case)


def check(seed, shape, block_size, dtype, exclusive, named, decoder, data):
    small = SMALL if decoder == "synapses" else {}
    chosen = data.draw(CHOSEN[decoder])
    steps = [step(decoder, **{**small, **chosen}, exclusive=exclusive)]
    volume = crowd(seed, shape)
    volume = as_dtype(classes(volume) if exclusive else volume, dtype)
    ids = neurons(seed, shape) if named else None
    expected = decode(volume, steps, grid=VoxelGrid(NM), neurons=ids)
    labels, table, _ = decoded(volume, steps, few_blocks(shape, block_size), ids)
    assert np.array_equal(labels, expected.labels)
    if expected.table is not None:
        pd.testing.assert_frame_equal(table, expected.table, check_exact=True)


def test_little_is_left_of_a_block_that_holds_little():
    volume = np.full((3, 16, 200, 200), 0.02, np.float32)
    volume[::2, 6:9, 90:100, 90:110] = 0.9
    volume[1:, 6:9, 100:110, 90:110] = 0.9
    steps = [step("synapses")]
    labels, _, left = decoded(volume, steps, (16, 200, 200))
    assert np.array_equal(labels, decode(volume, steps, grid=VoxelGrid(NM)).labels)
    assert labels.max() == 2
    assert left < 0.05


def test_blocks_that_nothing_is_known_of_are_left_as_they_are():
    block = np.full((3, 4, 16, 16), 0.9, np.float32)
    keeps = needed([step("polarity2instance")], (4, 16, 16), NM)
    assert keeps.clear(block, Blocks((4, 16, 16), (4, 16, 16)).box(0)) == block[0].size
    assert (block == np.float32(0.9)).all()
