"""Two masks, one of pre sides and one of post sides, as one label volume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from connectomics.data.counting import label_boxes, read_label
from connectomics.data.io import LazyVolume, create_volume
from connectomics.data.io.location import split_source
from connectomics.data.survey import marks_of
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import DataError
from connectomics.geometry import Box

SAME = 0.9
"""Of the numbers in two volumes, the share they have in common where both number synapses."""


def join_sides(pre: LazyVolume, post: LazyVolume, target: str) -> str:
    """Write one label volume of two: 1 is pre and 2 post, or 2n-1 and 2n where both have numbers.

    Where both sides hold a voxel it is post, as in `polarity2instance`.

    Args:
        pre: (Z, Y, X), not 0 on pre sides; one number, or the number of each synapse.
        post: The same of post sides.
        target: Where to, `.h5` or `.zarr`; nothing stands there.

    Returns:
        What was done, for the log.

    Raises:
        DataError: One cannot be read or holds no labels, or the file cannot be written.
    """
    if split_source(target).path.exists():
        raise DataError(target, "is there already.", "Choose another name for the joined labels.")
    numbers = [_numbers(side) for side in (pre, post)]
    shared = len(numbers[0] & numbers[1]) / max(1, len(numbers[0] | numbers[1]))
    numbered = min(map(len, numbers)) > 1 and shared >= SAME
    highest = 2 * max(max(numbers[0] | numbers[1], default=0), 1) if numbered else 2
    dtype = np.min_scalar_type(highest)
    both = 0
    with create_volume(
        target,
        pre.shape,
        dtype,
        resolution=pre.resolution or post.resolution,
        offset_nm=(pre if pre.placed else post).offset_nm,
        attributes={"encoding": "polarity" if numbered else "semantic"},
    ) as writer:
        for box, first, second in _pairs(pre, post):
            both += int(np.count_nonzero((first > 0) & (second > 0)))
            if not numbered:
                first, second = first > 0, second > 0
            odd = 2 * first.astype(dtype) - (first > 0).astype(dtype)
            writer.write(box, np.where(second > 0, 2 * second.astype(dtype), odd).astype(dtype))
    rule = "2n-1 for pre and 2n for post" if numbered else "1 for pre and 2 for post"
    lost = f"; {both:,} voxels that both hold are post" if both else ""
    return f"{Path(target)}: {pre.source} and {post.source} as {rule}{lost}"


def _numbers(side: LazyVolume) -> set[int]:
    found: set[int] = set()
    for _, label in _labels(side):
        found |= set(np.unique(label).tolist())
    return found - {0}


def _labels(side: LazyVolume) -> Iterator[tuple[Box, np.ndarray]]:
    volume = LabelledVolume(side.name, side, label=side)
    marks = marks_of(side)
    for box in label_boxes(volume):
        yield box, read_label(volume, box, marks=marks).label


def _pairs(pre: LazyVolume, post: LazyVolume) -> Iterator[tuple[Box, np.ndarray, np.ndarray]]:
    other, marks = LabelledVolume(post.name, post, label=post), marks_of(post)
    for box, label in _labels(pre):
        yield box, label, read_label(other, box, marks=marks).label
