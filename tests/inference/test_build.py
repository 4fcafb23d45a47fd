"""What is written of a prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from connectomics.data.io import open_volume
from connectomics.data.volumes import MemoryVolume
from connectomics.errors import DataError
from connectomics.geometry import VoxelGrid
from connectomics.inference.build import write_probabilities
from connectomics.inference.windows import Sliding


def write(path, value: float, dtype: str) -> None:
    """Write the prediction of a network that says 0.5, and `value` where the image is 1."""
    image = np.zeros((6, 8, 8), np.uint8)
    image[5, 2, 3] = 1
    write_probabilities(
        path,
        lambda inputs: torch.where(inputs == 1, value, torch.full_like(inputs, 0.5)),
        MemoryVolume("raw.h5", image),
        Sliding((4, 8, 8)),
        normalise=lambda block: block.astype(np.float32),
        channels=["synapse"],
        dtype=dtype,
        grid=VoxelGrid((30, 8, 8)),
        attributes={},
        progress=False,
    )


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nothing_that_is_no_number_is_stored_as_one(tmp_path, dtype, value):
    with pytest.raises(DataError, match=rf"raw\.h5: the network gives {value} at .*\(5, 2, 3\)"):
        write(tmp_path / "p.h5", value, dtype)


@pytest.mark.parametrize(("dtype", "value"), [("uint8", -3.0), ("uint8", 1.5), ("float16", 1e5)])
def test_what_a_dtype_cannot_hold_is_refused(tmp_path, dtype, value):
    with pytest.raises(DataError, match=rf"raw\.h5: {dtype} cannot hold {value} at .*\(5, 2, 3\)"):
        write(tmp_path / "p.h5", value, dtype)


@pytest.mark.parametrize(
    ("dtype", "value", "stored"), [("uint8", 1.0004, 255), ("float16", -7.0, -7), ("float32", 1, 1)]
)
def test_what_it_can_hold_is_written(tmp_path, dtype, value, stored):
    write(tmp_path / "p.h5", value, dtype)
    with open_volume(tmp_path / "p.h5") as volume:
        assert volume.read()[5, 2, 3] == stored
