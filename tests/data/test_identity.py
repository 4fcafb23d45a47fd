"""A volume is known by its voxels; its files save reading it again."""

from __future__ import annotations

import math
import os
import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from PIL import Image

from connectomics.data import identity
from connectomics.data.identity import Identity, identify
from connectomics.data.io import open_volume, save_volume
from connectomics.errors import DataError
from connectomics.geometry import Box
from connectomics.mapping import mapped_by

VOXELS = np.arange(4 * 6 * 8, dtype=np.uint8).reshape(4, 6, 8)
OTHER = VOXELS[::-1].copy()


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The volumes that were read to be recognised."""
    read, content = [], identity._content

    def reads(volume, files):
        read.append(volume.source)
        return content(volume, files)

    monkeypatch.setattr(identity, "_content", reads)
    return read


def write(kind: str, voxels: np.ndarray) -> str:
    """Write a volume in some format, in place of what stood there; gives how to name it."""
    match kind:
        case "sections" | "pattern":
            Path("stack").mkdir(exist_ok=True)
            for z, section in enumerate(voxels):
                Image.fromarray(section).save(f"stack/{z}.png")
            return "stack" if kind == "sections" else "stack/*.png"
        case "nested zarr":
            group = zarr.open_group("store.zarr", mode="a")
            array = group.create_array(
                "s/0", shape=voxels.shape, dtype="uint8", chunks=(2, 3, 4), overwrite=True
            )
            array[:] = voxels
            return "store.zarr::s/0"
        case "sharded zarr":
            group = zarr.open_group("sharded.zarr", mode="a")
            chunks = {"chunks": (1, 3, 4), "shards": (2, 6, 8)}
            array = group.create_array(
                "0", shape=voxels.shape, dtype="uint8", overwrite=True, **chunks
            )
            array[:] = voxels
            return "sharded.zarr::0"
    save_volume(f"raw{kind}", voxels, overwrite=True)
    return f"raw{kind}"


KINDS = [".h5", ".tif", ".zarr", "sections", "pattern", "nested zarr", "sharded zarr"]


def files_under() -> list[Path]:
    return [path for path in Path().rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_same_whatever_holds_it_and_read_once(kind, reads):
    source = write(kind, VOXELS)
    known = identify(open_volume(source))
    save_volume("plain.h5", VOXELS)
    assert known.content == identify(open_volume("plain.h5")).content
    assert len(reads) == 2
    stored = Identity.from_dict(known.as_dict())
    assert identify(open_volume(source), stored) == known
    assert len(reads) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_wide_volume_is_read_by_tiles_or_chunks_and_every_voxel_counts(kind, monkeypatch):
    monkeypatch.setattr(identity, "TILE", 3)
    monkeypatch.setattr(identity, "SLAB_BYTES", 40)
    save_volume("plain.h5", VOXELS)
    plain = identify(open_volume("plain.h5")).content
    volume = open_volume(write(kind, VOXELS))
    boxes, read = [], type(volume).read
    monkeypatch.setattr(
        type(volume), "read", lambda self, box: boxes.append(box) or read(self, box)
    )
    assert identify(volume).content == plain
    assert sum(math.prod(box.shape) for box in boxes) == VOXELS.size
    units = [1 if n is None else n for n in volume.chunks or (1, 1, 1)]
    least = math.prod(
        min(n, -(-unit // tile) * tile)
        for n, unit, tile in zip(VOXELS.shape, units, (1, 3, 3), strict=True)
    )
    assert max(math.prod(box.shape) for box in boxes) <= max(40, least)
    for place in [(0, 0, 0), (3, 5, 7), (2, 3, 2), (1, 2, 3)]:
        changed = VOXELS.copy()
        changed[place] += 1
        assert identify(open_volume(write(kind, changed))).content != plain


def test_the_tiles_of_channels_hold_all_of_them(monkeypatch):
    monkeypatch.setattr(identity, "TILE", 4)
    channels = np.stack([VOXELS, OTHER])
    known = []
    for chunks in [(2, 4, 6, 8), (1, 1, 3, 5)]:
        with h5py.File(f"{chunks[1]}.h5", "w") as file:
            file.create_dataset("main", data=channels, chunks=chunks)
        known.append(identify(open_volume(f"{chunks[1]}.h5")).content)
    with h5py.File("swapped.h5", "w") as file:
        file["main"] = channels[::-1]
    assert known[0] == known[1] != identify(open_volume("swapped.h5")).content


def test_a_chunk_that_cannot_be_read_is_named():
    store = zarr.create_array("a.zarr", data=VOXELS, chunks=(2, 3, 4))
    store.attrs["resolution"] = [30, 8, 8]
    chunk = Path("a.zarr/c/1/0/1")
    chunk.write_bytes(chunk.read_bytes()[:9])
    with pytest.raises(DataError, match=r"cannot be read from \(2, 0, 4\) to \(4, 3, 8\)"):
        identify(open_volume("a.zarr"))


@pytest.mark.parametrize("kind", KINDS)
def test_files_replaced_by_older_ones_are_others(kind):
    source = write(kind, VOXELS)
    known = identify(open_volume(source))
    write(kind, OTHER)
    for path in files_under():
        os.utime(path, (1_000_000, 1_000_000))
    assert identify(open_volume(source), known).content != known.content


@pytest.mark.parametrize("kind", ["sections", "nested zarr", "sharded zarr"])
def test_one_file_of_several_counts(kind):
    """A section or a chunk, put back with the time and the size that it had."""
    source = write(kind, VOXELS)
    known = identify(open_volume(source))
    kept = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files_under()}
    write(kind, np.where(np.arange(4)[:, None, None] == 1, 255 - VOXELS, VOXELS))
    changed = [path for path, (before, _) in kept.items() if path.read_bytes() != before]
    assert changed
    one = max(changed)
    other = one.read_bytes()
    for path, (before, _) in kept.items():
        path.write_bytes(other if path == one else before)
        os.utime(path, ns=(kept[path][1], kept[path][1]))
    assert identify(open_volume(source), known).content != known.content


def test_a_touched_moved_or_linked_file_is_read_again_and_recognised(reads):
    source = write(".h5", VOXELS)
    known = identify(open_volume(source))
    os.utime(source, (1_000_000, 1_000_000))
    assert identify(open_volume(source), known).content == known.content
    Path("far").mkdir()
    shutil.move(source, "far/em.h5")
    moved = identify(open_volume("far/em.h5"), known)
    assert (moved.content, moved.source) == (known.content, "far/em.h5")
    assert len(reads) == 3
    Path("link.h5").symlink_to("far/em.h5")
    assert identify(open_volume("link.h5"), moved).place == moved.place
    assert len(reads) == 3


def test_parts_and_types_are_others():
    source = write(".h5", np.concatenate([VOXELS, VOXELS]))
    volume = open_volume(source)
    first, again = (volume.crop(Box((z, 0, 0), (z + 4, 6, 8))) for z in (0, 4))
    whole, one, two = identify(volume), identify(first), identify(again, identify(first))
    assert one.content == two.content != whole.content
    assert one.place != two.place
    save_volume("wide.h5", VOXELS.astype(np.uint16))
    assert identify(open_volume("wide.h5")).content != one.content
    assert one.describe() == "raw.h5 [0:4, 0:6, 0:8]"
    assert one.difference(two) == "another part, raw.h5 [0:4, 0:6, 0:8]"


def test_a_virtual_dataset_is_read_every_time(reads):
    write(".h5", VOXELS)
    layout = h5py.VirtualLayout(VOXELS.shape, "uint8")
    layout[:] = h5py.VirtualSource("raw.h5", "main", VOXELS.shape)
    with h5py.File("virtual.h5", "w") as file:
        file.create_virtual_dataset("main", layout)
    known = identify(open_volume("virtual.h5"))
    write(".h5", OTHER)
    assert identify(open_volume("virtual.h5"), known).content != known.content
    assert len(reads) == 2


@pytest.mark.parametrize("stored", [None, 3, {}, {"source": "a"}, {"origin": 3, "shape": [1]}])
def test_what_is_no_identity_is_none(stored):
    assert Identity.from_dict(stored) is None


def test_columns_are_summed_up_wherever_they_are_read(monkeypatch):
    monkeypatch.setattr(identity, "TILE", 4)
    source = write("nested zarr", VOXELS)
    expected, asked = identify(open_volume(source)).content, []

    def mapper(work, boxes, what, given):
        asked.extend(box.start for box in boxes)
        sent = pickle.dumps(work)
        yield from [pickle.loads(sent)(box) for box in reversed(boxes)][::-1]

    monkeypatch.setattr(identity, "_READ", {})
    with mapped_by(mapper):
        assert identify(open_volume(source)).content == expected
    assert asked == [(0, 0, 0), (0, 0, 4), (0, 4, 0), (0, 4, 4)]
