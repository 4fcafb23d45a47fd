"""MONAI's transforms by name."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from connectomics.data.augmentation import (
    Augmenter,
    MonaiTransform,
    build_augmentation,
    check_augmentation,
)
from connectomics.errors import ConfigError

SIZE = (4, 16, 16)
IMAGE = np.random.default_rng(0).random(SIZE, dtype=np.float32)
LABEL = (IMAGE > 0.6).astype(np.int64) * 70_000_000_001


def run(augmenter: Augmenter, seed: int = 0):
    return augmenter(IMAGE, LABEL, LABEL > 0, patch_size=SIZE, rng=np.random.default_rng(seed))


def test_a_grey_value_transform_changes_the_image_alone() -> None:
    augmenter = build_augmentation({"RandGaussianSmooth": {"prob": 1.0, "sigma_x": [1.0, 1.5]}})
    image, label, mask = run(augmenter)
    assert image.dtype == np.float32
    assert image.std() < IMAGE.std()
    np.testing.assert_array_equal(label, LABEL)
    np.testing.assert_array_equal(mask, LABEL > 0)


def test_chance_comes_from_the_generator_alone() -> None:
    augmenter = build_augmentation({"RandGaussianNoise": {"prob": 1.0}})
    np.testing.assert_array_equal(run(augmenter, 1)[0], run(augmenter, 1)[0])
    assert (run(augmenter, 1)[0] != run(augmenter, 2)[0]).any()


def test_a_flip_moves_image_label_and_mask() -> None:
    augmenter = build_augmentation({"RandFlip": {"prob": 1.0, "spatial_axis": 2}})
    image, label, mask = run(augmenter)
    np.testing.assert_array_equal(image, IMAGE[:, :, ::-1])
    np.testing.assert_array_equal(label, LABEL[:, :, ::-1])
    np.testing.assert_array_equal(mask, LABEL[:, :, ::-1] > 0)
    assert label.dtype == LABEL.dtype
    assert mask is not None
    assert mask.dtype == bool


def test_a_rotation_looks_labels_up_and_never_mixes_them() -> None:
    augmenter = build_augmentation({"RandRotate": {"prob": 1.0, "range_x": [0.4, 0.5]}})
    image, label, mask = run(augmenter)
    assert set(np.unique(label)) == {0, 70_000_000_001}
    np.testing.assert_array_equal(label > 0, mask)
    assert (label != LABEL).any()
    assert np.corrcoef(image.ravel(), label.ravel() > 0)[0, 1] > 0.5


def test_only_the_image_is_needed() -> None:
    flip = MonaiTransform("RandFlip", {"prob": 1.0, "spatial_axis": 0})
    (image,) = flip(IMAGE, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(image, IMAGE[::-1])


def test_a_transform_that_changes_the_shape_is_refused() -> None:
    augmenter = build_augmentation(
        {"RandRotate90": {"prob": 1.0, "max_k": 1, "spatial_axes": [0, 1]}}
    )
    with pytest.raises(ConfigError, match=r"RandRotate90.*\(4, 16, 16\).*\(16, 4, 16\)"):
        run(augmenter)


def test_the_transform_travels_to_worker_processes() -> None:
    augmenter = build_augmentation({"RandAdjustContrast": {"prob": 1.0}})
    copy = pickle.loads(pickle.dumps(augmenter))
    np.testing.assert_array_equal(run(augmenter)[0], run(copy)[0])


@pytest.mark.parametrize(
    ("spec", "where", "words"),
    [
        (
            {"RandGausianSmooth": {}},
            "data.augmentation.RandGausianSmooth",
            "Did you mean 'RandGaussianSmooth'?",
        ),
        ({"RandSpatialCrop": {}}, "data.augmentation.RandSpatialCrop", "no such augmentation"),
        ({"GaussianSmooth": {}}, "data.augmentation.GaussianSmooth", "no such augmentation"),
        ({"RandIntensityRemap": {}}, "data.augmentation.RandIntensityRemap", "no such"),
        (
            {"RandGaussianSmooth": {"sigmax": 1}},
            "data.augmentation.RandGaussianSmooth.sigmax",
            "Did you mean 'sigma_x'?",
        ),
        (
            {"RandAdjustContrast": {"gamma": -1.0}},
            "data.augmentation.RandAdjustContrast",
            "MONAI refuses",
        ),
    ],
)
def test_faults(spec, where: str, words: str) -> None:
    (fault,) = check_augmentation(spec)
    assert fault.where == where
    assert words in str(fault)


def test_an_unknown_name_alone() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'RandFlip'"):
        MonaiTransform("RandFlipp", {})
