"""Volumes are passed on slab by slab, and it is said how far that is."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.data.io import LazyVolume, open_volume, read_volume, save_volume
from connectomics.exchange import cremi, em_r50, vnc
from connectomics.exchange.slabs import converting, write_slabs
from connectomics.geometry import NOWHERE, VoxelGrid
from connectomics.process import progress
from tests.exchange.layouts import boxes
from tests.exchange.layouts import cremi as cremi_sample
from tests.exchange.layouts import em_r50 as em_r50_folder
from tests.exchange.layouts import vnc as vnc_folder
from tests.exchange.test_em_r50 import of

SHAPE = (36, 24, 16)
RAW = np.random.default_rng(7).integers(0, 255, SHAPE, np.uint8)
SIDES = np.where(boxes(SHAPE) > 0, 1 + np.arange(16) % 2, 0).astype(np.uint8)


@pytest.fixture
def made(tmp_path):
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


@pytest.fixture
def read(monkeypatch):
    """How many sections are read at a time."""
    depths, original = [], LazyVolume.read

    def spy(self, box=None):
        depths.append(self.shape[0] if box is None else box.shape[0])
        return original(self, box)

    monkeypatch.setattr(LazyVolume, "read", spy)
    return depths


def em_r50_files(folder):
    return em_r50_folder(folder, {"vol2/{}": (RAW, SIDES), "vol3/{}": (RAW, SIDES)})


def vnc_files(folder):
    return vnc_folder(folder, RAW[:20], SIDES[:20])


def cremi_files(folder):
    folder.mkdir()
    cremi_sample(folder / "sample_A_20160501.hdf", RAW, boxes(SHAPE))
    cremi_sample(folder / "sample_B_padded_2016.hdf", RAW, boxes(SHAPE), padding=(2, 2, 2))
    return folder


@pytest.mark.parametrize(
    ("files", "convert", "blocks"),
    [
        (em_r50_files, em_r50.convert, 2 * 3 * 3),  # volumes × slabs × (image, labels in and out)
        (vnc_files, vnc.convert, 2 * 3),
        (cremi_files, cremi.convert, 3 + 2 * 3),  # counted; counted and cut out
    ],
    ids=["em_r50", "vnc", "cremi"],
)
def test_a_conversion_says_how_far_it_is(
    tmp_path, made, monkeypatch, capsys, read, files, convert, blocks
):
    folder = files(tmp_path / "a")
    monkeypatch.setattr(progress, "IN_LOG", 0.0)
    monkeypatch.setattr(progress, "LINES", 1e9)
    convert(of(folder), made)
    lines = capsys.readouterr().err.splitlines()
    said = [line.partition(",")[0] for line in lines]
    assert said == [f"convert: {n} of {blocks} blocks" for n in range(1, blocks + 1)]
    assert all(" voxels/s" in line for line in lines)
    assert max(read) == 16


def test_slabs_make_the_volume_that_was_read(tmp_path):
    save_volume(tmp_path / "a.h5", RAW)
    with open_volume(tmp_path / "a.h5") as volume, converting([SHAPE, SHAPE]) as shown:
        write_slabs(tmp_path / "b.h5", volume, shown, grid=VoxelGrid((30, 8, 8), (60, 0, 8)))
        write_slabs(tmp_path / "c.h5", RAW, shown, grid=NOWHERE)
    assert shown.done == shown.total == 6
    for name in "bc":
        np.testing.assert_array_equal(read_volume(tmp_path / f"{name}.h5"), RAW)
    with open_volume(tmp_path / "b.h5") as volume:
        assert (volume.resolution, volume.offset_nm) == ((30, 8, 8), (60, 0, 8))
