from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.errors import DataError
from connectomics.geometry import Box

Image = NDArray[np.uint8]
Version = Literal[2, 3]
both = pytest.mark.parametrize("version", [2, 3])


def message(source: str | Path) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(source)
    return str(caught.value)


def write_ome(path: Path, array: NDArray[Any], names: str, version: Version) -> None:
    """An image pyramid of two levels, the coarse one listed and stored first."""
    group = zarr.create_group(path, zarr_format=version)
    kinds = {"t": "time", "c": "channel"}
    described = [
        {"name": n, "type": kinds[n]}
        if n in kinds
        else {"name": n, "type": "space", "unit": "micrometer"}
        for n in names
    ]
    sizes = {"z": 0.03, "y": 0.008, "x": 0.008}
    datasets = []
    for level, factor in (("s1", 2), ("s0", 1)):
        scale = [sizes.get(n, 1.0) * (factor if n in "yx" else 1) for n in names]
        steps = [{"type": "scale", "scale": scale}]
        datasets.append({"path": level, "coordinateTransformations": steps})
        small = array[..., ::factor, ::factor]
        group.create_array(level, data=small, chunks=(1,) * (small.ndim - 2) + (4, 4))
    metadata = {"multiscales": [{"axes": described, "datasets": datasets}]}
    group.attrs.update({"ome": {"version": "0.5", **metadata}} if version == 3 else metadata)


@both
def test_a_plain_array(tmp_path: Path, image: Image, version: Version) -> None:
    array = zarr.create_array(
        tmp_path / "em.zarr", data=image, chunks=(2, 4, 4), zarr_format=version
    )
    array.attrs.update({"resolution": [30, 8, 8], "offset": [300, 0, 0], "sample": "A"})
    volume = open_volume(tmp_path / "em.zarr")
    assert volume.shape == (7, 11, 13)
    assert volume.resolution == (30, 8, 8)
    assert volume.offset_nm == (300, 0, 0)
    assert volume.attributes == {"sample": "A"}
    assert volume.chunks == (2, 4, 4)
    assert np.array_equal(volume.read(), image)
    box = Box((1, 2, 3), (4, 11, 5))
    assert np.array_equal(volume.read(box), image[box.slices])


@both
def test_arrays_in_groups(tmp_path: Path, image: Image, version: Version) -> None:
    store = tmp_path / "store.zarr"
    group = zarr.create_group(store, zarr_format=version)
    group.create_array("volumes/raw", data=image)
    assert np.array_equal(read_volume(store), image)
    group.create_array("volumes/clefts", data=image > 3)
    assert np.array_equal(read_volume(f"{store}::volumes/raw"), image)
    text = message(store)
    assert "holds 2 arrays" in text
    assert f"{store}::volumes/raw  (7 x 11 x 13, uint8)" in text
    assert f"{store}::volumes/clefts  (7 x 11 x 13, bool)" in text
    text = message(f"{store}::volumes/row")
    assert "no such array" in text
    assert "Did you mean 'volumes/raw'?" in text


@both
def test_ome_zarr_gives_its_finest_scale(tmp_path: Path, image: Image, version: Version) -> None:
    write_ome(tmp_path / "em.zarr", image, "zyx", version)
    volume = open_volume(tmp_path / "em.zarr")
    assert volume.shape == (7, 11, 13)
    assert volume.resolution == (30, 8, 8)
    assert volume.chunks == (1, 4, 4)
    assert volume.attributes == {}
    assert np.array_equal(volume.read(), image)


@both
def test_a_level_of_an_ome_zarr_knows_its_own_scale(
    tmp_path: Path, image: Image, version: Version
) -> None:
    write_ome(tmp_path / "em.zarr", image, "zyx", version)
    coarse = open_volume(f"{tmp_path / 'em.zarr'}::s1")
    assert coarse.shape == (7, 6, 7)
    assert coarse.resolution == (30, 16, 16)


def test_an_ome_image_below_a_group(tmp_path: Path, image: Image) -> None:
    zarr.create_group(tmp_path / "scan.zarr")
    write_ome(tmp_path / "scan.zarr" / "em", image, "zyx", 3)
    volume = open_volume(f"{tmp_path / 'scan.zarr'}::em")
    assert volume.resolution == (30, 8, 8)
    assert volume.name == "scan_em"
    assert np.array_equal(volume.read(), image)
    inside = open_volume(tmp_path / "scan.zarr" / "em")
    assert np.array_equal(inside.read(), image)


@both
def test_time_and_channel_axes_of_length_one_are_left_out(
    tmp_path: Path, image: Image, version: Version
) -> None:
    write_ome(tmp_path / "em.zarr", image[np.newaxis, np.newaxis], "tczyx", version)
    volume = open_volume(tmp_path / "em.zarr")
    assert volume.shape == (7, 11, 13)
    assert volume.resolution == (30, 8, 8)
    box = Box((1, 2, 3), (4, 11, 5))
    assert np.array_equal(volume.read(box), image[box.slices])


def test_channels_stay(tmp_path: Path, probabilities: NDArray[np.float32]) -> None:
    write_ome(tmp_path / "em.zarr", probabilities[np.newaxis], "tczyx", 3)
    volume = open_volume(tmp_path / "em.zarr")
    assert volume.shape == (3, 5, 6, 8)
    box = Box((1, 2, 3), (4, 5, 8))
    assert np.array_equal(volume.read(box), probabilities[(slice(None), *box.slices)])


def test_axes_in_another_order(tmp_path: Path, image: Image) -> None:
    write_ome(tmp_path / "em.zarr", image.transpose(2, 1, 0), "xyz", 3)
    volume = open_volume(tmp_path / "em.zarr::s0")
    assert volume.resolution == (30, 8, 8)
    assert np.array_equal(volume.read(), image)


def test_a_time_series_is_refused(tmp_path: Path, image: Image) -> None:
    write_ome(tmp_path / "em.zarr", np.stack([image, image]), "tzyx", 3)
    assert "2 positions along axis 't'" in message(tmp_path / "em.zarr")


@pytest.mark.parametrize(
    ("shape", "expected"), [((4, 5), "one 2-D image of 4 x 5"), ((2, 1, 2, 3, 4), "has 5 axes")]
)
def test_other_numbers_of_axes_are_refused(
    tmp_path: Path, shape: tuple[int, ...], expected: str
) -> None:
    zarr.create_array(tmp_path / "em.zarr", shape=shape, dtype="uint8")
    assert expected in message(tmp_path / "em.zarr")


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "em.zarr", shape=(2, 3, 4), dtype="complex64")
    assert "holds complex64" in message(tmp_path / "em.zarr")


def test_a_folder_that_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "em.zarr").mkdir()
    text = message(tmp_path / "em.zarr")
    assert "is no Zarr store: it holds none of zarr.json, .zarray, .zgroup" in text


def test_an_empty_store(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "em.zarr")
    assert "holds no array" in message(tmp_path / "em.zarr")


def test_an_array_has_nothing_inside(tmp_path: Path, image: Image) -> None:
    zarr.create_array(tmp_path / "em.zarr", data=image)
    assert f"write {tmp_path / 'em.zarr'} alone" in message(f"{tmp_path / 'em.zarr'}::raw")


@pytest.mark.parametrize("content", ["{", "[]", '{"zarr_format": 9}'])
def test_damaged_metadata(tmp_path: Path, image: Image, content: str) -> None:
    zarr.create_array(tmp_path / "em.zarr", data=image)
    (tmp_path / "em.zarr" / "zarr.json").write_text(content)
    assert "cannot be read as Zarr" in message(tmp_path / "em.zarr")


def test_an_unknown_codec_is_found_before_any_voxel_is_read(tmp_path: Path, image: Image) -> None:
    zarr.create_array(tmp_path / "em.zarr", data=image)
    path = tmp_path / "em.zarr" / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["codecs"][-1]["name"] = "homemade"
    path.write_text(json.dumps(metadata))
    text = message(tmp_path / "em.zarr")
    assert "cannot be read as Zarr" in text
    assert "homemade" in text


def test_a_damaged_chunk_is_named_with_its_box(tmp_path: Path, image: Image) -> None:
    zarr.create_array(tmp_path / "em.zarr", data=image)
    (tmp_path / "em.zarr" / "c" / "0" / "0" / "0").write_bytes(b"nonsense")
    volume = open_volume(tmp_path / "em.zarr")
    with pytest.raises(DataError, match=r"cannot be read from \(0, 0, 0\) to \(7, 11, 13\)"):
        volume.read()


def test_ome_metadata_that_names_a_missing_array(tmp_path: Path, image: Image) -> None:
    save_volume(tmp_path / "em.zarr", image)
    (tmp_path / "em.zarr" / "0").rename(tmp_path / "em.zarr" / "raw")
    text = message(tmp_path / "em.zarr")
    assert "names the array '0', which is not there" in text
    assert f"{tmp_path / 'em.zarr'}::raw" in text


@both
@pytest.mark.parametrize("named_by", ["_ARRAY_DIMENSIONS", "axis_names", "axes", "dimension_names"])
def test_axes_are_read_in_the_order_that_is_named(
    tmp_path: Path, image: Image, version: Version, named_by: str
) -> None:
    array = zarr.create_array(
        tmp_path / "em.zarr", data=image.transpose(2, 1, 0), chunks=(5, 4, 2), zarr_format=version
    )
    array.attrs.update({named_by: ["x", "y", "z"], "voxel_size": [4, 5, 40], "offset": [1, 2, 3]})
    volume = open_volume(tmp_path / "em.zarr")
    assert (volume.shape, volume.chunks) == ((7, 11, 13), (2, 4, 5))
    assert (volume.resolution, volume.offset_nm, volume.placed) == ((40, 5, 4), (3, 2, 1), True)
    assert volume.attributes == {}
    box = Box((1, 2, 3), (4, 11, 5))
    assert np.array_equal(volume.read(box), image[box.slices])


def test_dimension_names_of_zarr_3_are_axes(tmp_path: Path, image: Image) -> None:
    zarr.create_array(
        tmp_path / "em.zarr", data=image.transpose(1, 2, 0)[None], dimension_names=list("cyxz")
    )
    volume = open_volume(tmp_path / "em.zarr")
    assert volume.shape == (7, 11, 13)
    assert not volume.placed
    assert np.array_equal(volume.read(), image)


@pytest.mark.parametrize("axis", [0, 3])
def test_one_channel_that_nobody_names_is_left_out(tmp_path: Path, image: Image, axis: int) -> None:
    zarr.create_array(tmp_path / "em.zarr", data=np.expand_dims(image, axis))
    assert np.array_equal(read_volume(tmp_path / "em.zarr"), image)


def test_ome_axes_that_contradict_the_dimension_names(tmp_path: Path, image: Image) -> None:
    write_ome(tmp_path / "em.zarr", image, "zyx", 3)
    zarr.open_array(tmp_path / "em.zarr/s0", mode="r+").attrs["axes"] = "xyz"
    text = message(tmp_path / "em.zarr")
    assert (
        "its 'OME-Zarr axes' says that its axes are z, y, x, its 'axes' that they are x, y" in text
    )


def test_an_ome_scale_that_contradicts_the_attributes(tmp_path: Path, image: Image) -> None:
    write_ome(tmp_path / "em.zarr", image, "zyx", 3)
    zarr.open_array(tmp_path / "em.zarr/s0", mode="r+").attrs["resolution"] = [40, 4, 4]
    text = message(tmp_path / "em.zarr")
    assert (
        "its 'OME-Zarr scale' says 30 x 8 x 8 nm per voxel (z, y, x), its 'attributes' 40" in text
    )


@both
def test_a_path_into_an_image_knows_what_its_group_says(
    tmp_path: Path, image: Image, version: Version
) -> None:
    write_ome(tmp_path / "em.zarr", image.transpose(2, 1, 0)[None, None], "tcxyz", version)
    volume = open_volume(tmp_path / "em.zarr" / "s0")
    assert (volume.name, volume.resolution, volume.dataset) == ("em_s0", (30, 8, 8), "s0")
    assert np.array_equal(volume.read(), image)
    with pytest.raises(DataError, match="the file says 30 x 16 x 16 nm per voxel"):
        open_volume(tmp_path / "em.zarr" / "s1", resolution=(30, 8, 8))


def test_levels_may_lie_in_groups_of_their_own(tmp_path: Path, image: Image) -> None:
    write_ome(tmp_path / "em.zarr", image, "zyx", 3)
    group = zarr.open_group(tmp_path / "em.zarr", mode="r+")
    group.create_array("more/levels/s0", data=image)
    metadata = dict(group.attrs)["ome"]
    metadata["multiscales"][0]["datasets"][1]["path"] = "more/levels/s0"
    group.attrs["ome"] = metadata
    for source in ("em.zarr", "em.zarr/more/levels/s0", "em.zarr::more/levels/s0"):
        assert open_volume(tmp_path / source).resolution == (30, 8, 8)


def test_metadata_that_was_gathered_once_is_not_believed(tmp_path: Path, image: Image) -> None:
    group = zarr.create_group(tmp_path / "em.zarr", zarr_format=2)
    group.create_array("raw", data=image).attrs["resolution"] = [40, 4, 4]
    zarr.consolidate_metadata(tmp_path / "em.zarr")
    zarr.open_array(tmp_path / "em.zarr/raw", mode="r+").attrs["resolution"] = [30, 8, 8]
    assert open_volume(tmp_path / "em.zarr::raw").resolution == (30, 8, 8)
