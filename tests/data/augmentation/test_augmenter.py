"""All augmentations together: one resampling, no black corners, repeatable."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.data.augmentation import (
    AUGMENTATIONS,
    Affine,
    Augmenter,
    Elastic,
    Flip,
    GeometricAugmentation,
    Misalignment,
    Noise,
    build_augmentation,
)
from connectomics.errors import DataError

PATCH = (6, 32, 32)
GEOMETRY = [n for n, kind in AUGMENTATIONS.items() if issubclass(kind, GeometricAugmentation)]
ALL_GEOMETRY = build_augmentation({name: {"prob": 1.0} for name in GEOMETRY})
EVERYTHING = build_augmentation({name: {"prob": 1.0} for name in AUGMENTATIONS})


def random_source(shape: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(shape, dtype=np.float32), rng.integers(0, 50, shape).astype(np.uint16) * 7


def test_nothing_switched_on_gives_a_bit_identical_crop() -> None:
    image, label = random_source((6, 40, 40))
    augmenter = build_augmentation({"flip": None, "noise": {"enabled": False}})
    assert augmenter.source_size(PATCH) == PATCH
    patch, ids, mask = augmenter(image, label, patch_size=PATCH, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(patch, image[:, 4:36, 4:36])
    np.testing.assert_array_equal(ids, label[:, 4:36, 4:36])
    assert mask is None


def test_margins_add_up_from_the_last_to_the_first() -> None:
    augmenter = Augmenter(
        geometric=(
            Affine(rotation=0.0, shear=0.0, scale=0.5),
            Elastic(amplitude=4.0),
            Misalignment(displacement=6),
        )
    )
    # 41 + 2·6 = 53, + 2·4 = 61; scaled by 1.5, 30 px from the centre become 45: + 2·15.
    assert augmenter.source_size((1, 41, 41)) == (1, 91, 91)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_label_ids_survive(seed: int) -> None:
    image, label = random_source(EVERYTHING.source_size(PATCH), seed)
    patch, ids, _ = EVERYTHING(image, label, patch_size=PATCH, rng=np.random.default_rng(seed))
    assert patch.shape == ids.shape == PATCH
    assert ids.dtype == label.dtype
    assert np.isin(ids, label).all()


def test_no_black_corners() -> None:
    """Inside a source of ones, ringed by zeros one voxel beyond the margin, all stays one."""
    size = ALL_GEOMETRY.source_size(PATCH)
    image = np.pad(np.ones(size, np.float32), ((0, 0), (1, 1), (1, 1)))
    for seed in range(30):
        patch, ids, _ = ALL_GEOMETRY(
            image, image.astype(np.uint8), patch_size=PATCH, rng=np.random.default_rng(seed)
        )
        np.testing.assert_allclose(patch, 1, atol=1e-6)
        assert (ids == 1).all()


def test_a_volume_smaller_than_the_margin_is_mirrored() -> None:
    image = np.ones(PATCH, np.float32)
    for seed in range(5):
        patch, _, _ = ALL_GEOMETRY(image, image, patch_size=PATCH, rng=np.random.default_rng(seed))
        np.testing.assert_allclose(patch, 1, atol=1e-6)


def test_a_source_cut_off_at_a_border_gives_the_patch_at_its_place() -> None:
    """Near the border the crop is lopsided; the drawn geometry is the same."""
    volume, _ = random_source((6, 200, 200))
    size = ALL_GEOMETRY.source_size(PATCH)
    start = np.array([0, 90, 84])
    margin = (np.array(size) - PATCH) // 2
    low = start - margin
    whole = tuple(slice(a, a + s) for a, s in zip(low, size, strict=True))
    wider = (whole[0], slice(whole[1].start - 5, whole[1].stop), whole[2])
    centred, _, _ = ALL_GEOMETRY(
        volume[whole], volume[whole], patch_size=PATCH, rng=np.random.default_rng(4)
    )
    placed, _, _ = ALL_GEOMETRY(
        volume[wider],
        volume[wider],
        patch_size=PATCH,
        rng=np.random.default_rng(4),
        patch_start=(0, int(margin[1]) + 5, int(margin[2])),
    )
    np.testing.assert_allclose(placed, centred, atol=1e-4)


def test_geometry_is_composed_before_it_is_applied() -> None:
    """Two half-pixel shifts are one whole-pixel shift and leave the image as sharp as it was."""

    class HalfPixel(GeometricAugmentation):
        prob = 1.0

        def sample(self, shape, rng):
            from connectomics.data.augmentation import SectionAffine

            return SectionAffine.of(shape[0], offset=np.array([0, 0.5]))

    image, label = random_source((2, 8, 10))
    twice = Augmenter(geometric=(HalfPixel(), HalfPixel()))
    patch, ids, _ = twice(image, label, patch_size=(2, 8, 8), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(patch, image[:, :, 2:10])
    np.testing.assert_array_equal(ids, label[:, :, 2:10])


def test_the_same_generator_state_gives_the_same_patch() -> None:
    image, label = random_source(EVERYTHING.source_size(PATCH))
    first, second, other = (
        EVERYTHING(image, label, label > 3, patch_size=PATCH, rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    for one, same in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, same)
    assert (first[0] != other[0]).any()


def test_grey_values_of_a_z_score_are_changed_in_their_own_range() -> None:
    image, _ = random_source((4, 16, 16))
    scored = (image - np.float32(0.5)) * 4  # black is -2, white is 2
    augmenter = Augmenter(image=(Noise(prob=1.0, gaussian=0.3),))
    plain, _, _ = augmenter(image, image, patch_size=(4, 16, 16), rng=np.random.default_rng(0))
    same, _, _ = augmenter(
        scored,
        image,
        patch_size=(4, 16, 16),
        rng=np.random.default_rng(0),
        value_range=(-2.0, 2.0),
    )
    np.testing.assert_allclose(same, (plain - 0.5) * 4, atol=1e-5)
    assert same.min() == pytest.approx(-2)


def test_the_source_is_left_alone() -> None:
    image, label = random_source(EVERYTHING.source_size(PATCH))
    before = image.copy(), label.copy()
    EVERYTHING(image, label, patch_size=PATCH, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(label, before[1])


def test_integer_images_come_back_as_float32() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    patch, _, _ = Augmenter(geometric=(Flip(prob=1.0),))(
        image, image, patch_size=(1, 8, 8), rng=np.random.default_rng(0)
    )
    assert patch.dtype == np.float32


def test_an_augmenter_travels_to_worker_processes() -> None:
    image, label = random_source(EVERYTHING.source_size(PATCH))
    copy = pickle.loads(pickle.dumps(EVERYTHING))
    here, there = (
        augmenter(image, label, patch_size=PATCH, rng=np.random.default_rng(0))[0]
        for augmenter in (EVERYTHING, copy)
    )
    np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("name", ["label", "mask"])
def test_arrays_of_different_shapes_are_refused(name: str) -> None:
    image = np.zeros((2, 4, 4), np.float32)
    others = {"label": image, name: np.zeros((2, 4, 5), np.uint8)}
    with pytest.raises(DataError, match=r"\(2, 4, 5\).*\(2, 4, 4\)") as caught:
        Augmenter()(
            image,
            others["label"],
            others.get("mask"),
            patch_size=(2, 4, 4),
            rng=np.random.default_rng(0),
        )
    assert caught.value.faults[0].where == name


def test_a_grey_range_without_extent_is_refused() -> None:
    image = np.zeros((2, 4, 4), np.float32)
    augmenter = Augmenter(image=(Noise(prob=1.0),))
    with pytest.raises(DataError, match="not brighter"):
        augmenter(
            image,
            image,
            patch_size=(2, 4, 4),
            rng=np.random.default_rng(0),
            value_range=(0.0, 0.0),
        )
