"""What is odd about volumes, and that ordinary ones have nothing of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connectomics.data.io import open_volume
from connectomics.data.oddities import look, oddities
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.phantom import make_phantom

VNC = Path(__file__).parents[3] / "shared" / "data" / "vnc" / "vnc_stack1.h5"


@pytest.fixture(scope="module")
def phantom():
    return make_phantom((32, 128, 128), seed=2, synapse_density_um3=4.0, damage=False)


def volume(image: np.ndarray, label: np.ndarray, name: str = "em", **more) -> LabelledVolume:
    parts = MemoryVolume(name, image), MemoryVolume(name, label)
    return LabelledVolume(name, *parts, resolution=(30, 8, 8), **more)


def texts(*volumes: LabelledVolume) -> list[str]:
    return [str(fault) for fault in oddities(volumes)]


def test_nothing_is_odd_about_a_phantom(phantom) -> None:
    one = volume(phantom.image, phantom.label, synthetic=True)
    other = volume(phantom.image, np.zeros_like(phantom.label), synthetic=True)
    assert texts(one, other) == []


@pytest.mark.skipif(not VNC.is_file(), reason="the VNC stack is not here")
def test_nothing_is_odd_about_real_em() -> None:
    raw, label = (open_volume(f"{VNC}::{name}") for name in ("raw", "synapses"))
    assert texts(LabelledVolume("vnc", raw, label, resolution=raw.resolution)) == []


def test_empty_sections_are_numbered(phantom) -> None:
    image = phantom.image.copy()
    image[3], image[9] = 0, 255
    (text,) = texts(volume(image, phantom.label))
    assert "sections 3, 9 of its image hold one value everywhere" in text


def test_a_section_that_was_not_labelled_is_found(phantom) -> None:
    label = np.zeros_like(phantom.label)
    label[4:12, 20:40, 20:40] = 1
    label[7] = 0
    (text,) = texts(volume(phantom.image, label))
    assert "section 7: no labels, though those before and after go on" in text


def test_holes_are_counted_within_sections() -> None:
    label = np.zeros((3, 16, 16), np.uint8)
    label[1, 2:12, 2:12] = 1
    label[1, 5:7, 5:7] = 0
    image = np.random.default_rng(0).integers(0, 255, label.shape, dtype=np.uint8)
    seen = look(volume(image, label))
    assert (seen.holes, seen.labelled) == (4, 96)
    assert "holes within sections, 4% of what is labelled" in texts(volume(image, label))[0]


def test_an_inverted_volume_is_named(phantom) -> None:
    usual = [volume(phantom.image, phantom.label, name) for name in ("a", "b")]
    (text,) = texts(*usual, volume(255 - phantom.image, phantom.label, "c"))
    assert text.startswith("c: what is labelled is brighter than the rest, and darker in a")


@pytest.mark.parametrize(("order", "which"), [((2, 1, 0), "last"), ((1, 0, 2), "second")])
def test_sections_along_another_axis_are_noticed(phantom, order, which: str) -> None:
    turned = volume(phantom.image.transpose(order), phantom.label.transpose(order))
    assert any(f"lie along its {which} axis" in text for text in texts(turned))
