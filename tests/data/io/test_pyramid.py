from __future__ import annotations

import pytest

from connectomics.data.io.pyramid import ONE_LEVEL, Pyramid, halving, share_of_levels
from connectomics.geometry import VoxelGrid


def factors(shape, block, nm=(30.0, 8.0, 8.0)) -> tuple:
    return Pyramid.of_blocks("mode", shape, block, nm).factors


def test_the_finest_axes_are_halved_until_the_volume_fits_a_screen() -> None:
    assert factors((2000, 9000, 9000), (128, 1024, 1024)) == (
        (1, 2, 2),
        (1, 4, 4),
        (2, 8, 8),
        (4, 16, 16),
    )
    assert factors((100, 1024, 600), (64, 256, 256)) == ((1, 2, 2),)  # 512 across
    assert factors((100, 1025, 600), (64, 256, 256)) == ((1, 2, 2), (1, 4, 4))
    assert factors((100, 512, 512), (64, 256, 256)) == ()


def test_blocks_hold_whole_shares_that_are_not_too_small() -> None:
    assert factors((900, 9000, 9000), (16, 128, 128)) == ((1, 2, 2),)  # 16 x 32 x 32 is too small
    assert factors((900, 9000, 9000), (128, 1022, 1024)) == ((1, 2, 2),)
    assert factors((900, 9000, 9000), (128, 1021, 1024)) == ()
    # An axis that is not cut has any size.
    assert factors((125, 1021, 9000), (125, 1021, 1024)) == (
        (1, 2, 2),
        (1, 4, 4),
        (2, 8, 8),
        (4, 16, 16),
    )


def test_without_a_voxel_size_all_axes_are_halved() -> None:
    assert factors((900, 900, 900), (128, 128, 128), None) == ((2, 2, 2),)


@pytest.mark.parametrize(
    ("shape", "nm", "steps"),
    [
        ((9, 9, 9), (11.9, 8.0, 8.0), (2, 2, 2)),
        ((9, 9, 9), (12.0, 8.0, 8.0), (1, 2, 2)),
        ((9, 1, 9), (16.0, 8.0, 16.0), (2, 1, 2)),  # of one voxel there is no half
    ],
)
def test_halving(shape, nm, steps) -> None:
    assert halving(shape, nm) == steps


def test_a_level_lies_where_the_centres_of_its_voxels_do() -> None:
    grids = Pyramid("mean", ((1, 2, 2), (2, 4, 4))).grids(VoxelGrid((30, 8, 8), (60, 0, 8)))
    assert grids == [
        VoxelGrid((30, 8, 8), (60, 0, 8)),
        VoxelGrid((30, 16, 16), (60, 4, 12)),
        VoxelGrid((60, 32, 32), (75, 12, 20)),
    ]
    assert ONE_LEVEL.grids(VoxelGrid((1, 1, 1))) == [VoxelGrid((1, 1, 1))]


def test_the_voxels_of_all_levels() -> None:
    nm = (30.0, 8.0, 8.0)
    assert share_of_levels((20, 1100, 1300), (20, 512, 512), nm) == (
        1 + (550 * 650 + 275 * 325) / (1100 * 1300)
    )
    assert share_of_levels((20, 500, 500), (99, 250, 250), nm) == 1
