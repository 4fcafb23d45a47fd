from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.data.io import open_volume, pyramid, read_volume
from connectomics.data.io.downsampling import downsample
from connectomics.data.io.pyramid import Pyramid
from connectomics.data.io.sharded import copy_empty, create_sharded, open_sharded, place_store
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


@pytest.mark.parametrize("lost", ["zarr.json", "0/zarr.json", "1/zarr.json"])
def test_metadata_that_is_lost_is_written_again_and_blocks_stay(tmp_path, small, lost):
    path, given = tmp_path / "a.zarr", ((4, 4, 8), np.uint8, (4, 4, 4))
    first = create_sharded(path, *given, rule="mean")
    first.write(Box((0, 0, 0), (4, 4, 4)), np.full((4, 4, 4), 7, np.uint8))
    (path / lost).write_bytes((path / lost).read_bytes()[:-9])
    again = create_sharded(path, *given, rule="mean")
    again.write(Box((0, 0, 4), (4, 4, 8)), np.full((4, 4, 4), 7, np.uint8))
    assert (read_volume(path) == 7).all()
    assert read_volume(f"{path}/1").shape == (2, 2, 4)
    assert [one.name for one in tmp_path.iterdir()] == ["a.zarr"]


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


@pytest.fixture
def small(monkeypatch):
    """Coarser levels of volumes as small as those of tests."""
    monkeypatch.setattr(pyramid, "WIDEST", 4)
    monkeypatch.setattr(pyramid, "SMALLEST", 4)


def test_each_block_brings_its_part_of_the_coarser_levels(tmp_path, small):
    labels = np.zeros((5, 20, 13), np.uint32)
    labels[:, 3:9, 2:5], labels[:, 3:9, 5:12], labels[4, 19, 12] = 1, 2, 3
    path, grid = tmp_path / "labels.zarr", VoxelGrid((30, 8, 8), (60, 0, 8))
    store = filled(path, labels, (2, 8, 8), grid=grid, rule="mode")
    assert store.pyramid == Pyramid("mode", ((1, 2, 2), (1, 4, 4)))
    assert open_sharded(path) == store
    whole = downsample(labels, store.pyramid)
    with open_volume(path) as finest:
        assert np.array_equal(finest.read(), labels)
    for name, level, nm, offset in (
        ("1", whole[0], (30, 16, 16), (60, 4, 12)),
        ("2", whole[1], (30, 32, 32), (60, 12, 20)),
    ):
        for source in (f"{path}/{name}", f"{path}::{name}"):
            with open_volume(source) as volume:
                assert np.array_equal(volume.read(), level)
                assert (volume.resolution, volume.offset_nm) == (nm, offset)
                assert volume.gaps is None
                assert volume.attributes == {}  # it is no result by itself
    assert len(list(path.rglob("c/*/*/*"))) == 3 * 3 * 3 * 2


def test_the_levels_of_a_store_in_the_words_of_ome_zarr(tmp_path, small):
    shape, grid = (3, 4, 16, 16), VoxelGrid((30, 8, 8))
    create_sharded(tmp_path / "p.zarr", shape, np.float16, (4, 8, 8), grid=grid, rule="mean")
    group = json.loads((tmp_path / "p.zarr" / "zarr.json").read_text())
    (image,) = group["attributes"]["ome"]["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == ["c", "z", "y", "x"]
    assert {axis.get("unit") for axis in image["axes"][1:]} == {"nanometer"}
    assert image["type"] == "mean"
    assert image["datasets"] == [
        {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 30, 8, 8]}]},
        {
            "path": "1",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1, 30, 16, 16]},
                {"type": "translation", "translation": [0, 0, 4, 4]},
            ],
        },
        {
            "path": "2",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1, 30, 32, 32]},
                {"type": "translation", "translation": [0, 0, 12, 12]},
            ],
        },
    ]


def test_another_place_is_that_of_all_levels(tmp_path, small):
    path = tmp_path / "p.zarr"
    store = filled(path, np.ones((4, 16, 16), np.uint8), (4, 8, 8), rule="mean")
    assert store.pyramid.factors == ((2, 2, 2), (4, 4, 4))
    with open_volume(f"{path}/2") as volume:
        assert (volume.resolution, volume.shape) == (None, (1, 4, 4))
    place_store(path, VoxelGrid((40, 4, 4), (0, 0, 100)))
    with open_volume(f"{path}/2") as volume:
        assert (volume.resolution, volume.offset_nm) == ((160, 16, 16), (60, 6, 106))
    assert open_sharded(path) == store


def test_a_store_that_was_begun_without_coarser_levels_goes_on_without(tmp_path, small):
    given = ((4, 16, 16), np.uint8, (4, 8, 8))
    for name, first, then, levels in (("a", "", "mode", 0), ("b", "mode", "", 2)):
        create_sharded(tmp_path / f"{name}.zarr", *given, rule=first)
        store = create_sharded(tmp_path / f"{name}.zarr", *given, rule=then)
        assert len(store.pyramid.factors) == levels
        box = Box((0, 0, 0), (4, 8, 8))
        store.write(box, np.ones(box.shape, np.uint8))
        assert [size > 0 for size in store.coarser_bytes(box)] == [True] * levels
        assert len(list((tmp_path / f"{name}.zarr").rglob("c/0/0/0"))) == levels + 1


def test_a_level_that_is_gone_follows_from_the_finest(tmp_path, small):
    array = np.arange(2 * 8 * 16).reshape(2, 8, 16).astype(np.uint16)
    store = filled(tmp_path / "a.zarr", array, (2, 8, 8), rule="mode")
    box = Box((0, 0, 8), (2, 8, 16))
    expected, there = read_volume(tmp_path / "a.zarr/1"), store.coarser_bytes(box)
    store.file_of(box, 1).unlink()
    store.file_of(box, 2).write_bytes(b"short")
    assert (store.coarser_bytes(box), store.is_whole(box, 2)) == ([-1, 5], False)
    store.write_coarser(box, array[:, :, 8:])
    assert (store.coarser_bytes(box), store.is_whole(box, 2)) == (there, True)
    assert np.array_equal(read_volume(tmp_path / "a.zarr/1"), expected)
    empty = copy_empty(store, tmp_path / "copy.zarr")
    assert empty.pyramid == store.pyramid
    assert empty.coarser_bytes(box) == [-1, -1]
