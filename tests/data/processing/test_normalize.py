from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from connectomics.data.io import open_volume, save_volume
from connectomics.data.processing import (
    ImageStatistics,
    grey_values,
    image_statistics,
    normalize,
)
from connectomics.errors import DataError

images = hnp.arrays(
    st.sampled_from(["u1", "i2", "u2", "i4", "f4", "f8"]),
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
    elements={"min_value": 0, "max_value": 100},
).filter(lambda image: np.ptp(image.astype(np.float32)) > 0)


@given(images)
def test_without_clipping_the_statistics_are_the_obvious_ones(image: NDArray[Any]) -> None:
    found = image_statistics(image)
    grey = image.astype(np.float64)
    expected = [grey.min(), grey.max(), grey.mean(), grey.std()]
    assert np.allclose(list(found.as_dict().values()), expected, rtol=1e-6, atol=1e-6)


@given(images, st.floats(0, 0.4), st.floats(0.6, 1))
def test_clipped_statistics_are_those_of_the_clipped_volume(
    image: NDArray[Any], low: float, high: float
) -> None:
    grey = image.astype(np.float32).astype(np.float64)
    bounds = np.quantile(grey, [low, high])
    if bounds[0] >= bounds[1] - 1e-4:
        return
    found = image_statistics(image, clip_percentile_low=low, clip_percentile_high=high)
    clipped = np.clip(grey, *bounds)
    expected = [*bounds, clipped.mean(), clipped.std()]
    assert np.allclose(list(found.as_dict().values()), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_how_a_volume_is_stored_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    image = np.random.default_rng(0).integers(0, 255, (9, 30, 40)).astype(dtype)
    options = {"clip_percentile_low": 0.01, "clip_percentile_high": 0.98}
    expected = image_statistics(image, **options)
    monkeypatch.setattr(grey_values, "BLOCK_VOXELS", 1000)
    for name in ("a.h5", "a.zarr", "a.tif"):
        save_volume(tmp_path / name, image)
        found = image_statistics(open_volume(tmp_path / name), **options)
        assert np.allclose(list(found.as_dict().values()), list(expected.as_dict().values()))


def test_several_volumes_share_their_statistics() -> None:
    dark, bright = np.full((1, 1, 3), 10, np.uint8), np.full((1, 1, 1), 50, np.uint8)
    expected = ImageStatistics(10, 50, 20, np.sqrt(300))
    assert image_statistics([dark, bright]) == expected
    assert image_statistics([dark, bright.astype(np.uint16)]) == expected  # types may differ


def test_statistics_survive_a_checkpoint() -> None:
    statistics = image_statistics(np.arange(24, dtype=np.uint16).reshape(2, 3, 4))
    values = json.loads(json.dumps(statistics.as_dict()))
    assert all(type(value) is float for value in statistics.as_dict().values())
    assert ImageStatistics.from_dict(values) == statistics
    with pytest.raises(KeyError):
        ImageStatistics.from_dict({"low": 0.0})


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_constant_image_is_refused(dtype: str) -> None:
    with pytest.raises(DataError, match="image: the image is 7 everywhere"):
        image_statistics(np.full((2, 3, 4), 7, dtype))


def test_an_image_that_is_mostly_padding_is_refused(tmp_path: Path) -> None:
    image = np.zeros((2, 3, 40), np.uint8)
    image[0, 0, :3] = 100
    save_volume(tmp_path / "em.h5", image)
    with pytest.raises(DataError) as caught:
        image_statistics(
            open_volume(tmp_path / "em.h5"), clip_percentile_low=0.05, clip_percentile_high=0.95
        )
    text = str(caught.value)
    assert "em.h5: the image is 0 everywhere between its percentiles 0.05 and 0.95" in text
    assert "widen clip_percentile_low" in text


def test_nan_is_refused() -> None:
    image = np.zeros((2, 3, 4), np.float32)
    image[1, 1, 1] = np.nan
    with pytest.raises(DataError, match=r"nan at voxel \(1, 1, 1\)"):
        image_statistics(image)


@pytest.mark.parametrize("fractions", [(-0.1, 1), (0, 1.1), (0.5, 0.5), (0.05, 99.5)])
def test_percentiles_are_fractions(fractions: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be fractions"):
        image_statistics(
            np.zeros((2, 3, 4)),
            clip_percentile_low=fractions[0],
            clip_percentile_high=fractions[1],
        )


STATISTICS = ImageStatistics(low=50, high=150, mean=90, std=20)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float64"])
def test_zero_to_one(dtype: str) -> None:
    image = np.array([0, 50, 75, 150, 200]).astype(dtype)
    grey = normalize(image, STATISTICS, "0-1")
    assert grey.dtype == np.float32
    assert grey.tolist() == [0, 0, 0.25, 1, 1]


def test_z_score() -> None:
    grey = normalize(np.array([0, 50, 90, 150, 200], np.uint8), STATISTICS, "z-score")
    assert grey.tolist() == [-2, -2, 0, 3, 3]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([0, 51, 255], np.uint8), [0, 0.2, 1]),
        (np.array([0, 65535], np.uint16), [0, 1]),
        (np.array([False, True]), [0, 1]),
        (np.array([-3.5, 700.0]), [-3.5, 700]),
    ],
)
def test_none_scales_by_the_type_alone(image: NDArray[Any], expected: list[float]) -> None:
    grey = normalize(image, None, "none")
    assert grey.dtype == np.float32
    assert np.allclose(grey, expected)


def test_the_image_is_not_changed() -> None:
    image = np.array([0.0, 100.0], np.float32)
    for mode in ("0-1", "z-score", "none"):
        normalize(image, STATISTICS, mode)
    assert image.tolist() == [0, 100]


def test_crops_are_normalized_as_the_whole() -> None:
    image = np.random.default_rng(0).integers(0, 255, (4, 5, 6), np.uint8)
    whole = normalize(image, image_statistics(image), "z-score")
    assert np.allclose([whole.mean(), whole.std()], [0, 1], atol=1e-5)
    crop = normalize(image[1:3, 2:], image_statistics(image), "z-score")
    assert np.array_equal(crop, whole[1:3, 2:])


def test_unknown_modes_and_missing_statistics() -> None:
    with pytest.raises(ValueError, match="'0-2'"):
        normalize(np.zeros(3), STATISTICS, "0-2")
    with pytest.raises(ValueError, match="statistics None"):
        normalize(np.zeros(3), None, "0-1")
