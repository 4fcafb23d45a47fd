from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from connectomics.data.io import open_volume
from connectomics.data.io import precomputed_write as writing
from connectomics.data.io.downsampling import downsample
from connectomics.data.io.precomputed_write import write_labels
from connectomics.data.io.pyramid import Pyramid
from connectomics.errors import DataError, DataWarning
from connectomics.geometry import Box, VoxelGrid

PROGRAM = Path(__file__).parent / "store_samples.py"


def blobs(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.integer]:
    """Boxes of different ids on background, and one noisy corner."""
    random = np.random.default_rng(1)
    labels = np.zeros(shape, dtype)
    for i in range(1, 30):
        start = [int(random.integers(0, n - 4)) for n in shape]
        labels[tuple(slice(a, a + int(random.integers(2, 30))) for a in start)] = i * 3
    labels[:9, :9, :9] = random.integers(0, 100, (9, 9, 9))
    return labels


def write(folder: Path, labels: NDArray[np.integer], offset_nm=(60.0, 0.0, 16.0)) -> None:
    z, y, x = labels.shape
    grid = VoxelGrid((30.0, 8.0, 8.0), offset_nm)
    write_labels(folder, lambda box: labels[box.slices], (z, y, x), labels.dtype, grid=grid)


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "uint64", "int64"])
def test_what_is_written_is_read(tmp_path: Path, dtype: str) -> None:
    labels = blobs((20, 70, 130), dtype)
    if np.dtype(dtype).itemsize == 8:
        labels[labels == 3] = 2**40
    write(tmp_path / "labels", labels)
    volume = open_volume(tmp_path / "labels")
    assert (volume.resolution, volume.offset_nm) == ((30, 8, 8), (60, 0, 16))
    assert (volume.gaps, volume.chunks) == (None, (20, 64, 64))
    assert np.array_equal(volume.read(), labels)
    box = Box((3, 50, 60), (11, 70, 70))
    assert np.array_equal(volume.read(box), labels[box.slices])


def test_tensorstore_reads_every_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorstore")
    monkeypatch.setattr(writing, "COARSEST", 40)
    labels = blobs((20, 71, 130), "uint64")
    labels[labels == 3] = 2**40
    write(tmp_path / "labels", labels)
    subprocess.run([sys.executable, PROGRAM, "read", tmp_path / "labels"], check=True)
    found = np.load(tmp_path / "labels.npz")
    assert np.array_equal(found["8_8_30"], labels)
    assert found["8_8_30/origin"].tolist() == [2, 0, 2]
    half, quarter = downsample(labels, Pyramid("mode", ((1, 2, 2), (1, 4, 4))))
    assert np.array_equal(found["16_16_30"], half)
    assert np.array_equal(found["32_32_30"], quarter)
    assert len(json.loads((tmp_path / "labels" / "info").read_text())["scales"]) == 3


def test_chunks_are_asked_for_one_by_one(tmp_path: Path) -> None:
    asked: list[Box] = []

    def read(box: Box) -> NDArray[np.uint32]:
        asked.append(box)
        return np.zeros(box.shape, np.uint32)

    write_labels(
        tmp_path / "labels", read, (65, 65, 130), np.dtype("u4"), grid=VoxelGrid((8, 8, 8))
    )
    assert len(asked) == 12
    assert max(box.size for box in asked) == 64**3


def test_what_cannot_be_said(tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match=r"begins 0\.5 voxels away"):
        write(tmp_path / "a", np.ones((2, 3, 4), np.uint8), offset_nm=(0, 4, 0))
    with pytest.raises(DataError, match="a label is negative"):
        write(tmp_path / "b", np.full((2, 3, 4), -1))
