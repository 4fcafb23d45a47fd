"""Likely slips in values."""

from __future__ import annotations

from typing import Any

import pytest

from connectomics.config.schema import Config
from connectomics.config.slips import likely_slip
from connectomics.config.validation import validate_as


def test_no_slip_is_seen_in_a_text_without_end_and_no_empty_list_is_offered():
    expected = "settings, each as 'key: value'"
    assert "model/rsunet=demo" in likely_slip(("model", "rsunet"), "demo", expected, Config)
    assert likely_slip(("model", "rsunet"), "x" * 5000, expected, Config) == ""
    assert likely_slip(("model",), "demo", expected, Config) == ""


DICE = {"function": "DiceLoss"}


@pytest.mark.parametrize(
    ("tree", "remedies"),
    [
        ({"model": {"loss": {"losses": DICE}}}, ["Write it in brackets: [{function: DiceLoss}]"]),
        ({"model": {"loss": {"losses": "DiceLoss"}}},
         ["Write it in brackets: [{function: DiceLoss}]"]),
        ({"inference": {"model": {"channel_activations": "sigmoid"}}}, [""]),
        ({"data": {"dataloader": {"patch_size": "4x8x8"}}}, ["Write it in brackets: [4, 8, 8]"]),
        ({"data": {"dataloader": {"patch_size": ["4 32 32"]}}},
         ["Put commas between numbers: 4, 32, 32", ""]),
        ({"data": {"train": "em.h5"}}, ["Write data.train: {image: em.h5}."]),
        ({"model": {"loss": DICE}}, ["There is model.loss.losses[0].function."]),
        ({"evaluation": {"metrics": "polarity"}}, ["Write it in brackets: [polarity]"]),
        ({"data": {"augmentation": {"flip": True}}},
         ["Write {} for its usual settings, null to leave it out."]),
        ({"decoding": {"steps": [{"synapses": {}}]}},
         ["Write name: synapses",
          "Settings go to kwargs: {synapses: ...}. Choices: kwargs, name."]),
        ({"decoding": {"steps": [{"name": "synapses", "trim": 0}]}},
         ["Settings go to kwargs: {trim: ...}. Choices: kwargs, name."]),
    ],
)  # fmt: skip
def test_what_was_meant(tree: dict[str, Any], remedies: list[str]):
    assert [fault.remedy for fault in validate_as(Config, tree).faults] == remedies
