from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from connectomics.data.io import open_volume, save_volume
from connectomics.data.io.levels import coarser_levels
from connectomics.geometry import Box

VALUES = np.arange(4 * 10 * 13).reshape(4, 10, 13).astype(np.uint16)


def image(folder: Path, scales: list[list[float]], axes: str = "zyx") -> Path:
    """An image whose level n is every (n + 1)th voxel of y and x, with any scales."""
    group = zarr.create_group(folder / "em.zarr")
    inner = group.create_group("volumes")
    datasets = []
    for n, scale in enumerate(scales):
        inner.create_array(f"s{n}", data=VALUES[:, :: n + 1, :: n + 1])
        steps = [{"type": "scale", "scale": scale}]
        datasets.append({"path": f"s{n}", "coordinateTransformations": steps})
    named = [{"name": a, "type": "space", "unit": "nanometer"} for a in axes]
    inner.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": named, "datasets": datasets}]}
    return folder / "em.zarr"


def test_levels_of_a_volume_and_of_a_part_of_it(tmp_path: Path) -> None:
    path = image(tmp_path, [[30, 8, 8], [30, 16, 16], [30, 24, 24]])
    for source in (f"{path}/volumes", f"{path}::volumes/s0"):
        found = coarser_levels(open_volume(source))
        assert [factors for factors, _ in found] == [(1, 2, 2), (1, 3, 3)]
        np.testing.assert_array_equal(found[1][1].read(), VALUES[:, ::3, ::3])
    # Of levels that the part does not begin at a voxel of, nothing is shown.
    part = open_volume(f"{path}/volumes").crop(Box((1, 2, 4), (3, 9, 13)))
    ((factors, level),) = coarser_levels(part)
    assert factors == (1, 2, 2)
    np.testing.assert_array_equal(level.read(), VALUES[1:3, 2:10:2, 4::2])


def test_a_coarser_level_has_those_that_are_coarser_still(tmp_path: Path) -> None:
    path = image(tmp_path, [[30, 8, 8], [30, 16, 16], [60, 32, 16]])
    ((factors, _),) = coarser_levels(open_volume(f"{path}/volumes/s1"))
    assert factors == (2, 2, 1)


@pytest.mark.parametrize("scale", [[30, 12, 12], [30, 8, 8], [15, 16, 16]])
def test_levels_that_are_not_made_of_whole_voxels_are_left_out(tmp_path: Path, scale) -> None:
    path = image(tmp_path, [[30, 8, 8], scale])
    assert coarser_levels(open_volume(f"{path}/volumes/s0")) == []


def test_other_orders_of_axes_and_other_volumes_have_none(tmp_path: Path) -> None:
    path = image(tmp_path, [[8, 8, 30], [16, 16, 30]], axes="xyz")
    assert coarser_levels(open_volume(f"{path}/volumes")) == []
    for name in ("a.h5", "a.zarr"):
        save_volume(tmp_path / name, VALUES)
        assert coarser_levels(open_volume(tmp_path / name)) == []


def test_a_level_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    path = image(tmp_path, [[30, 8, 8], [30, 16, 16], [30, 32, 32]])
    shutil.rmtree(path / "volumes/s1")
    ((factors, _),) = coarser_levels(open_volume(f"{path}/volumes"))
    assert factors == (1, 4, 4)
