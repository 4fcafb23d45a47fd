"""Two masks as one label volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.data.joining import join_sides
from connectomics.errors import DataError


def join(folder: Path, pre: list[int], post: list[int]) -> tuple[list[int], str, object]:
    for name, values in (("pre", pre), ("post", post)):
        save_volume(folder / f"{name}.h5", np.array([[values]], np.uint16), resolution=(30, 8, 8))
    volumes = [open_volume(folder / f"{name}.h5") for name in ("pre", "post")]
    said = join_sides(*volumes, str(folder / "syn.h5"))
    joined = open_volume(folder / "syn.h5")
    assert joined.resolution == (30, 8, 8)
    return read_volume(folder / "syn.h5").ravel().tolist(), said, joined.attributes["encoding"]


def test_masks_become_one_and_two(tmp_path: Path) -> None:
    labels, said, encoding = join(tmp_path, [255, 255, 0, 0], [0, 255, 255, 0])
    assert labels == [1, 2, 2, 0]
    assert encoding == "semantic"
    assert said.endswith("1 for pre and 2 for post; 1 voxels that both hold are post")


def test_numbered_sides_keep_their_numbers(tmp_path: Path) -> None:
    labels, _, encoding = join(tmp_path, [7, 0, 0, 200], [0, 7, 200, 0])
    assert labels == [13, 14, 400, 399]
    assert encoding == "polarity"


def test_numbers_that_differ_are_not_used(tmp_path: Path) -> None:
    assert join(tmp_path, [7, 0, 0, 9], [0, 3, 4, 0])[0] == [1, 2, 2, 1]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    join(tmp_path, [1], [0])
    pre = open_volume(tmp_path / "pre.h5")
    with pytest.raises(DataError, match="is there already"):
        join_sides(pre, pre, str(tmp_path / "syn.h5"))
