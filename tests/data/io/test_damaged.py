"""Files over which the libraries stumble in their own ways: each is refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from zarr.codecs import GzipCodec

from connectomics.data.annotations import read_annotations
from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.errors import DataError

VOLUME = np.random.default_rng(0).integers(0, 255, (4, 8, 8)).astype(np.uint16)


def zarr_metadata_that_is_no_json(path: Path) -> str:
    save_volume(path / "em.zarr", VOLUME)
    (path / "em.zarr" / "0" / "zarr.json").write_bytes(b"\xff\xfe{")
    return "em.zarr"


def zarr_metadata_that_makes_no_sense(path: Path) -> str:
    save_volume(path / "em.zarr", VOLUME)
    metadata = path / "em.zarr" / "0" / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"shape": [', '"shape": [[[]],', 1))
    return "em.zarr"


def a_circle_of_links(path: Path) -> str:
    with h5py.File(path / "em.h5", "w") as file:
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
    return "em.h5::a"


def an_attribute_that_is_no_json(path: Path) -> str:
    save_volume(path / "em.h5", VOLUME)
    with h5py.File(path / "em.h5", "r+") as file:
        file["main"].attrs["channels"] = "json:{"
    return "em.h5"


def tiff_tags_cut_short(path: Path) -> str:
    tifffile.imwrite(path / "em.tif", VOLUME, compression="zlib", photometric="minisblack")
    data = (path / "em.tif").read_bytes()
    (path / "em.tif").write_bytes(data[:9] + data[11:200])
    return "em.tif"


@pytest.mark.parametrize(
    "make",
    [
        zarr_metadata_that_is_no_json,
        zarr_metadata_that_makes_no_sense,
        a_circle_of_links,
        an_attribute_that_is_no_json,
        tiff_tags_cut_short,
    ],
)
def test_headers(make: Callable[[Path], str], tmp_path):
    name = make(tmp_path)
    with pytest.raises(DataError, match=name.partition("::")[0]) as caught:
        open_volume(tmp_path / name)
    assert caught.value.faults[0].remedy
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("value", ["x", np.arange(3), h5py.Empty("f4"), b"\xff", 1 + 2j])
@pytest.mark.parametrize("name", ["DIMENSION_LABELS", "DIMENSION_LIST", "CLASS", "REFERENCE_LIST"])
def test_attributes_that_hdf5_itself_would_follow_blindly(name, value, tmp_path):
    with h5py.File(tmp_path / "em.h5", "w") as file:
        file["main"] = VOLUME
        file["main"].attrs[name] = value
    np.testing.assert_array_equal(read_volume(tmp_path / "em.h5"), VOLUME)


def test_a_chunk_that_cannot_be_decompressed(tmp_path):
    path = tmp_path / "em.zarr"
    array = zarr.create_array(path, data=VOLUME, chunks=(2, 8, 8), compressors=GzipCodec())
    del array
    chunk = path / "c" / "1" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:30] + bytes(20))
    with open_volume(path) as volume, pytest.raises(DataError, match=r"em\.zarr: cannot be read"):
        volume.read()


def test_annotations_beyond_all_memory(tmp_path):
    path = tmp_path / "sites.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("annotations")
        group["ids"], group["locations"] = [1, 2], np.zeros((2, 3))
        partners = "presynaptic_site/partners"
        group.create_dataset(partners, (2**40, 2), "u8", chunks=(64, 2))[:3] = 1
    with pytest.raises(DataError, match=r"sites\.h5: cannot be read: Unable to allocate"):
        read_annotations(str(path))


def test_volumes_beyond_all_memory(tmp_path):
    with h5py.File(tmp_path / "em.h5", "w") as file:
        shape = (2**17, 2**17, 2**17)
        file.create_dataset("main", shape, "u2", chunks=(1, 64, 64))[0, :9, :9] = 1
    with pytest.raises(DataError, match=r"em\.h5: needs 4194304\.0 GiB of memory"):
        read_volume(tmp_path / "em.h5")
