from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from connectomics.data.io import LazyVolume, open_volume, read_volume, save_volume
from connectomics.errors import DataError, DataWarning
from connectomics.geometry import Box

Image = NDArray[np.uint8]
SHAPE = (7, 11, 13)
FORMATS = ("em.h5", "em.zarr", "em.tif", "packed.tif", "sections")


@pytest.fixture
def sources(tmp_path: Path, image: Image) -> dict[str, Path]:
    """The same volume in every format."""
    for name in ("em.h5", "em.zarr", "em.tif"):
        save_volume(tmp_path / name, image, resolution=(30, 8, 8))
    save_volume(tmp_path / "packed.tif", image.astype(np.int64))
    (tmp_path / "sections").mkdir()
    for z, section in enumerate(image):
        Pillow.fromarray(section).save(tmp_path / "sections" / f"{z}.png")
    return {name: tmp_path / name for name in FORMATS}


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    ends = [sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in SHAPE]
    (z0, z1), (y0, y1), (x0, x1) = ends
    return Box((z0, y0, x0), (z1, y1, x1))


@pytest.mark.parametrize("name", FORMATS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(box=boxes())
def test_reading_a_box_equals_cropping(
    sources: dict[str, Path], image: Image, name: str, box: Box
) -> None:
    crop = open_volume(sources[name]).read(box)
    assert crop.shape == box.shape
    assert np.array_equal(crop, image[box.slices])


@pytest.mark.parametrize("name", FORMATS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(outer=boxes(), data=st.data())
def test_cropping_twice_equals_cropping(
    sources: dict[str, Path], image: Image, name: str, outer: Box, data: st.DataObject
) -> None:
    if not outer.size:
        return
    part = open_volume(sources[name]).crop(outer)
    assert part.shape == outer.shape
    assert np.array_equal(part.read(), image[outer.slices])
    inner = data.draw(boxes()).clip(outer.shape)
    assert np.array_equal(part.read(inner), image[outer.slices][inner.slices])
    if inner.size:
        assert np.array_equal(part.crop(inner).read(), image[outer.slices][inner.slices])


def test_a_crop_carries_its_offset(sources: dict[str, Path]) -> None:
    part = open_volume(sources["em.h5"]).crop(Box((2, 3, 4), (5, 6, 7)))
    assert part.offset_nm == (60, 24, 32)
    assert part.crop(Box((1, 0, 0), (2, 1, 1))).offset_nm == (90, 24, 32)
    assert open_volume(sources["sections"]).crop(Box((2, 0, 0), (3, 1, 1))).offset_nm == (0, 0, 0)


def test_a_volume_slices_as_its_array_does(sources: dict[str, Path], image: Image) -> None:
    volume = open_volume(sources["em.h5"])
    part = volume[-3:, 2:, :-1]
    assert np.array_equal(np.asarray(part), image[-3:, 2:, :-1])
    assert part.origin == (4, 2, 0)
    assert (part.resolution, part.offset_nm) == ((30, 8, 8), (120, 16, 0))
    assert np.array_equal(np.asarray(part[..., 1:3], np.float32), part.read()[..., 1:3])
    for index in (2, (slice(0, 4, 2), ...), np.array([0, 1])):
        with pytest.raises(ValueError, match="without a step"):
            volume[index]


@pytest.mark.parametrize("box", [Box((0, 0, 0), (8, 1, 1)), Box((-1, 0, 0), (1, 1, 1))])
def test_boxes_outside_are_refused(sources: dict[str, Path], box: Box) -> None:
    volume = open_volume(sources["em.h5"])
    with pytest.raises(ValueError, match="outside"):
        volume.read(box)
    with pytest.raises(ValueError, match="no part"):
        volume.crop(box)
    with pytest.raises(ValueError, match="no part"):
        volume.crop(Box((1, 1, 1), (1, 2, 2)))


@pytest.mark.parametrize("name", FORMATS)
def test_arrays_own_their_memory(sources: dict[str, Path], image: Image, name: str) -> None:
    volume = open_volume(sources[name])
    first = volume.read()
    first[:] = 0
    assert np.array_equal(volume.read(), image)
    assert first.flags.c_contiguous


def test_channels_are_all_read(tmp_path: Path, probabilities: NDArray[np.float32]) -> None:
    box = Box((1, 2, 3), (4, 6, 7))
    for name in ("p.h5", "p.zarr", "p.tif"):
        save_volume(tmp_path / name, probabilities)
        volume = open_volume(tmp_path / name)
        assert volume.shape == (3, 5, 6, 8)
        assert np.array_equal(volume.read(box), probabilities[(slice(None), *box.slices)])
        part = volume.crop(box)
        assert part.shape == (3, 3, 4, 4)
        assert np.array_equal(part.read(), probabilities[(slice(None), *box.slices)])


def test_nothing_is_read_on_opening(
    sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("read on opening")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", refuse)
    monkeypatch.setattr(zarr.Array, "__getitem__", refuse)
    for name in FORMATS:
        assert open_volume(sources[name]).shape == SHAPE


@pytest.mark.parametrize("name", FORMATS)
def test_volumes_can_be_pickled_after_reading(
    sources: dict[str, Path], image: Image, name: str
) -> None:
    with open_volume(sources[name]) as volume:
        volume.read()
        again = pickle.loads(pickle.dumps(volume))
    assert isinstance(again, LazyVolume)
    assert (again.name, again.resolution) == (volume.name, volume.resolution)
    assert np.array_equal(again.read(), image)


def test_volumes_travel_into_a_fresh_process(sources: dict[str, Path], image: Image) -> None:
    code = (
        "import pickle, sys\n"
        "volumes = pickle.load(sys.stdin.buffer)\n"
        "print([int(volume.read().sum()) for volume in volumes])"
    )
    volumes = [open_volume(sources[name]) for name in FORMATS]
    for volume in volumes:
        volume.read()
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(volumes), capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == str([int(image.sum())] * len(FORMATS))


def read_many(volume: LazyVolume, seed: int, results: Any) -> None:
    random = np.random.default_rng(seed)
    for _ in range(50):
        start = [int(random.integers(0, n)) for n in SHAPE]
        box = Box((start[0], start[1], start[2]), SHAPE)
        results.put((os.getpid(), box, int(volume.read(box).sum())))


@pytest.mark.parametrize("name", FORMATS)
def test_forked_workers_read_while_the_parent_does(
    sources: dict[str, Path], image: Image, name: str
) -> None:
    volume = open_volume(sources[name])
    volume.read(Box((0, 0, 0), (1, 1, 1)))  # the parent's handle is open when it forks
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [context.Process(target=read_many, args=(volume, i, results)) for i in range(2)]
    for worker in workers:
        worker.start()
    for _ in range(50):
        assert np.array_equal(volume.read(), image)
    found = [results.get(timeout=60) for _ in range(100)]
    for worker in workers:
        worker.join(timeout=60)
        assert worker.exitcode == 0
    assert len({pid for pid, _, _ in found}) == 2
    assert all(total == int(image[box.slices].sum()) for _, box, total in found)


@pytest.mark.parametrize("name", FORMATS)
def test_threads_share_a_volume(sources: dict[str, Path], image: Image, name: str) -> None:
    volume = open_volume(sources[name])
    wrong: list[int] = []

    def read(z: int) -> None:
        for _ in range(20):
            if not np.array_equal(volume.read(Box((z, 0, 0), (z + 1, 11, 13)))[0], image[z]):
                wrong.append(z)

    threads = [threading.Thread(target=read, args=(z,)) for z in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("name", FORMATS)
def test_closing_is_safe_and_reading_opens_again(
    sources: dict[str, Path], image: Image, name: str
) -> None:
    volume = open_volume(sources[name])
    volume.close()
    with volume:
        assert np.array_equal(volume.read(), image)
    volume.close()
    assert np.array_equal(volume.read(), image)


def test_a_file_that_vanishes_is_named(sources: dict[str, Path]) -> None:
    for name in ("em.h5", "em.tif"):
        volume = open_volume(sources[name])
        sources[name].unlink()
        with pytest.raises(DataError, match=name):
            volume.read()


def test_a_volume_larger_than_the_memory(
    sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(h5py.Dataset, "__getitem__", refuse)
    with pytest.raises(DataError, match=r"needs 0\.0 GiB of memory"):
        open_volume(sources["em.h5"]).read()


def test_the_voxel_size_of_the_file_is_used_where_both_agree(sources: dict[str, Path]) -> None:
    assert open_volume(sources["em.h5"]).resolution == (30, 8, 8)
    assert open_volume(sources["em.h5"], resolution=(30.2, 8, 7.95)).resolution == (30, 8, 8)


def test_the_voxel_size_given_is_used_where_the_file_has_none(sources: dict[str, Path]) -> None:
    assert open_volume(sources["sections"]).resolution is None
    assert open_volume(sources["sections"], resolution=(30, 8, 8)).resolution == (30, 8, 8)


@pytest.mark.parametrize("name", ["em.h5", "em.zarr", "em.tif"])
def test_contradicting_voxel_sizes_are_an_error(sources: dict[str, Path], name: str) -> None:
    with pytest.raises(DataError) as caught:
        open_volume(sources[name], resolution=(30, 8, 8.1))
    text = str(caught.value)
    assert "the file says 30 x 8 x 8 nm per voxel (z, y, x), the config 30 x 8 x 8.1" in text
    assert "(x, y, z)" not in text


def test_a_voxel_size_in_x_y_z_order_is_recognised(sources: dict[str, Path]) -> None:
    with pytest.raises(DataError, match=r"What the config says looks like \(x, y, z\)"):
        open_volume(sources["em.h5"], resolution=(8, 8, 30))


def test_a_file_in_x_y_z_order_is_recognised_too(tmp_path: Path) -> None:
    save_volume(tmp_path / "em.h5", np.zeros((2, 4, 4), np.uint8), resolution=(8, 8, 30))
    with pytest.raises(DataError, match=r"What the file says looks like \(x, y, z\)"):
        open_volume(tmp_path / "em.h5", resolution=(30, 8, 8))


def test_a_doubtful_voxel_size_is_corrected_where_it_stands(tmp_path: Path) -> None:
    em = np.zeros((2, 4, 4), np.uint8)
    for name, stated, typed, where in (
        ("said.h5", (8, 8, 30), None, "in the file"),
        ("bare.h5", None, (8, 8, 30), "in `resolution`"),
    ):
        save_volume(tmp_path / name, em, resolution=stated)
        with pytest.warns(DataWarning, match=f"correct it {where} if it is wrong"):
            open_volume(tmp_path / name, resolution=typed)


def test_a_voxel_size_must_be_positive(sources: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="three positive numbers"):
        open_volume(sources["sections"], resolution=(30, 0, 8))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_volume(tmp_path / "absent.h5")


def test_an_unreadable_folder_is_an_error(
    sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "glob", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        open_volume(sources["sections"])


def test_a_volume_shows_what_it_is(sources: dict[str, Path]) -> None:
    text = repr(open_volume(sources["em.h5"]))
    assert "em.h5" in text
    assert "shape=(7, 11, 13), dtype=uint8" in text


def test_the_package_imports_without_torch_and_fast_formats_only() -> None:
    code = (
        "import sys, connectomics.data.io, connectomics.data.processing\n"
        "print([m for m in ('torch', 'zarr', 'tifffile', 'h5py', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_a_part_knows_where_it_begins_and_in_which_dataset(tmp_path: Path) -> None:
    save_volume(f"{tmp_path / 'em.h5'}::volumes/raw", np.zeros((4, 8, 8), np.uint8))
    store = zarr.open_group(tmp_path / "em.zarr", mode="w")
    store.create_array("volumes/raw", shape=(4, 8, 8), dtype="uint8")
    for name in ("em.h5", "em.zarr"):
        volume = open_volume(tmp_path / name)
        assert volume.dataset.strip("/") == "volumes/raw"
        part = volume.crop(Box((1, 2, 0), (4, 8, 8))).crop(Box((1, 1, 3), (2, 2, 4)))
        assert (volume.origin, part.origin) == ((0, 0, 0), (2, 3, 3))
    save_volume(tmp_path / "em.tif", np.zeros((4, 8, 8), np.uint8))
    assert open_volume(tmp_path / "em.tif").dataset == ""


@pytest.mark.parametrize("name", ["em.h5", "em.tif"])
def test_a_file_that_is_cut_short_while_it_is_read(sources: dict[str, Path], name: str) -> None:
    """HDF5 would read zeros there."""
    with open_volume(sources[name]) as volume:
        volume.read()
        os.truncate(sources[name], sources[name].stat().st_size - 500)
        with pytest.raises(DataError, match="bytes when it was opened, and has"):
            volume.read(Box((6, 0, 0), (7, 2, 2)))


def test_a_file_that_is_cut_short_in_the_middle_of_a_read_kills_nobody(tmp_path: Path) -> None:
    """As it would if it was mapped."""
    file = tmp_path / "em.tif"
    save_volume(file, np.ones((4, 64, 64), np.uint16))
    with open_volume(file) as volume:
        array = volume._array()
        os.truncate(file, file.stat().st_size - 3 * 64 * 64 * 2)
        assert array[0:1, 0:2, 0:2].tolist() == [[[1, 1], [1, 1]]]
        with pytest.raises(OSError, match="the file ends before the voxels do"):
            array[0:4, 0:64, 0:64]


@pytest.mark.parametrize(
    ("size", "slip"),
    [
        ((0.03, 0.008, 0.008), "looks like micrometres: 30 x 8 x 8 nm"),
        ((8, 8, 30), "looks like .x, y, z.: 30 x 8 x 8"),
        ((5000, 8, 8), "No section is that thick"),
    ],
)
def test_voxel_sizes_that_cannot_be_are_said(
    sources: dict[str, Path], size: tuple[float, float, float], slip: str
) -> None:
    with pytest.warns(DataWarning, match=slip):
        assert open_volume(sources["sections"], resolution=size).resolution == size
