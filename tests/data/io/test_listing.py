"""What files, stores and folders hold, by the names that open it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from connectomics.data.io import open_volume, save_volume
from connectomics.data.io.listing import list_volumes
from connectomics.errors import DataError

VOLUME = np.zeros((3, 4, 5), np.uint8)


def test_an_hdf5_file_lists_its_volumes_and_no_tables(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as f:
        f["volumes/raw"], f["volumes/labels/clefts"] = VOLUME, VOLUME
        f["annotations/locations"] = np.zeros((4, 3))
    assert list_volumes(file) == [f"{file}::volumes/labels/clefts", f"{file}::volumes/raw"]
    assert list_volumes(f"{file}::volumes/raw") == [f"{file}::volumes/raw"]


def test_what_is_one_volume_is_named_as_it_was_given(tmp_path: Path) -> None:
    save_volume(tmp_path / "a.h5", VOLUME)
    save_volume(tmp_path / "a.zarr", VOLUME)
    save_volume(tmp_path / "a.tif", VOLUME)
    for name in ("a.h5", "a.zarr", "a.tif"):
        assert list_volumes(tmp_path / name) == [str(tmp_path / name)]


def test_a_table_beside_one_volume_is_no_second_volume(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as f:
        f["raw"], f["points"] = VOLUME, np.zeros((4, 3))
    (name,) = list_volumes(file)
    assert open_volume(name).shape == VOLUME.shape


def test_a_store_lists_arrays_and_an_image_of_many_scales_once(tmp_path: Path) -> None:
    save_volume(tmp_path / "em.zarr", VOLUME, resolution=(30, 8, 8))
    plain = zarr.open_group(tmp_path / "two.zarr", mode="w")
    plain.create_array("raw", data=VOLUME)
    plain.create_array("labels/syn", data=VOLUME)
    plain.create_array("table", data=np.zeros((4, 3)))
    names = list_volumes(tmp_path / "two.zarr")
    assert names == [f"{tmp_path}/two.zarr::labels/syn", f"{tmp_path}/two.zarr::raw"]
    assert {open_volume(name).shape for name in names} == {VOLUME.shape}


def test_a_folder_of_sections_is_a_volume_and_one_of_such_folders_several(tmp_path: Path) -> None:
    for kind in ("raw", "synapses"):
        (tmp_path / "stack" / kind).mkdir(parents=True)
        for z in range(3):
            tifffile.imwrite(tmp_path / "stack" / kind / f"{z}.tif", VOLUME[z])
    raw, synapses = tmp_path / "stack" / "raw", tmp_path / "stack" / "synapses"
    assert list_volumes(raw) == [str(raw)]
    assert list_volumes(tmp_path / "stack") == [str(raw), str(synapses)]


def test_a_folder_of_stacks_lists_them(tmp_path: Path) -> None:
    save_volume(tmp_path / "raw.tif", VOLUME)
    save_volume(tmp_path / "syn.h5", VOLUME)
    assert list_volumes(tmp_path) == [f"{tmp_path}/raw.tif", f"{tmp_path}/syn.h5"]


def test_sections_beside_volumes_are_refused(tmp_path: Path) -> None:
    save_volume(tmp_path / "syn.h5", VOLUME)
    for z in range(3):
        tifffile.imwrite(tmp_path / f"{z}.tif", VOLUME[z])
    with pytest.raises(DataError, match="3 images of sections, and volumes beside them"):
        list_volumes(tmp_path)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list_volumes(tmp_path / "em.h5")
