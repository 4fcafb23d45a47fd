from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from connectomics.data.identity import identify
from connectomics.data.io import open_volume, read_volume
from connectomics.errors import DataError
from connectomics.geometry import Box

Image = NDArray[np.uint8]
BOX = Box((1, 2, 3), (4, 11, 5))


def message(source: str | Path) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(source)
    return str(caught.value)


@pytest.fixture
def copy(samples: Path, tmp_path: Path) -> Path:
    """A raw volume to spoil."""
    return Path(shutil.copytree(samples / "image_raw", tmp_path / "em"))


def change(path: Path, **given: Any) -> None:
    info = json.loads((path / "info").read_text())
    info["scales"][0].update({k: v for k, v in given.items() if k not in info})
    info.update({k: v for k, v in given.items() if k in info})
    (path / "info").write_text(json.dumps(info))


@pytest.mark.parametrize("name", ["raw", "png", "identity"])
def test_images_that_tensorstore_writes(samples: Path, image: Image, name: str) -> None:
    volume = open_volume(samples / f"image_{name}")
    assert (volume.shape, volume.chunks, volume.gaps) == ((7, 11, 13), (3, 5, 6), None)
    assert (volume.resolution, volume.offset_nm) == ((30, 4, 8), (3000, 0, 40))
    assert (volume.placed, volume.dataset, volume.loss) == (True, "8_4_30", "")
    assert np.array_equal(volume.read(), image)
    assert np.array_equal(volume.read(BOX), image[BOX.slices])


@pytest.mark.parametrize("name", ["segmentation", "murmur"])
def test_labels_that_tensorstore_writes(
    samples: Path, labels: NDArray[np.uint64], name: str
) -> None:
    volume = open_volume(samples / f"labels_{name}")
    assert volume.dtype == np.uint64
    assert str(volume.gaps) == "9 of its 27 chunks"
    assert np.array_equal(volume.read(), labels)
    assert np.array_equal(volume.read(BOX), labels[BOX.slices])


def test_jpeg_is_lossy(samples: Path, image: Image) -> None:
    volume = open_volume(samples / "image_jpeg")
    assert "JPEG" in volume.loss
    assert np.abs(volume.read().astype(int) - image).max() <= 2


def test_channels(samples: Path) -> None:
    expected = np.load(samples / "channels.npy")
    volume = open_volume(samples / "channels")
    assert volume.shape == (3, 5, 6, 8)
    box = Box((1, 2, 3), (4, 6, 5))
    assert np.array_equal(volume.read(box), expected[(slice(None), *box.slices)])


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_chunks_that_a_server_would_decompress(copy: Path, image: Image, suffix: str) -> None:
    for file in list(copy.glob("*_*/*")):
        file.with_name(file.name + suffix).write_bytes(gzip.compress(file.read_bytes()))
        if suffix:
            file.unlink()
    volume = open_volume(copy)
    assert volume.gaps is None
    assert np.array_equal(volume.read(), image)


def test_voxels_that_look_compressed(tmp_path: Path) -> None:
    scale = {"key": "8_8_8", "size": [4, 1, 1], "resolution": [8, 8, 8], "encoding": "raw"}
    scale |= {"chunk_sizes": [[4, 1, 1]]}
    info = {"type": "image", "data_type": "uint8", "num_channels": 1, "scales": [scale]}
    (tmp_path / "8_8_8").mkdir()
    (tmp_path / "info").write_text(json.dumps(info))
    (tmp_path / "8_8_8" / "0-4_0-1_0-1").write_bytes(b"\x1f\x8b\x08\0")
    assert read_volume(tmp_path).tolist() == [[[31, 139, 8, 0]]]


def test_the_finest_scale_or_the_one_that_is_named(copy: Path) -> None:
    info = json.loads((copy / "info").read_text())
    coarse = {**info["scales"][0], "key": "coarse", "resolution": [16, 8, 30], "size": [7, 6, 7]}
    info["scales"].insert(0, coarse)
    (copy / "info").write_text(json.dumps(info))
    assert open_volume(copy).dataset == "8_4_30"
    (copy / "coarse").mkdir()
    for source in (f"{copy}::coarse", copy / "coarse"):
        assert open_volume(source).resolution == (30, 8, 16)
    assert "Did you mean 'coarse'?" in message(f"{copy}::course")


def test_a_chunk_that_is_missing_or_damaged(copy: Path, image: Image) -> None:
    file = copy / "8_4_30" / "5-11_0-5_100-103"
    file.write_bytes(b"short")
    volume = open_volume(copy)
    with pytest.raises(DataError, match="a chunk of 90 values holds 5"):
        volume.read()
    file.unlink()
    volume = open_volume(copy)
    assert str(volume.gaps) == "1 of its 27 chunks"
    expected = image.copy()
    expected[:3, :5, :6] = 0
    assert np.array_equal(volume.read(), expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"encoding": "fpzip"}, "encoded as 'fpzip', which is not read"),
        ({"data_type": "complex64"}, "voxels of type 'complex64'"),
        ({"chunk_sizes": [[0, 5, 3]]}, "sizes are positive"),
        ({"size": [7, 6]}, "three numbers"),
        ({"scales": []}, "names no scales"),
        ({"scales": [{}]}, "cannot be understood"),
        ({"resolution": [0, 1, 1]}, "'resolution' is"),
        ({"sharding": {"@type": "homemade"}}, "shards of type 'homemade'"),
    ],
)
def test_an_info_that_makes_no_sense(copy: Path, given: dict[str, Any], expected: str) -> None:
    change(copy, **given)
    assert expected in message(copy)


def test_a_change_is_noticed(copy: Path) -> None:
    before = identify(open_volume(copy))
    assert identify(open_volume(copy), before) == before
    file = copy / "8_4_30" / "5-11_0-5_100-103"
    file.write_bytes(bytes(90))
    after = identify(open_volume(copy))
    assert (after.files, after.content) != (before.files, before.content)
    assert before.content != after.content
