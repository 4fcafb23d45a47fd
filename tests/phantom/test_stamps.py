"""The compiled loops over points against slow, obvious ones."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from scipy.spatial import KDTree

from connectomics.phantom import stamps

RESOLUTION = np.array([30.0, 8.0, 8.0])
HOST = np.ones(1, np.uint32)


@pytest.fixture(params=["compiled", "interpreted"])
def loops(
    request: pytest.FixtureRequest, interpreted: Callable[[ModuleType], ModuleType]
) -> ModuleType:
    return stamps if request.param == "compiled" else interpreted(stamps)


def test_nearest_points_agree_with_a_tree(loops: ModuleType):
    rng = np.random.default_rng(5)
    low = np.array([2, 3, 1])
    shape = (4, 14, 12)
    points = (low + rng.uniform(0, shape, (6, 3))) * RESOLUTION
    index, distance = np.full(shape, -1), np.full(shape, 45.0)
    loops.nearest_points(points, 45.0, low, RESOLUTION, index, distance)
    voxels = (np.argwhere(np.ones(shape)) + low) * RESOLUTION
    expected, who = map(np.asarray, KDTree(points).query(voxels))
    found = index.ravel() >= 0
    assert np.array_equal(found, expected < 45.0)
    assert np.array_equal(index.ravel()[found], who[found])
    assert np.allclose(distance.ravel()[found], expected[found])


def test_thinned_points_keep_their_spacing(loops: ModuleType):
    points = np.random.default_rng(6).uniform(0, 100, (150, 3))
    keep = loops.thin_out(points, 25.0)
    tree = KDTree(points[keep])
    assert len(tree.query_pairs(25.0 - 1e-9)) == 0
    assert tree.query(points[~keep])[0].max() < 25.0


def test_a_vesicle_is_a_dark_ring_in_its_section(loops: ModuleType):
    neurons = np.ones((3, 21, 21), np.uint32)
    neurons[:, :, 13:] = 2
    image = np.full((3, 21, 21), 200.0, np.float32)
    vesicle = np.array([[30.0, 80.0, 80.0, 17.0]])
    loops.stamp_vesicles(vesicle, HOST, neurons, RESOLUTION, (4.6, 50.0, 0.9), image)
    assert np.all(image[[0, 2]] == 200)
    middle, rim = image[1, 10, 10], image[1, 10, 12]
    assert rim < 110 < middle < 200
    assert np.all(image[1, :, 13:] == 200)


def test_a_vesicle_between_sections_shows_in_both(loops: ModuleType):
    neurons = np.ones((2, 21, 21), np.uint32)
    image = np.full((2, 21, 21), 200.0, np.float32)
    vesicle = np.array([[15.0, 80.0, 80.0, 17.0]])
    loops.stamp_vesicles(vesicle, HOST, neurons, RESOLUTION, (4.6, 50.0, 0.9), image)
    assert image[0].min() < 170
    assert image[0] == pytest.approx(image[1])
