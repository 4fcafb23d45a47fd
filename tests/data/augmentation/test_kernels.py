"""The compiled loops do what the same code does when Python interprets it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import BSpline

from connectomics.data.augmentation import kernels


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(-9, 9, (2, 4, 5, 2)).astype(np.float32)


def interpreted(kernel):
    return kernel.py_func


def test_centred_grid() -> None:
    grid = kernels.centred_grid(1, 3, 2)
    assert grid[0, :, 0, 0].tolist() == [-1, 0, 1]
    assert grid[0, 0, :, 1].tolist() == [-0.5, 0.5]
    np.testing.assert_array_equal(grid, interpreted(kernels.centred_grid)(1, 3, 2))


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


def test_sample(points: np.ndarray) -> None:
    image = np.random.default_rng(3).random((2, 6, 7), dtype=np.float32)
    arguments = (image, np.array([1, 0]), points, np.array([2.5, 3.0]))
    values, nearest = kernels.sample(*arguments)
    plain_values, plain_nearest = interpreted(kernels.sample)(*arguments)
    np.testing.assert_allclose(values, plain_values, atol=1e-6)
    np.testing.assert_array_equal(nearest, plain_nearest)
    assert set(nearest[0].ravel() // 42) == {1}


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
