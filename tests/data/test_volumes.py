from __future__ import annotations

import numpy as np

from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.geometry import NOWHERE, Box, VoxelGrid


def numbered(shape: tuple[int, int, int], **parts: MemoryVolume) -> LabelledVolume:
    return LabelledVolume(
        "em",
        MemoryVolume("em", np.arange(np.prod(shape)).reshape(shape), VoxelGrid((30, 8, 8))),
        **parts,
    )


def test_a_crop_goes_through_all_parts():
    volume = numbered((2, 3, 4), label=MemoryVolume("label", np.ones((2, 3, 4), np.uint8)))
    part = volume.crop(Box((1, 1, 1), (2, 3, 4)))
    assert part.shape == (1, 2, 3)
    assert part.image.read().tolist() == [[[17, 18, 19], [21, 22, 23]]]
    assert part.image.read(Box((0, 1, 2), (1, 2, 3))).tolist() == [[[23]]]
    assert part.label is not None
    assert part.label.shape == (1, 2, 3)
    assert part.mask is None
    assert (part.grid.offset_nm, part.origin) == ((30, 8, 8), (1, 1, 1))


def test_a_part_of_a_part_lies_where_it_lay():
    volume = MemoryVolume("em", np.arange(4 * 5 * 6).reshape(4, 5, 6), VoxelGrid((30, 8, 4)))
    part = volume[1:, :, 2:][1:, 3:]
    assert np.array_equal(np.asarray(part), volume.array[2:, 3:, 2:])
    assert (part.offset_nm, part.origin) == ((60, 24, 8), (2, 3, 2))
    moved = part.with_grid(NOWHERE)[1:]
    assert (moved.resolution, moved.offset_nm, moved.origin) == (None, (0, 0, 0), (3, 3, 2))
    assert part.resolution == (30, 8, 4)
