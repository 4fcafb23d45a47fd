"""Settings of the modes that need no config."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectomics.config.file_settings import read_settings
from connectomics.config.schema.files import DecodeFiles, EvaluateFiles
from connectomics.errors import ConfigError, Fault


def said(*overrides: str, **options) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read_settings(EvaluateFiles, overrides, **options)
    return [str(fault).removeprefix("command line: ") for fault in raised.value.faults]


def test_what_a_user_writes():
    section = read_settings(
        EvaluateFiles,
        [
            "truth=a.h5::volumes/labels",
            "prediction='~/b c.h5'",
            "resolution=[30,8,8]",
            "metrics=[jaccard,{name: points, kwargs: {radius_nm: 100}}]",
            "metrics[0]=detection",
            "ignore_border=true",
        ],
    )
    assert (section.truth, section.prediction) == (
        "a.h5::volumes/labels",
        str(Path.home() / "b c.h5"),
    )
    assert section.resolution == (30.0, 8.0, 8.0)
    assert [metric.name for metric in section.metrics] == ["detection", "points"]
    assert section.metrics[1].kwargs == {"radius_nm": 100}
    assert section.ignore_border
    assert read_settings(DecodeFiles, ["exports=[cave]", "~exports"]).exports == ()


def test_every_fault_at_once():
    assert said("truht=a.h5", "resolution=[30,8]", "iou_thresholds=[0.5,2]", "zebra=1") == [
        "iou_thresholds[1]: has to be 1 or less, not 2.",
        "resolution: has to be a list of 3, not [30, 8].\n"
        "  One number for each axis, [z, y, x], nm per voxel, such as [30, 8, 8].",
        "truht: no such key.\n  Did you mean 'truth'?",
        "zebra: no such key.\n  Choices: annotations, ignore_border, image, iou_thresholds, mask, "
        "metrics, neurons, output, prediction, prediction_encoding, resolution, system, table, "
        "truth, truth_encoding, viewer.",
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("truth=1", "truth: has to be text, not 1.\n  Put it in quotes: \"1\""),
        ("truth=", "truth: has to be text that is not empty, not ''."),
        ("truth_encoding=semantc", "truth_encoding: has to be 'auto', 'polarity', 'semantic', "
         "'instance' or 'binary', not 'semantc'.\n  Did you mean 'semantic'?"),
        ("model/rsunet=small", "model/rsunet=small: presets are parts of a config.\n"
         "  Name one: --config FILE."),
        ("~truth", "~truth: there is no such key to take out.\n"
         "  The config does not write it; its default holds."),
        ("metrics[0]=polarity", "metrics[0]=polarity: metrics is no list that the config writes "
         "out.\n  Give all of it: 'metrics=[...]'."),
        ("truth=~/a.h5", "truth=~/a.h5: is not in Hydra's grammar (token recognition error at: "
         "'~').\n  Put the value in quotes: 'truth=\"~/a.h5\"'"),
    ],
)  # fmt: skip
def test_faults(override: str, message: str):
    assert said(override) == [message]


def test_there_are_no_stages():
    (fault,) = said("test.truth=a.h5")
    assert fault.startswith("test: no such key.\n  Choices: annotations, ")


def test_checks_see_what_was_meant_and_keep_quiet_about_what_could_not_be_read():
    def check(section: EvaluateFiles):
        yield Fault("truth", f"is {section.truth}.")
        yield Fault("resolution", "is odd.")

    assert said("truht=a.h5", "resolution=3", checks=[check]) == [
        "resolution: has to be a list, not 3.\n"
        "  One number for each axis, [z, y, x], nm per voxel: [3, 3, 3]",
        "truht: no such key.\n  Did you mean 'truth'?",
        "truht: is a.h5.",
    ]
