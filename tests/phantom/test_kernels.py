"""The compiled loops against slow, obvious ones."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from connectomics.phantom import grid as grids
from connectomics.phantom import kernels, nearest
from connectomics.phantom.neurites import Capsules, capsule_rows

Interpreter = Callable[[ModuleType], ModuleType]
RESOLUTION = np.array([30.0, 8.0, 8.0])


@pytest.fixture(params=["compiled", "interpreted"])
def loops(request: pytest.FixtureRequest, interpreted: Interpreter) -> ModuleType:
    return kernels if request.param == "compiled" else interpreted(kernels)


def random_capsules(rng: np.random.Generator, extent: np.ndarray, count: int) -> np.ndarray:
    start = rng.uniform(0, extent, (count, 3))
    axis = rng.normal(scale=80, size=(count, 3))
    return capsule_rows(start, axis, rng.uniform(30, 90, count), rng.uniform(-20, 20, count))


def surface_distances(capsules: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Signed distance from a point to every capsule, straight from the definition."""
    start, axis = capsules[:, :3], capsules[:, 3:6]
    t = np.clip(((point - start) * axis).sum(1) / (axis**2).sum(1), 0, 1)
    away = np.linalg.norm(point - start - t[:, None] * axis, axis=1)
    return away - capsules[:, 6] - t * capsules[:, 7]


def still(shape: tuple[int, ...], glia: float) -> grids.Warp:
    size = (np.array(shape) * RESOLUTION / 80.0).astype(int) + 3
    lattice = np.zeros((4, *size))
    lattice[3] = glia
    return grids.Warp(lattice, 80.0, np.ones(size), 1.0, np.zeros(size))


def paint(loops: ModuleType, capsules: Capsules, warp: grids.Warp, grid: grids.Grid) -> None:
    """Paint a grid, one section after the other."""
    shape = grid.neurons.shape
    cells = nearest.cell_lists(capsules, warp, shape, RESOLUTION)
    for z in range(shape[0]):
        view = (RESOLUTION, (7.5, 30.0))
        loops.paint_neurites(capsules, cells, warp, view, (z, z + 1), grid)


def painted(loops: ModuleType, shape: tuple[int, ...], warp: grids.Warp, seed: int):
    rng = np.random.default_rng(seed)
    capsules = random_capsules(rng, np.array(shape) * RESOLUTION, 40)
    owner = rng.integers(1, 12, 40)
    grid = grids.Grid(*(np.zeros(shape, dtype) for dtype in (np.uint32, np.uint8, np.uint8)))
    paint(loops, Capsules(capsules, owner), warp, grid)
    return capsules, owner, grid


@pytest.mark.parametrize("seed", [0, 1])
def test_every_voxel_belongs_to_the_nearest_neurite(loops: ModuleType, seed: int):
    shape = (4, 26, 30)
    capsules, owner, grid = painted(loops, shape, still(shape, 35.0), seed)
    for voxel in np.ndindex(shape):
        outside = surface_distances(capsules, np.array(voxel) * RESOLUTION)
        of = {0: 35.0} | {n: outside[owner == n].min() for n in np.unique(owner)}
        assert grid.neurons[voxel] == min(of, key=of.__getitem__)


def test_depth_counts_from_the_border(loops: ModuleType):
    shape = (1, 8, 64)
    capsules = capsule_rows(
        np.array([[0.0, -500.0, 100.0], [0.0, -500.0, 400.0]]),
        np.array([[0.0, 1500.0, 0.0], [0.0, 1500.0, 0.0]]),
        np.array([100.0, 100.0]),
        np.zeros(2),
    )
    grid = grids.Grid(*(np.zeros(shape, dtype) for dtype in (np.uint32, np.uint8, np.uint8)))
    paint(loops, Capsules(capsules, np.array([5, 6])), still(shape, 1e6), grid)
    x = np.arange(64) * 8.0
    assert np.array_equal(grid.neurons[0, 3], np.where(x <= 250, 5, 6))
    near = np.abs(x - 250) < 40
    assert np.allclose(grid.depth[0, 3, near], np.abs(x - 250)[near], atol=1)
    assert np.all(grid.depth[0, 3, ~near] >= 40)
    expected = 255 * np.exp(-0.5 * ((x - 250) / 7.5) ** 2)
    assert np.allclose(grid.membrane[0, 3], expected, atol=4)


def test_interpreted_and_compiled_agree_through_a_warp(loops: ModuleType):
    shape = (3, 22, 18)
    rng = np.random.default_rng(4)
    lattice = still(shape, 30.0).lattice + rng.normal(scale=10, size=(4, 4, 5, 4))
    warp = grids.Warp(lattice, 80.0, np.full((4, 5, 4), 3.0), 3.0, np.full((4, 5, 4), 0.5))
    _, _, expected = painted(kernels, shape, warp, 7)
    _, _, grid = painted(loops, shape, warp, 7)
    for mine, theirs in zip(grid, expected, strict=True):
        assert np.abs(mine.astype(int) - theirs).max() <= 1


def test_an_oblique_membrane_is_broad_and_pale(loops: ModuleType):
    steep = [loops._smeared(d, 1.0, 7.5, 40.0) for d in (0.0, 18.0)]
    upright = [loops._smeared(d, 0.0, 7.5, 40.0) for d in (0.0, 18.0)]
    assert upright[0] == 1.0
    assert steep[0] < 0.6
    assert steep[1] > 2 * upright[1]


def test_tubes_are_measured_in_their_host_only(loops: ModuleType):
    shape = (3, 10, 12)
    capsules = random_capsules(np.random.default_rng(2), np.array(shape) * RESOLUTION, 3)
    host = np.ones(shape, bool)
    host[:, :, 6:] = False
    out = np.full(shape, 7.0, np.float32)
    loops.paint_tube(capsules, still(shape, 0.0), RESOLUTION, np.zeros(3, int), host, out)
    assert np.all(out[:, :, 6:] == 7.0)
    for voxel in np.ndindex(3, 10, 6):
        point = np.array(voxel) * RESOLUTION
        assert out[voxel] == pytest.approx(surface_distances(capsules, point).min(), abs=1e-3)
