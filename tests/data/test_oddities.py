"""What is odd about volumes, and that ordinary ones have nothing of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from connectomics.data.io import open_volume, save_volume
from connectomics.data.oddities import look, oddities
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.errors import DataError
from connectomics.geometry import Box, VoxelGrid
from connectomics.phantom import make_phantom

VNC = Path(__file__).parents[3] / "shared" / "data" / "vnc" / "vnc_stack1.h5"


@pytest.fixture(scope="module")
def phantom():
    return make_phantom((32, 128, 128), seed=2, synapse_density_um3=4.0, damage=False)


def volume(image: np.ndarray, label: np.ndarray, name: str = "em", **more) -> LabelledVolume:
    parts = MemoryVolume(name, image, VoxelGrid((30, 8, 8))), MemoryVolume(name, label)
    return LabelledVolume(name, *parts, **more)


def texts(*volumes: LabelledVolume) -> list[str]:
    return [str(fault) for fault in oddities(volumes, sided=True)]


@pytest.fixture(scope="module")
def dense():
    """30 synapses with a density on the post side, which lies below the pre side."""
    rng = np.random.default_rng(0)
    image = rng.normal(150, 20, (40, 128, 128))
    label = np.zeros(image.shape, np.uint16)
    for number, (y, x) in enumerate(np.ndindex(5, 6)):
        z = rng.integers(0, 34)
        drift = rng.integers(-2, 3)
        for depth in range(6):
            top, left = 4 + 24 * y + abs(drift) + drift * depth // 3, 4 + 20 * x + depth
            image[z + depth, top + 3 : top + 6, left : left + 12] -= 80
            label[z + depth, top : top + 3, left : left + 12] = 2 * number + 1
            label[z + depth, top + 3 : top + 6, left : left + 12] = 2 * number + 2
    return np.clip(image, 0, 255).astype(np.uint8), label


def exchanged(label: np.ndarray) -> np.ndarray:
    return np.where(label > 0, label + np.where(label % 2, 1, -1), 0).astype(label.dtype)


def test_nothing_is_odd_about_a_phantom(phantom) -> None:
    one = volume(phantom.image, phantom.label, synthetic=True)
    other = volume(phantom.image, np.zeros_like(phantom.label), synthetic=True)
    assert texts(one, other) == []


def test_labels_of_other_sections_are_noticed_where_these_are_thick(dense) -> None:
    image, label = dense
    assert texts(volume(image, label)) == []
    (late,) = texts(volume(image, np.roll(label, 1, axis=0)))
    assert "its labels fit the image best 1 section before theirs" in late
    (early,) = texts(volume(255 - image, np.roll(label, -2, axis=0)))
    assert "best 2 or more sections after theirs" in early
    thin = volume(image, np.roll(label, 1, axis=0))
    assert texts(replace(thin, image=thin.image.with_grid(VoxelGrid((8, 8, 8))))) == []


def test_few_synapses_say_nothing_of_a_shift(dense) -> None:
    image, label = dense
    few = np.roll(np.where(label <= 10, label, 0), 1, axis=0)
    assert texts(volume(image, few)) == []


def test_sides_are_compared_between_volumes_and_never_judged_in_one(dense) -> None:
    image, label = dense
    turned = volume(image, exchanged(label), "turned")
    assert texts(turned) == []
    (text,) = texts(volume(image, label, "a"), volume(image, label, "b"), turned)
    assert text.startswith("turned: its pre sides are darker than its post sides, and in a it is")
    # Where labels have no sides, numbers are odd or even by chance.
    assert not oddities([volume(image, label), turned])


def test_sections_that_nobody_labelled_yet_are_told_from_ones_without_synapses(dense) -> None:
    image, label = dense
    partly = label.copy()
    partly[20:] = 0
    (text,) = texts(volume(image, partly))
    assert "sections 20-39 have no labels, where the others would let expect" in text
    # What the remedy says is taken: where nothing counts, nothing is missed.
    mask = np.ones(label.shape, np.uint8)
    mask[20:] = 0
    assert texts(volume(image, partly, mask=MemoryVolume("mask", mask))) == []
    assert texts(volume(image, np.where(label <= 8, label, 0))) == []


@pytest.mark.skipif(not VNC.is_file(), reason="the VNC stack is not here")
def test_nothing_is_odd_about_real_em() -> None:
    raw, label = (open_volume(f"{VNC}::{name}") for name in ("raw", "synapses"))
    assert texts(LabelledVolume("vnc", raw, label)) == []


def test_nan_is_refused_with_its_place(phantom) -> None:
    image = phantom.image.astype(np.float32)
    assert texts(volume(image, phantom.label)) == []
    image[5, 3, 7] = np.nan
    with pytest.raises(DataError, match=r"em: the image holds nan at voxel \(5, 3, 7\)"):
        texts(volume(image, phantom.label))


def test_empty_sections_are_numbered(phantom) -> None:
    image = phantom.image.copy()
    image[3], image[9] = 0, 255
    (text,) = texts(volume(image, phantom.label))
    assert "sections 3, 9 of its image hold one value everywhere" in text


def test_sections_of_a_part_are_numbered_as_in_its_file(phantom, tmp_path) -> None:
    image, label = phantom.image.copy(), np.zeros_like(phantom.label)
    image[9], label[4:12, 20:40, 20:40], label[7] = 0, 1, 0
    for name, array in (("em", image), ("syn", label)):
        save_volume(tmp_path / f"{name}.h5", array, resolution=phantom.resolution)
    files = (open_volume(str(tmp_path / f"{name}.h5")) for name in ("em", "syn"))
    whole = LabelledVolume("em", *files)
    empty, unlabelled = texts(whole.crop(Box((4, 0, 0), (12, *image.shape[1:]))))
    assert "section 9 of its image" in empty
    assert "section 7: no labels" in unlabelled


def test_a_section_that_was_not_labelled_is_found(phantom) -> None:
    label = np.zeros_like(phantom.label)
    label[4:12, 20:40, 20:40] = 1
    label[7] = 0
    (text,) = texts(volume(phantom.image, label))
    assert "section 7: no labels, though those before and after go on" in text
    label[8] = 0
    (text,) = texts(volume(phantom.image, label))
    assert "sections 7, 8: no labels, though those before and after go on" in text
    mask = np.ones(label.shape, np.uint8)
    mask[7:9] = 0
    assert texts(volume(phantom.image, label, mask=MemoryVolume("mask", mask))) == []


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
