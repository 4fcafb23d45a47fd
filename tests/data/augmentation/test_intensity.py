"""Augmentations of grey values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from connectomics.data.augmentation import Intensity, Noise

GREY = np.full((6, 40, 50), 0.5, dtype=np.float32)


def texture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.3, 0.7, (6, 20, 20)).astype(np.float32)


def test_brightness_shifts_a_section_by_at_most_its_limit() -> None:
    brightness = Intensity(prob=1.0, brightness=0.2, contrast=0.0, gamma=0.0)
    shifts = []
    for seed in range(30):
        changed = brightness(GREY, rng=np.random.default_rng(seed)) - GREY
        assert np.ptp(changed, axis=(1, 2)).max() < 1e-6
        shifts.append(changed[:, 0, 0])
    assert 0.1 < np.abs(shifts).max() <= 0.2 + 1e-6
    assert np.std(shifts, axis=1).max() > 0.01


def test_contrast_scales_about_the_mean_of_the_section() -> None:
    image = texture()
    changed = Intensity(prob=1.0, brightness=0.0, contrast=0.3, gamma=0.0)(
        image, rng=np.random.default_rng(1)
    )
    np.testing.assert_allclose(changed.mean(axis=(1, 2)), image.mean(axis=(1, 2)), atol=1e-5)
    ratio = changed.std(axis=(1, 2)) / image.std(axis=(1, 2))
    assert ((ratio >= 0.7 - 1e-5) & (ratio <= 1.3 + 1e-5)).all()
    assert np.abs(ratio - 1).max() > 0.01


def test_gamma_keeps_black_and_white() -> None:
    image = np.array([[[0, 0.25, 1]]], dtype=np.float32)
    changed = Intensity(prob=1.0, brightness=0.0, contrast=0.0, gamma=1.0)(
        image, rng=np.random.default_rng(0)
    )
    assert changed[0, 0, 0] == 0
    assert changed[0, 0, 2] == 1
    assert 0.25**2 <= changed[0, 0, 1] <= 0.25**0.5


def test_without_section_variation_all_sections_change_alike() -> None:
    changed = Intensity(prob=1.0, section_variation=0.0)(GREY, rng=np.random.default_rng(0))
    assert np.ptp(changed) < 1e-6
    assert changed[0, 0, 0] != 0.5


def test_gaussian_noise_has_the_drawn_strength() -> None:
    strengths = [
        Noise(prob=1.0, gaussian=0.1, shot=0.0)(GREY, rng=np.random.default_rng(seed)).std()
        for seed in range(40)
    ]
    assert 0.08 < max(strengths) <= 0.102
    assert min(strengths) < 0.02


def test_shot_noise_grows_with_the_square_root_of_the_signal() -> None:
    dim, bright = (
        Noise(prob=1.0, gaussian=0.0, shot=0.05)(
            np.full((4, 100, 100), grey, np.float32), rng=np.random.default_rng(3)
        ).std()
        for grey in (0.16, 0.64)
    )
    assert bright / dim == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("augmentation", [Intensity(prob=1.0), Noise(prob=1.0)])
def test_results_are_clipped_and_the_input_is_left_alone(augmentation) -> None:
    image = np.random.default_rng(0).random((4, 30, 30), dtype=np.float32)
    before = image.copy()
    changed = augmentation(image, rng=np.random.default_rng(1))
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (changed != image).any()
    np.testing.assert_array_equal(image, before)


def test_not_drawn_means_not_touched() -> None:
    assert Noise(prob=0.0)(GREY, rng=np.random.default_rng(0)) is GREY


def test_exposure_is_what_it_says() -> None:
    """Against plain NumPy, section by section."""
    image = np.random.default_rng(0).random((3, 16, 16), dtype=np.float32)
    settings = Intensity(prob=1.0, gamma=0.5, contrast=0.9, brightness=0.9)
    found = settings.apply(image.copy(), np.random.default_rng(1))
    rng = np.random.default_rng(1)
    shift, factor, exponent = (
        limit * settings._draw(3, rng)[:, None, None] for limit in (0.9, 0.9, np.log(1.5))
    )
    mean = image.mean(axis=(1, 2), keepdims=True)
    expected = np.clip((image - mean) * (1 + factor) + mean + shift, 0, 1) ** np.exp(exponent)
    np.testing.assert_allclose(found, expected, atol=1 / 2550)
    assert {0, 1} & set(expected.ravel())  # some of it is clipped


def test_noise_is_normal() -> None:
    image = np.full((8, 128, 128), 0.25, np.float32)
    noise = Noise(prob=1.0).apply(image.copy(), np.random.default_rng(0)) - image
    scaled = (noise / noise.std()).ravel()
    assert abs(noise.mean()) < 4 * noise.std() / scaled.size**0.5
    assert kstest(scaled, "norm").pvalue > 0.01
    assert 4 < np.abs(scaled).max() < 5


def test_shot_noise_is_stronger_where_it_is_bright() -> None:
    image = np.zeros((2, 64, 64), np.float32)
    image[1] = 0.5
    noise = Noise(prob=1.0, gaussian=0.0).apply(image.copy(), np.random.default_rng(2)) - image
    assert noise[0].std() == 0
    assert noise[1].std() > 0
