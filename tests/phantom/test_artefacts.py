from __future__ import annotations

import numpy as np
import pytest

from connectomics.phantom import artefacts

RESOLUTION = np.array([30.0, 8.0, 8.0])


def test_cropping_shifts_each_section_by_its_own_amount():
    volume = np.arange(2 * 7 * 8).reshape(2, 7, 8)
    shifts = np.array([[0, 0], [-2, 1]])
    out = artefacts.crop_sections(volume, shifts, np.array([2, 2]))
    assert np.array_equal(out[0], volume[0, 2:5, 2:6])
    assert np.array_equal(out[1], volume[1, 0:3, 3:7])


def test_shifts_stay_within_the_margin_and_are_about_a_pixel():
    rng = np.random.default_rng(0)
    shifts = artefacts.section_shifts(2000, RESOLUTION, np.array([6, 6]), rng)
    assert np.abs(shifts).max() <= 6
    assert 0.5 < shifts.std() < 1.5
    assert np.mean(np.abs(shifts).max(1) >= 3) > 0.01


@pytest.mark.parametrize("seed", range(12))
def test_damage_is_rare_and_never_twice_in_a_row(seed: int):
    image = np.full((60, 40, 40), 140.0, np.float32)
    image += np.random.default_rng(seed).normal(0, 10, image.shape)
    before = image.copy()
    spoilt = artefacts.damage_sections(image, np.random.default_rng(seed))
    assert 1 <= len(spoilt) <= 8
    assert np.all(np.diff(spoilt) > 1)
    changed = np.flatnonzero((image != before).any((1, 2)))
    assert tuple(changed) == spoilt
    assert np.isfinite(image).all()


@pytest.mark.parametrize("kind", sorted({kind.__name__ for kind in artefacts._DAMAGE}))
@pytest.mark.parametrize("seed", range(4))
def test_each_kind_of_damage_changes_a_section_visibly(kind: str, seed: int):
    rng = np.random.default_rng(seed)
    plane = rng.normal(140, 25, (64, 80)).astype(np.float32)
    out = getattr(artefacts, kind)(plane, rng)
    assert out.shape == plane.shape
    assert np.abs(out - plane).max() > 30


def test_drift_differs_between_sections():
    flat = np.full((40, 16, 16), 180.0, np.float32)
    out = artefacts.expose(flat, RESOLUTION, np.random.default_rng(1), noise=0.0, contrast=1.0)
    means = out.mean((1, 2))
    assert 3 < means.std() < 15
    assert np.allclose(out, means[:, None, None], atol=1e-2)


def test_noise_grows_with_the_signal():
    halves = np.full((2, 64, 64), 40.0, np.float32)
    halves[:, :, 32:] = 220.0
    out = artefacts.expose(halves, RESOLUTION, np.random.default_rng(1), noise=10.0, contrast=1.0)
    assert out[0, :, 40:].std() > 1.2 * out[0, :, :24].std()
