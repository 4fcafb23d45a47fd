from __future__ import annotations

import json
import pickle
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numcodecs import lz4, zstd
from numpy.typing import NDArray

from connectomics.data.io import open_volume, read_volume
from connectomics.errors import DataError
from connectomics.geometry import Box

Image = NDArray[np.uint8]
BOX = Box((1, 2, 3), (4, 11, 5))


def write_n5(path: Path, array: NDArray[Any], **attributes: Any) -> Path:
    """One block for each section, raw; `array` has its axes in the order of an array."""
    path.mkdir(parents=True)
    described = {"dataType": array.dtype.name, "compression": {"type": "raw"}, **attributes}
    block = (1, *array.shape[1:])
    described |= {"dimensions": array.shape[::-1], "blockSize": block[::-1]}
    (path / "attributes.json").write_text(json.dumps(described))
    for i, values in enumerate(array):
        write_block(path, [i] + [0] * (array.ndim - 1), values[None])
    return path


def write_block(path: Path, place: list[int], values: NDArray[Any]) -> None:
    header = struct.pack(f">HH{values.ndim}I", 0, values.ndim, *values.shape[::-1])
    file = path.joinpath(*map(str, reversed(place)))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(header + values.astype(values.dtype.newbyteorder(">")).tobytes())


def message(source: str | Path) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(source)
    return str(caught.value)


@pytest.mark.parametrize("name", ["raw", "gzip", "zlib", "bzip2", "xz", "blosc"])
def test_what_tensorstore_writes(
    samples: Path, image: Image, labels: NDArray[np.uint64], name: str
) -> None:
    volume = open_volume(samples / f"image_{name}.n5/volumes/raw")
    assert (volume.shape, volume.chunks, volume.gaps) == ((7, 11, 13), (3, 5, 6), None)
    assert volume.dataset == "volumes/raw"
    assert np.array_equal(volume.read(), image)
    assert np.array_equal(pickle.loads(pickle.dumps(volume)).read(BOX), image[BOX.slices])
    sparse = open_volume(samples / f"labels_{name}.n5")  # the only array in it
    assert str(sparse.gaps) == "9 of its 27 chunks"
    assert sparse.dtype == np.uint64
    assert np.array_equal(sparse.read(), labels)


def test_what_n5_says_stands_as_x_y_z(tmp_path: Path, image: Image) -> None:
    attributes = {"resolution": [4, 5, 40], "offset": [1, 2, 3], "sample": "A"}
    volume = open_volume(write_n5(tmp_path / "em.n5", image, **attributes))
    assert (volume.resolution, volume.offset_nm, volume.placed) == ((40, 5, 4), (3, 2, 1), True)
    assert volume.attributes == {"sample": "A"}


@pytest.mark.parametrize("axes", [["x", "y", "z"], ["z", "y", "x"]])
def test_axes_may_be_listed_as_those_of_arrays(
    tmp_path: Path, image: Image, axes: list[str]
) -> None:
    sizes = {"x": 4, "y": 5, "z": 40}
    given = {"axes": axes, "resolution": [sizes[axis] for axis in axes]}
    volume = open_volume(write_n5(tmp_path / "em.n5", image, **given))
    assert volume.resolution == (40, 5, 4)
    assert np.array_equal(volume.read(), image)


def test_axes_in_another_order(tmp_path: Path, image: Image) -> None:
    path = write_n5(tmp_path / "em.n5", image.transpose(1, 0, 2), axes=["x", "z", "y"])
    volume = open_volume(path)
    assert (volume.shape, volume.chunks) == ((7, 11, 13), (7, 1, 13))
    assert np.array_equal(volume.read(BOX), image[BOX.slices])


def test_channels_come_last_in_n5(tmp_path: Path, probabilities: NDArray[np.float32]) -> None:
    volume = open_volume(write_n5(tmp_path / "p.n5", probabilities, resolution=[4, 5, 40, 1]))
    assert volume.shape == (3, 5, 6, 8)
    assert np.array_equal(volume.read(), probabilities)


def test_one_channel_is_left_out(tmp_path: Path, image: Image) -> None:
    path = write_n5(tmp_path / "em.n5", image[None], axes=["x", "y", "z", "c"])
    assert np.array_equal(read_volume(path), image)


def test_the_finest_of_a_pyramid(tmp_path: Path, image: Image) -> None:
    write_n5(tmp_path / "em.n5" / "raw" / "s0", image)
    write_n5(tmp_path / "em.n5" / "raw" / "s1", image[:, ::2, ::2])
    viewer = {"pixelResolution": {"unit": "um", "dimensions": [0.004, 0.005, 0.04]}}
    viewer["scales"] = [[1, 1, 1], [2, 2, 1]]  # pyright: ignore
    (tmp_path / "em.n5" / "raw" / "attributes.json").write_text(json.dumps(viewer))
    for source in ("em.n5", "em.n5/raw", "em.n5/raw/s0"):
        volume = open_volume(tmp_path / source)
        assert (volume.dataset, volume.resolution) == ("raw/s0", (40, 5, 4))
        assert np.array_equal(volume.read(), image)
    assert open_volume(tmp_path / "em.n5/raw/s1").resolution == (40, 10, 8)


def test_several_arrays_are_offered(tmp_path: Path, image: Image) -> None:
    write_n5(tmp_path / "em.n5" / "volumes" / "raw", image)
    write_n5(tmp_path / "em.n5" / "volumes" / "labels", image)
    text = message(tmp_path / "em.n5")
    assert "holds 2 arrays" in text
    assert f"{tmp_path}/em.n5::volumes/raw" in text
    assert "Did you mean 'volumes/raw'?" in message(tmp_path / "em.n5/volumes/rav")


@pytest.mark.parametrize("packed", [lz4.compress, None])
def test_lz4_as_java_frames_it(tmp_path: Path, image: Image, packed: Any) -> None:
    path = write_n5(tmp_path / "em.n5", image, compression={"type": "lz4", "blockSize": 65536})
    for file in path.glob("0/0/*"):
        raw, framed = file.read_bytes(), b""
        for part in (raw[16:80], raw[80:]):
            body = packed(part)[4:] if packed else part
            token = 0x20 if packed else 0x10
            framed += struct.pack("<8sBiiI", b"LZ4Block", token, len(body), len(part), 0) + body
        end = struct.pack("<8sBiiI", b"LZ4Block", 0x10, 0, 0, 0)
        file.write_bytes(raw[:16] + framed + end)
    assert np.array_equal(read_volume(path), image)


def test_zstd_and_the_old_name_of_compression(tmp_path: Path, image: Image) -> None:
    path = write_n5(tmp_path / "em.n5", image, compression=None, compressionType="zstd")
    for file in path.glob("0/0/*"):
        raw = file.read_bytes()
        file.write_bytes(raw[:16] + zstd.compress(raw[16:], 1))
    assert np.array_equal(read_volume(path), image)


def test_blocks_that_are_not_there_are_counted(tmp_path: Path, image: Image) -> None:
    path = write_n5(tmp_path / "em.n5", image)
    (path / "0" / "0" / "2").unlink()
    volume = open_volume(path)
    assert str(volume.gaps) == "1 of its 7 chunks"
    assert not volume.read()[2].any()
    assert np.array_equal(volume.read()[3:], image[3:])


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\0\0\0\3\0\0\0\1\0\0\0\1\0\0\0\1x"])
def test_a_damaged_block_is_an_error(tmp_path: Path, image: Image, damage: bytes) -> None:
    path = write_n5(tmp_path / "em.n5", image)
    (path / "0" / "0" / "2").write_bytes(damage)
    volume = open_volume(path)
    assert np.array_equal(volume.read(Box((3, 0, 0), (7, 11, 13))), image[3:])
    with pytest.raises(DataError, match="cannot be read from"):
        volume.read()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"compression": {"type": "homemade"}}, "compressed with 'homemade'"),
        ({"dataType": "object"}, "holds object"),
        ({"dataType": "string"}, "cannot be understood"),
        ({"blockSize": [4, 4]}, "cannot be understood"),
        ({"blockSize": [4, 0, 4]}, "cannot be understood"),
        ({"dimensions": 7}, "cannot be understood"),
        ({"resolution": [4, 4, -1]}, "'resolution' is"),
    ],
)
def test_attributes_that_make_no_sense(
    tmp_path: Path, image: Image, change: dict[str, Any], expected: str
) -> None:
    path = write_n5(tmp_path / "em.n5", image)
    file = path / "attributes.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    assert expected in message(path)


def test_no_store_and_no_array(tmp_path: Path, image: Image) -> None:
    (tmp_path / "em.n5").mkdir()
    assert "holds no array" in message(tmp_path / "em.n5")
    path = write_n5(tmp_path / "other.n5", image)
    (path / "attributes.json").write_text("{")
    assert "attributes.json cannot be read" in message(path)
    shutil.rmtree(path)
    assert "no such file" in message(path)
