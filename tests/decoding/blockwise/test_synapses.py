"""`synapses` by block gives what it gives on the whole, to the last bit."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from block_decoding import NM, few_blocks, require_same, step
from block_volumes import SMALL, classes, crowd, neurons
from decoding_volumes import as_dtype, random_volume
from hypothesis import given, settings
from hypothesis import strategies as st
from synapse_volumes import draw, empty

from connectomics.decoding import BASELINE, decode_synapses
from connectomics.decoding.blockwise import (
    Blocks,
    ByBlock,
    candidates,
    decode_blocks,
    passes,
    synapses,
)
from connectomics.decoding.blockwise.synapses import Synapses
from connectomics.decoding.foreground import TooMuchForegroundError
from connectomics.errors import DataError
from connectomics.geometry import NOWHERE, VoxelGrid

SHAPES = st.tuples(
    st.sampled_from([1, 3, 8, 12]),
    st.sampled_from([5, 16, 30, 30]),
    st.sampled_from([3, 31, 65, 90, 90]),
)
BLOCKS = st.tuples(
    st.sampled_from([1, 2, 3, 8]), st.sampled_from([1, 3, 8]), st.sampled_from([1, 7, 40, 64])
)
SETTINGS = st.fixed_dictionaries(
    {
        "adapt": st.booleans(),
        "min_piece_nm3": st.sampled_from([0.0, 0.0, 20e3]),
        "hysteresis": st.sampled_from([(0.3, 0.5), (0.2, 0.4), None]),
        "split_saddle": st.sampled_from([0.7, 0.9, None]),
        "vote": st.booleans(),
        "trim": st.sampled_from([0.0, 0.5]),
        "stray_share": st.sampled_from([0.0, 0.2]),
        "mend_sections": st.sampled_from([0, 1, 3]),
        "pair_nm": st.sampled_from([0.0, 60.0, 150.0]),
        "polyadic": st.booleans(),
        "duplicate_nm": st.sampled_from([0.0, 100.0, 600.0]),
        "min_confidence": st.sampled_from([0.0, 0.1]),
        "bridge_nm": st.sampled_from([0.0, 16.0, 40.0]),
    }
)


def check(seed, shape, block_size, style, dtype, exclusive, named, chosen):
    """Compare one random volume with random settings."""
    if style == "crowd":
        volume = crowd(seed, shape)
    else:
        volume = random_volume(seed, shape, style, np.float64)
    volume = as_dtype(classes(volume) if exclusive else volume, dtype)
    more = {"neurons": neurons(seed, shape)} if named else {}
    require_same(
        volume,
        [step("synapses", **SMALL, **chosen, exclusive=exclusive)],
        few_blocks(shape, block_size),
        grid=VoxelGrid(NM, (60.0, 8.0, -4.0)),
        **more,
    )


anything = given(
    seed=st.integers(0, 10_000),
    shape=SHAPES,
    block_size=BLOCKS,
    style=st.sampled_from(["crowd", "crowd", "crowd", "blobs", "boxes"]),
    dtype=st.sampled_from([np.uint8, np.float16, np.float32]),
    exclusive=st.booleans(),
    named=st.booleans(),
    chosen=SETTINGS,
)


@settings(max_examples=10, deadline=None)
@anything
def test_blocks_give_what_the_whole_gives(**case):
    check(**case)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@settings(max_examples=600, deadline=None)
@anything
def test_blocks_give_what_the_whole_gives_in_many_cases(**case):
    check(**case)


@pytest.mark.parametrize("block_size", [(4, 20, 30), (1, 40, 60), (8, 1, 60), (3, 7, 11)])
def test_a_synapse_across_many_blocks_is_one(block_size):
    volume = draw(empty((8, 40, 60)), (1, 7), (8, 32), (10, 50))
    found = require_same(volume, [step("synapses")], block_size, grid=VoxelGrid(NM))
    assert found.table.side.tolist() == ["paired"]
    assert found.table.touches_border.tolist() == [False]


def test_settings_of_the_baseline_give_the_baseline():
    volume = as_dtype(crowd(3, (8, 30, 60)), np.uint8)
    chosen = BASELINE | {"min_piece_nm3": 3 * 1920.0}
    found = require_same(volume, [step("synapses", **chosen)], (3, 9, 25), grid=VoxelGrid(NM))
    baseline = [step("polarity2instance", thres_small=3)]
    assert np.array_equal(
        found.labels, decode_blocks(volume, baseline, block_size=(3, 9, 25)).labels
    )


def test_sides_that_lie_apart_are_paired_over_blocks():
    volume = draw(empty((8, 50, 60)), (1, 7), (4, 28), (10, 50))
    volume[1:, 1:7, 22:40, 10:50] = volume[1:, 1:7, 10:28, 10:50].copy()
    volume[2, 1:7, 16:22, 10:50] = 0.28
    volume[1, 1:7, 16:22, 10:50] = 0.02
    volume[0, 1:7, 16:40, 10:50] = 0.02
    found = require_same(volume, [step("synapses")], (8, 19, 60), grid=VoxelGrid(NM))
    assert found.table.side.tolist() == ["paired"]


def test_a_damaged_section_between_blocks_is_mended():
    volume = draw(empty((9, 40, 60)), (1, 8), (8, 32), (10, 50))
    volume[:, 4] = 0.02
    found = require_same(volume, [step("synapses")], (4, 40, 60), grid=VoxelGrid(NM))
    assert found.labels.max() == 2
    assert found.labels[4].any()


def distant_duplicates():
    """Two synapses 300 nm apart between the same neurons, and a third between others."""
    volume = empty((8, 40, 160))
    for x in (4, 42, 110):
        draw(volume, (1, 7), (8, 32), (x, x + 26))
    neurons = np.ones(volume.shape[1:], np.uint16)
    neurons[:, 20:] = 2
    neurons[:, :, 100:] += 2
    return volume, neurons


def test_duplicates_in_different_batches_are_one():
    volume, neurons = distant_duplicates()
    apart = [step("synapses", duplicate_nm=0.0)]
    found = require_same(volume, apart, (4, 20, 40), grid=VoxelGrid(NM), neurons=neurons)
    assert len(found.table) == 3
    joined = [step("synapses", duplicate_nm=400.0)]
    found = require_same(volume, joined, (4, 20, 40), grid=VoxelGrid(NM), neurons=neurons)
    assert found.table.pre_neuron.tolist() == [1, 3]


def run_in(volume, plan, order):
    """The parts and the states of passes whose tasks are done in some order."""
    kept, state, states = {}, {}, []

    def read(box):
        return volume[(slice(None), *box.slices)]

    for one in plan:
        tasks = order(list(one.tasks(state)))
        for task in tasks:
            kept[one.name, task.name] = one.run(task, read, lambda *name: kept[name])
        state = one.combine(state, ((task, kept[one.name, task.name]) for task in tasks))
        states.append(state)
    return kept, states


def plan_for(volume, neurons=None, block_size=(4, 20, 40), **chosen):
    return passes(
        [step("synapses", **chosen)],
        shape=volume.shape[1:],
        block_size=block_size,
        grid=VoxelGrid(NM),
        neurons=None if neurons is None else lambda box: neurons[box.slices],
        batch=50,
    )


def test_the_order_of_tasks_changes_nothing_and_parts_are_plain_arrays():
    volume, neurons = distant_duplicates()
    plan = plan_for(volume, neurons, duplicate_nm=400.0)
    kept, states = run_in(volume, plan, list)
    others, other_states = run_in(volume, plan, lambda tasks: tasks[::-1])
    assert [one.name for one in plan][-3:] == ["synapses", "duplicates", "labels"]
    assert ("duplicates", "000000") in kept
    assert ("duplicates", "000001") not in kept
    assert kept.keys() == others.keys()
    for name, part in kept.items():
        for array in part:
            assert isinstance(part[array], np.ndarray)
            assert part[array].dtype != object
            assert np.array_equal(part[array], others[name][array])
    for state, other in zip(states, other_states, strict=True):
        assert state.keys() == other.keys()
        assert all(np.array_equal(state[name], other[name]) for name in state)


def test_states_do_not_grow_with_voxels():
    """The same three synapses, eight times as many voxels each."""
    sizes = []
    for factor in (1, 2):
        volume, _ = distant_duplicates()
        for axis in (1, 2, 3):
            volume = np.repeat(volume, factor, axis=axis)
        plan = plan_for(volume, block_size=(4 * factor, 20 * factor, 40 * factor), bridge_nm=0.0)
        _, states = run_in(volume, plan, list)
        sizes.append([sum(np.asarray(a).nbytes for a in state.values()) for state in states])
    assert sizes[0] == sizes[1]


def test_crowded_blocks_are_listed_once_it_is_known_that_the_volume_is_not(monkeypatch):
    volume = as_dtype(crowd(5, (8, 30, 60)), np.uint8)
    volume[:, :4, :10, :20] = 230
    monkeypatch.setattr(candidates, "MOST_UNION", 0.5)
    monkeypatch.setattr(synapses, "BY_BLOCK", ByBlock(partial(Synapses, crowd=20)))
    plan = plan_for(volume, block_size=(4, 10, 20), **SMALL)
    kept, _ = run_in(volume, plan, list)
    assert ("crowded", "0000_0000_0000") in kept
    assert sum(name == "crowded" for name, _ in kept) < 12
    require_same(volume, [step("synapses", **SMALL)], (4, 10, 20), grid=VoxelGrid(NM))


def test_a_network_that_says_yes_everywhere_is_refused_as_on_the_whole(monkeypatch):
    monkeypatch.setattr(synapses, "BY_BLOCK", ByBlock(partial(Synapses, crowd=1000)))
    volume = np.full((3, 40, 128, 128), 0.9, np.float32)
    with pytest.raises(TooMuchForegroundError) as expected:
        decode_synapses(volume, resolution=NM)
    with pytest.raises(TooMuchForegroundError) as found:
        decode_blocks(volume, [step("synapses")], block_size=(20, 64, 64), grid=VoxelGrid(NM))
    assert str(found.value) == str(expected.value)
    assert "100% of the volume" in str(found.value)
    # Nothing was listed for it.
    plan = plan_for(volume, block_size=(20, 64, 64))[:2]
    task = next(iter(plan[1].tasks({"levels": np.array([0.4, 0.9])})))
    part = plan[1].run(task, lambda box: volume[(slice(None), *box.slices)], lambda *_: {})
    assert sum(array.nbytes for array in part.values()) < 1000


def test_foreground_that_hangs_together_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("connectomics.decoding.blockwise.batches.MOST", 1000)
    volume = draw(empty((8, 40, 60)), (1, 7), (8, 32), (10, 50))
    with pytest.raises(TooMuchForegroundError, match="voxels of foreground hang together"):
        decode_blocks(volume, [step("synapses")], block_size=(8, 20, 20), grid=VoxelGrid(NM))


@pytest.mark.parametrize("missing", ["resolution", "neurons"])
def test_what_does_not_fit_is_refused(missing):
    volume = empty((2, 5, 7))
    given_ones = {"grid": VoxelGrid(NM), "neurons": np.ones((2, 5, 7), int)}
    given_ones |= {"grid": NOWHERE} if missing == "resolution" else {"neurons": np.ones((2, 5, 8))}
    with pytest.raises(DataError, match=f"the {missing} "):
        decode_blocks(volume, [step("synapses")], block_size=(1, 5, 5), **given_ones)


def test_nothing_gives_an_empty_table():
    found = require_same(
        empty((2, 5, 7)),
        [step("synapses")],
        (1, 3, 3),
        grid=VoxelGrid(NM),
        neurons=np.ones((2, 5, 7), int),
    )
    assert len(found.table) == len(found.partners) == 0


def test_blocks_are_numbered_and_named():
    blocks = Blocks((5, 6, 7), (2, 3, 4))
    index = np.arange(5 * 6 * 7)
    for number, places in blocks.split(index):
        assert blocks.number(blocks.name(number)) == number
        inner = blocks.to_block(number, index[places])
        assert np.array_equal(inner, np.arange(blocks.box(number).size))
        assert np.array_equal(blocks.to_volume(number, inner), index[places])
