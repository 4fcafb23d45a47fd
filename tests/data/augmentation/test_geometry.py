"""Each geometric augmentation alone, on arrays small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.data.augmentation import (
    Affine,
    Displacement,
    Elastic,
    Flip,
    Misalignment,
    Rotate90,
    SectionAffine,
    Transpose,
)
from connectomics.data.augmentation.warp import source_points
from connectomics.errors import ConfigError

IMAGE = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], dtype=np.float32)
EVERYTHING = [
    Flip(prob=1.0),
    Rotate90(prob=1.0),
    Transpose(prob=1.0),
    Affine(prob=1.0, shear=0.3, scale=0.3),
    Elastic(prob=1.0, amplitude=6.0, spacing=16.0, section_variation=0.5),
    Misalignment(prob=1.0, displacement=5, rotation=10.0),
]


class Drawing(np.random.Generator):
    """A generator whose `integers` are written down beforehand."""

    def __init__(self, *integers: object) -> None:
        super().__init__(np.random.PCG64(0))
        self.written = list(integers)

    def integers(self, *args, **kwargs):
        return self.written.pop(0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flip(axis: int) -> None:
    label = IMAGE.astype(np.int64)
    image, ids, mask = Flip(prob=1.0, axes=(axis,))(
        IMAGE, label, label > 2, rng=np.random.default_rng(0)
    )
    np.testing.assert_array_equal(image, np.flip(IMAGE, axis))
    np.testing.assert_array_equal(ids, np.flip(label, axis))
    np.testing.assert_array_equal(mask, np.flip(label > 2, axis))


def test_flip_draws_every_combination_of_axes() -> None:
    seen = {Flip()(IMAGE, rng=np.random.default_rng(seed))[0].tobytes() for seed in range(100)}
    assert len(seen) == 8


def test_flip_does_not_swap_sides() -> None:
    pre_left_post_right = np.array([[[1, 1, 2, 2]]])
    _, label = Flip(prob=1.0, axes=(2,))(
        pre_left_post_right.astype(np.float32), pre_left_post_right, rng=np.random.default_rng(0)
    )
    assert label.tolist() == [[[2, 2, 1, 1]]]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotate90(turns: int) -> None:
    (image,) = Rotate90(prob=1.0)(IMAGE, rng=Drawing(turns))
    np.testing.assert_array_equal(image, np.rot90(IMAGE, turns, axes=(1, 2)))


@pytest.mark.parametrize("shape", [(4, 6), (3, 6), (6, 3), (5, 2)])
def test_a_patch_that_is_not_square_turns_within_a_larger_source(shape: tuple[int, int]) -> None:
    size = (1, *shape)
    rotate = Rotate90(prob=1.0)
    _, y, x = rotate.margin(size)
    source = np.random.default_rng(0).random((1, shape[0] + 2 * y, shape[1] + 2 * x))
    (patch,) = rotate(source, rng=Drawing(1), patch_size=size)
    turned = np.rot90(source[0])
    windows = np.lib.stride_tricks.sliding_window_view(turned, shape)
    assert (windows == patch[0]).all(axis=(2, 3)).any()


def test_transpose() -> None:
    (image,) = Transpose(prob=1.0)(IMAGE, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(image, IMAGE.transpose(0, 2, 1))


@pytest.mark.parametrize("shift", [(1, -2), (0, 3)])
def test_translation_moves_all_sections_from_one_on(shift: tuple[int, int]) -> None:
    source = np.random.default_rng(0).random((4, 12, 12))
    augmentation = Misalignment(prob=1.0, displacement=3, slip=0.0)
    assert augmentation.margin((4, 6, 6)) == (0, 3, 3)
    patch, label = augmentation(
        source, source, rng=Drawing(2, np.array(shift)), patch_size=(4, 6, 6)
    )
    dy, dx = shift
    np.testing.assert_array_equal(patch[:2], source[:2, 3:9, 3:9])
    np.testing.assert_array_equal(patch[2:], source[2:, 3 + dy : 9 + dy, 3 + dx : 9 + dx])
    np.testing.assert_array_equal(label, patch)


def test_slip_moves_one_section() -> None:
    source = np.random.default_rng(0).random((4, 12, 12))
    (patch,) = Misalignment(prob=1.0, displacement=3, slip=1.0)(
        source, rng=Drawing(1, np.array([3, 3])), patch_size=(4, 6, 6)
    )
    np.testing.assert_array_equal(patch[1], source[1, 6:12, 6:12])
    np.testing.assert_array_equal(patch[[0, 2, 3]], source[[0, 2, 3], 3:9, 3:9])


def test_misalignment_leaves_a_single_section_alone() -> None:
    assert Misalignment(prob=1.0).sample((1, 8, 8), np.random.default_rng(0)) is None


def test_misalignment_can_turn_the_displaced_sections() -> None:
    augmentation = Misalignment(prob=1.0, displacement=0, rotation=5.0, slip=0.0)
    step = augmentation.sample((4, 9, 9), np.random.default_rng(0))
    assert isinstance(step, SectionAffine)
    np.testing.assert_array_equal(step.matrix[0], np.eye(2))
    assert 0 < abs(np.degrees(np.arcsin(step.matrix[-1, 0, 1]))) <= 5


def test_affine_without_change_is_the_identity() -> None:
    image = np.random.default_rng(0).random((2, 7, 6), dtype=np.float32)
    affine = Affine(prob=1.0, rotation=0.0, scale=0.0, shear=0.0)
    assert affine.margin((2, 7, 6)) == (0, 0, 0)
    np.testing.assert_array_equal(affine(image, rng=np.random.default_rng(0))[0], image)


def test_margin_of_a_free_rotation_reaches_the_corners() -> None:
    affine = Affine(rotation=180.0, scale=0.0, shear=0.0)
    half = 255 / 2
    assert affine.margin((1, 256, 256)) == (0, *[int(np.ceil(half * np.sqrt(2) - half))] * 2)


def test_small_rotations_need_small_margins() -> None:
    affine = Affine(rotation=10.0, scale=0.0, shear=0.0)
    assert affine.margin((1, 101, 101)) == (0, 8, 8)  # 50 (cos 10° + sin 10°) - 50 = 7.9


def test_elastic_without_variation_moves_all_sections_alike() -> None:
    step = Elastic(prob=1.0, section_variation=0.0).sample((3, 64, 64), np.random.default_rng(0))
    assert isinstance(step, Displacement)
    _, points = source_points([step], (3, 64, 64))
    np.testing.assert_array_equal(points[0], points[2])


def test_elastic_with_variation_moves_sections_apart() -> None:
    step = Elastic(prob=1.0, section_variation=0.5).sample((3, 64, 64), np.random.default_rng(0))
    assert step is not None
    _, points = source_points([step], (3, 64, 64))
    assert 0.5 < np.abs(points[0] - points[2]).max() <= 16


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_elastic_never_folds(seed: int) -> None:
    """At the largest amplitude allowed, the Jacobian determinant stays positive."""
    elastic = Elastic(prob=1.0, amplitude=0.48 * 8, spacing=8.0, section_variation=1.0)
    rng = np.random.default_rng(seed)
    step = elastic.sample((4, 24, 24), rng)
    assert isinstance(step, Displacement)
    extreme = Displacement(
        np.sign(step.control) * np.float32(elastic.amplitude), step.spacing, step.origin
    )
    _, points = source_points([extreme], (4, 24, 24))
    along_y, along_x = np.gradient(points.astype(float), axis=(1, 2))
    determinant = along_y[..., 0] * along_x[..., 1] - along_y[..., 1] * along_x[..., 0]
    assert determinant.min() > 0


@pytest.mark.parametrize("augmentation", EVERYTHING, ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("size", [(3, 24, 24), (3, 17, 30), (3, 40, 8)])
def test_no_point_leaves_the_margin(augmentation, size: tuple[int, int, int]) -> None:
    margin = np.array(augmentation.margin(size)[1:])
    reach = (np.array(size[1:]) - 1) / 2 + margin
    for seed in range(40):
        step = augmentation.sample(size, np.random.default_rng(seed))
        if step is not None:
            _, points = source_points([step], size)
            assert (np.abs(points).max(axis=(0, 1, 2)) <= reach + 1e-3).all()


@pytest.mark.parametrize("augmentation", EVERYTHING, ids=lambda a: type(a).__name__)
def test_image_and_label_move_together(augmentation) -> None:
    """A disc stays a disc of the same place: the label is the thresholded image."""
    y, x = np.mgrid[:64, :64]
    height = 40.0 - np.hypot(y - 25, x - 37) * 2
    image = np.repeat(height[None], 5, axis=0).astype(np.float32)
    label = (image > 0).astype(np.uint8)
    for seed in range(8):
        moved, ids, mask = augmentation(
            image, label, label, rng=np.random.default_rng(seed), patch_size=(5, 40, 40)
        )
        assert moved.shape == ids.shape == (5, 40, 40)
        np.testing.assert_array_equal(ids, mask)
        # Nearest neighbour and interpolation may disagree within a pixel of the edge.
        clear = np.abs(moved) > 3
        np.testing.assert_array_equal(moved[clear] > 0, ids[clear] == 1)


@pytest.mark.parametrize("augmentation", EVERYTHING, ids=lambda a: type(a).__name__)
def test_prob_zero_never_draws(augmentation) -> None:
    never = type(augmentation)(prob=0.0)
    for seed in range(5):
        assert never.sample((4, 8, 8), np.random.default_rng(seed)) is None


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: Flip(prob=1.5), "Flip.prob"),
        (lambda: Flip(axes=(3,)), "Flip.axes"),
        (lambda: Rotate90(prob=-0.1), "Rotate90.prob"),
        (lambda: Transpose(prob=float("nan")), "Transpose.prob"),
        (lambda: Affine(rotation=200.0), "Affine.rotation"),
        (lambda: Elastic(amplitude=40.0, spacing=64.0), "Elastic.amplitude"),
        (lambda: Misalignment(displacement=-1), "Misalignment.displacement"),
    ],
)
def test_settings_out_of_range(make, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.faults[0].where == where
