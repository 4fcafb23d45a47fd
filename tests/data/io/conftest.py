from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """A (Z, Y, X) volume in which every voxel differs from its neighbours."""
    return (np.arange(7 * 11 * 13) * 37 % 251).reshape(7, 11, 13).astype(np.uint8)


@pytest.fixture
def probabilities() -> NDArray[np.float32]:
    """A (C, Z, Y, X) volume with three channels."""
    random = np.random.default_rng(0)
    return random.random((3, 5, 6, 8), dtype=np.float32)


@pytest.fixture
def names():
    """Names of what lies in a folder, hidden files included."""

    def listed(folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir())

    return listed
