"""Volumes whose sections do not lie along the first axis are told, and no others."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.data.axis_order import axis_doubts, warn_of_axes
from connectomics.data.io import open_volume
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.errors import DataWarning
from connectomics.geometry import VoxelGrid
from connectomics.phantom import make_phantom

VNC = Path(__file__).parents[3] / "shared" / "data" / "vnc" / "vnc_stack1.h5"
THICK = (30, 8, 8)
LAST, SECOND = (
    "along its last axis, as in (x, y, z) or",
    "along its second axis, as in (y, z, x) or",
)
ORDERS = [((2, 1, 0), LAST), ((1, 2, 0), LAST), ((1, 0, 2), SECOND), ((2, 0, 1), SECOND)]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return make_phantom((40, 128, 128), seed=2, damage=False).image


def doubts(image: np.ndarray, size: tuple[float, float, float] | None) -> list[str]:
    volume = LabelledVolume("em", MemoryVolume("em", image, VoxelGrid(size)))
    return [str(doubt) for doubt in axis_doubts(volume)]


@pytest.mark.parametrize(("order", "said"), ORDERS)
def test_sections_along_another_axis_are_told(image, order, said: str) -> None:
    turned = image.transpose(order)
    (text,) = doubts(turned, THICK)
    assert text.startswith("em: its sections seem to lie ")
    assert said in text
    # Without a voxel size the axis has to be the shortest as well.
    assert said in doubts(turned, None)[0]
    assert doubts(image[:, :70, :70].transpose(order), None) == []


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_nothing_is_said_where_sections_lie_as_they_should(image, order) -> None:
    assert doubts(image.transpose(order), THICK) == []
    assert doubts(image.transpose(order), None) == []
    assert doubts(image[:1], THICK) == []
    assert doubts(np.zeros_like(image), THICK) == []


def test_of_voxels_as_thick_as_wide_nothing_is_told(image) -> None:
    assert doubts(image.T, (8, 8, 8)) == []


def test_what_stripes_each_section_differs_between_sections_too(image) -> None:
    stripes = np.random.default_rng(0).normal(0, 40, (*image.shape[:2], 1))  # lines of a scan
    assert doubts(image + stripes, THICK) == []


@pytest.mark.skipif(not VNC.is_file(), reason="the VNC stack is not here")
def test_real_em_is_told_by_its_sections_anywhere_in_it() -> None:
    raw = open_volume(f"{VNC}::raw").read()
    for y in range(0, 1024, 128):
        part = raw[:, y : y + 128, y // 2 : y // 2 + 128]
        assert doubts(part, (50, 4.6, 4.6)) == []
        for order, said in ORDERS:
            assert said in doubts(part.transpose(order), (50, 4.6, 4.6))[0]


@pytest.mark.parametrize(("stated", "command"), [(None, True), ("zyx", False)])
def test_what_a_file_says_of_its_axes_has_to_be_corrected(tmp_path, image, stated, command):
    with h5py.File(tmp_path / "em.h5", "w") as file:
        file["main"] = image.T
        if stated:
            file["main"].attrs["axes"] = stated
    volume = open_volume(str(tmp_path / "em.h5")).with_grid(VoxelGrid(THICK))
    (doubt,) = axis_doubts(LabelledVolume("em", volume))
    assert ("attrs['axes'] = 'xyz'" in doubt.remedy) is command
    assert ("em.h5 says of its axes already has to be corrected" in doubt.remedy) is not command


def test_a_warning_names_each_volume(image) -> None:
    turned = [
        LabelledVolume(name, MemoryVolume(name, image.T, VoxelGrid(THICK))) for name in ("a", "b")
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_axes(turned)
    assert [(one.category, str(one.message)[:2]) for one in caught] == [
        (DataWarning, "a:"),
        (DataWarning, "b:"),
    ]
