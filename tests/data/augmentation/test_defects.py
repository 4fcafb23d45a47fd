"""Damage to single sections and parts of the patch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from connectomics.data.augmentation import (
    CutNoise,
    MissingParts,
    MissingSection,
    MotionBlur,
    OutOfFocus,
)
from connectomics.errors import ConfigError


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 0.8, (6, 40, 48)).astype(np.float32)


def changed_sections(before: np.ndarray, after: np.ndarray) -> list[int]:
    return np.flatnonzero((before != after).any(axis=(1, 2))).tolist()


def test_missing_sections_are_black(image: np.ndarray) -> None:
    counts = set()
    for seed in range(20):
        damaged = MissingSection(prob=1.0, sections=3)(image, rng=np.random.default_rng(seed))
        lost = changed_sections(image, damaged)
        assert (damaged[lost] == 0).all()
        counts.add(len(lost))
    assert counts == {1, 2, 3}


def test_one_section_always_remains() -> None:
    image = np.full((2, 4, 4), 0.5, np.float32)
    for seed in range(20):
        damaged = MissingSection(prob=1.0, sections=9)(image, rng=np.random.default_rng(seed))
        assert len(changed_sections(image, damaged)) == 1
    single = image[:1]
    damaged = MissingSection(prob=1.0)(single, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(damaged, single)


def test_missing_sections_filled_with_the_mean(image: np.ndarray) -> None:
    damaged = MissingSection(prob=1.0, sections=1, fill="mean")(image, rng=np.random.default_rng(0))
    (lost,) = changed_sections(image, damaged)
    np.testing.assert_allclose(damaged[lost], image.mean(), atol=1e-5)


def test_missing_sections_filled_with_one_random_grey_each(image: np.ndarray) -> None:
    greys = set()
    for seed in range(10):
        damaged = MissingSection(prob=1.0, sections=1, fill="random")(
            image, rng=np.random.default_rng(seed)
        )
        (lost,) = changed_sections(image, damaged)
        assert np.ptp(damaged[lost]) == 0
        greys.add(float(damaged[lost][0, 0]))
    assert len(greys) == 10


def test_missing_parts_leave_a_band_of_one_grey(image: np.ndarray) -> None:
    lost_fraction = []
    for seed in range(40):
        damaged = MissingParts(prob=1.0, sections=1, width_ratio=0.3, fill="black")(
            image, rng=np.random.default_rng(seed)
        )
        lost = damaged != image
        assert (damaged[lost] == 0).all()
        assert len(changed_sections(image, damaged)) <= 1
        lost_fraction.append(lost.any(axis=0).mean())
    assert 0.02 < np.mean(lost_fraction) < 0.25
    assert max(lost_fraction) < 0.5


def test_motion_blur_smears_along_one_direction() -> None:
    dot = np.zeros((1, 41, 41), np.float32)
    dot[0, 20, 20] = 1
    for seed in range(10):
        smeared = MotionBlur(prob=1.0, length=15.0)(dot, rng=np.random.default_rng(seed))[0]
        assert smeared.sum() == pytest.approx(1, abs=1e-4)
        y, x = np.nonzero(smeared)
        assert np.hypot(np.ptp(y), np.ptp(x)) <= 16
        # All mass lies within a pixel of one line through the dot.
        spread = np.linalg.svd(np.stack([y - 20, x - 20]), compute_uv=False)
        assert spread[1] / np.sqrt(len(y)) < 1


def test_motion_blur_keeps_a_constant_to_the_border() -> None:
    flat = np.full((2, 9, 9), 0.4, np.float32)
    np.testing.assert_allclose(
        MotionBlur(prob=1.0, length=7.0)(flat, rng=np.random.default_rng(0)), flat, atol=1e-6
    )


def test_out_of_focus_softens_few_sections(image: np.ndarray) -> None:
    for seed in range(10):
        blurred = OutOfFocus(prob=1.0, sections=2)(image, rng=np.random.default_rng(seed))
        touched = changed_sections(image, blurred)
        assert 1 <= len(touched) <= 2
        assert (blurred[touched].std(axis=(1, 2)) < image[touched].std(axis=(1, 2))).all()
        np.testing.assert_allclose(
            blurred[touched].mean(axis=(1, 2)), image[touched].mean(axis=(1, 2)), atol=0.02
        )


def test_cut_noise_stays_in_a_box(image: np.ndarray) -> None:
    for seed in range(20):
        noisy = CutNoise(prob=1.0, length_ratio=0.5, amplitude=0.2)(
            image, rng=np.random.default_rng(seed)
        )
        touched = np.argwhere(noisy != image)
        extent = np.ptp(touched, axis=0) + 1
        assert (extent <= [3, 20, 24]).all()
        assert len(touched) > 0.95 * extent.prod()
        assert np.abs(noisy - image).max() <= 0.2 + 1e-6


@pytest.mark.parametrize(
    "augmentation",
    [
        MissingSection(prob=1.0),
        MissingParts(prob=1.0, width_ratio=1.0),
        MotionBlur(prob=1.0),
        OutOfFocus(prob=1.0),
        CutNoise(prob=1.0, amplitude=1.0),
    ],
    ids=lambda a: type(a).__name__,
)
@pytest.mark.parametrize("shape", [(5, 16, 16), (1, 7, 3), (2, 1, 1)])
def test_any_shape_stays_in_range_and_the_input_is_left_alone(augmentation, shape) -> None:
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    before = image.copy()
    for seed in range(5):
        damaged = augmentation(image, rng=np.random.default_rng(seed))
        again = augmentation(image, rng=np.random.default_rng(seed))
        np.testing.assert_array_equal(damaged, again)
        assert damaged.shape == shape
        assert damaged.dtype == np.float32
        assert damaged.min() >= 0
        assert damaged.max() <= 1
    np.testing.assert_array_equal(image, before)


def test_an_unknown_fill_is_refused() -> None:
    settings: dict[str, Any] = {"fill": "white"}
    with pytest.raises(ConfigError, match=r"MissingSection\.fill.*'white'"):
        MissingSection(**settings)
