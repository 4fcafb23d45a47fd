"""Steps, their composition, and the one pass that applies them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from connectomics.data.augmentation import (
    Affine,
    Displacement,
    Elastic,
    SectionAffine,
    compose_geometry,
    resample,
)
from connectomics.data.augmentation.warp import source_points, trace

TURN = np.array([[0, 1], [-1, 0]])


def ramp(shape: tuple[int, int, int]) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def random_affine(rng: np.random.Generator, depth: int) -> SectionAffine:
    return SectionAffine(
        rng.permutation(depth), rng.normal(size=(depth, 2, 2)), rng.normal(0, 3, (depth, 2))
    )


def test_no_steps_is_a_bit_identical_crop() -> None:
    image = np.random.default_rng(0).random((5, 9, 8), dtype=np.float32)
    label = np.random.default_rng(1).integers(0, 9, (5, 9, 8), dtype=np.uint16)
    patch, ids = resample([], image, label, patch_size=(3, 5, 4))
    np.testing.assert_array_equal(patch, image[1:4, 2:7, 2:6])
    np.testing.assert_array_equal(ids, label[1:4, 2:7, 2:6])
    assert ids.dtype == np.uint16
    assert not np.shares_memory(patch, image)


def test_patch_start_says_where_the_patch_lies() -> None:
    image = ramp((3, 6, 6))
    (patch,) = resample([], image, patch_size=(2, 3, 3), patch_start=(1, 0, 3))
    np.testing.assert_array_equal(patch, image[1:3, 0:3, 3:6])


def test_beyond_the_source_lies_its_mirror_image() -> None:
    (patch,) = resample([], ramp((2, 3, 3)), patch_size=(4, 5, 7))
    padded = np.pad(ramp((2, 3, 3)), ((1, 1), (1, 1), (2, 2)), mode="reflect")
    np.testing.assert_array_equal(patch, padded)


def test_mirror_of_a_single_voxel() -> None:
    (patch,) = resample([], np.full((1, 1, 1), 7.0), patch_size=(3, 2, 2))
    np.testing.assert_array_equal(patch, np.full((3, 2, 2), 7.0))


def test_shift_of_half_a_pixel_averages_neighbours() -> None:
    image = np.array([[[0, 2, 4, 10]]], dtype=np.float32)
    step = SectionAffine.of(1, offset=np.array([0, 0.5]))
    (patch,) = resample([step], image, patch_size=(1, 1, 4))
    # The last value lies between the last pixel and its mirror image, which is pixel 2.
    np.testing.assert_allclose(patch[0, 0], [1, 3, 7, 7])


def test_half_a_pixel_beyond_the_border_mirrors_in_the_interpolated_path() -> None:
    image = ramp((1, 4, 5))
    step = SectionAffine.of(1, offset=np.array([-2.5, 3.5]))
    (patch,) = resample([step], image, patch_size=(1, 4, 5))
    padded = np.pad(image[0], 6, mode="reflect")
    shifted = padded[3:8, 9:15]
    expected = (shifted[:-1, :-1] + shifted[1:, :-1] + shifted[:-1, 1:] + shifted[1:, 1:]) / 4
    np.testing.assert_allclose(patch[0], expected, atol=1e-5)


def test_exact_steps_move_ids_that_float32_cannot_hold() -> None:
    label = np.full((1, 2, 2), 2**62 + 1, dtype=np.int64)
    step = SectionAffine.of(1, offset=np.array([0.5, 0]))
    for steps in ([], [step]):
        _, ids = resample(steps, ramp((1, 2, 2)), label, patch_size=(1, 2, 2))
        np.testing.assert_array_equal(ids, label)


@pytest.mark.parametrize(
    ("step", "exact"),
    [
        (SectionAffine.of(2), True),
        (SectionAffine.of(2, matrix=TURN, offset=np.array([3, -1])), True),
        (SectionAffine.of(2, offset=np.array([0.5, 0])), False),
        (SectionAffine.of(2, matrix=np.diag([1.0, 1.1])), False),
        (SectionAffine.of(2, matrix=np.array([[1, 1], [0, 1]])), False),
    ],
)
def test_is_exact(step: SectionAffine, exact: bool) -> None:
    assert step.is_exact() is exact


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_exact_gather_equals_interpolation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (3, int(rng.integers(1, 6)) * 2, int(rng.integers(1, 6)) * 2)
    image = rng.random(shape, dtype=np.float32)
    matrix = np.linalg.matrix_power(TURN, rng.integers(4)) @ np.diag(rng.choice([-1, 1], 2))
    step = SectionAffine(
        rng.permutation(3), np.repeat(matrix[None], 3, axis=0), rng.integers(-9, 9, (3, 2))
    )
    still = Displacement(np.zeros((3, 5, 5, 2), np.float32), 4.0, (0.0, 0.0))
    exact, exact_label = resample([step], image, image, patch_size=shape)
    smooth, nearest = resample([step, still], image, image, patch_size=shape)
    np.testing.assert_allclose(exact, smooth, atol=1e-5)
    np.testing.assert_array_equal(exact_label, nearest)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_composed_affines_equal_their_points_one_by_one(seed: int) -> None:
    """Against an oracle that follows one point at a time through the uncomposed steps."""
    rng = np.random.default_rng(seed)
    steps = [random_affine(rng, 4) for _ in range(3)]
    assert len(compose_geometry(steps)) == 1
    sections, points = source_points(steps, (4, 3, 2))
    for z, y, x in np.ndindex(4, 3, 2):
        section, point = z, np.array([y - 1, x - 0.5])
        for step in reversed(steps):
            point = step.matrix[section] @ point + step.offset[section]
            section = step.sections[section]
        assert sections[z] == section
        np.testing.assert_allclose(points[z, y, x], point, rtol=1e-4, atol=1e-4)


def test_a_displacement_uses_the_field_of_the_section_it_came_from() -> None:
    control = np.zeros((2, 5, 5, 2), np.float32)
    control[1] = (3, -2)
    swap = SectionAffine.of(2, sections=np.array([1, 0]))
    field = Displacement(control, 8.0, (-2.0, -2.0))
    sections, points = source_points([field, swap], (2, 3, 3))
    _, still = source_points([], (2, 3, 3))
    assert sections.tolist() == [1, 0]
    np.testing.assert_allclose(points[0], still[0] + [3, -2], atol=1e-5)
    np.testing.assert_array_equal(points[1], still[1])


def test_a_displacement_between_affines_is_not_merged() -> None:
    field = Displacement(np.zeros((1, 4, 4, 2), np.float32), 8.0, (0.0, 0.0))
    affine = SectionAffine.of(1)
    kinds = [type(step) for step in compose_geometry([affine, affine, field, affine])]
    assert kinds == [SectionAffine, Displacement, SectionAffine]


def test_interpolation_reads_a_view_that_is_not_contiguous() -> None:
    whole = np.random.default_rng(0).random((4, 12, 12), dtype=np.float32)
    view = whole[:, 2:10, 1:9]
    step = SectionAffine.of(4, offset=np.array([0.25, 0.75]))
    copy = view.copy()
    one, one_label = resample([step], view, view, patch_size=(4, 8, 8))
    other, other_label = resample([step], copy, copy, patch_size=(4, 8, 8))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one_label, other_label)


def test_lines_between_few_points_are_near_the_points_between() -> None:
    size = (3, 130, 111)
    rng = np.random.default_rng(0)
    for elastic in (Elastic(prob=1.0, amplitude=16.0), Elastic(prob=1.0, amplitude=4, spacing=9)):
        field = elastic.sample(size, rng)
        turn = Affine(prob=1.0).sample(size, rng)
        assert field is not None
        assert turn is not None
        for steps in ([field], [turn, field], [turn]):
            origins = trace(steps, size)
            _, points = source_points(steps, size)
            ys, xs = (_grid(n, origins.step) for n in size[1:])
            between = RegularGridInterpolator((ys, xs), origins.points[1])
            found = between(np.stack(np.meshgrid(*map(np.arange, size[1:]), indexing="ij"), -1))
            far = np.abs(found - points[1]).max()
            assert far < (elastic.amplitude / 50 if len(steps) > 1 or steps != [turn] else 1e-4)


def _grid(length: int, step: int) -> np.ndarray:
    return np.append(np.arange(0, length - 1, step), length - 1)


def test_reach_holds_every_point() -> None:
    size = (4, 31, 40)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        steps = [s for a in (Affine(), Elastic()) if (s := a.sample(size, rng)) is not None]
        steps.append(SectionAffine.of(4, sections=np.array([3, 2, 1, 0])))
        low, high = trace(steps, size).reach()
        _, points = source_points(steps, size)
        positions = points + (np.array(size[1:]) - 1) / 2
        assert (np.floor(positions.min(axis=(0, 1, 2)) + 1e-2) >= low[1:]).all()
        assert (np.ceil(positions.max(axis=(0, 1, 2)) - 1e-2) < high[1:]).all()
        assert (low[0], high[0]) == (0, 4)
        assert (np.array(high[1:]) - low[1:] < np.ptp(positions, axis=(0, 1, 2)) + 4).all()
