"""Blocks are looked at here, or by whoever is asked to."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.evaluation import distances
from connectomics.geometry import Box, block_boxes
from connectomics.mapping import map_blocks, mapped_by

BOXES = block_boxes((2, 2, 2), (1, 2, 2))


def work(box: Box, more: int = 0) -> dict[str, np.ndarray]:
    return {"z": np.array(box.start[0] + more)}


def test_blocks_are_looked_at_as_they_are_asked_for():
    seen = []
    parts = map_blocks(lambda box: seen.append(box) or work(box), BOXES, "seen")
    assert next(parts)["z"] == 0
    assert seen == BOXES[:1]
    assert [int(part["z"]) for part in map_blocks(work, BOXES, "seen", [10, 20])] == [10, 21]


def test_a_mapper_does_several_blocks_and_one_is_done_here():
    asked = []

    def mapper(work, boxes, what, given):
        asked.append((what, len(boxes)))
        yield from (work(box) for box in boxes)

    with mapped_by(mapper):
        assert [int(part["z"]) for part in map_blocks(work, BOXES, "two")] == [0, 1]
        assert [int(part["z"]) for part in map_blocks(work, BOXES[1:], "one")] == [1]
    list(map_blocks(work, BOXES, "after"))
    assert asked == [("two", 2)]


def test_a_mapper_is_forgotten_when_something_fails():
    with pytest.raises(ZeroDivisionError), mapped_by(lambda *_: iter(())):
        raise ZeroDivisionError
    assert len(list(map_blocks(work, BOXES, "after"))) == 2


def test_sums_of_distances_longer_than_64_bits_are_written_down():
    apart = distances.Apart(2, 2**70 + 1, 1, 2)
    row = np.array(apart.as_row(), np.int64).tolist()
    assert distances.Apart.from_row(row) == apart
