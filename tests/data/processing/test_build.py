from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest

from connectomics.config.schema.base import NamedSection
from connectomics.data.processing import (
    TARGETS,
    binary,
    build_targets,
    channel_names,
    check_targets,
    polarity,
    target_channels,
)
from connectomics.data.processing.build import learns_sides
from connectomics.data.processing.target import Target, seg_to_polarity

LABEL = np.array([[[0, 1, 2, 3]]], np.uint8)


def specs(*targets: tuple[str, dict[str, Any]]) -> list[NamedSection]:
    return [NamedSection(name=name, kwargs=kwargs) for name, kwargs in targets]


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_builds_and_passes_its_check(name: str) -> None:
    chosen = specs((name, {}))
    assert check_targets(chosen) == []
    target = build_targets(chosen)(LABEL)
    assert target.dtype == np.float32
    assert target.shape == (target_channels(chosen), 1, 1, 4)


@pytest.mark.parametrize(
    ("targets", "channels"),
    [
        ([("polarity", {})], 3),
        ([("polarity", {"exclusive": True})], 1),
        ([("binary", {})], 1),
        ([("polarity", {"exclusive": False}), ("binary", {})], 4),
        ([("binary", {}), ("polarity", {"exclusive": True})], 2),
    ],
)
def test_channels_are_counted(targets: list[tuple[str, dict[str, Any]]], channels: int) -> None:
    assert target_channels(specs(*targets)) == channels


def test_channels_come_in_the_order_of_the_list() -> None:
    made = build_targets(specs(("binary", {}), ("polarity", {"exclusive": True})))(LABEL)
    assert np.array_equal(made, np.concatenate([binary(LABEL), polarity(LABEL, exclusive=True)]))


def test_the_function_can_be_carried_into_workers() -> None:
    function = build_targets(specs(("polarity", {"exclusive": True})))
    again = pickle.loads(pickle.dumps(function))
    assert np.array_equal(again(LABEL), function(LABEL))


def test_probability_channels_have_names() -> None:
    assert channel_names(specs(("polarity", {}), ("binary", {}))) == [
        "pre",
        "post",
        "union",
        "synapse",
    ]
    assert channel_names(specs(("polarity", {"exclusive": True}))) == ["background", "pre", "post"]


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_names_its_channels(name: str) -> None:
    assert len(channel_names(specs((name, {})))) == target_channels(specs((name, {})))


def test_faults_name_place_and_remedy() -> None:
    faults = check_targets(
        specs(
            ("polarty", {}),
            ("polarity", {"exlusive": True}),
            ("polarity", {"exclusive": "maybe"}),
            ("binary", {"label": 3}),
        )
    )
    assert [fault.where for fault in faults] == [
        "data.label_transform.targets[0].name",
        "data.label_transform.targets[1].kwargs.exlusive",
        "data.label_transform.targets[2].kwargs.exclusive",
        "data.label_transform.targets[3].kwargs.label",
    ]
    assert faults[0].remedy == "Did you mean 'polarity'?"
    assert "Did you mean 'exclusive'?" in faults[1].remedy


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_that_can_be_classes_names_them(name: str) -> None:
    exclusive = "exclusive" in inspect.signature(TARGETS[name].function).parameters
    assert bool(TARGETS[name].classes) == exclusive


def test_the_record_says_whether_a_target_needs_sides(monkeypatch):
    assert learns_sides([NamedSection(name="binary"), NamedSection(name="polarity")])
    assert not learns_sides([NamedSection(name="binary")])
    monkeypatch.setitem(TARGETS, "sides", Target(seg_to_polarity, ("pre", "post"), sided=True))
    assert learns_sides([NamedSection(name="sides")])
