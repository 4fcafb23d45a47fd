from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from connectomics.data.io import create_volume, open_volume, read_volume, save_volume
from connectomics.errors import DataError
from connectomics.files import FailSafeFile
from connectomics.geometry import Box, block_boxes

Image = NDArray[np.uint8]
Names = Callable[[Path], list[str]]
FORMATS = ("a.h5", "a.zarr", "a.tif")
DTYPES = (
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "float32",
    "float64",
)
ATTRIBUTES = {
    "channels": ["pre", "post", "union"],
    "checkpoint": "outputs/µ/last.ckpt",
    "step": 150_000,
    "threshold": 0.5,
    "exclusive": False,
    "nothing": None,
    "sizes": [1, 2, 3],
    "weights": [0.5, 0.25],
    "nested": {"window": [18, 256, 256], "blend": {"mode": "bump"}},
    "mixed": [1, "a", None],
    "empty": [],
    "looks": "json:like our own mark",
}


def message(path: str | Path, array: NDArray[Any], **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        save_volume(path, array, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_survives(tmp_path: Path, image: Image, name: str, dtype: str) -> None:
    array = (image % 2 if dtype == "bool" else image // 2).astype(dtype)
    save_volume(tmp_path / name, array)
    again = read_volume(tmp_path / name)
    assert again.dtype == array.dtype
    assert np.array_equal(again, array)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_channels_and_facts_survive(
    tmp_path: Path, probabilities: NDArray[np.float32], name: str, dtype: str
) -> None:
    array = (probabilities * 100).astype(dtype)
    save_volume(
        tmp_path / name,
        array,
        resolution=(50, 4.6, 4.2),
        offset_nm=(300, 0, -16.5),
        attributes=ATTRIBUTES,
    )
    volume = open_volume(tmp_path / name)
    assert volume.resolution == (50, 4.6, 4.2)
    assert volume.offset_nm == (300, 0, -16.5)
    assert volume.attributes == ATTRIBUTES
    assert np.array_equal(volume.read(), array)


@pytest.mark.parametrize("name", FORMATS)
def test_facts_that_are_not_given_stay_unknown(tmp_path: Path, image: Image, name: str) -> None:
    save_volume(tmp_path / name, image)
    volume = open_volume(tmp_path / name)
    assert (volume.resolution, volume.offset_nm, volume.attributes) == (None, (0, 0, 0), {})


@pytest.mark.parametrize("name", FORMATS)
def test_big_endian_and_strided_arrays(tmp_path: Path, image: Image, name: str) -> None:
    array = image.astype(">u2")[::2, ::-1, 1::3]
    save_volume(tmp_path / name, array)
    assert np.array_equal(read_volume(tmp_path / name), array)


def test_hdf5_is_readable_by_anything(tmp_path: Path, image: Image) -> None:
    save_volume(tmp_path / "a.h5", image, resolution=(30, 8, 8), offset_nm=(1, 2, 3))
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(file) == ["main"]
        assert file["main"].compression == "gzip"
        assert file["main"].attrs["resolution"].tolist() == [30, 8, 8]
        assert file["main"].attrs["offset"].tolist() == [1, 2, 3]


def test_zarr_is_ome_zarr_0_5(tmp_path: Path, probabilities: NDArray[np.float32]) -> None:
    save_volume(tmp_path / "a.zarr", probabilities, resolution=(30, 8, 8))
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    array = group["0"]
    assert isinstance(array, zarr.Array)
    assert array.metadata.zarr_format == 3
    assert array.metadata.dimension_names == ("c", "z", "y", "x")
    image = group.attrs["ome"]["multiscales"][0]
    assert group.attrs["ome"]["version"] == "0.5"
    assert [axis["name"] for axis in image["axes"]] == ["c", "z", "y", "x"]
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == [1, 30, 8, 8]


def test_tiff_opens_in_imagej_with_its_voxel_size(tmp_path: Path, image: Image) -> None:
    save_volume(tmp_path / "a.tif", image, resolution=(30, 8, 4))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.imagej_metadata is not None
        assert tiff.imagej_metadata["slices"] == 7
        assert (tiff.imagej_metadata["spacing"], tiff.imagej_metadata["unit"]) == (30, "nm")
        pixels, per = tiff.pages.first.tags["XResolution"].value
        assert pixels / per == pytest.approx(1 / 4)


def test_datasets_join_those_of_a_file(tmp_path: Path, image: Image, names: Names) -> None:
    path = tmp_path / "sample.h5"
    save_volume(f"{path}::volumes/raw", image, resolution=(40, 4, 4))
    save_volume(f"{path}::volumes/labels/clefts", image > 100)
    assert names(tmp_path) == ["sample.h5"]
    assert np.array_equal(read_volume(f"{path}::volumes/raw"), image)
    assert np.array_equal(read_volume(f"{path}::volumes/labels/clefts"), image > 100)


def test_one_dataset_can_be_replaced(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "sample.h5"
    save_volume(f"{path}::raw", image)
    save_volume(f"{path}::label", image)
    assert "sample.h5::label: exists already" in message(f"{path}::label", image)
    save_volume(f"{path}::label", image[:2], overwrite=True)
    assert read_volume(f"{path}::label").shape == (2, 11, 13)
    assert np.array_equal(read_volume(f"{path}::raw"), image)


def test_groups_and_arrays_are_never_replaced_by_each_other(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "sample.h5"
    save_volume(f"{path}::volumes/raw", image)
    assert "is a group of datasets" in message(f"{path}::volumes", image, overwrite=True)
    assert "cannot be made in this file" in message(f"{path}::volumes/raw/small", image)
    assert np.array_equal(read_volume(path), image)


@pytest.mark.parametrize("name", FORMATS)
def test_what_exists_is_kept_unless_told(
    tmp_path: Path, image: Image, name: str, names: Names
) -> None:
    save_volume(tmp_path / name, image)
    text = message(tmp_path / name, image[:3])
    assert f"{name}: exists already" in text
    assert "overwrite=True" in text
    assert np.array_equal(read_volume(tmp_path / name), image)
    save_volume(tmp_path / name, image[:3], overwrite=True)
    assert np.array_equal(read_volume(tmp_path / name), image[:3])
    assert names(tmp_path) == [name]


def test_folders_are_never_replaced(tmp_path: Path, image: Image) -> None:
    for name in FORMATS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious.txt").write_text("data")
        assert "no Zarr store" in message(tmp_path / name, image, overwrite=True)
        assert (tmp_path / name / "precious.txt").exists()


def test_a_file_that_is_no_hdf5_is_not_added_to(tmp_path: Path, image: Image) -> None:
    (tmp_path / "a.h5").write_text("notes")
    assert "cannot be read as HDF5" in message(f"{tmp_path / 'a.h5'}::raw", image)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii", "cannot write '.nii'"),
        ("a", "cannot write 'no suffix'"),
        ("a.tif::raw", "only in HDF5"),
        ("a.zarr::raw", "only in HDF5"),
    ],
)
def test_places_that_cannot_be_written(
    tmp_path: Path, image: Image, name: str, expected: str, names: Names
) -> None:
    assert expected in message(tmp_path / name, image)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", FORMATS)
def test_arrays_that_are_no_volumes(tmp_path: Path, name: str, names: Names) -> None:
    assert "2-D image" in message(tmp_path / name, np.zeros((3, 4), np.uint8))
    assert "complex128" in message(tmp_path / name, np.zeros((2, 3, 4), np.complex128))
    assert "is empty" in message(tmp_path / name, np.zeros((0, 3, 4), np.uint8))
    assert names(tmp_path) == []


def test_facts_that_make_no_sense(tmp_path: Path, image: Image) -> None:
    assert "three positive" in message(tmp_path / "a.h5", image, resolution=(30, 8, 0))
    assert "three numbers" in message(tmp_path / "a.h5", image, offset_nm=(30, 8))
    with pytest.raises(ValueError, match="resolution"):
        save_volume(tmp_path / "a.h5", image, attributes={"resolution": [1, 2, 3]})


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_that_cannot_be_made(tmp_path: Path, image: Image, name: str) -> None:
    (tmp_path / "results").write_text("a file")
    assert "cannot be written" in message(tmp_path / "results" / name, image)


# --- box by box


@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None
)
@given(
    block=st.tuples(*[st.integers(2, 9)] * 3),
    chunks=st.tuples(*[st.integers(3, 20)] * 3),
    seed=st.integers(0, 99),
)
def test_blocks_in_any_order_make_the_volume(
    tmp_path: Path,
    probabilities: NDArray[np.float32],
    name: str,
    block: tuple[int, int, int],
    chunks: tuple[int, int, int],
    seed: int,
) -> None:
    boxes = block_boxes((5, 6, 8), block)
    np.random.default_rng(seed).shuffle(boxes)
    options: dict[str, Any] = {"chunks": chunks, "overwrite": True}
    with create_volume(tmp_path / name, (3, 5, 6, 8), np.float32, **options) as writer:
        for box in boxes:
            writer.write(box, probabilities[(slice(None), *box.slices)])
    volume = open_volume(tmp_path / name)
    assert np.array_equal(volume.read(), probabilities)
    assert volume.chunks == writer.chunks
    assert volume.chunks == tuple(np.minimum(chunks, (5, 6, 8)))


@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
def test_a_volume_appears_when_it_is_complete(
    tmp_path: Path, image: Image, name: str, names: Names
) -> None:
    with create_volume(
        tmp_path / name, image.shape, "uint8", resolution=(30, 8, 8), attributes={"a": 1}
    ) as writer:
        assert writer.shape == image.shape
        assert writer.dtype == np.uint8
        writer.write(Box((2, 0, 0), (4, 11, 13)), image[2:4])
        assert not (tmp_path / name).exists()
    volume = open_volume(tmp_path / name)
    assert np.array_equal(volume.read(Box((2, 0, 0), (4, 11, 13))), image[2:4])
    assert not volume.read(Box((0, 0, 0), (2, 11, 13))).any()
    assert (volume.resolution, volume.attributes) == ((30, 8, 8), {"a": 1})
    assert names(tmp_path) == [name]


def fail_halfway(path: Path, image: Image, error: BaseException) -> None:
    with create_volume(path, image.shape, image.dtype) as writer:
        writer.write(Box((0, 0, 0), (1, 11, 13)), image[:1])
        raise error


@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
@pytest.mark.parametrize(
    "error", [RuntimeError("out of memory"), KeyboardInterrupt(), DataError("em.h5", "damaged.")]
)
def test_an_interrupted_volume_leaves_nothing(
    tmp_path: Path, image: Image, name: str, error: BaseException, names: Names
) -> None:
    with pytest.raises(type(error)) as caught:
        fail_halfway(tmp_path / name, image, error)
    assert caught.value is error
    assert names(tmp_path) == []


def test_tiff_is_not_written_box_by_box(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="in one piece"),
        create_volume(tmp_path / "a.tif", (2, 3, 4), "uint8"),
    ):
        pass


@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
def test_boxes_and_values_must_fit(tmp_path: Path, name: str) -> None:
    with create_volume(tmp_path / name, (2, 4, 4, 4), "float32") as writer:
        for box, shape in [
            (Box((0, 0, 0), (2, 2, 2)), (2, 2, 2)),
            (Box((0, 0, 0), (2, 2, 2)), (2, 2, 2, 3)),
            (Box((3, 0, 0), (5, 2, 2)), (2, 2, 2, 2)),
        ]:
            with pytest.raises(ValueError, match="cannot write"):
                writer.write(box, np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("stored", "given", "fits"),
    [
        ("float32", "float64", True),
        ("float16", "float32", True),
        ("uint16", "uint8", True),
        ("uint8", "bool", True),
        ("uint16", "uint32", False),
        ("uint16", "int16", False),
        ("uint8", "float32", False),
        ("int32", "uint32", False),
    ],
)
def test_values_that_could_wrap_are_refused(
    tmp_path: Path, stored: str, given: str, fits: bool
) -> None:
    box = Box((0, 0, 0), (2, 3, 4))
    with create_volume(tmp_path / "a.h5", (2, 3, 4), stored) as writer:
        if fits:
            writer.write(box, np.ones((2, 3, 4), given))
        else:
            with pytest.raises(ValueError, match=f"volume of {stored} cannot hold {given}"):
                writer.write(box, np.ones((2, 3, 4), given))


# --- a full disk


FILL_THE_DISK = """
import resource, sys
import numpy as np
from connectomics.data.io import create_volume, save_volume
from connectomics.errors import DataError
from connectomics.geometry import Box

noise = np.random.default_rng(0).integers(0, 255, (64, 64, 64), np.uint8)
how, path = sys.argv[1:]
save_volume(path.replace("a.", "warm."), noise[:1])  # load the libraries first
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    if how == "whole":
        save_volume(path, noise)
    else:
        with create_volume(path, (640, 64, 64), np.uint8) as writer:
            for z in range(0, 640, 64):
                writer.write(Box((z, 0, 0), (z + 64, 64, 64)), noise)
except DataError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize(
    ("how", "name"), [("whole", "a.h5"), ("blocks", "a.h5"), ("whole", "a.tif")]
)
def test_a_file_that_the_system_cuts_off(tmp_path: Path, how: str, name: str, names: Names) -> None:
    """The system refuses to let files grow, as it does on a full disk or at a quota.

    In a process of its own, because what is tested is also that HDF5 does not take it down.
    """
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, how, str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert f"{name}: cannot be written: " in done.stdout
    assert "Free some space" in done.stdout
    assert names(tmp_path) == [name.replace("a.", "warm.")]


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_under_zarr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Names
) -> None:
    monkeypatch.setattr(zarr.Array, "__setitem__", full_disk)
    text = message(tmp_path / "a.zarr", np.ones((40, 5, 6), np.uint8))
    assert "a.zarr: cannot be written: No space left on device" in text
    assert names(tmp_path) == []


def test_a_full_disk_keeps_what_was_there(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch, names: Names
) -> None:
    save_volume(tmp_path / "a.h5", image)
    monkeypatch.setattr(FailSafeFile, "check", full_disk)
    text = message(f"{tmp_path / 'a.h5'}::more", image)
    assert "cannot be written: No space left on device" in text
    assert names(tmp_path) == ["a.h5"]
    assert np.array_equal(read_volume(tmp_path / "a.h5"), image)


@pytest.mark.parametrize("act", ["write", "truncate"])
def test_what_the_disk_refuses_is_remembered(act: str) -> None:
    with FailSafeFile("/dev/full", "w+") as file:  # a device that is always full
        if act == "write":
            assert file.write(b"lost") == 4
        else:
            assert file.truncate(10) == 10
        with pytest.raises(OSError, match=r"No space left|Invalid argument"):
            file.check()


def test_nothing_is_written_after_a_failure(tmp_path: Path) -> None:
    with FailSafeFile(tmp_path / "a", "w+") as file:
        assert file.write(b"good") == 4
        file.check()
        file.failure = OSError(errno.ENOSPC, "No space left on device")
        assert file.write(b"lost") == 4
        assert file.truncate(2) == 2
        with pytest.raises(OSError, match="No space left"):
            file.check()
    assert (tmp_path / "a").read_bytes() == b"good"
