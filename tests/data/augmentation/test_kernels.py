"""The compiled loops do what the same code does when Python interprets it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import BSpline
from scipy.ndimage import map_coordinates

from connectomics.data.augmentation import kernels


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(-9, 9, (2, 4, 5, 2)).astype(np.float32)


def interpreted(kernel):
    return kernel.py_func


def test_centred_grid() -> None:
    grid = kernels.centred_grid(1, 3, 2, 1)
    assert grid[0, :, 0, 0].tolist() == [-1, 0, 1]
    assert grid[0, 0, :, 1].tolist() == [-0.5, 0.5]
    np.testing.assert_array_equal(grid, interpreted(kernels.centred_grid)(1, 3, 2, 1))


def test_centred_grid_of_some_pixels() -> None:
    grid = kernels.centred_grid(2, 8, 7, 3)
    assert grid[0, :, 0, 0].tolist() == [-3.5, -0.5, 2.5, 3.5]
    assert grid[1, 0, :, 1].tolist() == [-3, 0, 3]
    assert kernels.centred_grid(1, 1, 1, 4).shape == (1, 1, 1, 2)
    assert kernels.centred_grid(1, 2, 1, 4).shape == (1, 2, 1, 2)


def test_affine_points(points: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    matrix, offset = rng.normal(size=(2, 2, 2)), rng.normal(size=(2, 2))
    sections = np.array([1, 0])
    compiled, plain = points.copy(), points.copy()
    kernels.affine_points(compiled, sections, matrix, offset)
    interpreted(kernels.affine_points)(plain, sections, matrix, offset)
    expected = np.einsum("zij,zyxj->zyxi", matrix[sections], points)
    expected += offset[sections][:, None, None]
    np.testing.assert_allclose(compiled, expected, atol=1e-4)
    np.testing.assert_allclose(plain, expected, atol=1e-4)


def test_displace_points(points: np.ndarray) -> None:
    """Against scipy's B-splines, one point at a time, where the grid holds the point."""
    control = np.random.default_rng(2).normal(size=(2, 8, 8, 2)).astype(np.float32)
    sections, spacing, origin = np.array([1, 0]), 4.0, (-10.0, -10.0)
    compiled, plain = points.copy(), points.copy()
    kernels.displace_points(compiled, sections, control, spacing, origin)
    interpreted(kernels.displace_points)(plain, sections, control, spacing, origin)
    knots = np.arange(-3, 9)
    basis = [BSpline.basis_element(knots[i : i + 5], extrapolate=False) for i in range(8)]
    for index in np.ndindex(points.shape[:3]):
        v, u = (points[index] - origin) / spacing
        wy, wx = (np.nan_to_num([b(t) for b in basis]) for t in (v, u))
        moved = np.einsum("i,j,ijk->k", wy, wx, control[sections[index[0]]])
        np.testing.assert_allclose(compiled[index], points[index] + moved, atol=1e-4)
    np.testing.assert_allclose(plain, compiled, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (9, 8), (7, 1), (2, 13)])
@pytest.mark.parametrize("step", [1, 3, 64])
def test_sample_and_look_up(size: tuple[int, int], step: int) -> None:
    """Against scipy, at points that lie inside, outside and on the border."""
    rng = np.random.default_rng(3)
    image = rng.random((2, 6, 7), dtype=np.float32)
    label = rng.integers(0, 2**40, image.shape)
    points = kernels.centred_grid(2, *size, step)
    matrix = np.stack([np.eye(2), [[0.7, -0.6], [0.6, 0.8]]])
    sections = np.array([1, 0])
    offset = np.array([[0.2137, 0.1059], [0.3011, -9.1173]])  # nothing half-way between pixels
    kernels.affine_points(points, sections, matrix, offset)
    where = (sections, points, step, size, np.array([2.5, 3.0]))
    full = kernels.centred_grid(2, *size, 1)
    kernels.affine_points(full, sections, matrix, offset)
    for kernels_or_plain in (lambda kernel: kernel, interpreted):
        values = kernels_or_plain(kernels.sample)(image, *where)
        found = kernels_or_plain(kernels.look_up)(label, *where)
        assert found.dtype == label.dtype
        for z, section in enumerate(sections):
            places = np.moveaxis(full[z] + [2.5, 3.0], -1, 0)
            expected = map_coordinates(image[section], places, order=1, mode="mirror")
            np.testing.assert_allclose(values[z], expected, atol=1e-4)
            mirrored = [_mirrored(axis, n) for axis, n in zip(places, (6, 7), strict=True)]
            nearest = [(axis + 0.5).astype(int) for axis in mirrored]
            np.testing.assert_array_equal(found[z], label[section][tuple(nearest)])


def _mirrored(position: np.ndarray, length: int) -> np.ndarray:
    position = np.abs(position) % (2 * length - 2)
    return np.where(position > length - 1, 2 * length - 2 - position, position)


def test_b_spline_weights_sum_to_one() -> None:
    for t in (0.0, 0.3, 1.0):
        weights = interpreted(kernels._b_spline)(t)
        assert sum(weights) == pytest.approx(1, abs=1e-6)
        assert min(weights) >= -1e-7
    assert interpreted(kernels._b_spline)(0.0) == pytest.approx((1 / 6, 2 / 3, 1 / 6, 0), abs=1e-6)


@pytest.mark.parametrize(
    ("position", "length", "expected"),
    [(-1.5, 4, 1.5), (3.5, 4, 2.5), (7.0, 4, 1.0), (2.0, 4, 2.0), (5.0, 1, 0.0), (-9.25, 3, 1.25)],
)
def test_reflect(position: float, length: int, expected: float) -> None:
    assert interpreted(kernels._reflect)(position, length) == expected
