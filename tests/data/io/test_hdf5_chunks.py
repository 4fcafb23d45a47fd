from __future__ import annotations

import h5py
import numpy as np
import pytest

from connectomics.data.io import create_volume, hdf5_chunks
from connectomics.geometry import Box


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    monkeypatch.setattr(hdf5_chunks, "available_cpus", lambda: request.param)
    return request.param


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "uint64"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_hdf5_reads_what_was_compressed_here(tmp_path, threads, dtype, channels):
    values = (np.random.default_rng(0).random((*channels, 7, 10, 9)) * 200).astype(dtype)
    with create_volume(tmp_path / "a.h5", values.shape, dtype, chunks=(4, 5, 4)) as file:
        for z in (0, 4):  # the last chunks reach beyond the volume
            stop = min(z + 4, 7)
            file.write(Box((z, 0, 0), (stop, 10, 9)), values[..., z:stop, :, :])
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["main"].compression == "gzip"
        np.testing.assert_array_equal(file["main"], values)


def test_parts_of_chunks_are_written_beside_whole_ones(tmp_path, threads):
    values = np.random.default_rng(1).integers(0, 99, (6, 8, 8), dtype=np.uint16)
    with create_volume(tmp_path / "a.h5", values.shape, "uint16", chunks=(2, 4, 4)) as file:
        for first, stop in ((0, 3), (3, 4), (4, 6)):
            file.write(Box((first, 0, 0), (stop, 8, 8)), values[first:stop])
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["main"], values)


def test_both_ways_make_files_of_one_size(tmp_path, monkeypatch):
    values = np.repeat(np.arange(64, dtype=np.float32), 64).reshape(4, 32, 32)
    sizes = []
    for threads in (1, 3):
        monkeypatch.setattr(hdf5_chunks, "available_cpus", lambda threads=threads: threads)
        with create_volume(tmp_path / f"{threads}.h5", values.shape, "float32") as file:
            file.write(Box((0, 0, 0), values.shape), values)
        with h5py.File(tmp_path / f"{threads}.h5") as file:
            sizes.append(file["main"].id.get_storage_size())
    assert sizes[0] == sizes[1]
