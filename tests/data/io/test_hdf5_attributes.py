"""Attributes of damaged files."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.data.annotations import read_annotations
from connectomics.data.io import open_volume
from connectomics.errors import DataError
from connectomics.process import apart

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux")


def damage_heap(path: Path) -> None:
    """Blank the size of the first text in the heap, so that the walk never leaves it."""
    content = bytearray(path.read_bytes())
    first = content.index(b"GCOL") + 16  # its objects follow a head of 16 bytes
    content[first + 8 : first + 16] = bytes(8)
    path.write_bytes(content)


@pytest.mark.parametrize("group", ["", "::volumes/raw"])
def test_a_heap_that_hdf5_walks_round_for_ever(tmp_path, group, monkeypatch):
    monkeypatch.setattr(apart, "SECONDS", 1)
    path = tmp_path / "em.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("volumes/raw", data=np.ones((2, 3, 4), np.uint8))
        dataset.attrs["DIMENSION_LABELS"] = ["z", "y", "x"]
    assert open_volume(f"{path}{group}").shape == (2, 3, 4)
    damage_heap(path)
    with pytest.raises(DataError, match="reading the attributes of /volumes/raw never comes to an"):
        open_volume(f"{path}{group}")


def test_annotations_whose_offset_is_such_a_text(tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "SECONDS", 1)
    path = tmp_path / "cremi.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("annotations")
        group.attrs["offset"] = "0 0 0"
    damage_heap(path)
    with pytest.raises(DataError, match="reading the attributes of /annotations never comes to an"):
        read_annotations(str(path))
