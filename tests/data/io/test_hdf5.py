from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from connectomics.data.io import open_volume, read_volume
from connectomics.data.io.hdf5 import decode_attribute, encode_attribute
from connectomics.errors import DataError
from connectomics.geometry import Box

Image = NDArray[np.uint8]


def message(source: str | Path) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(source)
    return str(caught.value)


@pytest.fixture
def cremi(tmp_path: Path, image: Image) -> Path:
    """A file laid out as CREMI's."""
    path = tmp_path / "sample_A.hdf"
    with h5py.File(path, "w") as file:
        raw = file.create_dataset("volumes/raw", data=image, chunks=(2, 4, 4))
        raw.attrs["resolution"] = [40.0, 4.0, 4.0]
        clefts = file.create_dataset("volumes/labels/clefts", data=image.astype(np.uint64))
        clefts.attrs["resolution"] = [40.0, 4.0, 4.0]
        clefts.attrs["offset"] = [1520.0, 3644.0, 3644.0]
        file.create_dataset("annotations/ids", data=np.arange(5))
        file.create_dataset("annotations/types", data=np.array([b"a", b"b"]))
    return path


def test_the_only_dataset_needs_no_name(tmp_path: Path, image: Image) -> None:
    with h5py.File(tmp_path / "im.h5", "w") as file:
        file["main"] = image
    volume = open_volume(tmp_path / "im.h5")
    assert volume.shape == (7, 11, 13)
    assert volume.dtype == np.uint8
    assert volume.resolution is None
    assert volume.offset_nm == (0, 0, 0)
    assert volume.attributes == {}
    assert volume.chunks is None
    assert volume.name == "im"
    assert np.array_equal(volume.read(), image)


def test_cremi_attributes_are_understood(cremi: Path, image: Image) -> None:
    clefts = open_volume(f"{cremi}::volumes/labels/clefts")
    assert clefts.resolution == (40, 4, 4)
    assert clefts.offset_nm == (1520, 3644, 3644)
    assert clefts.dtype == np.uint64
    raw = open_volume(f"{cremi}::/volumes/raw")
    assert raw.offset_nm == (0, 0, 0)
    assert raw.chunks == (2, 4, 4)
    assert np.array_equal(read_volume(f"{cremi}::volumes/raw"), image)


def test_a_group_with_one_volume_stands_for_it(cremi: Path, image: Image) -> None:
    assert np.array_equal(read_volume(f"{cremi}::volumes/labels"), image)


def test_several_datasets_are_listed(cremi: Path) -> None:
    text = message(cremi)
    assert "holds 2 datasets" in text
    assert f"{cremi}::volumes/raw  (7 x 11 x 13, uint8)" in text
    assert f"{cremi}::volumes/labels/clefts  (7 x 11 x 13, uint64)" in text
    assert f"{cremi}::annotations/ids  (5, int64)" in text


def test_an_absent_dataset_brings_the_nearest_and_all_others(cremi: Path) -> None:
    text = message(f"{cremi}::volumes/row")
    assert f"{cremi}::volumes/row: no such dataset" in text
    assert "Did you mean 'volumes/raw'?" in text
    assert f"{cremi}::volumes/labels/clefts  (7 x 11 x 13, uint64)" in text


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "many.h5", "w") as file:
        for index in range(30):
            file[f"raw{index:02}"] = np.zeros((2, 3, 4), np.uint8)
    text = message(tmp_path / "many.h5")
    assert "raw19" in text
    assert "raw20" not in text
    assert "… and 10 more" in text


def test_files_without_volumes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["ids"] = np.arange(3)
        file["scalar"] = 3
        file["nothing"] = h5py.Empty("f")
    assert "holds no dataset at all" in message(tmp_path / "empty.h5")
    text = message(tmp_path / "table.h5")
    assert "no dataset that could be a volume" in text
    assert "::scalar  (a single value, int64)" in text
    assert "::nothing  (empty, float32)" in text


def test_a_file_that_is_cut_short(cremi: Path) -> None:
    cremi.write_bytes(cremi.read_bytes()[:4000])
    text = message(f"{cremi}::volumes/raw")
    assert "cannot be read as HDF5: truncated file" in text
    assert "copy or download it again" in text


def test_a_file_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "page.h5").write_text("<html>Not found</html>")
    text = message(tmp_path / "page.h5")
    assert "cannot be read as HDF5" in text
    assert "signature" in text


def test_a_file_that_may_not_be_read(cremi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(h5py, "File", refuse)
    assert "may not be read" in message(f"{cremi}::volumes/raw")


def test_2d_images_and_text_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["main"] = np.zeros((30, 40), np.uint8)
    with h5py.File(tmp_path / "text.h5", "w") as file:
        file["main"] = np.array([[[b"a", b"b"]]])
    with h5py.File(tmp_path / "complex.h5", "w") as file:
        file["main"] = np.zeros((2, 3, 4), np.complex64)
    assert "one 2-D image of 30 x 40" in message(tmp_path / "flat.h5")
    assert "holds |S1" in message(tmp_path / "text.h5")
    assert "holds complex64" in message(tmp_path / "complex.h5")


def test_an_unknown_compression_is_named_before_any_voxel_is_read(
    cremi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(cremi, "r+") as file:
        file.create_dataset("small", data=np.zeros((2, 3, 4)), compression="gzip")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: False)
    text = message(f"{cremi}::small")
    assert "compressed with deflate (HDF5 filter 1), which is not installed" in text
    assert "h5repack" in text


def test_a_chunk_that_is_damaged_is_named_with_its_box(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "damaged.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("main", data=image, chunks=(7, 11, 13), compression="gzip")
        chunk = data.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    volume = open_volume(path)
    with pytest.raises(DataError, match=r"cannot be read from \(0, 0, 0\) to \(1, 2, 3\)"):
        volume.read(Box((0, 0, 0), (1, 2, 3)))


def test_big_endian_files_give_native_arrays(tmp_path: Path, image: Image) -> None:
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file["main"] = image.astype(">u2")
    volume = open_volume(tmp_path / "big.h5")
    assert volume.dtype == np.dtype("=u2")
    assert volume.read().dtype == np.dtype("=u2")
    assert np.array_equal(volume.read(), image)


def test_bool_volumes_stay_bool(tmp_path: Path, image: Image) -> None:
    with h5py.File(tmp_path / "mask.h5", "w") as file:
        file["main"] = image > 100
    assert np.array_equal(read_volume(tmp_path / "mask.h5"), image > 100)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner),
    max_leaves=6,
)


@given(json_values)
def test_every_json_value_survives_as_an_attribute(value: Any) -> None:
    with h5py.File("attributes.h5", "w", driver="core", backing_store=False) as file:
        file.attrs["value"] = encode_attribute(value)
        again = decode_attribute(file.attrs["value"])
    assert json.dumps(again) == json.dumps(value)


def test_attributes_others_wrote_become_plain(tmp_path: Path, image: Image) -> None:
    with h5py.File(tmp_path / "im.h5", "w") as file:
        file["main"] = image
        attributes = file["main"].attrs
        attributes["empty"] = h5py.Empty("f")
        attributes["words"] = ["pre", "post"]
        attributes["count"] = np.int32(3)
    assert open_volume(tmp_path / "im.h5").attributes == {
        "empty": None,
        "words": ["pre", "post"],
        "count": 3,
    }


def axistags(keys: str) -> str:
    return json.dumps({"axes": [{"key": k, "typeFlags": 1 if k == "c" else 2} for k in keys]})


@pytest.mark.parametrize(
    "attributes", [{"axistags": axistags("xyz")}, {"axes": ["x", "y", "z"]}, {"axis_names": "xyz"}]
)
def test_axes_are_read_in_the_order_that_is_named(
    tmp_path: Path, image: Image, attributes: dict[str, Any]
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", data=image.transpose(2, 1, 0), chunks=(5, 4, 2))
        data.attrs.update(attributes)
        data.attrs.update({"element_size_um": [0.004, 0.005, 0.04], "note": "kept"})
    volume = open_volume(tmp_path / "a.h5")
    assert (volume.shape, volume.chunks) == ((7, 11, 13), (2, 4, 5))
    assert volume.resolution == (40, 5, 4)
    assert volume.attributes == {"note": "kept"}
    box = Box((1, 2, 3), (4, 11, 5))
    assert np.array_equal(volume.read(box), image[box.slices])


@pytest.mark.parametrize("scales", [False, True])
def test_labels_and_scales_of_dimensions_name_axes(
    tmp_path: Path, image: Image, scales: bool
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", data=image.transpose(2, 1, 0))
        for name, dimension in zip("xyz", data.dims, strict=True):
            if scales:
                file[name] = np.arange(data.shape["xyz".index(name)])
                file[name].make_scale(name)
                dimension.attach_scale(file[name])
            else:
                dimension.label = name
    volume = open_volume(tmp_path / "a.h5::data")
    assert volume.attributes == {}
    assert np.array_equal(volume.read(), image)


@pytest.mark.parametrize(
    ("keys", "shape"),
    [("zyxc", (7, 11, 13, 1)), ("czyx", (1, 7, 11, 13)), ("tzyxc", (1, 7, 11, 13, 1))],
)
@pytest.mark.parametrize("named", [True, False])
def test_one_channel_and_one_point_in_time_are_left_out(
    tmp_path: Path, image: Image, keys: str, shape: tuple[int, ...], named: bool
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = image.reshape(shape)
        if named:
            file["data"].attrs["axistags"] = axistags(keys)
    assert np.array_equal(read_volume(tmp_path / "a.h5"), image)


def test_channels_that_are_stored_last_come_first(
    tmp_path: Path, probabilities: NDArray[np.float32]
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.moveaxis(probabilities, 0, -1)
        file["data"].attrs["axistags"] = axistags("zyxc")
    assert np.array_equal(read_volume(tmp_path / "a.h5"), probabilities)


def test_axes_that_contradict_each_other_are_refused(tmp_path: Path, image: Image) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = image
        file["data"].attrs["axistags"] = axistags("xyz")
        for name, dimension in zip("zyx", file["data"].dims, strict=True):
            dimension.label = name
    text = message(tmp_path / "a.h5")
    assert "its 'dimension labels' says that its axes are z, y, x, its 'axistags' that" in text


@pytest.mark.filterwarnings("error")
def test_ordinary_files_raise_no_warning(cremi: Path, tmp_path: Path, image: Image) -> None:
    for name in ("volumes/raw", "volumes/labels/clefts"):
        open_volume(f"{cremi}::{name}", resolution=(40, 4, 4))
    with h5py.File(tmp_path / "syn.h5", "w") as file:
        file["main"] = image
    open_volume(tmp_path / "syn.h5", resolution=(30, 8, 8))
    open_volume(tmp_path / "syn.h5", resolution=(50, 4.6, 4.6))
