"""polarity2instance against hand-made volumes, its oracle and the faults of its ancestor."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from decoding_oracle import plain_polarity2instance, same_synapses
from decoding_volumes import (
    DTYPES,
    STYLES,
    empty_channels,
    random_volume,
    settings_of_polarity,
    shapes,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.decoding import polarity2instance
from connectomics.errors import ConfigError
from connectomics.process import sections


def pairs_of_voxels(count):
    """`count` synapses of one pre and one post voxel each, none touching another."""
    volume = np.zeros((3, 1, 2 * -(-count // 100), 300), bool)
    for n in range(count):
        y, x = 2 * (n // 100), 3 * (n % 100)
        volume[[0, 2], 0, y, x] = True
        volume[[1, 2], 0, y, x + 1] = True
    return volume


def one_row(pre, post, union):
    """A (3, 1, 1, X) volume from strings in which # is 0.9."""
    rows = [[0.9 if letter == "#" else 0.0 for letter in row] for row in (pre, post, union)]
    return np.array(rows, np.float32)[:, None, None]


def compare_with_oracle(kwargs, **recipe):
    volume = random_volume(**recipe)
    labels = polarity2instance(volume, **kwargs)
    assert same_synapses(labels, plain_polarity2instance(volume, **kwargs))


cases = given(
    seed=st.integers(0, 2**32 - 1),
    shape=shapes,
    style=st.sampled_from(STYLES),
    dtype=st.sampled_from(DTYPES),
    empty=empty_channels,
    kwargs=settings_of_polarity,
)


@cases
@settings(max_examples=250, deadline=None)
@pytest.mark.filterwarnings("ignore:.*largest value of this uint8")
def test_agrees_with_the_oracle(kwargs, **recipe):
    compare_with_oracle(kwargs, **recipe)


@pytest.mark.slow
@cases
@settings(max_examples=2000, deadline=None)
@pytest.mark.filterwarnings("ignore:.*largest value of this uint8")
def test_agrees_with_the_oracle_2000_times(kwargs, **recipe):
    compare_with_oracle(kwargs, **recipe)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kwargs", [{}, {"exclusive": True}, {"semantic": True}])
def test_agrees_with_the_oracle_on_a_larger_volume(dtype, kwargs):
    volume = random_volume(7, (12, 70, 150), "blobs", dtype)
    labels = polarity2instance(volume, thres_small=20, **kwargs)
    assert same_synapses(labels, plain_polarity2instance(volume, thres_small=20, **kwargs))


def test_sides_cut_to_the_union_and_post_wins():
    volume = one_row("####....", ".####...", ".####...")
    labels = polarity2instance(volume, thres_small=1, dilate_sz=0)
    assert labels[0, 0].tolist() == [0, 2, 2, 2, 2, 0, 0, 0]
    labels = polarity2instance(volume, thres_small=3, dilate_sz=0, thres=0.89)
    assert labels[0, 0].tolist() == [0, 2, 2, 2, 2, 0, 0, 0]


def test_a_dropped_piece_hides_nothing_and_still_joins():
    # The post piece in the middle is too small; pre shows through, and the union holds both
    # ends together as one synapse.
    volume = one_row("#####.....", "..#....###", "##########")
    labels = polarity2instance(volume, thres_small=3, dilate_sz=0)
    assert labels[0, 0].tolist() == [1, 1, 1, 1, 1, 0, 0, 2, 2, 2]


@pytest.mark.parametrize(("size", "kept"), [(4, False), (5, True), (6, True)])
def test_a_piece_of_exactly_thres_small_is_kept(size, kept):
    volume = one_row("#" * size + "." * 9, "." * (size + 9), "#" * size + "." * 9)
    assert polarity2instance(volume, thres_small=5).any() == kept


def test_pieces_are_joined_by_faces_only():
    volume = np.zeros((3, 2, 2, 2), np.float32)
    volume[[[0], [2]], [0, 1], [0, 1], [0, 1]] = 1  # two voxels that share a corner
    assert polarity2instance(volume, thres_small=1, dilate_sz=0).max() == 3
    assert not polarity2instance(volume, thres_small=2, dilate_sz=0).any()
    volume[:, 1] = 0
    volume[[[0], [2]], 0, [0, 1], [0, 1]] = 1  # two that share an edge
    assert polarity2instance(volume, thres_small=1, dilate_sz=0).max() == 3


@pytest.mark.parametrize(("dilate_sz", "synapses"), [(0, 2), (1, 2), (4, 2), (5, 1), (6, 1)])
def test_dilation_joins_across_gaps_shorter_than_its_square(dilate_sz, synapses):
    # 4 voxels lie between the two: squares of 5 meet, squares of 4 leave one voxel.
    volume = one_row("#.....", "......", "#....#")
    volume[1, 0, 0, 5] = 0.9
    labels = polarity2instance(volume, thres_small=1, dilate_sz=dilate_sz)
    assert labels.max() == 2 * synapses


def test_dilation_stays_within_the_section():
    volume = np.zeros((3, 3, 9, 9), np.float32)
    volume[[[0], [2]], [0, 2], 4, 4] = 1
    assert polarity2instance(volume, thres_small=1, dilate_sz=9).max() == 3


def test_ids_are_consecutive_and_follow_the_scan():
    volume = one_row("#..#..#..#", "..........", "##.##.##.#")
    volume[1, 0, 0, [1, 7]] = 0.9
    volume[0, 0, 0, 3] = 0  # a union without sides gets no number
    labels = polarity2instance(volume, thres_small=1, dilate_sz=0)
    assert labels[0, 0].tolist() == [1, 2, 0, 0, 0, 0, 3, 4, 0, 5]


def test_exclusive_takes_the_first_of_equal_channels():
    volume = np.array(
        [[0.4, 0.2, 0.2, 0.3, 0.0], [0.4, 0.4, 0.3, 0.3, 0.0], [0.2, 0.4, 0.5, 0.4, 0.0]]
    )[:, None, None]
    labels = polarity2instance(volume, thres_small=1, exclusive=True)
    assert labels[0, 0].tolist() == [0, 1, 2, 2, 0]
    halves = np.array([-0.0, 0.0, 0.0], np.float16).reshape(3, 1, 1, 1)
    assert not polarity2instance(halves, thres_small=1, exclusive=True).any()
    halves = np.array([-5e-4, -2e-4, -3e-4], np.float16).reshape(3, 1, 1, 1)
    assert polarity2instance(halves, thres_small=1, exclusive=True).item() == 1


def test_semantic_ignores_instances():
    volume = one_row("##..#..", "....#.#", "##..#.#")
    labels = polarity2instance(volume, thres_small=1, semantic=True)
    assert labels[0, 0].tolist() == [1, 1, 0, 0, 2, 0, 2]
    assert labels.dtype == np.uint8


def test_scale_factors_resize_the_result():
    volume = one_row("##..", "..##", "####")
    labels = polarity2instance(volume, thres_small=1, scale_factors=(2.0, 1.0, 0.5))
    assert labels.tolist() == [[[1, 2]], [[1, 2]]]


@pytest.mark.parametrize(
    ("synapses", "dtype"),
    [
        (127, np.uint8),
        (128, np.uint16),
        (200, np.uint16),
        (300, np.uint16),
        (32768, np.uint32),
        (70_000, np.uint32),
    ],
)
def test_every_synapse_keeps_its_own_ids(synapses, dtype):
    labels = polarity2instance(pairs_of_voxels(synapses), thres_small=1, dilate_sz=0)
    assert labels.dtype == dtype
    assert np.array_equal(np.unique(labels), np.arange(2 * synapses + 1))


def test_one_value_above_one_does_not_change_the_scale():
    volume = one_row("##..", "..##", "####")
    expected = polarity2instance(volume, thres_small=1)
    volume[0, 0, 0, 0] = 1.0001
    assert np.array_equal(polarity2instance(volume, thres_small=1), expected)
    assert expected.any()


def test_masks_of_bool_do_not_vanish():
    volume = one_row("##..", "..##", "####")
    expected = polarity2instance(volume, thres_small=1)
    assert np.array_equal(polarity2instance(volume > 0.5, thres_small=1), expected)


def test_one_sided_synapses_are_reported(caplog):
    volume = one_row("##...##..", "..#.....#", "###..##.#")
    with caplog.at_level(logging.WARNING, "connectomics.decoding"):
        labels = polarity2instance(volume, thres_small=1, dilate_sz=0)
    assert labels[0, 0].tolist() == [1, 1, 2, 0, 0, 3, 3, 0, 6]
    assert caplog.messages == ["One-sided synapses: 2 of 3 (1 without post, 1 without pre)."]


def test_a_side_hidden_under_the_other_counts_as_missing(caplog):
    with caplog.at_level(logging.WARNING, "connectomics.decoding"):
        polarity2instance(one_row("##", "##", "##"), thres_small=1)
    assert caplog.messages == ["One-sided synapses: 1 of 1 (0 without post, 1 without pre)."]


def test_nothing_to_report(caplog):
    with caplog.at_level(logging.WARNING, "connectomics.decoding"):
        polarity2instance(one_row("##..", "..##", "####"), thres_small=1)
        labels = polarity2instance(np.zeros((3, 2, 3, 4), np.uint8))
    assert not caplog.messages
    assert labels.shape == (2, 3, 4)
    assert labels.dtype == np.uint8
    assert not labels.any()


def test_the_input_is_left_alone():
    volume = random_volume(3, (4, 20, 70), "blobs", np.float32)
    before = volume.copy()
    polarity2instance(volume)
    polarity2instance(volume, exclusive=True)
    assert np.array_equal(volume, before)


@pytest.mark.parametrize("cpus", [2, 5])
def test_threads_do_not_change_a_single_id(monkeypatch, cpus):
    volume = random_volume(5, (9, 40, 130), "blobs", np.uint8)
    monkeypatch.setattr(sections, "FEW", 0)
    results = []
    for threads in (1, cpus):
        monkeypatch.setattr(sections, "available_cpus", lambda threads=threads: threads)
        results.append(polarity2instance(volume, thres=0.6, thres_small=3, dilate_sz=0))
    assert results[0].max() > 20
    assert np.array_equal(*results)


def test_illegal_settings_are_named_together():
    with pytest.raises(ConfigError) as caught:
        polarity2instance(np.zeros((3, 1, 1, 1)), thres=127, thres_small=-1, dilate_sz=2.5)
    message = str(caught.value)
    for place in ("thres: 127", "thres_small: -1", "dilate_sz: 2.5"):
        assert f"polarity2instance.{place}" in message
