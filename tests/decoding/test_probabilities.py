"""What is accepted as a probability volume, and on which scale it is read."""

from __future__ import annotations

import re
import tracemalloc

import h5py
import numpy as np
import pytest
import zarr
from decoding_volumes import DTYPES, random_volume

from connectomics.decoding import binary2instance, polarity2instance, probabilities
from connectomics.decoding.probabilities import check_probabilities
from connectomics.errors import DataError
from connectomics.process import sections


def foreground(values, dtype, thres):
    """Which of these voxels are foreground."""
    volume = np.array(values, dtype).reshape(1, 1, -1)
    return binary2instance(volume, thres=thres, thres_small=0).ravel() > 0


@pytest.mark.parametrize(
    ("dtype", "thres", "values", "expected"),
    [
        (np.uint8, 0.5, [127, 128], [False, True]),
        (np.uint8, 0.2, [51, 52], [False, True]),  # 51 is exactly 0.2 * 255
        (np.uint8, 0.3, [76, 77], [False, True]),
        (np.uint8, 0.0, [0, 2], [False, True]),
        (np.uint8, 1.0, [254, 255], [False, False]),
        (np.bool_, 0.5, [False, True], [False, True]),
        (np.bool_, 1.0, [False, True], [False, False]),
        (np.float16, 0.0, [-0.0, 0.0, 6e-8, -5e-4], [False, False, True, False]),
        (np.float16, -0.0, [-0.0, 0.0, 6e-8], [False, False, True]),
        (np.float16, 0.5, [0.5, 0.50049], [False, True]),
        (np.float32, 0.5, [0.5, np.nextafter(np.float32(0.5), np.float32(1))], [False, True]),
        (np.float64, 0.5, [0.5, np.nextafter(0.5, 1)], [False, True]),
        # What is stored as 0.3 is not above 0.3, in any precision.
        (np.float16, 0.3, [0.3, 0.3003], [False, True]),
        (np.float32, 0.3, [0.3], [False]),
    ],
)
def test_threshold(dtype, thres, values, expected):
    assert foreground(values, dtype, thres).tolist() == expected
    assert foreground(values * 100, dtype, thres).tolist() == expected * 100


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("x", [5, 69])
@pytest.mark.parametrize("bad", [np.nan, -np.nan])
def test_nan_is_refused_with_its_place(exclusive, dtype, x, bad):
    volume = np.zeros((3, 4, 5, 70), dtype)
    volume[1, 2, 3, x] = bad
    with pytest.raises(
        DataError, match=re.escape(f"NaN, first at channel 1, (z, y, x) = (2, 3, {x})")
    ):
        polarity2instance(volume, exclusive=exclusive)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [-3.5, 2.25, np.inf, -np.inf, 1.01, -0.01])
def test_logits_are_refused(exclusive, dtype, bad):
    volume = np.zeros((3, 2, 3, 70), dtype)
    volume[2, 1, 2, 64] = bad
    with pytest.raises(DataError, match="logits") as caught:
        polarity2instance(volume, exclusive=exclusive)
    assert f"{dtype(bad):.6g} at channel 2, (z, y, x) = (1, 2, 64)" in str(caught.value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rounding_beyond_the_range_is_accepted(dtype):
    volume = np.full((3, 1, 2, 70), 1.0009, dtype)
    volume[:, :, 1] = -0.0009
    assert polarity2instance(volume, thres_small=1).sum() == 2 * 70


@pytest.mark.parametrize("shape", [(5, 5), (2, 5, 5), (1, 2, 5, 5), (4, 2, 5, 5), (1, 3, 2, 5, 5)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(DataError, match=re.escape(f"the shape {shape}")):
        polarity2instance(np.zeros(shape, np.float32))


def test_an_empty_volume_is_refused():
    with pytest.raises(DataError, match="empty"):
        polarity2instance(np.zeros((3, 0, 5, 5), np.float32))


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, np.complex64, object])
def test_types_without_a_scale_are_refused(dtype):
    with pytest.raises(DataError, match=f"{np.dtype(dtype)}, which has no fixed scale"):
        polarity2instance(np.zeros((3, 1, 2, 2), dtype))


def test_a_uint8_mask_is_warned_of():
    volume = np.zeros((3, 2, 2, 2), np.uint8)
    volume[2, 1, 1, 1] = 1
    with pytest.warns(UserWarning, match="as bool") as record:
        assert not polarity2instance(volume, thres_small=0).any()
    assert record[0].filename == __file__
    with pytest.warns(UserWarning, match="as bool"):
        polarity2instance(volume, exclusive=True)


@pytest.mark.parametrize("largest", [0, 2, 255])
@pytest.mark.filterwarnings("error")
def test_no_other_uint8_volume_is_warned_of(largest):
    volume = np.zeros((3, 2, 2, 2), np.uint8)
    volume[1, 1, 1, 1] = largest
    polarity2instance(volume)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_layout_makes_no_difference(dtype, exclusive):
    volume = random_volume(11, (6, 20, 67), "blobs", dtype)
    expected = polarity2instance(volume, thres_small=2, exclusive=exclusive)
    wide = np.zeros((3, 6, 20, 134), dtype)
    wide[..., ::2] = volume
    locked = volume.copy()
    locked.flags.writeable = False
    buffer = bytearray(1) + bytearray(volume.tobytes())
    unaligned = np.frombuffer(buffer, dtype, offset=1).reshape(volume.shape)
    for same in (
        np.asfortranarray(volume),
        wide[..., ::2],
        volume[:, ::-1, :, ::-1].copy()[:, ::-1, :, ::-1],
        volume.astype(np.dtype(dtype).newbyteorder("S")),
        locked,
        unaligned,
        volume.tolist() if dtype in (np.bool_, np.float64) else volume,
    ):
        labels = polarity2instance(same, thres_small=2, exclusive=exclusive)
        assert np.array_equal(labels, expected)
    assert expected.any()


def test_memory_maps_and_hdf5_datasets(tmp_path):
    volume = random_volume(2, (5, 20, 80), "blobs", np.float16)
    expected = polarity2instance(volume, thres_small=2)
    np.save(tmp_path / "volume.npy", volume)
    mapped = np.load(tmp_path / "volume.npy", mmap_mode="r")
    assert np.array_equal(polarity2instance(mapped, thres_small=2), expected)
    with h5py.File(tmp_path / "volume.h5", "w") as file:
        dataset = file.create_dataset("main", data=volume)
        single = file.create_dataset("single", data=volume[0])
        assert np.array_equal(polarity2instance(dataset, thres_small=2), expected)
        assert np.array_equal(binary2instance(single), binary2instance(volume[0]))


class CountingDataset:
    """An array in chunks along z, which counts how often each is decompressed."""

    def __init__(self, array, chunks, depth):
        self.array, self.chunks, self.depth = array, chunks, depth
        self.shape, self.dtype = array.shape, array.dtype
        self.reads = np.zeros((array.shape[0], -(-array.shape[1] // depth)), int)

    def __getitem__(self, index):
        channel, sections = index
        begin, end, _ = sections.indices(self.shape[1])
        self.reads[channel, begin // self.depth : -(-end // self.depth)] += 1
        return self.array[index]


@pytest.mark.parametrize("depth", [1, 4, 7, 40])
@pytest.mark.parametrize("regular", [True, False])
@pytest.mark.parametrize("slab_bytes", [1, 3000, 2**21])
def test_no_chunk_of_a_dataset_is_read_twice(monkeypatch, depth, regular, slab_bytes):
    monkeypatch.setattr(probabilities, "_SLAB_BYTES", slab_bytes)
    volume = random_volume(8, (33, 20, 70), "blobs", np.float16)
    # As HDF5 and Zarr say it, and as Dask does.
    chunks = (1, depth, 5, 70) if regular else ((1, 1, 1), (depth, 1), (20,), (70,))
    dataset = CountingDataset(volume, chunks, depth)
    labels = polarity2instance(dataset, thres_small=2)
    assert np.array_equal(labels, polarity2instance(volume, thres_small=2))
    assert (dataset.reads == 1).all()


def test_looking_for_a_mask_reads_each_chunk_once():
    dataset = CountingDataset(np.zeros((3, 12, 20, 70), np.uint8), (1, 4, 20, 70), 4)
    check_probabilities(dataset, channels=3, where="test")
    assert (dataset.reads == 1).all()


@pytest.mark.parametrize("exclusive", [False, True])
def test_copies_of_strided_memory_stay_small(exclusive):
    volume = np.asfortranarray(random_volume(8, (32, 256, 256), "boxes", np.float32))
    polarity2instance(volume[:, :1], exclusive=exclusive)  # what is compiled or imported
    tracemalloc.start()
    polarity2instance(volume, exclusive=exclusive)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    copies = 3 * 2 * 2**20 * sections.available_cpus()
    assert peak < 1.5 * volume[0].size + copies


def test_zarr_arrays(tmp_path):
    volume = random_volume(2, (5, 20, 80), "blobs", np.uint8)
    stored = zarr.create_array(tmp_path / "volume.zarr", data=volume, chunks=(1, 2, 16, 32))
    expected = polarity2instance(volume, thres_small=2)
    assert expected.any()
    assert np.array_equal(polarity2instance(stored, thres_small=2), expected)
