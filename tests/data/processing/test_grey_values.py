from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from connectomics.data.io import open_volume, save_volume
from connectomics.data.processing import grey_values
from connectomics.data.processing.grey_values import (
    count_values,
    quantiles,
    quantiles_of_counts,
    read_blocks,
)
from connectomics.errors import DataError
from connectomics.geometry import whole

shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)
fractions = st.lists(st.floats(0, 1), min_size=1, max_size=4)


@given(hnp.arrays(st.sampled_from(["bool", "u1", "i1", "u2", "i2"]), shapes), fractions)
def test_quantiles_of_counts_are_numpys(image: NDArray[Any], wanted: list[float]) -> None:
    found = quantiles_of_counts(*count_values([image]), wanted)
    assert np.allclose(found, np.quantile(image.astype(np.float64), wanted))


@given(
    hnp.arrays(np.float32, shapes, elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    fractions,
)
def test_quantiles_of_floats_are_numpys(image: NDArray[np.float32], wanted: list[float]) -> None:
    found = quantiles([image], wanted)
    assert np.allclose(found, np.quantile(image.astype(np.float64), wanted), rtol=1e-6, atol=0)


@given(hnp.arrays(np.int32, shapes, elements=st.integers(-(2**20), 2**20)), fractions)
def test_quantiles_of_wide_integers_are_numpys(
    image: NDArray[np.int32], wanted: list[float]
) -> None:
    assert np.allclose(quantiles([image], wanted), np.quantile(image, wanted))


def test_several_volumes_count_as_one() -> None:
    random = np.random.default_rng(0)
    parts = [random.normal(size=(2, 3, size)).astype(np.float32) for size in (4, 9)]
    together = np.concatenate([part.ravel() for part in parts])
    assert np.allclose(quantiles(parts, [0.1, 0.9]), np.quantile(together, [0.1, 0.9]))


@pytest.mark.parametrize("voxels", [1, 50, 300, 10**6])
@pytest.mark.parametrize("shape", [(7, 11, 13), (2, 7, 11, 13)])
def test_blocks_cover_everything_once(
    monkeypatch: pytest.MonkeyPatch, voxels: int, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(grey_values, "BLOCK_VOXELS", voxels)
    image = np.arange(np.prod(shape)).reshape(shape)
    again = np.full(shape, -1)
    for box, block in read_blocks(image, whole(shape[-3:])):
        assert block.size <= max(voxels, 13 * 2)
        again[(..., *box.slices)] = block
    assert np.array_equal(again, image)


def test_blocks_of_files_keep_to_their_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grey_values, "BLOCK_VOXELS", 40 * 20 * 100)
    image = np.random.default_rng(0).integers(0, 255, (40, 20, 100), np.uint8)
    save_volume(tmp_path / "em.h5", image)
    volume = open_volume(tmp_path / "em.h5")
    assert volume.chunks == (16, 20, 100)
    boxes = [box for box, _ in read_blocks(volume, whole(image.shape))]
    assert [box.start[0] for box in boxes] == [0, 32]


def test_blocks_of_wide_files_are_no_wider_than_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grey_values, "BLOCK_VOXELS", 2 * 4 * 8 * 8)
    with h5py.File(tmp_path / "em.h5", "w") as file:
        file.create_dataset("main", data=np.zeros((9, 20, 1000), np.uint8), chunks=(4, 8, 8))
    volume = open_volume(tmp_path / "em.h5")
    sizes = [block.size for _, block in read_blocks(volume, whole(volume.shape))]
    assert max(sizes) == 2 * 4 * 8 * 8
    assert sum(sizes) == 9 * 20 * 1000


def test_files_and_arrays_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grey_values, "BLOCK_VOXELS", 500)
    image = np.random.default_rng(0).normal(size=(9, 20, 30)).astype(np.float32)
    save_volume(tmp_path / "em.zarr", image)
    wanted = [0.05, 0.5, 0.95]
    assert quantiles([open_volume(tmp_path / "em.zarr")], wanted) == quantiles([image], wanted)


@pytest.mark.parametrize(
    ("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (1e300, "1e+300")]
)
def test_voxels_that_are_no_number_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, shown: str
) -> None:
    monkeypatch.setattr(grey_values, "BLOCK_VOXELS", 100)
    image = np.ones((7, 11, 13))
    image[5, 2, 12] = value
    for source, volume in (("image", image), ("em.h5", None)):
        if volume is None:
            save_volume(tmp_path / "em.h5", image)
            volume = open_volume(tmp_path / "em.h5")
        with pytest.raises(DataError) as caught:
            quantiles([volume], [0.5])
        text = str(caught.value)
        assert f"{source}: the image holds {shown} at voxel (5, 2, 12) (z, y, x)" in text


def test_voxels_that_are_no_number_are_found_in_channels() -> None:
    image = np.ones((2, 3, 4, 5), np.float16)
    image[1, 2, 0, 3] = np.nan
    with pytest.raises(DataError, match=r"nan at voxel \(2, 0, 3\)"):
        quantiles([image], [0.5])
