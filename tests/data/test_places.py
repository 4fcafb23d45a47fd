"""Where labels are is found alike in memory, on disk and in what a run has kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomics.data import kept as keeping
from connectomics.data.dataset import PatchSource
from connectomics.data.foreground import DenseForegroundTable, RunForegroundTable
from connectomics.data.io import LazyVolume, open_volume, save_volume
from connectomics.data.kept import Kept
from connectomics.data.places import Places, places_of
from connectomics.data.processing.normalize import ImageStatistics
from connectomics.data.volumes import LabelledVolume
from connectomics.geometry import Box

SHAPE = (10, 24, 24)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keeping, "WORTH_KEEPING_BYTES", 0)


def labels() -> np.ndarray:
    """Synapse 1, of 5 x 9 x 11 voxels on two sides, and a side of synapse 4, of 8."""
    label = np.zeros(SHAPE, np.uint16)
    label[2:7, 3:12, 4:9] = 1
    label[2:7, 3:12, 9:15] = 2
    label[9, 20:22, 20:24] = 7
    return label


def source(label: np.ndarray, mask: np.ndarray | None = None) -> PatchSource:
    parts = {"image": np.zeros(SHAPE, np.uint8), "label": label, "mask": mask}
    volumes = {}
    for name, array in parts.items():
        if array is not None:
            save_volume(f"{name}.h5", array, overwrite=True)
            volumes[name] = open_volume(f"{name}.h5")
    return PatchSource(LabelledVolume("em", **volumes), ImageStatistics(0, 1, 0, 1))


def same(one: Places, other: Places) -> bool:
    assert one.table is not None
    assert other.table is not None
    assert one.synapses is not None
    assert other.synapses is not None
    for z in range(one.table.shape[0]):
        np.testing.assert_array_equal(one.table.section(z), other.table.section(z))
    for name in ("rows", "starts", "lengths", "first"):
        np.testing.assert_array_equal(getattr(one.synapses, name), getattr(other.synapses, name))
    return one.masked == other.masked


def marked() -> np.ndarray:
    return np.where(labels() > 0, labels(), [2**64 - 1] * 24).astype(np.uint64)


def half_marked() -> np.ndarray:
    label = marked()
    label[5] = 2**64 - 2
    return label


HALF = np.where(np.arange(10) < 4, 255, 0).astype(np.uint8)[:, None, None] * np.ones((24, 24), "u1")


@pytest.mark.parametrize(
    ("label", "mask", "voxels", "synapses", "masked"),
    [
        (labels(), None, 503, 2, False),
        (labels(), HALF, 2 * 9 * 11, 1, True),
        (marked(), None, 503, 2, False),
        (half_marked(), None, 503 - 9 * 11, 3, True),  # what is cut in two are two
    ],
)
def test_in_memory_on_disk_and_kept(label, mask, voxels, synapses, masked):
    lazy = source(label, mask)
    memory = places_of(lazy.cached(), Kept(), sided=True)
    assert isinstance(memory.table, DenseForegroundTable)
    kept = Kept()
    streamed = places_of(lazy, kept, sided=True)
    assert isinstance(streamed.table, RunForegroundTable)
    assert same(memory, streamed)
    kept.keep(Path("run"))
    assert same(streamed, places_of(lazy, Kept(Path("run")), sided=True))
    assert streamed.synapses is not None
    assert (streamed.table.total, len(streamed.synapses.voxels)) == (voxels, synapses)
    assert (streamed.masked, streamed.any) == (masked, True)


def test_labels_are_read_once_and_only_if_something_is_asked_of_them(monkeypatch):
    lazy, reads, read = source(labels()), [], LazyVolume.read
    monkeypatch.setattr(
        LazyVolume, "read", lambda self, box=None: reads.append(self.source) or read(self, box)
    )
    nothing = places_of(lazy, Kept(), sided=True, tabled=False, numbered=False)
    looks = len(reads)  # for marks, which is a look at some of it
    assert (nothing.table, nothing.synapses, nothing.masked, nothing.any) == (
        None,
        None,
        False,
        False,
    )
    kept = Kept()
    for tabled, numbered in ((True, False), (False, True), (True, True)):
        found = places_of(lazy, kept, sided=True, tabled=tabled, numbered=numbered)
        assert (found.table is not None, found.any) == (tabled, True)
    assert len(reads) == looks + len(lazy.boxes())


@pytest.mark.parametrize("change", ["sides", "labels", "mask", "part", "code"])
def test_what_is_another_is_found_anew(change, monkeypatch):
    kept = Kept()
    places_of(source(labels(), HALF), kept, sided=True)
    kept.keep(Path("run"))
    label, mask = labels(), HALF.copy()
    if change == "labels":
        label[0, 0, 0] = 1
    if change == "mask":
        mask[9] = 1
    if change in ("labels", "mask"):
        now = source(label, mask)
    else:
        parts: dict[str, Any] = {n: open_volume(f"{n}.h5") for n in ("image", "label", "mask")}
        now = PatchSource(LabelledVolume("em", **parts), ImageStatistics(0, 1, 0, 1))
    if change == "part":
        now = PatchSource(now.volume.crop(Box((1, 0, 0), SHAPE)), now.statistics)
    if change == "code":
        monkeypatch.setattr(keeping, "code_digest", lambda *places: "another")
    again = Kept(Path("run"))
    found = places_of(now, again, sided=change != "sides")
    assert again.notes() == []
    assert same(found, places_of(now, Kept(), sided=change != "sides"))
