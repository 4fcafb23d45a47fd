"""decode_synapses: the baseline is its special case, and what it can do beyond."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from decoding_oracle import same_synapses
from decoding_volumes import DTYPES, STYLES, as_dtype, empty_channels, random_volume, shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from synapse_volumes import NM, draw, empty

from connectomics.decoding import (
    BASELINE,
    TABLE_COLUMNS,
    decode_synapses,
    polarity2instance,
    synapse_table,
)
from connectomics.errors import ConfigError, DataError

VOXEL = 30.0 * 8 * 8


@settings(max_examples=150, deadline=None)
@given(
    volume=st.builds(
        random_volume,
        st.integers(0, 10_000),
        shapes,
        st.sampled_from(STYLES),
        st.sampled_from(DTYPES),
        empty_channels,
    ),
    thres=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    thres_small=st.sampled_from([0, 1, 3, 8]),
    dilate_sz=st.sampled_from([0, 1, 2, 5, 8]),
    exclusive=st.booleans(),
)
def test_with_every_point_off_it_is_the_baseline(volume, thres, thres_small, dilate_sz, exclusive):
    found = decode_synapses(
        volume,
        resolution=NM,
        **BASELINE
        | {
            "thres": thres,
            "min_piece_nm3": thres_small * VOXEL,
            "bridge_nm": dilate_sz * 8.0,
            "exclusive": exclusive,
        },
    )
    expected = polarity2instance(
        volume, thres=thres, thres_small=thres_small, dilate_sz=dilate_sz, exclusive=exclusive
    )
    assert np.array_equal(found.labels, expected)
    assert found.labels.dtype == expected.dtype
    assert len(found.table) == (int(expected.max()) + 1) // 2


def two_synapses(gap):
    """Two synapses side by side, `gap` columns apart."""
    volume = empty((8, 40, 100))
    draw(volume, (1, 7), (8, 32), (8, 48 - gap))
    return draw(volume, (1, 7), (8, 32), (48, 90))


def test_two_synapses_four_pixels_apart_that_the_baseline_merges():
    volume = two_synapses(4)
    assert polarity2instance(volume).max() == 2
    labels = decode_synapses(volume, resolution=NM).labels
    assert set(np.unique(labels[4, 12])) == {0, 1, 3}
    assert set(np.unique(labels[4, 28])) == {0, 2, 4}
    assert (labels[4, 12, 8:44] == 1).all()
    assert (labels[4, 12, 48:90] == 3).all()


@pytest.mark.parametrize("gap_p", [0.2, 0.35])
def test_they_are_told_apart_where_the_gap_is_not_empty(gap_p):
    volume = two_synapses(4)
    volume[:2, 1:7, 8:20, 44:48] = [[[[gap_p]]], [[[0.02]]]]
    volume[:2, 1:7, 20:32, 44:48] = [[[[0.02]]], [[[gap_p]]]]
    volume[2, 1:7, 8:32, 44:48] = gap_p
    assert decode_synapses(volume, resolution=NM).labels.max() == 4


@pytest.mark.parametrize("gap", [0, 6])
def test_three_post_partners_of_one_pre_are_three_rows(gap):
    volume = empty((8, 40, 100))
    draw(volume, (1, 7), (8, 32), (6, 94))
    neurons = np.ones((8, 40, 100), np.uint32)
    for k, start in enumerate((6, 38, 70)):
        neurons[:, 20:, start - 4 : start + 28] = 10 + k
    if gap:
        for start in (32, 64):
            volume[1:, 1:7, 20:32, start : start + gap] = 0.02
    found = decode_synapses(volume, resolution=NM, neurons=None if gap else neurons)
    assert len(found.table) == 3
    assert (found.table.side == "paired").all()
    assert found.table.post_x_nm.is_monotonic_increasing
    # Each has the part of the pre side that lies nearest.
    assert (found.table.pre_x_nm - found.table.post_x_nm).abs().max() <= 5 * 8
    if not gap:
        assert found.table.post_neuron.tolist() == [10, 11, 12]
        assert found.table.pre_neuron.tolist() == [1, 1, 1]
        assert not found.partners.autapse.any()


def test_a_synapse_cut_by_one_damaged_section_is_mended():
    volume = draw(empty((9, 40, 60)), (1, 8), (8, 32), (10, 50))
    volume[:, 4] = 0.02
    assert polarity2instance(volume).max() == 4
    labels = decode_synapses(volume, resolution=NM).labels
    assert labels.max() == 2
    assert np.array_equal(labels[4], labels[3])
    cut = decode_synapses(volume, resolution=NM, mend_sections=0, split_saddle=None).labels
    assert cut.max() == 4


def test_strays_do_not_count():
    volume = draw(empty((8, 40, 60)), (1, 7), (8, 32), (10, 50))
    volume[:2, 3:5, 12:15, 20:24] = [[[[0.1]]], [[[0.9]]]]  # post within pre
    volume[:2, 2:4, 24:27, 40:44] = [[[[0.9]]], [[[0.1]]]]  # pre within post
    labels = decode_synapses(volume, resolution=NM).labels
    assert (labels[1:7, 8:20, 10:50] == 1).all()
    assert (labels[1:7, 20:32, 10:50] == 2).all()


def one_sided_answers():
    """A pre side that is certain, one that is likely, and a post side that is weak."""
    volume = empty((8, 40, 150))
    volume[[0, 2], 1:7, 8:32, 8:40] = 0.99
    volume[[0, 2], 1:7, 8:32, 60:92] = 0.9
    volume[[1, 2], 1:7, 8:32, 112:144] = 0.55
    return volume


def test_what_is_one_sided_is_flagged_where_it_is_certain():
    table = decode_synapses(one_sided_answers(), resolution=NM).table
    assert table.side.tolist() == ["pre_only"]
    assert 0.42 <= table.confidence[0] < 0.45
    assert table[["post_x_nm", "post_y_nm", "post_z_nm"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("settings", "sides"),
    [
        ({"one_sided": 0.0}, []),
        ({"one_sided": 0.5}, ["pre_only", "pre_only"]),
        ({"one_sided": 1.0}, ["pre_only", "pre_only", "post_only"]),
        ({"min_confidence": 0.0}, ["pre_only", "pre_only", "post_only"]),
    ],
)
def test_how_much_one_side_is_worth_can_be_set(settings, sides):
    table = decode_synapses(one_sided_answers(), resolution=NM, **settings).table
    assert table.side.tolist() == sides


def test_sides_that_were_found_apart_are_paired():
    volume = draw(empty((8, 50, 60)), (1, 7), (4, 28), (10, 50))
    volume[1:, 1:7, 22:40, 10:50] = volume[1:, 1:7, 10:28, 10:50].copy()
    volume[2, 1:7, 16:22, 10:50] = 0.28  # a cleft that is hardly seen
    volume[1, 1:7, 16:22, 10:50] = 0.02
    volume[0, 1:7, 16:40, 10:50] = 0.02
    apart = decode_synapses(volume, resolution=NM, pair_nm=0, one_sided=1)
    assert apart.table.side.tolist() == ["pre_only", "post_only"]
    assert decode_synapses(volume, resolution=NM).table.side.tolist() == ["paired"]


def test_confidence_follows_the_network():
    volume = empty((8, 40, 100))
    draw(volume, (1, 7), (8, 32), (8, 40), p=0.95)
    draw(volume, (1, 7), (8, 32), (60, 92), p=0.6)
    table = decode_synapses(volume, resolution=NM).table
    strong, weak = table.confidence
    assert 0 < weak < strong < 1
    assert table.polarity_margin.tolist() == pytest.approx([1, 0.58 / 0.93], abs=0.01)
    as_they_are = decode_synapses(volume, resolution=NM, adapt=False).table
    assert as_they_are.polarity_margin.tolist() == pytest.approx([0.93, 0.58], abs=0.01)
    calibration = {"method": "platt", "slope": 2.0, "intercept": 0.0}
    calibrated = decode_synapses(volume, resolution=NM, calibration=calibration).table
    odds = strong / (1 - strong)
    assert calibrated.confidence[0] == pytest.approx(odds**2 / (1 + odds**2))


def test_duplicates_between_the_same_neurons_are_one():
    volume = two_synapses(4)
    neurons = np.ones(volume.shape[1:], np.uint16)
    neurons[:, 20:] = 2
    kwargs = {"resolution": NM, "neurons": neurons, "polyadic": False}
    assert len(decode_synapses(volume, duplicate_nm=100, **kwargs).table) == 2
    assert len(decode_synapses(volume, duplicate_nm=400, **kwargs).table) == 1


def test_autapses_are_flagged():
    volume = draw(empty((8, 40, 60)), (1, 7), (8, 32), (10, 50))
    found = decode_synapses(volume, resolution=NM, neurons=np.full((8, 40, 60), 5, np.uint64))
    assert found.partners.to_dict("records") == [
        {
            "synapse_id": 1,
            "pre_neuron": 5,
            "pre_margin": 1.0,
            "post_neuron": 5,
            "post_margin": 1.0,
            "autapse": True,
        }
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64])
def test_the_type_of_the_probabilities_hardly_matters(dtype):
    volume = two_synapses(4)
    expected = decode_synapses(volume, resolution=NM)
    found = decode_synapses(as_dtype(volume, dtype), resolution=NM)
    assert np.array_equal(found.labels, expected.labels)
    pd.testing.assert_frame_equal(found.table, expected.table, atol=0.01)


def test_exclusive_channels():
    volume = two_synapses(4)
    classes = np.stack([1 - volume[:2].sum(axis=0), *volume[:2]])
    expected = decode_synapses(volume, resolution=NM).labels
    assert np.array_equal(decode_synapses(classes, resolution=NM, exclusive=True).labels, expected)


@pytest.mark.parametrize("axes", [(1,), (2,), (3,), (1, 2, 3)])
def test_a_mirrored_volume_gives_mirrored_synapses(axes):
    volume = np.maximum(two_synapses(4), 0)
    volume[:, 4] *= 0.2
    flipped = decode_synapses(np.flip(volume, axes), resolution=NM).labels
    expected = decode_synapses(volume, resolution=NM).labels
    assert same_synapses(np.flip(flipped, [a - 1 for a in axes]), expected)


def test_a_shifted_volume_gives_shifted_synapses():
    volume = two_synapses(4)
    padded = np.pad(volume, ((0, 0), (2, 0), (5, 0), (9, 0)), constant_values=0.02)
    expected = decode_synapses(volume, resolution=NM)
    found = decode_synapses(padded, resolution=NM, offset_nm=(-60, -40, -72))
    assert np.array_equal(found.labels[2:, 5:, 9:], expected.labels)
    pd.testing.assert_frame_equal(found.table, expected.table)


def test_the_table_is_that_of_the_labels():
    volume = two_synapses(4)
    neurons = np.random.default_rng(0).integers(0, 3, volume.shape[1:])
    settings = {"polyadic": False, "adapt": False}  # the table knows the probabilities only
    found = decode_synapses(volume, resolution=NM, neurons=neurons, **settings)
    expected = synapse_table(found.labels, resolution=NM, probabilities=volume, neurons=neurons)
    pd.testing.assert_frame_equal(found.table, expected)


def test_nothing_gives_nothing():
    found = decode_synapses(empty((2, 5, 7)), resolution=NM, neurons=np.ones((2, 5, 7), int))
    assert found.labels.shape == (2, 5, 7)
    assert not found.labels.any()
    assert list(found.table.columns) == list(TABLE_COLUMNS)
    assert len(found.table) == len(found.partners) == 0


def test_many_synapses_keep_their_numbers():
    volume = np.zeros((3, 1, 4, 1800), np.float32)
    columns = np.arange(1800) % 6 < 2
    volume[0, :, :2, columns] = volume[1, :, 2:, columns] = volume[2][..., columns] = 1
    volume = np.maximum(volume, 0)
    settings = BASELINE | {"min_piece_nm3": 0.0, "bridge_nm": 0.0}
    found = decode_synapses(volume, resolution=NM, **settings)
    assert found.labels.max() == 600
    assert len(found.table) == 300


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"resolution": None}, DataError, "the resolution is None"),
        ({"resolution": (30, 8)}, DataError, r"the resolution is \(30, 8\)"),
        ({"resolution": (1e-7, 8, 8)}, DataError, r"the resolution is \(1e-07, 8, 8\)"),
        ({"neurons": np.ones((1, 2, 3), int)}, DataError, r"neurons have shape \(1, 2, 3\)"),
        ({"neurons": np.ones((2, 5, 7))}, DataError, "neurons are float64"),
        ({"hysteresis": (0.6, 0.4)}, ConfigError, r"hysteresis: \(0.6, 0.4\) is not"),
        ({"split_saddle": 2, "pair_nm": -1}, ConfigError, "pair_nm: -1 is not a distance"),
        ({"mend_sections": 0.5}, ConfigError, "mend_sections: 0.5 is not a whole number"),
        ({"calibration": {"a": 1}}, ConfigError, "is not a calibration"),
    ],
)
def test_faults_are_named(change, error, message):
    with pytest.raises(error, match=message):
        decode_synapses(empty((2, 5, 7)), **{"resolution": NM} | change)


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.ERROR)
