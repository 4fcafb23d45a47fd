"""decoding.steps: what is refused when the config is read, and what decoding does."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from decoding_volumes import random_volume
from synapse_volumes import NM, draw, empty

from connectomics.config.schema import DecodingSection
from connectomics.decoding import (
    BASELINE,
    DECODERS,
    binary2instance,
    check_decoding,
    decode,
    decode_synapses,
    output_encoding,
    polarity2instance,
)
from connectomics.decoding.steps import SMALL, unlike_default, with_least
from connectomics.errors import ConfigError, DataError
from connectomics.geometry import VoxelGrid


class Step(NamedTuple):
    name: str
    kwargs: dict[str, Any] = {}


def test_every_decoder_is_declared_in_full():
    for name, decoder in DECODERS.items():
        assert decoder.function.__name__.endswith(name)
        assert decoder.no_settings[0] in ("volume", "probabilities")


@pytest.mark.parametrize(
    ("step", "channels"),
    [
        (Step("polarity2instance"), 3),
        (Step("polarity2instance"), None),
        (Step("polarity2instance", {"exclusive": False, "thres": 0.4, "thres_small": 300}), 3),
        (Step("polarity2instance", {"scale_factors": [1, 0.5, 0.5], "semantic": True}), 3),
        (Step("binary2instance", {"dilate_sz": 3}), 1),
    ],
)
def test_legal_steps(step, channels):
    assert check_decoding([step], channels=channels) == []


def test_synapses_without_a_side_cannot_be_dropped_from_semantic_labels():
    steps = [Step("polarity2instance", {"semantic": True}), Step("drop_one_sided")]
    (fault,) = check_decoding(steps)
    assert fault.where == "decoding.steps[1].name"
    assert "semantic labels have none" in fault.problem
    assert check_decoding([Step("polarity2instance"), steps[1]]) == []


def test_no_step_is_legal_until_something_is_decoded():
    assert check_decoding([], channels=3) == []
    with pytest.raises(ConfigError, match=r"decoding\.steps: there is no step"):
        decode(np.zeros((3, 1, 1, 1)), [])


@pytest.mark.parametrize(
    ("step", "channels", "message"),
    [
        (
            Step("polarity2instances"),
            3,
            "decoding.steps[0].name: there is no decoder 'polarity2instances'.\n"
            "  Did you mean 'polarity2instance'?",
        ),
        (
            Step("polarity2instance", {"exlusive": False}),
            3,
            "decoding.steps[0].kwargs.exlusive: polarity2instance has no such setting.\n"
            "  Did you mean 'exclusive'? Settings: dilate_sz, exclusive, scale_factors, semantic, "
            "thres, thres_small.",
        ),
        (
            Step("polarity2instance", {"thres": 127}),
            3,
            "decoding.steps[0].kwargs.thres: 127 is not a number in [0, 1].\n"
            "  The threshold is a probability, whatever the dtype of the volume: "
            "127 of 255 is 0.5.",
        ),
        (
            Step("polarity2instance"),
            1,
            "decoding.steps[0].name: polarity2instance reads 3 channels, but the probabilities "
            "have 1.\n  Decoders of 1 channel: binary2instance.",
        ),
        (
            Step("binary2instance"),
            2,
            "decoding.steps[0].name: binary2instance reads 1 channels, but the probabilities "
            "have 2.\n  Decoders of 2 channels: none.",
        ),
    ],
)
def test_faults(step, channels, message):
    assert [str(fault) for fault in check_decoding([step], channels=channels)] == [message]


@pytest.mark.parametrize(
    "kwargs", [{"volume": 1}, {"thres": "high"}, {"scale_factors": [1, 1]}, {"thres_small": 1.5}]
)
def test_kwargs_that_cannot_be_passed(kwargs):
    (fault,) = check_decoding([Step("polarity2instance", kwargs)], channels=3)
    assert fault.where == f"decoding.steps[0].kwargs.{next(iter(kwargs))}"


def test_all_faults_are_found_at_once():
    steps = [Step("polarity2instance", {"thres": 2, "dilate_sz": -1}), Step("binary2instance")]
    places = [fault.where for fault in check_decoding(steps, channels=4)]
    assert places == [
        "decoding.steps[0].kwargs.thres",
        "decoding.steps[0].kwargs.dilate_sz",
        "decoding.steps[0].name",
        "decoding.steps[1].name",
    ]


def test_decode_runs_the_step():
    volume = random_volume(4, (4, 20, 70), "blobs", np.float32)
    step = Step("polarity2instance", {"thres_small": 3, "dilate_sz": 0})
    expected = polarity2instance(volume, thres_small=3, dilate_sz=0)
    decoded = decode(volume, [step])
    assert np.array_equal(decoded.labels, expected)
    assert decoded.table is None  # positions in nm need a resolution
    labels = decode(volume[2:], [Step("binary2instance")]).labels
    assert np.array_equal(labels, binary2instance(volume[2]))
    assert labels.any()


def test_decode_refuses_faulty_steps():
    with pytest.raises(ConfigError, match=r"steps\[0\]\.kwargs\.thres"):
        decode(np.zeros((3, 1, 1, 1)), [Step("polarity2instance", {"thres": 2})])


@pytest.mark.parametrize(
    ("step", "encoding"),
    [
        (Step("polarity2instance"), "polarity"),
        (Step("polarity2instance", {"semantic": True}), "semantic"),
        (Step("polarity2instance", {"semantic": False}), "polarity"),
        (Step("binary2instance"), "instance"),
    ],
)
def test_output_encoding(step, encoding):
    assert output_encoding(step) == encoding


def sampled_volume():
    return draw(empty((8, 40, 60)), (1, 7), (8, 32), (10, 50))


def test_the_synapses_step_gives_a_table():
    volume = sampled_volume()
    neurons = np.ones((8, 40, 60), np.uint8)
    step = Step("synapses", {"min_confidence": 0.2, "hysteresis": [0.3, 0.6], "polyadic": False})
    decoded = decode(volume, [step], grid=VoxelGrid(NM, (90, 0, 0)), neurons=neurons)
    expected = decode_synapses(
        volume, resolution=NM, offset_nm=(90, 0, 0), neurons=neurons, **step.kwargs
    )
    assert np.array_equal(decoded.labels, expected.labels)
    pd.testing.assert_frame_equal(decoded.table, expected.table)
    pd.testing.assert_frame_equal(decoded.partners, expected.partners)
    assert output_encoding(step) == "polarity"
    with pytest.raises(DataError, match=r"resolution is None[\s\S]*data\.test\.resolution"):
        decode(volume, [step])


@pytest.mark.parametrize(
    ("kwargs", "place"),
    [
        ({"resolution": [30, 8, 8]}, "resolution"),
        ({"offset_nm": [0, 0, 0]}, "offset_nm"),
        ({"probabilities": 1}, "probabilities"),
        ({"split_sadle": 0.5}, "split_sadle"),
        ({"hysteresis": [0.5, 0.3]}, "hysteresis"),
        ({"vote": 1}, "vote"),
        ({"stray_share": 1.5}, "stray_share"),
        ({"core_nm3": -1.0}, "core_nm3"),
    ],
)
def test_faults_of_the_synapses_step(kwargs, place):
    (fault,) = check_decoding([Step("synapses", kwargs)], channels=3)
    assert fault.where == f"decoding.steps[0].kwargs.{place}"


def test_every_setting_can_be_switched_off_from_yaml():
    assert check_decoding([Step("synapses", BASELINE)], channels=3) == []


def test_the_baseline_has_a_table_where_the_resolution_is_known():
    volume = sampled_volume()
    table = decode(volume, [Step("polarity2instance")], grid=VoxelGrid(NM)).table
    assert table.side.tolist() == ["paired"]
    assert table.confidence.notna().all()
    half = Step("polarity2instance", {"scale_factors": [1, 0.5, 0.5]})
    smaller = decode(volume, [half], grid=VoxelGrid(NM)).table
    assert smaller.pre_x_nm[0] == pytest.approx(table.pre_x_nm[0], abs=16)
    assert smaller.size_nm3[0] == table.size_nm3[0]
    semantic = Step("polarity2instance", {"semantic": True})
    assert decode(volume, [semantic], grid=VoxelGrid(NM)).table is None


def test_the_baseline_names_partners_where_neurons_are_known():
    volume = sampled_volume()
    neurons = np.zeros((8, 40, 60), np.uint32)
    neurons[:, :20], neurons[:, 20:] = 5, 6  # the middle of the rows of the synapse
    decoded = decode(volume, [Step("polarity2instance")], grid=VoxelGrid(NM), neurons=neurons)
    half = Step("polarity2instance", {"scale_factors": [1, 0.5, 0.5]})
    smaller = decode(volume, [half], grid=VoxelGrid(NM), neurons=neurons)
    for found in (decoded, smaller):
        assert found.table[["pre_neuron", "post_neuron"]].values.tolist() == [[5, 6]]
        assert found.partners.autapse.tolist() == [False]
        assert found.partners.pre_margin.tolist() == [1]
    assert smaller.labels.shape == (8, 20, 30)
    assert decode(volume, [Step("polarity2instance")], grid=VoxelGrid(NM)).partners is None


@pytest.mark.parametrize(
    ("kwargs", "unlike"),
    [
        ({}, {}),
        ({"thres": 0.5, "exclusive": False, "scale_factors": [1.0, 1.0, 1.0]}, {}),
        ({"thres": 0.4, "thres_small": 128}, {"thres": 0.4}),
    ],
)
def test_settings_as_they_are_by_default_are_no_others(kwargs, unlike):
    assert unlike_default(Step("polarity2instance", kwargs)) == unlike
    assert unlike_default(Step("drop_one_sided")) == {}


def least_of(share: float, made_with: dict[str, Any], *steps: Any) -> dict[str, Any]:
    """The settings of a decoder that is told what was learned from."""
    section = DecodingSection.model_validate({"steps": steps, "least_share": share})
    return with_least(section, made_with).steps[0].kwargs


@pytest.mark.parametrize(
    ("share", "made_with", "step", "kwargs"),
    [
        (0.33, {SMALL: 6e6}, "synapses", {"min_synapse_nm3": 1.98e6}),
        (0.5, {SMALL: np.float64(6e6)}, "synapses", {"min_synapse_nm3": 3e6}),
        (0.0, {SMALL: 6e6}, "synapses", {}),
        (0.33, {}, "synapses", {}),  # of a checkpoint that does not know
        (0.33, {SMALL: 1e5}, "synapses", {}),  # the decoder itself drops that
        (0.33, {SMALL: 6e6}, "polarity2instance", {}),  # which keeps the published rule
    ],
)
def test_synapses_far_smaller_than_the_labelled_ones_are_dropped(share, made_with, step, kwargs):
    assert least_of(share, made_with, step) == kwargs


def test_a_least_size_that_is_given_stands():
    mine = {"name": "synapses", "kwargs": {"min_synapse_nm3": 5e4, "adapt": False}}
    assert least_of(0.33, {SMALL: 6e6}, mine) == mine["kwargs"]
    printed = {"name": "synapses", "kwargs": {"min_synapse_nm3": 4e4}}  # as --print-config has it
    assert least_of(0.33, {SMALL: 6e6}, printed) == {"min_synapse_nm3": 1.98e6}


def test_nothing_is_dropped_where_nothing_is_decoded():
    section = DecodingSection()
    assert with_least(section, {SMALL: 6e6}) is section
