"""From the `data.augmentation` section to an augmenter."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

from connectomics.data.augmentation import (
    AUGMENTATIONS,
    Affine,
    Flip,
    MissingSection,
    Noise,
    build_augmentation,
    check_augmentation,
)
from connectomics.errors import ConfigError


def test_null_and_enabled_switch_off() -> None:
    augmenter = build_augmentation(
        {"flip": None, "affine": {"enabled": False}, "noise": {"enabled": True, "shot": 0.0}}
    )
    assert augmenter.geometric == ()
    assert augmenter.image == (Noise(shot=0.0),)


@pytest.mark.parametrize("spec", [None, {}])
def test_no_section_is_no_augmentation(spec) -> None:
    assert check_augmentation(spec) == []
    assert build_augmentation(spec).geometric == ()


def test_the_order_of_application_is_not_the_order_in_the_config() -> None:
    augmenter = build_augmentation({"missing_section": {}, "noise": {}, "affine": {}, "flip": {}})
    assert augmenter.geometric == (Flip(), Affine())
    assert augmenter.image == (Noise(), MissingSection())


def test_every_name_builds_from_its_defaults_and_has_a_prob() -> None:
    for name, kind in AUGMENTATIONS.items():
        assert 0 < inspect.signature(kind).parameters["prob"].default <= 1
        augmenter = build_augmentation({name: {}})
        assert augmenter.geometric + augmenter.image == (kind(),)


def test_lists_from_yaml_do_for_tuples() -> None:
    (flip,) = build_augmentation({"flip": {"prob": 1, "axes": [2]}}).geometric
    image = np.array([[[1.0, 2.0]]], np.float32)
    assert flip(image, rng=np.random.default_rng(0))[0].tolist() == [[[2.0, 1.0]]]


@pytest.mark.parametrize(
    ("spec", "where", "words"),
    [
        ({"flp": {}}, "data.augmentation.flp", "Did you mean 'flip'?"),
        ({"flp": None}, "data.augmentation.flp", "no such augmentation"),
        ({"zebra": {}}, "data.augmentation.zebra", "missing_section"),
        ({"flip": {"prop": 0.5}}, "data.augmentation.flip.prop", "Settings: axes, prob."),
        ({"flip": {"prob": "often"}}, "data.augmentation.flip.prob", "'often'"),
        ({"flip": {"prob": "0.5"}}, "data.augmentation.flip.prob", "a valid number"),
        ({"flip": {"prob": 1.5}}, "data.augmentation.flip.prob", "1.5"),
        ({"flip": {"axes": [3]}}, "data.augmentation.flip.axes", "Axes: 0, 1, 2."),
        ({"flip": True}, "data.augmentation.flip", "null to switch it off"),
        ({"flip": {"enabled": "yes"}}, "data.augmentation.flip.enabled", "'yes'"),
        ({"noise": {"shot": [1]}}, "data.augmentation.noise.shot", "[1]"),
        ({"missing_parts": {"fill": "red"}}, "data.augmentation.missing_parts.fill", "'mean'"),
        ({"elastic": {"amplitude": 60}}, "data.augmentation.elastic.amplitude", "spacing"),
        ({"affine": {"scale": -1, "enabled": False}}, "data.augmentation.affine.scale", "-1"),
    ],
)
def test_faults(spec, where: str, words: str) -> None:
    (fault,) = check_augmentation(spec)
    assert fault.where == where
    assert words in str(fault)


def test_all_faults_come_at_once() -> None:
    spec = {"flp": {}, "noise": {"loud": 1, "shot": "x"}}
    with pytest.raises(ConfigError) as caught:
        build_augmentation(spec)
    assert [fault.where for fault in caught.value.faults] == [
        "data.augmentation.flp",
        "data.augmentation.noise.loud",
        "data.augmentation.noise.shot",
    ]


def test_reading_a_config_loads_neither_torch_nor_numba() -> None:
    code = (
        "import sys; from connectomics.data.augmentation import check_augmentation as c;"
        "assert c({'elastic': {}, 'flp': {}}); print({'torch', 'numba', 'monai'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
