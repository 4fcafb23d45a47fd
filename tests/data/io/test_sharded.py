from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.data.io import open_volume, read_volume
from connectomics.data.io.sharded import create_sharded, place_store
from connectomics.errors import DataError
from connectomics.geometry import Box, VoxelGrid, block_boxes

SIZES = st.tuples(st.integers(1, 7), st.integers(1, 9), st.integers(1, 9))


def filled(path, array, block, **facts):
    store = create_sharded(path, array.shape, array.dtype, block, **facts)
    for box in block_boxes(array.shape[-3:], store.block):
        assert store.write(box, array[(..., *box.slices)]) == store.file_of(box)
    store.finish()
    return store


@settings(deadline=None, max_examples=15)
@given(SIZES, SIZES, st.sampled_from([(), (3,)]))
def test_blocks_of_any_size_are_the_volume(tmp_path_factory, shape, block, channels):
    path = tmp_path_factory.mktemp("store") / "labels.zarr"
    array = np.random.default_rng(0).integers(0, 9, (*channels, *shape)).astype(np.uint16)
    array[..., 0] = 0
    filled(path, array, block)
    assert np.array_equal(read_volume(path), array)
    with open_volume(path) as volume:
        assert volume.gaps is None  # blocks of zeros are there too


def test_a_store_says_what_it_is_of(tmp_path):
    array = np.ones((3, 4, 8, 8), np.float16)
    place = {"grid": VoxelGrid((30, 8, 8), (60, 0, 8))}
    filled(tmp_path / "p.zarr", array, (4, 4, 4), **place, attributes={"channels": ["a", "b", "c"]})
    with open_volume(tmp_path / "p.zarr") as volume:
        assert (volume.resolution, volume.offset_nm) == ((30, 8, 8), (60, 0, 8))
        assert volume.attributes["channels"] == ["a", "b", "c"]
    place_store(tmp_path / "p.zarr", VoxelGrid((40, 4, 4)), attributes={"a": 1})
    with open_volume(tmp_path / "p.zarr") as volume:
        assert (volume.resolution, volume.offset_nm) == ((40, 4, 4), (0, 0, 0))
        assert volume.attributes == {"channels": ["a", "b", "c"], "a": 1}
        assert volume.read().min() == 1


@pytest.mark.parametrize(
    "box",
    [
        Box((0, 0, 0), (4, 4, 2)),  # half a shard
        Box((0, 0, 2), (4, 4, 6)),  # two halves
        Box((0, 0, 0), (4, 4, 8)),  # two shards
        Box((0, 0, 8), (4, 4, 12)),  # beyond the volume
    ],
)
def test_what_is_not_a_whole_shard_is_refused(tmp_path, box):
    store = create_sharded(tmp_path / "a.zarr", (4, 4, 10), np.uint8, (4, 4, 4))
    with pytest.raises(ValueError, match="is not a block"):
        store.write(box, np.ones(box.shape, np.uint8))
    assert store.write(Box((0, 0, 8), (4, 4, 10)), np.ones((4, 4, 2), np.uint8)).is_file()


def test_other_types_and_shapes_are_refused(tmp_path):
    store = create_sharded(tmp_path / "a.zarr", (4, 4, 8), np.uint8, (4, 4, 4))
    box = Box((0, 0, 0), (4, 4, 4))
    for values in (np.ones((4, 4, 4), np.uint16), np.ones((4, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="cannot be written"):
            store.write(box, values)


def test_two_shards_begin_a_store_in_the_same_moment(tmp_path, monkeypatch):
    path, given, other = tmp_path / "p.zarr", ((4, 4, 4), np.uint8, (2, 4, 4)), []
    rename = Path.rename

    def late(self, target):
        if not other:
            other.append(None)
            store = create_sharded(path, *given, grid=VoxelGrid())
            store.write(Box((0, 0, 0), (2, 4, 4)), np.ones((2, 4, 4), np.uint8))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    store = create_sharded(path, *given, grid=VoxelGrid())
    store.write(Box((2, 0, 0), (4, 4, 4)), np.ones((2, 4, 4), np.uint8))
    assert (read_volume(path) == 1).all()
    assert [one.name for one in tmp_path.iterdir()] == ["p.zarr"]


def test_a_store_is_gone_on_with(tmp_path):
    path = tmp_path / "a.zarr"
    first = create_sharded(path, (4, 4, 8), np.uint8, (4, 4, 4))
    first.write(Box((0, 0, 0), (4, 4, 4)), np.full((4, 4, 4), 7, np.uint8))
    again = pickle.loads(pickle.dumps(create_sharded(path, (4, 4, 8), np.uint8, (4, 4, 4))))
    again.write(Box((0, 0, 4), (4, 4, 8)), np.full((4, 4, 4), 7, np.uint8))
    left = path / "0" / "c" / "0.abc.partial"
    left.write_bytes(b"half")
    again.finish()
    assert not left.exists()
    assert (read_volume(path) == 7).all()
    with pytest.raises(DataError, match="is another store"):
        create_sharded(path, (4, 4, 8), np.uint8, (4, 4, 2))


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: bytes([b[0] ^ 1]) + b[1:]])
def test_what_a_disk_has_lost_is_not_read_as_something_else(tmp_path, damage):
    array = np.random.default_rng(0).integers(0, 255, (4, 4, 3)).astype(np.uint8)
    store = filled(tmp_path / "a.zarr", array, (4, 4, 4))
    file = store.file_of(Box((0, 0, 0), (4, 4, 3)))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match="cannot be read"):
        read_volume(tmp_path / "a.zarr")
    store.write(Box((0, 0, 0), (4, 4, 3)), array)
    assert np.array_equal(read_volume(tmp_path / "a.zarr"), array)
